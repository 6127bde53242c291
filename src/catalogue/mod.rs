//! Catalogues: what each app declares, as TOML files, one per app.
//!
//! Guarantees: a catalogue is checked as a whole; every error names its line, and no file hides the errors of another.
//! What is compiled here is the allow-list of the boundary and the public domain of the releases.
//! Does not: learn from data. A value that is not declared is not counted.

mod form;
mod releases;
mod source;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use sha2::{Digest, Sha256};
use tuman_privacy::catalogue::{Catalogue as AllowList, Declaration};
use tuman_privacy::properties::PropertyDeclaration;
use tuman_privacy::suggest::Suggestion;

use tuman_privacy::place::Region;

use crate::seal::domain::Public;
use crate::seal::release::{Measure, Release, spent};
use crate::stats::Buckets;
use form::Form;
use releases::Budget;

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
    /// What a day is sealed into: the default releases that are not left out, then the app's own.
    pub releases: Vec<Release>,
    /// What releases may spend together for one device and day.
    pub daily_epsilon: f64,
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
        Catalogues::read_all(&[folder.to_path_buf()])
    }

    /// Reads files, and every `*.toml` of folders.
    ///
    /// # Errors
    /// All that is wrong in all files.
    pub fn read_all(paths: &[PathBuf]) -> Result<Catalogues, CatalogueErrors> {
        let mut errors = Vec::new();
        let mut catalogues = Catalogues::default();
        let mut declared: HashMap<String, PathBuf> = HashMap::new();
        let files: Vec<PathBuf> = paths.iter().flat_map(|path| files(path, &mut errors)).collect();
        for file in files {
            let at = |line, what| CatalogueError { file: file.clone(), line, what };
            let text = match std::fs::read_to_string(&file) {
                Ok(text) => text,
                Err(error) => {
                    errors.push(at(1, format!("cannot be read: {error}")));
                    continue;
                }
            };
            match Catalogue::parse(&text) {
                Ok(catalogue) => {
                    let app = catalogue.declaration.app.clone();
                    if let Some(other) = declared.insert(app.clone(), file.clone()) {
                        errors.push(at(1, format!("{} declares the app `{app}` too", other.display())));
                    }
                    catalogues.0.insert(app, Arc::new(catalogue));
                }
                Err(found) => errors.extend(found.into_iter().map(|(line, what)| at(line, what))),
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

/// The file itself, or the catalogues in a folder.
fn files(folder: &Path, errors: &mut Vec<CatalogueError>) -> Vec<PathBuf> {
    if folder.is_file() {
        return vec![folder.to_path_buf()];
    }
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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

impl Catalogue {
    /// Reads one catalogue.
    ///
    /// # Errors
    /// All that is wrong, each with its line, from 1.
    pub fn parse(text: &str) -> Result<Catalogue, Vec<(usize, String)>> {
        let ((form, budget, allow_list), problems) = source::read(text, |mut top, problems| {
            let mut form = Form::read(&mut top, problems);
            let budget = Budget::read(&mut top, &form, problems);
            top.end(&["app", "policy", "events", "release", "budget"], problems);
            let allow_list = form.compile(problems);
            (form, budget, allow_list)
        });
        match allow_list {
            Some(allow_list) if problems.is_empty() => Ok(Catalogue {
                name: form.name,
                platforms: form.platforms,
                digest: hex::encode(Sha256::digest(text.as_bytes())),
                declaration: form.declaration,
                allow_list,
                releases: budget.releases,
                daily_epsilon: budget.daily_epsilon,
            }),
            _ => Err(problems.into_sorted()),
        }
    }

    /// True where the name of a suggestion is declared.
    #[must_use]
    pub fn declares(&self, suggestion: &Suggestion) -> bool {
        let events = &self.declaration.events;
        let of_event = |name: &str| events.iter().find(|event| event.name == name);
        match suggestion.event.as_deref() {
            None => of_event(&suggestion.name).is_some(),
            Some(event) => {
                of_event(event).is_some_and(|event| event.properties.iter().any(|(key, _)| **key == *suggestion.name))
            }
        }
    }

    /// What is public of the app, in a region.
    #[must_use]
    pub fn public<'a>(&'a self, region: &'a Region) -> Public<'a> {
        Public { declaration: &self.declaration, platforms: &self.platforms, region }
    }

    /// The bounds of its bucketed numbers.
    #[must_use]
    pub fn buckets(&self) -> Buckets {
        let events = self.declaration.events.iter();
        let numbers = events.flat_map(|event| event.properties.iter().map(move |property| (event, property)));
        let bounds = numbers.filter_map(|(event, (key, kind))| match kind {
            PropertyDeclaration::Buckets(bounds) => Some((format!("{}.{key}", event.name), bounds.clone())),
            _ => None,
        });
        bounds.collect()
    }

    fn cells(&self) -> usize {
        // Places depend on the region, and are left out.
        let region = Region::within([0.0, 0.0, 0.0, 0.0], Vec::new());
        let public = self.public(&region);
        let finest = |release: &Release| match release.measure {
            Measure::Places(_) => 0,
            _ => release.breakdowns(&public).last().map_or(0, |breakdown| breakdown.values),
        };
        self.releases.iter().map(finest).sum()
    }

    /// What the catalogue amounts to.
    #[must_use]
    pub fn amount(&self) -> Amount {
        let events = &self.declaration.events;
        let properties = events.iter().flat_map(|event| &event.properties);
        Amount {
            app: self.declaration.app.clone(),
            name: self.name.clone(),
            digest: self.digest.clone(),
            platforms: self.platforms.len(),
            versions: self.declaration.versions.len(),
            policies: self.declaration.policies.len(),
            events: events.len(),
            properties: properties.clone().count(),
            values: properties.map(|(_, kind)| kind.labels().len()).sum(),
            releases: self.releases.len(),
            cells: self.cells(),
            epsilon: spent(&self.releases),
            daily_epsilon: self.daily_epsilon,
        }
    }
}

/// What a catalogue amounts to, in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Amount {
    /// The app's id.
    pub app: String,
    /// What people call it.
    pub name: String,
    /// SHA-256 of the file, in hex.
    pub digest: String,
    /// Platforms that are told apart.
    pub platforms: usize,
    /// Versions that are told apart.
    pub versions: usize,
    /// Policy versions.
    pub policies: usize,
    /// Events.
    pub events: usize,
    /// Properties of all events.
    pub properties: usize,
    /// Public values of all properties.
    pub values: usize,
    /// Releases of a day.
    pub releases: usize,
    /// Cells of their public domains, places apart.
    pub cells: usize,
    /// What they spend together for one device and day.
    pub epsilon: f64,
    /// What they may spend.
    pub daily_epsilon: f64,
}
