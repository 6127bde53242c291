//! Too much, too fast, too slow: what is refused, how, and that the rest is unharmed.

mod ledger;
mod sockets;
mod stop;

use std::io::Write;

use tuman::config::ByteSize;

use crate::harness::{Answer, Setup, TestApp, report};

/// Posts a report as a client behind a trusted proxy would.
async fn from(app: &TestApp, address: &str) -> Answer {
    app.post(report().json().into_bytes(), &[("X-Forwarded-For", address)]).await
}

#[actix_web::test]
async fn an_address_that_sends_too_much_is_told_when_to_come_again_and_others_are_not() {
    let mut setup = Setup::new();
    setup.config.limits.address_rate = 1;
    setup.config.limits.address_burst = 3;
    let app = setup.start().await;
    for _ in 0..3 {
        assert_eq!(from(&app, "203.0.113.7").await.status, 202);
    }
    let refused = from(&app, "198.51.100.1, 203.0.113.7").await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "rate_limited"));
    assert!((1..=3).contains(&refused.header("retry-after").unwrap().parse::<u64>().unwrap()));
    assert_eq!(refused.header("x-content-type-options"), Some("nosniff"));
    // Every path counts.
    assert_eq!(app.get("/privacy", &[("X-Forwarded-For", "203.0.113.7")]).await.status, 429);
    assert_eq!(from(&app, "203.0.113.8").await.status, 202);
    // A proxy that names nobody is not a client.
    for _ in 0..10 {
        assert_eq!(app.collect(report()).await.status, 202);
    }
    app.clock.advance(1_000);
    assert_eq!(from(&app, "203.0.113.7").await.status, 202);
}

#[actix_web::test]
async fn who_guesses_keys_is_slowed_and_who_has_one_is_not() {
    let mut setup = Setup::new();
    setup.config.limits.failure_rate = 1;
    setup.config.limits.failure_burst = 2;
    let app = setup.start().await;
    let guess = || {
        app.post(
            report().json().into_bytes(),
            &[("Authorization", "Bearer tka_00"), ("X-Forwarded-For", "2001:db8::1")],
        )
    };
    assert_eq!((guess().await.status, guess().await.status), (401, 401));
    let refused = guess().await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "rate_limited"));
    assert_eq!(from(&app, "2001:db8::1").await.status, 202);
    app.clock.advance(1_000);
    assert_eq!(guess().await.status, 401);
}

#[actix_web::test]
async fn a_key_has_its_rate() {
    let mut setup = Setup::new();
    setup.config.limits.key_rate = 1;
    setup.config.limits.key_burst = 2;
    let app = setup.start().await;
    let mut codes = Vec::new();
    for _ in 0..3 {
        codes.push(app.collect(report()).await.status);
    }
    assert_eq!(codes, [202, 202, 429]);
    // The limit is of reports: what else the app asks for is not counted.
    assert_eq!(app.get("/privacy", &[]).await.status, 200);
    app.clock.advance(2_000);
    assert_eq!(app.collect(report()).await.status, 202);
}

#[actix_web::test]
async fn several_bombs_at_a_time_stop_at_the_cap_and_leave_no_memory_taken() {
    let mut setup = Setup::new();
    setup.config.limits.bodies = ByteSize::mib(20);
    let app = setup.start().await;
    let zeros = vec![0; 9 << 20];
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&zeros).unwrap();
    let gzip = encoder.finish().unwrap();
    let mut tail = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    tail.write_all(b"{}").unwrap();
    // The last member's trailer says two bytes.
    let members = [gzip.clone(), tail.finish().unwrap()].concat();
    let sized = zstd::bulk::compress(&zeros, 1).unwrap();
    let stream = zstd::stream::encode_all(zeros.as_slice(), 1).unwrap();
    let bodies = [(gzip, "gzip"), (members, "gzip"), (sized, "zstd"), (stream, "zstd")];
    let posts = bodies.iter().cycle().take(32).map(|(body, encoding)| {
        let headers = [("Content-Encoding", *encoding)];
        let (app, body) = (&app, body.clone());
        async move { app.post(body, &headers).await.code() }
    });
    for code in futures_util::future::join_all(posts).await {
        assert_eq!(code, "decompressed_too_large");
    }
    assert_eq!(app.app.admission.bodies.taken(), 0);
    assert_eq!(app.app.admission.in_flight(), 0);
    assert_eq!(app.collect(report()).await.status, 202);
}

#[actix_web::test]
async fn without_room_for_a_body_it_is_refused_before_it_is_read() {
    let app = TestApp::start().await;
    let all = app.app.admission.bodies.room(64 << 20).unwrap();
    let refused = app.collect(report()).await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "rate_limited"));
    drop(all);
    assert_eq!(app.collect(report()).await.status, 202);
}
