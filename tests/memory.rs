//! What the memory of reports takes, measured in a process of its own.
#![allow(clippy::unwrap_used, clippy::disallowed_macros)]
#![cfg(target_os = "linux")]

use std::sync::Arc;

use tuman::answer::Answer;
use tuman::seen::{REPORT_BYTES, Seen};
use tuman::spool::RealFilesystem;
use tuman_privacy::report_id::Fingerprint;

/// 2026-10-05T10:00:00+05:00.
const NOW_MS: i64 = 1_791_176_400_000;
const REPORTS: u64 = 1_000_000;

/// Bytes of this process in memory.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * rustix::param::page_size() as u64
}

/// A fingerprint as random as a keyed one.
fn fingerprint(number: u64) -> Fingerprint {
    let mix = |number: u64| {
        let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    };
    let [high, low] = [mix(2 * number + 1), mix(2 * number + 2)];
    Fingerprint((u128::from(high) << 64 | u128::from(low)).to_le_bytes())
}

#[test]
fn a_million_reports_take_no_more_than_is_said_and_are_all_known() {
    let folder = tempfile::tempdir().unwrap();
    let seen = Seen::open(Arc::new(RealFilesystem), folder.path(), REPORTS as usize + 100_000, NOW_MS).unwrap();
    let answer = Answer { accepted: 20, refused: Vec::new() };
    let before = resident();
    for number in 0..REPORTS {
        seen.begin(fingerprint(number));
        seen.settle(fingerprint(number), Some(&answer), NOW_MS + number as i64);
    }
    let taken = resident().saturating_sub(before);
    println!("{REPORTS} reports: {taken} bytes, {:.1} each", taken as f64 / REPORTS as f64);
    assert_eq!(seen.len() as u64, REPORTS);
    // A sixty-fourth moves at a time, and the allocator keeps some of what it gave.
    assert!(taken < REPORTS * REPORT_BYTES as u64 + (4 << 20), "{taken}");
    assert!(taken > REPORTS * 20, "{taken}: was it measured?");
}
