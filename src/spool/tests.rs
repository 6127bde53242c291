//! Claims of the spool, one by one.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::faulty::{Fault, FaultyFilesystem, Survival};
use super::writer::Writer;
use super::*;

/// A clock that a test moves.
#[derive(Clone)]
pub(super) struct TestClock {
    start: Instant,
    passed_ms: Arc<AtomicU64>,
}

impl TestClock {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), passed_ms: Arc::default() }
    }

    pub(super) fn advance(&self, time: Duration) {
        self.passed_ms.fetch_add(time.as_millis() as u64, Ordering::Relaxed);
    }

    pub(super) fn monotonic(&self) -> MonotonicClock {
        let clock = self.clone();
        Arc::new(move || clock.start + Duration::from_millis(clock.passed_ms.load(Ordering::Relaxed)))
    }
}

/// A spool whose writer works only when told to.
pub(super) struct Bench {
    pub(super) spool: Spool,
    pub(super) writer: Writer,
    pub(super) recovered: Recovered,
}

pub(super) fn folder() -> &'static Path {
    Path::new("/spool")
}

impl Bench {
    pub(super) fn open(disk: &FaultyFilesystem, options: &Options, clock: &TestClock) -> Self {
        let parts = Spool::assemble(Arc::new(disk.clone()), folder(), options.clone(), clock.monotonic());
        let (spool, writer, recovered) = parts.expect("opens");
        Self { spool, writer, recovered }
    }

    /// Appends the records as one group, and answers what each caller was told.
    pub(super) fn append(&mut self, records: &[&[u8]]) -> Vec<Result<(), AppendError>> {
        let waiting: Vec<_> = records.iter().map(|record| self.spool.submit(record.to_vec())).collect();
        self.writer.step();
        waiting.into_iter().map(|waiting| waiting?.try_recv().expect("answered after the step")).collect()
    }

    pub(super) fn rotate(&mut self) -> SegmentId {
        let mut waiting = self.spool.request_rotation().expect("open");
        self.writer.step();
        waiting.try_recv().expect("answered after the step")
    }

    pub(super) fn contents(&self, id: SegmentId) -> Vec<Vec<u8>> {
        self.spool.read(id).expect("readable").records().map(<[u8]>::to_vec).collect()
    }

    fn all_sealed(&self) -> Vec<Vec<u8>> {
        self.spool.sealed().into_iter().flat_map(|id| self.contents(id)).collect()
    }
}

fn new_bench(options: &Options) -> (Bench, FaultyFilesystem, TestClock) {
    let (disk, clock) = (FaultyFilesystem::default(), TestClock::new());
    (Bench::open(&disk, options, &clock), disk, clock)
}

pub(super) fn small() -> Options {
    Options { segment_bytes: 200, limit_bytes: 1000, batch_bytes: 100, ..Options::default() }
}

const TAKEN: Result<(), AppendError> = Ok(());

#[test]
fn records_come_back_in_order_and_only_from_sealed_segments() {
    let (mut bench, _, _) = new_bench(&Options::default());
    assert_eq!(bench.append(&[b"a", b"", b"c"]), [TAKEN; 3]);
    assert!(bench.spool.sealed().is_empty());
    let id = bench.rotate();
    assert_eq!(bench.spool.sealed(), [id]);
    assert_eq!(bench.contents(id), [&b"a"[..], b"", b"c"]);
    assert_eq!(bench.spool.read(id).unwrap().corrupt(), 0);
}

#[test]
fn a_segment_is_sealed_when_the_next_record_does_not_fit() {
    let (mut bench, disk, _) = new_bench(&small());
    assert_eq!(bench.append(&[&[1; 60], &[2; 60], &[3; 60]]), [TAKEN; 3]);
    let sealed = bench.spool.sealed();
    assert_eq!(sealed.len(), 1);
    assert_eq!(bench.contents(sealed[0]), [[1; 60], [2; 60]]);
    for path in disk.paths() {
        assert!(disk.read(&path).unwrap().len() <= 200);
    }
}

#[test]
fn a_segment_is_sealed_at_its_age_without_further_records() {
    let (mut bench, _, clock) = new_bench(&Options::default());
    bench.append(&[b"a"]);
    clock.advance(Duration::from_millis(999));
    bench.writer.step();
    assert!(bench.spool.sealed().is_empty());
    clock.advance(Duration::from_millis(1));
    bench.writer.step();
    assert_eq!(bench.spool.sealed().len(), 1);
}

#[test]
fn an_empty_segment_is_never_sealed() {
    let (mut bench, disk, clock) = new_bench(&Options::default());
    let none = bench.rotate();
    clock.advance(Duration::from_secs(60));
    bench.writer.step();
    assert!(bench.spool.sealed().is_empty() && disk.paths().is_empty());
    bench.append(&[b"a"]);
    assert!(bench.rotate() > none);
    assert_eq!(bench.rotate(), bench.rotate());
    assert_eq!(bench.spool.sealed().len(), 1);
}

#[test]
fn one_sync_serves_all_that_wait() {
    let (mut bench, disk, _) = new_bench(&Options::default());
    bench.append(&[b"the first creates the segment"]);
    let before = disk.operations();
    bench.append(&[&b"record"[..]; 50]);
    assert_eq!(disk.operations() - before, 2, "one append, one sync");
}

#[test]
fn a_full_spool_refuses_and_takes_again_after_a_removal() {
    let (mut bench, _, _) = new_bench(&Options { limit_bytes: 400, ..small() });
    let taken = (0..).take_while(|_| bench.append(&[&[9; 60]]) == [TAKEN]).count();
    assert_eq!(taken, 4);
    assert_eq!(bench.append(&[&[9; 60]]), [Err(AppendError::Full)]);
    let oldest = bench.spool.sealed()[0];
    bench.spool.remove(oldest).unwrap();
    assert_eq!(bench.append(&[&[9; 60]]), [TAKEN]);
}

#[test]
fn what_waits_counts_towards_the_limit() {
    let (bench, _, _) = new_bench(&Options { limit_bytes: 200, ..small() });
    let _first = bench.spool.submit(vec![0; 100]).unwrap();
    assert_eq!(bench.spool.submit(vec![0; 100]).unwrap_err(), AppendError::Full);
}

#[test]
fn a_long_queue_refuses_and_takes_again_when_it_is_done() {
    let by_count = Options { queue_records: 2, ..Options::default() };
    let by_bytes = Options { queue_bytes: 40, ..Options::default() };
    for options in [by_count, by_bytes] {
        let (mut bench, _, _) = new_bench(&options);
        let refused = Err(AppendError::Overloaded);
        assert_eq!(bench.append(&[b"a", b"b", b"c"]), [TAKEN, TAKEN, refused]);
        assert_eq!(bench.append(&[b"c"]), [TAKEN]);
        assert_eq!(bench.spool.depth().waiting, 0);
    }
}

#[test]
fn a_record_that_fits_no_segment_is_refused_and_the_largest_fits() {
    let (mut bench, _, _) = new_bench(&small());
    assert_eq!(bench.append(&[&[0; 145]]), [Err(AppendError::TooLarge)]);
    assert_eq!(bench.append(&[&[0; 144], &[1; 144]]), [TAKEN; 2]);
}

#[test]
fn a_failed_sync_fails_its_callers_and_the_next_records_go_to_a_new_segment() {
    let (mut bench, disk, clock) = new_bench(&Options::default());
    assert_eq!(bench.append(&[b"kept"]), [TAKEN]);
    disk.plan(1, Fault::Error { partial: 0 });
    assert_eq!(bench.append(&[b"lost", b"too"]), [Err(AppendError::Sync); 2]);
    assert_eq!(bench.spool.sealed().len(), 1, "the synced part is sealed as it is");
    assert_eq!(bench.append(&[b"later"]), [TAKEN]);
    assert_eq!(disk.paths().len(), 3, "two segments and the identity");
    bench.rotate();
    assert_eq!(bench.all_sealed(), [&b"kept"[..], b"later"]);
    assert_eq!(bench.spool.depth().failures, 1);

    disk.crash(Survival::Nothing);
    let bench = Bench::open(&disk, &Options::default(), &clock);
    assert_eq!(bench.all_sealed(), [&b"kept"[..], b"later"]);
}

#[test]
fn no_failure_at_any_operation_acknowledges_what_is_not_durable() {
    for ahead in 0..12 {
        for partial in [0, 1, 30, 1000] {
            let (mut bench, disk, clock) = new_bench(&Options::default());
            disk.plan(ahead, Fault::Error { partial });
            let mut acknowledged = Vec::new();
            let mut offered = Vec::new();
            for record in [b"1", b"2", b"3", b"4", b"5"] {
                if bench.append(&[record]) == [TAKEN] {
                    acknowledged.push(record.to_vec());
                }
            }
            bench.rotate();
            offered.append(&mut bench.all_sealed());
            assert_eq!(offered, acknowledged, "fault {ahead}, {partial}");
            assert!(acknowledged.len() >= 4, "one fault costs one record");
            disk.crash(Survival::Nothing);
            let bench = Bench::open(&disk, &Options::default(), &clock);
            assert_eq!(bench.all_sealed(), acknowledged, "fault {ahead}, {partial}");
        }
    }
}

#[test]
fn a_full_disk_costs_the_batch_and_no_more() {
    let (mut bench, disk, clock) = new_bench(&Options::default());
    assert_eq!(bench.append(&[b"before"]), [TAKEN]);
    disk.set_capacity(Some(200));
    assert_eq!(bench.append(&[&[0; 300]]), [Err(AppendError::Sync)]);
    let opened = Bench::open(&disk, &Options::default(), &clock);
    assert_eq!(opened.all_sealed(), [b"before"], "a spool on a full disk can be opened and emptied");
    drop(opened);
    disk.set_capacity(None);
    assert_eq!(bench.append(&[&[0; 300]]), [TAKEN]);
}

#[test]
fn a_removed_segment_stays_removed_and_its_number_is_not_used_again() {
    let (mut bench, disk, clock) = new_bench(&Options::default());
    bench.append(&[b"a"]);
    let first = bench.rotate();
    let token = bench.spool.token(first);
    bench.spool.remove(first).unwrap();
    assert!(matches!(bench.spool.read(first), Err(ReadError::Unknown)));
    assert!(matches!(bench.spool.remove(first), Err(RemoveError::Unknown)));
    assert_eq!(bench.spool.depth(), Depth::default());

    disk.crash(Survival::Nothing);
    let mut bench = Bench::open(&disk, &Options::default(), &clock);
    assert_eq!(bench.recovered, Recovered::default());
    bench.append(&[b"b"]);
    let second = bench.rotate();
    assert!(second > first);
    assert_ne!(bench.spool.token(second), token);
}

#[test]
fn a_removal_that_failed_can_be_repeated() {
    for ahead in 0..2 {
        let (mut bench, disk, _) = new_bench(&Options::default());
        bench.append(&[b"a"]);
        let id = bench.rotate();
        disk.plan(ahead, Fault::Error { partial: 0 });
        assert!(matches!(bench.spool.remove(id), Err(RemoveError::Remove(_))));
        bench.spool.remove(id).unwrap();
        assert!(bench.spool.sealed().is_empty());
    }
}

#[test]
fn a_segment_being_written_is_neither_read_nor_removed() {
    let (mut bench, _, _) = new_bench(&Options::default());
    bench.append(&[b"a"]);
    let id = bench.rotate();
    bench.append(&[b"b"]);
    let writing = SegmentId(id.0 + 1);
    assert!(matches!(bench.spool.read(writing), Err(ReadError::Unknown)));
    assert!(matches!(bench.spool.remove(writing), Err(RemoveError::Unknown)));
}

#[test]
fn numbers_outlast_a_reservation() {
    let (mut bench, disk, clock) = new_bench(&Options::default());
    let mut last = SegmentId::BEFORE_ALL;
    for _ in 0..1100 {
        bench.append(&[b"a"]);
        let id = bench.rotate();
        assert!(id > last);
        last = id;
        bench.spool.remove(id).unwrap();
    }
    disk.crash(Survival::Nothing);
    let mut bench = Bench::open(&disk, &Options::default(), &clock);
    bench.append(&[b"a"]);
    assert!(bench.rotate() > last);
}

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
fn a_segment_of_a_newer_version_is_left_alone() {
    let (mut bench, disk, clock) = new_bench(&Options::default());
    bench.append(&[b"a"]);
    let id = bench.rotate();
    let path = bench.spool.shared().path(id);
    disk.damage(&path, |bytes| {
        bytes[8] = 9;
        let sum = crc32c::crc32c(&bytes[..36]);
        bytes[36..40].copy_from_slice(&sum.to_le_bytes());
    });
    let opened = Spool::assemble(Arc::new(disk.clone()), folder(), Options::default(), clock.monotonic());
    assert!(matches!(opened, Err(OpenError::Version(_, 9))));
    assert!(disk.paths().contains(&path));
}

#[test]
fn files_of_others_are_left_alone() {
    let disk = FaultyFilesystem::default();
    let path: PathBuf = folder().join("README");
    disk.create(&path).unwrap().append(b"hands off").unwrap();
    let mut bench = Bench::open(&disk, &Options::default(), &TestClock::new());
    bench.append(&[b"a"]);
    assert_eq!(disk.read(&path).unwrap(), b"hands off");
}

#[test]
fn depth_tells_what_is_held_and_for_how_long() {
    let (mut bench, _, clock) = new_bench(&Options::default());
    bench.append(&[b"a", b"b"]);
    clock.advance(Duration::from_secs(3));
    let _waiting = bench.spool.submit(b"c".to_vec()).unwrap();
    let age = Duration::from_secs(3);
    let expected =
        Depth { segments: 1, records: 2, bytes: 40 + 2 * 17, waiting: 1, oldest_age: age, failures: 0 };
    assert_eq!(bench.spool.depth(), expected);
}

#[test]
fn options_out_of_range_are_refused() {
    let wrong = [
        Options { segment_bytes: 2 << 30, limit_bytes: 4 << 30, ..Options::default() },
        Options { segment_bytes: 56, ..Options::default() },
        Options { limit_bytes: 1, ..Options::default() },
        Options { queue_records: 0, ..Options::default() },
    ];
    for options in wrong {
        let disk = Arc::new(FaultyFilesystem::default());
        let opened = Spool::open(disk, folder(), options, TestClock::new().monotonic());
        assert!(matches!(opened, Err(OpenError::Options(_))));
    }
}

#[test]
fn a_writer_that_is_gone_leaves_nobody_waiting() {
    let Bench { spool, writer, .. } = new_bench(&Options::default()).0;
    let mut waiting = spool.submit(b"a".to_vec()).unwrap();
    let mut rotation = spool.request_rotation().unwrap();
    drop(writer);
    assert!(waiting.try_recv().is_err() && rotation.try_recv().is_err());
    assert_eq!(spool.submit(b"b".to_vec()).unwrap_err(), AppendError::Closed);
    assert_eq!(spool.shared().next_sealed(SegmentId::BEFORE_ALL), Some(None));
}

fn real(folder: &Path, options: Options) -> (Spool, Recovered) {
    Spool::open(Arc::new(RealFilesystem), folder, options, Arc::new(Instant::now)).expect("opens")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_producers_and_a_loader_lose_and_repeat_nothing() {
    let home = tempfile::tempdir().unwrap();
    let options = Options { segment_bytes: 4096, segment_age: Duration::from_millis(5), ..Options::default() };
    let (spool, _) = real(&home.path().join("a/b"), options);
    let stored = Arc::new(Mutex::new(Vec::new()));
    let loader = {
        let (spool, stored) = (spool.clone(), Arc::clone(&stored));
        tokio::spawn(async move {
            let mut last = SegmentId::BEFORE_ALL;
            while let Some(id) = spool.next_sealed(last).await {
                let segment = spool.read(id).unwrap();
                assert!(id > last && segment.corrupt() == 0);
                stored.lock().unwrap().extend(segment.records().map(<[u8]>::to_vec));
                spool.remove(id).unwrap();
                last = id;
            }
        })
    };
    let producers = (0..32_u32).map(|producer| {
        let spool = spool.clone();
        tokio::spawn(async move {
            for number in 0..50_u32 {
                spool.append([producer.to_le_bytes(), number.to_le_bytes()].concat()).await.unwrap();
            }
        })
    });
    for producer in producers.collect::<Vec<_>>() {
        producer.await.unwrap();
    }
    let closing = spool.clone();
    tokio::task::spawn_blocking(move || closing.close()).await.unwrap();
    loader.await.unwrap();
    let mut stored = stored.lock().unwrap().clone();
    assert_eq!(stored.len(), 32 * 50);
    stored.sort();
    stored.dedup();
    assert_eq!(stored.len(), 32 * 50);
    assert_eq!(spool.depth().segments, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_covers_all_that_was_appended_before() {
    let home = tempfile::tempdir().unwrap();
    let (spool, _) = real(home.path(), Options::default());
    for record in [b"a", b"b"] {
        spool.append(record.to_vec()).await.unwrap();
    }
    let id = spool.rotate().await.unwrap();
    assert_eq!(spool.next_sealed(SegmentId::BEFORE_ALL).await, Some(id));
    assert_eq!(spool.read(id).unwrap().records().len(), 2);
}

#[test]
fn closing_keeps_what_was_taken_and_takes_no_more() {
    let home = tempfile::tempdir().unwrap();
    let (spool, _) = real(home.path(), Options::default());
    spool.append_blocking(b"kept".to_vec()).unwrap();
    spool.close();
    spool.close();
    assert_eq!(spool.append_blocking(b"late".to_vec()), Err(AppendError::Closed));
    let sealed = spool.sealed();
    assert_eq!(spool.read(sealed[0]).unwrap().records().collect::<Vec<_>>(), [b"kept"]);

    let (spool, recovered) = real(home.path(), Options::default());
    assert_eq!((recovered.segments, recovered.records), (1, 1));
    assert_eq!(spool.sealed(), sealed);
}

#[test]
fn a_dropped_spool_ends_its_writer() {
    let home = tempfile::tempdir().unwrap();
    let (spool, _) = real(home.path(), Options::default());
    let shared = Arc::downgrade(&spool.inner.shared);
    drop(spool);
    assert!(shared.upgrade().is_none());
}

#[test]
fn files_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("spool");
    let (spool, _) = real(&folder, Options::default());
    spool.append_blocking(b"a".to_vec()).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for entry in std::fs::read_dir(&folder).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}
