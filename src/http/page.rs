//! `/`: the first page.

use actix_web::HttpResponse;

pub(super) async fn page() -> HttpResponse {
    HttpResponse::Ok().finish()
}

pub(super) async fn sign_in() -> HttpResponse {
    HttpResponse::Ok().finish()
}

pub(super) async fn style() -> HttpResponse {
    HttpResponse::Ok().finish()
}
