//! A simulated fleet of phones.
