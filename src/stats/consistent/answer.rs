//! Answers with consistent values.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use super::{Levels, Place, breakdowns, covered, places as consistent_places};
use crate::seal::noise::variance;
use crate::stats::{CellValue, Places, Point, ReleaseAnswer, Scope, Total, seals, values};
use crate::store::{Store, StoreError};

/// The releases of places, and the breakdown of each.
const PLACES: [(&str, &str); 4] = [("region", ""), ("places_3", "cell"), ("places_4", "cell"), ("places_5", "cell")];

/// Makes places consistent: with the region, and with the cells of all other precisions, also of those that are not shown.
pub(in crate::stats) fn places(store: &dyn Store, scope: &Scope, answer: &mut Places) -> Result<(), StoreError> {
    let seals = seals(store, scope, &PLACES.map(|(release, _)| release))?;
    let scales: BTreeMap<(&str, Date), f64> =
        seals.iter().map(|seal| ((seal.release.as_str(), seal.day), seal.scale)).collect();
    let of = |release: &'static str| seals.iter().filter(move |seal| seal.release == release);
    let days = |release| of(release).map(|seal| seal.day).collect::<BTreeSet<_>>();
    let is_whole = days("places_3") == days("region") && of("places_3").all(|seal| seal.suppressed == "[]");
    let mut sums: BTreeMap<String, Place> = BTreeMap::new();
    for (release, breakdown) in PLACES {
        for value in values(store, scope, release, breakdown)? {
            let cell = value.dims.into_iter().next().unwrap_or_default();
            let empty = Place { cell: cell.clone(), total: Total::default(), variance: 0.0 };
            let place = sums.entry(cell).or_insert(empty);
            place.total.add(value.value, value.margin);
            place.variance += scales.get(&(release, value.day)).map_or(0.0, |scale| variance(*scale));
        }
    }
    let mut consistent = consistent_places(sums.into_values().collect(), is_whole);
    let length = usize::from(answer.precision);
    answer.region = consistent.remove("");
    let cells = consistent.into_iter().filter(|(cell, _)| cell.len() == length);
    answer.cells = cells.filter_map(|(cell, total)| CellValue::of(cell, total)).collect();
    answer.cells.sort_by_key(|cell| std::cmp::Reverse(cell.total.value));
    Ok(())
}

/// Makes active devices of each day consistent with the total, and with the breakdowns on the way.
pub(in crate::stats) fn activity(
    store: &dyn Store,
    scope: &Scope,
    names: &[&str],
    series: &mut [Point],
) -> Result<(), StoreError> {
    let by_day = levels(store, scope, "active_devices", names)?;
    let done: BTreeMap<Date, Levels> =
        by_day.into_iter().map(|(day, levels)| (day, breakdowns(&levels, |_| true))).collect();
    for point in series {
        let dims: Vec<String> = names.iter().filter_map(|name| point.dims.get(*name).cloned()).collect();
        if let Some(total) = done.get(&point.from).and_then(|levels| levels.last()?.get(&dims)) {
            (point.devices, point.margin) = (total.value, total.margin);
        }
    }
    Ok(())
}

/// Makes each day of a release consistent, and the sums of the period: each for itself.
pub(in crate::stats) fn release(store: &dyn Store, answer: &mut ReleaseAnswer) -> Result<(), StoreError> {
    let Some(name) = &answer.name else { return Ok(()) };
    let names: Vec<&str> = answer.dims.iter().map(String::as_str).collect();
    let by_day = levels(store, &answer.scope, name, &names)?;
    let mut sums: Levels = vec![BTreeMap::new(); names.len() + 1];
    let mut published: Vec<BTreeSet<(Date, Vec<String>)>> = vec![BTreeSet::new(); names.len() + 1];
    for (day, levels) in &by_day {
        for (depth, level) in levels.iter().enumerate() {
            for (dims, total) in level {
                sums[depth].entry(dims.clone()).or_default().add(total.value, total.margin);
                published[depth].insert((*day, dims.clone()));
            }
        }
    }
    let covered: BTreeSet<Vec<String>> = published.windows(2).flat_map(|pair| covered(&pair[0], &pair[1])).collect();
    let sums = breakdowns(&sums, |dims| covered.contains(dims));
    answer.sums = sums.into_iter().next_back().unwrap_or_default().into_iter().collect();
    let done: BTreeMap<Date, Levels> =
        by_day.into_iter().map(|(day, levels)| (day, breakdowns(&levels, |_| true))).collect();
    for (day, dims, value, margin) in &mut answer.days {
        if let Some(total) = done.get(day).and_then(|levels| levels.last()?.get(dims)) {
            (*value, *margin) = (total.value, total.margin);
        }
    }
    Ok(())
}

/// What a release published, by day: the total, then with each dimension more.
fn levels(
    store: &dyn Store,
    scope: &Scope,
    release: &str,
    names: &[&str],
) -> Result<BTreeMap<Date, Levels>, StoreError> {
    let mut by_day: BTreeMap<Date, Levels> = BTreeMap::new();
    for depth in 0..=names.len() {
        for value in values(store, scope, release, &names[..depth].join(","))? {
            let levels = by_day.entry(value.day).or_insert_with(|| vec![BTreeMap::new(); names.len() + 1]);
            levels[depth].entry(value.dims).or_default().add(value.value, value.margin);
        }
    }
    Ok(by_day)
}
