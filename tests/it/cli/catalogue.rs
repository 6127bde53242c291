//! `tuman catalogue`, and catalogues that change while reports come in.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use tuman::clock::{Clock, SystemClock};
use tuman::control::{Reply, Request, Suggested, carry_out};

use crate::harness::{APP, Child, DAY_MS, TestApp, log, on, post, report, tuman};

const RELOADS: usize = 20;
const THREADS: u64 = 4;
const CATALOGUE: &str = include_str!("../harness/catalogue.toml");

#[test]
fn twenty_reloads_under_load_lose_and_refuse_no_report() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let key = Child::init(folder)["app_key"].as_str().unwrap().to_owned();
    let child = Child::serve(folder);
    let now_ms = SystemClock.now_ms();
    let stop = Arc::new(AtomicBool::new(false));
    let accepted = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..THREADS)
        .map(|client| {
            let (stop, accepted, key) = (stop.clone(), accepted.clone(), key.clone());
            let address = child.public.clone();
            std::thread::spawn(move || {
                let mut phone = client;
                while !stop.load(Ordering::SeqCst) {
                    phone += THREADS;
                    let upload = report().of_phone(phone).times(5).sent(now_ms).json();
                    assert_eq!(post(&address, &key, &upload), Some(202));
                    accepted.fetch_add(5, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let file = folder.join("catalogue/kz.test.app.toml");
    for reload in 0..RELOADS {
        // Every third one is wrong; the others declare one event more each.
        let more = format!("{CATALOGUE}\n[events.added_{reload}]\n");
        let text = if reload % 3 == 2 { more.replace("[app]", "[app") } else { more };
        let goal = accepted.load(Ordering::SeqCst) + 20;
        std::fs::write(&file, text).unwrap();
        child.hang_up();
        // Signals that come at once are one: the next is sent when this one is done, and some reports came meanwhile.
        while reloads(folder) <= reload || accepted.load(Ordering::SeqCst) < goal {
            std::thread::yield_now();
        }
    }
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.join().unwrap();
    }
    let accepted = accepted.load(Ordering::SeqCst);

    let doctor = on(folder, &["doctor", "--json"]);
    let findings: Vec<Value> = serde_json::from_slice(&doctor.stdout).unwrap();
    assert!(findings.iter().all(|finding| finding["well"] == true), "{findings:?}");
    let ledger = findings.iter().find(|finding| finding["what"] == "ledger").unwrap()["detail"].to_string();
    assert!(ledger.contains(&format!("received={accepted} stored={accepted}:")), "{accepted}: {ledger}");

    let entries: Vec<Value> = serde_json::from_slice(&on(folder, &["audit", "list", "--json"]).stdout).unwrap();
    let kinds = entries.iter().map(|entry| entry["kind"].as_str().unwrap());
    // Beside these there are the start, and the key that the first report of the day makes.
    let kinds: Vec<&str> = kinds.filter(|kind| kind.starts_with("reload")).collect();
    let expected: Vec<&str> =
        (0..RELOADS).map(|reload| if reload % 3 == 2 { "reload_refused" } else { "reloaded" }).collect();
    assert_eq!(kinds, expected);
    assert_eq!(log(folder).matches("the old catalogues and tokens stay").count(), 6);
    assert_eq!(child.terminate(), Some(0));
}

/// How many reloads a collector has logged.
fn reloads(folder: &Path) -> usize {
    let log = log(folder);
    log.matches("were read anew").count() + log.matches("catalogues and tokens stay").count()
}

#[test]
fn a_catalogue_is_checked_without_a_collector() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    Child::init(folder);
    let well = on(folder, &["catalogue", "check"]);
    assert!(well.status.success(), "{well:?}");
    assert!(String::from_utf8_lossy(&well.stdout).contains("kz.test.app"));
    let list: Value = serde_json::from_slice(&on(folder, &["catalogue", "list", "--json"]).stdout).unwrap();
    assert_eq!((&list[0]["events"], &list[0]["properties"], &list[0]["values"]), (&json!(3), &json!(3), &json!(7)));

    let wrong = folder.join("wrong.toml");
    std::fs::write(&wrong, CATALOGUE.replace("platforms", "platfroms").replace("\"usage\"", "\"ads\"")).unwrap();
    let check =
        |arguments: &[&str]| tuman().args(["catalogue", "check"]).arg(&wrong).args(arguments).output().unwrap();
    let plain = check(&[]);
    assert_eq!(plain.status.code(), Some(2));
    let text = String::from_utf8_lossy(&plain.stderr).into_owned();
    for part in ["wrong.toml:3: ", "did you mean `platforms`?", "wrong.toml:8: "] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json = check(&["--json"]);
    assert_eq!(json.status.code(), Some(2));
    let answer: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&answer["well"], &answer["problems"][1]["line"]), (&json!(false), &json!(8)));
}

async fn suggested(app: &TestApp, of: Option<&str>) -> Vec<Suggested> {
    let request = Request::Suggest { app: of.map(str::to_owned) };
    let Reply::Suggestions(suggested) = carry_out(request, "", &app.app.clone().into_inner()).await else { panic!() };
    suggested
}

#[actix_web::test]
async fn names_of_fifty_devices_are_suggested_until_they_are_declared() {
    let app = TestApp::start().await;
    let send = async |phone: u64, event: &str, key: &str| {
        let upload = report().of_phone(phone).with("/events/0/props", json!({ key: "text of a person" }));
        let upload = upload.times(2).with("/events/0/name", json!(event));
        assert_eq!(app.collect(upload).await.status, 202);
    };
    for phone in 0..49 {
        send(phone, "wish_list", "theme").await;
        // A name of its own for each: of no two devices.
        send(phone, &format!("order_of_{}", char::from(b'a' + u8::try_from(phone % 26).unwrap())), "k").await;
    }
    for _ in 0..100 {
        send(0, "wish_list", "theme").await;
    }
    assert_eq!(suggested(&app, None).await, []);
    // The fiftieth device comes on the next day: another day, other tokens.
    app.clock.advance(DAY_MS);
    send(49, "wish_list", "theme").await;
    assert_eq!(suggested(&app, None).await, []);
    for phone in 0..50 {
        send(phone, "wish_list", "theme").await;
    }
    let name = |event: Option<&str>, name: &str| Suggested {
        app: APP.into(),
        event: event.map(str::to_owned),
        name: name.into(),
    };
    let both = [name(None, "wish_list"), name(Some("screen_view"), "theme")];
    assert_eq!(suggested(&app, Some(APP)).await, both);
    let other = Request::Suggest { app: Some("kz.other.app".into()) };
    assert!(matches!(carry_out(other, "", &app.app.clone().into_inner()).await, Reply::Failed(_)));

    let declared = format!("{CATALOGUE}\n[events.wish_list]\n");
    let declared = tuman::catalogue::Catalogue::parse(&declared).unwrap();
    app.app.ingest.reload(tuman::catalogue::Catalogues::of(declared));
    assert_eq!(suggested(&app, None).await, [both[1].clone()]);
}
