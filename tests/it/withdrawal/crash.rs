//! Interrupted at any point, a withdrawal is carried on with, and the account holds.

use super::{doctor, is_well, rows, withdraw_imei};
use crate::harness::{Setup, report};
use crate::seal::failing::FailingStore;

#[actix_web::test]
async fn a_withdrawal_that_fails_at_any_call_is_finished_when_it_is_given_again() {
    // Until a try comes through: then every call has failed once.
    for fails_at in 0.. {
        let failing = FailingStore::new();
        let app = Setup::new().store(|store| failing.over(store)).start().await;
        app.collect(report().times(3)).await;
        app.collect(report().of_phone(1)).await;
        app.drain().await;
        failing.fail_after(fails_at);
        let first = withdraw_imei(&app, "W-1").await;
        failing.heal();
        if first.status == 200 {
            assert!(fails_at >= 10, "its calls of the store: one for each step at least");
            return;
        }
        assert_eq!((first.status, first.code().as_str()), (503, "store_unavailable"), "call {fails_at}");
        // The process starts anew on the same folder and store. From the first step on nothing of the device is stored.
        let app = app.stop().await.start().await;
        assert_eq!(app.collect(report()).await.json()["accepted"], 1);
        app.drain().await;
        assert_eq!(app.booked("refused:suppressed"), 1, "call {fails_at}");
        let findings = doctor(&app).await;
        let well = |what: &str| findings.iter().find(|finding| finding.what == what).unwrap().well;
        assert!(well("rows") && well("ledger"), "call {fails_at}: {findings:?}");
        if app.app.withdrawals.overview().unwrap().cases.len() == 1 {
            assert!(!well("withdrawals"), "call {fails_at}: a case that is not erased is an alarm");
        }
        let again = withdraw_imei(&app, "W-1").await;
        assert_eq!(again.status, 200, "call {fails_at}: {}", again.text);
        assert_eq!(
            (&again.json()["usage"], &again.json()["places"]),
            (&true.into(), &true.into()),
            "call {fails_at}"
        );
        assert_eq!(rows(&app), (1, 1), "call {fails_at}");
        assert!(!app.data().join("erasure.json").exists());
        is_well(&app).await;
    }
}
