//! `GET /v1/stats/...`: questions of analysts.

use std::collections::BTreeMap;

use actix_web::http::header::{ACCEPT, AUTHORIZATION};
use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::auth::grant;
use super::error::{Code, Problem};
use super::kept::Body;
use crate::access::Role;
use crate::app::App;
use crate::audit::{Event, Exported, Recipient, TokenName};
use crate::stats::{self, ActivityQuery, Asked, EventsQuery, PlacesQuery, ReleaseQuery, Scope, geojson};
use crate::store::{Store, StoreError};

type Pairs = Query<Vec<(String, String)>>;

/// `GET /v1/stats/activity`.
pub(super) async fn activity(request: HttpRequest, pairs: Pairs, app: Data<App>) -> Result<HttpResponse, Problem> {
    let query = asked(&request, &app, |asked| ActivityQuery::parse(&pairs, asked))?;
    let (asked, scope) = (format!("{query:?}"), query.scope.clone());
    Ok(kept(&app, asked, scope, move |store| json(&stats::activity(store, &query)?)).await?.response(&request))
}

/// `GET /v1/stats/events`.
pub(super) async fn events(request: HttpRequest, pairs: Pairs, app: Data<App>) -> Result<HttpResponse, Problem> {
    let query = asked(&request, &app, |asked| EventsQuery::parse(&pairs, asked))?;
    let (asked, scope) = (format!("{query:?}"), query.scope.clone());
    Ok(kept(&app, asked, scope, move |store| json(&stats::events(store, &query)?)).await?.response(&request))
}

/// `GET /v1/stats/places`; GeoJSON where the client prefers it.
pub(super) async fn places(request: HttpRequest, pairs: Pairs, app: Data<App>) -> Result<HttpResponse, Problem> {
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains("application/geo+json") {
        return places_geojson(request, pairs, app).await;
    }
    let query = asked(&request, &app, |asked| PlacesQuery::parse(&pairs, asked))?;
    let (asked, scope) = (format!("{query:?}"), query.scope.clone());
    Ok(kept(&app, asked, scope, move |store| json(&stats::places(store, &query)?)).await?.response(&request))
}

/// `GET /v1/stats/places.geojson`.
pub(super) async fn places_geojson(
    request: HttpRequest,
    pairs: Pairs,
    app: Data<App>,
) -> Result<HttpResponse, Problem> {
    let query = asked(&request, &app, |asked| PlacesQuery::parse(&pairs, asked))?;
    let (asked, scope) = (format!("GeoJSON {query:?}"), query.scope.clone());
    let body = kept(&app, asked, scope, {
        let query = query.clone();
        move |store| {
            let places = geojson(&stats::places(store, &query)?);
            Ok(Body::new("application/geo+json", places.to_string().into_bytes()))
        }
    })
    .await?;
    // Where the client has it already, nothing is handed out. Nor is what goes to someone without a token, where the page
    // is open to everyone: that is published.
    if !body.is_known(&request)
        && let Ok(grant) = grant(&request, &app.access(), &[Role::Analyst])
    {
        let recipient = Recipient::Token(TokenName::of(grant));
        record(&app, Event::Exported(Exported::places(&query, recipient))).await?;
    }
    Ok(body.response(&request))
}

/// Writes into the audit log what is handed out, before it goes.
pub(super) async fn record(app: &Data<App>, event: Event) -> Result<(), Problem> {
    let Ok(_turn) = app.questions.acquire().await else { return Err(Code::ShuttingDown.into()) };
    let (audit, now_ms) = (app.sealer.audit.clone(), app.clock.now_ms());
    let recorded = actix_web::web::block(move || audit.record(now_ms, &event)).await;
    Ok(recorded.map_err(|_| Problem::from(Code::ShuttingDown))??)
}

/// `GET /v1/stats/releases/{name}`.
pub(super) async fn release(
    request: HttpRequest,
    name: Path<String>,
    pairs: Pairs,
    app: Data<App>,
) -> Result<HttpResponse, Problem> {
    let query = asked(&request, &app, |asked| ReleaseQuery::parse(&name, &pairs, asked))?;
    let buckets = app.buckets(&query.scope.app);
    let bounds: BTreeMap<_, _> = buckets.iter().collect();
    let (asked, scope) = (format!("{query:?} {bounds:?}"), query.scope.clone());
    let answer = kept(&app, asked, scope, move |store| json(&stats::release(store, &query, &buckets)?));
    Ok(answer.await?.response(&request))
}

/// Checks the token of an analyst, then the question.
fn asked<Q>(
    request: &HttpRequest,
    app: &App,
    parse: impl FnOnce(Asked<'_>) -> Result<Q, Vec<stats::Problem>>,
) -> Result<Q, Problem> {
    asked_by(request, app, &[Role::Analyst], parse)
}

/// Checks the token, then the question.
pub(super) fn asked_by<Q>(
    request: &HttpRequest,
    app: &App,
    roles: &[Role],
    parse: impl FnOnce(Asked<'_>) -> Result<Q, Vec<stats::Problem>>,
) -> Result<Q, Problem> {
    let access = app.access();
    let apps = app.app_ids();
    // Where the page is open to everyone, so are the answers behind it.
    let bound = if app.config.page.public && !request.headers().contains_key(AUTHORIZATION) {
        None
    } else {
        grant(request, &access, roles)?.app.as_deref()
    };
    Ok(parse(Asked { bound, apps: &apps, today: app.today() })?)
}

/// Asks the store on a thread that may wait.
pub(super) async fn answer<T: Send + 'static>(
    app: &App,
    question: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Problem> {
    let Ok(_turn) = app.questions.acquire().await else { return Err(Code::ShuttingDown.into()) };
    let store = app.store.clone();
    let asked = actix_web::web::block(move || question(&*store)).await;
    Ok(asked.map_err(|_| Problem::from(Code::ShuttingDown))??)
}

/// The answer that is kept for a question about an app and period; or the store's, which is kept from now on.
async fn kept(
    app: &Data<App>,
    asked: String,
    scope: Scope,
    question: impl FnOnce(&dyn Store) -> Result<Body, StoreError> + Send + 'static,
) -> Result<Body, Problem> {
    let shared = app.clone();
    answer(app, move |store| {
        let state = stats::state(store, &scope)?;
        if let Some(known) = shared.kept.find(&asked, &state) {
            return Ok(known);
        }
        let body = question(store)?;
        shared.kept.keep(asked, state, body.clone());
        Ok(body)
    })
    .await
}

fn json<T: Serialize>(answer: &T) -> Result<Body, StoreError> {
    // Numbers, dates and words: what cannot be written as JSON is not among them.
    let bytes = serde_json::to_vec(answer).map_err(|_| StoreError::Unreadable { row: 0 })?;
    Ok(Body::new("application/json", bytes))
}
