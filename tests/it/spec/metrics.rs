//! Names of metrics: those of the code, the documentation, the dashboard and the alert rules are the same.

use std::collections::BTreeSet;

use serde_json::Value;
use tuman::metrics::{Metric, refused_name};
use tuman_privacy::refusal::Refusal;

use super::{table, words};

const OPERATIONS: &str = include_str!("../../../docs/operations.md");
const DASHBOARD: &str = include_str!("../../../packaging/grafana/tuman.json");
const ALERTS: &str = include_str!("../../../packaging/prometheus/alerts.yml");

/// Everything that Prometheus knows.
fn known() -> BTreeSet<String> {
    let refused = Refusal::ALL.map(refused_name);
    Metric::ALL.iter().map(|metric| metric.name().to_owned()).chain(refused).collect()
}

/// The names in a query. A pattern of names stands for one of them.
fn named(query: &str) -> Vec<String> {
    let pattern = query.replace("tuman_events_refused_.+_total", &refused_name(Refusal::ALL[0]));
    let words = pattern.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("tuman_")).map(str::to_owned).collect()
}

/// Whether a name is one that Prometheus knows, or a part of a histogram.
fn is_known(name: &str, known: &BTreeSet<String>) -> bool {
    let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
    known.contains(name) || histogram.is_some_and(|name| known.contains(name))
}

#[test]
fn every_metric_is_documented_and_no_other() {
    let documented: Vec<String> =
        words(&table(OPERATIONS, "Metric")).into_iter().map(|name| name.trim_matches('`').to_owned()).collect();
    let mut all: Vec<String> = Metric::ALL.iter().map(|metric| metric.name().to_owned()).collect();
    all.push("tuman_events_refused_<reason>_total".into());
    let (documented, all): (BTreeSet<_>, BTreeSet<_>) = (documented.into_iter().collect(), all.into_iter().collect());
    assert_eq!(documented, all);
}

#[test]
fn the_dashboard_asks_for_metrics_that_there_are() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let known = known();
    let mut shown = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{}", panel["title"]);
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{} has no unit", panel["title"]);
            let names = named(target["expr"].as_str().unwrap());
            assert!(!names.is_empty(), "{}", panel["title"]);
            for name in names {
                assert!(is_known(&name, &known), "{}: {name}", panel["title"]);
                shown.insert(name);
            }
        }
    }
    // What an operator should see is all of it.
    let shows = |metric: &Metric| shown.iter().any(|name| name.starts_with(metric.name()));
    let hidden: Vec<&str> = Metric::ALL.iter().filter(|metric| !shows(metric)).map(|metric| metric.name()).collect();
    assert_eq!(hidden, Vec::<&str>::new());
}

#[test]
fn the_alert_rules_ask_for_metrics_that_there_are() {
    let rules: Value = serde_norway::from_str(ALERTS).unwrap();
    let known = known();
    let rules = rules["groups"][0]["rules"].as_array().unwrap();
    assert!(rules.len() > 5);
    for rule in rules {
        let (alert, query) = (rule["alert"].as_str().unwrap(), rule["expr"].as_str().unwrap());
        let names = named(query);
        assert!(!names.is_empty() || query.starts_with("up{job=\"tuman\"}"), "{alert}");
        for name in names {
            assert!(is_known(&name, &known), "{alert}: {name}");
        }
        assert!(rule["annotations"]["summary"].is_string() && rule["labels"]["severity"].is_string(), "{alert}");
    }
}
