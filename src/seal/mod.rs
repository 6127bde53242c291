//! Sealing: an open day becomes releases; its rows and its key are destroyed.
//!
//! The steps, each of which can be interrupted and is done again or found done:
//! 1. the day takes no more events, what was appended for it is loaded, and its hours that are not sealed yet are;
//! 2. contributions are bounded and counted, noise is drawn, thresholds are applied;
//! 3. the noisy result is synced to the journal;
//! 4. it is published: releases first, then the line in `seals` that makes them readable;
//! 5. the day's rows are dropped, and segments that were set aside, which may hold some;
//! 6. the day's key is destroyed;
//! 7. the journal is removed.
//!
//! Guarantees: a day is published once; what was readable never changes; noise is drawn anew only where nothing was
//! readable. Afterwards no row, token, key or exact count of the day is on disk.

pub mod allotment;
mod count;
pub mod domain;
pub mod exact;
pub mod histogram;
mod hours;
pub mod journal;
pub mod laplace;
pub mod noise;
mod open_day;
mod places;
pub mod release;
mod rows;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::TryRng;
use serde::{Deserialize, Serialize};
use tuman_privacy::place::Region;
use tuman_privacy::time::Day;

use crate::audit::{Audit, AuditError, DaySealed, Event};
use crate::clock::{Clock, Zone, date_of, day_of, timestamp};
use crate::ingest::Ingest;
use crate::keys::{KeyError, Keyring, chronicle};
use crate::loader::{LoadError, Loader};
use crate::log::Line;
use crate::metrics::Metric;
use crate::store::{Statement, Store, StoreError, Table};
#[cfg(feature = "torture")]
use crate::torture::pass;
use allotment::{Allotment, Pinned};
use histogram::Sealed;
use journal::{Journal, Journals};
use laplace::System;
use release::HOURS;

pub use open_day::OpenDay;

/// How long a seal waits until what was accepted is in the store.
const DRAIN_LIMIT: Duration = Duration::from_secs(300);

/// How long past its grace a day waits for segments that only another version of this program can read.
const FOREIGN_WAIT_MS: i64 = 86_400_000;

/// Why a day was not sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The day is not over.
    #[error("the day {0} is not over: a day can be sealed from its midnight on")]
    NotOver(jiff::civil::Date),
    /// The day never took an event.
    #[error("the day {0} has no key and no rows: there is nothing to seal")]
    NothingThere(jiff::civil::Date),
    /// The day was sealed before.
    #[error("the day {0} is sealed already; a sealed day never changes")]
    AlreadySealed(jiff::civil::Date),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The releases of an app spend more than its catalogue allows a day.
    #[error("the releases of {app} spend an epsilon of {spent:.2}; a day has {daily:.2}")]
    OverBudget {
        /// The app.
        app: String,
        /// What they spend together.
        spent: f64,
        /// What a day has.
        daily: f64,
    },
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// What was appended could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The noise.
    #[error(transparent)]
    Noise(#[from] noise::NoiseError),
    /// The journal.
    #[error("the seal journal: {0}")]
    Journal(#[from] std::io::Error),
    /// No randomness for the salt.
    #[error("the operating system gives no randomness")]
    Randomness,
    /// The work was given up.
    #[error("the seal was interrupted; it is finished at the next start")]
    Interrupted,
}

/// What a seal came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The day.
    pub day: jiff::civil::Date,
    /// Each app's releases: name, values published, values suppressed.
    pub apps: Vec<AppSummary>,
    /// How long it took.
    pub seconds: f64,
}

/// What a seal came to for one app.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppSummary {
    /// The app.
    pub app: String,
    /// Name, values published, values suppressed, epsilon; none where there is no noise.
    pub releases: Vec<(String, u64, u64, Option<f64>)>,
}

/// Seals days.
pub struct Sealer {
    /// Where rows are and releases go.
    pub store: Arc<dyn Store>,
    /// Whose keys are destroyed.
    pub keyring: Arc<Keyring>,
    /// What is still in the spool.
    pub loader: Arc<Loader>,
    /// The catalogues in force.
    pub ingest: Arc<Ingest>,
    /// The public domain of places.
    pub region: Region,
    /// When a day is over.
    pub zone: Zone,
    /// Now.
    pub clock: Arc<dyn Clock>,
    /// Interrupted seals.
    pub journals: Journals,
    /// How long after its end an hour is sealed, where releases are sealed every hour.
    pub hour_wait_ms: i64,
    /// The record of what was destroyed.
    pub audit: Arc<Audit>,
    /// One seal at a time.
    pub turn: tokio::sync::Mutex<()>,
}

impl Sealer {
    /// Seals a day.
    ///
    /// # Errors
    /// Where the day is not over, is sealed already, or a step failed; the next try goes on from there.
    pub async fn seal(self: &Arc<Self>, day: Day) -> Result<Summary, SealError> {
        let _turn = self.turn.lock().await;
        let _claim = self.claim().await?;
        let began = Instant::now();
        let now_ms = self.clock.now_ms();
        if self.zone.end_of(day) > now_ms {
            return Err(SealError::NotOver(date_of(day)));
        }
        let journal = match self.draw(day, now_ms).await {
            Ok(journal) => journal,
            Err(error) => {
                // Where no noise is drawn, the day goes on as if nothing had been tried.
                if matches!(self.journals.read(day), Ok(None)) && !matches!(error, SealError::AlreadySealed(_)) {
                    self.keyring.reopen(day, now_ms);
                }
                return Err(error);
            }
        };
        Line::DayCounted { day: date_of(day), took: began.elapsed() }.write();
        let sealer = self.clone();
        let published = journal.clone();
        on_a_thread(move || sealer.publish(day, &published)).await?;
        Metric::DaysSealed.add(1);
        Metric::SealSeconds.observe(began.elapsed());
        Line::DaySealed { day: date_of(day), took: began.elapsed() }.write();
        Ok(summary(&journal, began.elapsed().as_secs_f64()))
    }

    /// The days whose grace has ended and that are not sealed, and those whose seal was interrupted.
    ///
    /// # Errors
    /// Where the store or the journals cannot be read.
    pub async fn due(self: &Arc<Self>) -> Result<Vec<Day>, SealError> {
        let mut due: BTreeSet<Day> = self.journals.days()?.into_iter().collect();
        let now_ms = self.clock.now_ms();
        for day in self.days_with_anything().await? {
            if now_ms >= self.keyring.grace_ends(day) {
                due.insert(day);
            }
        }
        Ok(due.into_iter().collect())
    }

    /// Days that have a key, or rows: those whose key is lost, after the machine was restarted, too. Their rows must go.
    async fn days_with_anything(self: &Arc<Self>) -> Result<BTreeSet<Day>, SealError> {
        let sealer = self.clone();
        let mut days = on_a_thread(move || Ok(days_with_rows(&*sealer.store)?)).await?;
        days.extend(self.keyring.days());
        Ok(days.into_iter().collect())
    }

    /// Keeps other sealers out, also such as share nothing with this one but the folder.
    async fn claim(self: &Arc<Self>) -> Result<std::fs::File, SealError> {
        let sealer = self.clone();
        on_a_thread(move || Ok(sealer.journals.claim()?)).await
    }

    /// Seals what is due, for as long as the process runs.
    pub async fn run(self: Arc<Self>) {
        // Phones send again what they kept while the collector was away: hours wait for that too.
        let hours_from = self.clock.now_ms().saturating_add(self.hour_wait_ms);
        loop {
            self.keep_keys().await;
            match self.due().await {
                Ok(days) => {
                    for day in days {
                        if let Err(error) = self.seal(day).await {
                            Line::DayNotSealed { day: date_of(day), fault: (&error).into() }.write();
                        }
                    }
                }
                Err(error) => Line::DueUnknown { fault: (&error).into() }.write(),
            }
            if self.clock.now_ms() >= hours_from
                && let Err(error) = self.seal_hours().await
            {
                Line::HoursNotSealed { fault: (&error).into() }.write();
            }
            tokio::time::sleep(std::time::Duration::from_secs(30)).await;
        }
    }

    /// What every round begins with: the shared state goes with the time, today has its key, and the audit log catches up
    /// with the record of keys.
    pub async fn keep_keys(self: &Arc<Self>) {
        let sealer = self.clone();
        let kept = on_a_thread(move || {
            let now_ms = sealer.clock.now_ms();
            sealer.keyring.keep_pace(now_ms)?;
            // Every day has a key, so that whether it is sealed does not depend on whether anyone sent anything. Where
            // none can be made, reports are not taken either, and that is told.
            let _ = sealer.keyring.open_days(now_ms);
            Ok(chronicle::enter(&sealer.keyring, &sealer.audit, &*sealer.store, now_ms)?)
        });
        if let Err(error) = kept.await {
            Line::KeysBehind { fault: (&error).into() }.write();
        }
    }

    async fn is_sealed(self: &Arc<Self>, day: Day) -> Result<bool, SealError> {
        #[derive(Deserialize)]
        struct Row {
            n: u64,
        }
        let sealer = self.clone();
        on_a_thread(move || {
            let text = "SELECT count() AS n FROM seals WHERE day = {day:Date} AND window = {whole:UInt8}";
            let statement = Statement::new(text).bind("day", date_of(day)).bind("whole", HOURS);
            let rows: Vec<Row> = sealer.store.rows(&statement)?;
            Ok(rows.first().is_some_and(|row| row.n > 0))
        })
        .await
    }

    /// Steps 1 to 3, or the journal that an interrupted seal left.
    async fn draw(self: &Arc<Self>, day: Day, now_ms: i64) -> Result<Journal, SealError> {
        self.keyring.close(day, now_ms).await?;
        if let Some(journal) = self.journals.read(day)? {
            // What was accepted for the day after the noise was drawn, before a crash, is not counted any more. Loaded
            // now, it is dropped with the day's other rows.
            self.drain(day).await?;
            return Ok(journal);
        }
        if self.is_sealed(day).await? {
            self.clear(day).await?;
            return Err(SealError::AlreadySealed(date_of(day)));
        }
        self.drain(day).await?;
        Line::DayDrained { day: date_of(day) }.write();
        if !self.days_with_anything().await?.contains(&day) {
            return Err(SealError::NothingThere(date_of(day)));
        }
        self.seal_hours_of(day, HOURS).await?;
        self.count(day).await
    }

    /// Waits until what was accepted is in the store. What waits for another version of this program does not hold a
    /// day back for ever: its rows and its key would outlive what was promised.
    async fn drain(&self, day: Day) -> Result<(), LoadError> {
        if self.clock.now_ms() > self.keyring.grace_ends(day).saturating_add(FOREIGN_WAIT_MS) {
            self.loader.set_aside_foreign().await;
        }
        self.loader.drain(DRAIN_LIMIT).await
    }

    /// Clears what may be left of a day that is sealed.
    async fn clear(self: &Arc<Self>, day: Day) -> Result<(), SealError> {
        self.drain(day).await?;
        let sealer = self.clone();
        on_a_thread(move || {
            sealer.store.drop_day(day.0)?;
            sealer.loader.discard_aside()?;
            Ok(sealer.keyring.destroy(day, sealer.clock.now_ms())?)
        })
        .await
    }

    /// Steps 2 and 3.
    async fn count(self: &Arc<Self>, day: Day) -> Result<Journal, SealError> {
        let sealer = self.clone();
        on_a_thread(move || {
            let (salt, hours) = (salt()?, Pinned::of(&*sealer.store, day)?);
            let mut journal = Journal::of(date_of(day), timestamp(sealer.clock.now_ms()), Vec::new());
            for catalogue in sealer.ingest.catalogues().all() {
                let app = catalogue.declaration.app.clone();
                let allotment = Allotment::of(&catalogue, &hours);
                let open =
                    OpenDay { store: &*sealer.store, catalogue: &catalogue, region: &sealer.region, day, salt };
                journal.apps.push((app.clone(), open.seal_of(&allotment.daily, &mut System::new())?));
                if !allotment.left_out.is_empty() {
                    journal.left_out.push((app, allotment.left_out));
                }
            }
            journal.hours = hours;
            sealer.journals.write(day, &journal)?;
            Ok(journal)
        })
        .await
    }

    /// Steps 4 to 7.
    fn publish(&self, day: Day, journal: &Journal) -> Result<(), SealError> {
        let name = |what: &str| format!("seal-{}-{what}", journal.day);
        self.store.insert(Table::Releases, &name("releases"), rows::releases(day, journal).bytes())?;
        self.store.insert(Table::Seals, &name("seals"), rows::seals(day, journal).bytes())?;
        self.store.drop_day(day.0)?;
        // They may hold rows of the day, and could not be counted any more.
        self.loader.discard_aside()?;
        let now_ms = self.clock.now_ms();
        pass("seal.destroy");
        self.keyring.destroy(day, now_ms)?;
        pass("seal.audit");
        // Its creation stands before its destruction.
        chronicle::enter(&self.keyring, &self.audit, &*self.store, now_ms)?;
        let key = self.keyring.records().into_iter().find(|record| record.day == journal.day);
        self.audit.record(now_ms, &Event::DaySealed(DaySealed::with(journal, key.as_ref())))?;
        pass("seal.remove");
        self.journals.remove(day)?;
        Ok(())
    }
}

/// The days that have rows in the open tables: each is a partition, so that no row is read.
///
/// # Errors
/// Where the store cannot be read.
pub fn days_with_rows(store: &dyn Store) -> Result<Vec<Day>, StoreError> {
    #[derive(Deserialize)]
    struct Row {
        day: jiff::civil::Date,
    }
    let statement = Statement::new(
        "SELECT DISTINCT toDate(partition) AS day FROM system.parts WHERE active AND rows > 0 \
         AND database = currentDatabase() AND table IN ('usage_open', 'places_open') ORDER BY day",
    );
    let rows: Vec<Row> = store.rows(&statement)?;
    Ok(rows.into_iter().map(|row| day_of(row.day)).collect())
}

async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SealError> + Send + 'static,
) -> Result<T, SealError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| SealError::Interrupted)?
}

/// By which the contributions of a device are chosen.
fn salt() -> Result<(u64, u64), SealError> {
    let mut salt = [0_u8; 16];
    rand::rngs::SysRng.try_fill_bytes(&mut salt).map_err(|_| SealError::Randomness)?;
    let salt = u128::from_le_bytes(salt);
    Ok(((salt >> 64) as u64, salt as u64))
}

/// A point at which the fault campaign kills the process; nothing in any other build.
#[cfg(not(feature = "torture"))]
fn pass(_point: &str) {}

fn summary(journal: &Journal, seconds: f64) -> Summary {
    let app = |(app, releases): &(String, Vec<Sealed>)| AppSummary {
        app: app.clone(),
        releases: releases
            .iter()
            .map(|sealed| {
                let suppressed = sealed.suppressed.iter().map(|(_, n)| n).sum();
                (sealed.release.clone(), sealed.published.len() as u64, suppressed, sealed.epsilon)
            })
            .collect(),
    };
    Summary { day: journal.day, apps: journal.apps.iter().map(app).collect(), seconds }
}
