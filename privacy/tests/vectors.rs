//! The published vectors: every entry, as any SDK in any language can try it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed test panics")]

use serde_json::Value;
use tuman_privacy::detect::{Detector, card, detect, iin, kz_mobile};
use tuman_privacy::identifier::{Invalid, Kind, Unusable, canonicalise};
use tuman_privacy::suppression::{TagBits, Tagger};
use tuman_privacy::token::{DayKey, Purpose, Ratchet, Tokeniser};

const IDENTIFIERS: &str = include_str!("../../sdk-spec/vectors/identifiers.json");
const DETECTORS: &str = include_str!("../../sdk-spec/vectors/detectors.json");
const TOKENS: &str = include_str!("../../sdk-spec/vectors/tokens.json");

fn parsed(vectors: &str) -> Value {
    serde_json::from_str(vectors).unwrap()
}

fn text<'a>(entry: &'a Value, field: &str) -> &'a str {
    entry[field].as_str().unwrap()
}

fn bytes(entry: &Value, field: &str) -> [u8; 32] {
    hex::decode(text(entry, field)).unwrap().try_into().unwrap()
}

/// What the vectors say of an outcome, in our types.
fn expected(result: &str) -> Result<String, Unusable> {
    let Some((class, why)) = result.split_once(": ") else {
        return if result == "junk" { Err(Unusable::Junk) } else { Ok(result.to_owned()) };
    };
    let invalid = match why {
        "locally administered" => return Err(Unusable::Randomised),
        "opted out" => return Err(Unusable::OptedOut),
        "length" | "31 hex digits" => Invalid::Length,
        "not an ASCII digit" | "not hex" => Invalid::Character,
        "mixed separators" => Invalid::Separators,
        "manufacturer part over 32 bits" => Invalid::ManufacturerPart,
        "serial part over 24 bits" => Invalid::SerialPart,
        "all-decimal, an IMEI range" => Invalid::AllDecimal,
        "pseudo-ESN" => Invalid::PseudoEsn,
        other if other.starts_with("check digit should be") => Invalid::CheckDigit,
        other => panic!("the vectors give a reason that this test does not know: {other}"),
    };
    assert_eq!(class, "invalid");
    Err(Unusable::Invalid(invalid))
}

#[test]
fn every_identifier_vector_holds() {
    let vectors = parsed(IDENTIFIERS);
    let mut tried = 0;
    for (name, entries) in vectors["kinds"].as_object().unwrap() {
        let kind = Kind::from_name(name).unwrap();
        for entry in entries.as_array().unwrap() {
            let got =
                canonicalise(kind, text(entry, "input")).map(|id| String::from_utf8(id.expose().to_vec()).unwrap());
            assert_eq!(got, expected(text(entry, "result")), "{name}: {entry}");
            tried += 1;
        }
    }
    assert_eq!(tried, 47);
}

#[test]
fn every_detector_vector_holds() {
    let vectors = parsed(IDENTIFIERS);
    let mut tried = 0;
    for (name, entries) in vectors["detectors"].as_object().unwrap() {
        let is_such = match name.as_str() {
            "iin" => iin,
            "kz_mobile" => kz_mobile,
            "card" => card,
            other => panic!("the vectors name a detector that this test does not know: {other}"),
        };
        for entry in entries.as_array().unwrap() {
            let input = text(entry, "input");
            let hit = entry["hit"].as_bool().unwrap();
            assert_eq!(is_such(input), hit, "{name}: {entry}");
            assert!(!hit || detect(input).is_some(), "{name}: {entry}");
            tried += 1;
        }
    }
    assert_eq!(tried, 12);
}

#[test]
fn every_text_with_personal_data_is_found_and_no_other() {
    let vectors = parsed(DETECTORS);
    let of = |name: &str| Detector::ALL.into_iter().find(|detector| detector.name() == name).unwrap();
    let mut wrong = Vec::new();
    for (name, entries) in vectors["detectors"].as_object().unwrap() {
        for entry in entries.as_array().unwrap() {
            let expected = entry["hit"].as_bool().unwrap().then(|| of(name));
            let found = detect(text(entry, "input"));
            if found != expected {
                wrong.push(format!("{name}: {entry}: {found:?}"));
            }
        }
        let hits = entries.as_array().unwrap().iter().filter(|entry| entry["hit"] == true).count();
        assert!(hits >= 6 && entries.as_array().unwrap().len() >= hits + 3, "{name}");
    }
    for entry in vectors["out_of_scope"].as_array().unwrap() {
        if let Some(found) = detect(text(entry, "input")) {
            wrong.push(format!("out of scope, yet found: {entry}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(vectors["detectors"].as_object().unwrap().len(), Detector::ALL.len());
}

/// The ways in which a text reaches a report otherwise than it was written.
fn disguises(text: &str) -> Vec<(&'static str, String)> {
    let digits = |zero: u32| -> String {
        let shift = |letter: char| match letter {
            '0'..='9' => char::from_u32(u32::from(letter) - 0x30 + zero).unwrap(),
            _ => letter,
        };
        text.chars().map(shift).collect()
    };
    let full_width = text.chars().map(|letter| match letter {
        '!'..='~' => char::from_u32(u32::from(letter) - 0x21 + 0xff01).unwrap(),
        ' ' => '\u{3000}',
        _ => letter,
    });
    let look_alike = text.chars().map(|letter| match letter {
        'a' => 'а',
        'e' => 'е',
        'o' => 'о',
        'p' => 'р',
        'c' => 'с',
        'x' => 'х',
        'A' => 'А',
        'B' => 'В',
        'C' => 'С',
        'E' => 'Е',
        _ => letter,
    });
    let encoded = |all: bool| -> String {
        let encode = |byte: u8| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' if !all => char::from(byte).to_string(),
            _ => format!("%{byte:02x}"),
        };
        text.bytes().map(encode).collect()
    };
    let with = |from: &[&str], to: &str| from.iter().fold(text.to_owned(), |text, from| text.replace(from, to));
    let around = [
        ("as it is", text.into()),
        ("in a sentence", format!("экран «{text}», қайта")),
        ("in a query", format!("?a={text}&b=2")),
        ("in JSON", format!("{{\"a\":\"{text}\"}}")),
        ("in parentheses", format!("({text})")),
        ("in a list", format!("home, {text}, map")),
    ];
    if text.contains('%') {
        // An encoding in another, or in other scripts, is out of scope.
        return around.into();
    }
    let of_characters = [
        ("full width", full_width.collect()),
        ("Arabic digits", digits(0x660)),
        ("Devanagari digits", digits(0x966)),
        ("mathematical digits", digits(0x1d7ce)),
        ("Cyrillic look-alikes", look_alike.collect()),
        ("zero-width spaces", text.chars().flat_map(|letter| [letter, '\u{200b}']).collect()),
        ("direction marks", format!("\u{202a}{text}\u{202c}")),
        ("no-break spaces", with(&[" "], "\u{a0}")),
        ("other hyphens", with(&["-"], "\u{2011}")),
        ("line breaks", with(&[" "], "\n")),
        ("percent-encoded", encoded(false)),
        ("percent-encoded throughout", encoded(true)),
    ];
    around.into_iter().chain(of_characters).collect()
}

#[test]
fn every_text_with_personal_data_is_found_in_every_disguise() {
    let vectors = parsed(DETECTORS);
    let mut tried = 0;
    let mut missed = Vec::new();
    for (name, entries) in vectors["detectors"].as_object().unwrap() {
        for entry in entries.as_array().unwrap().iter().filter(|entry| entry["hit"] == true) {
            for (disguise, spelling) in disguises(text(entry, "input")) {
                tried += 1;
                if detect(&spelling).is_none() {
                    missed.push(format!("{name}, {disguise}: {spelling}"));
                }
            }
        }
    }
    assert!(missed.is_empty(), "{} of {tried}: {missed:#?}", missed.len());
    assert!(tried > 1_500, "{tried}");
}

#[test]
fn every_token_vector_holds() {
    let vectors = parsed(TOKENS);
    let entries = vectors["tokens"].as_array().unwrap();
    assert_eq!(entries.len(), 6);
    for entry in entries {
        let tokeniser = Tokeniser::new(&DayKey::take(&mut bytes(entry, "key_hex")));
        let id = canonicalise(Kind::from_name(text(entry, "kind")).unwrap(), text(entry, "canonical")).unwrap();
        for (purpose, field) in [(Purpose::Usage, "usage"), (Purpose::Location, "location")] {
            let token = tokeniser.token(text(entry, "app"), purpose, &id);
            assert_eq!(format!("{:016x}", token.get()), text(entry, field), "{entry}");
        }
    }
}

#[test]
fn every_tag_vector_holds() {
    let vectors = parsed(TOKENS);
    let entries = vectors["suppression"]["tags"].as_array().unwrap();
    assert_eq!(entries.len(), 6);
    for entry in entries {
        let id = canonicalise(Kind::from_name(text(entry, "kind")).unwrap(), text(entry, "canonical")).unwrap();
        for (bits, field) in [(12, "tag_12"), (20, "tag_20"), (24, "tag_24")] {
            let tagger = Tagger::take(&mut bytes(entry, "key_hex"), TagBits::new(bits).unwrap());
            assert_eq!(u64::from(tagger.tag(&id).get()), entry[field].as_u64().unwrap(), "{entry}");
        }
    }
}

#[test]
fn every_step_of_the_ratchet_vector_holds() {
    let vectors = parsed(TOKENS);
    let steps = vectors["ratchet"]["steps"].as_array().unwrap();
    let mut ratchet = Ratchet::take(&mut bytes(&steps[0], "state_hex"));
    for step in steps {
        assert_eq!(ratchet.expose(), &bytes(step, "state_hex"));
        assert_eq!(ratchet.day_key().expose(), &bytes(step, "key_hex"));
        ratchet.advance();
    }
}

#[test]
fn the_vector_of_fresh_entropy_holds() {
    let vectors = parsed(TOKENS);
    let mix = &vectors["ratchet"]["mix"];
    let mut ratchet = Ratchet::take(&mut bytes(mix, "state_hex"));
    assert_eq!(hex::encode(ratchet.check()), mix["check_hex"].as_str().unwrap());
    ratchet.mix(&bytes(mix, "entropy_hex"));
    assert_eq!(ratchet.expose(), &bytes(mix, "mixed_state_hex"));
    assert_eq!(hex::encode(ratchet.check()), mix["mixed_check_hex"].as_str().unwrap());
    assert_eq!(ratchet.day_key().expose(), &bytes(mix, "mixed_key_hex"));
    ratchet.advance();
    assert_eq!(ratchet.expose(), &bytes(mix, "next_state_hex"));
}
