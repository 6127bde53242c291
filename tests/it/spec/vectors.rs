//! `vectors/report.json`: reports and their answers. The other vectors are checked where identifiers and tokens are made.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};
use tuman::clock::ManualClock;
use tuman::config::Interval;
use tuman_privacy::refusal::{Note, Refusal};

use super::openapi::OpenApi;
use super::{REPORTS, errors, report_validator};
use crate::harness::{Setup, TestApp};

fn vectors() -> Value {
    serde_json::from_str(REPORTS).unwrap()
}

/// A collector as the file describes it.
async fn collector(vectors: &Value) -> TestApp {
    let now: Timestamp = vectors["now"].as_str().unwrap().parse().unwrap();
    let settings = &vectors["settings"];
    let mut setup = Setup::new();
    setup.clock = ManualClock::at(now.as_millisecond());
    setup.catalogue = toml::to_string(&vectors["catalogue"]).unwrap();
    setup.app = vectors["catalogue"]["app"]["id"].as_str().unwrap().into();
    // The file's settings are the defaults: an SDK meets them unless an operator chose others.
    let privacy = &setup.config.privacy;
    assert_eq!(json!(privacy.zone), settings["zone"]);
    assert_eq!(json!(privacy.region), settings["region"]);
    assert_eq!(privacy.grace, Interval::hours(settings["grace_hours"].as_u64().unwrap()));
    assert_eq!(privacy.future_tolerance, Interval::seconds(settings["future_tolerance_seconds"].as_u64().unwrap()));
    setup.start().await
}

fn booked(app: &TestApp) -> BTreeMap<String, i64> {
    let rows =
        app.rows("SELECT outcome, sum(n) AS n FROM ledger WHERE startsWith(outcome, 'note:') GROUP BY outcome");
    let name = |row: &Value| row["outcome"].as_str().unwrap().trim_start_matches("note:").to_owned();
    rows.iter().map(|row| (name(row), row["n"].as_i64().unwrap())).collect()
}

#[actix_web::test]
async fn every_report_has_its_answer() {
    let vectors = vectors();
    let app = collector(&vectors).await;
    let document = OpenApi::read();
    let mut before = booked(&app);
    for case in vectors["reports"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let headers = case["headers"].as_object().into_iter().flatten();
        let headers: Vec<(&str, &str)> =
            headers.map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
        let answer = app.post(case["report"].to_string().into_bytes(), &headers).await;
        assert_eq!(json!(answer.status), case["status"], "{name}: {}", answer.text);
        document.check("POST", "/v1/collect", &answer);
        match case.get("answer") {
            Some(expected) => assert_eq!(answer.json(), *expected, "{name}"),
            None => assert_eq!(
                (&answer.json()["code"], &answer.json()["field"]),
                (&case["code"], &case["field"]),
                "{name}"
            ),
        }
        app.drain().await;
        let after = booked(&app);
        let made: BTreeMap<&String, i64> = after
            .iter()
            .map(|(note, n)| (note, n - before.get(note).copied().unwrap_or(0)))
            .filter(|(_, n)| *n != 0)
            .collect();
        let expected = case.get("notes").cloned().unwrap_or(json!({}));
        assert_eq!(json!(made), expected, "{name}");
        before = after;
    }
}

#[test]
fn the_schema_accepts_those_that_an_sdk_may_send() {
    let schema = report_validator();
    for case in vectors()["reports"].as_array().unwrap() {
        let found = errors(&schema, &case["report"]);
        assert_eq!(found.is_empty(), case["schema_valid"] == true, "{}: {found}", case["name"]);
    }
}

#[test]
fn every_refusal_note_and_field_has_a_vector() {
    let vectors = vectors();
    let (mut refusals, mut notes, mut fields) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for case in vectors["reports"].as_array().unwrap() {
        let refused = case["answer"]["refused"].as_array().into_iter().flatten();
        refusals.extend(refused.map(|entry| entry["reason"].as_str().unwrap()));
        notes.extend(case["notes"].as_object().into_iter().flat_map(|notes| notes.keys()).map(String::as_str));
        fields.extend(case["field"].as_str());
    }
    assert_eq!(refusals, Refusal::ALL.map(Refusal::word).into());
    assert_eq!(notes, Note::ALL.map(Note::word).into());
    let document = OpenApi::read();
    let documented =
        document.0["components"]["schemas"]["Problem"]["properties"]["field"]["enum"].as_array().unwrap();
    assert_eq!(fields, documented.iter().filter_map(Value::as_str).collect());
}
