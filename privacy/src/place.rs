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

/// A geohash of one to five characters, for all cells that begin with it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix {
    // Zeros at the end, so that the order is that of the texts.
    characters: [u8; FINEST],
    length: u8,
}

impl Prefix {
    /// Reads a geohash; `None` where it is none, or longer than five characters.
    #[must_use]
    pub fn from_geohash(text: &str) -> Option<Prefix> {
        let mut characters = [0; FINEST];
        let length = u8::try_from(text.len()).ok().filter(|length| (1..=5).contains(length))?;
        for (to, byte) in characters.iter_mut().zip(text.bytes()) {
            let byte = byte.to_ascii_lowercase();
            if !ALPHABET.contains(&byte) {
                return None;
            }
            *to = byte;
        }
        Some(Prefix { characters, length })
    }

    /// The prefix as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let bytes = self.characters.get(..usize::from(self.length)).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }

    /// The 32 prefixes of one more character; none of a prefix of five.
    pub fn children(self) -> impl Iterator<Item = Prefix> {
        ALPHABET.iter().filter_map(move |character| {
            let mut child = self;
            *child.characters.get_mut(usize::from(self.length))? = *character;
            child.length += 1;
            Some(child)
        })
    }

    /// The 32 prefixes of one character: the whole Earth.
    pub fn all() -> impl Iterator<Item = Prefix> {
        Prefix { characters: [0; FINEST], length: 0 }.children()
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The region whose places are told apart, and the sensitive places in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Region {
    area: Area,
    /// Geohash prefixes of three to five characters in which only three are kept.
    sensitive: Vec<Cell>,
}

#[derive(Debug, Clone, PartialEq)]
enum Area {
    /// West, south, east, north in degrees.
    Box([f64; 4]),
    /// Sorted, none within another.
    Prefixes(Vec<Prefix>),
}

impl Region {
    /// A box: west, south, east, north in degrees.
    #[must_use]
    pub fn within(bounds: [f64; 4], sensitive: Vec<Cell>) -> Region {
        Region { area: Area::Box(bounds), sensitive }
    }

    /// All cells that begin with one of these.
    #[must_use]
    pub fn of_prefixes(mut prefixes: Vec<Prefix>, sensitive: Vec<Cell>) -> Region {
        prefixes.sort_unstable();
        prefixes.dedup_by(|later, kept| later.as_str().starts_with(kept.as_str()));
        Region { area: Area::Prefixes(prefixes), sensitive }
    }

    /// True where the cell lies in the region: of a box, where its middle does. Cells shorter than five characters count
    /// as inside where they overlap it.
    #[must_use]
    pub fn holds(&self, geohash: &str) -> bool {
        match &self.area {
            Area::Box(bounds) => box_holds(*bounds, geohash),
            Area::Prefixes(prefixes) => {
                // What it begins with is the last one that is not after it; what begins with it comes next.
                let next = prefixes.partition_point(|prefix| prefix.as_str() <= geohash);
                let last = next.checked_sub(1).and_then(|last| prefixes.get(last));
                last.is_some_and(|prefix| geohash.starts_with(prefix.as_str()))
                    || prefixes.get(next).is_some_and(|prefix| prefix.as_str().starts_with(geohash))
            }
        }
    }

    /// West, south, east, north of all of it, in degrees: for a map.
    #[must_use]
    pub fn bounds(&self) -> [f64; 4] {
        let prefixes = match &self.area {
            Area::Box(bounds) => return *bounds,
            Area::Prefixes(prefixes) => prefixes,
        };
        let boxes = prefixes.iter().filter_map(|prefix| geohash::decode_bbox(prefix.as_str()).ok());
        boxes
            .map(|cell| [cell.min().x, cell.min().y, cell.max().x, cell.max().y])
            .reduce(|a, b| [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])])
            .unwrap_or([-180.0, -90.0, 180.0, 90.0])
    }

    fn is_sensitive(&self, geohash: &str) -> bool {
        self.sensitive.iter().any(|place| geohash.starts_with(place.as_str()))
    }

    /// The region's cells of `COARSEST` characters: the top of the public domain of places.
    #[must_use]
    pub fn coarsest_cells(&self) -> Vec<Cell> {
        // From the whole world down: what lies outside is left out with everything in it.
        let is_held = |prefix: &Prefix| self.holds(prefix.as_str());
        let pairs = Prefix::all().filter(is_held).flat_map(Prefix::children).filter(is_held);
        let threes = pairs.flat_map(Prefix::children).filter(is_held);
        threes.filter_map(|prefix| Cell::from_geohash(prefix.as_str())).collect()
    }

    /// The children of a cell that lie in the region, at most 32. None in a sensitive place: nobody is counted there, so
    /// that whatever was published would be noise alone.
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
            if self.holds(child.as_str()) && !self.is_sensitive(child.as_str()) {
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
        if self.is_sensitive(cell.as_str()) { cell.cut(COARSEST) } else { cell }
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

fn box_holds([west, south, east, north]: [f64; 4], geohash: &str) -> bool {
    let Ok((middle, lon_error, lat_error)) = geohash::decode(geohash) else {
        return false;
    };
    let (lon_slack, lat_slack) = if geohash.len() < FINEST { (lon_error, lat_error) } else { (0.0, 0.0) };
    middle.x >= west - lon_slack
        && middle.x <= east + lon_slack
        && middle.y >= south - lat_slack
        && middle.y <= north + lat_slack
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    use crate::report::Value;

    fn kazakhstan() -> Region {
        Region::within([46.4, 40.5, 87.4, 55.5], vec![])
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

    fn prefixes(list: &[&str]) -> Vec<Prefix> {
        list.iter().map(|text| Prefix::from_geohash(text).unwrap()).collect()
    }

    #[test]
    fn a_region_of_prefixes_holds_what_begins_with_them_and_no_more() {
        let region = Region::of_prefixes(prefixes(&["v9", "tx", "V94", "v9vg2", "tyb", "tybc"]), vec![]);
        for inside in ["v94fc", "v9vg2", "tx000", "txzzz", "tyb", "tybzz", "v9", "v", "ty", "t"] {
            assert!(region.holds(inside), "{inside}");
        }
        for outside in ["v8zzz", "vb000", "twzzz", "tyc00", "ty9zz", "u", "w0000"] {
            assert!(!region.holds(outside), "{outside}");
        }
        assert_eq!(region.coarsest_cells().len(), 32 + 32 + 1);
        let small = Region::of_prefixes(prefixes(&["u4pru"]), vec![]);
        assert_eq!(small.coarsest_cells(), [Cell::from_geohash("u4p").unwrap()]);
        assert_eq!(small.children(Cell::from_geohash("u4p").unwrap()), [Cell::from_geohash("u4pr").unwrap()]);
        assert_eq!(small.children(Cell::from_geohash("u4pr").unwrap()), [Cell::from_geohash("u4pru").unwrap()]);
        for wrong in ["", "a", "v9v6h0", "v9 ", "л"] {
            assert_eq!(Prefix::from_geohash(wrong), None, "{wrong}");
        }
        assert_eq!(Prefix::all().flat_map(Prefix::children).count(), 1_024);
        assert_eq!(Prefix::from_geohash("v9v6h").unwrap().children().count(), 0);
    }

    #[test]
    fn no_finer_cell_of_a_sensitive_place_is_in_the_domain() {
        let cell = |text: &str| Cell::from_geohash(text).unwrap();
        let region = Region::within([46.4, 40.5, 87.4, 55.5], vec![cell("v94fc"), cell("v9v6"), cell("tx1")]);
        let names = |parent: &str| region.children(cell(parent));
        assert!(names("v94").contains(&cell("v94f")) && !names("v94f").contains(&cell("v94fc")));
        for parent in ["v94f", "v9v"] {
            assert_eq!(names(parent).len() + 1, kazakhstan().children(cell(parent)).len());
        }
        assert!(!names("v9v").contains(&cell("v9v6")) && names("tx1").is_empty());
        assert!(region.coarsest_cells().contains(&cell("tx1")));
    }

    #[test]
    fn the_bounds_hold_every_prefix() {
        assert_eq!(kazakhstan().bounds(), [46.4, 40.5, 87.4, 55.5]);
        let region = Region::of_prefixes(prefixes(&["v", "t"]), vec![]);
        assert_eq!(region.bounds(), [45.0, 0.0, 90.0, 90.0]);
    }

    #[test]
    fn the_coarsest_cells_are_all_that_the_region_touches() {
        let all: Vec<Cell> = (0..32_usize.pow(3))
            .map(|n| [n / 1_024, n / 32 % 32, n % 32].map(|at| ALPHABET[at]))
            .map(|[a, b, c]| Cell { characters: [a, b, c, 0, 0, 0], length: 3 })
            .collect();
        let everywhere = Region::within([-180.0, -90.0, 180.0, 90.0], vec![]);
        let nowhere = Region::within([10.0, 10.0, 9.0, 9.0], vec![]);
        let scattered = Region::of_prefixes(prefixes(&["v9", "u4pru", "tyb"]), vec![]);
        for region in [kazakhstan(), everywhere, nowhere, scattered] {
            let touched = all.iter().copied().filter(|cell| region.holds(cell.as_str()));
            assert!(region.coarsest_cells().into_iter().eq(touched));
        }
    }

    proptest! {
        #[test]
        fn a_region_of_prefixes_is_their_union(
            list in proptest::collection::vec("[0-9bcdefghjkmnpqrstuvwxyz]{1,5}", 1..12),
            cell in "[0-9bcdefghjkmnpqrstuvwxyz]{3,5}",
        ) {
            let region = Region::of_prefixes(list.iter().filter_map(|text| Prefix::from_geohash(text)).collect(), vec![]);
            let expected = list.iter().any(|text| cell.starts_with(text.as_str()) || text.starts_with(cell.as_str()));
            prop_assert_eq!(region.holds(&cell), expected);
        }

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
