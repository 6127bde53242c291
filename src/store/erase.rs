//! Erases the rows of single devices from open days.
//!
//! The engine deletes by rewriting the parts that hold such rows (a mutation), and keeps the statement's text on its
//! disk. Tokens are therefore not in the text: it refers to `erasing`, a table in memory, which is filled for the time of
//! the call.
//!
//! Guarantees: when [`erase`] returns, no part on disk holds a row of these devices, also none that the engine had
//! replaced or set aside. Does not: know what came in meanwhile: who calls it has seen to it that nothing does.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::embedded::EmbeddedStore;
use super::{Device, Found, Statement, Store, StoreError, Table, read_rows};

/// How long an erasure waits until the engine has removed the parts that it replaced.
const REMOVAL_WAIT: Duration = Duration::from_secs(60);

const DAY_ZERO: jiff::civil::Date = jiff::civil::date(1970, 1, 1);

/// How many rows of the devices a table holds, by day and app.
pub(super) fn find(store: &EmbeddedStore, table: Table, devices: &[Device]) -> Result<Vec<Found>, StoreError> {
    #[derive(Deserialize)]
    struct Row {
        days: u16,
        app: u32,
        n: u64,
    }
    let rows = with_devices(store, devices, || {
        let statement = Statement::new(
            "SELECT toUInt16(day) AS days, app, count() AS n FROM {table:Identifier} \
             WHERE (day, app, token) IN (SELECT day, app, token FROM erasing) GROUP BY day, app ORDER BY day, app",
        );
        read_rows(&store.select(&statement.bind("table", table.name()))?)
    })?;
    Ok(rows.into_iter().map(|Row { days, app, n }| Found { day: days, app, rows: n }).collect())
}

/// Deletes the rows of the devices and waits until their files are gone.
pub(super) fn erase(store: &EmbeddedStore, table: Table, devices: &[Device]) -> Result<(), StoreError> {
    let days: BTreeSet<u16> = devices.iter().map(|device| device.day).collect();
    let dates: Vec<_> =
        days.iter().map(|day| DAY_ZERO.saturating_add(jiff::Span::new().days(i64::from(*day)))).collect();
    for date in &dates {
        // Parts that the engine set aside at a start because it could not read them: nobody can tell whose rows they hold.
        let text =
            "ALTER TABLE {table:Identifier} DROP DETACHED PARTITION {day:Date} SETTINGS allow_drop_detached = 1";
        store.execute(&Statement::new(text).bind("table", table.name()).bind("day", *date))?;
    }
    with_devices(store, devices, || {
        let text = "ALTER TABLE {table:Identifier} DELETE \
                    WHERE (day, app, token) IN (SELECT day, app, token FROM erasing) SETTINGS mutations_sync = 1";
        store.execute(&Statement::new(text).bind("table", table.name()))
    })?;
    let partitions: Vec<String> = dates.iter().map(|date| date.strftime("%Y%m%d").to_string()).collect();
    await_removal(store, table, &partitions)?;
    store.sync_table(table)
}

/// Does something while `erasing` holds the devices.
fn with_devices<T>(
    store: &EmbeddedStore,
    devices: &[Device],
    work: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let empty = || store.execute(&Statement::new("TRUNCATE TABLE erasing"));
    let numbers = |of: fn(&Device) -> u64| devices.iter().map(of).collect::<Vec<u64>>();
    empty()?;
    let text = "INSERT INTO erasing SELECT toDate(row.1), row.2, row.3 FROM (SELECT arrayJoin(arrayZip( \
                {days:Array(UInt16)}, {apps:Array(UInt32)}, {tokens:Array(UInt64)})) AS row)";
    let filled = store.execute(
        &Statement::new(text)
            .bind("days", numbers(|device| u64::from(device.day)).as_slice())
            .bind("apps", numbers(|device| u64::from(device.app)).as_slice())
            .bind("tokens", numbers(|device| device.token).as_slice()),
    );
    let done = filled.and_then(|()| work());
    empty()?;
    done
}

/// Waits until the parts that a deletion has replaced are gone. Later ones, which merges replace, hold no such row.
fn await_removal(store: &EmbeddedStore, table: Table, partitions: &[String]) -> Result<(), StoreError> {
    let replaced = old_parts(store, table, partitions)?;
    let until = Instant::now() + REMOVAL_WAIT;
    while old_parts(store, table, partitions)?.iter().any(|part| replaced.contains(part)) {
        if Instant::now() >= until {
            return Err(StoreError::Timeout);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn old_parts(store: &EmbeddedStore, table: Table, partitions: &[String]) -> Result<Vec<String>, StoreError> {
    #[derive(Deserialize)]
    struct Row {
        name: String,
    }
    let statement = Statement::new(include_str!("schema/old_parts.sql"));
    let statement = statement.bind("table", table.name()).bind("partitions", partitions);
    let rows: Vec<Row> = read_rows(&store.select(&statement)?)?;
    Ok(rows.into_iter().map(|row| row.name).collect())
}
