//! One statement of SQL and the values bound to it.
//!
//! Guarantees: values reach the engine beside the text, never inside it; neither `Debug` nor an error shows
//! them. Does not: check the text, which is ours and comes from a file or a constant.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// A statement with `{name:Type}` places and the values for them.
///
/// Several statements in one text are not meant: a migration is split before it gets here.
#[derive(Clone)]
pub struct Statement {
    text: Cow<'static, str>,
    values: Vec<(&'static str, String)>,
    time_limit: Option<Duration>,
}

impl Statement {
    /// A statement with this text, and no values yet. Text that came from outside does not belong here.
    pub fn new(text: impl Into<Cow<'static, str>>) -> Self {
        Statement { text: text.into(), values: Vec::new(), time_limit: None }
    }

    /// Binds a value to the place `{name:Type}`. The type in the text decides how the value is read.
    #[must_use]
    pub fn bind(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.values.push((name, value.into().encode()));
        self
    }

    /// Stops the statement with [`StoreError::Timeout`](super::StoreError::Timeout) after this long, in whole
    /// seconds rounded up. Without it, there is no limit.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.time_limit = Some(limit);
        self
    }

    /// The text, without the semicolon that may end it in a file.
    pub fn text(&self) -> &str {
        self.text.trim_end().trim_end_matches(';')
    }

    /// Names and encoded values, in the order they were bound.
    pub fn values(&self) -> &[(&'static str, String)] {
        &self.values
    }

    /// The time limit in seconds, 0 for none.
    pub(super) fn limit_seconds(&self) -> u64 {
        self.time_limit.map_or(0, |limit| limit.as_secs() + u64::from(limit.subsec_nanos() > 0)).min(86_400)
    }
}

impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.values.iter().map(|(name, _)| name).collect();
        f.debug_struct("Statement").field("text", &self.text).field("bound", &names).finish()
    }
}

/// A value that can be bound.
#[derive(Clone)]
pub enum Value {
    /// A string, a date, a decimal: anything that is written as text.
    Text(String),
    /// A whole number below zero or above.
    Signed(i64),
    /// A whole number.
    Unsigned(u64),
    /// A number with a fraction.
    Float(f64),
    /// `Array(String)`.
    Texts(Vec<String>),
    /// An array of whole numbers.
    Numbers(Vec<u64>),
}

impl Value {
    /// The form the engine reads: the escaped form of ClickHouse's TSV, arrays as literals.
    fn encode(&self) -> String {
        match self {
            Value::Text(text) => escape(text),
            Value::Signed(number) => number.to_string(),
            Value::Unsigned(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Texts(texts) => {
                let quoted: Vec<_> = texts.iter().map(|text| format!("'{}'", escape(text))).collect();
                format!("[{}]", quoted.join(","))
            }
            Value::Numbers(numbers) => {
                let digits: Vec<_> = numbers.iter().map(u64::to_string).collect();
                format!("[{}]", digits.join(","))
            }
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Value::Text(text.clone())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

impl From<jiff::civil::Date> for Value {
    fn from(date: jiff::civil::Date) -> Self {
        Value::Text(date.to_string())
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Value::Signed(number.into())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Signed(number)
    }
}

impl From<u8> for Value {
    fn from(number: u8) -> Self {
        Value::Unsigned(number.into())
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Value::Unsigned(number.into())
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Value::Unsigned(number.into())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Value::Unsigned(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Value::Float(number)
    }
}

impl From<Vec<String>> for Value {
    fn from(texts: Vec<String>) -> Self {
        Value::Texts(texts)
    }
}

impl From<&[String]> for Value {
    fn from(texts: &[String]) -> Self {
        Value::Texts(texts.to_vec())
    }
}

impl From<&[&str]> for Value {
    fn from(texts: &[&str]) -> Self {
        Value::Texts(texts.iter().map(|text| (*text).to_owned()).collect())
    }
}

impl From<&[u32]> for Value {
    fn from(numbers: &[u32]) -> Self {
        Value::Numbers(numbers.iter().copied().map(u64::from).collect())
    }
}

impl From<&[u64]> for Value {
    fn from(numbers: &[u64]) -> Self {
        Value::Numbers(numbers.to_vec())
    }
}

/// Escapes what ends a field, a quoted element or a line in the engine's text formats.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '\'' => escaped.push_str("\\'"),
            '\t' => escaped.push_str("\\t"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\0' => escaped.push_str("\\0"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_names_the_places_but_not_the_values() {
        let statement = Statement::new("SELECT {token:UInt64}").bind("token", 12_345_u64);
        let shown = format!("{statement:?}");
        assert!(shown.contains("token") && !shown.contains("12345"));
    }

    #[test]
    fn a_semicolon_at_the_end_is_dropped() {
        assert_eq!(Statement::new("SELECT 1;\n").text(), "SELECT 1");
    }

    #[test]
    fn limits_are_rounded_up_to_whole_seconds() {
        let limit = |millis| Statement::new("").within(Duration::from_millis(millis)).limit_seconds();
        assert_eq!((limit(1), limit(1000), limit(1001)), (1, 1, 2));
        assert_eq!(Statement::new("").limit_seconds(), 0);
    }
}
