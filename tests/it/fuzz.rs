//! The seeds of the fuzz targets, and what fuzzing found, through the same functions as `make fuzz`.

#[path = "../../fuzz/src/detect.rs"]
mod detect;
#[path = "../../fuzz/src/identifier.rs"]
mod identifier;
#[path = "../../fuzz/src/report.rs"]
mod report;
#[path = "../../fuzz/src/spool_recovery.rs"]
mod spool_recovery;

use std::path::Path;

/// Runs every seed of a target; answers how many there are.
fn all(target: &str, check: fn(&[u8])) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut seeds = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        check(&std::fs::read(entry.unwrap().path()).unwrap());
        seeds += 1;
    }
    seeds
}

#[test]
fn every_seed_of_every_target_holds() {
    assert!(all("report", report::check) >= 20);
    assert!(all("identifier", identifier::check) >= 50);
    assert!(all("detect", detect::check) >= 20);
    assert!(all("spool_recovery", spool_recovery::check) >= 5);
}

#[test]
fn every_target_has_seeds_and_is_checked_here() {
    let manifest: toml::Table = toml::from_str(include_str!("../../fuzz/Cargo.toml")).unwrap();
    let targets: Vec<&str> =
        manifest["bin"].as_array().unwrap().iter().map(|target| target["name"].as_str().unwrap()).collect();
    assert_eq!(targets, ["report", "identifier", "detect", "spool_recovery"]);
}
