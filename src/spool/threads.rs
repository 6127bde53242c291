//! Claims of the whole spool, with its thread and on real files.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::*;

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
            while let Some(id) = spool.next_sealed(|id| id > last).await {
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
async fn a_lone_record_is_offered_by_age_alone() {
    let home = tempfile::tempdir().unwrap();
    let options = Options { segment_age: Duration::from_millis(1), ..Options::default() };
    let (spool, _) = real(home.path(), options);
    spool.append(b"a".to_vec()).await.unwrap();
    let id = spool.next_sealed(|_| true).await.expect("the spool is open");
    assert_eq!(spool.read(id).unwrap().records().collect::<Vec<_>>(), [b"a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_covers_all_that_was_appended_before() {
    let home = tempfile::tempdir().unwrap();
    let (spool, _) = real(home.path(), Options::default());
    for record in [b"a", b"b"] {
        spool.append(record.to_vec()).await.unwrap();
    }
    let id = spool.rotate().await.unwrap();
    assert_eq!(spool.next_sealed(|_| true).await, Some(id));
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
