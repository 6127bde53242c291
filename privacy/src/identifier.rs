//! Canonical forms of device identifiers.
