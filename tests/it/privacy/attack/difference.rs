//! Attack B: is the target in there? Every question whose answer the target changes, and every pair of them.
//!
//! The attacker knows all that can be known: every other device of the day, the parameters, and that the target was there
//! or not with equal odds. They guess by the likelihood of what they see, which no other guess beats. Single releases
//! are sealed many thousand times by the sealer's own `Histogram::seal`; whole days, with the counting in SQL, by
//! the real engine: slower, hence fewer.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tuman::clock::date_of;
use tuman::seal::histogram::{Counted, Histogram};
use tuman::seal::release::{Release, defaults};
use tuman::store::Statement;
use tuman_privacy::time::Day;

use super::{Beside, Success, allowed, epsilon, scale, sized, tail, told, variance};
use crate::harness::{DAY_MS, NOW_MS, TestApp, report};

/// A cell of the attacker's knowledge: its count without the target, and what the target adds.
#[derive(Clone, Copy)]
struct Cell {
    others: i64,
    target: i64,
}

/// How a device spends the whole bound of a release.
fn cells(release: &Release, others: i64) -> Vec<Cell> {
    match &*release.name {
        // Eight names, once each.
        "event_devices" => vec![Cell { others, target: 1 }; 8],
        "event_totals" => vec![Cell { others, target: 24 }],
        // Four hours.
        "active_by_hour" => vec![Cell { others, target: 1 }; 4],
        "events_by_hour" => vec![Cell { others, target: 6 }; 4],
        _ => vec![Cell { others, target: 1 }],
    }
}

/// The logarithm of how much likelier an observation is with the target than without.
fn evidence(release: &Release, cell: Cell, seen: Option<i64>) -> f64 {
    let scale = scale(release);
    match seen {
        Some(value) => {
            let away = |count: i64| (value - count).abs() as f64;
            (away(cell.others) - away(cell.others + cell.target)) / scale
        }
        None => (below(scale, release.threshold - cell.others - cell.target)
            / below(scale, release.threshold - cell.others))
        .ln(),
    }
}

/// P(draw < n).
fn below(scale: f64, n: i64) -> f64 {
    if n > 0 { 1.0 - tail(scale, n) } else { tail(scale, 1 - n) }
}

/// Worlds by number, and whether the target is in each.
type Worlds = [(u64, bool)];

/// Worlds that are sealed at once: each cell has a draw of its own, so that many worlds of one release are one histogram.
const AT_ONCE: u64 = 2_000;

/// What is published of a release in each of these worlds, sealed by the sealer's own code.
fn sealed(release: &Release, cells: &[Cell], worlds: &Worlds) -> Vec<Vec<Option<i64>>> {
    let of = |present: bool| cells.iter().map(move |cell| cell.others + if present { cell.target } else { 0 });
    let counts = worlds.iter().flat_map(|(_, present)| of(*present)).map(Counted::devices).enumerate().collect();
    let histogram = Histogram { release, cells: counts };
    let sealed = histogram.seal(|at| vec![("cell".into(), vec![at.to_string()])]).unwrap();
    let mut values = vec![None; cells.len() * worlds.len()];
    for value in sealed.published {
        values[value.dims[0].parse::<usize>().unwrap()] = Some(value.value);
    }
    values.chunks(cells.len()).map(<[_]>::to_vec).collect()
}

/// Whether the attacker guesses right; a tie is a coin, which `n` stands for.
fn guess(evidence: f64, present: bool, n: u64) -> bool {
    if evidence == 0.0 { (n / 2).is_multiple_of(2) } else { (evidence > 0.0) == present }
}

/// Presence alternates: with a distinguisher that keeps nothing, that is as good as a coin.
fn worlds(trials: u64) -> impl Iterator<Item = (u64, bool)> {
    (0..trials).map(|n| (n, n.is_multiple_of(2)))
}

fn batches(trials: u64) -> impl Iterator<Item = Vec<(u64, bool)>> {
    let all: Vec<_> = worlds(trials).collect();
    all.chunks(AT_ONCE as usize).map(<[_]>::to_vec).collect::<Vec<_>>().into_iter()
}

fn all_evidence(release: &Release, cells: &[Cell], seen: &[Option<i64>]) -> f64 {
    cells.iter().zip(seen).map(|(cell, seen)| evidence(release, *cell, *seen)).sum()
}

/// The same guess on exact counts.
fn on_exact_counts(cells: &[Cell]) -> Success {
    Success::of(worlds(1_000).map(|(n, present)| {
        let away = |cell: &Cell, count: i64| (count - cell.others).abs() - (count - cell.others - cell.target).abs();
        let seen = |cell: &Cell| cell.others + if present { cell.target } else { 0 };
        guess(cells.iter().map(|cell| away(cell, seen(cell))).sum::<i64>() as f64, present, n)
    }))
}

#[test]
fn a_device_is_told_from_each_release_no_better_than_its_epsilon_allows() {
    let trials = sized(10_000, 1_000_000);
    for release in defaults::ALL {
        // Far above the threshold, and where the threshold itself speaks.
        let at_the_threshold = release.threshold.max(0) - 1;
        for (place, others) in [("", 5_000), (", at its threshold", at_the_threshold)] {
            let cells = cells(&release, others);
            let mut success = Success::default();
            for worlds in batches(trials) {
                for ((n, present), seen) in worlds.iter().zip(sealed(&release, &cells, &worlds)) {
                    success.count(guess(all_evidence(&release, &cells, &seen), *present, *n));
                }
            }
            let beside = Beside { chance: 0.5, bound: allowed(epsilon(&release)), control: on_exact_counts(&cells) };
            told(&format!("B, {}{place}", release.name), success, &beside);
        }
    }
}

#[test]
fn a_device_is_told_from_all_releases_together_no_better_than_the_days_epsilon_allows() {
    let all: Vec<(Release, Vec<Cell>)> =
        defaults::ALL.into_iter().map(|release| (release.clone(), cells(&release, 5_000))).collect();
    let mut success = Success::default();
    for worlds in batches(sized(10_000, 1_000_000)) {
        let mut told = vec![0.0; worlds.len()];
        for (release, cells) in &all {
            for (told, seen) in told.iter_mut().zip(sealed(release, cells, &worlds)) {
                *told += all_evidence(release, cells, &seen);
            }
        }
        for ((n, present), told) in worlds.iter().zip(told) {
            success.count(guess(told, *present, *n));
        }
    }
    let every_cell: Vec<Cell> = all.iter().flat_map(|(_, cells)| cells.clone()).collect();
    let beside = Beside { chance: 0.5, bound: allowed(2.0), control: on_exact_counts(&every_cell) };
    told("B, all releases of a day", success, &beside);
    // Attacks of this size are no formality: this one is right far more often than a coin.
    assert!(success.rate() > 0.6, "{success}");
}

/// Differences of answers: the total less all platforms that are published is the noisy count of the others, which are too
/// few to be published themselves. It is the same draw that was added to them, so that the bound holds for it too; the
/// threshold does not.
#[test]
fn the_difference_of_two_answers_tells_no_more_than_the_release_that_both_are_of() {
    let release = defaults::ACTIVE_DEVICES;
    let domain: Vec<(&str, &str)> =
        ["android", "ios", "other"].iter().flat_map(|p| ["1", "2", "other"].map(|v| (*p, v))).collect();
    // The target is the only device of its platform.
    let count = |cell: &(&str, &str), present: bool| match cell {
        ("android", "1") => 400,
        ("android", "2") => 300,
        ("ios", "1") => i64::from(present),
        _ => 0,
    };
    let shares = |(platform, version): &(&str, &str)| {
        vec![
            (String::new(), vec![]),
            ("platform".into(), vec![(*platform).to_owned()]),
            ("version".into(), vec![(*version).to_owned()]),
            ("platform,version".into(), vec![(*platform).to_owned(), (*version).to_owned()]),
        ]
    };
    type Answers = BTreeMap<(String, Vec<String>), i64>;
    let exactly = |present: bool| {
        let mut answers = Answers::new();
        for cell in &domain {
            for (breakdown, dims) in shares(cell) {
                *answers.entry((breakdown, dims)).or_default() += count(cell, present);
            }
        }
        answers
    };
    let (with, without) = (exactly(true), exactly(false));
    let keys: Vec<_> = with.keys().cloned().collect();
    let pairs: Vec<_> = keys
        .iter()
        .flat_map(|one| keys.iter().map(move |other| (one, other)))
        .filter(|(one, other)| with[*one] - with[*other] == without[*one] - without[*other] + 1)
        .collect();
    let of_pairs = |answers: &dyn Fn(&Worlds) -> Vec<Answers>, trials: u64| {
        let mut successes = vec![Success::default(); pairs.len()];
        for worlds in batches(trials) {
            for ((n, present), answers) in worlds.iter().zip(answers(&worlds)) {
                for (success, (one, other)) in successes.iter_mut().zip(&pairs) {
                    let between = (without[*one] - without[*other]) as f64 + 0.5;
                    let told = match (answers.get(*one), answers.get(*other)) {
                        (Some(one), Some(other)) => (one - other) as f64 - between,
                        _ => 0.0,
                    };
                    success.count(guess(told, *present, *n));
                }
            }
        }
        successes.into_iter().max_by(|a, b| a.rate().total_cmp(&b.rate())).unwrap()
    };
    let noisy = |worlds: &Worlds| {
        let of = |at: usize, present: bool| {
            domain.iter().map(move |cell| ((at, *cell), Counted::devices(count(cell, present))))
        };
        let cells = worlds.iter().enumerate().flat_map(|(at, (_, present))| of(at, *present)).collect();
        let in_world = |(at, cell): &(usize, (&str, &str))| {
            let mut shares = shares(cell);
            shares.iter_mut().for_each(|(_, dims)| dims.insert(0, at.to_string()));
            shares
        };
        let sealed = Histogram { release: &release, cells }.seal(in_world).unwrap();
        let mut answers = vec![Answers::new(); worlds.len()];
        for mut value in sealed.published {
            let at: usize = value.dims.remove(0).parse().unwrap();
            answers[at].insert((value.breakdown, value.dims), value.value);
        }
        answers
    };
    let exactly_in = |worlds: &Worlds| worlds.iter().map(|(_, present)| exactly(*present)).collect();
    let best = of_pairs(&noisy, sized(6_000, 200_000));
    let beside = Beside { chance: 0.5, bound: allowed(epsilon(&release)), control: of_pairs(&exactly_in, 100) };
    told(&format!("B, the best of {} pairs of answers of one day", pairs.len()), best, &beside);
}

/// Copies of one day, with and without the target, sealed by the whole collector.
#[actix_web::test]
async fn two_days_that_differ_by_one_device_are_told_apart_no_better_than_epsilon_allows() {
    const OTHERS: i64 = 240;
    let app = TestApp::start().await;
    for phone in 0..OTHERS as u64 {
        assert_eq!(app.collect(report().of_phone(phone).times(8)).await.status, 202);
    }
    app.drain().await;
    let known = tokens(&app);
    app.collect(report().of_phone(9_999).times(30)).await;
    app.drain().await;
    let target = tokens(&app).difference(&known).copied().collect::<Vec<_>>();
    assert_eq!(target.len(), 2, "one token for each purpose");

    let day = app.app.zone.day(NOW_MS);
    app.clock.advance(4 * DAY_MS);
    // The target adds one to each, and 24 events; all other cells are known to be empty, and tell nothing.
    let of = |release: &Release, breakdown: &str, dims: &[&str], target: i64| {
        let others = match &*release.name {
            "event_totals" => OTHERS * 8,
            "events_by_hour" => OTHERS * 6,
            _ => OTHERS,
        };
        let key = (release.name.to_string(), breakdown.to_owned(), json!(dims).to_string());
        (key, (release.clone(), Cell { others, target }))
    };
    let cell = geohash::encode(geohash::Coord { x: 71.430_401_3, y: 51.128_001_2 }, 5).unwrap();
    let look = BTreeMap::from([
        of(&defaults::ACTIVE_DEVICES, "platform,version", &["android", "3.4.1"], 1),
        of(&defaults::FIRST_USE, "first", &["week"], 1),
        of(&defaults::COHORTS, "day", &["7"], 1),
        of(&defaults::RETENTION, "week", &["1"], 1),
        of(&defaults::PLACES_5, "cell", &[&cell], 1),
        of(&defaults::PLACES_4, "cell", &[&cell[..4]], 1),
        of(&defaults::PLACES_3, "cell", &[&cell[..3]], 1),
        of(&defaults::REGION, "", &[], 1),
        of(&defaults::EVENT_DEVICES, "event", &["screen_view"], 1),
        of(&defaults::EVENT_TOTALS, "event", &["screen_view"], 24),
        of(&defaults::ACTIVE_BY_HOUR, "hour", &["09"], 1),
        of(&defaults::EVENTS_BY_HOUR, "hour,event", &["09", "screen_view"], 6),
    ]);
    let mut success = Success::default();
    let (mut errors, mut expected, mut of_errors, mut seen) = (0.0, 0.0, 0.0, 0);
    for (n, present) in worlds(sized(24, 600)) {
        let copy = Day(day.0 - 1 - u16::try_from(n).unwrap());
        copy_day(&app, day, copy, if present { &[] } else { &target });
        app.app.sealer.seal(copy).await.unwrap();
        let published = published(&app, copy);
        let mut told = 0.0;
        for ((name, breakdown, dims), (release, cell)) in &look {
            let value = published.get(&(name.clone(), breakdown.clone(), dims.clone())).copied();
            told += evidence(release, *cell, value);
            // How far the noise strays from the exact count: the sealer's, counted and drawn by the real path.
            // First use is published as sums of several draws.
            let is_one_draw = cell.others > release.threshold.saturating_add(60) && name != "first_use";
            if let Some(value) = value.filter(|_| is_one_draw) {
                let exact = cell.others + if present { cell.target } else { 0 };
                errors += ((value - exact) as f64).powi(2) / variance(scale(release));
                expected += 1.0;
                // The fourth moment of a Laplace draw is six times its squared variance.
                of_errors += 5.0;
                seen += 1;
            }
        }
        success.count(guess(told, present, n));
    }
    assert!(seen > 3 * success.tries, "{seen} values");
    let slack = 6.0 * f64::sqrt(of_errors);
    assert!((errors - expected).abs() < slack, "noise of {errors}, where {expected} is promised, within {slack}");
    let every_cell: Vec<Cell> = look.values().map(|(_, cell)| *cell).collect();
    let beside = Beside { chance: 0.5, bound: allowed(2.0), control: on_exact_counts(&every_cell) };
    told("B, whole days, sealed by the collector", success, &beside);
}

/// The tokens that the open tables hold.
fn tokens(app: &TestApp) -> BTreeSet<u64> {
    let rows = app.rows("SELECT token FROM usage_open UNION DISTINCT SELECT token FROM places_open");
    rows.iter().map(|row| row["token"].as_u64().unwrap()).collect()
}

/// Copies a day's rows, but those of some tokens.
fn copy_day(app: &TestApp, from: Day, to: Day, without: &[u64]) {
    for text in [
        "INSERT INTO usage_open SELECT * REPLACE ({to:Date} AS day) FROM usage_open WHERE usage_open.day = {from:Date} AND NOT has({without:Array(UInt64)}, token)",
        "INSERT INTO places_open SELECT * REPLACE ({to:Date} AS day) FROM places_open WHERE places_open.day = {from:Date} AND NOT has({without:Array(UInt64)}, token)",
    ] {
        let statement = Statement::new(text).bind("from", date_of(from)).bind("to", date_of(to));
        let without = tuman::store::Value::Numbers(without.to_vec());
        app.store.execute(&statement.bind("without", without)).unwrap();
    }
}

fn published(app: &TestApp, day: Day) -> BTreeMap<(String, String, String), i64> {
    let statement = Statement::new("SELECT release, breakdown, dims, value FROM releases WHERE day = {day:Date}");
    let rows: Vec<Value> = app.store.rows(&statement.bind("day", date_of(day))).unwrap();
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    rows.iter()
        .map(|row| {
            let key = (text(row, "release"), text(row, "breakdown"), row["dims"].to_string());
            (key, row["value"].as_i64().unwrap())
        })
        .collect()
}
