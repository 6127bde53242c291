//! Enters in the audit log what was done with keys: which were created, and how the shared state was made and passed on.
//!
//! Keys are created while the store may be away, and reports must not wait for it. So the record of keys is written
//! first, and the log catches up: every line of the record that the log does not have is entered, once. Destruction is in
//! the log as part of a day's seal.
//!
//! Guarantees: each creation and each act is entered exactly once, through crashes and outages: an entry is known by its
//! kind and random name, and where it is not certain what the store took, the store is asked.
//! Does not: keep an order between acts and other entries: an entry says when its act was.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use serde::Deserialize;

use super::record::NO_KEY;
use super::{ActKind, Keyring};
use crate::audit::{Audit, AuditError, Event, KeyCreated, KeysActed, Kind};
use crate::store::{Statement, Store, StoreError};

/// Kinds and names of the entries that the audit log has.
pub(super) type Known = BTreeSet<(String, String)>;

/// Enters what the audit log lacks; answers how many entries that were.
///
/// # Errors
/// Where the store or the log's anchor does not answer. Nothing is lost: the next call goes on.
pub fn enter(keyring: &Keyring, audit: &Audit, store: &dyn Store, now_ms: i64) -> Result<usize, AuditError> {
    let mut slot = keyring.known.lock().unwrap_or_else(PoisonError::into_inner);
    // Taken out until all went well: after a failure nobody knows what the store took, and it is asked anew.
    let mut known = match slot.take() {
        Some(known) => known,
        None => read(store)?,
    };
    let mut entered = 0;
    for (name, event) in lines(keyring) {
        let key = (event.kind().word().to_owned(), name);
        if !known.contains(&key) {
            audit.record(now_ms, &event)?;
            known.insert(key);
            entered += 1;
        }
    }
    *slot = Some(known);
    Ok(entered)
}

/// Everything in the record that belongs in the log, with the names by which the log knows it.
fn lines(keyring: &Keyring) -> Vec<(String, Event)> {
    let state = keyring.state();
    let mut lines = Vec::new();
    for act in &state.acts {
        lines.push((act.at, act.name.clone(), Event::KeysActed(KeysActed::of(act))));
    }
    for key in state.records.values().filter(|key| key.name != NO_KEY) {
        lines.push((key.created_at, key.name.clone(), Event::KeyCreated(KeyCreated::of(key))));
    }
    // Of one moment, acts first: making a state makes a key.
    lines.sort_by_key(|(at, ..)| *at);
    lines.into_iter().map(|(_, name, event)| (name, event)).collect()
}

/// What the log has already.
fn read(store: &dyn Store) -> Result<Known, StoreError> {
    #[derive(Deserialize)]
    struct Row {
        kind: String,
        detail: String,
    }
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let rows: Vec<Row> = store.rows(&Statement::new(
        "SELECT kind, detail FROM audit WHERE kind = 'key_created' OR startsWith(kind, 'keys_')",
    ))?;
    let is_ours = |kind: &str| kind == Kind::KeyCreated.word() || ActKind::ALL.iter().any(|act| act.word() == kind);
    let name = |row: Row| Some((row.kind, serde_json::from_str::<Named>(&row.detail).ok()?.name));
    Ok(rows.into_iter().filter(|row| is_ours(&row.kind)).filter_map(name).collect())
}
