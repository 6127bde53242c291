//! Looks for what must be nowhere: in the logs, the metrics, every file of the collector and every table.

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use sha1::Digest as _;

use crate::harness::{TestApp, engine_folder, logged};

/// What is looked for, all at once.
pub struct Search {
    needles: Vec<Vec<u8>>,
    automaton: AhoCorasick,
}

impl Search {
    pub fn of(mut needles: Vec<Vec<u8>>) -> Search {
        needles.sort();
        needles.dedup();
        let automaton = AhoCorasick::new(&needles).unwrap();
        Search { needles, automaton }
    }

    /// For these texts, in every form of each.
    pub fn for_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Search {
        Search::of(texts.into_iter().flat_map(forms).collect())
    }

    pub fn finds(&self, hay: &[u8]) -> bool {
        self.automaton.is_match(hay)
    }

    pub fn absent(&self, hay: &[u8], place: &str) {
        if let Some(found) = self.automaton.find(hay) {
            let around = &hay[found.start().saturating_sub(300)..hay.len().min(found.end() + 40)];
            let (needle, around) = (&self.needles[found.pattern().as_usize()], String::from_utf8_lossy(around));
            panic!("{place} holds {:?}: {around}", String::from_utf8_lossy(needle));
        }
    }

    /// Searches the logs, the metrics, every file of the collector, and every table as text (files of the engine are
    /// compressed).
    pub async fn everywhere(&self, app: &TestApp, when: &str) {
        self.absent(&logged(), &format!("{when}: logs"));
        let metrics = app.send("GET", &format!("{}/metrics", app.internal_url), &[], Vec::new()).await;
        self.absent(metrics.text.as_bytes(), &format!("{when}: metrics"));
        for file in files(app.folder.path()).into_iter().chain(files(&engine_folder())) {
            // Merges remove files while we look.
            let bytes = std::fs::read(&file).unwrap_or_default();
            self.absent(&bytes, &format!("{when}: {}", file.display()));
            self.absent(file.as_os_str().as_encoded_bytes(), &format!("{when}: the name of a file"));
        }
        for table in tuman::store::Table::ALL {
            let rows = app.rows(&format!("SELECT * FROM {}", table.name()));
            self.absent(&serde_json::to_vec(&rows).unwrap(), &format!("{when}: table {}", table.name()));
            for row in app.rows(&format!("SELECT toString(tuple(*)) AS row FROM {}", table.name())) {
                self.absent(row["row"].as_str().unwrap().as_bytes(), table.name());
            }
        }
    }

    /// Searches while everything is in the spool, when it is in the open day, and when the day is sealed.
    pub async fn through_its_life(&self, app: &TestApp) {
        self.everywhere(app, "spool").await;
        app.drain().await;
        self.everywhere(app, "open").await;
        let day = app.app.zone.day(crate::harness::NOW_MS);
        app.clock.advance(crate::harness::DAY_MS);
        match app.app.sealer.seal(day).await {
            // Where nothing was taken, there is no day to seal.
            Ok(_) | Err(tuman::seal::SealError::NothingThere(_)) => {}
            Err(error) => panic!("{error}"),
        }
        self.everywhere(app, "sealed").await;
    }
}

/// Every form in which a text could have leaked: raw, hex, base64, plainly hashed; with and without separators; as the
/// bytes that it spells.
pub fn forms(text: &str) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    let compact: String = text.chars().filter(|c| !matches!(c, '-' | ':' | '.' | ' ')).collect();
    for text in [text.to_owned(), text.to_uppercase(), compact.clone(), compact.to_uppercase()] {
        let bytes = text.as_bytes();
        forms.push(bytes.to_vec());
        forms.push(hex::encode(bytes).into_bytes());
        forms.push(hex::encode_upper(bytes).into_bytes());
        forms.push(base64::engine::general_purpose::STANDARD.encode(bytes).trim_end_matches('=').into());
        for digest in [
            md5::Md5::digest(bytes).to_vec(),
            sha1::Sha1::digest(bytes).to_vec(),
            sha2::Sha256::digest(bytes).to_vec(),
        ] {
            forms.push(hex::encode(&digest).into_bytes());
            forms.push(digest);
        }
    }
    // A UUID or a hardware address as its bytes.
    if let Ok(bytes) = hex::decode(&compact)
        && bytes.len() >= 6
    {
        forms.push(bytes);
    }
    forms
}

pub fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}
