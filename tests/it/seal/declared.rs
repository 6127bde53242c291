//! Releases that a catalogue declares.

use serde_json::{Value, json};
use tuman::catalogue::{Catalogue, Catalogues};
use tuman::seal::SealError;
use tuman::seal::release::defaults;

use crate::harness::{DAY_MS, HOUR_MS, NOW_MS, Setup, TestApp, at, report};

const CATALOGUE: &str = include_str!("../harness/catalogue.toml");

/// The test's catalogue without the default releases, and with these.
pub(super) fn with(releases: &str) -> String {
    let left_out = defaults::ALL
        .into_iter()
        .map(|release| format!("[[release]]\nname = \"{}\"\npublish = false\n", release.name));
    format!("{CATALOGUE}\n[budget]\ndaily_epsilon = 4.0\n{}{releases}", left_out.collect::<String>())
}

pub(super) async fn start(releases: &str) -> TestApp {
    let mut setup = Setup::new();
    setup.catalogue = with(releases);
    setup.start().await
}

async fn seal(app: &TestApp) {
    app.clock.advance(DAY_MS);
    app.app.sealer.seal(app.app.zone.day(NOW_MS)).await.unwrap();
}

/// The published values of a release: dimensions and value.
pub(super) fn values(app: &TestApp, release: &str, breakdown: &str) -> Vec<(Vec<String>, i64)> {
    let sql = format!(
        "SELECT dims, value FROM releases WHERE release = '{release}' AND breakdown = '{breakdown}' ORDER BY dims"
    );
    app.rows(&sql)
        .into_iter()
        .map(|row| serde_json::from_value(json!([row["dims"], row["value"]])).unwrap())
        .collect()
}

pub(super) fn near(values: &[(Vec<String>, i64)], expected: &[(&[&str], i64)]) {
    assert_eq!(values.len(), expected.len(), "{values:?}");
    for ((dims, value), (names, count)) in values.iter().zip(expected) {
        assert_eq!(dims, names, "{values:?}");
        // Scales of at most 1 and sums of a hundred draws: beyond 60 never.
        assert!((value - count).abs() < 60, "{dims:?}: {value} and not {count}");
    }
}

#[actix_web::test]
async fn devices_are_counted_over_up_to_four_dimensions_with_all_their_sums() {
    let app = start(
        r#"
        [[release]]
        name = "screens"
        dimensions = ["screen_view.screen", "platform", "first_use"]
        epsilon = 2.0
        threshold = 70
        [[release]]
        name = "languages"
        dimensions = ["language", "class", "version"]
        epsilon = 2.0
        threshold = 100
        "#,
    )
    .await;
    for phone in 0..600 {
        let of_phone = || {
            let upload = report().of_phone(phone);
            // A version that is not declared, and a platform and a language of no registry.
            match phone % 2 {
                0 => upload.with("/app/version", json!("9.9")).with("/device/platform", json!("symbian")),
                _ => upload.with("/device/language", json!("tlh")),
            }
        };
        let screen = if phone % 3 == 0 { "map" } else { "home" };
        let upload = of_phone().with("/events/0/props", json!({ "screen": screen }));
        assert_eq!(app.collect(upload).await.json()["accepted"], 1);
        // Later reports carry no flags, and events without the property: a device is what it was.
        let later = of_phone().with("/activity", json!({})).with("/events/0/name", json!("search"));
        app.collect(later.with("/events/0/props", json!({}))).await;
    }
    seal(&app).await;
    let home = values(&app, "screens", "screen_view.screen,platform,first_use");
    let home: Vec<_> = home.into_iter().filter(|(dims, _)| dims[0] == "home").collect();
    near(&home, &[(&["home", "android", "week"], 200), (&["home", "other", "week"], 200)]);
    near(&values(&app, "screens", "screen_view.screen"), &[(&["home"], 400), (&["map"], 200)]);
    near(&values(&app, "screens", ""), &[(&[], 600)]);
    near(&values(&app, "languages", "language,version"), &[(&["kk", "other"], 300), (&["other", "3.4.1"], 300)]);
    near(&values(&app, "languages", "class"), &[(&["phone"], 600)]);
    assert_eq!(
        app.number("SELECT toInt64(domain) AS n FROM seals WHERE release = 'languages'"),
        (49 + 1) * (7 + 1) * (3 + 1)
    );
}

#[actix_web::test]
async fn hours_are_counted_in_events_and_one_device_is_bounded() {
    let app = start(
        r#"
        [[release]]
        name = "hours"
        counts = "events"
        dimensions = ["hour"]
        bound = 4
        epsilon = 4.0
        threshold = 50
        "#,
    )
    .await;
    for phone in 0..100 {
        let early = report().of_phone(phone).times(2).with("/events/0/at", json!(at(NOW_MS - 8 * HOUR_MS)));
        app.collect(early).await;
    }
    // One device with five hundred events of one hour.
    app.collect(report().of_phone(500).times(500).with("/events/0/at", json!(at(NOW_MS - 3 * HOUR_MS)))).await;
    seal(&app).await;
    near(&values(&app, "hours", "hour"), &[(&["02"], 100), (&["09"], 104)]);
    let total = values(&app, "hours", "")[0].1;
    assert!((total - 204).abs() < 60, "{total}");
}

#[actix_web::test]
async fn a_funnel_counts_devices_that_reach_its_steps_in_order() {
    let app = start(
        r#"
        [[release]]
        name = "way"
        funnel = ["app_open", "search", "screen_view"]
        epsilon = 4.0
        threshold = 10
        "#,
    )
    .await;
    for phone in 0..200 {
        let hours = match phone % 4 {
            // In order; in one hour; in the wrong order; and no more than the last step.
            0 => [("app_open", 3), ("search", 2), ("screen_view", 1)].to_vec(),
            1 => [("screen_view", 1), ("search", 1), ("app_open", 1)].to_vec(),
            2 => [("search", 3), ("app_open", 2), ("screen_view", 1)].to_vec(),
            _ => [("screen_view", 1)].to_vec(),
        };
        let events = hours.iter().map(|(name, ago)| json!({ "name": name, "at": at(NOW_MS - ago * HOUR_MS) }));
        app.collect(report().of_phone(phone).with("/events", Value::Array(events.collect()))).await;
    }
    seal(&app).await;
    near(&values(&app, "way", "step"), &[(&["01 app_open"], 150), (&["02 search"], 100), (&["03 screen_view"], 100)]);
    let answer = app.stats("releases/way?period=yesterday").await.json();
    assert_eq!(answer["values"][1]["dims"], json!({ "step": "02 search" }));
    assert_eq!(answer["breakdown"], "step");
}

#[actix_web::test]
async fn without_noise_small_counts_go_and_the_rest_is_rounded() {
    let app = start(
        r#"
        [[release]]
        name = "exact_versions"
        dimensions = ["version"]
        epsilon = "off"
        "#,
    )
    .await;
    for phone in 0..93 {
        let version = match phone {
            0..7 => "3.4.0",
            7..41 => "9.9",
            _ => "3.4.1",
        };
        app.collect(report().of_phone(phone).with("/app/version", json!(version))).await;
    }
    seal(&app).await;
    // Seven are too few, and the total would give them away without the 34 beside them.
    assert_eq!(values(&app, "exact_versions", "version"), [(vec!["3.4.1".to_owned()], 50)]);
    assert_eq!(values(&app, "exact_versions", ""), [(vec![], 95)]);
    let seal = &app.rows("SELECT epsilon, scale, mechanism, suppressed, threshold FROM seals")[0];
    assert_eq!(
        *seal,
        json!({ "epsilon": 0, "scale": 0, "mechanism": "threshold_and_rounding", "suppressed": "[[\"version\",2]]", "threshold": 10 })
    );
    let answer = app.stats("releases/exact_versions?period=yesterday").await.json();
    assert_eq!((&answer["releases"][0]["epsilon"], &answer["releases"][0]["scale"]), (&Value::Null, &Value::Null));
    assert_eq!(answer["values"][0]["margin"], 2.0);
    let audit = app.rows("SELECT detail FROM audit WHERE kind = 'day_sealed'");
    let detail: Value = serde_json::from_str(audit[0]["detail"].as_str().unwrap()).unwrap();
    assert_eq!(detail["epsilon"], json!({ "kz.test.app": 0.0 }));
    assert_eq!(detail["without_noise"], json!({ "kz.test.app": ["exact_versions"] }));
}

#[actix_web::test]
async fn numbers_are_answered_from_their_buckets() {
    let app = start(
        r#"
        [[release]]
        name = "durations"
        counts = "events"
        dimensions = ["screen_view.duration_ms", "platform"]
        bound = 1
        epsilon = 4.0
        threshold = 20
        "#,
    )
    .await;
    for phone in 0..300 {
        let ms = if phone < 100 { 40 } else { 840 };
        app.collect(report().of_phone(phone).with("/events/0/props", json!({ "duration_ms": ms }))).await;
    }
    seal(&app).await;
    let answer = app.stats("releases/durations?period=yesterday").await.json();
    let numbers = &answer["numbers"][0];
    assert_eq!(
        (&numbers["of"], &numbers["dims"]),
        (&json!("screen_view.duration_ms"), &json!({ "platform": "android" }))
    );
    let median = &numbers["quantiles"][2];
    assert_eq!((&median["p"], &median["above"], &median["upto"]), (&json!(0.5), &json!(100.0), &json!(1000.0)));
    // 100 at 50 and 200 at 550, each within half its bucket.
    assert!((numbers["mean"].as_f64().unwrap() - 383.0).abs() < 20.0, "{numbers}");
    assert!(numbers["mean_margin"].as_f64().unwrap() > 300.0);
    let alone = app.stats("releases/durations?period=yesterday&breakdown=screen_view.duration_ms").await.json();
    assert_eq!(alone["numbers"][0]["dims"], json!({}));
    let whole = app.stats("releases/durations?period=yesterday&breakdown=none").await.json();
    assert_eq!((whole["values"].as_array().unwrap().len(), &whole["numbers"]), (1, &json!([])));
    for wrong in ["releases/durations?breakdown=@", "releases/DROP?period=yesterday", "releases/durations?colour=red"]
    {
        assert_eq!(app.stats(wrong).await.code(), "invalid_query", "{wrong}");
    }
    let unknown = app.stats("releases/unheard_of?period=yesterday").await.json();
    assert_eq!((&unknown["fresh"]["sealed_days"], &unknown["values"]), (&json!(0), &json!([])));
    // What is not there is not repeated.
    assert_eq!((&unknown["release"], &unknown["breakdown"]), (&Value::Null, &Value::Null));
    let other = app.stats("releases/durations?period=yesterday&breakdown=platform,unheard_of").await;
    assert_eq!(other.json()["breakdown"], Value::Null);
    assert!(!other.text.contains("unheard_of"));
}

#[actix_web::test]
async fn places_are_declared_below_those_that_are_published() {
    let mut setup = Setup::new();
    setup.catalogue = format!(
        "{CATALOGUE}\n[budget]\ndaily_epsilon = 3.0\n[[release]]\nname = \"towns\"\ndimensions = [\"cell_4\"]\nepsilon = 1.0\n"
    );
    let app = setup.start().await;
    for phone in 0..300 {
        app.collect(report().of_phone(phone)).await;
    }
    seal(&app).await;
    near(&values(&app, "towns", "cell"), &[(&["v94f"], 300)]);
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM seals WHERE window = 24"), 11);
}

#[actix_web::test]
async fn another_catalogue_spends_no_sealed_day_again() {
    let app = TestApp::start().await;
    app.collect(report()).await;
    seal(&app).await;
    let sealed = |app: &TestApp| {
        [app.rows("SELECT * FROM seals ORDER BY ALL"), app.rows("SELECT * FROM releases ORDER BY ALL")]
    };
    let before = sealed(&app);
    let more = with("[[release]]\nname = \"more\"\ndimensions = [\"platform\"]\nepsilon = 4.0\n");
    app.app.ingest.reload(Catalogues::of(Catalogue::parse(&more).unwrap()));
    let day = app.app.zone.day(NOW_MS);
    assert!(matches!(app.app.sealer.seal(day).await, Err(SealError::AlreadySealed(_))));
    let app = app.stop().await.start().await;
    assert!(matches!(app.app.sealer.seal(day).await, Err(SealError::AlreadySealed(_))));
    assert_eq!(sealed(&app), before);
    let audit = app.rows("SELECT detail FROM audit WHERE kind = 'day_sealed'");
    assert_eq!(audit.len(), 1);
    let detail: Value = serde_json::from_str(audit[0]["detail"].as_str().unwrap()).unwrap();
    assert_eq!((&detail["epsilon"], &detail["without_noise"]), (&json!({ "kz.test.app": 2.0 }), &json!({})));
}

#[actix_web::test]
async fn the_sealer_spends_no_more_than_the_day_has() {
    let app = TestApp::start().await;
    app.collect(report()).await;
    let mut catalogue = Catalogue::parse(CATALOGUE).unwrap();
    catalogue.daily_epsilon = 1.9;
    app.app.ingest.reload(Catalogues::of(catalogue));
    app.clock.advance(DAY_MS);
    let day = app.app.zone.day(NOW_MS);
    let refused = app.app.sealer.seal(day).await;
    assert!(matches!(refused, Err(SealError::OverBudget { spent, .. }) if (spent - 2.0).abs() < 1e-9));
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM seals"), 0);
    assert!(app.app.sealer.journals.days().unwrap().is_empty());
    app.app.ingest.reload(Catalogues::of(Catalogue::parse(CATALOGUE).unwrap()));
    app.app.sealer.seal(day).await.unwrap();
}
