//! An open day of one app, as the sealer sees it: what it is sealed into.

use std::ops::Range;

use tuman_privacy::place::Region;
use tuman_privacy::time::Day;

use super::SealError;
use super::count::Count;
use super::histogram::Sealed;
use super::laplace::Source;
use super::release::{MOST_DAILY_EPSILON, Release, spent};
use crate::catalogue::Catalogue;
use crate::store::Store;

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
        self.count(source)?.releases(releases)
    }

    /// Hours of a release that is sealed every hour.
    ///
    /// # Errors
    /// As of [`OpenDay::seal`].
    pub fn seal_hours(
        &self,
        release: &Release,
        hours: Range<u8>,
        source: &mut dyn Source,
    ) -> Result<Vec<Sealed>, SealError> {
        self.count(source)?.hours(release, hours)
    }

    fn count<'s>(&'s self, source: &'s mut dyn Source) -> Result<Count<'s>, SealError> {
        let OpenDay { store, catalogue, region, day, salt } = *self;
        let app = &catalogue.declaration.app;
        let (spent, daily) = (spent(&catalogue.releases), catalogue.daily_epsilon.min(MOST_DAILY_EPSILON));
        // Checked when the catalogue is read; here, once more, before anything is counted.
        if spent > daily + 1e-9 {
            return Err(SealError::OverBudget { app: app.clone(), spent, daily });
        }
        Count::of(store, day, catalogue.allow_list.app_code(), catalogue.public(region), salt, source)
    }
}
