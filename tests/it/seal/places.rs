//! Places: the hierarchy of cells, any region, sensitive places.

use serde_json::json;
use tuman::region::Source;

use crate::harness::{DAY_MS, NOW_MS, Setup, TestApp, report};

/// Takes a report of each phone from a place, and seals the day.
async fn sealed(setup: Setup, places: &[(usize, f64, f64)]) -> TestApp {
    let app = setup.start().await;
    let mut phone = 0;
    for (phones, lat, lon) in places {
        for _ in 0..*phones {
            phone += 1;
            let place = json!({ "lat": lat, "lon": lon });
            let upload = report().of_phone(phone).with("/events/0/location", place);
            assert_eq!(app.collect(upload).await.status, 202);
        }
    }
    app.clock.advance(DAY_MS);
    app.app.sealer.seal(app.app.zone.day(NOW_MS)).await.unwrap();
    app
}

/// The published cells of so many characters.
fn cells(app: &TestApp, characters: usize) -> Vec<(String, i64)> {
    let sql =
        format!("SELECT dims[1] AS cell, value FROM releases WHERE release = 'places_{characters}' ORDER BY cell");
    let rows = app.rows(&sql);
    rows.iter().map(|row| (row["cell"].as_str().unwrap().to_owned(), row["value"].as_i64().unwrap())).collect()
}

fn of<'a>(cells: &'a [(String, i64)], prefix: &str) -> Vec<&'a (String, i64)> {
    cells.iter().filter(|(cell, _)| cell.starts_with(prefix)).collect()
}

fn region(app: &TestApp) -> i64 {
    app.number("SELECT value AS n FROM releases WHERE release = 'region'")
}

const ZURICH: (f64, f64) = (47.378, 8.540);
const PARIS: (f64, f64) = (48.857, 2.352);

/// Four forms of a region that holds Zurich and not Paris.
fn swiss(folder: &std::path::Path) -> Vec<Source> {
    let file = folder.join("ch.geojson");
    let ring =
        [[5.9, 46.1], [7.0, 45.8], [9.0, 45.8], [10.5, 46.6], [9.6, 47.5], [8.5, 47.9], [7.0, 47.6], [5.9, 46.1]];
    std::fs::write(&file, json!({ "type": "Polygon", "coordinates": [ring] }).to_string()).unwrap();
    vec![
        Source::Box([5.9, 45.8, 10.5, 47.9]),
        Source::Prefixes(vec!["u0q".into(), "u0m".into(), "u0n".into()]),
        Source::Prefixes(vec!["u".into()]),
        Source::Outlines(file),
    ]
}

#[actix_web::test]
async fn any_country_is_a_region_and_what_lies_outside_is_in_no_release() {
    let folder = tempfile::tempdir().unwrap();
    for source in swiss(folder.path()) {
        let mut setup = Setup::new();
        setup.config.privacy.region = source.clone();
        let is_wide = source == Source::Prefixes(vec!["u".into()]);
        let app = sealed(setup, &[(150, ZURICH.0, ZURICH.1), (130, PARIS.0, PARIS.1)]).await;
        // Scales of at most 10: off by 100 in one of 20,000 seals.
        let expected = if is_wide { 280 } else { 150 };
        assert!((region(&app) - expected).abs() < 100, "{source:?}: {}", region(&app));
        for characters in [3, 4, 5] {
            let cells = cells(&app, characters);
            assert_eq!(of(&cells, &"u0qjd"[..characters]).len(), 1, "{source:?}: {cells:?}");
            assert_eq!(of(&cells, "u09").is_empty(), !is_wide, "{source:?}: {cells:?}");
            assert!(cells.iter().all(|(cell, _)| cell.len() == characters), "no `abroad`: {cells:?}");
        }
    }
}

#[actix_web::test]
async fn a_cell_is_published_below_a_published_one_and_stays_in_it_otherwise() {
    // One busy cell; and 12 phones in each of 16 cells that lie in one of four characters.
    let mut places = vec![(200, 43.238, 76.945)];
    for step in 0..16 {
        places.push((12, 51.06 + f64::from(step / 4) * 0.043_945, 71.38 + f64::from(step % 4) * 0.043_945));
    }
    let app = sealed(Setup::new(), &places).await;
    let (three, four, five) = (cells(&app, 3), cells(&app, 4), cells(&app, 5));
    for (finer, coarser) in [(&five, &four), (&four, &three)] {
        for (cell, _) in finer {
            assert!(coarser.iter().any(|(parent, _)| cell.starts_with(parent.as_str())), "{cell} has no parent");
        }
    }
    // What is too small for five characters is part of its parent, all of it.
    assert_eq!(of(&five, "v94"), Vec::<&(String, i64)>::new());
    let rest: i64 = of(&four, "v94").iter().map(|(_, value)| value).sum();
    assert!((rest - 192).abs() < 100, "{four:?}");
    let almaty = of(&five, "txw");
    assert!(almaty.len() == 1 && (almaty[0].1 - 200).abs() < 40, "{five:?}");
}

#[actix_web::test]
async fn a_sensitive_place_is_published_at_three_characters_and_never_finer() {
    let mut setup = Setup::new();
    setup.config.privacy.sensitive_places = vec!["v94fc".into()];
    let app = sealed(setup, &[(200, 51.128, 71.43), (100, 43.238, 76.945)]).await;
    let three = cells(&app, 3);
    let value = of(&three, "v94")[0].1;
    assert!((value - 200).abs() < 80, "{three:?}");
    for characters in [4, 5] {
        let cells = cells(&app, characters);
        assert!(of(&cells, "v94").is_empty() && of(&cells, "txw").len() == 1, "{cells:?}");
    }
}
