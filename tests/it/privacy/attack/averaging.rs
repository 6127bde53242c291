//! Attack C: ask the same thing over and over, in every way there is, and average the answers.

use std::collections::BTreeMap;

use actix_web::rt::task::spawn_blocking;
use jiff::ToSpan;
use jiff::civil::Date;
use serde_json::Value;
use tuman::seal::noise::Noise;
use tuman::seal::release::defaults;
use tuman::stats::{ActivityQuery, Asked, EventsQuery, PlacesQuery, activity, events, geojson, places};
use tuman::store::Store;

use super::{Beside, Success, epsilon, exact, scale, sized, told};
use crate::harness::{APP, NOW_MS, TestApp};
use crate::http::stats::with_a_sealed_day;

/// What is asked: the endpoint and its own parameters.
const QUESTIONS: [(&str, &[(&str, &str)]); 12] = [
    ("activity", &[]),
    ("activity", &[("breakdown", "none"), ("interval", "day")]),
    ("activity", &[("breakdown", "platform")]),
    ("activity", &[("breakdown", "version"), ("interval", "day")]),
    ("activity", &[("breakdown", "platform,version")]),
    ("activity", &[("interval", "week")]),
    ("activity", &[("interval", "month"), ("breakdown", "none")]),
    ("events", &[]),
    ("places", &[("precision", "3")]),
    ("places", &[]),
    ("places.geojson", &[("precision", "4")]),
    ("places.geojson", &[("precision", "5")]),
];

/// The way with this number: a question, a period around the sealed day, the parameters in some order.
fn way(n: u64, day: Date) -> (&'static str, Vec<(String, String)>) {
    // Numbers with no common measure reach every combination before one comes again.
    let (endpoint, own) = QUESTIONS[(n % 12) as usize];
    let mut pairs: Vec<(String, String)> = own.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
    let period = match n % 7 {
        0 => "last_30_days".to_owned(),
        1 => "last_90_days".to_owned(),
        2 => "last_7_days".to_owned(),
        _ => {
            let (before, after) = ((n * 7919) % 199, (n / 3 * 104_729) % 197);
            format!(
                "{}..{}",
                day.saturating_sub(i64::try_from(before).unwrap().days()),
                day.saturating_add(i64::try_from(after).unwrap().days())
            )
        }
    };
    pairs.push(("period".into(), period));
    if n.is_multiple_of(5) {
        pairs.push(("app".into(), APP.into()));
    }
    let turn = (n / 12) as usize % pairs.len();
    pairs.rotate_left(turn);
    if n.is_multiple_of(2) {
        pairs.reverse();
    }
    (endpoint, pairs)
}

/// Asks as the endpoint does, on a thread that may wait: connections are tended meanwhile.
async fn ask(app: &TestApp, endpoint: &'static str, pairs: &[(String, String)]) -> Value {
    let (store, today, pairs) = (app.store.clone(), app.app.today(), pairs.to_vec());
    spawn_blocking(move || answer(&*store, today, endpoint, &pairs)).await.unwrap()
}

fn answer(store: &dyn Store, today: Date, endpoint: &str, pairs: &[(String, String)]) -> Value {
    let apps = [APP.to_owned()];
    let asked = Asked { bound: None, apps: &apps, today };
    match endpoint {
        "activity" => serde_json::to_value(activity(store, &ActivityQuery::parse(pairs, asked).unwrap()).unwrap()),
        "events" => serde_json::to_value(events(store, &EventsQuery::parse(pairs, asked).unwrap()).unwrap()),
        "places" => serde_json::to_value(places(store, &PlacesQuery::parse(pairs, asked).unwrap()).unwrap()),
        _ => Ok(geojson(&places(store, &PlacesQuery::parse(pairs, asked).unwrap()).unwrap())),
    }
    .unwrap()
}

/// The numbers of an answer, by what each counts.
fn numbers(endpoint: &str, answer: &Value) -> Vec<(String, i64)> {
    let of = |list: &Value, read: &dyn Fn(&Value) -> Vec<(String, i64)>| {
        list.as_array().into_iter().flatten().flat_map(read).collect::<Vec<_>>()
    };
    match endpoint {
        "activity" => of(&answer["series"], &|point| {
            let what = format!("activity {} {} {}", answer["interval"], answer["breakdown"], point["dims"]);
            vec![(what, point["devices"].as_i64().unwrap())]
        }),
        "events" => of(&answer["events"], &|event| {
            ["devices", "events"]
                .iter()
                .filter_map(|what| Some((format!("{what} {}", event["name"]), event[*what]["value"].as_i64()?)))
                .collect()
        }),
        _ => {
            let cells = if endpoint == "places" { &answer["cells"] } else { &answer["features"] };
            let mut numbers = of(cells, &|cell| {
                let cell = cell.get("properties").unwrap_or(cell);
                vec![(format!("cell {}", cell["cell"]), cell["device_days"].as_i64().unwrap())]
            });
            numbers.extend(answer["region"]["device_days"].as_i64().map(|n| ("region".to_owned(), n)));
            numbers
        }
    }
}

/// What 400 phones left, 300 of them in Astana, 100 in Almaty, eight events each. What else is published is noise over
/// nothing; of flags of the month nothing was sent.
fn truth(what: &str) -> i64 {
    let is_cell_of = |lon: f64, lat: f64| {
        let geohash = geohash::encode(geohash::Coord { x: lon, y: lat }, 5).unwrap();
        let cell = what.strip_prefix("cell \"").map(|cell| cell.trim_end_matches('"'));
        cell.is_some_and(|cell| geohash.starts_with(cell))
    };
    let is_none = ["month", "ios", "3.4.0", "other", "cell"].iter().any(|word| what.contains(word));
    match what {
        "events \"screen_view\"" => 3_200,
        _ if is_cell_of(71.43, 51.128) => 300,
        _ if is_cell_of(76.945, 43.238) => 100,
        _ if is_none => 0,
        _ => 400,
    }
}

#[actix_web::test]
async fn a_question_asked_in_every_way_has_one_answer_and_its_average_is_that_answer() {
    let ways = sized(600, 100_000);
    let mut app = with_a_sealed_day().await;
    let day = tuman::clock::date_of(app.app.zone.day(NOW_MS));
    let mut heard: BTreeMap<String, (i64, i128, u64)> = BTreeMap::new();
    for n in 0..ways {
        if n > 0 && n % (ways / 3) == 0 {
            // What is drawn is drawn: a new process does not draw again.
            app = app.stop().await.start().await;
        }
        let (endpoint, pairs) = way(n, day);
        let answer = ask(&app, endpoint, &pairs).await;
        // The same over the socket; there the answer is what the endpoint's own code makes of it.
        if n % (ways / 100) == 0 {
            let query: Vec<String> = pairs.iter().map(|(k, v)| format!("{k}={v}")).collect();
            assert_eq!(app.stats(&format!("{endpoint}?{}", query.join("&"))).await.json(), answer);
        }
        assert_eq!(answer["fresh"]["sealed_days"], 1, "{pairs:?}");
        for (what, number) in numbers(endpoint, &answer) {
            let (first, sum, times) = heard.entry(what.clone()).or_insert((number, 0, 0));
            assert_eq!(number, *first, "{what}: {pairs:?}");
            *sum += i128::from(number);
            *times += 1;
        }
    }
    assert!(heard.len() >= 12, "{heard:?}");
    let mut success = Success::default();
    for (what, (first, sum, times)) in &heard {
        let average = *sum as f64 / *times as f64;
        assert_eq!(average, *first as f64, "{what}: the average is the one draw");
        success.count(*first == truth(what));
    }
    // The likeliest to be exact by chance is the finest place: one draw of scale 2.
    let chance = exact(scale(&defaults::PLACES_5));
    told(&format!("C, averages of {ways} answers"), success, &Beside { chance, bound: chance, control: control() });
}

/// The same with noise that is drawn for each question: its average is the exact count.
fn control() -> Success {
    let questions = sized(10_000, 100_000);
    let releases = [defaults::PLACES_5, defaults::PLACES_4, defaults::ACTIVE_DEVICES];
    Success::of(releases.iter().flat_map(|release| [7, 100, 400].map(|truth| (release, truth))).map(
        |(release, truth)| {
            let answers = Noise::new(release.bound, epsilon(release)).blur(vec![truth; questions]).unwrap();
            let average = answers.iter().sum::<i64>() as f64 / answers.len() as f64;
            average.round() as i64 == truth
        },
    ))
}
