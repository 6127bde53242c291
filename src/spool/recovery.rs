//! What is found in the folder when a spool is opened.
//!
//! Every segment, also the one that was being written, is taken as sealed: what verifies in it is offered to
//! the loader, once it is written anew and synced: what is offered once must be there at the next start too. The
//! process before may have been killed before its sync, or after one that failed; in that case the system may show bytes
//! that it never wrote to the disk, and report success for them.
//!
//! The last segment, if it has no record, was never acknowledged to anyone: a crash cut its first batch short. It is
//! removed. An earlier one that holds something but no record, one of a format this program does not know, and one that the disk does
//! not give back are set aside. Files that are not ours are left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::time::Instant;

use super::queue::Stored;
use super::segment::{self, HEADER_BYTES, Header, Identity, SegmentId, Stamp};
use super::{Filesystem, OpenError, Recovered, identity};
use crate::log::{Cause, Fault, Line};

/// Where a segment is written anew before it takes its place.
pub(super) const NEW_NAME: &str = "segment.new";

/// State to start from.
pub(super) struct Found {
    pub(super) identity: Identity,
    pub(super) segments: BTreeMap<SegmentId, Stored>,
    pub(super) aside: BTreeSet<SegmentId>,
    /// First number for a new segment.
    pub(super) next_id: u64,
    /// First number that must be reserved before it is used.
    pub(super) reserved: u64,
}

/// What a segment file is.
enum Examined {
    /// Its records, the bytes after its last good record, and how many records are good.
    Segment { stored: Stored, torn_bytes: u64, intact: u64 },
    /// Nothing that can be offered, and why.
    Unusable(Fault),
}

/// Reads the folder.
///
/// # Errors
/// If the folder cannot be read, or a segment not be opened or synced.
pub(super) fn recover(
    filesystem: &dyn Filesystem,
    folder: &Path,
    now: Instant,
) -> Result<(Found, Recovered), OpenError> {
    filesystem.create_folder(folder).map_err(OpenError::Folder)?;
    let known = identity::read(filesystem, folder).map_err(OpenError::Identity)?;
    let (identity, reserved) = known.unwrap_or_else(|| (identity::draw(), 0));
    let names = filesystem.list(folder).map_err(OpenError::Folder)?;
    let aside: BTreeSet<SegmentId> = names.iter().filter_map(|name| segment::parse_aside_name(name)).collect();
    let ids: BTreeSet<SegmentId> = names.iter().filter_map(|name| segment::parse_file_name(name)).collect();
    if names.iter().any(|name| name == NEW_NAME) {
        // A crash left it while its segment was written anew, and the segment is still there.
        filesystem.remove(&folder.join(NEW_NAME)).map_err(OpenError::Folder)?;
    }
    let last = ids.last().copied();
    let beyond = ids.iter().chain(&aside).map(|id| id.0.saturating_add(1)).max().unwrap_or(1);
    let next_id = reserved.max(beyond);
    let mut found = Found { identity, segments: BTreeMap::new(), aside, next_id, reserved };
    let mut recovered = Recovered::default();
    for id in ids {
        let why = match examine(filesystem, folder, id, identity, now)? {
            Examined::Segment { stored, torn_bytes, intact } if stored.records > 0 => {
                recovered.torn_bytes += torn_bytes;
                recovered.segments += 1;
                recovered.records += intact;
                recovered.corrupt_records += stored.records.saturating_sub(intact);
                recovered.bytes += stored.bytes;
                found.segments.insert(id, stored);
                continue;
            }
            Examined::Segment { torn_bytes, stored, .. } if last == Some(id) || stored.bytes <= HEADER_BYTES => {
                recovered.torn_bytes += torn_bytes;
                // If this fails, the next opening tries again.
                drop(filesystem.remove(&folder.join(segment::file_name(id))));
                continue;
            }
            Examined::Segment { .. } => Cause::InvalidContent.into(),
            Examined::Unusable(why) => why,
        };
        Line::SegmentAside { segment: id, fault: why }.write();
        // If this fails, it is set aside under its own name, and the next opening tries again.
        drop(filesystem.rename(&folder.join(segment::file_name(id)), &folder.join(segment::aside_name(id))));
        drop(filesystem.sync_folder(folder));
        found.aside.insert(id);
    }
    recovered.aside = u64::try_from(found.aside.len()).unwrap_or(u64::MAX);
    Ok((found, recovered))
}

fn examine(
    filesystem: &dyn Filesystem,
    folder: &Path,
    id: SegmentId,
    identity: Identity,
    now: Instant,
) -> Result<Examined, OpenError> {
    let path = folder.join(segment::file_name(id));
    let bytes = match filesystem.read(&path) {
        // Most likely the program runs as the wrong user: that is no fault of the segment.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(OpenError::Segment(id, error)),
        Err(error) => return Ok(Examined::Unusable((&error).into())),
        Ok(bytes) => bytes,
    };
    let identity = match segment::read_header(&bytes, id) {
        Header::Intact(written_by) => written_by,
        // Most likely it was this spool; if not, nothing verifies.
        Header::Damaged => identity,
        Header::Foreign(_) => return Ok(Examined::Unusable(Cause::RecordVersion.into())),
    };
    let scan = segment::scan(&bytes, Stamp::new(identity, id));
    if scan.total > 0 {
        settle(filesystem, folder, &path, &bytes).map_err(|error| OpenError::Segment(id, error))?;
    }
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let intact = u64::try_from(scan.ranges.len()).unwrap_or(u64::MAX);
    let stored = Stored { identity, bytes: length, records: scan.total, begun: now, sealed: true };
    Ok(Examined::Segment { stored, torn_bytes: scan.torn_bytes, intact })
}

/// Writes a segment anew, so that every byte that was read is on the disk.
fn settle(filesystem: &dyn Filesystem, folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    match replace(filesystem, folder, path, bytes) {
        // A full disk must not stand in the way of emptying it: what the system shows is then as good as it gets.
        Err(error) if error.kind() == io::ErrorKind::StorageFull => {
            filesystem.open(path)?.sync()?;
            filesystem.sync_folder(folder)
        }
        outcome => outcome,
    }
}

/// Puts a file with these bytes in the place of another, durably and at once. Where it fails, no second file is left: it
/// would hold rows and tokens that nobody looks for.
pub(super) fn replace(filesystem: &dyn Filesystem, folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = folder.join(NEW_NAME);
    match filesystem.remove(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = write(filesystem, &new, bytes).and_then(|()| filesystem.rename(&new, path));
    // If this fails too, a seal tries again.
    written.inspect_err(|_| drop(filesystem.remove(&new)))?;
    filesystem.sync_folder(folder)
}

fn write(filesystem: &dyn Filesystem, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = filesystem.create(path)?;
    file.append(bytes)?;
    file.sync()
}
