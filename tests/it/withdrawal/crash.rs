//! Interrupted at any point, a withdrawal is carried on with, and the account holds.

use serde_json::{Value, json};

use super::{doctor, is_well, rows, withdraw};
use crate::harness::{Setup, report};
use crate::seal::failing::FailingStore;

/// The identifiers of a phone.
fn ids(phone: u64) -> Value {
    let report: Value = serde_json::from_str(&report().of_phone(phone).json()).unwrap();
    report["device"]["ids"].clone()
}

#[actix_web::test]
async fn a_withdrawal_that_fails_at_any_call_is_finished_when_it_is_given_again() {
    let failing = FailingStore::new();
    let mut app = Setup::new().store(|store| failing.over(store)).start().await;
    app.collect(report().of_phone(1_000)).await;
    // Until a try comes through: then every call has failed once. Each try is of another phone.
    for fails_at in 0..100 {
        let phone = fails_at as u64;
        let case = json!({ "case": format!("W-{phone}"), "ids": ids(phone) });
        app.collect(report().of_phone(phone).times(3)).await;
        app.drain().await;
        failing.fail_after(fails_at);
        let first = withdraw(&app, case.clone()).await;
        failing.heal();
        if first.status == 200 {
            assert!(fails_at >= 10, "its calls of the store: one for each step at least");
            return;
        }
        assert_eq!((first.status, first.code().as_str()), (503, "store_unavailable"), "call {fails_at}");
        // The process starts anew on the same folder and store. From the first step on nothing of the device is stored.
        app = app.stop().await.start().await;
        let before = app.booked("refused:suppressed");
        assert_eq!(app.collect(report().of_phone(phone)).await.json()["accepted"], 1);
        app.drain().await;
        assert_eq!(app.booked("refused:suppressed"), before + 1, "call {fails_at}");
        let findings = doctor(&app).await;
        let well = |what: &str| findings.iter().find(|finding| finding.what == what).unwrap().well;
        assert!(well("rows") && well("ledger"), "call {fails_at}: {findings:?}");
        let cases = app.app.withdrawals.overview().unwrap().cases.len() as u64;
        assert_eq!(well("withdrawals"), cases == phone, "call {fails_at}: a case that is not erased is an alarm");
        let again = withdraw(&app, case).await;
        assert_eq!(again.status, 200, "call {fails_at}: {}", again.text);
        assert_eq!(
            (&again.json()["usage"], &again.json()["places"]),
            (&json!(true), &json!(true)),
            "call {fails_at}"
        );
        assert_eq!(rows(&app), (1, 1), "call {fails_at}");
        assert!(!app.data().join("erasure.json").exists());
        is_well(&app).await;
    }
    panic!("no try came through");
}
