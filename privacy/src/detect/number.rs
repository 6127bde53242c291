//! Numbers of personal data: IIN, phone, IMEI, payment card.
//!
//! A number is a row of digit groups with at most three separators between two groups. Every row of whole groups is
//! tried, so that a number is found beside others, and a part of a longer run of digits is not taken for one.
//! Calendar dates and identities of radio cells are left out: joined with their neighbours, or in part, they would
//! pass for numbers by chance.

use zeroize::Zeroize;

use super::Detector;
use crate::identifier::luhn;

/// The most digits of any number here: a payment card.
const MOST_DIGITS: usize = 19;

/// The fewest digits of any number here: an international phone number.
const FEWEST_DIGITS: usize = 9;

/// Operator prefixes of Kazakh mobile networks (national numbering plan).
const KZ_MOBILE: [[u8; 3]; 13] = [
    *b"700", *b"701", *b"702", *b"705", *b"706", *b"707", *b"708", *b"747", *b"771", *b"775", *b"776", *b"777",
    *b"778",
];

/// Reporting body identifiers: the first two digits of a type allocation code (GSMA TS.06).
const REPORTING_BODIES: [[u8; 2]; 14] =
    [*b"33", *b"35", *b"44", *b"45", *b"49", *b"50", *b"51", *b"52", *b"53", *b"54", *b"86", *b"91", *b"98", *b"99"];

/// Consecutive digit groups of a text.
pub(super) struct Number<'a> {
    /// ASCII digits.
    digits: &'a [u8],
    /// Lengths of the groups that the digits stood in.
    groups: &'a [u8],
    /// A plus sign stands before the first digit.
    plus: bool,
}

/// The first number of personal data.
pub(super) fn first(text: &[u8]) -> Option<Detector> {
    find(text, |number| {
        if is_iin(number) {
            Some(Detector::Iin)
        } else if is_kz_mobile(number) || is_other_phone(number) {
            Some(Detector::Phone)
        } else if is_card(number) {
            Some(Detector::Card)
        } else if is_imei(number) {
            Some(Detector::Imei)
        } else {
            None
        }
    })
}

/// Whether any number of a text is such a one.
pub(super) fn any(text: &[u8], is_such: fn(&Number<'_>) -> bool) -> bool {
    find(text, |number| is_such(number).then_some(())).is_some()
}

/// YYMMDD, a digit for century and sex (0 for foreigners), four of serial, and a check digit of two rounds.
pub(super) fn is_iin(number: &Number<'_>) -> bool {
    let Ok(digits) = <&[u8; 12]>::try_from(number.digits) else {
        return false;
    };
    let [y1, y2, m1, m2, d1, d2, century, ..] = digits.map(|digit| u32::from(digit - b'0'));
    let year = match century {
        1 | 2 => 1800,
        3 | 4 => 1900,
        // Foreigners have no century: 2000 lets 29 February pass.
        0 | 5 | 6 => 2000,
        _ => return false,
    } + 10 * y1
        + y2;
    is_day(year, 10 * m1 + m2, 10 * d1 + d2) && iin_check(digits)
}

/// An operator's prefix and seven digits, after +7, 7, 8, 00 7, 8 10 7, or nothing.
pub(super) fn is_kz_mobile(number: &Number<'_>) -> bool {
    let national = match number.digits {
        [b'7' | b'8', national @ ..] if national.len() == 10 => national,
        [b'0', b'0', b'7', national @ ..] if national.len() == 10 => national,
        [b'8', b'1', b'0', b'7', national @ ..] if national.len() == 10 => national,
        national if national.len() == 10 && (number.groups.first() >= Some(&3) || number.groups.len() == 10) => {
            national
        }
        _ => return false,
    };
    KZ_MOBILE.iter().any(|prefix| national.starts_with(prefix))
}

/// Nine to fifteen digits after a plus sign (ITU-T E.164) or after 00, or eleven that are written as phones are in Kazakhstan and
/// Russia: 7 or 8, an area code, the rest.
fn is_other_phone(number: &Number<'_>) -> bool {
    match number.digits {
        [b'1'..=b'9', ..] if number.plus => (FEWEST_DIGITS..=15).contains(&number.digits.len()),
        [b'0', b'0', b'1'..=b'9', ..] if number.groups.first() == Some(&2) => {
            (FEWEST_DIGITS..=15).contains(&(number.digits.len() - 2))
        }
        [b'7' | b'8', area @ ..] if area.len() == 10 => match number.groups {
            // Mobile phones of Russia, and the geographic areas of Kazakhstan.
            [11] => area.starts_with(b"9") || area.starts_with(b"71") || area.starts_with(b"72"),
            [1, 3..=5, ..] => matches!(area.first(), Some(b'3' | b'4' | b'7'..=b'9')),
            _ => false,
        },
        _ => false,
    }
}

/// Prefix and length of a payment system, and the Luhn check digit (ISO/IEC 7812-1).
pub(super) fn is_card(number: &Number<'_>) -> bool {
    let length = number.digits.len();
    let prefix = number.digits.iter().take(4).fold(0, |value, digit| 10 * value + u32::from(digit - b'0'));
    let issued = match prefix {
        // Visa.
        4000..=4999 => matches!(length, 16 | 19) || (length == 13 && !is_barcode(number.digits)),
        // Mastercard.
        5100..=5599 | 2221..=2720 => length == 16,
        // American Express.
        3400..=3499 | 3700..=3799 => length == 15,
        // Diners Club.
        3000..=3059 | 3600..=3699 | 3800..=3999 => length == 14,
        // Mir, JCB, UnionPay, Discover, Maestro, RuPay, Troy, UzCard and Humo.
        2200..=2204 | 3528..=3589 | 6000..=6999 => (16..=19).contains(&length),
        5000..=5099 | 5600..=5899 | 8600 | 9792 | 9860 => matches!(length, 16 | 18 | 19),
        _ => false,
    };
    issued && luhn_holds(number.digits)
}

/// Fifteen digits with a Luhn check digit; or, written without a break, the fourteen or sixteen of a known reporting
/// body, which have none.
fn is_imei(number: &Number<'_>) -> bool {
    let reported = REPORTING_BODIES.iter().any(|body| number.digits.starts_with(body));
    match (number.digits.len(), number.groups) {
        // 401 is the mobile country code of Kazakhstan, which cell ids and not IMEIs begin with.
        (15, [15]) => luhn_holds(number.digits) && !number.digits.starts_with(b"401"),
        (15, groups) => {
            let usual = matches!(groups, [2, 6, 6, 1] | [6, 2, 6, 1] | [8, 6, 1] | [3, 3, 3, 3, 3] | [5, 5, 5]);
            luhn_holds(number.digits) && (reported || usual)
        }
        (14, [14] | [2, 6, 6] | [6, 2, 6] | [8, 6]) | (16, [16] | [2, 6, 6, 2] | [6, 2, 6, 2]) => reported,
        _ => false,
    }
}

/// Tries every row of whole groups, shorter rows first.
fn find<T>(text: &[u8], mut judge: impl FnMut(&Number<'_>) -> Option<T>) -> Option<T> {
    if text.iter().filter(|byte| byte.is_ascii_digit()).take(FEWEST_DIGITS).count() < FEWEST_DIGITS {
        return None;
    }
    let mut before: &[u8] = &[];
    let mut rest = text;
    while let Some(start) = rest.iter().position(u8::is_ascii_digit) {
        before = text.get(..text.len() - rest.len() + start).unwrap_or(before);
        let from_start = rest.get(start..).unwrap_or_default();
        let plus = follows_plus(before);
        let cell_id = || cell_id_len(from_start).filter(|_| !plus);
        let skip = match date_len(from_start).or_else(cell_id) {
            Some(len) => len,
            None => {
                if let Some(found) = find_from(from_start, plus, &mut judge) {
                    return Some(found);
                }
                digits_len(from_start)
            }
        };
        rest = from_start.get(skip..).unwrap_or_default();
    }
    None
}

/// Tries the rows that begin with the first digit of `text`.
fn find_from<T>(text: &[u8], plus: bool, judge: &mut impl FnMut(&Number<'_>) -> Option<T>) -> Option<T> {
    let mut digits = [0; MOST_DIGITS];
    let mut groups = [0; MOST_DIGITS];
    let (mut digit_count, mut group_count) = (0, 0);
    let mut rest = text;
    let mut found = None;
    while found.is_none() {
        let group = rest.iter().take(MOST_DIGITS + 1).take_while(|byte| byte.is_ascii_digit()).count();
        let (Some(here), Some(from)) = (digits.get_mut(digit_count..digit_count + group), rest.get(..group)) else {
            break;
        };
        here.copy_from_slice(from);
        digit_count += group;
        if let (Some(slot), Ok(length)) = (groups.get_mut(group_count), u8::try_from(group)) {
            *slot = length;
            group_count += 1;
        }
        if digit_count >= FEWEST_DIGITS {
            let digits = digits.get(..digit_count).unwrap_or_default();
            let groups = groups.get(..group_count).unwrap_or_default();
            found = judge(&Number { digits, groups, plus });
        }
        rest = rest.get(group..).unwrap_or_default();
        let gap = rest.iter().take(4).take_while(|byte| is_separator(**byte)).count();
        rest = rest.get(gap..).unwrap_or_default();
        if gap > 3 || !rest.first().is_some_and(u8::is_ascii_digit) || date_len(rest).is_some() {
            break;
        }
    }
    digits.zeroize();
    found
}

/// Spaces, and what is written between the groups of a number.
fn is_separator(byte: u8) -> bool {
    // A plus sign is a space in an HTML form's encoding.
    byte <= b' ' || matches!(byte, b'-' | b'.' | b'(' | b')' | b'/' | b'_' | b'+')
}

/// Whether a text ends with a plus sign, apart from a space or parenthesis after it.
fn follows_plus(before: &[u8]) -> bool {
    let mut last = before.iter().rev().take(3).skip_while(|byte| matches!(byte, b' ' | b'('));
    last.next() == Some(&b'+')
}

fn digits_len(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// Length of the identity of a radio cell that a text begins with: country code of three digits, network code of two,
/// area and cell, with one of `-./_`.
fn cell_id_len(text: &[u8]) -> Option<usize> {
    // No such identity is longer, with the digit after it that would make it another number.
    let text = text.get(..23).unwrap_or(text);
    let separator = text.get(3).filter(|byte| matches!(byte, b'-' | b'.' | b'/' | b'_'))?;
    let mut len = 0;
    let groups = text.split(|byte| byte == separator).take(4);
    for (group, longest) in groups.clone().zip([3, 2, 5, 9]) {
        let digits = digits_len(group);
        let last = longest == 9;
        let whole = digits == group.len() || last;
        if !whole || digits == 0 || digits > longest || (longest < 4 && digits != longest) {
            return None;
        }
        len += digits + usize::from(!last);
    }
    (groups.count() == 4).then_some(len)
}

/// Length of the calendar date that a text begins with: 2026-01-02 or 02.01.2026, with one of `-./_`.
fn date_len(text: &[u8]) -> Option<usize> {
    let date = text.get(..10)?;
    let separated = |first: usize, second: usize| {
        let separator = date.get(first).filter(|byte| matches!(byte, b'-' | b'.' | b'/' | b'_'));
        separator.is_some() && separator == date.get(second)
    };
    let value = |from: usize, to: usize| {
        let digits = date.get(from..to).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
        Some(digits.iter().fold(0, |value, digit| 10 * value + u32::from(digit - b'0')))
    };
    let (year, month, day) = if separated(4, 7) {
        (value(0, 4)?, value(5, 7)?, value(8, 10)?)
    } else if separated(2, 5) {
        (value(6, 10)?, value(3, 5)?, value(0, 2)?)
    } else {
        return None;
    };
    let ends = !text.get(10).is_some_and(u8::is_ascii_digit);
    (ends && (1900..2100).contains(&year) && is_day(year, month, day)).then_some(10)
}

fn is_day(year: u32, month: u32, day: u32) -> bool {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return false,
    };
    (1..=days).contains(&day)
}

/// The check digit of an IIN: weights 1 to 11, and where that gives ten, weights 3 to 11, 1, 2. Where both give ten,
/// there is no such number.
fn iin_check(digits: &[u8; 12]) -> bool {
    let [payload @ .., check] = digits;
    let round = |first: u32| {
        let weights = (0..11).map(|place| (place + first - 1) % 11 + 1);
        payload.iter().zip(weights).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum::<u32>() % 11
    };
    let expected = match round(1) {
        10 => round(3),
        expected => expected,
    };
    expected == u32::from(check - b'0')
}

/// The check digit of a thirteen-digit trade item number (GS1), whose weights are 1 and 3.
fn is_barcode(digits: &[u8]) -> bool {
    let weights = [1, 3].into_iter().cycle();
    let sum: u32 = digits.iter().zip(weights).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    digits.len() == 13 && sum.is_multiple_of(10)
}

fn luhn_holds(digits: &[u8]) -> bool {
    digits.split_last().is_some_and(|(check, payload)| luhn(payload, 10) == check - b'0')
}
