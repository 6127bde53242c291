//! Keyed hashes of identifiers.
