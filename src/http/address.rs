//! Where a request comes from, for the limits of an address alone.
//!
//! Guarantees: an address is looked at and let go; it is in no answer, log line, metric or table. What stands in a
//! header is believed only where a trusted proxy wrote it.

use std::any::Any;
use std::net::IpAddr;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Extensions, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{FORWARDED, HeaderMap, HeaderName, X_FORWARDED_FOR};
use actix_web::middleware::Next;
use actix_web::rt::net::TcpStream;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage, HttpRequest, ResponseError};

use super::body::{Pace, drain};
use super::error::Problem;
use crate::admission::Network;
use crate::app::App;
use crate::config::{ForwardedHeader, Server};
use crate::metrics::Metric;

/// Counts every request under its address, and again where it had no valid token.
pub(crate) async fn limit(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, Error> {
    let Some(app) = request.app_data::<Data<App>>().cloned() else {
        return Ok(next.call(request).await?.map_into_left_body());
    };
    let Some(address) = of(request.peer_addr().map(|peer| peer.ip()), request.headers(), &app.config.server) else {
        return Ok(next.call(request).await?.map_into_left_body());
    };
    if let Err(wait) = app.admission.address(address) {
        Metric::LimitedAddress.add(1);
        let payload = request.take_payload();
        drain(request.headers(), payload, Pace::of(&app.config.server)).await;
        return Ok(request.into_response(Problem::limited(wait).error_response()).map_into_right_body());
    }
    let response = next.call(request).await?;
    if response.status() == StatusCode::UNAUTHORIZED
        && let Err(wait) = app.admission.failure(address)
    {
        Metric::LimitedFailure.add(1);
        let limited = Problem::limited(wait).error_response();
        return Ok(response.into_response(limited).map_into_right_body());
    }
    Ok(response.map_into_left_body())
}

/// Counts an attempt to sign in under its address. The handler asks, and no path is compared: each path has many
/// spellings.
pub(super) fn sign_in(request: &HttpRequest, app: &App) -> Result<(), Problem> {
    let peer = request.peer_addr().map(|peer| peer.ip());
    let Some(address) = of(peer, request.headers(), &app.config.server) else { return Ok(()) };
    app.admission.sign_in(address).map_err(|wait| {
        Metric::LimitedFailure.add(1);
        Problem::limited(wait)
    })
}

/// Looks at a connection when it is made: those of an address that has too many open are closed at once, and none
/// stays open for a client that takes no answer.
pub(crate) fn connected(app: &App, stream: &dyn Any, extensions: &mut Extensions) {
    let Some(stream) = stream.downcast_ref::<TcpStream>() else { return };
    let patience = u32::try_from(app.config.server.client_timeout.ms()).unwrap_or(u32::MAX);
    // Where the system does not know it, an answer that is not taken waits for the system's own limit.
    #[cfg(target_os = "linux")]
    let _ = rustix::net::sockopt::set_tcp_user_timeout(stream, patience);
    #[cfg(not(target_os = "linux"))]
    let _ = patience;
    let Some(peer) = stream.peer_addr().ok().map(|peer| peer.ip()) else { return };
    // Of a proxy's connections each has many clients.
    if is_trusted(peer, &app.config.server.trusted_proxies) {
        return;
    }
    let admission = &app.admission;
    match admission.connections.open(admission.hash(peer)) {
        // Counted for as long as the connection has its extensions.
        Some(connection) => {
            extensions.insert(connection);
        }
        None => {
            Metric::LimitedConnection.add(1);
            let _ = rustix::net::shutdown(stream, rustix::net::Shutdown::Both);
        }
    }
}

/// The client's address: that of the connection, or the right-most one that no trusted proxy has. `None` where a
/// trusted proxy names none.
fn of(peer: Option<IpAddr>, headers: &HeaderMap, server: &Server) -> Option<IpAddr> {
    let peer = peer?;
    if !is_trusted(peer, &server.trusted_proxies) {
        return Some(peer);
    }
    let (name, read): (HeaderName, fn(&str) -> Option<IpAddr>) = match server.forwarded_header {
        ForwardedHeader::XForwardedFor => (X_FORWARDED_FOR, address),
        ForwardedHeader::Forwarded => (FORWARDED, forwarded),
    };
    let lines: Vec<&str> = headers.get_all(name).map(|line| line.to_str().unwrap_or_default()).collect();
    let mut left_most = None;
    for element in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        let address = read(element)?;
        if !is_trusted(address, &server.trusted_proxies) {
            return Some(address);
        }
        left_most = Some(address);
    }
    left_most
}

fn is_trusted(address: IpAddr, trusted: &[Network]) -> bool {
    trusted.iter().any(|network| network.contains(address))
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:4711`.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let (host, _) = text.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).unwrap_or((text, ""));
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// The `for` of an element such as `for="[2001:db8::1]:4711";proto=https`.
fn forwarded(element: &str) -> Option<IpAddr> {
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    address(value.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn of(peer: &str, lines: &[&'static str], header: ForwardedHeader) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_static(line));
            headers.append(FORWARDED, HeaderValue::from_static(line));
        }
        let trusted_proxies = ["10.0.0.0/8", "fd00::/8"].iter().filter_map(|text| Network::parse(text)).collect();
        let server = Server { trusted_proxies, forwarded_header: header, ..Server::default() };
        super::of(peer.parse().ok(), &headers, &server).map(|address| address.to_string())
    }

    #[test]
    fn only_what_a_trusted_proxy_says_is_believed() {
        let of = |peer, lines: &[&'static str]| of(peer, lines, ForwardedHeader::XForwardedFor);
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of("192.0.2.1", &["203.0.113.1"]), some("192.0.2.1"));
        assert_eq!(of("10.0.0.1", &["203.0.113.1"]), some("203.0.113.1"));
        // What stands further left is what the client wrote itself.
        assert_eq!(of("10.0.0.1", &["198.51.100.1, 203.0.113.1"]), some("203.0.113.1"));
        assert_eq!(of("10.0.0.1", &["198.51.100.1", "203.0.113.1, 10.0.0.2"]), some("203.0.113.1"));
        assert_eq!(of("10.0.0.1", &["nonsense, 203.0.113.1:4711"]), some("203.0.113.1"));
        assert_eq!(of("fd00::1", &["[2001:db8::1]:4711"]), some("2001:db8::1"));
        assert_eq!(of("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), some("10.0.0.3"));
        assert_eq!(of("10.0.0.1", &["203.0.113.1, unknown"]), None);
        assert_eq!(of("10.0.0.1", &[]), None);
    }

    #[test]
    fn the_other_header_is_read_where_it_is_the_configured_one() {
        let of = |lines: &[&'static str]| of("10.0.0.1", lines, ForwardedHeader::Forwarded);
        assert_eq!(of(&["for=192.0.2.1, For=\"[2001:db8::1]:4711\";proto=https"]).as_deref(), Some("2001:db8::1"));
        assert_eq!(of(&["for=192.0.2.1;by=203.0.113.1"]).as_deref(), Some("192.0.2.1"));
        assert_eq!(of(&["for=_hidden"]), None);
        assert_eq!(of(&["192.0.2.1"]), None);
    }
}
