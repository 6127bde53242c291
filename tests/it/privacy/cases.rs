//! What must hold, case by case, over a running collector.

use serde_json::{Value, json};
use tuman_privacy::encode::rows;

use super::search::Search;
use crate::harness::{DAY_MS, HOUR_MS, NOW_MS, Report, Setup, TestApp, at, report};

const IMEI: &str = "490154203237518";
const IIN: &str = "990101300122";

/// A valid identifier of every kind.
const VALID: [(&str, &str); 8] = [
    ("install_id", "7d0c6f0a-3a6e-4f0b-9a3e-5d2f1c0b8e77"),
    ("android_id", "3f8a9c04d17be265"),
    ("idfv", "5B1C2D3E-4F50-4A61-8B72-9C83AD94BEA5"),
    ("gaid", "c0ffee12-3456-4789-abcd-ef0123456789"),
    ("idfa", "EA7583CD-A667-48BC-B806-42ECB2B48606"),
    ("imei", "356938035643809"),
    ("meid", "A0000000002329"),
    ("mac", "00:1B:44:11:3A:B7"),
];

fn of_device(kind: &str, value: &str) -> Report {
    report().with("/device/ids", json!([{ "kind": kind, "value": value }]))
}

fn distinct_tokens(app: &TestApp) -> i64 {
    app.number("SELECT toInt64(uniqExact(token)) AS n FROM usage_open WHERE token != 0")
}

#[actix_web::test]
async fn case_1_a_valid_identifier_of_any_kind_is_nowhere() {
    let app = TestApp::start().await;
    let search = Search::for_texts(VALID.map(|(_, value)| value));
    for (kind, value) in VALID {
        let upload = of_device(kind, value);
        assert!(search.finds(upload.json().as_bytes()));
        let answer = app.collect(upload).await;
        assert_eq!(answer.status, 202, "{kind}: {}", answer.text);
        search.absent(answer.text.as_bytes(), "answer");
    }
    let all: Vec<Value> = VALID.iter().map(|(kind, value)| json!({ "kind": kind, "value": value })).collect();
    assert_eq!(app.collect(report().with("/device/ids", json!(all))).await.status, 202);
    app.drain().await;
    // All at once are the installation: its precedence is the highest.
    assert_eq!(distinct_tokens(&app), 8);
    search.through_its_life(&app).await;
}

#[actix_web::test]
async fn case_2_spellings_of_one_identifier_are_one_device() {
    for (kind, spellings) in [
        ("imei", &["490154203237518", "49-015420-323751-8", "49015420323751", "4901542032375108"][..]),
        ("meid", &["A0000000002329", "a0-000000-002329", "268435456000009001"][..]),
        ("mac", &["00:1B:44:11:3A:B7", "00-1b-44-11-3a-b7", "001b.4411.3ab7"][..]),
    ] {
        let app = TestApp::start().await;
        for value in spellings {
            let answer = app.collect(of_device(kind, value)).await;
            assert_eq!(answer.status, 202, "{value}: {}", answer.text);
        }
        app.drain().await;
        assert_eq!(app.booked("note:no_token"), 0);
        assert_eq!(distinct_tokens(&app), 1, "{kind}");
    }
}

#[actix_web::test]
async fn case_3_shared_zero_and_randomised_identifiers_are_taken_without_a_token() {
    let app = TestApp::start().await;
    let without_token = [
        ("imei", "000000000000000"),
        ("imei", "004999010640000"),
        ("mac", "00:00:00:00:00:00"),
        ("mac", "02:00:00:00:00:00"),
        ("android_id", "9774d56d682e549c"),
        ("idfa", "00000000-0000-0000-0000-000000000000"),
        ("gaid", "00000000-0000-0000-0000-000000000000"),
        ("mac", "DA:A1:19:00:00:01"),
    ];
    for (kind, value) in without_token {
        let answer = app.collect(of_device(kind, value)).await;
        assert_eq!((answer.status, answer.json()["accepted"].as_u64()), (202, Some(1)), "{value}: {}", answer.text);
    }
    app.drain().await;
    assert_eq!(app.booked("note:no_token"), 8);
    assert_eq!(app.number("SELECT toInt64(countIf(token != 0)) AS n FROM usage_open"), 0);
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM places_open"), 0);
    // A user who opted out is not found again by the hardware.
    let ids = json!([{ "kind": "idfa", "value": without_token[5].1 }, { "kind": "imei", "value": IMEI }]);
    app.collect(report().with("/device/ids", ids)).await;
    app.drain().await;
    assert_eq!(distinct_tokens(&app), 0);
}

#[actix_web::test]
async fn case_4_an_imei_in_any_other_field_is_not_echoed_and_nowhere() {
    const OTHER: &str = "352099001761481";
    let app = TestApp::start().await;
    let search = Search::for_texts([OTHER]);
    for (pointer, code) in [
        ("/report_id", "invalid_report"),
        ("/sent_at", "invalid_report"),
        ("/consent/usage", "invalid_report"),
        ("/device/ids/0/kind", "invalid_report"),
    ] {
        let answer = app.collect(report().with(pointer, json!(OTHER))).await;
        assert_eq!((answer.status, answer.code().as_str()), (422, code), "{pointer}");
        search.absent(answer.text.as_bytes(), pointer);
    }
    for kind in ["mac", "meid", "gaid", "install_id"] {
        let answer = app.collect(of_device(kind, OTHER)).await;
        assert_eq!((answer.status, answer.code().as_str()), (422, "invalid_identifier"), "{kind}");
        search.absent(answer.text.as_bytes(), kind);
    }
    // Fifteen digits are an Android id as some phones write it, without its leading zero: nobody can tell.
    assert_eq!(app.collect(of_device("android_id", OTHER)).await.status, 202);
    for pointer in [
        "/consent/policy",
        "/device/platform",
        "/device/os_version",
        "/device/class",
        "/device/language",
        "/app/version",
        "/activity/first_today",
        "/activity/install_week",
        "/activity/days_since_install",
        "/events/0/name",
        "/events/0/at",
        "/events/0/location",
        "/events/0/location/lat",
        "/events/0/props",
        "/events/0/props/screen",
        "/events/0/props/cached",
    ] {
        let answer = app.collect(report().with(pointer, json!(OTHER))).await;
        assert_eq!(answer.status, 202, "{pointer}: {}", answer.text);
        search.absent(answer.text.as_bytes(), pointer);
    }
    search.through_its_life(&app).await;
}

#[actix_web::test]
async fn case_5_malformed_json_with_an_iin_gets_a_fixed_400() {
    let app = TestApp::start().await;
    let search = Search::for_texts([IIN]);
    let mut answers = Vec::new();
    for body in [format!("{{\"iin\": {IIN}"), format!("{{\"{IIN}\": }}"), IIN.repeat(2) + "\"", format!("[\"{IIN}")] {
        let answer = app.post(body.into_bytes(), &[]).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "malformed_json"));
        answers.push(answer.text);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    search.absent(answers[0].as_bytes(), "answer");
    search.through_its_life(&app).await;
}

#[actix_web::test]
async fn case_6_nothing_finer_than_five_characters_is_left_of_a_place() {
    let app = TestApp::start().await;
    let (lat, lon) = (43.238_949_7, 76.889_709_4);
    let precise = geohash::encode(geohash::Coord { x: lon, y: lat }, 12).unwrap();
    let mut needles: Vec<Vec<u8>> = vec![precise[..6].into(), precise[..6].to_uppercase().into()];
    for (number, cut) in [(lat, "43.238"), (lon, "76.889")] {
        let number: f64 = number;
        needles.extend([cut.into(), number.to_le_bytes().into(), (number as f32).to_le_bytes().into()]);
    }
    let search = Search::of(needles);
    for place in [json!({ "lat": lat, "lon": lon }), json!({ "geohash": precise })] {
        let upload = report().with("/events/0/location", place);
        assert!(search.finds(upload.json().as_bytes()));
        assert_eq!(app.collect(upload).await.status, 202);
    }
    app.drain().await;
    let cells = app.rows("SELECT DISTINCT cell FROM places_open");
    assert_eq!(cells, [json!({ "cell": precise[..5] })]);
    search.through_its_life(&app).await;
}

#[actix_web::test]
async fn case_7_impossible_places_leave_no_place_and_no_panic() {
    let app = TestApp::start().await;
    let impossible = [
        json!({ "lat": 0, "lon": 0 }),
        json!({ "lat": 91, "lon": 71 }),
        json!({ "lat": 51, "lon": 181 }),
        json!({ "lat": "NaN", "lon": "NaN" }),
        json!({ "lat": null, "lon": 71 }),
        json!({ "lat": 1e308, "lon": -1e308 }),
        json!({ "geohash": "ailo" }),
    ];
    for place in &impossible {
        let answer = app.collect(report().with("/events/0/location", place.clone())).await;
        assert_eq!((answer.status, answer.json()["accepted"].as_u64()), (202, Some(1)), "{place}");
    }
    for number in ["NaN", "Infinity", "-Infinity", "1e999", "0x5B"] {
        let body = report().json().replacen("51.1280012", number, 1);
        assert!(body.contains(number));
        assert_eq!(app.post(body.into_bytes(), &[]).await.code(), "malformed_json", "{number}");
    }
    app.drain().await;
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM places_open"), 0);
    assert_eq!(app.booked("note:invalid_place"), impossible.len() as i64);
    assert_eq!(app.collect(report()).await.status, 202);
}

#[actix_web::test]
async fn case_8_a_lone_device_in_the_steppe_is_in_no_fine_cell() {
    let app = TestApp::start().await;
    for phone in 0..120 {
        app.collect(report().of_phone(phone)).await;
    }
    let steppe = json!({ "lat": 47.5, "lon": 68.2 });
    app.collect(report().of_phone(999).with("/events/0/location", steppe)).await;
    let cell = geohash::encode(geohash::Coord { x: 68.2, y: 47.5 }, 5).unwrap();
    app.clock.advance(DAY_MS);
    app.app.sealer.seal(app.app.zone.day(NOW_MS)).await.unwrap();
    for length in [4, 5] {
        let rows = app.rows(&format!("SELECT dims FROM releases WHERE release = 'places_{length}'"));
        assert!(!serde_json::to_string(&rows).unwrap().contains(&cell[..length]), "{rows:?}");
        let answer = app.stats(&format!("places?precision={length}&period=yesterday")).await;
        assert!(!answer.text.contains(&cell[..length]), "{}", answer.text);
    }
}

#[actix_web::test]
async fn case_9_cookies_and_forwarded_addresses_are_ignored_and_nowhere() {
    let app = TestApp::start().await;
    let secrets = ["sess-5f2e77aa0c31", "203.0.113.201", "2001:db8:77::5a1d", "SM-S918B-unique-agent"];
    let headers = [
        ("Cookie", "id=sess-5f2e77aa0c31"),
        ("X-Forwarded-For", "203.0.113.201"),
        ("X-Real-IP", "203.0.113.201"),
        ("Forwarded", "for=\"[2001:db8:77::5a1d]\""),
        ("User-Agent", "SM-S918B-unique-agent"),
    ];
    let plain = app.collect(report()).await;
    let answer = app.post(report().json().into_bytes(), &headers).await;
    assert_eq!((answer.status, &answer.text), (plain.status, &plain.text));
    let names = |answer: &crate::harness::Answer| {
        answer.headers.iter().map(|(name, _)| name.clone()).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(names(&answer), names(&plain));
    assert!(answer.header("set-cookie").is_none());
    Search::for_texts(secrets).through_its_life(&app).await;
}

#[actix_web::test]
async fn case_10_free_text_and_personal_data_in_properties_are_nowhere() {
    let app = TestApp::start().await;
    let personal = [
        "aigerim.test@example.kz",
        IIN,
        "+77012345678",
        "4111111111111111",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    ];
    let free = "where does Nursultan Tulep live";
    let search = Search::for_texts(personal.into_iter().chain([free]));
    let event = |name: &str, props: Value| json!([{ "name": name, "at": at(NOW_MS - HOUR_MS), "props": props }]);
    let mut uploads = vec![event("search", json!({ "query": free })), event(free, json!({}))];
    for text in personal {
        uploads.push(event("screen_view", json!({ "screen": text })));
        uploads.push(event("search", json!({ "query": text })));
        uploads.push(event("search", json!({ text: true })));
        uploads.push(event(text, json!({})));
    }
    for events in uploads {
        let answer = app.collect(report().with("/events", events)).await;
        assert_eq!(answer.status, 202);
        search.absent(answer.text.as_bytes(), "answer");
    }
    app.drain().await;
    assert_eq!(app.number("SELECT toInt64(sum(length(props))) AS n FROM usage_open"), 0);
    for detector in ["email", "iin", "phone", "card", "jwt"] {
        // In an enum, in an undeclared value, as a key, as an event's name.
        assert_eq!(app.booked(&format!("note:personal_data:{detector}")), 4, "{detector}");
    }
    search.through_its_life(&app).await;
}

#[actix_web::test]
async fn case_11_identifiers_in_a_path_or_query_are_not_logged_nor_answered() {
    // Over a plain socket: the tests' client logs what it asks for.
    const IN_PATH: &str = "868932036356090";
    let app = TestApp::start().await;
    let search = Search::for_texts([IN_PATH, IIN]);
    for target in [
        format!("/imei/{IN_PATH}"),
        format!("/v1/collect?imei={IN_PATH}&iin={IIN}"),
        format!("/v1/collect/{IN_PATH}"),
        format!("/v1/stats/activity?app={IN_PATH}&period={IIN}"),
        format!("/?{IN_PATH}#{IIN}"),
    ] {
        for url in [&app.url, &app.internal_url] {
            let address = url.strip_prefix("http://").unwrap().to_owned();
            let request = format!("GET {target} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
            let answer = actix_web::rt::task::spawn_blocking(move || {
                use std::io::{Read, Write};
                let mut stream = std::net::TcpStream::connect(address).unwrap();
                stream.write_all(request.as_bytes()).unwrap();
                let mut answer = Vec::new();
                stream.read_to_end(&mut answer).unwrap();
                answer
            });
            search.absent(&answer.await.unwrap(), "answer");
        }
    }
    search.through_its_life(&app).await;
}

#[actix_web::test]
async fn case_12_of_a_rare_model_only_its_class_is_kept() {
    let app = TestApp::start().await;
    let mut device: Value = serde_json::from_str(&report().json()).unwrap();
    device = device["device"].take();
    for (field, value) in
        [("model", "Caterpillar-S61-Pro"), ("manufacturer", "Bullitt-Rare"), ("screen", "1081x2377")]
    {
        device[field] = json!(value);
    }
    let answer = app.collect(report().with("/device", device)).await;
    assert_eq!(answer.json()["accepted"], 1);
    app.drain().await;
    assert_eq!(app.booked("note:unknown_field"), 3);
    let columns =
        app.rows("SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'usage_open'");
    assert!(columns.iter().any(|column| column["name"] == "class"));
    assert!(!columns.iter().any(|column| column["name"] == "model"));
    Search::for_texts(["Caterpillar-S61-Pro", "Bullitt-Rare", "1081x2377"]).through_its_life(&app).await;
}

#[actix_web::test]
async fn case_13_events_of_one_report_share_no_id_order_or_insert_time() {
    let failing = crate::seal::failing::FailingStore::new();
    let app = Setup::new().store(|store| failing.over(store)).start().await;
    let mut ids = Vec::new();
    for phone in 0..6 {
        let event = |minute: i64| json!({ "name": "app_open", "at": at(NOW_MS - minute * 60_000) });
        // From nine hours ago to now, in order.
        let events: Vec<Value> = (0..50).map(|n| event(540 - n * 10)).collect();
        let upload = report().of_phone(phone).with("/events", json!(events));
        ids.push(serde_json::from_str::<Value>(&upload.json()).unwrap()["report_id"].as_str().unwrap().to_owned());
        assert_eq!(app.collect(upload).await.json()["accepted"], 50);
    }
    // In the spool: the hours of a report are not in the report's order.
    // The store is away, so that the segment stays until it was read.
    failing.fail_after(0);
    let segment = app.app.spool.rotate().await.unwrap();
    let segment = app.app.spool.read(segment).unwrap();
    let hours = segment.records().map(|bytes| {
        let record = tuman::record::read(bytes).unwrap();
        rows(record.usage).map(|row| row[2]).collect::<Vec<u8>>()
    });
    let hours: Vec<Vec<u8>> = hours.collect();
    assert_eq!(hours.iter().map(Vec::len).collect::<Vec<_>>(), [50; 6]);
    assert!(!hours.iter().any(|hours| hours.is_sorted() || hours.iter().rev().is_sorted()), "{hours:?}");
    failing.heal();
    let ids = Search::for_texts(ids.iter().map(String::as_str));
    ids.everywhere(&app, "spool").await;
    app.drain().await;
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM usage_open"), 300);
    // In the open day: in the order of the table's key, whatever came when, and no column that tells.
    let keys = app.rows(
        "SELECT toInt64(arraySort(keys) = keys) AS sorted \
         FROM (SELECT groupArray((app, token, event, hour)) AS keys \
               FROM (SELECT * FROM usage_open ORDER BY _part, _part_offset) GROUP BY ALL)",
    );
    assert!(keys.iter().all(|row| row["sorted"] == 1), "{keys:?}");
    let telling = app.rows(
        "SELECT table, name FROM system.columns WHERE database = currentDatabase() \
         AND table IN ('usage_open', 'places_open') AND (type LIKE '%DateTime%' OR type LIKE '%UUID%')",
    );
    assert_eq!(telling, Vec::<Value>::new());
    ids.through_its_life(&app).await;
}

#[actix_web::test]
async fn case_14_a_report_sent_twice_counts_once_and_gets_the_same_answer() {
    let app = TestApp::start().await;
    let upload = report().times(4);
    let (first, second) = (app.collect(upload.clone()).await, app.collect(upload).await);
    assert_eq!((first.status, &first.text), (second.status, &second.text));
    app.drain().await;
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM usage_open"), 4);
    assert_eq!((app.booked("stored"), app.booked("duplicate")), (4, 4));
}

#[actix_web::test]
async fn case_15_without_consent_nothing_is_stored() {
    let app = TestApp::start().await;
    let without = |usage: Value, location: Value| {
        report().with("/consent", json!({ "usage": usage, "location": location, "policy": "2026-01" }))
    };
    for upload in [without(json!(false), json!(false)), without(json!(null), json!(null))] {
        let answer = app.collect(upload).await;
        assert_eq!((answer.status, answer.json()["accepted"].as_u64()), (202, Some(0)));
        assert_eq!(answer.refusals(), ["no_consent"]);
    }
    for signal in ["Sec-GPC", "DNT"] {
        let answer = app.post(report().json().into_bytes(), &[(signal, "1")]).await;
        assert_eq!(answer.refusals(), ["opted_out"]);
    }
    assert_eq!(app.collect(report().with("/consent/policy", json!("1999"))).await.refusals(), ["unknown_policy"]);
    app.drain().await;
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM usage_open"), 0);
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM places_open"), 0);
    Search::for_texts([IMEI]).through_its_life(&app).await;
}

#[actix_web::test]
async fn case_19_a_purpose_without_consent_is_dropped() {
    let app = TestApp::start().await;
    assert_eq!(app.collect(report().with("/consent/location", json!(false))).await.json()["accepted"], 1);
    app.drain().await;
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM usage_open"), 1);
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM places_open"), 0);
    assert_eq!(app.booked("note:no_location_consent"), 1);
    assert_eq!(app.collect(report().with("/consent/usage", json!(false))).await.json()["accepted"], 1);
    app.drain().await;
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM usage_open"), 1);
    assert_eq!(app.number("SELECT toInt64(count()) AS n FROM places_open"), 1);
    assert_eq!(app.booked("note:no_usage_consent"), 1);
    // The two purposes of one device cannot be joined.
    let joined =
        app.number("SELECT toInt64(count()) AS n FROM usage_open WHERE token IN (SELECT token FROM places_open)");
    assert_eq!(joined, 0);
}
