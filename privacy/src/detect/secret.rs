//! Tokens that stand for a person, a device or a session: JSON web tokens, UUIDs, long hex and base64.

use super::address::{count, words};

/// The shortest run of hex digits that is taken for a token. Twelve are a MAC address, fourteen a MEID, sixteen an
/// Android id.
const SHORTEST_HEX: usize = 13;

/// The shortest run of letters and digits that is taken for a token.
const SHORTEST_TOKEN: usize = 20;

/// For each letter, the letters that often follow it in English, or in Russian and Kazakh written in Latin letters: at
/// least half as often as chance would have it. 95 of 100 pairs in words are such, and 42 of 100 random pairs.
const FOLLOWERS: [u32; 26] = [
    0x33fbd5e, 0x0164911, 0x01a4d95, 0x1165911, 0x3effd7d, 0x0124931, 0x1166191, 0x10a4115, 0x32efd7f, 0x0000000,
    0x00c4191, 0x31c6959, 0x014d113, 0x13c657d, 0x37efd6f, 0x01ec991, 0x014c001, 0x13e755f, 0x11ccd95, 0x13e4d95,
    0x10eb95f, 0x0004111, 0x0004111, 0x0088100, 0x11ebc19, 0x0004091,
];

/// Whether a text holds a JSON web token: three runs of base64url with dots, of which the first begins with `{"`.
pub(super) fn holds_jwt(text: &[u8]) -> bool {
    let mut rest = text;
    loop {
        let Some(start) = rest.iter().position(|byte| is_base64url(*byte)) else {
            return false;
        };
        let from = rest.get(start..).unwrap_or_default();
        let (run, after) = from.split_at_checked(base64url_len(from)).unwrap_or_default();
        let header = run.windows(3).position(|window| window == b"eyJ").map_or(0, |at| run.len() - at);
        if header >= 10
            && let Some(payload) = after.strip_prefix(b".")
            && base64url_len(payload) >= 8
        {
            return true;
        }
        rest = after;
    }
}

/// Whether a text holds a UUID with its hyphens. Without them it is a long run of hex digits.
pub(super) fn holds_uuid(text: &[u8]) -> bool {
    text.windows(36).any(|window| {
        window.iter().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => matches!(byte, b'-' | b'_'),
            _ => byte.is_ascii_hexdigit(),
        })
    })
}

/// Whether a text holds a long token that no one would choose as a name.
pub(super) fn holds_random_token(text: &[u8]) -> bool {
    words(text).any(|word| is_random_hex(word) || is_random_word(word))
        || text.split(|byte| !is_base64(*byte)).any(is_random_base64)
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

fn is_base64(byte: u8) -> bool {
    is_base64url(byte) || matches!(byte, b'+' | b'/' | b'=')
}

fn base64url_len(text: &[u8]) -> usize {
    text.iter().take_while(|byte| is_base64url(**byte)).count()
}

/// A long run of hex digits, letters and decimals mixed.
fn is_random_hex(word: &[u8]) -> bool {
    let word = word.strip_prefix(b"0x").unwrap_or(word);
    word.len() >= SHORTEST_HEX
        && word.iter().all(u8::is_ascii_hexdigit)
        && count(word, u8::is_ascii_alphabetic) >= 1
        && count(word, u8::is_ascii_digit) >= 4
}

/// A long run of letters and digits in which the pairs are not those of a language.
fn is_random_word(word: &[u8]) -> bool {
    if word.len() < SHORTEST_TOKEN {
        return false;
    }
    let (pairs, usual) = pairs(word);
    pairs >= 6 && 3 * usual < 2 * pairs
}

/// A long run with the punctuation of base64 inside, in which upper and lower case are mixed.
fn is_random_base64(run: &[u8]) -> bool {
    if run.len() < SHORTEST_TOKEN
        || count(run, u8::is_ascii_uppercase) < 2
        || count(run, u8::is_ascii_lowercase) < 2
        || words(run).all(|word| word.len() < 8)
    {
        return false;
    }
    let (pairs, usual) = pairs(run);
    pairs >= 10 && 5 * usual < 3 * pairs
}

/// How many pairs of neighbours have a letter, and in how many of these a usual pair of letters.
fn pairs(word: &[u8]) -> (usize, usize) {
    let mut pairs = 0;
    let mut usual = 0;
    for (first, second) in word.iter().zip(word.iter().skip(1)) {
        let alphanumeric = first.is_ascii_alphanumeric() && second.is_ascii_alphanumeric();
        if !alphanumeric || (first.is_ascii_digit() && second.is_ascii_digit()) {
            continue;
        }
        pairs += 1;
        usual += usize::from(is_usual(*first, *second));
    }
    (pairs, usual)
}

fn is_usual(first: u8, second: u8) -> bool {
    if !first.is_ascii_alphabetic() || !second.is_ascii_alphabetic() {
        return false;
    }
    let followers = FOLLOWERS.get(usize::from(first.to_ascii_lowercase() - b'a')).copied().unwrap_or_default();
    followers >> (second.to_ascii_lowercase() - b'a') & 1 == 1
}
