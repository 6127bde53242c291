//! Attack E: say which rows are of one device, across days, purposes and reports.
//!
//! The attacker has a dump of two open days, or of the same days sealed, and links by what there is: equal tokens, rare
//! combinations of attributes, positions in files. The truth comes from the collector's own keys, which the attacker
//! does not have. What an open day gives away is told and not promised away: it is why days are sealed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::civil::Date;
use serde_json::Value;
use tuman::config::Interval;
use tuman::demo::fleet::{Encoding, Fleet};
use tuman::demo::post::pack;
use tuman::demo::{APP, CATALOGUE};
use tuman::spool::Segment;
use tuman::store::Statement;
use tuman_privacy::encode::rows;
use tuman_privacy::identifier::{Canonical, Choice, Kind, choose};
use tuman_privacy::token::{Purpose, Tokeniser};

use super::remains::Remains;
use super::windows::Windows;
use super::{Beside, Success, say, sized, told};
use crate::harness::{DAY_MS, NOW_MS, Setup, TestApp, logged};
use crate::seal::failing::FailingStore;

const DAYS: [&str; 2] = ["2026-10-05", "2026-10-06"];
/// Where the controls put rows.
const KEPT: &str = "2026-10-07";
const COPIED: &str = "2026-10-08";

/// Two open days of a fleet, and who is who.
struct World {
    app: TestApp,
    /// By device: its tokens on both days, for use and for places.
    tokens: Vec<[[u64; 2]; 2]>,
    /// Of the records in the spool that hold rows of both purposes: is each of them of one device?
    in_one_record: Success,
}

async fn world() -> World {
    let failing = FailingStore::new();
    let mut setup = Setup::new().store(|store| failing.over(store));
    setup.catalogue = CATALOGUE.into();
    setup.app = APP.into();
    // The first day is still open when the second is over.
    setup.config.privacy.grace = Interval::seconds(48 * 3_600);
    let app = setup.start().await;
    let fleet = Fleet::new(11, sized(100, 2_000), "2026-09-15".parse().unwrap());
    let mut uploads = Vec::new();
    for day in DAYS {
        uploads.extend(fleet.day(day.parse().unwrap(), app.app.zone.time_zone()));
    }
    uploads.sort_by_key(|upload| upload.sent_at);
    let mut devices: BTreeMap<Vec<u8>, Canonical> = BTreeMap::new();
    for upload in uploads {
        app.clock.set(upload.sent_at.as_millisecond());
        if let Some(id) = identifier(&upload.body) {
            devices.insert(id.expose().to_vec(), id);
        }
        let encoding = match upload.encoding {
            Encoding::Identity => "",
            Encoding::Gzip => "gzip",
            Encoding::Zstd => "zstd",
        };
        let body = pack(upload.body, upload.encoding).unwrap();
        assert_eq!(app.post(body, &[("Content-Encoding", encoding)]).await.status, 202);
    }
    app.clock.set(NOW_MS + DAY_MS + 15 * 3_600_000);
    let open = app.app.keyring.open_days(NOW_MS + DAY_MS + 13 * 3_600_000).unwrap();
    let keys: Vec<Arc<Tokeniser>> = open.days.iter().map(|(_, tokeniser)| tokeniser.clone()).collect();
    assert_eq!(keys.len(), 2, "both days are open");
    drop(open);
    let of = |id: &Canonical, day: usize, purpose: Purpose| keys[day].token(APP, purpose, id).get();
    let tokens: Vec<[[u64; 2]; 2]> = devices
        .values()
        .map(|id| [0, 1].map(|day| [Purpose::Usage, Purpose::Location].map(|purpose| of(id, day, purpose))))
        .collect();
    // The store is away, so that the segment stays until it was read.
    failing.fail_after(0);
    let segment = app.app.spool.rotate().await.unwrap();
    let in_one_record = records(&app.app.spool.read(segment).unwrap(), &tokens);
    failing.heal();
    app.drain().await;
    World { app, tokens, in_one_record }
}

/// The identifier of a report, as the collector chooses it.
fn identifier(body: &[u8]) -> Option<Canonical> {
    let report: Value = serde_json::from_slice(body).unwrap();
    let ids = report["device"]["ids"].as_array()?;
    let text = |id: &Value, key: &str| id[key].as_str().unwrap().to_owned();
    let ids: Vec<_> = ids.iter().map(|id| (Kind::from_name(&text(id, "kind")).unwrap(), text(id, "value"))).collect();
    match choose(ids.iter().map(|(kind, value)| (*kind, value.as_str()))) {
        Ok(Choice::Chosen(id)) => Some(id),
        _ => None,
    }
}

/// Links use and places by the record that both lie in, while it is in the spool.
fn records(segment: &Segment, tokens: &[[[u64; 2]; 2]]) -> Success {
    let owner: HashMap<u64, usize> =
        tokens.iter().enumerate().flat_map(|(at, days)| days.as_flattened().iter().map(move |t| (*t, at))).collect();
    let mut success = Success::default();
    for record in segment.records() {
        let record = tuman::record::read(record).unwrap();
        let token = |row: &[u8], at: usize| u64::from_le_bytes(row[at..at + 8].try_into().unwrap());
        let used = rows(record.usage).next().map(|row| token(row, 11));
        let placed = rows(record.places).next().map(|row| token(row, 6));
        if let (Some(used), Some(placed)) = (used.filter(|token| *token != 0), placed) {
            success.count(owner.contains_key(&used) && owner.get(&used) == owner.get(&placed));
        }
    }
    success
}

/// What the attacker sees of one device under one token, in the order of the file.
#[derive(Default)]
struct Traces {
    order: Vec<u64>,
    attributes: BTreeMap<u64, BTreeSet<String>>,
    events: BTreeMap<u64, u64>,
}

fn traces(app: &TestApp, table: &str, day: Date) -> Traces {
    let mut traces = Traces::default();
    let sql = format!("SELECT * FROM {table} WHERE day = '{day}' AND token != 0 ORDER BY _part, _part_offset");
    for row in app.rows(&sql) {
        let token = row["token"].as_u64().unwrap();
        if !traces.attributes.contains_key(&token) {
            traces.order.push(token);
        }
        // What a device is from day to day; the week of install and what its user does change.
        let lasting = ["platform", "os", "version", "class", "language", "install_week_age"];
        let attributes: Vec<String> = lasting.iter().map(|column| row[*column].to_string()).collect();
        let traced = traces.attributes.entry(token).or_default();
        traced.insert(if table == "places_open" { row["cell"].to_string() } else { attributes.join("/") });
        *traces.events.entry(token).or_default() += row["n"].as_u64().unwrap_or(1);
    }
    traces
}

/// Links of two sets of traces: each token of the first with one of the second, where the attacker dares.
type Links = Vec<(u64, u64)>;

fn by_equality(one: &[u64], other: &[u64]) -> Links {
    let other: BTreeSet<&u64> = other.iter().collect();
    one.iter().filter(|token| other.contains(token)).map(|token| (*token, *token)).collect()
}

fn by_position(one: &Traces, other: &Traces) -> Links {
    one.order.iter().copied().zip(other.order.iter().copied()).collect()
}

/// Pairs whose trait is unique on both sides, and the same.
fn by_rarity<T: Ord + Clone>(one: &BTreeMap<u64, T>, other: &BTreeMap<u64, T>) -> Links {
    let unique = |traits: &BTreeMap<u64, T>| {
        let mut owners: BTreeMap<T, Vec<u64>> = BTreeMap::new();
        for (token, what) in traits {
            owners.entry(what.clone()).or_default().push(*token);
        }
        owners.retain(|_, owners| owners.len() == 1);
        owners
    };
    let other = unique(other);
    unique(one).into_iter().filter_map(|(what, owners)| Some((owners[0], other.get(&what)?[0]))).collect()
}

/// The busiest with the busiest, and so on.
fn by_rank(one: &Traces, other: &Traces) -> Links {
    let ranked = |traces: &Traces| -> Vec<u64> {
        let mut tokens: Vec<(u64, u64)> = traces.events.iter().map(|(token, events)| (*events, *token)).collect();
        tokens.sort_unstable();
        tokens.into_iter().rev().map(|(_, token)| token).collect()
    };
    ranked(one).into_iter().zip(ranked(other)).collect()
}

/// Of the devices that are on both sides, how many are linked rightly.
fn judged(links: &Links, pairs: &[(u64, u64)], one: &Traces, other: &Traces) -> Success {
    let there = pairs.iter().filter(|(a, b)| one.attributes.contains_key(a) && other.attributes.contains_key(b));
    let links: BTreeSet<&(u64, u64)> = links.iter().collect();
    Success::of(there.map(|pair| links.contains(pair)))
}

/// Puts a day's rows into another day too, each second token of the pairs as the first.
fn put(app: &TestApp, table: &str, [from, to]: [&str; 2], pairs: &[(u64, u64)]) {
    let list = |of: &dyn Fn(&(u64, u64)) -> u64| {
        // Zero stands for no token in both, so that the lists have an element.
        let tokens: Vec<String> = pairs.iter().map(of).chain([0]).map(|token| format!("toUInt64({token})")).collect();
        tokens.join(", ")
    };
    let (others, ones) = (list(&|pair| pair.1), list(&|pair| pair.0));
    app.store
        .execute(&Statement::new(format!(
            "INSERT INTO {table} SELECT * REPLACE (toDate('{to}') AS day, \
             transform(token, [{others}], [{ones}], token) AS token) FROM (SELECT * FROM {table} WHERE day = '{from}')"
        )))
        .unwrap();
}

#[actix_web::test]
async fn rows_of_two_open_days_or_purposes_are_not_linked_by_token_or_position() {
    let World { app, tokens, in_one_record } = world().await;
    let [first, second] = DAYS.map(|day| traces(&app, "usage_open", day.parse().unwrap()));
    let placed = traces(&app, "places_open", DAYS[0].parse().unwrap());
    let of_days: Vec<(u64, u64)> = tokens.iter().map(|days| (days[0][0], days[1][0])).collect();
    let of_purposes: Vec<(u64, u64)> = tokens.iter().map(|days| (days[0][0], days[0][1])).collect();
    // The controls. Where days share a key, a device's rows lie in the same place of each, if it does the same.
    put(&app, "usage_open", [DAYS[0], COPIED], &[]);
    let copied = traces(&app, "usage_open", COPIED.parse().unwrap());
    let same: Vec<(u64, u64)> = first.order.iter().map(|token| (*token, *token)).collect();
    for (what, table, day, other, pairs) in [
        ("two open days", "usage_open", DAYS[1], &second, &of_days),
        ("use and places", "places_open", DAYS[0], &placed, &of_purposes),
    ] {
        // The other side's rows, under the tokens of the first.
        put(&app, table, [day, KEPT], pairs);
        let kept = traces(&app, table, KEPT.parse().unwrap());
        let control = judged(&by_equality(&first.order, &kept.order), &same, &first, &kept);
        let equal = judged(&by_equality(&first.order, &other.order), pairs, &first, other);
        let chance = 1.0 / other.order.len() as f64;
        told(&format!("E, {what}, by token"), equal, &Beside { chance, bound: 0.0, control });
        let control = judged(&by_position(&first, &copied), &same, &first, &copied);
        let placed = judged(&by_position(&first, other), pairs, &first, other);
        told(&format!("E, {what}, by position"), placed, &Beside { chance, bound: chance, control });
    }
    // Told, and not promised away: what makes a device rare makes it known again, as long as days are open.
    let known = judged(&by_rarity(&first.attributes, &second.attributes), &of_days, &first, &second);
    say(&format!("attack E, two open days, by rare attributes: {known}; until the seal this is not prevented"));
    let counted = judged(&by_rarity(&first.events, &placed.events), &of_purposes, &first, &placed);
    let ranked = judged(&by_rank(&first, &placed), &of_purposes, &first, &placed);
    say(&format!(
        "attack E, use and places, by numbers of events: {counted}, by their rank: {ranked}; not prevented"
    ));
    say(&format!("attack E, use and places, by their record in the spool: {in_one_record}; until it is loaded"));
}

#[actix_web::test]
async fn of_sealed_days_no_token_is_left_to_link() {
    let before = logged().len();
    let World { app, tokens, .. } = world().await;
    let all: Vec<u64> = tokens.as_flattened().as_flattened().to_vec();
    // Those that rows were made with: no device reports on every day and with every purpose.
    let found = |remains: &Remains| -> BTreeSet<u64> {
        let windows = Windows::of(remains.bytes());
        all.iter().copied().filter(|token| windows.holds(*token)).collect()
    };
    let open = found(&Remains::of(&app, before).await);
    assert!(open.len() > tokens.len(), "{} tokens of {} devices", open.len(), tokens.len());
    // The control: a table that a seal forgets.
    let run = |sql: &'static str| app.store.execute(&Statement::new(sql)).unwrap();
    run("CREATE TABLE kept (token UInt64 CODEC(NONE)) ENGINE = MergeTree ORDER BY tuple()");
    run("INSERT INTO kept SELECT token FROM usage_open UNION ALL SELECT token FROM places_open");
    app.clock.advance(3 * DAY_MS);
    for day in app.app.sealer.due().await.unwrap() {
        app.app.sealer.seal(day).await.unwrap();
    }
    let left = async || {
        let sealed = found(&Remains::of(&app, before).await);
        Success::of(open.iter().map(|token| sealed.contains(token)))
    };
    let control = left().await;
    run("DROP TABLE kept");
    let success = left().await;
    told("E, tokens left of two sealed days", success, &Beside { chance: 0.0, bound: 0.0, control });
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM usage_open"), 0);
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM places_open"), 0);
}
