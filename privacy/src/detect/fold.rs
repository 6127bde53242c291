//! One byte per character: what a reader sees, in ASCII.
//!
//! Characters that look like an ASCII one become it, invisible ones go, and the rest become one of two marks.

use alloc::vec::Vec;

use zeroize::Zeroizing;

/// A letter without an ASCII look-alike.
pub(super) const LETTER: u8 = 0x80;

/// Any other character without an ASCII look-alike.
const SYMBOL: u8 = 0x81;

/// The zero of every row of ten decimal digits beyond ASCII (general category Nd, Unicode 15).
const ZEROS: [u32; 65] = [
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0, 0xf20,
    0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0,
    0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10, 0x104a0, 0x10d30, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0,
    0x11450, 0x114d0, 0x11650, 0x116c0, 0x11730, 0x118e0, 0x11950, 0x11c50, 0x11d50, 0x11da0, 0x16a60, 0x16ac0,
    0x16b50, 0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e950, 0x1fbf0,
];

/// A text as the detectors read it. ASCII is read in place; the copy of anything else is wiped when dropped.
pub(super) enum Folded<'a> {
    /// The text has no other characters.
    Ascii(&'a [u8]),
    /// One byte for each visible character.
    Copy(Zeroizing<Vec<u8>>),
}

impl<'a> Folded<'a> {
    pub(super) fn new(text: &'a str) -> Folded<'a> {
        if text.is_ascii() {
            return Folded::Ascii(text.as_bytes());
        }
        // No character becomes more than one byte, so that the copy never moves and leaves nothing behind.
        let mut copy = Zeroizing::new(Vec::with_capacity(text.len()));
        copy.extend(text.chars().filter_map(fold));
        Folded::Copy(copy)
    }

    /// The text with its percent-encoding undone (RFC 3986), once; none where there is none.
    pub(super) fn decoded(text: &str) -> Option<Folded<'static>> {
        let encoded = text.as_bytes();
        encoded.windows(3).find_map(escape)?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
        let mut rest = encoded;
        while let Some((first, after)) = rest.split_first() {
            match escape(rest) {
                Some(byte) => {
                    bytes.push(byte);
                    rest = rest.get(3..).unwrap_or_default();
                }
                None => {
                    bytes.push(*first);
                    rest = after;
                }
            }
        }
        let mut copy = Zeroizing::new(Vec::with_capacity(bytes.len()));
        for chunk in bytes.utf8_chunks() {
            copy.extend(chunk.valid().chars().filter_map(fold));
            if !chunk.invalid().is_empty() {
                copy.push(SYMBOL);
            }
        }
        Some(Folded::Copy(copy))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Folded::Ascii(bytes) => bytes,
            Folded::Copy(bytes) => bytes,
        }
    }
}

/// The byte that a text begins with in percent-encoding.
fn escape(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = text else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(*high)? << 4 | digit(*low)?)
}

/// The byte for a character; none for an invisible one.
fn fold(character: char) -> Option<u8> {
    if let Ok(byte) = u8::try_from(character)
        && byte.is_ascii()
    {
        return Some(byte);
    }
    let code = u32::from(character);
    let byte = match code {
        // Soft hyphen, joiners, direction marks, variation selectors, combining marks, fillers and tags.
        0xad | 0x300..=0x36f | 0x61c | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180b..=0x180f => return None,
        0x1ab0..=0x1aff | 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x206f | 0x20d0..=0x20ff => {
            return None;
        }
        0x3164 | 0xfe00..=0xfe0f | 0xfe20..=0xfe2f | 0xfeff | 0xffa0 | 0xe0000..=0xe0fff => return None,
        0xff01..=0xff5e => offset(code, 0xff01, b'!'),
        0x2010..=0x2015 | 0x2043 | 0x2212 | 0xfe58 | 0xfe63 | 0x30fc => b'-',
        0xb7 | 0x2022 | 0x2024 | 0x2027 | 0x3002 | 0x30fb | 0xfe52 | 0xff61 => b'.',
        0x2236 | 0x2d0 | 0xa789 | 0xfe55 => b':',
        0x2044 | 0x2215 => b'/',
        0xfe59 | 0x207d | 0x208d => b'(',
        0xfe5a | 0x207e | 0x208e => b')',
        0xfe62 | 0x207a | 0x208a => b'+',
        0xfe6b => b'@',
        0xfe4d..=0xfe4f => b'_',
        // Superscript, subscript and circled digits.
        0xb9 => b'1',
        0xb2 => b'2',
        0xb3 => b'3',
        0x2070 | 0x24ea | 0x24ff => b'0',
        0x2074..=0x2079 => offset(code, 0x2074, b'4'),
        0x2080..=0x2089 => offset(code, 0x2080, b'0'),
        0x2460..=0x2468 => offset(code, 0x2460, b'1'),
        0x24f5..=0x24fd => offset(code, 0x24f5, b'1'),
        0x2776..=0x277e => offset(code, 0x2776, b'1'),
        // Circled letters, and the mathematical alphabets, each of 26 capitals and 26 small letters.
        0x24b6..=0x24cf => offset(code, 0x24b6, b'A'),
        0x24d0..=0x24e9 => offset(code, 0x24d0, b'a'),
        0x1d400..=0x1d6a3 => match (code - 0x1d400) % 52 {
            capital @ 0..26 => offset(capital, 0, b'A'),
            small => offset(small, 26, b'a'),
        },
        _ if character.is_whitespace() => b' ',
        _ => look_alike(character).or_else(|| decimal_digit(code)).unwrap_or(if character.is_alphabetic() {
            LETTER
        } else {
            SYMBOL
        }),
    };
    Some(byte)
}

/// The byte as far after `first_byte` as `code` is after `first`.
fn offset(code: u32, first: u32, first_byte: u8) -> u8 {
    u8::try_from(code - first + u32::from(first_byte)).unwrap_or(SYMBOL)
}

/// The Latin letter that a Cyrillic or Greek one looks like.
fn look_alike(character: char) -> Option<u8> {
    let latin = match character {
        'А' | 'Α' => b'A',
        'а' | 'α' => b'a',
        'В' | 'Β' => b'B',
        'в' => b'b',
        'С' => b'C',
        'с' => b'c',
        'ԁ' => b'd',
        'Е' | 'Ё' | 'Ε' => b'E',
        'е' | 'ё' => b'e',
        'Ԍ' => b'G',
        'ԍ' => b'g',
        'Н' | 'Η' => b'H',
        'һ' => b'h',
        'І' | 'Ι' => b'I',
        'і' | 'ι' => b'i',
        'Ј' => b'J',
        'ј' => b'j',
        'К' | 'Κ' => b'K',
        'к' | 'κ' => b'k',
        'М' | 'Μ' => b'M',
        'м' => b'm',
        'Ν' => b'N',
        'ν' => b'n',
        'О' | 'Ο' => b'O',
        'о' | 'ο' => b'o',
        'Р' | 'Ρ' => b'P',
        'р' | 'ρ' => b'p',
        'Ԛ' => b'Q',
        'ԛ' => b'q',
        'ґ' => b'r',
        'Ѕ' => b'S',
        'ѕ' => b's',
        'Т' | 'Τ' => b'T',
        'т' => b't',
        'Ԝ' => b'W',
        'ԝ' => b'w',
        'Х' | 'Χ' => b'X',
        'х' | 'χ' => b'x',
        'У' | 'Ү' | 'Υ' => b'Y',
        'у' | 'ү' | 'υ' => b'y',
        'Ζ' => b'Z',
        _ => return None,
    };
    Some(latin)
}

fn decimal_digit(code: u32) -> Option<u8> {
    let row = ZEROS.partition_point(|zero| *zero <= code).checked_sub(1)?;
    let zero = ZEROS.get(row)?;
    (code - zero < 10).then(|| offset(code, *zero, b'0'))
}

#[cfg(test)]
mod tests {
    use super::{Folded, ZEROS};

    fn folded(text: &str) -> std::vec::Vec<u8> {
        Folded::new(text).bytes().to_vec()
    }

    #[test]
    fn what_looks_like_ascii_becomes_it() {
        assert_eq!(folded("＋７（７０１）"), b"+7(701)");
        assert_eq!(folded("٤٢ ४२ 𝟜𝟚 ④② ⁴₂"), b"42 42 42 42 42");
        assert_eq!(folded("4\u{200b}2\u{ad}–4\u{300}2\u{feff}"), b"42-42");
        assert_eq!(folded("а@в.сom"), b"a@b.com");
        assert_eq!(folded("жу£"), [0x80, b'y', 0x81]);
    }

    #[test]
    fn percent_encoding_is_undone_once() {
        let decoded = |text: &str| Folded::decoded(text).map(|folded| folded.bytes().to_vec());
        assert_eq!(decoded("%2B7%20701"), Some(b"+7 701".to_vec()));
        assert_eq!(decoded("%D0%B0%40b.kz%ff%2"), Some([b"a@b.kz".as_slice(), &[0x81], b"%2"].concat()));
        assert_eq!(decoded("%2540"), Some(b"%40".to_vec()));
        assert_eq!(decoded("50% of 10 %"), None);
    }

    #[test]
    fn the_zeros_are_sorted() {
        assert!(ZEROS.is_sorted());
    }
}
