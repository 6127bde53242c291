//! Places: from the coarsest cells down, finer only where the coarser one is published.
//!
//! Noise is drawn for every cell of the public domain that could be published, empty ones too: all coarsest cells of the
//! region, and the children of each published cell. A child of an unpublished parent is never published, so that its noise
//! would never be read; not drawing it leaves the distribution of what is published as it is.

use std::collections::HashMap;

use serde::Deserialize;
use tuman_privacy::place::{Cell, Region};

use super::SealError;
use super::count::{Count, over};
use super::release::{Release, Sealed, defaults};

/// The four place releases of a day, finest first.
pub(super) fn places(count: &Count<'_>, region: &Region) -> Result<Vec<Sealed>, SealError> {
    #[derive(Deserialize)]
    struct Row {
        cell: String,
        devices: i64,
    }
    let rows: Vec<Row> = count.store.rows(&count.statement(include_str!("sql/places.sql")))?;
    let cells: HashMap<String, i64> = rows.into_iter().map(|row| (row.cell, row.devices)).collect();

    let inside: i64 = cells.iter().filter(|(cell, _)| *cell != Cell::ABROAD.as_str()).map(|(_, n)| n).sum();
    let whole = over(defaults::REGION, vec![()], [((), inside)]).seal(|()| vec![("", vec![])])?;

    let coarsest = level(defaults::PLACES_3, region.coarsest_cells(), &cells)?;
    let middle = level(defaults::PLACES_4, children(region, &coarsest), &cells)?;
    let finest = level(defaults::PLACES_5, children(region, &middle), &cells)?;
    Ok(vec![finest, middle, coarsest, whole])
}

fn level(release: Release, domain: Vec<Cell>, cells: &HashMap<String, i64>) -> Result<Sealed, SealError> {
    let Some(length) = domain.first().map(|cell| cell.as_str().len()) else {
        return Ok(over(release, Vec::<Cell>::new(), []).seal(|_| Vec::new())?);
    };
    // A cell counts for the prefix of this length; one that is shorter (a sensitive place) for its ancestors only.
    let counted = cells.iter().filter_map(|(cell, n)| Some((Cell::from_geohash(cell.get(..length)?)?, *n)));
    let inside = counted.filter(|(cell, _)| *cell != Cell::ABROAD);
    Ok(over(release, domain, inside).seal(|cell| vec![("cell", vec![cell.as_str().to_owned()])])?)
}

fn children(region: &Region, parents: &Sealed) -> Vec<Cell> {
    let published = parents.published.iter().filter_map(|value| Cell::from_geohash(value.dims.first()?));
    published.flat_map(|parent| region.children(parent)).collect()
}
