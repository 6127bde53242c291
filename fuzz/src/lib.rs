//! What must hold of arbitrary bytes: one function per fuzz target.
//!
//! `make fuzz` looks for bytes that break them. The suite runs the seeds through the same functions (`tests/it/fuzz.rs`), and
//! what a run finds becomes a seed there.
#![allow(clippy::unwrap_used, clippy::panic)]

pub mod detect;
pub mod identifier;
pub mod report;
pub mod spool_recovery;
