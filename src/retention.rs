//! How long releases are kept: whole days that are older than `releases.retention` are deleted. Off by default.
//!
//! Guarantees: the audit log says which days go before the first of them does; from then on no question and no export finds
//! them; what an interruption leaves is deleted by the next round. Their lines in `seals` stay and `deletions` has the day, so
//! that a deleted day is known as sealed and is never sealed again.
//! Does not: touch seals, ledger, audit log, or a day within the retention.

use std::sync::Arc;
use std::time::Duration;

use jiff::ToSpan;
use jiff::civil::Date;
use serde::Deserialize;

use crate::app::App;
use crate::audit::{AuditError, Event, ReleasesDeleted};
use crate::clock::day_of;
use crate::log::Line;
use crate::rowbinary::RowBinary;
use crate::seal::release::HOURS;
use crate::store::{Statement, Store, StoreError, Table};

/// How often days are looked for that have become too old.
const ROUND: Duration = Duration::from_secs(600);

/// Why days were not deleted. They are, at the next round.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

/// What there is of days that are deleted, or should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Days that are older than the retention by a day or more, and not deleted yet.
    pub due: usize,
    /// How many days are deleted.
    pub deleted: u64,
    /// Values that are left of deleted days.
    pub left: u64,
}

/// Deletes what is too old, for as long as the process runs.
pub async fn run(app: Arc<App>) {
    loop {
        let of_round = app.clone();
        // A round that panicked has its line in the log.
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || apply(&of_round)).await {
            Line::ReleasesNotDeleted { fault: (&error).into() }.write();
        }
        tokio::time::sleep(ROUND).await;
    }
}

/// Deletes the releases of all days that are older than the retention. Answers how many days those were.
///
/// # Errors
/// Where the audit log does not take the entry, and then nothing is deleted; where the store fails.
pub fn apply(app: &App) -> Result<usize, RetentionError> {
    let Some(days) = app.config.releases.retention.days() else { return Ok(0) };
    let store = &*app.store;
    let due = due(store, before(app, days))?;
    if let (Some(from), Some(to)) = (due.first().copied(), due.last().copied()) {
        let now_ms = app.clock.now_ms();
        let event = ReleasesDeleted { from, to, days: due.len() as u64, retention_days: days };
        app.sealer.audit.record(now_ms, &Event::ReleasesDeleted(event))?;
        let mut rows = RowBinary::default();
        let at = u32::try_from(now_ms / 1_000).unwrap_or(0);
        for day in &due {
            rows.date(day_of(*day)).u32(at);
        }
        store.insert(Table::Deletions, &format!("deletions-{from}-{to}-{}", due.len()), rows.bytes())?;
        Line::ReleasesDeleted { days: due.len() as u64 }.write();
    }
    if left(store)? > 0 {
        let text = "ALTER TABLE releases DELETE WHERE day IN (SELECT day FROM deletions) SETTINGS mutations_sync = 1";
        store.execute(&Statement::new(text))?;
    }
    Ok(due.len())
}

/// How things stand, for `tuman doctor`.
///
/// # Errors
/// Where the store cannot be read.
pub fn standing(app: &App) -> Result<Standing, StoreError> {
    let store = &*app.store;
    let due = match app.config.releases.retention.days() {
        // Those of last midnight have their turn within a round.
        Some(days) => due(store, before(app, days.saturating_add(1)))?.len(),
        None => 0,
    };
    let deleted = number(store, "SELECT uniqExact(day) AS n FROM deletions")?;
    Ok(Standing { due, deleted, left: left(store)? })
}

/// The first day that is kept.
fn before(app: &App, days: u16) -> Date {
    app.today().saturating_sub(i64::from(days).days())
}

/// Sealed days before another one that are not deleted. A day of which hours alone are sealed still takes events.
fn due(store: &dyn Store, before: Date) -> Result<Vec<Date>, StoreError> {
    #[derive(Deserialize)]
    struct Row {
        day: Date,
    }
    let statement = Statement::new(
        "SELECT DISTINCT day FROM seals WHERE day < {before:Date} AND window = {whole:UInt8} \
         AND day NOT IN (SELECT day FROM deletions) ORDER BY day",
    );
    let rows: Vec<Row> = store.rows(&statement.bind("before", before).bind("whole", HOURS))?;
    Ok(rows.into_iter().map(|row| row.day).collect())
}

fn left(store: &dyn Store) -> Result<u64, StoreError> {
    number(store, "SELECT count() AS n FROM releases WHERE day IN (SELECT day FROM deletions)")
}

fn number(store: &dyn Store, text: &'static str) -> Result<u64, StoreError> {
    #[derive(Deserialize)]
    struct Row {
        n: u64,
    }
    let rows: Vec<Row> = store.rows(&Statement::new(text))?;
    Ok(rows.first().map_or(0, |row| row.n))
}
