//! Answers of a collector that runs, against the schemas of `openapi.yaml`.

use serde_json::json;

use super::openapi::OpenApi;
use crate::harness::{NOW_MS, Report, Setup, TestApp, at, report};
use crate::http::stats::with_a_sealed_day;
use crate::withdrawal::withdraw;

/// A body, headers that stand over the usual ones, and the code of the problem; none where it is taken.
type Case = (Vec<u8>, Vec<(&'static str, &'static str)>, &'static str);

const EVERY_QUESTION: [&str; 15] = [
    "activity?period=yesterday",
    "activity?period=yesterday&breakdown=platform",
    "activity?period=yesterday&breakdown=version",
    "activity?period=yesterday&breakdown=platform,version",
    "activity?period=2026-10-05..2026-10-05&interval=week",
    "activity?period=2026-10-01..2026-10-31&interval=month",
    "events?period=yesterday",
    "places?period=yesterday&precision=3",
    "places?period=yesterday",
    "places?period=yesterday&precision=5",
    "places.geojson?period=yesterday",
    "places.geojson?period=yesterday&precision=5",
    "releases/active_devices?period=yesterday",
    "releases/active_devices?period=yesterday&breakdown=none",
    "releases/event_totals?period=yesterday",
];

#[actix_web::test]
async fn answers_to_reports_are_as_documented() {
    let document = OpenApi::read();
    let app = TestApp::start().await;
    let body = |report: Report| report.json().into_bytes();
    let some = json!([{ "name": "unheard_of", "at": at(NOW_MS) }, 5, { "name": "app_open", "at": at(NOW_MS) }]);
    let deep = [b"{\"x\":".to_vec(), vec![b'['; 64], vec![b']'; 64], b"}".to_vec()].concat();
    let bomb = zstd::bulk::compress(&vec![b' '; (8 << 20) + 1], 1).unwrap();
    let cases: Vec<Case> = vec![
        (body(report()), vec![], ""),
        (body(report().with("/events", some)), vec![], ""),
        (body(report()), vec![("Sec-GPC", "1")], ""),
        (b"{".to_vec(), vec![], "malformed_json"),
        (deep, vec![], "json_too_deep"),
        (b"{}".to_vec(), vec![("Content-Encoding", "gzip")], "bad_encoding"),
        (body(report()), vec![("Authorization", "")], "unauthorized"),
        (vec![b' '; (1 << 20) + 1], vec![], "body_too_large"),
        (bomb, vec![("Content-Encoding", "zstd")], "decompressed_too_large"),
        (body(report().times(501)), vec![], "too_many_events"),
        (body(report()), vec![("Content-Type", "text/plain")], "unsupported_media_type"),
        (body(report()), vec![("Content-Encoding", "br")], "unsupported_encoding"),
        (b"[]".to_vec(), vec![], "invalid_report"),
        (body(report().without("sent_at")), vec![], "invalid_report"),
        (body(report().with("/device/ids/0/value", json!("no"))), vec![], "invalid_identifier"),
    ];
    for (body, headers, code) in cases {
        let answer = app.post(body.clone(), &headers).await;
        assert_eq!(answer.code(), code);
        document.check("POST", "/v1/collect", &answer);
        let answer = app.post_to("/v1/collect/preview", body, &headers).await;
        document.check("POST", "/v1/collect/preview", &answer);
    }
    let mut setup = Setup::new();
    setup.app = "kz.unknown.app".into();
    let answer = setup.start().await.collect(report()).await;
    assert_eq!(answer.code(), "forbidden");
    document.check("POST", "/v1/collect", &answer);
}

/// The documented path of one that is asked.
fn documented(path: &str) -> &str {
    if path.starts_with("/v1/stats/releases/") { "/v1/stats/releases/{name}" } else { path }
}

#[actix_web::test]
async fn answers_to_questions_are_as_documented() {
    let document = OpenApi::read();
    for (app, is_sealed) in [(with_a_sealed_day().await, true), (TestApp::start().await, false)] {
        for question in EVERY_QUESTION {
            let path = format!("/v1/stats/{}", question.split('?').next().unwrap());
            let answer = app.stats(question).await;
            assert_eq!(answer.status, 200, "{question}");
            let documented = documented(&path);
            document.check("GET", documented, &answer);
            let answer = answer.json();
            let lists = ["series", "events", "cells", "features", "values"];
            let is_filled = lists.into_iter().any(|list| answer[list][0].is_object());
            // No schema of items is tried on an empty list. No phone says that it is its first day of the month, so
            // that months hold nothing but noise: over the threshold now and then.
            if !question.contains("month") {
                assert_eq!(is_filled, is_sealed, "{question}: {answer}");
            }
            assert_eq!(answer["releases"][0].is_object(), is_sealed, "{question}");
            let (analyst, operator) =
                (format!("Bearer {}", app.analyst_token), format!("Bearer {}", app.operator_token));
            let geojson = [("Authorization", analyst.as_str()), ("Accept", "application/geo+json")];
            document.check("GET", documented, &app.get(&format!("/v1/stats/{question}"), &geojson).await);
            // An app that there is not, or not for this token, is a parameter like another.
            let other = format!("{path}?app=kz.other.app");
            let answer = app.get(&other, &[("Authorization", &analyst)]).await;
            assert_eq!(answer.json()["problems"][0], json!({ "parameter": "app", "detail": "kz.test.app" }));
            document.check("GET", documented, &answer);
            let refused = app.get(&path, &[("Authorization", &operator)]).await;
            assert_eq!(refused.status, 401);
            document.check("GET", documented, &refused);
        }
    }
}

#[actix_web::test]
async fn the_ledger_and_the_rest_are_as_documented() {
    let document = OpenApi::read();
    let app = TestApp::start().await;
    let operator = format!("Bearer {}", app.operator_token);
    app.collect(report().times(3).with("/events/1", json!(5)).with("/device/ids", json!([]))).await;
    app.drain().await;
    for query in ["", "?period=2026-10-05..2026-10-05", "?app=kz.other.app", "?colour=red"] {
        document.check(
            "GET",
            "/v1/ledger",
            &app.get(&format!("/v1/ledger{query}"), &[("Authorization", &operator)]).await,
        );
    }
    document.check("GET", "/v1/ledger", &app.get("/v1/ledger", &[]).await);
    let account = app.get("/v1/ledger?period=2026-10-05..2026-10-05", &[("Authorization", &operator)]).await.json();
    assert_eq!(account["days"][0]["refused"], json!({ "malformed_event": 1 }));

    let session = format!("{}/v1/session", app.url);
    let json = [("Content-Type", "application/json")];
    for (token, headers) in
        [(app.analyst_token.as_str(), &json[..]), ("wrong", &json), (&"x".repeat(5_000), &json), ("", &[])]
    {
        let body = json!({ "token": token }).to_string().into_bytes();
        document.check("POST", "/v1/session", &app.send("POST", &session, headers, body).await);
    }
    document.check("GET", "/v1/session", &app.get("/v1/session", &[]).await);

    document.check("GET", "/", &app.get("/", &[]).await);
    document.check("GET", "/assets/{name}", &app.get("/assets/none.js", &[]).await);
    for (path, token) in [
        ("/v1/catalogue", &app.analyst_token),
        ("/v1/catalogue", &app.officer_token),
        ("/v1/keys", &app.officer_token),
        ("/v1/audit", &app.officer_token),
    ] {
        let answer = app.get(path, &[("Authorization", &format!("Bearer {token}"))]).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        document.check("GET", path, &answer);
        let refused = app.get(path, &[("Authorization", &operator)]).await;
        assert_eq!(refused.status, 401, "{path}");
        document.check("GET", path, &refused);
    }
    document.check("GET", "/privacy", &app.get("/privacy", &[]).await);
    document.check("GET", "/page.css", &app.get("/page.css", &[]).await);
    for path in ["/healthz", "/readyz", "/metrics"] {
        let answer = app.send("GET", &format!("{}{path}", app.internal_url), &[], Vec::new()).await;
        document.check("GET", path, &answer);
    }
}

#[actix_web::test]
async fn answers_to_withdrawals_are_as_documented() {
    let document = OpenApi::read();
    let app = TestApp::start().await;
    app.collect(report()).await;
    let ids = json!([{ "kind": "imei", "value": "49-015420-323751-8" }]);
    for (body, code) in [
        (json!({ "case": "W-1", "ids": ids }), ""),
        (json!({ "case": "W-1", "ids": ids }), ""),
        (json!({ "case": "W-1", "ids": ids, "received": "2026-10-01" }), "case_conflict"),
        (json!({ "case": "W 1", "ids": ids }), "invalid_withdrawal"),
        (json!({ "case": "W-2", "ids": [] }), "invalid_withdrawal"),
        (json!({ "case": "W-2", "ids": ids, "app": "kz.other.app" }), "invalid_withdrawal"),
        (json!({ "case": "W-2", "ids": ids, "received": "2027-10-01" }), "invalid_withdrawal"),
        (json!({ "case": "W-2", "ids": ids, "more": 1 }), "invalid_withdrawal"),
    ] {
        let answer = withdraw(&app, body).await;
        assert_eq!(answer.code(), code, "{}", answer.text);
        document.check("POST", "/v1/withdrawals", &answer);
    }
    let url = format!("{}/v1/withdrawals", app.url);
    let bearer = format!("Bearer {}", app.officer_token);
    let json = ("Content-Type", "application/json");
    for (headers, body, code) in [
        (vec![json], b"{}".to_vec(), "unauthorized"),
        (vec![("Authorization", bearer.as_str())], b"{}".to_vec(), "unsupported_media_type"),
        (vec![("Authorization", bearer.as_str()), json], b"{".to_vec(), "malformed_json"),
        (vec![("Authorization", bearer.as_str()), json], vec![b' '; 70_000], "body_too_large"),
    ] {
        let answer = app.send("POST", &url, &headers, body).await;
        assert_eq!(answer.code(), code);
        document.check("POST", "/v1/withdrawals", &answer);
    }
    // A suppressed event is in the ledger, whose schema knows the word.
    app.collect(report()).await;
    app.drain().await;
    let operator = format!("Bearer {}", app.operator_token);
    let ledger = app.get("/v1/ledger?period=2026-10-05..2026-10-05", &[("Authorization", &operator)]).await;
    assert_eq!(ledger.json()["days"][0]["refused"], json!({ "suppressed": 1 }));
    document.check("GET", "/v1/ledger", &ledger);
}

#[actix_web::test]
async fn what_is_open_where_the_page_is_public_is_as_documented() {
    let document = OpenApi::read();
    let mut setup = Setup::new();
    setup.config.page.public = true;
    let app = setup.start().await;
    for operation in
        document.operations().iter().filter(|operation| operation.method == "GET" && !operation.is_internal)
    {
        let answer = app.get(&operation.url(), &[]).await;
        document.check("GET", operation.path, &answer);
        let is_open = operation.value["security"].as_array().unwrap().contains(&json!({}));
        // There is no file of the name that stands in for all names.
        let expected = if operation.path == "/assets/{name}" { 404 } else { 200 };
        assert_eq!(answer.status, if is_open { expected } else { 401 }, "{}", operation.path);
    }
}

#[actix_web::test]
async fn other_methods_are_answered_as_documented() {
    let document = OpenApi::read();
    let app = TestApp::start().await;
    for operation in document.operations() {
        let url = format!("{}{}", if operation.is_internal { &app.internal_url } else { &app.url }, operation.url());
        let answer = app.send("PATCH", &url, &[], Vec::new()).await;
        document.check(&operation.method, operation.path, &answer);
    }
}
