//! Attack A: hash every identifier that could have been, and look for it in a dump.
//!
//! The attacker knows everything but the keys: the app, the days, how tokens are made. They try plain hashes with the usual
//! salts, whole or cut to any eight bytes, and every run of 32 bytes in the dump as a key: their own phone was among those
//! that reported, so that a key shows itself by that phone's token.

use std::collections::HashSet;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha1::Digest;
use sha2::Sha256;
use tuman::clock::date_of;
use tuman_privacy::identifier::{Kind, canonicalise};
use tuman_privacy::token::{DayKey, Purpose, Tokeniser};

use super::remains::Remains;
use super::windows::{Windows, decoded};
use super::{Beside, Success, say, sized, told};
use crate::harness::{APP, DAY_MS, NOW_MS, TestApp, logged, report};

/// Candidates: half IMEIs of one model, half hardware addresses of one maker.
fn candidates() -> usize {
    sized(2_000, 1_000_000)
}

/// How many of them are phones that reported.
fn planted() -> usize {
    sized(60, 400)
}

/// The identifier with this number among the candidates.
fn candidate(number: usize) -> (Kind, String) {
    if number.is_multiple_of(2) {
        let body = format!("35693803{:06}", number / 2);
        return (Kind::Imei, format!("{body}{}", check_digit(&body)));
    }
    let digits = format!("3c5ab4{:06x}", number / 2);
    let pairs: Vec<&str> = (0..6).map(|pair| &digits[2 * pair..2 * pair + 2]).collect();
    (Kind::Mac, pairs.join(":"))
}

/// The numbers of the planted ones.
fn phones() -> impl Iterator<Item = usize> {
    // One more than half a step, so that both kinds are among them.
    let step = candidates() / planted();
    (0..planted()).map(move |phone| phone * step + phone % 2)
}

fn check_digit(body: &str) -> u32 {
    let digits = body.bytes().rev().map(|digit| u32::from(digit - b'0')).enumerate();
    let sum: u32 = digits.map(|(at, digit)| if at % 2 == 0 { digit * 2 / 10 + digit * 2 % 10 } else { digit }).sum();
    (10 - sum % 10) % 10
}

async fn report_all(app: &TestApp) {
    for (at, number) in phones().enumerate() {
        // Some are in the store when the dump is taken, the others still in the spool.
        if at == planted() / 2 {
            app.drain().await;
        }
        let (kind, value) = candidate(number);
        let upload = report().with("/device/ids", json!([{ "kind": kind.name(), "value": value }]));
        assert_eq!(app.collect(upload).await.json()["accepted"], 1);
    }
}

#[actix_web::test]
async fn a_sealed_day_is_not_cracked() {
    let before = logged().len();
    let app = TestApp::start().await;
    report_all(&app).await;
    let day = app.app.zone.day(NOW_MS);
    app.clock.advance(DAY_MS);
    app.app.sealer.seal(day).await.unwrap();
    let remains = Remains::of(&app, before).await;
    let attack = Attack::on(&remains);
    say(&format!("attack A: {} bytes of dump, {} keys tried", remains.size(), attack.keys_tried));
    assert!(attack.keys.is_empty());
    told("A, a sealed day", attack.crack(), &beside(&remains));
}

#[actix_web::test]
async fn an_open_day_is_cracked_with_its_key_and_not_without() {
    let before = logged().len();
    let app = TestApp::start().await;
    report_all(&app).await;
    let remains = Remains::of(&app, before).await;
    let beside = beside(&remains);
    let without = Attack::on(&remains.without_keys(&app));
    assert!(without.keys.is_empty());
    told("A, an open day, its key away", without.crack(), &beside);
    // Pseudonymous as long as the key exists: whoever has both the rows and the key finds every device. It also shows that
    // the attack knows a key and a token when it sees them.
    let with = Attack::on(&remains);
    assert_eq!(with.keys.len(), 1);
    let key = std::fs::read(app.app.config.paths.keys.join(format!("{}.key", date_of(app.app.zone.day(NOW_MS)))));
    assert_eq!(with.keys[0].to_vec(), key.unwrap());
    let cracked = with.crack();
    say(&format!("attack A, an open day and its key: {cracked}; until the seal, rows are pseudonymous and no more"));
    assert_eq!(cracked.hits, cracked.tries);
}

/// A guess at each phone, and the dump with a column of plain hashes.
fn beside(remains: &Remains) -> Beside {
    let mut column = Vec::new();
    for number in phones() {
        let (kind, value) = candidate(number);
        let digest = Sha256::digest(canonicalise(kind, &value).unwrap().expose());
        // As a token would be: eight bytes, the least first.
        column.extend(digest[..8].iter().rev());
    }
    let mut pieces = remains.pieces.clone();
    pieces.push(("a column of plain hashes".into(), column));
    let control = Attack::on(&Remains { pieces }).crack();
    Beside { chance: 1.0 / candidates() as f64, bound: 0.0, control }
}

struct Attack {
    windows: Windows,
    /// Runs of 32 bytes under which the attacker's own phone has a token that is in the dump.
    keys: Vec<[u8; 32]>,
    keys_tried: usize,
}

impl Attack {
    fn on(remains: &Remains) -> Attack {
        let windows = Windows::of(remains.bytes());
        let possible = possible_keys(remains);
        let (kind, value) = candidate(phones().next().unwrap());
        let known = forms(kind, &value).remove(0);
        let mut keys = Vec::new();
        for key in &possible {
            if windows.holds(token(key, Purpose::Usage, kind, &known)) {
                keys.push(*key);
            }
        }
        Attack { windows, keys, keys_tried: possible.len() }
    }

    /// How many of the phones that reported are found among the candidates.
    fn crack(&self) -> Success {
        let planted: HashSet<usize> = phones().collect();
        let mut found = HashSet::new();
        for number in 0..candidates() {
            let (kind, value) = candidate(number);
            let forms = forms(kind, &value);
            let canonical = &forms[0];
            let under_a_key = self.keys.iter().any(|key| {
                [Purpose::Usage, Purpose::Location]
                    .iter()
                    .any(|purpose| self.windows.holds(token(key, *purpose, kind, canonical)))
            });
            if under_a_key || forms.iter().any(|form| self.holds_a_hash_of(form)) {
                assert!(planted.contains(&number), "a phone was found that never reported");
                found.insert(number);
            }
        }
        Success { hits: found.len() as u64, tries: planted.len() as u64 }
    }

    /// Whether the dump holds a plain or salted hash of a text, whole or any eight bytes of it.
    fn holds_a_hash_of(&self, text: &[u8]) -> bool {
        let day = date_of(tuman_privacy::time::Day(u16::try_from(NOW_MS / DAY_MS).unwrap())).to_string();
        let salts: [&[u8]; 4] = [b"", APP.as_bytes(), day.as_bytes(), b"tuman/v1/device-token"];
        for (at, salt) in salts.iter().enumerate() {
            let salted = [salt, text].concat();
            let mut texts = vec![salted];
            if at > 0 {
                texts.push([text, salt].concat());
            }
            for text in &texts {
                if self.windows.hold_part_of(&Sha256::digest(text))
                    || self.windows.hold_part_of(&sha1::Sha1::digest(text))
                    || self.windows.hold_part_of(&md5::Md5::digest(text))
                {
                    return true;
                }
            }
            if self.windows.hold_part_of(&mac(salt, &[text])) {
                return true;
            }
        }
        // A purpose in the place of a salt, and a key that was never set.
        let lengthy = |purpose: Purpose| token(&[0; 32], purpose, Kind::Imei, text);
        [Purpose::Usage, Purpose::Location].iter().any(|purpose| self.windows.holds(lengthy(*purpose)))
    }
}

/// An identifier as it is hashed by this collector, and as others would hash it.
fn forms(kind: Kind, value: &str) -> Vec<Vec<u8>> {
    let compact = value.replace(':', "");
    let mut forms = match kind {
        Kind::Imei => vec![compact[..14].to_owned(), value.to_owned()],
        _ => vec![compact.clone(), value.to_owned(), compact.to_uppercase(), value.to_uppercase()],
    };
    forms.dedup();
    let mut forms: Vec<Vec<u8>> = forms.into_iter().map(String::into_bytes).collect();
    if kind == Kind::Mac {
        forms.extend(hex::decode(&compact));
    }
    forms
}

/// Runs of 32 bytes that could be a key: random bytes hold about 30 different ones, fewer than 24 once in a million.
fn possible_keys(remains: &Remains) -> HashSet<[u8; 32]> {
    let mut keys = HashSet::new();
    for piece in remains.bytes() {
        look_for_keys(piece, &mut keys);
        for run in decoded(piece) {
            look_for_keys(&run, &mut keys);
        }
    }
    keys
}

fn look_for_keys(bytes: &[u8], keys: &mut HashSet<[u8; 32]>) {
    let mut times = [0_u8; 256];
    let mut different = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let entering = &mut times[usize::from(*byte)];
        *entering += 1;
        different += usize::from(*entering == 1);
        if at >= 32 {
            let leaving = &mut times[usize::from(bytes[at - 32])];
            *leaving -= 1;
            different -= usize::from(*leaving == 0);
        }
        if at >= 31 && different >= 24 {
            keys.insert(bytes[at - 31..=at].try_into().unwrap());
        }
    }
}

/// The token of an identifier, made anew from what the documentation says.
fn token(key: &[u8], purpose: Purpose, kind: Kind, canonical: &[u8]) -> u64 {
    let parts =
        [b"tuman/v1/device-token", APP.as_bytes(), purpose.name().as_bytes(), kind.name().as_bytes(), canonical];
    let mut input = Vec::new();
    for part in parts {
        input.extend(u16::try_from(part.len()).unwrap().to_be_bytes());
        input.extend(part);
    }
    u64::from_be_bytes(mac(key, &[&input])[..8].try_into().unwrap())
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[test]
fn the_attack_makes_the_tokens_that_the_collector_makes() {
    let key = *b"a-key-of-thirty-two-known-bytes!";
    let (kind, value) = candidate(1);
    let canonical = canonicalise(kind, &value).unwrap();
    let theirs = Tokeniser::new(&DayKey::take(&mut key.clone())).token(APP, Purpose::Location, &canonical);
    assert_eq!(token(&key, Purpose::Location, kind, &forms(kind, &value)[0]), theirs.get());
    assert_eq!(forms(kind, &value)[0], canonical.expose());
    let (kind, value) = candidate(0);
    assert_eq!(forms(kind, &value)[0], canonicalise(kind, &value).unwrap().expose());
}
