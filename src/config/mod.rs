//! Configuration: one struct per section, defaults for everything.
//!
//! Layers: the TOML file, over it the environment (`TUMAN_SECTION_KEY`), over both the flags. All that is wrong is
//! reported at once, each problem with its key and the fix. Relative paths start at the folder of the file.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::admission::Network;
use crate::region::Source;

mod load;
mod units;

pub use load::{Layers, Problem, Problems, load};
pub use units::{ByteSize, Interval, Retention};

/// Everything that can be configured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Folders and files.
    pub paths: Paths,
    /// Sockets.
    pub server: Server,
    /// Limits of collection.
    pub limits: Limits,
    /// Days, region, tolerances.
    pub privacy: Privacy,
    /// Day keys.
    pub keys: Keys,
    /// The durable queue.
    pub spool: Spool,
    /// ClickHouse.
    pub store: Store,
    /// Sealing.
    pub seal: Seal,
    /// What becomes of releases.
    pub releases: Releases,
    /// The dashboard.
    pub page: Page,
    /// Logs.
    pub log: Log,
}

/// Folders and files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Paths {
    /// Spool, store, seal journal. One process at a time.
    pub data: PathBuf,
    /// One TOML file per app.
    pub catalogue: PathBuf,
    /// Hashed tokens of apps, analysts, partners, operators and officers.
    pub access: PathBuf,
    /// Day keys. Empty: a folder of its own in memory (`/dev/shm`), where there is one.
    pub keys: PathBuf,
}

impl Default for Paths {
    fn default() -> Paths {
        Paths {
            data: "data".into(),
            catalogue: "catalogue".into(),
            access: "access.toml".into(),
            keys: PathBuf::new(),
        }
    }
}

/// Sockets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Server {
    /// Collection, questions, pages.
    pub listen: String,
    /// Health and metrics, for the machine's own network.
    pub listen_internal: String,
    /// Threads that serve requests. Zero: one per core.
    pub workers: usize,
    /// Connections per worker.
    pub connections: usize,
    /// How long a client may take to send its request's head, and again for the body, and to take an answer.
    pub client_timeout: Interval,
    /// Bytes that a body must bring in each second, after a third of `client_timeout`.
    pub client_rate: ByteSize,
    /// How long stopping may take: half of it for requests in flight, the rest for the store.
    pub stop_timeout: Interval,
    /// Proxies that name the client's address.
    pub trusted_proxies: Vec<Network>,
    /// In which header they do.
    pub forwarded_header: ForwardedHeader,
}

/// The header in which a proxy names the client's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`.
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl Default for Server {
    fn default() -> Server {
        Server {
            listen: "127.0.0.1:8080".into(),
            listen_internal: "127.0.0.1:8081".into(),
            workers: 0,
            connections: 2_048,
            client_timeout: Interval::seconds(15),
            client_rate: ByteSize::kib(1),
            stop_timeout: Interval::seconds(20),
            trusted_proxies: ["127.0.0.0/8", "::1"].iter().filter_map(|text| Network::parse(text)).collect(),
            forwarded_header: ForwardedHeader::XForwardedFor,
        }
    }
}

/// Limits of collection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Body as sent.
    pub body: ByteSize,
    /// Body after decompression.
    pub decompressed: ByteSize,
    /// Bodies in memory at one time, as sent and decompressed together; beyond, reports are answered 429.
    pub bodies: ByteSize,
    /// Events in one report.
    pub events: usize,
    /// Reports whose ids are remembered, for 48 hours.
    pub remembered_reports: usize,
    /// Requests a second of one address. Zero: any number.
    pub address_rate: u32,
    /// Requests that an address may send at once after a pause.
    pub address_burst: u32,
    /// Connections that an address may have open. Zero: any number.
    pub address_connections: usize,
    /// Requests a second of one address that are told that their token is not valid; further ones are answered 429.
    pub failure_rate: u32,
    /// Such requests at once after a pause.
    pub failure_burst: u32,
    /// Reports a second of one app key. Zero: any number.
    pub key_rate: u32,
    /// Reports that a key may send at once after a pause.
    pub key_burst: u32,
    /// How long a report may wait for its turn at a busy worker before it is refused.
    pub wait: Interval,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            body: ByteSize::mib(1),
            decompressed: ByteSize::mib(8),
            bodies: ByteSize::mib(64),
            events: 500,
            remembered_reports: 4_000_000,
            address_rate: 200,
            address_burst: 2_000,
            address_connections: 1_000,
            failure_rate: 5,
            failure_burst: 100,
            key_rate: 20_000,
            key_burst: 40_000,
            wait: Interval::milliseconds(50),
        }
    }
}

/// Days, region, tolerances.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Privacy {
    /// IANA name of the zone in which days begin and end.
    pub zone: String,
    /// How long after its end a day still takes events.
    pub grace: Interval,
    /// How far in the future of its arrival an event may lie.
    pub future_tolerance: Interval,
    /// Where places are told apart: a box, geohash prefixes, or a GeoJSON file.
    pub region: Source,
    /// What the region is called in answers.
    pub region_name: String,
    /// Geohash prefixes in which only three characters are kept.
    pub sensitive_places: Vec<String>,
    /// Bits of the tags by which withdrawn devices are known.
    pub suppression_bits: u8,
}

impl Default for Privacy {
    fn default() -> Privacy {
        Privacy {
            zone: "Asia/Almaty".into(),
            grace: Interval::hours(6),
            future_tolerance: Interval::seconds(600),
            region: Source::Box([46.4, 40.5, 87.4, 55.5]),
            region_name: "Kazakhstan".into(),
            sensitive_places: Vec::new(),
            suppression_bits: 20,
        }
    }
}

/// Day keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Keys {
    /// `own`: this collector's. `shared`: those of a group of collectors.
    pub mode: KeyMode,
}

impl Default for Keys {
    fn default() -> Keys {
        Keys { mode: KeyMode::Own }
    }
}

/// Whose day keys are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyMode {
    /// Random keys of this collector alone.
    Own,
    /// Keys from the state that a group of collectors shares.
    Shared,
}

/// The durable queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Spool {
    /// A segment is sealed at this size.
    pub segment: ByteSize,
    /// A segment is sealed at this age.
    pub segment_age: Interval,
    /// Beyond this the collector answers 503.
    pub limit: ByteSize,
    /// Reports that may wait for their sync.
    pub queue: usize,
}

impl Default for Spool {
    fn default() -> Spool {
        Spool {
            segment: ByteSize::mib(8),
            segment_age: Interval::seconds(1),
            limit: ByteSize::mib(1024),
            queue: 4_096,
        }
    }
}

/// ClickHouse.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Store {
    /// `embedded`: the engine in this process.
    pub kind: StoreKind,
    /// The engine's library. Empty: looked for in `engine/`.
    pub library: PathBuf,
    /// The engine's memory.
    pub memory: ByteSize,
    /// Threads of one query.
    pub threads: usize,
}

impl Default for Store {
    fn default() -> Store {
        Store { kind: StoreKind::Embedded, library: PathBuf::new(), memory: ByteSize::mib(900), threads: 2 }
    }
}

/// Which form of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// The engine in this process.
    Embedded,
}

/// Sealing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Seal {
    /// Seals days by itself when their grace has ended.
    pub scheduled: bool,
}

impl Default for Seal {
    fn default() -> Seal {
        Seal { scheduled: true }
    }
}

/// What becomes of releases.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Releases {
    /// Whole days that are older are deleted.
    pub retention: Retention,
}

/// The dashboard.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Page {
    /// Shows releases without an analyst's token. For simulated data and for those who publish everything.
    pub public: bool,
    /// Says on every page that the data is simulated.
    pub simulated: bool,
}

/// Logs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Log {
    /// A level, and others for single parts, such as `info,seal=debug`: see [`crate::log::Filter`].
    pub filter: String,
    /// `text` or `json`.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Log {
        Log { filter: "info".into(), format: LogFormat::Text }
    }
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Memory of a connection at the most: what came and is not read yet, a body's next part, an answer.
const CONNECTION_BYTES: u64 = 192 << 10;
/// Memory of a remembered report.
const REMEMBERED_BYTES: u64 = crate::seen::REPORT_BYTES as u64;
/// The spool's queue and the batch that is being written, the tables of limits, the program itself.
const FIXED_BYTES: u64 = 96 << 20;
/// An export: the values of a release as the store answers them, as a table, as a file; the package.
const EXPORT_BYTES: u64 = 128 << 20;

impl Server {
    /// Threads that serve requests.
    #[must_use]
    pub fn workers(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            n => n,
        }
    }
}

impl Config {
    /// The most memory that the process should ever take: the sum of all that is bounded.
    #[must_use]
    pub fn memory_ceiling(&self) -> ByteSize {
        let connections = (self.server.connections * self.server.workers()) as u64 * CONNECTION_BYTES;
        let remembered = self.limits.remembered_reports as u64 * REMEMBERED_BYTES;
        // A segment that is loaded: its file, its rows by table, and those once more, mixed.
        let loading = 3 * self.spool.segment.bytes();
        let bodies = self.limits.bodies.bytes();
        let exports = crate::app::EXPORTS as u64 * EXPORT_BYTES;
        ByteSize::of(self.store.memory.bytes() + bodies + connections + remembered + loading + exports + FIXED_BYTES)
    }

    /// Makes relative paths start at `folder`.
    pub fn anchor(&mut self, folder: &Path) {
        for path in [&mut self.paths.data, &mut self.paths.catalogue, &mut self.paths.access] {
            *path = folder.join(&*path);
        }
        self.privacy.region.anchor(folder);
        for optional in [&mut self.paths.keys, &mut self.store.library] {
            if !optional.as_os_str().is_empty() {
                *optional = folder.join(&*optional);
            }
        }
    }
}
