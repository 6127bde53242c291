//! Day keys: created when a day begins, kept while it is open, destroyed when it is sealed.
//!
//! Guarantees: one key per local day, 32 bytes from the operating system; a restart keeps today's key; a destroyed
//! day never gets a key again, whatever the clock says. Keys lie in files that only the service can read, by default in
//! a memory-backed folder, so that a power cut leaves none on a disk.
//! Does not: make tokens. The boundary's [`Tokeniser`] does, and holds the only copy in use.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use rand::TryRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tuman_privacy::time::Day;
use tuman_privacy::token::{DayKey, Tokeniser};
use zeroize::Zeroizing;

use crate::clock::{Zone, date_of, day_of, timestamp};

/// What went wrong with a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The folder or a file in it.
    #[error("the key folder {0}: {1}")]
    Folder(PathBuf, io::Error),
    /// A key file is not 32 bytes.
    #[error("a file in the key folder {0} is not a day key")]
    NotAKey(PathBuf),
    /// The record of keys.
    #[error("the record of keys {0}: {1}")]
    Record(PathBuf, io::Error),
    /// No randomness.
    #[error("the operating system gives no randomness")]
    Randomness,
    /// The day was sealed: its key is gone for good.
    #[error("the day {0} is sealed; is the clock right?")]
    Destroyed(jiff::civil::Date),
    /// A request that still used the day did not end.
    #[error("the day {0} is still in use by a request")]
    InUse(jiff::civil::Date),
}

/// The days that take events at a moment.
#[derive(Debug)]
pub struct OpenDays {
    /// Days and their tokenisers, ascending.
    pub days: Vec<(Day, Arc<Tokeniser>)>,
    /// Until when this holds.
    until_ms: i64,
    from_ms: i64,
}

/// A line of the record of keys. Holds the key's random name, never the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// The key's day.
    pub day: jiff::civil::Date,
    /// Its random name.
    pub name: String,
    /// When it was created.
    pub created_at: jiff::Timestamp,
    /// When it was destroyed; none while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destroyed_at: Option<jiff::Timestamp>,
}

/// Creates, keeps and destroys day keys.
#[derive(Debug)]
pub struct Keyring {
    folder: PathBuf,
    record: PathBuf,
    zone: Zone,
    grace_ms: i64,
    state: Mutex<State>,
    open: ArcSwapOption<OpenDays>,
}

#[derive(Debug, Default)]
struct State {
    records: BTreeMap<Day, KeyRecord>,
    tokenisers: BTreeMap<Day, Arc<Tokeniser>>,
    /// Days that take no more events, whatever their grace says.
    closed: Vec<Day>,
    /// Every set of open days that may still be in use by a request.
    published: Vec<Weak<OpenDays>>,
}

impl Keyring {
    /// Opens the key folder (made if missing, mode 0700) and the record of keys.
    ///
    /// # Errors
    /// Where either cannot be read, or a file is no key.
    pub fn open(folder: &Path, record: &Path, zone: Zone, grace_ms: i64) -> Result<Keyring, KeyError> {
        let in_folder = |error| KeyError::Folder(folder.into(), error);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(in_folder)?;
        let metadata = fs::symlink_metadata(folder).map_err(in_folder)?;
        let mine = metadata.uid() == rustix::process::geteuid().as_raw();
        if !metadata.is_dir() || !mine || metadata.mode() & 0o077 != 0 {
            let what = "is not a folder of this user alone (mode 0700)";
            return Err(in_folder(io::Error::new(io::ErrorKind::PermissionDenied, what)));
        }
        let keyring = Keyring {
            folder: folder.into(),
            record: record.into(),
            zone,
            grace_ms,
            state: Mutex::default(),
            open: ArcSwapOption::empty(),
        };
        let mut state = State { records: keyring.read_record()?, ..State::default() };
        for day in keyring.days_on_disk()? {
            let destroyed = state.records.get(&day).is_some_and(|record| record.destroyed_at.is_some());
            if destroyed {
                // Recorded as destroyed, but the process ended before the file was gone.
                keyring.erase(day)?;
                continue;
            }
            state.tokenisers.insert(day, Arc::new(keyring.read_key(day)?));
        }
        *keyring.state() = state;
        Ok(keyring)
    }

    /// The default folder for a data folder: in memory where the system has `/dev/shm`, else beside the data.
    #[must_use]
    pub fn default_folder(data: &Path) -> PathBuf {
        let shm = Path::new("/dev/shm");
        if !shm.is_dir() {
            return data.join("keys");
        }
        let path = fs::canonicalize(data).unwrap_or_else(|_| data.into());
        let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
        shm.join(format!("tuman-{}-{}", rustix::process::geteuid().as_raw(), hex::encode(&digest[..6])))
    }

    /// The days that take events now; today's key is made if it is the first time.
    ///
    /// # Errors
    /// Where today has no key and none can be made.
    pub fn open_days(&self, now_ms: i64) -> Result<Arc<OpenDays>, KeyError> {
        if let Some(open) = self.open.load_full()
            && (open.from_ms..open.until_ms).contains(&now_ms)
        {
            return Ok(open);
        }
        let mut state = self.state();
        let today = self.zone.day(now_ms);
        self.ensure(&mut state, today, now_ms)?;
        Ok(self.publish(&mut state, now_ms))
    }

    /// Takes a day off the open days and waits until no request uses it any more.
    ///
    /// # Errors
    /// Where a request still uses the day after thirty seconds.
    pub async fn close(&self, day: Day, now_ms: i64) -> Result<(), KeyError> {
        self.shut(day, now_ms);
        for _ in 0..6_000 {
            if !self.is_in_use(day) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Err(KeyError::InUse(date_of(day)))
    }

    /// Takes a day off the open days, without waiting for requests: for the start, when there are none.
    pub fn shut(&self, day: Day, now_ms: i64) {
        let mut state = self.state();
        if !state.closed.contains(&day) {
            state.closed.push(day);
        }
        self.publish(&mut state, now_ms);
    }

    /// Lets a closed day take events again, after a seal that could not begin.
    pub fn reopen(&self, day: Day, now_ms: i64) {
        let mut state = self.state();
        state.closed.retain(|closed| *closed != day);
        self.publish(&mut state, now_ms);
    }

    /// Destroys a day's key and records it. A day without a key is recorded as destroyed too.
    ///
    /// # Errors
    /// Where the file cannot be erased or the record not be written.
    pub fn destroy(&self, day: Day, now_ms: i64) -> Result<(), KeyError> {
        let mut state = self.state();
        if state.records.get(&day).is_some_and(|record| record.destroyed_at.is_some()) {
            return self.erase(day);
        }
        let at = timestamp(now_ms);
        let mut record = state.records.get(&day).cloned().unwrap_or_else(|| KeyRecord {
            day: date_of(day),
            name: "none".into(),
            created_at: at,
            destroyed_at: None,
        });
        record.destroyed_at = Some(at);
        // The record first: a crash in between finds it at the next start and erases the file then.
        self.write_record(&record)?;
        state.records.insert(day, record);
        state.tokenisers.remove(&day);
        if !state.closed.contains(&day) {
            state.closed.push(day);
        }
        self.publish(&mut state, now_ms);
        self.erase(day)
    }

    /// What is known of all keys, by day.
    #[must_use]
    pub fn records(&self) -> Vec<KeyRecord> {
        self.state().records.values().cloned().collect()
    }

    /// Days that have a key.
    #[must_use]
    pub fn days(&self) -> Vec<Day> {
        self.state().tokenisers.keys().copied().collect()
    }

    /// The moment at which a day's grace ends.
    #[must_use]
    pub fn grace_ends(&self, day: Day) -> i64 {
        self.zone.end_of(day).saturating_add(self.grace_ms)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True while a request holds a set of open days that the day is in.
    fn is_in_use(&self, day: Day) -> bool {
        let mut state = self.state();
        state.published.retain(|open| open.strong_count() > 0);
        state.published.iter().filter_map(Weak::upgrade).any(|open| open.days.iter().any(|(known, _)| *known == day))
    }

    fn publish(&self, state: &mut State, now_ms: i64) -> Arc<OpenDays> {
        let today = self.zone.day(now_ms);
        let mut until_ms = self.zone.end_of(today);
        let mut days = Vec::new();
        for (day, tokeniser) in &state.tokenisers {
            let ends = self.grace_ends(*day);
            if *day > today || now_ms >= ends || state.closed.contains(day) {
                continue;
            }
            if *day < today {
                until_ms = until_ms.min(ends);
            }
            days.push((*day, tokeniser.clone()));
        }
        let from_ms = self.zone.end_of(Day(today.0.saturating_sub(1)));
        if !state.tokenisers.contains_key(&today) {
            // Holds for no moment: whoever asks next makes today's key.
            until_ms = from_ms;
        }
        let open = Arc::new(OpenDays { days, until_ms, from_ms });
        self.open.store(Some(open.clone()));
        state.published.retain(|known| known.strong_count() > 0);
        state.published.push(Arc::downgrade(&open));
        open
    }

    fn ensure(&self, state: &mut State, day: Day, now_ms: i64) -> Result<(), KeyError> {
        if state.tokenisers.contains_key(&day) {
            return Ok(());
        }
        if state.records.get(&day).is_some_and(|record| record.destroyed_at.is_some()) {
            return Err(KeyError::Destroyed(date_of(day)));
        }
        let mut random = Zeroizing::new([0_u8; 40]);
        rand::rngs::SysRng.try_fill_bytes(random.as_mut_slice()).map_err(|_| KeyError::Randomness)?;
        let mut key = Zeroizing::new([0_u8; 32]);
        key.copy_from_slice(&random[..32]);
        let name = hex::encode(&random[32..]);
        let record = KeyRecord { day: date_of(day), name, created_at: timestamp(now_ms), destroyed_at: None };
        self.write_key(day, &key)?;
        self.write_record(&record)?;
        state.records.insert(day, record);
        state.tokenisers.insert(day, Arc::new(Tokeniser::new(&DayKey::take(&mut key))));
        Ok(())
    }

    fn key_file(&self, day: Day) -> PathBuf {
        self.folder.join(format!("{}.key", date_of(day)))
    }

    fn days_on_disk(&self) -> Result<Vec<Day>, KeyError> {
        let in_folder = |error| KeyError::Folder(self.folder.clone(), error);
        let mut days = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(in_folder)? {
            let name = entry.map_err(in_folder)?.file_name();
            let date = name.to_str().and_then(|name| name.strip_suffix(".key")).and_then(|date| date.parse().ok());
            if let Some(date) = date {
                days.push(day_of(date));
            }
        }
        Ok(days)
    }

    fn read_key(&self, day: Day) -> Result<Tokeniser, KeyError> {
        let file = self.key_file(day);
        let bytes = Zeroizing::new(fs::read(&file).map_err(|error| KeyError::Folder(self.folder.clone(), error))?);
        let mut key = Zeroizing::new([0_u8; 32]);
        if bytes.len() != key.len() {
            return Err(KeyError::NotAKey(self.folder.clone()));
        }
        key.copy_from_slice(&bytes);
        Ok(Tokeniser::new(&DayKey::take(&mut key)))
    }

    fn write_key(&self, day: Day, key: &[u8; 32]) -> Result<(), KeyError> {
        write_secret(&self.key_file(day), key).map_err(|error| KeyError::Folder(self.folder.clone(), error))
    }

    fn erase(&self, day: Day) -> Result<(), KeyError> {
        let in_folder = |error| KeyError::Folder(self.folder.clone(), error);
        let file = self.key_file(day);
        match OpenOptions::new().write(true).open(&file) {
            Ok(mut out) => out.write_all(&[0; 32]).and_then(|()| out.sync_all()).map_err(in_folder)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(in_folder(error)),
        }
        fs::remove_file(&file).and_then(|()| sync_folder(&self.folder)).map_err(in_folder)
    }

    fn read_record(&self) -> Result<BTreeMap<Day, KeyRecord>, KeyError> {
        let text = match fs::read_to_string(&self.record) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(KeyError::Record(self.record.clone(), error)),
        };
        // A later line of a day stands over an earlier one. A torn last line was never acted on.
        let records = text.lines().filter_map(|line| serde_json::from_str::<KeyRecord>(line).ok());
        Ok(records.map(|record| (day_of(record.day), record)).collect())
    }

    fn write_record(&self, record: &KeyRecord) -> Result<(), KeyError> {
        let wrong = |error| KeyError::Record(self.record.clone(), error);
        let mut line = serde_json::to_vec(record).map_err(|error| wrong(error.into()))?;
        // A leading newline closes a line that a crash tore.
        line.insert(0, b'\n');
        line.push(b'\n');
        let mut out = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.record).map_err(wrong)?;
        out.write_all(&line).and_then(|()| out.sync_all()).map_err(wrong)?;
        // The record's own name too, which the first line made.
        sync_folder(self.record.parent().unwrap_or(Path::new("."))).map_err(wrong)
    }
}

/// Writes a secret for this user alone; it is whole and on disk when this returns, or not there.
pub(crate) fn write_secret(file: &Path, secret: &[u8; 32]) -> io::Result<()> {
    let fresh = file.with_extension("fresh");
    let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    out.write_all(secret)?;
    out.sync_all()?;
    // Renamed when whole: a crash never leaves half a key under its name.
    fs::rename(&fresh, file)?;
    sync_folder(file.parent().unwrap_or(Path::new(".")))
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;
    /// 2026-10-05T12:00:00+05:00.
    const NOON: i64 = 1_791_183_600_000;

    fn keyring(folder: &Path) -> Keyring {
        let zone = Zone::named("Asia/Almaty").unwrap();
        Keyring::open(&folder.join("keys"), &folder.join("keys.jsonl"), zone, 6 * HOUR_MS).unwrap()
    }

    fn open(keyring: &Keyring, now: i64) -> Vec<String> {
        keyring.open_days(now).unwrap().days.iter().map(|(day, _)| date_of(*day).to_string()).collect()
    }

    #[test]
    fn a_day_is_open_until_its_grace_ends() {
        let folder = tempfile::tempdir().unwrap();
        let keyring = keyring(folder.path());
        assert_eq!(open(&keyring, NOON), ["2026-10-05"]);
        assert_eq!(open(&keyring, NOON + 13 * HOUR_MS), ["2026-10-05", "2026-10-06"]);
        assert_eq!(open(&keyring, NOON + 18 * HOUR_MS - 1), ["2026-10-05", "2026-10-06"]);
        assert_eq!(open(&keyring, NOON + 18 * HOUR_MS), ["2026-10-06"]);
    }

    #[test]
    fn a_restart_keeps_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let token = |keyring: &Keyring| {
            let id =
                tuman_privacy::identifier::canonicalise(tuman_privacy::identifier::Kind::Imei, "490154203237518")
                    .unwrap();
            let open = keyring.open_days(NOON).unwrap();
            open.days[0].1.token("a", tuman_privacy::token::Purpose::Usage, &id)
        };
        let first = token(&keyring(folder.path()));
        assert!(first == token(&keyring(folder.path())));
    }

    #[actix_web::test]
    async fn a_destroyed_day_never_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let day = day_of(jiff::civil::date(2026, 10, 5));
        {
            let keyring = keyring(folder.path());
            open(&keyring, NOON);
            keyring.close(day, NOON + 24 * HOUR_MS).await.unwrap();
            keyring.destroy(day, NOON + 24 * HOUR_MS).unwrap();
            assert!(matches!(keyring.open_days(NOON), Err(KeyError::Destroyed(_))));
        }
        let keyring = keyring(folder.path());
        assert!(matches!(keyring.open_days(NOON), Err(KeyError::Destroyed(_))));
        assert!(keyring.records()[0].destroyed_at.is_some());
        assert_eq!(fs::read_dir(folder.path().join("keys")).unwrap().count(), 0);
    }

    #[actix_web::test]
    async fn a_seal_just_after_midnight_leaves_the_new_day_open() {
        let folder = tempfile::tempdir().unwrap();
        let keyring = keyring(folder.path());
        open(&keyring, NOON);
        let midnight = NOON + 12 * HOUR_MS;
        keyring.destroy(day_of(jiff::civil::date(2026, 10, 5)), midnight).unwrap();
        assert_eq!(open(&keyring, midnight), ["2026-10-06"]);
    }

    #[actix_web::test]
    async fn a_closed_day_takes_nothing_and_waits_for_its_users() {
        let folder = tempfile::tempdir().unwrap();
        let keyring = keyring(folder.path());
        open(&keyring, NOON);
        let next_day = NOON + 13 * HOUR_MS;
        let used = keyring.open_days(next_day).unwrap();
        let day = used.days[0].0;
        // Another request publishes a set without the day; the first one still holds it.
        keyring.shut(day, next_day);
        assert!(keyring.is_in_use(day));
        drop(used);
        keyring.close(day, next_day).await.unwrap();
        assert_eq!(open(&keyring, next_day), ["2026-10-06"]);
        keyring.reopen(day, next_day);
        assert_eq!(open(&keyring, next_day), ["2026-10-05", "2026-10-06"]);
    }

    #[test]
    fn a_folder_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        fs::create_dir(&keys).unwrap();
        fs::set_permissions(&keys, fs::Permissions::from_mode(0o755)).unwrap();
        let zone = Zone::named("Asia/Almaty").unwrap();
        assert!(matches!(Keyring::open(&keys, &folder.path().join("r"), zone, 0), Err(KeyError::Folder(..))));
    }
}
