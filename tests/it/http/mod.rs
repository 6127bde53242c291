mod collect;
mod internal;
pub mod stats;
