//! What a sealed day is: fixed, published once, and all that is left.

use std::path::Path;

use jiff::civil::Date;
use serde_json::Value;
use tuman::clock::{Clock, SystemClock, Zone, date_of};
use tuman::control::{Reply, Request, ask};
use tuman_privacy::identifier::{Kind, canonicalise};
use tuman_privacy::token::{DayKey, Purpose, Tokeniser};

use super::search::{Search, files};
use crate::harness::{APP, Child, DAY_MS, HOUR_MS, NOW_MS, TestApp, log, on, post, report};

const PHONES: u64 = 80;

#[actix_web::test]
async fn case_16_an_event_after_the_grace_changes_no_sealed_byte() {
    let app = TestApp::start().await;
    for phone in 0..60 {
        app.collect(report().of_phone(phone)).await;
    }
    // The day ends 14 hours after NOW_MS, its grace six hours later.
    app.clock.set(NOW_MS + 20 * HOUR_MS);
    let day = app.app.zone.day(NOW_MS);
    app.app.sealer.seal(day).await.unwrap();
    let sealed = |app: &TestApp| {
        ["releases", "seals"]
            .map(|table| app.rows(&format!("SELECT * FROM {table} WHERE day = '2026-10-05' ORDER BY ALL")))
    };
    let (before, asked) = (sealed(&app), app.stats("activity?period=2026-10-05..2026-10-05").await.text);
    for phone in 0..60 {
        // Its event is of the sealed day, it arrives on the next.
        let late =
            report().of_phone(phone).with("/sent_at", serde_json::json!(crate::harness::at(NOW_MS + 20 * HOUR_MS)));
        assert_eq!(app.collect(late).await.json()["accepted"], 1);
    }
    app.drain().await;
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM usage_open WHERE day = '2026-10-05'"), 0);
    assert!(app.app.sealer.seal(day).await.is_err());
    assert_eq!(sealed(&app), before);
    assert_eq!(app.stats("activity?period=2026-10-05..2026-10-05").await.text, asked);
    app.clock.advance(2 * DAY_MS);
    for day in app.app.sealer.due().await.unwrap() {
        app.app.sealer.seal(day).await.unwrap();
    }
    assert_eq!(sealed(&app), before);
}

/// In the westernmost zone a day is collected that in the easternmost is over: 26 hours lie between them.
#[test]
fn case_17_a_seal_that_is_killed_ends_in_one_result_and_leaves_no_key_or_token() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let key = Child::init(folder)["app_key"].as_str().unwrap().to_owned();
    settle_in(folder, "Etc/GMT+12");
    let now_ms = SystemClock.now_ms();
    let child = Child::serve(folder);
    for phone in 0..PHONES {
        assert_eq!(post(&child.public, &key, &report().of_phone(phone).sent(now_ms).json()), Some(202));
    }
    assert_eq!(child.terminate(), Some(0));
    // The days that have a key: today, and yesterday where the hour before now lies in it.
    let sealed: Date = date_of(Zone::named("Etc/GMT+12").unwrap().day(now_ms));
    let key_file = folder.join(format!("keys/{sealed}.key"));
    let secrets = secrets(&std::fs::read(&key_file).unwrap());
    let held =
        |folder: &Path| files(folder).iter().any(|file| secrets.finds(&std::fs::read(file).unwrap_or_default()));
    assert!(held(folder), "the control: before the seal its key is there");

    settle_in(folder, "Etc/GMT-14");
    let journal = folder.join(format!("data/seal/{sealed}.json"));
    let moments: [(&str, &dyn Fn() -> bool); 4] = [
        ("as it begins", &|| true),
        ("when the journal is begun", &|| folder.join("data/seal/unfinished").exists() || journal.exists()),
        ("when the journal is whole", &|| journal.exists()),
        ("when the key is gone", &|| !key_file.exists()),
    ];
    let mut readable: Option<Value> = None;
    for (when, moment) in moments {
        let child = Child::serve(folder);
        let data = folder.join("data");
        let asked = std::thread::spawn(move || ask(&data, &Request::Seal { day: sealed }));
        while !moment() && !asked.is_finished() {
            std::thread::yield_now();
        }
        child.kill();
        // Killed, it answers nothing; or it was sooner.
        drop(asked.join().unwrap());
        let child = Child::serve(folder);
        let now = answer(folder, sealed);
        if let Some(before) = &readable {
            assert_eq!(before, &now, "{when}: what was readable has changed");
        }
        if now["fresh"]["sealed_days"].as_u64().unwrap() > 0 {
            readable = Some(now);
        }
        child.kill();
    }
    let child = Child::serve(folder);
    let finished = ask(&folder.join("data"), &Request::Seal { day: sealed }).unwrap().unwrap();
    match finished {
        Reply::Sealed(_) => {}
        Reply::Failed(why) => assert!(why.contains("sealed already"), "{why}"),
        other => panic!("{other:?}"),
    }
    let last = answer(folder, sealed);
    if let Some(before) = readable {
        assert_eq!(before, last);
    }
    assert_eq!(last, answer(folder, sealed));
    let doctor: Value = serde_json::from_slice(&on(folder, &["doctor", "--json"]).stdout).unwrap();
    for what in ["seals", "rows", "ledger"] {
        let finding = doctor.as_array().unwrap().iter().find(|finding| finding["what"] == what).unwrap();
        assert_eq!(finding["well"], true, "{finding} {}", log(folder));
    }
    assert_eq!(child.terminate(), Some(0));

    assert!(!key_file.exists());
    assert_eq!(std::fs::read_dir(folder.join("data/seal")).unwrap().count(), 0);
    assert!(!held(folder), "a key or a token is left");
    // Parts of the open tables are folders named after their day.
    let part = format!("/{}_", sealed.strftime("%Y%m%d"));
    let parts: Vec<_> = files(folder).into_iter().filter(|file| file.to_string_lossy().contains(&part)).collect();
    assert!(parts.iter().all(|file| std::fs::metadata(file).is_ok_and(|file| file.len() < 64)), "{parts:?}");
}

/// The key, and the tokens of all phones under it, as the store and the spool would write them.
fn secrets(key: &[u8]) -> Search {
    let mut needles = vec![key.to_vec(), hex::encode(key).into_bytes()];
    let tokeniser = Tokeniser::new(&DayKey::take(&mut key.try_into().unwrap()));
    for phone in 0..PHONES {
        let upload: Value = serde_json::from_str(&report().of_phone(phone).json()).unwrap();
        let id = canonicalise(Kind::InstallId, upload["device"]["ids"][0]["value"].as_str().unwrap()).unwrap();
        for purpose in [Purpose::Usage, Purpose::Location] {
            let token = tokeniser.token(APP, purpose, &id).get();
            needles.extend([token.to_le_bytes().to_vec(), token.to_string().into_bytes()]);
        }
    }
    Search::of(needles)
}

/// Serves the folder in a zone; days are sealed when the test says so.
pub fn settle_in(folder: &Path, zone: &str) {
    let text = format!(
        "[paths]\nkeys = \"keys\"\n[server]\nlisten = \"127.0.0.1:0\"\nlisten_internal = \"127.0.0.1:0\"\nworkers = 2\n\
         [spool]\nsegment_age = \"100ms\"\n[privacy]\nzone = \"{zone}\"\n[seal]\nscheduled = false\n"
    );
    std::fs::write(folder.join("tuman.toml"), text).unwrap();
}

fn answer(folder: &Path, day: Date) -> Value {
    let parameters = vec![("period".to_owned(), format!("{day}..{day}"))];
    let question = Request::Stats { what: "activity".into(), parameters };
    match ask(&folder.join("data"), &question).unwrap().unwrap() {
        Reply::Stats(answer) => answer,
        other => panic!("{other:?}"),
    }
}
