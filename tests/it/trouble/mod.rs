//! A store that is away, slow, full, read-only or hangs, and segments that cannot be loaded.

pub mod store;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tuman::doctor::{Finding, examine};
use tuman::ledger::flight::Sums;
use tuman::loader::LoadError;
use tuman::spool::SegmentId;

use crate::harness::{DAY_MS, HOUR_MS, NOW_MS, Setup, TestApp, report};
use crate::privacy::search::Search;
use crate::withdrawal::{tokens, withdraw_imei};
use store::{Mode, Troubled};

async fn start() -> (TestApp, Troubled) {
    let troubled = Troubled::new();
    let app = Setup::new().store(|store| troubled.over(store)).start().await;
    (app, troubled)
}

/// A report that is in a sealed segment when this returns; answers the segment.
async fn sealed(app: &TestApp, phone: u64) -> SegmentId {
    assert_eq!(app.collect(report().of_phone(phone)).await.status, 202);
    app.app.spool.rotate().await.unwrap()
}

async fn ready(app: &TestApp) -> Value {
    let answer = app.send("GET", &format!("{}/readyz", app.internal_url), &[], Vec::new()).await;
    assert_eq!(answer.status, 200, "the spool takes reports");
    answer.json()
}

/// What the doctor says of the spool.
async fn spool_finding(app: &TestApp) -> Finding {
    let findings = examine(&Arc::clone(&app.app)).await;
    findings.into_iter().find(|finding| finding.what == "spool").unwrap()
}

#[actix_web::test]
async fn reports_are_answered_while_the_store_hangs() {
    let (app, troubled) = start().await;
    troubled.set(Mode::Hangs);
    sealed(&app, 0).await;
    troubled.await_trouble(1).await;
    for phone in 1..40 {
        assert_eq!(app.collect(report().of_phone(phone)).await.status, 202);
    }
    // All of these answers came while the one insert was held up.
    assert_eq!(troubled.troubled(), 1);
    assert_eq!(app.app.spool.depth().records, 40);
    let said = ready(&app).await;
    assert_eq!((&said["status"], &said["store"]), (&"ready".into(), &"well".into()));
    assert!(app.app.loader.standing().loading_since.is_some());
    troubled.set(Mode::Well);
    app.drain().await;
    assert_eq!((app.booked("stored"), app.app.spool.depth().records), (40, 0));
}

#[actix_web::test]
async fn whatever_ails_the_store_the_spool_takes_reports_and_is_emptied_afterwards() {
    for (mode, word, failures) in [
        (Mode::Away, "store_away", 3),
        (Mode::Full, "store_full", 3),
        (Mode::TooSlow, "store_slow", 3),
        // So many that each of two segments would be set aside, were it at fault.
        (Mode::ReadOnly, "store_refuses", 7),
    ] {
        let (app, troubled) = start().await;
        troubled.set(mode.clone());
        for phone in 0..2 {
            sealed(&app, phone).await;
        }
        troubled.await_trouble(failures).await;
        let said = ready(&app).await;
        assert_eq!((&said["store"], &said["spool_aside"]), (&word.into(), &0.into()), "{mode:?}");
        assert_eq!(app.app.spool.sealed().len(), 2, "{mode:?}");
        troubled.set(Mode::Well);
        app.drain().await;
        assert_eq!((app.booked("received"), app.booked("stored")), (2, 2), "{mode:?}");
        assert_eq!(ready(&app).await["store"], "well");
    }
}

#[actix_web::test]
async fn a_segment_that_the_store_refuses_stops_no_other_and_is_set_aside() {
    let (app, troubled) = start().await;
    troubled.set(Mode::Hangs);
    let id = sealed(&app, 1).await;
    troubled.await_trouble(1).await;
    troubled.set(Mode::Refuses(app.app.spool.token(id)));
    sealed(&app, 2).await;
    app.drain().await;
    assert_eq!((app.booked("stored"), app.app.spool.depth().aside), (1, 1));
    let finding = spool_finding(&app).await;
    assert!(!finding.well && finding.detail.contains("set aside"), "{finding:?}");

    // What was acknowledged is on disk, also for the next process, and its retry gets its answer.
    let upload = report().of_phone(3);
    troubled.set(Mode::Hangs);
    let hung = troubled.troubled();
    let first = app.collect(upload.clone()).await;
    let id = app.app.spool.rotate().await.unwrap();
    troubled.await_trouble(hung + 1).await;
    let token = app.app.spool.token(id);
    troubled.set(Mode::Refuses(token));
    sealed(&app, 4).await;
    app.drain().await;
    assert_eq!(app.app.spool.depth().aside, 2);
    let app = app.stop().await.start().await;
    assert_eq!(app.app.spool.depth().aside, 2);
    assert_eq!(app.collect(upload).await.text, first.text);

    // A seal takes them along: they may hold rows of the day.
    troubled.set(Mode::Well);
    app.clock.set(NOW_MS + DAY_MS);
    app.app.sealer.seal(app.app.zone.day(NOW_MS)).await.unwrap();
    assert_eq!(app.app.spool.depth().aside, 0);
    let files = std::fs::read_dir(app.data().join("spool")).unwrap().flatten();
    let names: Vec<_> = files.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert_eq!(names, ["identity"]);
    assert!(spool_finding(&app).await.well);
    // The account says so.
    let booked = ["received", "stored", "duplicate", "lost"].map(|outcome| app.booked(outcome));
    assert_eq!((booked, app.app.flight.total()), ([5, 2, 1, 2], Sums::default()));
}

#[actix_web::test]
async fn a_segment_that_is_half_in_the_store_is_not_set_aside_and_stops_no_other() {
    let (app, troubled) = start().await;
    troubled.set(Mode::Hangs);
    let id = sealed(&app, 1).await;
    troubled.await_trouble(1).await;
    // Its rows of usage are taken, those of places are not.
    troubled.set(Mode::Refuses(format!("{}-places", app.app.spool.token(id))));
    sealed(&app, 2).await;
    // As often as would have it set aside, and once more.
    let refused = tokio::time::timeout(Duration::from_secs(60), troubled.await_trouble(5));
    assert!(refused.await.is_ok(), "it is tried again");
    assert_eq!((app.booked("stored"), app.app.spool.depth().aside), (1, 0));
    assert_eq!(app.app.spool.sealed(), [id]);
    assert_eq!(app.app.loader.while_quiet(|| ()), None, "rows and ledger differ");
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM usage_open"), 2);
    troubled.set(Mode::Well);
    app.drain().await;
    assert_eq!(app.app.loader.while_quiet(|| ()), Some(()));
    assert_eq!((app.booked("stored"), app.number("SELECT toInt64(count()) AS n FROM usage_open")), (2, 2));
}

#[actix_web::test]
async fn a_segment_that_was_set_aside_is_loaded_once_it_is_put_back() {
    let (app, troubled) = start().await;
    troubled.set(Mode::Hangs);
    let id = sealed(&app, 1).await;
    troubled.await_trouble(1).await;
    troubled.set(Mode::Refuses(app.app.spool.token(id)));
    sealed(&app, 2).await;
    app.drain().await;
    let setup = app.stop().await;
    let spool = setup.config.paths.data.join("spool");
    std::fs::rename(spool.join(format!("{id}.segment.aside")), spool.join(format!("{id}.segment"))).unwrap();
    troubled.set(Mode::Well);
    let app = setup.start().await;
    app.drain().await;
    assert_eq!((app.booked("stored"), app.app.spool.depth().aside), (2, 0));
}

#[actix_web::test]
async fn a_segment_that_cannot_be_read_is_set_aside() {
    let (app, troubled) = start().await;
    troubled.set(Mode::Hangs);
    sealed(&app, 1).await;
    troubled.await_trouble(1).await;
    let id = sealed(&app, 2).await;
    // Whoever reads it gets an error of the system.
    let file = app.data().join("spool").join(format!("{id}.segment"));
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    troubled.set(Mode::Well);
    app.drain().await;
    assert_eq!((app.booked("stored"), app.app.spool.depth().aside), (1, 1));
}

#[actix_web::test]
async fn records_of_another_version_wait_for_it_and_stop_no_other_segment() {
    let (app, _) = start().await;
    sealed(&app, 1).await;
    // As a newer program writes them, before a downgrade.
    app.app.spool.append(vec![9, 1, 2, 3]).await.unwrap();
    let foreign = app.app.spool.rotate().await.unwrap();
    sealed(&app, 2).await;
    assert!(matches!(app.app.loader.drain(Duration::from_secs(60)).await, Err(LoadError::Record(_))));
    assert_eq!((app.booked("stored"), app.app.spool.sealed()), (2, vec![foreign]));
    let finding = spool_finding(&app).await;
    assert!(!finding.well && finding.detail.contains("another version"), "{finding:?}");

    // The day waits for them, but not for ever.
    let day = app.app.zone.day(NOW_MS);
    app.clock.set(app.app.keyring.grace_ends(day));
    assert!(app.app.sealer.seal(day).await.is_err());
    assert_eq!(app.app.spool.sealed(), [foreign]);
    app.clock.advance(DAY_MS + HOUR_MS);
    app.app.sealer.seal(day).await.unwrap();
    assert_eq!((app.app.spool.sealed(), app.app.spool.depth().aside), (vec![], 0));
}

#[actix_web::test]
async fn records_of_another_version_are_read_once() {
    let (app, troubled) = start().await;
    app.app.spool.append(vec![9, 1, 2, 3]).await.unwrap();
    let foreign = app.app.spool.rotate().await.unwrap();
    assert!(matches!(app.app.loader.drain(Duration::from_secs(60)).await, Err(LoadError::Record(_))));
    // Whoever reads it again does not find it.
    std::fs::remove_file(app.data().join("spool").join(format!("{foreign}.segment"))).unwrap();
    // Others succeed, and one is tried again and again.
    sealed(&app, 1).await;
    assert!(app.app.loader.drain(Duration::from_secs(60)).await.is_err());
    assert_eq!(app.booked("stored"), 1);
    troubled.set(Mode::Hangs);
    let id = sealed(&app, 2).await;
    troubled.await_trouble(1).await;
    troubled.set(Mode::Refuses(app.app.spool.token(id)));
    troubled.await_trouble(4).await;
    assert_eq!(app.app.loader.standing().foreign, [foreign].into());
    assert_eq!(app.app.spool.depth().aside, 0);
}

#[actix_web::test]
async fn a_device_that_withdraws_is_taken_out_of_what_was_set_aside() {
    let (app, troubled) = start().await;
    troubled.set(Mode::Hangs);
    let upload = report().times(3);
    assert_eq!(app.collect(upload).await.status, 202);
    let id = sealed(&app, 1).await;
    troubled.await_trouble(1).await;
    troubled.set(Mode::Refuses(app.app.spool.token(id)));
    sealed(&app, 2).await;
    app.drain().await;
    assert_eq!(app.app.spool.depth().aside, 1);
    let aside = app.data().join("spool").join(format!("{id}.segment.aside"));
    let search = Search::of(tokens(&app));
    assert!(search.finds(&std::fs::read(&aside).unwrap()), "the control: its tokens are in the file");
    assert_eq!(withdraw_imei(&app, "W-1").await.status, 200);
    assert!(!search.finds(&std::fs::read(&aside).unwrap()));

    // Put back, its rows are of no device, and the account holds.
    let setup = app.stop().await;
    std::fs::rename(&aside, aside.with_extension("")).unwrap();
    troubled.set(Mode::Well);
    let app = setup.start().await;
    app.drain().await;
    assert_eq!(app.booked("stored"), 5);
    assert_eq!(app.number("SELECT toInt64(countIf(token = 0)) AS n FROM usage_open"), 3);
    assert_eq!(app.number("SELECT toInt64(uniqExact(token)) AS n FROM usage_open"), 3);
}
