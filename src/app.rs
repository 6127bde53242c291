//! Wiring: opens every part in its order, runs them, stops them in the reverse order.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use actix_web::dev::{Server, ServerHandle};
use actix_web::web::Data;
use actix_web::{App as HttpApp, HttpServer};
use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use rand::TryRng;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tuman_privacy::place::{Cell, Region};
use tuman_privacy::report_id::Fingerprinter;
use tuman_privacy::suppression::TagBits;

use crate::access::Access;
use crate::audit::Audit;
use crate::catalogue::Catalogues;
use crate::clock::{Clock, Zone, date_of};
use crate::config::Config;
use crate::http::routes;
use crate::ingest::{Ingest, Settings};
use crate::keys::{Keyring, write_secret};
use crate::loader::Loader;
use crate::seal::Sealer;
use crate::seal::journal::Journals;
use crate::seen::Seen;
use crate::spool::{self, RealFilesystem, Spool};
use crate::store::{EmbeddedStore, Engine, Options, Store};
use crate::withdrawal::{SuppressionList, Withdrawals};

/// Questions that are asked of the store at one time; it has three sessions.
const QUESTIONS: usize = 2;

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
    /// KiB of bodies that may be in memory at one time.
    pub bodies: Semaphore,
    access: ArcSwap<Access>,
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
        Ok(Arc::new(EmbeddedStore::new(engine, "tuman")?))
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
        let journals = Journals::open(&data.join("seal")).context("the seal journal")?;
        for day in journals.days().context("the seal journal")? {
            // Its noise is drawn: it takes no more events, although its key is still there.
            keyring.shut(day, now_ms);
        }
        let (spool, recovered) = Spool::open(
            Arc::new(RealFilesystem),
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
            tracing::info!(
                records = recovered.records,
                corrupt = recovered.corrupt_records,
                "the spool was not empty"
            );
        }
        let seen = Seen::open(&data.join("seen"), config.limits.remembered_reports, now_ms);
        let seen = Arc::new(seen.context("the memory of reports cannot be read")?);
        let loader = Arc::new(Loader::new(spool.clone(), store.clone(), seen.clone(), clock.clone()));
        loader.recover_answers()?;
        let region = region(&config);
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
            fingerprinter,
            suppression.clone(),
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
            audit: Arc::new(Audit::open(store.clone())?),
            turn: tokio::sync::Mutex::new(()),
        });
        let withdrawals = Arc::new(Withdrawals::open(data, sealer.clone(), suppression)?);
        let access = ArcSwap::from_pointee(declared.access);
        let questions = Semaphore::new(QUESTIONS);
        let bodies = Semaphore::new((config.limits.bodies.bytes() >> 10) as usize);
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
            bodies,
            access,
        })
    }

    /// Stops: what was accepted is on disk, and in the store where it answers in time.
    pub async fn close(&self, loading: Option<actix_web::rt::task::JoinHandle<()>>) {
        let spool = self.spool.clone();
        let _ = tokio::task::spawn_blocking(move || spool.close()).await;
        // The loader ends when it has loaded what is left; what it does not manage is loaded at the next start.
        if let Some(loading) = loading {
            let _ = tokio::time::timeout(self.config.server.stop_timeout.duration(), loading).await;
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
        let configuration = hex::encode(Sha256::digest(serde_json::to_vec(&self.config)?));
        let detail = serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "configuration": configuration,
            "catalogues": digests(&self.ingest.catalogues()),
        });
        self.sealer.audit.append(self.clock.now_ms(), "started", &detail).context("the audit log")
    }

    /// Reads catalogues and tokens anew, and puts them in force when the audit log names them. Where they are wrong,
    /// the old ones stay.
    ///
    /// # Errors
    /// What is wrong with them, or that the store does not take the entry.
    pub fn reload(&self) -> Result<()> {
        let declared = Declared::read(&self.config)?;
        let detail = serde_json::json!({ "catalogues": digests(&declared.catalogues) });
        self.sealer.audit.append(self.clock.now_ms(), "reloaded", &detail).context("the audit log")?;
        self.ingest.reload(declared.catalogues);
        self.access.store(Arc::new(declared.access));
        Ok(())
    }

    /// The apps that have a catalogue.
    #[must_use]
    pub fn app_ids(&self) -> Vec<String> {
        self.ingest.catalogues().all().iter().map(|catalogue| catalogue.declaration.app.clone()).collect()
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

/// The listeners of a running app.
pub struct Listeners {
    /// Serves until it is stopped.
    pub servers: [Server; 2],
    /// Where the public one listens.
    pub public: SocketAddr,
    /// Where the internal one listens.
    pub internal: SocketAddr,
}

impl Listeners {
    /// Binds both listeners.
    ///
    /// # Errors
    /// Where an address is in use.
    pub fn bind(app: &Data<App>) -> Result<Listeners> {
        let server = &app.config.server;
        let workers = match server.workers {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            n => n,
        };
        let data = app.clone();
        let public = HttpServer::new(move || {
            HttpApp::new().app_data(data.clone()).wrap(routes::headers()).configure(routes::public)
        })
        .workers(workers)
        .max_connections(server.connections)
        .client_request_timeout(server.client_timeout.duration())
        .shutdown_timeout(server.stop_timeout.duration().as_secs())
        .disable_signals()
        .bind(&server.listen)
        .with_context(|| format!("cannot listen on {}; set server.listen to another address", server.listen))?;
        let data = app.clone();
        let internal = HttpServer::new(move || HttpApp::new().app_data(data.clone()).configure(routes::internal))
            .workers(1)
            .shutdown_timeout(1)
            .disable_signals()
            .bind(&server.listen_internal)
            .with_context(|| {
                format!("cannot listen on {}; set server.listen_internal to another address", server.listen_internal)
            })?;
        let first = |addresses: Vec<SocketAddr>| addresses.into_iter().next().context("no address was bound");
        let addresses = (first(public.addrs())?, first(internal.addrs())?);
        Ok(Listeners { servers: [public.run(), internal.run()], public: addresses.0, internal: addresses.1 })
    }

    /// Handles that stop the listeners.
    #[must_use]
    pub fn handles(&self) -> [ServerHandle; 2] {
        [self.servers[0].handle(), self.servers[1].handle()]
    }
}

/// Which version of each app's catalogue there is.
fn digests(catalogues: &Catalogues) -> BTreeMap<String, String> {
    let all = catalogues.all();
    all.iter().map(|catalogue| (catalogue.declaration.app.clone(), catalogue.digest.clone())).collect()
}

fn region(config: &Config) -> Region {
    let [west, south, east, north] = config.privacy.region;
    let sensitive = config.privacy.sensitive_places.iter().filter_map(|place| Cell::from_geohash(place)).collect();
    Region { west, south, east, north, sensitive }
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
