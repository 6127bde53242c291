//! The anchor of the audit log: number and hash of its last entry, in a file beside the store.
//!
//! A chain of hashes shows what was changed within it, and neither that its end was cut off nor that all of it was
//! written anew. The anchor shows both to whoever can compare the two: someone who can write to the store alone cannot
//! change it. Someone who can write to the data folder can; against them, keep a copy elsewhere.
//!
//! The file is replaced twice for an entry: before the entry goes to the store it names the entry as `next`, and when the
//! entry is in the store as `last`. So at any moment, and after a crash at any moment, the store's last entry is `last`
//! or `next`, with exactly that hash, and nothing else is accepted. Only while `next` is there, between the two, can the
//! last entry go unseen, and that one is not acted on yet.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Broken, Entry};

/// An entry, by its number and its hash; of an empty log, zero and nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its number.
    pub seq: u64,
    /// Its hash.
    pub hash: String,
}

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// The last entry that is in the store for certain.
    pub last: Link,
    /// The one that was on its way there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Link>,
}

/// What there is of an anchor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// No file.
    Missing,
    /// A file that is no anchor. A crash leaves none: it is replaced as a whole.
    Damaged,
    /// An anchor.
    Anchor(Anchor),
}

impl Anchor {
    /// Reads an anchor's file.
    ///
    /// # Errors
    /// Where it is there and cannot be read.
    pub fn read(file: &Path) -> io::Result<Found> {
        match fs::read(file) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).map_or(Found::Damaged, Found::Anchor)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Missing),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file; it is on disk when this returns.
    pub(super) fn write(&self, file: &Path) -> io::Result<()> {
        let fresh = PathBuf::from(format!("{}.fresh", file.display()));
        let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        out.write_all(&serde_json::to_vec(self)?)?;
        out.sync_all()?;
        fs::rename(&fresh, file)?;
        File::open(file.parent().unwrap_or(Path::new(".")))?.sync_all()
    }

    /// Whether a log may end with this entry.
    pub(super) fn admits(&self, last: &Link) -> bool {
        *last == self.last || self.next.as_ref() == Some(last)
    }

    /// Holds a whole chain against the anchor.
    pub(super) fn check(&self, entries: &[Entry]) -> Result<(), Broken> {
        let last = entries.last().map(Entry::link).unwrap_or_default();
        if self.admits(&last) {
            return Ok(());
        }
        if last.seq < self.last.seq {
            return Err(Broken::Cut { from: last.seq + 1, to: self.last.seq });
        }
        holds(entries, &self.last)?;
        // The entries up to the anchor are there; it knows of none after them.
        let known = self.next.as_ref().is_some_and(|next| holds(entries, next).is_ok());
        Err(Broken::Added(self.last.seq + if known { 2 } else { 1 }))
    }
}

/// Looks for an entry in a whole chain.
pub(super) fn holds(entries: &[Entry], link: &Link) -> Result<(), Broken> {
    let same = link.seq == 0 || entries.iter().any(|entry| entry.seq == link.seq && entry.hash == link.hash);
    if same { Ok(()) } else { Err(Broken::Replaced(link.seq)) }
}
