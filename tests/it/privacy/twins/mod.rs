//! Twins: an audit of what is promised, by experiment.
//!
//! Two days that differ by one device are sealed thousands of times each, by the sealer's own code, and a judge who knows
//! both days looks for whatever tells the seals apart. From how well that goes follows how much epsilon was spent at
//! least, with 99 % confidence: for every kind of release it must not be more than is declared. The same audit must catch
//! seals that are broken on purpose, or it proves nothing.
//!
//! A release that the catalogue below declares is audited without more ado. `make audit-privacy` runs everything in full,
//! with 20,000 seals of each day; `make test` in small, on fixed seeds: what passes, passes always.

mod judge;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tuman::catalogue::Catalogue;
use tuman::seal::release::{Measure, Release};
use tuman_privacy::place::Region;

use crate::harness::{APP, Counted, HOUR_MS, NOW_MS, Seeded, Setup, TestApp, at, report, sized, told};
use judge::{Verdict, World, judge};

/// Everything that can be declared, beside all default releases.
const RELEASES: &str = r#"
[budget]
daily_epsilon = 4.0

[[release]]
name = "screens"
dimensions = ["screen_view.screen", "platform"]
epsilon = 1.0

[[release]]
name = "hours"
counts = "events"
dimensions = ["hour"]
bound = 24
epsilon = 0.2

[[release]]
name = "durations"
counts = "events"
dimensions = ["screen_view.duration_ms"]
bound = 8
epsilon = 0.2

[[release]]
name = "way"
funnel = ["app_open", "search", "screen_view"]
epsilon = 0.2

[[release]]
name = "newcomers"
dimensions = ["first_use", "class"]
epsilon = 0.2

[[release]]
name = "towns"
dimensions = ["cell_4"]
epsilon = 0.2
"#;

const NAMES: [&str; 10] = ["app_open", "search", "screen_view", "e1", "e2", "e3", "e4", "e5", "e6", "e7"];

/// The version that one phone alone has.
const RARE_VERSION: &str = "9.1.0";

fn text(versions: &[&str]) -> String {
    let events: String =
        NAMES.iter().filter(|name| **name != "screen_view").map(|name| format!("[events.{name}]\n")).collect();
    format!(
        "[app]\nid = \"{APP}\"\nplatforms = [\"android\", \"ios\"]\nversions = {versions:?}\n\
         [[policy]]\nversion = \"2026-01\"\npurposes = [\"usage\", \"location\"]\n{events}\
         [events.screen_view.props]\nscreen = {{ enum = [\"home\", \"map\"] }}\nduration_ms = {{ buckets = [100, 1000] }}\n\
         {RELEASES}"
    )
}

fn catalogue(versions: &[&str]) -> Catalogue {
    Catalogue::parse(&text(versions)).unwrap()
}

/// A catalogue with some of its releases alone, changed.
fn broken(versions: &[&str], names: &[&str], change: impl Fn(&mut Release)) -> Catalogue {
    let mut catalogue = catalogue(versions);
    catalogue.releases.retain(|release| names.contains(&&*release.name));
    assert_eq!(catalogue.releases.len(), names.len(), "{names:?}");
    catalogue.releases.iter_mut().for_each(change);
    catalogue
}

const ALL_VERSIONS: &[&str] = &["3.4.1", RARE_VERSION];
const COMMON_VERSIONS: &[&str] = &["3.4.1"];
const PLACES: &[&str] = &["places_3", "places_4", "places_5"];

/// What is audited: the seals as they are, and some that are broken on purpose.
struct Audited {
    sound: Catalogue,
    /// A device is not bounded: the noise is that of a bound of 24, which the count does not keep.
    unbounded: Catalogue,
    /// A device counts in five hours: the noise is that of one.
    hourly: Catalogue,
    /// Half the noise: twice the epsilon that is declared.
    half: Vec<(Vec<&'static str>, Catalogue)>,
    /// Noise for cells that are not empty alone: the domain is what devices have sent.
    occupied: [Catalogue; 2],
}

impl Audited {
    fn new() -> Audited {
        let halved = |names: &[&'static str]| {
            let half = |release: &mut Release| release.epsilon = release.epsilon.map(|epsilon| 2.0 * epsilon);
            (names.to_vec(), broken(ALL_VERSIONS, names, half))
        };
        let unbounded = |release: &mut Release| (release.bound, release.epsilon) = (480, Some(480.0 / 120.0));
        // Much noise and a low threshold: empty cells would be published often.
        let noisy = |release: &mut Release| (release.epsilon, release.threshold) = (Some(0.05), 10);
        let five_hours =
            |release: &mut Release| (release.windows, release.epsilon, release.threshold) = (Some(5), Some(4.0), 20);
        let few: &[&[&str]] = &[&["screens"]];
        let many: &[&[&str]] = &[&["screens"], PLACES, &["active_devices"], &["hours"], &["way"]];
        Audited {
            sound: catalogue(ALL_VERSIONS),
            unbounded: broken(ALL_VERSIONS, &["event_totals"], unbounded),
            hourly: broken(ALL_VERSIONS, &["active_by_hour"], five_hours),
            half: sized(few, many).iter().map(|names| halved(names)).collect(),
            occupied: [COMMON_VERSIONS, ALL_VERSIONS].map(|versions| broken(versions, &["active_devices"], noisy)),
        }
    }

    fn all(&self) -> Vec<&Catalogue> {
        let half = self.half.iter().map(|(_, catalogue)| catalogue);
        [&self.sound, &self.unbounded, &self.hourly].into_iter().chain(half).chain(&self.occupied).collect()
    }
}

/// Three days: of the others alone; with a device among them that does as much as it can; and with one more that is
/// alone in all it does.
struct Days([Counted; 3]);

impl Days {
    async fn counted(audited: &Audited) -> Days {
        let mut setup = Setup::new();
        setup.catalogue = text(ALL_VERSIONS);
        let app = setup.start().await;
        // About as many as thresholds ask for: 340 phones with three events of each name are 1,020, of a threshold of 1,000.
        for phone in 0..340 {
            post(&app, phone, &NAMES[..8].repeat(3), (51.128, 71.43), "3.4.1").await;
        }
        let others = count(&app, audited).await;
        post(&app, 1_000, &[&NAMES[..], &["screen_view"; 390]].concat(), (51.128, 71.43), "3.4.1").await;
        let among_them = count(&app, audited).await;
        post(&app, 1_001, &NAMES[..3], (49.3, 72.2), RARE_VERSION).await;
        Days([others, among_them, count(&app, audited).await])
    }

    /// What is published of a day, in so many seals.
    fn world(&self, day: usize, catalogue: &Catalogue) -> World {
        let (seals, mut world) = (sized(1_500, 20_000), World::default());
        let mut source = Seeded::new(100 + day as u64);
        for at in 0..seals {
            world.note(at, seals, &self.0[day].seal(catalogue, &mut source));
        }
        world
    }
}

async fn post(app: &TestApp, phone: u64, names: &[&str], place: (f64, f64), version: &str) {
    // In six hours, which are more than a device counts in.
    let event = |(number, name): (usize, &&str)| {
        let props = if *name == "screen_view" { json!({ "screen": "home", "duration_ms": 40 }) } else { json!({}) };
        let hours_ago = 6 - i64::try_from(number % 6).unwrap();
        json!({ "name": name, "at": at(NOW_MS - hours_ago * HOUR_MS), "location": { "lat": place.0, "lon": place.1 }, "props": props })
    };
    let all: Vec<Value> = names.iter().enumerate().map(event).collect();
    let upload = report().of_phone(phone).with("/app/version", json!(version)).with("/events", all.into());
    assert_eq!(app.collect(upload).await.json()["accepted"], names.len());
}

/// What the collector holds by now, for every catalogue that is sealed with.
async fn count(app: &TestApp, audited: &Audited) -> Counted {
    app.drain().await;
    // A small region, for speed: each of its cells gets noise in every seal.
    let region = Region::within([71.0, 49.0, 73.0, 52.0], vec![]);
    Counted::of(app.store.clone(), region, app.app.zone.day(NOW_MS), &audited.all())
}

/// Releases that are judged together, by the name of their kind, and what they spend. Finer places hang on the noise of
/// coarser ones: no one of them is a release of its own. The last is a whole day.
fn kinds(catalogue: &Catalogue) -> Vec<(String, Vec<String>, f64)> {
    let mut kinds: BTreeMap<String, (Vec<String>, f64)> = BTreeMap::new();
    for release in &catalogue.releases {
        let kind = if matches!(release.measure, Measure::Places(_)) { "places" } else { &*release.name };
        for kind in [kind, "~ a whole day"] {
            let (releases, epsilon) = kinds.entry(kind.to_owned()).or_default();
            releases.push(release.name.to_string());
            *epsilon += release.epsilon.unwrap();
        }
    }
    kinds.into_iter().map(|(kind, (releases, epsilon))| (kind, releases, epsilon)).collect()
}

fn line(what: &str, epsilon: f64, verdict: &Verdict) {
    told(&format!(
        "twins: {what:<46} declared {epsilon:>5.2}  at least {:>6.3}  by {}",
        verdict.least, verdict.event
    ));
}

#[actix_web::test]
async fn one_device_is_worth_no_more_than_is_declared_and_what_is_broken_is_caught() {
    let audited = Audited::new();
    let days = Days::counted(&audited).await;

    let worlds = [0, 1, 2].map(|day| days.world(day, &audited.sound));
    let kinds = kinds(&audited.sound);
    // All that there is: a default release that is left out here is audited nowhere.
    assert_eq!(kinds.len(), 18 - 3 + 1, "places are one kind, and there is the whole day");
    let mut most: BTreeMap<&str, f64> = BTreeMap::new();
    for (pair, who) in [(0, "a device in the crowd"), (1, "a lone device")] {
        for (kind, releases, epsilon) in &kinds {
            let verdict = judge(&worlds[pair], &worlds[pair + 1], releases);
            line(&format!("{kind}, {who}"), *epsilon, &verdict);
            assert!(verdict.least <= *epsilon, "{kind}, {who}: {} > {epsilon}, by {}", verdict.least, verdict.event);
            let most = most.entry(kind).or_default();
            *most = most.max(verdict.least);
        }
    }
    // No formality: much of what is spent is found.
    assert!(most["screens"] > 0.5 && most["~ a whole day"] > 0.8, "{most:?}");

    for (names, half) in &audited.half {
        let declared: f64 = half.releases.iter().map(|release| release.epsilon.unwrap() / 2.0).sum();
        caught(&days, [half, half], 0, declared, &format!("half the noise: {}", names.join(", ")));
    }
    let unbounded = &audited.unbounded;
    caught(&days, [unbounded, unbounded], 0, 0.2, "an unbounded device: event_totals");
    let hourly = &audited.hourly;
    caught(&days, [hourly, hourly], 0, 0.8, "a device in five hours: active_by_hour");
    let [common, all] = &audited.occupied;
    caught(&days, [common, all], 1, 0.05, "noise for cells that are not empty alone: active_devices");
}

/// Fails where the audit lets something broken pass.
fn caught(days: &Days, catalogues: [&Catalogue; 2], pair: usize, declared: f64, what: &str) {
    let releases: Vec<String> = catalogues[1].releases.iter().map(|release| release.name.to_string()).collect();
    let [one, other] = [0, 1].map(|at| days.world(pair + at, catalogues[at]));
    let verdict = judge(&one, &other, &releases);
    line(&format!("BROKEN, {what}"), declared, &verdict);
    assert!(verdict.least > declared, "{what} is not caught: {}, by {}", verdict.least, verdict.event);
}
