//! The ledger: the account of every event that arrived.
//!
//! Per app and local day of arrival: `received` = `stored` + `duplicate` + `refused:<reason>` + `lost`, booked when a
//! segment is loaded, or discarded by a seal; what is between the spool and the store is counted in [`flight`]. Events of a report that was answered 503,
//! because it could not be synced, were not received. Notes (`note:<what>`) say what was left out of stored events, and
//! `note:personal_data:<detector>` what detectors found in any event. Rows are counted by their own day (`usage_rows`,
//! `place_rows`), so that they can be held against the open tables; what a withdrawal erased is taken off again. Events of
//! withdrawn devices are `refused:suppressed`, a reason that no answer gives.
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

/// What is booked of events of withdrawn devices, and of those that share their tag.
pub const SUPPRESSED: &str = "refused:suppressed";
/// What is booked of events that would have been stored, and went with a segment that was discarded.
pub const LOST: &str = "lost";
/// Rows of `usage_open`, booked on their own day.
pub const USAGE_ROWS: &str = "usage_rows";
/// Rows of `places_open`, booked on their own day.
pub const PLACE_ROWS: &str = "place_rows";

/// Lines of the ledger as RowBinary: `day Date, app String, outcome String, n Int64`.
#[derive(Debug, Default)]
pub struct Lines {
    rows: RowBinary,
    sums: Sums,
    withheld: usize,
}

impl Lines {
    /// The lines of a report.
    #[must_use]
    pub fn of(app: &str, report: &Anonymised) -> Lines {
        // Four lines in most reports.
        let mut lines = Lines { rows: RowBinary::with_room(4 * (app.len() + 24) + 64), ..Lines::default() };
        lines.push(report.day, app, "received", report.received);
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
        // The lines of a withdrawn device are written as well, and kept by their size only: its record costs what
        // another's costs.
        let mut kept = Lines { rows: RowBinary::with_room(3 * (app.len() + 24)), ..Lines::default() };
        kept.push(report.day, app, "stored", report.accepted);
        for (note, n) in report.notes.counts() {
            kept.push(report.day, app, &format!("note:{}", note.word()), n);
        }
        for count in &report.rows.counts {
            kept.push(count.day, app, USAGE_ROWS, count.usage);
            kept.push(count.day, app, PLACE_ROWS, count.places);
        }
        if report.suppressed {
            let before = lines.rows.bytes().len();
            lines.push(report.day, app, SUPPRESSED, report.accepted);
            lines.withheld = kept.rows.bytes().len().saturating_sub(lines.rows.bytes().len() - before);
        } else {
            lines.rows.append(&kept.rows);
            lines.sums.add(kept.sums, 1);
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

    /// The lines of a segment that is discarded instead of being loaded: what would have been stored is lost. There are no
    /// rows of it, and no notes on what was stored.
    #[must_use]
    pub fn of_lost(unloaded: &[u8]) -> Lines {
        let mut lost = Lines::default();
        for Line { day, app, outcome, n } in lines(unloaded) {
            let mut sums = Sums::default();
            sums.book(outcome, n);
            if sums != Sums::default() {
                let outcome = if outcome == "stored" { LOST } else { outcome };
                lost.push(day, app, outcome, u32::try_from(n).unwrap_or(u32::MAX));
            }
        }
        lost
    }

    /// Takes rows that were erased off what is booked, for days and apps: rows of `usage_open`, of `places_open`.
    #[must_use]
    pub fn of_erased<'a>(erased: impl IntoIterator<Item = (Day, &'a str, i64, i64)>) -> Lines {
        let mut lines = Lines::default();
        for (day, app, usage, places) in erased {
            for (outcome, n) in [(USAGE_ROWS, usage), (PLACE_ROWS, places)] {
                if n != 0 {
                    lines.rows.date(day).string(app).string(outcome).i64(-n);
                }
            }
        }
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

    /// How many more bytes of lines there would be, were the device not withdrawn.
    #[must_use]
    pub fn withheld(&self) -> usize {
        self.withheld
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

    /// Received less stored, duplicate, refused and lost: zero, always.
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
            "lost": self.of(LOST),
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tuman_privacy::event::{RowCount, Rows};
    use tuman_privacy::refusal::{Note, Notes, Refusal};

    fn report(accepted: u32, refused: u32, places: u32, notes: u32, suppressed: bool) -> Anonymised {
        let mut noted = Notes::default();
        noted.add(Note::NoToken, notes);
        let count = RowCount { day: Day(20_000), usage: accepted, places };
        Anonymised {
            day: Day(20_001),
            received: accepted + refused,
            accepted,
            refused: (0..refused).map(|event| (event, Refusal::UnknownEvent)).collect(),
            notes: noted,
            suppressed,
            sightings: Vec::new(),
            rows: Rows { counts: if accepted > 0 { vec![count] } else { Vec::new() }, ..Rows::default() },
        }
    }

    proptest! {
        #[test]
        fn lines_of_a_suppressed_report_take_as_much_room(
            app in "[a-z.]{1,100}", accepted in 0_u32..5, refused in 0_u32..5, places in 0_u32..5, notes in 0_u32..3,
        ) {
            let kept = Lines::of(&app, &report(accepted, refused, places, notes, false));
            let withheld = Lines::of(&app, &report(accepted, refused, places, notes, true));
            prop_assert_eq!(kept.withheld(), 0);
            prop_assert_eq!(kept.bytes().len(), withheld.bytes().len() + withheld.withheld());
        }
    }
}
