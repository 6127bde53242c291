//! What the detectors must find, whatever its spelling.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::Draw;
use crate::detect::{card, detect, iin, is_plain, kz_mobile};
use crate::identifier::luhn;

/// Puts separators of a usual spelling between the groups of a number.
fn spelt(number: &str, groups: &[usize], separators: &[&str]) -> String {
    let mut out = String::new();
    let mut rest = number;
    for (group, separator) in groups.iter().zip(separators.iter().cycle()) {
        let (digits, after) = rest.split_at((*group).min(rest.len()));
        out.push_str(digits);
        if !after.is_empty() {
            out.push_str(separator);
        }
        rest = after;
    }
    out + rest
}

/// The ways in which one text is disguised: digits of other scripts, invisible characters, words around it.
fn disguises(text: &str) -> Vec<String> {
    let shift = |first: u32, zero: u32| -> String {
        let shifted = |letter: char| match letter {
            '0'..='9' => char::from_u32(u32::from(letter) - 0x30 + zero).unwrap(),
            '!'..='~' if first != 0 => char::from_u32(u32::from(letter) - 0x21 + first).unwrap(),
            _ => letter,
        };
        text.chars().map(shifted).collect()
    };
    let hidden: String = text.chars().flat_map(|letter| [letter, '\u{200b}']).collect();
    Vec::from([
        String::from(text),
        shift(0, 0x660),
        shift(0, 0x966),
        shift(0, 0x1d7ce),
        shift(0xff01, 0xff10),
        hidden,
        text.replace('-', "\u{2011}").replace(' ', "\u{a0}"),
        format!("screen: {text}, retry"),
        format!("экран «{text}»."),
        format!("a={text}&b=2"),
    ])
}

fn assert_found(text: &str) {
    let all = disguises(text);
    let missed: Vec<_> = all.iter().filter(|disguise| detect(disguise).is_none()).collect();
    assert!(missed.is_empty(), "{missed:?}");
}

const SEPARATORS: [&[&str]; 8] = [&[" "], &["-"], &["."], &["_"], &[" - "], &["/"], &["\t"], &[" ", "-"]];

fn iin_of(birth: &str, rest: &str) -> Option<String> {
    let payload = format!("{birth}{rest}");
    let digits: Vec<u32> = payload.bytes().map(|digit| u32::from(digit - b'0')).collect();
    let round =
        |weights: [u32; 11]| digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum::<u32>() % 11;
    let check = match round([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]) {
        10 => round([3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2]),
        check => check,
    };
    (check < 10).then(|| format!("{payload}{check}"))
}

fn with_luhn(payload: &str) -> String {
    format!("{payload}{}", luhn(payload.as_bytes(), 10))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_iin_is_found_in_every_spelling(
        year in 0..100, month in 1..=12, day in 1..=28, rest in "[1-6][0-9]{4}", separators in 0_usize..8,
    ) {
        let Some(number) = iin_of(&format!("{year:02}{month:02}{day:02}"), &rest) else { return Ok(()) };
        for groups in [&[12][..], &[6, 6], &[2, 2, 2, 6], &[2, 2, 2, 1, 4, 1], &[3, 3, 3, 3], &[4, 4, 4], &[1; 12]] {
            prop_assert!(iin(&spelt(&number, groups, SEPARATORS[separators])));
            assert_found(&spelt(&number, groups, SEPARATORS[separators]));
        }
    }

    #[test]
    fn a_kazakh_mobile_is_found_in_every_spelling(
        prefix in prop::sample::select(&["700", "701", "702", "705", "706", "707", "708", "747", "771", "775", "776", "777", "778"][..]),
        rest in "[0-9]{7}", separators in 0_usize..8,
    ) {
        let (a, b, c) = (&rest[..3], &rest[3..5], &rest[5..]);
        let spellings = [
            format!("+7 ({prefix}) {a}-{b}-{c}"),
            format!("8({prefix}){a}{b}{c}"),
            format!("+7{prefix}{rest}"),
            format!("8{prefix}{rest}"),
            format!("007{prefix}{rest}"),
            format!("{prefix} {a} {b} {c}"),
            format!("tel:+7-{prefix}-{a}-{b}{c}"),
            spelt(&format!("7{prefix}{rest}"), &[1, 3, 3, 2, 2], SEPARATORS[separators]),
            spelt(&format!("8{prefix}{rest}"), &[1; 11], SEPARATORS[separators]),
        ];
        for spelling in spellings {
            prop_assert!(kz_mobile(&spelling), "{}", spelling);
            assert_found(&spelling);
        }
    }

    #[test]
    fn an_international_phone_is_found(number in "[1-9][0-9]{9,13}", separators in 0_usize..8) {
        for groups in [&[14][..], &[1, 3, 3, 4], &[2, 3, 2, 2, 2], &[3, 2, 3, 4]] {
            assert_found(&format!("+{}", spelt(&number, groups, SEPARATORS[separators])));
        }
    }

    #[test]
    fn an_imei_is_found_in_every_spelling(
        body in prop::sample::select(&["35", "86", "49", "01", "99", "45"][..]), rest in "[0-9]{12}", separators in 0_usize..8,
    ) {
        let number = with_luhn(&format!("{body}{rest}"));
        for groups in [&[15][..], &[2, 6, 6, 1], &[6, 2, 6, 1], &[8, 6, 1], &[3; 5], &[5; 3]] {
            assert_found(&spelt(&number, groups, SEPARATORS[separators]));
        }
    }

    #[test]
    fn a_card_is_found_in_every_spelling(
        prefix in prop::sample::select(&["4", "51", "55", "2221", "2720", "2200", "62", "3530", "6011", "8600", "9860"][..]),
        rest in "[0-9]{15}", separators in 0_usize..8,
    ) {
        let number = with_luhn(&format!("{prefix}{rest}")[..15]);
        for groups in [&[16][..], &[4; 4], &[8, 8], &[6, 10], &[2; 8], &[1; 16]] {
            prop_assert!(card(&spelt(&number, groups, SEPARATORS[separators])));
            assert_found(&spelt(&number, groups, SEPARATORS[separators]));
        }
        let amex = with_luhn(&format!("37{rest}")[..14]);
        assert_found(&spelt(&amex, &[4, 6, 5], SEPARATORS[separators]));
    }

    #[test]
    fn a_mac_is_found_in_every_spelling(id in "[0-9][a-f][0-9a-f]{9}[0-9]", upper in any::<bool>()) {
        let id = if upper { id.to_uppercase() } else { id };
        let pairs: Vec<&str> = (0..6).map(|pair| &id[2 * pair..2 * pair + 2]).collect();
        let fours = [&id[..4], &id[4..8], &id[8..]];
        for spelling in [pairs.join(":"), pairs.join("-"), pairs.join(" "), fours.join("."), id.clone()] {
            assert_found(&spelling);
            let cyrillic = spelling.replace('a', "а").replace('e', "е").replace('c', "с").replace('B', "В").replace('C', "С");
            assert_found(&cyrillic);
        }
    }

    #[test]
    fn an_email_is_found_in_every_spelling(
        local in "[a-z][a-z0-9._+-]{0,15}", domain in "[a-z0-9]{3,10}(\\.[a-z]{2,6}){1,2}", upper in any::<bool>(),
    ) {
        let text = format!("{local}@{domain}");
        let text = if upper { text.to_uppercase() } else { text };
        assert_found(&text);
        for at in [" @ ", "(at)", " [at] ", "%40"] {
            assert_found(&format!("{local}{at}{domain}"));
        }
        let cyrillic = text.replace('a', "а").replace('o', "о").replace('c', "с").replace('e', "е").replace('p', "р");
        assert_found(&cyrillic);
        assert_found(&format!("{local}(at){}", domain.replace('.', "[dot]")));
    }

    #[test]
    fn an_ip_address_is_found(four in any::<u32>(), six in any::<u128>(), port in 1_u16..) {
        let (four, six) = (core::net::Ipv4Addr::from(four), core::net::Ipv6Addr::from(six));
        assert_found(&format!("{four}"));
        assert_found(&format!("{four}:{port}"));
        assert_found(&format!("{six}"));
        assert_found(&format!("[{six}]:{port}"));
        assert_found(&format!("2001:db8::{port:x}"));
    }

    #[test]
    fn uuids_and_long_hex_are_found(id in "[0-9a-f]{32}", upper in any::<bool>()) {
        let id = if upper { id.to_uppercase() } else { id };
        let uuid = [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-");
        assert_found(&uuid);
        assert_found(&id);
        assert_found(&uuid.replace('a', "а").replace('e', "е"));
    }

    #[test]
    fn a_web_token_is_found(header in "[A-Za-z0-9_-]{10,40}", payload in "[A-Za-z0-9_-]{10,60}", signature in "[A-Za-z0-9_-]{0,43}") {
        assert_found(&format!("eyJ{header}.{payload}.{signature}"));
        assert_found(&format!("bearer_eyJ{header}.{payload}"));
    }

    #[test]
    fn any_text_gets_an_answer(text in prop_oneof![any::<String>(), "[0-9 .()+/-]{0,80}", "[0-9a-fA-F:.@-]{0,80}"]) {
        let found = detect(&text);
        prop_assert!(!is_plain(&text) || found.is_none());
    }
}

#[test]
fn a_phone_grouped_like_a_radio_cell_is_found() {
    assert_found("+100-00-260-00");
}

#[test]
fn an_address_at_the_end_of_a_sentence_is_found() {
    for text in ["from 10.20.30.40...", "...10.20.30.40", "2001:db8::17.", "2001:db8::17:", "mail a.b@c.kz."] {
        assert_found(text);
    }
}

#[test]
fn random_base64_is_found() {
    let mut draw = Draw(64);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let missed = (0..5_000).filter(|_| detect(&draw.text(alphabet, 43)).is_none()).count();
    assert!(missed <= 5, "{missed} of 5000");
}
