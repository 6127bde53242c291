//! What a phone does on a day: whether it is used, when, from where, and what its app remembers of the days before.
//!
//! Guarantees: a pure function of the seed, the life and the day; a report leaves at most [`LATEST_S`] after the end of
//! its local day, a retry included.
//! Does not: write reports (`report`), or look at the clock.

use super::chance::{Chance, Subject};
use super::cities::{self, Point};
use super::phone::{Life, Phone};

/// Seconds in a day.
pub(super) const DAY_S: u32 = 86_400;

/// The longest that a report waits after the end of its local day, in seconds: 32 hours.
pub const LATEST_S: u32 = 32 * 3_600;

/// One use of the app: it ends in one report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Visit {
    /// Seconds since local midnight.
    pub(super) start_s: u32,
    /// How long it takes; it ends before the next midnight.
    pub(super) length_s: u32,
    pub(super) events: u32,
    /// When the report leaves, in milliseconds since local midnight.
    pub(super) sent_ms: u32,
    /// When the same report leaves once more, because the answer to the first did not arrive.
    pub(super) retry_ms: Option<u32>,
}

/// What the app tells of its own use in the first report of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Firsts {
    pub(super) week: bool,
    pub(super) month: bool,
    pub(super) ever: bool,
}

/// Where the owner is on a day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stay {
    Home,
    Away { centre: Point, scale_metres: f64, lodging: Point },
}

impl Life {
    /// Whether the app is used on a day. It always is on the day of the install.
    pub(super) fn is_active(&self, seed: u64, day: i32) -> bool {
        if day <= self.installed {
            return day == self.installed;
        }
        let curiosity = 0.5 * (f64::from(self.installed - day) / 6.0).exp();
        self.draw(seed, Subject::Active, day) < (self.rate * (0.82 + curiosity)).min(0.97)
    }

    /// What the app remembers of earlier days, on a day of use. `month_day` counts from 1.
    pub(super) fn firsts(&self, seed: u64, day: i32, month_day: i32) -> Firsts {
        let used_since = |first: i32| (first.max(self.installed)..day).rev().any(|past| self.is_active(seed, past));
        Firsts {
            week: !used_since(day - weekday(day)),
            month: !used_since(day - (month_day - 1)),
            ever: day == self.installed,
        }
    }

    /// The visits of a day of use, in order: one to three.
    pub(super) fn visits(&self, seed: u64, phone: &Phone, day: i32, into: &mut Vec<Visit>) {
        into.clear();
        let mut chance = self.chance(seed, Subject::Visits, day);
        let chance = &mut chance;
        let number = chance.weighted(&[(1, 45), (2, 35), (3, 20)]);
        for _ in 0..number {
            into.push(draw_visit(chance, phone, day));
        }
        into.sort_unstable_by_key(|visit| visit.start_s);
        keep_offline(chance, into);
        for visit in into.iter_mut() {
            if chance.happens(0.012) {
                visit.retry_ms = Some(visit.sent_ms + 15_000 + chance.below(120_000));
            }
        }
    }

    /// Where the owner is on a day.
    pub(super) fn stay(&self, seed: u64, phone: &Phone, day: i32) -> Stay {
        // Travels do not cross the bounds of a block, and blocks begin on different days for different phones.
        let shifted = day + (self.slot % BLOCK_DAYS.unsigned_abs()) as i32;
        let mut chance = self.chance(seed, Subject::Trip, shifted.div_euclid(BLOCK_DAYS));
        if !chance.happens(0.09) {
            return Stay::Home;
        }
        let length = 2 + chance.below(4) as i32;
        let first = chance.below((BLOCK_DAYS - length).unsigned_abs()) as i32;
        if !(first..first + length).contains(&shifted.rem_euclid(BLOCK_DAYS)) {
            return Stay::Home;
        }
        let (centre, scale_metres) = if chance.happens(0.12) {
            (chance.pick(&ABROAD), 2_000.0)
        } else {
            let city = cities::by_population(&mut chance);
            if city == phone.city {
                return Stay::Home;
            }
            (city.centre, city.scale_metres())
        };
        let lodging = centre.scattered(&mut chance, scale_metres * 0.5);
        Stay::Away { centre, scale_metres, lodging }
    }
}

impl Stay {
    /// Where the phone is at an hour of a day.
    pub(super) fn point(&self, phone: &Phone, chance: &mut Chance, day: i32, hour: u32) -> Point {
        let out_and_about = chance.unit();
        match *self {
            Stay::Away { lodging, .. } if out_and_about < 0.5 => lodging,
            Stay::Away { centre, scale_metres, .. } => centre.scattered(chance, scale_metres * 0.5),
            Stay::Home if out_and_about > 0.88 => {
                phone.city.centre.scattered(chance, phone.city.scale_metres() * 0.8)
            }
            Stay::Home if weekday(day) < 5 && (9..18).contains(&hour) && out_and_about < 0.75 => phone.work,
            Stay::Home => phone.home,
        }
    }
}

const BLOCK_DAYS: i32 = 14;

/// Istanbul, Bishkek, Tashkent, Dubai, Moscow.
const ABROAD: [Point; 5] = [
    Point::new(41.01384, 28.94966),
    Point::new(42.87, 74.59),
    Point::new(41.26465, 69.21627),
    Point::new(25.07725, 55.30927),
    Point::new(55.75222, 37.61556),
];

/// How many visits begin in each hour of a day, in thousandths.
const WORKDAY: [u32; 24] =
    [10, 5, 3, 2, 2, 4, 12, 30, 48, 50, 48, 50, 58, 60, 48, 46, 48, 54, 68, 84, 92, 88, 60, 30];
const WEEKEND: [u32; 24] =
    [18, 10, 5, 3, 2, 2, 5, 12, 25, 42, 58, 66, 68, 66, 62, 60, 60, 62, 66, 74, 80, 76, 52, 26];

/// Monday is 0.
pub(super) fn weekday(day: i32) -> i32 {
    // 1 January 1970 was a Thursday.
    (day + 3).rem_euclid(7)
}

fn draw_visit(chance: &mut Chance, phone: &Phone, day: i32) -> Visit {
    let hours = if weekday(day) < 5 { &WORKDAY } else { &WEEKEND };
    let mut left = chance.below(hours.iter().sum());
    let mut hour = 0;
    for (index, share) in (0..24).zip(hours) {
        hour = index;
        if left < *share {
            break;
        }
        left -= share;
    }
    let hour = (hour + phone.late_riser_h).rem_euclid(24).unsigned_abs();
    let mut events = 2;
    while events < 40 && chance.happens(0.73) {
        events += 1;
    }
    let length_s = 10 + events * (6 + chance.below(30));
    let start_s = (hour * 3_600 + chance.below(3_600)).min(DAY_S - 1 - length_s);
    Visit { start_s, length_s, events, sent_ms: sent_after(chance, start_s + length_s), retry_ms: None }
}

/// Lets a few phones be offline after a visit: for minutes to hours, now and then for a day. Everything that ends in the
/// meantime leaves when the phone is back.
fn keep_offline(chance: &mut Chance, visits: &mut [Visit]) {
    let spell_s = match chance.below(1000) {
        0..50 => 600 + chance.below(6 * 3_600 - 600),
        50..55 => 18 * 3_600 + chance.below(12 * 3_600),
        _ => return,
    };
    let from = chance.below(visits.len() as u32) as usize;
    let offline = &mut visits[from..];
    let Some(back_s) = offline.first().map(|visit| visit.start_s + visit.length_s + spell_s) else {
        return;
    };
    for visit in offline {
        if visit.start_s + visit.length_s <= back_s {
            visit.sent_ms = sent_after(chance, back_s);
        }
    }
}

fn sent_after(chance: &mut Chance, end_s: u32) -> u32 {
    end_s * 1_000 + 500 + chance.below(9_500)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i32 = 20_700;

    #[test]
    fn visits_lie_within_their_day_and_leave_within_the_bound() {
        let mut visits = Vec::new();
        let (mut late, mut a_day_late, mut retries, mut all) = (0, 0, 0, 0);
        for slot in 0..4_000 {
            let life = Life::at(5, slot, DAY);
            life.visits(5, &Phone::of(5, &life), DAY, &mut visits);
            assert!((1..=3).contains(&visits.len()));
            for visit in &visits {
                let end_s = visit.start_s + visit.length_s;
                assert!(end_s < DAY_S);
                assert!(visit.sent_ms > end_s * 1_000);
                let last_ms = visit.retry_ms.unwrap_or(visit.sent_ms);
                assert!(last_ms < (DAY_S + LATEST_S) * 1_000);
                all += 1;
                late += usize::from(visit.sent_ms > (end_s + 300) * 1_000);
                a_day_late += usize::from(visit.sent_ms > (end_s + 12 * 3_600) * 1_000);
                retries += usize::from(visit.retry_ms.is_some());
            }
        }
        assert!(late * 100 > all * 2 && late * 100 < all * 8, "{late} of {all}");
        assert!(a_day_late > 0 && a_day_late * 100 < all, "{a_day_late} of {all}");
        assert!(retries > 0 && retries * 100 < all * 3, "{retries} of {all}");
    }

    #[test]
    fn a_phone_is_new_once_and_first_at_most_once_a_week_and_a_month() {
        for slot in 0..2_000 {
            let (mut ever, mut weeks, mut months) = (Vec::new(), Vec::new(), Vec::new());
            for day in DAY..DAY + 60 {
                let life = Life::at(5, slot, day);
                if !life.is_active(5, day) {
                    continue;
                }
                // Months of 30 days, to count without a calendar.
                let firsts = life.firsts(5, day, (day - DAY) % 30 + 1);
                if firsts.ever {
                    ever.push(life.installed);
                    assert!(firsts.week && firsts.month);
                }
                if firsts.week {
                    weeks.push((life.installed, (day - weekday(day)) / 7));
                }
                if firsts.month {
                    months.push((life.installed, (day - DAY) / 30));
                }
            }
            for list in [&mut weeks, &mut months] {
                let number = list.len();
                list.dedup();
                assert_eq!(list.len(), number, "slot {slot}");
            }
            let number = ever.len();
            ever.dedup();
            assert_eq!(ever.len(), number, "slot {slot}");
        }
    }

    #[test]
    fn some_owners_travel_and_a_few_go_abroad() {
        let (mut away, mut abroad) = (0, 0);
        for slot in 0..6_000 {
            let life = Life::at(5, slot, DAY);
            if let Stay::Away { centre, .. } = life.stay(5, &Phone::of(5, &life), DAY) {
                away += 1;
                abroad += usize::from(ABROAD.contains(&centre));
            }
        }
        assert!((60..240).contains(&away), "{away}");
        assert!((3..60).contains(&abroad), "{abroad}");
    }

    #[test]
    fn weekdays_are_those_of_the_calendar() {
        // 23 November 2026, a Monday.
        assert_eq!(weekday(20_780), 0);
    }
}
