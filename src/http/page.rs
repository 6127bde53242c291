//! `/privacy`: what is collected, and what becomes of it, as plain HTML in three languages.
//!
//! Guarantees: open to everyone, without scripts: whoever reports to this collector can read it anywhere. Nothing of a
//! request is written into it but a language that is known.
//! Does not: hold a number that was counted; those are on the dashboard.

mod inventory;
mod language;
mod layout;
mod notice;

use std::sync::LazyLock;

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_LANGUAGE, ETAG, VARY};
use actix_web::web::{Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use maud::html;
use sha2::{Digest, Sha256};

use self::language::Language;
use super::kept::is_known;
use crate::app::App;

const STYLE: &str = include_str!("page/page.css");
/// The style sheet's entity tag, which is also the version in its address.
static STYLE_TAG: LazyLock<String> = LazyLock::new(|| hex::encode(&Sha256::digest(STYLE)[..8]));

/// `GET /privacy`.
pub(super) async fn privacy(request: HttpRequest, app: Data<App>) -> HttpResponse {
    let accepted = request.headers().get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    let language = chosen(request.query_string(), accepted.unwrap_or_default());
    let content = html! {
        (inventory::inventory(language))
        (notice::notice_section(language))
    };
    let style = format!("/page.css?v={}", *STYLE_TAG);
    let document = layout::document(language, app.config.page.simulated, &style, &content);
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((CONTENT_LANGUAGE, language.code()))
        .insert_header((VARY, "Accept-Language"))
        .body(document.into_string())
}

/// `GET /page.css`.
pub(super) async fn style(request: HttpRequest) -> HttpResponse {
    let tag = format!("\"{}\"", *STYLE_TAG);
    let is_known = is_known(&request, &tag);
    let mut response = HttpResponse::build(if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
    response.insert_header((CACHE_CONTROL, "public, max-age=3600")).insert_header((ETAG, tag));
    if is_known {
        return response.finish();
    }
    response.content_type("text/css; charset=utf-8").body(STYLE)
}

/// The language of the policy that an `Accept-Language` header asks for.
pub(super) fn negotiated(accepted: &str) -> crate::policy::Language {
    Language::negotiated(accepted).of_policy()
}

/// The language of the query, else the one that the browser prefers.
fn chosen(query: &str, accepted: &str) -> Language {
    let pairs = Query::<Vec<(String, String)>>::from_query(query).map(Query::into_inner).unwrap_or_default();
    let asked = pairs.iter().find(|(name, _)| name == "lang").and_then(|(_, code)| Language::of(code));
    asked.unwrap_or_else(|| Language::negotiated(accepted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_stands_over_the_browser_and_what_is_unknown_is_as_if_it_were_not_there() {
        assert_eq!(chosen("lang=kk", "ru"), Language::Kazakh);
        for query in ["", "lang=xx", "lang", "%", "more=kk"] {
            assert_eq!(chosen(query, "ru"), Language::Russian, "{query}");
        }
    }

    #[test]
    fn nothing_on_the_page_needs_what_the_policy_forbids() {
        for language in Language::ALL {
            let content = html! { (inventory::inventory(language)) (notice::notice_section(language)) };
            let page = layout::document(language, true, "/page.css", &content).into_string();
            assert!(!page.contains("<script") && !page.contains("<style") && !page.contains("style=\""));
        }
    }
}
