//! `/v1/session`: who is signed in on the dashboard, signing in by a token, signing out.
//!
//! Guarantees: the token comes in a body once and is wiped; every refusal is the same, whatever it is for; a sign-in is
//! in the audit log before it counts; the cookie goes to `/v1` of this host alone and no script can read it.
//! Does not: sign in whom the page has nothing for, or say whether a token exists.

use std::net::IpAddr;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue, ORIGIN, SET_COOKIE};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::address;
use super::auth::{COOKIE, is_cross_site, is_same_origin, secret};
use super::body::{Pace, drain, read};
use super::error::{Code, Problem};
use super::stats::record;
use crate::access::{Grant, Role, hash};
use crate::app::App;
use crate::audit::{Event, SignedIn};
use crate::clock::{day_of, timestamp};
use crate::sessions::LIFE_MS;

/// Most bytes of a sign-in.
const LONGEST: usize = 4 << 10;

/// What proxies add.
const FORWARDING: [&str; 6] =
    ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form<'a> {
    /// Borrowed from the body, which is wiped: a token has nothing that JSON would escape.
    token: &'a str,
}

/// Who asks, and what the dashboard may show.
#[derive(Serialize)]
struct Standing {
    role: Option<Role>,
    /// When the session ends: with its time or with its token.
    until: Option<Timestamp>,
    /// Releases are shown to everyone.
    public: bool,
    simulated: bool,
    /// Those whose releases may be asked for.
    apps: Vec<Named>,
    zone: String,
    region: Region,
    /// When the next day is sealed; none where it is done by hand.
    next_seal: Option<Timestamp>,
    version: &'static str,
}

#[derive(Serialize)]
struct Named {
    id: String,
    name: String,
}

#[derive(Serialize)]
struct Region {
    name: String,
    /// West, south, east, north, in degrees.
    bounds: [f64; 4],
}

/// `GET /v1/session`.
pub(super) async fn show(request: HttpRequest, app: Data<App>) -> HttpResponse {
    let access = app.access();
    let now_ms = app.clock.now_ms();
    let session = secret(&request).and_then(|secret| app.sessions.token(secret, now_ms));
    let signed_in = session.and_then(|(token, ends_ms)| Some((access.grant_of(&token, now_ms)?, ends_ms)));
    respond(&app, signed_in)
}

/// `POST /v1/session`.
pub(super) async fn sign_in(request: HttpRequest, payload: Payload, app: Data<App>) -> Result<HttpResponse, Problem> {
    let pace = Pace::of(&app.config.server);
    if let Err(problem) = address::sign_in(&request, &app).and_then(|()| check(&request)) {
        drain(request.headers(), payload, pace).await;
        return Err(problem);
    }
    let body = read(request.headers(), payload, LONGEST, pace).await?;
    let access = app.access();
    let now_ms = app.clock.now_ms();
    let form: Form<'_> = serde_json::from_slice(&body.0).map_err(|_| Code::Unauthorized)?;
    let token = hash(form.token.trim());
    let grant = access.grant_of(&token, now_ms).filter(|grant| signs_in(grant)).ok_or(Code::Unauthorized)?;
    record(&app, Event::SignedIn(SignedIn::by(grant))).await?;
    let secret = app.sessions.open(token, now_ms).map_err(|_| Code::Internal)?;
    let mut response = respond(&app, Some((grant, now_ms + LIFE_MS)));
    set(&request, &mut response, &secret, LIFE_MS / 1_000);
    Ok(response)
}

/// `DELETE /v1/session`.
pub(super) async fn sign_out(request: HttpRequest, app: Data<App>) -> HttpResponse {
    if !is_cross_site(&request)
        && let Some(secret) = secret(&request)
    {
        app.sessions.close(secret);
    }
    let mut response = HttpResponse::new(StatusCode::NO_CONTENT);
    set(&request, &mut response, "", 0);
    response
}

/// Who may have a session: people of the operator. There is nothing on the page for an app's key or a partner, nor for
/// an officer of one app, who reads neither keys nor the audit log.
fn signs_in(grant: &Grant) -> bool {
    match grant.role {
        Role::Analyst | Role::Operator => true,
        Role::Officer => grant.app.is_none(),
        Role::App | Role::Partner => false,
    }
}

/// A page of another host can send neither this media type nor these headers without being asked, and is told nothing.
fn check(request: &HttpRequest) -> Result<(), Problem> {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    // A browser without its own word on it: then by the host, which a proxy must have passed on.
    if !is_same_origin(request)
        && let Some(origin) = header(ORIGIN)
        && origin.split_once("://").map(|(_, host)| host) != header(HOST)
    {
        return Err(Code::Unauthorized.into());
    }
    if is_cross_site(request) {
        return Err(Code::Unauthorized.into());
    }
    let media = header(CONTENT_TYPE).and_then(|media| media.split(';').next()).unwrap_or_default();
    if !media.trim().eq_ignore_ascii_case("application/json") {
        return Err(Code::UnsupportedMediaType.into());
    }
    Ok(())
}

fn respond(app: &App, signed_in: Option<(&Grant, i64)>) -> HttpResponse {
    let reads = |app_id: &str| match signed_in {
        Some((grant, _)) => grant.reaches(app_id),
        None => app.config.page.public,
    };
    let catalogues = app.ingest.catalogues().all();
    let apps = catalogues.iter().filter(|catalogue| reads(&catalogue.declaration.app));
    let standing = Standing {
        role: signed_in.map(|(grant, _)| grant.role),
        until: signed_in.map(|(grant, ends_ms)| until(grant, ends_ms)),
        public: app.config.page.public,
        simulated: app.config.page.simulated,
        apps: apps
            .map(|catalogue| Named { id: catalogue.declaration.app.clone(), name: catalogue.name.clone() })
            .collect(),
        zone: app.config.privacy.zone.clone(),
        region: Region { name: app.config.privacy.region_name.clone(), bounds: app.sealer.region.bounds() },
        next_seal: next_seal(app),
        version: env!("CARGO_PKG_VERSION"),
    };
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(standing)
}

/// When a session ends, or before it the token that opened it.
fn until(grant: &Grant, ends_ms: i64) -> Timestamp {
    let ends = timestamp(ends_ms);
    grant.expires.map_or(ends, |expires| expires.min(ends))
}

/// When the next day's grace ends: yesterday's, where that is still to come, else today's.
fn next_seal(app: &App) -> Option<Timestamp> {
    if !app.config.seal.scheduled {
        return None;
    }
    let now_ms = app.clock.now_ms();
    let today = app.today();
    let yesterday = today.saturating_sub(jiff::Span::new().days(1));
    let ends = [yesterday, today].map(|date| app.keyring.grace_ends(day_of(date)));
    ends.into_iter().find(|end| *end > now_ms).map(timestamp)
}

/// Hands the cookie out, or takes it back where it lasts for no time. On this machine, with no proxy in between, it goes
/// over plain HTTP too; from anywhere else a browser keeps it over TLS alone.
fn set(request: &HttpRequest, response: &mut HttpResponse, secret: &str, lasts_s: i64) {
    let secure = if is_local(request) { "" } else { "; Secure" };
    let cookie =
        Zeroizing::new(format!("{COOKIE}={secret}; Path=/v1; HttpOnly; SameSite=Strict; Max-Age={lasts_s}{secure}"));
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(SET_COOKIE, value);
    }
}

/// Whether the browser is on this machine and no proxy in between: by the host alone nobody can tell, since a proxy may
/// ask for this machine whatever it was asked for.
fn is_local(request: &HttpRequest) -> bool {
    let headers = request.headers();
    let is_near = request.peer_addr().is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(name, _)| name);
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let is_named = name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    is_near && is_named && !FORWARDING.iter().any(|name| headers.contains_key(*name))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn only_this_machine_is_local() {
        let is_local = |peer: &str, host: &str, more: Option<&'static str>| {
            let request = TestRequest::default().peer_addr(peer.parse().unwrap()).insert_header((HOST, host));
            let request = more.into_iter().fold(request, |request, name| request.insert_header((name, "x")));
            is_local(&request.to_http_request())
        };
        for (host, expected) in [
            ("127.0.0.1:8080", true),
            ("localhost", true),
            ("[::1]:8080", true),
            ("stats.example.kz", false),
            ("10.0.0.7:8080", false),
            ("127.0.0.1.example.kz", false),
            ("", false),
        ] {
            assert_eq!(is_local("127.0.0.1:4711", host, None), expected, "{host}");
            assert!(!is_local("192.0.2.1:4711", host, None), "{host}, from elsewhere");
        }
        // A proxy on this machine asks for this machine, whatever the browser asked it for.
        for name in FORWARDING {
            assert!(!is_local("127.0.0.1:4711", "127.0.0.1:8080", Some(name)), "{name}");
        }
    }

    #[test]
    fn another_host_is_not_listened_to() {
        let request = |headers: &[(&'static str, &'static str)]| {
            let plain = TestRequest::default()
                .insert_header((HOST, "a.kz"))
                .insert_header((CONTENT_TYPE, "application/json"));
            let all = headers.iter().fold(plain, |request, header| request.insert_header(*header));
            check(&all.to_http_request()).map_err(|problem| problem.code())
        };
        assert_eq!(request(&[]), Ok(()));
        assert_eq!(request(&[("Origin", "https://a.kz"), ("Sec-Fetch-Site", "same-origin")]), Ok(()));
        // Behind a proxy that does not pass the host on.
        assert_eq!(request(&[("Origin", "https://b.kz"), ("Sec-Fetch-Site", "same-origin")]), Ok(()));
        assert_eq!(request(&[("Origin", "https://b.kz"), ("Sec-Fetch-Site", "none")]), Err(Code::Unauthorized));
        assert_eq!(request(&[("Origin", "https://b.kz")]), Err(Code::Unauthorized));
        assert_eq!(request(&[("Origin", "null")]), Err(Code::Unauthorized));
        assert_eq!(request(&[("Sec-Fetch-Site", "cross-site")]), Err(Code::Unauthorized));
        assert_eq!(request(&[("Sec-Fetch-Site", "same-site")]), Err(Code::Unauthorized));
        assert_eq!(request(&[("Content-Type", "text/plain")]), Err(Code::UnsupportedMediaType));
    }
}
