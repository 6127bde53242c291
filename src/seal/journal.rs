//! The seal journal: the noisy result of a day, or of some of its hours, synced before any of it can be read.
//!
//! Noise is drawn once. If the process ends between drawing and publishing, the journal is published as it is; if it
//! ends before the journal is whole, nothing was readable yet and noise is drawn anew. Holds no exact count, no row, no
//! token. One JSON file per day, and one per hours that were sealed together; written beside and renamed when synced.
//!
//! One process works on the folder at a time, and in it one sealer ([`Journals::claim`]): so no noise that is drawn twice
//! takes the place of what was.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tuman_privacy::time::Day;

use super::allotment::Pinned;
use super::histogram::Sealed;
use crate::clock::{date_of, day_of};
use crate::spool::Filesystem;

const UNFINISHED: &str = "unfinished";

/// A sealed day, or sealed hours, that may not be published yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Journal {
    /// The day.
    pub day: jiff::civil::Date,
    /// When it was sealed.
    pub sealed_at: jiff::Timestamp,
    /// The releases of each app.
    pub apps: Vec<(String, Vec<Sealed>)>,
    /// Of hours: a random name, under which they are inserted. The hours of a release that is added later can end where
    /// those of others did.
    #[serde(default)]
    pub batch: String,
    /// Of a day: what its hours have spent.
    #[serde(default)]
    pub hours: Vec<Pinned>,
    /// Of a day: the releases of each app that its epsilon did not suffice for, beside what hours had spent.
    #[serde(default)]
    pub left_out: Vec<(String, Vec<String>)>,
}

impl Journal {
    /// With these releases, none left out, and nothing spent but theirs.
    #[must_use]
    pub fn of(day: jiff::civil::Date, sealed_at: jiff::Timestamp, apps: Vec<(String, Vec<Sealed>)>) -> Journal {
        Journal { day, sealed_at, apps, batch: String::new(), hours: Vec::new(), left_out: Vec::new() }
    }
}

/// The folder of journals.
pub struct Journals {
    filesystem: Arc<dyn Filesystem>,
    folder: PathBuf,
}

impl Journals {
    /// Opens the folder; made if missing.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn open(filesystem: Arc<dyn Filesystem>, folder: &Path) -> io::Result<Journals> {
        filesystem.create_folder(folder)?;
        Ok(Journals { filesystem, folder: folder.into() })
    }

    /// Waits until no other sealer works on the folder, and keeps others out for as long as the answer lives. Blocks.
    ///
    /// # Errors
    /// Where the folder cannot be opened or locked.
    pub fn claim(&self) -> io::Result<std::fs::File> {
        let folder = std::fs::File::open(&self.folder)?;
        folder.lock()?;
        Ok(folder)
    }

    /// Days with a journal: their seal was interrupted.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn days(&self) -> io::Result<Vec<Day>> {
        let names = self.filesystem.list(&self.folder)?;
        let dates = names.iter().filter_map(|name| name.strip_suffix(".json")?.parse().ok());
        let mut days: Vec<Day> = dates.map(day_of).collect();
        days.sort();
        Ok(days)
    }

    /// The journal of a day.
    ///
    /// # Errors
    /// Where it is there and cannot be read.
    pub fn read(&self, day: Day) -> io::Result<Option<Journal>> {
        self.read_file(&self.file(day))
    }

    fn read_file(&self, file: &Path) -> io::Result<Option<Journal>> {
        match self.filesystem.read(file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a journal; it is on disk when this returns.
    ///
    /// # Errors
    /// Where it cannot be written and synced.
    pub fn write(&self, day: Day, journal: &Journal) -> io::Result<()> {
        self.write_file(&self.file(day), journal)
    }

    fn write_file(&self, name: &Path, journal: &Journal) -> io::Result<()> {
        let unfinished = self.folder.join(UNFINISHED);
        match self.filesystem.remove(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = self.filesystem.create(&unfinished)?;
        file.append(&serde_json::to_vec(journal)?)?;
        file.sync()?;
        self.filesystem.rename(&unfinished, name)?;
        self.filesystem.sync_folder(&self.folder)
    }

    /// Removes the journal of a day that is published.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub fn remove(&self, day: Day) -> io::Result<()> {
        self.remove_file(&self.file(day))
    }

    fn remove_file(&self, file: &Path) -> io::Result<()> {
        self.filesystem.remove(file)?;
        self.filesystem.sync_folder(&self.folder)
    }

    /// The last hours of a day's journals of hours, ascending: their seals were interrupted.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn hours(&self, day: Day) -> io::Result<Vec<u8>> {
        let names = self.filesystem.list(&self.folder)?;
        let prefix = format!("hours-{}-", date_of(day));
        let last = |name: &String| name.strip_prefix(&prefix)?.strip_suffix(".json")?.parse().ok();
        let mut hours: Vec<u8> = names.iter().filter_map(last).collect();
        hours.sort_unstable();
        Ok(hours)
    }

    /// The journal of a day's hours up to the one named.
    ///
    /// # Errors
    /// Where it is there and cannot be read.
    pub fn read_hours(&self, day: Day, last: u8) -> io::Result<Option<Journal>> {
        self.read_file(&self.file_of_hours(day, last))
    }

    /// Writes a journal of hours; it is on disk when this returns.
    ///
    /// # Errors
    /// Where it cannot be written and synced.
    pub fn write_hours(&self, day: Day, last: u8, journal: &Journal) -> io::Result<()> {
        self.write_file(&self.file_of_hours(day, last), journal)
    }

    /// Removes the journal of hours that are published.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub fn remove_hours(&self, day: Day, last: u8) -> io::Result<()> {
        self.remove_file(&self.file_of_hours(day, last))
    }

    fn file(&self, day: Day) -> PathBuf {
        self.folder.join(format!("{}.json", date_of(day)))
    }

    fn file_of_hours(&self, day: Day, last: u8) -> PathBuf {
        self.folder.join(format!("hours-{}-{last:02}.json", date_of(day)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::RealFilesystem;

    #[test]
    fn an_unfinished_journal_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let journals = Journals::open(Arc::new(RealFilesystem), folder.path()).unwrap();
        std::fs::write(folder.path().join(UNFINISHED), b"{").unwrap();
        assert!(journals.days().unwrap().is_empty());
        let day = Day(20_731);
        let journal = Journal::of(date_of(day), jiff::Timestamp::UNIX_EPOCH, vec![]);
        journals.write(day, &journal).unwrap();
        assert_eq!(journals.days().unwrap(), [day]);
        assert_eq!(journals.read(day).unwrap(), Some(journal));
        journals.remove(day).unwrap();
        assert_eq!(journals.read(day).unwrap(), None);
    }

    #[test]
    fn journals_of_hours_stand_beside_that_of_the_day() {
        let folder = tempfile::tempdir().unwrap();
        let journals = Journals::open(Arc::new(RealFilesystem), folder.path()).unwrap();
        let day = Day(20_731);
        let journal = Journal::of(date_of(day), jiff::Timestamp::UNIX_EPOCH, vec![]);
        journals.write_hours(day, 9, &journal).unwrap();
        journals.write_hours(day, 11, &journal).unwrap();
        journals.write_hours(Day(20_732), 1, &journal).unwrap();
        assert_eq!(journals.hours(day).unwrap(), [9, 11]);
        assert!(journals.days().unwrap().is_empty());
        assert_eq!(journals.read_hours(day, 9).unwrap(), Some(journal));
        journals.remove_hours(day, 9).unwrap();
        assert_eq!(journals.hours(day).unwrap(), [11]);
    }
}
