//! What is erased, and that nothing of it is left.

use serde_json::json;

use super::{IMEI, INSTALL_ID, booked_rows, is_well, rows, tokens, withdraw, withdraw_imei};
use crate::harness::{APP, DAY_MS, HOUR_MS, NOW_MS, TestApp, engine_folder, report};
use crate::privacy::search::{Search, files};

/// True where some file of the collector or of the engine holds one of these.
fn is_on_disk(app: &TestApp, search: &Search) -> bool {
    let all = files(app.folder.path()).into_iter().chain(files(&engine_folder()));
    all.into_iter().any(|file| search.finds(&std::fs::read(file).unwrap_or_default()))
}

#[actix_web::test]
async fn a_withdrawn_device_is_erased_from_every_open_day_and_every_file() {
    let app = TestApp::start().await;
    app.collect(report().times(3)).await;
    app.collect(report().of_phone(1).times(2)).await;
    app.drain().await;
    // Two hours into the next day, yesterday is open: one report of each day, and one that is still in the spool.
    app.clock.set(NOW_MS + 16 * HOUR_MS);
    app.collect(report().sent(NOW_MS + 14 * HOUR_MS)).await;
    app.collect(report().sent(NOW_MS + 16 * HOUR_MS)).await;
    let search = Search::of(tokens(&app));
    assert!(is_on_disk(&app, &search), "the control: before, its tokens are there");
    assert_eq!(app.number("SELECT toInt64(uniqExact(day)) AS n FROM usage_open"), 1);

    let answer = withdraw_imei(&app, "W-1").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let case = answer.json();
    assert_eq!(
        (&case["case"], &case["state"], &case["usage"], &case["places"], &case["listed"]),
        (&json!("W-1"), &json!("erased"), &json!(true), &json!(true), &json!(true))
    );
    assert_eq!((&case["received"], &case["due"]), (&json!("2026-10-06"), &json!("2026-10-16")));
    assert_eq!(case["open_days"], json!(["2026-10-05", "2026-10-06"]));
    assert!(!is_on_disk(&app, &search));
    assert_eq!(rows(&app), (2, 1), "the other phone's are there");
    assert_eq!(booked_rows(&app), (2, 1));
    is_well(&app).await;
    // A line of its own would say how much one device had sent.
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM ledger WHERE ledger.n < 0"), 0);
    Search::for_texts([IMEI]).through_its_life(&app).await;
}

#[actix_web::test]
async fn any_spelling_and_any_of_its_identifiers_withdraws_a_device() {
    let app = TestApp::start().await;
    let ids = json!([{ "kind": "install_id", "value": INSTALL_ID }, { "kind": "imei", "value": IMEI }]);
    app.collect(report().with("/device/ids", ids.clone())).await;
    app.collect(report()).await;
    // Named by both, rows of both tokens go; named by the hardware alone, the reports that lead with the installation
    // are suppressed too.
    let spelt = json!([
        { "kind": "imei", "value": "49-015420-323751-8" },
        { "kind": "install_id", "value": INSTALL_ID.to_uppercase().replace('-', "") },
    ]);
    assert_eq!(withdraw(&app, json!({ "case": "W-1", "ids": spelt })).await.status, 200);
    assert_eq!(rows(&app), (0, 0));
    for ids in [ids, json!([{ "kind": "imei", "value": "4901542032375101" }])] {
        assert_eq!(app.collect(report().with("/device/ids", ids)).await.json()["accepted"], 1);
    }
    app.drain().await;
    assert_eq!((rows(&app), app.booked("refused:suppressed")), ((0, 0), 2));
    is_well(&app).await;
}

#[actix_web::test]
async fn what_is_withdrawn_from_one_app_stays_with_the_others() {
    let app = TestApp::start().await;
    app.collect(report()).await;
    let elsewhere = json!({ "case": "W-1", "app": "kz.other.app", "ids": [{ "kind": "imei", "value": IMEI }] });
    let refused = withdraw(&app, elsewhere).await;
    assert_eq!((refused.status, refused.code().as_str()), (422, "invalid_withdrawal"));
    app.drain().await;
    assert_eq!(rows(&app), (1, 1), "what is refused changes nothing");
    assert_eq!(app.collect(report()).await.json()["accepted"], 1);
    app.drain().await;
    assert_eq!((rows(&app), app.booked("refused:suppressed")), ((2, 2), 0));
    let here = json!({ "case": "W-1", "app": APP, "ids": [{ "kind": "imei", "value": IMEI }] });
    let answer = withdraw(&app, here).await;
    assert_eq!((answer.status, &answer.json()["app"]), (200, &json!(APP)));
    assert_eq!(rows(&app), (0, 0));
}

#[actix_web::test]
async fn withdrawing_again_changes_nothing_and_adds_what_is_new() {
    let app = TestApp::start().await;
    app.collect(report()).await;
    app.collect(report().of_phone(1)).await;
    withdraw_imei(&app, "W-1").await;
    let first = app.app.withdrawals.tags();
    let again = withdraw_imei(&app, "W-1").await.json();
    assert_eq!((&again["usage"], app.app.withdrawals.tags(), rows(&app)), (&json!(true), first, (1, 1)));
    // Another identifier under the same number, from the same letter.
    let phone: serde_json::Value = serde_json::from_str(&report().of_phone(1).json()).unwrap();
    withdraw(&app, json!({ "case": "W-1", "ids": phone["device"]["ids"] })).await;
    assert_eq!((app.app.withdrawals.tags(), rows(&app)), (first + 1, (0, 0)));
    is_well(&app).await;
}

#[actix_web::test]
async fn a_day_with_a_withdrawal_is_sealed_as_ever() {
    let app = TestApp::start().await;
    for phone in 0..60 {
        app.collect(report().of_phone(phone)).await;
    }
    app.collect(report()).await;
    withdraw_imei(&app, "W-1").await;
    app.clock.advance(DAY_MS);
    app.app.sealer.seal(app.app.zone.day(NOW_MS)).await.unwrap();
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM seals WHERE window = 24"), 10);
    // Of a sealed day nothing can be found any more, and nothing is to be erased.
    let late = withdraw(&app, json!({ "case": "W-2", "ids": [{ "kind": "imei", "value": IMEI }] })).await.json();
    assert_eq!((&late["open_days"], &late["usage"]), (&json!([]), &json!(false)));
    is_well(&app).await;
}

#[actix_web::test]
async fn a_request_on_its_way_is_awaited_and_erased() {
    let app = TestApp::start().await;
    app.collect(report().of_phone(1)).await;
    // Fifty reports of the device race its withdrawal: whatever was first, none of them is left.
    let posts = (0..50).map(|_| app.collect(report()));
    let (answers, withdrawn) = futures_util::join!(futures_util::future::join_all(posts), withdraw_imei(&app, "W-1"));
    assert!(answers.iter().all(|answer| answer.status == 202 && answer.json()["accepted"] == 1));
    assert_eq!(withdrawn.status, 200);
    app.drain().await;
    assert_eq!(rows(&app), (1, 1));
    assert_eq!(app.booked("received"), app.booked("stored") + app.booked("refused:suppressed"));
    is_well(&app).await;
}
