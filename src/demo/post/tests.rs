//! Claims about posting, against a small server on a free port.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use jiff::civil::date;
use tokio::sync::mpsc;

use super::*;

/// What the server saw of a request.
struct Seen {
    authorization: String,
    report_id: String,
    connection: Option<std::net::SocketAddr>,
}

/// A clock that goes on by five minutes each time it is asked.
fn hurrying_clock() -> impl Fn() -> Timestamp {
    let start: Timestamp = "2026-11-18T10:00:00+05:00".parse().unwrap();
    let asked = AtomicI64::new(0);
    move || start + jiff::SignedDuration::from_mins(5 * asked.fetch_add(1, Ordering::Relaxed))
}

fn unpack(encoding: Option<&str>, body: &[u8]) -> Vec<u8> {
    match encoding {
        None => body.to_vec(),
        Some("gzip") => {
            let mut plain = vec![0; 1 << 20];
            let length = libdeflater::Decompressor::new().gzip_decompress(body, &mut plain).unwrap();
            plain.truncate(length);
            plain
        }
        Some(_) => {
            let mut plain = Vec::new();
            zstd::Decoder::new(body).unwrap().take(1 << 20).read_to_end(&mut plain).unwrap();
            plain
        }
    }
}

/// Posts to a server that answers the first requests with the given statuses, until `reports` were seen.
async fn posted(first: &'static [u16], reports: usize) -> (Vec<Seen>, Counts) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let number = Arc::new(AtomicU64::new(0));
    let server = HttpServer::new(move || {
        let (sender, number) = (sender.clone(), number.clone());
        App::new().route(
            "/v1/collect",
            web::post().to(move |request: HttpRequest, body: Bytes| {
                let (sender, number) = (sender.clone(), number.clone());
                async move {
                    let text = |name| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
                    let plain = unpack(text("content-encoding").as_deref(), &body);
                    let report: serde_json::Value = serde_json::from_slice(&plain).unwrap();
                    let _ = sender.send(Seen {
                        authorization: text("authorization").unwrap(),
                        report_id: report["report_id"].as_str().unwrap().to_owned(),
                        connection: request.peer_addr(),
                    });
                    let index = number.fetch_add(1, Ordering::Relaxed) as usize;
                    match first.get(index) {
                        Some(status) => HttpResponse::build(StatusCode::from_u16(*status).unwrap())
                            .insert_header(("Retry-After", "0"))
                            .finish(),
                        None => {
                            HttpResponse::Accepted().body(r#"{"accepted":2,"refused":[{"event":1,"reason":"x"}]}"#)
                        }
                    }
                }
            }),
        )
    })
    .workers(1)
    .bind(("127.0.0.1", 0))
    .unwrap();
    let address = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    actix_web::rt::spawn(server);

    let zone = TimeZone::get("Asia/Almaty").unwrap();
    let mut target = Target::new(format!("http://{address}/v1/collect"), "secret", zone);
    target.every = Duration::from_millis(1);
    target.at_once = 2;
    let (stopper, stop) = watch::channel(false);
    let counts = Counts::default();
    let mut seen = Vec::new();
    let watching = async {
        while seen.len() < reports {
            seen.push(receiver.recv().await.unwrap());
        }
        stopper.send(true).unwrap();
    };
    let fleet = Fleet::new(9, 500, date(2026, 11, 1));
    futures_util::join!(run(fleet, target, hurrying_clock(), stop, &counts), watching);
    handle.stop(false).await;
    (seen, counts)
}

#[actix_web::test]
async fn posts_packed_reports_with_the_key_over_few_connections() {
    let (seen, counts) = posted(&[], 60).await;
    assert!(seen.iter().all(|seen| seen.authorization == "Bearer secret"));
    let connections: std::collections::HashSet<_> = seen.iter().map(|seen| seen.connection).collect();
    assert!(connections.len() <= 4, "{}", connections.len());
    let accepted = counts.accepted.load(Ordering::Relaxed);
    assert!(accepted >= 60);
    assert_eq!(counts.events_accepted.load(Ordering::Relaxed), 2 * accepted);
    assert_eq!(counts.events_refused.load(Ordering::Relaxed), accepted);
    assert_eq!(counts.failed.load(Ordering::Relaxed), 0);
}

#[actix_web::test]
async fn a_report_that_was_postponed_is_posted_again() {
    let (seen, counts) = posted(&[503, 429], 12).await;
    let accepted: Vec<_> = seen[2..].iter().map(|seen| &seen.report_id).collect();
    for postponed in &seen[..2] {
        assert!(accepted.contains(&&postponed.report_id));
    }
    assert_eq!(counts.failed.load(Ordering::Relaxed), 2);
    assert_eq!(counts.refused.load(Ordering::Relaxed), 0);
}

#[actix_web::test]
async fn a_report_that_was_refused_is_not_posted_again() {
    let (seen, counts) = posted(&[422, 401], 12).await;
    let later: Vec<_> = seen[2..].iter().map(|seen| &seen.report_id).collect();
    assert!(seen[..2].iter().all(|refused| !later.contains(&&refused.report_id)));
    assert_eq!(counts.refused.load(Ordering::Relaxed), 2);
}

#[actix_web::test]
async fn a_server_that_is_away_costs_no_report() {
    // A port that was free a moment ago, and that nobody listens on.
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let zone = TimeZone::get("Asia/Almaty").unwrap();
    let mut target = Target::new(format!("http://127.0.0.1:{port}/v1/collect"), "secret", zone);
    target.every = Duration::from_millis(1);
    let (stopper, stop) = watch::channel(false);
    let counts = Counts::default();
    let fleet = Fleet::new(9, 500, date(2026, 11, 1));
    let clock = hurrying_clock();
    let watched = || {
        if counts.failed.load(Ordering::Relaxed) > 0 {
            let _ = stopper.send(true);
        }
        clock()
    };
    run(fleet, target, watched, stop, &counts).await;
    assert_eq!(counts.accepted.load(Ordering::Relaxed), 0);
    assert_eq!(counts.dropped.load(Ordering::Relaxed), 0);
}

#[actix_web::test]
async fn pauses_grow_and_end_with_the_first_answer() {
    let mut pause = Pause::new();
    assert!(!pause.lasts());
    pause.begin(Some(Duration::from_secs(40)));
    assert!(pause.until >= Instant::now() + Duration::from_secs(39));
    let next = pause.next;
    pause.begin(None);
    assert_eq!(pause.next, next, "one failure was counted twice");
    pause.end();
    assert_eq!(pause.next, BACKOFF_FIRST);
}

#[test]
fn more_waits_than_may_wait_and_the_oldest_goes() {
    let fleet = Fleet::new(9, 6_000, date(2026, 11, 1));
    let zone = TimeZone::get("Asia/Almaty").unwrap();
    let counts = Counts::default();
    let mut waiting: VecDeque<_> = (0..4).flat_map(|day| fleet.plan(date(2026, 11, 10 + day), &zone)).collect();
    let (before, last) = (waiting.len(), waiting[waiting.len() - 1]);
    assert!(before > WAITING_MOST);
    drop_the_oldest(&mut waiting, &counts);
    assert_eq!(waiting.len(), WAITING_MOST);
    assert_eq!(waiting.back(), Some(&last));
    assert_eq!(counts.dropped.load(Ordering::Relaxed), (before - WAITING_MOST) as u64);
}
