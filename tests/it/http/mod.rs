mod collect;
mod internal;
mod preview;
pub mod stats;
