//! `POST /v1/collect/preview`.

use serde_json::{Value, json};
use tuman::policy::dictionary;

use crate::harness::{Answer, HOUR_MS, NOW_MS, Report, TestApp, at, report};

/// The entry of a field.
fn of<'a>(answer: &'a Value, field: &str) -> &'a Value {
    let mut all = answer["fields"].as_array().unwrap().iter().filter(|entry| entry["field"] == field);
    let entry = all.next().unwrap_or_else(|| panic!("no {field}: {answer}"));
    assert!(all.next().is_none(), "{field} stands once");
    entry
}

fn said(answer: &Value, field: &str) -> (String, Value, Value) {
    let entry = of(answer, field);
    (entry["outcome"].as_str().unwrap().to_owned(), entry["reason"].clone(), entry["form"].clone())
}

fn taken(outcome: &str, form: &str) -> (String, Value, Value) {
    (outcome.to_owned(), Value::Null, json!(form))
}

fn left(outcome: &str, reason: &str) -> (String, Value, Value) {
    (outcome.to_owned(), json!(reason), Value::Null)
}

async fn json_of(app: &TestApp, report: &Report) -> Value {
    let answer = app.preview(report).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

#[actix_web::test]
async fn every_field_is_told_with_treatment_and_clause_of_the_dictionary() {
    let app = TestApp::start().await;
    let answer = json_of(&app, &report()).await;
    assert_eq!(answer["collect"], json!({ "status": 202, "accepted": 1, "refused": [] }));
    assert_eq!(answer["token"], json!({ "kind": "imei", "reason": null, "purposes": ["usage", "location"] }));
    assert_eq!(answer["events"], json!([{ "event": 0, "outcome": "kept", "usage": true, "place": true }]));
    assert_eq!(answer["notes"], json!({}));
    for (field, expected) in [
        ("/report_id", taken("hashed", "keyed fingerprint, 128 bits, for 48 hours, apart from all rows")),
        ("/sent_at", ("used_in_memory".to_owned(), Value::Null, Value::Null)),
        ("/device/ids/0/value", taken("hashed", "keyed hash, 64 bits, until the day is sealed")),
        ("/device/platform", taken("bucketed", "number of a registered word")),
        ("/device/os_version", taken("coarsened", "number of the major version")),
        ("/app/version", taken("bucketed", "code of a declared value")),
        ("/activity/install_week", taken("coarsened", "age in weeks, up to a year")),
        ("/events/0/at", taken("coarsened", "local hour")),
        ("/events/0/location/lat", taken("coarsened", "geohash of 5 characters")),
        ("/events/0/props/screen", taken("bucketed", "code of a declared value")),
        ("/events/0/props/duration_ms", taken("bucketed", "code of a declared range")),
    ] {
        assert_eq!(said(&answer, field), expected, "{field}");
    }
    let mut before = 0;
    for entry in answer["fields"].as_array().unwrap() {
        let place = dictionary().fields.iter().position(|field| entry["path"] == field.path.as_str()).unwrap();
        let field = &dictionary().fields[place];
        assert_eq!(entry["outcome"], json!(field.treatment));
        assert_eq!((&entry["clause"], &entry["retention"]), (&json!(field.clause), &json!(field.retention)));
        assert_eq!(answer["texts"][&field.path], field.en);
        assert!(place >= before, "in the order of the report");
        before = place;
    }
    assert_eq!(answer["fields"].as_array().unwrap().len(), 23);
}

#[actix_web::test]
async fn what_leaves_nothing_says_why() {
    let app = TestApp::start().await;
    let upload = report()
        .with(
            "/device/ids",
            json!([{ "kind": "mac", "value": "DA:A1:19:12:34:56" }, { "kind": "imei", "value": "no" },
            { "kind": "install_id", "value": "ea7583cd-a667-48bc-b806-42ecb2b48606", "model": "SM-G998B" }]),
        )
        .with("/device/platform", json!("a@example.kz"))
        .with("/device/class", json!(["phone"]))
        .with("/app/version", json!("9.9"))
        .with("/events/0/location", json!({ "geohash": "77012345678" }))
        .with(
            "/events/0/props",
            json!({ "screen": "elsewhere", "cached": 1, "colour": "red", "size": 4, "+77012345678": 1 }),
        );
    let answer = json_of(&app, &upload).await;
    assert_eq!(answer["token"], json!({ "kind": "install_id", "reason": null, "purposes": ["usage"] }));
    for (field, expected) in [
        ("/device/ids/0/value", left("dropped", "randomised")),
        ("/device/ids/1/value", left("refused", "invalid_character")),
        ("/device/ids/2/value", taken("hashed", "keyed hash, 64 bits, until the day is sealed")),
        ("/device/platform", left("refused", "personal_data:email")),
        ("/device/class", left("dropped", "unreadable")),
        ("/app/version", taken("bucketed", "`other`")),
        ("/events/0/location/geohash", left("refused", "personal_data:phone")),
        ("/events/0/props/screen", left("dropped", "invalid_value")),
        ("/events/0/props/cached", left("dropped", "invalid_value")),
        ("/*", left("dropped", "unknown_field")),
    ] {
        assert_eq!(said(&answer, field), expected, "{field}");
    }
    let unnamed: Vec<(&Value, &Value)> = answer["fields"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["field"] == "/events/0/props/*")
        .map(|entry| (&entry["times"], &entry["reason"]))
        .collect();
    assert!(unnamed.contains(&(&json!(2), &json!("undeclared_property"))), "{unnamed:?}");
    assert!(unnamed.contains(&(&json!(1), &json!("personal_data:phone"))), "{unnamed:?}");
    let collected = app.collect(upload).await;
    assert_eq!(collected.json()["accepted"], answer["collect"]["accepted"]);
    app.drain().await;
    for (note, n) in answer["notes"].as_object().unwrap() {
        assert_eq!(json!(app.booked(&format!("note:{note}"))), *n, "{note}");
    }
}

#[actix_web::test]
async fn the_answer_and_the_refusals_are_those_of_collect() {
    let app = TestApp::start().await;
    let events = json!([{ "name": "unheard_of", "at": at(NOW_MS) }, 5, { "name": "app_open", "at": at(NOW_MS) },
        { "name": "app_open", "at": at(NOW_MS - 300 * HOUR_MS) }]);
    for upload in [
        report(),
        report().with("/events", events),
        report().with("/consent/usage", json!(false)),
        report().with("/consent/policy", json!("1999-01")),
        report().without("sent_at"),
        report().without("report_id"),
        report().without("consent"),
        report().with("/device/ids/0/value", json!("no")),
        report().with("/device/ids/0/kind", json!("imsi")),
    ] {
        let preview = json_of(&app, &upload).await["collect"].clone();
        let answer = app.collect(upload).await;
        assert_eq!(preview["status"], answer.status, "{preview}");
        let answer = answer.json();
        for part in ["accepted", "refused", "code", "field"] {
            assert_eq!(preview[part], answer[part], "{part}: {preview}");
        }
    }
    let deep = [b"{\"x\":".to_vec(), vec![b'['; 64], vec![b']'; 64], b"}".to_vec()].concat();
    let good = report().json().into_bytes();
    for (body, headers) in [
        (b"{".to_vec(), vec![]),
        (b"[]".to_vec(), vec![]),
        (deep, vec![]),
        (report().times(501).json().into_bytes(), vec![]),
        (vec![b' '; (1 << 20) + 1], vec![]),
        (good.clone(), vec![("Content-Encoding", "gzip")]),
        (good.clone(), vec![("Content-Encoding", "br")]),
        (good.clone(), vec![("Content-Type", "text/plain")]),
        (good.clone(), vec![("Authorization", "")]),
        (good, vec![("Authorization", "Bearer tka_wrong")]),
    ] {
        let told = |answer: Answer| (answer.status, answer.text);
        let preview = told(app.post_to("/v1/collect/preview", body.clone(), &headers).await);
        assert_eq!(preview, told(app.post(body, &headers).await));
    }
}

#[actix_web::test]
async fn a_preview_leaves_nothing_behind() {
    let app = TestApp::start().await;
    let upload = report();
    let first = app.preview(&upload).await;
    assert_eq!(first.status, 200);
    assert!(app.app.keyring.days().is_empty(), "no key is made");
    assert_eq!(std::fs::read_dir(&app.app.config.paths.keys).unwrap().count(), 0);
    assert_eq!(app.app.spool.depth().records, 0);
    app.drain().await;
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM ledger"), 0);
    // Its id is new afterwards, and a preview of one that was taken tells the same.
    assert_eq!(app.collect(upload.clone()).await.json()["accepted"], 1);
    app.drain().await;
    assert_eq!((app.booked("received"), app.booked("duplicate")), (1, 0));
    assert_eq!(app.preview(&upload).await.text, first.text);
    app.drain().await;
    assert_eq!(app.booked("received"), 1);
}

#[actix_web::test]
async fn a_preview_echoes_nothing_and_names_nothing_that_is_not_declared() {
    let app = TestApp::start().await;
    let marks =
        ["mark01", "mark02", "mark03", "mark04", "mark05", "mark06", "mark07", "mark08", "490154203237518", "51.128"];
    let upload = report()
        .with("/device/platform", json!("mark01"))
        .with("/app/version", json!("mark02"))
        .with("/consent/policy", json!("2026-01"))
        .with("/events/0/props", json!({ "screen": "mark03", "mark04": "mark05", "cached": {"mark06": 1} }))
        .with("/device/language", json!("mark07"))
        .with("/activity/install_week", json!("mark08"));
    for upload in [
        upload.clone(),
        upload.clone().with("/consent/policy", json!("mark01")),
        upload.with("/events/0/name", json!("mark02")),
    ] {
        let answer = app.preview(&upload).await;
        assert_eq!(answer.status, 200);
        for mark in marks {
            assert!(!answer.text.contains(mark), "{mark}: {}", answer.text);
        }
    }
}

#[actix_web::test]
async fn an_opt_out_and_the_language_are_honoured() {
    let app = TestApp::start().await;
    let body = || report().json().into_bytes();
    let answer =
        app.post_to("/v1/collect/preview", body(), &[("Sec-GPC", "1"), ("Accept-Language", "kk-KZ,ru;q=0.5")]).await;
    let answer = answer.json();
    assert_eq!(
        answer["events"],
        json!([{ "event": 0, "outcome": "refused", "reason": "opted_out", "usage": false, "place": false }])
    );
    assert_eq!(answer["token"]["purposes"], json!([]));
    assert_eq!(said(&answer, "/device/ids/0/value"), left("dropped", "nothing_kept"));
    assert_eq!(said(&answer, "/events/0/location/lat"), left("refused", "opted_out"));
    let field = dictionary().fields.iter().find(|field| field.path == "device.platform").unwrap();
    assert_eq!(answer["texts"]["device.platform"], field.kk);
}
