//! Integration tests: the whole collector, on the real engine, over real sockets.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_macros, unreachable_pub)]

mod audit;
mod cli;
mod crash;
mod days;
mod export;
mod fuzz;
mod harness;
mod http;
mod keys;
mod overload;
mod privacy;
mod seal;
mod spec;
mod trouble;
mod upgrade;
mod withdrawal;
