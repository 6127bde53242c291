//! Releases and how they were sealed, from the store into tables.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Deserialize;

use super::ExportError;
use super::frame::{Column, Frame, Values};
use crate::seal::release::Counts;
use crate::stats::{Scope, Seal, all_seals};
use crate::store::{Statement, Store, StoreError};

/// What a value that tells no dimension apart says in `breakdown`.
const TOTAL: &str = "total";

/// The seals of one release, by day.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seals {
    pub(super) name: String,
    pub(super) days: Vec<Seal>,
}

/// A value of a release.
#[derive(Debug, Clone, Deserialize)]
struct Value {
    day: Date,
    breakdown: String,
    dims: Vec<String>,
    value: i64,
    margin: f64,
}

/// A release of a period.
pub(super) struct Released {
    pub(super) seals: Seals,
    values: Vec<Value>,
}

/// The seals of a period, by release.
pub(super) fn seals(store: &dyn Store, scope: &Scope) -> Result<Vec<Seals>, StoreError> {
    let mut by_release: BTreeMap<String, Vec<Seal>> = BTreeMap::new();
    for seal in all_seals(store, scope)? {
        by_release.entry(seal.release.clone()).or_default().push(seal);
    }
    Ok(by_release.into_iter().map(|(name, days)| Seals { name, days }).collect())
}

/// A release of a period, with at most so many values.
pub(super) fn release(
    store: &dyn Store,
    scope: &Scope,
    name: &str,
    seals: &[Seals],
    most: u64,
) -> Result<Released, ExportError> {
    let seals = seals.iter().find(|seals| seals.name == name).ok_or(ExportError::NoSuchRelease)?;
    // What is too large is known before it is read.
    let published: u64 = seals.days.iter().map(|seal| seal.published).sum();
    if published > most {
        return Err(ExportError::TooLarge(most));
    }
    let statement = Statement::new(include_str!("sql/values.sql"))
        .bind("app", &scope.app)
        .bind("release", name)
        .bind("from", scope.period.from)
        .bind("to", scope.period.to)
        .bind("most", most);
    Ok(Released { seals: seals.clone(), values: store.rows(&statement)? })
}

impl Released {
    /// The dimensions that the release had, in the order in which its days had them.
    pub(super) fn dims(&self) -> Vec<String> {
        let mut dims: Vec<String> = Vec::new();
        for dim in self.seals.days.iter().flat_map(|seal| &seal.dims) {
            if !dims.contains(dim) {
                dims.push(dim.clone());
            }
        }
        dims
    }

    /// Its values as a table. They are moved: there may be many.
    pub(super) fn frame(mut self, counts: Option<Counts>) -> Frame {
        let dims = self.dims();
        let mut columns = vec![
            column("date", DATE, None, Values::Dates(self.values.iter().map(|value| value.day).collect())),
            column("breakdown", BREAKDOWN, None, Values::Texts(self.values.iter().map(breakdown).collect())),
        ];
        for dim in &dims {
            let values: Vec<Option<String>> = self.values.iter_mut().map(|value| value.take(dim)).collect();
            let places = (dim == "cell").then(|| middles(&values));
            let about = format!("`{dim}`, where the breakdown tells it apart");
            columns.push(column(dim, &about, None, Values::Texts(values)));
            columns.extend(places.into_iter().flatten());
        }
        let unit = counts.map(Counts::word);
        let values = self.values.iter().map(|value| Some(value.value)).collect();
        let margins = self.values.iter().map(|value| Some(rounded(value.margin))).collect();
        columns.push(column("value", VALUE, unit, Values::Integers(values)));
        columns.push(column("margin", MARGIN, unit, Values::Numbers(margins)));
        Frame { columns }
    }
}

impl Value {
    /// Takes its value of a dimension, where it has one.
    fn take(&mut self, dim: &str) -> Option<String> {
        let at = self.breakdown.split(',').position(|name| name == dim)?;
        self.dims.get_mut(at).map(std::mem::take)
    }
}

const DATE: &str = "The local day, in the zone of the collector";
const BREAKDOWN: &str = "Which dimensions are told apart, separated by commas; `total` is all together. Values of \
                         different breakdowns overlap: never add them up";
const VALUE: &str = "The published count: unbiased, so that noise can take a small one below zero";
const MARGIN: &str =
    "With 95 % probability the true count lies within this distance of the value; without noise, always";

fn column(name: &str, about: &str, unit: Option<&'static str>, values: Values) -> Column {
    Column { name: name.to_owned(), about: about.to_owned(), unit, values }
}

fn breakdown(value: &Value) -> Option<String> {
    Some(if value.breakdown.is_empty() { TOTAL.to_owned() } else { value.breakdown.clone() })
}

/// The middles of cells: columns for programs that do not read geohashes.
fn middles(cells: &[Option<String>]) -> [Column; 2] {
    let middle = |cell: &Option<String>| geohash::decode(cell.as_deref()?).ok();
    let (mut lats, mut lons) = (Vec::with_capacity(cells.len()), Vec::with_capacity(cells.len()));
    for point in cells.iter().map(middle) {
        lats.push(point.map(|(middle, _, _)| rounded(middle.y)));
        lons.push(point.map(|(middle, _, _)| rounded(middle.x)));
    }
    [
        column("lat", "Latitude of the middle of the cell (WGS 84)", Some("degrees"), Values::Numbers(lats)),
        column("lon", "Longitude of the middle of the cell (WGS 84)", Some("degrees"), Values::Numbers(lons)),
    ]
}

/// To four decimals, the same in every format.
fn rounded(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

/// How each release of each day was sealed, as a table.
pub(super) fn seals_frame(seals: &[&Seals]) -> Frame {
    let all: Vec<&Seal> = seals.iter().flat_map(|seals| &seals.days).collect();
    let texts = |of: fn(&Seal) -> String| Values::Texts(all.iter().map(|seal| Some(of(seal))).collect());
    let integers = |of: fn(&Seal) -> Option<i64>| Values::Integers(all.iter().map(|seal| of(seal)).collect());
    let numbers =
        |of: fn(&Seal) -> Option<f64>| Values::Numbers(all.iter().map(|seal| of(seal).map(rounded)).collect());
    let suppressed = |seal: &Seal| seal.suppressed().iter().map(|(_, n)| n).sum::<u64>().try_into().ok();
    let hour = |seal: &Seal| seal.hour().map(i64::from);
    let windows = |seal: &Seal| seal.windows().map(i64::from);
    let days = Values::Dates(all.iter().map(|seal| seal.day).collect());
    let columns = vec![
        column("date", DATE, None, days),
        column("release", "The release", None, texts(|seal| seal.release.clone())),
        column("dimensions", "Its dimensions, separated by commas", None, texts(|seal| seal.dims.join(","))),
        column(
            "bound",
            "How much one device adds at most; in one hour, where that was sealed",
            None,
            integers(|seal| Some(seal.bound.into())),
        ),
        column(
            "epsilon",
            "Privacy budget spent, by all hours of a day together; none where there is no noise",
            None,
            numbers(Seal::epsilon),
        ),
        column("scale", "Scale of the noise; none where there is none", None, numbers(Seal::scale)),
        column("threshold", "Values below are not published; none where all are", None, integers(Seal::threshold)),
        column("mechanism", "How values were protected", None, texts(|seal| seal.mechanism.clone())),
        column("domain", "How many cells got noise", None, integers(|seal| seal.domain.try_into().ok())),
        column("published", "How many values were published", None, integers(|seal| seal.published.try_into().ok())),
        column("suppressed", "How many were not", None, integers(suppressed)),
        column("hour", "The local hour that was sealed; none where it was the day", None, integers(hour)),
        column("windows", "In how many hours of a day one device counts", None, integers(windows)),
    ];
    Frame { columns }
}
