//! The identifiers of a withdrawn device, in memory for the time of a withdrawal.
//!
//! Guarantees: they are never written, logged or printed, and are wiped when dropped; an error says which of them is
//! wrong and why, and holds nothing of it.

use std::fmt;

use tuman_privacy::identifier::{Canonical, Kind, Unusable, canonicalise};

/// More than this is no list of one person's devices.
const MOST: usize = 64;

/// Valid identifiers, in canonical form; at least one.
pub struct Identifiers(Vec<Canonical>);

/// What is wrong with the identifiers of a withdrawal. Numbers count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierError {
    /// There is none.
    #[error("a withdrawal names at least one identifier")]
    None,
    /// There are too many.
    #[error("a withdrawal names at most {MOST} identifiers: use several case numbers")]
    TooMany,
    /// It is not of the form `kind=value`.
    #[error("identifier {0} is not of the form kind=value")]
    Form(usize),
    /// Its kind is none.
    #[error("identifier {0} is of no known kind: install_id, android_id, idfv, gaid, idfa, imei, meid or mac")]
    Kind(usize),
    /// It leads to no row, whoever's it is, or is not of its kind.
    #[error("identifier {0} cannot be used ({1}): correct it, or leave it out")]
    Unusable(usize, Unusable),
}

impl Identifiers {
    /// Reads kinds and values, in any spelling.
    ///
    /// # Errors
    /// Names the first that is wrong. One is enough to refuse them all: a withdrawal that is carried out in part looks
    /// like one that is carried out.
    pub fn of<'a>(spelt: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Identifiers, IdentifierError> {
        let mut ids = Vec::new();
        for (number, (kind, value)) in (1..).zip(spelt) {
            if number > MOST {
                return Err(IdentifierError::TooMany);
            }
            let kind = Kind::from_name(kind.trim()).ok_or(IdentifierError::Kind(number))?;
            let id = canonicalise(kind, value.trim()).map_err(|why| IdentifierError::Unusable(number, why))?;
            ids.push(id);
        }
        if ids.is_empty() { Err(IdentifierError::None) } else { Ok(Identifiers(ids)) }
    }

    /// Reads lines of `kind=value`; empty ones are skipped.
    ///
    /// # Errors
    /// As [`Identifiers::of`].
    pub fn read(lines: &str) -> Result<Identifiers, IdentifierError> {
        let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty());
        let mut spelt = Vec::new();
        for (number, line) in (1..).zip(lines) {
            spelt.push(line.split_once('=').ok_or(IdentifierError::Form(number))?);
        }
        Identifiers::of(spelt)
    }

    /// Each of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Canonical> {
        self.0.iter()
    }
}

impl fmt::Debug for Identifiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identifiers(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wrong(lines: &str) -> IdentifierError {
        Identifiers::read(lines).unwrap_err()
    }

    #[test]
    fn lines_are_read_in_any_spelling() {
        let read = Identifiers::read("imei=49-015420-323751-8\n\n  mac = 00:1B:44:11:3A:B7 \r\n").unwrap();
        assert_eq!(
            read.iter().map(|id| id.expose().to_vec()).collect::<Vec<_>>(),
            [b"49015420323751".to_vec(), b"001b44113ab7".to_vec()]
        );
        assert_eq!(format!("{read:?}"), "Identifiers(redacted)");
    }

    #[test]
    fn what_is_wrong_is_named_by_its_number_and_not_repeated() {
        assert_eq!(wrong(" \n"), IdentifierError::None);
        assert_eq!(wrong("imei=490154203237518\nimei 490154203237518"), IdentifierError::Form(2));
        assert_eq!(wrong("IMSI=401017777777777"), IdentifierError::Kind(1));
        assert_eq!(wrong("mac=DA:A1:19:00:00:01"), IdentifierError::Unusable(1, Unusable::Randomised));
        assert_eq!(wrong("imei=000000000000000"), IdentifierError::Unusable(1, Unusable::Junk));
        assert_eq!(wrong(&"imei=490154203237518\n".repeat(MOST + 1)), IdentifierError::TooMany);
        let text = wrong("imei=490154203237510").to_string();
        assert!(text.contains("identifier 1") && text.contains("check digit") && !text.contains("4901542"), "{text}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
            let _ = Identifiers::read(&text);
        }
    }
}
