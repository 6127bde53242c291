//! The key folder: one small file for each secret, of the service's user alone.
//!
//! Guarantees: a file is whole under its name, or not there; what is replaced or erased is overwritten first, as well as a
//! filesystem lets one do it; what an interrupted write left is erased when the folder is opened.
//! Does not: know what a file is for.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::KeyError;

/// The ending of a file that is not whole yet.
const FRESH: &str = "fresh";
/// The ending of a file that is being erased: what is under it is nobody's any more.
const GONE: &str = "gone";

/// The folder of keys.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    #[cfg(test)]
    pub(super) crash: Crash,
}

impl Folder {
    /// Opens it; made if missing, mode 0700.
    pub(super) fn open(path: &Path) -> Result<Folder, KeyError> {
        let folder = Folder {
            path: path.into(),
            #[cfg(test)]
            crash: Crash::default(),
        };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| folder.wrong(error))?;
        let metadata = fs::symlink_metadata(path).map_err(|error| folder.wrong(error))?;
        let mine = metadata.uid() == rustix::process::geteuid().as_raw();
        if !metadata.is_dir() || !mine || metadata.mode() & 0o077 != 0 {
            let what = "is not a folder of this user alone (mode 0700)";
            return Err(folder.wrong(io::Error::new(io::ErrorKind::PermissionDenied, what)));
        }
        for name in folder.names()? {
            // It never came under its name, or has left it; nothing may stay that could stand in for a key.
            if Path::new(&name).extension().is_some_and(|ending| ending == FRESH || ending == GONE) {
                folder.remove(&name)?;
            }
        }
        Ok(folder)
    }

    /// The names of all files.
    pub(super) fn names(&self) -> Result<Vec<String>, KeyError> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(|error| self.wrong(error))? {
            names.extend(entry.map_err(|error| self.wrong(error))?.file_name().into_string());
        }
        names.sort_unstable();
        Ok(names)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.path.join(name).exists()
    }

    /// What a file holds; `None` where there is none.
    pub(super) fn read<const N: usize>(&self, name: &str) -> Result<Option<Zeroizing<[u8; N]>>, KeyError> {
        let mut file = match File::open(self.path.join(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.wrong(error)),
        };
        let mut secret = Zeroizing::new([0; N]);
        let has_length = file.metadata().is_ok_and(|metadata| metadata.len() == N as u64);
        if !has_length || file.read_exact(secret.as_mut_slice()).is_err() {
            return Err(self.damaged());
        }
        Ok(Some(secret))
    }

    /// Writes a file, whole or not at all. One that is there is replaced, then overwritten.
    pub(super) fn write(&self, name: &str, secret: &[u8]) -> Result<(), KeyError> {
        self.step()?;
        write_secret(&self.path.join(name), secret).map_err(|error| self.wrong(error))?;
        self.step()
    }

    /// Overwrites a file and removes it. One that is not there is gone already.
    pub(super) fn erase(&self, name: &str) -> Result<(), KeyError> {
        self.step()?;
        let gone = format!("{name}.{GONE}");
        // It leaves its name before it is overwritten: a crash in between leaves no file of zeros that would be read.
        match fs::rename(self.path.join(name), self.path.join(&gone)) {
            Ok(()) => {}
            // An earlier try may have come this far.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.has(&gone) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(self.wrong(error)),
        }
        self.step()?;
        self.remove(&gone)
    }

    fn remove(&self, name: &str) -> Result<(), KeyError> {
        let file = self.path.join(name);
        let out = OpenOptions::new().write(true).open(&file);
        out.and_then(overwrite).map_err(|error| self.wrong(error))?;
        self.step()?;
        fs::remove_file(&file).and_then(|()| sync(&self.path)).map_err(|error| self.wrong(error))
    }

    pub(super) fn damaged(&self) -> KeyError {
        KeyError::Damaged(self.path.clone())
    }

    fn wrong(&self, error: io::Error) -> KeyError {
        KeyError::Folder(self.path.clone(), error)
    }

    #[cfg(not(test))]
    #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "tests let the process end here")]
    pub(super) fn step(&self) -> Result<(), KeyError> {
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn step(&self) -> Result<(), KeyError> {
        self.crash.step().map_err(|error| self.wrong(error))
    }
}

/// Writes a secret for this user alone; it is whole and on disk when this returns, or not there.
pub(crate) fn write_secret(file: &Path, secret: &[u8]) -> io::Result<()> {
    let fresh = unfinished(file);
    let before = OpenOptions::new().write(true).open(file).ok();
    let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    out.write_all(secret)?;
    out.sync_all()?;
    // Renamed when whole: a crash never leaves half a secret under its name.
    fs::rename(&fresh, file)?;
    sync(file.parent().unwrap_or(Path::new(".")))?;
    // The one before has no name any more, and its bytes go before its space does.
    before.map_or(Ok(()), overwrite)
}

/// Overwrites and removes the file of a secret, also one that a crash left unfinished. One that is not there is fine.
pub(crate) fn erase_secret(file: &Path) -> io::Result<()> {
    let gone = unfinished(file);
    let remove = || match OpenOptions::new().write(true).open(&gone) {
        Ok(out) => overwrite(out).and_then(|()| fs::remove_file(&gone)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    remove()?;
    // It leaves its name before it is overwritten: a crash in between leaves no file of zeros that would be read.
    match fs::rename(file, &gone) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => remove()?,
    }
    sync(file.parent().unwrap_or(Path::new(".")))
}

/// Where a file is until it is whole.
fn unfinished(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{FRESH}"));
    file.with_file_name(name)
}

fn overwrite(mut file: File) -> io::Result<()> {
    let length = file.metadata()?.len();
    io::copy(&mut io::repeat(0).take(length), &mut file)?;
    file.sync_all()
}

pub(super) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Ends the process of a test: after so many steps nothing is done any more.
#[cfg(test)]
#[derive(Debug, Clone)]
pub(super) struct Crash(std::sync::Arc<std::sync::atomic::AtomicUsize>);

#[cfg(test)]
impl Default for Crash {
    fn default() -> Crash {
        Crash(std::sync::Arc::new(usize::MAX.into()))
    }
}

#[cfg(test)]
impl Crash {
    /// Lets `steps` more steps be done.
    pub(super) fn after(&self, steps: usize) {
        self.0.store(steps, std::sync::atomic::Ordering::SeqCst);
    }

    pub(super) fn step(&self) -> io::Result<()> {
        use std::sync::atomic::Ordering::SeqCst;
        let left = self.0.load(SeqCst);
        if left == 0 {
            return Err(io::Error::other("the process ended here"));
        }
        if left != usize::MAX {
            self.0.store(left - 1, SeqCst);
        }
        Ok(())
    }
}
