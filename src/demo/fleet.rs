//! The fleet: all phones, and what they send on a day.
//!
//! Guarantees: a day is generated phone by phone and never held in memory; the same seed, opening and day give the same
//! uploads; every identifier and every lasting place of the phones can be listed.
//! Does not: post anything (`post`), or ask for the time.
//!
//! A phone keeps its place in the fleet for weeks or years; then its owner leaves and another phone takes the place, so
//! that new installs arrive for as long as the fleet runs.

use std::collections::VecDeque;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::cities::Point;
pub use super::phone::Encoding;
use super::phone::{Life, Phone};
use super::report::{self, LocalDay, Occasion, day_number};
pub use super::rhythm::LATEST_S;
use super::rhythm::Visit;

/// A fleet of phones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fleet {
    seed: u64,
    phones: u32,
    /// Days since 1970.
    opening: i32,
}

/// A report on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// When it leaves the phone, by the true time.
    pub sent_at: Timestamp,
    /// The JSON, not yet packed.
    pub body: Vec<u8>,
    /// How the phone packs it.
    pub encoding: Encoding,
    /// Whether the phone sends `DNT: 1` and `Sec-GPC: 1` with it.
    pub do_not_track: bool,
    /// Whether the same bytes were sent before, and the phone does not know that they arrived.
    pub retry: bool,
}

/// A report that is going to be sent; its bytes are made by [`Fleet::upload`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    /// When it leaves the phone.
    pub at: Timestamp,
    /// The local day of its events, counted from 1970.
    pub(super) day: i32,
    pub(super) slot: u32,
    pub(super) index: u32,
    /// For a retry, when it was sent first.
    pub(super) first_sent: Option<Timestamp>,
}

impl Fleet {
    /// A fleet of so many phones. `opening` is the first day of the demo's history: the app's releases are counted from
    /// it, and two come after it. A fleet can be asked about any day, before the opening too.
    pub fn new(seed: u64, phones: usize, opening: Date) -> Fleet {
        Fleet { seed, phones: u32::try_from(phones).unwrap_or(u32::MAX), opening: day_number(opening) }
    }

    /// All reports about `day` (local), phone by phone, each with the moment it is sent. That moment lies within the day
    /// or at most [`LATEST_S`] seconds after its end.
    pub fn day(&self, day: Date, zone: &TimeZone) -> impl Iterator<Item = Upload> + use<> {
        let local = LocalDay::new(day, zone).ok();
        DayUploads {
            fleet: self.clone(),
            next_slot: if local.is_some() { 0 } else { self.phones },
            local,
            ready: VecDeque::new(),
            visits: Vec::new(),
        }
    }

    /// The reports about `day` (local) without their bytes, in the order in which they leave.
    pub fn plan(&self, day: Date, zone: &TimeZone) -> Vec<Due> {
        let Ok(local) = LocalDay::new(day, zone) else {
            return Vec::new();
        };
        let mut plan = Vec::new();
        let mut visits = Vec::new();
        for slot in 0..self.phones {
            let life = Life::at(self.seed, slot, local.number);
            if !life.is_active(self.seed, local.number) {
                continue;
            }
            let phone = Phone::of(self.seed, &life);
            life.visits(self.seed, &phone, local.number, &mut visits);
            for (index, visit) in (0..).zip(&visits) {
                let at = local.moment(i64::from(visit.sent_ms));
                let due = Due { at, day: local.number, slot, index, first_sent: None };
                plan.push(due);
                if let Some(retry_ms) = visit.retry_ms {
                    plan.push(Due { at: local.moment(i64::from(retry_ms)), first_sent: Some(at), ..due });
                }
            }
        }
        plan.sort_unstable();
        plan
    }

    /// The reports that leave in (`from`, `to`], in order, late ones of earlier days among them. To follow the time step by
    /// step, [`Schedule`](super::schedule::Schedule) is cheaper: this plans whole days anew.
    pub fn due(&self, from: Timestamp, to: Timestamp, zone: &TimeZone) -> impl Iterator<Item = Upload> + use<> {
        let mut schedule = super::schedule::Schedule::new(self.clone(), zone.clone(), from);
        let (fleet, zone) = (self.clone(), zone.clone());
        std::iter::from_fn(move || schedule.next_until(to)).filter_map(move |due| fleet.upload(&due, due.at, &zone))
    }

    /// The bytes of a planned report that leaves at `at`, which is later than planned where the server was away. A retry
    /// repeats the bytes of the first attempt. None if the report was not planned by this fleet.
    pub fn upload(&self, due: &Due, at: Timestamp, zone: &TimeZone) -> Option<Upload> {
        let date = Date::constant(1970, 1, 1).checked_add(i64::from(due.day).days()).ok()?;
        let local = LocalDay::new(date, zone).ok()?;
        let life = Life::at(self.seed, due.slot, due.day);
        let phone = Phone::of(self.seed, &life);
        let mut visits = Vec::new();
        life.visits(self.seed, &phone, due.day, &mut visits);
        let visit = *visits.get(due.index as usize)?;
        let sent_ms = local.ms_at(due.first_sent.unwrap_or(at));
        let body = self.body(&life, &phone, &local, visit, due.index, sent_ms);
        Some(Upload {
            sent_at: at,
            body,
            encoding: phone.encoding,
            do_not_track: phone.do_not_track,
            retry: due.first_sent.is_some(),
        })
    }

    /// Every identifier that points to a phone and is sent between two days, as (kind, text): in its canonical form
    /// and, where it differs, in the spelling on the wire. Junk and opt-outs (all zeros) point to nobody and are left out.
    pub fn identifiers(&self, first: Date, last: Date) -> impl Iterator<Item = (&'static str, String)> + use<> {
        self.phones_between(first, last).flat_map(|phone| {
            phone.identifiers.into_iter().flat_map(|identifier| {
                let name = identifier.kind.name();
                let canonical = identifier.canonical;
                let sent = Some(identifier.sent).filter(|sent| canonical.as_ref().is_some_and(|form| form != sent));
                canonical.into_iter().chain(sent).map(move |text| (name, text))
            })
        })
    }

    /// The homes and workplaces of the phones that are there between two days.
    pub fn points(&self, first: Date, last: Date) -> impl Iterator<Item = Point> + use<> {
        self.phones_between(first, last).flat_map(|phone| [phone.home, phone.work])
    }

    fn phones_between(&self, first: Date, last: Date) -> impl Iterator<Item = Phone> + use<> {
        let (seed, first, last) = (self.seed, day_number(first), day_number(last));
        (0..self.phones).flat_map(move |slot| {
            // From the last life back to the one that holds the place on the first day.
            std::iter::successors(Some(Life::at(seed, slot, last)), move |life| {
                (life.installed > first).then(|| Life::at(seed, slot, life.installed - 1))
            })
            .map(move |life| Phone::of(seed, &life))
        })
    }

    fn body(&self, life: &Life, phone: &Phone, day: &LocalDay, visit: Visit, index: u32, sent_ms: i64) -> Vec<u8> {
        let version = self.version(life, phone, day.number);
        report::write(&Occasion { seed: self.seed, life, phone, day, version, visit, index }, sent_ms)
    }

    /// The version of the app that a phone runs on a day: the newest at its install, then each one that its owner has
    /// got round to.
    fn version(&self, life: &Life, phone: &Phone, day: i32) -> &'static str {
        let runs = |released: i32| {
            let released = self.opening + released;
            released <= life.installed || released + phone.update_days <= day
        };
        let newest = RELEASES.iter().rev().find(|(_, released)| runs(*released));
        newest.map_or(FIRST_RELEASE, |(version, _)| version)
    }
}

const FIRST_RELEASE: &str = "3.2.0";

/// The versions after the first, and the day on which each came out, counted from the fleet's opening.
const RELEASES: [(&str, i32); 5] = [("3.3.0", -120), ("3.4.0", -60), ("3.4.1", -31), ("3.5.0", 8), ("3.6.0", 22)];

struct DayUploads {
    fleet: Fleet,
    local: Option<LocalDay>,
    next_slot: u32,
    ready: VecDeque<Upload>,
    visits: Vec<Visit>,
}

impl Iterator for DayUploads {
    type Item = Upload;

    fn next(&mut self) -> Option<Upload> {
        let seed = self.fleet.seed;
        loop {
            if let Some(upload) = self.ready.pop_front() {
                return Some(upload);
            }
            let local = self.local.as_ref()?;
            if self.next_slot >= self.fleet.phones {
                return None;
            }
            let life = Life::at(seed, self.next_slot, local.number);
            self.next_slot += 1;
            if !life.is_active(seed, local.number) {
                continue;
            }
            let phone = Phone::of(seed, &life);
            life.visits(seed, &phone, local.number, &mut self.visits);
            for (index, visit) in (0..).zip(&self.visits) {
                let sent_ms = i64::from(visit.sent_ms);
                let body = self.fleet.body(&life, &phone, local, *visit, index, sent_ms);
                let upload = Upload {
                    sent_at: local.moment(sent_ms),
                    body,
                    encoding: phone.encoding,
                    do_not_track: phone.do_not_track,
                    retry: false,
                };
                if let Some(retry_ms) = visit.retry_ms {
                    let sent_at = local.moment(i64::from(retry_ms));
                    self.ready.push_back(Upload { sent_at, retry: true, ..upload.clone() });
                }
                self.ready.push_back(upload);
            }
        }
    }
}

#[cfg(test)]
mod tests;
