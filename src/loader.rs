//! Carries sealed segments from the spool to the store, exactly once.
//!
//! One segment is one insert per table, with the segment's token: what a crash interrupts is done again and counted
//! once. Then its answers are kept for retries, and only then is the segment removed. While the store is away the
//! segments wait; the loader tries again with growing pauses.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::seq::SliceRandom;
use tokio::sync::watch;
use tuman_privacy::encode::rows;

use crate::clock::Clock;
use crate::ledger::flight::Flight;
use crate::log::Line;
use crate::metrics::Metric;
use crate::record::{self, RecordError};
use crate::seen::Seen;
use crate::spool::{ReadError, RemoveError, Segment, SegmentId, Spool};
use crate::store::{Store, StoreError, Table};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

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

/// Loads segments.
pub struct Loader {
    spool: Spool,
    store: Arc<dyn Store>,
    seen: Arc<Seen>,
    flight: Arc<Flight>,
    clock: Arc<dyn Clock>,
    loaded: watch::Sender<SegmentId>,
    /// True while some rows of a segment are in the store and others are not; held while that may change.
    half: Mutex<bool>,
}

impl Loader {
    /// A loader between a spool and a store.
    #[must_use]
    pub fn new(
        spool: Spool,
        store: Arc<dyn Store>,
        seen: Arc<Seen>,
        flight: Arc<Flight>,
        clock: Arc<dyn Clock>,
    ) -> Loader {
        Loader {
            spool,
            store,
            seen,
            flight,
            clock,
            loaded: watch::Sender::new(SegmentId::BEFORE_ALL),
            half: Mutex::new(false),
        }
    }

    /// Loads segments as they are sealed, until the spool is closed.
    pub async fn run(self: Arc<Self>) {
        let mut after = SegmentId::BEFORE_ALL;
        let mut pause = FIRST_PAUSE;
        while let Some(id) = self.spool.next_sealed(after).await {
            match self.load_on_a_thread(id).await {
                Ok(()) => {
                    Metric::StoreUp.set(1);
                    after = id;
                    pause = FIRST_PAUSE;
                    self.loaded.send_replace(id);
                }
                Err(LoadError::Stopped) => return,
                Err(error) => {
                    Metric::StoreUp.set(0);
                    Metric::LoadFailures.add(1);
                    Line::SegmentWaits { segment: id, fault: (&error).into() }.write();
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Loads everything that was appended before this call.
    ///
    /// # Errors
    /// Where the spool is closed before that, or the store does not take it within `limit`.
    pub async fn drain(&self, limit: Duration) -> Result<(), LoadError> {
        tokio::time::timeout(limit, self.drained()).await.unwrap_or(Err(LoadError::Waiting(limit)))
    }

    async fn drained(&self) -> Result<(), LoadError> {
        let last = self.spool.rotate().await.map_err(|_| LoadError::Stopped)?;
        let mut loaded = self.loaded.subscribe();
        while self.spool.sealed().first().is_some_and(|oldest| *oldest <= last) {
            loaded.changed().await.map_err(|_| LoadError::Stopped)?;
        }
        Ok(())
    }

    /// Does something while no segment is on its way into the store: rows and ledger agree for that long. `None` where
    /// half of a segment is in the store: drain, and try again. Blocks.
    pub fn while_quiet<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        let half = self.half.lock().unwrap_or_else(PoisonError::into_inner);
        if *half { None } else { Some(work()) }
    }

    /// Remembers the answers of the segments that are in the spool at start, and counts their events as in flight.
    ///
    /// # Errors
    /// Where a segment cannot be read.
    pub fn recover_answers(&self) -> Result<(), ReadError> {
        let now_ms = self.clock.now_ms();
        for id in self.spool.sealed() {
            let segment = self.spool.read(id)?;
            for record in segment.records().filter_map(|bytes| record::read(bytes).ok()) {
                self.flight.recover(record.ledger);
                if let Some((report, answer)) = record.answered {
                    self.seen.recover(report, answer, now_ms);
                }
            }
        }
        Ok(())
    }

    async fn load_on_a_thread(self: &Arc<Self>, id: SegmentId) -> Result<(), LoadError> {
        let loader = self.clone();
        match tokio::task::spawn_blocking(move || loader.load(id)).await {
            Ok(loaded) => loaded,
            Err(error) if error.is_cancelled() => Err(LoadError::Stopped),
            Err(_) => Err(LoadError::Panicked),
        }
    }

    fn load(&self, id: SegmentId) -> Result<(), LoadError> {
        let began = Instant::now();
        let segment = match self.spool.read(id) {
            Err(ReadError::Unknown) => return Ok(()),
            other => other?,
        };
        let contents = Contents::of(&segment)?;
        if contents.corrupt > 0 {
            Metric::RecordsCorrupt.add(contents.corrupt);
            Line::RecordsCorrupt { segment: id, records: contents.corrupt }.write();
        }
        let token = self.spool.token(id);
        let mut settling = None;
        let mut half = self.half.lock().unwrap_or_else(PoisonError::into_inner);
        *half = true;
        for (table, name, rows) in [
            (Table::UsageOpen, "usage", &contents.usage),
            (Table::PlacesOpen, "places", &contents.places),
            (Table::Ledger, "ledger", &contents.ledger),
        ] {
            if table == Table::Ledger {
                settling = Some(self.flight.settling());
            }
            if !rows.is_empty() {
                self.store.insert(table, &format!("{token}-{name}"), rows)?;
            }
        }
        *half = false;
        drop(half);
        self.seen.keep(&contents.answers, self.clock.now_ms())?;
        self.spool.remove(id)?;
        if let Some(settling) = settling {
            settling.done(&contents.ledger);
        }
        Metric::SegmentsLoaded.add(1);
        Metric::RowsLoaded.add(contents.rows);
        Metric::LoadSeconds.observe(began.elapsed());
        Ok(())
    }
}

/// What a segment brings to each table.
#[derive(Default)]
struct Contents {
    usage: Vec<u8>,
    places: Vec<u8>,
    ledger: Vec<u8>,
    answers: Vec<(tuman_privacy::report_id::Fingerprint, crate::answer::Answer)>,
    rows: u64,
    corrupt: u64,
}

impl Contents {
    fn of(segment: &Segment) -> Result<Contents, RecordError> {
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
            usage.extend(rows(record.usage));
            places.extend(rows(record.places));
            contents.ledger.extend_from_slice(record.ledger);
            contents.answers.extend(record.answered);
        }
        contents.rows = (usage.len() + places.len()) as u64;
        contents.usage = shuffled(usage);
        contents.places = shuffled(places);
        Ok(contents)
    }
}

/// Rows of all reports of a segment, mixed: what one report brought does not stand side by side.
fn shuffled(mut rows: Vec<&[u8]>) -> Vec<u8> {
    rows.shuffle(&mut rand::rng());
    rows.concat()
}
