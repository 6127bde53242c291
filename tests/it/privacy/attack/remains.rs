//! Everything that a collector leaves: what whoever takes the machine away has in hand.

use std::collections::HashSet;
use std::path::PathBuf;

use tuman::store::Table;

use super::super::search::files;
use crate::harness::{TestApp, logged};

/// A dump: pieces with the place each was found in.
pub struct Remains {
    pub pieces: Vec<(String, Vec<u8>)>,
}

impl Remains {
    /// Every file of the collector (spool, answers of the last hours, journals, keys, configuration), every file that
    /// the engine keeps for it, every table as text, the metrics, and what was logged since `logged_before` bytes.
    pub async fn of(app: &TestApp, logged_before: usize) -> Remains {
        let mut pieces = Vec::new();
        for file in files(app.folder.path()).into_iter().chain(engine_files(app)) {
            // Merges remove files while we look.
            pieces.push((file.display().to_string(), std::fs::read(&file).unwrap_or_default()));
        }
        for table in Table::ALL {
            let rows = app.rows(&format!("SELECT * FROM {}", table.name()));
            pieces.push((format!("table {}", table.name()), serde_json::to_vec(&rows).unwrap()));
        }
        let metrics = app.send("GET", &format!("{}/metrics", app.internal_url), &[], Vec::new()).await;
        pieces.push(("metrics".into(), metrics.text.into_bytes()));
        pieces.push(("logs".into(), distinct_lines(&logged()[logged_before..])));
        Remains { pieces }
    }

    /// Without what the system forgets when the machine is switched off, or what a copy of the disk lacks: the keys.
    pub fn without_keys(&self, app: &TestApp) -> Remains {
        let keys = app.app.config.paths.keys.display().to_string();
        let without = self.pieces.iter().filter(|(place, _)| !place.starts_with(&keys)).cloned().collect::<Vec<_>>();
        assert!(without.len() < self.pieces.len(), "the keys were not in the dump");
        Remains { pieces: without }
    }

    pub fn bytes(&self) -> impl Iterator<Item = &[u8]> {
        self.pieces.iter().map(|(_, bytes)| bytes.as_slice())
    }

    pub fn size(&self) -> usize {
        self.bytes().map(<[u8]>::len).sum()
    }
}

/// The files of this collector's tables; the engine is shared among tests.
fn engine_files(app: &TestApp) -> Vec<PathBuf> {
    let folders = app.rows(
        "SELECT arrayJoin(data_paths) AS folder FROM system.tables WHERE database = currentDatabase() AND engine != ''",
    );
    assert!(folders.len() >= Table::ALL.len(), "{folders:?}");
    folders.iter().flat_map(|row| files(row["folder"].as_str().unwrap().as_ref())).collect()
}

/// Other tests log beside, the same lines over and over.
fn distinct_lines(log: &[u8]) -> Vec<u8> {
    let lines: HashSet<&[u8]> = log.split(|byte| *byte == b'\n').collect();
    lines.into_iter().collect::<Vec<_>>().join(&b'\n')
}
