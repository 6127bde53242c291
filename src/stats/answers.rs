//! Answers, in the form that goes out.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::{Breakdown, Interval, Made, Numbers, Scope, Shown};

/// How fresh an answer is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fresh {
    /// The last sealed day of the period.
    pub sealed_through: Option<Date>,
    /// How many of its days are sealed.
    pub sealed_days: usize,
    /// Those that are not.
    pub missing_days: Vec<Date>,
}

/// The parameters of a release.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Parameters {
    /// Its name.
    pub name: String,
    /// How much one device adds at most.
    pub bound: u32,
    /// The budget of a day; none where there is no noise.
    pub epsilon: Option<f64>,
    /// Scale of the noise; none where there is none.
    pub scale: Option<f64>,
    /// Values below are not published; none where all are.
    pub threshold: Option<i64>,
    /// How values were protected.
    pub mechanism: String,
}

/// What was not published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Suppressed {
    /// The release.
    pub release: String,
    /// The breakdown.
    pub breakdown: String,
    /// How many values, over all days.
    pub values: u64,
}

/// A sum of published values.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Total {
    /// The sum.
    pub value: i64,
    /// Its 95 % margin.
    #[serde(serialize_with = "rounded")]
    pub margin: f64,
    /// How many days it holds.
    pub days: u32,
}

impl Total {
    /// Adds a day. Margins of independent days grow with the square root: this is a little wider than exact.
    pub fn add(&mut self, value: i64, margin: f64) {
        self.value += value;
        self.margin = self.margin.hypot(margin);
        self.days += 1;
    }
}

/// Active devices.
#[derive(Debug, Clone, PartialEq)]
pub struct Activity {
    pub(super) scope: Scope,
    pub(super) interval: Interval,
    pub(super) breakdown: Breakdown,
    pub(super) shown: Shown,
    /// The values, by day and dimensions.
    pub series: Vec<Point>,
    /// How they were made.
    pub made: Made,
}

/// Active devices of a day, week or month.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// The first day.
    pub from: Date,
    /// The last day.
    pub to: Date,
    /// How many sealed days it holds.
    pub days: u32,
    /// Dimensions and their values.
    pub dims: BTreeMap<String, String>,
    /// The noisy count.
    pub devices: i64,
    /// Its 95 % margin.
    #[serde(serialize_with = "rounded")]
    pub margin: f64,
}

/// Events by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Events {
    pub(super) scope: Scope,
    /// The most frequent first.
    pub events: Vec<EventValue>,
    /// How they were made.
    pub made: Made,
}

/// An event's totals.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventValue {
    /// Its name.
    pub name: String,
    /// Sum over days of devices that sent it; none where it was never published.
    pub devices: Option<Total>,
    /// How often it was sent; none where it was never published.
    pub events: Option<Total>,
}

impl EventValue {
    pub(super) fn named(name: &str) -> EventValue {
        EventValue { name: name.to_owned(), devices: None, events: None }
    }
}

/// Devices by cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Places {
    pub(super) scope: Scope,
    pub(super) precision: u8,
    pub(super) shown: Shown,
    /// The busiest first.
    pub cells: Vec<CellValue>,
    /// The whole region.
    pub region: Option<Total>,
    /// How they were made.
    pub made: Made,
}

/// A cell's devices.
#[derive(Debug, Clone, PartialEq)]
pub struct CellValue {
    /// The geohash.
    pub cell: String,
    /// West, south, east, north in degrees.
    pub bounds: [f64; 4],
    /// Devices, summed over days.
    pub total: Total,
}

impl CellValue {
    pub(super) fn of(cell: String, total: Total) -> Option<CellValue> {
        let bounds = geohash::decode_bbox(&cell).ok()?;
        let (low, high) = (bounds.min(), bounds.max());
        Some(CellValue { cell, bounds: [low.x, low.y, high.x, high.y], total })
    }

    /// The middle of the cell: latitude, longitude.
    #[must_use]
    pub fn middle(&self) -> (f64, f64) {
        let [west, south, east, north] = self.bounds;
        (f64::midpoint(south, north), f64::midpoint(west, east))
    }

    /// Devices of a day, on average over the days on which the cell was published.
    #[must_use]
    pub fn per_day(&self) -> i64 {
        let days = i64::from(self.total.days.max(1));
        // Rounded to the nearest, so that it stays unbiased below zero too.
        (2 * self.total.value + days).div_euclid(2 * days)
    }

    fn properties(&self) -> Value {
        let (lat, lon) = self.middle();
        json!({
            "cell": self.cell,
            "lat": round(lat, 1e4),
            "lon": round(lon, 1e4),
            "device_days": self.total.value,
            "per_day": self.per_day(),
            "margin": round(self.total.margin, 10.0),
            "days": self.total.days,
        })
    }
}

/// The values of any release.
#[derive(Debug, Clone, PartialEq)]
pub struct ReleaseAnswer {
    pub(super) scope: Scope,
    pub(super) shown: Shown,
    /// The release; none where no day of the period has it.
    pub name: Option<String>,
    /// The breakdown; none where the release does not have it.
    pub breakdown: Option<String>,
    /// Its dimensions.
    pub dims: Vec<String>,
    /// Values by day: dimensions, value, margin.
    pub days: Vec<(Date, Vec<String>, i64, f64)>,
    /// Values summed over the period.
    pub sums: Vec<(Vec<String>, Total)>,
    /// What the sums say of a bucketed number.
    pub numbers: Vec<Numbers>,
    /// How they were made.
    pub made: Made,
}

/// Values of a release, written as they are: a year of them is long.
struct Values<'a> {
    names: &'a [String],
    days: &'a [(Date, Vec<String>, i64, f64)],
}

/// Names and values of dimensions, as an object.
struct Dims<'a>(&'a [String], &'a [String]);

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Row<'a> {
            day: Date,
            dims: Dims<'a>,
            value: i64,
            #[serde(serialize_with = "rounded")]
            margin: f64,
        }
        serializer.collect_seq(self.days.iter().map(|(day, dims, value, margin)| Row {
            day: *day,
            dims: Dims(self.names, dims),
            value: *value,
            margin: *margin,
        }))
    }
}

impl Serialize for Dims<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().zip(self.1))
    }
}

impl Serialize for ReleaseAnswer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let sum = |(dims, total): &(Vec<String>, Total)| {
            let dims: BTreeMap<&String, &String> = self.dims.iter().zip(dims).collect();
            json!({ "dims": dims, "value": total.value, "margin": round(total.margin, 10.0), "days": total.days })
        };
        let breakdown = self.breakdown.as_deref().map(|name| if name.is_empty() { "none" } else { name });
        let own = json!({
            "consistent": self.shown.is_consistent(),
            "release": self.name,
            "breakdown": breakdown,
            "sums": self.sums.iter().map(sum).collect::<Vec<_>>(),
            "numbers": self.numbers,
        });
        let Value::Object(whole) = whole(&self.scope, &self.made, own) else {
            return Err(serde::ser::Error::custom("an answer is an object"));
        };
        let mut answer = serializer.serialize_map(Some(whole.len() + 1))?;
        for (key, value) in &whole {
            answer.serialize_entry(key, value)?;
        }
        answer.serialize_entry("values", &Values { names: &self.dims, days: &self.days })?;
        answer.end()
    }
}

impl Serialize for Activity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let own = json!({
            "consistent": self.shown.is_consistent(),
            "interval": self.interval,
            "breakdown": self.breakdown,
            "series": self.series,
        });
        whole(&self.scope, &self.made, own).serialize(serializer)
    }
}

impl Serialize for Events {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        whole(&self.scope, &self.made, json!({ "events": self.events })).serialize(serializer)
    }
}

impl Serialize for Places {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let cells: Vec<Value> = self.cells.iter().map(CellValue::properties).collect();
        let own = json!({
            "consistent": self.shown.is_consistent(),
            "precision": self.precision,
            "cells": cells,
            "region": region(self),
        });
        whole(&self.scope, &self.made, own).serialize(serializer)
    }
}

/// The places as GeoJSON (RFC 7946): a polygon per cell.
#[must_use]
pub fn geojson(places: &Places) -> Value {
    let features: Vec<Value> = places.cells.iter().map(feature).collect();
    let own = json!({
        "type": "FeatureCollection",
        "consistent": places.shown.is_consistent(),
        "precision": places.precision,
        "region": region(places),
        "features": features,
    });
    whole(&places.scope, &places.made, own)
}

fn feature(cell: &CellValue) -> Value {
    let [west, south, east, north] = cell.bounds;
    // Counterclockwise and closed, as the RFC has it.
    let ring = [[west, south], [east, south], [east, north], [west, north], [west, south]];
    json!({
        "type": "Feature",
        "geometry": { "type": "Polygon", "coordinates": [ring] },
        "properties": cell.properties(),
    })
}

fn region(places: &Places) -> Option<Value> {
    let total = places.region.as_ref()?;
    Some(json!({ "device_days": total.value, "margin": round(total.margin, 10.0), "days": total.days }))
}

/// What every answer holds, with what is its own.
fn whole(scope: &Scope, made: &Made, own: Value) -> Value {
    let mut answer = json!({
        "app": scope.app,
        "period": scope.period,
        "fresh": made.fresh,
        "releases": made.releases,
        "suppressed": made.suppressed,
    });
    if let (Some(answer), Value::Object(own)) = (answer.as_object_mut(), own) {
        answer.extend(own);
    }
    answer
}

fn rounded<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(round(*value, 10.0))
}

fn round(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}
