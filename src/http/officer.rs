//! `GET /v1/keys` and `GET /v1/audit`: what officers check promises against.
//!
//! Guarantees: a key's random name and its times, never the key; of the audit log what it holds, which is no identifier,
//! token or address. A token that is bound to an app reads neither: both are of all apps together.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::auth::grant;
use super::error::{Code, Problem};
use crate::access::Role;
use crate::app::App;
use crate::audit::{self, Entry};
use crate::clock::timestamp;

/// Entries that an answer shows: the last ones. `tuman audit list` shows all.
const SHOWN: usize = 200;

#[derive(Serialize)]
struct Shown {
    number: u64,
    at: Timestamp,
    kind: String,
    /// As it was hashed; a text where it was changed into what is no JSON.
    detail: Value,
}

/// Answers with the days that have or had a key.
pub(super) async fn keys(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, Problem> {
    check(&request, &app)?;
    let days = app.keyring.records();
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(json!({ "days": days })))
}

/// Answers whether the log is whole, computed now, and with its last entries.
pub(super) async fn audit(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, Problem> {
    check(&request, &app)?;
    let Ok(_turn) = app.questions.acquire().await else { return Err(Code::ShuttingDown.into()) };
    let shared = app.clone();
    let read = actix_web::web::block(move || shared.audit_log()).await;
    let contents = read.map_err(|_| Code::ShuttingDown)??;
    let verified = audit::verify(&contents);
    let entries: Vec<Shown> = contents.entries.into_iter().rev().take(SHOWN).map(shown).collect();
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(match verified {
        Ok(whole) => {
            json!({ "whole": true, "problem": null, "count": whole.entries, "last": whole.last, "entries": entries })
        }
        Err(broken) => json!({
            "whole": false, "problem": broken.to_string(), "count": null, "last": null, "entries": entries,
        }),
    }))
}

/// Checks that an officer asks who is bound to no app.
fn check(request: &HttpRequest, app: &App) -> Result<(), Problem> {
    let access = app.access();
    let grant = grant(request, &access, &[Role::Officer])?;
    if grant.app.is_some() { Err(Code::Unauthorized.into()) } else { Ok(()) }
}

fn shown(entry: Entry) -> Shown {
    let detail = serde_json::from_str(&entry.detail).unwrap_or_else(|_| Value::String(entry.detail.clone()));
    Shown { number: entry.seq, at: timestamp(entry.at_ms), kind: entry.kind, detail }
}
