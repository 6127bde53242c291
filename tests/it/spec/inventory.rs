//! `inventory.golden.txt`: everything that is collected and stored, in one file that a reviewer sees change.
//!
//! It is made of the dictionary, of the types that hold a report and a row, and of the live columns; a new field or column,
//! or a new treatment of one, is a line in it. After a change that is meant: `TUMAN_GOLDEN=write cargo test --test it
//! spec::inventory`, and read the difference.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use serde_json::Value;
use tuman::policy::{Language, dictionary, digest, notice};
use tuman_privacy::encode::{PLACES_STRUCTURE, USAGE_STRUCTURE};

use super::dictionary::Dictionary;
use crate::harness::{TestApp, tuman};

const WIRE: &str = include_str!("../../../privacy/src/report.rs");
const ROWS: &str = include_str!("../../../privacy/src/event.rs");
const FACETS: &str = include_str!("../../../privacy/src/device.rs");
const TIME: &str = include_str!("../../../privacy/src/time.rs");

/// The wire types, and where in a report each of them is.
const WIRE_TYPES: [(&str, &str); 7] = [
    ("Report", ""),
    ("Consent", "consent."),
    ("Device", "device."),
    ("Identifier", "device.ids[]."),
    ("Activity", "activity."),
    ("Event", "events[]."),
    ("Location", "events[].location."),
];

/// Of each language, a sentence of the inventory and a heading of the notice.
const SENTENCES: [(&str, &str, &str); 3] = [
    ("kk", "Құрылғы сағатын түзету үшін тек жадта қолданылады", "Бұл қосымша нені есепке алуы мүмкін"),
    ("ru", "Используется только в памяти для поправки часов устройства", "Что может учитывать это приложение"),
    ("en", "Corrects the device's clock in memory", "What this app may count"),
];

/// The fields of a struct, with their types, as its source declares them.
fn fields(source: &str, name: &str) -> Vec<(String, String)> {
    let body = source
        .split_once(&format!("struct {name} {{"))
        .or_else(|| source.split_once(&format!("struct {name}<'a> {{")))
        .unwrap_or_else(|| panic!("no struct {name}"))
        .1;
    let lines = body.split("\n}").next().unwrap().lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with("//") && !line.starts_with('#'))
        .map(|line| {
            let line = line.trim_start_matches("pub(crate) ").trim_start_matches("pub ").trim_end_matches(',');
            let (name, kind) = line.split_once(": ").unwrap_or_else(|| panic!("{line} is no field"));
            (name.to_owned(), kind.to_owned())
        })
        .collect()
}

/// Columns and types of a structure, as it is declared to the store.
fn structure(text: &str) -> Vec<(String, String)> {
    let columns = text.split(", ").map(|column| column.split_once(' ').unwrap());
    columns.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

#[test]
fn the_wire_types_hold_the_fields_of_the_dictionary_and_no_other() {
    let dictionary = Dictionary::read();
    let mut held = BTreeSet::new();
    for (name, at) in WIRE_TYPES {
        for (field, kind) in fields(WIRE, name) {
            if kind == "Value<'a>" {
                // The one field that is held apart from the object it came in.
                held.insert(if field == "app_version" { "app.version".to_owned() } else { format!("{at}{field}") });
            }
            if kind.contains("(Text<'a>, Value<'a>)") {
                held.insert("events[].props.*".to_owned());
            }
        }
    }
    assert_eq!(held, dictionary.body().iter().map(|path| (*path).to_owned()).collect());
}

#[test]
fn a_row_has_the_columns_of_the_dictionary_in_their_order() {
    let expanded = |name: &str| -> Vec<String> {
        let mut columns = Vec::new();
        for (field, kind) in fields(ROWS, name) {
            match kind.as_str() {
                "LocalHour" => columns.extend(fields(TIME, "LocalHour").into_iter().map(|(name, _)| name)),
                "crate::device::Facets" => {
                    columns.extend(fields(FACETS, "Facets").into_iter().map(|(name, _)| name));
                }
                "Range<usize>" => columns.push("props".into()),
                _ => columns.push(field),
            }
        }
        columns
    };
    let dictionary = Dictionary::read();
    for (name, table, declared) in
        [("AnonymousEvent", "usage_open", USAGE_STRUCTURE), ("AnonymousPlace", "places_open", PLACES_STRUCTURE)]
    {
        let of_type: BTreeSet<String> = expanded(name).into_iter().collect();
        let declared = structure(declared);
        assert_eq!(of_type, declared.iter().map(|(name, _)| name.clone()).collect(), "{name}");
        assert_eq!(dictionary.columns_of(table), declared, "{table}");
    }
}

#[actix_web::test]
async fn the_inventory_is_the_one_that_was_reviewed() {
    let app = TestApp::start().await;
    let now = inventory(&app);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk-spec/inventory.golden.txt");
    if std::env::var_os("TUMAN_GOLDEN").is_some_and(|what| what == "write") {
        std::fs::write(&file, &now).unwrap();
    }
    let reviewed = std::fs::read_to_string(&file).unwrap_or_default();
    let without = |text: &str, other: &str, sign: char| -> String {
        let other: BTreeSet<&str> = other.lines().collect();
        text.lines().filter(|line| !other.contains(line)).map(|line| format!("{sign} {line}\n")).collect()
    };
    assert!(
        now == reviewed,
        "what is collected or stored is not what sdk-spec/inventory.golden.txt says:\n{}{}\
         if it is meant: TUMAN_GOLDEN=write cargo test --test it spec::inventory",
        without(&reviewed, &now, '-'),
        without(&now, &reviewed, '+'),
    );
}

#[actix_web::test]
async fn the_page_serves_the_inventory_and_the_notice_in_three_languages() {
    let app = TestApp::start().await;
    let shown = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    for (language, code) in [(Language::Kk, "kk"), (Language::Ru, "ru"), (Language::En, "en")] {
        let page = app.get(&format!("/privacy?lang={code}"), &[]).await;
        assert_eq!(page.status, 200);
        for field in &dictionary().fields {
            assert!(page.text.contains(&shown(field.what(language))), "{} in {code}", field.path);
        }
        // The lines of the notice, without the marks of lists and headings.
        for line in notice(language).lines() {
            let line = line.trim_start_matches(['#', '-', ' ']).trim();
            assert!(page.text.contains(&shown(line)), "{line} in {code}");
        }
        assert!(page.text.contains(&digest()[..16]));
    }
}

#[test]
fn the_command_prints_the_inventory_and_the_notice_in_three_languages() {
    let printed = |arguments: &[&str]| {
        let output = tuman().arg("policy").args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    for (language, code) in [(Language::Kk, "kk"), (Language::Ru, "ru"), (Language::En, "en")] {
        let inventory = printed(&["--lang", code]);
        let mut lines = inventory.lines();
        for field in &dictionary().fields {
            let (treatment, retention) = (field.treatment.word(language), field.retention.word(language));
            let head = format!("{} ({}): {treatment}; {retention}", field.path, field.clause);
            assert_eq!((lines.next().unwrap(), lines.next().unwrap().trim()), (head.as_str(), field.what(language)));
        }
        assert_eq!((lines.next(), lines.next()), (Some(format!("sha256:{}", digest()).as_str()), None));
        assert_eq!(printed(&["--notice", "--lang", code]).trim_end(), notice(language).trim_end());
    }
    // Of each language, a sentence as it stands in the dictionary and a word of the notice.
    for (code, sentence, heading) in SENTENCES {
        assert!(printed(&["--lang", code]).contains(sentence), "{code}");
        assert!(printed(&["--notice", "--lang", code]).contains(heading), "{code}");
    }
}

#[actix_web::test]
async fn the_audit_log_names_the_edition_at_each_start() {
    let app = TestApp::start().await;
    app.app.record_start().unwrap();
    let entries = app.rows("SELECT detail FROM audit WHERE kind = 'started'");
    let detail: Value = serde_json::from_str(entries[0]["detail"].as_str().unwrap()).unwrap();
    assert_eq!(detail["policy"], digest());
}

fn inventory(app: &TestApp) -> String {
    let mut text = String::from(
        "What is collected and stored. Written by the test spec::inventory; a change of it is read by a second person.\n\n\
         Fields: path | part | type | treatment | clause | purpose | retention | sensitivity | stored in\n",
    );
    for line in Dictionary::read().lines() {
        writeln!(text, "  {line}").unwrap();
    }
    text.push_str("\nTypes of a report, and of rows\n");
    for (source, name) in WIRE_TYPES.map(|(name, _)| (WIRE, name)).into_iter().chain([
        (ROWS, "AnonymousEvent"),
        (ROWS, "AnonymousPlace"),
        (TIME, "LocalHour"),
        (FACETS, "Facets"),
    ]) {
        let held: Vec<String> = fields(source, name).iter().map(|(name, kind)| format!("{name}: {kind}")).collect();
        writeln!(text, "  {name} {{ {} }}", held.join(", ")).unwrap();
    }
    text.push_str("\nColumns of the store\n");
    let sql =
        "SELECT table, name, type FROM system.columns WHERE database = currentDatabase() ORDER BY table, position";
    for column in app.rows(sql) {
        let of = |key: &str| column[key].as_str().unwrap_or_default().to_owned();
        writeln!(text, "  {}.{} {}", of("table"), of("name"), of("type")).unwrap();
    }
    let releases: Vec<Value> = tuman::seal::release::defaults::ALL
        .iter()
        .map(|release| {
            serde_json::json!([release.name, release.dims(), release.bound, release.epsilon, release.threshold])
        })
        .collect();
    text.push_str("\nReleases: name, dimensions, bound, epsilon, threshold\n");
    for release in releases {
        writeln!(text, "  {release}").unwrap();
    }
    text
}
