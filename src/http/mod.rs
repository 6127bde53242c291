//! HTTP: thin handlers between requests and the parts that do the work.

pub(crate) mod address;
pub mod auth;
pub mod body;
mod catalogue;
mod collect;
mod dashboard;
pub mod error;
mod export;
mod internal;
mod ledger;
mod officer;
mod page;
mod preview;
pub mod routes;
mod session;
mod stats;
mod withdrawals;
