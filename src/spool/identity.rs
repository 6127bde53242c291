//! The spool's random name, and how far segment numbers are reserved.
//!
//! The file `identity` in the spool's folder is three lines of text and a checksum of them:
//!
//! ```text
//! tuman spool 1
//! identity 3f0c7a1e5d2b49868e0f6c1a2b3d4e5f
//! reserved 1025
//! checksum 8a9136aa
//! ```
//!
//! Numbers below `reserved` may have been used. A number is used only after a reservation beyond it is
//! durable, so starting at `reserved` after a restart never uses one twice, whatever has been removed from
//! the folder meanwhile. Reserving many at a time makes this one small write in a thousand segments; a
//! restart skips what it had left.
//!
//! Should the file be lost or damaged, a new name is drawn: numbers may then repeat, tokens do not. Segments
//! carry the name they were written under.

use std::io;
use std::path::Path;

use super::Filesystem;
use super::segment::Identity;
use crate::log::Line;

/// How many segment numbers are reserved at a time.
pub(super) const RESERVATION: u64 = 1024;

pub(super) const NAME: &str = "identity";
const NEW_NAME: &str = "identity.new";

/// Reads the file: `None` if it is not there or damaged.
pub(super) fn read(filesystem: &dyn Filesystem, folder: &Path) -> io::Result<Option<(Identity, u64)>> {
    match filesystem.read(&folder.join(NAME)) {
        Ok(bytes) => {
            let parsed = parse(&bytes);
            if parsed.is_none() {
                Line::SpoolRenamed.write();
            }
            Ok(parsed)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces the file, durably and at once.
pub(super) fn write(filesystem: &dyn Filesystem, folder: &Path, identity: Identity, reserved: u64) -> io::Result<()> {
    let new = folder.join(NEW_NAME);
    match filesystem.remove(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = filesystem.create(&new)?;
    file.append(format_file(identity, reserved).as_bytes())?;
    file.sync()?;
    filesystem.rename(&new, &folder.join(NAME))?;
    filesystem.sync_folder(folder)
}

pub(super) fn draw() -> Identity {
    Identity(uuid::Uuid::new_v4().into_bytes())
}

fn format_file(identity: Identity, reserved: u64) -> String {
    let lines = format!("tuman spool 1\nidentity {identity}\nreserved {reserved}\n");
    let checksum = crc32c::crc32c(lines.as_bytes());
    format!("{lines}checksum {checksum:08x}\n")
}

fn parse(bytes: &[u8]) -> Option<(Identity, u64)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut lines = text.lines().skip(1);
    let mut identity = [0; 16];
    hex::decode_to_slice(lines.next()?.strip_prefix("identity ")?, &mut identity).ok()?;
    let reserved = lines.next()?.strip_prefix("reserved ")?.parse().ok()?;
    let identity = Identity(identity);
    // Writing it again checks the rest: first line, spelling, and checksum.
    (format_file(identity, reserved) == text).then_some((identity, reserved))
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_or_cut_file_is_not_believed() {
        let identity = Identity([0x3f; 16]);
        let text = format_file(identity, 1025).into_bytes();
        assert_eq!(parse(&text), Some((identity, 1025)));
        for offset in 0..text.len() {
            let mut changed = text.clone();
            changed[offset] ^= 1;
            assert_eq!(parse(&changed), None, "byte {offset}");
            assert_eq!(parse(&text[..offset]), None, "cut to {offset}");
        }
    }
}
