//! Posts what the fleet sends, over HTTP, at the moment it is due.
//!
//! Guarantees: a bounded number of requests at a time on connections that stay open; a server that is away or says 429 or
//! 503 is left alone for as long as it asks, or for a growing, jittered while; what waits is posted afterwards with the
//! true time of sending; what waits is bounded, and what falls out is counted.
//! Does not: start a runtime. Run it on an actix [`System`](actix_web::rt::System) of its own thread.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header;
use awc::Client;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::fleet::{Due, Encoding, Fleet, Upload};
use super::schedule::Schedule;

/// Where the fleet posts, and how.
#[derive(Clone, Debug)]
pub struct Target {
    /// The address of the collector's endpoint, for example `http://127.0.0.1:8080/v1/collect`.
    pub url: String,
    /// The app key.
    pub key: String,
    /// The zone of the fleet's local days.
    pub zone: TimeZone,
    /// How often the fleet looks for what is due.
    pub every: Duration,
    /// Requests at a time, at most.
    pub at_once: usize,
}

impl Target {
    /// A target with the settings of the demo: a look every second, eight requests at a time.
    pub fn new(url: impl Into<String>, key: impl Into<String>, zone: TimeZone) -> Target {
        Target { url: url.into(), key: key.into(), zone, every: Duration::from_secs(1), at_once: 8 }
    }
}

/// What became of the reports.
#[derive(Debug, Default)]
pub struct Counts {
    /// Reports that were taken (202).
    pub accepted: AtomicU64,
    /// Reports that were refused for good: any other answer of the 200s to 400s.
    pub refused: AtomicU64,
    /// Attempts after which the report has to be posted again: 408, 429, 500s, or no answer.
    pub failed: AtomicU64,
    /// Reports that fell out of the bounded queue while the server was away.
    pub dropped: AtomicU64,
    /// Events that were taken.
    pub events_accepted: AtomicU64,
    /// Events that were refused within reports that were taken.
    pub events_refused: AtomicU64,
}

/// Why a body could not be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The compressor of gzip failed.
    #[error("gzip: the output does not fit its own bound")]
    Gzip(#[from] libdeflater::CompressionError),
    /// The compressor of Zstandard failed.
    #[error("zstd: {0}")]
    Zstd(#[from] io::Error),
}

/// Reports that may wait, about a day of the default fleet.
const WAITING_MOST: usize = 10_000;
const ANSWER_MOST: usize = 256 * 1024;
const TIMEOUT: Duration = Duration::from_secs(15);
const BACKOFF_FIRST: Duration = Duration::from_millis(500);
const BACKOFF_MOST: Duration = Duration::from_secs(60);

/// Posts what falls due from now on, until `stop` turns true or its sender is gone. Requests that are under way then are
/// awaited.
pub async fn run(
    fleet: Fleet,
    target: Target,
    clock: impl Fn() -> Timestamp,
    mut stop: watch::Receiver<bool>,
    counts: &Counts,
) {
    let client = Client::builder().timeout(TIMEOUT).disable_redirects().finish();
    let mut schedule = Schedule::new(fleet.clone(), target.zone.clone(), clock());
    let mut waiting: VecDeque<Due> = VecDeque::new();
    let mut under_way = FuturesUnordered::new();
    let mut pause = Pause::new();
    let mut ticks = tokio::time::interval(target.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            changed = stop.changed() => {
                if changed.is_err() || *stop.borrow() {
                    break;
                }
            }
            Some((due, outcome)) = under_way.next() => {
                if let Some(due) = settle(due, outcome, &mut pause, counts) {
                    waiting.push_front(due);
                }
            }
            _ = ticks.tick() => {
                let now = clock();
                while let Some(due) = schedule.next_until(now) {
                    waiting.push_back(due);
                }
                drop_the_oldest(&mut waiting, counts);
            }
        }
        while under_way.len() < target.at_once && !pause.lasts() {
            let Some(due) = waiting.pop_front() else { break };
            // A report that had to wait says so: the collector corrects clocks by the moment of sending.
            let Some(upload) = fleet.upload(&due, clock().max(due.at), &target.zone) else {
                continue;
            };
            under_way.push(attempt(&client, &target, due, upload));
        }
    }
    while let Some((due, outcome)) = under_way.next().await {
        settle(due, outcome, &mut pause, counts);
    }
}

/// The body as the phone packs it.
///
/// # Errors
///
/// Fails if a compressor does.
pub fn pack(body: Vec<u8>, encoding: Encoding) -> Result<Vec<u8>, PackError> {
    match encoding {
        Encoding::Identity => Ok(body),
        Encoding::Zstd => Ok(zstd::bulk::compress(&body, 1)?),
        Encoding::Gzip => {
            let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::fastest());
            let mut packed = vec![0; compressor.gzip_compress_bound(body.len())];
            let length = compressor.gzip_compress(&body, &mut packed)?;
            packed.truncate(length);
            Ok(packed)
        }
    }
}

enum Outcome {
    Accepted(Answer),
    Refused,
    /// To be posted again, not before so long where the server said so.
    Postponed(Option<Duration>),
}

#[derive(Deserialize, Default)]
struct Answer {
    accepted: u64,
    refused: Vec<serde::de::IgnoredAny>,
}

/// The time in which nothing is posted, longer after each failure.
struct Pause {
    until: Instant,
    next: Duration,
}

impl Pause {
    fn new() -> Pause {
        Pause { until: Instant::now(), next: BACKOFF_FIRST }
    }

    fn lasts(&self) -> bool {
        Instant::now() < self.until
    }

    fn end(&mut self) {
        self.next = BACKOFF_FIRST;
    }

    /// Begins a pause, unless one lasts: requests that fail together are one failure.
    fn begin(&mut self, asked: Option<Duration>) {
        let grown = self.next.mul_f64(rand::random_range(0.5..1.0));
        // Everybody was told the same moment: come a little later than it.
        let wait = asked.map_or(grown, |asked| asked + asked.mul_f64(rand::random_range(0.0..0.2)));
        let lasted = self.lasts();
        self.until = self.until.max(Instant::now() + wait);
        if !lasted {
            self.next = (self.next * 2).min(BACKOFF_MOST);
        }
    }
}

/// Counts an outcome; the report comes back if it has to be posted again.
fn settle(due: Due, outcome: Outcome, pause: &mut Pause, counts: &Counts) -> Option<Due> {
    match outcome {
        Outcome::Accepted(answer) => {
            pause.end();
            counts.accepted.fetch_add(1, Ordering::Relaxed);
            counts.events_accepted.fetch_add(answer.accepted, Ordering::Relaxed);
            counts.events_refused.fetch_add(answer.refused.len() as u64, Ordering::Relaxed);
            None
        }
        Outcome::Refused => {
            pause.end();
            counts.refused.fetch_add(1, Ordering::Relaxed);
            None
        }
        Outcome::Postponed(asked) => {
            pause.begin(asked);
            counts.failed.fetch_add(1, Ordering::Relaxed);
            Some(due)
        }
    }
}

fn drop_the_oldest(waiting: &mut VecDeque<Due>, counts: &Counts) {
    let surplus = waiting.len().saturating_sub(WAITING_MOST);
    waiting.drain(..surplus);
    counts.dropped.fetch_add(surplus as u64, Ordering::Relaxed);
}

fn attempt(
    client: &Client,
    target: &Target,
    due: Due,
    upload: Upload,
) -> impl Future<Output = (Due, Outcome)> + use<> {
    let mut request = client
        .post(&target.url)
        .insert_header((header::AUTHORIZATION, format!("Bearer {}", target.key)))
        .insert_header((header::CONTENT_TYPE, "application/json"));
    match upload.encoding {
        Encoding::Identity => {}
        Encoding::Gzip => request = request.insert_header((header::CONTENT_ENCODING, "gzip")),
        Encoding::Zstd => request = request.insert_header((header::CONTENT_ENCODING, "zstd")),
    }
    if upload.do_not_track {
        request = request.insert_header(("DNT", "1")).insert_header(("Sec-GPC", "1"));
    }
    let packed = pack(upload.body, upload.encoding);
    async move {
        let Ok(packed) = packed else {
            return (due, Outcome::Refused);
        };
        let Ok(mut response) = request.send_body(Bytes::from(packed)).await else {
            return (due, Outcome::Postponed(None));
        };
        // Read the answer to its end also where it does not matter: only then can the connection be used again.
        let body = response.body().limit(ANSWER_MOST).await;
        let outcome = match response.status() {
            StatusCode::ACCEPTED => {
                let answer = body.ok().and_then(|body| serde_json::from_slice(&body).ok());
                Outcome::Accepted(answer.unwrap_or_default())
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Outcome::Postponed(retry_after(&response)),
            status if status.is_server_error() => Outcome::Postponed(retry_after(&response)),
            _ => Outcome::Refused,
        };
        (due, outcome)
    }
}

fn retry_after<S>(response: &awc::ClientResponse<S>) -> Option<Duration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    // An hour is more than any collector of ours asks for; a larger number is a mistake.
    Some(Duration::from_secs(seconds).min(Duration::from_secs(3_600)))
}

#[cfg(test)]
mod tests;
