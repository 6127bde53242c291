//! A real process, killed at any moment: every report answered 202 is stored once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tuman::clock::{Clock, SystemClock};

use crate::harness::{Child, log, on, post, report, stored};

/// How often the process is killed.
const KILLS: usize = 8;
const THREADS: u64 = 6;

#[test]
fn what_was_answered_202_is_stored_exactly_once_through_kills() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let tokens = Child::init(folder);
    let key = tokens["app_key"].as_str().unwrap().to_owned();
    let now_ms = SystemClock.now_ms();

    let mut child = Child::serve(folder);
    let address = Arc::new(Mutex::new(child.public.clone()));
    let stop = Arc::new(AtomicBool::new(false));
    let accepted = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..THREADS)
        .map(|client| {
            let (address, stop, accepted, key) = (address.clone(), stop.clone(), accepted.clone(), key.clone());
            std::thread::spawn(move || {
                let mut phone = client;
                while !stop.load(Ordering::SeqCst) {
                    phone += THREADS;
                    let upload = report().of_phone(phone).times(5).sent(now_ms).json();
                    // What got no answer is sent again, the same, until it gets one: as an SDK does.
                    loop {
                        let to = address.lock().unwrap().clone();
                        match post(&to, &key, &upload) {
                            Some(202) => break,
                            Some(503 | 429) | None => std::thread::yield_now(),
                            Some(other) => panic!("answered {other}"),
                        }
                    }
                    accepted.fetch_add(5, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for kill in 1..=KILLS {
        // Some work between kills; how much differs, so that they fall into every phase.
        let goal = accepted.load(Ordering::SeqCst) + 40 * kill;
        while accepted.load(Ordering::SeqCst) < goal {
            std::thread::yield_now();
        }
        child.kill();
        child = Child::serve(folder);
        *address.lock().unwrap() = child.public.clone();
    }
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.join().unwrap();
    }
    let accepted = accepted.load(Ordering::SeqCst);

    // The doctor holds rows against ledger; the ledger is held against what the clients counted.
    let doctor = on(folder, &["doctor", "--json"]);
    assert!(doctor.status.success(), "{}\n{}", String::from_utf8_lossy(&doctor.stdout), log(folder));
    assert_eq!(child.terminate(), Some(0));
    let findings: Vec<Value> = serde_json::from_slice(&doctor.stdout).unwrap();
    assert!(findings.iter().all(|finding| finding["well"] == true), "{findings:?}");
    assert_eq!(stored(folder), accepted, "{}", log(folder));
}
