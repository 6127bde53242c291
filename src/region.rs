//! The region whose places are told apart: a box, geohash prefixes, or the outlines of a GeoJSON file.
//!
//! Guarantees: it is fixed when the collector starts, and public; outlines become the cells of five characters whose
//! middle lies within them, as geohash prefixes, so that a border says nothing of a single device.
//! Does not: project, or know what lies on both sides of the 180th meridian: RFC 7946 cuts such outlines in two.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tuman_privacy::place::{Cell, FINEST, Prefix, Region};

/// Most bytes of a GeoJSON file.
const MOST_BYTES: u64 = 32 << 20;

/// Where the region comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected [west, south, east, north] in degrees, a list of geohash prefixes, or the name of a GeoJSON file"
)]
pub enum Source {
    /// West, south, east, north in degrees.
    Box([f64; 4]),
    /// Geohashes of one to five characters, each for all cells that begin with it.
    Prefixes(Vec<String>),
    /// A GeoJSON file of polygons.
    Outlines(PathBuf),
}

/// Why it is no region.
#[derive(Debug, thiserror::Error)]
pub enum RegionError {
    /// Four numbers that are no box.
    #[error("expected [west, south, east, north] in degrees, west < east and south < north")]
    Box,
    /// A text that is no geohash.
    #[error("expected geohash prefixes of one to five characters")]
    Prefix,
    /// The file cannot be read.
    #[error("the GeoJSON file cannot be read ({0})")]
    Read(std::io::Error),
    /// The file is too large.
    #[error("the GeoJSON file is larger than 32 MiB: simplify its outlines")]
    TooLarge,
    /// The file is no GeoJSON of polygons.
    #[error("line {0} is not GeoJSON (RFC 7946) of polygons: a Polygon, MultiPolygon, Feature or FeatureCollection")]
    Form(usize),
    /// A ring that is none, or a point that is none on Earth.
    #[error("an outline is a closed ring of at least four points [longitude, latitude] in degrees")]
    Ring,
    /// Nothing is in it.
    #[error("it holds the middle of no cell of five characters, of about 3 x 5 km")]
    Empty,
}

impl Source {
    /// Makes a relative file name start at `folder`.
    pub fn anchor(&mut self, folder: &Path) {
        if let Source::Outlines(file) = self {
            *file = folder.join(&*file);
        }
    }

    /// Reads the region. `sensitive` are the places in it of which only three characters are kept.
    ///
    /// # Errors
    /// Where it is none.
    pub fn read(&self, sensitive: Vec<Cell>) -> Result<Region, RegionError> {
        let prefixes = match self {
            Source::Box(bounds) => return of_box(*bounds, sensitive),
            Source::Prefixes(texts) => {
                let prefixes = texts.iter().map(|text| Prefix::from_geohash(text));
                prefixes.collect::<Option<Vec<Prefix>>>().ok_or(RegionError::Prefix)?
            }
            Source::Outlines(file) => outlines(file)?,
        };
        if prefixes.is_empty() {
            return Err(RegionError::Empty);
        }
        Ok(Region::of_prefixes(prefixes, sensitive))
    }
}

fn of_box(bounds: [f64; 4], sensitive: Vec<Cell>) -> Result<Region, RegionError> {
    let [west, south, east, north] = bounds;
    let is_on_earth = [west, east].iter().all(|lon| (-180.0..=180.0).contains(lon))
        && [south, north].iter().all(|lat| (-90.0..=90.0).contains(lat));
    if !is_on_earth || west >= east || south >= north {
        return Err(RegionError::Box);
    }
    Ok(Region::within(bounds, sensitive))
}

/// Longitude, latitude, and perhaps a height.
type Position = Vec<f64>;
type Rings = Vec<Vec<Position>>;

/// What of RFC 7946 has polygons.
#[derive(Deserialize)]
#[serde(tag = "type")]
enum GeoJson {
    FeatureCollection { features: Vec<GeoJson> },
    Feature { geometry: Option<Box<GeoJson>> },
    GeometryCollection { geometries: Vec<GeoJson> },
    Polygon { coordinates: Rings },
    MultiPolygon { coordinates: Vec<Rings> },
}

impl GeoJson {
    fn polygons(self, all: &mut Vec<Rings>) {
        match self {
            GeoJson::FeatureCollection { features: parts } | GeoJson::GeometryCollection { geometries: parts } => {
                parts.into_iter().for_each(|part| part.polygons(all));
            }
            GeoJson::Feature { geometry } => {
                if let Some(geometry) = geometry {
                    geometry.polygons(all);
                }
            }
            GeoJson::Polygon { coordinates } => all.push(coordinates),
            GeoJson::MultiPolygon { coordinates } => all.extend(coordinates),
        }
    }
}

fn outlines(file: &Path) -> Result<Vec<Prefix>, RegionError> {
    if fs::metadata(file).map_err(RegionError::Read)?.len() > MOST_BYTES {
        return Err(RegionError::TooLarge);
    }
    let text = fs::read(file).map_err(RegionError::Read)?;
    let parsed: GeoJson = serde_json::from_slice(&text).map_err(|error| RegionError::Form(error.line()))?;
    let mut polygons = Vec::new();
    parsed.polygons(&mut polygons);
    let mut prefixes = Vec::new();
    for rings in &polygons {
        let edges = edges(rings)?;
        Prefix::all().for_each(|prefix| cover(prefix, &edges, &mut prefixes));
    }
    Ok(prefixes)
}

/// A side of an outline.
#[derive(Clone, Copy)]
struct Edge {
    from: (f64, f64),
    to: (f64, f64),
}

/// The sides of a polygon's rings: of its outline, and of its holes.
fn edges(rings: &Rings) -> Result<Vec<Edge>, RegionError> {
    let mut edges = Vec::new();
    for ring in rings {
        let points: Option<Vec<(f64, f64)>> = ring.iter().map(point).collect();
        let points = points.filter(|points| points.len() >= 4 && points.first() == points.last());
        let points = points.ok_or(RegionError::Ring)?;
        edges.extend(points.windows(2).map(|pair| Edge { from: pair[0], to: pair[1] }));
    }
    Ok(edges)
}

fn point(position: &Position) -> Option<(f64, f64)> {
    let (lon, lat) = (*position.first()?, *position.get(1)?);
    ((-180.0..=180.0).contains(&lon) && (-90.0..=90.0).contains(&lat)).then_some((lon, lat))
}

/// Adds the prefixes within `prefix` that make up the polygon: one where no side crosses it, its children's else.
/// `edges` are at least those at its latitudes.
fn cover(prefix: Prefix, edges: &[Edge], all: &mut Vec<Prefix>) {
    let Ok(bounds) = geohash::decode_bbox(prefix.as_str()) else { return };
    let (low, high) = (bounds.min(), bounds.max());
    let here: Vec<Edge> = edges
        .iter()
        .filter(|edge| edge.from.1.min(edge.to.1) <= high.y && edge.from.1.max(edge.to.1) >= low.y)
        .copied()
        .collect();
    let is_crossed = here.iter().any(|edge| edge.crosses([low.x, low.y, high.x, high.y]));
    if is_crossed && prefix.as_str().len() < FINEST {
        prefix.children().for_each(|child| cover(child, &here, all));
    } else if is_inside((f64::midpoint(low.x, high.x), f64::midpoint(low.y, high.y)), &here) {
        all.push(prefix);
    }
}

/// Counts the sides east of a point: within an outline and outside its holes, they are odd.
fn is_inside((x, y): (f64, f64), edges: &[Edge]) -> bool {
    let is_east = |edge: &&Edge| {
        let ((ax, ay), (bx, by)) = (edge.from, edge.to);
        // A corner at this latitude belongs to the side below it.
        (ay > y) != (by > y) && x < (bx - ax) * (y - ay) / (by - ay) + ax
    };
    edges.iter().filter(is_east).count() % 2 == 1
}

impl Edge {
    /// True where a part of it lies in a box (Liang and Barsky, 1984).
    fn crosses(&self, [west, south, east, north]: [f64; 4]) -> bool {
        let ((ax, ay), (bx, by)) = (self.from, self.to);
        let (dx, dy) = (bx - ax, by - ay);
        let (mut enters, mut leaves) = (0.0_f64, 1.0_f64);
        for (step, room) in [(-dx, ax - west), (dx, east - ax), (-dy, ay - south), (dy, north - ay)] {
            if step == 0.0 {
                if room < 0.0 {
                    return false;
                }
            } else if step < 0.0 {
                enters = enters.max(room / step);
            } else {
                leaves = leaves.min(room / step);
            }
        }
        enters <= leaves
    }
}

#[cfg(test)]
mod tests;
