//! The `tuman` program.
fn main() {}
