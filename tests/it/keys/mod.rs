//! Keys as an officer and an operator see them: in the audit log, in a proof, in the process's memory.

mod group;

use jiff::civil::date;
use serde_json::Value;
use tuman::audit::{AuditError, Contents, verify};
use tuman::clock::{Clock, SystemClock, Zone, date_of, day_of};
use tuman::keys::chronicle;
use tuman::keys::command::{Answer, Asked, RawIdentifier, carry_out};
use tuman::keys::prove::{Proof, Verdict};

use crate::harness::{Child, DAY_MS, HOUR_MS, NOW_MS, Setup, TestApp, log, logged, on, post, report};
use crate::privacy::sealing::settle_in;
use crate::seal::failing::FailingStore;

const IMEI: &str = "imei=490154203237518";

fn enter(app: &TestApp) -> Result<usize, AuditError> {
    chronicle::enter(&app.app.keyring, &app.app.sealer.audit, &*app.app.store, app.clock.now_ms())
}

fn audited(app: &TestApp) -> Contents {
    app.app.sealer.audit.contents().unwrap()
}

fn kinds(app: &TestApp) -> Vec<String> {
    audited(app).entries.into_iter().map(|entry| entry.kind).collect()
}

fn prove(app: &TestApp, day: jiff::civil::Date) -> Proof {
    let Ok(Answer::Proof(proof)) = carry_out(Asked::Prove { day, id: RawIdentifier(IMEI.into()) }, &app.app) else {
        panic!("no proof");
    };
    proof
}

#[actix_web::test]
async fn a_keys_creation_is_entered_once_through_restarts_and_before_its_destruction() {
    let app = TestApp::start().await;
    app.collect(report()).await;
    assert_eq!((enter(&app).unwrap(), enter(&app).unwrap()), (1, 0));
    let app = app.stop().await.start().await;
    assert_eq!(enter(&app).unwrap(), 0, "after a restart the log is asked");
    app.clock.set(NOW_MS + DAY_MS);
    app.collect(report().sent(NOW_MS + DAY_MS)).await;
    app.app.sealer.seal(app.app.zone.day(NOW_MS)).await.unwrap();
    // The second day's key was created before the first one's was destroyed.
    assert_eq!(kinds(&app), ["key_created", "key_created", "day_sealed"]);
    let audited = audited(&app);
    let detail = |n: usize| serde_json::from_str::<Value>(&audited.entries[n].detail).unwrap();
    assert_eq!(detail(0)["name"], detail(2)["key"]);
    assert_eq!(detail(0)["day"], "2026-10-05");
    verify(&audited).unwrap();
    app.stop().await;
}

#[actix_web::test]
async fn a_store_that_is_away_stops_no_key_and_loses_no_entry() {
    let failing = FailingStore::new();
    let app = Setup::new().store(|store| failing.over(store)).start().await;
    failing.fail_after(0);
    assert_eq!(app.collect(report()).await.status, 202);
    assert!(enter(&app).is_err());
    // It comes back, and goes away again in the middle: the question passes, the entry does not.
    failing.fail_after(1);
    assert!(enter(&app).is_err());
    failing.heal();
    assert_eq!((enter(&app).unwrap(), enter(&app).unwrap()), (1, 0));
    assert_eq!(kinds(&app), ["key_created"]);
    app.stop().await;
}

#[actix_web::test]
async fn a_proof_goes_from_an_open_day_to_a_destroyed_one() {
    let app = TestApp::start().await;
    app.collect(report()).await;
    app.drain().await;
    let day = date(2026, 10, 5);
    let open = prove(&app, day);
    assert_eq!(open.verdict, Verdict::CanBeComputed);
    assert!(open.steps.iter().filter(|step| !step.holds).count() >= 5, "{open:?}");
    assert_eq!(prove(&app, date(2026, 10, 1)).verdict, Verdict::NotShown, "a day that never had a key");

    app.clock.set(NOW_MS + DAY_MS);
    app.collect(report().sent(NOW_MS + DAY_MS)).await;
    app.app.sealer.seal(day_of(day)).await.unwrap();
    let proof = prove(&app, day);
    assert_eq!(proof.verdict, Verdict::CannotBeComputed, "{proof:?}");
    assert_eq!(proof.steps.len(), 6);
    let text = serde_json::to_string(&proof).unwrap();
    let sealed = audited(&app).entries.pop().unwrap();
    let record = &app.app.keyring.records()[0];
    for part in [&record.name, &sealed.hash, &format!("entry {}", sealed.seq), "2026-10-06"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    // Neither the identifier nor a token is in the proof, the log of the process, the audit log.
    let audit = format!("{:?}", audited(&app).entries);
    for text in [&text, &audit, &String::from_utf8_lossy(&logged()).into_owned()] {
        assert!(!text.contains("490154203237518") && !text.contains("49015420323751"));
    }

    // What someone left in the key folder, or took out of the log, is found.
    let file = app.app.config.paths.keys.join("2026-10-05.key");
    std::fs::write(&file, [7; 32]).unwrap();
    assert_eq!(prove(&app, day).verdict, Verdict::CanBeComputed);
    std::fs::remove_file(&file).unwrap();
    app.app.store.execute(&tuman::store::Statement::new("TRUNCATE TABLE audit")).unwrap();
    assert_eq!(prove(&app, day).verdict, Verdict::NotShown);
    app.stop().await;
}

#[test]
fn a_days_key_is_listed_as_open_and_after_the_seal_as_destroyed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let app_key = Child::init(folder)["app_key"].as_str().unwrap().to_owned();
    // A day of the westernmost zone is over in the easternmost.
    settle_in(folder, "Etc/GMT+12");
    let child = Child::serve(folder);
    let now_ms = SystemClock.now_ms();
    assert_eq!(post(&child.public, &app_key, &report().sent(now_ms).json()), Some(202));
    let sealed = date_of(Zone::named("Etc/GMT+12").unwrap().day(now_ms)).to_string();
    let listed = || {
        let output = on(folder, &["keys", "--json"]);
        let listing: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        let days = listing["days"].as_array().unwrap();
        let line = String::from_utf8(on(folder, &["keys"]).stdout).unwrap();
        let line = line.lines().find(|line| line.starts_with(&sealed)).unwrap().to_owned();
        (days.iter().find(|record| record["day"] == sealed.as_str()).unwrap().clone(), line)
    };
    let (open, line) = listed();
    assert!(
        open.get("destroyed_at").is_none_or(Value::is_null) && line.trim_end().ends_with("open"),
        "{open} {line}"
    );
    assert_eq!(child.terminate(), Some(0));
    settle_in(folder, "Etc/GMT-14");
    let output = on(folder, &["seal", "--day", &sealed]);
    assert!(output.status.success(), "{output:?}");
    // While no collector runs, and by one that does.
    for child in [None, Some(Child::serve(folder))] {
        let (destroyed, line) = listed();
        assert_eq!((&destroyed["name"], &destroyed["created_at"]), (&open["name"], &open["created_at"]));
        let at: jiff::Timestamp = destroyed["destroyed_at"].as_str().unwrap().parse().unwrap();
        assert!((now_ms..=SystemClock.now_ms()).contains(&at.as_millisecond()), "{destroyed}");
        assert!(line.trim_end().ends_with(&format!("destroyed {at:.0}")), "{line}");
        if let Some(child) = child {
            assert_eq!(child.terminate(), Some(0));
        }
    }
}

#[actix_web::test]
async fn a_wrong_identifier_is_refused_without_an_echo() {
    let app = TestApp::start().await;
    let refused = |id: &str| {
        let asked = Asked::Prove { day: date(2026, 10, 5), id: RawIdentifier(id.into()) };
        assert!(!format!("{asked:?}").contains("4901"), "{asked:?}");
        carry_out(asked, &app.app).unwrap_err()
    };
    for (id, why) in [
        ("490154203237518", "KIND=VALUE"),
        ("phone=490154203237518", "KIND=VALUE"),
        ("imei=490154203237519", "wrong check digit"),
        ("imei=000000000000000", "many devices share"),
    ] {
        let text = refused(id);
        assert!(text.contains(why) && !text.contains("4901"), "{text}");
    }
    app.stop().await;
}

#[actix_web::test]
async fn without_a_shared_state_reports_are_told_to_come_again() {
    let mut setup = Setup::new();
    setup.config.keys.mode = tuman::config::KeyMode::Shared;
    let app = setup.start().await;
    assert_eq!(app.collect(report()).await.status, 503);
    let ready = app.send("GET", &format!("{}/readyz", app.internal_url), &[], Vec::new()).await;
    assert_eq!((ready.status, ready.json()["status"].as_str()), (503, Some("no_shared_state")));
    carry_out(Asked::Init, &app.app).unwrap();
    assert_eq!(app.collect(report()).await.status, 202);
    assert_eq!(kinds(&app), ["keys_shared", "key_created"]);
    app.stop().await;
}

#[cfg(target_os = "linux")]
#[test]
fn keys_of_a_running_collector_are_locked_and_left_out_of_dumps() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let key = Child::init(folder)["app_key"].as_str().unwrap().to_owned();
    let child = Child::serve(folder);
    assert_eq!(post(&child.public, &key, &report().json()), Some(202), "{}", log(folder));
    // The kernel's account from outside: what a process has locked can be read by everyone.
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.pid())).unwrap();
    let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
    let locked: u64 = locked.trim().trim_end_matches(" kB").parse().unwrap();
    // And from inside, mapping by mapping: the process is not dumpable, so that only itself may look.
    let listing: Value = serde_json::from_slice(&on(folder, &["keys", "--json"]).stdout).unwrap();
    let (secrets, kept) = (listing["memory"]["secrets"].as_u64(), listing["memory"]["locked"].as_u64());
    assert!(secrets >= Some(1) && secrets == kept, "{listing}");
    assert!(locked >= 4 * secrets.unwrap(), "{locked} kB");
    if let Ok(smaps) = std::fs::read_to_string(format!("/proc/{}/smaps", child.pid())) {
        // Where the test may look, as root, it finds the mappings too.
        let guarded = smaps.lines().filter_map(|line| line.strip_prefix("VmFlags:"));
        let has = |flags: &&str, flag| flags.split_whitespace().any(|known| known == flag);
        assert!(guarded.filter(|flags| has(flags, "lo") && has(flags, "dd")).count() >= 1);
    }
    let doctor = on(folder, &["doctor"]);
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("locked into memory"), "{doctor:?}");
    assert_eq!(child.terminate(), Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn where_memory_cannot_be_locked_it_is_said_and_what_helps() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let key = Child::init(folder)["app_key"].as_str().unwrap().to_owned();
    let child = Child::serve_without_locks(folder);
    let (sent, doctor) = (post(&child.public, &key, &report().json()), on(folder, &["doctor"]));
    let text = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert_eq!(child.terminate(), Some(0));
    assert_eq!(sent, Some(202), "collection goes on");
    // Root locks whatever the limit says.
    if !rustix::process::geteuid().is_root() {
        assert_eq!(doctor.status.code(), Some(3));
        assert!(text.contains("LimitMEMLOCK"), "{text}");
        assert_eq!(log(folder).matches("not locked into memory").count(), 1);
    } else {
        assert_eq!(doctor.status.code(), Some(0), "{text}");
    }
}

#[actix_web::test]
async fn a_restart_keeps_todays_key_and_yesterdays_until_its_grace_ends() {
    let app = TestApp::start().await;
    app.collect(report()).await;
    app.clock.set(NOW_MS + 15 * HOUR_MS);
    app.collect(report().sent(NOW_MS + 15 * HOUR_MS)).await;
    let before = app.app.keyring.records();
    let app = app.stop().await.start().await;
    app.collect(report().sent(NOW_MS + 15 * HOUR_MS)).await;
    assert_eq!(app.app.keyring.records(), before);
    app.drain().await;
    // The three reports are of one device: on the second day two of them have one token.
    let tokens = "SELECT toInt64(uniqExact(day, token)) AS n FROM usage_open";
    assert_eq!(app.number(tokens), 2);
    app.stop().await;
}
