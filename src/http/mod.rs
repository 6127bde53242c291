//! HTTP: thin handlers between requests and the parts that do the work.

pub(crate) mod address;
pub mod auth;
pub mod body;
mod collect;
pub mod error;
mod export;
mod internal;
pub mod kept;
mod ledger;
mod page;
mod preview;
pub mod routes;
mod stats;
mod withdrawals;
