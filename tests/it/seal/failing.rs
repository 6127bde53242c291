//! A store that fails from a chosen call on.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tuman::store::{Store, StoreError};

use crate::harness::watched;

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
        let left = self.0.clone();
        watched(
            store,
            move |_, _| {
                if left.fetch_sub(1, Ordering::SeqCst) <= 0 { Err(StoreError::Unavailable) } else { Ok(()) }
            },
        )
    }
}
