//! All routes, grouped by who calls them.

use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::middleware::DefaultHeaders;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, ResponseError};

use super::error::{Code, Problem};
use super::{
    catalogue, collect, dashboard, export, internal, ledger, officer, page, preview, session, stats, withdrawals,
};

/// What the public listener serves.
pub fn public(routes: &mut ServiceConfig) {
    routes
        // Apps
        .service(only("/v1/collect", "POST").route(web::post().to(collect::collect)))
        .service(only("/v1/collect/preview", "POST").route(web::post().to(preview::preview)))
        // Analysts
        .service(only("/v1/stats/activity", "GET").route(web::get().to(stats::activity)))
        .service(only("/v1/stats/events", "GET").route(web::get().to(stats::events)))
        .service(only("/v1/stats/places", "GET").route(web::get().to(stats::places)))
        .service(only("/v1/stats/places.geojson", "GET").route(web::get().to(stats::places_geojson)))
        .service(only("/v1/stats/releases/{name}", "GET").route(web::get().to(stats::release)))
        .service(only("/v1/catalogue", "GET").route(web::get().to(catalogue::catalogue)))
        // Partners and analysts
        .service(only("/v1/export", "GET").route(web::get().to(export::package)))
        .service(only("/v1/export/{name}", "GET").route(web::get().to(export::release)))
        // Operators
        .service(only("/v1/ledger", "GET").route(web::get().to(ledger::ledger)))
        // Officers
        .service(only("/v1/withdrawals", "POST").route(web::post().to(withdrawals::withdraw)))
        .service(only("/v1/keys", "GET").route(web::get().to(officer::keys)))
        .service(only("/v1/audit", "GET").route(web::get().to(officer::audit)))
        // People
        .service(
            only("/v1/session", "GET, POST, DELETE")
                .route(web::get().to(session::show))
                .route(web::post().to(session::sign_in))
                .route(web::delete().to(session::sign_out)),
        )
        .service(only("/", "GET").route(web::get().to(dashboard::page)))
        .service(only("/assets/{name}", "GET").route(web::get().to(dashboard::asset)))
        .service(only("/privacy", "GET").route(web::get().to(page::privacy)))
        .service(only("/page.css", "GET").route(web::get().to(page::style)))
        .default_service(web::to(not_found));
}

/// What the internal listener serves.
pub fn internal(routes: &mut ServiceConfig) {
    routes
        .service(only("/healthz", "GET").route(web::get().to(internal::alive)))
        .service(only("/readyz", "GET").route(web::get().to(internal::ready)))
        .service(only("/metrics", "GET").route(web::get().to(internal::metrics)))
        .default_service(web::to(not_found));
}

/// Headers of every answer.
#[must_use]
pub fn headers() -> DefaultHeaders {
    DefaultHeaders::new()
        .add(("X-Content-Type-Options", "nosniff"))
        .add(("X-Frame-Options", "DENY"))
        .add(("Referrer-Policy", "no-referrer"))
        .add(("Cross-Origin-Resource-Policy", "same-origin"))
        .add((
            "Content-Security-Policy",
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
             base-uri 'none'; frame-ancestors 'none'",
        ))
}

/// A path with some methods; to others it answers which.
fn only(path: &str, methods: &'static str) -> actix_web::Resource {
    web::resource(path).default_service(web::to(move || async move {
        let mut response = Problem::from(Code::MethodNotAllowed).error_response();
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
        response
    }))
}

async fn not_found() -> HttpResponse {
    Problem::from(Code::NotFound).error_response()
}
