//! `POST /v1/collect`: takes a report of an app.

use std::time::Instant;

use actix_web::http::header::{CONTENT_LENGTH, DNT, HeaderMap, HeaderName};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse, ResponseError};

use super::auth::grant;
use super::body::{Encoding, decode, drain, read};
use super::error::{Code, Problem};
use crate::access::Role;
use crate::app::App;
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
    let checked = grant(request, &access, &[Role::App])
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
    let Ok(_room) = app.bodies.try_acquire_many(room(request.headers(), most)) else {
        return Err(Code::RateLimited.into());
    };
    let reading = read(request.headers(), payload, most);
    let body = tokio::time::timeout(app.config.server.client_timeout.duration(), reading)
        .await
        .map_err(|_| Problem::from(Code::RequestTimeout))??;
    let began = Instant::now();
    let body = decode(body, encoding, limits.decompressed.bytes() as usize)?;
    let answer = app.ingest.take(id, body, opted_out(request.headers())).await?;
    Metric::CollectSeconds.observe(began.elapsed());
    Ok(HttpResponse::Accepted().json(answer))
}

/// KiB of memory that a body may take: what its head says, or the most where it does not say.
fn room(headers: &HeaderMap, most: usize) -> u32 {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    u32::try_from(length.unwrap_or(most).min(most).div_ceil(1 << 10)).unwrap_or(u32::MAX)
}

/// `Sec-GPC: 1` or `DNT: 1`.
fn opted_out(headers: &HeaderMap) -> bool {
    [SEC_GPC, DNT].iter().any(|name| headers.get(name).is_some_and(|value| value.as_bytes().trim_ascii() == b"1"))
}
