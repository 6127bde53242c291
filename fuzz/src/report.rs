//! Reports: any bytes are parsed or refused; what is kept adds up, decodes, and holds no text of the report.

use std::sync::{Arc, LazyLock};

use rand::SeedableRng;
use rand::rngs::StdRng;
use tuman::catalogue::Catalogue;
use tuman::clock::Zone;
use tuman_privacy::anonymise::{Anonymised, Arrival, Rules, anonymise};
use tuman_privacy::encode::rows;
use tuman_privacy::place::{Cell, Region};
use tuman_privacy::report::Report;
use tuman_privacy::time::Day;
use tuman_privacy::token::{DayKey, Tokeniser};

/// 2026-10-05T10:00:00+05:00.
const NOW_MS: i64 = 1_791_176_400_000;
const MAX_EVENTS: usize = 50;
/// Texts of at least this length are looked for in what is kept. Shorter ones turn up by chance.
const LONG: usize = 8;

const CATALOGUE: &str = r#"
[app]
id = "kz.test.app"
platforms = ["android", "ios"]
versions = ["3.4.0", "3.4.1"]
[[policy]]
version = "2026-01"
purposes = ["usage", "location"]
[[policy]]
version = "2025-06"
purposes = ["usage"]
[events.app_open]
[events.search.props]
query = { boolean = true }
[events.screen_view.props]
screen = { enum = ["home", "map"] }
cached = { boolean = true }
duration_ms = { buckets = [100, 1000] }
"#;

struct World {
    catalogue: Catalogue,
    region: Region,
    zone: Zone,
    days: Vec<(Day, Arc<Tokeniser>)>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let zone = Zone::named("Asia/Almaty").expect("the zone is built in");
    let today = zone.day(NOW_MS);
    let key = |byte: u8| Arc::new(Tokeniser::new(&DayKey::take(&mut [byte; 32])));
    World {
        catalogue: Catalogue::parse(CATALOGUE).expect("the catalogue is right"),
        region: Region::within([46.4, 40.5, 87.4, 55.5], vec![Cell::from_geohash("v9e").expect("a geohash")]),
        days: vec![(Day(today.0 - 1), key(1)), (today, key(2))],
        zone,
    }
});

/// Parses the bytes and anonymises what they hold.
pub fn check(bytes: &[u8]) {
    let Ok(report) = Report::parse(bytes, MAX_EVENTS) else { return };
    assert!(report.events() <= MAX_EVENTS);
    let world = &*WORLD;
    let rules = Rules {
        catalogue: &world.catalogue.allow_list,
        region: &world.region,
        future_tolerance_ms: 600_000,
        suppressed: None,
    };
    let offsets = world.zone.offsets_around(NOW_MS);
    for opted_out in [false, true] {
        let arrival = Arrival { at_ms: NOW_MS, offsets: &offsets, open_days: &world.days, opted_out };
        let Ok(kept) = anonymise(&report, rules, arrival, &mut StdRng::seed_from_u64(1)) else { continue };
        adds_up(&kept, report.events());
        decodes(&kept, world);
        holds_no_text(&kept, bytes);
        if opted_out {
            assert_eq!((kept.accepted, kept.rows.usage.len(), kept.rows.places.len()), (0, 0, 0));
        }
        // The same report, the same moment and the same randomness: the same rows.
        assert_eq!(anonymise(&report, rules, arrival, &mut StdRng::seed_from_u64(1)).as_ref(), Ok(&kept));
    }
}

fn adds_up(kept: &Anonymised, events: usize) {
    assert_eq!(kept.received as usize, events);
    assert_eq!(kept.received, kept.accepted + u32::try_from(kept.refused.len()).expect("at most 50"));
    assert!(kept.refused.is_sorted_by_key(|(index, _)| *index));
    assert!(kept.refused.iter().all(|(index, _)| *index < kept.received));
    let usage: u32 = kept.rows.counts.iter().map(|count| count.usage).sum();
    let places: u32 = kept.rows.counts.iter().map(|count| count.places).sum();
    assert_eq!(usage as usize, rows(&kept.rows.usage).count());
    assert_eq!(places as usize, rows(&kept.rows.places).count());
    // An event leaves at most one row of each, and none unless it is taken.
    assert!(usage <= kept.accepted && places <= kept.accepted);
}

/// Each row is what its table declares, to the last byte, and of a day that is open.
fn decodes(kept: &Anonymised, world: &World) {
    let is_open = |row: &[u8]| world.days.iter().any(|(day, _)| row[..2] == day.0.to_le_bytes());
    let mut bytes = 0;
    for row in rows(&kept.rows.usage) {
        bytes += 2 + row.len();
        // Up to the number of properties, all columns are of fixed width.
        let (fixed, codes) = row.split_at(30);
        assert!(is_open(row) && fixed[2] < 24);
        assert!(codes.first().is_some_and(|n| usize::from(*n) * 4 == codes.len() - 1), "{} bytes", codes.len());
    }
    assert_eq!(bytes, kept.rows.usage.len());
    bytes = 0;
    for row in rows(&kept.rows.places) {
        bytes += 2 + row.len();
        let (cell, n) = row[15..].split_at(row.len() - 19);
        assert!(is_open(row) && usize::from(row[14]) == cell.len());
        let cell = std::str::from_utf8(cell).expect("a cell is ASCII");
        assert!(cell == "abroad" || (Cell::from_geohash(cell).is_some() && matches!(cell.len(), 3..=5)), "{cell}");
        assert_ne!(n, [0; 4]);
    }
    assert_eq!(bytes, kept.rows.places.len());
}

/// No eight bytes of any text of the report are in the rows.
fn holds_no_text(kept: &Anonymised, body: &[u8]) {
    let Ok(json) = serde_json::from_slice::<serde_json::Value>(body) else { return };
    let mut texts = Vec::new();
    collect(&json, &mut texts);
    for text in texts.iter().filter(|text| text.len() >= LONG) {
        for part in text.as_bytes().windows(LONG) {
            // Zeros are in any row; they are no text.
            if part.iter().any(|byte| byte.is_ascii_graphic()) {
                let is_in = |bytes: &[u8]| bytes.windows(LONG).any(|window| window == part);
                assert!(!is_in(&kept.rows.usage) && !is_in(&kept.rows.places), "text of the report is kept");
            }
        }
    }
}

fn collect(value: &serde_json::Value, texts: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) => texts.push(text.clone()),
        serde_json::Value::Array(values) => values.iter().for_each(|value| collect(value, texts)),
        serde_json::Value::Object(members) => {
            for (name, value) in members {
                texts.push(name.clone());
                collect(value, texts);
            }
        }
        _ => {}
    }
}
