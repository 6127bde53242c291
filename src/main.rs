//! The `tuman` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    tuman::cli::run()
}
