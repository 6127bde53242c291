//! What is sealed while an export is made.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use tuman::store::{Statement, Store};

use super::{exported, unpacked};
use crate::harness::{Call, Setup, watched};
use crate::http::stats::with_a_sealed_day_in;

/// A store in which something more is sealed each time that the values of a release are read, so many times.
fn sealing(store: Arc<dyn Store>, left: Arc<AtomicU32>) -> Arc<dyn Store> {
    watched(store, move |store, call| {
        let is_of_values = matches!(call, Call::Select(statement) if statement.text().contains("FROM releases"));
        let take = |left: u32| left.checked_sub(1);
        if is_of_values && let Ok(left) = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take) {
            let text = format!(
                "INSERT INTO seals SELECT day, app, 'late_{left}', dims, bound, epsilon, scale, threshold, mechanism, \
                 domain, 0, suppressed, sealed_at, window, windows FROM seals WHERE release = 'region'"
            );
            store.execute(&Statement::new(text))?;
        }
        Ok(())
    })
}

#[actix_web::test]
async fn an_export_is_of_one_state_of_the_store() {
    let left = Arc::new(AtomicU32::new(0));
    let setup = Setup::new().store(|store| sealing(store, left.clone()));
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
