//! The audit log: what was done with keys, days, declarations and releases, each entry chained to the one before by its
//! hash.
//!
//! Holds no identifier, no token, no address: [`Event`] has every kind of entry, with types that leave them no way in.
//! An entry's hash covers its number, time, kind, detail and the hash before it, so that a changed, removed or reordered
//! entry breaks the chain; the [`Anchor`] beside the store shows a log that lost its end or was written anew. [`verify`]
//! names what is wrong.
//!
//! Does not: show what someone did who can write to the whole data folder. Against them, keep a hash elsewhere:
//! `tuman audit verify` prints the last one, and compares with one that was kept.

mod anchor;
mod event;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use anchor::{Anchor, Found, Link};
pub use event::{
    DaySealed, Event, Exported, KeyCreated, KeysActed, Kind, Recipient, ReleasesDeleted, ReloadRefused, Reloaded,
    SignedIn, Started, SuppressionListEnded, TokenChanged, TokenName, WithdrawalAnswered, WithdrawalErased,
    WithdrawalRegistered,
};

use crate::log::Line;
use crate::rowbinary::RowBinary;
use crate::store::{Statement, Store, StoreError, Table};

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number, from 1.
    pub seq: u64,
    /// When it was appended, in milliseconds since 1970.
    pub at_ms: i64,
    /// What was done: the word of a [`Kind`].
    pub kind: String,
    /// With what, as JSON.
    pub detail: String,
    /// The hash of the entry before; of the first, nothing.
    pub previous: String,
    /// Its own hash.
    pub hash: String,
}

/// The whole log, with its anchor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// All entries, by number.
    pub entries: Vec<Entry>,
    /// What there is of the anchor.
    pub anchor: Found,
}

/// A log that is whole, up to its last entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// How many entries there are.
    pub entries: u64,
    /// The hash of the last one; of an empty log, nothing.
    pub last: String,
}

/// What is wrong with a log, the first of it.
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
    /// The end is gone.
    #[error("entries {from} to {to} were removed from the end")]
    Cut {
        /// The first that is gone.
        from: u64,
        /// The last.
        to: u64,
    },
    /// An entry is another one than was appended: the log was written anew, from there or from before.
    #[error("entry {0} is another one than was appended: the log was written anew up to it")]
    Replaced(u64),
    /// An entry was appended by someone else.
    #[error("entry {0} was not appended by the collector")]
    Added(u64),
    /// There is no anchor to compare with.
    #[error("the anchor of the log is not there")]
    NoAnchor,
    /// The anchor's file is no anchor.
    #[error("the anchor of the log was changed")]
    AnchorDamaged,
    /// A hash that was kept elsewhere is in no entry.
    #[error("no entry has the hash that was kept: the log lost its end, or was written anew")]
    NotKept,
}

/// Why an entry was not appended.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The store did not take it, or cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The anchor cannot be read or written.
    #[error("the anchor of the audit log: {0}")]
    Anchor(#[from] std::io::Error),
}

/// Appends to the audit log.
pub struct Audit {
    store: Arc<dyn Store>,
    anchor: PathBuf,
    state: Mutex<State>,
}

struct State {
    last: Link,
    /// An entry that the store may have taken or not.
    uncertain: Option<Entry>,
    /// Whether the anchor says another thing than the store. It is evidence then, and is left as it is.
    is_disputed: bool,
}

impl Audit {
    /// Continues the log of a store, whose anchor lies in the file `anchor`. A log without an anchor gets one, and an
    /// entry that says so.
    ///
    /// # Errors
    /// Where the store or the anchor cannot be read or written.
    pub fn open(store: Arc<dyn Store>, anchor: PathBuf, at_ms: i64) -> Result<Audit, AuditError> {
        let last = store.rows(&Statement::new("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1"))?;
        let last: Link = last.into_iter().next().unwrap_or_default();
        let found = Anchor::read(&anchor)?;
        let is_disputed = match &found {
            Found::Missing => false,
            Found::Damaged => true,
            Found::Anchor(anchor) => !anchor.admits(&last),
        };
        if is_disputed {
            Line::AnchorDisputed.write();
        }
        let is_new = found == Found::Missing && last.seq > 0;
        let audit = Audit { store, anchor, state: Mutex::new(State { last, uncertain: None, is_disputed }) };
        if is_new {
            audit.record(at_ms, &Event::AnchorMade)?;
        }
        Ok(audit)
    }

    /// Appends an entry. It is on disk when this returns.
    ///
    /// # Errors
    /// Where the store or the anchor does not take it. The entry may be there, or not: a store that failed is asked
    /// again before the next entry, so that none stands twice.
    pub fn record(&self, at_ms: i64, event: &Event) -> Result<(), AuditError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (kind, detail) = (event.kind().word(), event.detail());
        if let Some(entry) = state.uncertain.clone() {
            let is_the_same = entry.kind == kind && entry.detail == detail;
            self.append(&mut state, entry)?;
            if is_the_same {
                return Ok(());
            }
        }
        let (seq, previous) = (state.last.seq + 1, state.last.hash.clone());
        let hash = hash(seq, at_ms, kind, &detail, &previous);
        self.append(&mut state, Entry { seq, at_ms, kind: kind.into(), detail, previous, hash })
    }

    fn append(&self, state: &mut State, entry: Entry) -> Result<(), AuditError> {
        let next = entry.link();
        if !state.is_disputed {
            Anchor { last: state.last.clone(), next: Some(next.clone()) }.write(&self.anchor)?;
        }
        let mut row = RowBinary::default();
        row.u64(entry.seq).i64(entry.at_ms).string(&entry.kind).string(&entry.detail);
        row.string(&entry.previous).string(&entry.hash);
        let token = format!("audit-{}-{}", entry.seq, &entry.hash[..16]);
        if let Err(error) = self.store.insert(Table::Audit, &token, row.bytes()) {
            state.uncertain = Some(entry);
            return Err(error.into());
        }
        (state.last, state.uncertain) = (next, None);
        if !state.is_disputed {
            let confirmed = Anchor { last: state.last.clone(), next: None }.write(&self.anchor);
            if let Err(error) = confirmed {
                // The entry is there, and the anchor names it as the next: that is accepted.
                Line::AnchorBehind { fault: (&error).into() }.write();
            }
        }
        Ok(())
    }

    /// The whole log, as it is at one moment.
    ///
    /// # Errors
    /// Where the store or the anchor cannot be read.
    pub fn contents(&self) -> Result<Contents, AuditError> {
        // Nothing is appended between the reading of the two.
        let _state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = self.store.rows(&Statement::new(
            "SELECT seq, toUnixTimestamp64Milli(at) AS at_ms, kind, detail, previous, hash FROM audit ORDER BY seq",
        ))?;
        Ok(Contents { entries, anchor: Anchor::read(&self.anchor)? })
    }
}

impl Entry {
    /// The entry by its number and its hash.
    #[must_use]
    pub fn link(&self) -> Link {
        Link { seq: self.seq, hash: self.hash.clone() }
    }
}

/// Follows the chain of a log, and holds it against its anchor.
///
/// # Errors
/// Names the first entry that is changed, missing, repeated, moved, replaced or added.
pub fn verify(log: &Contents) -> Result<Verified, Broken> {
    let verified = chain(&log.entries)?;
    match &log.anchor {
        Found::Anchor(anchor) => anchor.check(&log.entries)?,
        Found::Missing if log.entries.is_empty() => {}
        Found::Missing => return Err(Broken::NoAnchor),
        Found::Damaged => return Err(Broken::AnchorDamaged),
    }
    Ok(verified)
}

/// Looks for a hash that was kept elsewhere.
///
/// # Errors
/// Where no entry has it.
pub fn verify_kept(log: &Contents, hash: &str) -> Result<(), Broken> {
    let is_there = log.entries.iter().any(|entry| entry.hash.eq_ignore_ascii_case(hash));
    if is_there { Ok(()) } else { Err(Broken::NotKept) }
}

/// Looks for the last entry of an anchor whose file was copied elsewhere.
///
/// # Errors
/// Where the log has not come as far, or has another entry in its place.
pub fn verify_copy(log: &Contents, copy: &Anchor) -> Result<(), Broken> {
    let last = log.entries.last().map_or(0, |entry| entry.seq);
    if last < copy.last.seq {
        return Err(Broken::Cut { from: last + 1, to: copy.last.seq });
    }
    anchor::holds(&log.entries, &copy.last)
}

fn chain(entries: &[Entry]) -> Result<Verified, Broken> {
    let mut last = Link::default();
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
        last = entry.link();
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

    fn five() -> Vec<Entry> {
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
        let mut entries = five();
        tamper(&mut entries);
        chain(&entries)
    }

    #[test]
    fn a_whole_chain_is_verified() {
        assert_eq!(chain(&five()), Ok(Verified { entries: 5, last: five()[4].hash.clone() }));
        assert_eq!(chain(&[]), Ok(Verified { entries: 0, last: String::new() }));
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
    fn the_anchor_shows_a_log_that_was_cut_added_to_or_written_anew() {
        let link = |seq: usize| five()[seq - 1].link();
        let found = |entries: usize, anchor: Found| {
            verify(&Contents { entries: five()[..entries].to_vec(), anchor }).map(|whole| whole.entries)
        };
        let at = |last: usize, next: Option<usize>| Found::Anchor(Anchor { last: link(last), next: next.map(link) });
        assert_eq!(found(5, at(5, None)), Ok(5));
        // An entry was on its way: it arrived, or not.
        assert_eq!((found(4, at(4, Some(5))), found(5, at(4, Some(5)))), (Ok(4), Ok(5)));
        assert_eq!(found(3, at(5, None)), Err(Broken::Cut { from: 4, to: 5 }));
        assert_eq!(found(3, at(4, Some(5))), Err(Broken::Cut { from: 4, to: 4 }));
        assert_eq!(found(0, at(1, None)), Err(Broken::Cut { from: 1, to: 1 }));
        assert_eq!(found(5, at(4, None)), Err(Broken::Added(5)));
        assert_eq!(found(5, at(3, Some(4))), Err(Broken::Added(5)));
        let other = Found::Anchor(Anchor { last: Link { seq: 4, hash: "00".into() }, next: None });
        assert_eq!(found(5, other.clone()), Err(Broken::Replaced(4)));
        assert_eq!(found(4, other), Err(Broken::Replaced(4)));
        assert_eq!(found(5, Found::Missing), Err(Broken::NoAnchor));
        assert_eq!(found(5, Found::Damaged), Err(Broken::AnchorDamaged));
    }

    #[test]
    fn a_hash_that_was_kept_is_looked_for() {
        let log = Contents { entries: five(), anchor: Found::Missing };
        assert_eq!(verify_kept(&log, &five()[2].hash.to_uppercase()), Ok(()));
        assert_eq!(verify_kept(&log, "00"), Err(Broken::NotKept));
        let copy = |seq: u64, hash: &str| Anchor { last: Link { seq, hash: hash.into() }, next: None };
        assert_eq!(verify_copy(&log, &copy(3, &five()[2].hash)), Ok(()));
        assert_eq!(verify_copy(&log, &copy(3, &five()[3].hash)), Err(Broken::Replaced(3)));
        assert_eq!(verify_copy(&log, &copy(6, "00")), Err(Broken::Cut { from: 6, to: 6 }));
    }
}
