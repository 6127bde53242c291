//! The ledger: the account of every event that arrived.
//!
//! Per app and local day of arrival: `received` = `stored` + `duplicate` + `refused:<reason>`, with what is in flight
//! between the spool and the store. Notes (`note:<what>`) say what was left out of stored events. Rows are counted by
//! their own day (`usage_rows`, `place_rows`), so that they can be held against the open tables.
//! Holds no dimension of a person.

use tuman_privacy::anonymise::Anonymised;
use tuman_privacy::time::Day;

use crate::rowbinary::RowBinary;

/// Lines of the ledger as RowBinary: `day Date, app String, outcome String, n Int64`.
#[derive(Debug, Default)]
pub struct Lines(RowBinary);

impl Lines {
    /// The lines of a report.
    #[must_use]
    pub fn of(app: &str, report: &Anonymised) -> Lines {
        let mut lines = Lines::default();
        lines.push(report.day, app, "received", report.received);
        lines.push(report.day, app, "stored", report.accepted);
        let mut reasons: Vec<&'static str> = report.refused.iter().map(|(_, reason)| reason.word()).collect();
        reasons.sort_unstable();
        for group in reasons.chunk_by(|a, b| a == b) {
            if let Some(reason) = group.first() {
                lines.push(report.day, app, &format!("refused:{reason}"), u32::try_from(group.len()).unwrap_or(u32::MAX));
            }
        }
        for (note, n) in report.notes.counts() {
            lines.push(report.day, app, &format!("note:{}", note.word()), n);
        }
        for count in &report.rows.counts {
            lines.push(count.day, app, "usage_rows", count.usage);
            lines.push(count.day, app, "place_rows", count.places);
        }
        lines
    }

    /// The lines of a report that was known already.
    #[must_use]
    pub fn of_duplicate(app: &str, day: Day, events: u32) -> Lines {
        let mut lines = Lines::default();
        lines.push(day, app, "received", events);
        lines.push(day, app, "duplicate", events);
        lines
    }

    /// The encoded rows.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    fn push(&mut self, day: Day, app: &str, outcome: &str, n: u32) {
        if n > 0 {
            self.0.date(day).string(app).string(outcome).i64(i64::from(n));
        }
    }
}
