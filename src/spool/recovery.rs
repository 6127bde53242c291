//! What is found in the folder when a spool is opened.
//!
//! Every segment, also the one that was being written, is taken as sealed: what verifies in it is offered to
//! the loader. A segment without any record, such as one whose first batch a crash cut short, was never
//! acknowledged to anyone and is removed. Files that are not ours are left alone.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use super::queue::Stored;
use super::segment::{self, Header, Identity, SegmentId, Stamp};
use super::{Filesystem, OpenError, Recovered, identity};

/// State to start from.
pub(super) struct Found {
    pub(super) identity: Identity,
    pub(super) segments: BTreeMap<SegmentId, Stored>,
    /// First number for a new segment.
    pub(super) next_id: u64,
    /// First number that must be reserved before it is used.
    pub(super) reserved: u64,
}

/// Reads the folder.
///
/// # Errors
/// If something cannot be read, or was written by another version of this program.
pub(super) fn recover(
    filesystem: &dyn Filesystem,
    folder: &Path,
    now: Instant,
) -> Result<(Found, Recovered), OpenError> {
    filesystem.create_folder(folder).map_err(OpenError::Folder)?;
    let known = identity::read(filesystem, folder).map_err(OpenError::Identity)?;
    let (identity, reserved) = known.unwrap_or_else(|| (identity::draw(), 0));
    let names = filesystem.list(folder).map_err(OpenError::Folder)?;
    let ids = names.iter().filter_map(|name| segment::parse_file_name(name));
    let mut found = Found { identity, segments: BTreeMap::new(), next_id: reserved.max(1), reserved };
    let mut recovered = Recovered::default();
    for id in ids {
        found.next_id = found.next_id.max(id.0.saturating_add(1));
        let (stored, torn_bytes, intact) = examine(filesystem, folder, id, identity, now)?;
        recovered.torn_bytes += torn_bytes;
        if stored.records == 0 {
            // If this fails, the next opening tries again.
            drop(filesystem.remove(&folder.join(segment::file_name(id))));
            continue;
        }
        recovered.segments += 1;
        recovered.records += intact;
        recovered.corrupt_records += stored.records.saturating_sub(intact);
        recovered.bytes += stored.bytes;
        found.segments.insert(id, stored);
    }
    Ok((found, recovered))
}

/// A segment as it is, the bytes after its last good record, and how many records are good.
fn examine(
    filesystem: &dyn Filesystem,
    folder: &Path,
    id: SegmentId,
    identity: Identity,
    now: Instant,
) -> Result<(Stored, u64, u64), OpenError> {
    let path = folder.join(segment::file_name(id));
    let bytes = filesystem.read(&path).map_err(|error| OpenError::Segment(id, error))?;
    let identity = match segment::read_header(&bytes, id) {
        Header::Intact(written_by) => written_by,
        // Most likely it was this spool; if not, nothing verifies.
        Header::Damaged => identity,
        Header::Foreign(version) => return Err(OpenError::Version(id, version)),
    };
    let scan = segment::scan(&bytes, Stamp::new(identity, id));
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let intact = u64::try_from(scan.ranges.len()).unwrap_or(u64::MAX);
    let stored = Stored { identity, bytes: length, records: scan.total, begun: now, sealed: true };
    Ok((stored, scan.torn_bytes, intact))
}
