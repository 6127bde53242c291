//! What a panic leaves in the log: where, and in which thread.

use std::panic::Location;

use super::line::Line;

/// A place in the source, such as `src/spool/writer.rs:136`. The compiler wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(String);

impl Place {
    /// The last three parts of the file's path, and the line: the rest is about the machine that built the program.
    pub(super) fn of(location: Option<&Location<'_>>) -> Place {
        let Some(location) = location else { return Place("unknown".into()) };
        let parts: Vec<&str> = location.file().split(['/', '\\']).collect();
        Place(plain(&format!("{}:{}", parts[parts.len().saturating_sub(3)..].join("/"), location.line())))
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

/// The name of a thread, which its maker gave it: the program, its runtime, the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadName(String);

impl ThreadName {
    /// The name of this thread.
    pub(super) fn current() -> ThreadName {
        ThreadName(plain(std::thread::current().name().unwrap_or("unnamed")))
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

/// What names of files and threads are made of, and no more than eighty characters of it.
fn plain(text: &str) -> String {
    let fits = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':' | '|');
    text.chars().filter(fits).take(80).collect()
}

/// From here on a panic leaves a line in the log, and nothing else. What happens to its thread, and to the process, stays
/// as it is.
///
/// The message is left out: it can quote a value, and the value can be of a report. So is the backtrace: the place is
/// enough to find the line, and what led there can be had again with the same version.
pub fn note_panics() {
    std::panic::set_hook(Box::new(|panic| {
        Line::Panicked { place: Place::of(panic.location()), thread: ThreadName::current() }.write();
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_file_and_a_line() {
        let place = Place::of(Some(Location::caller()));
        assert!(place.text().starts_with("src/log/panic.rs:"), "{place:?}");
        assert_eq!(plain("a b\n490154 <x>\u{1b}"), "ab490154x");
    }
}
