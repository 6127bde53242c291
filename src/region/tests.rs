//! Regions: what they hold, and what is refused.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn of(geojson: &Value) -> Result<Region, RegionError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("region.geojson");
    fs::write(&file, geojson.to_string()).unwrap();
    Source::Outlines(file).read(Vec::new())
}

fn polygon(rings: Value) -> Value {
    json!({ "type": "Polygon", "coordinates": rings })
}

fn holds(region: &Region, lat: f64, lon: f64) -> bool {
    region.holds(Cell::from_degrees(lat, lon).unwrap().as_str())
}

/// Switzerland, by a few corners: small beside the cells of three characters.
fn switzerland() -> Value {
    polygon(json!([[[5.9, 46.1], [7.0, 45.8], [9.0, 45.8], [10.5, 46.6], [9.6, 47.5], [7.0, 47.6], [5.9, 46.1]]]))
}

#[test]
fn an_outline_holds_what_lies_within_it() {
    let region = of(&switzerland()).unwrap();
    for (lat, lon) in [(46.95, 7.44), (47.37, 8.54), (46.2, 6.6)] {
        assert!(holds(&region, lat, lon), "{lat} {lon}");
    }
    for (lat, lon) in [(48.86, 2.35), (45.46, 9.19), (47.8, 9.0), (43.24, 76.9), (-46.9, 7.4)] {
        assert!(!holds(&region, lat, lon), "{lat} {lon}");
    }
    assert!((2..=8).contains(&region.coarsest_cells().len()), "{:?}", region.coarsest_cells());
}

#[test]
fn a_box_as_an_outline_is_the_box() {
    let [west, south, east, north] = [46.43, 40.52, 87.38, 55.47];
    let outline = of(&polygon(json!([[[west, south], [east, south], [east, north], [west, north], [west, south]]])));
    let (outline, boxed) = (outline.unwrap(), Source::Box([west, south, east, north]).read(Vec::new()).unwrap());
    let mut seen = [0, 0];
    for lat in 0..60 {
        for lon in 0..60 {
            let (lat, lon) = (39.0 + f64::from(lat) * 0.3, 45.0 + f64::from(lon) * 0.75);
            assert_eq!(holds(&outline, lat, lon), holds(&boxed, lat, lon), "{lat} {lon}");
            seen[usize::from(holds(&boxed, lat, lon))] += 1;
        }
    }
    assert!(seen[0] > 500 && seen[1] > 500);
    // The top of the public domain is the same but for cells of which only an edge is in the box.
    let cells = outline.coarsest_cells();
    assert!(cells.iter().all(|cell| boxed.coarsest_cells().contains(cell)));
    assert!(boxed.coarsest_cells().len() - cells.len() < 60);
}

#[test]
fn holes_and_islands_and_features_are_taken() {
    let square = |west: f64, side: f64| {
        let (south, east, north) = (10.0 - side / 2.0, west + side, 10.0 + side / 2.0);
        json!([[west, south], [east, south], [east, north], [west, north], [west, south]])
    };
    let ring = json!([square(20.0, 6.0), square(22.0, 2.0)]);
    let island = json!([square(40.0, 3.0)]);
    let multi = json!({ "type": "MultiPolygon", "coordinates": [ring, island] });
    let collection = json!({ "type": "FeatureCollection", "features": [
        { "type": "Feature", "properties": { "name": "x" }, "geometry": multi },
        { "type": "Feature", "properties": null, "geometry": null },
        // Overlaps the first: what two of them hold is held once and not taken away.
        { "type": "Feature", "properties": {}, "geometry": polygon(json!([square(20.0, 1.0)])) },
    ] });
    let region = of(&collection).unwrap();
    for (lat, lon) in [(10.0, 21.0), (10.0, 25.0), (12.5, 23.0), (10.0, 41.0), (10.2, 20.5)] {
        assert!(holds(&region, lat, lon), "{lat} {lon}");
    }
    for (lat, lon) in [(10.0, 23.0), (10.0, 30.0), (14.0, 23.0), (10.0, 44.0)] {
        assert!(!holds(&region, lat, lon), "{lat} {lon}");
    }
}

#[test]
fn what_is_no_region_is_refused_and_not_repeated() {
    let wrong = [
        json!({ "type": "Point", "coordinates": [71.43, 51.13] }),
        json!({ "type": "Polygon" }),
        json!([1, 2, 3]),
        polygon(json!([[[71.4, 51.1], [71.5, 51.1], [71.4, 51.1]]])),
        polygon(json!([[[71.4, 51.1], [71.5, 51.1], [71.5, 51.2], [71.4, 51.2]]])),
        polygon(json!([[[371.4, 51.1], [71.5, 51.1], [71.5, 51.2], [371.4, 51.1]]])),
        polygon(json!([[["x"], [71.5, 51.1], [71.5, 51.2], ["x"]]])),
        json!({ "type": "FeatureCollection", "features": [] }),
        // Smaller than a cell, and beside its middle.
        polygon(json!([[[71.4, 51.1], [71.401, 51.1], [71.401, 51.101], [71.4, 51.1]]])),
    ];
    for geojson in wrong {
        let error = of(&geojson).unwrap_err().to_string();
        assert!(!error.contains("71.4"), "{geojson}: {error}");
    }
    assert!(matches!(Source::Outlines("nowhere.geojson".into()).read(Vec::new()), Err(RegionError::Read(_))));
    assert!(matches!(Source::Prefixes(vec![]).read(Vec::new()), Err(RegionError::Empty)));
    assert!(matches!(Source::Prefixes(vec!["v9".into(), "hello".into()]).read(Vec::new()), Err(RegionError::Prefix)));
    for bounds in [[87.0, 40.0, 46.0, 55.0], [46.0, 55.0, 87.0, 40.0], [46.0, 40.0, 187.0, 55.0], [f64::NAN; 4]] {
        assert!(matches!(Source::Box(bounds).read(Vec::new()), Err(RegionError::Box)));
    }
}

#[test]
fn each_form_is_read_from_a_configuration() {
    let source = |text: &str| -> Source {
        let table: toml::Table = format!("region = {text}").parse().unwrap();
        table["region"].clone().try_into().unwrap()
    };
    assert_eq!(source("[46, 40.5, 87.4, 55]"), Source::Box([46.0, 40.5, 87.4, 55.0]));
    assert_eq!(source("[\"v9\", \"tx\"]"), Source::Prefixes(vec!["v9".into(), "tx".into()]));
    let mut file = source("\"kazakhstan.geojson\"");
    file.anchor(Path::new("/srv/tuman"));
    assert_eq!(file, Source::Outlines("/srv/tuman/kazakhstan.geojson".into()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Any polygon, also one that crosses itself, is the cells whose middle has an odd number of sides east of it.
    #[test]
    fn an_outline_is_the_cells_whose_middle_it_holds(
        corners in proptest::collection::vec((60.0..61.5_f64, 50.0..51.5_f64), 3..9),
        points in proptest::collection::vec((59.8..61.7_f64, 49.8..51.7_f64), 40),
    ) {
        let mut ring = corners.clone();
        ring.push(corners[0]);
        let rings: Rings = vec![ring.iter().map(|(x, y)| vec![*x, *y]).collect()];
        let edges = edges(&rings).unwrap();
        let region = of(&polygon(json!([ring.iter().map(|(x, y)| [x, y]).collect::<Vec<_>>()])));
        for (lon, lat) in points {
            let cell = Cell::from_degrees(lat, lon).unwrap();
            let (middle, _, _) = geohash::decode(cell.as_str()).unwrap();
            let expected = is_inside((middle.x, middle.y), &edges);
            prop_assert_eq!(region.as_ref().is_ok_and(|region| region.holds(cell.as_str())), expected);
        }
    }
}
