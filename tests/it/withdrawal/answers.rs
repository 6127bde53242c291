//! A suppressed report is answered as an accepted one, and costs the same work.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{is_well, rows, withdraw, withdraw_imei};
use crate::harness::{Answer, NOW_MS, Report, Setup, TestApp, at, report};
use crate::seal::failing::FailingStore;

/// Status, headers, body; not the moment, and not the order of the headers, which the framework draws anew each time.
fn whole(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let mut headers: Vec<_> = answer.headers.iter().filter(|(name, _)| name != "date").cloned().collect();
    headers.sort();
    (answer.status, headers, answer.text.clone())
}

/// Reports of one device in all the ways in which they can be answered.
fn uploads() -> Vec<Report> {
    let mixed = json!([
        { "name": "screen_view", "at": at(NOW_MS - 60_000), "props": { "screen": "home" } },
        { "name": "unheard_of", "at": at(NOW_MS) },
        5,
        { "name": "app_open", "at": "yesterday" },
        { "name": "app_open", "at": at(NOW_MS - 9 * 86_400_000) },
        { "name": "app_open", "at": at(NOW_MS), "location": { "lat": 43.2, "lon": 76.9 } },
    ]);
    vec![
        report(),
        report().times(500),
        report().with("/events", mixed),
        report().with("/events", json!([])),
        report().with("/consent/usage", json!(false)),
        report().with("/consent/location", json!(false)),
        report().with("/consent/policy", json!("1999")),
        report().with("/device/ids/0/value", json!("no imei")),
        report().without("sent_at"),
    ]
}

#[actix_web::test]
async fn case_15_answers_to_a_suppressed_device_are_byte_for_byte_those_of_another() {
    let app = TestApp::start().await;
    assert_eq!(withdraw_imei(&app, "W-1").await.status, 200);
    for upload in uploads() {
        let other = upload.clone().with("/report_id", json!(Uuid::new_v4().to_string()));
        let other = if upload.json().contains("no imei") {
            other
        } else {
            other.with("/device/ids/0/value", json!("356938035643809"))
        };
        let (suppressed, accepted) = (app.collect(upload.clone()).await, app.collect(other).await);
        assert_eq!(whole(&suppressed), whole(&accepted));
        // A retry gets the first answer, as ever.
        assert_eq!(whole(&app.collect(upload).await), whole(&suppressed));
    }
    let gpc = |id: &str| report().with("/device/ids/0/value", json!(id)).json().into_bytes();
    assert_eq!(
        whole(&app.post(gpc("490154203237518"), &[("Sec-GPC", "1")]).await),
        whole(&app.post(gpc("356938035643809"), &[("Sec-GPC", "1")]).await)
    );
    app.drain().await;
    assert_eq!(app.number("SELECT toInt64(uniqExact(token)) AS n FROM usage_open"), 1, "the other device's alone");
    assert!(app.booked("refused:suppressed") > 500);
    is_well(&app).await;
}

#[actix_web::test]
async fn the_ledger_alone_knows_the_reason() {
    let app = TestApp::start().await;
    withdraw_imei(&app, "W-1").await;
    let some = json!([{ "name": "app_open", "at": at(NOW_MS) }, { "name": "unheard_of", "at": at(NOW_MS) }]);
    let answer = app.collect(report().with("/events", some)).await;
    assert_eq!(answer.text, r#"{"accepted":1,"refused":[{"event":1,"reason":"unknown_event"}]}"#);
    app.drain().await;
    let operator = format!("Bearer {}", app.operator_token);
    let account = app.get("/v1/ledger?period=2026-10-05..2026-10-05", &[("Authorization", &operator)]).await.json();
    let day = &account["days"][0];
    assert_eq!((&day["received"], &day["stored"]), (&json!(2), &json!(0)));
    assert_eq!(day["refused"], json!({ "suppressed": 1, "unknown_event": 1 }));
    assert_eq!(day["notes"], json!({}));
}

/// A clock would measure the machine. What the work consists of is the same by construction but for the record, and
/// writing and syncing it is most of an answer's time: so its size must be the same, for any report.
#[actix_web::test]
async fn a_suppressed_report_leaves_a_record_of_the_same_size() {
    let failing = FailingStore::new();
    let app = Setup::new().store(|store| failing.over(store)).start().await;
    withdraw_imei(&app, "W-1").await;
    failing.fail_after(0);
    let mut sizes: Vec<[usize; 2]> = Vec::new();
    for upload in uploads().into_iter().take(7) {
        for imei in ["490154203237518", "356938035643809"] {
            let id = json!(Uuid::new_v4().to_string());
            let upload = upload.clone().with("/report_id", id).with("/device/ids/0/value", json!(imei));
            assert_eq!(app.collect(upload).await.status, 202);
        }
    }
    let segment = app.app.spool.rotate().await.unwrap();
    let segment = app.app.spool.read(segment).unwrap();
    let records: Vec<&[u8]> = segment.records().collect();
    for pair in records.chunks(2) {
        sizes.push([pair[0].len(), pair[1].len()]);
        let (suppressed, accepted) = (tuman::record::read(pair[0]).unwrap(), tuman::record::read(pair[1]).unwrap());
        assert!(suppressed.usage.is_empty() && suppressed.places.is_empty());
        assert_eq!(suppressed.answered.unwrap().1, accepted.answered.unwrap().1);
    }
    assert_eq!(sizes.len(), 7);
    assert!(sizes.iter().all(|[suppressed, accepted]| suppressed == accepted), "{sizes:?}");
    assert!(sizes.iter().any(|[size, _]| *size > 10_000) && sizes.iter().any(|[size, _]| *size < 300), "{sizes:?}");
    failing.heal();
}

#[actix_web::test]
async fn a_restart_keeps_the_list() {
    let app = TestApp::start().await;
    withdraw_imei(&app, "W-1").await;
    let app = app.stop().await.start().await;
    assert_eq!(app.collect(report()).await.json()["accepted"], 1);
    app.drain().await;
    assert_eq!((rows(&app), app.booked("refused:suppressed")), ((0, 0), 1));
}

#[actix_web::test]
async fn whoever_is_no_officer_is_refused_as_everywhere() {
    let app = TestApp::start().await;
    app.collect(report()).await;
    let body = json!({ "case": "W-1", "ids": [{ "kind": "imei", "value": "490154203237518" }] }).to_string();
    let mut texts = Vec::new();
    for token in [&app.app_key, &app.analyst_token, &app.operator_token, &"tkf_0".to_owned()] {
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        let url = format!("{}/v1/withdrawals", app.url);
        let answer = app.send("POST", &url, &headers, body.clone().into_bytes()).await;
        assert_eq!(answer.status, 401);
        texts.push(answer.text);
    }
    texts.dedup();
    assert_eq!(texts.len(), 1);
    app.drain().await;
    assert_eq!((rows(&app), app.app.withdrawals.tags()), ((1, 1), 0));
    // An officer's token, in turn, opens nothing else.
    let officer = format!("Bearer {}", app.officer_token);
    for path in ["/v1/ledger", "/v1/stats/activity"] {
        assert_eq!(app.get(path, &[("Authorization", &officer)]).await.status, 401, "{path}");
    }
}

#[actix_web::test]
async fn garbage_is_refused_and_nothing_of_it_is_repeated() {
    let app = TestApp::start().await;
    let ids = |value: &str| json!([{ "kind": "imei", "value": value }]);
    let good = ids("490154203237518");
    let cases: Vec<(Value, &str)> = vec![
        (json!({}), "invalid_withdrawal"),
        (json!({ "case": "W-1", "ids": [] }), "invalid_withdrawal"),
        (json!({ "case": "W-1", "ids": "490154203237518" }), "invalid_withdrawal"),
        (json!({ "case": "991231500016", "ids": good }), "invalid_withdrawal"),
        (json!({ "case": "Aigerim Test", "ids": good }), "invalid_withdrawal"),
        (json!({ "case": "W-1", "ids": ids("490154203237510") }), "invalid_withdrawal"),
        (json!({ "case": "W-1", "ids": ids("000000000000000") }), "invalid_withdrawal"),
        (json!({ "case": "W-1", "ids": [{ "kind": "490154203237518", "value": "1" }] }), "invalid_withdrawal"),
        (json!({ "case": "W-1", "ids": good, "490154203237518": 1 }), "invalid_withdrawal"),
        (json!({ "case": "W-1", "ids": good, "received": "2026-10-06" }), "invalid_withdrawal"),
        (json!({ "case": "W-1", "ids": good, "received": "2024-10-05" }), "invalid_withdrawal"),
        (json!({ "case": "W-1", "ids": good, "app": "kz.other" }), "invalid_withdrawal"),
        (json!([]), "invalid_withdrawal"),
    ];
    let search = crate::privacy::search::Search::for_texts(["490154203237518", "490154203237510", "Aigerim"]);
    for (body, code) in cases {
        let answer = withdraw(&app, body.clone()).await;
        assert_eq!((answer.status, answer.code().as_str()), (422, code), "{body}");
        search.absent(answer.text.as_bytes(), "answer");
    }
    assert_eq!(app.app.withdrawals.overview().unwrap().cases, []);
    search.everywhere(&app, "refused").await;
}
