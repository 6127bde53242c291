//! Integration tests: the whole collector, on the real engine, over real sockets.
#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub)]

mod cli;
mod crash;
mod harness;
mod http;
mod keys;
mod privacy;
mod seal;
mod spec;
mod withdrawal;
