//! A store that fails from a chosen call on.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tuman::store::{Description, Device, Found, Statement, Store, StoreError, Table};

/// Decides which calls fail.
#[derive(Clone)]
pub struct FailingStore(Arc<AtomicI64>);

impl FailingStore {
    pub fn new() -> FailingStore {
        FailingStore(Arc::new(AtomicI64::new(i64::MAX)))
    }

    /// Lets `n` more calls through.
    pub fn fail_after(&self, n: i64) {
        self.0.store(n, Ordering::SeqCst);
    }

    pub fn heal(&self) {
        self.0.store(i64::MAX, Ordering::SeqCst);
    }

    pub fn over(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::new(Wrapped { store, left: self.0.clone() })
    }
}

struct Wrapped {
    store: Arc<dyn Store>,
    left: Arc<AtomicI64>,
}

impl Wrapped {
    fn pass(&self) -> Result<(), StoreError> {
        if self.left.fetch_sub(1, Ordering::SeqCst) <= 0 { Err(StoreError::Unavailable) } else { Ok(()) }
    }
}

impl Store for Wrapped {
    fn execute(&self, statement: &Statement) -> Result<(), StoreError> {
        self.pass()?;
        self.store.execute(statement)
    }

    fn select(&self, statement: &Statement) -> Result<Vec<u8>, StoreError> {
        self.pass()?;
        self.store.select(statement)
    }

    fn insert(&self, table: Table, token: &str, rows: &[u8]) -> Result<(), StoreError> {
        self.pass()?;
        self.store.insert(table, token, rows)
    }

    fn drop_day(&self, day: u16) -> Result<(), StoreError> {
        self.pass()?;
        self.store.drop_day(day)
    }

    fn find(&self, table: Table, devices: &[Device]) -> Result<Vec<Found>, StoreError> {
        self.pass()?;
        self.store.find(table, devices)
    }

    fn erase(&self, table: Table, devices: &[Device]) -> Result<(), StoreError> {
        self.pass()?;
        self.store.erase(table, devices)
    }

    fn describe(&self) -> Result<Description, StoreError> {
        self.store.describe()
    }
}
