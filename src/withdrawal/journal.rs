//! What an erasure is about to take off the ledger, on disk until it has.
//!
//! Erasing rows and booking them are two acts. A crash in between leaves a journal, from which the next start finds out
//! how many of the rows are gone: no token is kept, so it compares what the open tables hold with what is booked.
//! Holds the case, and numbers of rows by day and app: only until they are booked. No identifier, tag or token.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use rand::TryRng;
use serde::{Deserialize, Serialize};
use tuman_privacy::code::{Sort, code};

use super::case::CaseNumber;
use crate::clock::day_of;
use crate::keys::{erase_secret, write_secret};
use crate::ledger::{Lines, PLACE_ROWS, USAGE_ROWS};
use crate::store::{Statement, Store, StoreError, Table};

/// The rows that an erasure found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Planned {
    /// A random number, under which they are booked once.
    name: String,
    pub(super) case: CaseNumber,
    rows: Vec<Rows>,
}

/// Those of one day and app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rows {
    pub(super) day: Date,
    pub(super) app: String,
    pub(super) usage: i64,
    pub(super) places: i64,
}

impl Planned {
    pub(super) fn of(case: CaseNumber, rows: Vec<Rows>) -> io::Result<Planned> {
        let mut name = [0; 12];
        rand::rngs::SysRng.try_fill_bytes(&mut name).map_err(io::Error::other)?;
        Ok(Planned { name: hex::encode(name), case, rows })
    }

    /// Whether rows of use were found, and rows of places.
    pub(super) fn found(&self) -> (bool, bool) {
        (self.rows.iter().any(|rows| rows.usage > 0), self.rows.iter().any(|rows| rows.places > 0))
    }

    /// Takes the rows off the ledger, once: they are erased.
    pub(super) fn book(&self, store: &dyn Store) -> Result<(), StoreError> {
        book(store, &self.name, &self.rows)
    }

    /// Takes off the ledger what is gone of the rows, after a crash. No segment may be on its way into the store.
    pub(super) fn book_what_is_gone(&self, store: &dyn Store, sealed: &[Date]) -> Result<(), StoreError> {
        let mut gone = Vec::new();
        // The rows of a sealed day are gone whoever's they were, and nobody compares them any more.
        for rows in self.rows.iter().filter(|rows| !sealed.contains(&rows.day)) {
            let missing = |table, outcome, planned| -> Result<i64, StoreError> {
                Ok((booked(store, outcome, rows)? - held(store, table, rows)?).clamp(0, planned))
            };
            let usage = missing(Table::UsageOpen, USAGE_ROWS, rows.usage)?;
            let places = missing(Table::PlacesOpen, PLACE_ROWS, rows.places)?;
            gone.push(Rows { usage, places, ..rows.clone() });
        }
        book(store, &self.name, &gone)
    }
}

fn book(store: &dyn Store, name: &str, rows: &[Rows]) -> Result<(), StoreError> {
    let rows = rows.iter().map(|rows| (day_of(rows.day), rows.app.as_str(), rows.usage, rows.places));
    let lines = Lines::of_erased(rows);
    store.insert(Table::Ledger, &format!("withdrawal-{name}"), lines.bytes())?;
    // Added up with the others at once: a line of its own would say how many rows one device had.
    store.execute(&Statement::new("OPTIMIZE TABLE ledger FINAL"))
}

#[derive(Deserialize)]
struct Number {
    n: i64,
}

fn booked(store: &dyn Store, outcome: &'static str, rows: &Rows) -> Result<i64, StoreError> {
    let statement = Statement::new(
        "SELECT sum(n) AS n FROM ledger WHERE day = {day:Date} AND app = {app:String} AND outcome = {outcome:String}",
    );
    let statement = statement.bind("day", rows.day).bind("app", &rows.app).bind("outcome", outcome);
    Ok(store.rows::<Number>(&statement)?.first().map_or(0, |row| row.n))
}

fn held(store: &dyn Store, table: Table, rows: &Rows) -> Result<i64, StoreError> {
    let statement = Statement::new(
        "SELECT toInt64(count()) AS n FROM {table:Identifier} WHERE day = {day:Date} AND app = {app:UInt32}",
    );
    let statement =
        statement.bind("table", table.name()).bind("day", rows.day).bind("app", code(Sort::App, &rows.app));
    Ok(store.rows::<Number>(&statement)?.first().map_or(0, |row| row.n))
}

/// The one journal of a data folder.
#[derive(Debug)]
pub(super) struct Journal(PathBuf);

impl Journal {
    pub(super) fn of(data: &Path) -> Journal {
        Journal(data.join("erasure.json"))
    }

    pub(super) fn read(&self) -> io::Result<Option<Planned>> {
        match fs::read(&self.0) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn write(&self, planned: &Planned) -> io::Result<()> {
        write_secret(&self.0, &serde_json::to_vec(planned)?)
    }

    pub(super) fn remove(&self) -> io::Result<()> {
        erase_secret(&self.0)
    }
}
