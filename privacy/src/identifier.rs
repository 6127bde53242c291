//! Canonical forms of device identifiers.
//!
//! One device may spell its identifier in several ways: an IMEI with or without its check digit, a MEID in hex or
//! in decimal, a MAC with colons, hyphens or dots. This module turns every spelling of one identifier into one form,
//! so that it gives one token, and says of every other input why it gives none.
//!
//! Guarantees: a [`Canonical`] has the exact shape of its kind, is never printed, cannot be copied or serialised,
//! and is wiped when it is dropped. Reasons hold no part of the input, nor the check digit it should have had.
//! Nothing is allocated. Any input, however long or malformed, gets an answer.
//!
//! Does not: guess the kind (the report declares it), hash (see [`crate::token`]), or keep anything.

use core::fmt;

use zeroize::Zeroize;

/// The longest input that is looked at, in bytes: ample room for the free separators of an IMEI or MEID.
const LONGEST_INPUT: usize = 64;

/// The longest canonical form, a hyphenated UUID.
const LONGEST_FORM: usize = 36;

/// Default and test IMEIs that many devices carry: without meaning, whatever their check digit says.
const JUNK_IMEI: [&[u8]; 4] = [b"000000000000000", b"004999010640000", b"012345678912345", b"358240051111110"];

/// Android ids that many devices share: the one of a faulty Android 2.2, that of an emulator, and none at all.
const JUNK_ANDROID_ID: [&[u8]; 3] = [b"9774d56d682e549c", b"0000000000000000", b"e21833235b6eef10"];

/// What an identifier is, as declared in the report. The order of the variants is their precedence: installation,
/// then vendor scope, then advertising, then hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A UUID that the app made for this installation.
    InstallId,
    /// `Settings.Secure.ANDROID_ID`: 64 bits, one per app signing key and user.
    AndroidId,
    /// Apple's identifier for vendor, a UUID.
    Idfv,
    /// Google's advertising id, a UUID; all zeros after an opt-out.
    Gaid,
    /// Apple's identifier for advertisers, a UUID; all zeros after an opt-out.
    Idfa,
    /// Equipment identity of GSM and later phones (3GPP TS 23.003), 14 digits and a check digit.
    Imei,
    /// Equipment identity of CDMA phones (3GPP2 S.R0048), 56 bits.
    Meid,
    /// IEEE 802 hardware address, 48 bits.
    Mac,
}

impl Kind {
    /// Every kind, by precedence.
    pub const ALL: [Kind; 8] = {
        use Kind::*;
        [InstallId, AndroidId, Idfv, Gaid, Idfa, Imei, Meid, Mac]
    };

    /// The kind that a report names, if there is one of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The name used in reports, vectors and the token's input.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::InstallId => "install_id",
            Kind::AndroidId => "android_id",
            Kind::Idfv => "idfv",
            Kind::Gaid => "gaid",
            Kind::Idfa => "idfa",
            Kind::Imei => "imei",
            Kind::Meid => "meid",
            Kind::Mac => "mac",
        }
    }
}

/// The one form of an identifier, whatever its spelling was. Made only by [`canonicalise`] and [`choose`]; redacted
/// when printed, wiped when dropped.
pub struct Canonical {
    kind: Kind,
    form: Form,
}

impl Canonical {
    /// The declared kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The canonical form itself. For hashing and for tests against the vectors: it must not be kept or printed.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.form.bytes()
    }
}

impl fmt::Debug for Canonical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Canonical({}, redacted)", self.kind.name())
    }
}

/// Why an identifier gives no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It is not an identifier of its kind.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// It is a default or test value that many devices share.
    #[error("a value that many devices share")]
    Junk,
    /// It is a locally administered MAC address, which changes at random.
    #[error("a randomised address")]
    Randomised,
    /// It is the all-zero advertising id of a user who opted out.
    #[error("the user opted out")]
    OptedOut,
}

/// What is wrong with an invalid identifier. The texts are fixed: none says what the value was or should have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It has too few or too many digits.
    #[error("wrong number of digits")]
    Length,
    /// It has a character that its kind does not know.
    #[error("a character that is not allowed")]
    Character,
    /// Its check digit does not hold.
    #[error("wrong check digit")]
    CheckDigit,
    /// Its separators are mixed or misplaced.
    #[error("mixed or misplaced separators")]
    Separators,
    /// The manufacturer part of a decimal MEID is over 32 bits.
    #[error("manufacturer part out of range")]
    ManufacturerPart,
    /// The serial part of a decimal MEID is over 24 bits.
    #[error("serial part out of range")]
    SerialPart,
    /// A MEID of decimal digits only lies in the range of the IMEIs.
    #[error("a MEID of decimal digits is in the range of IMEIs")]
    AllDecimal,
    /// A pseudo-ESN is a hash of 24 bits, shared by many devices.
    #[error("a pseudo-ESN is not unique")]
    PseudoEsn,
}

/// What the identifiers of a report come to.
#[derive(Debug)]
pub enum Choice {
    /// This one becomes the token.
    Chosen(Canonical),
    /// There is no token; the events are kept without one.
    NoToken(NoToken),
}

/// Why a well-formed report has no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoToken {
    /// It declares no identifier.
    None,
    /// What it declares is shared by many devices.
    Junk,
    /// What it declares changes at random.
    Randomised,
    /// The user opted out.
    OptedOut,
}

/// None of a report's identifiers can be used, and at least one is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("identifier {index}: {reason}")]
pub struct InvalidIdentifier {
    /// Position in the report of the invalid one; the one of highest precedence, if there are several.
    pub index: usize,
    /// What is wrong with it.
    pub reason: Invalid,
}

/// Turns one spelling of an identifier into the canonical form of its kind.
///
/// # Errors
///
/// Says why there is no token: the input is [invalid](Unusable::Invalid), or it is well-formed and of no use. Shared
/// values are recognised before check digits are looked at, since many of them have a wrong one.
pub fn canonicalise(kind: Kind, input: &str) -> Result<Canonical, Unusable> {
    if input.len() > LONGEST_INPUT {
        return Err(Invalid::Length.into());
    }
    let form = match kind {
        Kind::AndroidId => android_id(input)?,
        Kind::InstallId | Kind::Idfv => uuid(input, Unusable::Junk)?,
        Kind::Gaid | Kind::Idfa => uuid(input, Unusable::OptedOut)?,
        Kind::Imei => imei(input)?,
        Kind::Meid => meid(input)?,
        Kind::Mac => mac(input)?,
    };
    Ok(Canonical { kind, form })
}

/// Chooses the identifier of a report that becomes its token: the first valid one by precedence, and among those of
/// one kind the first in the report. An opt-out ends the search, so that no identifier of lower precedence (a
/// hardware one) stands in for what the user switched off. Shared and randomised ones are passed over.
///
/// # Errors
///
/// [`InvalidIdentifier`] when none is valid, none is an opt-out, and at least one is invalid.
pub fn choose<'a>(ids: impl IntoIterator<Item = (Kind, &'a str)>) -> Result<Choice, InvalidIdentifier> {
    choose_at(ids).map(|(_, choice)| choice)
}

/// As [`choose`], with the position in the report of the identifier that decided: the one chosen, or the opt-out.
pub(crate) fn choose_at<'a>(
    ids: impl IntoIterator<Item = (Kind, &'a str)>,
) -> Result<(Option<usize>, Choice), InvalidIdentifier> {
    let mut decided: Option<(Kind, usize, Choice)> = None;
    let mut passed_over: Option<(Kind, NoToken)> = None;
    let mut invalid: Option<(Kind, InvalidIdentifier)> = None;
    for (index, (kind, value)) in ids.into_iter().enumerate() {
        if decided.as_ref().is_some_and(|(best, ..)| *best <= kind) {
            continue;
        }
        match canonicalise(kind, value) {
            Ok(id) => decided = Some((kind, index, Choice::Chosen(id))),
            Err(Unusable::OptedOut) => decided = Some((kind, index, Choice::NoToken(NoToken::OptedOut))),
            Err(Unusable::Junk) => keep_first(&mut passed_over, kind, NoToken::Junk),
            Err(Unusable::Randomised) => keep_first(&mut passed_over, kind, NoToken::Randomised),
            Err(Unusable::Invalid(reason)) => keep_first(&mut invalid, kind, InvalidIdentifier { index, reason }),
        }
    }
    match (decided, invalid, passed_over) {
        (Some((_, index, choice)), _, _) => Ok((Some(index), choice)),
        (None, Some((_, error)), _) => Err(error),
        (None, None, Some((_, why))) => Ok((None, Choice::NoToken(why))),
        (None, None, None) => Ok((None, Choice::NoToken(NoToken::None))),
    }
}

/// Puts `value` in the slot unless something of the same or a higher precedence is there.
fn keep_first<T>(slot: &mut Option<(Kind, T)>, kind: Kind, value: T) {
    if slot.as_ref().is_none_or(|(best, _)| kind < *best) {
        *slot = Some((kind, value));
    }
}

/// IMEI: 14 digits as they are, 15 with a check digit, 16 with a software version.
fn imei(input: &str) -> Result<Form, Unusable> {
    let mut form = strip(input, u8::is_ascii_digit)?;
    if form.bytes().len() == 15 && JUNK_IMEI.contains(&form.bytes()) {
        return Err(Unusable::Junk);
    }
    let (payload, rest) = form.bytes().split_at_checked(14).ok_or(Invalid::Length)?;
    match rest {
        [] | [_, _] => {}
        [check] if luhn(payload, 10) == digit(*check) => {}
        [_] => return Err(Invalid::CheckDigit.into()),
        _ => return Err(Invalid::Length.into()),
    }
    // A shared IMEI is no better for being spelt without its check digit, or with a software version.
    if JUNK_IMEI.iter().any(|junk| junk.starts_with(payload)) {
        return Err(Unusable::Junk);
    }
    form.truncate(14);
    Ok(form)
}

/// MEID: 14 hex digits (and a check digit), or 18 decimal digits (and a check digit) that hold 32 and 24 bits.
fn meid(input: &str) -> Result<Form, Unusable> {
    let mut form = strip(input, u8::is_ascii_hexdigit)?;
    form.as_mut().make_ascii_uppercase();
    let (base, payload_len) = match form.bytes().len() {
        8 => return Err(Invalid::PseudoEsn.into()),
        14 | 15 => (16, 14),
        18 | 19 => (10, 18),
        _ => return Err(Invalid::Length.into()),
    };
    let (payload, rest) = form.bytes().split_at_checked(payload_len).ok_or(Invalid::Length)?;
    if base == 10 && !form.bytes().iter().all(u8::is_ascii_digit) {
        return Err(Invalid::Character.into());
    }
    if let [check] = rest
        && luhn(payload, base) != digit(*check)
    {
        return Err(Invalid::CheckDigit.into());
    }
    if base == 10 {
        form = meid_from_decimal(payload)?;
    }
    form.truncate(14);
    if form.bytes().iter().all(u8::is_ascii_digit) {
        return Err(Invalid::AllDecimal.into());
    }
    Ok(form)
}

/// The hex form of a decimal MEID: ten digits for the manufacturer's 32 bits, eight for the serial's 24.
fn meid_from_decimal(payload: &[u8]) -> Result<Form, Invalid> {
    let (manufacturer, serial) = payload.split_at_checked(10).ok_or(Invalid::Length)?;
    let manufacturer = decimal(manufacturer);
    if manufacturer >= 1 << 32 {
        return Err(Invalid::ManufacturerPart);
    }
    let serial = decimal(serial);
    if serial >= 1 << 24 {
        return Err(Invalid::SerialPart);
    }
    let value = (manufacturer << 24) | serial;
    let mut form = Form::new();
    for byte in value.to_be_bytes().into_iter().skip(1) {
        form.push(hex_upper(byte >> 4))?;
        form.push(hex_upper(byte & 0xf))?;
    }
    Ok(form)
}

/// MAC: six pairs with `:` or `-`, three groups of four with `.`, or twelve digits.
fn mac(input: &str) -> Result<Form, Unusable> {
    let mut form = Form::new();
    for byte in input.bytes() {
        match byte {
            b':' | b'-' | b'.' => {}
            _ if byte.is_ascii_hexdigit() => form.push(byte.to_ascii_lowercase())?,
            _ => return Err(Invalid::Character.into()),
        }
    }
    if form.bytes().len() != 12 {
        return Err(Invalid::Length.into());
    }
    let separated = |separator: u8, group: usize| {
        let mut groups = input.as_bytes().split(|byte| *byte == separator);
        groups.all(|digits| digits.len() == group && digits.iter().all(u8::is_ascii_hexdigit))
    };
    let spelt = input.len() == 12 || separated(b':', 2) || separated(b'-', 2) || separated(b'.', 4);
    if !spelt {
        return Err(Invalid::Separators.into());
    }
    let zeros_after_first = form.bytes().iter().skip(2).all(|byte| *byte == b'0');
    let first_octet = match form.bytes() {
        [high, low, ..] => digit(*high) << 4 | digit(*low),
        _ => return Err(Invalid::Length.into()),
    };
    // The lowest bit of the first octet marks a group address, which broadcast is one of; `02:00:00:00:00:00` is
    // what Android and iOS say instead of the address.
    if first_octet & 1 == 1 || (zeros_after_first && (first_octet == 0 || first_octet == 2)) {
        return Err(Unusable::Junk);
    }
    if first_octet & 2 == 2 {
        return Err(Unusable::Randomised);
    }
    Ok(form)
}

/// Android id: up to 16 hex digits, of which Android leaves out leading zeros.
fn android_id(input: &str) -> Result<Form, Unusable> {
    if !input.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Invalid::Character.into());
    }
    if input.is_empty() || input.len() > 16 {
        return Err(Invalid::Length.into());
    }
    let mut form = Form::new();
    for _ in input.len()..16 {
        form.push(b'0')?;
    }
    for byte in input.bytes() {
        form.push(byte.to_ascii_lowercase())?;
    }
    if JUNK_ANDROID_ID.contains(&form.bytes()) {
        return Err(Unusable::Junk);
    }
    Ok(form)
}

/// UUID, with all of its hyphens or none. The nil UUID is `when_nil`.
fn uuid(input: &str, when_nil: Unusable) -> Result<Form, Unusable> {
    let mut digits = 0;
    let mut form = Form::new();
    for byte in input.bytes().filter(|byte| *byte != b'-') {
        if !byte.is_ascii_hexdigit() {
            return Err(Invalid::Character.into());
        }
        if matches!(digits, 8 | 12 | 16 | 20) {
            form.push(b'-')?;
        }
        form.push(byte.to_ascii_lowercase())?;
        digits += 1;
    }
    if digits != 32 {
        return Err(Invalid::Length.into());
    }
    if input.len() != 32 && !input.as_bytes().eq_ignore_ascii_case(form.bytes()) {
        return Err(Invalid::Separators.into());
    }
    let all = |wanted: u8| form.bytes().iter().all(|byte| *byte == wanted || *byte == b'-');
    if all(b'0') {
        return Err(when_nil);
    }
    if all(b'f') {
        return Err(Unusable::Junk);
    }
    Ok(form)
}

/// The digits of an input in which spaces and hyphens may stand anywhere.
fn strip(input: &str, is_digit: fn(&u8) -> bool) -> Result<Form, Invalid> {
    if !input.bytes().all(|byte| is_digit(&byte) || byte == b' ' || byte == b'-') {
        return Err(Invalid::Character);
    }
    let mut form = Form::new();
    for byte in input.bytes().filter(is_digit) {
        form.push(byte)?;
    }
    Ok(form)
}

/// The ASCII digit of a value under sixteen.
fn hex_upper(value: u8) -> u8 {
    match value {
        0..=9 => b'0' + value,
        _ => b'A' + value - 10,
    }
}

/// The value of an ASCII hex digit; zero for anything else, which callers have refused.
fn digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        b'A'..=b'F' => byte - b'A' + 10,
        _ => 0,
    }
}

/// The value of up to nineteen ASCII decimal digits.
fn decimal(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |value, byte| value * 10 + u64::from(digit(*byte)))
}

/// The Luhn check digit of a payload in base 10 (ISO/IEC 7812-1) or base 16 (3GPP2 S.R0048).
pub(crate) fn luhn(payload: &[u8], base: u8) -> u8 {
    let mut sum = 0;
    for (place, byte) in payload.iter().rev().enumerate() {
        let value = digit(*byte);
        let weighted = if place % 2 == 0 { 2 * value } else { value };
        sum = (sum + weighted / base + weighted % base) % base;
    }
    (base - sum) % base
}

/// Text of at most [`LONGEST_FORM`] bytes, wiped when dropped.
struct Form {
    bytes: [u8; LONGEST_FORM],
    len: usize,
}

impl Form {
    fn new() -> Form {
        Form { bytes: [0; LONGEST_FORM], len: 0 }
    }

    fn push(&mut self, byte: u8) -> Result<(), Invalid> {
        *self.bytes.get_mut(self.len).ok_or(Invalid::Length)? = byte;
        self.len += 1;
        Ok(())
    }

    fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn as_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.len).unwrap_or_default()
    }
}

impl Drop for Form {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}
