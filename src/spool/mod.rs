//! Durable queue between acknowledging a report and storing it.
//!
//! Callers hand over byte records; one writer thread puts what has gathered meanwhile into a segment file
//! with one sync (group commit), and only then are the callers answered. A segment is sealed when it is full,
//! old, or asked for; the loader reads sealed segments, stores them, and removes them.
//!
//! Guarantees:
//! - A record acknowledged by [`Spool::append`] survives a crash, and is offered in exactly one segment until
//!   that segment is removed.
//! - A sealed segment that is offered never changes, and [`Spool::token`] names it for ever: numbers are reserved on disk
//!   before they are used, so neither a restart nor an empty folder brings one back, and another folder has
//!   another identity.
//! - After a failed write or sync nothing more is written to that file. Its synced part is sealed, the rest
//!   is cut off, the waiting callers are told, and the next records go to a new file.
//! - A damaged record costs itself alone, and is counted. Its bytes are never offered, and go with their
//!   segment.
//! - A segment that cannot be offered, or is given up by [`Spool::set_aside`], is kept under another name, counted,
//!   and removed by [`Spool::discard_aside`] alone: what was acknowledged is not lost silently.
//! - Memory and disk are bounded by [`Options`]; beyond, callers are refused at once.
//!
//! Does not: decode records, know what an event is, retry, or keep a second process out of the folder. A
//! record whose caller was told of a failure is not offered by this process. It may be by the next one, if
//! the process dies before the rest of the file is cut off; until then the segment is offered by nobody.
//!
//! The format of the files is described in `segment.rs`, the file of the identity in `identity.rs`.

#![warn(clippy::indexing_slicing, clippy::cast_possible_truncation)]

mod aside;
mod error;
mod filesystem;
mod identity;
pub mod inspect;
mod queue;
mod recovery;
mod segment;
mod writer;

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::cast_possible_truncation)]
mod damage;
#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::cast_possible_truncation)]
pub(crate) mod faulty;
#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::cast_possible_truncation)]
mod model;
#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::cast_possible_truncation)]
mod tests;
#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::cast_possible_truncation)]
mod threads;

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

pub use error::{AppendError, OpenError, ReadError, RemoveError};
pub use filesystem::{File, Filesystem, RealFilesystem};
pub use segment::{Segment, SegmentId};

use queue::{Caller, Request, Shared};
use segment::{HEADER_BYTES, Stamp};
use writer::Writer;

/// Monotonic time, as the spool asks for it: `Arc::new(Instant::now)`, or a clock that a test moves.
pub type MonotonicClock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// Bounds of a spool.
#[derive(Debug, Clone)]
pub struct Options {
    /// Size a segment file does not exceed, in bytes; at most 1 GiB. A record must fit into it.
    pub segment_bytes: u64,
    /// Age at which a segment that holds records is sealed.
    pub segment_age: Duration,
    /// Bytes on disk and waiting, together, beyond which records are refused with [`AppendError::Full`]. File
    /// headers are counted when they are written, so the folder may exceed it by those of the segments just
    /// begun.
    pub limit_bytes: u64,
    /// Records waiting for their sync beyond which further ones are refused with [`AppendError::Overloaded`].
    pub queue_records: usize,
    /// Bytes waiting for their sync beyond which further ones are refused with [`AppendError::Overloaded`]. A
    /// single record is taken whatever its size.
    pub queue_bytes: u64,
    /// Bytes that go into one write and sync.
    pub batch_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 8 << 20,
            segment_age: Duration::from_secs(1),
            limit_bytes: 1 << 30,
            queue_records: 16_384,
            queue_bytes: 16 << 20,
            batch_bytes: 4 << 20,
        }
    }
}

/// What was found in the folder at opening.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Segments that are now offered to the loader.
    pub segments: u64,
    /// Records in them that verified.
    pub records: u64,
    /// Records in them that did not. Reading such a segment reports its part again.
    pub corrupt_records: u64,
    /// Size of their files.
    pub bytes: u64,
    /// Bytes after the last good record of a segment, mostly writes that a crash cut short.
    pub torn_bytes: u64,
    /// Segments that are set aside, now or by an earlier process.
    pub aside: u64,
}

/// How much the spool holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Segments on disk, with the one being written.
    pub segments: u64,
    /// Synced records in them.
    pub records: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Records waiting for their sync.
    pub waiting: u64,
    /// Time since the oldest segment was begun; for one found at opening, since then. Zero if there is none.
    pub oldest_age: Duration,
    /// Batches whose write or sync failed since opening.
    pub failures: u64,
    /// Segments set aside: not offered, not counted above, on disk until a person has looked at them.
    pub aside: u64,
}

/// Handle on a spool; clones are cheap and equal. When the last is dropped, the spool is closed as by
/// [`Spool::close`].
#[derive(Clone)]
pub struct Spool {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Spool {
    /// Opens the spool in a folder, which is created if need be. Segments found there are sealed as they are;
    /// new records go to a new one.
    ///
    /// Reads every segment found and writes it anew, one by one, so it takes as long as copying the folder. A spool on
    /// a full disk can be opened and emptied all the same. A last segment without any record is removed. Segments of an
    /// unknown version, those that the disk does not give back, and earlier ones without any record are set aside.
    ///
    /// # Errors
    /// If an option is out of range, the folder cannot be read, this user may not read a file in it, a segment cannot
    /// be synced, or the thread cannot be started. Damage to segments is not an error.
    pub fn open(
        filesystem: Arc<dyn Filesystem>,
        folder: &Path,
        options: Options,
        clock: MonotonicClock,
    ) -> Result<(Self, Recovered), OpenError> {
        let (spool, writer, recovered) = Self::assemble(filesystem, folder, options, clock)?;
        let thread = thread::Builder::new().name("spool".into()).spawn(|| writer.run());
        *lock(&spool.inner.writer) = Some(thread.map_err(OpenError::Thread)?);
        Ok((spool, recovered))
    }

    /// Appends a record. Resolves once it is synced to disk. A caller that stops waiting leaves its record in
    /// the queue.
    ///
    /// # Errors
    /// See [`AppendError`]; then the record was not taken.
    pub async fn append(&self, record: Vec<u8>) -> Result<(), AppendError> {
        self.submit(record)?.await.unwrap_or(Err(AppendError::Closed))
    }

    /// Appends a record, and calls `told` with the outcome, whatever it is: at once where the record is refused, else on
    /// the writer's thread. It holds up the next batch, so it must be short, and must not panic.
    pub fn append_then(&self, record: Vec<u8>, told: impl FnOnce(Result<(), AppendError>) + Send + 'static) {
        if let Err((why, caller)) = self.offer(record, Caller::new(told)) {
            caller.tell(Err(why));
        }
    }

    /// The same as [`Spool::append`] for a thread without a runtime.
    ///
    /// # Errors
    /// See [`AppendError`]; then the record was not taken.
    ///
    /// # Panics
    /// If called from asynchronous code.
    pub fn append_blocking(&self, record: Vec<u8>) -> Result<(), AppendError> {
        self.submit(record)?.blocking_recv().unwrap_or(Err(AppendError::Closed))
    }

    /// Seals the segment that is being written. Resolves with a number, once everything that was appended before is
    /// in segments up to it. One of them may be sealed later: where a failed end cannot be cut off yet.
    ///
    /// # Errors
    /// [`AppendError::Closed`] if the spool is closed; then everything is sealed.
    pub async fn rotate(&self) -> Result<SegmentId, AppendError> {
        self.request_rotation()?.await.map_err(|_| AppendError::Closed)
    }

    /// Numbers of the sealed segments, oldest first.
    #[must_use]
    pub fn sealed(&self) -> Vec<SegmentId> {
        let state = self.shared().lock();
        state.segments.iter().filter(|(_, stored)| stored.sealed).map(|(id, _)| *id).collect()
    }

    /// Waits for a sealed segment that is wanted, the oldest first. `None` once the spool is closed and there is none.
    pub async fn next_sealed(&self, wanted: impl Fn(SegmentId) -> bool) -> Option<SegmentId> {
        let mut changes = self.shared().changes.subscribe();
        loop {
            if let Some(answer) = self.shared().next_sealed(&wanted) {
                return answer;
            }
            changes.changed().await.ok()?;
        }
    }

    /// The segments up to a number that are not removed, be they sealed or not.
    #[must_use]
    pub fn through(&self, last: SegmentId) -> BTreeSet<SegmentId> {
        self.shared().lock().segments.range(..=last).map(|(id, _)| *id).collect()
    }

    /// Reads a sealed segment. Blocks the thread.
    ///
    /// # Errors
    /// If there is no such sealed segment, or its file cannot be read.
    pub fn read(&self, id: SegmentId) -> Result<Segment, ReadError> {
        let shared = self.shared();
        let stored = shared.sealed_segment(id).ok_or(ReadError::Unknown)?;
        let mut bytes = shared.filesystem.read(&shared.path(id)).map_err(ReadError::Read)?;
        // What is beyond was never acknowledged: the rest of a failed batch that could not be cut off.
        bytes.truncate(usize::try_from(stored.bytes).unwrap_or(usize::MAX));
        let ranges = segment::scan(&bytes, Stamp::new(stored.identity, id)).ranges;
        let intact = u64::try_from(ranges.len()).unwrap_or(u64::MAX);
        Ok(Segment { id, bytes, ranges, corrupt: stored.records.saturating_sub(intact) })
    }

    /// Removes a sealed segment, once the store has it. Blocks the thread.
    ///
    /// # Errors
    /// If there is no such sealed segment, or its removal could not be made durable.
    pub fn remove(&self, id: SegmentId) -> Result<(), RemoveError> {
        let shared = self.shared();
        shared.sealed_segment(id).ok_or(RemoveError::Unknown)?;
        match shared.filesystem.remove(&shared.path(id)) {
            // An earlier attempt got so far.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            outcome => outcome.map_err(RemoveError::Remove)?,
        }
        shared.filesystem.sync_folder(&shared.folder).map_err(RemoveError::Remove)?;
        shared.forget(id);
        Ok(())
    }

    /// Random name of this spool, in hexadecimal. It lasts as long as the folder.
    #[must_use]
    pub fn identity(&self) -> String {
        self.shared().identity.to_string()
    }

    /// Deduplication token of a segment: the same for the same contents, never the same for others, also
    /// across restarts and among spools.
    #[must_use]
    pub fn token(&self, id: SegmentId) -> String {
        let shared = self.shared();
        // The segment's own identity: it outlives a loss of the file that keeps the spool's.
        let identity = shared.lock().segments.get(&id).map_or(shared.identity, |stored| stored.identity);
        format!("{identity}-{id}")
    }

    /// How much the spool holds. Cheap.
    #[must_use]
    pub fn depth(&self) -> Depth {
        self.shared().depth()
    }

    /// False once the spool is closed or its writer has ended: nothing is taken any more.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.shared().lock().closed
    }

    /// Takes no more records, writes and seals what is waiting, and waits for the writer to end. Sealed
    /// segments can still be read and removed. Calling it again changes nothing. Blocks the thread.
    pub fn close(&self) {
        self.inner.close();
    }

    fn assemble(
        filesystem: Arc<dyn Filesystem>,
        folder: &Path,
        options: Options,
        clock: MonotonicClock,
    ) -> Result<(Self, Writer, Recovered), OpenError> {
        options.check()?;
        let (found, recovered) = recovery::recover(filesystem.as_ref(), folder, clock())?;
        let (first, reserved) = (found.next_id, found.reserved);
        let shared = Arc::new(Shared::new(filesystem, folder, options, clock, found));
        let writer = Writer::new(Arc::clone(&shared), first, reserved);
        Ok((Self { inner: Arc::new(Inner { shared, writer: Mutex::new(None) }) }, writer, recovered))
    }

    fn submit(&self, record: Vec<u8>) -> Result<oneshot::Receiver<Result<(), AppendError>>, AppendError> {
        let (done, outcome) = oneshot::channel();
        let caller = Caller::new(|told| {
            // Whoever waits may stop waiting.
            let _ = done.send(told);
        });
        self.offer(record, caller).map(|()| outcome).map_err(|(why, _)| why)
    }

    fn offer(&self, record: Vec<u8>, caller: Caller) -> Result<(), (AppendError, Caller)> {
        let options = &self.shared().options;
        let size = segment::encoded_bytes(&record);
        if HEADER_BYTES.saturating_add(size) > options.segment_bytes {
            return Err((AppendError::TooLarge, caller));
        }
        let mut state = self.shared().lock();
        if state.closed {
            return Err((AppendError::Closed, caller));
        }
        let queued = state.queued_bytes.saturating_add(size);
        if state.stored_bytes.saturating_add(queued) > options.limit_bytes {
            return Err((AppendError::Full, caller));
        }
        let crowded = state.queued_records > 0 && queued > options.queue_bytes;
        if crowded || state.queued_records >= options.queue_records {
            return Err((AppendError::Overloaded, caller));
        }
        state.queued_records += 1;
        state.queued_bytes = queued;
        self.shared().enqueue(state, Request::Append { record, caller });
        Ok(())
    }

    fn request_rotation(&self) -> Result<oneshot::Receiver<SegmentId>, AppendError> {
        let state = self.shared().lock();
        if state.closed {
            return Err(AppendError::Closed);
        }
        let (done, outcome) = oneshot::channel();
        self.shared().enqueue(state, Request::Rotate(done));
        Ok(outcome)
    }

    fn shared(&self) -> &Shared {
        &self.inner.shared
    }
}

impl Options {
    fn check(&self) -> Result<(), OpenError> {
        if self.segment_bytes > 1 << 30 {
            return Err(OpenError::Options("segment_bytes is over 1 GiB"));
        }
        if self.segment_bytes <= HEADER_BYTES + segment::RECORD_BYTES {
            return Err(OpenError::Options("segment_bytes leaves no room for a record"));
        }
        if self.segment_bytes > self.limit_bytes {
            return Err(OpenError::Options("limit_bytes is under segment_bytes"));
        }
        if self.queue_records == 0 {
            return Err(OpenError::Options("queue_records is zero"));
        }
        Ok(())
    }
}

impl Inner {
    fn close(&self) {
        self.shared.close();
        // The lock is held while waiting, so that a second caller returns only after the end as well.
        if let Some(thread) = lock(&self.writer).take() {
            // A writer that panicked has told its callers so; there is nothing left to do about it here.
            drop(thread.join());
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

/// A poisoned lock guards nothing half-changed here: no code panics while it holds one.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
