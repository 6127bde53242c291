//! Recovery of the spool: any bytes in its folder, opened through its public interface.
//!
//! The first byte says which of two worlds the others make: files that are arbitrary bytes, or a folder that the spool itself
//! wrote and that is damaged afterwards. Checksums are computed anew here, from the format's description.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tuman::spool::{File, Filesystem, Options, Spool};

const SEGMENT: &str = "0000000000000001.segment";
const FOLDER: &str = "spool";

/// Opens a spool on what the bytes make, and reads all that it offers.
pub fn check(bytes: &[u8]) {
    match bytes.split_first() {
        Some((0, rest)) => arbitrary(rest),
        Some((_, rest)) => damaged(rest),
        None => {}
    }
}

/// A segment and an identity of arbitrary bytes: the first byte says how many belong to the identity.
fn arbitrary(bytes: &[u8]) {
    let Some((split, rest)) = bytes.split_first() else { return };
    let (identity, segment) = rest.split_at(usize::from(*split).min(rest.len()));
    let memory = Memory::default();
    if !identity.is_empty() {
        memory.put("identity", identity);
    }
    memory.put(SEGMENT, segment);
    for record in offered(&memory) {
        assert!(verifies(segment, &record), "a record is offered whose checksum does not hold");
    }
}

/// Records that the spool wrote, then changes at any place: the input is the number of records, their lengths and bytes,
/// and the changes.
fn damaged(bytes: &[u8]) {
    let mut rest = bytes.iter().copied();
    let records: Vec<Vec<u8>> = (0..rest.next().unwrap_or(0) % 8)
        .map(|_| {
            let length = rest.next().unwrap_or(0);
            rest.by_ref().take(usize::from(length)).collect()
        })
        .collect();
    let memory = Memory::default();
    let (spool, _) = open(&memory).expect("an empty folder opens");
    for record in &records {
        spool.append_blocking(record.clone()).expect("memory takes it");
    }
    spool.close();
    drop(spool);
    let whole = memory.get(SEGMENT);
    let mut changed = false;
    while let (Some(low), Some(high), Some(to)) = (rest.next(), rest.next(), rest.next()) {
        if let Some(mut segment) = memory.get(SEGMENT) {
            let at = usize::from(u16::from_le_bytes([low, high]));
            // Beyond the end: cut short, or lengthened.
            match segment.get_mut(at) {
                Some(byte) => *byte ^= to,
                None if to % 2 == 0 => segment.truncate(at % (segment.len() + 1)),
                None => segment.extend(std::iter::repeat_n(to, usize::from(to))),
            }
            changed = whole.as_ref() != Some(&segment);
            memory.put(SEGMENT, &segment);
        }
    }
    let offered = offered(&memory);
    if !changed {
        assert_eq!(offered, records, "nothing was damaged");
    }
    // In their order, and none that was not written.
    let mut written = records.iter();
    for record in offered {
        assert!(written.any(|known| *known == record), "a record is offered that was not written");
    }
}

/// Every record that a spool on this folder offers.
fn offered(memory: &Memory) -> Vec<Vec<u8>> {
    // Another format is set aside, a damaged identity drawn anew; neither may panic.
    let Ok((spool, recovered)) = open(memory) else { return Vec::new() };
    let mut records = Vec::new();
    for id in spool.sealed() {
        let segment = spool.read(id).expect("memory gives what it has");
        assert_eq!(segment.id(), id);
        records.extend(segment.records().map(<[u8]>::to_vec));
    }
    assert_eq!(recovered.records, records.len() as u64);
    records
}

fn open(memory: &Memory) -> Result<(Spool, tuman::spool::Recovered), tuman::spool::OpenError> {
    Spool::open(Arc::new(memory.clone()), Path::new(FOLDER), Options::default(), Arc::new(Instant::now))
}

/// Whether a segment holds this record with a checksum that holds for it, under the identity in its header.
fn verifies(segment: &[u8], record: &[u8]) -> bool {
    // Without a header that is whole, the spool's own identity is tried, which arbitrary bytes do not know.
    let Some(identity) = segment.get(12..28) else { return false };
    let seed = crc32c::crc32c_append(crc32c::crc32c(identity), &1_u64.to_le_bytes());
    let marker = crc32c::crc32c_append(seed, b"marker").to_le_bytes();
    let length = u32::try_from(record.len()).expect("far smaller").to_le_bytes();
    segment.windows(16 + record.len()).any(|window| {
        let (head, payload) = window.split_at(16);
        let sum = crc32c::crc32c_append(seed, &head[4..8]);
        let sum = crc32c::crc32c_append(crc32c::crc32c_append(sum, &length), payload);
        head[..4] == marker && head[8..12] == length && head[12..] == sum.to_le_bytes() && payload == record
    })
}

/// A folder in memory.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

impl Memory {
    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<String, Vec<u8>>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        self.with(|files| files.insert(name.to_owned(), bytes.to_vec()));
    }

    fn get(&self, name: &str) -> Option<Vec<u8>> {
        self.with(|files| files.get(name).cloned())
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

impl Filesystem for Memory {
    fn create_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        Ok(self.with(|files| files.keys().cloned().collect()))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.get(&name(path)).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let name = name(path);
        if self.with(|files| files.insert(name.clone(), Vec::new())).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok(Box::new(Open { memory: self.clone(), name }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let name = name(path);
        self.with(|files| files.entry(name.clone()).or_default().len());
        Ok(Box::new(Open { memory: self.clone(), name }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.with(|files| {
            let bytes = files.remove(&name(from)).ok_or(io::ErrorKind::NotFound)?;
            files.insert(name(to), bytes);
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.with(|files| files.remove(&name(path)).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into()))
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

/// A file of a folder in memory.
struct Open {
    memory: Memory,
    name: String,
}

impl File for Open {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.memory.with(|files| files.entry(self.name.clone()).or_default().extend_from_slice(bytes));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.memory.get(&self.name).map_or(0, |bytes| bytes.len() as u64))
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        self.memory.with(|files| files.entry(self.name.clone()).or_default().truncate(length));
        Ok(())
    }
}
