//! Looks at the texts of one report and counts what the detectors find.
//!
//! Guarantees: holds numbers by detector, nothing of a text. A report costs a bounded amount of work, however much text
//! it brings.
//! Does not: say where something was found.

use super::{Detector, detect, detect_in_version, detect_number};
use crate::report::Value;

/// How many bytes of text are looked at in one report: far more than an honest one has. What comes after is dropped
/// unseen, as it would be after a look.
const MOST_BYTES: usize = 128 << 10;

/// Counts findings in one report.
#[derive(Clone, Copy)]
pub(crate) struct Watch {
    counts: [u32; Detector::ALL.len()],
    left: usize,
}

impl Default for Watch {
    fn default() -> Watch {
        Watch { counts: [0; Detector::ALL.len()], left: MOST_BYTES }
    }
}

impl Watch {
    /// Looks at a text.
    #[cold]
    #[inline(never)]
    pub(crate) fn text(&mut self, text: &str) -> Option<Detector> {
        let found = detect(self.within_bounds(text));
        self.count(found)
    }

    /// Looks at the text of a version.
    pub(crate) fn version(&mut self, text: &str) -> Option<Detector> {
        let found = detect_in_version(self.within_bounds(text));
        self.count(found)
    }

    /// Looks at a value that is not taken, whatever its type.
    #[inline]
    pub(crate) fn value(&mut self, value: &Value<'_>) -> Option<Detector> {
        match value {
            Value::Absent | Value::Null | Value::Bool(_) | Value::Other => None,
            Value::Text(_) | Value::Number(_) | Value::Integer(_) => self.text_or_number(value),
        }
    }

    // Out of line, as all that an honest report hardly comes to: inlined, it would slow the parser down.
    #[cold]
    #[inline(never)]
    fn text_or_number(&mut self, value: &Value<'_>) -> Option<Detector> {
        match value {
            Value::Text(text) => self.text(text.as_str()),
            Value::Integer(number) => self.count(detect_number(*number)),
            // Such as 7.7012345678e10: a number of 53 bits is exact.
            #[expect(clippy::cast_possible_truncation, reason = "a fraction is no number of any kind here")]
            Value::Number(number) if *number >= 0.0 && *number < (1_u64 << 53) as f64 => {
                let whole = *number as u64;
                if whole as f64 == *number { self.count(detect_number(whole)) } else { None }
            }
            _ => None,
        }
    }

    /// How often each detector found something; only those that did.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (Detector, u32)> + '_ {
        Detector::ALL.into_iter().zip(self.counts).filter(|(_, count)| *count > 0)
    }

    fn count(&mut self, found: Option<Detector>) -> Option<Detector> {
        let detector = found?;
        if let Some(count) = self.counts.get_mut(detector as usize) {
            *count = count.saturating_add(1);
        }
        Some(detector)
    }

    fn within_bounds<'t>(&mut self, text: &'t str) -> &'t str {
        let end = text.floor_char_boundary(self.left);
        self.left -= end;
        text.get(..end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;

    use super::*;

    #[test]
    fn detectors_stand_in_the_order_of_their_numbers() {
        for (index, detector) in Detector::ALL.into_iter().enumerate() {
            assert_eq!(detector as usize, index);
        }
    }

    #[test]
    fn what_is_looked_at_in_one_report_is_bounded() {
        let mut watch = Watch::default();
        let filler: String = "б".repeat(MOST_BYTES / 2 - 10);
        assert_eq!(watch.text(&filler), None);
        assert_eq!(watch.text("990101300122"), Some(Detector::Iin));
        assert_eq!(watch.text("бббббб"), None);
        assert_eq!(watch.text("990101300122"), None);
        assert_eq!(watch.counts().collect::<std::vec::Vec<_>>(), [(Detector::Iin, 1)]);
    }

    #[test]
    fn numbers_are_looked_at_as_texts_are() {
        for (number, found) in [
            (Value::Integer(990_101_300_122), Some(Detector::Iin)),
            // 000101500011 and 051015500125.
            (Value::Integer(101_500_011), Some(Detector::Iin)),
            (Value::Integer(51_015_500_125), Some(Detector::Iin)),
            (Value::Number(77_012_345_678.0), Some(Detector::Phone)),
            (Value::Integer(4_111_111_111_111_111), Some(Detector::Card)),
            (Value::Integer(1_234_567_890_123_456), None),
            (Value::Integer(490_154_203_237_518), Some(Detector::Imei)),
            (Value::Integer(u64::MAX), None),
            (Value::Integer(0), None),
            (Value::Number(-77_012_345_678.0), None),
            (Value::Number(77_012_345_678.5), None),
            (Value::Number(1e300), None),
            (Value::Integer(1_767_312_000), None),
            (Value::Integer(1_767_312_000_123), None),
        ] {
            assert_eq!(Watch::default().value(&number), found);
        }
    }
}
