//! Tuman: collector of anonymous location and usage statistics from mobile apps.
//!
//! The way of the data: bytes -> [`http`] -> the boundary crate `tuman-privacy` -> [`spool`] (synced; only now 202) ->
//! [`loader`] -> [`store`]: open day -> [`seal`] -> releases -> [`stats`] -> [`http`]. One direction, no shortcuts.

pub mod access;
pub mod admission;
pub mod answer;
pub mod app;
pub mod audit;
pub mod catalogue;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod demo;
pub mod doctor;
pub mod export;
pub mod http;
pub mod ingest;
pub mod keys;
pub mod ledger;
pub mod listeners;
pub mod loader;
pub mod log;
pub mod memory;
pub mod metrics;
pub mod policy;
pub mod preview;
pub mod process;
pub mod record;
pub mod region;
pub mod retention;
pub mod rowbinary;
pub mod seal;
pub mod seen;
pub mod sessions;
pub mod spool;
pub mod stats;
pub mod store;
#[cfg(feature = "torture")]
pub mod torture;
pub mod withdrawal;
