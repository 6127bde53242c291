//! Days as they pass: clocks of devices that are wrong, events that come late, too late or too early, midnight, and days
//! that are gone for good.

use serde_json::{Value, json};

use crate::harness::{DAY_MS, HOUR_MS, NOW_MS, Report, Setup, TestApp, at, report};

const MINUTE_MS: i64 = 60_000;
/// 2026-10-06T00:00:00+05:00: NOW_MS is ten in the morning of the fifth.
const MIDNIGHT_MS: i64 = NOW_MS + 14 * HOUR_MS;
/// The grace of the fifth ends six hours later.
const GRACE_ENDS_MS: i64 = MIDNIGHT_MS + 6 * HOUR_MS;

/// A report of a device whose clock is ahead by `error_ms`, sent now, with one event that happened at `happened_ms`.
fn happened(app: &TestApp, happened_ms: i64, error_ms: i64) -> Report {
    let sent_ms = tuman::clock::Clock::now_ms(&app.clock) + error_ms;
    report().with("/sent_at", json!(at(sent_ms))).with("/events/0/at", json!(at(happened_ms + error_ms)))
}

/// Day, hour and late mark of all rows, oldest first.
async fn rows(app: &TestApp) -> Vec<(String, i64, bool)> {
    app.drain().await;
    let rows = app.rows("SELECT toString(day) AS day, hour, bitAnd(flags, 1) AS late FROM usage_open ORDER BY ALL");
    let read = |row: &Value| {
        (row["day"].as_str().unwrap().to_owned(), row["hour"].as_i64().unwrap(), row["late"] == json!(1))
    };
    rows.iter().map(read).collect()
}

fn row(day: &str, hour: i64, late: bool) -> (String, i64, bool) {
    (day.to_owned(), hour, late)
}

#[actix_web::test]
async fn a_device_clock_that_is_wrong_by_minutes_or_days_is_put_right() {
    let app = TestApp::start().await;
    for error_ms in [0, 7 * MINUTE_MS, -3 * HOUR_MS, 5 * DAY_MS, -400 * DAY_MS, 20 * 365 * DAY_MS] {
        let answer = app.collect(happened(&app, NOW_MS - 90 * MINUTE_MS, error_ms)).await;
        assert_eq!(answer.json()["accepted"], 1, "{error_ms}");
    }
    assert_eq!(rows(&app).await, vec![row("2026-10-05", 8, false); 6]);
}

#[actix_web::test]
async fn what_is_older_than_seven_days_or_after_its_arrival_is_refused_by_the_corrected_clock() {
    let app = TestApp::start().await;
    let second = 1_000;
    for (happened_ms, refusals) in [
        (NOW_MS - 7 * DAY_MS, vec![]),
        (NOW_MS - 7 * DAY_MS - second, vec!["too_old"]),
        (NOW_MS + 10 * MINUTE_MS, vec![]),
        (NOW_MS + 10 * MINUTE_MS + second, vec!["from_the_future"]),
    ] {
        for error_ms in [0, 3 * DAY_MS, -3 * DAY_MS] {
            let answer = app.collect(happened(&app, happened_ms, error_ms)).await;
            assert_eq!(answer.refusals(), refusals, "{happened_ms} {error_ms}");
        }
    }
    app.drain().await;
    assert_eq!(
        (app.booked("refused:too_old"), app.booked("refused:from_the_future"), app.booked("stored")),
        (3, 3, 6)
    );
}

#[actix_web::test]
async fn around_midnight_an_event_is_of_the_day_it_happened_on() {
    let app = TestApp::start().await;
    app.clock.set(MIDNIGHT_MS - 1);
    app.collect(happened(&app, MIDNIGHT_MS - 1, 0)).await;
    // Within the tolerance, and of tomorrow by its own clock: it happened by its arrival.
    app.collect(happened(&app, MIDNIGHT_MS + 5 * MINUTE_MS, 0)).await;
    app.clock.set(MIDNIGHT_MS);
    app.collect(happened(&app, MIDNIGHT_MS - 1, 0)).await;
    app.collect(happened(&app, MIDNIGHT_MS, 0)).await;
    let expected = [23, 23, 23].map(|hour| row("2026-10-05", hour, false)).into_iter();
    assert_eq!(rows(&app).await, expected.chain([row("2026-10-06", 0, false)]).collect::<Vec<_>>());
}

#[actix_web::test]
async fn late_events_are_of_their_day_within_its_grace_and_of_the_day_of_arrival_after_it() {
    let app = TestApp::start().await;
    app.collect(happened(&app, NOW_MS, 0)).await;
    app.clock.set(GRACE_ENDS_MS - 1);
    app.collect(happened(&app, NOW_MS, 0)).await;
    app.clock.set(GRACE_ENDS_MS);
    app.collect(happened(&app, NOW_MS, 0)).await;
    assert_eq!(
        rows(&app).await,
        [row("2026-10-05", 10, false), row("2026-10-05", 10, false), row("2026-10-06", 10, true)]
    );
    assert_eq!(app.booked("note:late"), 1);
}

#[actix_web::test]
async fn a_week_of_days_is_sealed_one_by_one_and_takes_what_comes_late() {
    let app = TestApp::start().await;
    for day in 0..7 {
        let noon_ms = NOW_MS + day * DAY_MS + 2 * HOUR_MS;
        app.clock.set(noon_ms);
        for due in app.app.sealer.due().await.unwrap() {
            app.app.sealer.seal(due).await.unwrap();
        }
        // Of today; of a sealed day, counted today; of a day that is too long ago.
        for (ago_ms, accepted) in [(HOUR_MS, 1), (3 * DAY_MS, 1), (8 * DAY_MS, 0)] {
            assert_eq!(app.collect(happened(&app, noon_ms - ago_ms, 0)).await.json()["accepted"], accepted);
        }
        assert_eq!(app.app.keyring.days(), [app.app.zone.day(noon_ms)], "only today has a key");
        let today = tuman::clock::date_of(app.app.zone.day(noon_ms)).to_string();
        assert_eq!(rows(&app).await, [row(&today, 11, false), row(&today, 12, true)]);
    }
    assert_eq!(app.number("SELECT toInt64(uniqExact(day)) AS n FROM seals"), 6);
    assert_eq!((app.booked("stored"), app.booked("note:late"), app.booked("refused:too_old")), (14, 7, 7));
    let wrong = app.number(
        "SELECT toInt64(count()) AS n FROM (SELECT day, sumIf(n, outcome = 'received') AS received, \
         sumIf(n, outcome IN ('stored', 'duplicate') OR outcome LIKE 'refused:%') AS told FROM ledger GROUP BY day) \
         WHERE received != told OR received != 3",
    );
    assert_eq!(wrong, 0, "each day accounts for the three events that arrived on it");
}

#[actix_web::test]
async fn a_destroyed_day_never_comes_back_also_when_the_clock_is_set_back() {
    let app = TestApp::start().await;
    app.collect(report()).await;
    app.clock.set(GRACE_ENDS_MS);
    app.app.sealer.seal(app.app.zone.day(NOW_MS)).await.unwrap();
    let releases = app.rows("SELECT * FROM releases ORDER BY ALL");
    // The machine's clock is wrong: nothing is taken for a day that is gone, before and after a restart.
    app.clock.set(NOW_MS);
    let mut app = app;
    for _ in 0..2 {
        let refused = app.collect(report()).await;
        assert_eq!((refused.status, refused.header("retry-after").is_some()), (503, true), "{}", refused.text);
        assert_eq!(app.app.sealer.due().await.unwrap(), []);
        assert_eq!(rows(&app).await, []);
        app = app.stop().await.start().await;
    }
    // The clock is right again: the app comes again, and nothing that was published has changed.
    app.clock.set(GRACE_ENDS_MS + HOUR_MS);
    assert_eq!(app.collect(report()).await.status, 202);
    assert_eq!(rows(&app).await, [row("2026-10-06", 6, false)]);
    assert_eq!(app.rows("SELECT * FROM releases ORDER BY ALL"), releases);
    let keys: Vec<_> = std::fs::read_dir(&app.app.config.paths.keys).unwrap().flatten().collect();
    assert!(keys.iter().all(|key| !key.file_name().to_string_lossy().contains("2026-10-05")));
}

#[actix_web::test]
async fn a_day_is_as_long_as_its_zone_says() {
    // Without summer time, with summer time (23 and 25 hours), half an hour off, and on the far side of the date line.
    for (zone, midnight, hours) in [
        ("Asia/Almaty", "2026-03-29T00:00:00+05:00", 24),
        ("Europe/Berlin", "2026-03-29T00:00:00+01:00", 23),
        ("Europe/Berlin", "2026-10-25T00:00:00+02:00", 25),
        ("Asia/Kolkata", "2026-06-01T00:00:00+05:30", 24),
        ("Pacific/Kiritimati", "2026-06-01T00:00:00+14:00", 24),
    ] {
        let begins_ms = midnight.parse::<jiff::Timestamp>().unwrap().as_millisecond();
        let ends_ms = begins_ms + hours * HOUR_MS;
        let mut setup = Setup::new();
        setup.config.privacy.zone = zone.into();
        setup.clock.set(begins_ms);
        let app = setup.start().await;
        let day = app.app.zone.day(begins_ms);
        app.collect(happened(&app, begins_ms, 0)).await;
        app.clock.set(ends_ms - 1);
        app.collect(happened(&app, ends_ms - 1, 0)).await;
        assert!(app.app.sealer.seal(day).await.is_err(), "{zone}: not over");
        app.clock.set(ends_ms);
        app.collect(happened(&app, ends_ms, 0)).await;
        let date = tuman::clock::date_of(day);
        let next = date.tomorrow().unwrap().to_string();
        let date = date.to_string();
        assert_eq!(
            rows(&app).await,
            [row(&date, 0, false), row(&date, 23, false), row(&next, 0, false)],
            "{zone} {midnight}"
        );
        app.clock.set(ends_ms + 6 * HOUR_MS - 1);
        assert_eq!(app.app.sealer.due().await.unwrap(), [], "{zone}");
        app.clock.set(ends_ms + 6 * HOUR_MS);
        assert_eq!(app.app.sealer.due().await.unwrap(), [day], "{zone}");
    }
}

#[actix_web::test]
async fn a_retry_gets_its_first_answer_for_48_hours_wherever_the_answer_lies() {
    let upload = || report().with("/events/0/name", json!("never_declared")).with("/report_id", json!(ID));
    let two = |upload: Report| {
        let event = json!({ "name": "app_open", "at": at(NOW_MS) });
        let first = json!({ "name": "never_declared", "at": at(NOW_MS) });
        upload.with("/events", json!([first, event]))
    };
    let app = TestApp::start().await;
    let first = app.collect(two(upload())).await;
    assert_eq!((first.json()["accepted"].clone(), first.refusals()), (json!(1), vec!["unknown_event".to_owned()]));
    // In the segment that is being written, in a segment after a restart, loaded, loaded and after a restart.
    assert_eq!(app.collect(two(upload())).await.text, first.text);
    let app = app.stop().await.start().await;
    assert_eq!(app.collect(two(upload())).await.text, first.text);
    app.drain().await;
    assert_eq!(app.collect(two(upload())).await.text, first.text);
    let app = app.stop().await.start().await;
    app.clock.set(NOW_MS + 48 * HOUR_MS - 1);
    app.app.seen.expire(NOW_MS + 48 * HOUR_MS - 1).unwrap();
    assert_eq!(app.collect(two(upload())).await.text, first.text);
    app.drain().await;
    assert_eq!((app.booked("received"), app.booked("duplicate"), app.booked("stored")), (10, 8, 1));
    // Two hours after the 48, it is a new one.
    app.clock.set(NOW_MS + 50 * HOUR_MS);
    app.app.seen.expire(NOW_MS + 50 * HOUR_MS).unwrap();
    assert_eq!(app.collect(two(upload())).await.status, 202);
    app.drain().await;
    assert_eq!((app.booked("duplicate"), app.booked("stored")), (8, 2));
}

const ID: &str = "7f9c24e8-3b12-4fef-91e0-1d3c4c8b2a55";
