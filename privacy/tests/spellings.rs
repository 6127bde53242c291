//! What must hold of identifiers, tokens and keys beside the published vectors.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed test panics")]

use std::collections::HashSet;

use proptest::prelude::*;
use tuman_privacy::identifier::{Canonical, Choice, Invalid, Kind, NoToken, Unusable, canonicalise, choose};
use tuman_privacy::token::{DayKey, Purpose, Ratchet, Tokeniser};

fn form(id: &Canonical) -> String {
    String::from_utf8(id.expose().to_vec()).unwrap()
}

fn canonical(kind: Kind, input: &str) -> String {
    form(&canonicalise(kind, input).unwrap())
}

#[test]
fn mixing_changes_the_days_to_come_and_depends_on_state_and_entropy() {
    let mixed = |state: u8, entropy: &[u8]| {
        let mut ratchet = Ratchet::take(&mut [state; 32]);
        ratchet.mix(entropy);
        *ratchet.expose()
    };
    let mut advanced = Ratchet::take(&mut [1; 32]);
    let day_key = *advanced.day_key().expose();
    advanced.advance();
    let all = [
        [1; 32],
        day_key,
        *advanced.expose(),
        mixed(1, b""),
        mixed(1, b"a"),
        mixed(1, b"b"),
        mixed(2, b"a"),
        // Entropy that spells out the other derivations must not turn into them.
        mixed(1, b"tuman/v1/day-key\x01"),
        mixed(1, b"tuman/v1/ratchet\x01"),
    ];
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
    assert_eq!(mixed(1, b"a"), mixed(1, b"a"));
}

#[test]
fn a_key_is_wiped_where_it_was_taken_from() {
    let mut source = [7; 32];
    let _key = DayKey::take(&mut source);
    assert_eq!(source, [0; 32]);
    let mut source = [7; 32];
    let _ratchet = Ratchet::take(&mut source);
    assert_eq!(source, [0; 32]);
}

#[test]
fn four_spellings_of_one_imei_are_one_token() {
    let tokeniser = Tokeniser::new(&DayKey::take(&mut [3; 32]));
    let spellings = ["490154203237518", "49-015420-323751-8", "49015420323751", "4901542032375102"];
    let tokens: HashSet<_> = spellings
        .map(|input| tokeniser.token("kz.demo.app", Purpose::Usage, &canonicalise(Kind::Imei, input).unwrap()))
        .into();
    assert_eq!(tokens.len(), 1);
}

#[test]
fn a_meid_in_hex_and_in_decimal_is_one_token() {
    let tokeniser = Tokeniser::new(&DayKey::take(&mut [3; 32]));
    let spellings = ["AF01 2345 0abcdeC", "AF0123450ABCDE", "293608736500703710", "29360 87365 0070 3710 0"];
    let tokens: HashSet<_> = spellings
        .map(|input| tokeniser.token("kz.demo.app", Purpose::Usage, &canonicalise(Kind::Meid, input).unwrap()))
        .into();
    assert_eq!(tokens.len(), 1);
}

#[test]
fn a_decimal_meid_in_the_range_of_imeis_is_refused_like_its_hex_form() {
    // 0x99000123 and 0x456789 in decimal.
    assert_eq!(why(Kind::Meid, "256691433904548489"), Unusable::Invalid(Invalid::AllDecimal));
}

#[test]
fn day_app_purpose_and_kind_each_change_the_token() {
    let id = canonicalise(Kind::Gaid, "ea7583cda66748bcb80642ecb2b48606").unwrap();
    let same_form = canonicalise(Kind::Idfa, "ea7583cda66748bcb80642ecb2b48606").unwrap();
    let today = Tokeniser::new(&DayKey::take(&mut [1; 32]));
    let tomorrow = Tokeniser::new(&DayKey::take(&mut [2; 32]));
    let long = "a".repeat(70_000);
    let tokens = [
        today.token("a", Purpose::Usage, &id),
        today.token("a", Purpose::Location, &id),
        today.token("ab", Purpose::Usage, &id),
        today.token("a", Purpose::Usage, &same_form),
        today.token(&long, Purpose::Usage, &id),
        tomorrow.token("a", Purpose::Usage, &id),
    ];
    assert_eq!(HashSet::from(tokens).len(), tokens.len());
}

#[test]
fn nothing_shows_its_value_when_printed() {
    let key = DayKey::take(&mut [0xab; 32]);
    let tokeniser = Tokeniser::new(&key);
    let id = canonicalise(Kind::Imei, "490154203237518").unwrap();
    let token = tokeniser.token("kz.demo.app", Purpose::Usage, &id);
    assert_eq!(format!("{id:?}"), "Canonical(imei, redacted)");
    assert_eq!(format!("{key:?}"), "DayKey(redacted)");
    assert_eq!(format!("{tokeniser:?}"), "Tokeniser(redacted)");
    assert_eq!(format!("{token:?}"), "Token(redacted)");
    assert_eq!(format!("{:?}", Ratchet::take(&mut [0xab; 32])), "Ratchet(redacted)");
    let chosen = choose([(Kind::Imei, "490154203237518")]);
    assert_eq!(format!("{chosen:?}"), "Ok(Chosen(Canonical(imei, redacted)))");
    let refused = choose([(Kind::Imei, "354178036859781")]).unwrap_err();
    assert_eq!(refused.to_string(), "identifier 0: wrong check digit");
}

#[test]
fn names_of_kinds_are_their_own_inverse_and_in_order_of_precedence() {
    assert!(Kind::ALL.is_sorted());
    assert!(Kind::ALL.iter().all(|kind| Kind::from_name(kind.name()) == Some(*kind)));
    assert_eq!(Kind::from_name("IMEI"), None);
}

fn why(kind: Kind, input: &str) -> Unusable {
    canonicalise(kind, input).unwrap_err()
}

#[test]
fn a_shared_imei_is_junk_in_every_spelling() {
    for input in ["00000000000000", "0000000000000000", "00-499901-064000-0", "01234567891234", "3582400511111101"] {
        assert_eq!(why(Kind::Imei, input), Unusable::Junk, "{input}");
    }
}

#[test]
fn separators_that_a_kind_does_not_know_are_refused() {
    let separators = Unusable::Invalid(Invalid::Separators);
    for input in ["001a-2b3c-4d5e", "00:1A:2B:3C:4D5E", ":001A2B3C4D5E", "001A2B3C4D5E-", "00.1a.2b.3c.4d.5e"] {
        assert_eq!(why(Kind::Mac, input), separators, "{input}");
    }
    for input in [
        "ea7583cd-a66748bcb80642ecb2b48606",
        "-ea7583cda66748bcb80642ecb2b48606",
        "ea7583cda-667-48bc-b806-42ecb2b48606",
    ] {
        assert_eq!(why(Kind::Gaid, input), separators, "{input}");
    }
}

#[test]
fn the_nil_uuid_is_an_opt_out_only_of_advertising_ids() {
    let nil = "00000000-0000-0000-0000-000000000000";
    assert_eq!(why(Kind::Gaid, nil), Unusable::OptedOut);
    assert_eq!(why(Kind::Idfa, &nil.replace('-', "")), Unusable::OptedOut);
    assert_eq!(why(Kind::InstallId, nil), Unusable::Junk);
    assert_eq!(why(Kind::Idfv, nil), Unusable::Junk);
}

const NIL: &str = "00000000-0000-0000-0000-000000000000";
const UUID: &str = "ea7583cd-a667-48bc-b806-42ecb2b48606";
const IMEI: &str = "490154203237518";

fn chosen_kind(ids: &[(Kind, &str)]) -> Kind {
    match choose(ids.iter().copied()).unwrap() {
        Choice::Chosen(id) => id.kind(),
        Choice::NoToken(why) => panic!("no token: {why:?}"),
    }
}

fn no_token(ids: &[(Kind, &str)]) -> NoToken {
    match choose(ids.iter().copied()).unwrap() {
        Choice::Chosen(id) => panic!("{id:?}"),
        Choice::NoToken(why) => why,
    }
}

#[test]
fn the_first_valid_identifier_by_precedence_is_chosen() {
    assert_eq!(chosen_kind(&[(Kind::Imei, IMEI), (Kind::InstallId, UUID)]), Kind::InstallId);
    assert_eq!(chosen_kind(&[(Kind::InstallId, "broken"), (Kind::Imei, IMEI)]), Kind::Imei);
    assert_eq!(chosen_kind(&[(Kind::Imei, IMEI), (Kind::AndroidId, "9774d56d682e549c")]), Kind::Imei);
    assert_eq!(chosen_kind(&[(Kind::Gaid, NIL), (Kind::InstallId, UUID)]), Kind::InstallId);
    let two = choose([(Kind::Gaid, UUID), (Kind::Gaid, "38400000-8cf0-11bd-b23e-10b96e40000d")]);
    assert!(matches!(two, Ok(Choice::Chosen(id)) if form(&id) == UUID));
}

#[test]
fn an_opt_out_keeps_hardware_identifiers_from_standing_in() {
    assert_eq!(no_token(&[(Kind::Imei, IMEI), (Kind::Idfa, NIL)]), NoToken::OptedOut);
    assert_eq!(no_token(&[(Kind::InstallId, "broken"), (Kind::Gaid, NIL), (Kind::Mac, "?")]), NoToken::OptedOut);
}

#[test]
fn without_a_valid_identifier_there_is_a_reason_or_an_error() {
    assert_eq!(no_token(&[]), NoToken::None);
    assert_eq!(no_token(&[(Kind::Mac, "DA:A1:19:12:34:56")]), NoToken::Randomised);
    assert_eq!(no_token(&[(Kind::Mac, "DA:A1:19:12:34:56"), (Kind::Imei, "000000000000000")]), NoToken::Junk);
    let refused = choose([(Kind::Mac, "?"), (Kind::Imei, "000000000000000"), (Kind::Meid, "8016B128")]).unwrap_err();
    assert_eq!((refused.index, refused.reason), (2, Invalid::PseudoEsn));
}

fn luhn_digit(payload: &str, base: u32) -> char {
    let mut sum = 0;
    for (place, digit) in payload.chars().rev().enumerate() {
        let weighted = digit.to_digit(16).unwrap() * if place % 2 == 0 { 2 } else { 1 };
        sum += weighted / base + weighted % base;
    }
    char::from_digit((base - sum % base) % base, base).unwrap()
}

/// Scatters separators over a text, before each of its characters where the pattern says so.
fn scatter(text: &str, pattern: &[u8]) -> String {
    let mut out = String::new();
    for (character, separator) in text.chars().zip(pattern.iter().cycle()) {
        match separator {
            0 => out.push(' '),
            1 => out.push('-'),
            _ => {}
        }
        out.push(character);
    }
    out
}

/// Upper-cases the characters that the pattern picks.
fn recase(text: &str, pattern: &[bool]) -> String {
    let pick = |(character, upper): (char, &bool)| {
        if *upper { character.to_ascii_uppercase() } else { character }
    };
    text.chars().zip(pattern.iter().cycle()).map(pick).collect()
}

proptest! {
    #[test]
    fn every_spelling_of_an_imei_is_one_form(
        id in "[1-9][0-9]{13}", version in "[0-9]{2}", pattern in prop::collection::vec(0_u8..6, 1..20),
    ) {
        let check = luhn_digit(&id, 10);
        for spelling in [id.clone(), format!("{id}{check}"), format!("{id}{version}")] {
            prop_assert_eq!(canonical(Kind::Imei, &scatter(&spelling, &pattern)), id.as_str());
        }
    }

    #[test]
    fn every_spelling_of_a_meid_is_one_form(
        id in "[A-F][0-9A-F]{13}", pattern in prop::collection::vec(0_u8..6, 1..20), case in prop::collection::vec(any::<bool>(), 1..9),
    ) {
        let manufacturer = u32::from_str_radix(&id[..8], 16).unwrap();
        let serial = u32::from_str_radix(&id[8..], 16).unwrap();
        let decimal = format!("{manufacturer:010}{serial:08}");
        let hex = recase(&id.to_ascii_lowercase(), &case);
        let spellings = [
            format!("{hex}{}", luhn_digit(&id, 16)),
            format!("{decimal}{}", luhn_digit(&decimal, 10)),
            hex,
            decimal,
        ];
        for spelling in spellings {
            prop_assert_eq!(canonical(Kind::Meid, &scatter(&spelling, &pattern)), id.as_str());
        }
    }

    #[test]
    fn every_spelling_of_a_mac_is_one_form(
        id in "[0-9a-f][048c][0-9a-f]{9}[1-9a-f]", case in prop::collection::vec(any::<bool>(), 1..9),
    ) {
        let pairs: Vec<&str> = (0..6).map(|pair| &id[2 * pair..2 * pair + 2]).collect();
        let cisco = format!("{}.{}.{}", &id[..4], &id[4..8], &id[8..]);
        for spelling in [id.clone(), pairs.join(":"), pairs.join("-"), cisco] {
            prop_assert_eq!(canonical(Kind::Mac, &recase(&spelling, &case)), id.as_str());
        }
    }

    #[test]
    fn every_spelling_of_an_android_id_is_one_form(
        id in "0{0,3}[1-8a-f][0-9a-f]{12}", case in prop::collection::vec(any::<bool>(), 1..9),
    ) {
        let padded = format!("{id:0>16}");
        for spelling in [padded.as_str(), id.as_str(), id.trim_start_matches('0')] {
            prop_assert_eq!(canonical(Kind::AndroidId, &recase(spelling, &case)), padded.as_str());
        }
    }

    #[test]
    fn every_spelling_of_a_uuid_is_one_form(
        id in "[1-9a-e][0-9a-f]{7}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", case in prop::collection::vec(any::<bool>(), 1..9),
    ) {
        for kind in [Kind::InstallId, Kind::Idfv, Kind::Gaid, Kind::Idfa] {
            for spelling in [id.clone(), id.replace('-', "")] {
                prop_assert_eq!(canonical(kind, &recase(&spelling, &case)), id.as_str());
            }
        }
    }

    #[test]
    fn no_wrong_check_digit_gives_a_form(imei in "[0-9]{14}", meid in "[A-F][0-9A-F]{13}", off in 1_u32..16) {
        let wrong = |payload: &str, base: u32| {
            let right = luhn_digit(payload, base).to_digit(base).unwrap();
            let check = char::from_digit((right + 1 + off % (base - 1)) % base, base).unwrap();
            format!("{payload}{check}")
        };
        let manufacturer = u32::from_str_radix(&meid[..8], 16).unwrap();
        let serial = u32::from_str_radix(&meid[8..], 16).unwrap();
        prop_assert!(canonicalise(Kind::Imei, &wrong(&imei, 10)).is_err());
        prop_assert_eq!(why(Kind::Meid, &wrong(&meid, 16)), Unusable::Invalid(Invalid::CheckDigit));
        let decimal = format!("{manufacturer:010}{serial:08}");
        prop_assert_eq!(why(Kind::Meid, &wrong(&decimal, 10)), Unusable::Invalid(Invalid::CheckDigit));
    }

    #[test]
    fn any_text_gets_an_answer_and_a_form_has_the_shape_of_its_kind(
        input in prop_oneof![any::<String>(), "[0-9a-fA-F :.-]{0,70}", "[0-9]{8,20}", "\\PC{30,90}"],
    ) {
        for kind in Kind::ALL {
            let Ok(id) = canonicalise(kind, &input) else { continue };
            let form = id.expose();
            let all = |allowed: &[u8]| form.iter().all(|byte| allowed.contains(byte));
            let well_shaped = match kind {
                Kind::Imei => form.len() == 14 && all(b"0123456789"),
                Kind::Meid => form.len() == 14 && all(b"0123456789ABCDEF"),
                Kind::Mac => form.len() == 12 && all(b"0123456789abcdef"),
                Kind::AndroidId => form.len() == 16 && all(b"0123456789abcdef"),
                _ => form.len() == 36 && all(b"0123456789abcdef-"),
            };
            prop_assert!(well_shaped);
        }
    }
}
