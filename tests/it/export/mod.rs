//! Exports: sealed releases, in files.

mod command;
mod files;
mod meanwhile;

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tuman::control::{Reply, Request, carry_out};
use zip::ZipArchive;

use crate::harness::{APP, Answer, Setup, TestApp, report};
use crate::http::stats::with_a_sealed_day;
use crate::spec::openapi::OpenApi;

const FORMATS: [&str; 5] = ["csv", "json", "geojson", "parquet", "arrow"];

fn sum(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The files of a package.
fn unpacked(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut files = BTreeMap::new();
    for at in 0..archive.len() {
        let mut entry = archive.by_index(at).unwrap();
        let mut contents = Vec::new();
        entry.read_to_end(&mut contents).unwrap();
        files.insert(entry.name().unwrap().into_owned(), contents);
    }
    files
}

fn exported(app: &TestApp) -> Vec<Value> {
    let entries = app.rows("SELECT detail FROM audit WHERE kind = 'exported' ORDER BY seq");
    entries.iter().map(|entry| serde_json::from_str(entry["detail"].as_str().unwrap()).unwrap()).collect()
}

#[actix_web::test]
async fn the_same_question_has_the_same_bytes_and_says_their_sum() {
    let document = OpenApi::read();
    let app = with_a_sealed_day().await;
    let package = FORMATS.map(|format| ("/v1/export", format!("?period=yesterday&format={format}")));
    let files = FORMATS.map(|format| ("/v1/export/{name}", format!("/places_4?period=yesterday&format={format}")));
    for (path, question) in package.into_iter().chain(files) {
        let answer = app.export(&question).await;
        assert_eq!(answer.status, 200, "{question}: {}", answer.text);
        document.check("GET", path, &answer);
        let tag = format!("\"{}\"", sum(&answer.bytes));
        assert_eq!(answer.header("etag"), Some(tag.as_str()), "{question}");
        assert_eq!(answer.header("content-length"), Some(answer.bytes.len().to_string().as_str()));
        // A day later, from elsewhere in the calendar, nothing has changed.
        let dated = question.replace("yesterday", "2026-10-05..2026-10-05");
        assert_eq!(app.export(&dated).await.bytes, answer.bytes, "{question}");
    }
}

#[actix_web::test]
async fn what_is_known_already_is_not_sent_again_and_not_recorded() {
    let app = with_a_sealed_day().await;
    let bearer = format!("Bearer {}", app.partner_token);
    let path = "/v1/export/places_4?period=yesterday";
    let first = app.get(path, &[("Authorization", &bearer)]).await;
    let tag = first.header("etag").unwrap().to_owned();
    let known = [("Authorization", bearer.as_str()), ("If-None-Match", tag.as_str())];
    let again = app.get(path, &known).await;
    assert_eq!((again.status, again.bytes.len(), again.header("etag")), (304, 0, Some(tag.as_str())));
    assert_eq!(exported(&app).len(), 1);
    let other = [("Authorization", bearer.as_str()), ("If-None-Match", "\"00\"")];
    assert_eq!(app.get(path, &other).await.status, 200);
    assert_eq!(app.get(path, &[("If-None-Match", &tag)]).await.status, 401);
}

#[actix_web::test]
async fn an_export_is_on_record_with_its_basis_before_it_goes() {
    let app = with_a_sealed_day().await;
    let file = app.export("/places_5?period=yesterday&format=parquet").await;
    let package = app.export("?period=yesterday").await;
    assert_eq!(
        exported(&app),
        [
            json!({
                "what": "release", "app": APP, "from": "2026-10-05", "to": "2026-10-05", "release": "places_5",
                "format": "parquet", "sha256": sum(&file.bytes), "basis": "4.2.3", "to_whom": { "token": "partner" },
            }),
            json!({
                "what": "package", "app": APP, "from": "2026-10-05", "to": "2026-10-05", "release": null,
                "format": "csv", "sha256": sum(&package.bytes), "basis": "4.2.3", "to_whom": { "token": "partner" },
            }),
        ]
    );
    // The log cannot be written: nothing goes out.
    app.store.execute(&tuman::store::Statement::new("RENAME TABLE audit TO gone")).unwrap();
    for question in ["/places_5?period=yesterday", "?period=yesterday"] {
        let answer = app.export(question).await;
        assert_eq!(answer.code(), "internal", "{question}");
    }
}

#[actix_web::test]
async fn partners_take_exports_and_read_nothing_else() {
    let app = with_a_sealed_day().await;
    let bearer = |token: &str| format!("Bearer {token}");
    let [partner, analyst] = [&app.partner_token, &app.analyst_token].map(|token| bearer(token));
    for path in ["/v1/export?period=yesterday", "/v1/export/places_4?period=yesterday"] {
        assert_eq!(app.get(path, &[("Authorization", &partner)]).await.status, 200);
        assert_eq!(app.get(path, &[("Authorization", &analyst)]).await.status, 200);
        for token in [&app.app_key, &app.operator_token, &app.officer_token] {
            assert_eq!(app.get(path, &[("Authorization", &bearer(token))]).await.status, 401);
        }
        assert_eq!(app.get(path, &[]).await.status, 401);
    }
    for path in ["/v1/stats/activity", "/v1/stats/places.geojson", "/v1/stats/releases/region", "/v1/ledger"] {
        assert_eq!(app.get(path, &[("Authorization", &partner)]).await.status, 401, "{path}");
    }
    // An analyst has no basis: what it says of a package is that it is not for a partner.
    let package = app.get("/v1/export?period=yesterday", &[("Authorization", &analyst)]).await;
    let description: Value = serde_json::from_slice(&unpacked(&package.bytes)["datapackage.json"]).unwrap();
    assert_eq!(description["basis"], Value::Null);
}

#[actix_web::test]
async fn a_partner_of_one_app_takes_that_one_alone() {
    for (of, status) in [(APP, 200), ("kz.other.app", 422)] {
        let mut setup = Setup::new();
        setup.partner_of = Some(of.to_owned());
        let app = setup.start().await;
        assert_eq!(app.export("?app=kz.test.app&period=yesterday").await.status, status, "{of}");
        // Where no app is asked for, it is the token's.
        let package = unpacked(&app.export("?period=yesterday").await.bytes);
        let description: Value = serde_json::from_slice(&package["datapackage.json"]).unwrap();
        assert_eq!(description["app"], of);
        assert!(exported(&app).iter().all(|entry| entry["app"] == of));
    }
}

#[actix_web::test]
async fn nothing_of_an_open_day_is_exported() {
    let app = TestApp::start().await;
    for phone in 0..200 {
        app.collect(report().of_phone(phone)).await;
    }
    app.drain().await;
    assert!(app.number("SELECT count() AS n FROM usage_open") > 0);
    let today = "period=2026-10-05..2026-10-05";
    for release in ["active_devices", "places_5", "region", "usage_open"] {
        assert_eq!(app.export(&format!("/{release}?{today}")).await.code(), "not_found", "{release}");
    }
    let files = unpacked(&app.export(&format!("?{today}")).await.bytes);
    assert_eq!(files.keys().collect::<Vec<_>>(), ["SHA256SUMS", "datapackage.json", "seals.csv"]);
    assert_eq!(String::from_utf8_lossy(&files["seals.csv"]).lines().count(), 1, "the names of its columns");
    let description: Value = serde_json::from_slice(&files["datapackage.json"]).unwrap();
    assert_eq!((&description["sealed_days"], &description["missing_days"]), (&json!(0), &json!(["2026-10-05"])));
}

#[actix_web::test]
async fn values_that_are_not_published_yet_are_not_exported() {
    let app = with_a_sealed_day().await;
    // As a seal leaves it that was interrupted between its values and the line that makes them readable.
    let text = "INSERT INTO releases VALUES ('2026-10-04', 'kz.test.app', 'region', '', [], 4321, 1.5, 24)";
    app.store.execute(&tuman::store::Statement::new(text)).unwrap();
    let csv = app.export("/region?period=2026-10-01..2026-10-05").await.text;
    assert!(csv.contains("2026-10-05,total,") && !csv.contains("4321"), "{csv}");
}

#[actix_web::test]
async fn a_wrong_question_is_told_what_is_right_and_repeats_nothing() {
    let app = with_a_sealed_day().await;
    let problem = |answer: &Answer| answer.json()["problems"][0].clone();
    let answer = app.export("/places_4?period=yesterday&format=xlsx-490154203237518").await;
    assert_eq!(
        problem(&answer),
        json!({ "parameter": "format", "detail": "csv | json | geojson | parquet | arrow" })
    );
    assert!(!answer.text.contains("490154203237518"));
    let answer = app.export("/active_devices?period=yesterday&format=geojson").await;
    assert_eq!(problem(&answer)["parameter"], "format");
    let answer = app.export("?period=yesterday&format=geojson&release=active_devices").await;
    assert_eq!(problem(&answer)["parameter"], "format");
    assert_eq!(app.export("?period=yesterday&release=unheard_of").await.code(), "not_found");
    assert_eq!(app.export("/unheard_of?period=yesterday").await.code(), "not_found");
    assert_eq!(app.export("/Places?period=yesterday").await.code(), "invalid_query");
}

#[actix_web::test]
async fn what_is_too_large_is_refused_before_it_is_read() {
    let app = with_a_sealed_day().await;
    // A seal that says of itself that it published more than an export holds.
    let text = "INSERT INTO seals SELECT day, app, 'huge', dims, bound, epsilon, scale, threshold, mechanism, domain, \
                200001, suppressed, sealed_at, window, windows FROM seals WHERE release = 'region'";
    app.store.execute(&tuman::store::Statement::new(text)).unwrap();
    for question in ["/huge?period=yesterday", "?period=yesterday"] {
        let answer = app.export(question).await;
        assert_eq!(
            (answer.status, &answer.json()["problems"][0]["parameter"]),
            (422, &json!("period")),
            "{question}"
        );
    }
    assert_eq!(app.export("?period=yesterday&release=region").await.status, 200);
}

#[actix_web::test]
async fn few_exports_are_in_memory_at_one_time() {
    let app = with_a_sealed_day().await;
    let turns = app.app.exports.clone();
    let all = (turns.wait().await, turns.wait().await);
    assert_eq!(turns.free(), 0);
    let refused = app.export("/region?period=yesterday").await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "rate_limited"));
    assert!(refused.header("retry-after").is_some());
    drop(all);
    // Of one token one: the other turn is left to others.
    let grant = app.app.access().grant(&app.partner_token, 0).unwrap().clone();
    let held = turns.take_for(&grant.sha256).unwrap();
    assert_eq!(app.export("/region?period=yesterday").await.code(), "rate_limited");
    let analyst = format!("Bearer {}", app.analyst_token);
    let other = app.get("/v1/export/region?period=yesterday", &[("Authorization", &analyst)]).await;
    assert_eq!(other.status, 200);
    drop(held);
    for _ in 0..=tuman::app::EXPORTS {
        assert_eq!(app.export("/region?period=yesterday").await.status, 200);
    }
    // Each gave its turn back when it was sent.
    assert_eq!(turns.free(), tuman::app::EXPORTS);
}

#[actix_web::test]
async fn a_command_waits_for_its_turn_like_everyone() {
    let app = with_a_sealed_day().await;
    let (exports, questions) = (app.app.exports.clone(), &app.app.questions);
    let (all_exports, all_questions) = (exports.free(), questions.available_permits());
    let held = (exports.wait().await, exports.wait().await);
    let asked = questions.acquire_many(all_questions as u32).await.unwrap();
    let parameters = vec![("period".to_owned(), "yesterday".to_owned())];
    let request = Request::Export { file: Some("region".into()), parameters, basis: None };
    let shared = app.app.clone().into_inner();
    let mut command = std::pin::pin!(carry_out(request, "", &shared));
    // A turn that is given back goes to whoever has waited longest, at once.
    assert!(futures_util::poll!(&mut command).is_pending());
    drop(held);
    assert_eq!(exports.free(), all_exports - 1);
    assert!(futures_util::poll!(&mut command).is_pending());
    drop(asked);
    assert_eq!(questions.available_permits(), all_questions - 1);
    assert!(matches!(command.await, Reply::Exported { .. }));
    assert_eq!((exports.free(), questions.available_permits()), (all_exports, all_questions));
}
