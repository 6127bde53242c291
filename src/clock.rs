//! The only place that asks for the time, and the zone that says what a day is.
//!
//! Guarantees: everything else takes a [`Clock`], so that tests and the demo's history drive days by hand.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use tuman_privacy::time::{Day, Offsets};

/// Tells the time, in milliseconds since 1970.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now_ms(&self) -> i64;

    /// Time since some moment: never goes back, whatever becomes of the machine's date.
    fn monotonic(&self) -> Duration;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)]
    fn now_ms(&self) -> i64 {
        let now_ms = Timestamp::now().as_millisecond();
        #[cfg(feature = "torture")]
        let now_ms = now_ms + crate::torture::clock_ms();
        now_ms
    }

    fn monotonic(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }
}

/// A clock that stands until it is moved.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// Stands at `ms`.
    #[must_use]
    pub fn at(ms: i64) -> ManualClock {
        ManualClock(Arc::new(AtomicI64::new(ms)))
    }

    /// Moves to `ms`.
    pub fn set(&self, ms: i64) {
        self.0.store(ms, Ordering::SeqCst);
    }

    /// Moves on by `ms`.
    pub fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.now_ms()).unwrap_or(0))
    }
}

/// The zone in which days begin and end.
#[derive(Debug, Clone)]
pub struct Zone(TimeZone);

impl Zone {
    /// The zone of an IANA name; `None` where there is none of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Zone> {
        TimeZone::get(name).ok().map(Zone)
    }

    /// The zone itself.
    #[must_use]
    pub fn time_zone(&self) -> &TimeZone {
        &self.0
    }

    /// The offsets within ten days before and two after `ms`.
    #[must_use]
    pub fn offsets_around(&self, ms: i64) -> Offsets {
        let from = timestamp(ms.saturating_sub(10 * 86_400_000));
        let until = timestamp(ms.saturating_add(2 * 86_400_000));
        let changes = self
            .0
            .following(from)
            .take_while(|change| change.timestamp() <= until)
            .map(|change| (change.timestamp().as_second(), change.offset().seconds()))
            .collect();
        Offsets::new(self.0.to_offset(from).seconds(), changes)
    }

    /// The local day of a moment.
    #[must_use]
    pub fn day(&self, ms: i64) -> Day {
        day_of(timestamp(ms).to_zoned(self.0.clone()).date())
    }

    /// The moment at which a local day ends.
    #[must_use]
    pub fn end_of(&self, day: Day) -> i64 {
        let next = date_of(day).saturating_add(1.day());
        match next.to_zoned(self.0.clone()) {
            Ok(midnight) => midnight.timestamp().as_millisecond(),
            Err(_) => i64::MAX,
        }
    }

    /// The moment at which a local hour of a day ends. One that the clocks repeat ends where its second one does; one that
    /// they leave out, where it would begin.
    #[must_use]
    pub fn end_of_hour(&self, day: Day, hour: u8) -> i64 {
        let Ok(next) = i8::try_from(hour + 1) else { return i64::MAX };
        if next >= 24 {
            return self.end_of(day);
        }
        let end = date_of(day).at(next, 0, 0, 0).to_zoned(self.0.clone());
        end.map_or(i64::MAX, |end| end.timestamp().as_millisecond())
    }
}

/// A moment; the nearest representable one where `ms` is out of range.
#[must_use]
pub fn timestamp(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(if ms < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// The civil date of a day.
#[must_use]
pub fn date_of(day: Day) -> Date {
    jiff::civil::date(1970, 1, 1).saturating_add(i64::from(day.0).days())
}

/// The day of a civil date; the nearest representable one before 1970 and after 2149.
#[must_use]
pub fn day_of(date: Date) -> Day {
    let days = date.since(jiff::civil::date(1970, 1, 1)).map_or(0, |span| span.get_days());
    Day(u16::try_from(days.max(0)).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_local() {
        let zone = Zone::named("Asia/Almaty").unwrap();
        // 2026-10-04T19:00:00Z is midnight in Almaty.
        let midnight = 1_791_140_400_000;
        assert_eq!(date_of(zone.day(midnight)).to_string(), "2026-10-05");
        assert_eq!(date_of(zone.day(midnight - 1)).to_string(), "2026-10-04");
        assert_eq!(zone.end_of(zone.day(midnight - 1)), midnight);
        assert_eq!(day_of(date_of(Day(20_000))), Day(20_000));
        assert_eq!(zone.offsets_around(midnight).local(midnight / 1_000).hour, 0);
    }

    #[test]
    fn hours_end_where_no_clock_shows_them_any_more() {
        let berlin = Zone::named("Europe/Berlin").unwrap();
        let end = |month, day, hour| {
            timestamp(berlin.end_of_hour(day_of(jiff::civil::date(2026, month, day)), hour)).to_string()
        };
        assert_eq!(end(6, 1, 0), "2026-05-31T23:00:00Z");
        assert_eq!(end(6, 1, 23), "2026-06-01T22:00:00Z");
        // 02:00 to 03:00 is left out, and is there twice.
        assert_eq!([end(3, 29, 1), end(3, 29, 2)], ["2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z"]);
        assert_eq!([end(10, 25, 1), end(10, 25, 2)], ["2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z"]);
    }

    #[test]
    fn offsets_follow_the_changes_of_the_zone() {
        let zone = Zone::named("Asia/Almaty").unwrap();
        let before_2024_03_01 = 1_709_200_000_000;
        let offsets = zone.offsets_around(before_2024_03_01);
        assert_eq!(offsets, Offsets::new(6 * 3600, vec![(1_709_229_600, 5 * 3600)]));
    }
}
