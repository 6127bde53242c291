//! Disks that fail while a segment is loaded or discarded, and folders that were changed by hand.

use std::path::{Path, PathBuf};

use tuman_privacy::time::Day;

use super::*;
use crate::clock::ManualClock;
use crate::ledger::flight::Sums;
use crate::spool::Filesystem;
use crate::spool::faulty::{Fault, FaultyFilesystem};

const NOW: i64 = 1_791_183_600_000;

struct Bench {
    disk: FaultyFilesystem,
    /// Tokens of what the store took: all that came.
    taken: Arc<Mutex<Vec<String>>>,
    loader: Loader,
    id: SegmentId,
}

fn folder() -> PathBuf {
    "/spool".into()
}

fn open(disk: &FaultyFilesystem) -> Spool {
    let disk: Arc<dyn Filesystem> = Arc::new(disk.clone());
    Spool::open(disk, &folder(), Options::default(), Arc::new(Instant::now)).unwrap().0
}

/// A loader over a spool with a segment of one report of three events, after `change` of the folder.
fn bench(change: impl FnOnce(&FaultyFilesystem, &Path)) -> Bench {
    let disk = FaultyFilesystem::default();
    let spool = open(&disk);
    let answer = Answer { accepted: 3, refused: Vec::new() };
    let lines = Lines::of_duplicate("kz.one", Day(20_000), 3);
    let record = record::write(&[], &[], lines.bytes(), Some((Fingerprint([1; 16]), &answer)), 0);
    spool.append_blocking(record).unwrap();
    spool.close();
    let id = spool.sealed()[0];
    change(&disk, &folder().join(format!("{id}.segment")));
    let seen = Seen::open(Arc::new(disk.clone()), Path::new("/seen"), 10, NOW).unwrap();
    let taken = Arc::<Mutex<Vec<String>>>::default();
    let tokens = taken.clone();
    let store = Inserting(move |token: &str| {
        tokens.lock().unwrap().push(token.to_owned());
        Ok(())
    });
    let clock = Arc::new(ManualClock::at(NOW));
    let loader = Loader::new(open(&disk), Arc::new(store), Arc::new(seen), Arc::default(), clock).unwrap();
    Bench { disk, taken, loader, id }
}

#[test]
fn a_segment_whose_removal_fails_half_way_is_loaded_once_and_goes() {
    let Bench { disk, taken, loader, id } = bench(|_, _| ());
    // Its answers are appended, synced, and their new file in the folder; it is removed, and the folder not synced.
    disk.plan(5, Fault::Error { partial: 0 });
    assert!(matches!(loader.load(id), Err(LoadError::Remove(_))));
    assert!(!disk.paths().contains(&folder().join(format!("{id}.segment"))), "the control: it is removed");
    assert_eq!(loader.spool.sealed(), [id]);
    assert_eq!(loader.flight.total(), Sums::default(), "it is in the store");
    loader.load(id).unwrap();
    assert_eq!((loader.spool.sealed(), taken.lock().unwrap().len()), (vec![], 1));
    assert!(loader.in_store().is_empty());
}

#[test]
fn what_is_lost_is_booked_once_although_its_removal_fails() {
    let Bench { disk, taken, loader, id } = bench(|_, _| ());
    loader.spool.set_aside(id).unwrap();
    disk.plan(0, Fault::Error { partial: 0 });
    assert!(matches!(loader.discard_aside(), Err(LoadError::Remove(_))));
    assert_eq!(loader.flight.total(), Sums::default());
    loader.discard_aside().unwrap();
    assert_eq!((taken.lock().unwrap().len(), loader.spool.depth().aside), (1, 0));
    assert!(loader.in_store().is_empty());
}

#[test]
fn a_segment_that_is_copied_back_and_not_moved_is_loaded_and_not_lost() {
    let Bench { taken, loader, id, .. } = bench(|disk, path| {
        let bytes = disk.read(path).unwrap();
        disk.create(&path.with_extension("segment.aside")).unwrap().append(&bytes).unwrap();
    });
    assert_eq!((loader.flight.total().received, loader.spool.depth().aside), (3, 1));
    loader.load(id).unwrap();
    assert_eq!(*taken.lock().unwrap(), [format!("{}-ledger", loader.spool.token(id))]);
    loader.discard_aside().unwrap();
    assert_eq!((taken.lock().unwrap().len(), loader.spool.depth().aside), (1, 0));
    assert_eq!(loader.flight.total(), Sums::default());
}
