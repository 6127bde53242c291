//! An open day of one app, as the sealer sees it: what it is sealed into.

use std::cell::RefCell;
use std::ops::Range;

use serde::Deserialize;
use tuman_privacy::place::Region;
use tuman_privacy::time::Day;

use super::SealError;
use super::count::{Count, Hour};
use super::histogram::Sealed;
use super::laplace::Source;
use super::release::{MOST_DAILY_EPSILON, Release, spent};
use crate::catalogue::Catalogue;
use crate::clock::date_of;
use crate::store::{Statement, Store, StoreError};

/// An open day of one app.
pub struct OpenDay<'a> {
    /// Where its rows are.
    pub store: &'a dyn Store,
    /// What the app declares.
    pub catalogue: &'a Catalogue,
    /// The public domain of places.
    pub region: &'a Region,
    /// The day.
    pub day: Day,
    /// By which contributions are chosen: secret, and gone with the seal.
    pub salt: (u64, u64),
}

impl OpenDay<'_> {
    /// Bounds, counts and blurs the releases of the day as a whole. Nothing is published by this, and nothing of the exact
    /// counts is left.
    ///
    /// # Errors
    /// Where the releases would spend more than a day has, the store cannot be read, or there is no noise.
    pub fn seal(&self, source: &mut dyn Source) -> Result<Vec<Sealed>, SealError> {
        let releases: Vec<Release> =
            self.catalogue.releases.iter().filter(|it| it.windows.is_none()).cloned().collect();
        self.seal_of(&releases, source)
    }

    /// The same with some of the catalogue's releases.
    ///
    /// # Errors
    /// As of [`OpenDay::seal`].
    pub fn seal_of(&self, releases: &[Release], source: &mut dyn Source) -> Result<Vec<Sealed>, SealError> {
        self.count(Hour::All, source)?.releases(releases)
    }

    /// The same for hours, with those releases of each that are sealed every hour and `due` at it.
    ///
    /// # Errors
    /// As of [`OpenDay::seal`].
    pub fn seal_hours(
        &self,
        hours: Range<u8>,
        due: impl Fn(u8) -> Vec<Release>,
        source: &mut dyn Source,
    ) -> Result<Vec<Sealed>, SealError> {
        let seen = self.hours_with_rows()?;
        let mut all = Vec::new();
        for hour in hours {
            let counted = if seen.contains(&hour) { Hour::One(hour) } else { Hour::Empty };
            let sealed = self.count(counted, &mut *source)?.releases(&due(hour))?;
            all.extend(sealed.into_iter().map(|sealed| sealed.of_hour(hour)));
        }
        Ok(all)
    }

    fn hours_with_rows(&self) -> Result<Vec<u8>, StoreError> {
        #[derive(Deserialize)]
        struct Row {
            hour: u8,
        }
        let text = "SELECT DISTINCT hour FROM usage_open WHERE day = {day:Date} AND app = {app:UInt32}";
        let statement = Statement::new(text).bind("day", date_of(self.day));
        let rows: Vec<Row> = self.store.rows(&statement.bind("app", self.catalogue.allow_list.app_code()))?;
        Ok(rows.into_iter().map(|row| row.hour).collect())
    }

    fn count<'s>(&'s self, hour: Hour, source: &'s mut dyn Source) -> Result<Count<'s>, SealError> {
        let OpenDay { store, catalogue, region, day, salt } = *self;
        let app = &catalogue.declaration.app;
        let (spent, daily) = (spent(&catalogue.releases), catalogue.daily_epsilon.min(MOST_DAILY_EPSILON));
        // Checked when the catalogue is read; here, once more, before anything is counted.
        if spent > daily + 1e-9 {
            return Err(SealError::OverBudget { app: app.clone(), spent, daily });
        }
        let (public, app, source) = (catalogue.public(region), catalogue.allow_list.app_code(), RefCell::new(source));
        Ok(Count { store, day, app, public, salt, hour, source })
    }
}
