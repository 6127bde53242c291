//! Periods: `last_30_days`, `yesterday`, `today`, `2026-10-01..2026-10-31`.

use jiff::ToSpan;
use jiff::civil::Date;
use serde::Serialize;

/// Most days of one question.
const MOST_DAYS: i32 = 400;

/// Days from one to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Period {
    /// The first day.
    pub from: Date,
    /// The last day.
    pub to: Date,
}

impl Period {
    /// Reads a period, as seen on the day `today`; `None` where it is none or too long. `last_n_days` ends yesterday.
    #[must_use]
    pub fn parse(text: &str, today: Date) -> Option<Period> {
        let yesterday = today.saturating_sub(1.day());
        let last = |days: i32| Period { from: today.saturating_sub(days.days()), to: yesterday };
        match text {
            // Of which hours alone can be sealed.
            "today" => return Some(Period { from: today, to: today }),
            "yesterday" => return Some(last(1)),
            "last_7_days" => return Some(last(7)),
            "last_30_days" => return Some(last(30)),
            "last_90_days" => return Some(last(90)),
            _ => {}
        }
        let (from, to) = text.split_once("..")?;
        let period = Period { from: date(from)?, to: date(to)? };
        let days = period.to.since(period.from).ok()?.get_days();
        (0..MOST_DAYS).contains(&days).then_some(period)
    }
}

/// A date as `YYYY-MM-DD`, within what the store can hold.
fn date(text: &str) -> Option<Date> {
    if text.len() != 10 {
        return None;
    }
    let date: Date = text.parse().ok()?;
    (1970..2149).contains(&date.year()).then_some(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_read() {
        let today = jiff::civil::date(2026, 11, 23);
        let period = |text| Period::parse(text, today).map(|period| format!("{}..{}", period.from, period.to));
        assert_eq!(period("last_30_days").as_deref(), Some("2026-10-24..2026-11-22"));
        assert_eq!(period("yesterday").as_deref(), Some("2026-11-22..2026-11-22"));
        assert_eq!(period("2026-10-01..2026-10-31").as_deref(), Some("2026-10-01..2026-10-31"));
        assert_eq!(period("today").as_deref(), Some("2026-11-23..2026-11-23"));
        let reversed = "2026-10-31..2026-10-01";
        for wrong in
            ["", "tomorrow", reversed, "2020-01-01..2026-01-01", "2026-13-01..2026-13-02", "1000-01-01..1000-01-02"]
        {
            assert_eq!(period(wrong), None, "{wrong}");
        }
    }
}
