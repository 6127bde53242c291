//! Catalogues: what each app declares, as TOML files, one per app.
//!
//! Guarantees: a catalogue is checked as a whole; every error names its line. What is compiled here is the allow-list
//! of the boundary and the public domain of the releases.
//! Does not: learn from data. A value that is not declared is not counted.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;
use sha2::{Digest, Sha256};
use toml::Spanned;
use tuman_privacy::catalogue::{Catalogue as AllowList, Declaration, EventDeclaration, Purposes};
use tuman_privacy::device::PLATFORMS;
use tuman_privacy::properties::PropertyDeclaration;

/// Most events, values of a property, versions.
const MOST: usize = 500;

/// One app's catalogue.
#[derive(Debug)]
pub struct Catalogue {
    /// What people call the app.
    pub name: String,
    /// Platforms that releases tell apart; others are `other`.
    pub platforms: Vec<String>,
    /// SHA-256 of its text, in hex: which version it is.
    pub digest: String,
    /// What is declared, in plain words.
    pub declaration: Declaration,
    /// The boundary's form of it.
    pub allow_list: AllowList,
}

/// The catalogues of all apps, by app id.
#[derive(Debug, Default)]
pub struct Catalogues(HashMap<String, Arc<Catalogue>>);

impl Catalogues {
    /// The catalogue of an app.
    #[must_use]
    pub fn get(&self, app: &str) -> Option<&Arc<Catalogue>> {
        self.0.get(app)
    }

    /// All catalogues, ordered by app id.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Catalogue>> {
        let mut all: Vec<Arc<Catalogue>> = self.0.values().cloned().collect();
        all.sort_by(|a, b| a.declaration.app.cmp(&b.declaration.app));
        all
    }

    /// Reads every `*.toml` of a folder.
    ///
    /// # Errors
    /// All that is wrong in all files.
    pub fn read(folder: &Path) -> Result<Catalogues, CatalogueErrors> {
        let mut errors = Vec::new();
        let mut catalogues = Catalogues::default();
        for file in files(folder, &mut errors) {
            let text = match std::fs::read_to_string(&file) {
                Ok(text) => text,
                Err(error) => {
                    errors.push(CatalogueError { file, line: 1, what: format!("cannot be read: {error}") });
                    continue;
                }
            };
            match Catalogue::parse(&text) {
                Ok(catalogue) => {
                    let app = catalogue.declaration.app.clone();
                    if catalogues.0.insert(app, Arc::new(catalogue)).is_some() {
                        errors.push(CatalogueError {
                            file,
                            line: 1,
                            what: "another file declares the same app".into(),
                        });
                    }
                }
                Err(found) => errors.extend(found.into_iter().map(|(line, what)| CatalogueError {
                    file: file.clone(),
                    line,
                    what,
                })),
            }
        }
        if errors.is_empty() { Ok(catalogues) } else { Err(CatalogueErrors(errors)) }
    }

    /// One catalogue alone, as tests and the demo's history use it.
    #[must_use]
    pub fn of(catalogue: Catalogue) -> Catalogues {
        Catalogues(HashMap::from([(catalogue.declaration.app.clone(), Arc::new(catalogue))]))
    }
}

fn files(folder: &Path, errors: &mut Vec<CatalogueError>) -> Vec<PathBuf> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            let what = format!("the folder cannot be read ({error}); `tuman init` makes one");
            errors.push(CatalogueError { file: folder.into(), line: 1, what });
            return Vec::new();
        }
    };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    files
}

/// One thing that is wrong with a catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueError {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong and what would be right.
    pub what: String,
}

/// Everything that is wrong with the catalogues.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct CatalogueErrors(pub Vec<CatalogueError>);

impl fmt::Display for CatalogueErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the catalogues have {} problem(s):", self.0.len())?;
        for CatalogueError { file, line, what } in &self.0 {
            write!(f, "\n  {}:{line}: {what}", file.display())?;
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileForm {
    app: AppForm,
    #[serde(default)]
    policy: Vec<PolicyForm>,
    #[serde(default)]
    events: toml::map::Map<String, toml::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AppForm {
    id: Spanned<String>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    platforms: Vec<Spanned<String>>,
    #[serde(default)]
    versions: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyForm {
    version: Spanned<String>,
    purposes: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventForm {
    #[serde(default)]
    props: toml::map::Map<String, toml::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
enum PropertyForm {
    Boolean(bool),
    Enum(Vec<String>),
    Buckets(Vec<f64>),
}

impl Catalogue {
    /// Reads one catalogue.
    ///
    /// # Errors
    /// All that is wrong, each with its line.
    pub fn parse(text: &str) -> Result<Catalogue, Vec<(usize, String)>> {
        let lines = Lines(text);
        // Syntax first: without it there is nothing to look at.
        toml::from_str::<IgnoredAny>(text).map_err(|error| vec![lines.error(&error)])?;
        let form: FileForm = toml::from_str(text).map_err(|error| vec![lines.error(&error)])?;
        let mut errors = Vec::new();
        check_names(&form, &lines, &mut errors);
        let mut declaration = Declaration {
            app: form.app.id.get_ref().clone(),
            versions: form.app.versions.iter().map(|version| version.get_ref().clone()).collect(),
            policies: form.policy.iter().map(|policy| purposes(policy, &lines, &mut errors)).collect(),
            events: Vec::new(),
        };
        for (name, value) in form.events {
            declaration.events.push(event(name, value, &lines, &mut errors));
        }
        if declaration.policies.is_empty() {
            errors.push((1, "declares no [[policy]]: without one, no consent can be recorded".into()));
        }
        let compiled = AllowList::compile(&declaration);
        if let Err(found) = &compiled {
            errors.extend(found.iter().map(|error| (lines.of_name(&error.to_string()), error.to_string())));
        }
        match compiled {
            Ok(allow_list) if errors.is_empty() => Ok(Catalogue {
                name: if form.app.name.is_empty() { declaration.app.clone() } else { form.app.name },
                platforms: form.app.platforms.into_iter().map(Spanned::into_inner).collect(),
                digest: hex::encode(Sha256::digest(text.as_bytes())),
                declaration,
                allow_list,
            }),
            _ => {
                errors.sort();
                Err(errors)
            }
        }
    }
}

fn check_names(form: &FileForm, lines: &Lines<'_>, errors: &mut Vec<(usize, String)>) {
    let id = form.app.id.get_ref();
    let is_id = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    if id.is_empty() || id.len() > 100 || !is_id(id) {
        errors
            .push((lines.at(form.app.id.span().start), "app.id: letters, digits, `.`, `-`, `_`; at most 100".into()));
    }
    for platform in &form.app.platforms {
        if !PLATFORMS.contains(&platform.get_ref().as_str()) || platform.get_ref() == "other" {
            let what = format!("app.platforms: there are {}", PLATFORMS[1..].join(", "));
            errors.push((lines.at(platform.span().start), what));
        }
    }
    for version in &form.app.versions {
        let text = version.get_ref();
        if text.is_empty() || text.len() > 40 || text == "other" || !text.is_ascii() {
            let what = "app.versions: ASCII, at most 40 characters, not `other`".into();
            errors.push((lines.at(version.span().start), what));
        }
    }
    for (what, n) in [("versions", form.app.versions.len()), ("events", form.events.len())] {
        if n > MOST {
            errors.push((1, format!("declares {n} {what}: at most {MOST}")));
        }
    }
}

fn purposes(policy: &PolicyForm, lines: &Lines<'_>, errors: &mut Vec<(usize, String)>) -> (String, Purposes) {
    let mut purposes = Purposes::default();
    for purpose in &policy.purposes {
        match purpose.get_ref().as_str() {
            "usage" => purposes.usage = true,
            "location" => purposes.location = true,
            _ => errors.push((lines.at(purpose.span().start), "policy.purposes: there are usage, location".into())),
        }
    }
    (policy.version.get_ref().clone(), purposes)
}

fn event(name: String, value: toml::Value, lines: &Lines<'_>, errors: &mut Vec<(usize, String)>) -> EventDeclaration {
    let line = lines.of_header(&name);
    if !is_name(&name) {
        errors.push((line, format!("event `{name}`: lower-case letters, digits, `_`; at most 60")));
    }
    let form: EventForm = match value.try_into() {
        Ok(form) => form,
        Err(error) => {
            errors.push((line, format!("event `{name}`: {}", error.message())));
            return EventDeclaration { name, properties: Vec::new() };
        }
    };
    let mut properties = Vec::new();
    for (key, value) in form.props {
        let line = lines.of_key(line, &key);
        if !is_name(&key) {
            errors.push((line, format!("property `{key}`: lower-case letters, digits, `_`; at most 60")));
        }
        match property(value) {
            Ok(declaration) => properties.push((key, declaration)),
            Err(what) => errors.push((line, format!("property `{key}`: {what}"))),
        }
    }
    EventDeclaration { name, properties }
}

fn property(value: toml::Value) -> Result<PropertyDeclaration, String> {
    const KINDS: &str = "{ boolean = true }, { enum = [\"a\", \"b\"] } or { buckets = [10, 100] }";
    let form: PropertyForm = value.try_into().map_err(|_| format!("expected {KINDS}"))?;
    match form {
        PropertyForm::Boolean(true) => Ok(PropertyDeclaration::Boolean),
        PropertyForm::Boolean(false) => Err(format!("expected {KINDS}")),
        PropertyForm::Enum(words) if words.is_empty() || words.len() > MOST => {
            Err(format!("an enum has 1 to {MOST} values"))
        }
        PropertyForm::Enum(words) => Ok(PropertyDeclaration::Enum(words)),
        PropertyForm::Buckets(bounds) => {
            let ascending = bounds.windows(2).all(|pair| pair[0] < pair[1]);
            if bounds.is_empty() || bounds.len() > 50 || !ascending || bounds.iter().any(|bound| !bound.is_finite()) {
                return Err("buckets are 1 to 50 ascending numbers".into());
            }
            Ok(PropertyDeclaration::Buckets(bounds))
        }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 60
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Finds lines in the text of a catalogue.
struct Lines<'a>(&'a str);

impl Lines<'_> {
    fn at(&self, offset: usize) -> usize {
        self.0.as_bytes()[..offset.min(self.0.len())].iter().filter(|byte| **byte == b'\n').count() + 1
    }

    fn error(&self, error: &toml::de::Error) -> (usize, String) {
        (error.span().map_or(1, |span| self.at(span.start)), error.message().to_owned())
    }

    /// The line of `[events.name...]`.
    fn of_header(&self, name: &str) -> usize {
        self.find(0, |line| {
            let line = line.trim_start_matches('[');
            line.strip_prefix("events.").is_some_and(|rest| rest.trim_start_matches('"').starts_with(name))
        })
    }

    /// The first line from `from` on that sets `key`.
    fn of_key(&self, from: usize, key: &str) -> usize {
        self.find(from.saturating_sub(1), |line| line.trim_start_matches('"').starts_with(key))
    }

    /// The line that holds the first name quoted in a message.
    fn of_name(&self, message: &str) -> usize {
        let name = message.split('`').nth(1).unwrap_or_default();
        let name = name.rsplit(['.', '=']).next().unwrap_or(name);
        self.find(0, |line| line.contains(name))
    }

    fn find(&self, skip: usize, is: impl Fn(&str) -> bool) -> usize {
        self.0.lines().skip(skip).position(|line| is(line.trim())).map_or(skip.max(1), |index| index + skip + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalogue_is_read() {
        let catalogue = Catalogue::parse(
            r#"
            [app]
            id = "kz.demo.app"
            platforms = ["android"]
            versions = ["3.4.1"]
            [[policy]]
            version = "2026-01"
            purposes = ["usage"]
            [events.screen_view.props]
            screen = { enum = ["home", "map"] }
            cached = { boolean = true }
            [events.app_open]
            "#,
        )
        .unwrap();
        assert_eq!(catalogue.name, "kz.demo.app");
        assert_eq!(catalogue.declaration.events.len(), 2);
        assert_eq!(catalogue.declaration.policies[0].1, Purposes { usage: true, location: false });
    }

    #[test]
    fn all_errors_come_at_once_with_their_lines() {
        let errors = Catalogue::parse(
            "[app]\nid = \"k z\"\nplatforms = [\"symbian\"]\n[[policy]]\nversion = \"1\"\npurposes = [\"ads\"]\n[events.Big.props]\nx = { buckets = [3, 1] }\ny = 5\n",
        )
        .unwrap_err();
        let lines: Vec<usize> = errors.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2, 3, 6, 7, 8, 9], "{errors:?}");
    }

    #[test]
    fn a_folder_that_is_missing_says_what_to_do() {
        let errors = Catalogues::read(Path::new("/nonexistent/catalogue")).unwrap_err();
        assert!(errors.to_string().contains("tuman init"));
    }
}
