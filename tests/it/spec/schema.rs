//! `report.schema.json`: what an SDK should send.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tuman_privacy::device::{CLASSES, PLATFORMS};
use tuman_privacy::identifier::Kind;
use tuman_privacy::report::{MAX_IDENTIFIERS, MAX_PROPERTIES};

use super::dictionary::Dictionary;
use super::{REPORT_SCHEMA, errors, report_validator};
use crate::harness::report;

fn schema() -> Value {
    serde_json::from_str(REPORT_SCHEMA).unwrap()
}

/// The paths of all fields below a schema, as `fields.toml` writes them.
fn leaves(root: &Value, schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        return leaves(root, root.pointer(&reference[1..]).unwrap(), path, found);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        return choices.iter().for_each(|choice| leaves(root, choice, path, found));
    }
    if schema["type"] == "array" {
        return leaves(root, &schema["items"], &format!("{path}[]"), found);
    }
    if schema["type"] != "object" {
        found.insert(path.to_owned());
        return;
    }
    let inside = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        leaves(root, field, &inside(name), found);
    }
    if schema["additionalProperties"].is_object() {
        leaves(root, &schema["additionalProperties"], &inside("*"), found);
    }
}

#[test]
fn its_fields_are_those_of_the_dictionary() {
    let schema = schema();
    let mut found = BTreeSet::new();
    leaves(&schema, &schema, "", &mut found);
    assert_eq!(found, Dictionary::read().body().into_iter().map(str::to_owned).collect());
}

#[test]
fn a_good_report_is_valid_and_one_with_another_field_is_not() {
    let good: Value = serde_json::from_str(&report().json()).unwrap();
    assert_eq!(errors(&report_validator(), &good), "");
    for pointer in
        ["", "/consent", "/device", "/device/ids/0", "/app", "/activity", "/events/0", "/events/0/location"]
    {
        let mut more = good.clone();
        more.pointer_mut(pointer).unwrap().as_object_mut().unwrap().insert("model".into(), json!("SM-G998B"));
        assert_ne!(errors(&report_validator(), &more), "", "{pointer}");
    }
}

#[test]
fn its_words_and_limits_are_those_of_the_code() {
    let schema = schema();
    let device = &schema["properties"]["device"]["properties"];
    assert_eq!(device["platform"]["enum"], json!(PLATFORMS[1..]));
    assert_eq!(device["class"]["enum"], json!(CLASSES[1..]));
    assert_eq!(device["ids"]["maxItems"], json!(MAX_IDENTIFIERS));
    assert_eq!(schema["$defs"]["identifier"]["properties"]["kind"]["enum"], json!(Kind::ALL.map(Kind::name)));
    assert_eq!(schema["$defs"]["event"]["properties"]["props"]["maxProperties"], json!(MAX_PROPERTIES));
    assert_eq!(schema["properties"]["events"]["maxItems"], json!(tuman::config::Config::default().limits.events));
}
