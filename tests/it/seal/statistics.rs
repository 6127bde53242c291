//! Statistics of thousands of seals, by the sealer's own code: are values unbiased, margins right, small cells rare, and
//! is the noise what it is said to be?
//!
//! Rows are counted by the engine once; then the day is sealed again and again, with noise from fixed seeds. So a test
//! that passes passes always. With other seeds each of its checks would fail by chance once in a million runs; there are a
//! few hundred. `make audit-privacy` runs them in full and prints what comes out; `make test` in small.

use std::collections::BTreeMap;

use serde_json::json;
use tuman::catalogue::Catalogue;
use tuman::seal::histogram::Sealed;
use tuman::seal::laplace::Laplace;
use tuman::seal::release::{Measure, Release};
use tuman_privacy::place::Region;

use super::law::{Law, at_least, chi_square};
use crate::harness::{Counted, NOW_MS, Seeded, TestApp, report, sized, told};

/// Once in a million.
const RARE: f64 = 1e-6;
/// Standard errors that a mean strays by as rarely.
const FAR: f64 = 4.9;

/// Phones of a day, by what they have in common.
struct Group {
    phones: i64,
    platform: &'static str,
    version: &'static str,
    events: &'static [&'static str],
    flags: (bool, bool, bool, u32),
    place: (f64, f64),
}

const GROUPS: [Group; 4] = [
    Group {
        phones: 300,
        platform: "android",
        version: "3.4.1",
        events: &["app_open", "screen_view"],
        flags: (false, false, false, 9),
        place: (51.128, 71.43),
    },
    Group {
        phones: 250,
        platform: "ios",
        version: "3.4.1",
        events: &["app_open", "screen_view"],
        flags: (true, true, true, 0),
        place: (51.128, 71.43),
    },
    Group {
        phones: 30,
        platform: "android",
        version: "3.4.0",
        events: &["search"],
        flags: (true, false, false, 7),
        place: (49.806, 73.085),
    },
    Group {
        phones: 1,
        platform: "ios",
        version: "3.4.0",
        events: &["app_open"],
        flags: (false, false, false, 30),
        place: (50.05, 72.95),
    },
];

async fn day() -> (Counted, Catalogue) {
    let app = TestApp::start().await;
    let mut number = 0;
    for group in &GROUPS {
        let (first_this_week, first_this_month, first_ever, age) = group.flags;
        for _ in 0..group.phones {
            number += 1;
            let event = |name: &&str| {
                json!({ "name": name, "at": crate::harness::at(NOW_MS - 3_600_000),
                    "location": { "lat": group.place.0, "lon": group.place.1 } })
            };
            let activity = json!({ "first_today": true, "first_this_week": first_this_week, "days_since_install": age,
                "first_this_month": first_this_month, "first_ever": first_ever, "install_week": "2026-W39" });
            let upload = report()
                .of_phone(number)
                .with("/device/platform", json!(group.platform))
                .with("/app/version", json!(group.version))
                .with("/activity", activity)
                .with("/events", group.events.iter().map(event).collect());
            assert_eq!(app.collect(upload).await.json()["accepted"], group.events.len());
        }
    }
    app.drain().await;
    // A small region, for speed: each of its cells gets noise in every seal.
    let region = Region::within([70.0, 49.0, 74.0, 52.0], vec![]);
    let catalogue = Catalogue::parse(include_str!("../harness/catalogue.toml")).unwrap();
    (Counted::of(app.store.clone(), region, app.app.zone.day(NOW_MS), &[&catalogue]), catalogue)
}

/// Release, breakdown, dimensions.
type Key = (String, String, Vec<String>);

/// What is true of the day, counted here from what the phones sent: every value that is not zero.
fn truth() -> BTreeMap<Key, i64> {
    let mut truth = BTreeMap::new();
    let mut add = |release: &str, breakdown: &str, dims: &[&str], n: i64| {
        let dims = dims.iter().map(|dim| (*dim).to_owned()).collect();
        *truth.entry((release.to_owned(), breakdown.to_owned(), dims)).or_default() += n;
    };
    for Group { phones, platform, version, events, flags, place } in &GROUPS {
        add("active_devices", "", &[], *phones);
        add("active_devices", "platform", &[platform], *phones);
        add("active_devices", "version", &[version], *phones);
        add("active_devices", "platform,version", &[platform, version], *phones);
        let firsts = [("day", true), ("week", flags.0), ("month", flags.1), ("ever", flags.2)];
        for (first, _) in firsts.iter().filter(|(_, is_first)| *is_first) {
            add("first_use", "first", &[first], *phones);
        }
        if [1, 7, 30].contains(&flags.3) {
            add("cohorts", "day", &[&flags.3.to_string()], *phones);
        }
        if flags.0 {
            add("retention", "week", &["2"], *phones);
        }
        for event in *events {
            add("event_devices", "event", &[event], *phones);
            add("event_totals", "", &[], *phones);
            add("event_totals", "event", &[event], *phones);
            add("events_by_hour", "hour,event", &["09", event], *phones);
        }
        add("active_by_hour", "hour", &["09"], *phones);
        let cell = geohash::encode(geohash::Coord { x: place.1, y: place.0 }, 5).unwrap();
        for characters in 3..=5 {
            add(&format!("places_{characters}"), "cell", &[&cell[..characters]], *phones);
        }
        add("region", "", &[], *phones);
    }
    truth
}

/// How many draws a value holds: one for each cell that it sums up.
fn draws(release: &Release, catalogue: &Catalogue, key: &Key) -> u32 {
    // First use sums up disjoint classes: a first use ever is one of the day, the week and the month too.
    let classes = [("day", 5), ("week", 3), ("month", 3), ("ever", 1)];
    if release.measure == Measure::FirstUse {
        return classes.into_iter().find(|(class, _)| *class == key.2[0]).unwrap().1;
    }
    let region = Region::within([0.0; 4], vec![]);
    let breakdowns = release.breakdowns(&catalogue.public(&region));
    breakdowns.into_iter().find(|breakdown| breakdown.name == key.1).unwrap().draws
}

/// Seals the day again and again, and hands over what is published each time.
fn seals(day: &Counted, catalogue: &Catalogue, seed: u64, times: usize, mut look: impl FnMut(&[Sealed])) {
    let mut source = Seeded::new(seed);
    for _ in 0..times {
        look(&day.seal(catalogue, &mut source));
    }
}

/// All values that were published: value and margin, with the seal's number.
fn gather(day: &Counted, catalogue: &Catalogue, seed: u64, times: usize) -> BTreeMap<Key, Vec<(i64, f64)>> {
    let mut all: BTreeMap<Key, Vec<(i64, f64)>> = BTreeMap::new();
    seals(day, catalogue, seed, times, |sealed| {
        for release in sealed {
            for value in &release.published {
                let key = (release.release.clone(), value.breakdown.clone(), value.dims.clone());
                all.entry(key).or_default().push((value.value, value.margin));
            }
        }
    });
    all
}

#[actix_web::test]
async fn values_are_unbiased_margins_cover_and_the_noise_has_its_distribution() {
    let times = sized(2_000, 20_000);
    let (day, mut catalogue) = day().await;
    // Thresholds would hide low draws. Places keep theirs: finer cells hang on them, and are looked at where they are busy.
    for release in &mut catalogue.releases {
        if !matches!(release.measure, Measure::Places(_)) {
            release.threshold = i64::MIN;
        }
    }
    let truth = truth();
    let mut errors_by_scale: BTreeMap<String, (f64, Vec<i64>)> = BTreeMap::new();
    let (mut covered, mut all, mut values) = (0, 0, 0);
    let mut lines = Vec::new();
    for (key, seen) in gather(&day, &catalogue, 1, times) {
        let release = catalogue.releases.iter().find(|release| release.name == key.0).unwrap();
        let count = truth.get(&key).copied().unwrap_or(0);
        if release.threshold != i64::MIN && count < 200 {
            continue;
        }
        assert_eq!(seen.len(), times, "{key:?} is published each time");
        let (draws, scale) = (draws(release, &catalogue, &key), release.scale().unwrap());
        let law = Law::of(draws, scale);
        let errors: Vec<i64> = seen.iter().map(|(value, _)| value - count).collect();
        // Unbiased.
        let mean = errors.iter().sum::<i64>() as f64 / times as f64;
        let standard_error = (law.variance() / times as f64).sqrt();
        assert!(mean.abs() < FAR * standard_error, "{key:?}: off by {mean}, standard error {standard_error}");
        // The margin is the least that covers 95 %, and covers as often as it should.
        let margin = seen[0].1;
        assert!(seen.iter().all(|(_, other)| *other == margin), "{key:?}");
        let promised = law.within(margin as i64);
        assert!(promised >= 0.95 && law.within(margin as i64 - 1) < 0.95, "{key:?}: {margin} covers {promised}");
        let covers = errors.iter().filter(|error| error.abs() as f64 <= margin).count();
        let rate = covers as f64 / times as f64;
        let slack = FAR * (promised * (1.0 - promised) / times as f64).sqrt();
        assert!((rate - promised).abs() < slack, "{key:?}: covers {rate}, promised {promised}");
        (covered, all, values) = (covered + covers, all + times, values + 1);
        // A whole device is the finest step that a margin has: one of less than a percent keeps 94 to 96 %.
        assert!(promised < 0.96 || law.at(margin as i64) > 0.005, "{key:?}: {promised}");
        lines.push(format!(
            "{:<44} {count:>6} {draws:>3} draws of {scale:>6.1}  mean error {mean:>7.3} ({:>5.2} s.e.)  margin {margin:>4} covers {:>6.2} %, in theory {:>6.2} %",
            format!("{} {} {}", key.0, key.1, key.2.join(" ")),
            mean / standard_error,
            100.0 * rate,
            100.0 * promised
        ));
        if draws == 1 {
            errors_by_scale.entry(format!("{scale:09.3}")).or_insert((scale, Vec::new())).1.extend(errors);
        }
    }
    lines.iter().for_each(|line| told(&format!("statistics: {line}")));
    let rate = covered as f64 / all as f64;
    told(&format!("statistics: {values} values, {times} seals: margins cover {:.2} %", 100.0 * rate));
    assert!((0.94..0.96).contains(&rate), "margins cover {rate}");
    assert!(values > 40, "{values}");
    assert_eq!(errors_by_scale.len(), 8, "every scale of the default releases");
    for (scale, errors) in errors_by_scale.into_values() {
        let p = Law::of(1, scale).fit(&errors);
        told(&format!("statistics: {} draws of scale {scale:.1} against the distribution: p = {p:.3}", errors.len()));
        assert!(p > RARE, "scale {scale}: p = {p}");
    }
}

#[actix_web::test]
async fn small_cells_are_published_no_more_often_than_their_parameters_say() {
    let times = sized(2_000, 20_000);
    let (day, catalogue) = day().await;
    let published = gather(&day, &catalogue, 2, times);
    let mut looked_at = 0;
    let empty = [
        ("active_devices", "platform,version", ["other", "other"].as_slice()),
        ("active_devices", "platform", &["other"]),
        ("cohorts", "day", &["1"]),
        ("retention", "week", &["8"]),
    ];
    let empty = empty.map(|(release, breakdown, dims)| {
        ((release.to_owned(), breakdown.to_owned(), dims.iter().map(|dim| (*dim).to_owned()).collect()), 0)
    });
    for (key, count) in truth().into_iter().chain(empty).filter(|(_, count)| [0, 1, 30].contains(count)) {
        let release = catalogue.releases.iter().find(|release| release.name == key.0).unwrap();
        if release.threshold == i64::MIN {
            continue;
        }
        let (draws, scale) = (draws(release, &catalogue, &key), release.scale().unwrap());
        // For places this is an upper bound: the parents must be published too.
        let bound = Law::of(draws, scale).from(release.threshold - count);
        let hits = published.get(&key).map_or(0, Vec::len) as u64;
        let p = at_least(hits, times as u64, bound);
        told(&format!(
            "statistics: {:<44} {count:>2} devices, threshold {:>4}: published {hits:>5} of {times}, at most {:.4} %",
            format!("{} {} {}", key.0, key.1, key.2.join(" ")),
            release.threshold,
            100.0 * bound
        ));
        assert!(p > RARE, "{key:?}: published {hits} times, expected at most {}", bound * times as f64);
        looked_at += 1;
    }
    assert!(looked_at >= 14, "{looked_at}");
}

/// Two samplers that have nothing in common: ours, and that of OpenDP.
#[test]
fn the_noise_is_distributed_as_that_of_opendp() {
    use opendp::domains::{AtomDomain, VectorDomain};
    use opendp::measurements::make_laplace;
    use opendp::measures::MaxDivergence;
    use opendp::metrics::L1Distance;
    let draws = sized(20_000, 400_000);
    for scale in [0.25, 2.0, 1.0 / 0.15, 8.0 / 0.3, 120.0] {
        let domain = VectorDomain::new(AtomDomain::<i64>::default());
        let theirs = make_laplace::<_, _, MaxDivergence>(domain, L1Distance::<i64>::default(), scale, None).unwrap();
        let theirs = theirs.invoke(&vec![0_i64; draws]).unwrap();
        let (laplace, mut source) = (Laplace::new(scale).unwrap(), Seeded::new(3));
        let ours: Vec<i64> = (0..draws).map(|_| laplace.draw(&mut source).unwrap()).collect();
        let mut classes: BTreeMap<i64, (f64, f64)> = BTreeMap::new();
        // Classes of a quarter of the scale, those far out in one.
        let class = |draw: i64| ((draw as f64 / (scale / 4.0).max(1.0)).round() as i64).clamp(-16, 16);
        ours.iter().for_each(|draw| classes.entry(class(*draw)).or_default().0 += 1.0);
        theirs.iter().for_each(|draw| classes.entry(class(*draw)).or_default().1 += 1.0);
        classes.retain(|_, (ours, theirs)| *ours + *theirs >= 20.0);
        let statistic = classes.values().map(|(ours, theirs)| (ours - theirs).powi(2) / (ours + theirs)).sum();
        let p = chi_square(classes.len(), statistic);
        told(&format!("statistics: scale {scale:.2}, ours beside OpenDP's: p = {p:.3}"));
        // Theirs has no seed.
        assert!(p > 1e-9, "scale {scale}: p = {p}");
    }
}
