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
use crate::access::{Access, Role};
use crate::admission::{InFlight, Room, is_late};
use crate::app::App;
use crate::ingest::{Body, IngestError};
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
    let access = app.access();
    let received = receive(request, payload, app, &access).await?;
    let taken = app.ingest.take(received.app, received.body, received.opted_out).await;
    let appended = match &taken {
        Err(IngestError::Spool(error)) => Err(*error),
        _ => Ok(()),
    };
    app.admission.note(appended, &app.spool);
    let answer = taken?;
    Metric::CollectSeconds.observe(received.began.elapsed());
    Ok(HttpResponse::Accepted().json(answer))
}

/// A report as its app sent it, unpacked.
pub(super) struct Received<'a> {
    pub(super) app: &'a str,
    pub(super) body: Body,
    /// The request says `Sec-GPC: 1` or `DNT: 1`.
    pub(super) opted_out: bool,
    /// When all of it was there.
    pub(super) began: Instant,
    /// Its memory and its place among the requests in flight, as long as they are held.
    _held: (Room<'a>, InFlight<'a>),
}

/// Receives a report: its app's key, its limits, its encoding.
pub(super) async fn receive<'a>(
    request: &HttpRequest,
    payload: Payload,
    app: &'a App,
    access: &'a Access,
) -> Result<Received<'a>, Problem> {
    let pace = Pace::of(&app.config.server);
    let in_flight = app.admission.enter();
    let (id, encoding, mut room) = match admit(request, access, app) {
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
    Ok(Received { app: id, body, opted_out: opted_out(request.headers()), began, _held: (room, in_flight) })
}

/// What can be known from the head: whose report it is, how it is compressed, and that there is room for it.
fn admit<'a>(
    request: &HttpRequest,
    access: &'a Access,
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

/// `Sec-GPC: 1` or `DNT: 1`, on any line of the header, and whatever plainly means it.
fn opted_out(headers: &HeaderMap) -> bool {
    [SEC_GPC, DNT]
        .iter()
        .any(|name| headers.get_all(name).any(|value| value.as_bytes().split(|b| *b == b',').any(says_yes)))
}

/// `1`, also with the extensions that DNT once had; a structured boolean (RFC 9651); words. A signal that is spelt
/// oddly is a signal all the same.
fn says_yes(value: &[u8]) -> bool {
    let is_around = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'');
    let start = value.iter().position(|byte| !is_around(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_around(byte)).map_or(start, |last| last + 1);
    let value = value.get(start..end).unwrap_or_default();
    let words: [&[u8]; 4] = [b"?1", b"true", b"yes", b"on"];
    value.starts_with(b"1") || words.iter().any(|word| value.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn an_opt_out_is_an_opt_out_however_it_is_spelt() {
        for (name, lines, out) in [
            (SEC_GPC, &["1"][..], true),
            (DNT, &["1"], true),
            (DNT, &[" 1 "], true),
            (DNT, &["0", "1"], true),
            (SEC_GPC, &["0, 1"], true),
            (SEC_GPC, &["\"1\""], true),
            (SEC_GPC, &["?1"], true),
            (SEC_GPC, &["True"], true),
            (DNT, &["1;p"], true),
            (DNT, &["0"], false),
            (SEC_GPC, &[""], false),
            (SEC_GPC, &["?0"], false),
            (DNT, &["null"], false),
            (DNT, &["unspecified"], false),
            (DNT, &["01"], false),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(name.clone(), HeaderValue::from_static(line));
            }
            assert_eq!(opted_out(&headers), out, "{name}: {lines:?}");
        }
        assert!(!opted_out(&HeaderMap::new()));
    }
}
