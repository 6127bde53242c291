//! Places: from the coarsest cells down, finer only where the coarser one is published.
//!
//! Noise is drawn for every cell of the public domain that could be published, empty ones too: all coarsest cells of the
//! region, and the children of each published cell. A child of an unpublished parent is never published, so that its noise
//! would never be read; not drawing it leaves the distribution of what is published as it is.

use std::collections::HashMap;

use serde::Deserialize;
use tuman_privacy::place::{COARSEST, Cell};

use super::SealError;
use super::count::{Count, over};
use super::histogram::{Counted, Sealed};
use super::release::Release;

/// The places of a seal, as far as they are counted and published.
#[derive(Default)]
pub(super) struct Places {
    /// Devices by their most frequent cell, once it is counted.
    devices: Option<HashMap<String, i64>>,
    /// The published cells, by their number of characters.
    published: HashMap<usize, Vec<Cell>>,
}

impl Places {
    /// Devices in the region.
    pub(super) fn region(&mut self, count: &Count<'_>, release: &Release) -> Result<Sealed, SealError> {
        let cells = self.devices(count)?;
        let inside: i64 = cells.iter().filter(|(cell, _)| *cell != Cell::ABROAD.as_str()).map(|(_, n)| n).sum();
        let whole = over(release, vec![()], [((), Counted::devices(inside))]);
        Ok(count.seal(whole, |()| vec![(String::new(), vec![])])?)
    }

    /// Devices by cells of so many characters: all coarsest ones, or those below the published ones of one less.
    pub(super) fn level(
        &mut self,
        count: &Count<'_>,
        release: &Release,
        characters: u8,
    ) -> Result<Sealed, SealError> {
        let length = usize::from(characters);
        let region = count.public.region;
        let domain: Vec<Cell> = if length == COARSEST {
            region.coarsest_cells()
        } else {
            let parents = self.published.get(&(length - 1)).map(Vec::as_slice).unwrap_or_default();
            parents.iter().flat_map(|parent| region.children(*parent)).collect()
        };
        // A cell counts for the prefix of this length; one that is shorter (a sensitive place) for its ancestors only.
        let cells = self.devices(count)?;
        let counted = cells
            .iter()
            .filter_map(|(cell, n)| Some((Cell::from_geohash(cell.get(..length)?)?, Counted::devices(*n))));
        let inside = counted.filter(|(cell, _)| *cell != Cell::ABROAD);
        let share = |cell: &Cell| vec![("cell".to_owned(), vec![cell.as_str().to_owned()])];
        let sealed = count.seal(over(release, domain, inside), share)?;
        // Finer cells hang on the default release of their parents, and on no other one that the catalogue declares.
        if release.name == format!("places_{characters}") {
            let published = sealed.published.iter().filter_map(|value| Cell::from_geohash(value.dims.first()?));
            self.published.insert(length, published.collect());
        }
        Ok(sealed)
    }

    fn devices(&mut self, count: &Count<'_>) -> Result<&HashMap<String, i64>, SealError> {
        #[derive(Deserialize)]
        struct Row {
            cell: String,
            devices: i64,
        }
        if self.devices.is_none() {
            let rows: Vec<Row> = count.rows(&count.statement(include_str!("sql/places.sql")))?;
            let mut devices = HashMap::new();
            for row in rows {
                *devices.entry(row.cell).or_default() += row.devices;
            }
            self.devices = Some(devices);
        }
        Ok(self.devices.get_or_insert_default())
    }
}
