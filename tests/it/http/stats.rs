//! `GET /v1/stats/...`: sealed days, asked.

use serde_json::json;

use crate::harness::{DAY_MS, NOW_MS, Setup, TestApp, report};

/// A collector with one sealed day: 400 phones, 300 of them in Astana, 100 in Almaty, eight events each.
pub async fn with_a_sealed_day() -> TestApp {
    with_a_sealed_day_in(Setup::new()).await
}

/// The same, where something is different.
pub async fn with_a_sealed_day_in(setup: Setup) -> TestApp {
    let app = setup.start().await;
    for phone in 0..400 {
        let place = if phone % 4 == 0 {
            json!({ "lat": 43.238, "lon": 76.945 })
        } else {
            json!({ "lat": 51.128, "lon": 71.43 })
        };
        let upload = report().of_phone(phone).with("/events/0/location", place).times(8);
        assert_eq!(app.collect(upload).await.status, 202);
    }
    app.clock.advance(DAY_MS);
    let day = app.app.zone.day(NOW_MS);
    app.app.sealer.seal(day).await.unwrap();
    app
}

#[actix_web::test]
async fn a_sealed_day_is_answered_with_margins() {
    let app = with_a_sealed_day().await;
    let answer = app.stats("activity?period=yesterday&breakdown=platform").await.json();
    assert_eq!(answer["app"], "kz.test.app");
    assert_eq!(answer["fresh"], json!({ "sealed_through": "2026-10-05", "sealed_days": 1, "missing_days": [] }));
    assert_eq!(answer["releases"][0]["epsilon"], 0.25);
    let android = &answer["series"][0];
    assert_eq!(android["dims"], json!({ "platform": "android" }));
    // The margin of three draws of scale 4; ten times as much never happens.
    let margin = android["margin"].as_f64().unwrap();
    assert!((15.0..30.0).contains(&margin), "{margin}");
    assert!((android["devices"].as_f64().unwrap() - 400.0).abs() < 10.0 * margin);
    let suppressed: u64 =
        answer["suppressed"].as_array().unwrap().iter().map(|entry| entry["values"].as_u64().unwrap()).sum();
    assert!(suppressed > 5, "{answer}");

    let events = app.stats("events?period=yesterday").await.json();
    let first = &events["events"][0];
    assert_eq!(first["name"], "screen_view");
    assert!((first["devices"]["value"].as_f64().unwrap() - 400.0).abs() < 300.0);
    assert!((first["events"]["value"].as_f64().unwrap() - 3200.0).abs() < 1500.0);

    let week = app.stats("activity?interval=week&period=2026-10-05..2026-10-05").await.json();
    assert_eq!((&week["series"][0]["from"], &week["series"][0]["to"]), (&json!("2026-10-05"), &json!("2026-10-11")));
}

#[actix_web::test]
async fn answers_are_kept_until_another_day_is_sealed_or_one_is_deleted() {
    let app = with_a_sealed_day().await;
    let questions = ["activity", "events", "places", "places.geojson", "releases/active_devices"];
    let ask = async |what: &str, tag: Option<&str>| {
        let bearer = format!("Bearer {}", app.analyst_token);
        let mut headers = vec![("Authorization", bearer.as_str())];
        headers.extend(tag.map(|tag| ("If-None-Match", tag)));
        app.get(&format!("/v1/stats/{what}?period=2026-10-05..2026-10-06"), &headers).await
    };
    let mut before = Vec::new();
    for question in questions {
        let first = ask(question, None).await;
        let tag = first.header("etag").unwrap().to_owned();
        assert_eq!(ask(question, None).await.text, first.text);
        let again = ask(question, Some(&tag)).await;
        assert_eq!((again.status, again.text.as_str(), again.header("etag")), (304, "", Some(&*tag)));
        assert_eq!(ask(question, Some("\"another\"")).await.status, 200);
        before.push((question, tag));
    }
    for phone in 0..100 {
        app.collect(report().of_phone(phone).sent(NOW_MS + DAY_MS)).await;
    }
    app.clock.advance(DAY_MS);
    app.app.sealer.seal(app.app.zone.day(NOW_MS + DAY_MS)).await.unwrap();
    for (question, tag) in &before {
        let after = ask(question, Some(tag)).await;
        assert_eq!((after.status, &after.json()["fresh"]["sealed_days"]), (200, &json!(2)), "{question}");
    }
    // From its line in `deletions` on, whenever its values go.
    let text = "INSERT INTO deletions VALUES ('2026-10-05', '2026-12-01 00:00:00')";
    app.store.execute(&tuman::store::Statement::new(text)).unwrap();
    assert!(app.number("SELECT toInt64(count()) AS n FROM releases WHERE day = '2026-10-05'") > 0);
    for question in questions {
        assert_eq!(ask(question, None).await.json()["fresh"]["sealed_days"], 1, "{question}");
    }
}

#[actix_web::test]
async fn consistent_values_add_up_across_questions() {
    let app = with_a_sealed_day().await;
    let ask = async |question: &str| app.stats(&format!("{question}&period=yesterday&consistent=true")).await.json();
    let sum = |values: &serde_json::Value, key: &str| -> i64 {
        values.as_array().unwrap().iter().map(|value| value[key].as_i64().unwrap()).sum()
    };
    let mut within = i64::MAX;
    for precision in [3, 4, 5] {
        let answer = ask(&format!("places?precision={precision}")).await;
        assert_eq!(answer["consistent"], true);
        let cells = sum(&answer["cells"], "device_days");
        assert!(cells > 300 && cells <= within.min(answer["region"]["device_days"].as_i64().unwrap()), "{answer}");
        within = cells;
    }
    let whole = sum(&ask("activity?breakdown=none").await["series"], "devices");
    let mut within = whole;
    for breakdown in ["platform", "platform,version"] {
        let parts = sum(&ask(&format!("activity?breakdown={breakdown}")).await["series"], "devices");
        let answer = ask(&format!("releases/active_devices?breakdown={breakdown}")).await;
        assert!(parts > 300 && parts <= within, "{breakdown}: {parts} of {within}");
        assert_eq!([sum(&answer["values"], "value"), sum(&answer["sums"], "value")], [parts, parts]);
        within = parts;
    }
    // The total is the published one.
    let published = app.stats("activity?period=yesterday").await.json();
    assert_eq!((sum(&published["series"], "devices"), &published["consistent"]), (whole, &json!(false)));
    // A sum of events has no whole to keep within.
    assert_eq!(app.stats("events?consistent=true").await.code(), "invalid_query");
}

#[actix_web::test]
async fn places_come_at_three_precisions_and_as_geojson() {
    let app = with_a_sealed_day().await;
    for (precision, astana) in [(3, "v94"), (4, "v94f"), (5, "v94fc")] {
        let answer = app.stats(&format!("places?period=yesterday&precision={precision}")).await.json();
        let first = &answer["cells"][0];
        assert_eq!(first["cell"], astana);
        assert!((first["per_day"].as_f64().unwrap() - 300.0).abs() < 150.0);
        // At three characters, noise alone lifts one of the region's 360 cells over the threshold on one day in ten.
        let cells = answer["cells"].as_array().unwrap().len();
        assert!(if precision == 3 { cells >= 2 } else { cells == 2 }, "{answer}");
        assert!((answer["region"]["device_days"].as_f64().unwrap() - 400.0).abs() < 400.0);
    }
    for path in ["places.geojson?period=yesterday", "places?period=yesterday"] {
        let bearer = format!("Bearer {}", app.analyst_token);
        let headers = [("Authorization", bearer.as_str()), ("Accept", "application/geo+json")];
        let answer = app.get(&format!("/v1/stats/{path}"), &headers).await;
        assert_eq!(answer.header("content-type"), Some("application/geo+json"));
        let ring = &answer.json()["features"][0]["geometry"]["coordinates"][0];
        assert_eq!(ring.as_array().unwrap().len(), 5);
        assert_eq!(ring[0], ring[4]);
    }
}

#[actix_web::test]
async fn only_analysts_may_ask() {
    let app = TestApp::start().await;
    let app_key = format!("Bearer {}", app.app_key);
    let operator = format!("Bearer {}", app.operator_token);
    let analyst = format!("Bearer {}", app.analyst_token);
    for question in ["/v1/stats/activity", "/v1/stats/events", "/v1/stats/places", "/v1/stats/places.geojson"] {
        let mut refusals = Vec::new();
        for token in ["Bearer tkr_00", &app_key, &operator] {
            let answer = app.get(question, &[("Authorization", token)]).await;
            assert_eq!(answer.status, 401);
            refusals.push(answer.text);
        }
        refusals.push(app.get(question, &[]).await.text);
        refusals.dedup();
        assert_eq!(refusals.len(), 1, "every refusal is the same");
        assert_eq!(app.get(question, &[("Authorization", &analyst)]).await.status, 200);
    }
    assert_eq!(app.get("/v1/ledger", &[("Authorization", &analyst)]).await.status, 401);
    assert_eq!(app.get("/v1/ledger", &[("Authorization", &operator)]).await.status, 200);
}

#[actix_web::test]
async fn a_wrong_question_lists_what_is_allowed() {
    let app = TestApp::start().await;
    let answer = app.stats("activity?period=490154203237518&colour=red&breakdown=device").await;
    assert_eq!((answer.status, answer.code().as_str()), (422, "invalid_query"));
    let problems = answer.json()["problems"].as_array().unwrap().len();
    assert_eq!(problems, 3);
    assert!(!answer.text.contains("490154203237518") && !answer.text.contains("colour"));
}

#[actix_web::test]
async fn the_same_question_has_the_same_answer() {
    let app = with_a_sealed_day().await;
    let one = app.stats("activity?period=yesterday&breakdown=version").await.text;
    let other = app.stats("activity?breakdown=version&period=yesterday").await.text;
    assert_eq!(one, other);
}

#[actix_web::test]
async fn open_days_are_not_answered() {
    let app = TestApp::start().await;
    for phone in 0..100 {
        app.collect(report().of_phone(phone)).await;
    }
    app.drain().await;
    let answer = app.stats("activity?period=2026-10-05..2026-10-05").await.json();
    assert_eq!(answer["series"], json!([]));
    assert_eq!(answer["fresh"]["missing_days"], json!(["2026-10-05"]));
}

#[actix_web::test]
async fn the_ledger_accounts_for_every_event() {
    let app = TestApp::start().await;
    app.collect(report().times(3).with("/events/1", json!(5))).await;
    app.drain().await;
    let operator = format!("Bearer {}", app.operator_token);
    let answer = app.get("/v1/ledger?period=2026-10-05..2026-10-05", &[("Authorization", &operator)]).await.json();
    let day = &answer["days"][0];
    assert_eq!((&day["received"], &day["stored"], &day["duplicate"]), (&json!(3), &json!(2), &json!(0)));
    assert_eq!(day["refused"], json!({ "malformed_event": 1 }));
    assert_eq!(answer["in_flight"]["records"], 0);
}
