//! The privacy boundary.
#![no_std]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod detect;
pub mod identifier;
pub mod token;
