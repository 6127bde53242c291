//! `POST /v1/collect/preview`: says what would become of a report, and keeps nothing of it.
//!
//! Guarantees: the limits, encodings and refusals of `/v1/collect`. No line in the ledger, no report id remembered, no key
//! made, no metric; a report that was sent before, or whose device is withdrawn, gets the answer that any other gets.

use actix_web::http::header::{ACCEPT_LANGUAGE, HeaderMap};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse, ResponseError};

use super::collect::receive;
use super::error::Problem;
use super::page::negotiated;
use crate::app::App;
use crate::ingest::IngestError;
use crate::policy::Language;
use crate::preview::{Collect, Preview};

/// Answers 200 also where the report as a whole would be refused, if it can be read.
pub(super) async fn preview(request: HttpRequest, payload: Payload, app: Data<App>) -> HttpResponse {
    match look(&request, payload, &app).await {
        Ok(preview) => HttpResponse::Ok().json(preview),
        Err(problem) => problem.error_response(),
    }
}

async fn look(request: &HttpRequest, payload: Payload, app: &App) -> Result<Preview, Problem> {
    let access = app.access();
    let received = receive(request, payload, app, &access).await?;
    let language = language(request.headers());
    let (seen, decided) = app.ingest.preview(received.app, &received.body.0, received.opted_out)?;
    Ok(match decided {
        Ok(report) => Preview::taken(seen, report, language),
        Err(rejection) => {
            let problem = Problem::from(IngestError::Rejected(rejection));
            let code = problem.code();
            let collect =
                Collect::Refused { status: code.status().as_u16(), code: code.word(), field: problem.field() };
            Preview::refused(seen, rejection, collect, language)
        }
    })
}

fn language(headers: &HeaderMap) -> Language {
    negotiated(headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default())
}
