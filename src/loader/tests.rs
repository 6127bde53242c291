//! The loader's pauses. They are counted, so that nothing depends on how long anything takes.

mod faults;

use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tuman_privacy::time::Day;

use super::*;
use crate::clock::ManualClock;
use crate::ledger::Lines;
use crate::spool::{Options, RealFilesystem};
use crate::store::{Description, Device, Found as FoundRows, Statement};

/// A store that takes inserts alone, as a test answers them by their token.
struct Inserting<F>(F);

impl<F: Fn(&str) -> Result<(), StoreError> + Send + Sync + 'static> Store for Inserting<F> {
    fn insert(&self, _: Table, token: &str, _: &[u8]) -> Result<(), StoreError> {
        (self.0)(token)
    }

    fn execute(&self, _: &Statement) -> Result<(), StoreError> {
        Err(StoreError::Unavailable)
    }

    fn select(&self, _: &Statement) -> Result<Vec<u8>, StoreError> {
        Err(StoreError::Unavailable)
    }

    fn drop_day(&self, _: u16) -> Result<(), StoreError> {
        Err(StoreError::Unavailable)
    }

    fn find(&self, _: Table, _: &[Device]) -> Result<Vec<FoundRows>, StoreError> {
        Err(StoreError::Unavailable)
    }

    fn erase(&self, _: Table, _: &[Device]) -> Result<(), StoreError> {
        Err(StoreError::Unavailable)
    }

    fn describe(&self) -> Result<Description, StoreError> {
        Err(StoreError::Unavailable)
    }
}

/// A loader over so many segments, whose store is away for so many inserts; and its inserts as they come.
async fn loader(segments: u32, failures: u32) -> (Arc<Loader>, UnboundedReceiver<()>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let filesystem = Arc::new(RealFilesystem);
    let at = |name: &str| folder.path().join(name);
    let (spool, _) =
        Spool::open(filesystem.clone(), &at("spool"), Options::default(), Arc::new(Instant::now)).unwrap();
    for _ in 0..segments {
        let lines = Lines::of_duplicate("kz.test.app", Day(20_000), 1);
        spool.append(record::write(&[], &[], lines.bytes(), None, 0)).await.unwrap();
        spool.rotate().await.unwrap();
    }
    let seen = Arc::new(Seen::open(filesystem, &at("seen"), 1_000, 0).unwrap());
    let (came, inserts) = unbounded_channel();
    let left = AtomicU32::new(failures);
    let store = Arc::new(Inserting(move |_: &str| {
        // Nobody listens any more at the end of a test.
        let _ = came.send(());
        let left = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.map_or(Ok(()), |_| Err(StoreError::Unavailable))
    }));
    let loader = Loader::new(spool, store, seen, Arc::default(), Arc::new(ManualClock::at(0)));
    (Arc::new(loader.unwrap()), inserts, folder)
}

#[tokio::test]
async fn after_an_outage_there_is_no_pause_between_segments() {
    let (segments, failures) = (60, 3);
    let (loader, mut inserts, _folder) = loader(segments, failures).await;
    let running = tokio::spawn(loader.clone().run());
    for _ in 0..failures + segments {
        inserts.recv().await.unwrap();
    }
    // One after each failure, and no more: also none between the sixty.
    assert_eq!(loader.standing().pauses, u64::from(failures));
    running.abort();
}
