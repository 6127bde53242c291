//! The audit log: what was done with keys and days, each entry chained to the one before by its hash.
//!
//! Holds no identifier, no token, no address. An entry's hash covers its number, time, kind, detail and the hash before
//! it, so that a changed, removed or reordered entry breaks the chain, and [`verify`] names it.
//!
//! Does not: show that the last entries were removed, or that the whole chain was written anew by someone who can write
//! to the store. Against both, keep the hash of the last entry elsewhere: `tuman audit verify` prints it.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::rowbinary::RowBinary;
use crate::store::{Statement, Store, StoreError, Table};

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number, from 1.
    pub seq: u64,
    /// When it was appended, in milliseconds since 1970.
    pub at_ms: i64,
    /// What was done.
    pub kind: String,
    /// With what, as JSON.
    pub detail: String,
    /// The hash of the entry before; of the first, nothing.
    pub previous: String,
    /// Its own hash.
    pub hash: String,
}

/// A chain that is whole, up to its last entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// How many entries there are.
    pub entries: u64,
    /// The hash of the last one; of an empty log, nothing.
    pub last: String,
}

/// Where the chain is broken first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// An entry is not what its hash says, or was written in another place of the chain.
    #[error("entry {0} was changed")]
    Changed(u64),
    /// A number is missing.
    #[error("entry {0} is missing")]
    Missing(u64),
    /// A number is there twice.
    #[error("entry {0} is there twice")]
    Repeated(u64),
    /// An entry is whole in itself and does not follow the one before it.
    #[error("entry {0} does not follow the one before it")]
    Unchained(u64),
}

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

/// All entries, by number.
///
/// # Errors
/// Where the store cannot be read.
pub fn entries(store: &dyn Store) -> Result<Vec<Entry>, StoreError> {
    store.rows(&Statement::new(
        "SELECT seq, toUnixTimestamp64Milli(at) AS at_ms, kind, detail, previous, hash FROM audit ORDER BY seq",
    ))
}

/// Follows the chain of a log's entries.
///
/// # Errors
/// Names the first entry that is changed, missing, repeated or moved.
pub fn verify(entries: &[Entry]) -> Result<Verified, Broken> {
    let mut last = Last { seq: 0, hash: String::new() };
    for entry in entries {
        let expected = last.seq + 1;
        if entry.seq > expected {
            return Err(Broken::Missing(expected));
        }
        if entry.seq < expected {
            return Err(Broken::Repeated(entry.seq));
        }
        if hash(entry.seq, entry.at_ms, &entry.kind, &entry.detail, &entry.previous) != entry.hash {
            return Err(Broken::Changed(entry.seq));
        }
        if entry.previous != last.hash {
            return Err(Broken::Unchained(entry.seq));
        }
        last = Last { seq: entry.seq, hash: entry.hash.clone() };
    }
    Ok(Verified { entries: last.seq, last: last.hash })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn chain() -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        for seq in 1..=5 {
            let previous = entries.last().map(|entry| entry.hash.clone()).unwrap_or_default();
            let (kind, detail) = ("day_sealed".to_owned(), format!("{{\"n\":{seq}}}"));
            let hash = hash(seq, 1_000, &kind, &detail, &previous);
            entries.push(Entry { seq, at_ms: 1_000, kind, detail, previous, hash });
        }
        entries
    }

    fn tampered(tamper: impl FnOnce(&mut Vec<Entry>)) -> Result<Verified, Broken> {
        let mut entries = chain();
        tamper(&mut entries);
        verify(&entries)
    }

    #[test]
    fn a_whole_chain_is_verified() {
        assert_eq!(verify(&chain()), Ok(Verified { entries: 5, last: chain()[4].hash.clone() }));
        assert_eq!(verify(&[]), Ok(Verified { entries: 0, last: String::new() }));
    }

    #[test]
    fn every_changed_field_is_found() {
        assert_eq!(tampered(|chain| chain[2].detail = "{}".into()), Err(Broken::Changed(3)));
        assert_eq!(tampered(|chain| chain[2].at_ms += 1), Err(Broken::Changed(3)));
        assert_eq!(tampered(|chain| chain[2].kind.push('x')), Err(Broken::Changed(3)));
        assert_eq!(tampered(|chain| chain[2].hash = chain[1].hash.clone()), Err(Broken::Changed(3)));
        assert_eq!(tampered(|chain| chain[4].previous.clear()), Err(Broken::Changed(5)));
    }

    #[test]
    fn a_changed_entry_with_a_new_hash_breaks_the_next() {
        let forged = tampered(|chain| {
            let entry = &mut chain[2];
            entry.detail = "{}".into();
            entry.hash = hash(entry.seq, entry.at_ms, &entry.kind, &entry.detail, &entry.previous);
        });
        assert_eq!(forged, Err(Broken::Unchained(4)));
    }

    #[test]
    fn removed_repeated_and_swapped_entries_are_found() {
        assert_eq!(tampered(|chain| drop(chain.remove(2))), Err(Broken::Missing(3)));
        assert_eq!(tampered(|chain| drop(chain.remove(0))), Err(Broken::Missing(1)));
        assert_eq!(tampered(|chain| chain.insert(2, chain[1].clone())), Err(Broken::Repeated(2)));
        let swapped = tampered(|chain| {
            chain.swap(1, 2);
            (chain[1].seq, chain[2].seq) = (2, 3);
        });
        assert_eq!(swapped, Err(Broken::Changed(2)));
    }

    #[test]
    fn removed_last_entries_are_seen_only_by_who_kept_the_last_hash() {
        let cut = tampered(|chain| drop(chain.pop())).unwrap();
        assert_ne!(cut.last, verify(&chain()).unwrap().last);
    }
}
