//! The suppression list: its files, and what of it is in force.
//!
//! Two files in the data folder, for this user alone: `suppression.key`, 32 random bytes, and `suppression.json`, the
//! tags. The tags stand sorted, without the case or the time that they came with: with few of them on the list one may
//! still guess which case brought which. Neither file is there before the first withdrawal.
//!
//! Guarantees: what [`SuppressionList::add`] has returned for is on disk and holds for every report that begins
//! afterwards; after [`SuppressionList::settled`] no report is on its way that began before. A list that cannot be read
//! stops the start: collecting from people who have withdrawn is worse than not collecting.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rand::TryRng;
use serde::{Deserialize, Serialize};
use tuman_privacy::suppression::{Suppressed, Tag, TagBits, Tagger};
use zeroize::Zeroizing;

use super::identifiers::Identifiers;
use crate::clock::timestamp;
use crate::keys::{erase_secret, write_secret};
use crate::memory::KEEPER;

/// What went wrong with the list.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// A file of it.
    #[error("the suppression list {0}: {1}")]
    File(PathBuf, io::Error),
    /// The tags are there and cannot be read.
    #[error("the suppression list {0} is damaged: restore it, or remove it to end the list")]
    Damaged(PathBuf),
    /// The tags are there and their key is not.
    #[error("the key of the suppression list {0} is missing: restore it, or remove the list to end it")]
    NoKey(PathBuf),
    /// No randomness.
    #[error("the operating system gives no randomness")]
    Randomness,
    /// A request that began before the withdrawal did not end.
    #[error("a request that began before the withdrawal is still on its way: repeat the command")]
    InUse,
    /// There is no list to end.
    #[error("there is no suppression list")]
    None,
}

/// What is known of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Its random name, which cases refer to.
    pub name: String,
    /// When the first device was put on it.
    pub begun_at: Timestamp,
    /// Bits of a tag.
    pub bits: u8,
    /// Different tags on it.
    pub tags: u64,
    /// The share of other devices that is expected to be dropped with them, for a device that sends one identifier; of
    /// the app that most tags hold for.
    pub expected_share: f64,
}

/// The list as it holds at a moment.
#[derive(Debug, Default)]
pub struct InForce {
    everywhere: Option<Suppressed>,
    /// Of apps with withdrawals of their own; those of all apps included.
    by_app: HashMap<String, Suppressed>,
}

impl InForce {
    /// The list for the reports of an app; none where nobody has withdrawn from it.
    #[must_use]
    pub fn of(&self, app: &str) -> Option<&Suppressed> {
        self.by_app.get(app).or(self.everywhere.as_ref())
    }
}

/// The suppression list.
#[derive(Debug)]
pub struct SuppressionList {
    folder: PathBuf,
    bits: TagBits,
    state: Mutex<State>,
    in_force: ArcSwap<InForce>,
}

#[derive(Debug, Default)]
struct State {
    list: Option<List>,
    /// Lists that were in force and may still be in use by a request.
    former: Vec<Weak<InForce>>,
}

#[derive(Debug, Clone)]
struct List {
    name: String,
    begun_at: Timestamp,
    tagger: Arc<Tagger>,
    /// By app; of all apps under the empty name.
    tags: BTreeMap<String, BTreeSet<Tag>>,
}

/// `suppression.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileForm {
    name: String,
    begun_at: Timestamp,
    bits: u8,
    tags: BTreeMap<String, Vec<u32>>,
}

impl SuppressionList {
    /// Opens the list of a data folder. `bits` is for a list that begins; one that is there keeps its own, unless they
    /// are more: its tags are then cut.
    ///
    /// # Errors
    /// Where it is there and cannot be used.
    pub fn open(folder: &Path, bits: TagBits) -> Result<SuppressionList, ListError> {
        let list = SuppressionList {
            folder: folder.into(),
            bits,
            state: Mutex::default(),
            in_force: ArcSwap::from_pointee(InForce::default()),
        };
        if let Some(read) = list.read()? {
            let mut state = list.state();
            list.publish(&mut state, Some(read));
        }
        Ok(list)
    }

    /// The list as it holds now. To be held until the report that it was asked for is on disk.
    #[must_use]
    pub fn in_force(&self) -> Arc<InForce> {
        self.in_force.load_full()
    }

    /// Puts a device on the list, for one app or for all; answers the list's name.
    ///
    /// # Errors
    /// Where it cannot be written; the device may be on the list then, or not.
    pub fn add(&self, app: Option<&str>, ids: &Identifiers, now_ms: i64) -> Result<String, ListError> {
        let mut state = self.state();
        let mut list = match state.list.clone() {
            Some(list) => list,
            None => self.begin(now_ms)?,
        };
        let tags = list.tags.entry(app.unwrap_or_default().to_owned()).or_default();
        tags.extend(ids.iter().map(|id| list.tagger.tag(id)));
        self.write(&list)?;
        let name = list.name.clone();
        self.publish(&mut state, Some(list));
        Ok(name)
    }

    /// Waits until no report is on its way that began before the last change.
    ///
    /// # Errors
    /// Where one is after thirty seconds.
    pub async fn settled(&self) -> Result<(), ListError> {
        for _ in 0..6_000 {
            if self.state().former.iter().all(|former| former.strong_count() == 0) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Err(ListError::InUse)
    }

    /// Ends the list: tags and key are destroyed. Devices that were on it are collected from again, if they send.
    ///
    /// # Errors
    /// Where a file cannot be removed: try again.
    pub fn end(&self) -> Result<(), ListError> {
        let mut state = self.state();
        // The tags first: a key without tags is an empty list, tags without a key stop the next start.
        for file in [self.file(), self.key_file()] {
            erase_secret(&file).map_err(|error| ListError::File(file, error))?;
        }
        self.publish(&mut state, None);
        Ok(())
    }

    /// What is known of the list; none where there is none.
    #[must_use]
    pub fn summary(&self) -> Option<Summary> {
        let state = self.state();
        let list = state.list.as_ref()?;
        let everywhere = list.tags.get("").cloned().unwrap_or_default();
        let of_app = |tags: &BTreeSet<Tag>| tags.union(&everywhere).count();
        let most = list.tags.values().map(of_app).max().unwrap_or(0);
        let tags: BTreeSet<&Tag> = list.tags.values().flatten().collect();
        Some(Summary {
            name: list.name.clone(),
            begun_at: list.begun_at,
            bits: list.tagger.bits().get(),
            tags: tags.len() as u64,
            expected_share: most as f64 / f64::from(list.tagger.bits().tags()),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self) -> PathBuf {
        self.folder.join("suppression.json")
    }

    fn key_file(&self) -> PathBuf {
        self.folder.join("suppression.key")
    }

    /// An empty list, with the key that is there or a fresh one.
    fn begin(&self, now_ms: i64) -> Result<List, ListError> {
        let mut name = [0; 8];
        rand::rngs::SysRng.try_fill_bytes(&mut name).map_err(|_| ListError::Randomness)?;
        let tagger = match self.read_key(self.bits)? {
            Some(tagger) => tagger,
            None => {
                let mut key = Zeroizing::new([0; 32]);
                rand::rngs::SysRng.try_fill_bytes(key.as_mut_slice()).map_err(|_| ListError::Randomness)?;
                let file = self.key_file();
                write_secret(&file, key.as_slice()).map_err(|error| ListError::File(file, error))?;
                Tagger::take_kept(&mut key, self.bits, &KEEPER)
            }
        };
        Ok(List {
            name: hex::encode(name),
            begun_at: timestamp(now_ms),
            tagger: Arc::new(tagger),
            tags: BTreeMap::new(),
        })
    }

    fn read_key(&self, bits: TagBits) -> Result<Option<Tagger>, ListError> {
        let file = self.key_file();
        let bytes = match fs::read(&file) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ListError::File(file, error)),
        };
        let mut key = Zeroizing::new([0; 32]);
        if bytes.len() != key.len() {
            return Err(ListError::NoKey(file));
        }
        key.copy_from_slice(&bytes);
        Ok(Some(Tagger::take_kept(&mut key, bits, &KEEPER)))
    }

    fn read(&self) -> Result<Option<List>, ListError> {
        let file = self.file();
        let text = match fs::read(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ListError::File(file, error)),
        };
        let damaged = || ListError::Damaged(file.clone());
        let form: FileForm = serde_json::from_slice(&text).map_err(|_| damaged())?;
        let from = TagBits::new(form.bits).ok_or_else(damaged)?;
        let to = from.min(self.bits);
        let tagger = self.read_key(to)?.ok_or_else(|| ListError::NoKey(file.clone()))?;
        let mut tags: BTreeMap<String, BTreeSet<Tag>> = BTreeMap::new();
        for (app, numbers) in form.tags {
            let read = numbers.into_iter().map(|number| Some(Tag::read(number, from)?.cut(from, to)));
            tags.insert(app, read.collect::<Option<_>>().ok_or_else(damaged)?);
        }
        let list = List { name: form.name, begun_at: form.begun_at, tagger: Arc::new(tagger), tags };
        if to < from {
            self.write(&list)?;
        }
        Ok(Some(list))
    }

    fn write(&self, list: &List) -> Result<(), ListError> {
        let numbers = |tags: &BTreeSet<Tag>| tags.iter().map(|tag| tag.get()).collect();
        let form = FileForm {
            name: list.name.clone(),
            begun_at: list.begun_at,
            bits: list.tagger.bits().get(),
            tags: list.tags.iter().map(|(app, tags)| (app.clone(), numbers(tags))).collect(),
        };
        let file = self.file();
        let text = serde_json::to_vec(&form).map_err(io::Error::from);
        text.and_then(|text| write_secret(&file, &text)).map_err(|error| ListError::File(file, error))
    }

    fn publish(&self, state: &mut State, list: Option<List>) {
        let mut fresh = InForce::default();
        if let Some(list) = &list {
            let everywhere = list.tags.get("").cloned().unwrap_or_default();
            let made = |tags: BTreeSet<Tag>| Suppressed::new(list.tagger.clone(), tags);
            for (app, tags) in list.tags.iter().filter(|(app, _)| !app.is_empty()) {
                fresh.by_app.insert(app.clone(), made(tags.union(&everywhere).copied().collect()));
            }
            fresh.everywhere = Some(everywhere).filter(|tags| !tags.is_empty()).map(made);
        }
        state.list = list;
        state.former.retain(|former| former.strong_count() > 0);
        let former = self.in_force.swap(Arc::new(fresh));
        state.former.push(Arc::downgrade(&former));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tuman_privacy::identifier::{Kind, canonicalise};

    const IMEI: &str = "490154203237518";

    fn open(folder: &Path, bits: u8) -> Result<SuppressionList, ListError> {
        SuppressionList::open(folder, TagBits::new(bits).unwrap())
    }

    fn ids(lines: &str) -> Identifiers {
        Identifiers::read(lines).unwrap()
    }

    fn holds(list: &SuppressionList, app: &str) -> bool {
        let id = canonicalise(Kind::Imei, IMEI).unwrap();
        list.in_force().of(app).is_some_and(|list| list.holds(&id))
    }

    #[test]
    fn before_the_first_withdrawal_there_is_no_file_and_nothing_is_looked_up() {
        let folder = tempfile::tempdir().unwrap();
        let list = open(folder.path(), 20).unwrap();
        assert!(list.in_force().of("a").is_none() && list.summary().is_none());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_restart_keeps_the_list_and_its_scopes() {
        let folder = tempfile::tempdir().unwrap();
        let list = open(folder.path(), 20).unwrap();
        let name = list.add(Some("a"), &ids(&format!("imei={IMEI}")), 5).unwrap();
        for list in [list, open(folder.path(), 20).unwrap()] {
            assert!(holds(&list, "a") && !holds(&list, "b"));
            assert!(list.in_force().of("b").is_none());
            assert_eq!(list.summary().unwrap().name, name);
        }
        let list = open(folder.path(), 20).unwrap();
        assert_eq!(list.add(None, &ids("mac=00:1B:44:11:3A:B7"), 6).unwrap(), name);
        assert_eq!(list.summary().unwrap().tags, 2);
        assert_eq!(list.summary().unwrap().expected_share, 2.0 / f64::from(1 << 20));
        // One for all apps holds for an app with tags of its own too.
        let mac = canonicalise(Kind::Mac, "001b44113ab7").unwrap();
        for app in ["a", "b"] {
            assert!(list.in_force().of(app).unwrap().holds(&mac));
        }
    }

    #[test]
    fn the_files_are_for_this_user_alone_and_hold_no_identifier() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        open(folder.path(), 20).unwrap().add(None, &ids(&format!("imei={IMEI}")), 5).unwrap();
        for file in ["suppression.json", "suppression.key"] {
            let path = folder.path().join(file);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            let text = fs::read(path).unwrap();
            assert!(!text.windows(14).any(|window| window == &IMEI.as_bytes()[..14]), "{file}");
        }
    }

    #[test]
    fn fewer_bits_cut_the_tags_and_more_leave_them() {
        let folder = tempfile::tempdir().unwrap();
        open(folder.path(), 24).unwrap().add(None, &ids(&format!("imei={IMEI}")), 5).unwrap();
        let cut = open(folder.path(), 12).unwrap();
        assert!(holds(&cut, "a"));
        let list = open(folder.path(), 24).unwrap();
        assert!(holds(&list, "a"));
        assert_eq!(list.summary().unwrap().bits, 12);
    }

    #[test]
    fn an_ended_list_is_gone_and_the_next_one_has_another_key() {
        let folder = tempfile::tempdir().unwrap();
        let list = open(folder.path(), 20).unwrap();
        let name = list.add(None, &ids(&format!("imei={IMEI}")), 5).unwrap();
        let key = fs::read(folder.path().join("suppression.key")).unwrap();
        list.end().unwrap();
        assert!(!holds(&list, "a"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_ne!(list.add(None, &ids("mac=00:1B:44:11:3A:B7"), 6).unwrap(), name);
        assert!(!holds(&list, "a"));
        assert_ne!(fs::read(folder.path().join("suppression.key")).unwrap(), key);
    }

    #[test]
    fn a_list_that_cannot_be_read_stops_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("suppression.json");
        open(folder.path(), 20).unwrap().add(None, &ids(&format!("imei={IMEI}")), 5).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        for damage in ["", "{", &text.replace("\"bits\":20", "\"bits\":40"), &text.replace("[", "[9999999,")] {
            fs::write(&path, damage).unwrap();
            assert!(matches!(open(folder.path(), 20), Err(ListError::Damaged(_))), "{damage}");
        }
        fs::write(&path, text).unwrap();
        fs::remove_file(folder.path().join("suppression.key")).unwrap();
        assert!(matches!(open(folder.path(), 20), Err(ListError::NoKey(_))));
    }

    #[actix_web::test]
    async fn it_is_settled_when_no_request_holds_a_former_list() {
        let folder = tempfile::tempdir().unwrap();
        let list = Arc::new(open(folder.path(), 20).unwrap());
        let held = list.in_force();
        list.add(None, &ids(&format!("imei={IMEI}")), 5).unwrap();
        let waiting = actix_web::rt::spawn({
            let list = list.clone();
            async move { list.settled().await.is_ok() }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(held);
        assert!(waiting.await.unwrap());
        // Whoever holds the present list does not keep anyone waiting.
        let _present = list.in_force();
        list.settled().await.unwrap();
    }
}
