//! Clients that do not behave, on sockets of their own. A read's timeout is the pace at which they dribble.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use tuman::config::{ByteSize, Interval};

use crate::harness::{Setup, TestApp, report};

const PACE: Duration = Duration::from_millis(20);

/// A collector that is quickly impatient.
async fn impatient() -> TestApp {
    let mut setup = Setup::new();
    setup.config.server.client_timeout = Interval::milliseconds(900);
    setup.start().await
}

fn connect(app: &TestApp) -> TcpStream {
    let stream = TcpStream::connect(app.url.trim_start_matches("http://")).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn head(app: &TestApp, length: usize) -> String {
    format!(
        "POST /v1/collect HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n",
        app.app_key
    )
}

/// Sends a byte at a time for as long as nothing comes back; answers what came before the connection was closed.
fn dribble(mut stream: TcpStream, bytes: &[u8]) -> String {
    stream.set_read_timeout(Some(PACE)).unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 4_096];
    for byte in bytes {
        if stream.write_all(std::slice::from_ref(byte)).is_err() {
            break;
        }
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => answer.extend_from_slice(&buffer[..read]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

async fn elsewhere<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[actix_web::test]
async fn a_head_that_dribbles_is_cut() {
    let app = impatient().await;
    let stream = connect(&app);
    // Longer than anybody would wait for.
    let head = format!("POST /v1/collect HTTP/1.1\r\nX-Slow: {}\r\n\r\n", "x".repeat(20_000));
    let answer = elsewhere(move || dribble(stream, head.as_bytes())).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert_eq!(app.collect(report()).await.status, 202);
}

#[actix_web::test]
async fn a_body_that_dribbles_is_cut_and_its_memory_is_free_again() {
    let app = impatient().await;
    let (stream, head) = (connect(&app), head(&app, 20_000));
    let answer = elsewhere(move || {
        let mut stream = stream;
        stream.write_all(head.as_bytes()).unwrap();
        dribble(stream, &[b' '; 20_000])
    })
    .await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("request_timeout"), "{answer}");
    assert_eq!((app.app.admission.bodies.taken(), app.app.admission.in_flight()), (0, 0));
}

#[actix_web::test]
async fn a_body_that_stops_is_cut_long_before_its_whole_time() {
    let mut setup = Setup::new();
    // A third of it is the grace, in which one byte a second would do; the rest needs the rate.
    setup.config.server.client_timeout = Interval::milliseconds(1_200);
    setup.config.server.client_rate = ByteSize::mib(1);
    let app = setup.start().await;
    let (mut stream, head) = (connect(&app), head(&app, 1_000));
    let answer = elsewhere(move || {
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    })
    .await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[actix_web::test]
async fn a_full_spool_refuses_a_large_report_before_its_body() {
    let mut setup = Setup::new();
    setup.config.spool.segment = ByteSize::mib(1);
    setup.config.spool.limit = ByteSize::mib(1);
    let app = setup.start().await;
    while app.collect(report().times(500)).await.status == 202 {}
    let (mut stream, head) = (connect(&app), head(&app, 500_000));
    let answer = elsewhere(move || {
        stream.write_all(head.as_bytes()).unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).unwrap();
        String::from_utf8_lossy(&start).into_owned()
    })
    .await;
    assert_eq!(answer, "HTTP/1.1 503");
    app.drain().await;
    assert_eq!(app.collect(report()).await.status, 202);
}

#[actix_web::test]
async fn an_address_has_so_many_connections() {
    let mut setup = Setup::new();
    setup.config.server.trusted_proxies = Vec::new();
    setup.config.limits.address_connections = 3;
    let app = setup.start().await;
    let url = app.url.clone();
    elsewhere(move || {
        let address = url.trim_start_matches("http://").to_owned();
        // Whether the connection is kept: asks a question on it.
        let is_open = |stream: &mut TcpStream| {
            let mut start = [0; 12];
            stream.write_all(b"GET /page.css HTTP/1.1\r\nHost: t\r\n\r\n").is_ok()
                && stream.read_exact(&mut start).is_ok()
                && &start == b"HTTP/1.1 200"
        };
        let connect = || TcpStream::connect(&address).unwrap();
        let mut open: Vec<TcpStream> = (0..3).map(|_| connect()).collect();
        assert!(open.iter_mut().all(is_open));
        assert!(!is_open(&mut connect()));
        // When one is closed there is room for another; the server sees it in its own time.
        open.pop();
        while !is_open(&mut connect()) {}
    })
    .await;
}
