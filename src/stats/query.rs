//! Reads questions from a query string: every problem at once, none of them repeating the input.

use jiff::civil::Date;
use serde::Serialize;
use tuman_privacy::catalogue::is_name;

use super::{Period, Scope};

/// One thing that is wrong with a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The parameter; none for one that does not exist.
    pub parameter: Option<&'static str>,
    /// What would be right.
    pub detail: String,
}

/// Days, weeks or months.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Interval {
    /// Local days.
    Day,
    /// ISO weeks, from the flags that apps send.
    Week,
    /// Calendar months, from the flags that apps send.
    Month,
}

/// What active devices are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Breakdown {
    /// Nothing.
    #[serde(rename = "none")]
    None,
    /// Platform.
    #[serde(rename = "platform")]
    Platform,
    /// App version.
    #[serde(rename = "version")]
    Version,
    /// Both.
    #[serde(rename = "platform,version")]
    PlatformVersion,
}

impl Breakdown {
    /// Its name in the releases.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Breakdown::None => "",
            Breakdown::Platform => "platform",
            Breakdown::Version => "version",
            Breakdown::PlatformVersion => "platform,version",
        }
    }
}

/// A question for active devices.
#[derive(Debug, Clone, PartialEq)]
pub struct ActivityQuery {
    /// App and period.
    pub scope: Scope,
    /// Days, weeks or months.
    pub interval: Interval,
    /// What they are told apart by.
    pub breakdown: Breakdown,
}

/// A question for events.
#[derive(Debug, Clone, PartialEq)]
pub struct EventsQuery {
    /// App and period.
    pub scope: Scope,
}

/// A question for an app itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppQuery {
    /// Its id.
    pub app: String,
}

/// A question for places.
#[derive(Debug, Clone, PartialEq)]
pub struct PlacesQuery {
    /// App and period.
    pub scope: Scope,
    /// Characters of a cell: 3, 4 or 5.
    pub precision: u8,
}

/// A question for any release.
#[derive(Debug, Clone, PartialEq)]
pub struct ReleaseQuery {
    /// App and period.
    pub scope: Scope,
    /// The release's name.
    pub name: String,
    /// Its breakdown, as in the release; the finest, if none is asked for.
    pub breakdown: Option<String>,
}

/// What a question may be about: the app a token is bound to, the apps there are, and the day it is.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The app that the token is bound to.
    pub bound: Option<&'a str>,
    /// The apps that have a catalogue.
    pub apps: &'a [String],
    /// The local day.
    pub today: Date,
}

/// The parameters of a request, each taken once.
pub(crate) struct Parameters<'a> {
    pairs: Vec<(&'a str, &'a str)>,
    problems: Vec<Problem>,
}

impl<'a> Parameters<'a> {
    pub(crate) fn of(pairs: &'a [(String, String)]) -> Parameters<'a> {
        Parameters { pairs: pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect(), problems: Vec::new() }
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<&'a str> {
        let at = self.pairs.iter().position(|(key, _)| *key == name)?;
        Some(self.pairs.swap_remove(at).1)
    }

    pub(crate) fn wrong(&mut self, parameter: impl Into<Option<&'static str>>, detail: impl Into<String>) {
        self.problems.push(Problem { parameter: parameter.into(), detail: detail.into() });
    }

    pub(crate) fn choice<T: Copy>(&mut self, name: &'static str, choices: &[(&str, T)], default: T) -> T {
        let Some(text) = self.take(name) else {
            return default;
        };
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
            return *value;
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        self.wrong(name, words.join(" | "));
        default
    }

    fn app(&mut self, asked: Asked<'_>) -> Option<String> {
        let Asked { bound, apps, .. } = asked;
        let reaches = |app: &str| apps.iter().any(|known| known == app) && bound.is_none_or(|bound| bound == app);
        let app = match self.take("app") {
            Some(app) => reaches(app).then(|| app.to_owned()),
            None => bound.map(str::to_owned).or_else(|| apps.first().filter(|_| apps.len() == 1).cloned()),
        };
        if app.is_none() {
            self.wrong("app", bound.map_or_else(|| apps.join(" | "), str::to_owned));
        }
        app
    }

    pub(crate) fn scope(&mut self, asked: Asked<'_>) -> Option<Scope> {
        let app = self.app(asked);
        let period = Period::parse(self.take("period").unwrap_or("last_30_days"), asked.today);
        if period.is_none() {
            let allowed =
                "yesterday | last_7_days | last_30_days | last_90_days | YYYY-MM-DD..YYYY-MM-DD, at most 400 days";
            self.wrong("period", allowed);
        }
        Some(Scope { app: app?, period: period? })
    }

    pub(crate) fn end(mut self, known: &'static str) -> Vec<Problem> {
        if !self.pairs.is_empty() {
            self.wrong(None, format!("the parameters are {known}, each once"));
        }
        self.problems
    }
}

impl ActivityQuery {
    /// Reads a question.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(pairs: &[(String, String)], asked: Asked<'_>) -> Result<ActivityQuery, Vec<Problem>> {
        let mut parameters = Parameters::of(pairs);
        let scope = parameters.scope(asked);
        let intervals = [("day", Interval::Day), ("week", Interval::Week), ("month", Interval::Month)];
        let interval = parameters.choice("interval", &intervals, Interval::Day);
        let breakdowns = [
            ("none", Breakdown::None),
            ("platform", Breakdown::Platform),
            ("version", Breakdown::Version),
            ("platform,version", Breakdown::PlatformVersion),
        ];
        let breakdown = parameters.choice("breakdown", &breakdowns, Breakdown::None);
        if interval != Interval::Day && breakdown != Breakdown::None {
            parameters.wrong("breakdown", "none, where interval is week or month");
        }
        let problems = parameters.end("app, period, interval, breakdown");
        match scope {
            Some(scope) if problems.is_empty() => Ok(ActivityQuery { scope, interval, breakdown }),
            _ => Err(problems),
        }
    }
}

impl EventsQuery {
    /// Reads a question.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(pairs: &[(String, String)], asked: Asked<'_>) -> Result<EventsQuery, Vec<Problem>> {
        let mut parameters = Parameters::of(pairs);
        let scope = parameters.scope(asked);
        let problems = parameters.end("app, period");
        match scope {
            Some(scope) if problems.is_empty() => Ok(EventsQuery { scope }),
            _ => Err(problems),
        }
    }
}

impl AppQuery {
    /// Reads a question.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(pairs: &[(String, String)], asked: Asked<'_>) -> Result<AppQuery, Vec<Problem>> {
        let mut parameters = Parameters::of(pairs);
        let app = parameters.app(asked);
        let problems = parameters.end("app");
        match app {
            Some(app) if problems.is_empty() => Ok(AppQuery { app }),
            _ => Err(problems),
        }
    }
}

impl ReleaseQuery {
    /// Reads a question for the release `name`.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(name: &str, pairs: &[(String, String)], asked: Asked<'_>) -> Result<ReleaseQuery, Vec<Problem>> {
        let mut parameters = Parameters::of(pairs);
        if !is_name(name) {
            parameters.wrong("name", "a release's name: lower-case letters, digits, `_`; at most 60");
        }
        let scope = parameters.scope(asked);
        let breakdown = parameters.take("breakdown");
        let is_breakdown = |text: &str| text.len() <= 500 && text.split(',').all(|dim| dim.split('.').all(is_name));
        if breakdown.is_some_and(|text| !is_breakdown(text)) {
            parameters.wrong("breakdown", "dimensions of the release, separated by commas, or none");
        }
        let problems = parameters.end("app, period, breakdown");
        // What the releases call the total has no name.
        let breakdown = breakdown.map(|text| if text == "none" { String::new() } else { text.to_owned() });
        match scope {
            Some(scope) if problems.is_empty() => Ok(ReleaseQuery { scope, name: name.to_owned(), breakdown }),
            _ => Err(problems),
        }
    }
}

impl PlacesQuery {
    /// Reads a question.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(pairs: &[(String, String)], asked: Asked<'_>) -> Result<PlacesQuery, Vec<Problem>> {
        let mut parameters = Parameters::of(pairs);
        let scope = parameters.scope(asked);
        let precision = parameters.choice("precision", &[("3", 3), ("4", 4), ("5", 5)], 4);
        let problems = parameters.end("app, period, precision");
        match scope {
            Some(scope) if problems.is_empty() => Ok(PlacesQuery { scope, precision }),
            _ => Err(problems),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn all_problems_come_at_once_and_repeat_nothing() {
        let apps = ["a".to_owned(), "b".to_owned()];
        let asked = Asked { bound: None, apps: &apps, today: jiff::civil::date(2026, 11, 23) };
        let imei = "490154203237518";
        let wrong = pairs(&[("period", imei), ("interval", "year"), ("app", "c"), ("user", imei)]);
        let problems = ActivityQuery::parse(&wrong, asked).unwrap_err();
        let names: Vec<&str> = problems.iter().map(|problem| problem.parameter.unwrap_or("?")).collect();
        assert_eq!(names, ["app", "period", "interval", "?"]);
        assert!(!format!("{problems:?}").contains(imei));
    }

    #[test]
    fn a_bound_token_asks_about_its_app_only() {
        let apps = ["a".to_owned(), "b".to_owned()];
        let asked = Asked { bound: Some("a"), apps: &apps, today: jiff::civil::date(2026, 11, 23) };
        assert_eq!(EventsQuery::parse(&[], asked).unwrap().scope.app, "a");
        assert!(EventsQuery::parse(&pairs(&[("app", "b")]), asked).is_err());
    }
}
