//! Stopping takes the time that it may take, whatever hangs.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use tuman::config::Interval;

use crate::harness::{Child, Setup, report, stored};
use crate::trouble::store::{Mode, Troubled};

/// Lets the store go at the end of a test, however it ends: the runtime waits for its threads.
struct LetGo(Troubled);

impl Drop for LetGo {
    fn drop(&mut self) {
        self.0.set(Mode::Well);
    }
}

#[actix_web::test]
async fn a_store_that_hangs_does_not_keep_the_collector_from_stopping() {
    let troubled = Troubled::new();
    let _let_go = LetGo(troubled.clone());
    let mut setup = Setup::new().store(|store| troubled.over(store));
    setup.config.server.stop_timeout = Interval::milliseconds(800);
    let app = setup.start().await;
    troubled.set(Mode::Hangs);
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
