//! `POST /v1/collect`: takes a report of an app.

use std::time::Instant;

use actix_web::http::header::{DNT, HeaderMap, HeaderName};
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
            drain(payload, DRAINED).await;
            return Err(problem);
        }
    };
    let limits = &app.config.limits;
    let reading = read(request.headers(), payload, limits.body.bytes() as usize);
    let body = tokio::time::timeout(app.config.server.client_timeout.duration(), reading)
        .await
        .map_err(|_| Problem::from(Code::RequestTimeout))??;
    let began = Instant::now();
    let body = decode(body, encoding, limits.decompressed.bytes() as usize)?;
    let answer = app.ingest.take(id, &body, opted_out(request.headers())).await?;
    Metric::CollectSeconds.observe(began.elapsed());
    Ok(HttpResponse::Accepted().json(answer))
}

/// `Sec-GPC: 1` or `DNT: 1`.
fn opted_out(headers: &HeaderMap) -> bool {
    [SEC_GPC, DNT].iter().any(|name| headers.get(name).is_some_and(|value| value.as_bytes().trim_ascii() == b"1"))
}
