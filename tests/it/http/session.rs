//! Signing in, what a session reads, and that it is good for nothing else.

use serde_json::{Value, json};
use tuman::access::{Grant, Role, file, issue};

use crate::harness::{APP, Answer, HOUR_MS, NOW_MS, Setup, TestApp, report};
use crate::http::stats::with_a_sealed_day;

pub async fn sign_in(app: &TestApp, token: &str, headers: &[(&str, &str)]) -> Answer {
    let body = json!({ "token": token }).to_string().into_bytes();
    let all = [&[("Content-Type", "application/json")], headers].concat();
    app.send("POST", &format!("{}/v1/session", app.url), &all, body).await
}

/// The cookie of an answer, as a browser sends it back.
fn cookie(answer: &Answer) -> String {
    let set = answer.header("set-cookie").unwrap();
    set.split(';').next().unwrap().to_owned()
}

/// What the audit log has of a kind.
fn audited(app: &TestApp, kind: &str) -> Vec<Value> {
    let entries = app.app.sealer.audit.contents().unwrap().entries;
    let those = entries.into_iter().filter(|entry| entry.kind == kind);
    those.map(|entry| serde_json::from_str(&entry.detail).unwrap()).collect()
}

#[actix_web::test]
async fn a_session_reads_what_its_token_reads() {
    let app = with_a_sealed_day().await;
    let answer = sign_in(&app, &app.analyst_token, &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!((&answer.json()["role"], &answer.json()["apps"][0]["id"]), (&json!("analyst"), &json!(APP)));
    assert!(answer.header("set-cookie").unwrap().contains("; HttpOnly; SameSite=Strict"));
    let cookie = format!("other=1; {}", cookie(&answer));
    let with = |more: &[(&'static str, &'static str)]| {
        let mut headers = vec![("Cookie".to_owned(), cookie.clone())];
        headers.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        headers
    };
    let get = async |path: &str, headers: Vec<(String, String)>| {
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        app.get(path, &headers).await
    };
    let question = "/v1/stats/activity?period=yesterday";
    assert_eq!(get(question, with(&[])).await.text, app.stats("activity?period=yesterday").await.text);
    assert_eq!(get("/v1/session", with(&[])).await.json()["role"], "analyst");
    assert_eq!(get("/v1/ledger", with(&[])).await.status, 401, "that is for operators");
    // A header stands over the cookie, also a wrong one.
    assert_eq!(get(question, with(&[("Authorization", "Bearer no")])).await.status, 401);
    assert_eq!(get(question, with(&[("Sec-Fetch-Site", "same-origin")])).await.status, 200);
    for site in ["cross-site", "same-site"] {
        assert_eq!(get(question, with(&[("Sec-Fetch-Site", site)])).await.status, 401, "{site}");
    }
    assert_eq!(audited(&app, "signed_in"), [json!({ "token": "analyst", "role": "analyst" })]);

    let out = app.send("DELETE", &format!("{}/v1/session", app.url), &[("Cookie", &cookie)], Vec::new()).await;
    assert_eq!(out.status, 204);
    assert_eq!(get(question, with(&[])).await.status, 401);
}

#[actix_web::test]
async fn every_refusal_is_the_same() {
    let app = TestApp::start().await;
    let unknown = format!("tkr_{}", "0".repeat(64));
    let first = sign_in(&app, &unknown, &[]).await;
    assert_eq!((first.status, first.code().as_str()), (401, "unauthorized"));
    let good = app.analyst_token.as_str();
    let escaped = format!("{good}\n");
    let foreign = [("Origin", "https://example.kz")];
    let made_elsewhere = [("Sec-Fetch-Site", "cross-site")];
    let cases: [(&str, &[(&str, &str)]); 5] =
        [("", &[]), (&app.app_key, &[]), (&escaped, &[]), (good, &foreign), (good, &made_elsewhere)];
    for (token, headers) in cases {
        let answer = sign_in(&app, token, headers).await;
        assert_eq!((answer.status, &answer.text), (401, &first.text), "{token:?} {headers:?}");
        assert!(answer.header("set-cookie").is_none());
    }
    let url = format!("{}/v1/session", app.url);
    let json = [("Content-Type", "application/json")];
    for body in ["", "{", "[]", "{\"token\":5}", "{\"token\":\"x\",\"more\":1}"] {
        let answer = app.send("POST", &url, &json, body.into()).await;
        assert_eq!((answer.status, &answer.text), (401, &first.text), "{body}");
    }
    let body = json!({ "token": good }).to_string();
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    assert_eq!(app.send("POST", &url, &form, body.into()).await.status, 415);
    assert_eq!(app.send("POST", &url, &json, vec![b' '; 5_000]).await.status, 413);
    assert!(audited(&app, "signed_in").is_empty());
}

#[actix_web::test]
async fn behind_a_proxy_people_sign_in_and_the_cookie_goes_over_tls_alone() {
    let app = TestApp::start().await;
    let browser = [
        ("Origin", "https://stats.example.kz"),
        ("Sec-Fetch-Site", "same-origin"),
        ("X-Forwarded-For", "203.0.113.9"),
    ];
    // The host is that of the collector, or the one that was asked for; a command sends no origin.
    let passed = [&browser[..], &[("Host", "stats.example.kz")]].concat();
    for headers in [&browser[..], &passed, &browser[2..]] {
        let answer = sign_in(&app, &app.analyst_token, headers).await;
        assert_eq!(answer.status, 200, "{headers:?}");
        assert!(answer.header("set-cookie").unwrap().contains("; Secure"), "{headers:?}");
    }
    let near = sign_in(&app, &app.analyst_token, &[]).await;
    assert!(!near.header("set-cookie").unwrap().contains("; Secure"));
}

#[actix_web::test]
async fn a_session_changes_nothing() {
    let app = TestApp::start().await;
    let cookie = cookie(&sign_in(&app, &app.officer_token, &[]).await);
    let notice = json!({ "case": "W-1", "ids": [{ "kind": "imei", "value": "490154203237518" }] }).to_string();
    let headers = [("Content-Type", "application/json"), ("Cookie", &*cookie)];
    let answer = app.send("POST", &format!("{}/v1/withdrawals", app.url), &headers, notice.into()).await;
    assert_eq!(answer.status, 401);
    let taken = app.post(report().json().into_bytes(), &[("Cookie", &cookie)]).await;
    assert_eq!((taken.status, taken.header("set-cookie")), (202, None), "an app's cookie is not looked at");
    let keyless = app.post(report().json().into_bytes(), &[("Cookie", &cookie), ("Authorization", "")]).await;
    assert_eq!(keyless.status, 401);
}

#[actix_web::test]
async fn a_session_ends_with_its_time_and_with_its_token() {
    let catalogue = tempfile::tempdir().unwrap();
    let mut setup = Setup::new();
    std::fs::write(catalogue.path().join("app.toml"), &setup.catalogue).unwrap();
    setup.config.paths.catalogue = catalogue.path().to_path_buf();
    let app = setup.start().await;
    let role = async |cookie: &str| app.get("/v1/session", &[("Cookie", cookie)]).await.json()["role"].clone();
    let first = cookie(&sign_in(&app, &app.operator_token, &[]).await);
    assert_eq!(role(&first).await, "operator");
    app.clock.set(NOW_MS + 12 * HOUR_MS);
    assert_eq!(role(&first).await, Value::Null);

    let second = cookie(&sign_in(&app, &app.operator_token, &[]).await);
    assert_eq!(role(&second).await, "operator");
    let access = &app.app.config.paths.access;
    assert_eq!(file::revoke(access, "operator").unwrap(), 1);
    let (token, grant) = issue("short", Role::Operator, None).unwrap();
    let expires = jiff::Timestamp::from_millisecond(NOW_MS + 13 * HOUR_MS).unwrap();
    file::add(access, &Grant { expires: Some(expires), ..grant }).unwrap();
    app.app.reload().unwrap();
    assert_eq!(role(&second).await, Value::Null, "its token is revoked");
    let answer = sign_in(&app, &token, &[]).await;
    assert_eq!(answer.json()["until"], expires.to_string(), "its token ends before its time");
    let third = cookie(&answer);
    assert_eq!(role(&third).await, "operator");
    app.clock.set(NOW_MS + 13 * HOUR_MS);
    assert_eq!(role(&third).await, Value::Null, "its token has expired");
    assert_eq!(app.get("/v1/ledger", &[("Authorization", &format!("Bearer {token}"))]).await.status, 401);
}

#[actix_web::test]
async fn whoever_tries_often_waits_whatever_they_have() {
    let app = TestApp::start().await;
    let from = [("X-Forwarded-For", "203.0.113.9")];
    let wrong = format!("tkr_{}", "0".repeat(64));
    let mut statuses = Vec::new();
    for _ in 0..10 {
        statuses.push(sign_in(&app, &wrong, &from).await.status);
    }
    assert_eq!(statuses, [401; 10]);
    for spelling in ["/v1/%73ession", "/%76%31/session"] {
        let json = [("Content-Type", "application/json"), from[0]];
        let body = json!({ "token": wrong }).to_string();
        let answer = app.send("POST", &format!("{}{spelling}", app.url), &json, body.into()).await;
        assert_eq!(answer.status, 429, "{spelling}");
    }
    let answer = sign_in(&app, &app.analyst_token, &from).await;
    assert_eq!((answer.status, answer.code().as_str()), (429, "rate_limited"));
    assert_eq!(sign_in(&app, &app.analyst_token, &[("X-Forwarded-For", "203.0.113.10")]).await.status, 200);
    app.clock.advance(1_000);
    assert_eq!(sign_in(&app, &app.analyst_token, &from).await.status, 200);
}

#[actix_web::test]
async fn whoever_is_not_signed_in_sees_no_app() {
    let app = TestApp::start().await;
    let standing = app.get("/v1/session", &[("Cookie", "tuman_session=00")]).await.json();
    assert_eq!(
        (&standing["role"], &standing["apps"], &standing["public"]),
        (&Value::Null, &json!([]), &json!(false))
    );
}

#[actix_web::test]
async fn a_region_of_prefixes_is_shown_by_the_box_around_it() {
    let mut setup = Setup::new();
    setup.config.privacy.region = tuman::region::Source::Prefixes(vec!["v9".into()]);
    let standing = setup.start().await.get("/v1/session", &[]).await.json();
    assert_eq!(standing["region"]["bounds"], json!([67.5, 50.625, 78.75, 56.25]));
}
