//! `tuman withdraw`, as an officer runs it: on a running collector, through its socket, and alone.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;
use tuman::clock::{Clock, SystemClock, Zone, date_of};

use super::IMEI;
use crate::harness::{Child, log, on, post, report, tuman};
use crate::privacy::search::{Search, files};

/// `tuman withdraw` with identifiers on its standard input.
fn withdraw(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = tuman();
    command.arg("withdraw").args(arguments).args(["--ids", "-", "--json", "--config"]).arg(folder.join("tuman.toml"));
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // Where the arguments are refused already, nobody reads it.
    let _ = process.stdin.take().unwrap().write_all(input.as_bytes());
    process.wait_with_output().unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_device_is_withdrawn_on_a_running_collector_and_its_owner_answered() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let key = Child::init(folder)["app_key"].as_str().unwrap().to_owned();
    let child = Child::serve(folder);
    let now_ms = SystemClock.now_ms();
    assert_eq!(post(&child.public, &key, &report().sent(now_ms).json()), Some(202));

    let withdrawn = withdraw(folder, &["--case", "W-2026/017"], "imei = 49-015420-323751-8\r\n\n");
    let case = json(&withdrawn);
    assert_eq!((&case["state"], &case["usage"], &case["places"]), (&"erased".into(), &true.into(), &true.into()));
    // It is collected from no more, and the account holds.
    assert_eq!(post(&child.public, &key, &report().sent(now_ms).json()), Some(202));
    let doctor = on(folder, &["doctor"]);
    assert!(doctor.status.success(), "{}", text(&doctor));
    let overview = json(&on(folder, &["withdraw", "--list", "--json"]));
    assert_eq!((&overview["suppressed"], &overview["list"]["tags"]), (&1.into(), &1.into()));
    let list = text(&on(folder, &["withdraw", "--list"]));
    assert!(list.contains("W-2026/017") && list.contains("1 tags of 20 bits"), "{list}");

    let letters = text(&on(folder, &["withdraw", "--status", "W-2026/017"]));
    for part in ["1.3-тармағына", "пункту 1.3", "clause 1.3", "W-2026/017"] {
        assert!(letters.contains(part), "{letters}");
    }
    let kazakh = text(&on(folder, &["withdraw", "--status", "W-2026/017", "--lang", "kk"]));
    assert!(kazakh.contains("жылғы") && !kazakh.contains("clause"), "{kazakh}");
    assert!(on(folder, &["withdraw", "--answered", "W-2026/017"]).status.success());

    for (arguments, input, part) in [
        (&["--case", "W-2026/017"][..], "imei=490154203237518", "use another number"),
        (&["--case", "W-2"], "imei=490154203237510", "identifier 1 cannot be used (wrong check digit)"),
        (&["--case", "W-2"], "490154203237518", "identifier 1 is not of the form"),
        (&["--case", "W-2"], "\n", "no identifier was given"),
        (&["--case", "991231500016"], "imei=490154203237518", "holds no personal data"),
        (&["--case", "W-2", "--app", "kz.other"], "imei=490154203237518", "no app of that name"),
        (&["--case", "W-2", "--received", "2099-01-01"], "imei=490154203237518", "in the future"),
    ] {
        let refused = withdraw(folder, arguments, input);
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(1) && told.contains(part), "{told}");
        assert!(!told.contains("4901542") && !told.contains("99123"), "{told}");
    }
    let unknown = on(folder, &["withdraw", "--status", "W-9"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no case of that number"));

    let search = Search::for_texts([IMEI]);
    search.absent(log(folder).as_bytes(), "log");
    assert_eq!(child.terminate(), Some(0));
    for file in files(folder) {
        search.absent(&std::fs::read(&file).unwrap_or_default(), &file.display().to_string());
    }
}

#[test]
fn a_device_is_withdrawn_on_a_folder_that_no_collector_runs_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let key = Child::init(folder)["app_key"].as_str().unwrap().to_owned();
    let child = Child::serve(folder);
    let now_ms = SystemClock.now_ms();
    assert_eq!(post(&child.public, &key, &report().sent(now_ms).json()), Some(202));
    // Killed: what was accepted may be in the spool.
    child.kill();
    let case = json(&withdraw(folder, &["--case", "W-1", "--app", "kz.test.app"], &format!("imei={IMEI}")));
    assert_eq!((&case["usage"], &case["app"]), (&true.into(), &"kz.test.app".into()));
    assert!(on(folder, &["doctor"]).status.success());
    let ended = json(&on(folder, &["withdraw", "--end-list", "--json"]));
    assert_eq!(ended["tags"], 1);
    let again = on(folder, &["withdraw", "--end-list"]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("there is no suppression list"));
    let verified = json(&on(folder, &["audit", "verify", "--json"]));
    assert_eq!(verified["whole"], true);
}

/// What a collector says of a metric.
fn metric(child: &Child, name: &str) -> String {
    let mut stream = TcpStream::connect(&child.internal).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let line = answer.lines().find_map(|line| line.strip_prefix(&format!("{name} "))).unwrap();
    line.trim().to_owned()
}

/// In a process of its own, whose metrics no other test sets.
#[test]
fn the_metric_rises_for_a_case_that_was_received_nine_days_ago() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    Child::init(folder);
    let child = Child::serve(folder);
    let alarms = || ["tuman_withdrawals_due", "tuman_withdrawals_overdue"].map(|name| metric(&child, name));
    assert_eq!(alarms(), ["0", "0"]);
    // Ten days to answer. The second is due tomorrow, or today where the collector's day is one ahead.
    let ago = |days: i64| {
        let day = Zone::named("UTC").unwrap().day(SystemClock.now_ms() - days * 86_400_000);
        date_of(day).to_string()
    };
    for (case, days, expected) in [("W-1", 0, ["0", "0"]), ("W-2", 9, ["1", "0"]), ("W-3", 30, ["1", "1"])] {
        let received = ago(days);
        let output = withdraw(folder, &["--case", case, "--received", &received], &format!("imei={IMEI}"));
        assert!(output.status.success(), "{output:?}");
        assert_eq!(alarms(), expected, "{case}");
    }
    assert!(on(folder, &["withdraw", "--answered", "W-2"]).status.success());
    assert_eq!(alarms(), ["0", "1"]);
    assert_eq!(child.terminate(), Some(0));
}
