//! Who is asking: bearer tokens of the `Authorization` header, and the dashboard's sessions.
//!
//! Guarantees: every refusal is the same; a session is looked at where a request reads, and never where it changes
//! something, so that no page of another host can use it.

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, COOKIE as COOKIES};
use actix_web::web::Data;

use super::error::{Code, Problem};
use crate::access::{Access, Grant, Role};
use crate::app::App;

/// The name of the one cookie that there is.
pub(super) const COOKIE: &str = "tuman_session";

/// The grant of a request, if its role is one of `roles`.
///
/// # Errors
/// The same for every reason: no token, an unknown one, one that has expired, one of another role.
pub fn grant<'a>(request: &HttpRequest, access: &'a Access, roles: &[Role]) -> Result<&'a Grant, Problem> {
    let app = request.app_data::<Data<App>>().ok_or(Code::Unauthorized)?;
    let now_ms = app.clock.now_ms();
    let grant = match request.headers().get(AUTHORIZATION) {
        Some(header) => {
            let token = header.to_str().ok().and_then(|header| header.split_once(' '));
            let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
            token.and_then(|(_, token)| access.grant(token.trim(), now_ms))
        }
        None if request.method().is_safe() && !is_cross_site(request) => {
            let session = secret(request).and_then(|secret| app.sessions.token(secret, now_ms));
            session.and_then(|(token, _)| access.grant_of(&token, now_ms))
        }
        None => None,
    };
    grant.filter(|grant| roles.contains(&grant.role)).ok_or_else(|| Code::Unauthorized.into())
}

/// What the browser holds of a session. Of all cookies this one alone is looked at.
pub(super) fn secret(request: &HttpRequest) -> Option<&str> {
    let lines = request.headers().get_all(COOKIES).filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

/// Whether a browser says that a page of another host has it ask.
pub(super) fn is_cross_site(request: &HttpRequest) -> bool {
    site(request).is_some_and(|site| !matches!(site, "same-origin" | "none"))
}

/// Whether a browser says that a page of this host has it ask. No page can write this header.
pub(super) fn is_same_origin(request: &HttpRequest) -> bool {
    site(request) == Some("same-origin")
}

fn site(request: &HttpRequest) -> Option<&str> {
    request.headers().get("sec-fetch-site").and_then(|value| value.to_str().ok())
}
