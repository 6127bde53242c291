//! What is sealed while an export is made.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use tuman::store::{Description, Device, Found, Statement, Store, StoreError, Table};

use super::{exported, unpacked};
use crate::harness::Setup;
use crate::http::stats::with_a_sealed_day_in;

/// A store in which something more is sealed each time that the values of a release were read, so many times.
struct Sealing {
    store: Arc<dyn Store>,
    left: Arc<AtomicU32>,
}

impl Store for Sealing {
    fn select(&self, statement: &Statement) -> Result<Vec<u8>, StoreError> {
        let rows = self.store.select(statement)?;
        let is_of_values = statement.text().contains("FROM releases");
        let take = |left: u32| left.checked_sub(1);
        if is_of_values && let Ok(left) = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take) {
            let text = format!(
                "INSERT INTO seals SELECT day, app, 'late_{left}', dims, bound, epsilon, scale, threshold, mechanism, \
                 domain, 0, suppressed, sealed_at, window, windows FROM seals WHERE release = 'region'"
            );
            self.store.execute(&Statement::new(text))?;
        }
        Ok(rows)
    }

    fn execute(&self, statement: &Statement) -> Result<(), StoreError> {
        self.store.execute(statement)
    }

    fn insert(&self, table: Table, token: &str, rows: &[u8]) -> Result<(), StoreError> {
        self.store.insert(table, token, rows)
    }

    fn drop_day(&self, day: u16) -> Result<(), StoreError> {
        self.store.drop_day(day)
    }

    fn find(&self, table: Table, devices: &[Device]) -> Result<Vec<Found>, StoreError> {
        self.store.find(table, devices)
    }

    fn erase(&self, table: Table, devices: &[Device]) -> Result<(), StoreError> {
        self.store.erase(table, devices)
    }

    fn describe(&self) -> Result<Description, StoreError> {
        self.store.describe()
    }
}

#[actix_web::test]
async fn an_export_is_of_one_state_of_the_store() {
    let left = Arc::new(AtomicU32::new(0));
    let setup = Setup::new().store(|store| Arc::new(Sealing { store, left: left.clone() }));
    let app = with_a_sealed_day_in(setup).await;
    left.store(1, Ordering::SeqCst);
    let package = unpacked(&app.export("?period=yesterday").await.bytes);
    let description: Value = serde_json::from_slice(&package["datapackage.json"]).unwrap();
    let epsilon = description["epsilon"]["day"].as_f64().unwrap();
    // The default releases, and another one of the region.
    assert!((epsilon - 2.05).abs() < 1e-9 && package.contains_key("releases/late_1.csv"), "{description}");
    assert_eq!(exported(&app).len(), 1);

    for question in ["?period=yesterday", "/region?period=yesterday"] {
        left.store(1_000, Ordering::SeqCst);
        assert_eq!(app.export(question).await.code(), "store_unavailable", "{question}");
    }
    assert_eq!(exported(&app).len(), 1, "what is not handed out is not on record");
}
