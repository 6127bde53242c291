//! Tokens that come and go while a collector runs.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tuman::access::{Role, file, issue};
use tuman::app::Unusable;
use tuman::clock::Clock;

use super::session::sign_in;
use crate::harness::{APP, Child, Setup, TestApp, on};
use crate::seal::failing::FailingStore;
use crate::trouble::store::{Mode, Troubled};

/// A collector with a catalogue that can be read anew, and its folder.
async fn with_files() -> (TestApp, tempfile::TempDir) {
    with_files_and(Setup::new()).await
}

async fn with_files_and(mut setup: Setup) -> (TestApp, tempfile::TempDir) {
    let catalogue = tempfile::tempdir().unwrap();
    std::fs::write(catalogue.path().join("app.toml"), &setup.catalogue).unwrap();
    setup.config.paths.catalogue = catalogue.path().to_path_buf();
    (setup.start().await, catalogue)
}

fn is_in_force(app: &TestApp, token: &str) -> bool {
    app.app.access().grant(token, app.clock.now_ms()).is_some()
}

/// What the audit log says of tokens.
fn entries(app: &TestApp) -> Vec<(String, Value)> {
    let entries = app.app.sealer.audit.contents().unwrap().entries;
    let of_tokens = entries.into_iter().filter(|entry| entry.kind.starts_with("token_"));
    of_tokens.map(|entry| (entry.kind, serde_json::from_str(&entry.detail).unwrap())).collect()
}

#[actix_web::test]
async fn a_reload_that_began_earlier_brings_no_revoked_token_back() {
    let (app, _catalogue) = with_files().await;
    let access = app.app.config.paths.access.clone();
    let is_over = AtomicBool::new(false);
    let reload = || app.app.reload().unwrap();
    let came_back = std::thread::scope(|threads| {
        for _ in 0..3 {
            threads.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    reload();
                }
            });
        }
        let mut came_back = 0;
        for _ in 0..3 {
            let (token, grant) = issue("guest", Role::Analyst, None).unwrap();
            file::add(&access, &grant).unwrap();
            reload();
            file::revoke(&access, "guest").unwrap();
            reload();
            // For as long as others may still be under way.
            let more = threads.spawn(|| (0..3).for_each(|_| reload()));
            while !more.is_finished() {
                came_back += u32::from(is_in_force(&app, &token));
                std::thread::yield_now();
            }
        }
        is_over.store(true, Ordering::Relaxed);
        came_back
    });
    assert_eq!(came_back, 0);
}

#[actix_web::test]
async fn tokens_come_and_go_and_are_on_record_while_a_catalogue_is_wrong() {
    let (app, catalogue) = with_files().await;
    std::fs::write(catalogue.path().join("app.toml"), "[app").unwrap();
    let access = app.app.config.paths.access.clone();
    let (token, grant) = issue("guest", Role::Analyst, None).unwrap();
    file::add(&access, &grant).unwrap();
    assert_eq!(app.app.reload_access(), Ok(()));
    assert!(is_in_force(&app, &token));
    file::revoke(&access, "guest").unwrap();
    assert_eq!(app.app.reload_access(), Ok(()));
    assert!(!is_in_force(&app, &token));
    let of = json!({ "token": "guest", "role": "analyst" });
    assert_eq!(entries(&app), [("token_added".into(), of.clone()), ("token_revoked".into(), of)]);

    // With the catalogues too: nothing new counts, and what is gone is gone.
    file::revoke(&access, "operator").unwrap();
    file::add(&access, &grant).unwrap();
    assert!(matches!(app.app.reload(), Err(Unusable::Catalogues { .. })));
    assert!(!is_in_force(&app, &app.operator_token) && !is_in_force(&app, &token));
    assert_eq!(entries(&app)[2], ("token_revoked".into(), json!({ "token": "operator", "role": "operator" })));
    // A file that cannot be read takes nothing away.
    std::fs::write(&access, "[").unwrap();
    assert!(matches!(app.app.reload_access(), Err(Unusable::Access { line: 1 })));
    assert!(is_in_force(&app, &app.analyst_token));
}

#[actix_web::test]
async fn a_token_is_taken_away_while_the_audit_log_is_and_a_new_one_waits_for_it() {
    let failing = FailingStore::new();
    let app = Setup::new().store(|store| failing.over(store)).start().await;
    let access = app.app.config.paths.access.clone();
    let (token, grant) = issue("guest", Role::Analyst, None).unwrap();
    file::add(&access, &grant).unwrap();
    file::revoke(&access, "operator").unwrap();
    failing.fail_after(0);
    assert_eq!(app.app.reload_access(), Err(Unusable::AuditLog));
    assert!(!is_in_force(&app, &app.operator_token) && !is_in_force(&app, &token));
    failing.heal();
    assert_eq!(app.app.reload_access(), Ok(()));
    assert!(!is_in_force(&app, &app.operator_token) && is_in_force(&app, &token));
    let kinds: Vec<String> = entries(&app).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["token_revoked", "token_added"]);
}

#[actix_web::test]
async fn a_token_that_was_added_stays_where_a_reload_beside_it_fails() {
    let troubled = Troubled::new();
    let (app, catalogue) = with_files_and(Setup::new().store(|store| troubled.over(store))).await;
    let access = app.app.config.paths.access.clone();
    let (token, grant) = issue("guest", Role::Analyst, None).unwrap();
    file::add(&access, &grant).unwrap();
    troubled.set(Mode::Hangs);
    let shared = app.app.clone();
    let adding = std::thread::spawn(move || shared.reload_access());
    troubled.await_trouble(1).await;
    // While the entry is written, a token is taken away and a catalogue is wrong.
    file::revoke(&access, "operator").unwrap();
    std::fs::write(catalogue.path().join("app.toml"), "[app").unwrap();
    let shared = app.app.clone();
    let failing = std::thread::spawn(move || shared.reload());
    while is_in_force(&app, &app.operator_token) {
        std::thread::yield_now();
    }
    troubled.set(Mode::Well);
    assert_eq!(adding.join().unwrap(), Ok(()));
    assert!(matches!(failing.join().unwrap(), Err(Unusable::Catalogues { .. })));
    assert!(is_in_force(&app, &token) && !is_in_force(&app, &app.operator_token));
}

#[actix_web::test]
async fn an_officer_of_one_app_reads_nothing_that_is_of_all() {
    let app = TestApp::start().await;
    let (token, grant) = issue("officer of one", Role::Officer, Some(APP)).unwrap();
    file::add(&app.app.config.paths.access, &grant).unwrap();
    assert_eq!(app.app.reload_access(), Ok(()));
    let get = async |path: &str, token: &str| app.get(path, &[("Authorization", &format!("Bearer {token}"))]).await;
    for path in ["/v1/keys", "/v1/audit"] {
        assert_eq!(get(path, &app.officer_token).await.status, 200, "{path}");
        let refused = get(path, &token).await;
        assert_eq!((refused.status, refused.text), (401, get(path, &app.analyst_token).await.text), "{path}");
    }
    // There is nothing for that officer on the page.
    assert_eq!(sign_in(&app, &token, &[]).await.status, 401);
    assert_eq!(sign_in(&app, &app.officer_token, &[]).await.status, 200);
}

#[test]
fn the_commands_change_tokens_while_a_catalogue_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    Child::init(folder);
    let child = Child::serve(folder);
    std::fs::write(folder.join("catalogue/kz.test.app.toml"), "[app").unwrap();
    for arguments in [&["access", "add", "--name", "guest", "--role", "analyst"][..], &["access", "revoke", "guest"]]
    {
        let output = on(folder, arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.contains("The running collector knows"), "{said}");
    }
    let list = String::from_utf8_lossy(&on(folder, &["audit", "list"]).stdout).into_owned();
    assert!(list.contains("token_added") && list.contains("token_revoked"), "{list}");
    assert_eq!(child.terminate(), Some(0));
}
