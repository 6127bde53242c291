//! `GET /v1/export` and `GET /v1/export/{name}`: sealed releases in files, for partners and analysts.
//!
//! Guarantees: what goes out is in the audit log first, with the basis on which a partner has it; of the exports in
//! memory there are few at one time, counted until their sending ends.

use actix_web::body::SizedStream;
use actix_web::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, HeaderName, VARY};
use actix_web::web::{Bytes, Data, Path, Query as Pairs};
use actix_web::{Error, HttpRequest, HttpResponse};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::stream;
use tokio::sync::OwnedSemaphorePermit;

use super::auth::grant;
use super::error::{Code, Problem};
use super::kept::is_known;
use super::stats::record;
use crate::access::{Grant, Role};
use crate::app::App;
use crate::audit::{Event, Exported, Recipient, TokenName};
use crate::export::{Export, ExportError, PackageQuery, Query, ReleaseQuery};
use crate::stats::{self, Asked};

/// RFC 9530.
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
/// Bytes of an answer that are handed to the connection at once.
const CHUNK: usize = 64 << 10;

/// `GET /v1/export`.
pub(super) async fn package(
    request: HttpRequest,
    pairs: Pairs<Vec<(String, String)>>,
    app: Data<App>,
) -> Result<HttpResponse, Problem> {
    let (grant, query) = asked(&request, &app, |asked| PackageQuery::parse(&pairs, asked).map(Query::Package))?;
    hand_out(&request, &app, &grant, query).await
}

/// `GET /v1/export/{name}`.
pub(super) async fn release(
    request: HttpRequest,
    name: Path<String>,
    pairs: Pairs<Vec<(String, String)>>,
    app: Data<App>,
) -> Result<HttpResponse, Problem> {
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let parse = |asked: Asked<'_>| ReleaseQuery::parse(&name, &pairs, accept, asked).map(Query::Release);
    let (grant, query) = asked(&request, &app, parse)?;
    hand_out(&request, &app, &grant, query).await
}

/// Checks the token, then the question.
fn asked(
    request: &HttpRequest,
    app: &App,
    parse: impl FnOnce(Asked<'_>) -> Result<Query, Vec<stats::Problem>>,
) -> Result<(Grant, Query), Problem> {
    let access = app.access();
    // Also where the page is open to everyone: who takes exports has a name in the audit log.
    let grant = grant(request, &access, &[Role::Partner, Role::Analyst])?;
    let apps = app.app_ids();
    let query = parse(Asked { bound: grant.app.as_deref(), apps: &apps, today: app.today() })?;
    Ok((grant.clone(), query))
}

async fn hand_out(
    request: &HttpRequest,
    app: &Data<App>,
    grant: &Grant,
    query: Query,
) -> Result<HttpResponse, Problem> {
    let turn = app.exports.clone().try_acquire_owned().map_err(|_| Problem::from(Code::RateLimited))?;
    let context = app.export_context(query.scope(), grant.basis);
    let export = {
        let Ok(_question) = app.questions.acquire().await else { return Err(Code::ShuttingDown.into()) };
        let (store, query) = (app.store.clone(), query.clone());
        let made = actix_web::web::block(move || query.make(&*store, &context)).await;
        made.map_err(|_| Problem::from(Code::ShuttingDown))??
    };
    let tag = format!("\"{}\"", export.sha256);
    if is_known(request, &tag) {
        // Nothing is handed out: there is nothing to record.
        return Ok(HttpResponse::NotModified().insert_header((ETAG, tag)).finish());
    }
    let recipient = Recipient::Token(TokenName::of(grant));
    record(app, Event::Exported(Exported::of(&query, &export, grant.basis, recipient))).await?;
    Ok(sent(export, tag, turn))
}

/// The answer. It keeps its turn until it is sent or given up.
fn sent(export: Export, tag: String, turn: OwnedSemaphorePermit) -> HttpResponse {
    let digest = hex::decode(&export.sha256).unwrap_or_default();
    let digest = format!("sha-256=:{}:", BASE64_STANDARD.encode(digest));
    let length = export.bytes.len() as u64;
    let rest = (Bytes::from(export.bytes), turn);
    let chunks = stream::unfold(rest, |(mut bytes, turn)| async move {
        let chunk = bytes.split_to(bytes.len().min(CHUNK));
        (!chunk.is_empty()).then_some((Ok::<_, Error>(chunk), (bytes, turn)))
    });
    let mut response = HttpResponse::Ok();
    response
        .insert_header((CONTENT_TYPE, export.media))
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", export.name)))
        .insert_header((ETAG, tag))
        .insert_header((CONTENT_DIGEST, digest))
        .insert_header((CACHE_CONTROL, "private, no-cache"))
        .insert_header((VARY, "Accept"))
        .body(SizedStream::new(length, Box::pin(chunks)))
}

impl From<ExportError> for Problem {
    fn from(error: ExportError) -> Problem {
        let wrong = |parameter, error: &ExportError| {
            Problem::from(vec![stats::Problem { parameter: Some(parameter), detail: error.to_string() }])
        };
        match error {
            ExportError::NoSuchRelease => Code::NotFound.into(),
            ExportError::NoPlaces => wrong("format", &error),
            ExportError::TooLarge(_) => wrong("period", &error),
            ExportError::Store(error) => error.into(),
            ExportError::Form(_) => Code::Internal.into(),
        }
    }
}
