//! Reports of any content, the boundary that takes them, and its rows read back.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tuman_privacy::anonymise::{Anonymised, Arrival, Rejection, Rules, anonymise_before};
use tuman_privacy::catalogue::{Catalogue, Declaration, EventDeclaration, Purposes};
use tuman_privacy::place::Region;
use tuman_privacy::properties::PropertyDeclaration;
use tuman_privacy::report::Report;
use tuman_privacy::time::{Day, Offsets};
use tuman_privacy::token::{DayKey, Tokeniser};
use tuman_privacy::witness::Witness;

/// 2026-10-05T10:00:00+05:00, a Monday.
const NOW_MS: i64 = 1_791_176_400_000;
const TODAY: Day = Day(20_731);

/// A boundary whose catalogue knows one event, and policies that asked for either purpose or both.
pub(crate) struct Boundary {
    catalogue: Catalogue,
    region: Region,
    open_days: Vec<(Day, Arc<Tokeniser>)>,
}

impl Boundary {
    pub(crate) fn new() -> Boundary {
        let asks = |usage, location| Purposes { usage, location };
        let declaration = Declaration {
            app: "kz.demo.app".into(),
            versions: vec!["3.4.1".into()],
            policies: vec![
                ("2026-01".into(), asks(true, true)),
                ("2025-01".into(), asks(true, false)),
                ("2024-01".into(), asks(false, true)),
                ("2023-01".into(), asks(false, false)),
            ],
            events: vec![EventDeclaration {
                name: "screen_view".into(),
                properties: vec![
                    ("screen".into(), PropertyDeclaration::Enum(vec!["home".into(), "map".into()])),
                    ("cached".into(), PropertyDeclaration::Boolean),
                    ("duration_ms".into(), PropertyDeclaration::Buckets(vec![100.0, 1000.0])),
                ],
            }],
        };
        let key = |byte: u8| Arc::new(Tokeniser::new(&DayKey::take(&mut [byte; 32])));
        Boundary {
            catalogue: Catalogue::compile(&declaration).unwrap(),
            region: Region::within([46.4, 40.5, 87.4, 55.5], vec![]),
            open_days: vec![(Day(TODAY.0 - 1), key(1)), (TODAY, key(2))],
        }
    }

    pub(crate) fn decide<W: Witness>(
        &self,
        witness: &mut W,
        report: &Report<'_>,
        opted_out: bool,
    ) -> Result<Anonymised, Rejection> {
        let rules = Rules {
            catalogue: &self.catalogue,
            region: &self.region,
            future_tolerance_ms: 600_000,
            suppressed: None,
        };
        let offsets = Offsets::new(5 * 3600, vec![]);
        let arrival = Arrival { at_ms: NOW_MS, offsets: &offsets, open_days: &self.open_days, opted_out };
        anonymise_before(witness, report, rules, arrival, &mut Counter(0))
    }
}

/// Enough randomness for a shuffle in a test.
struct Counter(u64);

impl rand_core::TryRng for Counter {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok((self.try_next_u64()? >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        for byte in out {
            *byte = (self.try_next_u64()? >> 56) as u8;
        }
        Ok(())
    }
}

/// Cells of rows of `places_open`, with how often.
pub(crate) fn cells(places: &[u8]) -> Vec<(String, u32)> {
    tuman_privacy::encode::rows(places)
        .map(|row| {
            let length = usize::from(row[14]);
            let n = u32::from_le_bytes(row[15 + length..19 + length].try_into().unwrap());
            (String::from_utf8(row[15..15 + length].to_vec()).unwrap(), n)
        })
        .collect()
}

/// How many property codes each row of `usage_open` has.
pub(crate) fn property_codes(usage: &[u8]) -> Vec<usize> {
    tuman_privacy::encode::rows(usage).map(|row| usize::from(row[30])).collect()
}

/// Tokens of rows of `usage_open`.
pub(crate) fn tokens(usage: &[u8]) -> Vec<u64> {
    tuman_privacy::encode::rows(usage).map(|row| u64::from_le_bytes(row[11..19].try_into().unwrap())).collect()
}

/// One of these values; null is as good as any.
fn one_of(values: Value) -> impl Strategy<Value = Value> {
    prop::sample::select(values.as_array().unwrap().clone())
}

/// What can stand where something else belongs.
fn odd() -> impl Strategy<Value = Value> {
    one_of(
        json!([null, true, 7, 840.5, 77_012_345_678_u64, "x", "home", "+7 701 234 56 78", "a@b.kz", "990101300122",
        "4111 1111 1111 1111", [1, "a@b.kz"], {"deep": ["10.20.30.40"]}]),
    )
}

/// A good value mostly, an odd one now and then.
fn mostly(good: Value) -> impl Strategy<Value = Value> {
    prop_oneof![5 => one_of(good), 1 => odd()]
}

/// An object with some of these members.
fn object(members: Vec<(&'static str, BoxedStrategy<Value>)>) -> impl Strategy<Value = Value> {
    let optional: Vec<_> = members
        .into_iter()
        .map(|(name, value)| prop::option::weighted(0.8, value).prop_map(move |value| (name, value)))
        .collect();
    optional.prop_map(|members| {
        let present = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(present.collect::<Map<_, _>>())
    })
}

fn location() -> impl Strategy<Value = Value> {
    let coordinates = (one_of(json!([51.128, 0, 91, "51.1"])), one_of(json!([71.43, 0, 181.5])))
        .prop_map(|(lat, lon)| json!({ "lat": lat, "lon": lon }));
    let geohash = one_of(json!(["v9v6h", "v9v6hxyz12", "u33db", "v9", "77012345678", "a@b.kz", 5]))
        .prop_map(|geohash| json!({ "geohash": geohash }));
    let both = Just(json!({ "lat": 51.1, "lon": 71.4, "geohash": "v9v6h", "accuracy": 3.5 }));
    prop_oneof![coordinates, geohash, both, Just(Value::Null)]
}

fn event() -> impl Strategy<Value = Value> {
    let at = json!([
        "2026-10-05T09:00:00+05:00",
        "2026-10-04T23:00:00+05:00",
        "2026-10-02T23:00:00+05:00",
        "2026-09-01T09:00:00+05:00",
        "2026-10-05T12:00:00+05:00"
    ]);
    let props = object(vec![
        ("screen", mostly(json!(["home", "map"])).boxed()),
        ("cached", mostly(json!([true, false])).boxed()),
        ("duration_ms", mostly(json!([5, 840, 1e9])).boxed()),
        ("colour", odd().boxed()),
        ("+77012345678", odd().boxed()),
    ]);
    let event = object(vec![
        ("name", mostly(json!(["screen_view", "screen_view", "screen_view", "unheard_of"])).boxed()),
        ("at", mostly(at).boxed()),
        ("location", location().boxed()),
        ("props", props.boxed()),
        ("x@y.kz", odd().boxed()),
    ]);
    prop_oneof![9 => event, 1 => odd()]
}

fn identifier() -> impl Strategy<Value = Value> {
    one_of(json!([
        { "kind": "imei", "value": "490154203237518" },
        { "kind": "imei", "value": "490154203237519" },
        { "kind": "imei", "value": "000000000000000" },
        { "kind": "mac", "value": "DA:A1:19:12:34:56" },
        { "kind": "gaid", "value": "00000000-0000-0000-0000-000000000000" },
        { "kind": "install_id", "value": "ea7583cd-a667-48bc-b806-42ecb2b48606" },
        { "kind": "android_id", "value": "3f8a9c04d17be265", "model": "SM-G998B" },
    ]))
}

/// A report that parses, with anything anywhere.
pub(crate) fn any_report() -> impl Strategy<Value = String> {
    let consent =
        (any::<bool>(), any::<bool>(), mostly(json!(["2026-01", "2026-01", "2025-01", "2024-01", "1999-01"])))
            .prop_map(|(usage, location, policy)| json!({ "usage": usage, "location": location, "policy": policy }));
    let device = object(vec![
        ("ids", prop::collection::vec(identifier(), 0..4).prop_map(Value::from).boxed()),
        ("platform", mostly(json!(["android", "ios", "beos"])).boxed()),
        ("os_version", mostly(json!(["14", "17.5.1", "14.+77012345678", "4.0.0.116"])).boxed()),
        ("class", mostly(json!(["phone", "fridge"])).boxed()),
        ("language", mostly(json!(["kk-KZ", "ru", "tlh", "ru-77012345678"])).boxed()),
    ]);
    let activity = object(vec![
        ("first_today", mostly(json!([true, false])).boxed()),
        ("install_week", mostly(json!(["2026-W40", "week"])).boxed()),
        ("days_since_install", mostly(json!([0, 7])).boxed()),
    ]);
    let report = object(vec![
        ("report_id", Just(json!("0b7e3c52-6d51-4c58-9a3e-1f2d3c4b5a69")).boxed()),
        ("device", device.boxed()),
        ("app", object(vec![("version", mostly(json!(["3.4.1", "9.9"])).boxed())]).boxed()),
        ("activity", activity.boxed()),
        ("unheard_of", odd().boxed()),
    ]);
    (report, consent, prop::collection::vec(event(), 0..5)).prop_map(|(mut report, consent, events)| {
        report["sent_at"] = json!("2026-10-05T10:00:00+05:00");
        report["consent"] = consent;
        report["events"] = Value::from(events);
        report.to_string()
    })
}
