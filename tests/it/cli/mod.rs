//! The commands, as a person runs them.

mod catalogue;

use serde_json::Value;
use tuman::clock::{Clock, SystemClock, Zone, date_of};

use crate::harness::{Child, on, post, report, tuman};

#[test]
fn a_folder_is_made_served_and_asked() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let tokens = Child::init(folder);
    let key = tokens["app_key"].as_str().unwrap();
    let child = Child::serve(folder);
    let now_ms = SystemClock.now_ms();
    assert_eq!(post(&child.public, key, &report().sent(now_ms).json()), Some(202));

    let doctor = on(folder, &["doctor"]);
    let text = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(doctor.status.success() && text.ends_with("All is well.\n"), "{text}");

    let keys: Value = serde_json::from_slice(&on(folder, &["keys", "--json"]).stdout).unwrap();
    assert_eq!((keys["days"].as_array().unwrap().len(), &keys["mode"]), (1, &Value::from("own")));

    // Today is not over in Almaty: a day can be sealed from its midnight on.
    let today = date_of(Zone::named("Asia/Almaty").unwrap().day(now_ms));
    let refused = on(folder, &["seal", "--day", &today.to_string()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is not over"));
    let yesterday = today.yesterday().unwrap().to_string();
    let refused = on(folder, &["seal", "--day", &yesterday]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("nothing to seal"), "{refused:?}");

    assert_eq!(child.terminate(), Some(0));
    // The same commands work on a folder that no collector runs on.
    let stats: Value = serde_json::from_slice(&on(folder, &["stats", "activity"]).stdout).unwrap();
    assert_eq!(stats["fresh"]["sealed_days"], 0);
    let verified: Value = serde_json::from_slice(&on(folder, &["audit", "verify", "--json"]).stdout).unwrap();
    assert_eq!((&verified["whole"], &verified["entries"]), (&Value::Bool(true), &Value::from(2)));
    let list = on(folder, &["audit", "list"]);
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(list.contains("started") && list.matches("key_created").count() == 1, "{list}");
    let wrong = on(folder, &["stats", "activity", "--period", "someday"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("last_30_days"));
}

#[test]
fn the_spool_is_looked_into_beside_a_collector_and_where_none_runs() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let tokens = Child::init(folder);
    let child = Child::serve(folder);
    let upload = report().sent(SystemClock.now_ms()).json();
    assert_eq!(post(&child.public, tokens["app_key"].as_str().unwrap(), &upload), Some(202));
    assert_eq!(on(folder, &["spool", "check"]).status.code(), Some(0));
    assert_eq!(child.terminate(), Some(0));

    // As an outage of the store leaves it.
    let options = tuman::spool::Options::default();
    let clock = std::sync::Arc::new(std::time::Instant::now);
    let spool = folder.join("data/spool");
    let (open, _) =
        tuman::spool::Spool::open(std::sync::Arc::new(tuman::spool::RealFilesystem), &spool, options, clock).unwrap();
    let secret = b"nothing of a record is shown";
    for version in [1, 1, 7] {
        open.append_blocking([&[version], &secret[..]].concat()).unwrap();
    }
    open.close();
    let id = open.sealed()[0].to_string();
    let file = spool.join(format!("{id}.segment"));

    let listed = on(folder, &["spool", "list"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains(&format!("{id}  newest")), "{listed:?}");
    let shown: Value =
        serde_json::from_slice(&on(folder, &["spool", "show", &id, "--stats", "--json"]).stdout).unwrap();
    assert_eq!((&shown["records"], &shown["corrupt"], &shown["damaged"]), (&3.into(), &0.into(), &false.into()));
    assert_eq!(shown["record_versions"], serde_json::json!({ "1": 2, "7": 1 }));
    let checked = on(folder, &["spool", "check"]);
    let text = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.code() == Some(3) && text.contains("1 records are of version 7"), "{text}");

    let mut bytes = std::fs::read(&file).unwrap();
    let second = bytes.len() / 2;
    bytes[second] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    std::fs::copy(&file, spool.join("00000000000000ff.segment.aside")).unwrap();
    let checked = on(folder, &["spool", "check", "--json"]);
    let found: Value = serde_json::from_slice(&checked.stdout).unwrap();
    let problems = found["problems"].as_array().unwrap();
    assert!(checked.status.code() == Some(3) && problems.len() >= 3, "{found}");
    for command in [&["spool", "list"][..], &["spool", "check"], &["spool", "show", &id, "--stats"]] {
        let output = on(folder, command);
        let text = [output.stdout, output.stderr].concat();
        assert!(!text.windows(7).any(|window| window == &secret[..7]), "{command:?}");
    }
    assert_eq!(std::fs::read(&file).unwrap(), bytes, "nothing is changed");
    assert_eq!(on(folder, &["spool", "show", "00000000000000aa", "--stats"]).status.code(), Some(1));
}

#[test]
fn a_wrong_configuration_names_every_problem_and_exits_with_2() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tuman.toml"), "[server]\nlisten = 5\n[privacy]\nzone = \"Mars\"\nmoon = 1\n")
        .unwrap();
    let output = on(folder.path(), &["serve"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2));
    for key in ["server.listen", "privacy.zone", "privacy.moon"] {
        assert!(text.contains(key), "{text}");
    }
}

#[test]
fn a_folder_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    Child::init(folder.path());
    let child = Child::serve(folder.path());
    let second = on(folder.path(), &["serve"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("in use by another"), "{second:?}");
    assert_eq!(child.terminate(), Some(0));
}

#[test]
fn every_command_has_help_with_an_example() {
    for command in [
        "init",
        "serve",
        "demo",
        "seal",
        "stats",
        "keys",
        "audit",
        "catalogue",
        "budget",
        "withdraw",
        "spool",
        "doctor",
        "policy",
    ] {
        let output = tuman().args([command, "--help"]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.contains("Example"), "{command}: {text}");
    }
    assert_eq!(tuman().arg("fly").output().unwrap().status.code(), Some(2));
}

#[test]
fn the_demo_runs_is_sealed_by_hand_and_starts_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("demo");
    let demo = Child::demo(&folder);
    assert!(on(&folder, &["doctor"]).status.success());
    let now_ms = SystemClock.now_ms();
    let yesterday = date_of(Zone::named("Asia/Almaty").unwrap().day(now_ms)).yesterday().unwrap().to_string();
    let sealed = on(&folder, &["seal", "--day", &yesterday, "--json"]);
    let summary: Value = serde_json::from_slice(&sealed.stdout).unwrap_or_else(|_| panic!("{sealed:?}"));
    assert_eq!(summary["day"], yesterday);
    assert_eq!(summary["apps"][0]["releases"].as_array().unwrap().len(), 10);
    let again = on(&folder, &["seal", "--day", &yesterday]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("sealed already"));
    let list = on(&folder, &["audit", "list"]);
    assert!(String::from_utf8_lossy(&list.stdout).contains("day_sealed"), "{list:?}");
    assert_eq!(demo.terminate(), Some(0));

    let demo = Child::demo(&folder);
    let stats: Value =
        serde_json::from_slice(&on(&folder, &["stats", "activity", "--period", "yesterday"]).stdout).unwrap();
    assert_eq!(stats["fresh"]["sealed_through"], yesterday);
    assert_eq!(demo.terminate(), Some(0));
}
