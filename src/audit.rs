//! The audit log: what was done with keys and days, each entry chained to the one before by its hash.
//!
//! Holds no identifier, no token, no address. An entry's hash covers its number, time, kind, detail and the hash before
//! it, so that a changed, removed or reordered entry breaks the chain.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::rowbinary::RowBinary;
use crate::store::{Statement, Store, StoreError, Table};

/// Appends to the audit log.
pub struct Audit {
    store: Arc<dyn Store>,
    last: Mutex<Last>,
}

#[derive(Clone, Deserialize)]
struct Last {
    seq: u64,
    hash: String,
}

impl Audit {
    /// Continues the log of a store.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn open(store: Arc<dyn Store>) -> Result<Audit, StoreError> {
        let last = store.rows(&Statement::new("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1"))?;
        let last = last.into_iter().next().unwrap_or(Last { seq: 0, hash: String::new() });
        Ok(Audit { store, last: Mutex::new(last) })
    }

    /// Appends an entry.
    ///
    /// # Errors
    /// Where the store does not take it; the log is as before then.
    pub fn append<T: Serialize>(&self, at_ms: i64, kind: &str, detail: &T) -> Result<(), StoreError> {
        let detail = serde_json::to_string(detail).unwrap_or_default();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let seq = last.seq + 1;
        let hash = hash(seq, at_ms, kind, &detail, &last.hash);
        let mut row = RowBinary::default();
        row.u64(seq).i64(at_ms).string(kind).string(&detail).string(&last.hash).string(&hash);
        self.store.insert(Table::Audit, &format!("audit-{seq}-{}", &hash[..16]), row.bytes())?;
        *last = Last { seq, hash };
        Ok(())
    }
}

/// The hash of an entry, in hex.
fn hash(seq: u64, at_ms: i64, kind: &str, detail: &str, previous: &str) -> String {
    let mut digest = Sha256::new();
    for part in [&seq.to_string(), &at_ms.to_string(), kind, detail, previous] {
        // With its length before it, no part can run into the next.
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    hex::encode(digest.finalize())
}
