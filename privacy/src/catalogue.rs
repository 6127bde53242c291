//! The allow-list of one app: what the boundary lets through.
//!
//! Guarantees: no two values that can stand in the same column share a code.
//! Does not: read files. The collector reads a catalogue's TOML and declares it here.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::code::{Sort, code};
use crate::detect::detect;
use crate::properties::{Property, PropertyDeclaration};

/// The two purposes of the policy's clause 3.2, granted or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Purposes {
    /// Anonymous statistics of use.
    pub usage: bool,
    /// Anonymous location.
    pub location: bool,
}

impl Purposes {
    pub(crate) fn and(self, other: Purposes) -> Purposes {
        Purposes { usage: self.usage && other.usage, location: self.location && other.location }
    }
}

/// What an app declares, in plain words.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Declaration {
    /// The app's id, such as `kz.demo.app`.
    pub app: String,
    /// Versions that are told apart; all others are `other`.
    pub versions: Vec<String>,
    /// Policy versions, and what each of them asked consent for.
    pub policies: Vec<(String, Purposes)>,
    /// Events.
    pub events: Vec<EventDeclaration>,
}

/// A declared event.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventDeclaration {
    /// The event's name.
    pub name: String,
    /// Its properties: key and kind.
    pub properties: Vec<(String, PropertyDeclaration)>,
}

/// True where a text has the shape of an event's name or a property's key: lower-case letters, digits, `_`; at most 60.
#[must_use]
pub fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 60
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// What is wrong with a declaration. Holds names from the catalogue, which is public.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeclarationError {
    /// Declared twice.
    #[error("{what} `{name}` is declared twice")]
    Twice {
        /// What it is: `event`, `version`, ...
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// Two names have the same code.
    #[error("`{first}` and `{second}` share a code: rename one of them")]
    SharedCode {
        /// One name.
        first: String,
        /// The other.
        second: String,
    },
    /// A name in which a detector sees personal data.
    #[error("{what} `{name}` looks like personal data ({detector})")]
    PersonalData {
        /// What it is.
        what: &'static str,
        /// Its name.
        name: String,
        /// The detector.
        detector: &'static str,
    },
}

/// The compiled allow-list.
#[derive(Debug)]
pub struct Catalogue {
    app: Box<str>,
    app_code: u32,
    versions: Vec<(Box<str>, u32)>,
    policies: Vec<(Box<str>, Purposes)>,
    /// Sorted by name.
    events: Vec<Event>,
}

#[derive(Debug)]
pub(crate) struct Event {
    name: Box<str>,
    pub(crate) code: u32,
    properties: Vec<(Box<str>, Property)>,
}

impl Event {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The property of a key, with its index and its declared name. It is looked for at `likely` first: most apps report properties in the
    /// order in which they declare them.
    pub(crate) fn property(&self, key: &str, likely: usize) -> Option<(usize, &str, &Property)> {
        let is_key = |(name, _): &&(Box<str>, Property)| **name == *key;
        if let Some((name, property)) = self.properties.get(likely).filter(is_key) {
            return Some((likely, name, property));
        }
        let index = self.properties.iter().position(|entry| is_key(&entry))?;
        self.properties.get(index).map(|(name, property)| (index, &**name, property))
    }
}

impl Catalogue {
    /// Compiles a declaration.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn compile(declaration: &Declaration) -> Result<Catalogue, Vec<DeclarationError>> {
        let mut errors = Vec::new();
        let mut events: Vec<Event> = declaration.events.iter().map(compile_event).collect();
        events.sort_by(|a, b| a.name.cmp(&b.name));
        let versions: Vec<(Box<str>, u32)> = declaration
            .versions
            .iter()
            .map(|version| (version.as_str().into(), code(Sort::Version, version)))
            .collect();
        distinct("version", versions.iter().map(|(name, code)| (name.to_string(), *code)), &mut errors);
        distinct("event", events.iter().map(|event| (event.name.to_string(), event.code)), &mut errors);
        for event in &declaration.events {
            look_for_personal_data("event", &event.name, &mut errors);
            let mut values = Vec::new();
            for (key, kind) in &event.properties {
                look_for_personal_data("property", key, &mut errors);
                for label in kind.labels() {
                    look_for_personal_data("value", &label, &mut errors);
                    values.push((
                        alloc::format!("{}.{key}={label}", event.name),
                        crate::properties::value_code(key, &label),
                    ));
                }
            }
            distinct("value", values.into_iter(), &mut errors);
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Catalogue {
            app: declaration.app.as_str().into(),
            app_code: code(Sort::App, &declaration.app),
            versions,
            policies: declaration.policies.iter().map(|(name, purposes)| (name.as_str().into(), *purposes)).collect(),
            events,
        })
    }

    /// The app's id.
    #[must_use]
    pub fn app(&self) -> &str {
        &self.app
    }

    /// The app's code in open rows.
    #[must_use]
    pub fn app_code(&self) -> u32 {
        self.app_code
    }

    pub(crate) fn event(&self, name: &str) -> Option<&Event> {
        let index = self.events.binary_search_by(|event| (*event.name).cmp(name)).ok()?;
        self.events.get(index)
    }

    pub(crate) fn version(&self, name: &str) -> u32 {
        self.versions.iter().find(|(version, _)| &**version == name).map_or(0, |(_, code)| *code)
    }

    pub(crate) fn policy(&self, version: &str) -> Option<Purposes> {
        self.policies.iter().find(|(name, _)| &**name == version).map(|(_, purposes)| *purposes)
    }
}

fn compile_event(event: &EventDeclaration) -> Event {
    Event {
        name: event.name.as_str().into(),
        code: code(Sort::Event, &event.name),
        properties: event
            .properties
            .iter()
            .map(|(key, kind)| (key.as_str().into(), Property::new(key, kind.clone())))
            .collect(),
    }
}

fn distinct(what: &'static str, names: impl Iterator<Item = (String, u32)>, errors: &mut Vec<DeclarationError>) {
    let mut seen: Vec<(u32, String)> = names.map(|(name, code)| (code, name)).collect();
    seen.sort();
    for pair in seen.windows(2) {
        if let [(code, first), (next, second)] = pair
            && code == next
        {
            errors.push(if first == second {
                DeclarationError::Twice { what, name: first.clone() }
            } else {
                DeclarationError::SharedCode { first: first.clone(), second: second.clone() }
            });
        }
    }
}

fn look_for_personal_data(what: &'static str, name: &str, errors: &mut Vec<DeclarationError>) {
    if let Some(detector) = detect(name) {
        errors.push(DeclarationError::PersonalData { what, name: name.into(), detector: detector.name() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn all_that_is_wrong_is_named_at_once() {
        let twice = EventDeclaration { name: "open".into(), properties: vec![] };
        let declaration = Declaration {
            app: "kz.demo.app".into(),
            versions: vec!["1".into(), "1".into()],
            policies: vec![],
            events: vec![twice.clone(), twice],
        };
        let errors = Catalogue::compile(&declaration).unwrap_err();
        assert_eq!(errors.len(), 2, "{errors:?}");
    }

    #[test]
    fn what_is_not_declared_is_not_found() {
        let declaration = Declaration {
            app: "a".into(),
            versions: vec!["1.0".into()],
            policies: vec![("p".into(), Purposes { usage: true, location: false })],
            events: vec![EventDeclaration { name: "open".into(), properties: vec![] }],
        };
        let catalogue = Catalogue::compile(&declaration).unwrap();
        assert!(catalogue.event("open").is_some() && catalogue.event("close").is_none());
        assert_eq!(catalogue.version("9.9"), 0);
        assert_ne!(catalogue.version("1.0"), 0);
        assert_eq!(catalogue.policy("q"), None);
    }
}
