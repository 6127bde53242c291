//! The ledger: the account of every event that arrived.
//!
//! Per app and local day of arrival: `received` = `stored` + `duplicate` + `refused:<reason>`, booked when a segment is
//! loaded; what is between the spool and the store is counted in [`flight`]. Events of a report that was answered 503,
//! because it could not be synced, were not received. Notes (`note:<what>`) say what was left out of stored events, and
//! `note:personal_data:<detector>` what detectors found in any event. Rows are counted by their own day (`usage_rows`,
//! `place_rows`), so that they can be held against the open tables.
//! Holds no dimension of a person.

pub mod flight;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::civil::Date;
use serde::Deserialize;
use serde_json::json;
use tuman_privacy::anonymise::Anonymised;
use tuman_privacy::time::Day;

use crate::clock::date_of;
use crate::rowbinary::RowBinary;
use crate::store::{Statement, Store, StoreError};
use flight::{Flight, Sums};

/// Lines of the ledger as RowBinary: `day Date, app String, outcome String, n Int64`.
#[derive(Debug, Default)]
pub struct Lines {
    rows: RowBinary,
    sums: Sums,
}

impl Lines {
    /// The lines of a report.
    #[must_use]
    pub fn of(app: &str, report: &Anonymised) -> Lines {
        // Four lines in most reports.
        let rows = RowBinary::with_room(4 * (app.len() + 24) + 64);
        let mut lines = Lines { rows, sums: Sums::default() };
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
        self.rows.bytes()
    }

    /// What they book in all.
    #[must_use]
    pub fn sums(&self) -> Sums {
        self.sums
    }

    fn push(&mut self, day: Day, app: &str, outcome: &str, n: u32) {
        if n > 0 {
            self.rows.date(day).string(app).string(outcome).i64(i64::from(n));
            self.sums.book(outcome, i64::from(n));
        }
    }
}

/// A line, read back.
struct Line<'a> {
    day: Day,
    app: &'a str,
    outcome: &'a str,
    n: i64,
}

/// The lines of rows that [`Lines`] has written, up to the first that is none.
fn lines(mut rows: &[u8]) -> impl Iterator<Item = Line<'_>> {
    std::iter::from_fn(move || {
        let (day, rest) = rows.split_first_chunk::<2>()?;
        let (app, rest) = string(rest)?;
        let (outcome, rest) = string(rest)?;
        let (n, rest) = rest.split_first_chunk::<8>()?;
        rows = rest;
        Some(Line { day: Day(u16::from_le_bytes(*day)), app, outcome, n: i64::from_le_bytes(*n) })
    })
}

/// A string with its LEB128 length.
fn string(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (mut length, mut rest) = (0_usize, bytes);
    for shift in [0, 7, 14, 21] {
        let (byte, behind) = rest.split_first()?;
        rest = behind;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            let (text, rest) = rest.split_at_checked(length)?;
            return Some((std::str::from_utf8(text).ok()?, rest));
        }
    }
    None
}

/// The account of one day: what is booked in the store, and what is in flight to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    booked: BTreeMap<String, i64>,
    in_flight: Sums,
}

impl Account {
    /// What is booked under an outcome.
    #[must_use]
    pub fn of(&self, outcome: &str) -> i64 {
        self.booked.get(outcome).copied().unwrap_or(0)
    }

    /// What is booked under outcomes that begin with `prefix`, by the rest of their names.
    pub fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, i64)> {
        self.booked.iter().filter_map(move |(outcome, n)| Some((outcome.strip_prefix(prefix)?, *n)))
    }

    /// Received less stored, duplicate and refused: zero, always.
    #[must_use]
    pub fn difference(&self) -> i64 {
        let mut sums = Sums::default();
        for (outcome, n) in &self.booked {
            sums.book(outcome, *n);
        }
        sums.difference()
    }

    /// Whether every event is accounted for, in the store and on its way to it.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.difference() == 0 && self.in_flight.difference() == 0
    }

    /// The account in the form that goes out.
    #[must_use]
    pub fn as_json(&self, day: Date) -> serde_json::Value {
        json!({
            "day": day,
            "received": self.of("received") + self.in_flight.received,
            "stored": self.of("stored"),
            "duplicate": self.of("duplicate"),
            "refused": self.under("refused:").collect::<BTreeMap<_, _>>(),
            "in_flight": self.in_flight.received,
            "balanced": self.is_balanced(),
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
        accounts.entry(row.day).or_default().booked.insert(row.outcome, row.total);
    }
    Ok(accounts)
}

/// How often, and how long apart, an account is drawn up again because a segment was just being settled.
const ATTEMPTS: u32 = 50;
const BETWEEN: Duration = Duration::from_millis(20);

/// The accounts of an app's days, with what is in flight: each event is in one of both. Blocks the thread.
///
/// # Errors
/// Where the store cannot be read.
pub fn live_accounts(
    store: &dyn Store,
    flight: &Flight,
    app: &str,
    from: Date,
    to: Date,
) -> Result<BTreeMap<Date, Account>, StoreError> {
    let mut attempt = 1;
    loop {
        let (version, on_their_way) = (flight.version(), flight.of(app));
        let mut accounts = accounts(store, app, from, to)?;
        let is_settled = version % 2 == 0 && version == flight.version();
        if is_settled || attempt == ATTEMPTS {
            for (day, sums) in on_their_way {
                let day = date_of(day);
                if (from..=to).contains(&day) {
                    accounts.entry(day).or_default().in_flight = sums;
                }
            }
            return Ok(accounts);
        }
        attempt += 1;
        std::thread::sleep(BETWEEN);
    }
}
