//! CSV, JSON and GeoJSON.

use serde::{Serialize, Serializer};

use super::ExportError;
use super::frame::Frame;

pub(super) fn csv(frame: &Frame) -> Result<Vec<u8>, ExportError> {
    let failed = |_| ExportError::Form("CSV");
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(frame.columns.iter().map(|column| column.name.as_str())).map_err(failed)?;
    for row in 0..frame.rows() {
        writer.write_record(frame.columns.iter().map(|column| column.values.text(row))).map_err(failed)?;
    }
    writer.into_inner().map_err(|_| ExportError::Form("CSV"))
}

/// An array of objects. One a line, so that two exports can be compared line by line.
pub(super) fn json(frame: &Frame) -> Result<Vec<u8>, ExportError> {
    let mut out = b"[".to_vec();
    lines(&mut out, (0..frame.rows()).map(|row| Row { frame, row }))?;
    out.extend_from_slice(b"]\n");
    Ok(out)
}

/// A polygon for each value of a cell.
pub(super) fn geojson(frame: &Frame) -> Result<Vec<u8>, ExportError> {
    let cells = frame.cells().ok_or(ExportError::NoPlaces)?;
    let features = cells.iter().enumerate().map(|(row, cell)| Feature {
        kind: "Feature",
        geometry: cell.as_deref().and_then(Polygon::of),
        properties: Row { frame, row },
    });
    let mut out = br#"{"type":"FeatureCollection","features":["#.to_vec();
    lines(&mut out, features)?;
    out.extend_from_slice(b"]}\n");
    Ok(out)
}

fn lines(out: &mut Vec<u8>, values: impl Iterator<Item = impl Serialize>) -> Result<(), ExportError> {
    for (at, value) in values.enumerate() {
        out.extend_from_slice(if at == 0 { b"\n" } else { b",\n" });
        serde_json::to_writer(&mut *out, &value).map_err(|_| ExportError::Form("JSON"))?;
    }
    out.push(b'\n');
    Ok(())
}

/// A row as an object, in the order of the columns.
struct Row<'a> {
    frame: &'a Frame,
    row: usize,
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let columns = &self.frame.columns;
        serializer.collect_map(columns.iter().map(|column| (&column.name, column.values.json(self.row))))
    }
}

#[derive(Serialize)]
struct Feature<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    geometry: Option<Polygon>,
    properties: Row<'a>,
}

#[derive(Serialize)]
struct Polygon {
    #[serde(rename = "type")]
    kind: &'static str,
    coordinates: [[[f64; 2]; 5]; 1],
}

impl Polygon {
    /// The corners of a cell: counterclockwise and closed, as RFC 7946 has it.
    fn of(cell: &str) -> Option<Polygon> {
        let bounds = geohash::decode_bbox(cell).ok()?;
        let (low, high) = (bounds.min(), bounds.max());
        let ring = [[low.x, low.y], [high.x, low.y], [high.x, high.y], [low.x, high.y], [low.x, low.y]];
        Some(Polygon { kind: "Polygon", coordinates: [ring] })
    }
}
