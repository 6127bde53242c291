//! The ledger while reports are on their way, when they were never received, and when someone changed it.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;
use tuman::store::Statement;
use tuman::{control, doctor};
use tuman_privacy::refusal::Refusal;

use crate::harness::{Child, Setup, TestApp, on, post, report};

const PERIOD: &str = "/v1/ledger?period=2026-10-05..2026-10-05";

async fn account(app: &TestApp) -> serde_json::Value {
    let bearer = format!("Bearer {}", app.operator_token);
    let answer = app.get(PERIOD, &[("Authorization", &bearer)]).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

#[actix_web::test]
async fn what_is_on_its_way_is_in_flight_until_it_is_stored() {
    let app = TestApp::start().await;
    let upload = report().times(3).with("/events/1", json!(5));
    app.collect(upload.clone()).await;
    let now = account(&app).await;
    assert_eq!(
        now["days"],
        json!([{ "day": "2026-10-05", "received": 3, "stored": 0, "duplicate": 0, "refused": {}, "lost": 0, "in_flight": 3,
                 "balanced": true, "notes": {} }])
    );
    assert_eq!(now["balanced"], true);
    // A restart finds it in the spool.
    let app = app.stop_with_a_full_spool().await.start().await;
    app.collect(upload).await;
    let after = account(&app).await["days"][0].clone();
    assert_eq!(after["received"], 6, "{after}");
    app.drain().await;
    let stored = account(&app).await["days"][0].clone();
    assert_eq!(
        (&stored["received"], &stored["stored"], &stored["duplicate"], &stored["in_flight"], &stored["balanced"]),
        (&json!(6), &json!(2), &json!(3), &json!(0), &json!(true))
    );
    assert_eq!(stored["refused"], json!({ "malformed_event": 1 }));
    assert_eq!(app.app.flight.total().received, 0);
}

#[actix_web::test]
async fn what_could_not_be_synced_was_not_received() {
    let app = TestApp::start().await;
    app.collect(report()).await;
    app.app.spool.close();
    assert_eq!(app.collect(report().times(7)).await.status, 503);
    assert_eq!(app.app.flight.total().received + app.booked("received"), 1);
}

#[actix_web::test]
async fn the_doctor_finds_a_ledger_that_was_changed() {
    let app = TestApp::start().await;
    app.collect(report().times(3)).await;
    app.drain().await;
    let ledger =
        |findings: Vec<doctor::Finding>| findings.into_iter().find(|finding| finding.what == "ledger").unwrap();
    assert!(ledger(doctor::examine(&app.app).await).well);
    let tamper = "INSERT INTO ledger SELECT toDate('2026-10-05'), 'kz.test.app', 'refused:too_old', 2";
    app.store.execute(&Statement::new(tamper)).unwrap();
    let found = ledger(doctor::examine(&app.app).await);
    assert!(!found.well && found.detail.contains("-2 events unaccounted for"), "{found:?}");
    let account = account(&app).await;
    assert_eq!((&account["balanced"], &account["days"][0]["balanced"]), (&json!(false), &json!(false)));
}

#[actix_web::test]
async fn the_doctor_s_command_fails_on_a_ledger_that_was_changed() {
    let app = TestApp::start().await;
    app.collect(report().times(3)).await;
    app.drain().await;
    let file = app.folder.path().join("tuman.toml");
    std::fs::write(file, "[paths]\ndata = \"data\"\nkeys = \"keys\"\naccess = \"access.toml\"\n").unwrap();
    let socket = control::listen(&app.data()).unwrap();
    let serving = actix_web::rt::spawn(control::serve(socket, app.app.clone().into_inner()));
    let doctor = || async {
        let folder = app.folder.path().to_owned();
        let output = actix_web::web::block(move || on(&folder, &["doctor", "--json"])).await.unwrap();
        let findings: Vec<doctor::Finding> = serde_json::from_slice(&output.stdout).unwrap();
        let ill = findings.into_iter().filter(|finding| !finding.well).map(|finding| finding.what);
        (output.status.code(), ill.collect::<Vec<String>>())
    };
    assert_eq!(doctor().await, (Some(0), Vec::new()));
    let tamper = "INSERT INTO ledger SELECT toDate('2026-10-05'), 'kz.test.app', 'stored', 1";
    app.store.execute(&Statement::new(tamper)).unwrap();
    assert_eq!(doctor().await, (Some(3), vec!["ledger".to_owned()]));
    serving.abort();
}

#[test]
fn the_counters_of_events_add_up_in_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let tokens = Child::init(folder);
    let child = Child::serve(folder);
    let now_ms = tuman::clock::Clock::now_ms(&tuman::clock::SystemClock);
    let key = tokens["app_key"].as_str().unwrap();
    // Of seven events five leave a row and two are refused; then the same report again, and one that is no report.
    let upload =
        report().times(7).sent(now_ms).with("/events/1", json!(5)).with("/events/2/name", json!("never_declared"));
    let statuses = [upload.json(), upload.json(), "{}".into()].map(|body| post(&child.public, key, &body));
    assert_eq!(statuses, [Some(202), Some(202), Some(422)]);
    let metrics = metrics(&child.internal);
    let value = |name: &str| -> u64 {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name}:\n{metrics}")).parse().unwrap()
    };
    let of = |outcome: &str| value(&format!("tuman_events_{outcome}_total"));
    assert_eq!(of("received"), of("accepted") + of("refused") + of("duplicate"));
    assert_eq!(["received", "accepted", "refused", "duplicate"].map(of), [14, 5, 2, 7]);
    let reasons = Refusal::ALL.map(|reason| value(&tuman::metrics::refused_name(reason)));
    assert_eq!(reasons.iter().sum::<u64>(), of("refused"));
    assert_eq!(child.terminate(), Some(0));
}

fn metrics(internal: &str) -> String {
    let mut stream = TcpStream::connect(internal).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[actix_web::test]
async fn the_doctor_finds_what_was_acknowledged_and_is_nowhere() {
    let failing = crate::seal::failing::FailingStore::new();
    let app = Setup::new().store(|store| failing.over(store)).start().await;
    app.collect(report().times(4)).await;
    failing.fail_after(0);
    app.app.spool.rotate().await.unwrap();
    for file in crate::privacy::search::files(&app.data().join("spool")) {
        if file.extension().is_some_and(|extension| extension == "segment") {
            let mut bytes = std::fs::read(&file).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0xff;
            std::fs::write(&file, bytes).unwrap();
        }
    }
    failing.heal();
    app.drain().await;
    let findings = doctor::examine(&app.app).await;
    let flight = findings.iter().find(|finding| finding.what == "flight").unwrap();
    assert!(!flight.well && flight.detail.starts_with("4 events"), "{findings:?}");
}
