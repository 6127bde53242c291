//! What the detectors must leave alone.

#![allow(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a failed test panics")]

mod spellings;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Detector, Setting, detect, detect_in_version, is_plain, search};
const SCREENS: &str = "home map search profile settings login checkout payment cart order history details list item \
    product category filter sort favourite notification message help about privacy consent language theme account \
    security pin biometric transfer deposit loan bonus card balance receipt invoice delivery courier address branch \
    atm exchange rate currency news weather traffic route station stop ticket seat passenger booking calendar event \
    reminder camera gallery upload download share invite referral feedback rating review onboarding welcome splash \
    error offline retry update permission location glavnaya nastroyki oplata perevod dostavka zakaz poisk karta \
    tarif balans popolnenie spravka basty bet toleu audarym izdeu";

/// Numbers without a pattern, the same in every run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn from<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }

    fn text(&mut self, alphabet: &str, len: usize) -> String {
        let alphabet: Vec<char> = alphabet.chars().collect();
        (0..len).map(|_| alphabet[usize::try_from(self.below(alphabet.len() as u64)).unwrap()]).collect()
    }
}

fn capitalised(word: &str) -> String {
    word[..1].to_uppercase() + &word[1..]
}

/// A trade item number of Kazakhstan.
fn barcode(item: u64) -> String {
    let payload = format!("487{item:09}");
    let weighted =
        payload.bytes().zip([1, 3].into_iter().cycle()).map(|(digit, weight)| u32::from(digit - b'0') * weight);
    format!("{payload}{}", (10 - weighted.sum::<u32>() % 10) % 10)
}

/// A value as apps declare them, with the name of its pattern.
fn ordinary(pattern: u64, draw: &mut Draw) -> (&'static str, String) {
    let words: Vec<&str> = SCREENS.split_whitespace().collect();
    let (a, b, c) = (draw.from(&words), draw.from(&words), draw.from(&words));
    let n = draw.below(1000);
    let (year, month, day) = (2020 + draw.below(10), 1 + draw.below(12), 1 + draw.below(28));
    let (hour, minute, second) = (draw.below(24), draw.below(60), draw.below(60));
    let upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let geohash = "0123456789bcdefghjkmnpqrstuvwxyz";
    match pattern {
        0 => ("snake", format!("{a}_{b}_{c}")),
        1 => ("camel", format!("{a}{}{}Screen", capitalised(b), capitalised(c))),
        2 => ("pascal", format!("{}{}{}V2", capitalised(a), capitalised(b), capitalised(c))),
        3 => ("kebab", format!("{a}-{b}-{n}")),
        4 => ("path", format!("/{a}/{b}/{n}/{c}")),
        5 => ("upper", format!("{}_{}_{n}", a.to_uppercase(), b.to_uppercase())),
        6 => ("version", format!("{}.{}.{}", draw.below(20), draw.below(40), draw.below(100))),
        7 => (
            "v version",
            format!("v{}.{}.{}-beta.{}", draw.below(9), draw.below(40), draw.below(100), draw.below(20)),
        ),
        8 => ("build", format!("{}.{}.{} ({})", draw.below(9), draw.below(40), draw.below(9), draw.below(99_999))),
        9 => ("browser", format!("Chrome {}.0.{}.{}", 90 + draw.below(60), 4000 + draw.below(3000), draw.below(250))),
        10 => ("date", format!("{year}-{month:02}-{day:02}")),
        11 => ("local date", format!("{day:02}.{month:02}.{year}")),
        12 => ("instant", format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{n:03}+05:00")),
        13 => ("date and time", format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}")),
        14 => ("date range", format!("{day:02}.{month:02}.{year} - {:02}.{month:02}.{year}", day + 2)),
        15 => ("compact time", format!("{year}{month:02}{day:02}_{hour:02}{minute:02}{second:02}")),
        16 => ("week", format!("{year}-W{:02} {a}", 1 + draw.below(52))),
        17 => ("price", format!("{} {n:03} ₸", 1 + draw.below(999))),
        18 => ("price", format!("{} {n:03} {:03}.{:02} KZT", 1 + draw.below(99), draw.below(1000), draw.below(100))),
        19 => ("price", format!("{}.{:02} USD", draw.below(100_000), draw.below(100))),
        20 => (
            "price range",
            format!("{} {n:03} - {} {:03} ₸", 1 + draw.below(99), 100 + draw.below(99), draw.below(1000)),
        ),
        21 => ("product", format!("SKU-{:06}", draw.below(1_000_000))),
        22 => ("product", format!("{}-{:04}-{}", draw.text(upper, 2), draw.below(10_000), draw.text(upper, 2))),
        23 => ("product", format!("{}{}{}", draw.text(upper, 3), draw.below(1_000_000), draw.text(upper, 1))),
        24 => ("barcode", barcode(draw.below(1_000_000_000))),
        25 => ("model", format!("SM-{}{:03}{}", draw.text("AFGMSX", 1), n, draw.text("BEFNU", 1))),
        26 => ("clock", format!("{hour:02}:{minute:02}:{second:02}")),
        27 => ("duration", format!("{hour}h {minute}m {second}s")),
        28 => ("duration", format!("{} ms", draw.below(10_000_000))),
        29 => ("cell", draw.text(geohash, 5)),
        30 => ("cell", draw.text(geohash, 7)),
        31 => (
            "radio cell",
            format!("401-{:02}-{}-{}", 1 + draw.below(77), draw.below(65_536), draw.below(268_435_456)),
        ),
        32 => ("order", format!("№ {}", draw.below(1_000_000_000))),
        33 => ("unix time", format!("{}", 1_700_000_000 + draw.below(100_000_000))),
        34 => ("unix time", format!("{}{n:03}", 1_700_000_000 + draw.below(100_000_000))),
        35 => ("colour", format!("#{}", draw.text("0123456789abcdef", 6))),
        36 => ("commit", draw.text("0123456789abcdef", 8)),
        37 => ("error", format!("ERR_{}_{:04}", a.to_uppercase(), draw.below(10_000))),
        38 => ("error", format!("0x{}", draw.text("0123456789ABCDEF", 8))),
        39 => (
            "cyrillic",
            format!("{} {n}", draw.from(&["Экран оплаты", "Басты бет", "Тапсырыс №", "Корзина:", "Шаг"])),
        ),
        40 => ("sentence", format!("{} {b} {c}, step {}", capitalised(a), draw.below(20))),
        41 => ("ratio", format!("{}/{} ({}%)", draw.below(500), draw.below(500), draw.below(101))),
        42 => ("size", format!("{}x{}@{}x", 100 * draw.below(40), 100 * draw.below(40), 1 + draw.below(3))),
        43 => ("asset", format!("{a}_{b}@{}x.png", 1 + draw.below(3))),
        44 => ("bucket", format!("{}-{}", 100 * draw.below(1000), 100 * draw.below(10_000))),
        45 => ("experiment", format!("exp_{:05}_{a}:{}", draw.below(100_000), draw.text("abc", 1))),
        46 => (
            "coordinates",
            format!("{}.{}, {}.{}", 40 + draw.below(15), draw.below(10), 46 + draw.below(41), draw.below(10)),
        ),
        47 => (
            "zone",
            format!("UTC+{:02}:00 {}", draw.below(13), draw.from(&["Asia/Almaty", "Asia/Aqtobe", "Asia/Oral"])),
        ),
        48 => ("class", format!("kz.demo.app.{a}.{}{}Activity", capitalised(b), capitalised(c))),
        _ => (
            "android",
            format!("Android {} (API {}), {:02}.{:02}.{:02}", draw.below(16), n % 40, n % 30, month, year % 100),
        ),
    }
}

#[test]
fn ordinary_values_are_left_alone() {
    let mut draw = Draw(2026);
    let mut values = BTreeMap::new();
    for round in 0..700 {
        for pattern in 0..50 {
            let (name, value) = ordinary(pattern, &mut draw);
            values.insert(value, (name, round));
        }
    }
    assert!(values.len() >= 20_000, "{} values", values.len());
    let hits: Vec<_> = values.iter().filter_map(|(value, (name, _))| Some((name, value, detect(value)?))).collect();
    let share = hits.len() as f64 / values.len() as f64;
    // Shown by `cargo test -p tuman-privacy ordinary -- --nocapture`.
    std::println!("false positives: {} of {} ordinary values, {:.3} %", hits.len(), values.len(), 100.0 * share);
    assert!(share < 0.005, "{share}: {hits:?}");
}

#[test]
fn what_passes_for_plain_would_not_be_found_otherwise() {
    let mut draw = Draw(7);
    let (small, any) = ("abcdef_0123456789ghijklmnopqrstuvwxyz_abcdef", "abcdefABCDEF0123 --_xyzXYZ");
    let mut tried = 0;
    for round in 0..40_000 {
        let len = usize::try_from(draw.below(30)).unwrap();
        let text = draw.text(if round % 2 == 0 { small } else { any }, len);
        if is_plain(&text) {
            tried += 1;
            assert_eq!(search(&text, Setting::Anywhere), None, "{text}");
        }
    }
    assert!(tried > 5_000, "{tried}");
}

#[test]
fn other_numbers_and_names_are_left_alone() {
    let texts = [
        "+7 703",
        "2026-01-02 10:20:30",
        "31.01.2026-28.02.2026",
        "v1.2.3.4",
        "version 10.0.0.1",
        "SDK 1.2.3.4",
        "icon@2x.png",
        "std::fmt::Debug",
        "Face::Bad",
        "10:20:30",
        "deadbeef",
        "user@host",
        "@tuman",
        "a@b",
        "goToTheNextStepOfTheForm",
        "PaymentMethodSelectionScreenV2",
        "26-01-02-10-20-31",
        "401-01-12345-67890123",
        "999999999999....",
        "4870001234563",
        "lib@1.2.3",
        "1767312000000",
        "8 800",
        "1 299 990.00 ₸",
    ];
    for text in texts {
        assert_eq!(detect(text), None, "{text}");
    }
}

#[test]
fn four_numbers_with_dots_are_a_version_where_versions_belong() {
    for text in ["4.0.0.116", "10.0.0.1", "8.1.0.0", "v4.0.0.116-beta"] {
        assert_eq!(detect_in_version(text), None, "{text}");
    }
    for text in ["77012345678", "14 a@b.kz", "14.+77012345678", "2001:db8::17", "990101300122"] {
        assert!(detect_in_version(text).is_some(), "{text}");
    }
}

#[test]
fn a_huge_hostile_text_is_read_to_its_end() {
    for unit in ["1", "1 ", "a@", "(at)", "eyJ", ":", "1.", "a:", "a1", "٣", "2026-01-02 ", "+", "@a."] {
        let _ = detect(&unit.repeat(50_000));
    }
}

#[test]
fn names_are_distinct() {
    let names: alloc::collections::BTreeSet<_> = Detector::ALL.iter().map(|detector| detector.name()).collect();
    assert_eq!(names.len(), Detector::ALL.len());
}
