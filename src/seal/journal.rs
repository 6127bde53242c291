//! The seal journal: the noisy result of a day, synced before any of it can be read.
//!
//! Noise is drawn once. If the process ends between drawing and publishing, the journal is published as it is; if it
//! ends before the journal is whole, nothing was readable yet and noise is drawn anew. Holds no exact count, no row, no
//! token. One JSON file per day, written beside and renamed when synced.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tuman_privacy::time::Day;

use super::histogram::Sealed;
use crate::clock::{date_of, day_of};
use crate::spool::Filesystem;

const UNFINISHED: &str = "unfinished";

/// A sealed day that may not be published yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Journal {
    /// The day.
    pub day: jiff::civil::Date,
    /// When it was sealed.
    pub sealed_at: jiff::Timestamp,
    /// The releases of each app.
    pub apps: Vec<(String, Vec<Sealed>)>,
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
        match self.filesystem.read(&self.file(day)) {
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
        let unfinished = self.folder.join(UNFINISHED);
        match self.filesystem.remove(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = self.filesystem.create(&unfinished)?;
        file.append(&serde_json::to_vec(journal)?)?;
        file.sync()?;
        self.filesystem.rename(&unfinished, &self.file(day))?;
        self.filesystem.sync_folder(&self.folder)
    }

    /// Removes the journal of a day that is published.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub fn remove(&self, day: Day) -> io::Result<()> {
        self.filesystem.remove(&self.file(day))?;
        self.filesystem.sync_folder(&self.folder)
    }

    fn file(&self, day: Day) -> PathBuf {
        self.folder.join(format!("{}.json", date_of(day)))
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
        let journal = Journal { day: date_of(day), sealed_at: jiff::Timestamp::UNIX_EPOCH, apps: vec![] };
        journals.write(day, &journal).unwrap();
        assert_eq!(journals.days().unwrap(), [day]);
        assert_eq!(journals.read(day).unwrap(), Some(journal));
        journals.remove(day).unwrap();
        assert_eq!(journals.read(day).unwrap(), None);
    }
}
