//! `sdk-spec/` and the collector say the same: every test here reads a file of the contract and holds it against the
//! code or against a collector that runs. So does the list of the boundary's dependencies.

mod answers;
mod dependencies;
mod dictionary;
mod inventory;
mod metrics;
pub mod openapi;
mod reading;
mod schema;
mod vectors;
mod words;

use jsonschema::Validator;
use serde_json::Value;

/// The files of the contract.
const PROTOCOL: &str = include_str!("../../../sdk-spec/protocol.md");
const REFUSALS: &str = include_str!("../../../sdk-spec/refusals.md");
const FIELDS: &str = include_str!("../../../sdk-spec/fields.toml");
const REPORT_SCHEMA: &str = include_str!("../../../sdk-spec/report.schema.json");
const OPENAPI: &str = include_str!("../../../sdk-spec/openapi.yaml");
const REPORTS: &str = include_str!("../../../sdk-spec/vectors/report.json");

/// The validator of `report.schema.json`.
fn report_validator() -> Validator {
    validator(&serde_json::from_str(REPORT_SCHEMA).unwrap())
}

/// A validator that holds `format` to be binding too.
fn validator(schema: &Value) -> Validator {
    jsonschema::options().should_validate_formats(true).build(schema).unwrap()
}

/// What is wrong with an instance, one line each; empty where nothing is.
fn errors(validator: &Validator, instance: &Value) -> String {
    let errors = validator.iter_errors(instance);
    errors.map(|error| format!("{}: {error}\n", error.instance_path())).collect()
}

/// The rows of the Markdown table whose first column is headed `first`, without backticks around a whole cell.
fn table(text: &str, first: &str) -> Vec<Vec<String>> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with(&format!("| {first} |")));
    lines.next().unwrap_or_else(|| panic!("no table of {first}"));
    lines
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

/// A table's first column, of words in backticks.
fn words(rows: &[Vec<String>]) -> Vec<&str> {
    rows.iter().map(|row| row[0].trim_matches('`')).collect()
}

/// The indented blocks below a heading, in order.
fn blocks(text: &str, heading: &str) -> Vec<String> {
    let below = text.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading}")).1;
    let level = format!("\n{} ", heading.split(' ').next().unwrap());
    let section = below.split(&level).next().unwrap();
    let mut blocks = vec![String::new()];
    for line in section.lines() {
        match line.strip_prefix("    ") {
            Some(line) => {
                let block = blocks.last_mut().unwrap();
                block.push_str(line);
                block.push('\n');
            }
            None if blocks.last().is_some_and(|block| !block.is_empty()) => blocks.push(String::new()),
            None => {}
        }
    }
    blocks.retain(|block| !block.is_empty());
    blocks
}
