//! Time: an event's own time, corrected by the clock's error, becomes a local hour of a local day.
//!
//! Guarantees: nothing finer than the hour leaves this module.
//! Does not: ask for the time. The caller brings the moment of arrival and the zone's offsets.

use alloc::vec::Vec;

use jiff::Timestamp;

/// A local day: days since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub u16);

/// A local hour of a local day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalHour {
    /// The day.
    pub day: Day,
    /// 0 to 23.
    pub hour: u8,
}

/// The zone's offsets from UTC around the moment of arrival: (from this second on, seconds east of UTC), ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offsets {
    first_s: i32,
    changes: Vec<(i64, i32)>,
}

impl Offsets {
    /// An offset, and its changes (second since 1970, new offset in seconds), ascending.
    #[must_use]
    pub fn new(first_s: i32, changes: Vec<(i64, i32)>) -> Offsets {
        Offsets { first_s, changes }
    }

    /// The local hour of a second since 1970. Before 1970 and after 2149 it is the nearest representable day.
    #[must_use]
    pub fn local(&self, second: i64) -> LocalHour {
        let offset = self.changes.iter().rev().find(|(from, _)| *from <= second).map_or(self.first_s, |(_, s)| *s);
        let local = second.saturating_add(i64::from(offset));
        let day = local.div_euclid(86_400).clamp(0, i64::from(u16::MAX));
        let hour = local.rem_euclid(86_400) / 3_600;
        LocalHour { day: Day(u16::try_from(day).unwrap_or(u16::MAX)), hour: u8::try_from(hour).unwrap_or(0) }
    }
}

/// Reads an RFC 3339 time as milliseconds since 1970.
pub(crate) fn parse_ms(text: &str) -> Option<i64> {
    // The longest form with nanoseconds and an offset has 35 characters; the parser also knows longer ones that we
    // do not promise.
    if text.len() > 40 {
        return None;
    }
    text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

/// ISO 8601 week of a day, as the Monday's number of weeks since the week of 1970-01-01.
pub(crate) fn week(day: Day) -> u16 {
    // 1970-01-01 was a Thursday.
    (day.0 + 3) / 7
}

/// Reads `2026-W40` as the number that [`week`] gives for its days.
pub(crate) fn parse_week(text: &str) -> Option<u16> {
    let (year, number) = text.split_once("-W")?;
    if year.len() != 4 || number.len() != 2 || !text.is_ascii() {
        return None;
    }
    let date = jiff::civil::ISOWeekDate::new(year.parse().ok()?, number.parse().ok()?, jiff::civil::Weekday::Monday);
    let monday = date.ok()?.date();
    let days = monday.since(jiff::civil::date(1970, 1, 1)).ok()?.get_days();
    // The Monday of the first week lies in 1969.
    u16::try_from((days + 3).div_euclid(7)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn hours_are_local() {
        let offsets = Offsets::new(6 * 3600, vec![(1_709_229_600, 5 * 3600)]);
        // 2024-02-29T17:59:59Z is 23:59:59 in Almaty; one second later its clocks went back to UTC+5.
        assert_eq!(offsets.local(1_709_229_599).hour, 23);
        assert_eq!(offsets.local(1_709_229_600).hour, 23);
        assert_eq!(offsets.local(1_709_229_600 + 3_600).hour, 0);
        assert_eq!(offsets.local(1_709_229_600 + 3_600).day, Day(offsets.local(1_709_229_600).day.0 + 1));
        assert_eq!(offsets.local(i64::MIN).day, Day(0));
        assert_eq!(offsets.local(i64::MAX).day, Day(u16::MAX));
    }

    #[test]
    fn weeks_begin_on_monday() {
        let sunday = Day(20_785 - 20_785 % 7 + 3);
        assert_eq!(week(sunday) + 1, week(Day(sunday.0 + 1)));
        assert_eq!(parse_week("1970-W01"), Some(0));
        assert_eq!(parse_week("1970-W02"), Some(1));
        for wrong in ["", "2026", "2026-W54", "2026-W0", "26-W40", "2026-W4०", "1960-W01", "2026-W400"] {
            assert_eq!(parse_week(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn times_need_a_zone() {
        assert_eq!(parse_ms("1970-01-01T00:00:01.5Z"), Some(1_500));
        assert_eq!(parse_ms("1970-01-01T05:00:01+05:00"), Some(1_000));
        for wrong in ["", "1970-01-01", "1970-01-01T00:00:00", "yesterday", "490154203237518"] {
            assert_eq!(parse_ms(wrong), None, "{wrong}");
        }
    }
}
