//! Exports: sealed releases of an app and a period, in files for other programs.
//!
//! One release as a file, or all of them as a zip with a description (`datapackage.json`, Frictionless Data), how each day
//! was sealed, and `SHA256SUMS`. CSV, JSON, GeoJSON, Parquet and Arrow.
//!
//! Guarantees: reads `releases` and `seals` only, and only days whose seal is complete; the same question about sealed days
//! gives the same bytes with one version of the program: rows in the order of day, breakdown and dimensions, no time of
//! the export; all of it is of one state of the store; every value has its margin; what is too large is refused before
//! it is built.
//! Does not: touch open rows, round, clamp, or write the audit log, which whoever hands the bytes out does before.

mod columnar;
mod format;
mod frame;
mod package;
mod query;
mod read;
mod text;

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::access::Basis;
use crate::stats::{self, Scope};
use crate::store::{Store, StoreError};

pub use format::Format;
pub use query::{PackageQuery, ReleaseQuery};

use crate::seal::release::{Counts, Release, defaults};

/// Most values of a release in one export: a year of 500 cells fits.
pub const MOST_VALUES: u64 = 200_000;
/// Most values of all releases of a package together.
pub const MOST_PACKAGE_VALUES: u64 = 1_000_000;

/// Why there is no export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// No day of the period was sealed with such a release.
    #[error("no day of the period has a release of this name")]
    NoSuchRelease,
    /// The release has no cells, which GeoJSON is made of.
    #[error("this release has no cells: GeoJSON is for places")]
    NoPlaces,
    /// More values than one export holds.
    #[error("the export would hold more than {0} values: ask for fewer days")]
    TooLarge(u64),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be formed.
    #[error("the {0} could not be formed")]
    Form(&'static str),
}

/// What is to be exported.
#[derive(Debug, Clone, PartialEq)]
pub enum Query {
    /// One release as a file.
    Release(ReleaseQuery),
    /// All releases, or one, as a zip with their description.
    Package(PackageQuery),
}

impl Query {
    /// App and period.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        match self {
            Query::Release(query) => &query.scope,
            Query::Package(query) => &query.scope,
        }
    }

    /// The only release that is asked for.
    #[must_use]
    pub fn release(&self) -> Option<&str> {
        match self {
            Query::Release(query) => Some(&query.release),
            Query::Package(query) => query.release.as_deref(),
        }
    }

    /// The form of its files.
    #[must_use]
    pub fn format(&self) -> Format {
        match self {
            Query::Release(query) => query.format,
            Query::Package(query) => query.format,
        }
    }

    /// Makes the export. Its parts are read one after another: where a day is sealed or deleted meanwhile they are of
    /// different states, and it is made once more.
    ///
    /// # Errors
    /// See [`ExportError`]. The store counts as unavailable where it changes again.
    pub fn make(&self, store: &dyn Store, context: &Context) -> Result<Export, ExportError> {
        for _ in 0..2 {
            let before = stats::state(store, self.scope())?;
            let made = self.make_once(store, context);
            if stats::state(store, self.scope())? == before {
                return made;
            }
        }
        Err(StoreError::Unavailable.into())
    }

    fn make_once(&self, store: &dyn Store, context: &Context) -> Result<Export, ExportError> {
        match self {
            Query::Release(query) => release(store, query, context),
            Query::Package(query) => package(store, query, context),
        }
    }
}

/// A file that can be handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// What it should be called.
    pub name: String,
    /// Its media type.
    pub media: &'static str,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Their SHA-256, in hex.
    pub sha256: String,
}

impl Export {
    fn new(name: String, media: &'static str, bytes: Vec<u8>) -> Export {
        let sha256 = sha256(&bytes);
        Export { name, media, bytes, sha256 }
    }
}

/// What is said of an export beside its values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Context {
    /// The zone in which days begin and end.
    pub zone: String,
    /// What the releases of the catalogue in force count, by name.
    pub counts: BTreeMap<String, Counts>,
    /// Why a partner may have it.
    pub basis: Option<Basis>,
}

impl Context {
    /// With the releases of the catalogue in force.
    #[must_use]
    pub fn of(zone: &str, releases: &[Release], basis: Option<Basis>) -> Context {
        let counts = releases.iter().map(|release| (release.name.to_string(), release.measure.counts())).collect();
        Context { zone: zone.to_owned(), counts, basis }
    }

    /// What a release counts; none where neither the catalogue in force nor the defaults have it.
    fn counts(&self, release: &str) -> Option<Counts> {
        let default = || defaults::ALL.iter().find(|known| known.name == release).map(|known| known.measure.counts());
        self.counts.get(release).copied().or_else(default)
    }
}

fn release(store: &dyn Store, query: &ReleaseQuery, context: &Context) -> Result<Export, ExportError> {
    let seals = read::seals(store, &query.scope)?;
    let release = read::release(store, &query.scope, &query.release, &seals, MOST_VALUES)?;
    let frame = release.frame(context.counts(&query.release));
    let bytes = query.format.write(&frame)?;
    let (app, period) = (&query.scope.app, query.scope.period);
    let name = format!("{app}_{}_{}_{}.{}", period.from, period.to, query.release, query.format.extension());
    Ok(Export::new(name, query.format.media(), bytes))
}

fn package(store: &dyn Store, query: &PackageQuery, context: &Context) -> Result<Export, ExportError> {
    let bytes = package::package(store, query, context)?;
    let (app, period) = (&query.scope.app, query.scope.period);
    Ok(Export::new(format!("{app}_{}_{}.zip", period.from, period.to), "application/zip", bytes))
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
