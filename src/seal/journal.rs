//! The seal journal: the noisy result of a day, synced before any of it can be read.
//!
//! Noise is drawn once. If the process ends between drawing and publishing, the journal is published as it is; if it
//! ends before the journal is whole, nothing was readable yet and noise is drawn anew. Holds no exact count, no row, no
//! token. One JSON file per day, written beside and renamed when synced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tuman_privacy::time::Day;

use super::histogram::Sealed;
use crate::clock::{date_of, day_of};

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
#[derive(Debug, Clone)]
pub struct Journals(PathBuf);

impl Journals {
    /// Opens the folder; made if missing.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn open(folder: &Path) -> io::Result<Journals> {
        fs::create_dir_all(folder)?;
        Ok(Journals(folder.into()))
    }

    /// Days with a journal: their seal was interrupted.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn days(&self) -> io::Result<Vec<Day>> {
        let mut days = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let name = entry?.file_name();
            let date = name.to_str().and_then(|name| name.strip_suffix(".json")).and_then(|date| date.parse().ok());
            days.extend(date.map(day_of));
        }
        days.sort();
        Ok(days)
    }

    /// The journal of a day.
    ///
    /// # Errors
    /// Where it is there and cannot be read.
    pub fn read(&self, day: Day) -> io::Result<Option<Journal>> {
        match fs::read(self.file(day)) {
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
        let unfinished = self.0.join("unfinished");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        file.write_all(&serde_json::to_vec(journal)?)?;
        file.sync_all()?;
        fs::rename(&unfinished, self.file(day))?;
        self.sync()
    }

    /// Removes the journal of a day that is published.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub fn remove(&self, day: Day) -> io::Result<()> {
        fs::remove_file(self.file(day))?;
        self.sync()
    }

    fn file(&self, day: Day) -> PathBuf {
        self.0.join(format!("{}.json", date_of(day)))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_journal_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let journals = Journals::open(folder.path()).unwrap();
        fs::write(folder.path().join("unfinished"), b"{").unwrap();
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
