//! Time: an event's own time, corrected by the clock's error, becomes a local hour of a local day.
//!
//! Guarantees: nothing finer than the hour leaves this module.
//! Does not: ask for the time. The caller brings the moment of arrival and the zone's offsets.

use alloc::vec::Vec;

use jiff::Timestamp;

/// From 1970-01-01 to 2000-01-01.
const DAYS_UNTIL_2000: i64 = 10_957;

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
    parse_common_ms(text).or_else(|| parse_other_ms(text))
}

/// Nor do we promise annotations in brackets (RFC 9557), which could hold any text.
#[cold]
fn parse_other_ms(text: &str) -> Option<i64> {
    if text.contains('[') { None } else { text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond) }
}

/// The form in which almost all times come: `2026-10-05T12:00:00Z`, with or without milliseconds, with `Z` or a
/// numeric offset, in the years 2000 to 2099. `None` for everything else, which says nothing about whether it is a time.
fn parse_common_ms(text: &str) -> Option<i64> {
    let (moment, rest) = text.as_bytes().split_first_chunk::<19>()?;
    let [b'2', b'0', y0, y1, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', n0, n1, b':', s0, s1] = *moment else {
        return None;
    };
    let (ms, zone) = match *rest {
        [b'.', f0, f1, f2, ref zone @ ..] => (number([f0, f1, f2])?, zone),
        _ => (0, rest),
    };
    let offset_min = match *zone {
        [b'Z'] => 0,
        [b'+', h0, h1, b':', n0, n1] => below(24, [h0, h1])? * 60 + below(60, [n0, n1])?,
        [b'-', h0, h1, b':', n0, n1] => -(below(24, [h0, h1])? * 60 + below(60, [n0, n1])?),
        _ => return None,
    };
    let (year, month, day) = (number([y0, y1])?, number([m0, m1])?, number([d0, d1])?);
    let is_leap = year % 4 == 0;
    // Days of the year before the month, and the month's length.
    let (before, length) = match month {
        1 => (0, 31),
        2 => (31, if is_leap { 29 } else { 28 }),
        3 => (59, 31),
        4 => (90, 30),
        5 => (120, 31),
        6 => (151, 30),
        7 => (181, 31),
        8 => (212, 31),
        9 => (243, 30),
        10 => (273, 31),
        11 => (304, 30),
        12 => (334, 31),
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    let leap_day = i64::from(is_leap && month > 2);
    let days = DAYS_UNTIL_2000 + year * 365 + (year + 3) / 4 + before + leap_day + day - 1;
    let minutes = days * 1_440 + below(24, [h0, h1])? * 60 + below(60, [n0, n1])? - offset_min;
    Some((minutes * 60 + below(60, [s0, s1])?) * 1_000 + ms)
}

fn below(end: i64, digits: [u8; 2]) -> Option<i64> {
    number(digits).filter(|number| *number < end)
}

fn number<const N: usize>(digits: [u8; N]) -> Option<i64> {
    digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0')))
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
    use proptest::prelude::*;

    fn agrees(text: &str) {
        let known = text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond);
        if let Some(ms) = parse_common_ms(text) {
            assert_eq!(Some(ms), known, "{text}");
        }
    }

    #[test]
    fn every_day_is_the_one_that_jiff_reads() {
        for month in 0..=13 {
            for day in 0..=32 {
                for year in 1999..=2100 {
                    let text = alloc::format!("{year}-{month:02}-{day:02}T23:59:59Z");
                    agrees(&text);
                    let is_day = text.parse::<Timestamp>().is_ok() && (2000..=2099).contains(&year);
                    assert_eq!(parse_common_ms(&text).is_some(), is_day, "{text}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn common_times_are_what_jiff_reads(
            text in "20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{3})?(Z|[+-][0-2][0-9]:[0-6][0-9])",
        ) {
            agrees(&text);
        }

        #[test]
        fn other_times_are_left_to_jiff(text in "[12][09][0-9+]{2}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9/:]{2}[.,]?[0-9]{0,4}[Zz+-]?[0-9:]{0,6}") {
            agrees(&text);
            prop_assert_eq!(parse_ms(&text), text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond));
        }
    }

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
        for wrong in
            ["", "1970-01-01", "1970-01-01T00:00:00", "yesterday", "490154203237518", "1970-01-01T00:00:01Z[UTC]"]
        {
            assert_eq!(parse_ms(wrong), None, "{wrong}");
        }
    }
}
