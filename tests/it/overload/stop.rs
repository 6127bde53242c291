//! Stopping takes the time that it may take, whatever hangs.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use tuman::config::Interval;
use tuman::store::{Description, Device, Found, Statement, Store, StoreError, Table};

use crate::harness::{Child, Setup, report, stored};

/// A store that takes an insert and never answers, until it is let go.
struct Hanging {
    store: Arc<dyn Store>,
    gate: Arc<(Mutex<bool>, Condvar)>,
}

impl Store for Hanging {
    fn execute(&self, statement: &Statement) -> Result<(), StoreError> {
        self.store.execute(statement)
    }

    fn select(&self, statement: &Statement) -> Result<Vec<u8>, StoreError> {
        self.store.select(statement)
    }

    fn insert(&self, table: Table, token: &str, rows: &[u8]) -> Result<(), StoreError> {
        let (open, opened) = &*self.gate;
        drop(opened.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
        self.store.insert(table, token, rows)
    }

    fn drop_day(&self, day: u16) -> Result<(), StoreError> {
        self.store.drop_day(day)
    }

    fn find(&self, table: Table, devices: &[Device]) -> Result<Vec<Found>, StoreError> {
        self.store.find(table, devices)
    }

    fn erase(&self, table: Table, devices: &[Device]) -> Result<(), StoreError> {
        self.store.erase(table, devices)
    }

    fn describe(&self) -> Result<Description, StoreError> {
        self.store.describe()
    }
}

/// Lets the store go at the end of a test, however it ends: the runtime waits for its threads.
struct Opened(Arc<(Mutex<bool>, Condvar)>);

impl Drop for Opened {
    fn drop(&mut self) {
        let (open, opened) = &*self.0;
        *open.lock().unwrap() = true;
        opened.notify_all();
    }
}

#[actix_web::test]
async fn a_store_that_hangs_does_not_keep_the_collector_from_stopping() {
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let _opened = Opened(gate.clone());
    let mut setup = Setup::new().store(|store| Arc::new(Hanging { store, gate: gate.clone() }));
    setup.config.server.stop_timeout = Interval::milliseconds(800);
    let app = setup.start().await;
    assert_eq!(app.collect(report().times(2)).await.status, 202);
    let data = app.data();
    let _folder = app.stop().await;
    // It is on disk, for the next start.
    let segments = crate::privacy::search::files(&data.join("spool"));
    assert!(segments.iter().any(|file| file.extension().is_some_and(|extension| extension == "segment")));
}

#[test]
fn a_client_that_never_ends_its_request_does_not_keep_the_process_alive() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let tokens = Child::init(folder);
    let file = folder.join("tuman.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace("workers = 2", "workers = 2\nstop_timeout = \"3s\"\nclient_timeout = \"24h\"");
    std::fs::write(&file, text).unwrap();
    let child = Child::serve(folder);
    let mut stream = TcpStream::connect(&child.public).unwrap();
    let head = format!(
        "POST /v1/collect HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{",
        tokens["app_key"].as_str().unwrap()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let key = tokens["app_key"].as_str().unwrap();
    let now_ms = tuman::clock::Clock::now_ms(&tuman::clock::SystemClock);
    // An answer to somebody else: the process has seen the first one by now, too.
    assert_eq!(crate::harness::post(&child.public, key, &report().sent(now_ms).json()), Some(202));
    assert_eq!(child.terminate(), Some(0));
}

#[test]
fn a_request_that_is_half_sent_when_the_signal_comes_is_answered_and_stored() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let tokens = Child::init(folder);
    let file = folder.join("tuman.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    // One worker: whoever is answered after the half came to it after the half.
    std::fs::write(&file, text.replace("workers = 2", "workers = 1\nstop_timeout = \"10min\"")).unwrap();
    let child = Child::serve(folder);
    let key = tokens["app_key"].as_str().unwrap();
    let now_ms = tuman::clock::Clock::now_ms(&tuman::clock::SystemClock);
    let body = report().times(3).sent(now_ms).json();
    let (first, rest) = body.split_at(body.len() / 2);
    let head = format!(
        "POST /v1/collect HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(&child.public).unwrap();
    write!(stream, "{head}{first}").unwrap();
    assert_eq!(crate::harness::post(&child.public, key, &report().of_phone(1).sent(now_ms).json()), Some(202));
    child.begin_to_stop(folder);
    // Nobody cuts it off meanwhile: for longer than what was accepted has until a worker begins with it.
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let nothing = stream.read(&mut [0]).unwrap_err().kind();
    assert!(matches!(nothing, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{nothing}");
    stream.set_read_timeout(None).unwrap();
    stream.write_all(rest.as_bytes()).unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(String::from_utf8_lossy(&start), "HTTP/1.1 202");
    drop(stream);
    assert_eq!(child.ended(), Some(0));
    assert_eq!(stored(folder), 4);
}
