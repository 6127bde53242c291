//! `GET /v1/export` and `GET /v1/export/{name}`: sealed releases in files, for partners and analysts.
//!
//! Guarantees: what goes out is in the audit log first, with the basis on which a partner has it; of the exports in
//! memory there are few at one time, one of a token, counted until their sending ends. It ends: a client that takes an
//! export too slowly is given up.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::body::SizedStream;
use actix_web::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, HeaderName, VARY};
use actix_web::web::{Bytes, Data, Path, Query as Pairs};
use actix_web::{Error, HttpRequest, HttpResponse};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::{Stream, stream};

use super::auth::grant;
use super::error::{Code, Problem};
use super::kept::is_known;
use super::stats::record;
use crate::access::{Grant, Role};
use crate::admission::Turn;
use crate::app::App;
use crate::audit::{Event, Exported, Recipient, TokenName};
use crate::export::{Export, ExportError, PackageQuery, Query, ReleaseQuery};
use crate::stats::{self, Asked};

/// RFC 9530.
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
/// Bytes of an answer that are handed to the connection at once.
const CHUNK: usize = 64 << 10;
/// Bytes that a client must take in each second, after `server.client_timeout`.
const LEAST_RATE: u64 = 64 << 10;

/// What is not sent yet, with its turn; nothing once the time is over.
type Rest = Mutex<Option<(Bytes, Turn)>>;

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
    let turn = app.exports.take_for(&grant.sha256).ok_or(Code::RateLimited)?;
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
    Ok(sent(export, tag, turn, app.config.server.client_timeout.duration()))
}

/// The answer. It keeps its turn until it is sent or given up.
fn sent(export: Export, tag: String, turn: Turn, patience: Duration) -> HttpResponse {
    let digest = hex::decode(&export.sha256).unwrap_or_default();
    let digest = format!("sha-256=:{}:", BASE64_STANDARD.encode(digest));
    let length = export.bytes.len() as u64;
    let most = patience.saturating_add(Duration::from_secs(length / LEAST_RATE));
    let chunks = chunks(export.bytes.into(), turn, most);
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

/// The bytes, a chunk at a time, for no longer than `most`.
fn chunks(bytes: Bytes, turn: Turn, most: Duration) -> impl Stream<Item = Result<Bytes, Error>> {
    let lock = |rest: &Rest| rest.lock().unwrap_or_else(PoisonError::into_inner).take();
    let rest = Arc::new(Mutex::new(Some((bytes, turn))));
    // Nobody asks for a chunk while the client takes none: the time is looked at from elsewhere.
    let late = Arc::downgrade(&rest);
    actix_web::rt::spawn(async move {
        tokio::time::sleep(most).await;
        drop(late.upgrade().and_then(|rest| lock(&rest)));
    });
    stream::unfold(rest, move |rest| async move {
        let Some((mut bytes, turn)) = lock(&rest) else {
            return Some((Err(Problem::from(Code::RequestTimeout).into()), rest));
        };
        let chunk = bytes.split_to(bytes.len().min(CHUNK));
        *rest.lock().unwrap_or_else(PoisonError::into_inner) = Some((bytes, turn));
        (!chunk.is_empty()).then_some((Ok(chunk), rest))
    })
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

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;
    use crate::admission::Exports;

    #[actix_web::test]
    async fn whoever_takes_nothing_gives_the_turn_back() {
        let exports = Exports::new(1);
        let turn = exports.take_for("a").unwrap();
        let bytes = Bytes::from(vec![0; 3 * CHUNK]);
        let mut chunks = std::pin::pin!(chunks(bytes, turn, Duration::from_millis(20)));
        assert_eq!(chunks.next().await.unwrap().unwrap().len(), CHUNK);
        assert!(exports.take_for("b").is_none());
        // It is asked for nothing more, and not given up.
        assert!(exports.wait().await.is_some());
        assert!(chunks.next().await.unwrap().is_err());
    }

    #[actix_web::test]
    async fn all_of_it_is_sent_and_then_the_turn_is_free() {
        let exports = Exports::new(1);
        let turn = exports.take_for("a").unwrap();
        let bytes = Bytes::from(vec![7; 2 * CHUNK + 5]);
        let chunks = chunks(bytes.clone(), turn, Duration::from_secs(3_600));
        let sent: Vec<Bytes> = chunks.map(Result::unwrap).collect().await;
        assert_eq!(sent.concat(), bytes);
        assert_eq!(exports.free(), 1);
    }
}
