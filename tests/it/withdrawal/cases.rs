//! Cases: deadlines, alarms, letters, the list's cost and its end.

use serde_json::json;
use tuman::doctor::Finding;
use tuman::withdrawal::{Alarm, CaseNumber, State};

use super::{IMEI, doctor, is_well, rows, withdraw, withdraw_imei};
use crate::harness::{DAY_MS, NOW_MS, TestApp, report};
use crate::privacy::search::Search;

fn number(text: &str) -> CaseNumber {
    CaseNumber::parse(text).unwrap()
}

async fn metric(app: &TestApp, name: &str) -> i64 {
    let metrics = app.send("GET", &format!("{}/metrics", app.internal_url), &[], Vec::new()).await;
    let line = metrics.text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap().to_owned();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

async fn finding(app: &TestApp) -> Finding {
    doctor(app).await.into_iter().find(|finding| finding.what == "withdrawals").unwrap()
}

#[actix_web::test]
async fn a_case_is_alarmed_two_days_before_its_deadline_and_worse_after_it() {
    let app = TestApp::start().await;
    let ids = json!([{ "kind": "imei", "value": IMEI }]);
    let answer = withdraw(&app, json!({ "case": "W-1", "received": "2026-10-03", "ids": ids })).await;
    assert_eq!(answer.json()["due"], "2026-10-13");
    is_well(&app).await;
    // The metric is the process's, and other tests set it too: here it is asked of the collector itself.
    let alarms = || app.app.withdrawals.alarms();
    assert_eq!(alarms().len(), 0);
    // NOW_MS is the fifth: the eleventh is two days before.
    app.clock.set(NOW_MS + 6 * DAY_MS);
    assert_eq!(alarms()[&Alarm::Due], 1);
    let due = finding(&app).await;
    assert!(!due.well && due.detail.contains("must be answered by 2026-10-13"), "{due:?}");
    app.clock.set(NOW_MS + 9 * DAY_MS);
    assert_eq!(alarms()[&Alarm::Overdue], 1);
    let overdue = finding(&app).await;
    assert!(!overdue.well && overdue.detail.contains("OVERDUE since 2026-10-13"), "{overdue:?}");

    let answered = app.app.withdrawals.answer(&number("W-1")).await.unwrap();
    assert_eq!((answered.case.state, answered.alarm), (State::Answered, None));
    assert!(finding(&app).await.well && alarms().is_empty());
    // After an answer the number is used up; a restart knows it all.
    assert_eq!(withdraw_imei(&app, "W-1").await.code(), "case_conflict");
    let app = app.stop().await.start().await;
    assert_eq!(app.app.withdrawals.status(&number("W-1")).unwrap(), answered);
}

#[actix_web::test]
async fn the_metrics_of_withdrawals_have_no_label() {
    let app = TestApp::start().await;
    withdraw_imei(&app, "W-1").await;
    for name in [
        "tuman_withdrawals_due",
        "tuman_withdrawals_overdue",
        "tuman_withdrawals_unfinished",
        "tuman_suppression_tags",
    ] {
        assert!(metric(&app, name).await >= 0, "{name}");
    }
}

#[actix_web::test]
async fn a_number_that_stands_for_something_else_is_a_conflict() {
    let app = TestApp::start().await;
    withdraw_imei(&app, "W-1").await;
    let ids = json!([{ "kind": "mac", "value": "00:1B:44:11:3A:B7" }]);
    for other in [
        json!({ "case": "W-1", "received": "2026-10-01", "ids": ids }),
        json!({ "case": "W-1", "app": crate::harness::APP, "ids": ids }),
    ] {
        let answer = withdraw(&app, other).await;
        assert_eq!((answer.status, answer.code().as_str()), (409, "case_conflict"));
    }
    assert_eq!(app.app.withdrawals.tags(), 1, "nothing of them is on the list");
}

#[actix_web::test]
async fn the_audit_log_and_the_cases_hold_no_identifier_tag_or_token() {
    let app = TestApp::start().await;
    app.collect(report()).await;
    let tokens = super::tokens(&app);
    withdraw_imei(&app, "W-1").await;
    app.app.withdrawals.answer(&number("W-1")).await.unwrap();
    let list: serde_json::Value =
        serde_json::from_slice(&std::fs::read(app.data().join("suppression.json")).unwrap()).unwrap();
    let tag = list["tags"][""][0].as_u64().unwrap();
    app.app.withdrawals.end_list().await.unwrap();
    let entries = app.rows("SELECT kind, detail FROM audit ORDER BY seq");
    let kinds: Vec<&str> = entries.iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        ["withdrawal_registered", "withdrawal_erased", "withdrawal_answered", "suppression_list_ended"]
    );
    let cases = app.rows("SELECT * FROM withdrawals");
    assert_eq!(cases.len(), 3);
    let text = format!("{}{}", serde_json::to_string(&entries).unwrap(), serde_json::to_string(&cases).unwrap());
    let needles: Vec<Vec<u8>> = tokens.into_iter().chain([tag.to_string().into_bytes()]).collect();
    Search::of(needles).absent(text.as_bytes(), "audit and cases");
    Search::for_texts([IMEI]).absent(text.as_bytes(), "audit and cases");
    assert!(crate::audit::verified(&app).is_ok());
}

#[actix_web::test]
async fn an_ended_list_is_destroyed_and_its_devices_are_collected_from_again() {
    let app = TestApp::start().await;
    withdraw_imei(&app, "W-1").await;
    app.collect(report()).await;
    app.drain().await;
    assert_eq!(rows(&app), (0, 0));
    let ended = app.app.withdrawals.end_list().await.unwrap();
    assert_eq!(ended.tags, 1);
    assert!(app.app.withdrawals.end_list().await.is_err());
    for file in ["suppression.json", "suppression.key"] {
        assert!(!app.data().join(file).exists());
    }
    app.collect(report()).await;
    app.drain().await;
    assert_eq!(rows(&app), (1, 1));
    assert!(!app.app.withdrawals.status(&number("W-1")).unwrap().listed);
    app.clock.advance(1_000);
    // Withdrawn again under its number, it is on the next list.
    assert!(withdraw_imei(&app, "W-1").await.json()["listed"].as_bool().unwrap());
    let app = app.stop().await.start().await;
    assert!(app.app.withdrawals.status(&number("W-1")).unwrap().listed);
    assert_eq!(rows(&app), (0, 0));
}

#[actix_web::test]
async fn what_the_list_costs_is_estimated_and_measured() {
    let app = TestApp::start().await;
    withdraw_imei(&app, "W-1").await;
    let ids = json!([{ "kind": "mac", "value": "00:1B:44:11:3A:B7" }]);
    withdraw(&app, json!({ "case": "W-2", "ids": ids })).await;
    app.collect(report().times(3)).await;
    app.collect(report().of_phone(1)).await;
    app.drain().await;
    let overview = app.app.withdrawals.overview().unwrap();
    let list = overview.list.clone().unwrap();
    assert_eq!((list.tags, list.bits, list.expected_share), (2, 20, 2.0 / 1_048_576.0));
    assert_eq!((overview.received, overview.suppressed), (4, 3));
    assert_eq!(overview.measured_from.to_string(), "2026-09-26");
    let text = overview.to_string();
    assert!(text.contains("2 tags of 20 bits") && text.contains("3 of 4 events (75.0000 %)"), "{text}");
    assert!(finding(&app).await.detail.contains("2 tags of 20 bits"));
}
