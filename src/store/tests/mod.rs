//! The embedded store against the real engine.
//!
//! The engine runs on one data folder per process, so the tests share one and take a database each. What needs
//! a process of its own runs in a child: this test binary again, told what to do by an environment variable.

mod erase;
mod process;
mod rows;
mod schema;
mod statements;

use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};

use serde::Deserialize;
use tempfile::TempDir;

use super::*;

const DAY: u16 = 20_500;

/// The engine that the tests of this process share, and the folder it works on.
struct Shared {
    engine: Arc<Engine>,
    folder: TempDir,
}

static SHARED: Mutex<Weak<Shared>> = Mutex::new(Weak::new());

/// A store in a database of its own.
///
/// The engine opens with the first of these and closes with the last, so that nothing is left behind when the
/// process ends. A test may meet an engine that was opened again: that is part of what is tested.
struct TestStore {
    store: Option<EmbeddedStore>,
    shared: Option<Arc<Shared>>,
}

fn store(database: &str) -> TestStore {
    let shared = shared();
    let store = EmbeddedStore::new(Arc::clone(&shared.engine), database).unwrap();
    TestStore { store: Some(store), shared: Some(shared) }
}

fn shared() -> Arc<Shared> {
    let mut shared = SHARED.lock().unwrap();
    if let Some(open) = shared.upgrade() {
        return open;
    }
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(&Options::new(folder.path())).unwrap();
    let opened = Arc::new(Shared { engine, folder });
    *shared = Arc::downgrade(&opened);
    opened
}

impl TestStore {
    fn engine(&self) -> &Arc<Engine> {
        &self.shared.as_ref().unwrap().engine
    }

    fn folder(&self) -> &Path {
        self.shared.as_ref().unwrap().folder.path()
    }
}

impl Deref for TestStore {
    type Target = EmbeddedStore;

    fn deref(&self) -> &EmbeddedStore {
        self.store.as_ref().unwrap()
    }
}

impl Drop for TestStore {
    fn drop(&mut self) {
        // Under the lock, so that nobody opens the next engine before this one is closed.
        let _guard = SHARED.lock();
        self.store.take();
        self.shared.take();
    }
}

#[derive(Debug, Deserialize, PartialEq)]
struct Count {
    n: u64,
}

fn count(store: &EmbeddedStore, table: Table) -> u64 {
    let store: &dyn Store = store;
    let statement = Statement::new(format!("SELECT count() AS n FROM {}", table.name()));
    store.rows::<Count>(&statement).unwrap().pop().unwrap().n
}

/// Rows of `places_open`, one for each number.
fn places(day: u16, numbers: std::ops::Range<u64>) -> Vec<u8> {
    let mut rows = Vec::new();
    for number in numbers {
        rows.extend(day.to_le_bytes());
        rows.extend(7_u32.to_le_bytes());
        rows.extend(number.to_le_bytes());
        rows.push(5);
        rows.extend(b"v9v6h");
        rows.extend(1_u32.to_le_bytes());
    }
    rows
}

fn files_of(folder: &Path, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().contains(name) {
            found.push(entry.path().display().to_string());
        }
        found.extend(files_of(&entry.path(), name));
    }
    found
}
