//! How much of everything a campaign does, and what came of it.

use std::collections::BTreeMap;

use crate::account::Difference;

/// How much of everything.
#[derive(Clone)]
pub struct Plan {
    pub seed: u64,
    pub days: u32,
    pub kills: u32,
    pub outages: u32,
    pub failing_syncs: u32,
    pub full_disks: u32,
    /// Kills during each seal; none seals nothing.
    pub seal_kills: usize,
    /// An order that breaks the collector.
    pub broken: Option<&'static str>,
}

/// What came of it.
#[derive(Default)]
pub struct Outcome {
    pub total: Difference,
    /// What was done, how often.
    pub done: BTreeMap<String, u64>,
    pub answers: u64,
    pub lost: u64,
    pub put_off: u64,
}

impl Outcome {
    /// How often something was done.
    pub fn done(&self, what: &str) -> u64 {
        self.done.get(what).copied().unwrap_or(0)
    }
}
