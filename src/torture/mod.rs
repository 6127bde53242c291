//! Faults on order, for the fault campaign in `tests/torture`. Behind the cargo feature `torture`, in no release.
//!
//! `TORTURE_ORDERS` names a file of orders, one a line, which may change at any time. Without the variable everything
//! works as ever.
//!
//! ```text
//! power                 from the start on, writes that are not synced are in memory alone: kill -9 is a power cut
//! kill POINT N MICROS   at the Nth passing of a point, the process is killed, so many microseconds later
//! sync error            syncs fail
//! sync leak             syncs fail but the bytes reach the disk, and files cannot be cut
//! disk full             half of a write, then no space
//! store WORD            the store is away, full, readonly, slow, late (stores, then fails) or hangs
//! clock MS              the clock goes ahead by this
//! no_sync               broken on purpose: segments are acknowledged without a sync
//! no_token              broken on purpose: every insert has a token of its own
//! ```
//!
//! Points, in the order of the data: `spool.rotate` (a segment's file is created), `spool.write`, `spool.sync`,
//! `spool.synced`, `loader.insert`, `loader.inserted`, `loader.keep`, `spool.remove`, `seal.journal`, `seal.publish`,
//! `seal.published`, `seal.drop`, `seal.destroy` (before the key goes), `seal.audit` (before the entry), `seal.remove` (before
//! the journal goes). Those of a seal are passed by hours first, then by the day; the last four by the day alone.
//!
//! Does not: reach the engine's own files and the day keys. For those, kill -9 stays what it is.

mod filesystem;
mod store;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use crate::spool::{Filesystem, RealFilesystem};
use crate::store::Store;

/// The environment variable that names the file of orders.
pub const VARIABLE: &str = "TORTURE_ORDERS";

static FILE: LazyLock<Option<String>> = LazyLock::new(|| std::env::var(VARIABLE).ok());
static PASSED: Mutex<BTreeMap<&'static str, u64>> = Mutex::new(BTreeMap::new());

/// The file system that the orders ask for.
#[must_use]
pub fn filesystem() -> Arc<dyn Filesystem> {
    if FILE.is_none() { Arc::new(RealFilesystem) } else { Arc::new(filesystem::Tortured::new(is_ordered("power"))) }
}

/// A store that fails on order.
#[must_use]
pub fn store(store: Arc<dyn Store>) -> Arc<dyn Store> {
    if FILE.is_none() { store } else { Arc::new(store::Tortured(store)) }
}

/// How far the clock goes ahead, in milliseconds.
#[must_use]
pub fn clock_ms() -> i64 {
    order("clock").and_then(|ms| ms.parse().ok()).unwrap_or(0)
}

/// Passes a point, at which the process may be killed.
pub(crate) fn pass(point: &'static str) {
    if FILE.is_none() {
        return;
    }
    let passed = {
        let mut all = PASSED.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = all.entry(point).or_default();
        *passed += 1;
        *passed
    };
    let Some(kill) = order("kill") else { return };
    let mut words = kill.split(' ');
    let at = words.next() == Some(point) && words.next().and_then(|n| n.parse().ok()) == Some(passed);
    if !at {
        return;
    }
    match words.next().and_then(|micros| micros.parse().ok()) {
        None | Some(0) => kill_now(),
        Some(micros) => drop(std::thread::spawn(move || {
            std::thread::sleep(Duration::from_micros(micros));
            kill_now();
        })),
    }
}

fn kill_now() {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    // The signal is on its way.
    loop {
        std::thread::park();
    }
}

fn is_ordered(line: &str) -> bool {
    orders().lines().any(|order| order == line)
}

/// What follows a word at the beginning of a line.
fn order(word: &str) -> Option<String> {
    orders().lines().find_map(|line| Some(line.strip_prefix(word)?.strip_prefix(' ')?.to_owned()))
}

fn orders() -> String {
    FILE.as_ref().and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default()
}
