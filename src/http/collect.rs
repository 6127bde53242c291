//! `POST /v1/collect`: takes a report of an app.

use std::time::Instant;

use actix_web::http::header::{CONTENT_LENGTH, DNT, HeaderMap, HeaderName};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use tokio::sync::SemaphorePermit;

use super::auth::grant;
use super::body::{Encoding, decode, drain, read};
use super::error::{Code, Problem};
use crate::access::{Access, Role};
use crate::app::App;
use crate::ingest::Body;
use crate::metrics::Metric;

/// A refused request's body up to this size is read to its end: closing the connection instead would cost more.
const DRAINED: usize = 64 << 10;

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
    let answer = app.ingest.take(received.app, received.body, received.opted_out).await?;
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
    /// Its memory, as long as it is held.
    _room: SemaphorePermit<'a>,
}

/// Receives a report: its app's key, its limits, its encoding.
pub(super) async fn receive<'a>(
    request: &HttpRequest,
    payload: Payload,
    app: &'a App,
    access: &'a Access,
) -> Result<Received<'a>, Problem> {
    let checked = grant(request, access, &[Role::App])
        .and_then(|grant| Ok((grant.app.as_deref().unwrap_or_default(), Encoding::of(request.headers())?)));
    let (id, encoding) = match checked {
        Ok(checked) => checked,
        Err(problem) => {
            // Not for longer than a body may take: the client has not shown that it may send any.
            let _ = tokio::time::timeout(app.config.server.client_timeout.duration(), drain(payload, DRAINED)).await;
            return Err(problem);
        }
    };
    let limits = &app.config.limits;
    let most = limits.body.bytes() as usize;
    let Ok(room) = app.bodies.try_acquire_many(room(request.headers(), most)) else {
        return Err(Code::RateLimited.into());
    };
    let reading = read(request.headers(), payload, most);
    let body = tokio::time::timeout(app.config.server.client_timeout.duration(), reading)
        .await
        .map_err(|_| Problem::from(Code::RequestTimeout))??;
    let began = Instant::now();
    let body = decode(body, encoding, limits.decompressed.bytes() as usize)?;
    Ok(Received { app: id, body, opted_out: opted_out(request.headers()), began, _room: room })
}

/// KiB of memory that a body may take: what its head says, or the most where it does not say.
fn room(headers: &HeaderMap, most: usize) -> u32 {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    u32::try_from(length.unwrap_or(most).min(most).div_ceil(1 << 10)).unwrap_or(u32::MAX)
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
