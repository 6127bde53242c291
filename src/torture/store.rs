//! The store of the fault campaign: fails, hangs and is slow on order.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;

use super::{is_ordered, order, pass};
use crate::store::{Description, Detail, Device, Found, Statement, Store, StoreError, Table};

pub(super) struct Tortured(pub(super) Arc<dyn Store>);

impl Store for Tortured {
    fn execute(&self, statement: &Statement) -> Result<(), StoreError> {
        self.0.execute(statement)
    }

    fn select(&self, statement: &Statement) -> Result<Vec<u8>, StoreError> {
        self.0.select(statement)
    }

    fn insert(&self, table: Table, token: &str, rows: &[u8]) -> Result<(), StoreError> {
        let points = match table {
            Table::UsageOpen | Table::PlacesOpen | Table::Ledger => ["loader.insert", "loader.inserted"],
            Table::Releases | Table::Seals => ["seal.publish", "seal.published"],
            // The collector does not start without its line in the audit log.
            Table::Audit | Table::Withdrawals | Table::Deletions => return self.0.insert(table, token, rows),
        };
        trouble()?;
        pass(points[0]);
        if is_ordered("no_token") {
            let token = format!("{token}-{}", rand::rng().random::<u64>());
            self.0.insert(table, &token, rows)?;
        } else {
            self.0.insert(table, token, rows)?;
        }
        pass(points[1]);
        if is_ordered("store late") { Err(StoreError::Timeout) } else { Ok(()) }
    }

    fn drop_day(&self, day: u16) -> Result<(), StoreError> {
        trouble()?;
        pass("seal.drop");
        self.0.drop_day(day)
    }

    fn find(&self, table: Table, devices: &[Device]) -> Result<Vec<Found>, StoreError> {
        self.0.find(table, devices)
    }

    fn erase(&self, table: Table, devices: &[Device]) -> Result<(), StoreError> {
        trouble()?;
        self.0.erase(table, devices)
    }

    fn describe(&self) -> Result<Description, StoreError> {
        self.0.describe()
    }
}

fn trouble() -> Result<(), StoreError> {
    while is_ordered("store hangs") {
        std::thread::sleep(Duration::from_millis(5));
    }
    match order("store").as_deref() {
        Some("away") => Err(StoreError::Unavailable),
        Some("full") => Err(StoreError::NoSpace),
        Some("readonly") => {
            let (name, detail) = ("TABLE_IS_READ_ONLY".to_owned(), Detail::new("ordered"));
            Err(StoreError::Rejected { code: 242, name, detail })
        }
        Some("slow") => {
            std::thread::sleep(Duration::from_millis(300));
            Ok(())
        }
        _ => Ok(()),
    }
}
