//! Wiring: opens every part in its order, runs them, stops them in the reverse order.

mod reload;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use rand::TryRng;
use tokio::sync::Semaphore;
use tuman_privacy::place::{Cell, Region};
use tuman_privacy::report_id::Fingerprinter;
use tuman_privacy::suggest::Suggestions;
use tuman_privacy::suppression::TagBits;

use self::reload::Reloading;
pub use self::reload::Unusable;
use crate::access::{Access, Basis};
use crate::admission::{Admission, Exports};
use crate::audit::{Audit, AuditError, Contents, Event, Started};
use crate::catalogue::Catalogues;
use crate::clock::{Clock, Zone, date_of};
use crate::config::Config;
use crate::export;
use crate::http::kept::Kept;
use crate::ingest::{Ingest, Keyed, Settings};
use crate::keys::{Keyring, chronicle, write_secret};
use crate::ledger::flight::Flight;
use crate::loader::Loader;
use crate::log::Line;
use crate::seal::Sealer;
use crate::seal::journal::Journals;
use crate::seen::Seen;
use crate::sessions::Sessions;
#[cfg(not(feature = "torture"))]
use crate::spool::Filesystem;
use crate::spool::{self, Spool};
use crate::stats::{Buckets, Scope};
use crate::store::{EmbeddedStore, Engine, Options, Store};
#[cfg(feature = "torture")]
use crate::torture::filesystem;
use crate::withdrawal::{SuppressionList, Withdrawals};

/// Questions that are asked of the store at one time; it has three sessions.
const QUESTIONS: usize = 2;
/// Exports that are made or sent at one time.
pub const EXPORTS: usize = 2;

/// All parts, open.
pub struct App {
    /// The configuration.
    pub config: Config,
    /// Where days begin and end.
    pub zone: Zone,
    /// Now.
    pub clock: Arc<dyn Clock>,
    /// Takes reports.
    pub ingest: Arc<Ingest>,
    /// The durable queue.
    pub spool: Spool,
    /// Reports of the last 48 hours.
    pub seen: Arc<Seen>,
    /// From the spool to the store.
    pub loader: Arc<Loader>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// Day keys.
    pub keyring: Arc<Keyring>,
    /// From open days to releases.
    pub sealer: Arc<Sealer>,
    /// Devices whose owners have withdrawn.
    pub withdrawals: Arc<Withdrawals>,
    /// Questions at one time: one session of the store is always left to the loader and the sealer.
    pub questions: Semaphore,
    /// Exports in memory at one time.
    pub exports: Arc<Exports>,
    /// Answers to questions, as long as they are right.
    pub kept: Kept,
    /// Who is signed in on the dashboard.
    pub sessions: Sessions,
    /// Who may come in, and how much at one time.
    pub admission: Admission,
    /// The account of what is in the spool.
    pub flight: Arc<Flight>,
    /// When it was opened.
    pub started_ms: i64,
    access: ArcSwap<Access>,
    reloading: Reloading,
}

/// The catalogues and tokens that an app starts with.
pub struct Declared {
    /// What apps declare.
    pub catalogues: Catalogues,
    /// Who may do what.
    pub access: Access,
}

impl Declared {
    /// Reads both from the files of the configuration.
    ///
    /// # Errors
    /// Where one of them is wrong.
    pub fn read(config: &Config) -> Result<Declared> {
        let catalogues = Catalogues::read(&config.paths.catalogue)?;
        let access = Access::read(&config.paths.access)?;
        Ok(Declared { catalogues, access })
    }
}

impl App {
    /// Opens the embedded store of a configuration. The data folder is locked from here on.
    ///
    /// # Errors
    /// Where the engine is missing, or another process holds the folder.
    pub fn open_store(config: &Config) -> Result<Arc<dyn Store>> {
        let library = Some(config.store.library.clone()).filter(|path| !path.as_os_str().is_empty());
        let options = Options {
            library,
            memory_bytes: config.store.memory.bytes(),
            threads: u32::try_from(config.store.threads).unwrap_or(2),
            ..Options::new(&config.paths.data)
        };
        let engine = Engine::open(&options)?;
        let store: Arc<dyn Store> = Arc::new(EmbeddedStore::new(engine, "tuman")?);
        #[cfg(feature = "torture")]
        let store = crate::torture::store(store);
        Ok(store)
    }

    /// Opens every part.
    ///
    /// # Errors
    /// Where a part cannot be opened; each error names the part.
    pub fn open(config: Config, declared: Declared, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Result<App> {
        let data = &config.paths.data;
        fs::create_dir_all(data).with_context(|| format!("the data folder {} cannot be made", data.display()))?;
        // Working data: for this user alone, also in a folder that was made with other hands.
        fs::set_permissions(data, fs::Permissions::from_mode(0o700))
            .with_context(|| format!("the data folder {} is not this user's own", data.display()))?;
        let zone = Zone::named(&config.privacy.zone).context("the time zone is unknown")?;
        let now_ms = clock.now_ms();
        let keys = if config.paths.keys.as_os_str().is_empty() {
            Keyring::default_folder(data)
        } else {
            config.paths.keys.clone()
        };
        let grace_ms = config.privacy.grace.ms();
        let mode = config.keys.mode;
        let keyring = Arc::new(Keyring::open(&keys, &data.join("keys.jsonl"), zone.clone(), grace_ms, mode)?);
        keyring.keep_pace(now_ms)?;
        let filesystem = filesystem();
        let journals = Journals::open(filesystem.clone(), &data.join("seal")).context("the seal journal")?;
        for day in journals.days().context("the seal journal")? {
            // Its noise is drawn: it takes no more events, although its key is still there.
            keyring.shut(day, now_ms);
        }
        let (spool, recovered) = Spool::open(
            filesystem.clone(),
            &data.join("spool"),
            spool::Options {
                segment_bytes: config.spool.segment.bytes(),
                segment_age: config.spool.segment_age.duration(),
                limit_bytes: config.spool.limit.bytes(),
                queue_records: config.spool.queue,
                ..spool::Options::default()
            },
            Arc::new(Instant::now),
        )?;
        if recovered.records > 0 || recovered.torn_bytes > 0 {
            Line::SpoolRecovered {
                records: recovered.records,
                corrupt: recovered.corrupt_records,
                torn_bytes: recovered.torn_bytes,
            }
            .write();
        }
        let seen = Seen::open(filesystem, &data.join("seen"), config.limits.remembered_reports, now_ms);
        let seen = Arc::new(seen.context("the memory of reports cannot be read")?);
        let flight = Arc::new(Flight::default());
        let loader = Loader::new(spool.clone(), store.clone(), seen.clone(), flight.clone(), clock.clone());
        let loader = Arc::new(loader.context("what is in the spool cannot be read")?);
        let region = region(&config)?;
        let settings = Settings {
            clock: clock.clone(),
            zone: zone.clone(),
            region: region.clone(),
            max_events: config.limits.events,
            future_tolerance_ms: config.privacy.future_tolerance.ms(),
        };
        let bits = TagBits::new(config.privacy.suppression_bits).context("privacy.suppression_bits: 12 to 24")?;
        let suppression = Arc::new(SuppressionList::open(data, bits)?);
        let fingerprinter = fingerprinter(&data.join("report-id.key")).context("the key of report ids")?;
        let ingest = Arc::new(Ingest::new(
            settings,
            declared.catalogues,
            keyring.clone(),
            seen.clone(),
            spool.clone(),
            flight.clone(),
            Keyed {
                fingerprinter,
                suppression: suppression.clone(),
                suggestions: suggestions().context("the key of what is sighted")?,
            },
        ));
        let sealer = Arc::new(Sealer {
            store: store.clone(),
            keyring: keyring.clone(),
            loader: loader.clone(),
            ingest: ingest.clone(),
            region,
            zone: zone.clone(),
            clock: clock.clone(),
            journals,
            hour_wait_ms: config.seal.hour_wait.ms(),
            audit: Arc::new(Audit::open(store.clone(), data.join("audit.anchor"), now_ms)?),
            turn: tokio::sync::Mutex::new(()),
        });
        let withdrawals = Arc::new(Withdrawals::open(data, sealer.clone(), suppression)?);
        let reloading = Reloading::after(declared.access.clone());
        let access = ArcSwap::from_pointee(declared.access);
        let questions = Semaphore::new(QUESTIONS);
        let exports = Exports::new(EXPORTS);
        let admission = Admission::new(&config.limits, &clock);
        Ok(App {
            config,
            zone,
            clock,
            ingest,
            spool,
            seen,
            loader,
            store,
            keyring,
            sealer,
            withdrawals,
            questions,
            exports,
            kept: Kept::default(),
            sessions: Sessions::default(),
            admission,
            flight,
            started_ms: now_ms,
            access,
            reloading,
        })
    }

    /// Stops: what was accepted is on disk, and in the store where it answers in time. Takes half of
    /// `server.stop_timeout` at most.
    pub async fn close(&self, loading: Option<actix_web::rt::task::JoinHandle<()>>) {
        let spool = self.spool.clone();
        let most = self.config.server.stop_timeout.duration() / 4;
        let closing = tokio::task::spawn_blocking(move || spool.close());
        if tokio::time::timeout(most, closing).await.is_err() {
            Line::SpoolNotClosed.write();
        }
        // The loader ends when it has loaded what is left; what it does not manage is loaded at the next start.
        if let Some(loading) = loading
            && tokio::time::timeout(most, loading).await.is_err()
        {
            Line::SpoolNotEmptied.write();
        }
    }

    /// The tokens in force.
    #[must_use]
    pub fn access(&self) -> Arc<Access> {
        self.access.load_full()
    }

    /// Records in the audit log that the collector starts: by which configuration and catalogues.
    ///
    /// # Errors
    /// Where the store does not take it.
    pub fn record_start(&self) -> Result<()> {
        let event = Event::Started(Started::with(&self.config, &self.ingest.catalogues()));
        self.sealer.audit.record(self.clock.now_ms(), &event).context("the audit log")
    }

    /// The audit log, with what was done with keys a moment ago. Waits for the store.
    ///
    /// # Errors
    /// Where the store or the log's anchor does not answer.
    pub fn audit_log(&self) -> Result<Contents, AuditError> {
        let audit = &self.sealer.audit;
        chronicle::enter(&self.keyring, audit, &*self.store, self.clock.now_ms())?;
        audit.contents()
    }

    /// The apps that have a catalogue.
    #[must_use]
    pub fn app_ids(&self) -> Vec<String> {
        self.ingest.catalogues().all().iter().map(|catalogue| catalogue.declaration.app.clone()).collect()
    }

    /// The bounds of an app's bucketed numbers.
    #[must_use]
    pub fn buckets(&self, app: &str) -> Buckets {
        self.ingest.catalogues().get(app).map(|catalogue| catalogue.buckets()).unwrap_or_default()
    }

    /// What is said of an export beside its values.
    #[must_use]
    pub fn export_context(&self, scope: &Scope, basis: Option<Basis>) -> export::Context {
        let catalogues = self.ingest.catalogues();
        let catalogue = catalogues.get(&scope.app);
        let releases = catalogue.as_ref().map(|catalogue| catalogue.releases.as_slice()).unwrap_or_default();
        export::Context::of(&self.config.privacy.zone, releases, basis)
    }

    /// The local day.
    #[must_use]
    pub fn today(&self) -> jiff::civil::Date {
        date_of(self.zone.day(self.clock.now_ms()))
    }

    /// The day after [`App::today`].
    #[must_use]
    pub fn tomorrow(&self) -> jiff::civil::Date {
        self.today().saturating_add(jiff::Span::new().days(1))
    }
}

/// What the files that must outlive a power cut are written through.
#[cfg(not(feature = "torture"))]
fn filesystem() -> Arc<dyn Filesystem> {
    Arc::new(crate::spool::RealFilesystem)
}

/// Where places are told apart.
///
/// # Errors
/// Where the configuration names no region.
pub fn region(config: &Config) -> Result<Region> {
    let sensitive = config.privacy.sensitive_places.iter().filter_map(|place| Cell::from_geohash(place)).collect();
    config.privacy.region.read(sensitive).context("privacy.region")
}

/// What apps send and catalogues do not declare. Its key lives as long as the process, and nowhere else.
fn suggestions() -> io::Result<Suggestions> {
    let mut key = [0_u8; 32];
    rand::rngs::SysRng.try_fill_bytes(&mut key).map_err(io::Error::other)?;
    Ok(Suggestions::new(&mut key))
}

/// The key of report ids: made at the first start, kept, so that retries are known across restarts.
fn fingerprinter(file: &Path) -> io::Result<Fingerprinter> {
    let mut secret = zeroize::Zeroizing::new([0_u8; 32]);
    match fs::read(file) {
        Ok(bytes) if bytes.len() == secret.len() => secret.copy_from_slice(&bytes),
        Ok(_) => {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "report-id.key is not 32 bytes"));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            rand::rngs::SysRng.try_fill_bytes(secret.as_mut_slice()).map_err(io::Error::other)?;
            write_secret(file, secret.as_slice())?;
        }
        Err(error) => return Err(error),
    }
    Ok(Fingerprinter::new(&secret))
}
