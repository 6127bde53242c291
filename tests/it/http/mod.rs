mod access;
mod collect;
mod internal;
mod preview;
mod session;
pub mod stats;
