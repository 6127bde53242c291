//! Sizes and intervals with their units: `"8 MiB"`, `"6h"`.

use std::fmt;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(u64);

impl ByteSize {
    /// So many KiB.
    #[must_use]
    pub const fn kib(n: u64) -> ByteSize {
        ByteSize(n << 10)
    }

    /// So many MiB.
    #[must_use]
    pub const fn mib(n: u64) -> ByteSize {
        ByteSize(n << 20)
    }

    /// So many bytes.
    #[must_use]
    pub const fn of(bytes: u64) -> ByteSize {
        ByteSize(bytes)
    }

    /// As a number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    fn parse(text: &str) -> Option<ByteSize> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let shift = match unit.trim() {
            "" | "B" => 0,
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            _ => return None,
        };
        number.parse::<u64>().ok()?.checked_mul(1 << shift).map(ByteSize)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
            if self.0 != 0 && self.0.trailing_zeros() >= shift {
                return write!(f, "{} {unit}", self.0 >> shift);
            }
        }
        write!(f, "{} B", self.0)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
        let text = String::deserialize(deserializer)?;
        ByteSize::parse(&text).ok_or_else(|| D::Error::custom("expected a size such as \"8 MiB\""))
    }
}

/// A span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval(Duration);

impl Interval {
    /// So many milliseconds.
    #[must_use]
    pub const fn milliseconds(n: u64) -> Interval {
        Interval(Duration::from_millis(n))
    }

    /// So many seconds.
    #[must_use]
    pub const fn seconds(n: u64) -> Interval {
        Interval(Duration::from_secs(n))
    }

    /// So many hours.
    #[must_use]
    pub const fn hours(n: u64) -> Interval {
        Interval(Duration::from_secs(n * 3_600))
    }

    /// As a duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// As milliseconds.
    #[must_use]
    pub fn ms(self) -> i64 {
        i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX)
    }

    fn parse(text: &str) -> Option<Interval> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let ms = match unit.trim() {
            "ms" => 1,
            "s" => 1_000,
            "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        number.parse::<u64>().ok()?.checked_mul(ms).map(|ms| Interval(Duration::from_millis(ms)))
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        for (size, unit) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")] {
            if ms != 0 && ms.is_multiple_of(size) {
                return write!(f, "{}{unit}", ms / size);
            }
        }
        write!(f, "{ms}ms")
    }
}

impl Serialize for Interval {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Interval, D::Error> {
        let text = String::deserialize(deserializer)?;
        Interval::parse(&text)
            .ok_or_else(|| D::Error::custom("expected an interval such as \"500ms\", \"30s\", \"6h\""))
    }
}

/// How many days something is kept: `"730d"`, or for ever: `"off"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention(Option<u16>);

impl Retention {
    /// So many days.
    #[must_use]
    pub const fn of_days(days: u16) -> Retention {
        Retention(Some(days))
    }

    /// The number of days; none where it is for ever.
    #[must_use]
    pub const fn days(self) -> Option<u16> {
        self.0
    }

    fn parse(text: &str) -> Option<Retention> {
        match text.trim() {
            "off" => Some(Retention(None)),
            text => {
                let days = text.strip_suffix('d')?.parse().ok()?;
                (days > 0).then_some(Retention(Some(days)))
            }
        }
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(days) => write!(f, "{days}d"),
            None => f.write_str("off"),
        }
    }
}

impl Serialize for Retention {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Retention {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Retention, D::Error> {
        let text = String::deserialize(deserializer)?;
        Retention::parse(&text)
            .ok_or_else(|| D::Error::custom("expected \"off\" or a number of days such as \"730d\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_back() {
        for size in [0, 1, 1024, 1536, 8 << 20, 3 << 30] {
            assert_eq!(ByteSize::parse(&ByteSize(size).to_string()), Some(ByteSize(size)));
        }
        for ms in [0, 1, 1_000, 90_000, 21_600_000, 86_400_000] {
            let interval = Interval(Duration::from_millis(ms));
            assert_eq!(Interval::parse(&interval.to_string()), Some(interval));
        }
        for retention in [Retention(None), Retention(Some(1)), Retention(Some(3_650))] {
            assert_eq!(Retention::parse(&retention.to_string()), Some(retention));
        }
        for wrong in ["", "0d", "-1d", "2y", "70000d", "on"] {
            assert_eq!(Retention::parse(wrong), None, "{wrong}");
        }
        for wrong in ["", "8", "8 parsecs", "-1s", "99999999999999999999d"] {
            assert_eq!(Interval::parse(wrong), None, "{wrong}");
        }
    }
}
