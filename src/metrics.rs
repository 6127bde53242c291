//! Metrics by name, from one enum.
//!
//! Guarantees: a metric that is not declared here does not exist; none has a label that could name a person, a device,
//! a place or an address.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// Every metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Events in reports that were read.
    EventsReceived,
    /// Events that left a row.
    EventsAccepted,
    /// Events refused.
    EventsRefused,
    /// Events of reports that were known already.
    EventsDuplicate,
    /// Reports answered 202.
    ReportsAccepted,
    /// Reports answered with a 4xx.
    ReportsRejected,
    /// Reports answered with a 5xx.
    ReportsFailed,
    /// Segments loaded into the store.
    SegmentsLoaded,
    /// Rows loaded into the store.
    RowsLoaded,
    /// Failed attempts to load a segment.
    LoadFailures,
    /// Records that failed their checksum.
    RecordsCorrupt,
    /// Days sealed.
    DaysSealed,
    /// Bytes in the spool.
    SpoolBytes,
    /// Segments in the spool.
    SpoolSegments,
    /// Age of the oldest segment in seconds.
    SpoolAge,
    /// Report ids remembered.
    ReportsRemembered,
    /// Cases of withdrawal to be answered within two days.
    WithdrawalsDue,
    /// Cases whose deadline has passed without an answer.
    WithdrawalsOverdue,
    /// Cases whose erasure was interrupted.
    WithdrawalsUnfinished,
    /// Tags on the suppression list.
    SuppressionTags,
    /// Seconds from a report's last byte to its answer.
    CollectSeconds,
    /// Seconds that loading a segment took.
    LoadSeconds,
    /// Seconds that sealing a day took.
    SealSeconds,
}

enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A metric in the recorder: found by its name once, not whenever it is counted.
enum Handle {
    Counter(metrics::Counter),
    Gauge(metrics::Gauge),
    Histogram(metrics::Histogram),
}

/// In the order of [`Metric::ALL`].
static HANDLES: OnceLock<Vec<Handle>> = OnceLock::new();

impl Metric {
    /// All metrics.
    pub const ALL: [Metric; 23] = [
        Metric::EventsReceived,
        Metric::EventsAccepted,
        Metric::EventsRefused,
        Metric::EventsDuplicate,
        Metric::ReportsAccepted,
        Metric::ReportsRejected,
        Metric::ReportsFailed,
        Metric::SegmentsLoaded,
        Metric::RowsLoaded,
        Metric::LoadFailures,
        Metric::RecordsCorrupt,
        Metric::DaysSealed,
        Metric::SpoolBytes,
        Metric::SpoolSegments,
        Metric::SpoolAge,
        Metric::ReportsRemembered,
        Metric::WithdrawalsDue,
        Metric::WithdrawalsOverdue,
        Metric::WithdrawalsUnfinished,
        Metric::SuppressionTags,
        Metric::CollectSeconds,
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
        if let Some(Handle::Gauge(gauge)) = self.handle() {
            gauge.set(value as f64);
        }
    }

    /// Observes a duration.
    pub fn observe(self, duration: std::time::Duration) {
        if let Some(Handle::Histogram(histogram)) = self.handle() {
            histogram.record(duration.as_secs_f64());
        }
    }

    fn handle(self) -> Option<&'static Handle> {
        HANDLES.get()?.get(self as usize)
    }

    fn declaration(self) -> (&'static str, Kind, &'static str) {
        match self {
            Metric::EventsReceived => {
                ("tuman_events_received_total", Kind::Counter, "Events in reports that were read")
            }
            Metric::EventsAccepted => ("tuman_events_accepted_total", Kind::Counter, "Events that left a row"),
            Metric::EventsRefused => ("tuman_events_refused_total", Kind::Counter, "Events refused"),
            Metric::EventsDuplicate => ("tuman_events_duplicate_total", Kind::Counter, "Events of known reports"),
            Metric::ReportsAccepted => ("tuman_reports_accepted_total", Kind::Counter, "Reports answered 202"),
            Metric::ReportsRejected => ("tuman_reports_rejected_total", Kind::Counter, "Reports answered with a 4xx"),
            Metric::ReportsFailed => ("tuman_reports_failed_total", Kind::Counter, "Reports answered with a 5xx"),
            Metric::SegmentsLoaded => {
                ("tuman_segments_loaded_total", Kind::Counter, "Segments loaded into the store")
            }
            Metric::RowsLoaded => ("tuman_rows_loaded_total", Kind::Counter, "Rows loaded into the store"),
            Metric::LoadFailures => ("tuman_load_failures_total", Kind::Counter, "Failed attempts to load a segment"),
            Metric::RecordsCorrupt => ("tuman_records_corrupt_total", Kind::Counter, "Records set aside as corrupt"),
            Metric::DaysSealed => ("tuman_days_sealed_total", Kind::Counter, "Days sealed"),
            Metric::SpoolBytes => ("tuman_spool_bytes", Kind::Gauge, "Bytes in the spool"),
            Metric::SpoolSegments => ("tuman_spool_segments", Kind::Gauge, "Segments in the spool"),
            Metric::SpoolAge => ("tuman_spool_age_seconds", Kind::Gauge, "Age of the oldest segment"),
            Metric::ReportsRemembered => ("tuman_reports_remembered", Kind::Gauge, "Report ids remembered"),
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
            Metric::CollectSeconds => {
                ("tuman_collect_seconds", Kind::Histogram, "From a report's last byte to its answer")
            }
            Metric::LoadSeconds => ("tuman_load_seconds", Kind::Histogram, "Loading of a segment"),
            Metric::SealSeconds => ("tuman_seal_seconds", Kind::Histogram, "Sealing of a day"),
        }
    }
}

/// The process's recorder; installed by the first call. `None` where another recorder is installed already.
pub fn recorder() -> Option<&'static PrometheusHandle> {
    static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    RECORDER
        .get_or_init(|| {
            let buckets =
                [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];
            let handle = PrometheusBuilder::new().set_buckets(&buckets).ok()?.install_recorder().ok()?;
            HANDLES.get_or_init(|| Metric::ALL.map(declare).into());
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
        Kind::Histogram => {
            metrics::describe_histogram!(name, what);
            Handle::Histogram(metrics::histogram!(name))
        }
    }
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
