//! Claims of the spool, one by one, with its writer driven by hand over a disk in memory.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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

pub(super) fn new_bench(options: &Options) -> (Bench, FaultyFilesystem, TestClock) {
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
fn an_end_that_cannot_be_cut_off_is_tried_again_by_the_clock_and_not_by_every_batch() {
    let (mut bench, disk, clock) = new_bench(&Options { segment_age: Duration::from_secs(60), ..Options::default() });
    assert_eq!(bench.append(&[b"kept"]), [TAKEN]);
    // The append fails, and so does its cutting.
    for ahead in [0, 1] {
        disk.plan(ahead, Fault::Error { partial: 3 });
    }
    assert_eq!(bench.append(&[b"lost"]), [Err(AppendError::Sync)]);
    assert_eq!(bench.append(&[b"a new segment"]), [TAKEN]);
    assert!(bench.spool.sealed().is_empty(), "it is not offered");
    let before = disk.operations();
    for _ in 0..5 {
        assert_eq!(bench.append(&[b"batch"]), [TAKEN]);
    }
    assert_eq!(disk.operations() - before, 10, "an append and a sync for each batch");
    clock.advance(Duration::from_secs(1));
    bench.writer.step();
    assert_eq!(bench.all_sealed(), [b"kept"]);
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
fn depth_tells_what_is_held_and_for_how_long() {
    let (mut bench, _, clock) = new_bench(&Options::default());
    bench.append(&[b"a", b"b"]);
    clock.advance(Duration::from_secs(3));
    let _waiting = bench.spool.submit(b"c".to_vec()).unwrap();
    let age = Duration::from_secs(3);
    let expected =
        Depth { segments: 1, records: 2, bytes: 40 + 2 * 17, waiting: 1, oldest_age: age, failures: 0, aside: 0 };
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
    assert_eq!(waiting.try_recv(), Ok(Err(AppendError::Closed)));
    assert!(rotation.try_recv().is_err());
    assert_eq!(spool.submit(b"b".to_vec()).unwrap_err(), AppendError::Closed);
    assert_eq!(spool.shared().next_sealed(|_| true), Some(None));
}
