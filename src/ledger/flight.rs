//! What is in the spool and not yet in the store, per app and local day of arrival.
//!
//! Guarantees: a report is counted here from before its sync until its segment is in the store; one whose sync failed
//! was never received and is taken off again. After a restart the count is made anew from the segments.
//! What stays here while the spool is empty was acknowledged and is not stored: records that were damaged on disk.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tuman_privacy::time::Day;

use super::{LOST, Line, lines};

/// Events of one app and day, by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// All of them.
    pub received: i64,
    /// Those that left a row.
    pub stored: i64,
    /// Those that were known already.
    pub duplicate: i64,
    /// Those that were refused, for any reason.
    pub refused: i64,
    /// Those that would have left a row, and went with a segment that was discarded.
    pub lost: i64,
}

impl Sums {
    /// Received less stored, duplicate, refused and lost: zero, always.
    #[must_use]
    pub fn difference(&self) -> i64 {
        self.received - self.stored - self.duplicate - self.refused - self.lost
    }

    pub(super) fn book(&mut self, outcome: &str, n: i64) {
        match outcome {
            "received" => self.received += n,
            "stored" => self.stored += n,
            "duplicate" => self.duplicate += n,
            LOST => self.lost += n,
            _ if outcome.starts_with("refused:") => self.refused += n,
            // Notes and counts of rows say something about events that are counted above.
            _ => {}
        }
    }

    pub(super) fn add(&mut self, other: Sums, sign: i64) {
        self.received += sign * other.received;
        self.stored += sign * other.stored;
        self.duplicate += sign * other.duplicate;
        self.refused += sign * other.refused;
        self.lost += sign * other.lost;
    }
}

/// The account of what is on its way.
#[derive(Default)]
pub struct Flight {
    /// A short list: an entry for each app and day that has something on its way.
    entries: Mutex<Vec<(Day, String, Sums)>>,
    /// Odd while a segment is in the store and still counted here.
    version: AtomicU64,
}

impl Flight {
    /// Counts a report that goes to the spool.
    pub fn enter(&self, app: &str, day: Day, sums: Sums) {
        self.book(app, day, sums, 1);
    }

    /// Takes a report off again that the spool did not take.
    pub fn undo(&self, app: &str, day: Day, sums: Sums) {
        self.book(app, day, sums, -1);
    }

    /// Counts the lines of a record that was found in the spool.
    pub fn recover(&self, rows: &[u8]) {
        for Line { day, app, outcome, n } in lines(rows) {
            let mut sums = Sums::default();
            sums.book(outcome, n);
            self.book(app, day, sums, 1);
        }
    }

    /// To be held while a segment's lines go to the store and are taken off here.
    #[must_use]
    pub fn settling(&self) -> Settling<'_> {
        self.version.fetch_add(1, Ordering::SeqCst);
        Settling(self)
    }

    /// Changes whenever a segment is settled; odd while one is.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    /// What is on its way, of one app, by day.
    #[must_use]
    pub fn of(&self, app: &str) -> Vec<(Day, Sums)> {
        self.lock().iter().filter(|(_, of, _)| of == app).map(|(day, _, sums)| (*day, *sums)).collect()
    }

    /// What is on its way, in all.
    #[must_use]
    pub fn total(&self) -> Sums {
        let mut total = Sums::default();
        for (_, _, sums) in self.lock().iter() {
            total.add(*sums, 1);
        }
        total
    }

    fn book(&self, app: &str, day: Day, sums: Sums, sign: i64) {
        let mut entries = self.lock();
        let place = entries.iter().position(|(of, known, _)| *of == day && known == app);
        match place {
            Some(place) => {
                if let Some((_, _, entry)) = entries.get_mut(place) {
                    entry.add(sums, sign);
                    if *entry == Sums::default() {
                        entries.swap_remove(place);
                    }
                }
            }
            None => {
                let mut entry = Sums::default();
                entry.add(sums, sign);
                entries.push((day, app.to_owned(), entry));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Day, String, Sums)>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A segment whose lines are in the store, or will be in a moment.
pub struct Settling<'a>(&'a Flight);

impl Settling<'_> {
    /// The segment's lines are in the store: they are no longer on their way.
    pub fn done(self, rows: &[u8]) {
        for Line { day, app, outcome, n } in lines(rows) {
            let mut sums = Sums::default();
            sums.book(outcome, n);
            self.0.book(app, day, sums, -1);
        }
    }
}

impl Drop for Settling<'_> {
    fn drop(&mut self) {
        self.0.version.fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Lines;

    const DAY: Day = Day(20_000);

    #[test]
    fn what_enters_is_there_until_it_is_settled() {
        let flight = Flight::default();
        let lines = Lines::of_duplicate("kz.one", DAY, 3);
        let other = Lines::of_duplicate("kz.two", DAY, 5);
        for (app, lines) in [("kz.one", &lines), ("kz.two", &other)] {
            flight.enter(app, DAY, lines.sums());
        }
        assert_eq!(flight.of("kz.one"), [(DAY, Sums { received: 3, duplicate: 3, ..Sums::default() })]);
        assert_eq!((flight.total().received, flight.total().difference()), (8, 0));
        let version = flight.version();
        let settling = flight.settling();
        assert_eq!(flight.version() % 2, 1);
        settling.done(lines.bytes());
        assert_eq!(flight.version(), version + 2);
        assert_eq!((flight.of("kz.one"), flight.total().received), (Vec::new(), 5));
        // One that the store did not take stays.
        drop(flight.settling());
        assert_eq!(flight.total().received, 5);
        flight.undo("kz.two", DAY, other.sums());
        assert_eq!(flight.total(), Sums::default());
        flight.recover(other.bytes());
        assert_eq!(flight.of("kz.two"), [(DAY, other.sums())]);
    }
}
