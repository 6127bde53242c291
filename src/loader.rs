//! Carries sealed segments from the spool to the store, exactly once.
//!
//! One segment is one insert per table, with the segment's token: what a crash interrupts is done again and counted
//! once. Then its answers are kept for retries, and only then is the segment removed. A record that is found at the start
//! and whose answer is kept already is in the store, and is passed over.
//!
//! While the store is away, slow, full or read-only the segments wait; the loader tries again with growing pauses, and
//! goes on at full speed when the store takes one. A segment that the store refuses while it takes others, or that cannot
//! be read, is passed over and in the end set aside, so that it does not stop the others. One whose records are of
//! another version of this program waits for that version.

mod found;
mod pause;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::seq::SliceRandom;
use tokio::sync::watch;
use tuman_privacy::encode::rows;
use tuman_privacy::report_id::Fingerprint;

use crate::answer::Answer;
use crate::clock::Clock;
use crate::ledger::Lines;
use crate::ledger::flight::Flight;
use crate::log::{Cause, Fault, Line};
use crate::metrics::Metric;
use crate::record::{self, RecordError};
use crate::seen::Seen;
use crate::spool::{ReadError, RemoveError, Segment, SegmentId, Spool};
use crate::store::{Store, StoreError, Table};
use found::{Found, FoundRecord, recover};
use pause::{FIRST_PAUSE, Failures, longer, with_jitter};

/// Attempts after which a segment that cannot be read is set aside.
const READINGS: u32 = 5;
/// Refusals after which a segment is set aside, if the store took another one meanwhile.
const REFUSALS: u32 = 3;

/// Inserts of a segment, one for each table.
const INSERTS: usize = 3;
/// All of them are done, and the answers are kept.
const KEPT: usize = INSERTS + 1;

/// Why a segment is not loaded yet.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The spool could not read it.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its answers could not be kept.
    #[error("the answers of a segment cannot be kept")]
    Seen(#[from] std::io::Error),
    /// The spool could not remove it.
    #[error(transparent)]
    Remove(#[from] RemoveError),
    /// A record cannot be read by this program.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Loading it met a bug.
    #[error("loading a segment panicked; the panic is in the log")]
    Panicked,
    /// What was appended is not loaded in time.
    #[error("the store has not taken what was accepted within {0:?}: see the log of the loader")]
    Waiting(Duration),
    /// The process is stopping.
    #[error("the loader has stopped")]
    Stopped,
}

impl LoadError {
    /// Attempts after which the segment itself is at fault; none where the store or the disk is.
    fn attempts(&self) -> Option<u32> {
        match self {
            LoadError::Read(_) | LoadError::Panicked => Some(READINGS),
            LoadError::Store(error) if !error.is_transient() => Some(REFUSALS),
            _ => None,
        }
    }

    /// The kind of trouble, as a fixed word.
    fn word(&self) -> &'static str {
        match self {
            LoadError::Store(StoreError::NoSpace) => "store_full",
            LoadError::Store(StoreError::Memory | StoreError::Overloaded { .. }) => "store_overloaded",
            LoadError::Store(StoreError::Timeout) => "store_slow",
            LoadError::Store(error) if error.is_transient() => "store_away",
            LoadError::Store(_) => "store_refuses",
            LoadError::Record(_) => "other_version",
            LoadError::Panicked => "bug",
            LoadError::Stopped | LoadError::Waiting(_) => "stopped",
            LoadError::Read(_) | LoadError::Seen(_) | LoadError::Remove(_) => "disk",
        }
    }
}

/// How the loader stands with the store.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// What the last attempt failed of, as a fixed word; none if it went well.
    pub trouble: Option<&'static str>,
    /// Since when a segment is being loaded; none if none is.
    pub loading_since: Option<Instant>,
    /// Segments with records of another version of this program, which wait for it.
    pub foreign: BTreeSet<SegmentId>,
    /// How often the store was left alone for a while, since the start.
    pub pauses: u64,
}

/// Loads segments.
pub struct Loader {
    spool: Spool,
    store: Arc<dyn Store>,
    seen: Arc<Seen>,
    flight: Arc<Flight>,
    clock: Arc<dyn Clock>,
    /// Records of the segments that were there at the start.
    found: Found,
    standing: Mutex<Standing>,
    /// Told whenever a segment leaves the spool or is found to wait.
    changes: watch::Sender<()>,
    /// Of segments of which something is in the store, or may be: how many of their inserts it took, or [`KEPT`]. Held while
    /// that may change.
    in_store: Mutex<BTreeMap<SegmentId, usize>>,
}

impl Loader {
    /// A loader between a spool and a store. Remembers the answers of the segments that are in the spool at start, and
    /// counts their events as in flight.
    ///
    /// # Errors
    /// Where one of them cannot be read any more.
    pub fn new(
        spool: Spool,
        store: Arc<dyn Store>,
        seen: Arc<Seen>,
        flight: Arc<Flight>,
        clock: Arc<dyn Clock>,
    ) -> Result<Loader, ReadError> {
        let found = recover(&spool, &seen, &flight, clock.now_ms())?;
        Ok(Loader {
            spool,
            store,
            seen,
            flight,
            clock,
            found,
            standing: Mutex::default(),
            changes: watch::Sender::new(()),
            in_store: Mutex::default(),
        })
    }

    /// Loads segments as they are sealed, until the spool is closed.
    pub async fn run(self: Arc<Self>) {
        let mut failures: BTreeMap<SegmentId, Failures> = BTreeMap::new();
        let mut pause = FIRST_PAUSE;
        loop {
            let now = Instant::now();
            // What is of another version cannot be loaded by this process, however often it is read.
            let foreign = self.standing().foreign;
            let is_turn = |id| !foreign.contains(&id) && failures.get(&id).is_none_or(|failed| failed.again <= now);
            let soonest = failures.values().map(|failed| failed.again).filter(|again| *again > now).min();
            let next = self.spool.next_sealed(is_turn);
            let id = match soonest {
                None => next.await,
                Some(again) => match tokio::time::timeout_at(again.into(), next).await {
                    Ok(next) => next,
                    Err(_) => continue,
                },
            };
            let Some(id) = id else { return };
            let error = match self.load_on_a_thread(id).await {
                Ok(()) => {
                    Metric::StoreUp.set(1);
                    self.settle(id, None);
                    pause = FIRST_PAUSE;
                    failures.remove(&id);
                    failures.values_mut().for_each(|others| others.others_pass = true);
                    continue;
                }
                Err(LoadError::Stopped) => return,
                Err(error) => error,
            };
            Metric::LoadFailures.add(1);
            self.settle(id, Some(&error));
            if matches!(error, LoadError::Record(_)) {
                failures.remove(&id);
                Line::SegmentPassedOver { segment: id, attempts: 1, fault: (&error).into() }.write();
                continue;
            }
            let Some(attempts) = error.attempts() else {
                Metric::StoreUp.set(0);
                Line::SegmentWaits { segment: id, fault: (&error).into() }.write();
                pause = self.rest(pause).await;
                continue;
            };
            let failed = failures.entry(id).or_insert_with(Failures::none);
            failed.once_more();
            if failed.attempts.is_power_of_two() {
                let attempts = failed.attempts;
                Line::SegmentPassedOver { segment: id, attempts, fault: (&error).into() }.write();
            }
            let is_refused = matches!(error, LoadError::Store(_));
            if failed.attempts >= attempts
                && (failed.others_pass || !is_refused)
                && self.set_aside(id, (&error).into()).await
            {
                failures.remove(&id);
            } else if is_refused && failures.values().filter(|failed| !failed.others_pass).count() > 1 {
                Metric::StoreUp.set(0);
                // Two in a row: it may be the store after all.
                pause = self.rest(pause).await;
            }
        }
    }

    /// How the loader stands with the store.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.lock().clone()
    }

    /// Loads everything that was appended before this call.
    ///
    /// # Errors
    /// Where the spool is closed before that, the store does not take it within `limit`, or what is left is of another
    /// version of this program.
    pub async fn drain(&self, limit: Duration) -> Result<(), LoadError> {
        tokio::time::timeout(limit, self.drained()).await.unwrap_or(Err(LoadError::Waiting(limit)))
    }

    /// Sets the segments aside that wait for another version of this program, and answers how many there were.
    pub async fn set_aside_foreign(self: &Arc<Self>) -> usize {
        let mut set_aside = 0;
        for id in self.standing().foreign {
            set_aside += usize::from(self.set_aside(id, Cause::RecordVersion.into()).await);
        }
        set_aside
    }

    /// Removes the segments that are set aside, which may hold rows of a day that is sealed, and books in the ledger what
    /// is lost with them, as far as it can be read. Blocks the thread.
    ///
    /// # Errors
    /// Where it cannot be booked, or one cannot be removed.
    pub fn discard_aside(&self) -> Result<(), LoadError> {
        // None is set aside meanwhile: it would be removed and not booked.
        let mut in_store = self.in_store();
        let (mut booked, mut events) = (Vec::new(), 0);
        for segment in self.spool.aside() {
            let lines = self.found.new_lines(&segment);
            let lost = Lines::of_lost(&lines);
            events += lost.sums().lost.unsigned_abs();
            if lost.bytes().is_empty() {
                continue;
            }
            booked.push(segment.id());
            // Booked by an attempt whose removal failed.
            if in_store.contains_key(&segment.id()) {
                continue;
            }
            let settling = self.flight.settling();
            let token = format!("{}-lost", self.spool.token(segment.id()));
            self.store.insert(Table::Ledger, &token, lost.bytes())?;
            in_store.insert(segment.id(), INSERTS);
            settling.done(&lines);
        }
        let discarded = self.spool.discard_aside()?;
        in_store.retain(|id, _| !booked.contains(id));
        if discarded > 0 {
            Metric::SegmentsDiscarded.add(discarded);
            Line::SegmentsDiscarded { segments: discarded, events }.write();
        }
        Ok(())
    }

    /// Takes tokens out of the segments that are set aside: what they hold belongs to no device any more. Blocks the
    /// thread.
    ///
    /// # Errors
    /// Where one cannot be read or written.
    pub fn blank_aside(&self, tokens: &HashSet<u64>) -> io::Result<u64> {
        self.spool.blank_aside(tokens)
    }

    /// Does something while no segment is on its way into the store: rows and ledger agree for that long. `None` where
    /// half of a segment is in the store: drain, and try again. Blocks.
    pub fn while_quiet<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        let in_store = self.in_store();
        if in_store.values().any(|taken| *taken < INSERTS) { None } else { Some(work()) }
    }

    /// Leaves the store alone for a pause; answers the next one.
    async fn rest(&self, pause: Duration) -> Duration {
        self.lock().pauses += 1;
        tokio::time::sleep(with_jitter(pause)).await;
        longer(pause)
    }

    async fn drained(&self) -> Result<(), LoadError> {
        let mut changes = self.changes.subscribe();
        let last = self.spool.rotate().await.map_err(|_| LoadError::Stopped)?;
        loop {
            let left = self.spool.through(last);
            if left.is_empty() {
                return Ok(());
            }
            if left.is_subset(&self.lock().foreign) {
                return Err(RecordError::Version.into());
            }
            changes.changed().await.map_err(|_| LoadError::Stopped)?;
        }
    }

    /// Notes how an attempt ended, and tells those who wait for it.
    fn settle(&self, id: SegmentId, error: Option<&LoadError>) {
        let mut standing = self.lock();
        standing.trouble = error.map(LoadError::word);
        standing.loading_since = None;
        if matches!(error, Some(LoadError::Record(RecordError::Version))) {
            standing.foreign.insert(id);
        } else {
            standing.foreign.remove(&id);
        }
        drop(standing);
        self.changes.send_replace(());
    }

    async fn set_aside(self: &Arc<Self>, id: SegmentId, fault: Fault) -> bool {
        let loader = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            let in_store = loader.in_store();
            // Its rows would have no lines in the ledger, and come twice if it is put back after its token is forgotten.
            !in_store.contains_key(&id) && loader.spool.set_aside(id).is_ok()
        });
        let is_done = matches!(done.await, Ok(true));
        if is_done {
            Line::SegmentAside { segment: id, fault }.write();
            let mut standing = self.lock();
            standing.foreign.remove(&id);
            standing.trouble = None;
            drop(standing);
            self.changes.send_replace(());
        }
        is_done
    }

    async fn load_on_a_thread(self: &Arc<Self>, id: SegmentId) -> Result<(), LoadError> {
        self.lock().loading_since = Some(Instant::now());
        let loader = self.clone();
        match tokio::task::spawn_blocking(move || loader.load(id)).await {
            Ok(loaded) => loaded,
            Err(error) if error.is_cancelled() => Err(LoadError::Stopped),
            Err(_) => Err(LoadError::Panicked),
        }
    }

    fn load(&self, id: SegmentId) -> Result<(), LoadError> {
        let began = Instant::now();
        // Of one whose removal failed half way the file may be gone: nothing else is left to do.
        if self.in_store().get(&id) != Some(&KEPT) {
            let segment = match self.spool.read(id) {
                Err(ReadError::Unknown) => return Ok(()),
                other => other?,
            };
            let contents = self.contents(&segment)?;
            self.insert(id, &contents)?;
            self.seen.keep(&contents.answers, self.clock.now_ms())?;
            self.in_store().insert(id, KEPT);
            if contents.corrupt > 0 {
                Metric::RecordsCorrupt.add(contents.corrupt);
                Line::RecordsCorrupt { segment: id, records: contents.corrupt }.write();
            }
            Metric::RowsLoaded.add(contents.rows);
        }
        self.spool.remove(id)?;
        self.in_store().remove(&id);
        Metric::SegmentsLoaded.add(1);
        Metric::LoadSeconds.observe(began.elapsed());
        Ok(())
    }

    fn insert(&self, id: SegmentId, contents: &Contents) -> Result<(), StoreError> {
        let token = self.spool.token(id);
        let mut in_store = self.in_store();
        let inserts: [_; INSERTS] = [
            (Table::UsageOpen, "usage", &contents.usage),
            (Table::PlacesOpen, "places", &contents.places),
            (Table::Ledger, "ledger", &contents.ledger),
        ];
        for (place, (table, name, rows)) in inserts.into_iter().enumerate() {
            let taken = in_store.get(&id).copied();
            // What was taken is not sent again: its token may be forgotten by now.
            if rows.is_empty() || taken.is_some_and(|taken| place < taken) {
                continue;
            }
            let settling = (table == Table::Ledger).then(|| self.flight.settling());
            in_store.entry(id).or_default();
            if let Err(error) = self.store.insert(table, &format!("{token}-{name}"), rows) {
                // What is refused is not there. What failed otherwise may be.
                if taken.is_none() && !error.is_transient() {
                    in_store.remove(&id);
                }
                return Err(error);
            }
            in_store.insert(id, place + 1);
            if let Some(settling) = settling {
                settling.done(rows);
            }
        }
        in_store.insert(id, INSERTS);
        Ok(())
    }

    /// What a segment brings to each table.
    fn contents(&self, segment: &Segment) -> Result<Contents, RecordError> {
        let mut contents = Contents { corrupt: segment.corrupt(), ..Contents::default() };
        let (mut usage, mut places) = (Vec::new(), Vec::new());
        for bytes in segment.records() {
            let record = match record::read(bytes) {
                Ok(record) => record,
                Err(RecordError::Damaged) => {
                    contents.corrupt += 1;
                    continue;
                }
                // It was acknowledged: the segment waits for a program that can read it.
                Err(RecordError::Version) => return Err(RecordError::Version),
            };
            match self.found.standing(segment.id(), &record) {
                FoundRecord::New => contents.answers.extend(record.answered),
                FoundRecord::Stored => {
                    // Again: what a process wrote that was killed may not be on the disk.
                    contents.answers.extend(record.answered);
                    continue;
                }
                FoundRecord::Superseded => continue,
            }
            usage.extend(rows(record.usage));
            places.extend(rows(record.places));
            contents.ledger.extend_from_slice(record.ledger);
        }
        contents.rows = (usage.len() + places.len()) as u64;
        contents.usage = shuffled(usage);
        contents.places = shuffled(places);
        Ok(contents)
    }

    fn in_store(&self) -> MutexGuard<'_, BTreeMap<SegmentId, usize>> {
        self.in_store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a segment brings to each table.
#[derive(Default)]
struct Contents {
    usage: Vec<u8>,
    places: Vec<u8>,
    ledger: Vec<u8>,
    answers: Vec<(Fingerprint, Answer)>,
    rows: u64,
    corrupt: u64,
}

/// Rows of all reports of a segment, mixed: what one report brought does not stand side by side.
fn shuffled(mut rows: Vec<&[u8]>) -> Vec<u8> {
    rows.shuffle(&mut rand::rng());
    rows.concat()
}
