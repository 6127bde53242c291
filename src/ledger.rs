//! The ledger: the account of every event that arrived.
//!
//! Per app and local day of arrival: `received` = `stored` + `duplicate` + `refused:<reason>`, with what is in flight
//! between the spool and the store. Notes (`note:<what>`) say what was left out of stored events, and
//! `note:personal_data:<detector>` what detectors found in any event. Rows are counted by
//! their own day (`usage_rows`, `place_rows`), so that they can be held against the open tables.
//! Holds no dimension of a person.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Deserialize;
use serde_json::json;
use tuman_privacy::anonymise::Anonymised;
use tuman_privacy::time::Day;

use crate::rowbinary::RowBinary;
use crate::store::{Statement, Store, StoreError};

/// Lines of the ledger as RowBinary: `day Date, app String, outcome String, n Int64`.
#[derive(Debug, Default)]
pub struct Lines(RowBinary);

impl Lines {
    /// The lines of a report.
    #[must_use]
    pub fn of(app: &str, report: &Anonymised) -> Lines {
        // Four lines in most reports.
        let mut lines = Lines(RowBinary::with_room(4 * (app.len() + 24) + 64));
        lines.push(report.day, app, "received", report.received);
        lines.push(report.day, app, "stored", report.accepted);
        let mut reasons: Vec<&'static str> = report.refused.iter().map(|(_, reason)| reason.word()).collect();
        reasons.sort_unstable();
        for group in reasons.chunk_by(|a, b| a == b) {
            if let Some(reason) = group.first() {
                lines.push(
                    report.day,
                    app,
                    &format!("refused:{reason}"),
                    u32::try_from(group.len()).unwrap_or(u32::MAX),
                );
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

/// The account of one day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account(BTreeMap<String, i64>);

impl Account {
    /// What is booked under an outcome.
    #[must_use]
    pub fn of(&self, outcome: &str) -> i64 {
        self.0.get(outcome).copied().unwrap_or(0)
    }

    /// What is booked under outcomes that begin with `prefix`, by the rest of their names.
    pub fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, i64)> {
        self.0.iter().filter_map(move |(outcome, n)| Some((outcome.strip_prefix(prefix)?, *n)))
    }

    /// Received less stored, duplicate and refused: zero, always.
    #[must_use]
    pub fn difference(&self) -> i64 {
        let refused: i64 = self.under("refused:").map(|(_, n)| n).sum();
        self.of("received") - self.of("stored") - self.of("duplicate") - refused
    }

    /// The account in the form that goes out.
    #[must_use]
    pub fn as_json(&self, day: Date) -> serde_json::Value {
        json!({
            "day": day,
            "received": self.of("received"),
            "stored": self.of("stored"),
            "duplicate": self.of("duplicate"),
            "refused": self.under("refused:").collect::<BTreeMap<_, _>>(),
            "notes": self.under("note:").collect::<BTreeMap<_, _>>(),
        })
    }
}

/// The accounts of an app's days.
///
/// # Errors
/// Where the store cannot be read.
pub fn accounts(store: &dyn Store, app: &str, from: Date, to: Date) -> Result<BTreeMap<Date, Account>, StoreError> {
    #[derive(Deserialize)]
    struct Row {
        day: Date,
        outcome: String,
        total: i64,
    }
    let statement = Statement::new(
        "SELECT day, outcome, sum(n) AS total FROM ledger
         WHERE app = {app:String} AND day BETWEEN {from:Date} AND {to:Date} GROUP BY day, outcome",
    );
    let rows: Vec<Row> = store.rows(&statement.bind("app", app).bind("from", from).bind("to", to))?;
    let mut accounts: BTreeMap<Date, Account> = BTreeMap::new();
    for row in rows {
        accounts.entry(row.day).or_default().0.insert(row.outcome, row.total);
    }
    Ok(accounts)
}
