//! A table with named columns: what every format is written from.

use jiff::civil::Date;
use serde_json::Value;

/// A column: its name, what it says, and its values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    pub(super) name: String,
    /// What it says, for people.
    pub(super) about: String,
    /// What its numbers count or measure.
    pub(super) unit: Option<&'static str>,
    pub(super) values: Values,
}

/// The values of a column, all of one type; none where there is nothing to say.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Values {
    Dates(Vec<Date>),
    Texts(Vec<Option<String>>),
    Integers(Vec<Option<i64>>),
    Numbers(Vec<Option<f64>>),
}

impl Values {
    /// The word of the Table Schema for their type.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Values::Dates(_) => "date",
            Values::Texts(_) => "string",
            Values::Integers(_) => "integer",
            Values::Numbers(_) => "number",
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Values::Dates(values) => values.len(),
            Values::Texts(values) => values.len(),
            Values::Integers(values) => values.len(),
            Values::Numbers(values) => values.len(),
        }
    }

    /// The value of a row as text; empty where there is none.
    pub(super) fn text(&self, row: usize) -> String {
        match self {
            Values::Dates(values) => values[row].to_string(),
            Values::Texts(values) => values[row].clone().unwrap_or_default(),
            Values::Integers(values) => values[row].map(|value| value.to_string()).unwrap_or_default(),
            Values::Numbers(values) => values[row].map(|value| value.to_string()).unwrap_or_default(),
        }
    }

    /// The value of a row as JSON; null where there is none.
    pub(super) fn json(&self, row: usize) -> Value {
        match self {
            Values::Dates(values) => Value::from(values[row].to_string()),
            Values::Texts(values) => Value::from(values[row].clone()),
            Values::Integers(values) => Value::from(values[row]),
            Values::Numbers(values) => Value::from(values[row]),
        }
    }
}

/// Columns of one length.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Frame {
    pub(super) columns: Vec<Column>,
}

impl Frame {
    pub(super) fn rows(&self) -> usize {
        self.columns.first().map_or(0, |column| column.values.len())
    }

    /// The geohashes, where the table has places.
    pub(super) fn cells(&self) -> Option<&[Option<String>]> {
        let column = self.columns.iter().find(|column| column.name == "cell")?;
        match &column.values {
            Values::Texts(cells) => Some(cells),
            _ => None,
        }
    }
}
