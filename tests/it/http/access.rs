//! Tokens that come and go while a collector runs.

use std::sync::atomic::{AtomicBool, Ordering};

use tuman::access::{Role, file, issue};
use tuman::clock::Clock;

use crate::harness::{Setup, TestApp};

/// A collector with a catalogue that can be read anew, and its folder.
async fn with_files() -> (TestApp, tempfile::TempDir) {
    let catalogue = tempfile::tempdir().unwrap();
    let mut setup = Setup::new();
    std::fs::write(catalogue.path().join("app.toml"), &setup.catalogue).unwrap();
    setup.config.paths.catalogue = catalogue.path().to_path_buf();
    (setup.start().await, catalogue)
}

fn is_in_force(app: &TestApp, token: &str) -> bool {
    app.app.access().grant(token, app.clock.now_ms()).is_some()
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
