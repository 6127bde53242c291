//! A simulated fleet of phones in the towns of Kazakhstan, for the demo, for load and for privacy tests.
//!
//! Guarantees: the same seed gives the same phones, the same days and the same bytes; every identifier and home that
//! the fleet can send can be listed, so that a test can search for them where they must not be.
//! Does not: resemble any real person or device. The towns are real, the phones are drawn.

mod chance;
pub mod cities;
pub mod fleet;
pub mod history;
pub mod identity;
mod phone;
pub mod post;
mod report;
mod rhythm;
pub mod schedule;
mod visit;

/// The catalogue of the app that the fleet's phones run.
pub const CATALOGUE: &str = include_str!("demo-catalogue.toml");

/// The app that the fleet's phones run.
pub const APP: &str = "kz.demo.aialma";
