//! The ring of day keys: which days take events, and with which key.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use rand::TryRng;
use sha2::{Digest, Sha256};
use tuman_privacy::time::Day;
use tuman_privacy::token::{DayKey, Tokeniser};
use zeroize::Zeroizing;

use super::KeyError;
use super::chronicle::Known;
use super::folder::Folder;
use super::record::{Act, KeyRecord, NO_KEY, Record};
use crate::clock::{Zone, date_of, day_of, timestamp};
use crate::config::KeyMode;
use crate::memory::KEEPER;

/// The days that take events at a moment.
#[derive(Debug)]
pub struct OpenDays {
    /// Days and their tokenisers, ascending.
    pub days: Vec<(Day, Arc<Tokeniser>)>,
    /// Until when this holds.
    until_ms: i64,
    from_ms: i64,
}

/// Creates, keeps and destroys day keys.
#[derive(Debug)]
pub struct Keyring {
    pub(super) folder: Folder,
    pub(super) record: Record,
    pub(super) zone: Zone,
    grace_ms: i64,
    pub(super) mode: KeyMode,
    state: Mutex<State>,
    open: ArcSwapOption<OpenDays>,
    /// What the audit log is known to have.
    pub(super) known: Mutex<Option<Known>>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) records: BTreeMap<Day, KeyRecord>,
    pub(super) acts: Vec<Act>,
    pub(super) tokenisers: BTreeMap<Day, Arc<Tokeniser>>,
    /// Days that take no more events, whatever their grace says.
    closed: Vec<Day>,
    /// Every set of open days that may still be in use by a request.
    published: Vec<Weak<OpenDays>>,
}

impl Keyring {
    /// Opens the key folder (made if missing, mode 0700) and the record of keys. [`Keyring::keep_pace`] brings both to
    /// the day.
    ///
    /// # Errors
    /// Where either cannot be read, or a file is no key.
    pub fn open(folder: &Path, record: &Path, zone: Zone, grace_ms: i64, mode: KeyMode) -> Result<Keyring, KeyError> {
        let keyring = Keyring {
            folder: Folder::open(folder)?,
            record: Record::at(record),
            zone,
            grace_ms,
            mode,
            state: Mutex::default(),
            open: ArcSwapOption::empty(),
            known: Mutex::default(),
        };
        let recorded = keyring.record.read()?;
        let mut state = State { records: recorded.keys, acts: recorded.acts, ..State::default() };
        for day in keyring.days_on_disk()? {
            if is_destroyed(&state, day) {
                // Recorded as destroyed, but the process ended before the file was gone.
                keyring.folder.erase(&key_file(day))?;
                continue;
            }
            if let Some(mut key) = keyring.folder.read::<32>(&key_file(day))? {
                state.tokenisers.insert(day, Arc::new(Tokeniser::new(&DayKey::take_kept(&mut key, &KEEPER))));
            }
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

    /// Does what the time asks for: the shared state goes on to the day, and keys whose record a crash cut off are
    /// recorded. To be called at the start and every now and then, so that an idle collector's state does not stay
    /// behind.
    ///
    /// # Errors
    /// Where a file cannot be read or written.
    pub fn keep_pace(&self, now_ms: i64) -> Result<(), KeyError> {
        let mut state = self.state();
        let days: Vec<Day> = state.tokenisers.keys().copied().collect();
        for day in days {
            if !state.records.contains_key(&day) {
                self.record_key(&mut state, day, now_ms)?;
            }
        }
        let today = self.zone.day(now_ms);
        // A key that is made here needs no publishing: a set of open days without today's key holds for no moment.
        self.advance(&mut state, today, today, now_ms)
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

    /// The days that would take events now, without making a key for any.
    ///
    /// # Errors
    /// Where today is sealed, or no state of the group is there to make its key from.
    pub fn days_that_would_be_open(&self, now_ms: i64) -> Result<Vec<Day>, KeyError> {
        let today = self.zone.day(now_ms);
        if self.lacks_state(now_ms) {
            return Err(KeyError::NoState);
        }
        let state = self.state();
        if is_destroyed(&state, today) {
            return Err(KeyError::Destroyed(date_of(today)));
        }
        let others = state.tokenisers.keys().copied().filter(|day| *day != today);
        Ok(others.filter(|day| self.is_open(&state, *day, now_ms)).chain([today]).collect())
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
        // First of all the shared state, from which the key could be made again.
        let today = self.zone.day(now_ms);
        self.advance(&mut state, today, today.max(day), now_ms)?;
        if is_destroyed(&state, day) {
            return self.folder.erase(&key_file(day));
        }
        let at = timestamp(now_ms);
        let mut record = state.records.get(&day).cloned().unwrap_or_else(|| KeyRecord {
            day: date_of(day),
            name: NO_KEY.into(),
            created_at: at,
            destroyed_at: None,
        });
        record.destroyed_at = Some(at);
        // The record before the file: a crash in between finds it at the next start and erases the file then.
        self.record.append_key(&record, &self.folder)?;
        state.records.insert(day, record);
        state.tokenisers.remove(&day);
        if !state.closed.contains(&day) {
            state.closed.push(day);
        }
        self.publish(&mut state, now_ms);
        self.folder.erase(&key_file(day))
    }

    /// What is known of all keys, by day.
    #[must_use]
    pub fn records(&self) -> Vec<KeyRecord> {
        self.state().records.values().cloned().collect()
    }

    /// Days that have a key, with their tokenisers, ascending: also those that take no more events and are not sealed.
    #[must_use]
    pub fn tokenisers(&self) -> Vec<(Day, Arc<Tokeniser>)> {
        self.state().tokenisers.iter().map(|(day, tokeniser)| (*day, tokeniser.clone())).collect()
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

    /// Own keys, or those of a group.
    #[must_use]
    pub fn mode(&self) -> KeyMode {
        self.mode
    }

    /// True where today can get no key before someone hands a shared state over.
    #[must_use]
    pub fn lacks_state(&self, now_ms: i64) -> bool {
        let has_key = self.state().tokenisers.contains_key(&self.zone.day(now_ms));
        self.mode == KeyMode::Shared && !has_key && !self.has_shared()
    }

    /// True where anything in the key folder bears the day's name.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn has_file_of(&self, day: Day) -> Result<bool, KeyError> {
        let name = key_file(day);
        Ok(self.folder.names()?.iter().any(|known| known.starts_with(&name)))
    }

    /// The tokeniser of a day that has a key.
    pub(super) fn tokeniser(&self, day: Day) -> Option<Arc<Tokeniser>> {
        self.state().tokenisers.get(&day).cloned()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True while a request holds a set of open days that the day is in.
    pub(super) fn is_in_use(&self, day: Day) -> bool {
        let mut state = self.state();
        state.published.retain(|open| open.strong_count() > 0);
        state.published.iter().filter_map(Weak::upgrade).any(|open| open.days.iter().any(|(known, _)| *known == day))
    }

    fn publish(&self, state: &mut State, now_ms: i64) -> Arc<OpenDays> {
        let today = self.zone.day(now_ms);
        let mut until_ms = self.zone.end_of(today);
        let mut days = Vec::new();
        for (day, tokeniser) in &state.tokenisers {
            if !self.is_open(state, *day, now_ms) {
                continue;
            }
            if *day < today {
                until_ms = until_ms.min(self.grace_ends(*day));
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

    /// Whether a day that has a key takes events.
    fn is_open(&self, state: &State, day: Day, now_ms: i64) -> bool {
        day <= self.zone.day(now_ms) && now_ms < self.grace_ends(day) && !state.closed.contains(&day)
    }

    fn ensure(&self, state: &mut State, today: Day, now_ms: i64) -> Result<(), KeyError> {
        self.advance(state, today, today, now_ms)?;
        if state.tokenisers.contains_key(&today) {
            return Ok(());
        }
        if is_destroyed(state, today) {
            return Err(KeyError::Destroyed(date_of(today)));
        }
        if self.mode == KeyMode::Shared {
            // With a state, `advance` would have made the key, had the state not passed the day.
            let passed = self.has_shared();
            return Err(if passed { KeyError::Passed(date_of(today)) } else { KeyError::NoState });
        }
        let mut key = random::<32>()?;
        self.adopt(state, today, &mut key, now_ms)
    }

    /// Gives a day its key: the file, the record, the tokeniser. `key` is left wiped.
    pub(super) fn adopt(&self, state: &mut State, day: Day, key: &mut [u8; 32], now_ms: i64) -> Result<(), KeyError> {
        // The file before the record: a crash in between finds it at the next start and records it then. The other way
        // round, the record could name a key that never was.
        self.folder.write(&key_file(day), key)?;
        self.record_key(state, day, now_ms)?;
        state.tokenisers.insert(day, Arc::new(Tokeniser::new(&DayKey::take_kept(key, &KEEPER))));
        Ok(())
    }

    fn record_key(&self, state: &mut State, day: Day, now_ms: i64) -> Result<(), KeyError> {
        let (name, created_at) = (random_name()?, timestamp(now_ms));
        let record = KeyRecord { day: date_of(day), name, created_at, destroyed_at: None };
        self.record.append_key(&record, &self.folder)?;
        state.records.insert(day, record);
        Ok(())
    }

    fn days_on_disk(&self) -> Result<Vec<Day>, KeyError> {
        let names = self.folder.names()?;
        let dates = names.iter().filter_map(|name| name.strip_suffix(".key")?.parse().ok());
        Ok(dates.map(day_of).collect())
    }
}

pub(super) fn is_destroyed(state: &State, day: Day) -> bool {
    state.records.get(&day).is_some_and(|record| record.destroyed_at.is_some())
}

pub(super) fn key_file(day: Day) -> String {
    format!("{}.key", date_of(day))
}

/// Bytes from the operating system.
pub(super) fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, KeyError> {
    let mut bytes = Zeroizing::new([0; N]);
    rand::rngs::SysRng.try_fill_bytes(bytes.as_mut_slice()).map_err(|_| KeyError::Randomness)?;
    Ok(bytes)
}

/// A name that says nothing.
pub(super) fn random_name() -> Result<String, KeyError> {
    Ok(hex::encode(*random::<8>()?))
}
