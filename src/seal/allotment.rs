//! What may still be sealed of an open day, given what its hours have spent.
//!
//! Guarantees: what hours have spent under one catalogue and what is left to the releases of another stay within a day's
//! epsilon together; a release whose hours have begun goes on as it began, or not at all.

use serde::{Deserialize, Serialize};
use tuman_privacy::time::Day;

use super::release::{HOURS, MOST_DAILY_EPSILON, Release};
use crate::catalogue::Catalogue;
use crate::clock::date_of;
use crate::store::{Statement, Store, StoreError};

/// What the hours of a release have been sealed with on a day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pinned {
    /// The app.
    pub app: String,
    /// The release.
    pub release: String,
    /// Its dimensions.
    pub dims: Vec<String>,
    /// Bound per device and hour.
    pub bound: u32,
    /// Hours in which one device counts.
    pub windows: u32,
    /// What all hours of the day spend together.
    pub epsilon: f64,
    /// Values below are not published.
    pub threshold: i64,
    /// The last hour that is sealed.
    pub last: u8,
}

impl Pinned {
    /// Those of a day.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn of(store: &dyn Store, day: Day) -> Result<Vec<Pinned>, StoreError> {
        let statement = Statement::new(include_str!("sql/pinned.sql")).bind("day", date_of(day)).bind("hours", HOURS);
        store.rows(&statement)
    }

    /// Whether a release is still what it was at its first hour.
    fn is(&self, release: &Release) -> bool {
        self.dims == release.dims()
            && self.bound == release.bound
            && Some(self.windows) == release.windows
            && Some(self.epsilon) == release.epsilon
            && self.threshold == release.threshold
    }
}

/// What may be sealed of an app's day.
#[derive(Debug, Default, PartialEq)]
pub struct Allotment {
    /// Releases that are sealed every hour.
    pub hourly: Vec<Release>,
    /// Releases of the whole day.
    pub daily: Vec<Release>,
    /// The names of those that are left out: they were changed after their first hour, or the day's epsilon does not
    /// suffice for them beside what hours have spent under an earlier catalogue.
    pub left_out: Vec<String>,
}

impl Allotment {
    /// Of a catalogue, with what is pinned of all apps.
    #[must_use]
    pub fn of(catalogue: &Catalogue, pinned: &[Pinned]) -> Allotment {
        let pinned: Vec<&Pinned> = pinned.iter().filter(|pinned| pinned.app == catalogue.declaration.app).collect();
        let most = catalogue.daily_epsilon.min(MOST_DAILY_EPSILON) + 1e-9;
        let mut spent: f64 = pinned.iter().map(|pinned| pinned.epsilon).sum();
        let mut allotment = Allotment::default();
        // The day's own first: no hour that is new takes from them.
        let (hourly, daily): (Vec<&Release>, Vec<&Release>) =
            catalogue.releases.iter().partition(|release| release.windows.is_some());
        for release in daily.into_iter().chain(hourly) {
            let begun = release.windows.and_then(|_| pinned.iter().find(|pinned| pinned.release == release.name));
            let epsilon = if begun.is_some() { 0.0 } else { release.epsilon.unwrap_or(0.0) };
            if begun.is_some_and(|pinned| !pinned.is(release)) || spent + epsilon > most && epsilon > 0.0 {
                allotment.left_out.push(release.name.to_string());
                continue;
            }
            spent += epsilon;
            let list = if release.windows.is_some() { &mut allotment.hourly } else { &mut allotment.daily };
            list.push(release.clone());
        }
        allotment
    }
}
