//! The record of one report in the spool: its rows, its line in the ledger, its answer.
//!
//! Format: a version byte, then five sections, each a u32 little-endian length and its bytes: rows of `usage_open`, rows
//! of `places_open` (both framed as [`tuman_privacy::event::Rows`]), rows of `ledger` (RowBinary), the fingerprint
//! of the report id with the answer it got, and zeros in the place of what a withdrawn device would have left: its
//! record takes as long to write and sync as any other. The fingerprint never leaves the spool for the store.

use std::fmt;

use tuman_privacy::report_id::Fingerprint;

use crate::answer::Answer;

const VERSION: u8 = 2;

/// A record, read back.
#[derive(PartialEq)]
pub struct Record<'a> {
    /// Framed rows of `usage_open`.
    pub usage: &'a [u8],
    /// Framed rows of `places_open`.
    pub places: &'a [u8],
    /// Rows of `ledger`.
    pub ledger: &'a [u8],
    /// Whose answer this is; none for a report that was known already.
    pub answered: Option<(Fingerprint, Answer)>,
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The rows hold tokens.
        f.write_str("Record(redacted)")
    }
}

impl Record<'_> {
    /// The report whose answer this is.
    #[must_use]
    pub fn report(&self) -> Option<Fingerprint> {
        self.answered.as_ref().map(|(report, _)| *report)
    }
}

/// The version of a record's form, also where this program cannot read it; none of an empty one.
#[must_use]
pub fn version(bytes: &[u8]) -> Option<u8> {
    bytes.first().copied()
}

/// Whether this program reads records of a version.
#[must_use]
pub fn is_known(version: u8) -> bool {
    version == VERSION
}

/// Writes a record, with so many bytes of zeros for what was withheld.
#[must_use]
pub fn write(
    usage: &[u8],
    places: &[u8],
    ledger: &[u8],
    answered: Option<(Fingerprint, &Answer)>,
    withheld: usize,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(usage.len() + places.len() + ledger.len() + withheld + 64);
    out.push(VERSION);
    section(&mut out, |out| out.extend_from_slice(usage));
    section(&mut out, |out| out.extend_from_slice(places));
    section(&mut out, |out| out.extend_from_slice(ledger));
    section(&mut out, |out| {
        if let Some((fingerprint, answer)) = answered {
            out.extend_from_slice(&fingerprint.0);
            answer.write(out);
        }
    });
    section(&mut out, |out| out.resize(out.len() + withheld, 0));
    out
}

/// Why bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Written by another version of this program, which can read it.
    #[error("a record of another version: load it with the program that wrote it")]
    Version,
    /// Damaged.
    #[error("a record is damaged")]
    Damaged,
}

/// Reads a record.
///
/// # Errors
/// Where it is of another version, or damaged.
pub fn read(bytes: &[u8]) -> Result<Record<'_>, RecordError> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => sections(rest).ok_or(RecordError::Damaged),
        Some(_) => Err(RecordError::Version),
        None => Err(RecordError::Damaged),
    }
}

fn sections(rest: &[u8]) -> Option<Record<'_>> {
    let (usage, rest) = take(rest)?;
    let (places, rest) = take(rest)?;
    let (ledger, rest) = take(rest)?;
    let (answered, rest) = take(rest)?;
    let (_withheld, rest) = take(rest)?;
    if !rest.is_empty() {
        return None;
    }
    let answered = match answered.split_first_chunk::<16>() {
        None => None,
        Some((fingerprint, answer)) => Some((Fingerprint(*fingerprint), Answer::read(answer)?.0)),
    };
    Some(Record { usage, places, ledger, answered })
}

fn section(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

fn take(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back(usage: Vec<u8>, places: Vec<u8>, ledger: Vec<u8>, id: [u8; 16], accepted: u32, withheld in 0_usize..500) {
            let answer = Answer { accepted, refused: vec![(3, tuman_privacy::refusal::Refusal::TooOld)] };
            let bytes = write(&usage, &places, &ledger, Some((Fingerprint(id), &answer)), withheld);
            let record = read(&bytes).unwrap();
            prop_assert_eq!(record, Record {
                usage: &usage, places: &places, ledger: &ledger, answered: Some((Fingerprint(id), answer))
            });
        }

        #[test]
        fn any_bytes_are_a_record_or_none(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }
    }
}
