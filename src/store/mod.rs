//! Where rows and releases are kept: a ClickHouse, behind one trait.
//!
//! Guarantees: rows of [`Store::insert`] are synced to disk when it returns, and stored once however often the
//! same token is sent; after [`Store::drop_day`] no file holds a row of that day, after [`Store::erase`] none of those
//! devices; errors hold no data.
//! Does not: know what a row means, retry, or take SQL from outside.

mod embedded;
mod engine;
mod erase;
mod locate;
mod migrate;
mod pool;
mod statement;
#[cfg(test)]
mod tests;
mod tokens;

use std::fmt;
use std::io;
use std::path::PathBuf;

use serde::de::DeserializeOwned;

pub use embedded::{EmbeddedStore, Engine, Options};
pub use locate::{VARIABLE as ENGINE_VARIABLE, library as locate_engine};
pub use migrate::{Migration, known as known_migrations, migrate};
pub use statement::{Statement, Value};

/// A place for rows. Every call blocks until it is done: call from a thread that may wait.
pub trait Store: Send + Sync + 'static {
    /// Runs a statement that returns no rows.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    fn execute(&self, statement: &Statement) -> Result<(), StoreError>;

    /// Runs a question. One JSON object a line (`JSONEachRow`), 64-bit integers as numbers.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    fn select(&self, statement: &Statement) -> Result<Vec<u8>, StoreError>;

    /// Stores rows in ClickHouse's RowBinary, in the columns of [`Table::structure`].
    ///
    /// The token names these rows for ever: letters, digits and `-_.:`, up to 200 of them. Rows that come again
    /// under their token are not stored again, as long as the table has not taken 1,000 (open tables) or 10,000
    /// (the others) newer inserts and their day was not dropped. One call is one insert: about 100,000 rows
    /// are a good size. The rows are on disk when this returns.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]. The rows may be stored, or not: send them again under the same token.
    fn insert(&self, table: Table, token: &str, rows: &[u8]) -> Result<(), StoreError>;

    /// Removes every row of a day from the open tables. A day without rows is fine.
    ///
    /// The day is given in days since 1970-01-01, as in the rows. The day's insert tokens go too: whatever is
    /// sent for the day afterwards is stored, seen before or not.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]. [`StoreError::Timeout`] means that a question kept reading the day's files.
    fn drop_day(&self, day: u16) -> Result<(), StoreError>;

    /// How many rows of devices an open table holds, by day and app, ascending.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    fn find(&self, table: Table, devices: &[Device]) -> Result<Vec<Found>, StoreError>;

    /// Erases the rows of devices from an open table. No file holds one of them when this returns. One call at a time,
    /// of this and of [`Store::find`].
    ///
    /// # Errors
    ///
    /// See [`StoreError`]. Some of the rows may be erased, or none: call it again. [`StoreError::Timeout`] means that a
    /// question kept reading the files.
    fn erase(&self, table: Table, devices: &[Device]) -> Result<(), StoreError>;

    /// What this store is, for people.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    fn describe(&self) -> Result<Description, StoreError>;
}

impl dyn Store {
    /// Runs a question and reads its rows.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]; [`StoreError::Unreadable`] when a row does not fit `T`.
    pub fn rows<T: DeserializeOwned>(&self, statement: &Statement) -> Result<Vec<T>, StoreError> {
        read_rows(&self.select(statement)?)
    }
}

/// Whose rows are meant: those of one device on one day in one app.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// In days since 1970-01-01.
    pub day: u16,
    /// The code of the app.
    pub app: u32,
    /// The device's token on that day, in that app, for the table's purpose.
    pub token: u64,
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Device(redacted)")
    }
}

/// How many rows were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// In days since 1970-01-01.
    pub day: u16,
    /// The code of the app.
    pub app: u32,
    /// How many.
    pub rows: u64,
}

/// What a store is, for `tuman doctor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// `embedded` or `server`.
    pub kind: &'static str,
    /// The version of ClickHouse.
    pub version: String,
    /// The database the tables are in.
    pub database: String,
    /// The number of the newest migration that was applied.
    pub schema: u32,
}

/// A table that takes rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Table {
    /// Events of open days.
    UsageOpen,
    /// Where devices were on open days.
    PlacesOpen,
    /// The account of every event that arrived.
    Ledger,
    /// Published values.
    Releases,
    /// How each release of each day was made.
    Seals,
    /// The audit log.
    Audit,
    /// Cases of withdrawal.
    Withdrawals,
    /// Days whose releases are deleted.
    Deletions,
}

impl Table {
    /// Every table.
    pub const ALL: [Table; 8] = [
        Table::UsageOpen,
        Table::PlacesOpen,
        Table::Ledger,
        Table::Releases,
        Table::Seals,
        Table::Audit,
        Table::Withdrawals,
        Table::Deletions,
    ];

    /// Its name in SQL.
    pub fn name(self) -> &'static str {
        match self {
            Table::UsageOpen => "usage_open",
            Table::PlacesOpen => "places_open",
            Table::Ledger => "ledger",
            Table::Releases => "releases",
            Table::Seals => "seals",
            Table::Audit => "audit",
            Table::Withdrawals => "withdrawals",
            Table::Deletions => "deletions",
        }
    }

    /// Its columns and their types, in the order of the rows' bytes.
    pub fn structure(self) -> &'static str {
        match self {
            Table::UsageOpen => tuman_privacy::encode::USAGE_STRUCTURE,
            Table::PlacesOpen => tuman_privacy::encode::PLACES_STRUCTURE,
            Table::Ledger => "day Date, app String, outcome String, n Int64",
            Table::Releases => {
                "day Date, app String, release String, breakdown String, dims Array(String), value Int64, \
                 margin Float64, window UInt8"
            }
            Table::Seals => {
                "day Date, app String, release String, dims Array(String), bound UInt32, epsilon Float64, \
                 scale Float64, threshold Int64, mechanism String, domain UInt64, published UInt64, \
                 suppressed String, sealed_at DateTime('UTC'), window UInt8, windows UInt8"
            }
            Table::Audit => {
                "seq UInt64, at DateTime64(3, 'UTC'), kind String, detail String, previous String, hash String"
            }
            Table::Withdrawals => {
                "case String, step String, at DateTime64(3, 'UTC'), received Date, due Date, app String, list String, \
                 days Array(Date), usage Bool, places Bool"
            }
            Table::Deletions => "day Date, deleted_at DateTime('UTC')",
        }
    }
}

/// What can go wrong. The text is safe to log: it holds no value of a row or a statement.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The engine's library is in none of the places.
    #[error(
        "the engine's library was not found; `make engine` fetches it, or name the file in {VARIABLE} \
         (looked at: {})", list(.looked), VARIABLE = locate::VARIABLE
    )]
    EngineMissing {
        /// The places, in the order they were tried.
        looked: Vec<PathBuf>,
    },
    /// The file is not a library of this engine for this machine.
    #[error("the engine's library {} cannot be used: {reason}", .path.display())]
    EngineUnusable {
        /// The file.
        path: PathBuf,
        /// What the system's loader says.
        reason: String,
    },
    /// Another process, or another engine of this one, works on the folder.
    #[error("the data folder {} is in use by another tuman", .folder.display())]
    Locked {
        /// The folder.
        folder: PathBuf,
    },
    /// The engine's files in the folder do not let it start, or it runs on another folder already.
    #[error("the engine does not start on {}", .folder.display())]
    NotStarted {
        /// The folder.
        folder: PathBuf,
    },
    /// The store is closed, or gives no answer.
    #[error("the store is not available")]
    Unavailable,
    /// The disk is full.
    #[error("the store has no space left on its disk")]
    NoSpace,
    /// The statement needs more memory than the store may have.
    #[error("the store's memory limit was reached")]
    Memory,
    /// The statement took longer than it may.
    #[error("the store took longer than the time limit")]
    Timeout,
    /// Too much at once, or too many small inserts.
    #[error("the store has too much to do (code {code})")]
    Overloaded {
        /// The engine's code.
        code: i32,
    },
    /// The statement or its rows were refused.
    #[error("the store refused the statement: {name} (code {code})")]
    Rejected {
        /// The engine's code.
        code: i32,
        /// The engine's name for the code.
        name: String,
        /// The engine's whole message.
        detail: Detail,
    },
    /// The tables were made by a newer tuman.
    #[error("the store's schema is number {found}, newer than this tuman, which knows {known}: use the newer one")]
    SchemaNewer {
        /// The newest migration that was applied.
        found: u32,
        /// The newest migration of this program.
        known: u32,
    },
    /// A migration that was applied is not the one in this program.
    #[error("migration {number} of the store was applied with another text than this tuman has")]
    SchemaChanged {
        /// Its number.
        number: u32,
    },
    /// A row of an answer does not have the shape it was asked for in.
    #[error("row {row} of the store's answer cannot be read")]
    Unreadable {
        /// Counted from 1.
        row: usize,
    },
    /// The name of a database or an insert token has characters that it must not have.
    #[error("this is not a {what}: letters, digits and few other characters only")]
    InvalidName {
        /// What the name is of.
        what: &'static str,
    },
    /// The file system failed.
    #[error("the store cannot {operation}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

impl StoreError {
    /// Whether the same call may succeed later without anyone changing the program or the data.
    pub fn is_transient(&self) -> bool {
        use StoreError::{Io, Memory, NoSpace, Overloaded, Timeout, Unavailable};
        matches!(self, Unavailable | NoSpace | Memory | Timeout | Overloaded { .. } | Io { .. })
    }

    /// An error of the file system, which may mean a full disk.
    fn io(operation: &'static str, source: io::Error) -> StoreError {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::NoSpace,
            _ => StoreError::Io { operation, source },
        }
    }
}

/// The engine's own words. They may quote values, so neither `Debug` nor `Display` shows them.
pub struct Detail(String);

impl Detail {
    /// The words of a store.
    pub fn new(words: impl Into<String>) -> Detail {
        Detail(words.into())
    }

    /// The words, for a developer's eyes; never for a log.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Detail(..)")
    }
}

/// Reads `JSONEachRow`.
fn read_rows<T: DeserializeOwned>(bytes: &[u8]) -> Result<Vec<T>, StoreError> {
    let mut rows = Vec::new();
    for row in serde_json::Deserializer::from_slice(bytes).into_iter() {
        // The parser's message may quote the row.
        rows.push(row.map_err(|_| StoreError::Unreadable { row: rows.len() + 1 })?);
    }
    Ok(rows)
}

/// Maps the engine's failure: `Code: 60. DB::Exception: ... (UNKNOWN_TABLE)`.
///
/// The codes are those of `ErrorCodes.cpp` of ClickHouse, which are never given a new meaning.
fn failure(failure: engine::Failure) -> StoreError {
    let message = match failure {
        engine::Failure::NoAnswer => return StoreError::Unavailable,
        engine::Failure::Message(message) => message,
    };
    let code = message
        .strip_prefix("Code: ")
        .and_then(|rest| rest.split_once('.'))
        .and_then(|(digits, _)| digits.parse().ok())
        .unwrap_or(0);
    match code {
        243 => StoreError::NoSpace,
        173 | 241 => StoreError::Memory,
        159 | 160 => StoreError::Timeout,
        202 | 252 | 439 => StoreError::Overloaded { code },
        _ if message.contains("No space left on device") => StoreError::NoSpace,
        _ => StoreError::Rejected { code, name: code_name(&message), detail: Detail(message) },
    }
}

/// The name that ends every message of the engine, in brackets. Anything else there may be data.
fn code_name(message: &str) -> String {
    let end = message.rsplit_once(" (version").map_or(message, |(before, _)| before).trim_end().trim_end_matches('.');
    let name = end.strip_suffix(')').and_then(|rest| rest.rsplit_once('(')).map_or("", |(_, name)| name);
    let is_name = name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    if is_name { name.to_owned() } else { "UNKNOWN".to_owned() }
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
