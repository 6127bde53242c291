//! What no collector of this kind can be cheaper than, measured on the same machine in the same run.

use std::borrow::Cow;
use std::fmt;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::client::percentile;

/// Nanoseconds of processor time per event for checking that the bodies are UTF-8 and reading them into borrowed types,
/// on one thread: the median of several rounds.
///
/// # Errors
/// Where a body is no report.
pub(crate) fn parse(bodies: &[Vec<u8>], events: usize, time: Duration) -> Result<f64> {
    let began = Instant::now();
    let mut rounds = Vec::new();
    while began.elapsed() < time || rounds.len() < 3 {
        let before_ns = thread_ns();
        for body in bodies {
            let text = simdutf8::basic::from_utf8(body).context("a body is not UTF-8")?;
            let report: Report<'_> = serde_json::from_str(text)?;
            anyhow::ensure!(report.events.len() == events, "a body has lost events");
            std::hint::black_box(&report);
        }
        rounds.push(thread_ns() - before_ns);
    }
    rounds.sort_unstable();
    Ok(percentile(&rounds, 0.5) / (bodies.len() * events) as f64)
}

/// Milliseconds of `fdatasync` after appending 16 KiB to a file in `folder`: median and 99th percentile.
///
/// # Errors
/// Where the file cannot be written.
pub(crate) fn sync(folder: &Path, time: Duration) -> Result<(f64, f64)> {
    let path = folder.join("floor");
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    let block = vec![0x5a; 16 << 10];
    let mut syncs_ns = Vec::new();
    let began = Instant::now();
    while began.elapsed() < time {
        file.write_all(&block)?;
        let before = Instant::now();
        file.sync_data()?;
        syncs_ns.push(before.elapsed().as_nanos() as u64);
    }
    std::fs::remove_file(&path)?;
    syncs_ns.sort_unstable();
    Ok((percentile(&syncs_ns, 0.5) / 1e6, percentile(&syncs_ns, 0.99) / 1e6))
}

/// Time of the processor, not of the clock on the wall: others on the machine do not count.
fn thread_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

// Fields are read, not used: reading them is what is measured.
#[allow(dead_code)]
#[derive(Deserialize)]
struct Report<'a> {
    report_id: &'a str,
    sent_at: &'a str,
    #[serde(borrow)]
    consent: Consent<'a>,
    device: Device<'a>,
    app: AppVersion<'a>,
    activity: Activity<'a>,
    events: Vec<Event<'a>>,
}

#[allow(dead_code)]
#[derive(Deserialize)]
struct Consent<'a> {
    usage: bool,
    location: bool,
    policy: &'a str,
}

#[allow(dead_code)]
#[derive(Deserialize)]
struct Device<'a> {
    #[serde(borrow)]
    ids: Vec<Identifier<'a>>,
    platform: &'a str,
    os_version: &'a str,
    class: &'a str,
    language: &'a str,
}

#[allow(dead_code)]
#[derive(Deserialize)]
struct Identifier<'a> {
    kind: &'a str,
    value: &'a str,
}

#[allow(dead_code)]
#[derive(Deserialize)]
struct AppVersion<'a> {
    version: &'a str,
}

#[allow(dead_code)]
#[derive(Deserialize)]
struct Activity<'a> {
    first_today: bool,
    first_this_week: bool,
    first_this_month: bool,
    first_ever: bool,
    install_week: &'a str,
}

#[allow(dead_code)]
#[derive(Deserialize)]
struct Event<'a> {
    name: &'a str,
    at: &'a str,
    location: Location,
    #[serde(borrow)]
    props: Properties<'a>,
}

#[allow(dead_code)]
#[derive(Deserialize)]
struct Location {
    lat: f64,
    lon: f64,
}

#[allow(dead_code)]
struct Properties<'a>(Vec<(&'a str, Scalar<'a>)>);

#[allow(dead_code)]
enum Scalar<'a> {
    Bool(bool),
    Number(f64),
    Text(Cow<'a, str>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Properties<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Properties<'a>, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Properties<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("properties")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Properties<'de>, A::Error> {
                let mut pairs = Vec::with_capacity(6);
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Properties(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Scalar<'a>, D::Error> {
        struct One;
        impl<'de> Visitor<'de> for One {
            type Value = Scalar<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a scalar")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Bool(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Number(value as f64))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Number(value as f64))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Number(value))
            }

            fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Text(Cow::Borrowed(value)))
            }

            fn visit_str<E>(self, value: &str) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Text(Cow::Owned(value.to_owned())))
            }
        }
        deserializer.deserialize_any(One)
    }
}
