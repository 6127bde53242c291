//! How the releases of sealed days were made, as the store has it.

use jiff::civil::Date;
use serde::Deserialize;

use super::Scope;
use crate::seal::release::HOURS;
use crate::store::{Statement, Store, StoreError};

/// How a release of a day, or of one of its hours, was made.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Seal {
    pub(crate) day: Date,
    pub(crate) release: String,
    pub(crate) dims: Vec<String>,
    pub(crate) bound: u32,
    /// Zero where there is no noise.
    pub(super) epsilon: f64,
    pub(super) scale: f64,
    threshold: i64,
    pub(crate) mechanism: String,
    pub(crate) domain: u64,
    pub(crate) published: u64,
    pub(super) suppressed: String,
    window: u8,
    windows: u8,
}

impl Seal {
    /// What was not published, by breakdown.
    pub(crate) fn suppressed(&self) -> Vec<(String, u64)> {
        serde_json::from_str(&self.suppressed).unwrap_or_default()
    }

    /// The hour that was sealed; none where it was the day.
    pub(crate) fn hour(&self) -> Option<u8> {
        Some(self.window).filter(|hour| *hour < HOURS)
    }

    /// In how many hours of a day one device counts; none where the day was sealed as a whole.
    pub(crate) fn windows(&self) -> Option<u8> {
        self.hour().map(|_| self.windows)
    }

    /// The budget of a day; none where there is no noise.
    pub(crate) fn epsilon(&self) -> Option<f64> {
        Some(self.epsilon).filter(|epsilon| *epsilon > 0.0)
    }

    /// The scale of the noise; none where there is none.
    pub(crate) fn scale(&self) -> Option<f64> {
        Some(self.scale).filter(|scale| *scale > 0.0)
    }

    /// Values below are not published; none where all are.
    pub(crate) fn threshold(&self) -> Option<i64> {
        Some(self.threshold).filter(|threshold| *threshold != i64::MIN)
    }
}

/// All seals of a period, by day, release and hour.
pub(crate) fn seals(store: &dyn Store, scope: &Scope) -> Result<Vec<Seal>, StoreError> {
    let statement = Statement::new(include_str!("sql/seals.sql"))
        .bind("app", &scope.app)
        .bind("from", scope.period.from)
        .bind("to", scope.period.to);
    store.rows(&statement)
}
