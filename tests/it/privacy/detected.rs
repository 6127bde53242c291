//! Personal data in every place of a report where a text can stand: it is noted once, or the report is refused; nothing of
//! it is kept.
//!
//! Complete by construction: the places come from the data dictionary.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::search::Search;
use crate::harness::{TestApp, report};

const EMAIL: &str = "aigerim.test@example.kz";

/// Fields that a report is refused for, and the code of the answer. Of all others, what is found is noted.
const REFUSED: [(&str, &str); 6] = [
    ("report_id", "invalid_report"),
    ("sent_at", "invalid_report"),
    ("consent.usage", "invalid_report"),
    ("consent.location", "invalid_report"),
    ("device.ids[].kind", "invalid_report"),
    ("device.ids[].value", "invalid_identifier"),
];

/// Where what the protocol does not know can stand.
const OBJECTS: [&str; 8] =
    ["", "/consent", "/device", "/device/ids/0", "/app", "/activity", "/events/0", "/events/0/location"];

/// What the dictionary calls the fields of a report's body.
fn paths() -> BTreeSet<String> {
    let dictionary: toml::Value = toml::from_str(include_str!("../../../sdk-spec/fields.toml")).unwrap();
    let fields = dictionary["field"].as_array().unwrap().iter();
    let body = fields.filter(|field| field["part"].as_str() == Some("body"));
    body.map(|field| field["path"].as_str().unwrap().to_owned()).collect()
}

/// A report with a member set in the object at a pointer.
fn with(pointer: &str, name: &str, value: Value) -> Value {
    let mut report: Value = serde_json::from_str(&report().json()).unwrap();
    report.pointer_mut(pointer).unwrap().as_object_mut().unwrap().insert(name.to_owned(), value);
    report
}

/// Reports with the address in the field of a path.
fn uploads(path: &str) -> Vec<Value> {
    match path {
        "*" => {
            let names = OBJECTS.map(|at| with(at, EMAIL, json!(true)));
            let values = OBJECTS.map(|at| with(at, "unheard_of", json!(EMAIL)));
            let nested = OBJECTS.map(|at| with(at, "unheard_of", json!({ "a": [{ "b": [EMAIL, 1] }] })));
            let inner = OBJECTS.map(|at| with(at, "unheard_of", json!([{ EMAIL: null }])));
            [names, values, nested, inner].concat()
        }
        "events[].props.*" => {
            // A declared value, the value of an undeclared key, a value of another type, a key.
            let at = "/events/0/props";
            let mut uploads =
                ["screen", "unheard_of", "cached", "duration_ms"].map(|key| with(at, key, json!(EMAIL))).to_vec();
            uploads.push(with(at, EMAIL, json!(true)));
            uploads
        }
        "events[].location.geohash" => vec![with("/events/0", "location", json!({ "geohash": EMAIL }))],
        path => {
            let pointer = format!("/{}", path.replace("[]", ".0").replace('.', "/"));
            let (object, name) = pointer.rsplit_once('/').unwrap();
            vec![with(object, name, json!(EMAIL))]
        }
    }
}

#[actix_web::test]
async fn an_email_address_in_any_text_of_a_report_is_noted_once_or_refused() {
    let app = TestApp::start().await;
    let search = Search::for_texts([EMAIL]);
    let paths = paths();
    assert!(paths.len() > 20 && REFUSED.iter().all(|(path, _)| paths.contains(*path)), "{paths:?}");
    let noted = || app.booked("note:personal_data:email");
    for path in &paths {
        let refused = REFUSED.iter().find(|(known, _)| known == path);
        for upload in uploads(path) {
            let body = upload.to_string();
            assert!(search.finds(body.as_bytes()), "{path}");
            let before = noted();
            let answer = app.post(body.clone().into_bytes(), &[]).await;
            search.absent(answer.text.as_bytes(), path);
            app.drain().await;
            if let Some((_, code)) = refused {
                assert_eq!((answer.status, answer.code().as_str()), (422, *code), "{path}: {body}");
                assert_eq!(noted(), before, "{path}: {body}");
            } else {
                assert_eq!(answer.status, 202, "{path}: {}", answer.text);
                assert_eq!(noted(), before + 1, "{path}: {body}");
            }
        }
    }
    // A report without it notes nothing.
    let before = noted();
    assert_eq!(app.collect(report()).await.status, 202);
    app.drain().await;
    assert_eq!(noted(), before);
    search.through_its_life(&app).await;
}
