//! The boundary as its caller sees it: a report in, rows and words out.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;

use proptest::prelude::*;
use tuman_privacy::anonymise::{Anonymised, Arrival, Rejection, Rules, anonymise};
use tuman_privacy::catalogue::{Catalogue, Declaration, EventDeclaration, Purposes};
use tuman_privacy::identifier::{Kind, canonicalise};
use tuman_privacy::place::Region;
use tuman_privacy::properties::{PropertyDeclaration, value_code};
use tuman_privacy::refusal::{Note, Refusal};
use tuman_privacy::report::Report;
use tuman_privacy::suppression::{Suppressed, TagBits, Tagger};
use tuman_privacy::time::{Day, Offsets};
use tuman_privacy::token::{DayKey, Tokeniser};

/// 2026-10-05T10:00:00+05:00, a Monday.
const NOW_MS: i64 = 1_791_176_400_000;
const TODAY: Day = Day(20_731);

struct Boundary {
    catalogue: Catalogue,
    region: Region,
    open_days: Vec<(Day, Arc<Tokeniser>)>,
    suppressed: Option<Suppressed>,
}

fn boundary() -> Boundary {
    let declaration = Declaration {
        app: "kz.demo.app".into(),
        versions: vec!["3.4.1".into()],
        policies: vec![
            ("2026-01".into(), Purposes { usage: true, location: true }),
            ("2025-01".into(), Purposes { usage: true, location: false }),
        ],
        events: vec![EventDeclaration {
            name: "screen_view".into(),
            properties: vec![
                ("screen".into(), PropertyDeclaration::Enum(vec!["home".into(), "map".into()])),
                ("cached".into(), PropertyDeclaration::Boolean),
                ("duration_ms".into(), PropertyDeclaration::Buckets(vec![100.0, 1000.0])),
            ],
        }],
    };
    let key = |byte: u8| Arc::new(Tokeniser::new(&DayKey::take(&mut [byte; 32])));
    Boundary {
        catalogue: Catalogue::compile(&declaration).unwrap(),
        region: Region::within([46.4, 40.5, 87.4, 55.5], vec![]),
        open_days: vec![(Day(TODAY.0 - 1), key(1)), (TODAY, key(2))],
        suppressed: None,
    }
}

impl Boundary {
    fn take(&self, body: &str) -> Result<Anonymised, Rejection> {
        self.take_from(body, false)
    }

    fn take_from(&self, body: &str, opted_out: bool) -> Result<Anonymised, Rejection> {
        let report = Report::parse(body.as_bytes(), 500).expect("the test's body is a report");
        let rules = Rules {
            catalogue: &self.catalogue,
            region: &self.region,
            future_tolerance_ms: 600_000,
            suppressed: self.suppressed.as_ref(),
        };
        let offsets = Offsets::new(5 * 3600, vec![]);
        let arrival = Arrival { at_ms: NOW_MS, offsets: &offsets, open_days: &self.open_days, opted_out };
        anonymise(&report, rules, arrival, &mut Counter(0))
    }
}

/// The boundary of a collector from which the owner of a device has withdrawn.
fn withdrawn(kind: Kind, value: &str) -> Boundary {
    let tagger = Arc::new(Tagger::take(&mut [9; 32], TagBits::new(TagBits::MOST).unwrap()));
    let tag = tagger.tag(&canonicalise(kind, value).unwrap());
    Boundary { suppressed: Some(Suppressed::new(tagger, [tag])), ..boundary() }
}

/// Enough randomness for a shuffle in a test.
struct Counter(u64);

impl rand_core::TryRng for Counter {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok((self.try_next_u64()? >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        for byte in out {
            *byte = (self.try_next_u64()? >> 56) as u8;
        }
        Ok(())
    }
}

/// A row of `usage_open`, read back.
#[derive(Debug)]
struct Row {
    day: u16,
    hour: u8,
    token: u64,
    flags: u16,
    install_week_age: u8,
    props: Vec<u32>,
}

fn usage(anonymised: &Anonymised) -> Vec<Row> {
    tuman_privacy::encode::rows(&anonymised.rows.usage)
        .map(|row| {
            let number =
                |at: usize, n: usize| row[at..at + n].iter().rev().fold(0_u64, |sum, b| sum << 8 | u64::from(*b));
            let props = usize::from(row[30]);
            Row {
                day: number(0, 2) as u16,
                hour: row[2],
                token: number(11, 8),
                flags: number(27, 2) as u16,
                install_week_age: row[29],
                props: (0..props).map(|index| number(31 + index * 4, 4) as u32).collect(),
            }
        })
        .collect()
}

fn cells(anonymised: &Anonymised) -> Vec<(String, u32)> {
    tuman_privacy::encode::rows(&anonymised.rows.places)
        .map(|row| {
            let length = usize::from(row[14]);
            let n = u32::from_le_bytes(row[15 + length..19 + length].try_into().unwrap());
            (String::from_utf8(row[15..15 + length].to_vec()).unwrap(), n)
        })
        .collect()
}

fn report(events: &str) -> String {
    report_with(
        r#""usage":true,"location":true,"policy":"2026-01""#,
        r#"{"kind":"imei","value":"490154203237518"}"#,
        events,
    )
}

fn report_with(consent: &str, ids: &str, events: &str) -> String {
    format!(
        r#"{{"report_id":"0b7e3c52-6d51-4c58-9a3e-1f2d3c4b5a69","sent_at":"2026-10-05T10:00:00+05:00",
        "consent":{{{consent}}},"device":{{"ids":[{ids}],"platform":"android","os_version":"14","class":"phone",
        "language":"kk-KZ"}},"app":{{"version":"3.4.1"}},
        "activity":{{"first_today":true,"first_this_week":true,"install_week":"2026-W40","days_since_install":7}},
        "events":[{events}]}}"#
    )
}

fn event(at: &str, rest: &str) -> String {
    format!(r#"{{"name":"screen_view","at":"{at}"{rest}}}"#)
}

#[test]
fn an_event_becomes_a_row_and_a_cell() {
    let place = r#","location":{"lat":51.1280012,"lon":71.4304013},"props":{"screen":"home","cached":true,"duration_ms":840}"#;
    let taken = boundary().take(&report(&event("2026-10-05T09:59:59+05:00", place))).unwrap();
    assert_eq!((taken.received, taken.accepted, taken.day), (1, 1, TODAY));
    let rows = usage(&taken);
    let mut props =
        vec![value_code("screen", "home"), value_code("cached", "true"), value_code("duration_ms", "<=1000")];
    props.sort_unstable();
    assert_eq!((rows[0].day, rows[0].hour, &rows[0].props), (TODAY.0, 9, &props));
    assert_eq!(rows[0].flags, 2 | 4 | 64);
    assert_eq!(rows[0].install_week_age, 1);
    assert_eq!(cells(&taken), [("v94fc".to_owned(), 1)]);
}

#[test]
fn debug_of_what_is_kept_shows_no_token() {
    let taken = boundary().take(&report(&event("2026-10-05T09:00:00+05:00", ""))).unwrap();
    assert!(!taken.rows.usage.is_empty());
    let bytes = format!("{:?}", taken.rows.usage);
    assert!(!format!("{taken:?}").contains(bytes.trim_matches(['[', ']'])));
}

#[test]
fn the_two_purposes_have_two_tokens() {
    let place = r#","location":{"geohash":"v9v6hxyz"}"#;
    let taken = boundary().take(&report(&event("2026-10-05T09:59:59+05:00", place))).unwrap();
    let places = &taken.rows.places;
    let location_token = u64::from_le_bytes(places[2 + 6..2 + 14].try_into().unwrap());
    assert_ne!(usage(&taken)[0].token, 0);
    assert_ne!(usage(&taken)[0].token, location_token);
}

#[test]
fn each_purpose_works_with_the_other_off() {
    let place = event("2026-10-05T09:00:00+05:00", r#","location":{"lat":51.1,"lon":71.4}"#);
    let id = r#"{"kind":"imei","value":"490154203237518"}"#;
    let boundary = boundary();
    let usage_only =
        boundary.take(&report_with(r#""usage":true,"location":false,"policy":"2026-01""#, id, &place)).unwrap();
    assert_eq!((usage(&usage_only).len(), cells(&usage_only).len(), usage_only.accepted), (1, 0, 1));
    let location_only =
        boundary.take(&report_with(r#""usage":false,"location":true,"policy":"2026-01""#, id, &place)).unwrap();
    assert_eq!((usage(&location_only).len(), cells(&location_only).len(), location_only.accepted), (0, 1, 1));
    // The policy of 2025 did not ask for location: a consent to it cannot grant it.
    let old = boundary.take(&report_with(r#""usage":true,"location":true,"policy":"2025-01""#, id, &place)).unwrap();
    assert_eq!((usage(&old).len(), cells(&old).len()), (1, 0));
}

#[test]
fn without_consent_nothing_is_kept() {
    let place = event("2026-10-05T09:00:00+05:00", r#","location":{"lat":51.1,"lon":71.4}"#);
    let boundary = boundary();
    for (consent, reason) in [
        (r#""usage":false,"location":false,"policy":"2026-01""#, Refusal::NoConsent),
        (r#""policy":"2026-01""#, Refusal::NoConsent),
        (r#""usage":true,"location":true,"policy":"1999-01""#, Refusal::UnknownPolicy),
    ] {
        let taken = boundary.take(&report_with(consent, "", &place)).unwrap();
        assert_eq!(taken.refused, [(0, reason)]);
        assert!(taken.rows.usage.is_empty() && taken.rows.places.is_empty());
    }
    let taken = boundary.take_from(&report(&place), true).unwrap();
    assert_eq!(taken.refused, [(0, Refusal::OptedOut)]);
}

#[test]
fn one_bad_event_never_costs_the_others() {
    let events = [
        event("2026-10-05T09:00:00+05:00", ""),
        "7".into(),
        r#"{"name":"unheard_of","at":"2026-10-05T09:00:00+05:00"}"#.into(),
        event("yesterday", ""),
        event("2026-09-27T09:00:00+05:00", ""),
        event("2026-10-05T10:30:00+05:00", ""),
        r#"{"at":"2026-10-05T09:00:00+05:00"}"#.into(),
        event("2026-10-04T23:00:00+05:00", ""),
    ]
    .join(",");
    let taken = boundary().take(&report(&events)).unwrap();
    assert_eq!(
        taken.refused,
        [
            (1, Refusal::MalformedEvent),
            (2, Refusal::UnknownEvent),
            (3, Refusal::InvalidTime),
            (4, Refusal::TooOld),
            (5, Refusal::FromTheFuture),
            (6, Refusal::MalformedEvent)
        ]
    );
    assert_eq!((taken.received, taken.accepted), (8, 2));
}

#[test]
fn a_late_event_counts_on_the_day_of_arrival() {
    let taken = boundary().take(&report(&event("2026-10-02T23:00:00+05:00", ""))).unwrap();
    let rows = usage(&taken);
    assert_eq!((rows[0].day, rows[0].hour, rows[0].flags & 1), (TODAY.0, 23, 1));
    let taken = boundary().take(&report(&event("2026-10-04T23:00:00+05:00", ""))).unwrap();
    assert_eq!((usage(&taken)[0].day, usage(&taken)[0].flags & 1), (TODAY.0 - 1, 0));
}

#[test]
fn a_wrong_clock_is_corrected() {
    let body = report(&event("2026-10-05T07:30:00+05:00", ""))
        .replace("2026-10-05T10:00:00+05:00", "2026-10-05T08:00:00+05:00");
    assert_eq!(usage(&boundary().take(&body).unwrap())[0].hour, 9);
}

#[test]
fn what_the_catalogue_does_not_declare_is_dropped() {
    let props =
        r#","props":{"screen":"secret place","colour":"red","cached":"true","duration_ms":"5","screen2":{"a":1}}"#;
    let taken = boundary().take(&report(&event("2026-10-05T09:00:00+05:00", props))).unwrap();
    assert!(usage(&taken)[0].props.is_empty());
    let notes: Vec<(Note, u32)> = taken.notes.counts().collect();
    assert_eq!(notes, [(Note::UndeclaredProperty, 2), (Note::InvalidValue, 3)]);
}

#[test]
fn no_usable_identifier_is_no_error_and_no_token() {
    let place = event("2026-10-05T09:00:00+05:00", r#","location":{"lat":51.1,"lon":71.4}"#);
    let boundary = boundary();
    let consent = r#""usage":true,"location":true,"policy":"2026-01""#;
    for id in [
        "",
        r#"{"kind":"imei","value":"000000000000000"}"#,
        r#"{"kind":"mac","value":"DA:A1:19:12:34:56"}"#,
        r#"{"kind":"gaid","value":"00000000-0000-0000-0000-000000000000"},{"kind":"imei","value":"490154203237518"}"#,
    ] {
        let taken = boundary.take(&report_with(consent, id, &place)).unwrap();
        assert_eq!((taken.accepted, usage(&taken)[0].token, cells(&taken).len()), (1, 0, 0), "{id}");
    }
}

#[test]
fn an_invalid_identifier_rejects_the_report() {
    let boundary = boundary();
    let consent = r#""usage":true,"location":true,"policy":"2026-01""#;
    for (id, rejection) in [
        (r#"{"kind":"mac","value":"490154203237518"}"#, Rejection::Identifier),
        (r#"{"kind":"imei","value":"490154203237519"}"#, Rejection::Identifier),
        (r#"{"kind":"imsi","value":"490154203237518"}"#, Rejection::Field("/device/ids/kind")),
        (r#"{"kind":"imei","value":490154203237518}"#, Rejection::Field("/device/ids/value")),
        ("7", Rejection::Field("/device/ids/kind")),
    ] {
        assert_eq!(boundary.take(&report_with(consent, id, "")).unwrap_err(), rejection);
    }
}

#[test]
fn nothing_but_a_registered_value_is_left_of_a_device() {
    let body = report(&event("2026-10-05T09:00:00+05:00", ""))
        .replace("android", "490154203237518")
        .replace("\"14\"", "\"SM-G998B\"")
        .replace("3.4.1", "3.4.1-dirty");
    let taken = boundary().take(&body).unwrap();
    let row = tuman_privacy::encode::rows(&taken.rows.usage).next().unwrap();
    assert_eq!(&row[19..25], &[0; 6]);
}

const UUID: &str = "ea7583cd-a667-48bc-b806-42ecb2b48606";

/// A report of a device with these identifiers.
fn of(ids: &[(&str, &str)]) -> String {
    let ids: Vec<String> =
        ids.iter().map(|(kind, value)| format!(r#"{{"kind":"{kind}","value":"{value}"}}"#)).collect();
    let place = r#","location":{"lat":51.128,"lon":71.43},"props":{"screen":"home"}"#;
    report_with(
        r#""usage":true,"location":true,"policy":"2026-01""#,
        &ids.join(","),
        &format!("{},5,{}", event("2026-10-05T09:00:00+05:00", place), event("2026-10-04T23:30:00+05:00", place)),
    )
}

#[test]
fn a_withdrawn_device_gets_the_same_answer_and_leaves_no_row() {
    let body = of(&[("imei", "490154203237518")]);
    let (taken, withheld) =
        (boundary().take(&body).unwrap(), withdrawn(Kind::Imei, "49-015420-323751-8").take(&body).unwrap());
    assert!(!taken.suppressed && withheld.suppressed);
    assert_eq!(
        (taken.received, taken.accepted, &taken.refused, &taken.notes, &taken.rows.counts),
        (withheld.received, withheld.accepted, &withheld.refused, &withheld.notes, &withheld.rows.counts)
    );
    assert!(withheld.rows.usage.is_empty() && withheld.rows.places.is_empty());
    assert_eq!(withheld.rows.withheld, taken.rows.usage.len() + taken.rows.places.len());
    assert_eq!((taken.accepted, taken.rows.withheld), (2, 0));
}

#[test]
fn every_valid_identifier_is_looked_up_and_not_only_the_chosen_one() {
    let boundary = withdrawn(Kind::Imei, "490154203237518");
    let suppressed = |ids: &[(&str, &str)]| boundary.take(&of(ids)).unwrap().suppressed;
    let imei = ("imei", "4901542032375101");
    assert!(suppressed(&[("install_id", UUID), imei]));
    assert!(suppressed(&[imei, ("install_id", UUID)]));
    // Also where an opt-out keeps it from becoming the token, and beside one that is broken.
    assert!(suppressed(&[("idfa", "00000000-0000-0000-0000-000000000000"), imei]));
    assert!(suppressed(&[("install_id", UUID), ("mac", "?"), imei]));
    assert!(!suppressed(&[("install_id", UUID)]));
    assert!(!suppressed(&[]));
    // What is refused is refused as ever.
    assert_eq!(boundary.take(&of(&[("mac", "?")])), Err(Rejection::Identifier));
}

#[test]
fn another_kind_of_the_same_form_is_another_identifier() {
    let boundary = withdrawn(Kind::Gaid, UUID);
    assert!(boundary.take(&of(&[("gaid", UUID)])).unwrap().suppressed);
    assert!(!boundary.take(&of(&[("idfa", UUID)])).unwrap().suppressed);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_spelling_of_a_withdrawn_identifier_is_suppressed(
        imei in "[1-9][0-9]{13}", version in "[0-9]{2}", meid in "[A-F][0-9A-F]{13}", mac in "[0-9a-f]0[0-9a-f]{9}[1-9a-f]",
        uuid in "[1-9a-e][0-9a-f]{31}", at in 1_usize..13,
    ) {
        let grouped = |text: &str, group: usize, separator: &str| {
            let groups: Vec<&str> = (0..text.len()).step_by(group).map(|start| &text[start..start + group]).collect();
            groups.join(separator)
        };
        let parted = |text: &str, separator: &str| format!("{}{separator}{}", &text[..at], &text[at..]);
        let decimal = format!(
            "{:010}{:08}",
            u32::from_str_radix(&meid[..8], 16).unwrap(),
            u32::from_str_radix(&meid[8..], 16).unwrap()
        );
        let hyphened = format!("{}-{}-{}-{}-{}", &uuid[..8], &uuid[8..12], &uuid[12..16], &uuid[16..20], &uuid[20..]);
        let spellings = [
            (Kind::Imei, vec![imei.clone(), format!("{imei}{version}"), parted(&imei, " "), parted(&imei, "-")]),
            (Kind::Meid, vec![meid.clone(), meid.to_lowercase(), parted(&meid, " "), parted(&decimal, "-"), decimal]),
            (Kind::Mac, vec![mac.clone(), mac.to_uppercase(), grouped(&mac, 2, ":"), grouped(&mac, 2, "-"), grouped(&mac, 4, ".")]),
            (Kind::InstallId, vec![uuid.clone(), uuid.to_uppercase(), hyphened.to_uppercase(), hyphened]),
        ];
        for (kind, spellings) in spellings {
            let boundary = withdrawn(kind, &spellings[0]);
            for spelling in &spellings {
                let taken = boundary.take(&of(&[("android_id", "3f8a9c04d17be265"), (kind.name(), spelling)])).unwrap();
                prop_assert!(taken.suppressed, "{}", kind.name());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_point_leaves_more_than_five_characters(lat in -91.0..91.0_f64, lon in -181.0..181.0_f64) {
        let place = format!(r#","location":{{"lat":{lat},"lon":{lon},"accuracy":3.5}}"#);
        let taken = boundary().take(&report(&event("2026-10-05T09:00:00+05:00", &place))).unwrap();
        for (cell, _) in cells(&taken) {
            prop_assert!(cell == "abroad" || cell.len() == 5);
        }
        prop_assert_eq!(taken.accepted, 1);
    }

    #[test]
    fn any_text_in_any_field_is_taken_or_refused(text in "\\PC{0,40}") {
        let text = text.replace(['"', '\\'], "");
        let boundary = boundary();
        for field in ["android", "14", "phone", "kk-KZ", "3.4.1", "2026-W40", "screen_view", "2026-01", "490154203237518"] {
            let body = report(&event("2026-10-05T09:00:00+05:00", "")).replacen(&format!("\"{field}\""), &format!("\"{text}\""), 1);
            let _ = boundary.take(&body);
        }
    }
}

/// What the suggestions hold after fifty devices have sent one event of this form.
fn suggested(consent: &str, opted_out: bool, kind: &str, event: &str) -> Vec<(Option<String>, String)> {
    let boundary = boundary();
    let mut suggestions = tuman_privacy::suggest::Suggestions::new(&mut [3; 32]);
    for device in 0..50 {
        let value = if kind == "gaid" { 0 } else { 0x8000 + device };
        let id = format!(r#"{{"kind":"{kind}","value":"0b7e3c52-6d51-4c58-9a3e-{value:012x}"}}"#);
        let id = id.replace("0b7e3c52-6d51-4c58-9a3e-000000000000", "00000000-0000-0000-0000-000000000000");
        let taken = boundary.take_from(&report_with(consent, &id, event), opted_out).unwrap();
        assert!(!format!("{taken:?}").contains("theme"));
        suggestions.take("kz.demo.app", taken.day, taken.sightings);
    }
    suggestions.suggested().map(|known| (known.event.as_deref().map(str::to_owned), known.name.to_string())).collect()
}

#[test]
fn undeclared_names_are_sighted_for_devices_that_consented_to_usage_alone() {
    let both = r#""usage":true,"location":true,"policy":"2026-01""#;
    let unknown = r#"{"name":"theme","at":"2026-10-05T09:00:00+05:00"}"#;
    let property =
        event("2026-10-05T09:00:00+05:00", r#","props":{"theme":"dark-blue","screen":"theme_of_aigerim"}"#);
    assert_eq!(suggested(both, false, "install_id", unknown), [(None, "theme".to_owned())]);
    assert_eq!(suggested(both, false, "install_id", &property), [(Some("screen_view".into()), "theme".into())]);
    let place = r#"{"name":"theme","at":"2026-10-05T09:00:00+05:00","location":{"lat":51.1,"lon":71.4}}"#;
    for (consent, opted_out, kind) in [
        (r#""usage":false,"location":true,"policy":"2026-01""#, false, "install_id"),
        (r#""usage":false,"location":false,"policy":"2026-01""#, false, "install_id"),
        (r#""usage":true,"location":true,"policy":"1999-01""#, false, "install_id"),
        (both, true, "install_id"),
        // Without a token nobody can say how many devices there are.
        (both, false, "gaid"),
    ] {
        for body in [unknown, property.as_str(), place] {
            assert_eq!(suggested(consent, opted_out, kind, body), [], "{consent} {kind}");
        }
    }
}
