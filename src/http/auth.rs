//! Who is asking: bearer tokens of the `Authorization` header. Cookies are never read.

use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;

use super::error::{Code, Problem};
use crate::access::{Access, Grant, Role};

/// The grant of a request, if its role is one of `roles`.
///
/// # Errors
/// The same for every reason: no token, an unknown one, one of another role.
pub fn grant<'a>(request: &HttpRequest, access: &'a Access, roles: &[Role]) -> Result<&'a Grant, Problem> {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = header.and_then(|header| header.split_once(' '));
    let grant = match token {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => access.grant(token.trim()),
        _ => None,
    };
    grant.filter(|grant| roles.contains(&grant.role)).ok_or_else(|| Code::Unauthorized.into())
}
