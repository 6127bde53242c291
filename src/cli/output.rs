//! What the commands print: results on the standard output, everything else on the error output.

use std::io::{self, Write};

use serde::Serialize;

/// Prints a line. A reader that has gone away is no error.
pub(super) fn line(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// Prints the bytes of a file.
pub(super) fn bytes(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Prints a value as JSON.
pub(super) fn json<T: Serialize>(value: &T) {
    line(&serde_json::to_string_pretty(value).unwrap_or_default());
}

/// Tells whoever sits there something that is no result.
#[allow(clippy::disallowed_methods)]
pub(super) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints what went wrong, and why. For whoever ran the command: it is no line of the log.
#[allow(clippy::disallowed_methods)]
pub(super) fn error(error: &anyhow::Error) {
    let _ = writeln!(io::stderr().lock(), "tuman: {error:#}");
}

/// Prints rows in columns, the first row being their heads.
pub(super) fn table(rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        line(cells.join("  ").trim_end());
    }
}
