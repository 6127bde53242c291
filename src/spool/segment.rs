//! The bytes of a segment file, and how they are read back after damage.
//!
//! All integers are little endian. A segment is a header and then records, without padding:
//!
//! ```text
//! header   40 bytes   magic "tumanspl" | version u32 | identity [16] | segment id u64 | crc32c of the 36 bytes before
//! record   16 bytes   marker [4] | sequence u32 | length u32 | checksum u32
//!          length     payload
//! ```
//!
//! `sequence` counts the records of the segment from 0. `checksum` is the crc32c of sequence, length and
//! payload; it starts from a seed made of the identity and the segment id, so bytes left behind by another
//! file never verify. The marker comes from the same seed: it differs in every segment, and what is inside a
//! payload cannot imitate it.
//!
//! Guarantees of [`scan`]: it never panics and never invents a record; damage costs the records it touches
//! and no others. Where a record does not verify, the next marker with a record that does is looked for byte
//! by byte, so a damaged length loses one record, not the rest. The gap in the sequence says exactly how many
//! were lost. Damage after the last good record cannot be told from a write that a crash cut short; it ends
//! the segment.

use std::fmt;
use std::ops::Range;

/// Bytes before the first record.
pub(super) const HEADER_BYTES: u64 = 40;
/// Bytes of a record besides its payload.
pub(super) const RECORD_BYTES: u64 = 16;

const MAGIC: [u8; 8] = *b"tumanspl";
pub(super) const VERSION: u32 = 1;
const FIRST_RECORD: usize = 40;
const RECORD_HEAD: usize = 16;
const SUFFIX: &str = ".segment";
const ASIDE: &str = ".aside";

/// Number of a segment. Numbers only ever grow, also across restarts, and are never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SegmentId(pub(super) u64);

impl SegmentId {
    /// Smaller than the number of any segment.
    pub const BEFORE_ALL: Self = Self(0);

    /// The number itself.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

/// The records of one sealed segment, in the order they were appended.
pub struct Segment {
    pub(super) id: SegmentId,
    pub(super) bytes: Vec<u8>,
    pub(super) ranges: Vec<Range<usize>>,
    pub(super) corrupt: u64,
}

impl Segment {
    /// The segment's number.
    #[must_use]
    pub fn id(&self) -> SegmentId {
        self.id
    }

    /// The payloads that verified.
    pub fn records(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.ranges.iter().map(|range| self.bytes.get(range.clone()).unwrap_or_default())
    }

    /// How many records are missing because they did not verify.
    #[must_use]
    pub fn corrupt(&self) -> u64 {
        self.corrupt
    }
}

// Records are working data: their bytes stay out of logs.
impl fmt::Debug for Segment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Segment")
            .field("id", &self.id)
            .field("records", &self.ranges.len())
            .field("corrupt", &self.corrupt)
            .finish_non_exhaustive()
    }
}

/// Random name of a spool, drawn once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity(pub(super) [u8; 16]);

impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// What ties a record to its segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    seed: u32,
    marker: [u8; 4],
}

impl Stamp {
    pub(super) fn new(identity: Identity, id: SegmentId) -> Self {
        let seed = crc32c::crc32c_append(crc32c::crc32c(&identity.0), &id.0.to_le_bytes());
        let marker = crc32c::crc32c_append(seed, b"marker").to_le_bytes();
        Self { seed, marker }
    }
}

/// What the first bytes of a segment say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// Intact, written by the spool of this identity.
    Intact(Identity),
    /// Missing, cut short, or changed.
    Damaged,
    /// Intact, but of a format this program does not know.
    Foreign(u32),
}

/// What was found in a segment.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Where the payloads that verified are.
    pub(super) ranges: Vec<Range<usize>>,
    /// Records up to the last that verified, with the lost ones between.
    pub(super) total: u64,
    /// Bytes after the last record that verified.
    pub(super) torn_bytes: u64,
}

/// File name of a segment.
pub(super) fn file_name(id: SegmentId) -> String {
    format!("{id}{SUFFIX}")
}

/// The segment a file name stands for, if it is one of ours.
pub(super) fn parse_file_name(name: &str) -> Option<SegmentId> {
    let digits = name.strip_suffix(SUFFIX)?;
    let id = SegmentId(u64::from_str_radix(digits, 16).ok()?);
    (file_name(id) == name).then_some(id)
}

/// File name of a segment that was set aside.
pub(super) fn aside_name(id: SegmentId) -> String {
    format!("{id}{SUFFIX}{ASIDE}")
}

/// The segment that a file set aside stands for, if it is one of ours.
pub(super) fn parse_aside_name(name: &str) -> Option<SegmentId> {
    parse_file_name(name.strip_suffix(ASIDE)?)
}

/// Bytes a payload takes in a segment.
pub(super) fn encoded_bytes(payload: &[u8]) -> u64 {
    RECORD_BYTES.saturating_add(u64::try_from(payload.len()).unwrap_or(u64::MAX))
}

pub(super) fn write_header(into: &mut Vec<u8>, identity: Identity, id: SegmentId) {
    let mut header = [0_u8; 36];
    let fields = MAGIC.into_iter().chain(VERSION.to_le_bytes()).chain(identity.0).chain(id.0.to_le_bytes());
    for (place, byte) in header.iter_mut().zip(fields) {
        *place = byte;
    }
    into.extend_from_slice(&header);
    into.extend_from_slice(&crc32c::crc32c(&header).to_le_bytes());
}

/// Appends a record. The caller has checked that the payload's length fits a segment, and so 32 bits.
pub(super) fn write_record(into: &mut Vec<u8>, stamp: Stamp, sequence: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    into.extend_from_slice(&stamp.marker);
    into.extend_from_slice(&sequence.to_le_bytes());
    into.extend_from_slice(&length.to_le_bytes());
    into.extend_from_slice(&checksum(stamp, sequence, length, payload).to_le_bytes());
    into.extend_from_slice(payload);
}

/// Writes the checksum of a record anew, whose payload was changed in its place.
pub(super) fn sign(bytes: &mut [u8], stamp: Stamp, payload: Range<usize>) {
    let Some((head, payload)) =
        bytes.get_mut(..payload.end).and_then(|bytes| bytes.split_at_mut_checked(payload.start))
    else {
        return;
    };
    let Some((_, [s0, s1, s2, s3, l0, l1, l2, l3, stored @ ..])) = head.split_last_chunk_mut::<12>() else { return };
    let (sequence, length) = (u32::from_le_bytes([*s0, *s1, *s2, *s3]), u32::from_le_bytes([*l0, *l1, *l2, *l3]));
    *stored = checksum(stamp, sequence, length, payload).to_le_bytes();
}

pub(super) fn read_header(bytes: &[u8], id: SegmentId) -> Header {
    let Some((header, rest)) = bytes.split_first_chunk::<36>() else {
        return Header::Damaged;
    };
    let Some(stored) = rest.first_chunk::<4>() else {
        return Header::Damaged;
    };
    if crc32c::crc32c(header) != u32::from_le_bytes(*stored) {
        return Header::Damaged;
    }
    let Some((magic, rest)) = header.split_first_chunk::<8>() else {
        return Header::Damaged;
    };
    let Some((version, rest)) = rest.split_first_chunk::<4>() else {
        return Header::Damaged;
    };
    let Some((identity, rest)) = rest.split_first_chunk::<16>() else {
        return Header::Damaged;
    };
    let version = u32::from_le_bytes(*version);
    if *magic != MAGIC {
        return Header::Damaged;
    }
    if version != VERSION {
        return Header::Foreign(version);
    }
    if rest != id.0.to_le_bytes() {
        return Header::Damaged;
    }
    Header::Intact(Identity(*identity))
}

/// Finds every record that verifies.
pub(super) fn scan(bytes: &[u8], stamp: Stamp) -> Scan {
    let mut found = Scan::default();
    let mut position = FIRST_RECORD;
    let mut end = FIRST_RECORD;
    while let Some(start) = next_marker(bytes, position, stamp) {
        match read_record(bytes, start, stamp) {
            // A sequence that goes back is a copy of an earlier record.
            Some((sequence, payload)) if u64::from(sequence) >= found.total => {
                found.total = u64::from(sequence) + 1;
                position = payload.end;
                end = payload.end;
                found.ranges.push(payload);
            }
            _ => position = start + 1,
        }
    }
    found.torn_bytes = u64::try_from(bytes.len().saturating_sub(end)).unwrap_or(u64::MAX);
    found
}

fn next_marker(bytes: &[u8], from: usize, stamp: Stamp) -> Option<usize> {
    let offset = bytes.get(from..)?.windows(stamp.marker.len()).position(|window| window == stamp.marker)?;
    Some(from + offset)
}

fn read_record(bytes: &[u8], start: usize, stamp: Stamp) -> Option<(u32, Range<usize>)> {
    let (_marker, rest) = bytes.get(start..)?.split_first_chunk::<4>()?;
    let (sequence, rest) = rest.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (stored, rest) = rest.split_first_chunk::<4>()?;
    let (sequence, length) = (u32::from_le_bytes(*sequence), u32::from_le_bytes(*length));
    let size = usize::try_from(length).ok()?;
    let payload = rest.get(..size)?;
    if checksum(stamp, sequence, length, payload) != u32::from_le_bytes(*stored) {
        return None;
    }
    let first = start + RECORD_HEAD;
    Some((sequence, first..first + size))
}

fn checksum(stamp: Stamp, sequence: u32, length: u32, payload: &[u8]) -> u32 {
    let sum = crc32c::crc32c_append(stamp.seed, &sequence.to_le_bytes());
    let sum = crc32c::crc32c_append(sum, &length.to_le_bytes());
    crc32c::crc32c_append(sum, payload)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::cast_possible_truncation)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const IDENTITY: Identity = Identity([7; 16]);
    const ID: SegmentId = SegmentId(5);

    fn segment_of(records: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_header(&mut bytes, IDENTITY, ID);
        for (sequence, record) in records.iter().enumerate() {
            write_record(&mut bytes, Stamp::new(IDENTITY, ID), sequence as u32, record);
        }
        bytes
    }

    fn records_in(bytes: &[u8]) -> Vec<Vec<u8>> {
        let found = scan(bytes, Stamp::new(IDENTITY, ID));
        found.ranges.into_iter().map(|range| bytes[range].to_vec()).collect()
    }

    fn some_records() -> Vec<Vec<u8>> {
        vec![b"first".to_vec(), Vec::new(), vec![0; 40], b"fourth".to_vec(), vec![0xff; 9]]
    }

    /// Index of the record that the byte at `offset` belongs to; the header belongs to none.
    fn owner(records: &[Vec<u8>], offset: usize) -> Option<usize> {
        let mut end = FIRST_RECORD;
        if offset < end {
            return None;
        }
        records.iter().position(|record| {
            end += RECORD_HEAD + record.len();
            offset < end
        })
    }

    #[test]
    fn a_flipped_bit_anywhere_costs_one_record_at_most() {
        let records = some_records();
        let whole = segment_of(&records);
        for offset in 0..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[offset] ^= 1 << bit;
                let mut expected = records.clone();
                if let Some(lost) = owner(&records, offset) {
                    expected.remove(lost);
                }
                assert_eq!(records_in(&bytes), expected, "byte {offset}, bit {bit}");
            }
        }
    }

    #[test]
    fn lost_records_are_counted_exactly() {
        let records = some_records();
        let mut bytes = segment_of(&records);
        let second = FIRST_RECORD + RECORD_HEAD + records[0].len();
        bytes[second..second + RECORD_HEAD + 20].fill(0xaa);
        let found = scan(&bytes, Stamp::new(IDENTITY, ID));
        assert_eq!((found.total, found.ranges.len(), found.torn_bytes), (5, 3, 0));
    }

    #[test]
    fn a_segment_cut_anywhere_keeps_the_whole_records() {
        let records = some_records();
        let whole = segment_of(&records);
        for length in 0..whole.len() {
            let kept = owner(&records, length).unwrap_or(0);
            assert_eq!(records_in(&whole[..length]), records[..kept], "cut to {length}");
        }
    }

    #[test]
    fn bytes_of_another_segment_or_spool_never_verify() {
        let bytes = segment_of(&some_records());
        assert!(scan(&bytes, Stamp::new(IDENTITY, SegmentId(6))).ranges.is_empty());
        assert!(scan(&bytes, Stamp::new(Identity([8; 16]), ID)).ranges.is_empty());
    }

    #[test]
    fn a_copy_of_an_earlier_record_is_not_a_record() {
        let records = some_records();
        let mut bytes = segment_of(&records);
        let copy = bytes[FIRST_RECORD..FIRST_RECORD + RECORD_HEAD + records[0].len()].to_vec();
        bytes.extend_from_slice(&copy);
        assert_eq!(records_in(&bytes), records);
    }

    #[test]
    fn a_damaged_header_is_recognised_and_a_newer_version_told_apart() {
        let whole = segment_of(&[]);
        assert_eq!(read_header(&whole, ID), Header::Intact(IDENTITY));
        assert_eq!(read_header(&whole, SegmentId(6)), Header::Damaged);
        for offset in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[offset] ^= 0x10;
            assert_eq!(read_header(&bytes, ID), Header::Damaged);
            assert_eq!(read_header(&whole[..offset], ID), Header::Damaged);
        }
        let mut newer = whole;
        newer[8] = 2;
        let sum = crc32c::crc32c(&newer[..36]);
        newer[36..40].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(read_header(&newer, ID), Header::Foreign(2));
    }

    #[test]
    fn only_our_own_file_names_are_segments() {
        assert_eq!(parse_file_name(&file_name(ID)), Some(ID));
        assert_eq!(parse_aside_name(&aside_name(ID)), Some(ID));
        assert_eq!((parse_file_name(&aside_name(ID)), parse_aside_name(&file_name(ID))), (None, None));
        for name in ["identity", "5.segment", "+000000000000005.segment", "000000000000000A.segment", ".segment"] {
            assert_eq!(parse_file_name(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_damage_is_survived_and_invents_nothing(
            records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..12),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = segment_of(&records);
            for (place, byte) in &damage {
                let place = place.index(bytes.len());
                bytes[place] = *byte;
            }
            bytes.truncate(cut.index(bytes.len() + 1));
            let found = records_in(&bytes);
            // What is found is a subsequence of what was written.
            let mut written = records.iter();
            prop_assert!(found.iter().all(|record| written.any(|candidate| candidate == record)));
            prop_assert!(found.len() + damage.len() + 1 >= owner(&records, bytes.len()).unwrap_or(0));
        }
    }
}
