//! Codes: short numbers that stand for declared names in open rows.
//!
//! Guarantees: a code depends on the name alone, so that it means the same after a restart, on another collector and
//! in another order of the catalogue. Zero stands for `other`.
//! Does not: exclude that two names share a code; [`crate::catalogue`] refuses a catalogue in which they do.

use sha2::{Digest, Sha256};

/// What a code stands for: keeps equal names of different sorts apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// An app's id.
    App,
    /// An event's name.
    Event,
    /// An app's version.
    Version,
    /// A property's value: `key=value`.
    Property,
}

/// The code of `name`: the first four bytes of a SHA-256 over the sort and the name, big-endian; never zero.
///
/// The names are declared in a public catalogue: this hash hides nothing and need not.
#[must_use]
pub fn code(sort: Sort, name: &str) -> u32 {
    let sort = match sort {
        Sort::App => "app",
        Sort::Event => "event",
        Sort::Version => "version",
        Sort::Property => "property",
    };
    let digest = Sha256::new().chain_update(sort).chain_update([0]).chain_update(name).finalize();
    let mut first = [0; 4];
    first.copy_from_slice(digest.get(..4).unwrap_or(&[0; 4]));
    u32::from_be_bytes(first).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_never_change() {
        assert_eq!(code(Sort::App, "kz.demo.app"), 0x5ec1_a89b);
        assert_ne!(code(Sort::App, "x"), code(Sort::Event, "x"));
    }
}
