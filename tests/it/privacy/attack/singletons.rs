//! Attack D: hunt for values that one device alone made.
//!
//! The attacker takes whatever is published and has a lone device behind it or none for found. Noise lifts empty values over
//! the threshold too, nearly as often as those of one device: by how much less is what epsilon says.

use serde_json::json;
use tuman::seal::histogram::{Counted, Histogram};
use tuman::seal::release::{Release, defaults};

use super::{Beside, Success, epsilon, say, scale, sized, tail, told};
use crate::harness::{DAY_MS, NOW_MS, Setup, TestApp, report};

/// Releases, and what a lone device adds to one value: all that it may, where it sends one event all day.
const HUNTED: [(Release, i64); 6] = [
    (defaults::ACTIVE_DEVICES, 1),
    (defaults::PLACES_5, 1),
    (defaults::PLACES_4, 1),
    (defaults::PLACES_3, 1),
    (defaults::EVENT_DEVICES, 1),
    (defaults::EVENT_TOTALS, 24),
];

/// How many values of each sort are sealed at once.
const VALUES: usize = 2_000;

/// Values of one device each, then as many empty ones.
fn counts(adds: i64) -> Vec<(usize, i64)> {
    (0..2 * VALUES).map(|at| (at, if at < VALUES { adds } else { 0 })).collect()
}

/// What a lone device makes, or none.
fn counted(value: i64) -> Counted {
    Counted { value, devices: value.min(1) }
}

/// Seals them, and tells what is published of each.
fn published(release: &Release, adds: i64) -> Vec<Option<i64>> {
    let cells = counts(adds).into_iter().map(|(at, value)| (at, counted(value))).collect();
    let sealed = Histogram { release, cells }.seal(|at| vec![("value".into(), vec![at.to_string()])]).unwrap();
    let mut published = vec![None; 2 * VALUES];
    for value in &sealed.published {
        published[value.dims[0].parse::<usize>().unwrap()] = Some(value.value);
    }
    published
}

#[test]
fn a_lone_device_is_named_hardly_more_often_than_an_empty_value() {
    let seals = sized(20, 1_000);
    for (release, adds) in HUNTED {
        let scale = scale(&release);
        let (mut named, mut empty) = (Success::default(), Success::default());
        for _ in 0..seals {
            for (at, value) in published(&release, adds).into_iter().enumerate() {
                if at < VALUES { named.count(value.is_some()) } else { empty.count(value.is_some()) }
            }
        }
        let chance = tail(scale, release.threshold);
        let bound = tail(scale, release.threshold - adds);
        assert!(bound <= chance * epsilon(&release).exp() * (1.0 + 1e-9), "{}: the bound is epsilon's", release.name);
        empty.at_most(chance, &release.name);
        // The same seal without a threshold, and with noise that is none: whatever is not zero is a device, and only that.
        let bare =
            Release { epsilon: Some(64.0 * scale * epsilon(&release)), threshold: i64::MIN, ..release.clone() };
        let seen = published(&bare, adds);
        let control = Success::of(seen.iter().enumerate().map(|(at, value)| (*value > Some(0)) == (at < VALUES)));
        told(&format!("D, a lone device in {}", release.name), named, &Beside { chance, bound, control });
    }
}

/// Versions, events and places of one device each.
const LONE: usize = 40;

async fn sparse_world() -> TestApp {
    let mut setup = Setup::new();
    let versions: Vec<String> = (0..2 * LONE).map(|n| format!("\"1.{n}.0\"")).collect();
    setup.catalogue = format!(
        "[app]\nid = \"kz.test.app\"\nplatforms = [\"android\", \"ios\"]\nversions = [{}]\n\n\
         [[policy]]\nversion = \"2026-01\"\npurposes = [\"usage\", \"location\"]\n\n{}",
        versions.join(", "),
        (0..2 * LONE).map(|n| format!("[events.rare_{n}]\n")).collect::<String>(),
    );
    let app = setup.start().await;
    for phone in 0..LONE {
        // Fields of the steppe, half a degree apart.
        let place = json!({ "lat": 45.0 + 0.5 * (phone / 8) as f64, "lon": 60.0 + 0.5 * (phone % 8) as f64 });
        let upload = report()
            .of_phone(phone as u64)
            .with("/app/version", json!(format!("1.{phone}.0")))
            .with("/events/0/name", json!(format!("rare_{phone}")))
            .with("/events/0/props", json!({}))
            .with("/events/0/location", place)
            .times(24);
        assert_eq!(app.collect(upload).await.json()["accepted"], 24);
    }
    app
}

#[actix_web::test]
async fn a_sparse_day_names_none_of_its_lone_devices() {
    let app = sparse_world().await;
    app.drain().await;
    // The control: the same day, counted without threshold and noise.
    let lone = |sql: &str| app.rows(sql).iter().filter(|row| row["devices"] == 1).count() as u64;
    let versions = "SELECT version, toInt64(uniqExact(token)) AS devices FROM usage_open GROUP BY version";
    let events = "SELECT event, toInt64(uniqExact(token)) AS devices FROM usage_open GROUP BY event";
    let cells = "SELECT cell, toInt64(uniqExact(token)) AS devices FROM places_open GROUP BY cell";
    let control = Success { hits: lone(versions) + lone(events) + lone(cells), tries: 3 * LONE as u64 };

    app.clock.advance(DAY_MS);
    app.app.sealer.seal(app.app.zone.day(NOW_MS)).await.unwrap();
    let named = |release: &str, breakdown: &str| -> Vec<String> {
        let rows = app.rows(&format!(
            "SELECT dims[1] AS dim FROM releases WHERE release = '{release}' AND breakdown = '{breakdown}'"
        ));
        rows.iter().map(|row| row["dim"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(named("places_5", "cell"), Vec::<String>::new());
    assert_eq!(named("places_4", "cell"), Vec::<String>::new());
    // What the attacker names: each version and event that is published in any way, and whether a device is behind it.
    let is_lone = |name: &str| {
        let number = name.trim_start_matches("rare_").trim_start_matches("1.").trim_end_matches(".0");
        number.parse::<usize>().is_ok_and(|number| number < LONE)
    };
    let mut published = named("active_devices", "version");
    published.extend(named("event_devices", "event"));
    published.extend(named("event_totals", "event"));
    let right = published.iter().filter(|name| is_lone(name)).count() as u64;
    say(&format!(
        "attack D, a sparse day: {} values are published, {right} of them of a lone device",
        published.len()
    ));
    // A version's count holds the draws of three platforms, hence strays further than a cell.
    let version_bound = sum_tail(4.0, 3, 19);
    let bound = (version_bound + tail(32.0, 249) + tail(120.0, 976)) / 3.0;
    let chance = (sum_tail(4.0, 3, 20) + tail(32.0, 250) + tail(120.0, 1_000)) / 3.0;
    told("D, a sparse day", Success { hits: right, tries: 3 * LONE as u64 }, &Beside { chance, bound, control });
}

/// P(sum of `draws` draws >= n), by adding up the distribution.
fn sum_tail(scale: f64, draws: usize, n: i64) -> f64 {
    const WIDTH: i64 = 400;
    let a = (-1.0 / scale).exp();
    let one = |k: i64| (1.0 - a) / (1.0 + a) * a.powf(k.abs() as f64);
    let mut sum: Vec<f64> = (-WIDTH..=WIDTH).map(|k| if k == 0 { 1.0 } else { 0.0 }).collect();
    for _ in 0..draws {
        sum = (-WIDTH..=WIDTH)
            .map(|k| (-60..=60).map(|step| one(step) * sum.get((k - step + WIDTH) as usize).unwrap_or(&0.0)).sum())
            .collect();
    }
    sum[(n + WIDTH) as usize..].iter().sum()
}
