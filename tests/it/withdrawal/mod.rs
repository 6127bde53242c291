//! Withdrawal of consent, over a running collector.

mod answers;
mod cases;
mod commands;
mod crash;
mod erasure;

use serde_json::{Value, json};

use crate::harness::{APP, Answer, TestApp};

pub const IMEI: &str = "490154203237518";
/// Of the phone of [`IMEI`], in the reports of these tests.
pub const INSTALL_ID: &str = "7d0c6f0a-3a6e-4f0b-9a3e-5d2f1c0b8e77";

/// Posts a withdrawal as an officer.
pub async fn withdraw(app: &TestApp, body: Value) -> Answer {
    let bearer = format!("Bearer {}", app.officer_token);
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    app.send("POST", &format!("{}/v1/withdrawals", app.url), &headers, body.to_string().into_bytes()).await
}

/// Withdraws the phone of [`IMEI`].
pub async fn withdraw_imei(app: &TestApp, case: &str) -> Answer {
    withdraw(app, json!({ "case": case, "ids": [{ "kind": "imei", "value": IMEI }] })).await
}

/// What `tuman doctor` finds.
pub async fn doctor(app: &TestApp) -> Vec<tuman::doctor::Finding> {
    tuman::doctor::examine(&app.app.clone().into_inner()).await
}

/// All is well, but for cases that wait for their answer.
pub async fn is_well(app: &TestApp) {
    for finding in doctor(app).await {
        assert!(finding.well, "{finding:?}");
    }
}

/// Rows of both open tables.
pub fn rows(app: &TestApp) -> (i64, i64) {
    (
        app.number("SELECT toInt64(count()) AS n FROM usage_open"),
        app.number("SELECT toInt64(count()) AS n FROM places_open"),
    )
}

/// Rows of both open tables that the ledger says.
pub fn booked_rows(app: &TestApp) -> (i64, i64) {
    (app.booked("usage_rows"), app.booked("place_rows"))
}

/// The tokens of the phone of [`IMEI`] in all open days, for both purposes, as the machine writes them and as text.
pub fn tokens(app: &TestApp) -> Vec<Vec<u8>> {
    use tuman_privacy::identifier::{Kind, canonicalise};
    use tuman_privacy::token::Purpose;
    let id = canonicalise(Kind::Imei, IMEI).unwrap();
    let mut tokens = Vec::new();
    for (_, tokeniser) in app.app.keyring.tokenisers() {
        for purpose in [Purpose::Usage, Purpose::Location] {
            let token = tokeniser.token(APP, purpose, &id).get();
            tokens.extend([token.to_le_bytes().to_vec(), token.to_string().into_bytes()]);
        }
    }
    tokens
}
