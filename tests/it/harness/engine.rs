//! One engine for all tests of this process, each in a database of its own.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tuman::store::{Engine, Options, StoreError};

/// The engine. Held weakly: it must be closed before the process ends.
static ENGINE: Mutex<Weak<Engine>> = Mutex::new(Weak::new());
static DATABASES: AtomicU32 = AtomicU32::new(0);

pub fn shared() -> Arc<Engine> {
    let mut engine = ENGINE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(open) = engine.upgrade() {
        return open;
    }
    // The limit counts the whole process, and the tables of every test's database stay in memory until it ends.
    let options = Options { connections: 4, memory_bytes: 3_000_000_000, ..Options::new(folder()) };
    let opened = loop {
        match Engine::open(&options) {
            // The last holder has let go of it, and it is being closed.
            Err(StoreError::Locked { .. } | StoreError::NotStarted { .. }) => std::thread::yield_now(),
            opened => break opened.expect("the engine opens"),
        }
    };
    *engine = Arc::downgrade(&opened);
    opened
}

pub fn fresh_database() -> String {
    format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed))
}

/// The engine's data folder, which is of this process alone. What earlier runs left is removed first.
pub fn folder() -> PathBuf {
    static CLEANED: std::sync::Once = std::sync::Once::new();
    let all = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("engines");
    CLEANED.call_once(|| {
        let entries = std::fs::read_dir(&all).into_iter().flatten().flatten();
        // Named by the process: one that runs has its folder in use.
        for entry in entries.filter(|entry| !PathBuf::from("/proc").join(entry.file_name()).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
        std::fs::create_dir_all(&all).unwrap();
    });
    all.join(std::process::id().to_string())
}
