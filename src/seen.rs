//! Reports that were taken in the last 48 hours, and the answers they got.
//!
//! Guarantees: two uploads of one report, at the same time or 48 hours apart and across restarts, are one report and
//! one answer. Memory is bounded: about 64 bytes per remembered report, at most `limits.remembered_reports` of them;
//! beyond, the oldest hour is forgotten.
//! On disk: one file per hour of arrival, answers one after the other as in the spool's records. An answer is in
//! the spool until its segment is loaded, and here before that segment is removed.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tuman_privacy::report_id::Fingerprint;

use crate::answer::Answer;

/// How long a report is remembered.
pub const REMEMBERED_MS: i64 = 48 * HOUR_MS;
const HOUR_MS: i64 = 3_600_000;

/// The memory of taken reports.
#[derive(Debug)]
pub struct Seen {
    folder: PathBuf,
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    reports: HashMap<Fingerprint, Entry>,
    /// Which reports arrived in which hour since 1970.
    hours: BTreeMap<i64, Vec<Fingerprint>>,
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
        let seen = Seen { folder: folder.into(), most, state: Mutex::default() };
        let oldest = hour(now_ms - REMEMBERED_MS);
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let Some(hour) = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok())
            else {
                continue;
            };
            if hour < oldest {
                fs::remove_file(&path)?;
                continue;
            }
            let bytes = fs::read(&path)?;
            let mut rest = bytes.as_slice();
            while let Some((report, answer, tail)) = read_one(rest) {
                seen.remember(report, answer, hour);
                rest = tail;
            }
            if !rest.is_empty() {
                // A crash tore the last entry; its segment is still in the spool.
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
            Some(answer) => {
                state.hours.entry(hour(now_ms)).or_default().push(report);
                state.reports.insert(report, Entry::Answered(answer.clone()))
            }
            None => state.reports.remove(&report),
        };
        if let Some(Entry::Pending(waiting)) = entry {
            for sender in waiting {
                // Whoever waited may have hung up.
                let _ = sender.send(answer.cloned());
            }
        }
        forget_beyond(&mut state, self.most);
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
        let mut bytes = Vec::with_capacity(answers.len() * 24);
        for (report, answer) in answers {
            bytes.extend_from_slice(&report.0);
            answer.write(&mut bytes);
        }
        let path = self.folder.join(format!("{}.seen", hour(now_ms)));
        let is_new = !path.exists();
        let mut file = OpenOptions::new().append(true).create(true).open(path)?;
        file.write_all(&bytes)?;
        file.sync_data()?;
        if is_new {
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
            while state.hours.first_key_value().is_some_and(|(hour, _)| *hour < oldest) {
                forget_oldest_hour(&mut state);
            }
        }
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let hour = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<i64>().ok());
            if hour.is_some_and(|hour| hour < oldest) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// How many reports are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state().reports.len()
    }

    /// True where no report is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn remember(&self, report: Fingerprint, answer: Answer, hour: i64) {
        let mut state = self.state();
        if state.reports.insert(report, Entry::Answered(answer)).is_none() {
            state.hours.entry(hour).or_default().push(report);
        }
        forget_beyond(&mut state, self.most);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hour(ms: i64) -> i64 {
    ms.div_euclid(HOUR_MS)
}

fn forget_beyond(state: &mut State, most: usize) {
    while state.reports.len() > most && state.hours.len() > 1 {
        forget_oldest_hour(state);
    }
}

fn forget_oldest_hour(state: &mut State) {
    let Some((_, reports)) = state.hours.pop_first() else {
        return;
    };
    for report in reports {
        if matches!(state.reports.get(&report), Some(Entry::Answered(_))) {
            state.reports.remove(&report);
        }
    }
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
    fn the_oldest_hour_goes_where_there_are_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let seen = Seen::open(folder.path(), 5, NOW).unwrap();
        for n in 0..10_u8 {
            let report = Fingerprint([n; 16]);
            seen.begin(report);
            seen.settle(report, Some(&answer(1)), NOW + i64::from(n / 4) * HOUR_MS);
        }
        assert_eq!(seen.len(), 2);
        assert!(matches!(seen.begin(Fingerprint([9; 16])), Known::Answered(_)));
    }
}
