//! Reports that were taken in the last 48 hours, and the answers they got.
//!
//! Guarantees: two uploads of one report, at the same time or 48 hours apart and across restarts, are one report and
//! one answer. Memory is bounded: `limits.remembered_reports` times [`REPORT_BYTES`]; a report without refusals takes
//! that much, one with refusals more. Beyond the bound the oldest is forgotten.
//! On disk: one file per hour of arrival, in batches: length (u32) and CRC-32C (u32) of what follows, little-endian, then
//! fingerprints and answers one after the other. An answer is in the spool until its segment is loaded, and here before
//! that segment is removed.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tuman_privacy::report_id::Fingerprint;

use crate::answer::Answer;

/// How long a report is remembered.
pub const REMEMBERED_MS: i64 = 48 * HOUR_MS;
/// What remembering a report without refusals takes, in bytes: its entry in the table, its place in the queue.
pub const REPORT_BYTES: usize = 112;
/// What each of its refusals takes.
const REFUSAL_BYTES: usize = 8;
const HOUR_MS: i64 = 3_600_000;

/// The memory of taken reports.
#[derive(Debug)]
pub struct Seen {
    folder: PathBuf,
    most_bytes: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    reports: HashMap<Fingerprint, Entry>,
    /// Answered reports with the hour since 1970 in which they arrived, the first to be forgotten first.
    queue: VecDeque<(i64, Fingerprint)>,
    bytes: usize,
}

#[derive(Debug)]
enum Entry {
    /// On its way to the disk; these wait for its answer.
    Pending(Vec<oneshot::Sender<Option<Answer>>>),
    Answered(Answer),
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
    pub fn open(folder: &Path, most: usize, now_ms: i64) -> io::Result<Seen> {
        fs::create_dir_all(folder)?;
        let most_bytes = most.saturating_mul(REPORT_BYTES);
        let seen = Seen { folder: folder.into(), most_bytes, state: Mutex::default() };
        let oldest = hour(now_ms - REMEMBERED_MS);
        let mut files = seen.files()?;
        files.sort();
        for (hour, path) in files {
            if hour < oldest {
                fs::remove_file(&path)?;
                continue;
            }
            let bytes = fs::read(&path)?;
            let mut rest = bytes.as_slice();
            while let Some((batch, tail)) = read_batch(rest) {
                let mut answers = batch;
                while let Some((report, answer, tail)) = read_one(answers) {
                    seen.remember(report, answer, hour);
                    answers = tail;
                }
                rest = tail;
            }
            if !rest.is_empty() {
                // A crash tore the last batch; its segment is still in the spool.
                let whole = bytes.len() - rest.len();
                OpenOptions::new().write(true).open(&path)?.set_len(whole as u64)?;
            }
        }
        Ok(seen)
    }

    /// Looks a report up, and reserves it if it is new.
    pub fn begin(&self, report: Fingerprint) -> Known {
        let mut state = self.state();
        match state.reports.get_mut(&report) {
            Some(Entry::Answered(answer)) => Known::Answered(answer.clone()),
            Some(Entry::Pending(waiting)) => {
                let (sender, receiver) = oneshot::channel();
                waiting.push(sender);
                Known::Pending(receiver)
            }
            None => {
                state.reports.insert(report, Entry::Pending(Vec::new()));
                Known::New
            }
        }
    }

    /// Ends what [`Seen::begin`] reserved: with its answer, or with nothing if the report was not taken.
    pub fn settle(&self, report: Fingerprint, answer: Option<&Answer>, now_ms: i64) {
        let mut state = self.state();
        let entry = match answer {
            Some(answer) => state.insert(report, answer.clone(), hour(now_ms)),
            None => state.reports.remove(&report),
        };
        if let Some(Entry::Pending(waiting)) = entry {
            for sender in waiting {
                // Whoever waited may have hung up.
                let _ = sender.send(answer.cloned());
            }
        }
        state.forget_beyond(self.most_bytes);
    }

    /// Remembers reports of a segment that is in the spool, at start.
    pub fn recover(&self, report: Fingerprint, answer: Answer, now_ms: i64) {
        self.remember(report, answer, hour(now_ms));
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
        let path = self.folder.join(format!("{}.seen", hour(now_ms)));
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        let before = file.metadata()?.len();
        if let Err(error) = file.write_all(&bytes).and_then(|()| file.sync_data()) {
            // What was half written would stand in the way of the next batch.
            file.set_len(before)?;
            return Err(error);
        }
        if before == 0 {
            File::open(&self.folder)?.sync_all()?;
        }
        Ok(())
    }

    /// Forgets what is older than 48 hours, in memory and on disk.
    ///
    /// # Errors
    /// Where a file cannot be removed.
    pub fn expire(&self, now_ms: i64) -> io::Result<()> {
        let oldest = hour(now_ms - REMEMBERED_MS);
        {
            let mut state = self.state();
            while state.queue.front().is_some_and(|(hour, _)| *hour < oldest) {
                state.forget_oldest();
            }
        }
        for (hour, path) in self.files()? {
            if hour < oldest {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// How many reports are remembered.
    #[must_use]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.state().reports.len()
    }

    fn remember(&self, report: Fingerprint, answer: Answer, hour: i64) {
        let mut state = self.state();
        if !state.reports.contains_key(&report) {
            state.insert(report, answer, hour);
        }
        state.forget_beyond(self.most_bytes);
    }

    /// The files and their hours.
    fn files(&self) -> io::Result<Vec<(i64, PathBuf)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let hour = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
            files.extend(hour.map(|hour| (hour, path)));
        }
        Ok(files)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hour(ms: i64) -> i64 {
    ms.div_euclid(HOUR_MS)
}

impl State {
    fn insert(&mut self, report: Fingerprint, answer: Answer, hour: i64) -> Option<Entry> {
        self.bytes += cost(&answer);
        self.queue.push_back((hour, report));
        self.reports.insert(report, Entry::Answered(answer))
    }

    fn forget_beyond(&mut self, most_bytes: usize) {
        while self.bytes > most_bytes && !self.queue.is_empty() {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((_, report)) = self.queue.pop_front() else { return };
        if let Some(Entry::Answered(answer)) = self.reports.remove(&report) {
            self.bytes -= cost(&answer);
        }
    }
}

fn cost(answer: &Answer) -> usize {
    REPORT_BYTES + answer.refused.len() * REFUSAL_BYTES
}

const BATCH_HEAD: usize = 8;

/// A whole batch from the front of `bytes`; also what follows it.
fn read_batch(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (checksum, rest) = rest.split_first_chunk::<4>()?;
    let (batch, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    (crc32c::crc32c(batch) == u32::from_le_bytes(*checksum)).then_some((batch, rest))
}

fn read_one(bytes: &[u8]) -> Option<(Fingerprint, Answer, &[u8])> {
    let (report, rest) = bytes.split_first_chunk::<16>()?;
    let (answer, rest) = Answer::read(rest)?;
    Some((Fingerprint(*report), answer, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_791_183_600_000;

    fn answer(accepted: u32) -> Answer {
        Answer { accepted, refused: Vec::new() }
    }

    #[actix_web::test]
    async fn whoever_comes_second_waits_for_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let seen = Seen::open(folder.path(), 10, NOW).unwrap();
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
        let seen = Seen::open(folder.path(), 10, NOW).unwrap();
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
        let seen = Seen::open(folder.path(), 10, NOW).unwrap();
        seen.keep(&[(report, answer(3))], NOW).unwrap();
        // A torn entry after it costs nothing.
        let path = folder.path().join(format!("{}.seen", hour(NOW)));
        OpenOptions::new().append(true).open(path).unwrap().write_all(&[9; 18]).unwrap();
        let known = |now| Seen::open(folder.path(), 10, now).unwrap().len();
        assert_eq!(known(NOW), 1);
        assert_eq!(known(NOW + REMEMBERED_MS), 1);
        assert_eq!(known(NOW + REMEMBERED_MS + HOUR_MS), 0);
        assert_eq!(known(NOW), 0);
    }

    #[test]
    fn the_oldest_reports_go_where_there_are_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let seen = Seen::open(folder.path(), 5, NOW).unwrap();
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
        let seen = Seen::open(folder.path(), 10, NOW).unwrap();
        seen.keep(&[(Fingerprint([1; 16]), answer(3))], NOW).unwrap();
        seen.keep(&[(Fingerprint([2; 16]), answer(3))], NOW).unwrap();
        let path = folder.path().join(format!("{}.seen", hour(NOW)));
        let mut bytes = fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert_eq!(Seen::open(folder.path(), 10, NOW).unwrap().len(), 1);
    }
}
