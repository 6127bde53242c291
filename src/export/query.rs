//! Reads what is to be exported: every problem at once, none of them repeating the input.

use tuman_privacy::catalogue::is_name;

use super::Format;
use crate::stats::{Asked, Problem, QueryParameters, Scope};

/// One release as a file.
#[derive(Debug, Clone, PartialEq)]
pub struct ReleaseQuery {
    /// App and period.
    pub scope: Scope,
    /// The release's name.
    pub release: String,
    /// The form of the file.
    pub format: Format,
}

/// All releases, or one, with their description.
#[derive(Debug, Clone, PartialEq)]
pub struct PackageQuery {
    /// App and period.
    pub scope: Scope,
    /// The only release; all, if none is named.
    pub release: Option<String>,
    /// The form of its files.
    pub format: Format,
}

const NAME: &str = "a release's name: lower-case letters, digits, `_`; at most 60";

impl ReleaseQuery {
    /// Reads a question for the release `name`. `accept` says the format where no parameter does.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(
        name: &str,
        pairs: &[(String, String)],
        accept: &str,
        asked: Asked<'_>,
    ) -> Result<ReleaseQuery, Vec<Problem>> {
        let mut parameters = QueryParameters::of(pairs);
        if !is_name(name) {
            parameters.wrong("name", NAME);
        }
        let scope = parameters.scope(asked);
        let format = format(&mut parameters, accept);
        let problems = parameters.end("app, period, format");
        match scope {
            Some(scope) if problems.is_empty() => Ok(ReleaseQuery { scope, release: name.to_owned(), format }),
            _ => Err(problems),
        }
    }
}

impl PackageQuery {
    /// Reads a question.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(pairs: &[(String, String)], asked: Asked<'_>) -> Result<PackageQuery, Vec<Problem>> {
        let mut parameters = QueryParameters::of(pairs);
        let scope = parameters.scope(asked);
        let release = parameters.take("release").map(str::to_owned);
        if release.as_deref().is_some_and(|name| !is_name(name)) {
            parameters.wrong("release", NAME);
        }
        let format = format(&mut parameters, "");
        let problems = parameters.end("app, period, release, format");
        match scope {
            Some(scope) if problems.is_empty() => Ok(PackageQuery { scope, release, format }),
            _ => Err(problems),
        }
    }
}

fn format(parameters: &mut QueryParameters<'_>, accept: &str) -> Format {
    let words = Format::ALL.map(|format| (format.extension(), format));
    parameters.choice("format", &words, Format::accepted(accept).unwrap_or(Format::Csv))
}
