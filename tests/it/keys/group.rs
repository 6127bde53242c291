//! `tuman keys init`, `join`, `mix` and `prove`, as people run them: several processes, each with a folder of its own.

use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tuman::clock::{Clock, SystemClock, Zone, date_of};

use crate::harness::{Child, on, post, report, tuman};

/// Runs `tuman keys ...` on a folder, with something on its standard input.
fn keys(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = tuman();
    command.arg("keys").args(arguments).arg("--config").arg(folder.join("tuman.toml"));
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    process.wait_with_output().unwrap()
}

fn out(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap().trim().to_owned()
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&out(output)).unwrap()
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

struct Collector {
    folder: TempDir,
    key: String,
}

impl Collector {
    fn new() -> Collector {
        let folder = tempfile::tempdir().unwrap();
        let key = Child::init(folder.path())["app_key"].as_str().unwrap().to_owned();
        let file = folder.path().join("tuman.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text + "[keys]\nmode = \"shared\"\n").unwrap();
        Collector { folder, key }
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn listing(&self) -> Value {
        json(&keys(self.folder(), &["list", "--json"], ""))
    }
}

#[test]
fn collectors_become_a_group_while_they_run_and_while_they_do_not() {
    let (a, b) = (Collector::new(), Collector::new());
    let today = date_of(Zone::named("Asia/Almaty").unwrap().day(SystemClock.now_ms()));
    let running = Child::serve(a.folder());
    assert!(refused(&keys(a.folder(), &["join", "offer", "--to", "age1x"], "")).contains("a recipient is"));
    assert_eq!(post(&running.public, &a.key, &report().sent(SystemClock.now_ms()).json()), Some(503));
    let group = json(&keys(a.folder(), &["init", "--shared", "--json"], ""))["group"].as_str().unwrap().to_owned();
    assert_eq!(post(&running.public, &a.key, &report().sent(SystemClock.now_ms()).json()), Some(202));

    // The new one is off: its commands open the folder themselves.
    let recipient = out(&keys(b.folder(), &["join", "request"], ""));
    assert!(recipient.starts_with("age1"), "{recipient}");
    let offer = out(&keys(a.folder(), &["join", "offer", "--to", &recipient], ""));
    assert!(offer.starts_with("-----BEGIN AGE ENCRYPTED FILE-----"), "{offer}");
    let marked = offer.replace('\n', "490154203237518");
    for wrong in ["490154203237518", &marked, ""] {
        let why = refused(&keys(b.folder(), &["join", "accept"], wrong));
        assert!(why.contains("no hand-over") && !why.contains("4901"), "{why}");
    }
    let joined = out(&keys(b.folder(), &["join", "accept"], &offer));
    assert!(joined.contains(&group) && joined.contains("Today's key is the group's"), "{joined}");
    assert!(refused(&keys(b.folder(), &["join", "accept"], &offer)).contains("--replace"));

    // Both have the same key of today, and the same state of tomorrow.
    let key_of = |member: &Collector| std::fs::read(member.folder().join(format!("keys/{today}.key"))).unwrap();
    assert_eq!(key_of(&a), key_of(&b));
    let checks = || (a.listing()["shared"].clone(), b.listing()["shared"].clone());
    let (of_a, of_b) = checks();
    assert!(of_a == of_b && of_a["group"] == group.as_str(), "{of_a} {of_b}");

    // Entropy for tomorrow changes both alike.
    let recipient = out(&keys(b.folder(), &["mix", "request"], ""));
    let mix = out(&keys(a.folder(), &["mix", "offer", "--to", &recipient], ""));
    assert!(checks().0 != checks().1);
    assert!(out(&keys(b.folder(), &["mix", "accept"], &mix)).contains("waits for"));
    let (mixed_a, mixed_b) = checks();
    assert!(mixed_a == mixed_b && mixed_a["check"] != of_a["check"], "{mixed_a} {mixed_b}");
    let begun = today.to_string();
    let late = keys(a.folder(), &["mix", "offer", "--day", &begun, "--to", &recipient], "");
    assert!(refused(&late).contains("can be mixed in for tomorrow"));

    // All of it is in the audit logs, and none of it is a secret.
    for (member, acts) in [
        (&a, ["keys_shared", "keys_offered", "keys_mix_offered"]),
        (&b, ["key_created", "keys_joined", "keys_mix_accepted"]),
    ] {
        let list = out(&on(member.folder(), &["audit", "list", "--json"]));
        for act in acts {
            assert_eq!(list.matches(&format!("\"{act}\"")).count(), 1, "{act} in {list}");
        }
        assert!(!list.contains("age1") && !list.contains(&hex::encode(key_of(member))), "{list}");
        assert!(on(member.folder(), &["audit", "verify"]).status.success());
    }
    let text = out(&keys(a.folder(), &[], ""));
    assert!(text.contains("Keys are shared. Locked into memory:") && text.contains(&group), "{text}");
    assert_eq!(running.terminate(), Some(0));
}

#[test]
fn a_proof_exits_with_3_while_the_day_is_open_and_shows_no_identifier() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let key = Child::init(folder)["app_key"].as_str().unwrap().to_owned();
    let now_ms = SystemClock.now_ms();
    let child = Child::serve(folder);
    assert_eq!(post(&child.public, &key, &report().sent(now_ms).json()), Some(202));
    let today = date_of(Zone::named("Asia/Almaty").unwrap().day(now_ms)).to_string();
    let piped = keys(folder, &["prove", "--day", &today, "--id", "-", "--json"], "imei=49-015420-323751-8\n");
    let named = keys(folder, &["prove", "--day", &today, "--id", "imei=490154203237518"], "");
    let wrong = keys(folder, &["prove", "--day", &today, "--id", "imei=490154203237510"], "");
    assert_eq!(child.terminate(), Some(0));
    assert_eq!((piped.status.code(), named.status.code(), wrong.status.code()), (Some(3), Some(3), Some(1)));
    let proof: Value = serde_json::from_slice(&piped.stdout).unwrap();
    assert_eq!(proof["verdict"], "can_be_computed");
    for output in [&piped, &named, &wrong] {
        let text = format!("{output:?}");
        assert!(!text.contains("490154") && !text.contains("49-015420"), "{text}");
    }
    assert!(String::from_utf8_lossy(&named.stdout).contains("can be computed"), "{named:?}");
}

#[test]
fn every_command_about_keys_has_help_with_an_example() {
    let commands: [&[&str]; 11] = [
        &["list"],
        &["init"],
        &["join"],
        &["join", "request"],
        &["join", "offer"],
        &["join", "accept"],
        &["mix"],
        &["mix", "request"],
        &["mix", "offer"],
        &["mix", "accept"],
        &["prove"],
    ];
    for command in commands {
        let output = tuman().arg("keys").args(command).arg("--help").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{command:?}");
        assert!(text.contains("Example"), "{command:?}: {text}");
    }
}
