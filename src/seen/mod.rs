//! Reports that were taken in the last 48 hours, and the answers they got.
//!
//! Guarantees: two uploads of one report, at the same time or 48 hours apart and across restarts, are one report and
//! one answer. Memory is bounded: `limits.remembered_reports` times [`REPORT_BYTES`], and at most 2 % more while a part
//! of the table moves; a report without refusals takes that much, one with refusals more. Beyond the bound the oldest is
//! forgotten.
//! On disk: one file per hour of loading, in batches: length (u32) and CRC-32C (u32) of what follows, little-endian, then
//! fingerprints and answers one after the other. An answer is in the spool until its segment is loaded, and here before
//! that segment is removed.

mod table;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tuman_privacy::report_id::Fingerprint;

use crate::answer::Answer;
use crate::log::Line;
use crate::spool::Filesystem;
use table::Table;

/// How long a report is remembered.
pub const REMEMBERED_MS: i64 = 48 * HOUR_MS;
/// What remembering a report without refusals takes, in bytes.
pub const REPORT_BYTES: usize = table::REPORT_BYTES;
const HOUR_MS: i64 = 3_600_000;
const MINUTE_MS: i64 = 60_000;
/// Parts of the memory, each under a lock of its own. One part is moved at a time when it grows.
const PARTS: usize = 64;
/// A part smaller than this is not worth a lock.
const SMALLEST_PART: usize = 4096;

/// The memory of taken reports.
pub struct Seen {
    filesystem: Arc<dyn Filesystem>,
    folder: PathBuf,
    parts: Vec<Mutex<Part>>,
    /// The files that this process writes or has read, and how much of each is whole.
    files: Mutex<BTreeMap<i64, u64>>,
}

struct Part {
    /// On their way to the disk; these wait for the answer.
    pending: HashMap<Fingerprint, Vec<oneshot::Sender<Option<Answer>>>>,
    answered: Table,
}

/// What is known of a report that comes in.
#[derive(Debug)]
pub enum Known {
    /// Nothing: take it, and say [`Seen::settle`] afterwards.
    New,
    /// It was taken, and got this answer.
    Answered(Answer),
    /// It is being taken right now; the answer comes, or `None` if that failed.
    Pending(oneshot::Receiver<Option<Answer>>),
}

impl Seen {
    /// Opens the memory in `folder`, forgetting what is older than 48 hours.
    ///
    /// # Errors
    /// Where the folder cannot be made or read.
    pub fn open(filesystem: Arc<dyn Filesystem>, folder: &Path, most: usize, now_ms: i64) -> io::Result<Seen> {
        filesystem.create_folder(folder)?;
        let parts = (most / SMALLEST_PART).clamp(1, PARTS);
        let part = || {
            let answered = Table::new(most.div_ceil(parts));
            Mutex::new(Part { pending: HashMap::new(), answered })
        };
        let parts = (0..parts).map(|_| part()).collect();
        let seen = Seen { filesystem, folder: folder.into(), parts, files: Mutex::default() };
        let oldest = hour(now_ms - REMEMBERED_MS);
        for hour in seen.hours()? {
            if hour < oldest {
                seen.filesystem.remove(&seen.file(hour))?;
            } else {
                seen.read(hour)?;
            }
        }
        Ok(seen)
    }

    /// Looks a report up, and reserves it if it is new.
    pub fn begin(&self, report: Fingerprint) -> Known {
        let mut part = self.part(report);
        if let Some(answer) = part.answered.get(report) {
            return Known::Answered(answer);
        }
        if let Some(waiting) = part.pending.get_mut(&report) {
            let (sender, receiver) = oneshot::channel();
            waiting.push(sender);
            return Known::Pending(receiver);
        }
        part.pending.insert(report, Vec::new());
        Known::New
    }

    /// Ends what [`Seen::begin`] reserved: with its answer, or with nothing if the report was not taken.
    pub fn settle(&self, report: Fingerprint, answer: Option<&Answer>, now_ms: i64) {
        let mut part = self.part(report);
        let waiting = part.pending.remove(&report);
        if let Some(answer) = answer {
            part.answered.insert(report, answer, minute(now_ms));
        }
        drop(part);
        for sender in waiting.unwrap_or_default() {
            // Whoever waited may have hung up.
            let _ = sender.send(answer.cloned());
        }
    }

    /// Remembers a report that is found in the spool at start. False where it was known already.
    pub fn recover(&self, report: Fingerprint, answer: &Answer, now_ms: i64) -> bool {
        let mut part = self.part(report);
        let is_new = part.answered.get(report).is_none();
        part.answered.insert(report, answer, minute(now_ms));
        is_new
    }

    /// Whether the answer of a report is in a file: then its rows are in the store.
    #[must_use]
    pub fn is_kept(&self, report: Fingerprint) -> bool {
        self.part(report).answered.is_kept(report)
    }

    /// Writes answers to disk and syncs them, before their segment is removed.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn keep(&self, answers: &[(Fingerprint, Answer)], now_ms: i64) -> io::Result<()> {
        if answers.is_empty() {
            return Ok(());
        }
        let mut bytes = vec![0; BATCH_HEAD];
        for (report, answer) in answers {
            bytes.extend_from_slice(&report.0);
            answer.write(&mut bytes);
        }
        let length = u32::try_from(bytes.len() - BATCH_HEAD).map_err(io::Error::other)?;
        let checksum = crc32c::crc32c(&bytes[BATCH_HEAD..]);
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        bytes[4..BATCH_HEAD].copy_from_slice(&checksum.to_le_bytes());
        let hour = hour(now_ms);
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = files.get(&hour).copied();
        let mut file = self.filesystem.open(&self.file(hour))?;
        if file.length()? != whole.unwrap_or(0) {
            // What an attempt that failed half wrote would stand in the way of this batch.
            file.truncate(whole.unwrap_or(0))?;
        }
        file.append(&bytes)?;
        file.sync()?;
        if whole.is_none() {
            self.filesystem.sync_folder(&self.folder)?;
        }
        files.insert(hour, whole.unwrap_or(0) + bytes.len() as u64);
        drop(files);
        for (report, _) in answers {
            self.part(*report).answered.keep(*report);
        }
        Ok(())
    }

    /// Forgets what is older than 48 hours, in memory and on disk.
    ///
    /// # Errors
    /// Where a file cannot be removed.
    pub fn expire(&self, now_ms: i64) -> io::Result<()> {
        let oldest = now_ms - REMEMBERED_MS;
        for part in &self.parts {
            lock(part).answered.forget_before(minute(oldest));
        }
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        for found in self.hours()? {
            if found < hour(oldest) {
                self.filesystem.remove(&self.file(found))?;
                files.remove(&found);
            }
        }
        Ok(())
    }

    /// How many reports are remembered.
    #[must_use]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| lock(part)).map(|part| part.answered.len() + part.pending.len()).sum()
    }

    fn read(&self, hour: i64) -> io::Result<()> {
        let path = self.file(hour);
        let bytes = self.filesystem.read(&path)?;
        // The youngest that it can be: remembered too long is no harm.
        let minute = minute(hour.saturating_mul(HOUR_MS).saturating_add(HOUR_MS - 1));
        let mut rest = bytes.as_slice();
        let mut damaged = 0_u64;
        while let Some((batch, tail)) = read_batch(rest) {
            damaged += u64::from(batch.is_none());
            let mut answers = batch.unwrap_or_default();
            while let Some((report, answer, tail)) = read_one(answers) {
                let mut part = self.part(report);
                part.answered.insert(report, &answer, minute);
                part.answered.keep(report);
                answers = tail;
            }
            rest = tail;
        }
        let whole = (bytes.len() - rest.len()) as u64;
        if damaged > 0 {
            Line::AnswersDamaged { batches: damaged }.write();
        }
        if !rest.is_empty() {
            // A crash tore the last batch; its segment is still in the spool.
            self.filesystem.open(&path)?.truncate(whole)?;
        }
        self.files.lock().unwrap_or_else(PoisonError::into_inner).insert(hour, whole);
        Ok(())
    }

    /// The hours that have a file, in their order.
    fn hours(&self) -> io::Result<Vec<i64>> {
        let names = self.filesystem.list(&self.folder)?;
        let mut hours: Vec<i64> = names.iter().filter_map(|name| name.strip_suffix(".seen")?.parse().ok()).collect();
        hours.sort_unstable();
        Ok(hours)
    }

    fn file(&self, hour: i64) -> PathBuf {
        self.folder.join(format!("{hour}.seen"))
    }

    fn part(&self, report: Fingerprint) -> MutexGuard<'_, Part> {
        // Of other bytes than the place in the table.
        let [.., a, b] = report.0;
        lock(&self.parts[usize::from(u16::from_le_bytes([a, b])) % self.parts.len()])
    }
}

fn lock(part: &Mutex<Part>) -> MutexGuard<'_, Part> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hour(ms: i64) -> i64 {
    ms.div_euclid(HOUR_MS)
}

fn minute(ms: i64) -> u32 {
    u32::try_from(ms.div_euclid(MINUTE_MS).max(0)).unwrap_or(u32::MAX)
}

const BATCH_HEAD: usize = 8;

/// A whole batch from the front of `bytes`, `None` in its place if it is damaged; also what follows it.
fn read_batch(bytes: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (checksum, rest) = rest.split_first_chunk::<4>()?;
    let (batch, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let is_whole = !batch.is_empty() && crc32c::crc32c(batch) == u32::from_le_bytes(*checksum);
    Some((is_whole.then_some(batch), rest))
}

fn read_one(bytes: &[u8]) -> Option<(Fingerprint, Answer, &[u8])> {
    let (report, rest) = bytes.split_first_chunk::<16>()?;
    let (answer, rest) = Answer::read(rest)?;
    Some((Fingerprint(*report), answer, rest))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write;

    use super::*;
    use crate::spool::RealFilesystem;

    const NOW: i64 = 1_791_183_600_000;

    fn open(folder: &Path, most: usize, now_ms: i64) -> io::Result<Seen> {
        Seen::open(Arc::new(RealFilesystem), folder, most, now_ms)
    }

    fn answer(accepted: u32) -> Answer {
        Answer { accepted, refused: Vec::new() }
    }

    #[actix_web::test]
    async fn whoever_comes_second_waits_for_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let seen = open(folder.path(), 10, NOW).unwrap();
        let report = Fingerprint([1; 16]);
        assert!(matches!(seen.begin(report), Known::New));
        let Known::Pending(second) = seen.begin(report) else { unreachable!("it is pending") };
        seen.settle(report, Some(&answer(3)), NOW);
        assert_eq!(second.await.unwrap(), Some(answer(3)));
        assert!(matches!(seen.begin(report), Known::Answered(first) if first == answer(3)));
    }

    #[actix_web::test]
    async fn what_failed_can_be_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let seen = open(folder.path(), 10, NOW).unwrap();
        let report = Fingerprint([1; 16]);
        seen.begin(report);
        let Known::Pending(second) = seen.begin(report) else { unreachable!("it is pending") };
        seen.settle(report, None, NOW);
        assert_eq!(second.await.unwrap(), None);
        assert!(matches!(seen.begin(report), Known::New));
    }

    #[test]
    fn what_was_kept_is_known_after_a_restart_for_48_hours() {
        let folder = tempfile::tempdir().unwrap();
        let report = Fingerprint([1; 16]);
        let seen = open(folder.path(), 10, NOW).unwrap();
        seen.keep(&[(report, answer(3))], NOW).unwrap();
        // A torn entry after it costs nothing.
        let path = folder.path().join(format!("{}.seen", hour(NOW)));
        OpenOptions::new().append(true).open(path).unwrap().write_all(&[9; 18]).unwrap();
        let known = |now| open(folder.path(), 10, now).unwrap().len();
        assert_eq!(known(NOW), 1);
        assert_eq!(known(NOW + REMEMBERED_MS), 1);
        assert_eq!(known(NOW + REMEMBERED_MS + HOUR_MS), 0);
        assert_eq!(known(NOW), 0);
    }

    #[test]
    fn the_oldest_reports_go_where_there_are_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let seen = open(folder.path(), 5, NOW).unwrap();
        for n in 0..10_u8 {
            let report = Fingerprint([n; 16]);
            seen.begin(report);
            seen.settle(report, Some(&answer(1)), NOW);
        }
        assert_eq!(seen.len(), 5);
        assert!(matches!(seen.begin(Fingerprint([9; 16])), Known::Answered(_)));
        // An answer with many refusals takes the place of several.
        let many = vec![(0, tuman_privacy::refusal::Refusal::TooOld); 28];
        seen.begin(Fingerprint([77; 16]));
        seen.settle(Fingerprint([77; 16]), Some(&Answer { accepted: 0, refused: many }), NOW);
        assert!(seen.len() <= 4);
    }

    #[test]
    fn a_damaged_batch_is_no_answer() {
        let folder = tempfile::tempdir().unwrap();
        let seen = open(folder.path(), 10, NOW).unwrap();
        seen.keep(&[(Fingerprint([1; 16]), answer(3))], NOW).unwrap();
        seen.keep(&[(Fingerprint([2; 16]), answer(3))], NOW).unwrap();
        let path = folder.path().join(format!("{}.seen", hour(NOW)));
        let mut bytes = fs::read(&path).unwrap();
        for place in [BATCH_HEAD + 1, bytes.len() - 1] {
            bytes[place] ^= 1;
            fs::write(&path, &bytes).unwrap();
            assert_eq!(open(folder.path(), 10, NOW).unwrap().len(), 1);
            bytes[place] ^= 1;
        }
    }

    #[test]
    fn a_batch_that_could_not_be_written_does_not_stand_before_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let seen = open(folder.path(), 10, NOW).unwrap();
        seen.keep(&[(Fingerprint([1; 16]), answer(3))], NOW).unwrap();
        let path = folder.path().join(format!("{}.seen", hour(NOW)));
        OpenOptions::new().append(true).open(path).unwrap().write_all(&[7; 30]).unwrap();
        seen.keep(&[(Fingerprint([2; 16]), answer(3))], NOW).unwrap();
        assert_eq!(open(folder.path(), 10, NOW).unwrap().len(), 2);
    }

    #[test]
    fn what_is_in_a_file_is_told_from_what_is_only_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let seen = open(folder.path(), 10, NOW).unwrap();
        let (first, second) = (Fingerprint([1; 16]), Fingerprint([2; 16]));
        assert!(seen.recover(first, &answer(3), NOW));
        assert!(!seen.recover(first, &answer(3), NOW));
        seen.keep(&[(second, answer(1))], NOW).unwrap();
        assert!(!seen.is_kept(first) && !seen.is_kept(second), "an answer that is not in memory is not known");
        seen.keep(&[(first, answer(3))], NOW).unwrap();
        assert!(seen.is_kept(first) && !seen.is_kept(second));
        let seen = open(folder.path(), 10, NOW).unwrap();
        assert!(seen.is_kept(first) && seen.is_kept(second));
    }
}
