mod collect;
mod internal;
mod stats;
