//! `/` and `/assets/...`: the dashboard, built by `make dashboard` from `dashboard/` and embedded.
//!
//! Guarantees: what is served was there when the program was compiled; a file's name holds the hash of its content, so
//! that browsers keep it for a year; nothing of a request chooses anything but a name of the list.
//! Does not: hold a number. Those come from `/v1`, for whoever may ask. A program that was compiled without the
//! dashboard says so, and does everything else.

use std::borrow::Cow;
use std::io::Read;

use actix_web::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, ETAG, VARY};
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use flate2::read::GzDecoder;
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

use super::error::{Code, Problem};
use super::kept::is_known;

/// The files, compressed twice over: each has one form for browsers that know Brotli, and one for the rest.
#[derive(RustEmbed)]
#[folder = "dashboard/dist"]
struct Files;

const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Tuman</title>\
    <p>This program was compiled without the dashboard: <code>make build</code> makes one with it. \
    Reports are taken, and <code>/v1</code> answers, as ever.</p>";

/// `GET /`. The page's address holds what is looked at behind a `#`, which browsers keep to themselves.
pub(super) async fn page(request: HttpRequest) -> HttpResponse {
    if Files::get("index.html.gz").is_none() {
        return HttpResponse::Ok()
            .content_type("text/html; charset=utf-8")
            .insert_header((CACHE_CONTROL, "no-cache"))
            .body(NOT_BUILT);
    }
    serve(&request, "index.html", "no-cache")
}

/// `GET /assets/{name}`.
pub(super) async fn asset(request: HttpRequest, name: Path<String>) -> HttpResponse {
    serve(&request, &format!("assets/{name}"), "public, max-age=31536000, immutable")
}

fn serve(request: &HttpRequest, name: &str, cache: &str) -> HttpResponse {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let accepted = header(ACCEPT_ENCODING);
    let Some((content, encoding)) = form(name, accepted) else {
        return Problem::from(Code::NotFound).error_response();
    };
    // Of what goes out: two encodings are two entities.
    let tag = format!("\"{}\"", hex::encode(&Sha256::digest(&content)[..8]));
    let mut response = HttpResponse::Ok();
    response.insert_header((CACHE_CONTROL, cache.to_owned())).insert_header((VARY, "Accept-Encoding"));
    if is_known(request, &tag) {
        return response.status(actix_web::http::StatusCode::NOT_MODIFIED).insert_header((ETAG, tag)).finish();
    }
    response.insert_header((ETAG, tag)).content_type(media_type(name));
    if let Some(encoding) = encoding {
        response.insert_header((CONTENT_ENCODING, encoding));
    }
    response.body(content.into_owned())
}

/// The smallest form of a file that a browser takes.
fn form(name: &str, accepted: &str) -> Option<(Cow<'static, [u8]>, Option<&'static str>)> {
    let takes =
        |encoding: &str| accepted.split(',').any(|one| one.split(';').next().unwrap_or_default().trim() == encoding);
    if takes("br")
        && let Some(file) = Files::get(&format!("{name}.br"))
    {
        return Some((file.data, Some("br")));
    }
    let packed = Files::get(&format!("{name}.gz"))?.data;
    if takes("gzip") {
        return Some((packed, Some("gzip")));
    }
    let mut plain = Vec::new();
    GzDecoder::new(&*packed).read_to_end(&mut plain).ok()?;
    Some((plain.into(), None))
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}
