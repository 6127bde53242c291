//! The audit log: what is in it, and what shows that it was tampered with.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tuman::app::Unusable;
use tuman::audit::{Anchor, AuditError, Broken, Entry, Found, Link, verify};
use tuman::rowbinary::RowBinary;
use tuman::store::{Statement, Table};

use crate::harness::{Child, Setup, TestApp, on};
use crate::http::stats::with_a_sealed_day;
use crate::seal::failing::FailingStore;

/// A collector whose log has four entries.
async fn with_four_entries() -> TestApp {
    let app = TestApp::start().await;
    for _ in 0..4 {
        app.app.record_start().unwrap();
        app.clock.advance(1_000);
    }
    app
}

pub fn verified(app: &TestApp) -> Result<u64, Broken> {
    verify(&app.app.sealer.audit.contents().unwrap()).map(|whole| whole.entries)
}

fn entries(app: &TestApp) -> Vec<Entry> {
    app.app.sealer.audit.contents().unwrap().entries
}

fn execute(app: &TestApp, statement: &str) {
    app.store.execute(&Statement::new(statement.to_owned())).unwrap();
}

/// As someone would who knows how entries are hashed.
fn forged(previous: Option<&Entry>, seq: u64, detail: &str) -> Entry {
    let (at_ms, kind) = (1_791_176_400_000, "started");
    let previous = previous.map(|entry| entry.hash.clone()).unwrap_or_default();
    let mut digest = Sha256::new();
    for part in [&seq.to_string(), &at_ms.to_string(), kind, detail, previous.as_str()] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    let (kind, detail, hash) = (kind.to_owned(), detail.to_owned(), hex::encode(digest.finalize()));
    Entry { seq, at_ms, kind, detail, previous, hash }
}

fn insert(app: &TestApp, entry: &Entry) {
    let mut row = RowBinary::default();
    row.u64(entry.seq).i64(entry.at_ms).string(&entry.kind).string(&entry.detail);
    row.string(&entry.previous).string(&entry.hash);
    app.store.insert(Table::Audit, &format!("forged-{}", &entry.hash[..16]), row.bytes()).unwrap();
}

#[actix_web::test]
async fn every_way_to_tamper_with_the_store_is_found_and_named() {
    type Tamper = fn(&TestApp);
    let ways: [(&str, Tamper, Broken); 12] = [
        ("a detail", |app| update(app, "detail = '{}' WHERE seq = 2"), Broken::Changed(2)),
        ("a kind", |app| update(app, "kind = 'reloaded' WHERE seq = 2"), Broken::Changed(2)),
        ("a time", |app| update(app, "at = at + 1 WHERE seq = 3"), Broken::Changed(3)),
        ("a hash", |app| update(app, "hash = upper(hash) WHERE seq = 2"), Broken::Changed(2)),
        ("one removed", |app| delete(app, "seq = 2"), Broken::Missing(2)),
        ("the first removed", |app| delete(app, "seq = 1"), Broken::Missing(1)),
        ("one doubled", |app| insert(app, &entries(app)[1].clone()), Broken::Repeated(2)),
        ("two in each other's place", swap, Broken::Changed(2)),
        ("the last removed", |app| delete(app, "seq = 4"), Broken::Cut { from: 4, to: 4 }),
        ("all removed", |app| delete(app, "1"), Broken::Cut { from: 1, to: 4 }),
        ("one added", |app| insert(app, &forged(entries(app).last(), 5, "{}")), Broken::Added(5)),
        ("all written anew", rewrite, Broken::Replaced(4)),
    ];
    for (way, tamper, found) in ways {
        let app = with_four_entries().await;
        assert_eq!(verified(&app), Ok(4), "{way}");
        tamper(&app);
        assert_eq!(verified(&app), Err(found.clone()), "{way}");
        let doctor = tuman::doctor::examine(&app.app.clone().into_inner()).await;
        let finding = doctor.iter().find(|finding| finding.what == "audit").unwrap();
        assert!(!finding.well && finding.detail.contains(&found.to_string()), "{way}: {finding:?}");
    }
}

fn update(app: &TestApp, what: &str) {
    execute(app, &format!("ALTER TABLE audit UPDATE {what} SETTINGS mutations_sync = 1"));
}

fn delete(app: &TestApp, which: &str) {
    execute(app, &format!("ALTER TABLE audit DELETE WHERE {which} SETTINGS mutations_sync = 1"));
}

fn swap(app: &TestApp) {
    let entries = entries(app);
    delete(app, "seq IN (2, 3)");
    insert(app, &Entry { seq: 3, ..entries[1].clone() });
    insert(app, &Entry { seq: 2, ..entries[2].clone() });
}

/// The same number of entries, each whole and each following the one before it.
fn rewrite(app: &TestApp) {
    delete(app, "1");
    let mut last = None;
    for seq in 1..=4 {
        let entry = forged(last.as_ref(), seq, "{}");
        insert(app, &entry);
        last = Some(entry);
    }
}

fn anchor_file(app: &TestApp) -> std::path::PathBuf {
    app.data().join("audit.anchor")
}

fn anchor(app: &TestApp) -> Anchor {
    match Anchor::read(&anchor_file(app)).unwrap() {
        Found::Anchor(anchor) => anchor,
        other => panic!("{other:?}"),
    }
}

fn set_anchor(app: &TestApp, anchor: &Anchor) {
    std::fs::write(anchor_file(app), serde_json::to_vec(anchor).unwrap()).unwrap();
}

#[actix_web::test]
async fn a_crash_at_any_moment_of_an_append_leaves_a_log_that_is_verified() {
    let app = with_four_entries().await;
    let links: Vec<Link> = entries(&app).iter().map(Entry::link).collect();
    assert_eq!(anchor(&app), Anchor { last: links[3].clone(), next: None });
    // Before the entry was in the store, and after it, before it was confirmed.
    let unwritten = Link { seq: 5, hash: "5".repeat(64) };
    let between = [
        Anchor { last: links[3].clone(), next: Some(unwritten) },
        Anchor { last: links[2].clone(), next: Some(links[3].clone()) },
    ];
    let mut app = app;
    for left in between {
        set_anchor(&app, &left);
        assert_eq!(verified(&app), Ok(4));
        app = app.stop().await.start().await;
        assert_eq!(verified(&app), Ok(4));
    }
    app.app.record_start().unwrap();
    assert_eq!(verified(&app), Ok(5));
    assert_eq!(anchor(&app).next, None);
}

#[actix_web::test]
async fn an_entry_that_the_store_may_have_taken_stands_once() {
    let failing = FailingStore::new();
    let app = Setup::new().store(|store| failing.over(store)).start().await;
    app.app.record_start().unwrap();
    failing.fail_after(0);
    assert!(app.app.record_start().is_err());
    failing.heal();
    // The anchor names it as the next: with it or without it, the log is whole.
    assert_eq!(verified(&app), Ok(1));
    app.app.record_start().unwrap();
    assert_eq!(verified(&app), Ok(2));
    // Another event, while one is uncertain: both are there, in their order.
    failing.fail_after(0);
    assert!(app.app.record_start().is_err());
    failing.heal();
    assert_eq!(app.app.reload(), Err(Unusable::Catalogues { problems: 1, first_line: 1 }));
    assert_eq!(verified(&app), Ok(4));
    let kinds: Vec<String> = entries(&app).into_iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, ["started", "started", "started", "reload_refused"]);
}

#[actix_web::test]
async fn an_anchor_that_disagrees_is_left_as_evidence() {
    let app = with_four_entries().await;
    let before = anchor(&app);
    delete(&app, "seq >= 3");
    // It goes on, in a log that is as long as before: the evidence stays.
    let app = app.stop().await.start().await;
    for _ in 0..4 {
        app.app.record_start().unwrap();
    }
    assert_eq!(anchor(&app), before);
    assert_eq!(verified(&app), Err(Broken::Replaced(4)));
}

#[actix_web::test]
async fn a_log_without_an_anchor_gets_one_and_says_so() {
    let app = with_four_entries().await;
    std::fs::remove_file(anchor_file(&app)).unwrap();
    assert_eq!(verified(&app), Err(Broken::NoAnchor));
    let app = app.stop().await.start().await;
    assert_eq!(verified(&app), Ok(5));
    assert_eq!(entries(&app)[4].kind, "anchor_made");
    std::fs::write(anchor_file(&app), "{}").unwrap();
    assert_eq!(verified(&app), Err(Broken::AnchorDamaged));
    let app = app.stop().await.start().await;
    assert_eq!(verified(&app), Err(Broken::AnchorDamaged));
}

#[actix_web::test]
async fn what_is_not_on_record_in_the_anchor_is_not_appended() {
    let app = with_four_entries().await;
    let folder = app.data();
    std::fs::rename(&folder, folder.with_extension("away")).unwrap();
    let refused = app.app.sealer.audit.record(0, &tuman::audit::Event::AnchorMade);
    assert!(matches!(refused, Err(AuditError::Anchor(_))), "{refused:?}");
    std::fs::rename(folder.with_extension("away"), &folder).unwrap();
    assert_eq!(verified(&app), Ok(4));
}

#[actix_web::test]
async fn places_that_are_handed_out_are_on_record_and_nothing_else() {
    let app = with_a_sealed_day().await;
    let exported = |app: &TestApp| -> Vec<Value> {
        let all = entries(app).into_iter().filter(|entry| entry.kind == "exported");
        all.map(|entry| serde_json::from_str(&entry.detail).unwrap()).collect()
    };
    for path in ["activity", "events", "places?precision=5", "places.geojson?precision=9"] {
        app.stats(path).await;
    }
    assert_eq!(exported(&app), Vec::<Value>::new());
    assert_eq!(app.stats("places.geojson?period=yesterday&precision=5").await.status, 200);
    let record = json!({
        "what": "places.geojson", "app": "kz.test.app", "from": "2026-10-05", "to": "2026-10-05", "precision": 5,
        "to_whom": { "token": "analyst" },
    });
    assert_eq!(exported(&app), std::slice::from_ref(&record));
    let bearer = format!("Bearer {}", app.analyst_token);
    let headers = [("Authorization", bearer.as_str()), ("Accept", "application/geo+json")];
    let answer = app.get("/v1/stats/places?period=yesterday&precision=5", &headers).await;
    assert_eq!(exported(&app), [record.clone(), record]);
    // Whoever has it already is handed nothing.
    let tag = format!("W/{}", answer.header("etag").unwrap());
    let known = [headers[0], headers[1], ("If-None-Match", tag.as_str())];
    assert_eq!(app.get("/v1/stats/places?period=yesterday&precision=5", &known).await.status, 304);
    assert_eq!(exported(&app).len(), 2);
    let text = serde_json::to_string(&app.rows("SELECT * FROM audit")).unwrap();
    assert!(!text.contains(&app.analyst_token));
    assert_eq!(verified(&app), Ok(4));
}

#[actix_web::test]
async fn what_cannot_be_put_on_record_is_not_handed_out() {
    let failing = FailingStore::new();
    let app = Setup::new().store(|store| failing.over(store)).start().await;
    // The store fails at each of its calls in turn; the last is the entry.
    let mut refused = 0;
    loop {
        failing.fail_after(refused);
        let answer = app.stats("places.geojson").await;
        failing.heal();
        if answer.status == 200 {
            break;
        }
        assert!(
            answer.code() == "store_unavailable" && !answer.text.contains("FeatureCollection"),
            "{}",
            answer.text
        );
        refused += 1;
    }
    assert!(refused > 2, "{refused}");
    assert_eq!(verified(&app), Ok(1));
}

#[actix_web::test]
async fn on_a_public_page_there_is_nobody_to_put_on_record() {
    let mut setup = Setup::new();
    setup.config.page.public = true;
    let app = setup.start().await;
    assert_eq!(app.get("/v1/stats/places.geojson", &[]).await.status, 200);
    assert_eq!(entries(&app), []);
    assert_eq!(app.stats("places.geojson").await.status, 200);
    assert_eq!(entries(&app).len(), 1);
}

#[test]
fn the_commands_list_filter_and_compare() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    Child::init(folder);
    let child = Child::serve(folder);
    let run = |arguments: &[&str]| {
        let output = on(folder, arguments);
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    assert_eq!(run(&["stats", "places.geojson"]).0, Some(0));
    let (_, list) = run(&["audit", "list"]);
    for part in ["started", "catalogues.kz.test.app.policies=2026-01", "exported", "to_whom=command", "precision=4"] {
        assert!(list.contains(part), "{part}: {list}");
    }
    let (_, only) = run(&["audit", "list", "--kind", "exported"]);
    assert!(only.contains("exported") && !only.contains("started"), "{only}");
    let (_, none) = run(&["audit", "list", "--since", "9000-01-01"]);
    assert_eq!(none.lines().count(), 1, "{none}");
    assert_eq!(run(&["audit", "list", "--kind", "seen"]).0, Some(2));

    let (_, text) = run(&["audit", "verify", "--json"]);
    let kept: Value = serde_json::from_str(&text).unwrap();
    // The start, the export, and the key of the day.
    assert_eq!(kept["whole"], true);
    assert!((2..=3).contains(&kept["entries"].as_u64().unwrap()), "{kept}");
    let last = kept["last"].as_str().unwrap();
    let copy = folder.join("copy");
    std::fs::copy(folder.join("data/audit.anchor"), &copy).unwrap();
    let copy = copy.to_str().unwrap();
    assert_eq!(run(&["stats", "places.geojson"]).0, Some(0));
    assert_eq!(run(&["audit", "verify", "--last", last, "--anchor", copy]).0, Some(0));
    let (code, text) = run(&["audit", "verify", "--last", &"0".repeat(64)]);
    assert!(code == Some(3) && text.contains("no entry has the hash"), "{text}");
    let other = Anchor { last: Link { seq: 2, hash: "0".repeat(64) }, next: None };
    std::fs::write(copy, serde_json::to_vec(&other).unwrap()).unwrap();
    let (code, text) = run(&["audit", "verify", "--anchor", copy]);
    assert!(code == Some(3) && text.contains("entry 2 is another one"), "{text}");
    assert_eq!(run(&["audit", "verify", "--last", "short"]).0, Some(2));
    assert_eq!(run(&["audit", "verify", "--anchor", "/nowhere"]).0, Some(1));
    assert_eq!(child.terminate(), Some(0));
    // Where no collector runs, too.
    assert_eq!(run(&["audit", "verify", "--last", last]).0, Some(0));
}
