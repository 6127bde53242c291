//! Detectors of personal data in text: the second line behind the catalogue.
//!
//! A value that an app sends where a screen name or a code was declared may be a phone number or an e-mail address by
//! mistake. [`detect`] looks for such data anywhere in a text and in its usual spellings: separators between digits,
//! full-width and other Unicode digits, zero-width characters, Cyrillic and Greek look-alikes of Latin letters, and
//! all of that percent-encoded, as in a URL. A `Watch` looks at the texts of a whole report and counts.
//!
//! Guarantees: the answer is the name of a detector and holds nothing of the text. Work is linear in the length of the
//! text. Nothing is allocated for an ASCII text without percent-encoding; the folded copy of any other is wiped.
//!
//! Does not: prove that a text is free of personal data. Names, addresses and free speech pass; that is why text is
//! never stored, and why only declared values are. Nor does it undo what hides on purpose or by another layer: digits
//! in words, letters for digits, masked or split numbers, base64, encodings within encodings. It prefers a wrong hit
//! to a miss: about one long number in ten with a card's prefix passes the Luhn check by chance.

mod address;
mod fold;
mod number;
mod secret;
#[cfg(test)]
mod tests;
mod watch;

use fold::Folded;
pub(crate) use watch::Watch;
use zeroize::Zeroizing;

/// What kind of personal data a text holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Detector {
    /// Individual identification number of Kazakhstan: date of birth, century and sex, two-round check digit.
    Iin,
    /// Phone number: Kazakh mobile, or any other in international or trunk form.
    Phone,
    /// E-mail address.
    Email,
    /// Equipment identity of a phone.
    Imei,
    /// Hardware address.
    Mac,
    /// IPv4 or IPv6 address.
    Ip,
    /// Payment card number: prefix, length and Luhn check digit.
    Card,
    /// JSON web token.
    Jwt,
    /// Long random token: UUID, hex or base64.
    RandomToken,
}

impl Detector {
    /// Every detector.
    pub const ALL: [Detector; 9] = {
        use Detector::*;
        [Iin, Phone, Email, Imei, Mac, Ip, Card, Jwt, RandomToken]
    };

    /// The name used in the ledger and in previews.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Detector::Iin => "iin",
            Detector::Phone => "phone",
            Detector::Email => "email",
            Detector::Imei => "imei",
            Detector::Mac => "mac",
            Detector::Ip => "ip",
            Detector::Card => "card",
            Detector::Jwt => "jwt",
            Detector::RandomToken => "random_token",
        }
    }
}

/// Where a text stands, which says how dotted numbers are to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Setting {
    Anywhere,
    /// In a field for versions, four numbers with dots are no IPv4 address.
    Version,
}

/// The personal data that a text holds, if any is recognised; one kind, where there are several.
#[must_use]
pub fn detect(text: &str) -> Option<Detector> {
    if is_plain(text) { None } else { search(text, Setting::Anywhere) }
}

/// The personal data that the text of a version holds: as [`detect`], but `10.0.0.1` is a version there.
#[must_use]
pub fn detect_in_version(text: &str) -> Option<Detector> {
    let is_short = text.len() < 9 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if is_short || is_plain(text) { None } else { search(text, Setting::Version) }
}

/// The personal data that a number is, where an app sends it as a JSON number and not as text. An IIN may have lost
/// the zeros that it begins with.
#[must_use]
pub fn detect_number(number: u64) -> Option<Detector> {
    let mut digits = Zeroizing::new([b'0'; 20]);
    let mut rest = number;
    let mut first = digits.len();
    for (place, digit) in digits.iter_mut().enumerate().rev() {
        *digit += u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        first = place;
        if rest == 0 {
            break;
        }
    }
    let length = digits.len() - first;
    let found = number::first(digits.get(first..).unwrap_or_default());
    let padded =
        || (9..12).contains(&length).then(|| number::any(digits.get(8..).unwrap_or_default(), number::is_iin));
    found.or_else(|| padded()?.then_some(Detector::Iin))
}

fn search(text: &str, setting: Setting) -> Option<Detector> {
    #[cfg(test)]
    crate::work::searched(text);
    let found = Folded::decoded(text).and_then(|decoded| search_in(decoded.bytes(), setting));
    found.or_else(|| search_in(Folded::new(text).bytes(), setting))
}

fn search_in(text: &[u8], setting: Setting) -> Option<Detector> {
    if secret::holds_jwt(text) {
        return Some(Detector::Jwt);
    }
    if address::holds_email(text) {
        return Some(Detector::Email);
    }
    // Before the addresses and numbers: parts of a UUID look like both.
    if secret::holds_uuid(text) {
        return Some(Detector::RandomToken);
    }
    if address::holds_mac(text) {
        return Some(Detector::Mac);
    }
    if let Some(detector) = number::first(text) {
        return Some(detector);
    }
    if address::holds_ipv6(text) || (setting == Setting::Anywhere && address::holds_ipv4(text)) {
        return Some(Detector::Ip);
    }
    secret::holds_random_token(text).then_some(Detector::RandomToken)
}

/// Whether a text holds an IIN.
#[must_use]
pub fn iin(text: &str) -> bool {
    number::any(Folded::new(text).bytes(), number::is_iin)
}

/// Whether a text holds a Kazakh mobile number: country code 7 or trunk prefix 8, or neither, and the prefix of an
/// operator.
#[must_use]
pub fn kz_mobile(text: &str) -> bool {
    number::any(Folded::new(text).bytes(), number::is_kz_mobile)
}

/// Whether a text holds a payment card number.
#[must_use]
pub fn card(text: &str) -> bool {
    number::any(Folded::new(text).bytes(), number::is_card)
}

/// Whether a text is made of short lower-case words, underscores and fewer than five digits, as almost every declared
/// value is, or is a short one of letters, spaces and hyphens. No detector needs less: the shortest number has nine
/// digits, the shortest word twelve characters, pairs with hyphens seventeen, and addresses need other characters.
fn is_plain(text: &str) -> bool {
    let is_short = text.len() < 12;
    let mut digits = 0;
    let mut word = 0;
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' => word += 1,
            b'A'..=b'Z' if is_short => word += 1,
            b'0'..=b'9' => {
                word += 1;
                digits += 1;
            }
            b'_' => word = 0,
            b'-' | b' ' if is_short => word = 0,
            _ => return false,
        }
        if word == 12 || digits == 5 {
            return false;
        }
    }
    true
}
