//! Sealing, and what is left of a day.

mod declared;
pub mod failing;
mod law;
mod places;
mod retention;
mod statistics;

use serde_json::{Value, json};
use tuman::seal::SealError;

use crate::harness::{DAY_MS, HOUR_MS, NOW_MS, Setup, TestApp, report};

#[actix_web::test]
async fn a_seal_leaves_releases_and_destroys_rows_and_key() {
    let app = TestApp::start().await;
    for phone in 0..60 {
        app.collect(report().of_phone(phone)).await;
    }
    app.clock.advance(DAY_MS);
    let day = app.app.zone.day(NOW_MS);
    let summary = app.app.sealer.seal(day).await.unwrap();
    assert_eq!(summary.apps[0].releases.len(), 10);
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM usage_open"), 0);
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM places_open"), 0);
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM seals"), 10);
    let record = &app.app.keyring.records()[0];
    assert_eq!(record.day.to_string(), "2026-10-05");
    assert!(record.destroyed_at.is_some());
    let audit = app.rows("SELECT kind, detail FROM audit ORDER BY seq");
    for (entry, kind) in audit.iter().zip(["key_created", "day_sealed"]) {
        assert_eq!(entry["kind"], kind);
        assert!(entry["detail"].as_str().unwrap().contains(&record.name));
    }
    assert_eq!(audit.len(), 2);
    assert_eq!(std::fs::read_dir(app.data().join("seal")).unwrap().count(), 0);
    let keys: Vec<_> = std::fs::read_dir(&app.app.config.paths.keys).unwrap().flatten().collect();
    assert!(keys.iter().all(|key| !key.file_name().to_string_lossy().contains("2026-10-05")));
}

#[actix_web::test]
async fn a_day_is_sealed_once_and_not_before_it_is_over() {
    let app = TestApp::start().await;
    app.collect(report()).await;
    let day = app.app.zone.day(NOW_MS);
    assert!(matches!(app.app.sealer.seal(day).await, Err(SealError::NotOver(_))));
    app.clock.advance(DAY_MS);
    app.app.sealer.seal(day).await.unwrap();
    let before = app.rows("SELECT * FROM releases ORDER BY ALL");
    assert!(matches!(app.app.sealer.seal(day).await, Err(SealError::AlreadySealed(_))));
    assert_eq!(app.rows("SELECT * FROM releases ORDER BY ALL"), before);
}

#[actix_web::test]
async fn an_event_after_the_seal_changes_nothing_and_counts_on_its_day_of_arrival() {
    let app = TestApp::start().await;
    app.collect(report()).await;
    app.clock.advance(DAY_MS);
    app.app.sealer.seal(app.app.zone.day(NOW_MS)).await.unwrap();
    let before = app.rows("SELECT * FROM releases ORDER BY ALL");
    let late = report().with("/sent_at", json!(crate::harness::at(NOW_MS + DAY_MS)));
    assert_eq!(app.collect(late).await.json()["accepted"], 1);
    app.drain().await;
    assert_eq!(app.rows("SELECT * FROM releases ORDER BY ALL"), before);
    assert_eq!(
        app.rows("SELECT day, bitAnd(flags, 1) AS late FROM usage_open"),
        [json!({ "day": "2026-10-06", "late": 1 })]
    );
    assert_eq!(app.booked("note:late"), 1);
}

#[actix_web::test]
async fn the_scheduler_finds_a_day_when_its_grace_ends() {
    let app = TestApp::start().await;
    app.collect(report()).await;
    app.drain().await;
    let day = app.app.zone.day(NOW_MS);
    // The day ends 14 hours after NOW_MS, its grace six hours later.
    app.clock.set(NOW_MS + 20 * HOUR_MS - 1);
    assert_eq!(app.app.sealer.due().await.unwrap(), []);
    app.clock.set(NOW_MS + 20 * HOUR_MS);
    assert_eq!(app.app.sealer.due().await.unwrap(), [day]);
}

#[actix_web::test]
async fn a_day_whose_key_is_lost_is_sealed_too() {
    let app = TestApp::start().await;
    app.collect(report()).await;
    app.drain().await;
    let keys = app.app.config.paths.keys.clone();
    let setup = app.stop().await;
    std::fs::remove_dir_all(keys).unwrap();
    setup.clock.advance(2 * DAY_MS);
    let app = setup.start().await;
    let day = app.app.zone.day(NOW_MS);
    assert_eq!(app.app.sealer.due().await.unwrap(), [day]);
    app.app.sealer.seal(day).await.unwrap();
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM usage_open"), 0);
}

#[actix_web::test]
async fn a_lone_device_in_the_steppe_leaves_no_cell() {
    let app = TestApp::start().await;
    app.collect(report().with("/events/0/location", json!({ "lat": 47.5, "lon": 68.2 }))).await;
    app.clock.advance(DAY_MS);
    app.app.sealer.seal(app.app.zone.day(NOW_MS)).await.unwrap();
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM releases WHERE release IN ('places_4', 'places_5')"), 0);
}

#[actix_web::test]
async fn one_device_adds_no_more_than_its_bound() {
    let app = TestApp::start().await;
    // 5,000 events, the threshold being 1,000: unbounded, they would be published.
    for _ in 0..10 {
        app.collect(report().times(500)).await;
    }
    // Twelve cells in one day: it counts in one.
    for step in 0..12 {
        let place = json!({ "lat": 43.0 + f64::from(step), "lon": 70.0 });
        app.collect(report().with("/events/0/location", place)).await;
    }
    app.clock.advance(DAY_MS);
    app.app.sealer.seal(app.app.zone.day(NOW_MS)).await.unwrap();
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM releases WHERE release = 'event_totals'"), 0);
    let region = app.number("SELECT sum(value) AS n FROM releases WHERE release = 'region'");
    // One device and a draw of scale 10: beyond 200 once in a few hundred million.
    assert!(region.abs() < 200, "{region}");
}

#[actix_web::test]
async fn devices_without_a_token_enter_no_release() {
    let app = TestApp::start().await;
    for _ in 0..150 {
        let upload = report().with("/device/ids", json!([{ "kind": "imei", "value": "000000000000000" }]));
        assert_eq!(app.collect(upload).await.json()["accepted"], 1);
    }
    app.drain().await;
    assert_eq!(app.booked("note:no_token"), 150);
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM places_open"), 0);
    app.clock.advance(DAY_MS);
    app.app.sealer.seal(app.app.zone.day(NOW_MS)).await.unwrap();
    let total: Vec<Value> =
        app.rows("SELECT value FROM releases WHERE release = 'active_devices' AND breakdown = ''");
    // Nine noisy cells of scale 4 around zero.
    assert!(total.iter().all(|row| row["value"].as_i64().unwrap() < 140), "{total:?}");
}

#[actix_web::test]
async fn a_seal_that_fails_at_any_call_ends_in_one_published_result() {
    for fails_at in 0..20 {
        let failing = failing::FailingStore::new();
        let app = Setup::new().store(|store| failing.over(store)).start().await;
        for phone in 0..40 {
            app.collect(report().of_phone(phone)).await;
        }
        app.drain().await;
        app.clock.advance(DAY_MS);
        let day = app.app.zone.day(NOW_MS);
        failing.fail_after(fails_at);
        let first = app.app.sealer.seal(day).await;
        failing.heal();
        let readable = app.stats("activity?period=yesterday").await.text;
        let was_readable = !readable.contains("\"sealed_days\":0");
        // The process starts anew on the same folder and store.
        let app = app.stop().await.start().await;
        if first.is_err() {
            assert!(!app.app.sealer.due().await.unwrap().is_empty() || !was_readable);
            match app.app.sealer.seal(day).await {
                Ok(_) | Err(SealError::AlreadySealed(_)) => {}
                Err(error) => panic!("call {fails_at}: {error}"),
            }
        }
        assert_eq!(app.number("SELECT toInt64(count()) AS n FROM seals"), 10, "call {fails_at}");
        let twice = app.number(
            "SELECT toInt64(count()) AS n FROM (SELECT 1 FROM releases GROUP BY day, app, release, breakdown, dims HAVING count() > 1)",
        );
        assert_eq!(twice, 0, "call {fails_at}");
        assert_eq!(app.number("SELECT toInt64(count()) AS n FROM usage_open"), 0, "call {fails_at}");
        assert!(app.app.keyring.records()[0].destroyed_at.is_some(), "call {fails_at}");
        if was_readable {
            assert_eq!(app.stats("activity?period=yesterday").await.text, readable, "call {fails_at}");
        }
        if first.is_ok() {
            return;
        }
    }
    panic!("the seal makes more than twenty calls");
}

#[actix_web::test]
async fn a_day_whose_noise_is_drawn_takes_no_more_events_after_a_crash() {
    let failing = failing::FailingStore::new();
    let app = Setup::new().store(|store| failing.over(store)).start().await;
    app.collect(report()).await;
    app.drain().await;
    // Over, and within its grace: the day would still take events.
    app.clock.set(NOW_MS + 15 * HOUR_MS);
    let day = app.app.zone.day(NOW_MS);
    for calls in 0.. {
        failing.fail_after(calls);
        let sealed = app.app.sealer.seal(day).await;
        failing.heal();
        assert!(sealed.is_err(), "no call fell between the journal and the release");
        if !app.app.sealer.journals.days().unwrap().is_empty() {
            break;
        }
    }
    let app = app.stop().await.start().await;
    let late = report().with("/sent_at", json!(crate::harness::at(NOW_MS + 15 * HOUR_MS)));
    assert_eq!(app.collect(late).await.json()["accepted"], 1);
    app.drain().await;
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM usage_open WHERE day = '2026-10-05'"), 1);
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM usage_open WHERE day = '2026-10-06'"), 1);
    app.app.sealer.seal(day).await.unwrap();
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM usage_open WHERE day = '2026-10-05'"), 0);
}
