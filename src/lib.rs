//! Tuman: collector of anonymous location and usage statistics from mobile apps.

pub mod demo;
pub mod spool;
pub mod store;
