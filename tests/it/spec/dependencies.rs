//! ARCHITECTURE.md: what the privacy boundary depends on, each with its reason.

use std::collections::BTreeSet;

use super::table;

const ARCHITECTURE: &str = include_str!("../../../ARCHITECTURE.md");
const MANIFEST: &str = include_str!("../../../privacy/Cargo.toml");

fn declared(section: &str) -> BTreeSet<String> {
    let manifest: toml::Table = toml::from_str(MANIFEST).unwrap();
    manifest[section].as_table().unwrap().keys().cloned().collect()
}

/// The words in backticks.
fn named(text: &str) -> BTreeSet<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_dependency_of_the_boundary_has_its_reason_and_no_other_is_listed() {
    let rows = table(ARCHITECTURE, "Dependency");
    let listed: BTreeSet<String> = rows.iter().flat_map(|row| named(&row[0])).collect();
    assert_eq!(listed, declared("dependencies"));
    for row in &rows {
        assert!(row[1].len() > 10, "{row:?} has no reason");
    }
}

#[test]
fn what_the_boundarys_tests_need_besides_is_named() {
    let line = ARCHITECTURE.lines().find(|line| line.contains("for its tests")).expect("a line on its tests");
    let besides: BTreeSet<String> =
        declared("dev-dependencies").difference(&declared("dependencies")).cloned().collect();
    assert_eq!(named(line), besides);
}

#[test]
fn no_dependency_of_the_boundary_brings_its_defaults() {
    let manifest: toml::Table = toml::from_str(MANIFEST).unwrap();
    for (name, dependency) in manifest["dependencies"].as_table().unwrap() {
        assert_eq!(dependency["default-features"].as_bool(), Some(false), "{name}");
    }
}
