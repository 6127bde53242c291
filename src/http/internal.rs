//! Health and metrics, on the internal listener.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde_json::json;

use crate::app::App;
use crate::metrics::{self, Metric};
use crate::process;
use crate::withdrawal::Alarm;

/// `GET /healthz`: the process runs.
pub(super) async fn alive() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "alive" }))
}

/// `GET /readyz`: reports are taken. Says so also while the store is away: the spool takes them. How the store is stands
/// beside it.
pub(super) async fn ready(app: Data<App>) -> HttpResponse {
    let depth = app.spool.depth();
    let status = if !app.spool.is_open() {
        "spool_closed"
    } else if app.keyring.lacks_state(app.clock.now_ms()) {
        // Nothing can be counted before someone hands the group's state over.
        "no_shared_state"
    } else if depth.bytes >= app.config.spool.limit.bytes() {
        "spool_full"
    } else {
        "ready"
    };
    let standing = app.loader.standing();
    let body = json!({
        "status": status,
        "spool_bytes": depth.bytes,
        "spool_oldest_s": depth.oldest_age.as_secs(),
        "spool_aside": depth.aside,
        "store": standing.trouble.unwrap_or("well"),
        "store_insert_s": standing.loading_since.map_or(0, |since| since.elapsed().as_secs()),
    });
    if status == "ready" { HttpResponse::Ok().json(body) } else { HttpResponse::ServiceUnavailable().json(body) }
}

/// `GET /metrics`, for Prometheus.
pub(super) async fn metrics(app: Data<App>) -> HttpResponse {
    let depth = app.spool.depth();
    Metric::SpoolAside.set(depth.aside);
    Metric::SpoolBytes.set(depth.bytes);
    Metric::SpoolSegments.set(depth.segments);
    Metric::SpoolAge.set(depth.oldest_age.as_secs());
    Metric::SpoolRecords.set(depth.records);
    Metric::SpoolWaiting.set(depth.waiting);
    Metric::SpoolLimit.set(app.config.spool.limit.bytes());
    Metric::SpoolFailures.set(depth.failures);
    Metric::EventsInFlight.set(app.flight.total().received.unsigned_abs());
    Metric::ReportsInFlight.set(app.admission.in_flight());
    Metric::ReportsRemembered.set(app.seen.len() as u64);
    Metric::BodiesBytes.set(app.admission.bodies.taken());
    Metric::MemoryCeiling.set(app.config.memory_ceiling().bytes());
    Metric::Started.set_to(app.started_ms as f64 / 1e3);
    if let Some(used) = process::used() {
        Metric::MemoryBytes.set(used.memory_bytes);
        Metric::CpuSeconds.set_to(used.cpu_seconds);
    }
    let alarms = app.withdrawals.alarms();
    for (metric, alarm) in [
        (Metric::WithdrawalsDue, Alarm::Due),
        (Metric::WithdrawalsOverdue, Alarm::Overdue),
        (Metric::WithdrawalsUnfinished, Alarm::Unfinished),
    ] {
        metric.set(alarms.get(&alarm).copied().unwrap_or(0));
    }
    Metric::SuppressionTags.set(app.withdrawals.tags());
    let text = metrics::recorder().map(metrics_exporter_prometheus::PrometheusHandle::render).unwrap_or_default();
    HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(text)
}
