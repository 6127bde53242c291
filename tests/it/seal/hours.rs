//! Hours of an open day: what is sealed of them, how often one device counts, and what they spend.

use std::sync::Arc;

use serde_json::{Value, json};
use tuman::app::App;
use tuman::catalogue::{Catalogue, Catalogues};
use tuman::clock::Clock;
use tuman::seal::journal::Journals;
use tuman::seal::{SealError, Sealer};
use tuman::spool::RealFilesystem;

use super::declared::{near, start, values, with};
use super::failing::FailingStore;
use crate::harness::{DAY_MS, HOUR_MS, NOW_MS, Report, Setup, TestApp, at, report};

const MINUTE_MS: i64 = 60_000;
/// Midnight before [`NOW_MS`].
const MIDNIGHT_MS: i64 = NOW_MS - 10 * HOUR_MS;

/// Devices by the hour, with a scale of a half: no draw reaches the threshold in a lifetime, nor changes a count by fifteen.
const NOW: &str = r#"
    [[release]]
    name = "now"
    dimensions = []
    window = "hour"
    windows = 2
    epsilon = 4.0
    threshold = 16
"#;

/// Sealed ten minutes after the hour.
fn sealing_of(hour: i64) -> i64 {
    MIDNIGHT_MS + (hour + 1) * HOUR_MS + 10 * MINUTE_MS
}

/// A phone's event in an hour of the day, sent now.
fn in_hour(app: &TestApp, phone: u64, hour: i64) -> Report {
    let event = at(MIDNIGHT_MS + hour * HOUR_MS + 30 * MINUTE_MS);
    report().of_phone(phone).with("/events/0/at", json!(event)).with("/sent_at", json!(at(app.clock.now_ms())))
}

async fn collect(app: &TestApp, phones: std::ops::Range<u64>, hour: i64) {
    for phone in phones {
        assert_eq!(app.collect(in_hour(app, phone, hour)).await.json()["accepted"], 1);
    }
}

fn reload(app: &TestApp, catalogue: &str) {
    app.app.ingest.reload(Catalogues::of(Catalogue::parse(catalogue).unwrap()));
}

fn day_sealed(app: &TestApp) -> Value {
    let audit = app.rows("SELECT detail FROM audit WHERE kind = 'day_sealed'");
    assert_eq!(audit.len(), 1);
    serde_json::from_str(audit[0]["detail"].as_str().unwrap()).unwrap()
}

/// The hours that are sealed.
fn sealed_hours(app: &TestApp) -> i64 {
    app.number("SELECT toInt64(uniqExact(window)) AS n FROM seals WHERE window < 24")
}

#[actix_web::test]
async fn an_hour_is_sealed_ten_minutes_after_its_end_and_the_day_stays_open() {
    let app = start(NOW).await;
    app.clock.set(sealing_of(9) - 1);
    collect(&app, 0..60, 9).await;
    assert_eq!(app.app.sealer.seal_hours().await.unwrap(), 9);
    assert_eq!(values(&app, "now", "hour"), []);
    app.clock.set(sealing_of(9));
    assert_eq!(app.app.sealer.seal_hours().await.unwrap(), 1);
    assert_eq!(app.app.sealer.seal_hours().await.unwrap(), 0);
    near(&values(&app, "now", "hour"), &[(&["09"], 60)]);
    let seal = &app.rows("SELECT dims, bound, windows, epsilon, scale FROM seals WHERE window = 9")[0];
    assert_eq!(*seal, json!({ "dims": ["hour"], "bound": 1, "windows": 2, "epsilon": 4, "scale": 0.5 }));
    let answer = app.stats("releases/now?period=today&breakdown=none").await.json();
    assert_eq!((&answer["breakdown"], &answer["values"][0]["dims"]), (&json!("hour"), &json!({ "hour": "09" })));
    let fresh = json!({ "sealed_through": "2026-10-05", "sealed_days": 1, "missing_days": [],
        "last_hour": { "day": "2026-10-05", "hour": 9 } });
    assert_eq!((&answer["fresh"], &answer["releases"][0]["windows"]), (&fresh, &json!(2)));
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM usage_open"), 60);
    assert!(app.app.keyring.records()[0].destroyed_at.is_none());
    collect(&app, 60..61, 9).await;
    app.drain().await;
    assert_eq!(app.number("SELECT toInt64(uniqExact(day)) AS n FROM usage_open"), 1);
    assert!(!app.data().join("seal").join("hours-2026-10-05-09.json").exists());
}

#[actix_web::test]
async fn today_and_past_days_are_answered_by_the_hour() {
    let mut setup = Setup::new();
    // The default release, with noise that changes little.
    setup.catalogue +=
        "\n[budget]\ndaily_epsilon = 4.0\n[[release]]\nname = \"active_by_hour\"\nepsilon = 2.0\nthreshold = 40\n";
    let app = setup.start().await;
    app.clock.set(sealing_of(9));
    collect(&app, 0..120, 9).await;
    app.app.sealer.seal_hours().await.unwrap();
    let today = app.stats("activity?interval=hour&period=today").await.json();
    assert_eq!(today["series"].as_array().unwrap().len(), 1, "{today}");
    let point = &today["series"][0];
    assert_eq!((&point["dims"], &point["from"]), (&json!({ "hour": "09" }), &json!("2026-10-05")));
    assert!((point["devices"].as_i64().unwrap() - 120).abs() < 80, "{point}");
    assert_eq!(today["fresh"]["last_hour"], json!({ "day": "2026-10-05", "hour": 9 }));
    let days = app.stats("activity?period=today").await.json();
    assert_eq!((&days["series"], &days["fresh"]["missing_days"]), (&json!([]), &json!(["2026-10-05"])));
    app.clock.set(MIDNIGHT_MS + DAY_MS);
    app.app.sealer.seal(app.app.zone.day(NOW_MS)).await.unwrap();
    let yesterday = app.stats("activity?interval=hour&period=yesterday").await.json();
    assert_eq!(yesterday["series"], today["series"]);
    let wrong = app.stats("activity?interval=hour&breakdown=platform").await;
    assert_eq!(wrong.code(), "invalid_query");
}

#[actix_web::test]
async fn a_device_counts_in_its_first_hours_of_a_day() {
    let app = start(NOW).await;
    for hour in 6..11 {
        app.clock.set(sealing_of(hour) - HOUR_MS / 2);
        collect(&app, 0..80, hour).await;
        // These come in one hour of two.
        collect(&app, 80..if hour % 2 == 0 { 120 } else { 80 }, hour).await;
        app.clock.set(sealing_of(hour));
        app.app.sealer.seal_hours().await.unwrap();
    }
    near(&values(&app, "now", "hour"), &[(&["06"], 120), (&["07"], 80), (&["08"], 40)]);
}

#[actix_web::test]
async fn what_comes_late_only_pushes_a_device_out() {
    let app = start(NOW).await;
    // What each phone has sent, by the hour; and how often it was counted.
    let mut there = vec![[false; 24]; 150];
    let mut counted = vec![0; there.len()];
    let mut expected: Vec<(String, i64)> = Vec::new();
    let mut state = 20_261_005_u64;
    let mut roll = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    for hour in 0..14_i64 {
        app.clock.set(sealing_of(hour) - 5 * MINUTE_MS);
        for (phone, hours) in there.iter_mut().enumerate() {
            // Of this hour, or of one that was sealed before.
            let of = if roll(3) == 0 { roll(hour as u64 + 1) as i64 } else { hour };
            if roll(2) == 0 {
                app.collect(in_hour(&app, phone as u64, of)).await;
                hours[of as usize] = true;
            }
        }
        app.clock.set(sealing_of(hour));
        assert_eq!(app.app.sealer.seal_hours().await.unwrap(), 1);
        let before = |hours: &[bool; 24]| hours[..hour as usize].iter().filter(|is| **is).count();
        let counts: Vec<usize> =
            (0..there.len()).filter(|phone| there[*phone][hour as usize] && before(&there[*phone]) < 2).collect();
        counts.iter().for_each(|phone| counted[*phone] += 1);
        expected.push((format!("{hour:02}"), counts.len() as i64));
    }
    assert!(counted.iter().all(|times| *times <= 2));
    assert!(counted.iter().filter(|times| **times == 2).count() > 50);
    let sealed = values(&app, "now", "hour");
    for (hour, count) in &expected {
        let value = sealed.iter().find(|(dims, _)| dims[0] == *hour).map_or(0, |(_, value)| *value);
        assert!((value - count).abs() < 16 + i64::from(value == 0) * 16, "{hour}: {value} and not {count}");
    }
    // Those that came late are in the day.
    assert_eq!(
        app.number("SELECT toInt64(uniqExact(token, hour)) AS n FROM usage_open"),
        there.iter().flatten().filter(|is| **is).count() as i64
    );
}

#[actix_web::test]
async fn late_events_have_hours_of_another_day_and_are_in_none_of_this_one() {
    let app = start(NOW).await;
    // Two days late: they count on their day of arrival, under an hour that is not over there.
    for phone in 0..60 {
        let late = in_hour(&app, phone, 12 - 48);
        assert_eq!(app.collect(late).await.json()["accepted"], 1);
    }
    app.clock.set(sealing_of(12) - HOUR_MS / 2);
    collect(&app, 0..40, 12).await;
    app.clock.set(sealing_of(12));
    app.app.sealer.seal_hours().await.unwrap();
    assert_eq!(
        app.number("SELECT toInt64(count()) AS n FROM usage_open WHERE day = '2026-10-05' AND hour = 12"),
        100
    );
    near(&values(&app, "now", "hour"), &[(&["12"], 40)]);
}

#[actix_web::test]
async fn events_are_bounded_in_each_hour_and_told_apart() {
    let app = start(
        r#"
        [[release]]
        name = "now"
        counts = "events"
        dimensions = ["event", "platform"]
        window = "hour"
        windows = 1
        bound = 3
        epsilon = 4.0
        threshold = 40
        "#,
    )
    .await;
    for phone in 0..50 {
        app.collect(in_hour(&app, phone, 8).times(2)).await;
        app.collect(in_hour(&app, phone, 9).times(2)).await;
    }
    app.collect(in_hour(&app, 50, 9).times(500)).await;
    for phone in 51..71 {
        app.collect(in_hour(&app, phone, 9).times(2).with("/device/platform", json!("ios"))).await;
    }
    app.clock.set(sealing_of(9));
    app.app.sealer.seal_hours().await.unwrap();
    let expected: [(&[&str], i64); 2] =
        [(&["08", "screen_view", "android"], 100), (&["09", "screen_view", "ios"], 40 + 3)];
    let sealed = values(&app, "now", "hour,event,platform");
    near(&sealed[..1], &expected[..1]);
    near(&values(&app, "now", "hour,event")[..1], &[(&["08", "screen_view"], 100)]);
    // Of 503 in the second hour those of the new devices, bounded.
    let second: i64 = sealed.iter().filter(|(dims, _)| dims[0] == "09").map(|(_, value)| value).sum();
    assert!(second < 100, "{sealed:?}");
}

#[actix_web::test]
async fn hours_that_were_missed_are_caught_up_the_last_ones_before_the_day() {
    let app = start(NOW).await;
    app.clock.set(sealing_of(9));
    for hour in 7..10 {
        collect(&app, 30 * (hour as u64 - 7)..30 * (hour as u64 - 6), hour).await;
    }
    let mut setup = app.stop().await;
    setup.catalogue = with(NOW);
    setup.clock.set(sealing_of(11));
    let app = setup.start().await;
    assert_eq!(app.app.sealer.seal_hours().await.unwrap(), 12);
    near(&values(&app, "now", "hour"), &[(&["07"], 30), (&["08"], 30), (&["09"], 30)]);
    app.clock.set(MIDNIGHT_MS + 23 * HOUR_MS + 59 * MINUTE_MS);
    collect(&app, 200..240, 23).await;
    app.clock.set(MIDNIGHT_MS + DAY_MS);
    app.app.sealer.seal(app.app.zone.day(NOW_MS)).await.unwrap();
    assert_eq!(sealed_hours(&app), 24);
    assert_eq!(values(&app, "now", "hour").last().unwrap().0, ["23"]);
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM usage_open"), 0);
    assert_eq!(day_sealed(&app)["epsilon"], json!({ "kz.test.app": 4.0 }));
}

#[actix_web::test]
async fn a_catalogue_that_is_changed_at_noon_spends_no_more() {
    let half = NOW.replace("epsilon = 4.0", "epsilon = 1.5");
    let app = start(&half).await;
    let day = app.app.zone.day(NOW_MS);
    app.clock.set(sealing_of(9));
    collect(&app, 0..60, 9).await;
    assert_eq!(app.app.sealer.seal_hours().await.unwrap(), 10);
    let before = app.rows("SELECT * FROM seals ORDER BY ALL");
    // The same name with more of everything, more names, and a release of the day: together all that a day has.
    let more = with(
        r#"
        [[release]]
        name = "now"
        dimensions = []
        window = "hour"
        windows = 1
        epsilon = 1.5
        threshold = 16
        [[release]]
        name = "small"
        dimensions = []
        window = "hour"
        windows = 24
        epsilon = 0.5
        [[release]]
        name = "large"
        dimensions = []
        window = "hour"
        windows = 24
        epsilon = 1.0
        [[release]]
        name = "whole"
        dimensions = ["platform"]
        epsilon = 1.0
        "#,
    );
    reload(&app, &more);
    app.clock.set(sealing_of(10));
    app.app.sealer.seal_hours().await.unwrap();
    // 1.5 are spent, 1.0 is the day's: there is room for 0.5 and 1.0, and the changed one does not go on.
    let hours = |release: &str| {
        app.number(&format!("SELECT toInt64(count()) AS n FROM seals WHERE release = '{release}' AND window < 24"))
    };
    assert_eq!((hours("now"), hours("small"), hours("large")), (10, 11, 11));
    // What was begun goes on. 3.0 are spent: of the day there is room for one, though the catalogue alone has it for both.
    let greedy = with(&format!(
        "{half}\n[[release]]\nname = \"whole\"\ndimensions = [\"platform\"]\nepsilon = 1.0\n\
         [[release]]\nname = \"other\"\ndimensions = [\"version\"]\nepsilon = 0.6\n"
    ));
    reload(&app, &greedy);
    app.clock.set(MIDNIGHT_MS + DAY_MS);
    app.app.sealer.seal(day).await.unwrap();
    assert_eq!((hours("now"), hours("small"), hours("large")), (24, 11, 11));
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM seals WHERE release = 'other'"), 0);
    let detail = day_sealed(&app);
    assert_eq!(detail["epsilon"], json!({ "kz.test.app": 4.0 }));
    assert_eq!(detail["left_out"], json!({ "kz.test.app": ["other"] }));
    let after = app.rows("SELECT * FROM seals WHERE release = 'now' AND window < 10 ORDER BY ALL");
    assert_eq!(after, before);
}

#[actix_web::test]
async fn a_withdrawal_in_between_changes_no_hour_that_was_sealed_and_is_in_no_later_one() {
    let app = start(NOW).await;
    app.clock.set(sealing_of(9));
    collect(&app, 0..40, 9).await;
    app.app.sealer.seal_hours().await.unwrap();
    let before = values(&app, "now", "hour");
    app.clock.set(sealing_of(10));
    collect(&app, 0..40, 10).await;
    for phone in 0..30 {
        let body: Value = serde_json::from_str(&in_hour(&app, phone, 10).json()).unwrap();
        let notice = json!({ "case": format!("W-{phone}"), "ids": body["device"]["ids"] });
        assert_eq!(crate::withdrawal::withdraw(&app, notice).await.status, 200);
    }
    collect(&app, 0..40, 10).await;
    app.app.sealer.seal_hours().await.unwrap();
    // Ten are left of the hour: too few.
    assert_eq!(values(&app, "now", "hour"), before);
    assert_eq!(sealed_hours(&app), 11);
    // Where the list is ended, nothing tells in how many hours they were: there are no more hours of this day.
    app.app.withdrawals.end_list().await.unwrap();
    app.clock.set(sealing_of(11));
    collect(&app, 0..40, 11).await;
    assert_eq!(app.app.sealer.seal_hours().await.unwrap(), 0);
    app.clock.advance(DAY_MS);
    app.app.sealer.seal(app.app.zone.day(NOW_MS)).await.unwrap();
    assert_eq!(sealed_hours(&app), 11);
    // The next day has all of its own.
    app.clock.set(sealing_of(10) + DAY_MS);
    app.collect(in_hour(&app, 1, 10 + 24)).await;
    assert_eq!(app.app.sealer.seal_hours().await.unwrap(), 11);
}

#[actix_web::test]
async fn hours_and_days_without_data_are_sealed_too() {
    let app = TestApp::start().await;
    let day = app.app.zone.day(NOW_MS);
    assert!(matches!(
        app.app.sealer.seal(tuman_privacy::time::Day(day.0 - 1)).await,
        Err(SealError::NothingThere(_))
    ));
    // What the sealer does on every round.
    app.app.sealer.keep_keys().await;
    app.clock.set(sealing_of(5) + 5 * HOUR_MS);
    assert_eq!(app.app.sealer.seal_hours().await.unwrap(), 11);
    app.clock.set(MIDNIGHT_MS + DAY_MS + 6 * HOUR_MS);
    assert_eq!(app.app.sealer.due().await.unwrap(), [day]);
    app.app.sealer.seal(day).await.unwrap();
    assert_eq!(sealed_hours(&app), 24);
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM seals WHERE window = 24"), 10);
    let region = app.rows("SELECT value FROM releases WHERE release = 'region'");
    // No device, and a draw of scale 20.
    assert!(region.len() == 1 && region[0]["value"].as_i64().unwrap().abs() < 400, "{region:?}");
    assert!(app.app.keyring.records()[0].destroyed_at.is_some());
}

/// Another sealer over the same folder and store, with nothing else in common.
fn another(app: &App) -> Arc<Sealer> {
    let Sealer { store, keyring, loader, ingest, region, zone, clock, audit, hour_wait_ms, .. } = &*app.sealer;
    Arc::new(Sealer {
        store: store.clone(),
        keyring: keyring.clone(),
        loader: loader.clone(),
        ingest: ingest.clone(),
        region: region.clone(),
        zone: zone.clone(),
        clock: clock.clone(),
        journals: Journals::open(Arc::new(RealFilesystem), &app.config.paths.data.join("seal")).unwrap(),
        hour_wait_ms: *hour_wait_ms,
        audit: audit.clone(),
        turn: tokio::sync::Mutex::new(()),
    })
}

#[actix_web::test]
async fn two_sealers_at_once_publish_one_result() {
    let app = TestApp::start().await;
    for phone in 0..40 {
        app.collect(report().of_phone(phone)).await;
    }
    let (one, other) = (app.app.sealer.clone(), another(&app.app));
    app.clock.set(sealing_of(9));
    let (first, second, third) = futures_util::join!(one.seal_hours(), other.seal_hours(), one.seal_hours());
    assert_eq!(first.unwrap() + second.unwrap() + third.unwrap(), 10);
    app.clock.set(MIDNIGHT_MS + DAY_MS);
    let day = app.app.zone.day(NOW_MS);
    let (first, second, hours) = futures_util::join!(one.seal(day), other.seal(day), one.seal_hours());
    assert_eq!(usize::from(first.is_ok()) + usize::from(second.is_ok()), 1);
    for error in [first.err(), second.err()].into_iter().flatten() {
        assert!(matches!(error, SealError::AlreadySealed(_)), "{error}");
    }
    hours.unwrap();
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM seals"), 10 + 2 * 24);
    let lines = "SELECT toInt64(count() - uniqExact(day, app, release, window)) AS n FROM seals";
    let rows = "SELECT toInt64(count() - uniqExact(day, app, release, breakdown, dims)) AS n FROM releases";
    assert_eq!((app.number(lines), app.number(rows)), (0, 0));
    // What the line says was published is what is there.
    let differ = "SELECT toInt64(count()) AS n FROM seals AS s LEFT JOIN (
            SELECT app, release, window, count() AS n FROM releases GROUP BY app, release, window
        ) AS r USING (app, release, window) WHERE s.published != r.n";
    assert_eq!(app.number(differ), 0);
}

#[actix_web::test]
async fn hours_that_fail_at_any_call_end_in_one_published_result() {
    for fails_at in 0..30 {
        let failing = FailingStore::new();
        let mut setup = Setup::new().store(|store| failing.over(store));
        setup.catalogue = with(NOW);
        let app = setup.start().await;
        app.clock.set(sealing_of(8));
        assert_eq!(app.app.sealer.seal_hours().await.unwrap(), 0, "no key, no rows");
        collect(&app, 0..40, 8).await;
        app.app.sealer.seal_hours().await.unwrap();
        app.clock.set(sealing_of(9));
        collect(&app, 40..90, 9).await;
        app.drain().await;
        failing.fail_after(fails_at);
        let first = app.app.sealer.seal_hours().await;
        failing.heal();
        let readable = |app: &TestApp| [app.rows(VALUES), app.rows("SELECT * FROM seals ORDER BY ALL")];
        const VALUES: &str =
            "SELECT * FROM releases WHERE (day, window) IN (SELECT day, window FROM seals) ORDER BY ALL";
        let before = readable(&app);
        let mut setup = app.stop().await;
        setup.catalogue = with(NOW);
        let app = setup.start().await;
        app.app.sealer.seal_hours().await.unwrap();
        let after = readable(&app);
        assert_eq!(after[1].len(), 10, "call {fails_at}");
        assert!(before[0].iter().all(|row| after[0].contains(row)), "call {fails_at}");
        assert!(before[1].iter().all(|row| after[1].contains(row)), "call {fails_at}");
        near(&values(&app, "now", "hour"), &[(&["08"], 40), (&["09"], 50)]);
        assert_eq!(std::fs::read_dir(app.data().join("seal")).unwrap().count(), 0);
        if first.is_ok() {
            assert!(fails_at > 4, "of the calls after the first two none failed");
            return;
        }
    }
    panic!("the hours take more than thirty calls");
}

#[actix_web::test]
async fn a_release_that_is_added_within_an_hour_is_sealed_once() {
    // Of the first batch no value is published, of the second every one.
    let none =
        NOW.replace("\"now\"", "\"none\"").replace("threshold = 16", "threshold = 100000").replace("4.0", "0.5");
    let app = start(&none).await;
    app.clock.set(sealing_of(9));
    collect(&app, 0..60, 9).await;
    assert_eq!(app.app.sealer.seal_hours().await.unwrap(), 10);
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM releases"), 0);
    reload(&app, &with(&format!("{none}{}", NOW.replace("4.0", "3.5"))));
    assert_eq!(app.app.sealer.seal_hours().await.unwrap(), 10);
    let sealed = app.rows("SELECT * FROM releases ORDER BY ALL");
    near(&values(&app, "now", "hour"), &[(&["09"], 60)]);
    for later in [0, HOUR_MS] {
        app.clock.advance(later);
        app.app.sealer.seal_hours().await.unwrap();
        assert_eq!(app.rows("SELECT * FROM releases WHERE window < 10 ORDER BY ALL"), sealed, "drawn once");
        let twice = "SELECT toInt64(count() - uniqExact(app, day, release, window)) AS n FROM seals";
        assert_eq!(app.number(twice), 0);
    }
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM seals WHERE release = 'now'"), 11);
}
