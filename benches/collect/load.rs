//! The load: whole requests, rendered beforehand, each report of another device and under an id of its own.
//!
//! Guarantees: no two requests of a run are equal; the properties are declared, so that the collector keeps them.
//! Does not: compress while the clock runs. The report id stands in a stored block of the gzip stream, so that a
//! request is made new by writing twelve digits and a checksum.

use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use rand::RngExt;
use rand::rngs::SmallRng;
use tuman::clock::{Clock, SystemClock};

/// The app that the load is of.
pub(crate) const APP: &str = "kz.bench.app";

/// What the app declares.
pub(crate) const CATALOGUE: &str = r#"
[app]
id = "kz.bench.app"
name = "Load"
platforms = ["android", "ios"]
versions = ["3.3.0", "3.4.0", "3.4.1"]

[[policy]]
version = "2026-01"
purposes = ["usage", "location"]

[events.screen_view.props]
screen = { enum = ["home", "search", "product", "checkout", "order_history", "profile"] }
cached = { boolean = true }
duration_ms = { buckets = [100, 300, 1000, 3000] }
source = { enum = ["icon", "push", "link", "widget"] }
items = { buckets = [1, 10, 50, 200] }
dark = { boolean = true }
"#;

/// The screens that it declares.
pub(crate) const SCREENS: [&str; 6] = ["home", "search", "product", "checkout", "order_history", "profile"];
const SOURCES: [&str; 4] = ["icon", "push", "link", "widget"];
/// The versions that it declares.
pub(crate) const VERSIONS: [&str; 3] = ["3.3.0", "3.4.0", "3.4.1"];

/// Bytes from the start of a body to the end of its report id: what changes from request to request.
const FRONT: usize = r#"{"report_id":""#.len() + 36;
/// The part of the report id that is counted up.
const DIGITS: usize = 12;
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
const STORED_HEADER: usize = 5;

/// How bodies are sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// As they are.
    Plain,
    /// Compressed with gzip.
    Gzip,
}

impl Encoding {
    /// Its name in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Encoding::Plain => "plain",
            Encoding::Gzip => "gzip",
        }
    }
}

/// A request, head and body.
pub(crate) struct Request {
    bytes: Vec<u8>,
    /// Where the counted digits of the report id are in `bytes`.
    digits: usize,
    /// The body before compression; empty where it is sent as it is.
    plain: Vec<u8>,
}

impl Request {
    /// Renders a request around a body.
    pub(crate) fn new(path: &str, key: &str, body: Vec<u8>, encoding: Encoding) -> Request {
        let (sent, front, plain) = match encoding {
            Encoding::Plain => (body, FRONT, Vec::new()),
            Encoding::Gzip => (gzip(&body), GZIP_HEADER.len() + STORED_HEADER + FRONT, body),
        };
        let content_encoding = match encoding {
            Encoding::Plain => "",
            Encoding::Gzip => "Content-Encoding: gzip\r\n",
        };
        let mut bytes = format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: application/json\r\n{content_encoding}Content-Length: {}\r\n\r\n",
            sent.len()
        )
        .into_bytes();
        let digits = bytes.len() + front - DIGITS;
        bytes.extend_from_slice(&sent);
        Request { bytes, digits, plain }
    }

    /// Gives the report an id that no other has.
    pub(crate) fn renew(&mut self) {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = format!("{:012x}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.bytes[self.digits..self.digits + DIGITS].copy_from_slice(id.as_bytes());
        if !self.plain.is_empty() {
            self.plain[FRONT - DIGITS..FRONT].copy_from_slice(id.as_bytes());
            let checksum = libdeflater::crc32(&self.plain).to_le_bytes();
            let trailer = self.bytes.len() - 8;
            self.bytes[trailer..trailer + 4].copy_from_slice(&checksum);
        }
    }

    /// What goes over the wire.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The body of a report with so many events of about 212 bytes, sent now.
pub(crate) fn body(rng: &mut SmallRng, events: usize) -> Vec<u8> {
    let now_ms = SystemClock.now_ms();
    let device = format!("{:032x}", rng.random::<u128>());
    let version = VERSIONS[rng.random_range(0..VERSIONS.len())];
    let mut body = format!(
        concat!(
            r#"{{"report_id":"{:08x}-{:04x}-4{:03x}-8{:03x}-000000000000","sent_at":"{}","#,
            r#""consent":{{"usage":true,"location":true,"policy":"2026-01"}},"#,
            r#""device":{{"ids":[{{"kind":"gaid","value":"{}-{}-4{}-8{}-{}"}}],"platform":"android","#,
            r#""os_version":"14","class":"phone","language":"kk-KZ"}},"app":{{"version":"{}"}},"#,
            r#""activity":{{"first_today":true,"first_this_week":false,"first_this_month":false,"#,
            r#""first_ever":false,"install_week":"2026-W40"}},"events":["#
        ),
        rng.random::<u32>(),
        rng.random::<u16>(),
        rng.random::<u16>() & 0xfff,
        rng.random::<u16>() & 0xfff,
        time(now_ms),
        &device[..8],
        &device[8..12],
        &device[13..16],
        &device[17..20],
        &device[20..],
        version,
    );
    let (lat, lon) = (rng.random_range(42.5..54.5), rng.random_range(52.0..82.0));
    for event in 0..events {
        let at_ms = now_ms - 1_000 * (events - event) as i64;
        let comma = if event == 0 { "" } else { "," };
        body.push_str(&format!(
            concat!(
                r#"{}{{"name":"screen_view","at":"{}","location":{{"lat":{:.7},"lon":{:.7}}},"#,
                r#""props":{{"screen":"{}","cached":{},"duration_ms":{},"source":"{}","items":{},"dark":{}}}}}"#
            ),
            comma,
            time(at_ms),
            lat + rng.random_range(-0.01..0.01),
            lon + rng.random_range(-0.01..0.01),
            SCREENS[rng.random_range(0..SCREENS.len())],
            rng.random::<bool>(),
            rng.random_range(20..5_000),
            SOURCES[rng.random_range(0..SOURCES.len())],
            rng.random_range(0..300),
            rng.random::<bool>(),
        ));
    }
    body.push_str("]}");
    body.into_bytes()
}

fn time(ms: i64) -> String {
    Timestamp::from_millisecond(ms)
        .map(|moment| format!("{:.0}", moment.display_with_offset(jiff::tz::offset(5))))
        .unwrap_or_default()
}

/// One gzip member: the front in a stored block, the rest compressed.
fn gzip(body: &[u8]) -> Vec<u8> {
    let (front, rest) = body.split_at(FRONT);
    let length = FRONT as u16;
    let mut out = GZIP_HEADER.to_vec();
    out.push(0);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&(!length).to_le_bytes());
    out.extend_from_slice(front);
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
    let mut compressed = vec![0; compressor.deflate_compress_bound(rest.len())];
    let written = compressor.deflate_compress(rest, &mut compressed).expect("the buffer has the bound's size");
    out.extend_from_slice(&compressed[..written]);
    out.extend_from_slice(&libdeflater::crc32(body).to_le_bytes());
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out
}
