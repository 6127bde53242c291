//! The internal listener.

use crate::harness::{TestApp, report};

#[actix_web::test]
async fn health_and_metrics_are_served_apart() {
    let app = TestApp::start().await;
    app.collect(report()).await;
    for (path, part) in [("/healthz", "alive"), ("/readyz", "ready"), ("/metrics", "tuman_events_received_total")] {
        let answer = app.send("GET", &format!("{}{path}", app.internal_url), &[], Vec::new()).await;
        assert_eq!(answer.status, 200);
        assert!(answer.text.contains(part), "{path}: {}", answer.text);
        assert_eq!(app.get(path, &[]).await.status, 404, "not on the public listener");
    }
}

#[actix_web::test]
async fn readiness_says_when_the_spool_takes_nothing_more() {
    let app = TestApp::start().await;
    app.app.spool.close();
    let answer = app.send("GET", &format!("{}/readyz", app.internal_url), &[], Vec::new()).await;
    assert_eq!((answer.status, answer.json()["status"].as_str()), (503, Some("spool_closed")));
    assert_eq!(app.collect(report()).await.code(), "shutting_down");
}

#[test]
fn every_metric_has_a_name_of_its_own() {
    let mut names: Vec<&str> = tuman::metrics::Metric::ALL.iter().map(|metric| metric.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), tuman::metrics::Metric::ALL.len());
    assert!(names.iter().all(|name| name.starts_with("tuman_")));
}

#[actix_web::test]
async fn the_inventory_is_open_to_everyone_in_three_languages() {
    let app = TestApp::start().await;
    for (language, word) in [("en", "hashed with a key"), ("ru", "хешируется с ключом"), ("kk", "кілтпен хэштеледі")]
    {
        let answer = app.get(&format!("/privacy?lang={language}"), &[]).await;
        assert_eq!(answer.status, 200);
        assert!(answer.text.contains(word) && answer.text.contains("device.ids[].value"), "{language}");
        assert!(answer.text.contains("/privacy?lang="), "the languages lead to this page");
    }
}
