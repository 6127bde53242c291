//! What the handles of a spool share with its writer: the requests that wait, and the account of the
//! segments.
//!
//! One lock guards both. It is held for a few field accesses at a time, never while a file is touched.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use super::recovery::Found;
use super::segment::{self, Identity};
use super::{AppendError, Depth, Filesystem, MonotonicClock, Options, SegmentId, lock};

/// Whoever is told what became of a record. Told exactly once: also where the writer ends without having come to it.
pub(super) struct Caller(Option<Told>);

/// What a caller does with the outcome.
type Told = Box<dyn FnOnce(Result<(), AppendError>) + Send>;

impl Caller {
    pub(super) fn new(told: impl FnOnce(Result<(), AppendError>) + Send + 'static) -> Self {
        Self(Some(Box::new(told)))
    }

    pub(super) fn tell(mut self, outcome: Result<(), AppendError>) {
        if let Some(told) = self.0.take() {
            told(outcome);
        }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        if let Some(told) = self.0.take() {
            told(Err(AppendError::Closed));
        }
    }
}

/// What a handle asks of the writer.
pub(super) enum Request {
    Append { record: Vec<u8>, caller: Caller },
    Rotate(oneshot::Sender<SegmentId>),
}

/// A segment on disk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    /// Of the spool that wrote it.
    pub(super) identity: Identity,
    /// Synced length of the file; for a segment found at opening, its length.
    pub(super) bytes: u64,
    /// Records it should hold, the damaged ones among them.
    pub(super) records: u64,
    pub(super) begun: Instant,
    pub(super) sealed: bool,
}

/// Guarded by the lock of [`Shared`].
#[derive(Default)]
pub(super) struct State {
    waiting: VecDeque<Request>,
    /// Records not yet answered, those the writer is busy with among them.
    pub(super) queued_records: usize,
    /// Bytes these will take on disk.
    pub(super) queued_bytes: u64,
    pub(super) segments: BTreeMap<SegmentId, Stored>,
    /// Sum over `segments`.
    pub(super) stored_bytes: u64,
    /// Sum over `segments`.
    stored_records: u64,
    /// Segments set aside, which are neither offered nor counted above.
    pub(super) aside: BTreeSet<SegmentId>,
    failures: u64,
    /// The writer sleeps and must be woken.
    idle: bool,
    pub(super) closed: bool,
    /// The writer is gone: nothing will be sealed any more.
    ended: bool,
}

impl State {
    fn forget(&mut self, id: SegmentId) {
        if let Some(stored) = self.segments.remove(&id) {
            self.stored_bytes -= stored.bytes;
            self.stored_records -= stored.records;
        }
    }
}

pub(super) struct Shared {
    pub(super) filesystem: Arc<dyn Filesystem>,
    pub(super) folder: PathBuf,
    pub(super) options: Options,
    pub(super) clock: MonotonicClock,
    pub(super) identity: Identity,
    /// Told of every seal and of the end.
    pub(super) changes: watch::Sender<()>,
    state: Mutex<State>,
    work: Condvar,
}

impl Shared {
    pub(super) fn new(
        filesystem: Arc<dyn Filesystem>,
        folder: &Path,
        options: Options,
        clock: MonotonicClock,
        found: Found,
    ) -> Self {
        let state = State {
            stored_bytes: found.segments.values().map(|stored| stored.bytes).sum(),
            stored_records: found.segments.values().map(|stored| stored.records).sum(),
            segments: found.segments,
            aside: found.aside,
            ..State::default()
        };
        Self {
            filesystem,
            folder: folder.to_path_buf(),
            options,
            clock,
            identity: found.identity,
            changes: watch::Sender::new(()),
            state: Mutex::new(state),
            work: Condvar::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(super) fn path(&self, id: SegmentId) -> PathBuf {
        self.folder.join(segment::file_name(id))
    }

    pub(super) fn aside_path(&self, id: SegmentId) -> PathBuf {
        self.folder.join(segment::aside_name(id))
    }

    /// Where a segment that is set aside may lie: under its first name too, which it keeps where it was set aside at
    /// opening and could not be renamed. One that is offered again has that name for itself.
    pub(super) fn aside_paths(&self, id: SegmentId) -> Vec<PathBuf> {
        let is_offered = self.lock().segments.contains_key(&id);
        let first = (!is_offered).then(|| self.path(id));
        [self.aside_path(id)].into_iter().chain(first).collect()
    }

    /// Adds a request and wakes the writer if it sleeps.
    pub(super) fn enqueue(&self, mut state: MutexGuard<'_, State>, request: Request) {
        state.waiting.push_back(request);
        let asleep = std::mem::take(&mut state.idle);
        drop(state);
        if asleep {
            self.work.notify_one();
        }
    }

    /// Moves all waiting requests into `taken`, waiting for some until the deadline. Answers whether the
    /// writer should go on.
    pub(super) fn wait(&self, taken: &mut VecDeque<Request>, deadline: Option<Instant>) -> bool {
        let mut state = self.lock();
        loop {
            taken.append(&mut state.waiting);
            if !taken.is_empty() {
                return true;
            }
            if state.closed {
                return false;
            }
            state.idle = true;
            state = match deadline.map(|deadline| deadline.saturating_duration_since((self.clock)())) {
                Some(Duration::ZERO) => {
                    state.idle = false;
                    return true;
                }
                Some(left) => self.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
            state.idle = false;
        }
    }

    /// Moves all waiting requests into `taken` without waiting.
    #[cfg(test)]
    pub(super) fn take(&self, taken: &mut VecDeque<Request>) {
        taken.append(&mut self.lock().waiting);
    }

    /// Accounts for a batch that was synced into a segment.
    pub(super) fn committed(&self, id: SegmentId, segment: Stored, records: usize, queued_bytes: u64) {
        let mut state = self.lock();
        state.queued_records = state.queued_records.saturating_sub(records);
        state.queued_bytes = state.queued_bytes.saturating_sub(queued_bytes);
        let (bytes, total) =
            state.segments.insert(id, segment).map_or((0, 0), |before| (before.bytes, before.records));
        state.stored_bytes += segment.bytes - bytes;
        state.stored_records += segment.records - total;
    }

    /// Accounts for a batch that was given up.
    pub(super) fn failed(&self, records: usize, queued_bytes: u64) {
        let mut state = self.lock();
        state.queued_records = state.queued_records.saturating_sub(records);
        state.queued_bytes = state.queued_bytes.saturating_sub(queued_bytes);
        state.failures += 1;
    }

    /// Offers a segment to the loader.
    pub(super) fn seal(&self, id: SegmentId) {
        if let Some(stored) = self.lock().segments.get_mut(&id) {
            stored.sealed = true;
        }
        self.changes.send_replace(());
    }

    pub(super) fn forget(&self, id: SegmentId) {
        self.lock().forget(id);
    }

    /// Under one lock: a segment that is in neither list for a moment would be missed by a seal.
    pub(super) fn set_aside(&self, id: SegmentId) {
        let mut state = self.lock();
        state.forget(id);
        state.aside.insert(id);
    }

    pub(super) fn sealed_segment(&self, id: SegmentId) -> Option<Stored> {
        self.lock().segments.get(&id).copied().filter(|stored| stored.sealed)
    }

    /// The next sealed segment, `Some(None)` if there will never be one, `None` if there is none yet.
    pub(super) fn next_sealed(&self, wanted: impl Fn(SegmentId) -> bool) -> Option<Option<SegmentId>> {
        let state = self.lock();
        match state.segments.iter().find(|(id, stored)| stored.sealed && wanted(**id)) {
            Some((id, _)) => Some(Some(*id)),
            None => state.ended.then_some(None),
        }
    }

    pub(super) fn depth(&self) -> Depth {
        let now = (self.clock)();
        let state = self.lock();
        let oldest = state.segments.values().next();
        Depth {
            segments: u64::try_from(state.segments.len()).unwrap_or(u64::MAX),
            records: state.stored_records,
            bytes: state.stored_bytes,
            waiting: u64::try_from(state.queued_records).unwrap_or(u64::MAX),
            oldest_age: oldest.map_or(Duration::ZERO, |stored| now.saturating_duration_since(stored.begun)),
            failures: state.failures,
            aside: u64::try_from(state.aside.len()).unwrap_or(u64::MAX),
        }
    }

    /// Lets the writer finish what is waiting and end.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.work.notify_one();
    }

    /// The writer is gone, orderly or not: whoever still waits is told.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.ended = true;
        let abandoned = std::mem::take(&mut state.waiting);
        drop(state);
        // Dropping a request answers its caller.
        drop(abandoned);
        self.changes.send_replace(());
    }
}
