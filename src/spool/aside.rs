//! Segments that are set aside: kept for a person to look at, blanked for a device that withdraws, removed by a seal.

use std::collections::HashSet;
use std::io;

use super::segment::{self, HEADER_BYTES, Header, Segment, SegmentId, Stamp};
use super::{RemoveError, Spool, recovery};

impl Spool {
    /// Sets a sealed segment aside: it is not offered any more, and its file stays under another name. Blocks the
    /// thread.
    ///
    /// # Errors
    /// If there is no such sealed segment, or its new name could not be made durable.
    pub fn set_aside(&self, id: SegmentId) -> Result<(), RemoveError> {
        let shared = self.shared();
        shared.sealed_segment(id).ok_or(RemoveError::Unknown)?;
        match shared.filesystem.rename(&shared.path(id), &shared.aside_path(id)) {
            // An earlier attempt got so far.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            outcome => outcome.map_err(RemoveError::Remove)?,
        }
        shared.filesystem.sync_folder(&shared.folder).map_err(RemoveError::Remove)?;
        shared.set_aside(id);
        Ok(())
    }

    /// Removes the segments that are set aside, and answers how many there were; also what an attempt to write one anew
    /// may have left. Blocks the thread.
    ///
    /// # Errors
    /// If one could not be removed, or that not made durable.
    pub fn discard_aside(&self) -> Result<u64, RemoveError> {
        let shared = self.shared();
        let ids: Vec<SegmentId> = shared.lock().aside.iter().copied().collect();
        let left = shared.folder.join(recovery::NEW_NAME);
        let mut removed = false;
        for path in ids.iter().flat_map(|id| shared.aside_paths(*id)).chain([left]) {
            match shared.filesystem.remove(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                outcome => {
                    outcome.map_err(RemoveError::Remove)?;
                    removed = true;
                }
            }
        }
        if removed || !ids.is_empty() {
            shared.filesystem.sync_folder(&shared.folder).map_err(RemoveError::Remove)?;
            shared.lock().aside.retain(|id| !ids.contains(id));
        }
        Ok(u64::try_from(ids.len()).unwrap_or(u64::MAX))
    }

    /// What can be read of the segments that are set aside, oldest first: their records are not loaded, but were
    /// acknowledged. Blocks the thread.
    pub fn aside(&self) -> impl Iterator<Item = Segment> {
        let shared = self.shared();
        let ids: Vec<SegmentId> = shared.lock().aside.iter().copied().collect();
        ids.into_iter().filter_map(move |id| {
            let bytes = shared.aside_paths(id).iter().find_map(|path| shared.filesystem.read(path).ok())?;
            match segment::read_header(&bytes, id) {
                Header::Intact(identity) => {
                    let ranges = segment::scan(&bytes, Stamp::new(identity, id)).ranges;
                    Some(Segment { id, bytes, ranges, corrupt: 0 })
                }
                _ => None,
            }
        })
    }

    /// Puts zeros in the place of every little-endian number of `numbers` in the segments that are set aside: also in
    /// damaged bytes, and in records of any version. A record that verified does so afterwards. Answers how many
    /// segments changed. Blocks the thread.
    ///
    /// # Errors
    /// If a segment cannot be read or written anew: those before it are done, and the call can be made again.
    pub fn blank_aside(&self, numbers: &HashSet<u64>) -> io::Result<u64> {
        let shared = self.shared();
        let ids: Vec<SegmentId> = shared.lock().aside.iter().copied().collect();
        let mut changed = 0;
        let files = ids.into_iter().flat_map(|id| shared.aside_paths(id).into_iter().map(move |path| (id, path)));
        for (id, path) in files {
            let mut bytes = match shared.filesystem.read(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                outcome => outcome?,
            };
            let stamp = match segment::read_header(&bytes, id) {
                Header::Intact(identity) => Stamp::new(identity, id),
                _ => Stamp::new(shared.identity, id),
            };
            if blank(&mut bytes, stamp, numbers) {
                recovery::replace(&*shared.filesystem, &shared.folder, &path, &bytes)?;
                changed += 1;
            }
        }
        Ok(changed)
    }
}

/// Puts zeros in the place of the numbers, and answers whether there was one.
fn blank(bytes: &mut [u8], stamp: Stamp, numbers: &HashSet<u64>) -> bool {
    let first = usize::try_from(HEADER_BYTES).unwrap_or(usize::MAX);
    let is_one = |window: &[u8]| {
        window.first_chunk().is_some_and(|window: &[u8; 8]| numbers.contains(&u64::from_le_bytes(*window)))
    };
    let windows = bytes.windows(8).enumerate().skip(first);
    let found: Vec<usize> = windows.filter(|(_, window)| is_one(window)).map(|(at, _)| at).collect();
    if found.is_empty() {
        return false;
    }
    let records = segment::scan(bytes, stamp).ranges;
    for at in found {
        if let Some(place) = bytes.get_mut(at..at + 8) {
            place.fill(0);
        }
    }
    for record in records {
        segment::sign(bytes, stamp, record);
    }
    true
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::super::Options;
    use super::super::faulty::{Fault, FaultyFilesystem};
    use super::super::tests::{Bench, TestClock, new_bench};
    use super::*;

    const TOKEN: u64 = 0x0123_4567_89ab_cdef;

    /// A payload with a number in it, at no boundary.
    fn with(number: u64) -> Vec<u8> {
        [b"before-", &number.to_le_bytes()[..], b"-after"].concat()
    }

    fn set_aside(records: &[&[u8]]) -> (Bench, FaultyFilesystem, SegmentId) {
        let (mut bench, disk, _) = new_bench(&Options::default());
        assert!(bench.append(records).iter().all(Result::is_ok));
        let id = bench.rotate();
        bench.spool.set_aside(id).unwrap();
        (bench, disk, id)
    }

    #[test]
    fn numbers_are_blanked_and_every_record_verifies_as_before() {
        let (bench, disk, id) = set_aside(&[&with(TOKEN), b"between", &with(TOKEN), &with(7)]);
        // The third is damaged: what is in it goes all the same.
        let path = bench.spool.shared().aside_path(id);
        disk.damage(&path, |bytes| {
            let last = bytes.windows(8).rposition(|window| window == TOKEN.to_le_bytes()).unwrap();
            bytes[last - 1] ^= 1;
        });
        assert_eq!(bench.spool.blank_aside(&[TOKEN, 99].into()).unwrap(), 1);
        let bytes = disk
            .paths()
            .iter()
            .flat_map(|path| super::super::Filesystem::read(&disk, path).unwrap())
            .collect::<Vec<_>>();
        assert!(!bytes.windows(8).any(|window| window == TOKEN.to_le_bytes()));
        let left = bench.spool.aside().next().unwrap();
        assert_eq!(left.records().collect::<Vec<_>>(), [&with(0)[..], b"between", &with(7)]);
        assert_eq!(bench.spool.blank_aside(&[TOKEN, 99].into()).unwrap(), 0, "nothing is left to do");
    }

    #[test]
    fn a_disk_that_fails_at_any_step_loses_nothing_and_the_next_call_ends_it() {
        for ahead in 0.. {
            let (bench, disk, _) = set_aside(&[&with(TOKEN), b"between"]);
            disk.plan(ahead, Fault::Error { partial: 3 });
            let first = bench.spool.blank_aside(&[TOKEN].into());
            assert!(!disk.paths().iter().any(|path| path.ends_with(recovery::NEW_NAME)), "step {ahead}");
            let records: Vec<Vec<u8>> = bench.spool.aside().next().unwrap().records().map(<[u8]>::to_vec).collect();
            assert!(records == [with(TOKEN), b"between".to_vec()] || records == [with(0), b"between".to_vec()]);
            bench.spool.blank_aside(&[TOKEN].into()).unwrap();
            assert_eq!(bench.spool.aside().next().unwrap().records().next(), Some(&with(0)[..]));
            if first.is_ok() {
                assert!(ahead >= 5, "created, written, synced, renamed, its folder synced");
                return;
            }
        }
    }

    #[test]
    fn a_seal_removes_what_an_attempt_to_blank_has_left() {
        let (bench, disk, _) = set_aside(&[&with(TOKEN)]);
        // The sync fails, and so does the removal of what was written.
        for ahead in [2, 3] {
            disk.plan(ahead, Fault::Error { partial: 0 });
        }
        assert!(bench.spool.blank_aside(&[TOKEN].into()).is_err());
        assert!(disk.paths().iter().any(|path| path.ends_with(recovery::NEW_NAME)), "the control: it is there");
        assert_eq!(bench.spool.discard_aside().unwrap(), 1);
        assert_eq!(disk.paths(), [super::super::tests::folder().join("identity")]);
    }

    #[test]
    fn one_that_could_not_be_renamed_is_blanked_and_removed_under_its_own_name() {
        let (mut bench, disk, clock) = new_bench(&Options::default());
        assert!(bench.append(&[&with(TOKEN), b"between"]).iter().all(Result::is_ok));
        let id = bench.rotate();
        let path = bench.spool.shared().path(id);
        // Of a format that this program does not know.
        disk.damage(&path, |bytes| {
            bytes[8] = 9;
            let sum = crc32c::crc32c(&bytes[..36]);
            bytes[36..40].copy_from_slice(&sum.to_le_bytes());
        });
        disk.plan(0, Fault::Error { partial: 0 });
        let opened = Bench::open(&disk, &Options::default(), &clock);
        assert_eq!((opened.spool.depth().aside, disk.paths().contains(&path)), (1, true), "the rename failed");
        assert_eq!(opened.spool.blank_aside(&[TOKEN].into()).unwrap(), 1);
        let bytes = super::super::Filesystem::read(&disk, &path).unwrap();
        assert!(!bytes.windows(8).any(|window| window == TOKEN.to_le_bytes()));
        assert_eq!(opened.spool.discard_aside().unwrap(), 1);
        assert!(!disk.paths().contains(&path));
    }

    #[test]
    fn what_is_offered_again_is_not_taken_for_what_was_set_aside() {
        let (bench, disk, id) = set_aside(&[&with(TOKEN)]);
        let (path, aside) = (bench.spool.shared().path(id), bench.spool.shared().aside_path(id));
        // Copied back, not moved.
        let bytes = super::super::Filesystem::read(&disk, &aside).unwrap();
        super::super::Filesystem::create(&disk, &path).unwrap().append(&bytes).unwrap();
        let opened = Bench::open(&disk, &Options::default(), &TestClock::new());
        assert_eq!((opened.spool.sealed(), opened.spool.discard_aside().unwrap()), (vec![id], 1));
        assert_eq!(opened.contents(id), [with(TOKEN)]);
        assert!(!disk.paths().contains(&aside));
    }
}
