//! `GET /v1/ledger`: the account of every event that arrived, for operators.

use std::collections::BTreeMap;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::auth::grant;
use super::error::Problem;
use super::stats::answer;
use crate::access::Role;
use crate::app::App;
use crate::ledger::{self, Account};
use crate::stats::{Asked, EventsQuery};

/// Answers with a day's account each, and what is on its way to the store.
pub(super) async fn ledger(
    request: HttpRequest,
    pairs: Query<Vec<(String, String)>>,
    app: Data<App>,
) -> Result<HttpResponse, Problem> {
    let access = app.access();
    let grant = grant(&request, &access, &[Role::Operator])?;
    let apps = app.app_ids();
    // The parameters are those of events: an app and a period. Today counts too: the ledger is live.
    let asked = Asked { bound: grant.app.as_deref(), apps: &apps, today: app.tomorrow() };
    let scope = EventsQuery::parse(&pairs, asked)?.scope;
    let depth = app.spool.depth();
    let days: BTreeMap<_, Account> = answer(&app, {
        let (scope, flight) = (scope.clone(), app.flight.clone());
        move |store| ledger::live_accounts(store, &flight, &scope.app, scope.period.from, scope.period.to)
    })
    .await?;
    let is_balanced = days.values().all(Account::is_balanced);
    let days: Vec<_> = days.iter().map(|(day, account)| account.as_json(*day)).collect();
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(json!({
        "app": scope.app,
        "period": scope.period,
        "days": days,
        "balanced": is_balanced,
        "in_flight": { "records": depth.records, "bytes": depth.bytes },
    })))
}
