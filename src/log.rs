//! The log: every line there can be, and the one place that writes them.
//!
//! Guarantees: what is logged is a [`Line`], and its fields are numbers, dates, durations and words that are fixed in the
//! program, so that no line can hold anything of a report, a request, a row or a file. Lines of other crates are never
//! written, whatever the filter says: nothing in this program listens to them. A panic leaves its place and its thread,
//! never its message, which can quote a value.
//! Does not: rotate files, send anything anywhere, or wait: a line that cannot be written is lost.

mod fault;
mod filter;
mod line;
mod panic;

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use serde_json::{Map, Value as Json};

pub use fault::{Cause, Fault};
pub use filter::{Filter, Level, Part, WrongFilter};
pub use line::{Declared, Line, Value};
pub use panic::{Place, ThreadName, note_panics};

use crate::clock::{Clock, SystemClock, timestamp};
use crate::config::{self, LogFormat};

/// Where lines go, and which.
struct Log {
    filter: Filter,
    format: LogFormat,
    out: Mutex<Box<dyn Write + Send>>,
}

static LOG: ArcSwapOption<Log> = ArcSwapOption::const_empty();

/// Writes lines to the error output from here on, as the configuration says. Before the first call nothing is written.
#[allow(clippy::disallowed_methods)]
pub fn start(settings: &config::Log) {
    // A wrong filter does not get past the configuration's check.
    let filter = Filter::parse(&settings.filter).unwrap_or_default();
    start_to(filter, settings.format, std::io::stderr());
}

/// Writes lines to `out` from here on, in place of where they went before.
pub fn start_to(filter: Filter, format: LogFormat, out: impl Write + Send + 'static) {
    LOG.store(Some(Arc::new(Log { filter, format, out: Mutex::new(Box::new(out)) })));
}

impl Line {
    /// Writes the line, if the filter lets it through.
    pub fn write(&self) {
        let Some(log) = &*LOG.load() else { return };
        let said = self.declared();
        if !log.filter.admits(said.part, said.level) {
            return;
        }
        let at_ms = SystemClock.now_ms();
        let text = match log.format {
            LogFormat::Text => said.as_text(at_ms),
            LogFormat::Json => said.as_json(at_ms),
        };
        // In one piece, so that lines of two threads do not mix. Lost where it cannot be written: it must not take a
        // thread with it.
        let _ = log.out.lock().unwrap_or_else(PoisonError::into_inner).write_all(text.as_bytes());
    }
}

impl Declared {
    /// For people: time, level, part, text, fields.
    fn as_text(&self, at_ms: i64) -> String {
        let at = timestamp(at_ms);
        let mut text = format!("{at:.3} {:<5} {}: {}", self.level.word(), self.part.word(), self.text);
        for (name, value) in &self.fields {
            text.push_str(&format!(" {name}={value}"));
        }
        text.push('\n');
        text
    }

    /// For machines: an object on a line of its own.
    fn as_json(&self, at_ms: i64) -> String {
        let mut object = Map::new();
        object.insert("at".into(), format!("{:.3}", timestamp(at_ms)).into());
        for (name, word) in
            [("level", self.level.word()), ("part", self.part.word()), ("line", self.name), ("text", self.text)]
        {
            object.insert(name.into(), word.into());
        }
        for (name, value) in &self.fields {
            object.insert((*name).into(), value.as_json());
        }
        format!("{}\n", Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::SegmentId;

    fn waits() -> Declared {
        let full = std::io::Error::from_raw_os_error(libc::ENOSPC);
        Line::SegmentWaits { segment: SegmentId::BEFORE_ALL, fault: Fault::from(&full) }.declared()
    }

    #[test]
    fn a_line_is_its_text_and_its_fields() {
        assert_eq!(
            waits().as_text(1_791_176_400_000),
            "2026-10-05T05:00:00.000Z warn  loader: a segment waits: the store did not take it segment=0 cause=no_space number=28\n"
        );
        let json: Json = serde_json::from_str(&waits().as_json(1_791_176_400_000)).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "at": "2026-10-05T05:00:00.000Z", "level": "warn", "part": "loader", "line": "segment_waits",
                "text": "a segment waits: the store did not take it", "segment": 0, "cause": "no_space", "number": 28,
            })
        );
    }
}
