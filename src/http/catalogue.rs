//! `GET /v1/catalogue`: what an app declares, and what its releases cost.
//!
//! Does not: hold a number that was counted. All of it stands in the app's catalogue, which is public.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::error::Problem;
use super::stats::asked_by;
use crate::access::Role;
use crate::app::App;
use crate::catalogue::Catalogue;
use crate::seal::release::{Release, rounded, spent};
use crate::stats::AppQuery;

#[derive(Serialize)]
struct Declared {
    app: String,
    name: String,
    events: Vec<Event>,
    daily_epsilon: f64,
    /// What all releases spend for one device and day.
    spent: f64,
    releases: Vec<Published>,
}

#[derive(Serialize)]
struct Event {
    name: String,
    properties: Vec<Property>,
}

#[derive(Serialize)]
struct Property {
    name: String,
    /// All that can be counted of it.
    values: Vec<String>,
}

#[derive(Serialize)]
struct Published {
    name: String,
    counts: &'static str,
    dimensions: Vec<String>,
    bound: u32,
    epsilon: Option<f64>,
    scale: Option<f64>,
    threshold: Option<i64>,
}

/// Answers analysts and officers, and everyone where the page is open.
pub(super) async fn catalogue(
    request: HttpRequest,
    pairs: Query<Vec<(String, String)>>,
    app: Data<App>,
) -> Result<HttpResponse, Problem> {
    let roles = [Role::Analyst, Role::Officer];
    let query = asked_by(&request, &app, &roles, |asked| AppQuery::parse(&pairs, asked))?;
    // The app was found among the catalogues a moment ago; a reload may have taken it away since.
    let catalogue = app.ingest.catalogues().get(&query.app).cloned().ok_or(super::error::Code::NotFound)?;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "private, no-cache")).json(declared(&catalogue)))
}

fn declared(catalogue: &Catalogue) -> Declared {
    let events = catalogue.declaration.events.iter().map(|event| Event {
        name: event.name.clone(),
        properties: event
            .properties
            .iter()
            .map(|(name, property)| Property { name: name.clone(), values: property.labels() })
            .collect(),
    });
    Declared {
        app: catalogue.declaration.app.clone(),
        name: catalogue.name.clone(),
        events: events.collect(),
        daily_epsilon: catalogue.daily_epsilon,
        spent: rounded(spent(&catalogue.releases)),
        releases: catalogue.releases.iter().map(published).collect(),
    }
}

fn published(release: &Release) -> Published {
    Published {
        name: release.name.to_string(),
        counts: release.measure.counts().word(),
        dimensions: release.dims(),
        bound: release.bound,
        epsilon: release.epsilon,
        scale: release.scale(),
        threshold: (release.threshold != i64::MIN).then_some(release.threshold),
    }
}
