//! `fields.toml`: the data dictionary, against the parser and the store.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};
use tuman::store::Table;
use tuman_privacy::device::CLASSES;
use tuman_privacy::identifier::Kind;
use uuid::Uuid;

use super::FIELDS;
use crate::harness::{TestApp, report};

const PARSER: &str = include_str!("../../../privacy/src/report/parse.rs");
const TREATMENTS: [&str; 6] = ["kept", "coarsened", "hashed", "bucketed", "used_in_memory", "dropped"];
/// The clauses of the privacy policy that govern a field.
const CLAUSES: [&str; 6] = ["1.2", "1.3", "2.1.2", "3.1", "3.2", "5.1"];
const RETENTIONS: [&str; 4] = ["open_day", "48_hours", "lasting", "none"];
const SENSITIVITIES: [&str; 4] = ["none", "low", "personal", "identifying"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Dictionary {
    pub(super) field: Vec<Field>,
    column: Vec<Column>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Field {
    pub(super) path: String,
    part: String,
    #[serde(rename = "type")]
    kind: String,
    treatment: String,
    clause: String,
    purpose: Vec<String>,
    stored: Vec<String>,
    retention: String,
    sensitivity: String,
    en: String,
    ru: String,
    kk: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Column {
    table: String,
    column: String,
    #[serde(rename = "type")]
    kind: String,
    from: Vec<String>,
    retention: String,
    en: String,
}

impl Dictionary {
    pub(super) fn read() -> Dictionary {
        toml::from_str(FIELDS).unwrap()
    }

    /// The paths of the report's fields, without the one that stands for all others.
    pub(super) fn body(&self) -> Vec<&str> {
        let body = self.field.iter().filter(|field| field.part == "body" && field.path != "*");
        body.map(|field| field.path.as_str()).collect()
    }

    /// The columns of a table with their types, in order.
    pub(super) fn columns_of(&self, table: &str) -> Vec<(String, String)> {
        let columns = self.column.iter().filter(|column| column.table == table);
        columns.map(|column| (column.column.clone(), column.kind.clone())).collect()
    }

    /// A line for each field.
    pub(super) fn lines(&self) -> Vec<String> {
        let of = |field: &Field| {
            let Field { path, part, kind, treatment, clause, retention, sensitivity, .. } = field;
            let (purpose, stored) = (field.purpose.join(" "), field.stored.join(" "));
            format!(
                "{path} | {part} | {kind} | {treatment} | {clause} | {purpose} | {retention} | {sensitivity} | {stored}"
            )
        };
        self.field.iter().map(of).collect()
    }
}

/// A report with exactly the fields of the dictionary, each array with one element.
fn with_every_field(paths: &[&str]) -> Value {
    let usual: Value = serde_json::from_str(&report().json()).unwrap();
    let mut made = json!({});
    for path in paths {
        let mut at = &mut made;
        for segment in path.split('.') {
            let name = segment.trim_end_matches("[]");
            at = &mut at[if name == "*" { "screen" } else { name }];
            if segment.ends_with("[]") {
                if at.is_null() {
                    *at = json!([null]);
                }
                at = &mut at[0];
            }
        }
        *at = usual.pointer(&pointer(path)).cloned().unwrap_or(json!(true));
    }
    made
}

fn pointer(path: &str) -> String {
    format!("/{}", path.replace("[]", "/0").replace('.', "/").replace('*', "screen"))
}

/// The paths and all that they lie in: `device`, `device.ids[]`, `device.ids[].kind`.
fn with_parents<'a>(paths: &[&'a str]) -> BTreeSet<&'a str> {
    let ends = |path: &'a str| path.match_indices('.').map(|(end, _)| end).chain([path.len()]);
    paths.iter().flat_map(|path| ends(path).map(|end| &path[..end])).collect()
}

/// How many unknown fields the ledger counts for a report.
async fn unknown_fields(app: &TestApp, mut report: Value) -> i64 {
    report["report_id"] = json!(Uuid::new_v4().to_string());
    let before = app.booked("note:unknown_field");
    let answer = app.post(report.to_string().into_bytes(), &[]).await;
    assert_eq!((answer.status, answer.text.as_str()), (202, r#"{"accepted":1,"refused":[]}"#), "{report}");
    app.drain().await;
    app.booked("note:unknown_field") - before
}

#[test]
fn entries_use_the_declared_words() {
    let dictionary = Dictionary::read();
    let mut paths = BTreeSet::new();
    for field in &dictionary.field {
        let path = &field.path;
        assert!(paths.insert(path), "{path} stands twice");
        assert!(["body", "header", "connection"].contains(&field.part.as_str()), "{path}");
        assert!(TREATMENTS.contains(&field.treatment.as_str()), "{path}");
        assert!(CLAUSES.contains(&field.clause.as_str()), "{path}");
        assert!(RETENTIONS.contains(&field.retention.as_str()), "{path}");
        assert!(SENSITIVITIES.contains(&field.sensitivity.as_str()), "{path}");
        assert!(field.purpose.iter().all(|purpose| ["usage", "location"].contains(&purpose.as_str())), "{path}");
        let texts: BTreeSet<&str> = [&field.en, &field.ru, &field.kk].map(|text| text.trim()).into();
        assert!(texts.len() == 3 && !texts.contains(""), "{path}");
        // Cyrillic where it belongs, and Kazakh told from Russian by its own letters.
        let has = |text: &str, letters: &str| text.to_lowercase().chars().any(|letter| letters.contains(letter));
        assert!(field.en.is_ascii(), "{path}");
        assert!(has(&field.kk, "әғқңөұүһі") && !has(&field.ru, "әғқңөұүһі") && has(&field.ru, "аеиоу"), "{path}");
    }
    for column in &dictionary.column {
        assert!(RETENTIONS.contains(&column.retention.as_str()) && !column.en.trim().is_empty(), "{}", column.column);
        let lives = match column.table.as_str() {
            "usage_open" | "places_open" => "open_day",
            // In memory, for the time of an erasure.
            "erasing" => "none",
            _ => "lasting",
        };
        assert_eq!(column.retention, lives, "{}", column.table);
        for from in &column.from {
            assert!(paths.contains(from), "{}.{} comes from {from}", column.table, column.column);
        }
    }
    let of = |path: &str| dictionary.field.iter().find(|field| field.path == path).unwrap().kind.clone();
    assert_eq!(of("device.ids[].kind"), format!("string: {}", Kind::ALL.map(Kind::name).join(", ")));
    assert_eq!(of("device.class"), format!("string: {}", CLASSES[1..].join(", ")));
}

#[actix_web::test]
async fn the_columns_are_those_of_the_store() {
    let app = TestApp::start().await;
    let sql = "SELECT table, name, type FROM system.columns WHERE database = currentDatabase()";
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    let live: BTreeSet<_> =
        app.rows(sql).iter().map(|row| (text(row, "table"), text(row, "name"), text(row, "type"))).collect();
    let dictionary = Dictionary::read();
    let documented: BTreeSet<_> =
        dictionary.column.iter().map(|c| (c.table.clone(), c.column.clone(), c.kind.clone())).collect();
    assert_eq!(documented.len(), dictionary.column.len(), "no column stands twice");
    assert_eq!(documented, live);
    for table in Table::ALL {
        assert!(documented.iter().any(|(name, _, _)| name == table.name()), "{}", table.name());
    }
}

#[test]
fn what_is_stored_of_fields_and_what_columns_are_made_of_agree() {
    let dictionary = Dictionary::read();
    let columns: BTreeMap<String, &Column> =
        dictionary.column.iter().map(|column| (format!("{}.{}", column.table, column.column), column)).collect();
    let mut stored = BTreeSet::new();
    for field in &dictionary.field {
        for name in &field.stored {
            let column = columns.get(name).unwrap_or_else(|| panic!("{} is stored in {name}", field.path));
            assert!(column.table.ends_with("_open") || column.table == "ledger", "{name}");
            assert!(stored.insert((field.path.clone(), name.clone())), "{} {name} twice", field.path);
        }
    }
    let made: BTreeSet<(String, String)> = columns
        .iter()
        .filter(|(_, column)| column.table.ends_with("_open") || column.table == "ledger")
        .flat_map(|(name, column)| column.from.iter().map(move |from| (from.clone(), name.clone())))
        .collect();
    assert_eq!(stored, made);
}

#[actix_web::test]
async fn every_field_is_known_to_the_parser_and_its_neighbours_are_not() {
    let app = TestApp::start().await;
    let dictionary = Dictionary::read();
    let paths = dictionary.body();
    let every = with_every_field(&paths);
    assert_eq!(unknown_fields(&app, every.clone()).await, 0, "{every}");
    for path in with_parents(&paths) {
        let (parent, name) = path.rsplit_once('.').map_or(("", path), |(parent, name)| (parent, name));
        if name == "*" {
            continue;
        }
        let mut shorter = name.trim_end_matches("[]").to_owned();
        shorter.pop();
        let mut report = every.clone();
        let object = if parent.is_empty() { &mut report } else { report.pointer_mut(&pointer(parent)).unwrap() };
        object.as_object_mut().unwrap().insert(shorter.clone(), json!(1));
        assert_eq!(unknown_fields(&app, report).await, 1, "{parent}.{shorter}");
    }
}

#[test]
fn every_name_that_the_parser_knows_is_documented() {
    let known: BTreeSet<&str> = PARSER
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix('"')?.split_once("\" =>").map(|(name, _)| name))
        .collect();
    let dictionary = Dictionary::read();
    let paths = dictionary.body();
    let segments = paths.iter().flat_map(|path| path.split('.')).map(|segment| segment.trim_end_matches("[]"));
    assert_eq!(known, segments.filter(|segment| *segment != "*").collect());
}
