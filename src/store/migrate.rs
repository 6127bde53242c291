//! The tables, built step by step.
//!
//! Guarantees: a migration is applied once, in order; one that was applied never changes; a store that a newer
//! program has migrated is left alone. Does not: go back.
//!
//! A migration is a file of statements with a semicolon at the end of a line. Its statements must be safe to
//! repeat (`IF NOT EXISTS`): if the process ends half-way, the whole file runs again.

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{Statement, Store, StoreError, read_rows};

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Counted from 1, without gaps.
    pub number: u32,
    /// What it is about.
    pub name: &'static str,
    /// Its statements.
    pub text: &'static str,
}

const MIGRATIONS: [Migration; 5] = [
    Migration { number: 1, name: "open_days", text: include_str!("schema/0001_open_days.sql") },
    Migration { number: 2, name: "lasting", text: include_str!("schema/0002_lasting.sql") },
    Migration { number: 3, name: "withdrawals", text: include_str!("schema/0003_withdrawals.sql") },
    Migration { number: 4, name: "deletions", text: include_str!("schema/0004_deletions.sql") },
    Migration { number: 5, name: "windows", text: include_str!("schema/0005_windows.sql") },
];

/// Every migration of this program, in order.
pub fn known() -> &'static [Migration] {
    &MIGRATIONS
}

/// Applies the migrations that the store does not have yet, and gives their numbers.
///
/// # Errors
///
/// [`StoreError::SchemaNewer`] when the store has one that this program does not know;
/// [`StoreError::SchemaChanged`] when one was applied with another text; see [`StoreError`] for the rest.
pub fn migrate(store: &impl Store) -> Result<Vec<u32>, StoreError> {
    apply(store, &MIGRATIONS)
}

impl Migration {
    /// SHA-256 of the text, hexadecimal.
    pub fn checksum(&self) -> String {
        hex::encode(Sha256::digest(self.text))
    }

    fn statements(&self) -> impl Iterator<Item = &'static str> {
        self.text.split(";\n").map(str::trim).filter(|statement| !statement.is_empty())
    }
}

#[derive(Deserialize)]
struct Applied {
    number: u32,
    checksum: String,
}

pub(super) fn apply(store: &impl Store, migrations: &[Migration]) -> Result<Vec<u32>, StoreError> {
    store.execute(&Statement::new(include_str!("schema/migrations.sql")))?;
    let question = Statement::new("SELECT number, checksum FROM migrations ORDER BY number");
    let applied: Vec<Applied> = read_rows(&store.select(&question)?)?;
    let known = migrations.last().map_or(0, |last| last.number);
    if let Some(newest) = applied.last().filter(|newest| newest.number > known) {
        return Err(StoreError::SchemaNewer { found: newest.number, known });
    }
    let mut numbers = Vec::new();
    for migration in migrations {
        let before = applied.iter().find(|applied| applied.number == migration.number);
        match before {
            Some(before) if before.checksum == migration.checksum() => continue,
            Some(_) => {
                return Err(StoreError::SchemaChanged { number: migration.number });
            }
            None => {}
        }
        for statement in migration.statements() {
            store.execute(&Statement::new(statement))?;
        }
        record(store, migration)?;
        numbers.push(migration.number);
    }
    Ok(numbers)
}

fn record(store: &impl Store, migration: &Migration) -> Result<(), StoreError> {
    // The engine's clock: for people only, nothing is decided by this time.
    let text = "INSERT INTO migrations SELECT {number:UInt32}, {name:String}, {checksum:String}, now('UTC')";
    let statement = Statement::new(text)
        .bind("number", migration.number)
        .bind("name", migration.name)
        .bind("checksum", migration.checksum());
    store.execute(&statement)
}
