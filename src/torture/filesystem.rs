//! The file system of the fault campaign.
//!
//! With `power`, what a program sees and what is on the disk are two things: bytes reach the disk by a sync of their
//! file, names by a sync of their folder, and everything else is in this process's memory and dies with it. Without, the
//! system's page cache stands in between, as for any process that is killed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{is_ordered, pass};
use crate::spool::{File, Filesystem, RealFilesystem};

const NAMELESS: &str = "nameless-";
static NUMBER: AtomicU64 = AtomicU64::new(0);

pub(super) struct Tortured {
    volatile: Option<Mutex<Names>>,
}

/// Names that are not on the disk as they are seen.
#[derive(Default)]
struct Names {
    files: BTreeMap<PathBuf, Arc<Mutex<Contents>>>,
    gone: BTreeSet<PathBuf>,
}

struct Contents {
    seen: Vec<u8>,
    /// How much of the beginning has not changed since the last sync.
    unchanged: usize,
    /// Where its synced bytes are: under its name, or under a nameless one until its folder is synced.
    home: PathBuf,
}

struct Handle {
    kind: Kind,
    file: Box<dyn File>,
}

struct VolatileFile(Arc<Mutex<Contents>>);

/// What a file is, by its name.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Segment,
    Answers,
    Journal,
    Other,
}

impl Kind {
    fn of(path: &Path) -> Kind {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match name.rsplit('.').next() {
            Some("segment") => Kind::Segment,
            Some("seen") => Kind::Answers,
            _ if name == "unfinished" => Kind::Journal,
            _ => Kind::Other,
        }
    }
}

impl Tortured {
    pub(super) fn new(power: bool) -> Tortured {
        Tortured { volatile: power.then(Mutex::default) }
    }

    fn names(&self) -> Option<MutexGuard<'_, Names>> {
        self.volatile.as_ref().map(lock)
    }

    fn handle(path: &Path, file: Box<dyn File>) -> Box<dyn File> {
        Box::new(Handle { kind: Kind::of(path), file })
    }
}

impl Filesystem for Tortured {
    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        RealFilesystem.create_folder(folder)?;
        // What a power cut left without a name is lost.
        for name in RealFilesystem.list(folder)?.iter().filter(|name| name.starts_with(NAMELESS)) {
            RealFilesystem.remove(&folder.join(name))?;
        }
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names: BTreeSet<String> = RealFilesystem.list(folder)?.into_iter().collect();
        names.retain(|name| !name.starts_with(NAMELESS));
        if let Some(volatile) = self.names() {
            let name = |path: &PathBuf| {
                (path.parent() == Some(folder)).then(|| path.file_name()?.to_str().map(str::to_owned))
            };
            for path in &volatile.gone {
                name(path).flatten().map(|name| names.remove(&name));
            }
            names.extend(volatile.files.keys().filter_map(name).flatten());
        }
        Ok(names.into_iter().collect())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self.names() {
            Some(names) => match names.files.get(path) {
                Some(contents) => Ok(lock(contents).seen.clone()),
                None if names.gone.contains(path) => Err(io::ErrorKind::NotFound.into()),
                None => RealFilesystem.read(path),
            },
            None => RealFilesystem.read(path),
        }
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let file = match self.names() {
            Some(mut names) => {
                if names.find(path)?.is_some() {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                Box::new(VolatileFile(names.add(path)?))
            }
            None => RealFilesystem.create(path)?,
        };
        if Kind::of(path) == Kind::Segment {
            pass("spool.rotate");
        }
        Ok(Tortured::handle(path, file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let file = match self.names() {
            Some(mut names) => {
                let contents = match names.find(path)? {
                    Some(contents) => contents,
                    None => names.add(path)?,
                };
                names.files.insert(path.into(), contents.clone());
                Box::new(VolatileFile(contents))
            }
            None => RealFilesystem.open(path)?,
        };
        Ok(Tortured::handle(path, file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let Some(mut names) = self.names() else {
            return RealFilesystem.rename(from, to);
        };
        let contents = names.find(from)?.ok_or(io::ErrorKind::NotFound)?;
        names.files.remove(from);
        if lock(&contents).home == from {
            names.gone.insert(from.into());
        }
        names.files.insert(to.into(), contents);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if Kind::of(path) == Kind::Segment {
            pass("spool.remove");
        }
        let Some(mut names) = self.names() else {
            return RealFilesystem.remove(path);
        };
        let contents = names.find(path)?.ok_or(io::ErrorKind::NotFound)?;
        names.files.remove(path);
        names.gone.insert(path.into());
        if lock(&contents).home != path {
            fs::remove_file(&lock(&contents).home)?;
        }
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        fail_syncs()?;
        if let Some(mut names) = self.names() {
            return names.sync(folder);
        }
        RealFilesystem.sync_folder(folder)
    }
}

impl Names {
    /// A file as it is seen.
    fn find(&self, path: &Path) -> io::Result<Option<Arc<Mutex<Contents>>>> {
        if let Some(contents) = self.files.get(path) {
            return Ok(Some(contents.clone()));
        }
        if self.gone.contains(path) {
            return Ok(None);
        }
        match RealFilesystem.read(path) {
            Ok(seen) => {
                let contents = Contents { unchanged: seen.len(), seen, home: path.into() };
                Ok(Some(Arc::new(Mutex::new(contents))))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A new file, empty and without a name on the disk.
    fn add(&mut self, path: &Path) -> io::Result<Arc<Mutex<Contents>>> {
        let home = path.with_file_name(format!("{NAMELESS}{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        RealFilesystem.create(&home)?;
        let contents = Arc::new(Mutex::new(Contents { seen: Vec::new(), unchanged: 0, home }));
        self.files.insert(path.into(), contents.clone());
        Ok(contents)
    }

    /// Brings the folder's names to the disk.
    fn sync(&mut self, folder: &Path) -> io::Result<()> {
        for (path, contents) in self.files.iter().filter(|(path, _)| path.parent() == Some(folder)) {
            let mut contents = lock(contents);
            if contents.home != *path {
                fs::rename(&contents.home, path)?;
                contents.home = path.clone();
            }
            self.gone.remove(path);
        }
        let gone: Vec<PathBuf> = self.gone.iter().filter(|path| path.parent() == Some(folder)).cloned().collect();
        for path in gone {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            self.gone.remove(&path);
        }
        Ok(())
    }
}

impl File for Handle {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if is_ordered("disk full") {
            self.file.append(bytes.get(..bytes.len() / 2).unwrap_or_default())?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        match self.kind {
            Kind::Segment => pass("spool.write"),
            Kind::Answers => pass("loader.keep"),
            Kind::Journal => pass("seal.journal"),
            Kind::Other => {}
        }
        self.file.append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.kind == Kind::Segment {
            pass("spool.sync");
            if is_ordered("no_sync") {
                return Ok(());
            }
        }
        if is_ordered("sync leak") {
            self.file.sync()?;
        }
        fail_syncs()?;
        self.file.sync()?;
        if self.kind == Kind::Segment {
            pass("spool.synced");
        }
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        if is_ordered("sync leak") {
            return Err(io::Error::other("ordered"));
        }
        self.file.truncate(length)
    }
}

impl File for VolatileFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        lock(&self.0).seen.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut contents = lock(&self.0);
        let unchanged = contents.unchanged;
        let mut file = OpenOptions::new().append(true).open(&contents.home)?;
        file.set_len(unchanged as u64)?;
        file.write_all(contents.seen.get(unchanged..).unwrap_or_default())?;
        contents.unchanged = contents.seen.len();
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(lock(&self.0).seen.len() as u64)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut contents = lock(&self.0);
        contents.seen.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        contents.unchanged = contents.unchanged.min(contents.seen.len());
        Ok(())
    }
}

fn fail_syncs() -> io::Result<()> {
    if is_ordered("sync error") || is_ordered("sync leak") {
        return Err(io::Error::other("ordered"));
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
