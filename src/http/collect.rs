//! `POST /v1/collect`: takes a report of an app.
//!
//! Whoever is refused is refused as early as it can be known: before the body is read, or before it is decompressed.

use std::time::Instant;

use actix_web::http::header::{DNT, HeaderMap, HeaderName};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse, ResponseError};

use super::auth::grant;
use super::body::{Encoding, Pace, announced, decode, drain, read};
use super::error::{Code, Problem};
use crate::access::Role;
use crate::admission::{Room, is_late};
use crate::app::App;
use crate::ingest::IngestError;
use crate::metrics::Metric;

const SEC_GPC: HeaderName = HeaderName::from_static("sec-gpc");

/// Answers 202 once the report's rows are synced.
pub(super) async fn collect(request: HttpRequest, payload: Payload, app: Data<App>) -> HttpResponse {
    match take(&request, payload, &app).await {
        Ok(response) => {
            Metric::ReportsAccepted.add(1);
            response
        }
        Err(problem) => {
            let metric =
                if problem.status_code().is_server_error() { Metric::ReportsFailed } else { Metric::ReportsRejected };
            metric.add(1);
            problem.error_response()
        }
    }
}

async fn take(request: &HttpRequest, payload: Payload, app: &App) -> Result<HttpResponse, Problem> {
    let (access, pace) = (app.access(), Pace::of(&app.config.server));
    let _in_flight = app.admission.enter();
    let (id, encoding, mut room) = match admit(request, &access, app) {
        Ok(admitted) => admitted,
        Err(problem) => {
            drain(request.headers(), payload, pace).await;
            return Err(problem);
        }
    };
    let limits = &app.config.limits;
    let body = read(request.headers(), payload, limits.body.bytes() as usize, pace).await.inspect_err(|problem| {
        if problem.code() == Code::RequestTimeout {
            Metric::SlowClients.add(1);
        }
    })?;
    let began = Instant::now();
    let body = decode(body, encoding, limits.decompressed.bytes() as usize, &mut room)?;
    let taken = app.ingest.take(id, body, opted_out(request.headers())).await;
    let appended = match &taken {
        Err(IngestError::Spool(error)) => Err(*error),
        _ => Ok(()),
    };
    app.admission.note(appended, &app.spool);
    let answer = taken?;
    Metric::CollectSeconds.observe(began.elapsed());
    Ok(HttpResponse::Accepted().json(answer))
}

/// What can be known from the head: whose report it is, how it is compressed, and that there is room for it.
fn admit<'a>(
    request: &HttpRequest,
    access: &'a crate::access::Access,
    app: &'a App,
) -> Result<(&'a str, Encoding, Room<'a>), Problem> {
    let limits = &app.config.limits;
    let grant = grant(request, access, &[Role::App])?;
    let encoding = Encoding::of(request.headers())?;
    app.admission.key(&grant.sha256).map_err(|wait| {
        Metric::LimitedKey.add(1);
        Problem::limited(wait)
    })?;
    if is_late(limits.wait.duration()) {
        Metric::ShedLate.add(1);
        return Err(Code::RateLimited.into());
    }
    app.admission.spool(&app.spool, app.config.spool.queue)?;
    let most = limits.body.bytes() as usize;
    let length = announced(request.headers()).unwrap_or(most);
    if length > most {
        return Err(Code::BodyTooLarge.into());
    }
    let room = app.admission.bodies.room(length).map_err(|_| Problem::no_room())?;
    Ok((grant.app.as_deref().unwrap_or_default(), encoding, room))
}

/// `Sec-GPC: 1` or `DNT: 1`.
fn opted_out(headers: &HeaderMap) -> bool {
    [SEC_GPC, DNT].iter().any(|name| headers.get(name).is_some_and(|value| value.as_bytes().trim_ascii() == b"1"))
}
