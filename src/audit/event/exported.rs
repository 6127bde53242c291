//! What was handed out in bulk.

use jiff::civil::Date;
use serde::Serialize;

use super::names::{AppId, Digest, ReleaseName, TokenName};
use crate::access::Basis;
use crate::export::{self, Query};
use crate::stats::PlacesQuery;

/// What was handed out, to whom, and on which basis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Exported {
    what: Export,
    app: AppId,
    from: Date,
    to: Date,
    #[serde(skip_serializing_if = "Option::is_none")]
    precision: Option<u8>,
    #[serde(flatten)]
    file: Option<ExportedFile>,
    to_whom: Recipient,
}

/// The file that was handed out.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct ExportedFile {
    /// The only release in it.
    release: Option<ReleaseName>,
    format: &'static str,
    /// Of the bytes that went out.
    sha256: Digest,
    /// The clause under which a partner has it.
    basis: Option<Basis>,
}

impl Exported {
    /// Places as GeoJSON.
    #[must_use]
    pub fn places(query: &PlacesQuery, to_whom: Recipient) -> Exported {
        let period = query.scope.period;
        let app = AppId(query.scope.app.clone());
        Exported {
            what: Export::PlacesGeojson,
            app,
            from: period.from,
            to: period.to,
            precision: Some(query.precision),
            file: None,
            to_whom,
        }
    }

    /// Releases in a file. The release's name is one of a seal: without it there would be no export.
    #[must_use]
    pub fn of(query: &Query, export: &export::Export, basis: Option<Basis>, to_whom: Recipient) -> Exported {
        let scope = query.scope();
        let what = match query {
            Query::Release(_) => Export::Release,
            Query::Package(_) => Export::Package,
        };
        let file = ExportedFile {
            release: query.release().map(|name| ReleaseName(name.to_owned())),
            format: query.format().extension(),
            sha256: Digest(export.sha256.clone()),
            basis,
        };
        Exported {
            what,
            app: AppId(scope.app.clone()),
            from: scope.period.from,
            to: scope.period.to,
            precision: None,
            file: Some(file),
            to_whom,
        }
    }
}

/// What can be handed out in bulk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
enum Export {
    /// Places as GeoJSON.
    #[serde(rename = "places.geojson")]
    PlacesGeojson,
    /// One release as a file.
    #[serde(rename = "release")]
    Release,
    /// Releases with their description, as a zip.
    #[serde(rename = "package")]
    Package,
}

/// Who got it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Recipient {
    /// The bearer of a token, over HTTP.
    Token(TokenName),
    /// Whoever may run commands on the machine.
    Command,
}
