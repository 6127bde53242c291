//! Names that apps send and catalogues do not declare: what a catalogue may lack.
//!
//! A name that only few devices send may hold a person: `order_of_aigerim`. So a name is given out only when at least
//! [`DEVICES`] distinct devices of one app have sent it within one day. Until then this module holds, for each name,
//! a keyed fingerprint and one keyed mark for each device; the text is kept from the report of the last of these
//! devices on, and from no earlier one. The key is random, lives in memory alone, and goes with the process.
//!
//! Guarantees: what is sighted has the shape of a declared name and passes the detectors. Values are never looked at.
//! Only devices with a token and a consent to `usage` count. A name under the threshold is in no output, no debug print
//! and no memory of this module. The marks of two names cannot be joined. Memory is bounded by [`CEILING_BYTES`]
//! whatever is sent; a flood of names displaces those that one device alone has sent, never those of several.
//! Does not: count beyond the threshold, remember across days (tokens change), write anything.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroize;

use crate::catalogue::is_name;
use crate::detect::detect;
use crate::time::Day;
use crate::token::{Token, wipe_stack};

/// How many devices must have sent a name within one day before it is given out.
pub const DEVICES: usize = 50;
/// Most names that wait for their devices, of all apps together.
pub const MOST_PENDING: usize = 2_000;
/// Most names that are given out.
pub const MOST_SUGGESTED: usize = 500;
/// Most names that one report adds to.
pub(crate) const MOST_OF_A_REPORT: usize = 16;
/// What all of this takes at most, in bytes: 544 for each name that waits, 400 for each that is given out.
pub const CEILING_BYTES: usize = MOST_PENDING * 544 + MOST_SUGGESTED * 400;

/// A name that a report holds and the catalogue does not. Nothing can be read out of it but by [`Suggestions`].
#[derive(PartialEq, Eq)]
pub struct Sighting {
    token: Token,
    /// The declared event that it is a property of.
    event: Option<Box<str>>,
    name: String,
}

impl Sighting {
    /// A sighting of a name, where it has the shape of one and no detector sees personal data in it.
    pub(crate) fn of(token: Token, event: Option<&str>, name: &str) -> Option<Sighting> {
        if !is_name(name) || detect(name).is_some() {
            return None;
        }
        Some(Sighting { token, event: event.map(Box::from), name: name.into() })
    }

    pub(crate) fn is_of(&self, event: Option<&str>, name: &str) -> bool {
        self.event.as_deref() == event && self.name == name
    }
}

impl fmt::Debug for Sighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sighting(redacted)")
    }
}

impl Drop for Sighting {
    fn drop(&mut self) {
        self.name.zeroize();
    }
}

/// A name that at least [`DEVICES`] devices have sent within one day.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Suggestion {
    /// The app.
    pub app: Box<str>,
    /// The declared event that it is a property of; none where it is an event.
    pub event: Option<Box<str>>,
    /// The name.
    pub name: Box<str>,
}

/// What was sighted, in memory.
pub struct Suggestions {
    keyed: Box<Hmac<Sha256>>,
    day: Day,
    /// Sorted by fingerprint.
    pending: Vec<Pending>,
    suggested: BTreeSet<Suggestion>,
}

struct Pending {
    fingerprint: u64,
    /// One for each device.
    marks: Vec<u64>,
}

impl Suggestions {
    /// Begins with nothing. `key` must be random; it is left wiped.
    #[must_use]
    pub fn new(key: &mut [u8; 32]) -> Suggestions {
        let keyed = Box::new(Hmac::new_from_slice(key).expect("HMAC takes keys of any length"));
        key.zeroize();
        wipe_stack();
        Suggestions { keyed, day: Day(0), pending: Vec::new(), suggested: BTreeSet::new() }
    }

    /// Takes the sightings of a report of `app` that arrived on `day`. What waits from another day is forgotten.
    pub fn take(&mut self, app: &str, day: Day, sightings: Vec<Sighting>) {
        if day != self.day {
            self.pending = Vec::new();
            self.day = day;
        }
        for sighting in sightings {
            self.add(app, &sighting);
        }
    }

    /// Forgets what a device has sent, by its token of `day`: what waits is of one day, and needs no other. A name that was
    /// given out stays: many others have sent it. The work grows with the names that wait.
    pub fn forget(&mut self, day: Day, token: Token) {
        if day != self.day {
            return;
        }
        let mut pending = core::mem::take(&mut self.pending);
        for name in &mut pending {
            let mark = self.mark_of(name.fingerprint, token);
            name.marks.retain(|known| *known != mark);
        }
        pending.retain(|name| !name.marks.is_empty());
        self.pending = pending;
    }

    /// The names that were given out so far, by app.
    pub fn suggested(&self) -> impl Iterator<Item = &Suggestion> {
        self.suggested.iter()
    }

    /// What this takes in memory, in bytes.
    #[must_use]
    pub fn state_bytes(&self) -> usize {
        let pending = self.pending.capacity() * size_of::<Pending>();
        let marks: usize = self.pending.iter().map(|pending| pending.marks.capacity() * size_of::<u64>()).sum();
        // The nodes of a tree are at least half full.
        let texts =
            |known: &Suggestion| known.app.len() + known.name.len() + known.event.as_ref().map_or(0, |e| e.len());
        let suggested: usize = self.suggested.iter().map(|known| 2 * size_of::<Suggestion>() + texts(known)).sum();
        pending + marks + suggested
    }

    fn add(&mut self, app: &str, sighting: &Sighting) {
        let Sighting { token, event, name } = sighting;
        let fingerprint =
            self.keyed(&[app.as_bytes(), event.as_deref().unwrap_or_default().as_bytes(), name.as_bytes()]);
        let mark = self.mark_of(fingerprint, *token);
        match self.pending.binary_search_by_key(&fingerprint, |pending| pending.fingerprint) {
            Ok(at) => self.mark(at, mark, app, sighting),
            Err(at) => self.begin(at, Pending { fingerprint, marks: Vec::from([mark]) }),
        }
    }

    fn mark(&mut self, at: usize, mark: u64, app: &str, sighting: &Sighting) {
        let Some(pending) = self.pending.get_mut(at) else { return };
        // A full one is known: its name was given out, or there was no room for it.
        if pending.marks.len() >= DEVICES || pending.marks.contains(&mark) {
            return;
        }
        pending.marks.push(mark);
        if pending.marks.len() == DEVICES && self.suggested.len() < MOST_SUGGESTED {
            self.suggested.insert(Suggestion {
                app: app.into(),
                event: sighting.event.clone(),
                name: sighting.name.as_str().into(),
            });
        }
    }

    fn begin(&mut self, at: usize, pending: Pending) {
        if self.pending.capacity() == 0 {
            self.pending.reserve_exact(MOST_PENDING);
        }
        if self.pending.len() < MOST_PENDING {
            self.pending.insert(at, pending);
            return;
        }
        // Full: one that a single device sent makes room. Which one is decided by its keyed fingerprint: the nearest,
        // which nobody outside can choose.
        let is_single = |index: &usize| self.pending.get(*index).is_some_and(|known| known.marks.len() == 1);
        let below = (0..at).rev().find(is_single);
        let Some(out) = below.or_else(|| (at..self.pending.len()).find(is_single)) else { return };
        self.pending.remove(out);
        self.pending.insert(if out < at { at - 1 } else { at }, pending);
    }

    fn mark_of(&self, fingerprint: u64, token: Token) -> u64 {
        self.keyed(&[&fingerprint.to_be_bytes(), &token.get().to_be_bytes()])
    }

    fn keyed(&self, parts: &[&[u8]]) -> u64 {
        let mut hash = (*self.keyed).clone();
        for part in parts {
            hash.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
        let digest = hash.finalize().into_bytes();
        let mut first = [0; 8];
        for (to, from) in first.iter_mut().zip(&digest) {
            *to = *from;
        }
        u64::from_be_bytes(first)
    }
}

impl fmt::Debug for Suggestions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Suggestions({} wait, redacted)", self.pending.len())
    }
}

#[cfg(test)]
mod tests;
