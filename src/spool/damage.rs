//! Claims about files that someone or something has changed.

use super::faulty::FaultyFilesystem;
use super::tests::{Bench, TestClock, folder, new_bench};
use super::*;

#[test]
fn a_lost_identity_repeats_no_token_and_keeps_those_of_old_segments() {
    for lost in [true, false] {
        let (mut bench, disk, clock) = new_bench(&Options::default());
        bench.append(&[b"a"]);
        let id = bench.rotate();
        let (identity, token) = (bench.spool.identity(), bench.spool.token(id));
        let path = folder().join("identity");
        if lost {
            disk.remove(&path).unwrap();
        } else {
            disk.damage(&path, |bytes| bytes[20] ^= 1);
        }
        let mut bench = Bench::open(&disk, &Options::default(), &clock);
        assert_ne!(bench.spool.identity(), identity);
        assert_eq!(bench.spool.token(id), token);
        assert_eq!(bench.contents(id), [b"a"]);
        bench.append(&[b"b"]);
        assert!(bench.rotate() > id);
    }
}

#[test]
fn damage_at_any_byte_of_a_file_costs_one_record_at_most_and_is_counted() {
    let records = [&b"first"[..], b"second", b"", &[0; 30], b"last"];
    let (mut bench, disk, clock) = new_bench(&Options::default());
    bench.append(&records);
    let id = bench.rotate();
    let path = bench.spool.shared().path(id);
    let whole = disk.read(&path).unwrap();
    for offset in 0..whole.len() {
        for flip in [1, 0x80, 0xff] {
            disk.damage(&path, |bytes| bytes[offset] ^= flip);
            // While the process lives, it knows how many there should be.
            let segment = bench.spool.read(id).unwrap();
            assert_eq!(segment.records().len() as u64 + segment.corrupt(), 5);
            assert!(segment.corrupt() <= 1);
            let kept: Vec<_> = segment.records().map(<[u8]>::to_vec).collect();
            let opened = Bench::open(&disk, &Options::default(), &clock);
            assert_eq!(opened.contents(id), kept);
            let found = opened.recovered;
            let last = whole.len() - 16 - 4;
            let counted = if offset >= last { (4, 0) } else { (kept.len() as u64, segment.corrupt()) };
            assert_eq!((found.records, found.corrupt_records), counted, "byte {offset}");
            assert_eq!(opened.spool.read(id).unwrap().corrupt(), found.corrupt_records);
            disk.damage(&path, |bytes| bytes.clone_from(&whole));
        }
    }
}

#[test]
fn a_cut_file_keeps_its_whole_records_and_one_without_any_is_dropped() {
    let (mut bench, disk, clock) = new_bench(&Options::default());
    bench.append(&[b"first", b"second"]);
    let id = bench.rotate();
    let path = bench.spool.shared().path(id);
    let whole = disk.read(&path).unwrap();
    for length in (0..whole.len()).rev() {
        disk.damage(&path, |bytes| bytes.truncate(length));
        let opened = Bench::open(&disk, &Options::default(), &clock);
        let expected = u64::from(length >= 40 + 16 + 5);
        assert_eq!((opened.recovered.records, opened.recovered.corrupt_records), (expected, 0));
        if expected == 0 {
            assert!(!disk.paths().contains(&path));
            break;
        }
    }
}

#[test]
fn a_segment_of_a_newer_version_is_set_aside_and_comes_back_under_its_name() {
    let (mut bench, disk, clock) = new_bench(&Options::default());
    bench.append(&[b"a"]);
    let id = bench.rotate();
    let path = bench.spool.shared().path(id);
    let whole = disk.read(&path).unwrap();
    disk.damage(&path, |bytes| {
        bytes[8] = 9;
        let sum = crc32c::crc32c(&bytes[..36]);
        bytes[36..40].copy_from_slice(&sum.to_le_bytes());
    });
    let aside = bench.spool.shared().aside_path(id);
    for _ in 0..2 {
        let mut opened = Bench::open(&disk, &Options::default(), &clock);
        assert_eq!((opened.recovered.aside, opened.spool.depth().aside, opened.spool.sealed()), (1, 1, vec![]));
        assert!(disk.paths().contains(&aside) && !disk.paths().contains(&path));
        // Nothing of it can be read by this program, and its number is not given again.
        assert_eq!(opened.spool.aside().count(), 0);
        opened.append(&[b"b"]);
        let next = opened.rotate();
        assert!(next > id);
        opened.spool.remove(next).unwrap();
    }
    // The program that wrote it is back.
    disk.rename(&aside, &path).unwrap();
    disk.damage(&path, |bytes| bytes.clone_from(&whole));
    let opened = Bench::open(&disk, &Options::default(), &clock);
    assert_eq!((opened.spool.sealed(), opened.spool.depth().aside), (vec![id], 0));
    assert_eq!(opened.contents(id), [b"a"]);
}

#[test]
fn an_earlier_segment_in_which_nothing_verifies_is_set_aside_not_removed() {
    let (mut bench, disk, clock) = new_bench(&Options::default());
    bench.append(&[b"acknowledged"]);
    let first = bench.rotate();
    bench.append(&[b"later"]);
    bench.rotate();
    disk.damage(&bench.spool.shared().path(first), |bytes| bytes.fill(0));
    let opened = Bench::open(&disk, &Options::default(), &clock);
    assert_eq!((opened.recovered.segments, opened.recovered.aside), (1, 1));
    assert!(disk.paths().contains(&opened.spool.shared().aside_path(first)));
}

#[test]
fn a_segment_that_is_set_aside_keeps_its_records_and_blocks_nobody() {
    let (mut bench, disk, clock) = new_bench(&Options::default());
    bench.append(&[b"a", b"b"]);
    let id = bench.rotate();
    bench.append(&[b"c"]);
    let next = bench.rotate();
    bench.spool.set_aside(id).unwrap();
    assert!(matches!(bench.spool.set_aside(id), Err(RemoveError::Unknown)));
    assert_eq!((bench.spool.sealed(), bench.spool.depth().aside), (vec![next], 1));
    assert_eq!(bench.spool.through(next), [next].into());
    let opened = Bench::open(&disk, &Options::default(), &clock);
    assert_eq!((opened.spool.sealed(), opened.recovered.aside), (vec![next], 1));
    let aside: Vec<Segment> = opened.spool.aside().collect();
    assert_eq!(aside[0].records().collect::<Vec<_>>(), [b"a", b"b"]);
    assert_eq!(opened.spool.discard_aside().unwrap(), 1);
    assert_eq!(opened.spool.depth().aside, 0);
    assert_eq!(Bench::open(&disk, &Options::default(), &clock).recovered.aside, 0);
}

#[test]
fn files_of_others_are_left_alone() {
    let disk = FaultyFilesystem::default();
    let path = folder().join("README");
    disk.create(&path).unwrap().append(b"hands off").unwrap();
    let mut bench = Bench::open(&disk, &Options::default(), &TestClock::new());
    bench.append(&[b"a"]);
    assert_eq!(disk.read(&path).unwrap(), b"hands off");
}
