//! ClickHouse inside the process.
//!
//! Guarantees: one process works on a data folder; an insert is synced, the record of its token too; the folder
//! holds no row outside the engine's own files once an insert has returned; the engine writes no log.
//! Does not: split inserts, choose when to merge, or run on two data folders at once (the engine cannot).
//!
//! The data folder, for this user alone:
//!
//! ```text
//! lock         held while the store is open
//! engine.xml   the engine's configuration, written at every start
//! engine/      the engine's files; engine/tmp, where large questions spill, is emptied at every start
//! tmp/         rows on their way into the engine, emptied at every start
//! backups/     the one folder that BACKUP may write to
//! ```

use std::collections::HashMap;
use std::ffi::CString;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::engine::{self, Connection, Library};
use super::pool::Pool;
use super::{
    Description, Device, Found, Statement, Store, StoreError, Table, erase, locate, migrate, read_rows, tokens,
};
use crate::log::Line;

/// How long [`Store::drop_day`] waits for questions that still read the day.
const DROP_WAIT: Duration = Duration::from_secs(60);
/// How long closing waits for statements that still run.
const CLOSE_WAIT: Duration = Duration::from_secs(30);

/// How to open the engine.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data folder; created if need be.
    pub folder: PathBuf,
    /// The engine's library, where it is not the one of `make engine`.
    pub library: Option<PathBuf>,
    /// The most memory the engine may use, all of the process counted.
    pub memory_bytes: u64,
    /// Threads for one statement.
    pub threads: u32,
    /// Statements at a time.
    pub connections: usize,
}

impl Options {
    /// A data folder, and the defaults for everything else.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Options { folder: folder.into(), library: None, memory_bytes: 900_000_000, threads: 2, connections: 3 }
    }
}

/// The engine, running on one data folder. It is closed when the last [`Arc`] goes; a process that exits before
/// that ends at once, as if killed.
pub struct Engine {
    folder: PathBuf,
    pool: Pool,
    sequence: AtomicU64,
    // Last, so that the folder is free only when the engine is closed.
    _lock: File,
}

impl Engine {
    /// Starts the engine.
    ///
    /// # Errors
    ///
    /// [`StoreError::EngineMissing`] and [`StoreError::EngineUnusable`] about the library;
    /// [`StoreError::Locked`] and [`StoreError::NotStarted`] about the folder; [`StoreError::Io`].
    pub fn open(options: &Options) -> Result<Arc<Engine>, StoreError> {
        let path = locate::library(options.library.as_deref())?;
        let folder = create_folder(&options.folder)?;
        let lock = lock(&folder)?;
        for scratch in ["tmp", "engine/tmp"] {
            create_empty(&folder.join(scratch))?;
        }
        create_folder(&folder.join("backups"))?;
        let repaired = tokens::repair(&folder.join("engine"))
            .map_err(|source| StoreError::io("repair the record of insert tokens", source))?;
        if repaired > 0 {
            Line::TokensRepaired { tokens: repaired as u64 }.write();
        }
        let configuration = folder.join("engine.xml");
        fs::write(&configuration, configuration_text(options, &folder))
            .map_err(|source| StoreError::io("write engine.xml in the data folder", source))?;

        let library =
            Library::load(&path).map_err(|reason| StoreError::EngineUnusable { path: path.clone(), reason })?;
        let not_started = || StoreError::NotStarted { folder: folder.clone() };
        let arguments = [
            CString::from(c"clickhouse"),
            argument("--path=", &folder.join("engine")).ok_or_else(not_started)?,
            argument("--config-file=", &configuration).ok_or_else(not_started)?,
        ];
        let mut connections = Vec::new();
        for _ in 0..options.connections.max(1) {
            connections.push(Connection::open(library, &arguments).ok_or_else(not_started)?);
        }
        let pool = Pool::new(connections, options.threads.max(1))?;
        engine::set_running(true);
        Ok(Arc::new(Engine { folder, pool, sequence: AtomicU64::new(0), _lock: lock }))
    }

    /// The folder that `BACKUP ... TO File(...)` may write to.
    pub fn backups(&self) -> PathBuf {
        self.folder.join("backups")
    }

    /// Deletes a database and everything in it. For tests and demonstrations, which make their own.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub fn drop_database(&self, database: &str) -> Result<(), StoreError> {
        let statement =
            Statement::new("DROP DATABASE IF EXISTS {database:Identifier}").bind("database", valid(database)?);
        self.run("default", &statement).map(drop)
    }

    fn run(&self, database: &str, statement: &Statement) -> Result<Vec<u8>, StoreError> {
        self.pool.query(database, statement.limit_seconds(), statement.text(), statement.values())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.pool.close(CLOSE_WAIT) {
            engine::set_running(false);
        }
    }
}

/// One database of the engine.
pub struct EmbeddedStore {
    engine: Arc<Engine>,
    database: String,
    /// Where the engine keeps the files of each table.
    folders: HashMap<Table, PathBuf>,
}

impl EmbeddedStore {
    /// Opens a database: creates it if need be, and brings its tables to this program's schema.
    ///
    /// # Errors
    ///
    /// [`StoreError::InvalidName`] for a name that is not lower-case letters, digits and `_`;
    /// [`StoreError::SchemaNewer`] and [`StoreError::SchemaChanged`]; see [`StoreError`] for the rest.
    pub fn new(engine: Arc<Engine>, database: &str) -> Result<EmbeddedStore, StoreError> {
        let create =
            Statement::new("CREATE DATABASE IF NOT EXISTS {database:Identifier}").bind("database", valid(database)?);
        engine.run("default", &create)?;
        let mut store = EmbeddedStore { engine, database: database.to_owned(), folders: HashMap::new() };
        if !migrate::migrate(&store)?.is_empty() {
            // The engine syncs the definition of a table, not the names of the folders it lies in.
            tokens::sync_folders(&store.engine.folder.join("engine"))
                .map_err(|source| StoreError::io("sync the data folder", source))?;
        }
        store.folders = store.table_folders()?;
        Ok(store)
    }

    fn table_folders(&self) -> Result<HashMap<Table, PathBuf>, StoreError> {
        #[derive(Deserialize)]
        struct Row {
            name: String,
            path: PathBuf,
        }
        let statement = Statement::new(
            "SELECT name, data_paths[1] AS path FROM system.tables WHERE database = currentDatabase()",
        );
        let rows: Vec<Row> = read_rows(&self.select(&statement)?)?;
        let table = |name: &str| Table::ALL.into_iter().find(|table| table.name() == name);
        Ok(rows.into_iter().filter_map(|row| Some((table(&row.name)?, row.path))).collect())
    }

    /// Writes the rows to a file that is gone when the result is dropped.
    fn spill(&self, rows: &[u8]) -> Result<Spilled, StoreError> {
        let number = self.engine.sequence.fetch_add(1, Ordering::Relaxed);
        let path = self.engine.folder.join("tmp").join(format!("{number}.rows"));
        let failed = |source| StoreError::io("write rows into the data folder", source);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
        let spilled = Spilled(path);
        file.write_all(rows).map_err(failed)?;
        Ok(spilled)
    }

    /// Makes what the engine did to a table last through a power cut.
    ///
    /// The engine syncs a part's files and folder, but neither the table's folder, which holds the part's name,
    /// nor the record of insert tokens.
    pub(super) fn sync_table(&self, table: Table) -> Result<(), StoreError> {
        let folder = self.folders.get(&table).ok_or(StoreError::Unavailable)?;
        tokens::sync_table(folder).map_err(|source| StoreError::io("sync a table's folder", source))
    }

    /// Waits until the engine has removed the files of a day's rows.
    fn await_removal(&self, table: Table, partition: &str) -> Result<(), StoreError> {
        #[derive(Deserialize)]
        struct Row {
            parts: u64,
        }
        let count = Statement::new(include_str!("schema/parts_of_day.sql"))
            .bind("table", table.name())
            .bind("partition", partition);
        let until = Instant::now() + DROP_WAIT;
        loop {
            let rows: Vec<Row> = read_rows(&self.select(&count)?)?;
            if rows.iter().all(|row| row.parts == 0) {
                return Ok(());
            }
            if Instant::now() >= until {
                return Err(StoreError::Timeout);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Store for EmbeddedStore {
    fn execute(&self, statement: &Statement) -> Result<(), StoreError> {
        self.engine.run(&self.database, statement).map(drop)
    }

    fn select(&self, statement: &Statement) -> Result<Vec<u8>, StoreError> {
        self.engine.run(&self.database, statement)
    }

    fn insert(&self, table: Table, token: &str, rows: &[u8]) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let token = valid_token(token)?;
        let file = self.spill(rows)?;
        let path = file.0.to_str().ok_or(StoreError::InvalidName { what: "data folder" })?;
        // Settings take no bound values, hence the strict check of the token. The block sizes are part of what a
        // token stands for: one call is one block, today and when it is sent again.
        let text = format!(
            "INSERT INTO {{table:Identifier}} SELECT * FROM file({{path:String}}, 'RowBinary', {{structure:String}}) \
             SETTINGS insert_deduplication_token = '{token}', max_insert_threads = 1, max_block_size = 1048576, \
             min_insert_block_size_rows = 1048576, min_insert_block_size_bytes = 0"
        );
        let statement =
            Statement::new(text).bind("table", table.name()).bind("path", path).bind("structure", table.structure());
        self.execute(&statement)?;
        self.sync_table(table)
    }

    fn drop_day(&self, day: u16) -> Result<(), StoreError> {
        let date = jiff::civil::date(1970, 1, 1).saturating_add(jiff::Span::new().days(i64::from(day)));
        let partition = date.strftime("%Y%m%d").to_string();
        for table in [Table::UsageOpen, Table::PlacesOpen] {
            // Detached: parts that the engine set aside at a start because it could not read them.
            for text in [
                "ALTER TABLE {table:Identifier} DROP PARTITION {day:Date}",
                "ALTER TABLE {table:Identifier} DROP DETACHED PARTITION {day:Date} SETTINGS allow_drop_detached = 1",
            ] {
                self.execute(&Statement::new(text).bind("table", table.name()).bind("day", date))?;
            }
            self.await_removal(table, &partition)?;
            self.sync_table(table)?;
        }
        Ok(())
    }

    fn find(&self, table: Table, devices: &[Device]) -> Result<Vec<Found>, StoreError> {
        erase::find(self, table, devices)
    }

    fn erase(&self, table: Table, devices: &[Device]) -> Result<(), StoreError> {
        erase::erase(self, table, devices)
    }

    fn describe(&self) -> Result<Description, StoreError> {
        #[derive(Deserialize)]
        struct Row {
            version: String,
            schema: u32,
        }
        let statement = Statement::new("SELECT version() AS version, max(number) AS schema FROM migrations");
        let row: Row = read_rows(&self.select(&statement)?)?.pop().ok_or(StoreError::Unavailable)?;
        let database = self.database.clone();
        Ok(Description { kind: "embedded", version: row.version, database, schema: row.schema })
    }
}

/// A file of rows on their way into the engine.
struct Spilled(PathBuf);

impl Drop for Spilled {
    fn drop(&mut self) {
        if fs::remove_file(&self.0).is_err() {
            Line::RowsLeft.write();
        }
    }
}

/// Creates a folder for this user alone and gives its full path.
fn create_folder(path: &Path) -> Result<PathBuf, StoreError> {
    let create = || {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        fs::canonicalize(path)
    };
    create().map_err(|source| StoreError::io("create its data folder", source))
}

fn create_empty(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::io("empty a folder for temporary files", source))
        }
        _ => create_folder(path).map(drop),
    }
}

fn lock(folder: &Path) -> Result<File, StoreError> {
    let failed = |source| StoreError::io("lock its data folder", source);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(folder.join("lock"))
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { folder: folder.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn configuration_text(options: &Options, folder: &Path) -> String {
    let backups = folder.join("backups").to_string_lossy().replace('&', "&amp;").replace('<', "&lt;");
    include_str!("engine.xml")
        .replace("@MEMORY_BYTES@", &options.memory_bytes.to_string())
        .replace("@BACKUPS@", &backups)
}

/// `name` followed by a path; nothing for a path with a zero byte.
fn argument(name: &str, path: &Path) -> Option<CString> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.extend_from_slice(path.as_os_str().as_bytes());
    CString::new(bytes).ok()
}

fn valid(database: &str) -> Result<&str, StoreError> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let is_name = (1..=60).contains(&database.len())
        && database.bytes().all(fits)
        && !database.starts_with(|first: char| first.is_ascii_digit());
    if is_name { Ok(database) } else { Err(StoreError::InvalidName { what: "database name" }) }
}

fn valid_token(token: &str) -> Result<&str, StoreError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    let is_token = (1..=200).contains(&token.len()) && token.bytes().all(fits);
    if is_token { Ok(token) } else { Err(StoreError::InvalidName { what: "insert token" }) }
}
