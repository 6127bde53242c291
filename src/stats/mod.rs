//! Questions on releases.
//!
//! Guarantees: reads `releases` and `seals` only, and only days and hours whose seal is complete, so that the same question about
//! sealed days always has the same answer. Every number comes with its 95 % margin; every answer says what was
//! suppressed, under which parameters, and how fresh it is.
//! Does not: touch open rows, add noise, or clamp: values are unbiased and can lie below zero, unless consistent ones are
//! asked for.

mod answers;
mod consistent;
mod numbers;
mod period;
mod query;
mod seal;

use std::collections::{BTreeMap, BTreeSet};

use jiff::ToSpan;
use jiff::civil::Date;
use serde::Deserialize;

pub use answers::{
    Activity, CellValue, EventValue, Events, Fresh, LastHour, Parameters, Places, Point, ReleaseAnswer, Suppressed,
    Total, geojson,
};
pub use consistent::Shown;
pub use numbers::{Buckets, Numbers, Quantile};
pub use period::Period;
pub(crate) use query::Parameters as QueryParameters;
pub use query::{
    ActivityQuery, AppQuery, Asked, Breakdown, EventsQuery, Interval, PlacesQuery, Problem, ReleaseQuery,
};
pub(crate) use seal::{Seal, seals as all_seals};

use crate::seal::release::by_hour;
use crate::store::{Statement, Store, StoreError};

/// A value of a release.
#[derive(Debug, Clone, Deserialize)]
struct Value {
    day: Date,
    dims: Vec<String>,
    value: i64,
    margin: f64,
}

/// What is asked about: an app and a period.
#[derive(Debug, Clone, PartialEq)]
pub struct Scope {
    /// The app.
    pub app: String,
    /// The period.
    pub period: Period,
}

/// Answers the question for active devices.
///
/// # Errors
/// Where the store cannot be read.
pub fn activity(store: &dyn Store, query: &ActivityQuery) -> Result<Activity, StoreError> {
    let (release, breakdown) = match query.interval {
        Interval::Hour => ("active_by_hour", "hour"),
        Interval::Day => ("active_devices", query.breakdown.name()),
        Interval::Week | Interval::Month => ("first_use", "first"),
    };
    let seals = seals(store, &query.scope, &[release])?;
    let values = values(store, &query.scope, release, breakdown)?;
    let names: Vec<&str> = breakdown.split(',').filter(|name| !name.is_empty()).collect();
    let mut series: Vec<Point> = match query.interval {
        Interval::Hour | Interval::Day => values
            .into_iter()
            .map(|value| Point {
                from: value.day,
                to: value.day,
                days: 1,
                dims: names.iter().map(|name| (*name).to_owned()).zip(value.dims).collect(),
                devices: value.value,
                margin: value.margin,
            })
            .collect(),
        Interval::Week => sums(values, "week", |day| {
            let monday = day.saturating_sub(i64::from(day.weekday().to_monday_zero_offset()).days());
            (monday, monday.saturating_add(6.days()))
        }),
        Interval::Month => sums(values, "month", |day| (day.first_of_month(), day.last_of_month())),
    };
    if query.shown.is_consistent() && query.interval == Interval::Day {
        consistent::answer::activity(store, &query.scope, &names, &mut series)?;
    }
    let made = Made::of(&query.scope, seals);
    let ActivityQuery { scope, interval, breakdown, shown } = query.clone();
    Ok(Activity { scope, interval, breakdown, shown, series, made })
}

/// Sums of the daily flags `measure` over weeks or months: each device is counted on its first day of it.
fn sums(values: Vec<Value>, measure: &str, span: impl Fn(Date) -> (Date, Date)) -> Vec<Point> {
    let mut spans: BTreeMap<Date, Point> = BTreeMap::new();
    for value in values.into_iter().filter(|value| value.dims.first().is_some_and(|dim| dim == measure)) {
        let (from, to) = span(value.day);
        let empty = Point { from, to, days: 0, dims: BTreeMap::new(), devices: 0, margin: 0.0 };
        let point = spans.entry(from).or_insert(empty);
        point.days += 1;
        point.devices += value.value;
        point.margin = point.margin.hypot(value.margin);
    }
    spans.into_values().collect()
}

/// Answers the question for events.
///
/// # Errors
/// Where the store cannot be read.
pub fn events(store: &dyn Store, query: &EventsQuery) -> Result<Events, StoreError> {
    let seals = seals(store, &query.scope, &["event_devices", "event_totals"])?;
    let mut by_name: BTreeMap<String, EventValue> = BTreeMap::new();
    for (release, is_total) in [("event_devices", false), ("event_totals", true)] {
        for value in values(store, &query.scope, release, "event")? {
            let Some(name) = value.dims.first() else { continue };
            let event = by_name.entry(name.clone()).or_insert_with(|| EventValue::named(name));
            let slot = if is_total { &mut event.events } else { &mut event.devices };
            slot.get_or_insert_with(Total::default).add(value.value, value.margin);
        }
    }
    let mut events: Vec<EventValue> = by_name.into_values().collect();
    events.sort_by_key(|event| std::cmp::Reverse(event.events.as_ref().map_or(i64::MIN, |total| total.value)));
    Ok(Events { scope: query.scope.clone(), events, made: Made::of(&query.scope, seals) })
}

/// Answers the question for places.
///
/// # Errors
/// Where the store cannot be read.
pub fn places(store: &dyn Store, query: &PlacesQuery) -> Result<Places, StoreError> {
    let release = match query.precision {
        3 => "places_3",
        5 => "places_5",
        _ => "places_4",
    };
    let seals = seals(store, &query.scope, &[release, "region"])?;
    let mut by_cell: BTreeMap<String, Total> = BTreeMap::new();
    for value in values(store, &query.scope, release, "cell")? {
        let Some(cell) = value.dims.into_iter().next() else {
            continue;
        };
        by_cell.entry(cell).or_default().add(value.value, value.margin);
    }
    let mut cells: Vec<CellValue> =
        by_cell.into_iter().filter_map(|(cell, total)| CellValue::of(cell, total)).collect();
    cells.sort_by_key(|cell| std::cmp::Reverse(cell.total.value));
    let mut region = None;
    for value in values(store, &query.scope, "region", "")? {
        region.get_or_insert_with(Total::default).add(value.value, value.margin);
    }
    let made = Made::of(&query.scope, seals);
    let PlacesQuery { scope, precision, shown } = query.clone();
    let mut answer = Places { scope, precision, shown, cells, region, made };
    if shown.is_consistent() {
        consistent::answer::places(store, &query.scope, &mut answer)?;
    }
    Ok(answer)
}

/// Answers the question for any release, day by day and summed over the period. `buckets` are those of the catalogue
/// in force.
///
/// # Errors
/// Where the store cannot be read.
pub fn release(store: &dyn Store, query: &ReleaseQuery, buckets: &Buckets) -> Result<ReleaseAnswer, StoreError> {
    let seals = seals(store, &query.scope, &[&query.name])?;
    // The finest breakdown is by all dimensions; those of the last seal, where a catalogue has changed them.
    let finest = seals.last().map(|seal| seal.dims.join(","));
    // Hours are told apart in whatever is asked of a release that is sealed every hour: they do not add up.
    let is_hourly = seals.last().is_some_and(|seal| seal.hour().is_some());
    let with_hour = |asked: String| {
        if is_hourly && !asked.split(',').any(|name| name == "hour") { by_hour(&asked) } else { asked }
    };
    // Nothing of the question is repeated that is not in a seal.
    let is_known = |breakdown: &String| {
        let mut asked = breakdown.split(',').filter(|name| !name.is_empty());
        asked.all(|name| seals.iter().any(|seal| seal.dims.iter().any(|dim| dim == name)))
    };
    let breakdown =
        finest.and_then(|finest| query.breakdown.clone().map(with_hour).or(Some(finest)).filter(is_known));
    let name = seals.last().map(|seal| seal.release.clone());
    let Some(breakdown) = breakdown else {
        return Ok(ReleaseAnswer {
            scope: query.scope.clone(),
            shown: query.shown,
            name,
            breakdown: None,
            dims: Vec::new(),
            days: Vec::new(),
            sums: Vec::new(),
            numbers: Vec::new(),
            made: Made::of(&query.scope, seals),
        });
    };
    let dims: Vec<String> = breakdown.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let mut days = Vec::new();
    let mut by_dims: BTreeMap<Vec<String>, Total> = BTreeMap::new();
    for value in values(store, &query.scope, &query.name, &breakdown)? {
        by_dims.entry(value.dims.clone()).or_default().add(value.value, value.margin);
        days.push((value.day, value.dims, value.value, value.margin));
    }
    let sums: Vec<(Vec<String>, Total)> = by_dims.into_iter().collect();
    let numbers = numbers::of(&dims, &sums, buckets);
    let made = Made::of(&query.scope, seals);
    let (scope, shown, breakdown) = (query.scope.clone(), query.shown, Some(breakdown));
    let mut answer = ReleaseAnswer { scope, shown, name, breakdown, dims, days, sums, numbers, made };
    if shown.is_consistent() {
        consistent::answer::release(store, &mut answer)?;
    }
    Ok(answer)
}

/// What the answers about an app and period are made of. While it is the same, so are the answers: sealed days never
/// change, but days are sealed, and old ones may be deleted.
///
/// # Errors
/// Where the store cannot be read.
pub fn state(store: &dyn Store, scope: &Scope) -> Result<String, StoreError> {
    #[derive(Deserialize)]
    struct Row {
        state: String,
    }
    let statement = Statement::new(include_str!("sql/state.sql"))
        .bind("app", &scope.app)
        .bind("from", scope.period.from)
        .bind("to", scope.period.to);
    let rows: Vec<Row> = store.rows(&statement)?;
    Ok(rows.into_iter().map(|row| row.state).collect())
}

fn seals(store: &dyn Store, scope: &Scope, releases: &[&str]) -> Result<Vec<Seal>, StoreError> {
    let mut seals = all_seals(store, scope)?;
    seals.retain(|seal| releases.contains(&seal.release.as_str()));
    Ok(seals)
}

fn values(store: &dyn Store, scope: &Scope, release: &str, breakdown: &str) -> Result<Vec<Value>, StoreError> {
    let statement = Statement::new(include_str!("sql/values.sql"))
        .bind("app", &scope.app)
        .bind("release", release)
        .bind("breakdown", breakdown)
        .bind("from", scope.period.from)
        .bind("to", scope.period.to);
    store.rows(&statement)
}

/// How an answer's numbers were made.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// How fresh the answer is.
    pub fresh: Fresh,
    /// The parameters of its releases.
    pub releases: Vec<Parameters>,
    /// What was not published.
    pub suppressed: Vec<Suppressed>,
}

impl Made {
    fn of(scope: &Scope, seals: Vec<Seal>) -> Made {
        let days: BTreeSet<Date> = seals.iter().map(|seal| seal.day).collect();
        let period = scope.period;
        let asked = period.from.series(1.day()).take_while(|day| *day <= period.to);
        let missing_days = asked.filter(|day| !days.contains(day)).collect();
        let hour = |seal: &Seal| seal.hour().map(|hour| LastHour { day: seal.day, hour });
        let last_hour = seals.iter().filter_map(hour).max();
        let mut releases: Vec<Parameters> = Vec::new();
        let mut suppressed: BTreeMap<(String, String), u64> = BTreeMap::new();
        for seal in seals {
            for (breakdown, n) in seal.suppressed() {
                *suppressed.entry((seal.release.clone(), breakdown)).or_default() += n;
            }
            let parameters = Parameters {
                windows: seal.windows(),
                bound: seal.bound,
                epsilon: seal.epsilon(),
                scale: seal.scale(),
                threshold: seal.threshold(),
                name: seal.release,
                mechanism: seal.mechanism,
            };
            if !releases.contains(&parameters) {
                releases.push(parameters);
            }
        }
        let suppressed = suppressed
            .into_iter()
            .map(|((release, breakdown), values)| Suppressed { release, breakdown, values })
            .collect();
        let fresh = Fresh { sealed_through: days.last().copied(), sealed_days: days.len(), missing_days, last_hour };
        Made { fresh, releases, suppressed }
    }
}

/// Problems for people, one a line.
#[must_use]
pub fn told(problems: &[Problem]) -> String {
    let lines = problems.iter().map(|problem| format!("{}: {}", problem.parameter.unwrap_or("?"), problem.detail));
    lines.collect::<Vec<_>>().join("\n")
}

/// Asks by name: `activity`, `events`, `places`, `places.geojson`, or `release`, whose `name` is a parameter and
/// which needs the buckets of the app asked about.
///
/// # Errors
/// What is wrong with the question, or with the store, for people.
pub fn ask(
    store: &dyn Store,
    what: &str,
    parameters: &[(String, String)],
    asked: Asked<'_>,
    buckets: impl FnOnce(&str) -> Buckets,
) -> Result<serde_json::Value, String> {
    let wrong = |problems: Vec<Problem>| told(&problems);
    let failed = |error: StoreError| error.to_string();
    match what {
        "activity" => {
            let query = ActivityQuery::parse(parameters, asked).map_err(wrong)?;
            Ok(serde_json::json!(activity(store, &query).map_err(failed)?))
        }
        "events" => {
            let query = EventsQuery::parse(parameters, asked).map_err(wrong)?;
            Ok(serde_json::json!(events(store, &query).map_err(failed)?))
        }
        "places" | "places.geojson" => {
            let query = PlacesQuery::parse(parameters, asked).map_err(wrong)?;
            let places = places(store, &query).map_err(failed)?;
            Ok(if what == "places" { serde_json::json!(places) } else { geojson(&places) })
        }
        "release" => {
            let (names, rest): (Vec<_>, Vec<_>) =
                parameters.iter().cloned().partition(|(parameter, _)| parameter == "name");
            let name = names.first().map_or("", |(_, name)| name.as_str());
            let query = ReleaseQuery::parse(name, &rest, asked).map_err(wrong)?;
            let buckets = buckets(&query.scope.app);
            Ok(serde_json::json!(release(store, &query, &buckets).map_err(failed)?))
        }
        _ => Err("the questions are activity, events, places, places.geojson, release".into()),
    }
}
