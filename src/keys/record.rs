//! The record of keys: a file of JSON lines that outlives the keys.
//!
//! Holds names, days, times and fingerprints of public recipients; never a key, a state or entropy. It is there before the
//! store opens, and a line is synced before what it speaks of goes on.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tuman_privacy::time::Day;

use super::KeyError;
use super::folder::{Folder, sync};
use crate::clock::day_of;

/// A line about a key. Holds the key's random name, never the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// The key's day.
    pub day: Date,
    /// Its random name.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was destroyed; none while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destroyed_at: Option<Timestamp>,
}

/// What stands as the name of a day's key that was lost before it could be destroyed.
pub(super) const NO_KEY: &str = "none";

/// What was done with the shared state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActKind {
    /// A state was made, for a new group.
    KeysShared,
    /// The state was handed to another collector.
    KeysOffered,
    /// A state was taken from another collector.
    KeysJoined,
    /// Fresh entropy was made for a coming day, or handed over once more.
    KeysMixOffered,
    /// Fresh entropy was taken from another collector.
    KeysMixAccepted,
}

impl ActKind {
    /// All kinds.
    pub const ALL: [ActKind; 5] = {
        use ActKind::*;
        [KeysShared, KeysOffered, KeysJoined, KeysMixOffered, KeysMixAccepted]
    };

    /// The word in the record and in the audit log.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            ActKind::KeysShared => "keys_shared",
            ActKind::KeysOffered => "keys_offered",
            ActKind::KeysJoined => "keys_joined",
            ActKind::KeysMixOffered => "keys_mix_offered",
            ActKind::KeysMixAccepted => "keys_mix_accepted",
        }
    }
}

/// A line about the shared state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// What was done.
    pub act: ActKind,
    /// Its random name, by which the audit log knows it.
    pub name: String,
    /// The random name of the group.
    pub group: String,
    /// The day that it is about.
    pub day: Date,
    /// When.
    pub at: Timestamp,
    /// Fingerprints of the public one-time keys that it was encrypted to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Act(Act),
    Key(KeyRecord),
}

/// The file.
#[derive(Debug)]
pub(super) struct Record {
    file: PathBuf,
}

/// What the file says.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    pub(super) keys: BTreeMap<Day, KeyRecord>,
    pub(super) acts: Vec<Act>,
}

impl Record {
    pub(super) fn at(file: &Path) -> Record {
        Record { file: file.into() }
    }

    pub(super) fn read(&self) -> Result<Recorded, KeyError> {
        let text = match fs::read_to_string(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(self.wrong(error)),
        };
        let mut recorded = Recorded::default();
        for line in text.lines() {
            // A later line of a day stands over an earlier one. A torn last line was never acted on.
            match serde_json::from_str(line) {
                Ok(Line::Act(act)) => recorded.acts.push(act),
                Ok(Line::Key(key)) => drop(recorded.keys.insert(day_of(key.day), key)),
                Err(_) => {}
            }
        }
        Ok(recorded)
    }

    pub(super) fn append_key(&self, key: &KeyRecord, folder: &Folder) -> Result<(), KeyError> {
        self.append(&Line::Key(key.clone()), folder)
    }

    pub(super) fn append_act(&self, act: &Act, folder: &Folder) -> Result<(), KeyError> {
        self.append(&Line::Act(act.clone()), folder)
    }

    fn append(&self, line: &Line, folder: &Folder) -> Result<(), KeyError> {
        folder.step()?;
        let mut bytes = serde_json::to_vec(line).map_err(|error| self.wrong(error.into()))?;
        // A leading newline closes a line that a crash tore.
        bytes.insert(0, b'\n');
        bytes.push(b'\n');
        let out = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.file);
        let written = out.and_then(|mut out| out.write_all(&bytes).and_then(|()| out.sync_all()));
        // The record's own name too, which the first line made.
        written
            .and_then(|()| sync(self.file.parent().unwrap_or(Path::new("."))))
            .map_err(|error| self.wrong(error))?;
        folder.step()
    }

    fn wrong(&self, error: io::Error) -> KeyError {
        KeyError::Record(self.file.clone(), error)
    }
}
