//! Claims about whole days of the fleet.

use std::collections::{HashMap, HashSet};

use jiff::ToSpan;
use jiff::civil::date;
use serde_json::Value;

use super::super::CATALOGUE;
use super::super::rhythm::DAY_S;
use super::super::visit::SEARCH_TEXTS;
use super::*;

const OPENING: Date = Date::constant(2026, 11, 1);
const DAY: Date = Date::constant(2026, 11, 18);

fn almaty() -> TimeZone {
    TimeZone::get("Asia/Almaty").unwrap()
}

fn fleet(phones: usize) -> Fleet {
    Fleet::new(42, phones, OPENING)
}

fn parsed(upload: &Upload) -> Value {
    serde_json::from_slice(&upload.body).unwrap()
}

fn time_of(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let day = |seed| Fleet::new(seed, 400, OPENING).day(DAY, &almaty()).collect::<Vec<_>>();
    assert_eq!(day(1), day(1));
    assert_ne!(day(1), day(2));
}

#[test]
fn following_the_time_gives_the_same_bytes_as_generating_days() {
    let (fleet, zone) = (fleet(400), almaty());
    let midnight = |day: Date| day.to_zoned(zone.clone()).unwrap().timestamp();
    let mut generated: Vec<_> = [-2, -1, 0]
        .into_iter()
        .flat_map(|back: i64| fleet.day(DAY + back.days(), &zone))
        .filter(|upload| upload.sent_at > midnight(DAY) && upload.sent_at <= midnight(DAY + 1.day()))
        .collect();
    let mut due: Vec<_> = fleet.due(midnight(DAY), midnight(DAY + 1.day()), &zone).collect();
    assert!(due.is_sorted_by_key(|upload| upload.sent_at));
    generated.sort_by(|left, right| (left.sent_at, &left.body).cmp(&(right.sent_at, &right.body)));
    due.sort_by(|left, right| (left.sent_at, &left.body).cmp(&(right.sent_at, &right.body)));
    assert_eq!(generated, due);
}

#[test]
fn every_body_has_the_fields_of_the_protocol() {
    let zone = almaty();
    let (begin, end) =
        (DAY.to_zoned(zone.clone()).unwrap().timestamp(), (DAY + 1.day()).to_zoned(zone.clone()).unwrap());
    for upload in fleet(3_000).day(DAY, &zone) {
        let report = parsed(&upload);
        let names: HashSet<_> = report.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = ["report_id", "sent_at", "consent", "device", "app", "activity", "events"];
        assert_eq!(names, HashSet::from(expected));
        uuid::Uuid::parse_str(report["report_id"].as_str().unwrap()).unwrap();
        assert!(report["consent"]["usage"].is_boolean() && report["consent"]["location"].is_boolean());
        assert!(["2025-06", "2026-01"].contains(&report["consent"]["policy"].as_str().unwrap()));
        assert!(["android", "ios"].contains(&report["device"]["platform"].as_str().unwrap()));
        assert!(["phone", "tablet"].contains(&report["device"]["class"].as_str().unwrap()));
        assert!((1..=8).contains(&report["device"]["ids"].as_array().unwrap().len()));
        assert!(report["activity"]["days_since_install"].is_u64());
        let week = report["activity"]["install_week"].as_str().unwrap();
        assert!(week.len() == 8 && &week[4..6] == "-W", "{week}");
        let events = report["events"].as_array().unwrap();
        assert!((1..=500).contains(&events.len()));

        // What the server will take for the true times: the phone's error falls out.
        let skew = time_of(&report["sent_at"]).duration_until(upload.sent_at);
        let mut before = begin;
        for event in events {
            let at = time_of(&event["at"]) + skew;
            assert!(at < upload.sent_at && at < end.timestamp(), "{at}");
            // A retry is sent later than its bytes say, by up to some minutes.
            assert!(upload.retry || at >= before);
            before = at;
            assert!(event["props"].is_object());
        }
    }
}

#[test]
fn events_and_properties_are_those_of_the_catalogue_but_for_the_bugs_of_one_version() {
    let catalogue: toml::Table = CATALOGUE.parse().unwrap();
    let declared = catalogue["events"].as_table().unwrap();
    let versions: Vec<_> =
        catalogue["app"]["versions"].as_array().unwrap().iter().filter_map(|v| v.as_str()).collect();
    let mut seen = HashSet::new();
    for upload in fleet(6_000).day(DAY, &almaty()) {
        let report = parsed(&upload);
        let version = report["app"]["version"].as_str().unwrap();
        assert!(versions.contains(&version));
        for event in report["events"].as_array().unwrap() {
            let name = event["name"].as_str().unwrap();
            let Some(entry) = declared.get(name) else {
                assert_eq!((name, version), ("debug_ping", "3.2.0"));
                continue;
            };
            seen.insert(name.to_owned());
            for (property, value) in event["props"].as_object().unwrap() {
                let Some(kind) = entry["props"].get(property) else {
                    assert_eq!((property.as_str(), version), ("query", "3.2.0"));
                    assert!(SEARCH_TEXTS.contains(&value.as_str().unwrap()));
                    continue;
                };
                let fits = match value {
                    Value::Bool(_) => kind.get("boolean").is_some(),
                    Value::Number(_) => kind.get("buckets").is_some(),
                    Value::String(text) => {
                        kind["enum"].as_array().unwrap().iter().any(|known| known.as_str() == Some(text))
                    }
                    _ => false,
                };
                assert!(fits, "{name}.{property} = {value}");
            }
        }
    }
    assert_eq!(seen.len(), declared.len(), "{seen:?}");
}

#[test]
fn four_phones_in_ten_are_used_on_a_day_with_eight_events_each() {
    let (mut reports, mut events, mut active, mut days) = (0, 0, 0, 0);
    for day in [date(2026, 11, 10), DAY, date(2026, 12, 6)] {
        for upload in fleet(6_000).day(day, &almaty()).filter(|upload| !upload.retry) {
            let report = parsed(&upload);
            reports += 1;
            events += report["events"].as_array().unwrap().len();
            active += usize::from(report["activity"]["first_today"] == true);
        }
        days += 1;
    }
    let share = active as f64 / (6_000.0 * f64::from(days));
    assert!((0.36..0.46).contains(&share), "active: {share}");
    let each = events as f64 / active as f64;
    assert!((7.0..11.0).contains(&each), "events: {each}");
    let reports = reports as f64 / active as f64;
    assert!((1.5..2.0).contains(&reports), "reports: {reports}");
}

#[test]
fn reports_leave_on_their_day_or_late_within_the_bound() {
    let zone = almaty();
    let begin = DAY.to_zoned(zone.clone()).unwrap().timestamp();
    let bound = begin + i64::from(DAY_S + LATEST_S).seconds();
    assert!(fleet(6_000).day(DAY, &zone).all(|upload| upload.sent_at > begin && upload.sent_at < bound));
}

#[test]
fn first_flags_come_with_the_first_report_of_a_day_and_do_not_come_twice() {
    let zone = almaty();
    let mut said: HashMap<(String, String), Vec<Date>> = HashMap::new();
    for offset in 0..60 {
        let day = OPENING + i64::from(offset).days();
        for upload in fleet(300).day(day, &zone).filter(|upload| !upload.retry) {
            let report = parsed(&upload);
            let activity = &report["activity"];
            // A phone without an identifier cannot be followed, here neither.
            let Some(phone) =
                report["device"]["ids"].as_array().unwrap().iter().find(|id| id["kind"] == "install_id")
            else {
                continue;
            };
            let phone = phone["value"].as_str().unwrap().to_owned();
            for flag in ["first_today", "first_this_week", "first_this_month", "first_ever"] {
                if activity[flag] == true {
                    assert_eq!(activity["first_today"], true);
                    said.entry((flag.to_owned(), phone.clone())).or_default().push(day);
                }
            }
            if activity["first_ever"] == true {
                assert_eq!(activity["days_since_install"], 0);
            }
        }
    }
    assert!(said.keys().any(|(flag, _)| flag == "first_ever"));
    for ((flag, phone), days) in said {
        let mut periods: Vec<String> = days
            .iter()
            .map(|day| match flag.as_str() {
                "first_today" => day.to_string(),
                "first_this_week" => (*day - i64::from(day.weekday().to_monday_zero_offset()).days()).to_string(),
                "first_this_month" => day.first_of_month().to_string(),
                _ => String::new(),
            })
            .collect();
        let number = periods.len();
        periods.dedup();
        assert_eq!(periods.len(), number, "{flag} of {phone}: {days:?}");
    }
}

#[test]
fn newer_versions_spread_with_time() {
    let newest = |day: Date| {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for upload in fleet(2_000).day(day, &almaty()) {
            *counts.entry(parsed(&upload)["app"]["version"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        let most = counts.iter().max_by_key(|(_, count)| **count).map(|(version, _)| version.clone());
        (most.unwrap(), counts.len())
    };
    assert_eq!(newest(OPENING).0, "3.4.1");
    assert_eq!(newest(OPENING + 20.days()).0, "3.5.0");
    let (last, kinds) = newest(OPENING + 29.days());
    assert_eq!(last, "3.6.0");
    assert!(kinds >= 4, "old versions linger: {kinds}");
}

#[test]
fn every_identifier_and_every_home_that_is_sent_is_listed() {
    let (fleet, zone) = (fleet(1_500), almaty());
    let last = DAY + 9.days();
    let listed: HashSet<_> = fleet.identifiers(DAY, last).map(|(kind, text)| (kind.to_owned(), text)).collect();
    let points: HashSet<_> = fleet.points(DAY, last).map(|point| point.to_string()).collect();
    let (mut unlisted, mut known_places, mut places) = (HashSet::new(), 0, 0);
    for day in 0..10 {
        for upload in fleet.day(DAY + i64::from(day).days(), &zone) {
            let report = parsed(&upload);
            for id in report["device"]["ids"].as_array().unwrap() {
                let pair = (id["kind"].as_str().unwrap().to_owned(), id["value"].as_str().unwrap().to_owned());
                if !listed.contains(&pair) {
                    unlisted.insert(pair.1);
                }
            }
            let place = &report["events"][0]["location"];
            if let (Some(latitude), Some(longitude)) = (place["lat"].as_f64(), place["lon"].as_f64()) {
                places += 1;
                known_places += usize::from(points.contains(&format!("{latitude:.6},{longitude:.6}")));
            }
        }
    }
    for text in &unlisted {
        assert!(
            text.starts_with("0000")
                || ["004999010640000", "012345678912345", "358240051111110", "9774d56d682e549c"]
                    .contains(&text.as_str()),
            "{text}"
        );
    }
    assert!(known_places * 10 > places * 7, "{known_places} of {places}");
}

#[test]
fn a_default_day_meets_the_thresholds_of_its_releases() {
    let mut devices: HashMap<String, HashSet<Value>> = HashMap::new();
    let mut totals: HashMap<String, usize> = HashMap::new();
    let mut cells: HashMap<String, usize> = HashMap::new();
    let mut installs = 0;
    for upload in fleet(12_000).day(DAY, &almaty()).filter(|upload| !upload.retry) {
        let report = parsed(&upload);
        // Junk and opt-outs are counted as if they were a device each, which errs little.
        let device = &report["device"]["ids"];
        installs += usize::from(report["activity"]["first_ever"] == true);
        if report["consent"]["usage"] == true {
            for event in report["events"].as_array().unwrap() {
                let name = event["name"].as_str().unwrap();
                devices.entry(name.to_owned()).or_default().insert(device.clone());
                *totals.entry(name.to_owned()).or_default() += 1;
            }
        }
        if report["activity"]["first_today"] == true {
            let place = &report["events"][0]["location"];
            let cell = match (place["lat"].as_f64(), place["lon"].as_f64()) {
                (Some(y), Some(x)) => geohash::encode(geohash::Coord { x, y }, 5).unwrap(),
                _ => place["geohash"].as_str().unwrap_or("none").to_owned(),
            };
            *cells.entry(cell).or_default() += 1;
        }
    }
    cells.remove("none");
    // Thresholds: 200 devices for an event's name, 1,000 for its total, 50 devices in a cell, 20 for a first use.
    let devices = devices.into_iter().map(|(name, set)| (name, set.len())).collect::<HashMap<_, _>>();
    let above = |counts: &HashMap<String, usize>, least| counts.values().filter(|count| **count > least).count();
    assert!(above(&devices, 300) >= 11, "{devices:?}");
    assert!(above(&totals, 1_200) >= 7, "{totals:?}");
    assert!(above(&cells, 60) >= 12, "{cells:?}");
    assert!(installs > 60, "{installs}");
}
