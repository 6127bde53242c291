//! A store that a test stands in front of.

use std::sync::Arc;

use tuman::store::{Description, Device, Found, Statement, Store, StoreError, Table};

/// What is asked of the store.
pub enum Call<'a> {
    Execute,
    Select(&'a Statement),
    /// Rows, under a token.
    Insert(&'a str),
    DropDay,
    Find,
    Erase,
}

/// Shows every call to `watch` before the store gets it: it may hold it up, refuse it, or do something first.
pub fn watched(
    store: Arc<dyn Store>,
    watch: impl Fn(&dyn Store, Call<'_>) -> Result<(), StoreError> + Send + Sync + 'static,
) -> Arc<dyn Store> {
    Arc::new(Watched { store, watch })
}

struct Watched<F> {
    store: Arc<dyn Store>,
    watch: F,
}

impl<F: Fn(&dyn Store, Call<'_>) -> Result<(), StoreError> + Send + Sync + 'static> Store for Watched<F> {
    fn execute(&self, statement: &Statement) -> Result<(), StoreError> {
        (self.watch)(&*self.store, Call::Execute)?;
        self.store.execute(statement)
    }

    fn select(&self, statement: &Statement) -> Result<Vec<u8>, StoreError> {
        (self.watch)(&*self.store, Call::Select(statement))?;
        self.store.select(statement)
    }

    fn insert(&self, table: Table, token: &str, rows: &[u8]) -> Result<(), StoreError> {
        (self.watch)(&*self.store, Call::Insert(token))?;
        self.store.insert(table, token, rows)
    }

    fn drop_day(&self, day: u16) -> Result<(), StoreError> {
        (self.watch)(&*self.store, Call::DropDay)?;
        self.store.drop_day(day)
    }

    fn find(&self, table: Table, devices: &[Device]) -> Result<Vec<Found>, StoreError> {
        (self.watch)(&*self.store, Call::Find)?;
        self.store.find(table, devices)
    }

    fn erase(&self, table: Table, devices: &[Device]) -> Result<(), StoreError> {
        (self.watch)(&*self.store, Call::Erase)?;
        self.store.erase(table, devices)
    }

    fn describe(&self) -> Result<Description, StoreError> {
        self.store.describe()
    }
}
