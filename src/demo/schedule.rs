//! Follows the time and hands out the reports that fall due.
//!
//! Guarantees: each report once, in the order in which they leave; plans a local day when it comes, and remembers at most
//! the plans of the days that may still send.
//! Does not: ask for the time, or make the bytes of a report.

use std::collections::VecDeque;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::fleet::{Due, Fleet};

/// The reports of a fleet after a moment.
pub struct Schedule {
    fleet: Fleet,
    zone: TimeZone,
    /// The first day that is not planned yet.
    next_day: Date,
    after: Timestamp,
    /// Sorted by the moment of sending.
    waiting: VecDeque<Due>,
}

/// How many days back a report can come from: the longest delay is less than two days.
const DAYS_BACK: i64 = 2;

impl Schedule {
    /// All reports of the fleet that leave after a moment.
    pub fn new(fleet: Fleet, zone: TimeZone, after: Timestamp) -> Schedule {
        let today = after.to_zoned(zone.clone()).date();
        let next_day = today.saturating_sub(DAYS_BACK.days());
        Schedule { fleet, zone, next_day, after, waiting: VecDeque::new() }
    }

    /// The next report that leaves at `until` or before; none if there is no more of them.
    pub fn next_until(&mut self, until: Timestamp) -> Option<Due> {
        let today = until.to_zoned(self.zone.clone()).date();
        while self.next_day <= today {
            let plan = self.fleet.plan(self.next_day, &self.zone);
            self.waiting.extend(plan.into_iter().filter(|due| due.at > self.after));
            self.waiting.make_contiguous().sort_unstable();
            self.next_day = self.next_day.tomorrow().ok()?;
        }
        if self.waiting.front()?.at > until {
            return None;
        }
        self.waiting.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use jiff::civil::date;

    use super::*;

    #[test]
    fn hands_out_each_report_once_and_in_order_whatever_the_steps() {
        let fleet = Fleet::new(1, 300, date(2026, 11, 1));
        let zone = TimeZone::get("Asia/Almaty").unwrap();
        let start = date(2026, 11, 20).at(9, 30, 0, 0).to_zoned(zone.clone()).unwrap().timestamp();
        let mut schedule = Schedule::new(fleet.clone(), zone.clone(), start);
        let mut stepped = Vec::new();
        for minutes in (7..=3 * 24 * 60).step_by(7) {
            while let Some(due) = schedule.next_until(start + i64::from(minutes).minutes()) {
                assert!(due.at > start && due.at <= start + i64::from(minutes).minutes());
                stepped.push(due);
            }
        }
        let mut at_once = Schedule::new(fleet, zone, start);
        let end = start + (3 * 24 * 60 / 7 * 7).minutes();
        let whole: Vec<_> = std::iter::from_fn(|| at_once.next_until(end)).collect();
        assert!(whole.len() > 300);
        assert!(whole.is_sorted());
        assert_eq!(stepped, whole);
        let distinct: HashSet<_> = whole.iter().map(|due| (due.slot, due.day, due.index, due.first_sent)).collect();
        assert_eq!(distinct.len(), whole.len());
    }
}
