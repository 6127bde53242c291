//! The privacy boundary of Tuman: untrusted reports in, anonymous rows out, nothing else.
//!
//! Pure: no file, socket, clock or randomness can be named here. The caller brings the bytes, the moment of arrival,
//! the day's keys and a random number generator; it gets back encoded rows of coarsened values, fixed words and counts.
//! [`anonymise::anonymise`] is the one ordered list of steps; the other modules are its parts.
#![no_std]
#![warn(clippy::indexing_slicing, clippy::cast_possible_truncation)]
#![cfg_attr(test, allow(clippy::indexing_slicing, clippy::unwrap_used))]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod anonymise;
pub mod catalogue;
pub mod code;
pub mod detect;
pub mod device;
pub mod encode;
pub mod event;
pub mod identifier;
pub mod place;
pub mod properties;
pub mod refusal;
pub mod report;
pub mod report_id;
pub mod secret;
pub mod suggest;
pub mod suppression;
pub mod time;
pub mod token;
pub mod witness;
#[cfg(test)]
mod work;
