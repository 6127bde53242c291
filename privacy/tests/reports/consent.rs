//! The two purposes of clause 3.2, granted or not, asked for or not: every combination.

use serde_json::{Value, json};
use tuman_privacy::refusal::{Note, Refusal};
use tuman_privacy::report::Report;

use crate::any::{Boundary, cells, tokens};

/// Policy versions of the catalogue, and what each asked for.
const POLICIES: [(&str, bool, bool); 4] =
    [("2026-01", true, true), ("2025-01", true, false), ("2024-01", false, true), ("2023-01", false, false)];

/// What `consent` can say of a purpose: absence and null are no consent.
fn said() -> [Option<Value>; 4] {
    [Some(json!(true)), Some(json!(false)), Some(Value::Null), None]
}

fn report(usage: &Option<Value>, location: &Option<Value>, policy: &str, has_id: bool, has_place: bool) -> String {
    let mut consent = json!({ "policy": policy });
    for (name, value) in [("usage", usage), ("location", location)] {
        if let Some(value) = value {
            consent[name] = value.clone();
        }
    }
    let ids = if has_id { json!([{ "kind": "imei", "value": "490154203237518" }]) } else { json!([]) };
    let mut event =
        json!({ "name": "screen_view", "at": "2026-10-05T09:00:00+05:00", "props": { "screen": "home" } });
    if has_place {
        event["location"] = json!({ "geohash": "v9v6h" });
    }
    let sent_at = "2026-10-05T10:00:00+05:00";
    json!({ "sent_at": sent_at, "consent": consent, "device": { "ids": ids }, "events": [event] }).to_string()
}

#[test]
fn each_purpose_depends_on_its_own_consent_and_its_own_policy_alone() {
    let boundary = Boundary::new();
    let mut tried = 0;
    for (policy, asks_usage, asks_location) in POLICIES {
        for (usage, location) in said().iter().flat_map(|usage| said().map(|location| (usage.clone(), location))) {
            for (has_id, has_place) in [(false, false), (false, true), (true, false), (true, true)] {
                for opted_out in [false, true] {
                    let body = report(&usage, &location, policy, has_id, has_place);
                    let parsed = Report::parse(body.as_bytes(), 10).unwrap();
                    let taken = boundary.decide(&mut (), &parsed, opted_out).unwrap();
                    let may_use = usage == Some(json!(true)) && asks_usage;
                    let may_place = location == Some(json!(true)) && asks_location;
                    let place = has_place && may_place && has_id;
                    let refusal = match (opted_out, may_use, may_place) {
                        (true, _, _) => Some(Refusal::OptedOut),
                        (_, false, false) => Some(Refusal::NoConsent),
                        (_, false, true) if !place => Some(Refusal::NothingToKeep),
                        _ => None,
                    };
                    assert_eq!(taken.refused.first().map(|(_, reason)| *reason), refusal, "{body}");
                    let rows = tokens(&taken.rows.usage);
                    let is_kept = refusal.is_none();
                    assert_eq!(rows.len(), usize::from(is_kept && may_use), "{body}");
                    assert!(rows.iter().all(|token| (*token != 0) == has_id), "{body}");
                    assert_eq!(cells(&taken.rows.places).len(), usize::from(is_kept && place), "{body}");
                    let notes: Vec<Note> = taken.notes.counts().map(|(note, _)| note).collect();
                    let dropped = is_kept && has_place && !may_place;
                    assert_eq!(notes.contains(&Note::NoLocationConsent), dropped, "{body}");
                    assert_eq!(notes.contains(&Note::NoUsageConsent), is_kept && !may_use, "{body}");
                    tried += 1;
                }
            }
        }
    }
    assert_eq!(tried, 4 * 16 * 4 * 2);
}

#[test]
fn a_policy_that_is_not_declared_grants_nothing() {
    let boundary = Boundary::new();
    for policy in ["", "2026-1", "2026-01 ", "2026-02", "２０２６-01"] {
        let body = report(&Some(json!(true)), &Some(json!(true)), policy, true, true);
        let parsed = Report::parse(body.as_bytes(), 10).unwrap();
        let taken = boundary.decide(&mut (), &parsed, false).unwrap();
        assert_eq!(taken.refused, [(0, Refusal::UnknownPolicy)]);
        assert!(taken.rows.usage.is_empty() && taken.rows.places.is_empty());
    }
}
