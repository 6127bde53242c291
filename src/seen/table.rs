//! A flat table of fingerprints and answers.
//!
//! One slot is 24 bytes: the fingerprint, the minute, the answer's count. There is nothing beside it: the fingerprint,
//! being keyed, is its own hash, age is told by the minute and not by a queue, and the few answers that name refused
//! events lie apart. Slots are filled in the order of the hash, each at the first free one, and seven to nine of ten are in use.
//!
//! Guarantees: never more than the reports it was made for; where it is full, the oldest sixteenth is forgotten, so that
//! the table is moved once for many reports.
//! Does not: forget a single report. What is too old goes in one sweep.

use std::collections::HashMap;

use tuman_privacy::refusal::Refusal;
use tuman_privacy::report_id::Fingerprint;

use crate::answer::Answer;

/// Bytes of a report without refusals at most: its slot, and its share of the free ones.
pub(super) const REPORT_BYTES: usize = SLOT_BYTES * 10 / 7 + 1;
/// Bytes of a list of refusals, its place in the map among them.
const REFUSALS_BYTES: usize = 96;
const REFUSAL_BYTES: usize = 8;
const SLOT_BYTES: usize = 24;

/// The answer is in a file, and its rows are in the store.
const KEPT: u32 = 1 << 31;
/// The answer names refused events.
const REFUSED: u32 = 1 << 30;

const FREE: Slot = Slot { report: [0; 16], minute: 0, answer: 0 };
const SMALLEST: usize = 16;

#[derive(Clone, Copy)]
struct Slot {
    report: [u8; 16],
    /// Minutes since 1970; zero in a free slot.
    minute: u32,
    /// Accepted events, below [`KEPT`] and [`REFUSED`].
    answer: u32,
}

const _: () = assert!(size_of::<Slot>() == SLOT_BYTES);

/// Reports and their answers.
pub(super) struct Table {
    slots: Vec<Slot>,
    used: usize,
    refusals: HashMap<[u8; 16], Box<[(u32, Refusal)]>>,
    refusal_bytes: usize,
    most: usize,
}

impl Table {
    /// A table for so many reports without refusals.
    pub(super) fn new(most: usize) -> Table {
        Table { slots: Vec::new(), used: 0, refusals: HashMap::new(), refusal_bytes: 0, most: most.max(1) }
    }

    pub(super) fn len(&self) -> usize {
        self.used
    }

    pub(super) fn get(&self, report: Fingerprint) -> Option<Answer> {
        let slot = self.slot(report)?;
        let refused = match slot.answer & REFUSED {
            0 => Vec::new(),
            _ => self.refusals.get(&report.0).map_or_else(Vec::new, |refused| refused.to_vec()),
        };
        Some(Answer { accepted: slot.answer & !(KEPT | REFUSED), refused })
    }

    /// Remembers an answer; one that is there already stays as it is.
    pub(super) fn insert(&mut self, report: Fingerprint, answer: &Answer, minute: u32) {
        if self.slot(report).is_some() {
            return;
        }
        self.make_room(1, cost(answer));
        let Some(index) = self.find(&report.0) else { return };
        let Some(slot) = self.slots.get_mut(index).filter(|slot| slot.minute == 0) else { return };
        let mut packed = answer.accepted.min(REFUSED - 1);
        if !answer.refused.is_empty() {
            packed |= REFUSED;
            self.refusal_bytes += cost(answer);
            self.refusals.insert(report.0, answer.refused.clone().into());
        }
        *slot = Slot { report: report.0, minute: minute.max(1), answer: packed };
        self.used += 1;
    }

    /// Notes that a report's answer is in a file.
    pub(super) fn keep(&mut self, report: Fingerprint) {
        if let Some(slot) = self.find(&report.0).and_then(|index| self.slots.get_mut(index))
            && slot.minute > 0
        {
            slot.answer |= KEPT;
        }
    }

    pub(super) fn is_kept(&self, report: Fingerprint) -> bool {
        self.slot(report).is_some_and(|slot| slot.answer & KEPT != 0)
    }

    /// Forgets what is older than a minute.
    pub(super) fn forget_before(&mut self, minute: u32) {
        if self.slots.iter().any(|slot| slot.minute > 0 && slot.minute < minute) {
            self.rebuild(0, |slot| slot.minute >= minute);
        }
    }

    /// Makes room for `reports` more, with refusals of so many bytes: grows, and forgets the oldest at the bound.
    fn make_room(&mut self, reports: usize, bytes: usize) {
        while self.used > 0 && self.weight() + reports + bytes.div_ceil(REPORT_BYTES) > self.most {
            let goes = (self.used / 16).max(1);
            let (before, newest) = self.oldest(goes);
            // Of the newest minute that goes, not all at once.
            let mut left = goes - before;
            self.rebuild(reports, |slot| {
                let is_left = slot.minute == newest && left > 0;
                left -= usize::from(is_left);
                slot.minute > newest || (slot.minute == newest && !is_left)
            });
        }
        if slots_for(self.used + reports) > self.slots.len() {
            self.rebuild(reports, |_| true);
        }
    }

    /// The minute of the newest among so many of the oldest reports, and how many are of earlier minutes.
    fn oldest(&self, reports: usize) -> (usize, u32) {
        let mut minutes = Vec::with_capacity(self.used);
        minutes.extend(self.slots.iter().filter(|slot| slot.minute > 0).map(|slot| slot.minute));
        let (earlier, newest, _) = minutes.select_nth_unstable(reports - 1);
        (earlier.iter().filter(|minute| **minute < *newest).count(), *newest)
    }

    /// Reports, with the memory of refusals counted as if it were reports.
    fn weight(&self) -> usize {
        self.used + self.refusal_bytes.div_ceil(REPORT_BYTES)
    }

    /// Moves what stays to slots with room for `more`, and for a quarter of what stays.
    fn rebuild(&mut self, more: usize, mut stays: impl FnMut(&Slot) -> bool) {
        let mut old = std::mem::take(&mut self.slots);
        old.retain(|slot| {
            let stays = slot.minute > 0 && stays(slot);
            if !stays && let Some(refused) = self.refusals.remove(&slot.report) {
                self.refusal_bytes -= REFUSALS_BYTES + refused.len() * REFUSAL_BYTES;
            }
            stays
        });
        self.used = old.len();
        self.slots = vec![FREE; slots_for(old.len() + old.len() / 4 + more).max(SMALLEST)];
        for slot in old {
            if let Some(free) = self.find(&slot.report).and_then(|index| self.slots.get_mut(index)) {
                *free = slot;
            }
        }
    }

    /// The slot of a report that is known.
    fn slot(&self, report: Fingerprint) -> Option<&Slot> {
        self.slots.get(self.find(&report.0)?).filter(|slot| slot.minute > 0)
    }

    /// The slot of a report, or the free one where it belongs. None in a table without slots: one in eight is free.
    fn find(&self, report: &[u8; 16]) -> Option<usize> {
        let [a, b, c, d, e, f, g, h, ..] = *report;
        let hash = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let home = ((u128::from(hash) * self.slots.len() as u128) >> 64) as usize;
        let (before, after) = self.slots.split_at_checked(home)?;
        let fits = |slot: &Slot| slot.minute == 0 || slot.report == *report;
        match after.iter().position(fits) {
            Some(place) => Some(home + place),
            None => before.iter().position(fits),
        }
    }
}

/// Slots for so many reports: one in eight stays free.
fn slots_for(reports: usize) -> usize {
    reports.saturating_mul(8).div_ceil(7).max(reports + 1)
}

/// Bytes beside the slot.
fn cost(answer: &Answer) -> usize {
    if answer.refused.is_empty() { 0 } else { REFUSALS_BYTES + answer.refused.len() * REFUSAL_BYTES }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn answer(accepted: u32, refused: u8) -> Answer {
        Answer { accepted, refused: (0..u32::from(refused)).map(|event| (event, Refusal::TooOld)).collect() }
    }

    /// Fingerprints that crowd at one home, so that slots run over and around the end.
    fn crowded(number: u8) -> Fingerprint {
        let mut bytes = [number; 16];
        bytes[..8].copy_from_slice(&(u64::MAX - u64::from(number % 3)).to_le_bytes());
        Fingerprint(bytes)
    }

    proptest! {
        #[test]
        fn it_is_a_map_that_forgets_the_old(
            steps in prop::collection::vec((any::<u8>(), 0_u8..4, 1_u32..50, 0_u8..8), 0..300)
        ) {
            let mut table = Table::new(100_000);
            let mut model: BTreeMap<[u8; 16], (Answer, u32, bool)> = BTreeMap::new();
            for (number, refused, minute, what) in steps {
                let report = if number % 2 == 0 { crowded(number) } else { Fingerprint([number; 16]) };
                match what {
                    0 => {
                        table.forget_before(minute);
                        model.retain(|_, (_, at, _)| *at >= minute);
                    }
                    1 => {
                        table.keep(report);
                        if let Some((_, _, kept)) = model.get_mut(&report.0) {
                            *kept = true;
                        }
                    }
                    _ => {
                        let answer = answer(u32::from(number), refused);
                        table.insert(report, &answer, minute);
                        model.entry(report.0).or_insert((answer, minute, false));
                    }
                }
                prop_assert_eq!(table.len(), model.len());
            }
            for number in 0..=u8::MAX {
                for report in [crowded(number), Fingerprint([number; 16])] {
                    let known = model.get(&report.0);
                    prop_assert_eq!(table.get(report), known.map(|(answer, ..)| answer.clone()));
                    prop_assert_eq!(table.is_kept(report), known.is_some_and(|(_, _, kept)| *kept));
                }
            }
        }

        #[test]
        fn it_never_grows_past_its_bound(numbers in prop::collection::vec((any::<u64>(), 1_u32..9, 0_u8..20), 0..400)) {
            let most = 40;
            let mut table = Table::new(most);
            for (number, minute, refused) in numbers {
                let mut bytes = [0; 16];
                bytes[..8].copy_from_slice(&number.to_le_bytes());
                table.insert(Fingerprint(bytes), &answer(1, refused), minute);
                prop_assert!(table.get(Fingerprint(bytes)).is_some());
                let bytes = table.slots.capacity() * SLOT_BYTES + table.refusal_bytes;
                prop_assert!(table.used == 1 || bytes <= (most + SMALLEST) * REPORT_BYTES, "{bytes}");
            }
        }
    }

    #[test]
    fn at_the_bound_the_oldest_minute_goes_first() {
        let mut table = Table::new(10);
        for number in 0..20_u8 {
            table.insert(Fingerprint([number; 16]), &answer(1, 0), 100 + u32::from(number));
        }
        assert_eq!(table.len(), 10);
        for number in 0..20_u8 {
            assert_eq!(table.get(Fingerprint([number; 16])).is_some(), number >= 10);
        }
    }

    #[test]
    fn at_the_bound_a_sixteenth_goes_at_once_however_few_are_of_a_minute() {
        let mut table = Table::new(160);
        let report = |number: u8| Fingerprint([number; 16]);
        for number in 0..160 {
            table.insert(report(number), &answer(1, 0), 100 + u32::from(number));
        }
        table.insert(report(7), &answer(1, 0), 300);
        assert_eq!(table.len(), 160, "one that is known needs no room");
        table.insert(report(160), &answer(1, 0), 300);
        assert_eq!(table.len(), 151);
        for number in 0..=160 {
            assert_eq!(table.get(report(number)).is_some(), number >= 10);
        }
    }
}
