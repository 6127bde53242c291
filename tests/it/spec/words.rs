//! `refusals.md` and `protocol.md`: their tables and examples.

use std::collections::BTreeSet;

use actix_web::ResponseError;
use serde_json::{Value, json};
use tuman::config::{ByteSize, Config, Interval};
use tuman::http::error::{Code, Problem};
use tuman_privacy::identifier::Kind;
use tuman_privacy::refusal::{Note, Refusal};
use tuman_privacy::report::{MAX_DEPTH, MAX_IDENTIFIERS, MAX_PROPERTIES};
use tuman_privacy::witness::Why;

use super::openapi::OpenApi;
use super::{PROTOCOL, REFUSALS, blocks, errors, report_validator, table, words};
use crate::harness::{TestApp, report};

/// The words of a table, each once.
fn each_once(words: Vec<&str>) -> BTreeSet<&str> {
    let set: BTreeSet<&str> = words.iter().copied().collect();
    assert_eq!(set.len(), words.len(), "{words:?}");
    set
}

#[test]
fn the_tables_of_refusals_hold_every_word_and_no_other() {
    assert_eq!(each_once(words(&table(REFUSALS, "Reason"))), Refusal::ALL.map(Refusal::word).into());
    assert_eq!(each_once(words(&table(REFUSALS, "Note"))), Note::ALL.map(Note::word).into());
    assert_eq!(each_once(words(&table(REFUSALS, "Code"))), Code::ALL.map(Code::word).into());
    let others: BTreeSet<&str> =
        Refusal::ALL.map(Refusal::word).into_iter().chain(Note::ALL.map(Note::word)).collect();
    let of_previews = Why::words().filter(|word| !others.contains(word)).collect();
    assert_eq!(each_once(words(&table(REFUSALS, "Word"))), of_previews);
}

#[test]
fn the_table_of_problems_says_their_status_and_whether_to_try_again() {
    for row in table(REFUSALS, "Code") {
        let code = Code::ALL.into_iter().find(|code| code.word() == row[0].trim_matches('`')).unwrap();
        assert_eq!(row[1], code.status().as_u16().to_string(), "{}", row[0]);
        let waits = Problem::from(code).error_response().headers().contains_key("retry-after");
        let again = match code.status().as_u16() {
            413 => "no; split it",
            408 | 429 | 500.. if waits => "yes, after `Retry-After`",
            408 | 429 | 500.. => "yes",
            _ => "no",
        };
        assert_eq!(row[4], again, "{}", row[0]);
    }
}

#[test]
fn the_fields_of_refusals_are_those_of_the_openapi_document() {
    let list = REFUSALS.split_once("`field` of `invalid_report` is one of").unwrap().1;
    let named: BTreeSet<&str> = list.split('`').filter(|text| text.starts_with('/')).collect();
    let document = OpenApi::read();
    let fields = document.0["components"]["schemas"]["Problem"]["properties"]["field"]["enum"].as_array().unwrap();
    // `/device/ids` belongs to `invalid_identifier`; the empty pointer is told in words.
    let fields = fields.iter().filter_map(Value::as_str).filter(|field| !["", "/device/ids"].contains(field));
    assert_eq!(named, fields.collect());
}

#[actix_web::test]
async fn the_example_of_the_protocol_is_accepted() {
    let example: Value = serde_json::from_str(&blocks(PROTOCOL, "## Report")[0]).unwrap();
    assert_eq!(errors(&report_validator(), &example), "");
    let app = TestApp::start().await;
    let answer = app.post(example.to_string().into_bytes(), &[]).await;
    assert_eq!((answer.status, answer.text.as_str()), (202, r#"{"accepted":1,"refused":[]}"#));
    app.drain().await;
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM ledger WHERE startsWith(outcome, 'note:')"), 0);
    let document = OpenApi::read();
    let shown =
        document.0.pointer("/paths/~1v1~1collect/post/requestBody/content/application~1json/examples/full/value");
    assert_eq!(shown, Some(&example), "the two documents show one report");
}

#[actix_web::test]
async fn the_answers_of_the_protocol_are_those_that_are_sent() {
    let shown = blocks(PROTOCOL, "## Answer");
    let document = OpenApi::read();
    let accepted: Value = serde_json::from_str(&shown[0]).unwrap();
    assert_eq!(errors(&document.validator(&json!({ "$ref": "#/components/schemas/Answer" })), &accepted), "");
    let problem: Value = serde_json::from_str(&shown[1]).unwrap();
    let app = TestApp::start().await;
    assert_eq!(app.collect(report().without("sent_at")).await.json(), problem);
}

#[test]
fn the_request_of_the_protocol_names_a_documented_path() {
    let request = &blocks(PROTOCOL, "## Request")[0];
    let mut words = request.split_whitespace();
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let document = OpenApi::read();
    assert!(document.operations().iter().any(|operation| operation.method == method && operation.path == path));
}

#[test]
fn the_limits_of_the_protocol_are_the_defaults() {
    let Config { limits, privacy, .. } = Config::default();
    let rows = table(PROTOCOL, "Limit");
    let said: Vec<(&str, &str)> = rows.iter().map(|row| (row[0].as_str(), row[1].as_str())).collect();
    let mib = |size: ByteSize| format!("{} MiB", size.bytes() >> 20);
    let days = tuman_privacy::anonymise::TOO_OLD_MS / 86_400_000;
    let minutes = privacy.future_tolerance.duration().as_secs() / 60;
    assert_eq!(privacy.grace, Interval::hours(6));
    let expected = [
        ("body as sent", mib(limits.body)),
        ("body decompressed", mib(limits.decompressed)),
        ("events of a report", limits.events.to_string()),
        ("identifiers looked at", MAX_IDENTIFIERS.to_string()),
        ("properties of an event", MAX_PROPERTIES.to_string()),
        ("depth of arrays and objects below a field", MAX_DEPTH.to_string()),
        ("age of an event on arrival", format!("{days} days")),
        ("event after its arrival", format!("{minutes} minutes")),
    ];
    assert_eq!(said, expected.iter().map(|(what, much)| (*what, much.as_str())).collect::<Vec<_>>());
}

#[test]
fn the_identifiers_of_the_protocol_stand_by_precedence() {
    assert_eq!(words(&table(PROTOCOL, "Kind")), Kind::ALL.map(Kind::name));
}
