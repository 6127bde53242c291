//! `tuman export`, and the examples that open what it writes.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{sum, unpacked};
use crate::harness::{Child, on};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Runs a command that succeeds; answers what it prints and what it says besides.
fn printed(folder: &Path, arguments: &[&str]) -> (Vec<u8>, String) {
    let output = on(folder, arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    (output.stdout, said)
}

/// The last line that an example prints of a package.
fn example(python: &str, script: &str, package: &Path) -> String {
    let mut run = Command::new(Path::new(ROOT).join(python));
    let output = run.arg(Path::new(ROOT).join("examples").join(script)).arg(package).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{script}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text.lines().last().unwrap_or_default().to_owned()
}

#[test]
fn a_demo_is_exported_and_opened_by_the_examples() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("demo");
    let demo = Child::demo(&folder);
    let into = |name: &str| folder.join(name).to_str().unwrap().to_owned();

    // A file, a zip and a folder hold the same.
    let (file, said) = printed(&folder, &["export", "--release", "region"]);
    assert!(said.contains(&sum(&file)), "{said}");
    let zip = into("all.zip");
    let (sums, _) = printed(&folder, &["export", "--zip", &zip, "--basis", "4.2.3"]);
    let zip = std::fs::read(zip).unwrap();
    assert!(String::from_utf8_lossy(&sums).starts_with(&sum(&zip)));
    let all = into("csv");
    let (sums, _) = printed(&folder, &["export", "--folder", &all, "--basis", "4.2.3", "--json"]);
    let sums: Vec<Value> = serde_json::from_slice(&sums).unwrap();
    let files = unpacked(&zip);
    assert_eq!(sums.len(), files.len());
    for listed in sums {
        let name = listed["name"].as_str().unwrap();
        let written = std::fs::read(Path::new(&all).join(name)).unwrap();
        assert_eq!((&written, listed["sha256"].as_str().unwrap()), (&files[name], sum(&written).as_str()), "{name}");
    }
    assert_eq!(files["releases/region.csv"], file);
    let description: Value = serde_json::from_slice(&files["datapackage.json"]).unwrap();
    assert_eq!(description["basis"]["clause"], "4.2.3");

    // What is there is not mixed with another export; what goes nowhere, or on no basis, is refused.
    assert_eq!(on(&folder, &["export", "--folder", &all]).status.code(), Some(1));
    assert_eq!(on(&folder, &["export"]).status.code(), Some(1));
    assert_eq!(on(&folder, &["export", "--zip", &into("no.zip"), "--basis", "4.2.5"]).status.code(), Some(2));
    assert!(!Path::new(&into("no.zip")).exists());
    let unknown = on(&folder, &["export", "--release", "unheard_of"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no day of the period"), "{unknown:?}");

    let (list, _) = printed(&folder, &["audit", "list", "--kind", "exported"]);
    let list = String::from_utf8_lossy(&list).into_owned();
    assert!(
        list.contains(&sum(&zip)[..12]) && list.contains("basis=4.2.3") && list.contains("to_whom=command"),
        "{list}"
    );

    // The examples find what `tuman stats` says.
    let (places, _) = printed(&folder, &["stats", "places"]);
    let region = serde_json::from_slice::<Value>(&places).unwrap()["region"].clone();
    let made = Command::new(Path::new(ROOT).join("examples/venv.sh")).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let python = String::from_utf8_lossy(&made.stdout).trim().to_owned();
    for (format, script) in
        [("csv", "open_with_pandas.py"), ("parquet", "open_with_duckdb.py"), ("arrow", "open_with_pyarrow.py")]
    {
        let package = into(format);
        if format != "csv" {
            printed(&folder, &["export", "--folder", &package, "--format", format]);
        }
        let line = example(&python, script, Path::new(&package));
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!((words[0], words[1]), ("region:", region["device_days"].to_string().as_str()), "{script}: {line}");
        let margin: f64 = words[3].parse().unwrap();
        assert!((margin - region["margin"].as_f64().unwrap()).abs() < 0.06, "{script}: {line}");
        assert!(line.ends_with(&format!("on {} days", region["days"])), "{script}: {line}");
    }
    assert_eq!(demo.terminate(), Some(0));
}
