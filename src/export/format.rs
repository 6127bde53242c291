//! The forms that a file can have.

use super::frame::Frame;
use super::{ExportError, columnar, text};

/// The form of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values (RFC 4180), UTF-8, with a line of names.
    Csv,
    /// An array of objects, one a line.
    Json,
    /// A FeatureCollection (RFC 7946), a polygon for each value of a cell.
    GeoJson,
    /// Apache Parquet.
    Parquet,
    /// An Arrow IPC file (Feather V2).
    Arrow,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 5] = [Format::Csv, Format::Json, Format::GeoJson, Format::Parquet, Format::Arrow];

    /// What it is called, and how the names of its files end.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Json => "json",
            Format::GeoJson => "geojson",
            Format::Parquet => "parquet",
            Format::Arrow => "arrow",
        }
    }

    /// Its media type.
    #[must_use]
    pub fn media(self) -> &'static str {
        match self {
            Format::Csv => "text/csv",
            Format::Json => "application/json",
            Format::GeoJson => "application/geo+json",
            Format::Parquet => "application/vnd.apache.parquet",
            Format::Arrow => "application/vnd.apache.arrow.file",
        }
    }

    /// The first one that an `Accept` header names.
    #[must_use]
    pub fn accepted(accept: &str) -> Option<Format> {
        let media = |part: &str| part.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        accept.split(',').find_map(|part| Format::ALL.into_iter().find(|format| format.media() == media(part)))
    }

    /// Writes a file.
    pub(super) fn write(self, frame: &Frame) -> Result<Vec<u8>, ExportError> {
        match self {
            Format::Csv => text::csv(frame),
            Format::Json => text::json(frame),
            Format::GeoJson => text::geojson(frame),
            Format::Parquet => columnar::parquet(frame),
            Format::Arrow => columnar::arrow(frame),
        }
    }
}
