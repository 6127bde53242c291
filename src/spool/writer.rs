//! The one thread that writes.
//!
//! It takes what has gathered while the last sync ran, writes it with one append, syncs once, and answers all
//! callers. There is no lingering: a lone record is synced at once, and under load the sync itself gathers
//! the next batch.
//!
//! After a failed write or sync the file is given up. The kernel may have dropped the pages that it could not
//! write and report success the next time, so nothing is ever written behind them. What was written of the failed
//! batch is cut off before the loader sees the file: should the process die first, the next one may find it whole
//! there, and the segment's token must then not have been used for less.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::identity::{self, RESERVATION};
use super::queue::{Caller, Request, Shared, Stored};
use super::segment::{self, HEADER_BYTES, SegmentId, Stamp};
use super::{AppendError, File};
use crate::log::Line;
use crate::metrics::Metric;

/// How long a segment waits until its failed end is tried to be cut off again.
const CUT_AGAIN: Duration = Duration::from_secs(1);

pub(super) struct Writer {
    shared: Arc<Shared>,
    taken: VecDeque<Request>,
    current: Option<Current>,
    /// Segments whose failed end could not be cut off yet. They are not offered: their token must not stand for
    /// fewer records in this process than in the next.
    uncut: Vec<Uncut>,
    /// Bytes of the batch; kept to save allocations.
    buffer: Vec<u8>,
    next_id: u64,
    reserved: u64,
}

/// The segment being written.
struct Current {
    id: SegmentId,
    file: Box<dyn File>,
    stamp: Stamp,
    /// Synced length; zero as long as the name of the file is not durable.
    length: u64,
    records: u32,
    begun: Instant,
}

struct Uncut {
    segment: Current,
    /// When it is tried again: not with every batch, which would wait for it.
    again: Instant,
}

#[derive(Default)]
struct Batch {
    records: Vec<Vec<u8>>,
    callers: Vec<Caller>,
    bytes: u64,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, next_id: u64, reserved: u64) -> Self {
        Self {
            shared,
            taken: VecDeque::new(),
            current: None,
            uncut: Vec::new(),
            buffer: Vec::new(),
            next_id,
            reserved,
        }
    }

    /// Works until the spool is closed and everything is written.
    pub(super) fn run(mut self) {
        while self.wait() {
            self.work();
        }
        self.seal();
        // The last chance: none waits for its time.
        self.cut((self.shared.clock)() + CUT_AGAIN);
    }

    /// Does everything that is waiting, without waiting for more.
    #[cfg(test)]
    pub(super) fn step(&mut self) {
        self.shared.take(&mut self.taken);
        self.work();
    }

    fn wait(&mut self) -> bool {
        let age = self.shared.options.segment_age;
        let of_age = self.current.as_ref().and_then(|current| current.begun.checked_add(age));
        let deadline = self.uncut.iter().map(|uncut| uncut.again).chain(of_age).min();
        self.shared.wait(&mut self.taken, deadline)
    }

    fn work(&mut self) {
        if !self.uncut.is_empty() {
            self.cut((self.shared.clock)());
        }
        self.seal_if_old();
        loop {
            let batch = self.gather();
            if !batch.records.is_empty() {
                self.write(batch);
                continue;
            }
            match self.taken.pop_front() {
                Some(Request::Rotate(done)) => {
                    self.seal();
                    // Whoever asked may have stopped waiting.
                    let _ = done.send(SegmentId(self.next_id - 1));
                }
                // The record at the front does not fit behind the others.
                Some(append) => {
                    self.taken.push_front(append);
                    self.seal();
                }
                None => return,
            }
        }
    }

    /// Takes the records that go into the current segment with one sync. None, if the next request is no
    /// record or needs a new segment.
    fn gather(&mut self) -> Batch {
        let options = &self.shared.options;
        let used = self.current.as_ref().map_or(HEADER_BYTES, |current| current.length);
        let room = options.segment_bytes.saturating_sub(used);
        let mut batch = Batch::default();
        while let Some(request) = self.taken.pop_front() {
            let (record, caller) = match request {
                Request::Append { record, caller } => (record, caller),
                rotate @ Request::Rotate(_) => {
                    self.taken.push_front(rotate);
                    break;
                }
            };
            let bytes = batch.bytes.saturating_add(segment::encoded_bytes(&record));
            let enough = !batch.records.is_empty() && bytes > options.batch_bytes;
            if bytes > room || enough {
                self.taken.push_front(Request::Append { record, caller });
                break;
            }
            batch.bytes = bytes;
            batch.records.push(record);
            batch.callers.push(caller);
        }
        batch
    }

    /// Writes and syncs a batch, then answers its callers.
    fn write(&mut self, batch: Batch) {
        let outcome = match self.commit(&batch.records) {
            Ok((id, segment)) => {
                self.shared.committed(id, segment, batch.records.len(), batch.bytes);
                Ok(())
            }
            Err(error) => {
                Line::BatchFailed { records: batch.records.len() as u64, fault: (&error).into() }.write();
                self.abandon();
                self.shared.failed(batch.records.len(), batch.bytes);
                Err(AppendError::Sync)
            }
        };
        for caller in batch.callers {
            caller.tell(outcome);
        }
    }

    fn commit(&mut self, records: &[Vec<u8>]) -> io::Result<(SegmentId, Stored)> {
        let mut current = match self.current.take() {
            Some(current) => current,
            None => self.begin()?,
        };
        let written = self.append(&mut current, records);
        let stored = Stored {
            identity: self.shared.identity,
            bytes: current.length,
            records: u64::from(current.records),
            begun: current.begun,
            sealed: false,
        };
        let id = current.id;
        self.current = Some(current);
        written.map(|()| (id, stored))
    }

    /// Creates the next segment. Its header is written with its first batch.
    fn begin(&mut self) -> io::Result<Current> {
        let shared = &self.shared;
        if self.next_id >= self.reserved {
            let reserved = self.next_id.saturating_add(RESERVATION);
            identity::write(shared.filesystem.as_ref(), &shared.folder, shared.identity, reserved)?;
            self.reserved = reserved;
        }
        // The number is spent even if the next line fails: a file of it may be there all the same.
        let id = SegmentId(self.next_id);
        self.next_id += 1;
        let file = shared.filesystem.create(&shared.path(id))?;
        let stamp = Stamp::new(shared.identity, id);
        Ok(Current { id, file, stamp, length: 0, records: 0, begun: (shared.clock)() })
    }

    fn append(&mut self, current: &mut Current, records: &[Vec<u8>]) -> io::Result<()> {
        let batch_bytes = usize::try_from(self.shared.options.batch_bytes).unwrap_or(usize::MAX);
        self.buffer.clear();
        self.buffer.shrink_to(batch_bytes);
        if current.length == 0 {
            segment::write_header(&mut self.buffer, self.shared.identity, current.id);
        }
        let mut sequence = current.records;
        for record in records {
            segment::write_record(&mut self.buffer, current.stamp, sequence, record);
            sequence += 1;
        }
        let began = (self.shared.clock)();
        current.file.append(&self.buffer)?;
        current.file.sync()?;
        Metric::SyncSeconds.observe((self.shared.clock)().saturating_duration_since(began));
        Metric::SyncRecords.observe_count(records.len());
        if current.length == 0 {
            // Sync the folder too: without it, a crash can lose the new segment's name.
            self.shared.filesystem.sync_folder(&self.shared.folder)?;
        }
        current.length += u64::try_from(self.buffer.len()).unwrap_or(u64::MAX);
        current.records = sequence;
        Ok(())
    }

    /// Gives up the current segment after an error. What was synced before is sealed once the rest is cut off.
    fn abandon(&mut self) {
        let Some(mut current) = self.current.take() else {
            return;
        };
        if current.length == 0 {
            // Cut as well: the name may outlive the removal. Nobody was told that anything in it is safe.
            drop(current.file.truncate(0).and_then(|()| current.file.sync()));
            drop(self.shared.filesystem.remove(&self.shared.path(current.id)));
            return;
        }
        let now = (self.shared.clock)();
        self.uncut.push(Uncut { segment: current, again: now });
        self.cut(now);
    }

    /// Cuts off what a failed batch left behind the synced part, and seals what it can be cut off of: of the segments
    /// whose turn it is by `now`.
    fn cut(&mut self, now: Instant) {
        let shared = &self.shared;
        self.uncut.retain_mut(|Uncut { segment, again }| {
            if *again > now {
                return true;
            }
            *again = now + CUT_AGAIN;
            let cut = segment.file.truncate(segment.length).and_then(|()| segment.file.sync());
            match cut {
                Ok(()) => shared.seal(segment.id),
                Err(ref error) => Line::BatchNotCut { segment: segment.id, fault: error.into() }.write(),
            }
            cut.is_err()
        });
    }

    fn seal(&mut self) {
        if let Some(current) = self.current.take() {
            self.shared.seal(current.id);
        }
    }

    fn seal_if_old(&mut self) {
        let Some(current) = &self.current else { return };
        let age = (self.shared.clock)().saturating_duration_since(current.begun);
        if age >= self.shared.options.segment_age {
            self.seal();
        }
    }
}

// Also when the thread unwinds: callers must not wait for a writer that is gone.
impl Drop for Writer {
    fn drop(&mut self) {
        self.taken.clear();
        self.shared.end();
    }
}
