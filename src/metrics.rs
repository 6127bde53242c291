//! Metrics by name, from one enum.
//!
//! Guarantees: a metric that is not declared here does not exist; none has a label that could name a person, a device,
//! a place or an address. Counting is one atomic addition.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tuman_privacy::refusal::Refusal;

/// Every metric, but those of [`refused`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Events of reports that were answered 202, retries included.
    EventsReceived,
    /// Events of them that left a row.
    EventsAccepted,
    /// Events of them that were refused; by reason in [`refused`].
    EventsRefused,
    /// Events of them that were known already.
    EventsDuplicate,
    /// Events in the spool that the store does not have yet.
    EventsInFlight,
    /// Reports answered 202.
    ReportsAccepted,
    /// Reports answered with a 4xx.
    ReportsRejected,
    /// Reports answered with a 5xx.
    ReportsFailed,
    /// Reports that are being taken now.
    ReportsInFlight,
    /// Report ids remembered.
    ReportsRemembered,
    /// Requests refused: too many of their address.
    LimitedAddress,
    /// Requests refused: too many without a valid token, or to sign in, of their address.
    LimitedFailure,
    /// Reports refused: too many of their key.
    LimitedKey,
    /// Connections closed: too many of their address.
    LimitedConnection,
    /// Reports refused: no memory for their bodies.
    ShedBodies,
    /// Reports refused: too many wait for their sync.
    ShedQueue,
    /// Reports refused: they waited too long for their turn.
    ShedLate,
    /// Reports refused: the spool is full.
    ShedSpool,
    /// Reports whose body came too slowly.
    SlowClients,
    /// Memory that bodies take now.
    BodiesBytes,
    /// Segments loaded into the store.
    SegmentsLoaded,
    /// Rows loaded into the store.
    RowsLoaded,
    /// Failed attempts to load a segment.
    LoadFailures,
    /// 1 where the store took the last segment, 0 where it did not.
    StoreUp,
    /// Records that failed their checksum: they are lost.
    RecordsCorrupt,
    /// Segments that were set aside and went with a sealed day.
    SegmentsDiscarded,
    /// Days sealed.
    DaysSealed,
    /// Segments set aside.
    SpoolAside,
    /// Bytes in the spool.
    SpoolBytes,
    /// Segments in the spool.
    SpoolSegments,
    /// Reports in the spool.
    SpoolRecords,
    /// Reports that wait for their sync.
    SpoolWaiting,
    /// Bytes that the spool may hold.
    SpoolLimit,
    /// Age of the oldest segment.
    SpoolAge,
    /// Writes and syncs that failed since the start.
    SpoolFailures,
    /// Memory of the process.
    MemoryBytes,
    /// The most that the process should ever take by its configuration.
    MemoryCeiling,
    /// Processor time that the process has used.
    CpuSeconds,
    /// When the process started, in seconds since 1970.
    Started,
    /// Cases of withdrawal to be answered within two days.
    WithdrawalsDue,
    /// Cases whose deadline has passed without an answer.
    WithdrawalsOverdue,
    /// Cases whose erasure was interrupted.
    WithdrawalsUnfinished,
    /// Tags on the suppression list.
    SuppressionTags,
    /// From a report's last byte to its answer.
    CollectSeconds,
    /// Events in a report.
    ReportEvents,
    /// Writing and syncing one batch of the spool.
    SyncSeconds,
    /// Reports that share one sync.
    SyncRecords,
    /// Loading of a segment.
    LoadSeconds,
    /// Sealing of a day.
    SealSeconds,
}

enum Kind {
    Counter,
    Gauge,
    Histogram(&'static [f64]),
}

/// A tenth of a millisecond to ten seconds.
const TIMES: &[f64] =
    &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// A hundredth of a second to an hour.
const LONG_TIMES: &[f64] =
    &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0];
const COUNTS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0];

/// A metric in the recorder: found by its name once, not whenever it is counted.
enum Handle {
    Counter(metrics::Counter),
    Gauge(metrics::Gauge),
    Histogram(metrics::Histogram),
}

/// In the order of [`Metric::ALL`].
static HANDLES: OnceLock<Vec<Handle>> = OnceLock::new();
/// In the order of [`Refusal::ALL`].
static REFUSED: OnceLock<Vec<metrics::Counter>> = OnceLock::new();

impl Metric {
    /// All metrics.
    pub const ALL: [Metric; 49] = [
        Metric::EventsReceived,
        Metric::EventsAccepted,
        Metric::EventsRefused,
        Metric::EventsDuplicate,
        Metric::EventsInFlight,
        Metric::ReportsAccepted,
        Metric::ReportsRejected,
        Metric::ReportsFailed,
        Metric::ReportsInFlight,
        Metric::ReportsRemembered,
        Metric::LimitedAddress,
        Metric::LimitedFailure,
        Metric::LimitedKey,
        Metric::LimitedConnection,
        Metric::ShedBodies,
        Metric::ShedQueue,
        Metric::ShedLate,
        Metric::ShedSpool,
        Metric::SlowClients,
        Metric::BodiesBytes,
        Metric::SegmentsLoaded,
        Metric::RowsLoaded,
        Metric::LoadFailures,
        Metric::StoreUp,
        Metric::RecordsCorrupt,
        Metric::SegmentsDiscarded,
        Metric::DaysSealed,
        Metric::SpoolAside,
        Metric::SpoolBytes,
        Metric::SpoolSegments,
        Metric::SpoolRecords,
        Metric::SpoolWaiting,
        Metric::SpoolLimit,
        Metric::SpoolAge,
        Metric::SpoolFailures,
        Metric::MemoryBytes,
        Metric::MemoryCeiling,
        Metric::CpuSeconds,
        Metric::Started,
        Metric::WithdrawalsDue,
        Metric::WithdrawalsOverdue,
        Metric::WithdrawalsUnfinished,
        Metric::SuppressionTags,
        Metric::CollectSeconds,
        Metric::ReportEvents,
        Metric::SyncSeconds,
        Metric::SyncRecords,
        Metric::LoadSeconds,
        Metric::SealSeconds,
    ];

    /// Its name in Prometheus.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.declaration().0
    }

    /// Counts on. Before [`recorder`] is called, nothing is counted, set or observed.
    pub fn add(self, n: u64) {
        if let Some(Handle::Counter(counter)) = self.handle() {
            counter.increment(n);
        }
    }

    /// Sets a gauge.
    #[allow(clippy::cast_precision_loss)]
    pub fn set(self, value: u64) {
        self.set_to(value as f64);
    }

    /// Sets a gauge that has a fraction.
    pub fn set_to(self, value: f64) {
        if let Some(Handle::Gauge(gauge)) = self.handle() {
            gauge.set(value);
        }
    }

    /// Observes a duration.
    pub fn observe(self, duration: std::time::Duration) {
        if let Some(Handle::Histogram(histogram)) = self.handle() {
            histogram.record(duration.as_secs_f64());
        }
    }

    /// Observes a number of things.
    #[allow(clippy::cast_precision_loss)]
    pub fn observe_count(self, n: usize) {
        if let Some(Handle::Histogram(histogram)) = self.handle() {
            histogram.record(n as f64);
        }
    }

    fn handle(self) -> Option<&'static Handle> {
        HANDLES.get()?.get(self as usize)
    }

    fn declaration(self) -> (&'static str, Kind, &'static str) {
        match self {
            Metric::EventsReceived => (
                "tuman_events_received_total",
                Kind::Counter,
                "Events of reports that were answered 202, retries included",
            ),
            Metric::EventsAccepted => {
                ("tuman_events_accepted_total", Kind::Counter, "Events of them that left a row")
            }
            Metric::EventsRefused => {
                ("tuman_events_refused_total", Kind::Counter, "Events of them that were refused")
            }
            Metric::EventsDuplicate => {
                ("tuman_events_duplicate_total", Kind::Counter, "Events of them that were known already")
            }
            Metric::EventsInFlight => {
                ("tuman_events_in_flight", Kind::Gauge, "Events in the spool that the store does not have yet")
            }
            Metric::ReportsAccepted => ("tuman_reports_accepted_total", Kind::Counter, "Reports answered 202"),
            Metric::ReportsRejected => ("tuman_reports_rejected_total", Kind::Counter, "Reports answered with a 4xx"),
            Metric::ReportsFailed => ("tuman_reports_failed_total", Kind::Counter, "Reports answered with a 5xx"),
            Metric::ReportsInFlight => ("tuman_reports_in_flight", Kind::Gauge, "Reports that are being taken now"),
            Metric::ReportsRemembered => ("tuman_reports_remembered", Kind::Gauge, "Report ids remembered"),
            Metric::LimitedAddress => {
                ("tuman_limited_address_total", Kind::Counter, "Requests refused: too many of their address")
            }
            Metric::LimitedFailure => (
                "tuman_limited_failure_total",
                Kind::Counter,
                "Requests refused: too many without a valid token, or to sign in, of their address",
            ),
            Metric::LimitedKey => {
                ("tuman_limited_key_total", Kind::Counter, "Reports refused: too many of their key")
            }
            Metric::LimitedConnection => {
                ("tuman_limited_connection_total", Kind::Counter, "Connections closed: too many of their address")
            }
            Metric::ShedBodies => {
                ("tuman_shed_bodies_total", Kind::Counter, "Reports refused: no memory for their bodies")
            }
            Metric::ShedQueue => {
                ("tuman_shed_queue_total", Kind::Counter, "Reports refused: too many wait for their sync")
            }
            Metric::ShedLate => {
                ("tuman_shed_late_total", Kind::Counter, "Reports refused: they waited too long for their turn")
            }
            Metric::ShedSpool => ("tuman_shed_spool_total", Kind::Counter, "Reports refused: the spool is full"),
            Metric::SlowClients => ("tuman_slow_clients_total", Kind::Counter, "Reports whose body came too slowly"),
            Metric::BodiesBytes => ("tuman_bodies_bytes", Kind::Gauge, "Memory that bodies take now"),
            Metric::SegmentsLoaded => {
                ("tuman_segments_loaded_total", Kind::Counter, "Segments loaded into the store")
            }
            Metric::RowsLoaded => ("tuman_rows_loaded_total", Kind::Counter, "Rows loaded into the store"),
            Metric::LoadFailures => ("tuman_load_failures_total", Kind::Counter, "Failed attempts to load a segment"),
            Metric::StoreUp => {
                ("tuman_store_up", Kind::Gauge, "1 where the store took the last segment, 0 where it did not")
            }
            Metric::RecordsCorrupt => {
                ("tuman_records_corrupt_total", Kind::Counter, "Records that failed their checksum: they are lost")
            }
            Metric::SegmentsDiscarded => {
                ("tuman_segments_discarded_total", Kind::Counter, "Segments set aside that went with a sealed day")
            }
            Metric::SpoolAside => ("tuman_spool_aside_segments", Kind::Gauge, "Segments set aside"),
            Metric::DaysSealed => ("tuman_days_sealed_total", Kind::Counter, "Days sealed"),
            Metric::SpoolBytes => ("tuman_spool_bytes", Kind::Gauge, "Bytes in the spool"),
            Metric::SpoolSegments => ("tuman_spool_segments", Kind::Gauge, "Segments in the spool"),
            Metric::SpoolRecords => ("tuman_spool_records", Kind::Gauge, "Reports in the spool"),
            Metric::SpoolWaiting => ("tuman_spool_waiting", Kind::Gauge, "Reports that wait for their sync"),
            Metric::SpoolLimit => ("tuman_spool_limit_bytes", Kind::Gauge, "Bytes that the spool may hold"),
            Metric::SpoolAge => ("tuman_spool_age_seconds", Kind::Gauge, "Age of the oldest segment"),
            Metric::SpoolFailures => {
                ("tuman_spool_failures", Kind::Gauge, "Writes and syncs that failed since the start")
            }
            Metric::WithdrawalsDue => {
                ("tuman_withdrawals_due", Kind::Gauge, "Cases of withdrawal to be answered within two days")
            }
            Metric::WithdrawalsOverdue => {
                ("tuman_withdrawals_overdue", Kind::Gauge, "Cases whose deadline passed without an answer")
            }
            Metric::WithdrawalsUnfinished => {
                ("tuman_withdrawals_unfinished", Kind::Gauge, "Cases whose erasure was interrupted")
            }
            Metric::SuppressionTags => ("tuman_suppression_tags", Kind::Gauge, "Tags on the suppression list"),
            Metric::MemoryBytes => ("tuman_memory_bytes", Kind::Gauge, "Memory of the process"),
            Metric::MemoryCeiling => (
                "tuman_memory_ceiling_bytes",
                Kind::Gauge,
                "The most that the process should ever take by its configuration",
            ),
            Metric::CpuSeconds => ("tuman_cpu_seconds", Kind::Gauge, "Processor time that the process has used"),
            Metric::Started => {
                ("tuman_start_time_seconds", Kind::Gauge, "When the process started, in seconds since 1970")
            }
            Metric::CollectSeconds => {
                ("tuman_collect_seconds", Kind::Histogram(TIMES), "From a report's last byte to its answer")
            }
            Metric::ReportEvents => ("tuman_report_events", Kind::Histogram(COUNTS), "Events in a report"),
            Metric::SyncSeconds => {
                ("tuman_sync_seconds", Kind::Histogram(TIMES), "Writing and syncing one batch of the spool")
            }
            Metric::SyncRecords => ("tuman_sync_records", Kind::Histogram(COUNTS), "Reports that share one sync"),
            Metric::LoadSeconds => ("tuman_load_seconds", Kind::Histogram(LONG_TIMES), "Loading of a segment"),
            Metric::SealSeconds => ("tuman_seal_seconds", Kind::Histogram(LONG_TIMES), "Sealing of a day"),
        }
    }
}

/// Counts an event that was refused under its reason.
pub fn refused(reason: Refusal) {
    let place = Refusal::ALL.iter().position(|known| *known == reason);
    if let (Some(counters), Some(place)) = (REFUSED.get(), place)
        && let Some(counter) = counters.get(place)
    {
        counter.increment(1);
    }
}

/// The name of the metric that counts events refused for a reason.
#[must_use]
pub fn refused_name(reason: Refusal) -> String {
    format!("tuman_events_refused_{}_total", reason.word())
}

/// The process's recorder; installed by the first call. `None` where another recorder is installed already.
pub fn recorder() -> Option<&'static PrometheusHandle> {
    static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    RECORDER
        .get_or_init(|| {
            let mut builder = PrometheusBuilder::new();
            for metric in Metric::ALL {
                if let (name, Kind::Histogram(buckets), _) = metric.declaration() {
                    builder = builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), buckets).ok()?;
                }
            }
            let handle = builder.install_recorder().ok()?;
            HANDLES.get_or_init(|| Metric::ALL.map(declare).into());
            REFUSED.get_or_init(|| Refusal::ALL.map(declare_refused).into());
            Some(handle)
        })
        .as_ref()
}

fn declare(metric: Metric) -> Handle {
    let (name, kind, what) = metric.declaration();
    match kind {
        Kind::Counter => {
            metrics::describe_counter!(name, what);
            Handle::Counter(metrics::counter!(name))
        }
        Kind::Gauge => {
            metrics::describe_gauge!(name, what);
            Handle::Gauge(metrics::gauge!(name))
        }
        Kind::Histogram(_) => {
            metrics::describe_histogram!(name, what);
            Handle::Histogram(metrics::histogram!(name))
        }
    }
}

fn declare_refused(reason: Refusal) -> metrics::Counter {
    let name = refused_name(reason);
    metrics::describe_counter!(name.clone(), "Events refused for this reason");
    metrics::counter!(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_stand_in_the_order_of_their_numbers() {
        for (index, metric) in Metric::ALL.into_iter().enumerate() {
            assert_eq!(metric as usize, index);
        }
    }
}
