//! Which identifier of a report becomes its token, against a model; and spellings, through to the token.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed test panics")]

use std::collections::HashSet;

use proptest::prelude::*;
use tuman_privacy::identifier::{Choice, Kind, NoToken, Unusable, canonicalise, choose};
use tuman_privacy::token::{DayKey, Purpose, Tokeniser};

/// What a declared identifier can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Valid,
    Invalid,
    Junk,
    Randomised,
    OptedOut,
}

const NIL: &str = "00000000-0000-0000-0000-000000000000";
const ALL_F: &str = "ffffffff-ffff-ffff-ffff-ffffffffffff";

/// A value of each sort that a kind knows.
fn values(kind: Kind) -> Vec<(Sort, &'static str)> {
    let valid = match kind {
        Kind::Imei => "490154203237518",
        Kind::Meid => "A0000000002329",
        Kind::Mac => "00:1B:44:11:3A:B7",
        Kind::AndroidId => "3f8a9c04d17be265",
        _ => "ea7583cd-a667-48bc-b806-42ecb2b48606",
    };
    let mut values = vec![(Sort::Valid, valid), (Sort::Invalid, "?")];
    values.extend(match kind {
        Kind::Imei => vec![(Sort::Junk, "004999010640000")],
        Kind::Mac => vec![(Sort::Junk, "ff:ff:ff:ff:ff:ff"), (Sort::Randomised, "da:a1:19:12:34:56")],
        Kind::AndroidId => vec![(Sort::Junk, "9774d56d682e549c")],
        Kind::InstallId | Kind::Idfv => vec![(Sort::Junk, NIL), (Sort::Junk, ALL_F)],
        Kind::Gaid | Kind::Idfa => vec![(Sort::OptedOut, NIL), (Sort::Junk, ALL_F)],
        Kind::Meid => vec![],
    });
    values
}

/// What `choose` comes to, in words that can be compared.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Chosen(Kind),
    NoToken(NoToken),
    Invalid,
}

fn outcome(ids: &[(Kind, Sort, &str)]) -> Outcome {
    match choose(ids.iter().map(|(kind, _, value)| (*kind, *value))) {
        Ok(Choice::Chosen(id)) => Outcome::Chosen(id.kind()),
        Ok(Choice::NoToken(why)) => Outcome::NoToken(why),
        Err(_) => Outcome::Invalid,
    }
}

/// The rule, told plainly: walk by precedence; the first that is valid or an opt-out decides. Else one invalid makes
/// the report invalid. Else there is no token, for the reason of the first that there is.
fn model(ids: &[(Kind, Sort, &str)]) -> Outcome {
    let mut sorted: Vec<_> = ids.iter().map(|(kind, sort, _)| (*kind, *sort)).collect();
    sorted.sort_by_key(|(kind, _)| *kind);
    for (kind, sort) in &sorted {
        match sort {
            Sort::Valid => return Outcome::Chosen(*kind),
            Sort::OptedOut => return Outcome::NoToken(NoToken::OptedOut),
            _ => {}
        }
    }
    if sorted.iter().any(|(_, sort)| *sort == Sort::Invalid) {
        return Outcome::Invalid;
    }
    Outcome::NoToken(match sorted.first() {
        Some((_, Sort::Randomised)) => NoToken::Randomised,
        Some(_) => NoToken::Junk,
        None => NoToken::None,
    })
}

fn any_id() -> impl Strategy<Value = (Kind, Sort, &'static str)> {
    let all: Vec<_> = Kind::ALL
        .into_iter()
        .flat_map(|kind| values(kind).into_iter().map(move |(sort, v)| (kind, sort, v)))
        .collect();
    prop::sample::select(all)
}

/// Calls `each` with every order of `items`.
fn permutations<T: Copy>(items: &mut [T], from: usize, each: &mut impl FnMut(&[T])) {
    if from == items.len() {
        each(items);
    }
    for at in from..items.len() {
        items.swap(from, at);
        permutations(items, from + 1, each);
        items.swap(from, at);
    }
}

#[test]
fn every_value_is_of_its_sort() {
    for kind in Kind::ALL {
        for (sort, value) in values(kind) {
            let expected = match canonicalise(kind, value) {
                Ok(_) => Sort::Valid,
                Err(Unusable::Invalid(_)) => Sort::Invalid,
                Err(Unusable::Junk) => Sort::Junk,
                Err(Unusable::Randomised) => Sort::Randomised,
                Err(Unusable::OptedOut) => Sort::OptedOut,
            };
            assert_eq!(sort, expected, "{kind:?} {value}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_choice_is_that_of_the_model(ids in prop::collection::vec(any_id(), 0..=8)) {
        prop_assert_eq!(outcome(&ids), model(&ids));
    }

    #[test]
    fn no_order_changes_the_choice(ids in prop::collection::vec(any_id(), 0..=5)) {
        // Of one kind the first in the report goes first, so that orders differ only there.
        let mut ids = ids;
        let mut kinds = HashSet::new();
        ids.retain(|(kind, ..)| kinds.insert(*kind));
        let expected = outcome(&ids);
        permutations(&mut ids, 0, &mut |ids| assert_eq!(outcome(ids), expected));
    }

    #[test]
    fn spellings_of_one_identifier_are_one_token_and_of_two_are_two(a in any::<u128>(), b in any::<u128>()) {
        let tokeniser = Tokeniser::new(&DayKey::take(&mut [9; 32]));
        for kind in Kind::ALL {
            let tokens = |seed: u128| -> HashSet<_> {
                let made = spellings(kind, seed).into_iter();
                made.map(|text| tokeniser.token("kz.demo.app", Purpose::Usage, &canonicalise(kind, &text).unwrap())).collect()
            };
            let (of_a, of_b) = (tokens(a), tokens(b));
            prop_assert_eq!(of_a.len(), 1, "{:?}", kind);
            prop_assert_eq!(of_a == of_b, spellings(kind, a)[0] == spellings(kind, b)[0]);
        }
    }

    #[test]
    fn nothing_but_ascii_gives_a_token(seed in any::<u128>(), at in any::<prop::sample::Index>(), with in "[०-९０-９а-яА-ЯａｆＡＦ\u{200b}\u{2010}\u{a0}]") {
        for kind in Kind::ALL {
            let good = spellings(kind, seed)[0].clone();
            let at = at.index(good.len() + 1);
            let inserted = format!("{}{with}{}", &good[..at], &good[at..]);
            prop_assert!(matches!(canonicalise(kind, &inserted), Err(Unusable::Invalid(_))), "{:?}", kind);
            if at < good.len() {
                let replaced = format!("{}{with}{}", &good[..at], &good[at + 1..]);
                prop_assert!(matches!(canonicalise(kind, &replaced), Err(Unusable::Invalid(_))), "{:?}", kind);
            }
        }
    }
}

/// Spellings of the identifier that a seed makes, all valid.
fn spellings(kind: Kind, seed: u128) -> Vec<String> {
    let hex = format!("{seed:032x}");
    match kind {
        Kind::Imei => {
            let id = format!("35{:012}", seed % 1_000_000_000_000);
            let check = luhn_digit(&id);
            let hyphens = format!("{}-{}-{}-{check}", &id[..2], &id[2..8], &id[8..]);
            vec![id.clone(), format!("{id}{check}"), hyphens, format!("{id}07"), format!(" {id} ")]
        }
        Kind::Meid => {
            let id = format!("A{}", &hex[..13]).to_uppercase();
            let (manufacturer, serial) = (&id[..8], &id[8..]);
            let number = |hex: &str| u32::from_str_radix(hex, 16).unwrap();
            let decimal = format!("{:010}{:08}", number(manufacturer), number(serial));
            vec![id.clone(), id.to_lowercase(), decimal, format!("{manufacturer} {serial}")]
        }
        Kind::Mac => {
            let id = format!("00{}1", &hex[..9]);
            let pairs: Vec<&str> = (0..6).map(|pair| &id[2 * pair..2 * pair + 2]).collect();
            let dots = format!("{}.{}.{}", &id[..4], &id[4..8], &id[8..]);
            vec![id.clone(), pairs.join(":"), pairs.join("-").to_uppercase(), dots]
        }
        Kind::AndroidId => {
            let id = format!("0{}1", &hex[..14]);
            vec![id.clone(), id.to_uppercase(), id.trim_start_matches('0').to_owned()]
        }
        _ => {
            let id = format!("1{}2", &hex[..30]);
            let hyphens = [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-");
            vec![id.clone(), hyphens.clone(), hyphens.to_uppercase()]
        }
    }
}

fn luhn_digit(payload: &str) -> u32 {
    let doubled = |(place, digit): (usize, char)| {
        let value = digit.to_digit(10).unwrap() * if place % 2 == 0 { 2 } else { 1 };
        value / 10 + value % 10
    };
    (10 - payload.chars().rev().enumerate().map(doubled).sum::<u32>() % 10) % 10
}
