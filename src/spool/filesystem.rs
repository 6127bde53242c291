//! What the spool asks of a file system, so that tests can stand in a faulty one. The memory of reports and the seal
//! journal, whose files must outlive a power cut too, ask the same.
//!
//! The two traits name only what is needed: files that grow at their end, and one flat folder. Durability is
//! always asked for by name: [`File::sync`] for contents, [`Filesystem::sync_folder`] for names. The contract
//! does not include reading a file that is being written through its handle.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// The file system below the spool's folder.
pub trait Filesystem: Send + Sync {
    /// Creates the folder, with the folders above it, if it is not there.
    ///
    /// # Errors
    /// Whatever the file system reports; an existing folder is not an error.
    fn create_folder(&self, folder: &Path) -> io::Result<()>;

    /// Names of the files in the folder, in no particular order.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// The whole contents of a file.
    ///
    /// # Errors
    /// Whatever the file system reports; `NotFound` if there is no such file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Creates a new, empty file for appending.
    ///
    /// # Errors
    /// Whatever the file system reports; `AlreadyExists` if the name is taken.
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>>;

    /// Opens a file for appending. It is created if it is not there.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn open(&self, path: &Path) -> io::Result<Box<dyn File>>;

    /// Gives a file another name in the same folder, replacing a file of that name.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// Whatever the file system reports; `NotFound` if there is no such file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes creations, renames and removals in the folder durable.
    ///
    /// # Errors
    /// Whatever the file system reports; then nothing is known about what is durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// A file open for appending.
pub trait File: Send {
    /// Writes all bytes at the end of the file.
    ///
    /// # Errors
    /// Whatever the file system reports; then any prefix of the bytes may have been written.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes the contents durable, with the length of the file.
    ///
    /// # Errors
    /// Whatever the file system reports; then what was written since the last sync may be lost for good, even
    /// if a later call succeeds.
    fn sync(&mut self) -> io::Result<()>;

    /// The length of the file in bytes.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn length(&self) -> io::Result<u64>;

    /// Cuts the file to a length in bytes.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}

/// The operating system's file system. Files and folders are readable by their owner alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealFilesystem;

impl Filesystem for RealFilesystem {
    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        match folder.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => self.sync_folder(parent),
            _ => Ok(()),
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            // A name that is not UTF-8 is none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let file = fs::OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?;
        Ok(Box::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let file = fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        Ok(Box::new(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        fs::File::open(folder)?.sync_all()
    }
}

impl File for fs::File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}
