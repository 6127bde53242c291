//! What lies in a spool's folder, for people: sizes, counts, ages, checksums, versions; never contents.
//!
//! Guarantees: nothing is written, renamed or removed, and no lock is taken: it works beside a running collector and on
//! a folder whose collector is down.
//! Does not: see a moment. Beside a running collector, files come and go while it looks; one that is gone is left out,
//! and the end of the one that is being written may look torn.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::segment::{self, Header, Identity, Segment, SegmentId, Stamp};
use super::{Filesystem, RealFilesystem, identity};

/// A spool's folder.
#[derive(Debug, Clone, Serialize)]
pub struct Folder {
    /// The random name of the spool; none where its file is missing or damaged.
    pub identity: Option<String>,
    /// Whether the file of the identity is there.
    pub has_identity_file: bool,
    /// First segment number that is not reserved.
    pub reserved: Option<u64>,
    /// Segments, oldest first.
    pub segments: Vec<Facts>,
}

/// What can be said of a segment without its contents.
#[derive(Debug, Clone, Serialize)]
pub struct Facts {
    /// Its number, as in its file's name.
    pub segment: String,
    /// What becomes of it.
    pub state: State,
    /// Size of the file.
    pub bytes: u64,
    /// When the file was last written, in milliseconds since 1970.
    pub written_ms: i64,
    /// Whether the file can be read, and its header verifies.
    pub header: HeaderState,
    /// Version of the file's format, where the header says.
    pub format: Option<u32>,
    /// Records that verify.
    pub records: u64,
    /// Bytes in them.
    pub payload_bytes: u64,
    /// Bytes of the smallest record.
    pub smallest: u64,
    /// Bytes of the largest record.
    pub largest: u64,
    /// Records before the last good one that do not verify.
    pub corrupt: u64,
    /// Bytes after the last good record.
    pub torn_bytes: u64,
}

/// What becomes of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is loaded when its turn comes.
    Waiting,
    /// The newest: a running collector may be writing it.
    Newest,
    /// Set aside: a person must look.
    Aside,
}

/// What the first bytes of a segment say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HeaderState {
    /// It verifies.
    Intact,
    /// It does not; records are looked for under the spool's identity.
    Damaged,
    /// Of a format that this program does not know: records are not looked for.
    Foreign,
    /// The file cannot be read.
    Unreadable,
}

impl Facts {
    /// Whether something is wrong with the file. The end of the newest segment may look torn while it is written or
    /// after a crash; that is none.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        let torn = self.torn_bytes > 0 && self.state != State::Newest;
        let unusable = self.header != HeaderState::Intact && self.bytes > 0;
        self.corrupt > 0 || torn || unusable || self.state == State::Aside
    }
}

/// Looks at a spool's folder, and shows `each` segment with its records.
///
/// # Errors
/// If the folder or the file of the identity cannot be read.
pub fn look(folder: &Path, mut each: impl FnMut(&Facts, &Segment)) -> io::Result<Folder> {
    let names = RealFilesystem.list(folder)?;
    let known = identity::read(&RealFilesystem, folder)?;
    let mut found = Folder {
        identity: known.map(|(identity, _)| identity.to_string()),
        has_identity_file: names.iter().any(|name| name == identity::NAME),
        reserved: known.map(|(_, reserved)| reserved),
        segments: Vec::new(),
    };
    let mut files: Vec<(SegmentId, State, &String)> = Vec::new();
    for name in &names {
        files.extend(segment::parse_file_name(name).map(|id| (id, State::Waiting, name)));
        files.extend(segment::parse_aside_name(name).map(|id| (id, State::Aside, name)));
    }
    files.sort_by_key(|(id, ..)| *id);
    if let Some(newest) = files.iter_mut().rev().find(|(_, state, _)| *state == State::Waiting) {
        newest.1 = State::Newest;
    }
    for (id, state, name) in files {
        let path = folder.join(name);
        let Ok(metadata) = fs::metadata(&path) else { continue };
        let written = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH).duration_since(UNIX_EPOCH);
        let written_ms = written.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
        let bytes = match fs::read(&path) {
            Ok(bytes) => Some(bytes),
            // Loaded and removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(_) => None,
        };
        let own = known.map_or(Identity([0; 16]), |(identity, _)| identity);
        let (mut facts, segment) = facts(id, state, bytes, own);
        facts.bytes = metadata.len();
        facts.written_ms = written_ms;
        each(&facts, &segment);
        found.segments.push(facts);
    }
    Ok(found)
}

fn facts(id: SegmentId, state: State, bytes: Option<Vec<u8>>, own: Identity) -> (Facts, Segment) {
    let (header, format, identity) = match bytes.as_ref().map(|bytes| segment::read_header(bytes, id)) {
        None => (HeaderState::Unreadable, None, None),
        Some(Header::Intact(identity)) => (HeaderState::Intact, Some(segment::VERSION), Some(identity)),
        Some(Header::Damaged) => (HeaderState::Damaged, None, Some(own)),
        Some(Header::Foreign(version)) => (HeaderState::Foreign, Some(version), None),
    };
    let bytes = bytes.unwrap_or_default();
    let scan = identity.map(|identity| segment::scan(&bytes, Stamp::new(identity, id))).unwrap_or_default();
    let sizes = || scan.ranges.iter().map(|range| wide(range.len()));
    let records = wide(scan.ranges.len());
    let facts = Facts {
        segment: id.to_string(),
        state,
        bytes: wide(bytes.len()),
        written_ms: 0,
        header,
        format,
        records,
        payload_bytes: sizes().sum(),
        smallest: sizes().min().unwrap_or(0),
        largest: sizes().max().unwrap_or(0),
        corrupt: scan.total.saturating_sub(records),
        torn_bytes: scan.torn_bytes,
    };
    let corrupt = facts.corrupt;
    (facts, Segment { id, bytes, ranges: scan.ranges, corrupt })
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::super::{Options, Spool};
    use super::*;

    #[test]
    fn damage_is_seen_and_nothing_is_changed() {
        let home = tempfile::tempdir().unwrap();
        let (spool, _) =
            Spool::open(Arc::new(RealFilesystem), home.path(), Options::default(), Arc::new(Instant::now)).unwrap();
        for record in [&b"first"[..], b"second", b"third"] {
            spool.append_blocking(record.to_vec()).unwrap();
        }
        spool.close();
        let id = spool.sealed()[0];
        let mut payloads = 0;
        let found = look(home.path(), |_, segment| payloads += segment.records().len()).unwrap();
        let facts = &found.segments[0];
        assert_eq!((facts.records, facts.payload_bytes, facts.smallest, facts.largest), (3, 16, 5, 6));
        assert_eq!((payloads, facts.is_damaged(), facts.format), (3, false, Some(1)));
        assert_eq!(found.identity, Some(spool.identity()));

        let path = home.path().join(format!("{id}.segment"));
        let mut bytes = fs::read(&path).unwrap();
        let second = bytes.windows(6).position(|window| window == b"second").unwrap();
        bytes[second] ^= 1;
        bytes[3] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let facts = look(home.path(), |_, _| ()).unwrap().segments.remove(0);
        assert_eq!((facts.records, facts.corrupt, facts.header), (2, 1, HeaderState::Damaged));
        assert!(facts.is_damaged());
        assert_eq!(fs::read(&path).unwrap(), bytes);

        spool.set_aside(id).unwrap();
        let facts = look(home.path(), |_, _| ()).unwrap().segments.remove(0);
        assert_eq!((facts.state, facts.records), (State::Aside, 2));
    }
}
