//! `POST /v1/collect`.

use std::io::Write;

use serde_json::json;

use crate::harness::{APP, DAY_MS, NOW_MS, Setup, TestApp, at, report};

#[actix_web::test]
async fn a_202_means_that_the_rows_are_on_disk() {
    let app = TestApp::start().await;
    let answer = app.collect(report().times(3)).await;
    assert_eq!((answer.status, answer.text.as_str()), (202, r#"{"accepted":3,"refused":[]}"#));
    assert_eq!(app.app.spool.depth().records, 1);
    app.drain().await;
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM usage_open"), 3);
    assert_eq!(app.rows("SELECT cell, n FROM places_open"), [json!({ "cell": "v94fc", "n": 3 })]);
    assert_eq!(app.app.spool.depth().records, 0);
}

#[actix_web::test]
async fn one_bad_event_never_costs_the_others() {
    let app = TestApp::start().await;
    let good = json!({ "name": "app_open", "at": at(NOW_MS) });
    let events = json!([
        good,
        { "name": "unheard_of", "at": at(NOW_MS) },
        5,
        { "name": "app_open", "at": "yesterday" },
        { "name": "app_open", "at": at(NOW_MS - 8 * DAY_MS) },
        { "name": "app_open", "at": at(NOW_MS + DAY_MS) },
        good,
    ]);
    let answer = app.collect(report().with("/events", events)).await;
    assert_eq!(answer.json()["accepted"], 2);
    let reasons = ["unknown_event", "malformed_event", "invalid_time", "too_old", "from_the_future"];
    assert_eq!(answer.refusals(), reasons);
    app.drain().await;
    assert_eq!((app.booked("received"), app.booked("stored")), (7, 2));
    for reason in reasons {
        assert_eq!(app.booked(&format!("refused:{reason}")), 1, "{reason}");
    }
}

#[actix_web::test]
async fn a_report_that_comes_again_gets_its_first_answer_and_counts_once() {
    let app = TestApp::start().await;
    let report = report().with("/events", json!([{ "name": "app_open", "at": at(NOW_MS) }, 5]));
    let first = app.collect(report.clone()).await;
    let second = app.collect(report.clone()).await;
    assert_eq!((second.status, &second.text), (202, &first.text));
    // Also after a restart, and as long as 47 hours later.
    let app = app.stop().await.start().await;
    app.clock.advance(47 * 3_600_000);
    let third = app.collect(report).await;
    assert_eq!((third.status, &third.text), (202, &first.text));
    app.drain().await;
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM usage_open"), 1);
    assert_eq!((app.booked("received"), app.booked("stored"), app.booked("duplicate")), (6, 1, 4));
}

#[actix_web::test]
async fn uploads_of_one_report_at_the_same_time_are_one() {
    let app = TestApp::start().await;
    let report = report().times(2);
    let uploads = (0..8).map(|_| app.collect(report.clone()));
    for answer in futures_util::future::join_all(uploads).await {
        assert_eq!((answer.status, answer.text.as_str()), (202, r#"{"accepted":2,"refused":[]}"#));
    }
    app.drain().await;
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM usage_open"), 2);
}

#[actix_web::test]
async fn compressed_bodies_are_taken() {
    let app = TestApp::start().await;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(report().json().as_bytes()).unwrap();
    let answer = app.post(gzip.finish().unwrap(), &[("Content-Encoding", "gzip")]).await;
    assert_eq!(answer.status, 202);
    let zstd = zstd::bulk::compress(report().json().as_bytes(), 3).unwrap();
    let answer = app.post(zstd, &[("Content-Encoding", "zstd")]).await;
    assert_eq!(answer.status, 202);
}

#[actix_web::test]
async fn bad_input_of_each_kind_gets_its_code_and_no_echo() {
    const SECRET: &str = "990101300123";
    let app = TestApp::start().await;
    let body = |report: crate::harness::Report| report.json().into_bytes();
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(100), "]".repeat(100)).into_bytes();
    let bomb = zstd::bulk::compress(&vec![b' '; 20 << 20], 3).unwrap();
    type Case = (Vec<u8>, &'static [(&'static str, &'static str)], u16, &'static str);
    let cases: Vec<Case> = vec![
        (format!("{{\"iin\": {SECRET}").into_bytes(), &[], 400, "malformed_json"),
        (vec![0xff, 0xfe], &[], 400, "malformed_json"),
        (deep, &[], 400, "json_too_deep"),
        (b"[]".to_vec(), &[], 422, "invalid_report"),
        (body(report()), &[("Content-Encoding", "gzip")], 400, "bad_encoding"),
        (body(report()), &[("Content-Encoding", "br")], 415, "unsupported_encoding"),
        (body(report()), &[("Content-Type", "text/plain")], 415, "unsupported_media_type"),
        (body(report()), &[("Content-Type", "")], 415, "unsupported_media_type"),
        (body(report()), &[("Authorization", "")], 401, "unauthorized"),
        (body(report()), &[("Authorization", "Bearer tka_00")], 401, "unauthorized"),
        (body(report()), &[("Authorization", "Basic dGthXzAw")], 401, "unauthorized"),
        (vec![b' '; (1 << 20) + 1], &[], 413, "body_too_large"),
        (bomb, &[("Content-Encoding", "zstd")], 413, "decompressed_too_large"),
        (body(report().times(501)), &[], 413, "too_many_events"),
        (body(report().without("sent_at")), &[], 422, "invalid_report"),
        (body(report().without("events")), &[], 422, "invalid_report"),
        (body(report().without("consent")), &[], 422, "invalid_report"),
        (body(report().without("report_id")), &[], 422, "invalid_report"),
        (body(report().with("/report_id", json!(SECRET))), &[], 422, "invalid_report"),
        (body(report().with("/sent_at", json!(SECRET))), &[], 422, "invalid_report"),
        (body(report().with("/consent/usage", json!(SECRET))), &[], 422, "invalid_report"),
        (body(report().with("/device/ids/0/kind", json!(SECRET))), &[], 422, "invalid_report"),
        (body(report().with("/device/ids/0/value", json!(SECRET))), &[], 422, "invalid_identifier"),
    ];
    for (body, headers, status, code) in cases {
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        let answer = app.post(body, headers).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{shown}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert!(!answer.text.contains(SECRET), "{}", answer.text);
    }
    app.drain().await;
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM usage_open"), 0);
    // The collector is unharmed.
    assert_eq!(app.collect(report()).await.status, 202);
}

#[actix_web::test]
async fn a_wrong_path_or_method_says_so() {
    let app = TestApp::start().await;
    let answer = app.get("/v1/collect", &[]).await;
    assert_eq!(
        (answer.status, answer.code().as_str(), answer.header("allow")),
        (405, "method_not_allowed", Some("POST"))
    );
    let answer = app.get("/imei/490154203237518", &[]).await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"));
    assert!(!answer.text.contains("490154203237518"));
    assert_eq!(app.get("/v1/stats/activity", &[]).await.header("www-authenticate"), Some("Bearer"));
}

#[actix_web::test]
async fn an_app_without_a_catalogue_is_told() {
    let mut setup = Setup::new();
    setup.app = "kz.unknown.app".into();
    let app = setup.start().await;
    let answer = app.collect(report()).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"));
}

#[actix_web::test]
async fn a_full_spool_answers_503_and_takes_reports_again_when_it_has_room() {
    let mut setup = Setup::new();
    setup.config.spool.segment = tuman::config::ByteSize::mib(1);
    setup.config.spool.limit = tuman::config::ByteSize::mib(1);
    setup.config.spool.segment_age = tuman::config::Interval::hours(1);
    let app = setup.start().await;
    let mut answer = app.collect(report().times(500)).await;
    for _ in 0..200 {
        if answer.status != 202 {
            break;
        }
        answer = app.collect(report().times(500)).await;
    }
    assert_eq!((answer.status, answer.code().as_str()), (503, "spool_full"));
    assert!(answer.header("retry-after").is_some());
    app.drain().await;
    assert_eq!(app.collect(report()).await.status, 202);
}

#[actix_web::test]
async fn unknown_fields_break_nothing_and_are_counted() {
    let app = TestApp::start().await;
    let body = report().json().replacen('{', r#"{"new_in_sdk_9":{"a":[1]},"#, 1);
    assert_eq!(app.post(body.into_bytes(), &[]).await.status, 202);
    app.drain().await;
    assert_eq!(app.booked("note:unknown_field"), 1);
    assert_eq!(app.number(&format!("SELECT sum(n) AS n FROM ledger WHERE app = '{APP}' AND outcome = 'stored'")), 1);
}
