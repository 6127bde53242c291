//! Which lines are written: `log.filter`.

use std::fmt;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something must be done.
    Error,
    /// Something went wrong and is tried again, or is lost.
    Warn,
    /// What the collector does.
    Info,
    /// How it does it.
    Debug,
}

impl Level {
    /// All levels.
    pub const ALL: [Level; 4] = [Level::Error, Level::Warn, Level::Info, Level::Debug];

    /// Its word, in the log and in filters.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }
}

/// A part of the collector that logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The process: starting, stopping, reloading.
    Serve,
    /// Requests.
    Http,
    /// The durable queue.
    Spool,
    /// From the spool to the store.
    Loader,
    /// The engine.
    Store,
    /// From open days to releases.
    Seal,
    /// The audit log.
    Audit,
    /// The control socket.
    Control,
    /// The simulated fleet.
    Demo,
}

impl Part {
    /// All parts.
    pub const ALL: [Part; 9] = [
        Part::Serve,
        Part::Http,
        Part::Spool,
        Part::Loader,
        Part::Store,
        Part::Seal,
        Part::Audit,
        Part::Control,
        Part::Demo,
    ];

    /// Its word, in the log and in filters.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Part::Serve => "serve",
            Part::Http => "http",
            Part::Spool => "spool",
            Part::Loader => "loader",
            Part::Store => "store",
            Part::Seal => "seal",
            Part::Audit => "audit",
            Part::Control => "control",
            Part::Demo => "demo",
        }
    }
}

/// A level for all parts, and other levels for some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Nothing is written of a part without a level.
    all: Option<Level>,
    /// The last entry of a part counts.
    parts: Vec<(Part, Option<Level>)>,
}

impl Default for Filter {
    fn default() -> Filter {
        Filter { all: Some(Level::Info), parts: Vec::new() }
    }
}

/// A text that is no filter. Its message says what one looks like, and nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongFilter;

impl fmt::Display for WrongFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<&str> = Part::ALL.iter().map(|part| part.word()).collect();
        write!(
            f,
            "expected off, error, warn, info, debug or trace, and for single parts others, such as \"info,seal=debug\"; \
             the parts are {}",
            parts.join(", ")
        )
    }
}

impl Filter {
    /// Reads a level (`off`, `error`, `warn`, `info`, `debug`, or `trace`, which is `debug`) and any number of
    /// `part=level` after it, with commas between them.
    ///
    /// # Errors
    /// Where it is something else.
    pub fn parse(text: &str) -> Result<Filter, WrongFilter> {
        let mut words = text.split(',').map(str::trim);
        let mut filter = Filter { all: level(words.next().unwrap_or_default())?, parts: Vec::new() };
        for word in words {
            let (part, of_part) = word.split_once('=').ok_or(WrongFilter)?;
            let part = Part::ALL.into_iter().find(|known| known.word() == part.trim()).ok_or(WrongFilter)?;
            filter.parts.push((part, level(of_part.trim())?));
        }
        Ok(filter)
    }

    /// Whether lines of a part and a level are written.
    #[must_use]
    pub fn admits(&self, part: Part, level: Level) -> bool {
        let of_part = self.parts.iter().rev().find(|(known, _)| *known == part).map(|(_, most)| *most);
        of_part.unwrap_or(self.all).is_some_and(|most| level <= most)
    }
}

fn level(word: &str) -> Result<Option<Level>, WrongFilter> {
    match word {
        "off" => Ok(None),
        "trace" => Ok(Some(Level::Debug)),
        _ => Level::ALL.into_iter().find(|level| level.word() == word).map(Some).ok_or(WrongFilter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_sets_a_level_for_all_and_for_parts() {
        let filter = Filter::parse("warn, seal=debug,spool=off").unwrap();
        assert!(filter.admits(Part::Http, Level::Error) && filter.admits(Part::Http, Level::Warn));
        assert!(!filter.admits(Part::Http, Level::Info));
        assert!(filter.admits(Part::Seal, Level::Debug));
        assert!(!filter.admits(Part::Spool, Level::Error));
        assert_eq!(Filter::parse("info"), Ok(Filter::default()));
        assert_eq!(Filter::parse("trace"), Filter::parse("debug"));
        assert!(!Filter::parse("off").unwrap().admits(Part::Serve, Level::Error));
    }

    #[test]
    fn other_crates_cannot_be_named_and_nothing_of_a_wrong_filter_is_echoed() {
        for text in
            ["", "loud", "info,actix_http=trace", "info,tuman=debug", "trace,h2=trace", "seal=debug", "info,seal"]
        {
            assert_eq!(Filter::parse(text), Err(WrongFilter), "{text}");
        }
        assert!(Filter::parse("info,490154203237518=debug").is_err_and(|wrong| !wrong.to_string().contains("4901")));
    }
}
