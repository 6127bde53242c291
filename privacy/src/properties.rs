//! Properties: boolean, registered enum value, or bucketed number. No free strings.
//!
//! Guarantees: what comes out is the code of a value that the catalogue declares.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::code::{Sort, code};
use crate::report::Value;
use crate::witness::Form;

/// What a catalogue declares of a property.
#[derive(Debug, Clone, PartialEq)]
pub enum PropertyDeclaration {
    /// `true` or `false`.
    Boolean,
    /// One of these words.
    Enum(Vec<String>),
    /// A number, kept as the first of these ascending bounds that it does not exceed.
    Buckets(Vec<f64>),
}

impl PropertyDeclaration {
    /// The public values of the property, in the order of their declaration: `true`, a word, `<=100`, `>3000`.
    #[must_use]
    pub fn labels(&self) -> Vec<String> {
        match self {
            PropertyDeclaration::Boolean => ["false", "true"].map(String::from).into(),
            PropertyDeclaration::Enum(words) => words.clone(),
            PropertyDeclaration::Buckets(bounds) => {
                let mut labels: Vec<String> = bounds.iter().map(|bound| format!("<={bound}")).collect();
                if let Some(last) = bounds.last() {
                    labels.push(format!(">{last}"));
                }
                labels
            }
        }
    }
}

/// A declared property, with the codes of its values.
#[derive(Debug, Clone)]
pub(crate) struct Property {
    declaration: PropertyDeclaration,
    /// One for each label.
    codes: Box<[u32]>,
}

impl Property {
    pub(crate) fn new(key: &str, declaration: PropertyDeclaration) -> Property {
        let codes = declaration.labels().iter().map(|label| value_code(key, label)).collect();
        Property { declaration, codes }
    }

    /// The form in which its values are kept.
    pub(crate) fn form(&self) -> Form {
        match self.declaration {
            PropertyDeclaration::Boolean | PropertyDeclaration::Enum(_) => Form::Declared,
            PropertyDeclaration::Buckets(_) => Form::Range,
        }
    }

    /// The code of a reported value; `None` where the catalogue does not declare it.
    pub(crate) fn code(&self, value: &Value<'_>) -> Option<u32> {
        let index = match &self.declaration {
            PropertyDeclaration::Boolean => usize::from(value.bool()?),
            PropertyDeclaration::Enum(words) => {
                let text = value.text()?;
                words.iter().position(|word| word == text)?
            }
            PropertyDeclaration::Buckets(bounds) => {
                let number = value.number()?;
                bounds.iter().position(|bound| number <= *bound).unwrap_or(bounds.len())
            }
        };
        self.codes.get(index).copied()
    }
}

/// The code of a property's value as open rows hold it.
#[must_use]
pub fn value_code(key: &str, label: &str) -> u32 {
    code(Sort::Property, &format!("{key}={label}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn numbers_fall_into_buckets() {
        let property = Property::new("ms", PropertyDeclaration::Buckets(vec![100.0, 300.0]));
        assert_eq!(property.code(&Value::Number(100.0)), Some(value_code("ms", "<=100")));
        assert_eq!(property.code(&Value::Number(100.5)), Some(value_code("ms", "<=300")));
        assert_eq!(property.code(&Value::Number(1e300)), Some(value_code("ms", ">300")));
        assert_eq!(property.code(&Value::Number(-5.0)), Some(value_code("ms", "<=100")));
        assert_eq!(property.code(&Value::Bool(true)), None);
    }

    #[test]
    fn only_the_declared_type_is_taken() {
        let property = Property::new("on", PropertyDeclaration::Boolean);
        assert_eq!(property.code(&Value::Bool(true)), Some(value_code("on", "true")));
        assert_eq!(property.code(&Value::Number(1.0)), None);
        let property = Property::new("screen", PropertyDeclaration::Enum(vec!["home".into()]));
        assert_eq!(property.code(&Value::Other), None);
        assert_eq!(property.code(&Value::Null), None);
    }
}
