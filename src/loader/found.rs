//! What lies in the spool at the start: which of its records are in the store already, and which reports came again.

use std::collections::{HashMap, HashSet};

use tuman_privacy::report_id::Fingerprint;

use crate::ledger::flight::Flight;
use crate::record::{self, Record};
use crate::seen::Seen;
use crate::spool::{ReadError, Segment, SegmentId, Spool};

/// Records that are in the spool at the start and must not be loaded.
#[derive(Default)]
pub(super) struct Found {
    /// Their answers are kept: their rows are in the store.
    stored: HashMap<SegmentId, HashSet<Fingerprint>>,
    /// Their reports are in a later segment again. The last record counts, since only the last upload can have been told
    /// that it was taken.
    superseded: HashMap<SegmentId, HashSet<Fingerprint>>,
    /// Set aside, and in the spool as well: copied back, where they should have been moved. The copy counts.
    copied: HashSet<SegmentId>,
}

/// What is to be done with a record.
#[derive(PartialEq)]
pub(super) enum FoundRecord {
    New,
    Stored,
    Superseded,
}

impl Found {
    pub(super) fn standing(&self, segment: SegmentId, record: &Record<'_>) -> FoundRecord {
        let is_in = |found: &HashMap<SegmentId, HashSet<Fingerprint>>| {
            let reports = found.get(&segment);
            record.report().is_some_and(|report| reports.is_some_and(|reports| reports.contains(&report)))
        };
        if is_in(&self.superseded) {
            FoundRecord::Superseded
        } else if is_in(&self.stored) {
            FoundRecord::Stored
        } else {
            FoundRecord::New
        }
    }

    /// The ledger's lines of what is neither in the store nor there again, of a segment that is set aside.
    pub(super) fn new_lines(&self, segment: &Segment) -> Vec<u8> {
        if self.copied.contains(&segment.id()) {
            return Vec::new();
        }
        let is_new = |record: &Record<'_>| self.standing(segment.id(), record) == FoundRecord::New;
        records(segment).filter(is_new).flat_map(|record| record.ledger).copied().collect()
    }
}

/// Remembers the answers of what is in the spool, and counts what will be loaded as in flight.
///
/// # Errors
/// Where a segment cannot be read, although it was when the spool was opened: loaded later, its reports would be counted
/// twice, and its events be taken off what is in flight without having been there.
pub(super) fn recover(spool: &Spool, seen: &Seen, flight: &Flight, now_ms: i64) -> Result<Found, ReadError> {
    let mut found = Found::default();
    // The newest first, so that a report that is there twice has its last answer.
    let sealed = spool.sealed();
    let offered = sealed.iter().rev().map(|id| (false, spool.read(*id)));
    // Also what is set aside: a retry gets its answer, and the account says that it is on its way.
    for (is_aside, segment) in offered.chain(spool.aside().map(|segment| (true, Ok(segment)))) {
        let segment = segment?;
        if is_aside && sealed.contains(&segment.id()) {
            found.copied.insert(segment.id());
            continue;
        }
        for record in records(&segment) {
            if let Some((report, answer)) = &record.answered
                && !seen.recover(*report, answer, now_ms)
            {
                let known = if seen.is_kept(*report) { &mut found.stored } else { &mut found.superseded };
                known.entry(segment.id()).or_default().insert(*report);
            }
            if found.standing(segment.id(), &record) == FoundRecord::New {
                flight.recover(record.ledger);
            }
        }
    }
    Ok(found)
}

fn records(segment: &Segment) -> impl Iterator<Item = Record<'_>> {
    segment.records().filter_map(|bytes| record::read(bytes).ok())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use tuman_privacy::time::Day;

    use super::*;
    use crate::ledger::Lines;
    use crate::spool::{Options, RealFilesystem};

    const NOW: i64 = 1_791_183_600_000;

    #[test]
    fn a_segment_that_cannot_be_read_is_no_start_without_it() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("spool");
        let open =
            || Spool::open(Arc::new(RealFilesystem), &folder, Options::default(), Arc::new(Instant::now)).unwrap().0;
        let lines = Lines::of_duplicate("kz.one", Day(20_000), 3);
        let before = open();
        before.append_blocking(record::write(&[], &[], lines.bytes(), None, 0)).unwrap();
        before.close();
        let spool = open();
        let seen = Seen::open(Arc::new(RealFilesystem), &home.path().join("seen"), 10, NOW).unwrap();
        let flight = Flight::default();
        assert!(recover(&spool, &seen, &flight, NOW).is_ok());
        assert_eq!(flight.total().received, 3);
        std::fs::remove_file(folder.join(format!("{}.segment", spool.sealed()[0]))).unwrap();
        assert!(matches!(recover(&spool, &seen, &Flight::default(), NOW), Err(ReadError::Read(_))));
    }
}
