//! Repairs the engine's record of insert tokens before the engine starts.
//!
//! The engine notes a token first and gives the part its name second. A process that is killed between the two
//! leaves a token without rows, and the engine would then refuse the rows for ever as already stored.
//!
//! Guarantees: afterwards, every token on record has its part on disk. Does not: find parts without a token,
//! which only a power cut can leave.
//!
//! The record is `deduplication_logs/deduplication_log_<n>.txt` in a table's folder: lines of an operation (1: noted,
//! 2: dropped), a part's name and a token's hash, with tabs between them. A part is a folder
//! `<partition>_<first block>_<last block>_<level>`, and stands for every part whose blocks it spans.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Repairs every table below the engine's folder, and gives the number of tokens that were taken off the record.
///
/// # Errors
///
/// When a record cannot be read or written.
pub(super) fn repair(engine: &Path) -> io::Result<usize> {
    let mut repaired = 0;
    for shelf in folders(&engine.join("store"))? {
        for table in folders(&shelf)? {
            repaired += repair_table(&table)?;
        }
    }
    Ok(repaired)
}

fn repair_table(table: &Path) -> io::Result<usize> {
    let logs = logs(&table.join("deduplication_logs"))?;
    let Some(newest) = logs.values().next_back() else {
        return Ok(0);
    };
    let mut noted: BTreeMap<String, String> = BTreeMap::new();
    for log in logs.values() {
        let text = complete_lines(log)?;
        for line in text.lines() {
            let mut fields = line.split('\t');
            match (fields.next(), fields.next(), fields.next()) {
                (Some("1"), Some(part), Some(token)) => {
                    noted.insert(token.to_owned(), part.to_owned());
                }
                (Some("2"), Some(_), Some(token)) => {
                    noted.remove(token);
                }
                _ => {}
            }
        }
    }
    let present: Vec<Part> = folders(table)?.iter().filter_map(|path| Part::parse(path.file_name()?)).collect();
    let is_missing = |name: &str| {
        let part = Part::parse(OsStr::new(name));
        part.is_some_and(|part| !present.iter().any(|other| other.spans(&part)))
    };
    noted.retain(|_, part| is_missing(part));
    if noted.is_empty() {
        return Ok(0);
    }
    let mut log = OpenOptions::new().append(true).open(newest)?;
    for (token, part) in &noted {
        writeln!(log, "2\t{part}\t{token}")?;
    }
    log.sync_all()?;
    Ok(noted.len())
}

/// A log's text, after the end of a line that a power cut left unfinished is cut off the file.
fn complete_lines(log: &Path) -> io::Result<String> {
    let mut text = fs::read_to_string(log)?;
    let complete = text.rfind('\n').map_or(0, |end| end + 1);
    if complete < text.len() {
        text.truncate(complete);
        let file = OpenOptions::new().write(true).open(log)?;
        file.set_len(complete as u64)?;
        file.sync_all()?;
    }
    Ok(text)
}

/// The logs of a table, in the order they were written.
fn logs(folder: &Path) -> io::Result<BTreeMap<u64, PathBuf>> {
    let mut logs = BTreeMap::new();
    for path in entries(folder)? {
        let number = path
            .file_name()
            .and_then(OsStr::to_str)
            .and_then(|name| name.strip_prefix("deduplication_log_"))
            .and_then(|name| name.strip_suffix(".txt"))
            .and_then(|digits| digits.parse().ok());
        if let Some(number) = number {
            logs.insert(number, path);
        }
    }
    Ok(logs)
}

/// The blocks of a partition that a part holds.
struct Part {
    partition: String,
    first: u64,
    last: u64,
}

impl Part {
    fn parse(name: &OsStr) -> Option<Part> {
        let mut fields = name.to_str()?.split('_');
        let partition = fields.next()?.to_owned();
        let first = fields.next()?.parse().ok()?;
        let last = fields.next()?.parse().ok()?;
        let _level: u64 = fields.next()?.parse().ok()?;
        Some(Part { partition, first, last })
    }

    fn spans(&self, other: &Part) -> bool {
        self.partition == other.partition && self.first <= other.first && other.last <= self.last
    }
}

fn folders(path: &Path) -> io::Result<Vec<PathBuf>> {
    Ok(entries(path)?.into_iter().filter(|entry| entry.is_dir()).collect())
}

/// What a folder holds; nothing if it is not there.
fn entries(path: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(path) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Makes the record and the names of a table's parts last through a power cut: the engine syncs neither.
///
/// # Errors
///
/// When a folder or file cannot be read or synced.
pub(super) fn sync_table(table: &Path) -> io::Result<()> {
    let folder = table.join("deduplication_logs");
    // The record first: `repair` knows what to do with a token without rows, and nobody with rows without a token.
    for log in logs(&folder)?.values() {
        match File::open(log) {
            Ok(file) => file.sync_all()?,
            // The engine has replaced it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    File::open(&folder)?.sync_all()?;
    File::open(table)?.sync_all()
}

/// Syncs every folder at and below a path.
///
/// # Errors
///
/// When a folder cannot be read or synced.
pub(super) fn sync_folders(path: &Path) -> io::Result<()> {
    for folder in folders(path)? {
        sync_folders(&folder)?;
    }
    match File::open(path) {
        Ok(folder) => folder.sync_all(),
        // The engine removes a folder now and then.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table's folder with a record and some parts.
    fn table(record: &str, parts: &[&str]) -> (tempfile::TempDir, PathBuf) {
        let engine = tempfile::tempdir().unwrap();
        let table = engine.path().join("store/abc/abcdef");
        fs::create_dir_all(table.join("deduplication_logs")).unwrap();
        for part in parts {
            fs::create_dir(table.join(part)).unwrap();
        }
        let log = table.join("deduplication_logs/deduplication_log_1.txt");
        fs::write(&log, record).unwrap();
        (engine, log)
    }

    #[test]
    fn a_token_without_its_part_is_taken_off_the_record() {
        let (engine, log) = table("1\t20260101_1_1_0\taaa\n1\t20260101_2_2_0\tbbb\n", &["20260101_1_1_0"]);
        assert_eq!(repair(engine.path()).unwrap(), 1);
        assert!(fs::read_to_string(log).unwrap().ends_with("2\t20260101_2_2_0\tbbb\n"));
        assert_eq!(repair(engine.path()).unwrap(), 0);
    }

    #[test]
    fn a_part_that_was_merged_into_another_is_there() {
        let record = "1\t20260101_1_1_0\taaa\n1\t20260101_4_4_0\tbbb\n";
        let (engine, _log) = table(record, &["20260101_1_4_1", "detached", "tmp_insert_20260101_5_5_0"]);
        assert_eq!(repair(engine.path()).unwrap(), 0);
    }

    #[test]
    fn a_part_of_another_partition_does_not_count() {
        let (engine, _log) = table("1\t20260101_2_2_0\taaa\n", &["20260102_1_9_1"]);
        assert_eq!(repair(engine.path()).unwrap(), 1);
    }

    #[test]
    fn a_line_that_was_cut_short_is_removed() {
        let (engine, log) = table("1\tall_1_1_0\taaa\n1\tall_2_", &["all_1_1_0"]);
        assert_eq!(repair(engine.path()).unwrap(), 0);
        assert_eq!(fs::read_to_string(log).unwrap(), "1\tall_1_1_0\taaa\n");
    }

    #[test]
    fn a_folder_that_is_not_there_yet_needs_no_repair() {
        assert_eq!(repair(Path::new("/nowhere")).unwrap(), 0);
    }
}
