//! What no collector of this kind can be cheaper than, measured on the same machine in the same run.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::time::{ClockId, clock_gettime};

use crate::client::percentile;
use crate::floor_report;

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
            anyhow::ensure!(floor_report::read(body)? == events, "a body has lost events");
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
