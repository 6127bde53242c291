//! Addresses: e-mail, MAC, IPv4 and IPv6.

use core::net::Ipv6Addr;

use super::fold::LETTER;

/// Spellings of the at sign.
const AT_SIGNS: [&[u8]; 6] = [b"@", b"(at)", b"[at]", b"{at}", b"%40", b"&#64;"];

/// Spellings of the dot between the labels of a domain.
const DOTS: [&[u8]; 5] = [b".", b"(dot)", b"[dot]", b"{dot}", b"%2e"];

/// The at sign in words, as people write it against robots; the second is Russian, folded.
const AT_WORDS: [&[u8]; 2] = [b" at ", b" co\x80aka "];

/// The dot in words.
const DOT_WORDS: [&[u8]; 2] = [b" dot ", b" to\x80ka "];

/// Words before a dotted number that make it a version.
const VERSION_WORDS: [&[u8]; 10] =
    [b"v", b"ver", b"version", b"build", b"release", b"rev", b"sdk", b"os", b"ios", b"android"];

/// Whether a text holds an e-mail address: something, an at sign, and a domain of two labels or more.
pub(super) fn holds_email(text: &[u8]) -> bool {
    for (at, byte) in text.iter().enumerate() {
        if !matches!(byte, b'@' | b'(' | b'[' | b'{' | b'%' | b'&' | ..=b' ') {
            continue;
        }
        let (before, from) = text.split_at_checked(at).unwrap_or_default();
        if *byte <= b' ' {
            if let Some(after) = strip_spelling(from, &AT_WORDS)
                && ends_as_mailbox(before)
                && starts_as_spelt_domain(after)
            {
                return true;
            }
            continue;
        }
        if let Some(after) = strip_spelling(from, &AT_SIGNS)
            && ends_as_mailbox(before)
            && starts_as_domain(after)
        {
            return true;
        }
    }
    false
}

/// Whether a text holds a MAC address: six pairs with separators, three groups of four with dots or colons, or twelve
/// hex digits with a letter among them.
pub(super) fn holds_mac(text: &[u8]) -> bool {
    if text.iter().take(12).count() < 12 {
        return false;
    }
    let mut before = None;
    for at in 0..text.len() {
        let from = text.get(at..).unwrap_or_default();
        if from.first().is_some_and(u8::is_ascii_hexdigit)
            && (starts_as_pairs(before, from) || starts_as_fours(before, from))
        {
            return true;
        }
        before = from.first();
    }
    words(text).any(|word| {
        let word = word.strip_prefix(b"0x").unwrap_or(word);
        let (digits, letters) = (count(word, u8::is_ascii_digit), count(word, u8::is_ascii_alphabetic));
        word.len() == 12 && word.iter().all(u8::is_ascii_hexdigit) && letters >= 1 && digits >= 2
    })
}

/// The runs of ASCII letters and digits.
pub(super) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| !byte.is_ascii_alphanumeric())
}

/// How many bytes of a word are of one class.
pub(super) fn count(word: &[u8], class: fn(&u8) -> bool) -> usize {
    word.iter().filter(|byte| class(byte)).count()
}

fn strip_spelling<'a>(text: &'a [u8], spellings: &[&[u8]]) -> Option<&'a [u8]> {
    spellings.iter().find_map(|spelling| {
        let (start, after) = text.split_at_checked(spelling.len())?;
        let is_same =
            |(byte, spelt): (&u8, &u8)| byte.eq_ignore_ascii_case(spelt) || (*byte <= b' ' && *spelt == b' ');
        start.iter().zip(*spelling).all(is_same).then_some(after)
    })
}

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == LETTER
}

fn ends_as_mailbox(before: &[u8]) -> bool {
    let mut last = before.iter().rev().take(3).skip_while(|byte| **byte <= b' ');
    last.next().is_some_and(|byte| is_letter(*byte) || byte.is_ascii_digit() || b"._%+-'\"".contains(byte))
}

/// A label, then a dot and a label of at least two letters, with other labels between them.
fn starts_as_domain(after: &[u8]) -> bool {
    let mut rest = after.trim_ascii_start();
    let mut first = true;
    loop {
        let len = rest
            .iter()
            .take_while(|byte| is_letter(**byte) || byte.is_ascii_digit() || matches!(byte, b'-' | b'_'))
            .count();
        let (label, after_label) = rest.split_at_checked(len).unwrap_or_default();
        // Pictures for dense screens are named so: `icon@2x.png`.
        let density = first && matches!(label, [b'1'..=b'4', b'x']);
        if label.is_empty() || density {
            return false;
        }
        let top = label.len() >= 2 && label.iter().all(|byte| is_letter(*byte));
        if !first && (top || label.starts_with(b"xn--")) {
            return true;
        }
        let dot = after_label.trim_ascii_start();
        let Some(after_dot) = strip_spelling(dot, &DOTS) else {
            return false;
        };
        // After a plain dot, a space ends a sentence and no label.
        let is_spaced = dot.len() < after_label.len() || !dot.starts_with(b".");
        rest = if is_spaced { after_dot.trim_ascii_start() } else { after_dot };
        first = false;
    }
}

/// A label, the word for a dot, and a label of at least two letters.
fn starts_as_spelt_domain(after: &[u8]) -> bool {
    let label_len = |text: &[u8]| text.iter().take_while(|byte| is_letter(**byte) || byte.is_ascii_digit()).count();
    let (label, after_label) = after.split_at_checked(label_len(after)).unwrap_or_default();
    let Some(top) = strip_spelling(after_label, &DOT_WORDS).filter(|_| !label.is_empty()) else {
        return false;
    };
    top.iter().take_while(|byte| is_letter(**byte)).count() >= 2
}

/// Six pairs: colons and hyphens in any mixture, or spaces, or dots.
fn starts_as_pairs(before: Option<&u8>, from: &[u8]) -> bool {
    let Some(window) = from.get(..17) else {
        return false;
    };
    let mut letters = 0;
    let mut colons = 0;
    let mut hyphens = 0;
    // Tabs and line breaks are as good as spaces.
    let spaced = |byte: u8| byte.max(b' ');
    let separator = window.get(2).copied().map(spaced).unwrap_or_default();
    for (place, byte) in window.iter().enumerate() {
        match (place % 3, &spaced(*byte)) {
            (0 | 1, b'0'..=b'9') => {}
            (0 | 1, b'a'..=b'f' | b'A'..=b'F') => letters += 1,
            (2, b':') if matches!(separator, b':' | b'-') => colons += 1,
            (2, b'-') if matches!(separator, b':' | b'-') => hyphens += 1,
            (2, byte @ (b' ' | b'.')) if *byte == separator => {}
            _ => return false,
        }
    }
    if colons > 0 {
        return true;
    }
    let stands_alone =
        !before.is_some_and(u8::is_ascii_alphanumeric) && !from.get(17).is_some_and(u8::is_ascii_alphanumeric);
    stands_alone && (letters > 0 || (hyphens == 5 && !is_timestamp(window)))
}

/// Three groups of four with dots or colons, or four (EUI-64), at least one letter among the digits.
fn starts_as_fours(before: Option<&u8>, from: &[u8]) -> bool {
    [14, 19].into_iter().any(|length| is_fours(before, from, length))
}

fn is_fours(before: Option<&u8>, from: &[u8], length: usize) -> bool {
    let Some(window) = from.get(..length) else {
        return false;
    };
    let alone =
        |byte: Option<&u8>| !byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'.'));
    let separator = window.get(4).copied().unwrap_or_default();
    let shaped = window.iter().enumerate().all(|(place, byte)| match place {
        4 | 9 | 14 => matches!(separator, b'.' | b':') && *byte == separator,
        _ => byte.is_ascii_hexdigit(),
    });
    shaped && alone(before) && alone(from.get(length)) && window.iter().any(u8::is_ascii_alphabetic)
}

/// Whether six pairs read as year, month, day, hour, minute and second.
fn is_timestamp(pairs: &[u8]) -> bool {
    let limits: [&[u8]; 6] = [b"99", b"12", b"31", b"23", b"59", b"59"];
    pairs.split(|byte| *byte == b'-').zip(limits).all(|(pair, limit)| pair <= limit)
}

/// Four numbers under 256, with dots, that no word before them makes a version.
pub(super) fn holds_ipv4(text: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    let mut rest = text;
    let mut before: &[u8] = &[];
    while let Some(start) = rest.iter().position(is_part) {
        before = text.get(..text.len() - rest.len() + start).unwrap_or(before);
        let from = rest.get(start..).unwrap_or_default();
        let (run, after) =
            from.split_at_checked(from.iter().take_while(|byte| is_part(byte)).count()).unwrap_or_default();
        let address = trim_dots(run);
        let octets = address.split(|byte| *byte == b'.');
        if octets.clone().take(5).count() == 4 && octets.clone().all(is_octet) && !names_version(before) {
            return true;
        }
        rest = after;
    }
    false
}

fn is_octet(digits: &[u8]) -> bool {
    (1..=3).contains(&digits.len())
        && digits.iter().fold(0, |value, digit| 10 * value + u32::from(digit - b'0')) < 256
}

/// A run of digits without the dots of a sentence around it.
fn trim_dots(run: &[u8]) -> &[u8] {
    let is_other = |byte: &u8| *byte != b'.';
    let start = run.iter().position(is_other).unwrap_or(run.len());
    let end = run.iter().rposition(is_other).map_or(start, |last| last + 1);
    run.get(start..end).unwrap_or_default()
}

/// Whether a text ends with a word that makes the number after it a version.
fn names_version(before: &[u8]) -> bool {
    let before = match before.split_last() {
        Some((b' ' | b'_' | b'-' | b':' | b'/' | b'=', before)) => before,
        _ => before,
    };
    let letters = before.iter().rev().take(8).take_while(|byte| byte.is_ascii_alphabetic()).count();
    let word = before.get(before.len() - letters..).unwrap_or_default();
    VERSION_WORDS.iter().any(|version| version.eq_ignore_ascii_case(word))
}

/// Groups of hex digits with colons, of which there is at least one decimal digit: `Face::Bad` is no address.
pub(super) fn holds_ipv6(text: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
    let mut rest = text;
    while let Some(start) = rest.iter().position(is_part) {
        let before = start.checked_sub(1).and_then(|last| rest.get(last));
        let from = rest.get(start..).unwrap_or_default();
        let (run, after) =
            from.split_at_checked(from.iter().take_while(|byte| is_part(byte)).count()).unwrap_or_default();
        let trimmed = trim_dots(run);
        let address = trimmed.strip_suffix(b":").unwrap_or(trimmed);
        let parses = |run: &[u8]| core::str::from_utf8(run).is_ok_and(|run| run.parse::<Ipv6Addr>().is_ok());
        let groups = address.split(|byte| *byte == b':').filter(|group| !group.is_empty()).count();
        // After a letter that is no hex digit, the run is the end of a word: only a long address is taken for one.
        let fewest_groups = if before.is_some_and(u8::is_ascii_alphanumeric) { 4 } else { 1 };
        if groups >= fewest_groups
            && (2..=46).contains(&trimmed.len())
            && run.iter().any(u8::is_ascii_digit)
            && (parses(trimmed) || parses(address))
        {
            return true;
        }
        rest = after;
    }
    false
}
