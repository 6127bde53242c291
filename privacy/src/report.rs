//! The report as it came in: untrusted wire types and their parser.
//!
//! Guarantees: any JSON document is read without recursion deeper than [`MAX_DEPTH`], without keeping what is not
//! known, and a field of the wrong type costs that field only. Text is borrowed from the body where it can be, and
//! wiped on drop where it cannot; no type here can be printed or serialised. The detectors look at every name and
//! value that is passed over.
//! Does not: judge values that are kept here: [`crate::anonymise`] does. Of a field that stands twice in an object the
//! last one counts; the others are dropped unseen.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;

use zeroize::Zeroize;

use crate::detect::Watch;

mod parse;
mod shape;

/// How deep arrays and objects may nest inside a value that is skipped.
pub const MAX_DEPTH: u32 = 8;
/// How many properties of one event are looked at; further ones count as unknown fields.
pub const MAX_PROPERTIES: usize = 64;
/// How many identifiers of one report are looked at; further ones are read and dropped.
pub const MAX_IDENTIFIERS: usize = 8;

/// Why a body is not a report at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// Not UTF-8, or not JSON.
    #[error("the body is not a JSON document in UTF-8")]
    Malformed,
    /// Nested deeper than [`MAX_DEPTH`] below a field.
    #[error("the JSON document nests too deeply")]
    TooDeep,
    /// More events than the limit.
    #[error("the report holds more events than the limit")]
    TooManyEvents,
    /// The document is not an object.
    #[error("the JSON document is not an object")]
    NotAnObject,
}

/// Text from a report. Wiped on drop if it is owned; the body's buffer is the caller's to wipe.
pub(crate) struct Text<'a>(Cow<'a, str>);

impl Text<'_> {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Drop for Text<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(text) = &mut self.0 {
            text.zeroize();
        }
    }
}

/// A field's value, whatever its type.
#[derive(Default)]
pub(crate) enum Value<'a> {
    #[default]
    Absent,
    Null,
    Bool(bool),
    Number(f64),
    /// A whole number, kept exact: it may be one that a detector knows.
    Integer(u64),
    Text(Text<'a>),
    /// An array or an object where none belongs; skipped.
    Other,
}

impl<'a> Value<'a> {
    #[cfg(test)]
    pub(crate) fn of_text(text: &'a str) -> Value<'a> {
        Value::Text(Text(Cow::Borrowed(text)))
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        }
    }

    pub(crate) fn bool(&self) -> Option<bool> {
        match self {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Value::Number(value) => Some(*value),
            Value::Integer(value) => Some(*value as f64),
            _ => None,
        }
    }

    /// True where the field is missing or null.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Value::Absent | Value::Null)
    }
}

/// An untrusted report.
#[derive(Default)]
pub struct Report<'a> {
    pub(crate) report_id: Value<'a>,
    pub(crate) sent_at: Value<'a>,
    pub(crate) consent: Option<Consent<'a>>,
    pub(crate) device: Device<'a>,
    pub(crate) app_version: Value<'a>,
    pub(crate) activity: Activity<'a>,
    pub(crate) events: Option<Vec<Event<'a>>>,
    /// Properties of all events, one after the other; an event knows its range.
    pub(crate) properties: Vec<(Text<'a>, Value<'a>)>,
    pub(crate) unknown_fields: u32,
    /// What the detectors found in everything that is not kept here.
    pub(crate) watch: Watch,
}

#[derive(Default)]
pub(crate) struct Consent<'a> {
    pub(crate) usage: Value<'a>,
    pub(crate) location: Value<'a>,
    pub(crate) policy: Value<'a>,
}

#[derive(Default)]
pub(crate) struct Device<'a> {
    pub(crate) ids: Vec<Identifier<'a>>,
    pub(crate) platform: Value<'a>,
    pub(crate) os_version: Value<'a>,
    pub(crate) class: Value<'a>,
    pub(crate) language: Value<'a>,
}

#[derive(Default)]
pub(crate) struct Identifier<'a> {
    pub(crate) kind: Value<'a>,
    pub(crate) value: Value<'a>,
}

#[derive(Default)]
pub(crate) struct Activity<'a> {
    pub(crate) first_today: Value<'a>,
    pub(crate) first_this_week: Value<'a>,
    pub(crate) first_this_month: Value<'a>,
    pub(crate) first_ever: Value<'a>,
    pub(crate) install_week: Value<'a>,
    pub(crate) days_since_install: Value<'a>,
}

#[derive(Default)]
pub(crate) struct Event<'a> {
    /// False where the array's element is not an object.
    pub(crate) is_object: bool,
    pub(crate) name: Value<'a>,
    pub(crate) at: Value<'a>,
    pub(crate) location: Option<Location<'a>>,
    pub(crate) first_property: usize,
    pub(crate) properties: usize,
}

#[derive(Default)]
pub(crate) struct Location<'a> {
    pub(crate) lat: Value<'a>,
    pub(crate) lon: Value<'a>,
    pub(crate) geohash: Value<'a>,
}

impl fmt::Debug for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Report(untrusted, redacted)")
    }
}

impl<'a> Report<'a> {
    /// Reads a report from a JSON body of at most `max_events` events.
    ///
    /// # Errors
    /// Where the body is no JSON object, nests too deeply or holds too many events.
    pub fn parse(body: &'a [u8], max_events: usize) -> Result<Report<'a>, ReportError> {
        let text = simdutf8::basic::from_utf8(body).map_err(|_| ReportError::Malformed)?;
        parse::parse(text, max_events)
    }

    /// How many events the report holds.
    #[must_use]
    pub fn events(&self) -> usize {
        self.events.as_ref().map_or(0, Vec::len)
    }

    /// The report's own id as it came, if it is text.
    pub(crate) fn id(&self) -> Option<&str> {
        self.report_id.text()
    }

    pub(crate) fn properties_of(&self, event: &Event<'a>) -> &[(Text<'a>, Value<'a>)] {
        self.properties.get(event.first_property..event.first_property + event.properties).unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn a_wrong_type_costs_the_field_only() {
        let body = br#"{"report_id":[1,[2]],"sent_at":5,"consent":3,"events":[7,{"name":{"a":1},"at":"x","props":[1]},"t"]}"#;
        let report = Report::parse(body, 10).unwrap();
        assert!(report.consent.is_none());
        let events = report.events.unwrap();
        assert_eq!(events.iter().map(|event| event.is_object).collect::<Vec<_>>(), [false, true, false]);
        assert!(matches!(events[1].name, Value::Other));
        assert_eq!(events[1].properties, 0);
    }

    #[test]
    fn unknown_fields_are_counted_and_not_kept() {
        let report = Report::parse(br#"{"x":1,"consent":{"y":{"z":[]}},"events":[{"w":null}]}"#, 10).unwrap();
        assert_eq!(report.unknown_fields, 3);
    }

    #[test]
    fn depth_is_bounded_in_unknown_and_known_fields() {
        for field in ["x", "report_id", "events", "device"] {
            let open = "[".repeat(50_000);
            let close = "]".repeat(50_000);
            let body = format!("{{\"{field}\":{open}{close}}}");
            assert_eq!(Report::parse(body.as_bytes(), 10).unwrap_err(), ReportError::TooDeep, "{field}");
        }
    }

    #[test]
    fn more_events_than_the_limit_are_refused() {
        assert_eq!(Report::parse(br#"{"events":[{},{},{}]}"#, 2).unwrap_err(), ReportError::TooManyEvents);
        assert!(Report::parse(br#"{"events":[{},{}]}"#, 2).is_ok());
    }

    #[test]
    fn what_is_not_an_object_is_refused() {
        for body in [&b"[]"[..], b"1", b"null", b"\"x\"", b"true", b"1.5"] {
            assert_eq!(Report::parse(body, 2).unwrap_err(), ReportError::NotAnObject);
        }
        for body in [&b""[..], b"{", b"{}x", b"\xff", b"{\"a\":}", b"{\"events\":[{]}"] {
            assert_eq!(Report::parse(body, 2).unwrap_err(), ReportError::Malformed);
        }
    }

    #[test]
    fn escapes_are_undone() {
        let report = Report::parse(br#"{"report_id":"\u0061b"}"#, 2).unwrap();
        assert_eq!(report.id(), Some("ab"));
    }

    #[test]
    fn debug_shows_nothing() {
        let report = Report::parse(br#"{"report_id":"secret"}"#, 2).unwrap();
        assert!(!format!("{report:?}").contains("secret"));
    }
}
