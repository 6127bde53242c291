//! Releases that are older than the retention.

use serde_json::json;
use tuman::config::Retention;
use tuman::doctor::{self, Finding};
use tuman::retention;
use tuman::seal::SealError;

use super::failing::FailingStore;
use crate::harness::{DAY_MS, NOW_MS, Setup, TestApp, report};

/// A collector that keeps three days, with the days 5, 6 and 7 of October sealed; it is the 8th.
async fn with_three_days(setup: Setup) -> TestApp {
    let app = setup.start().await;
    for day in 0..3 {
        let now_ms = NOW_MS + day * DAY_MS;
        for phone in 0..100 {
            assert_eq!(app.collect(report().sent(now_ms).of_phone(phone)).await.status, 202);
        }
        app.clock.advance(DAY_MS);
        app.app.sealer.seal(app.app.zone.day(now_ms)).await.unwrap();
    }
    app
}

fn keeping(days: u16) -> Setup {
    let mut setup = Setup::new();
    setup.config.releases.retention = Retention::of_days(days);
    setup
}

async fn apply(app: &TestApp) -> Result<usize, retention::RetentionError> {
    let app = app.app.clone();
    tokio::task::spawn_blocking(move || retention::apply(&app)).await.unwrap()
}

fn days(app: &TestApp, table: &str) -> Vec<String> {
    let rows = app.rows(&format!("SELECT DISTINCT toString(day) AS day FROM {table} ORDER BY day"));
    rows.iter().map(|row| row["day"].as_str().unwrap().to_owned()).collect()
}

async fn found(app: &TestApp) -> Finding {
    let findings = doctor::examine(&app.app).await;
    findings.into_iter().find(|finding| finding.what == "releases").unwrap()
}

const ALL: [&str; 3] = ["2026-10-05", "2026-10-06", "2026-10-07"];

#[actix_web::test]
async fn days_older_than_the_retention_go_and_are_never_sealed_again() {
    let app = with_three_days(keeping(3)).await;
    // The 5th is three days old: not older.
    assert_eq!(apply(&app).await.unwrap(), 0);
    assert_eq!(days(&app, "releases"), ALL);
    app.clock.advance(DAY_MS);
    assert!(found(&app).await.well, "since midnight, there is a round to come");
    app.clock.advance(DAY_MS);
    assert!(!found(&app).await.well);
    let kept = app.rows("SELECT * FROM releases WHERE day = '2026-10-07' ORDER BY ALL");
    let seals = app.rows("SELECT * FROM seals ORDER BY ALL");
    assert_eq!(apply(&app).await.unwrap(), 2);

    assert_eq!(days(&app, "releases"), ["2026-10-07"]);
    assert_eq!(app.rows("SELECT * FROM releases ORDER BY ALL"), kept, "what is kept is as it was");
    assert_eq!(app.rows("SELECT * FROM seals ORDER BY ALL"), seals);
    assert_eq!(days(&app, "deletions"), ALL[..2]);
    let finding = found(&app).await;
    assert!(finding.well && finding.detail.contains("kept for 3 days; 2 older days"), "{finding:?}");
    let audit = app.rows("SELECT detail FROM audit WHERE kind = 'releases_deleted'");
    let detail: serde_json::Value = serde_json::from_str(audit[0]["detail"].as_str().unwrap()).unwrap();
    assert_eq!(detail, json!({ "from": "2026-10-05", "to": "2026-10-06", "days": 2, "retention_days": 3 }));

    // A second round finds nothing to do, and says nothing.
    assert_eq!(apply(&app).await.unwrap(), 0);
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM audit WHERE kind = 'releases_deleted'"), 1);
    for day in 0..2 {
        let sealed = app.app.sealer.seal(app.app.zone.day(NOW_MS + day * DAY_MS)).await;
        assert!(matches!(sealed, Err(SealError::AlreadySealed(_))), "{sealed:?}");
    }
}

#[actix_web::test]
async fn no_answer_and_no_export_has_a_deleted_day() {
    let app = with_three_days(keeping(1)).await;
    let period = "period=2026-10-05..2026-10-07";
    let before = app.stats(&format!("releases/region?{period}")).await.json();
    assert_eq!((before["values"].as_array().unwrap().len(), &before["fresh"]["missing_days"]), (3, &json!([])));
    apply(&app).await.unwrap();
    let after = app.stats(&format!("releases/region?{period}")).await.json();
    assert_eq!(after["fresh"]["missing_days"], json!(["2026-10-05", "2026-10-06"]));
    assert_eq!(after["values"], json!([before["values"][2]]));
    let csv = app.export(&format!("/region?{period}")).await.text;
    assert_eq!(csv.lines().count(), 2, "{csv}");
    assert!(csv.lines().nth(1).unwrap().starts_with("2026-10-07,total,"), "{csv}");
    let gone = app.export("/region?period=2026-10-05..2026-10-06").await;
    assert_eq!(gone.code(), "not_found");
}

#[actix_web::test]
async fn without_a_retention_nothing_goes() {
    let app = with_three_days(Setup::new()).await;
    app.clock.advance(4_000 * DAY_MS);
    assert_eq!(apply(&app).await.unwrap(), 0);
    assert_eq!((days(&app, "releases"), days(&app, "deletions").len()), (ALL.map(str::to_owned).to_vec(), 0));
    let finding = found(&app).await;
    assert!(finding.well && finding.detail.starts_with("kept for ever"), "{finding:?}");
}

#[actix_web::test]
async fn a_deletion_that_fails_anywhere_is_made_good_and_never_unsaid() {
    let failing = FailingStore::new();
    let app = with_three_days(keeping(1).store(|store| failing.over(store))).await;
    let entries =
        |app: &TestApp| app.number("SELECT toInt64(count()) AS n FROM audit WHERE kind = 'releases_deleted'");
    let mut failures = 0;
    loop {
        failing.fail_after(failures);
        let done = apply(&app).await;
        failing.heal();
        // Nothing goes that the audit log does not have.
        assert!(entries(&app) > 0 || days(&app, "releases") == ALL, "after {failures} calls");
        if done.is_ok() {
            break;
        }
        failures += 1;
    }
    assert!(failures > 3, "{failures}");
    assert_eq!(
        (days(&app, "releases"), days(&app, "deletions")),
        (vec![ALL[2].to_owned()], ALL[..2].iter().map(|day| (*day).to_owned()).collect())
    );
    assert!(found(&app).await.well);
}

#[actix_web::test]
async fn a_day_that_still_takes_events_is_not_deleted_for_its_hours() {
    let mut setup = keeping(1);
    setup.config.privacy.grace = tuman::config::Interval::hours(72);
    let app = setup.start().await;
    assert_eq!(app.collect(report()).await.status, 202);
    app.clock.advance(DAY_MS);
    assert!(app.app.sealer.seal_hours().await.unwrap() > 0);
    app.clock.advance(DAY_MS);
    assert!(app.number("SELECT toInt64(count()) AS n FROM seals WHERE day = '2026-10-05' AND window < 24") > 0);
    assert_eq!(apply(&app).await.unwrap(), 0);
    app.app.sealer.seal(app.app.zone.day(NOW_MS)).await.unwrap();
    assert_eq!(apply(&app).await.unwrap(), 1);
}
