//! The hours of an open day: releases that are sealed every hour, so that today is seen before tomorrow.
//!
//! The steps, each of which can be interrupted and is done again or found done: what was appended is loaded; the hours that
//! are over are counted and get their noise; the noisy result is synced to a journal; it is published, releases first, then
//! the lines in `seals` that make them readable; the journal is removed.
//!
//! Guarantees: the hours of a release are sealed in their order, each once and before the day, with the parameters of its
//! first one. At each, a device counts whose rows lie in fewer than the release's number of hours before it: whatever comes
//! late, it is in no more hours than that (`sql/counted.sql`).
//! Does not: close the day, drop a row, or touch a key.

use std::sync::Arc;
use std::time::Instant;

use rand::TryRng;
use serde::Deserialize;
use tuman_privacy::time::Day;

use super::allotment::{Allotment, Pinned};
use super::journal::Journal;
use super::laplace::System;
use super::release::{HOURS, Release};
use super::{DRAIN_LIMIT, OpenDay, SealError, Sealer, on_a_thread, rows, salt};
use crate::catalogue::Catalogue;
use crate::clock::{date_of, timestamp};
use crate::loader::LoadError;
use crate::log::Line;
use crate::metrics::Metric;
use crate::store::{Statement, StoreError, Table};

/// The hours that are to be sealed of an app.
struct DueOfApp {
    catalogue: Arc<Catalogue>,
    releases: Vec<Due>,
}

/// The hours that are to be sealed of a release.
struct Due {
    release: Release,
    /// The first that is not.
    from: u8,
}

impl Sealer {
    /// Seals the hours that are over of all days that take events. Answers how many there were.
    ///
    /// # Errors
    /// Where a step failed; the next try goes on from there.
    pub async fn seal_hours(self: &Arc<Self>) -> Result<u64, SealError> {
        let _turn = self.turn.lock().await;
        let _claim = self.claim().await?;
        let now_ms = self.clock.now_ms();
        let mut hours = 0;
        for day in self.days_with_anything().await? {
            let is_open = day <= self.zone.day(now_ms) && now_ms < self.keyring.grace_ends(day);
            // Of a day whose noise is drawn the hours are done; a day that is sealed may have left a row behind.
            if !is_open || self.journals.read(day)?.is_some() || self.is_sealed(day).await? {
                continue;
            }
            let began = Instant::now();
            let of_day = self.seal_hours_of(day, self.hours_over(day, now_ms)).await?;
            if of_day > 0 {
                Line::HoursSealed { day: date_of(day), hours: of_day, took: began.elapsed() }.write();
            }
            hours += of_day;
        }
        Ok(hours)
    }

    /// How many hours of a day have ended so long ago that they can be sealed.
    fn hours_over(&self, day: Day, now_ms: i64) -> u8 {
        let is_over = |hour: &u8| self.zone.end_of_hour(day, *hour).saturating_add(self.hour_wait_ms) <= now_ms;
        (0..HOURS).take_while(is_over).map(|hour| hour + 1).last().unwrap_or(0)
    }

    /// Seals the first so many hours of a day, but for those that are. Answers how many were left.
    pub(super) async fn seal_hours_of(self: &Arc<Self>, day: Day, over: u8) -> Result<u64, SealError> {
        let sealer = self.clone();
        let is_due = on_a_thread(move || {
            for last in sealer.journals.hours(day)? {
                if let Some(journal) = sealer.journals.read_hours(day, last)? {
                    sealer.publish_hours(day, last, &journal)?;
                }
            }
            Ok(!sealer.due_hours(day, over)?.is_empty())
        });
        if !is_due.await? {
            return Ok(0);
        }
        match self.loader.drain(DRAIN_LIMIT).await {
            // What waits for another version of this program comes late, and is in the day's own releases.
            Ok(()) | Err(LoadError::Record(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let sealer = self.clone();
        on_a_thread(move || sealer.draw_hours(day, over)).await
    }

    /// What is to be sealed of a day's first hours, by app.
    fn due_hours(&self, day: Day, over: u8) -> Result<Vec<DueOfApp>, SealError> {
        let pinned = Pinned::of(&*self.store, day)?;
        let mut due = Vec::new();
        for catalogue in self.ingest.catalogues().all() {
            let next = |release: &Release| {
                let app = &catalogue.declaration.app;
                let begun = pinned.iter().find(|pinned| pinned.app == *app && pinned.release == release.name);
                begun.map_or(0, |pinned| pinned.last + 1)
            };
            let hourly = Allotment::of(&catalogue, &pinned).hourly.into_iter();
            let of_app = hourly.map(|release| Due { from: next(&release), release }).filter(|due| due.from < over);
            let releases: Vec<Due> = of_app.collect();
            if !releases.is_empty() {
                due.push(DueOfApp { catalogue, releases });
            }
        }
        if !due.is_empty() && self.list_ended_since(day)? {
            due.clear();
        }
        Ok(due)
    }

    /// Whether a suppression list was ended since the day began. A device that was on it may have counted in hours whose
    /// rows were erased with its withdrawal, and may come back: nothing tells any more in how many hours it was.
    fn list_ended_since(&self, day: Day) -> Result<bool, StoreError> {
        #[derive(Deserialize)]
        struct Row {
            n: u64,
        }
        let began_ms = self.zone.end_of(Day(day.0.saturating_sub(1)));
        let statement = Statement::new(
            "SELECT count() AS n FROM audit
             WHERE kind = 'suppression_list_ended' AND toUnixTimestamp64Milli(at) >= {since:Int64}",
        );
        let rows: Vec<Row> = self.store.rows(&statement.bind("since", began_ms))?;
        Ok(rows.first().is_some_and(|row| row.n > 0))
    }

    fn draw_hours(&self, day: Day, over: u8) -> Result<u64, SealError> {
        let mut apps = Vec::new();
        let mut hours = 0;
        for DueOfApp { catalogue, releases: due } in self.due_hours(day, over)? {
            let open =
                OpenDay { store: &*self.store, catalogue: &catalogue, region: &self.region, day, salt: salt()? };
            let mut sealed = Vec::new();
            for Due { release, from } in &due {
                sealed.extend(open.seal_hours(release, *from..over, &mut System::new())?);
                hours = hours.max(u64::from(over - from));
            }
            apps.push((catalogue.declaration.app.clone(), sealed));
        }
        // Once more: a device that came back while it was counted is not published.
        if apps.is_empty() || self.list_ended_since(day)? {
            return Ok(0);
        }
        let mut journal = Journal::of(date_of(day), timestamp(self.clock.now_ms()), apps);
        journal.batch = batch()?;
        let last = over - 1;
        self.journals.write_hours(day, last, &journal)?;
        self.publish_hours(day, last, &journal)?;
        Metric::HoursSealed.add(hours);
        Ok(hours)
    }

    fn publish_hours(&self, day: Day, last: u8, journal: &Journal) -> Result<(), SealError> {
        let name = |what: &str| format!("hours-{}-{}-{what}", journal.day, journal.batch);
        self.store.insert(Table::Releases, &name("releases"), rows::releases(day, journal).bytes())?;
        self.store.insert(Table::Seals, &name("seals"), rows::seals(day, journal).bytes())?;
        Ok(self.journals.remove_hours(day, last)?)
    }
}

/// A name that no other batch has.
fn batch() -> Result<String, SealError> {
    let mut name = [0_u8; 8];
    rand::rngs::SysRng.try_fill_bytes(&mut name).map_err(|_| SealError::Randomness)?;
    Ok(hex::encode(name))
}
