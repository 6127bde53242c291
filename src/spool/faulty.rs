//! A file system in memory that fails on demand and forgets what was not synced.
//!
//! It keeps two states of every file and of the folder: what a reader sees (the page cache), and what a crash
//! leaves. A failed sync behaves as on Linux: the pages count as clean afterwards, so a later sync succeeds
//! without them.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{File, Filesystem, lock};

/// What happens at an operation that changes something.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// It fails, after writing this many bytes if it is a write.
    Error { partial: usize },
    /// It fails in the same way, and so does everything after it until [`FaultyFilesystem::crash`].
    Crash { partial: usize },
}

/// What a crash leaves of the things that were not synced.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Survival {
    /// Nothing.
    Nothing,
    /// Everything, for now: the process was killed, but the machine goes on and syncs nothing by itself.
    Everything,
    /// The names, and this many of the bytes of each file.
    Torn(usize),
    /// The names and the lengths, but zeros after this many bytes of each file.
    Zeroed(usize),
    /// The contents, but not the names.
    Nameless,
}

#[derive(Clone, Default)]
pub(crate) struct FaultyFilesystem {
    disk: Arc<Mutex<Disk>>,
}

#[derive(Default)]
struct Disk {
    files: Vec<Contents>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    operations: u64,
    faults: BTreeMap<u64, Fault>,
    down: bool,
    capacity: Option<usize>,
}

#[derive(Default)]
struct Contents {
    cached: Vec<u8>,
    durable: Vec<u8>,
    /// Written, but dropped by a failed sync.
    dropped: Vec<Range<usize>>,
}

struct Handle {
    disk: Arc<Mutex<Disk>>,
    file: usize,
}

impl FaultyFilesystem {
    /// Lets the operation that comes after `ahead` others go wrong.
    pub(crate) fn plan(&self, ahead: u64, fault: Fault) {
        let mut disk = self.disk();
        let at = disk.operations + ahead;
        disk.faults.insert(at, fault);
    }

    /// Operations so far that change something.
    pub(crate) fn operations(&self) -> u64 {
        self.disk().operations
    }

    pub(crate) fn is_down(&self) -> bool {
        self.disk().down
    }

    /// Lets writes fail when all files together would exceed this size.
    pub(crate) fn set_capacity(&self, bytes: Option<usize>) {
        self.disk().capacity = bytes;
    }

    /// Loses what was not synced, and works again.
    pub(crate) fn crash(&self, survival: Survival) {
        let mut disk = self.disk();
        disk.down = false;
        disk.faults.clear();
        if matches!(survival, Survival::Everything) {
            return;
        }
        match survival {
            Survival::Nothing | Survival::Nameless => disk.names = disk.durable_names.clone(),
            _ => disk.durable_names = disk.names.clone(),
        }
        for file in &mut disk.files {
            let unsynced = file.unsynced();
            match survival {
                Survival::Nothing | Survival::Everything => {}
                Survival::Nameless => file.durable = file.cached.clone(),
                Survival::Torn(bytes) => file.durable.extend(unsynced.iter().take(bytes)),
                Survival::Zeroed(bytes) => {
                    let tail = unsynced.iter().enumerate();
                    file.durable.extend(tail.map(|(place, byte)| if place < bytes { *byte } else { 0 }));
                }
            }
            file.cached = file.durable.clone();
            file.dropped.clear();
        }
    }

    /// Changes a file behind the back of everyone.
    pub(crate) fn damage(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut disk = self.disk();
        let file = disk.names[path];
        change(&mut disk.files[file].cached);
        disk.files[file].durable = disk.files[file].cached.clone();
    }

    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.disk().names.keys().cloned().collect()
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        lock(&self.disk)
    }
}

impl Disk {
    /// Counts an operation; on a fault, answers how much of a write still happens.
    fn operate(&mut self) -> Result<(), usize> {
        if self.down {
            return Err(0);
        }
        self.operations += 1;
        match self.faults.remove(&(self.operations - 1)) {
            None => Ok(()),
            Some(Fault::Error { partial }) => Err(partial),
            Some(Fault::Crash { partial }) => {
                self.down = true;
                Err(partial)
            }
        }
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Contents {
    /// What was appended since the last sync; nothing if the file was cut below it.
    fn unsynced(&self) -> Vec<u8> {
        self.cached.get(self.durable.len()..).unwrap_or_default().to_vec()
    }
}

fn broken<T>(_: T) -> io::Error {
    io::Error::other("planned fault")
}

impl Filesystem for FaultyFilesystem {
    fn create_folder(&self, _folder: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let disk = self.disk();
        let names = disk.names.keys().filter_map(|path| path.strip_prefix(folder).ok());
        Ok(names.filter_map(|name| Some(name.to_str()?.to_owned())).collect())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let disk = self.disk();
        Ok(disk.files[disk.find(path)?].cached.clone())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let mut disk = self.disk();
        disk.operate().map_err(broken)?;
        if disk.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = disk.files.len();
        disk.files.push(Contents::default());
        disk.names.insert(path.to_path_buf(), file);
        Ok(Box::new(Handle { disk: Arc::clone(&self.disk), file }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let known = self.disk().names.get(path).copied();
        match known {
            Some(file) => Ok(Box::new(Handle { disk: Arc::clone(&self.disk), file })),
            None => self.create(path),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.operate().map_err(broken)?;
        let file = disk.find(from)?;
        disk.names.remove(from);
        disk.names.insert(to.to_path_buf(), file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.find(path)?;
        disk.operate().map_err(broken)?;
        disk.names.remove(path);
        Ok(())
    }

    fn sync_folder(&self, _folder: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.operate().map_err(broken)?;
        disk.durable_names = disk.names.clone();
        Ok(())
    }
}

impl File for Handle {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        let used: usize = disk.names.values().map(|file| disk.files[*file].cached.len()).sum();
        let room = disk.capacity.map_or(usize::MAX, |capacity| capacity.saturating_sub(used));
        let outcome = disk.operate();
        let written = bytes.len().min(room).min(outcome.err().unwrap_or(usize::MAX));
        disk.files[self.file].cached.extend_from_slice(&bytes[..written]);
        match outcome {
            Err(partial) => Err(broken(partial)),
            Ok(()) if written < bytes.len() => Err(io::ErrorKind::StorageFull.into()),
            Ok(()) => Ok(()),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        let outcome = disk.operate();
        let file = &mut disk.files[self.file];
        if outcome.is_err() {
            let dropped = file.durable.len()..file.cached.len();
            file.dropped.push(dropped);
            return outcome.map_err(broken);
        }
        file.durable = file.cached.clone();
        for range in &file.dropped {
            if let Some(lost) = file.durable.get_mut(range.clone()) {
                lost.fill(0);
            }
        }
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        let disk = lock(&self.disk);
        Ok(u64::try_from(disk.files[self.file].cached.len()).expect("a length of memory"))
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        disk.operate().map_err(broken)?;
        let length = usize::try_from(length).expect("a length of memory");
        let file = &mut disk.files[self.file];
        file.cached.truncate(length);
        file.dropped.clear();
        Ok(())
    }
}
