//! The boundary over reports of every shape: what a witness is told, and what consent lets through.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed test panics")]

mod any;
mod consent;
mod preview;
