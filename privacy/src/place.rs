//! Places: coordinates become cells of at most five geohash characters (about 3.3 x 4.9 km at 48 N).
//!
//! Guarantees: no cell is finer than five characters; what lies outside the region is `abroad` and nothing else.
//! Does not: keep coordinates, altitude, speed or accuracy.

use alloc::vec::Vec;
use core::fmt;

use geohash::Coord;

use crate::report::Location;

/// The finest cell.
pub const FINEST: usize = 5;
/// The coarsest cell that is kept, and the one that sensitive places are cut to.
pub const COARSEST: usize = 3;

const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";

// The geohash crate wraps at the upper edges: 90 would become the cell of -90. Well inside the last cell of five
// characters (0.044 degrees wide), so that clamping never changes another cell.
const LAST_LATITUDE: f64 = 89.99;
const LAST_LONGITUDE: f64 = 179.99;

/// A geohash of three to five characters, or `abroad`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell {
    characters: [u8; 6],
    length: u8,
}

impl Cell {
    /// Outside the region.
    pub const ABROAD: Cell = Cell { characters: *b"abroad", length: 6 };

    /// The cell as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let bytes = self.characters.get(..usize::from(self.length)).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }

    /// Reads a geohash and cuts it to five characters; `None` where it is none, or shorter than three.
    #[must_use]
    pub fn from_geohash(text: &str) -> Option<Cell> {
        let mut characters = [0; 6];
        let mut length = 0_u8;
        for byte in text.bytes() {
            let byte = byte.to_ascii_lowercase();
            if !ALPHABET.contains(&byte) {
                return None;
            }
            if usize::from(length) < FINEST {
                *characters.get_mut(usize::from(length))? = byte;
                length += 1;
            }
        }
        (usize::from(length) >= COARSEST).then_some(Cell { characters, length })
    }

    /// The cell of five characters around a point in degrees; `None` where it is no point on Earth, or (0, 0), which
    /// is what receivers without a fix report.
    #[must_use]
    pub fn from_degrees(lat: f64, lon: f64) -> Option<Cell> {
        if !(-90.0..=90.0).contains(&lat) || !(-180.0..=180.0).contains(&lon) || (lat == 0.0 && lon == 0.0) {
            return None;
        }
        let point = Coord { x: lon.min(LAST_LONGITUDE), y: lat.min(LAST_LATITUDE) };
        let geohash = geohash::encode(point, FINEST).ok()?;
        let mut characters = [0; 6];
        for (to, from) in characters.iter_mut().zip(geohash.bytes()) {
            *to = from;
        }
        Some(Cell { characters, length: u8::try_from(geohash.len()).ok()? })
    }

    fn cut(self, length: usize) -> Cell {
        if self == Cell::ABROAD || usize::from(self.length) <= length {
            return self;
        }
        let mut characters = [0; 6];
        for (to, from) in characters.iter_mut().zip(self.characters).take(length) {
            *to = from;
        }
        Cell { characters, length: u8::try_from(length).unwrap_or(0) }
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The region whose places are told apart: a box in degrees, and the sensitive places in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Region {
    /// Degrees of longitude.
    pub west: f64,
    /// Degrees of latitude.
    pub south: f64,
    /// Degrees of longitude.
    pub east: f64,
    /// Degrees of latitude.
    pub north: f64,
    /// Geohash prefixes of three to five characters in which only three are kept.
    pub sensitive: Vec<Cell>,
}

impl Region {
    /// True where the middle of the cell lies in the region. Cells shorter than five characters count as inside where
    /// they overlap it.
    #[must_use]
    pub fn holds(&self, geohash: &str) -> bool {
        let Ok((middle, lon_error, lat_error)) = geohash::decode(geohash) else {
            return false;
        };
        let (lon_slack, lat_slack) = if geohash.len() < FINEST { (lon_error, lat_error) } else { (0.0, 0.0) };
        middle.x >= self.west - lon_slack
            && middle.x <= self.east + lon_slack
            && middle.y >= self.south - lat_slack
            && middle.y <= self.north + lat_slack
    }

    /// The region's cells of `COARSEST` characters: the top of the public domain of places.
    #[must_use]
    pub fn coarsest_cells(&self) -> Vec<Cell> {
        // From the whole world down: what lies outside is left out with everything in it.
        let mut cells = Vec::from([Cell { characters: [0; 6], length: 0 }]);
        for _ in 0..COARSEST {
            cells = cells.into_iter().flat_map(|cell| self.children(cell)).collect();
        }
        cells
    }

    /// The 32 children of a cell that lie in the region.
    #[must_use]
    pub fn children(&self, parent: Cell) -> Vec<Cell> {
        let length = usize::from(parent.length);
        if parent == Cell::ABROAD || length >= FINEST {
            return Vec::new();
        }
        let mut cells = Vec::with_capacity(ALPHABET.len());
        for character in ALPHABET {
            let mut child = parent;
            if let Some(slot) = child.characters.get_mut(length) {
                *slot = *character;
            }
            child.length += 1;
            if self.holds(child.as_str()) {
                cells.push(child);
            }
        }
        cells
    }

    /// A cell as it is kept: three characters of it where it is sensitive, `abroad` outside the region.
    fn settle(&self, cell: Cell) -> Cell {
        if !self.holds(cell.as_str()) {
            return Cell::ABROAD;
        }
        let sensitive = self.sensitive.iter().any(|place| cell.as_str().starts_with(place.as_str()));
        if sensitive { cell.cut(COARSEST) } else { cell }
    }
}

/// Coarsens the locations of a report.
pub(crate) struct Coarsener<'a> {
    region: &'a Region,
    /// The last cell, and what it is kept as: a phone is mostly where it was.
    last: Option<(Cell, Cell)>,
}

impl<'a> Coarsener<'a> {
    pub(crate) fn new(region: &'a Region) -> Coarsener<'a> {
        Coarsener { region, last: None }
    }

    /// Coarsens a location: cell of five characters, three where it is sensitive, `abroad` outside the region.
    ///
    /// `None` where the location is no place.
    pub(crate) fn coarsen(&mut self, location: &Location<'_>) -> Option<Cell> {
        let cell = match (location.lat.number(), location.lon.number(), location.geohash.text()) {
            (Some(lat), Some(lon), _) => Cell::from_degrees(lat, lon)?,
            (_, _, Some(geohash)) => Cell::from_geohash(geohash)?,
            _ => return None,
        };
        match self.last {
            Some((last, kept)) if last == cell => Some(kept),
            _ => {
                let kept = self.region.settle(cell);
                self.last = Some((cell, kept));
                Some(kept)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    use crate::report::Value;

    fn kazakhstan() -> Region {
        Region { west: 46.4, south: 40.5, east: 87.4, north: 55.5, sensitive: vec![] }
    }

    #[test]
    fn the_edges_of_the_earth_do_not_wrap() {
        assert_eq!(Cell::from_degrees(90.0, 180.0).unwrap().as_str(), "zzzzz");
        assert_eq!(Cell::from_degrees(89.999_999_999_999, 0.01).unwrap().as_str(), "upbpb");
        assert_eq!(Cell::from_degrees(0.01, 179.999_999_999_999).unwrap().as_str(), "xbpbp");
        assert_eq!(Cell::from_degrees(-90.0, -180.0).unwrap().as_str(), "00000");
    }

    #[test]
    fn what_is_no_point_is_no_cell() {
        for (lat, lon) in
            [(0.0, 0.0), (-0.0, 0.0), (91.0, 0.0), (f64::NAN, 1.0), (1.0, f64::INFINITY), (1.0, 180.1), (-90.1, 2.0)]
        {
            assert_eq!(Cell::from_degrees(lat, lon), None);
        }
    }

    #[test]
    fn a_geohash_is_cut_to_five() {
        assert_eq!(Cell::from_geohash("v9v6hzzzzzzz").unwrap().as_str(), "v9v6h");
        assert_eq!(Cell::from_geohash("V9V").unwrap().as_str(), "v9v");
        for wrong in ["", "v9", "v9a", "v9v6h zz", "v9v6hzzа", "abroad"] {
            assert_eq!(Cell::from_geohash(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_cell_of_the_region_descends_from_its_coarsest_cells() {
        let region = kazakhstan();
        let top = region.coarsest_cells();
        assert!(top.len() > 300 && top.len() < 500, "{}", top.len());
        for (lat, lon) in [(51.1, 71.4), (43.25, 76.9), (40.6, 68.0), (55.3, 69.0), (47.1, 51.9)] {
            let cell = Cell::from_degrees(lat, lon).unwrap();
            assert!(region.holds(cell.as_str()));
            let parent = cell.cut(3);
            assert!(top.contains(&parent));
            assert!(region.children(parent).contains(&cell.cut(4)));
            assert!(region.children(cell.cut(4)).contains(&cell));
        }
        assert!(region.children(Cell::from_degrees(51.1, 71.4).unwrap()).is_empty());
    }

    #[test]
    fn what_came_before_does_not_change_what_a_place_becomes() {
        let region = Region { sensitive: vec![Cell::from_geohash("v9e").unwrap()], ..kazakhstan() };
        let geohashes =
            ["v9v6h", "v9v6h", "u4pru", "v9v6h", "v9e00", "v9e", "v9e00", "v9v6", "v9v6h", "zzzzz", "zzzzz"];
        let location = |geohash| Location { geohash: Value::of_text(geohash), ..Location::default() };
        let mut coarsener = Coarsener::new(&region);
        for geohash in geohashes {
            let alone = Coarsener::new(&region).coarsen(&location(geohash));
            assert_eq!(coarsener.coarsen(&location(geohash)), alone, "{geohash}");
        }
    }

    #[test]
    fn the_coarsest_cells_are_all_that_the_region_touches() {
        let all: Vec<Cell> = (0..32_usize.pow(3))
            .map(|n| [n / 1_024, n / 32 % 32, n % 32].map(|at| ALPHABET[at]))
            .map(|[a, b, c]| Cell { characters: [a, b, c, 0, 0, 0], length: 3 })
            .collect();
        let everywhere = Region { west: -180.0, south: -90.0, east: 180.0, north: 90.0, sensitive: vec![] };
        let nowhere = Region { west: 10.0, south: 10.0, east: 9.0, north: 9.0, sensitive: vec![] };
        for region in [kazakhstan(), everywhere, nowhere] {
            let touched = all.iter().copied().filter(|cell| region.holds(cell.as_str()));
            assert!(region.coarsest_cells().into_iter().eq(touched));
        }
    }

    proptest! {
        #[test]
        fn every_point_has_a_cell_of_five_that_holds_it(lat in -89.9..89.9_f64, lon in -179.9..179.9_f64) {
            let cell = Cell::from_degrees(lat, lon).unwrap();
            prop_assert_eq!(cell.as_str().len(), 5);
            let (middle, x, y) = geohash::decode(cell.as_str()).unwrap();
            prop_assert!((middle.x - lon).abs() <= x + 1e-9 && (middle.y - lat).abs() <= y + 1e-9);
        }

        #[test]
        fn any_text_is_a_cell_or_none(text in ".{0,20}") {
            if let Some(cell) = Cell::from_geohash(&text) {
                prop_assert!((3..=5).contains(&cell.as_str().len()));
            }
        }
    }
}
