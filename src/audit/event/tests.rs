//! Each kind of entry, what it says, and that the document has them all.

use super::*;
use crate::access::{Basis, Role, issue};
use crate::catalogue::Catalogue;
use crate::export::{self, Format, Query, ReleaseQuery};
use crate::stats::{Period, PlacesQuery, Scope, Shown};

const DOCUMENT: &str = include_str!("../../../docs/operations.md");

fn one_of_each() -> Vec<Event> {
    let day = jiff::civil::date(2026, 10, 5);
    let catalogue = Catalogue::parse(include_str!("../../cli/init/catalogue.toml")).unwrap();
    let catalogues = Catalogues::of(catalogue);
    let (name, created_at) = ("00".into(), Timestamp::UNIX_EPOCH);
    let key = KeyRecord { day, name, created_at, destroyed_at: None };
    let act = |act| {
        let (name, group) = ("01".into(), "02".into());
        let recipients = vec!["03".into()];
        Event::KeysActed(KeysActed::of(&Act { act, name, group, day, at: created_at, recipients }))
    };
    let journal = Journal::of(day, created_at, vec![("kz.example.app".into(), vec![])]);
    let scope = Scope { app: "kz.example.app".into(), period: Period { from: day, to: day } };
    let mut events = vec![
        Event::Started(Started::with(&Config::default(), &catalogues)),
        Event::Reloaded(Reloaded::with(&catalogues)),
        Event::ReloadRefused(Unusable::AuditLog.into()),
        Event::AnchorMade,
        Event::KeyCreated(KeyCreated::of(&key)),
    ];
    events.extend(ActKind::ALL.map(act));
    events.push(Event::DaySealed(DaySealed::with(&journal, Some(&key))));
    let deleted = ReleasesDeleted { from: day, to: day, days: 1, retention_days: 730 };
    events.push(Event::ReleasesDeleted(deleted));
    let places = PlacesQuery { scope, precision: 5, shown: Shown::Published };
    events.push(Event::Exported(Exported::places(&places, Recipient::Command)));
    let (_, analyst) = issue("the ministry", Role::Analyst, None).unwrap();
    events.push(Event::SignedIn(SignedIn::by(&analyst)));
    events.push(Event::TokenAdded(TokenChanged::of(&analyst)));
    events.push(Event::TokenRevoked(TokenChanged::of(&analyst)));
    let case = CaseNumber::parse("2026/17").unwrap();
    let (app, list) = (Some(AppId("kz.example.app".into())), ListName("04".to_owned()));
    let registered = WithdrawalRegistered { case: case.clone(), received: day, due: day, app, list: list.clone() };
    events.extend([
        Event::WithdrawalRegistered(registered),
        Event::WithdrawalErased(WithdrawalErased { case: case.clone(), open_days: vec![day] }),
        Event::WithdrawalAnswered(WithdrawalAnswered { case }),
        Event::SuppressionListEnded(SuppressionListEnded { list, begun_at: created_at, tags: 1 }),
    ]);
    events
}

#[test]
fn the_document_has_every_kind_with_its_detail() {
    let section = DOCUMENT.split("## Audit log").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| `")).collect();
    let events = one_of_each();
    assert_eq!(events.iter().map(Event::kind).collect::<Vec<_>>(), Kind::ALL);
    for event in &events {
        let detail: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&event.detail()).unwrap();
        let start = format!("| `{}` |", event.kind().word());
        let row = rows.iter().find(|row| row.starts_with(&start)).unwrap_or_else(|| panic!("no {start}"));
        for field in detail.keys() {
            assert!(row.contains(&format!("`{field}`")), "{start} does not say `{field}`");
        }
    }
    assert_eq!(rows.len(), Kind::ALL.len());
}

#[test]
fn what_is_said_of_a_file_is_in_the_document_too() {
    let day = jiff::civil::date(2026, 10, 5);
    let scope = Scope { app: "kz.example.app".into(), period: Period { from: day, to: day } };
    let query = Query::Release(ReleaseQuery { scope, release: "region".into(), format: Format::Arrow });
    let export = export::Export { name: "x".into(), media: "y", bytes: vec![1], sha256: "00".into() };
    let event = Event::Exported(Exported::of(&query, &export, Some(Basis::Law), Recipient::Command));
    let detail: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&event.detail()).unwrap();
    assert_eq!(detail["basis"], "4.2.3");
    let row = DOCUMENT.lines().find(|line| line.starts_with("| `exported` |")).unwrap();
    for field in detail.keys() {
        assert!(row.contains(&format!("`{field}`")), "`{field}` is not said");
    }
}

#[test]
fn a_start_names_what_was_in_force() {
    let detail = one_of_each()[0].detail();
    assert!(detail.contains(r#""policies":["2026-01"]"#), "{detail}");
}

#[test]
fn a_token_put_in_the_place_of_its_name_is_left_out() {
    let (token, mut grant) = issue("the ministry", Role::Analyst, None).unwrap();
    assert_eq!(TokenName::of(&grant).0, "the ministry");
    for wrong in [token, "aigerim@example.kz".into(), "x".repeat(81)] {
        grant.name = wrong;
        assert_eq!(TokenName::of(&grant).0, "(left out)");
    }
}
