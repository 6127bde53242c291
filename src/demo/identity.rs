//! The identifiers that a simulated phone sends: of every kind, in every spelling, valid, junk and opted out.
//!
//! Guarantees: valid ones pass the check digits of their kind; each identifier is drawn for one phone.
//! Does not: copy any real device. IMEIs begin with real reporting-body digits, their rest is drawn.

use super::chance::Chance;

/// The kind under which an identifier is declared on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A UUID that the app drew when it was installed.
    InstallId,
    /// Android's identifier of a device, app signer and user.
    AndroidId,
    /// Apple's identifier for vendors.
    Idfv,
    /// Google's advertising identifier.
    Gaid,
    /// Apple's advertising identifier.
    Idfa,
    /// The number of a GSM device.
    Imei,
    /// The number of a CDMA device.
    Meid,
    /// The address of a network card.
    Mac,
}

impl Kind {
    /// The name on the wire.
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

/// An identifier as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identifier {
    /// The declared kind.
    pub kind: Kind,
    /// The spelling on the wire.
    pub sent: String,
    /// The canonical form; none where it points to nobody (junk, or an opt-out).
    pub canonical: Option<String>,
}

/// The operating system of a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Platform {
    Android,
    Ios,
}

const OPTED_OUT: &str = "00000000-0000-0000-0000-000000000000";
const JUNK_IMEIS: [&str; 4] = ["000000000000000", "004999010640000", "012345678912345", "358240051111110"];
const JUNK_ANDROID_IDS: [&str; 2] = ["9774d56d682e549c", "0000000000000000"];
/// Vendors of phones, from the public register of the IEEE.
const VENDORS: [u64; 4] = [0x8c_f5_a3, 0xf0_18_98, 0x64_09_80, 0x00_e0_fc];
/// Reporting bodies that open a type allocation code: BABT (35), TAF (86), CTIA (01).
const REPORTING_BODIES: [(u64, u32); 3] = [(35, 60), (86, 36), (1, 4)];

/// The identifiers that a phone sends, in the order in which it sends them.
pub(super) fn draw(chance: &mut Chance, platform: Platform) -> Vec<Identifier> {
    let share = chance.below(1000);
    match platform {
        Platform::Android => match share {
            0..750 => vec![uuid(chance, Kind::InstallId)],
            750..800 => vec![uuid(chance, Kind::InstallId), uuid(chance, Kind::Gaid)],
            800..820 => vec![nobody(Kind::Gaid, OPTED_OUT), uuid(chance, Kind::InstallId)],
            820..890 => vec![android_id(chance)],
            890..915 => vec![uuid(chance, Kind::Gaid)],
            915..935 => vec![nobody(Kind::Gaid, OPTED_OUT)],
            935..955 => vec![imei(chance)],
            955..959 => vec![meid(chance)],
            959..972 => vec![mac(chance)],
            972..982 => vec![nobody(Kind::Imei, chance.pick(&JUNK_IMEIS))],
            982..985 => vec![nobody(Kind::AndroidId, chance.pick(&JUNK_ANDROID_IDS))],
            _ => vec![randomised_mac(chance)],
        },
        Platform::Ios => match share {
            0..750 => vec![uuid(chance, Kind::InstallId)],
            750..820 => vec![uuid(chance, Kind::InstallId), nobody(Kind::Idfa, OPTED_OUT)],
            820..930 => vec![uuid(chance, Kind::Idfv)],
            930..960 => vec![uuid(chance, Kind::Idfa)],
            960..990 => vec![nobody(Kind::Idfa, OPTED_OUT)],
            _ => vec![randomised_mac(chance)],
        },
    }
}

fn nobody(kind: Kind, sent: &str) -> Identifier {
    Identifier { kind, sent: sent.to_owned(), canonical: None }
}

fn uuid(chance: &mut Chance, kind: Kind) -> Identifier {
    let drawn = uuid::Builder::from_random_bytes(chance.bytes()).into_uuid();
    let canonical = drawn.to_string();
    let sent = match kind {
        // iOS spells UUIDs in upper case.
        Kind::Idfv | Kind::Idfa => canonical.to_ascii_uppercase(),
        Kind::InstallId if chance.happens(0.05) => drawn.simple().to_string(),
        _ => canonical.clone(),
    };
    Identifier { kind, sent, canonical: Some(canonical) }
}

fn android_id(chance: &mut Chance) -> Identifier {
    let canonical = format!("{:016x}", chance.bits());
    let sent = match chance.below(10) {
        0 => canonical.to_ascii_uppercase(),
        // Old phones drop leading zeros.
        1 => canonical.trim_start_matches('0').to_owned(),
        _ => canonical.clone(),
    };
    Identifier { kind: Kind::AndroidId, sent, canonical: Some(canonical) }
}

fn imei(chance: &mut Chance) -> Identifier {
    let body = chance.weighted(&REPORTING_BODIES);
    let model = u64::from(chance.below(1_000_000));
    let serial = u64::from(chance.below(1_000_000));
    let canonical = format!("{body:02}{model:06}{serial:06}");
    let check = luhn(canonical.bytes().map(|digit| u32::from(digit - b'0')), 10);
    let sent = match chance.below(10) {
        0 => canonical.clone(),
        1 => format!("{canonical}{:02}", chance.below(99)),
        2 => format!("{}-{}-{}-{check}", &canonical[..2], &canonical[2..8], &canonical[8..]),
        _ => format!("{canonical}{check}"),
    };
    Identifier { kind: Kind::Imei, sent, canonical: Some(canonical) }
}

fn meid(chance: &mut Chance) -> Identifier {
    // A0 keeps it apart from the ranges that are all decimal; the decimal form's serial part has 24 bits.
    let maker = 0xA000_0000 + u64::from(chance.below(0x100_0000));
    let serial = u64::from(chance.below(0x100_0000));
    let canonical = format!("{maker:08X}{serial:06X}");
    let sent = match chance.below(3) {
        0 => format!("{maker:010}{serial:08}"),
        1 => {
            let digits = canonical.chars().filter_map(|digit| digit.to_digit(16));
            format!("{canonical}{:X}", luhn(digits.collect::<Vec<_>>().into_iter(), 16))
        }
        _ => canonical.clone(),
    };
    Identifier { kind: Kind::Meid, sent, canonical: Some(canonical) }
}

fn mac(chance: &mut Chance) -> Identifier {
    let address = (chance.pick(&VENDORS) << 24) | u64::from(chance.below(0x100_0000));
    let canonical = format!("{address:012x}");
    let sent = match chance.below(4) {
        0 => colons(&canonical, '-'),
        1 => canonical.clone(),
        _ => colons(&canonical, ':').to_ascii_uppercase(),
    };
    Identifier { kind: Kind::Mac, sent, canonical: Some(canonical) }
}

fn randomised_mac(chance: &mut Chance) -> Identifier {
    let [first, rest @ ..] = chance.bytes();
    // The second lowest bit says "administered locally", the lowest would say "multicast".
    let first = (first & !1) | 2;
    let canonical = format!("{first:02x}{:02x}{:02x}{:02x}{:02x}{:02x}", rest[0], rest[1], rest[2], rest[3], rest[4]);
    let sent = colons(&canonical, ':');
    Identifier { kind: Kind::Mac, sent, canonical: Some(canonical) }
}

fn colons(hex: &str, separator: char) -> String {
    let mut spelled = String::with_capacity(17);
    for (index, digit) in hex.chars().enumerate() {
        if index > 0 && index % 2 == 0 {
            spelled.push(separator);
        }
        spelled.push(digit);
    }
    spelled
}

/// The check digit of Luhn's formula in the given base, for digits without one.
fn luhn(digits: impl DoubleEndedIterator<Item = u32>, base: u32) -> u32 {
    let mut sum = 0;
    for (index, digit) in digits.rev().enumerate() {
        let weighed = if index % 2 == 0 { digit * 2 } else { digit };
        sum += weighed / base + weighed % base;
    }
    (base - sum % base) % base
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::chance::Subject;
    use super::*;

    fn drawn() -> Vec<Identifier> {
        let mut identifiers = Vec::new();
        for phone in 0..20_000 {
            let platform = if phone % 5 == 0 { Platform::Ios } else { Platform::Android };
            identifiers.extend(draw(&mut Chance::of(7, Subject::Phone, phone, 0), platform));
        }
        identifiers
    }

    #[test]
    fn check_digits_agree_with_known_numbers() {
        let digits = |text: &str, base| text.chars().filter_map(|c| c.to_digit(base)).collect::<Vec<_>>().into_iter();
        assert_eq!(luhn(digits("49015420323751", 10), 10), 8);
        assert_eq!(luhn(digits("35417803685978", 10), 10), 9);
        assert_eq!(luhn(digits("AF0123450ABCDE", 16), 16), 0xC);
    }

    #[test]
    fn imeis_of_fifteen_digits_pass_luhn() {
        let mut seen = 0;
        for identifier in drawn().iter().filter(|id| id.kind == Kind::Imei && id.canonical.is_some()) {
            let digits: String = identifier.sent.chars().filter(char::is_ascii_digit).collect();
            assert!(digits.starts_with(identifier.canonical.as_deref().unwrap()));
            if digits.len() == 15 {
                let check =
                    luhn(digits[..14].chars().filter_map(|c| c.to_digit(10)).collect::<Vec<_>>().into_iter(), 10);
                assert_eq!(digits[14..], check.to_string());
                seen += 1;
            }
        }
        assert!(seen > 100);
    }

    #[test]
    fn every_kind_occurs_and_no_identifier_twice() {
        let identifiers = drawn();
        let kinds: HashSet<_> = identifiers.iter().map(|id| id.kind).collect();
        assert_eq!(kinds.len(), 8);
        let mut canonical = HashSet::new();
        for identifier in &identifiers {
            if let Some(form) = &identifier.canonical {
                assert!(canonical.insert((identifier.kind, form.clone())), "{identifier:?}");
            }
        }
    }

    #[test]
    fn decimal_meids_are_within_their_parts() {
        for identifier in drawn().iter().filter(|id| id.kind == Kind::Meid && id.sent.len() == 18) {
            assert!(identifier.sent[..10].parse::<u64>().unwrap() < 1 << 32);
            assert!(identifier.sent[10..].parse::<u64>().unwrap() < 1 << 24);
        }
    }
}
