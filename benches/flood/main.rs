//! `make flood`: ten times what the collector takes, for a minute, from a client on the same machine.
//!
//! Two floods. In the first the capacity is a rate that is configured: everything above it must be refused, and what
//! is taken must be taken as quickly as without a flood. In the second there is no such rate, and ten times the
//! connections that fill the machine send as fast as they can: what cannot be taken in time must be refused.
//! Whoever is refused must get 429 or 503; nobody may wait for ever or be cut off; client, metrics and ledger must
//! have counted the same; memory must stay under its ceiling.
//! Run by `cargo test` it is short and looks at counts alone, since times say nothing there. Ends with 1 where something
//! was not kept.

// Each of these has more than the flood needs: they are those of `make bench`.
#[path = "../collect/client.rs"]
#[allow(dead_code)]
mod client;
#[path = "../collect/load.rs"]
#[allow(dead_code)]
mod load;
#[path = "../collect/process.rs"]
#[allow(dead_code)]
mod process;
#[path = "../collect/server.rs"]
#[allow(dead_code)]
mod server;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use client::{Expected, Outcome, Pace};
use load::{Encoding, Request};
use server::{Server, value};

/// Events of a report.
const EVENTS: usize = 20;
/// Connections that fill the machine.
const CONNECTIONS: usize = 32;
const MIB: f64 = 1_048_576.0;

/// Metrics that count a refusal with 429 or 503.
const REFUSALS: [&str; 5] = [
    "tuman_limited_key_total",
    "tuman_shed_late_total",
    "tuman_shed_queue_total",
    "tuman_shed_bodies_total",
    "tuman_shed_spool_total",
];

/// How much is done.
struct Scale {
    unloaded: Duration,
    flood: Duration,
    /// Reports a second that the first collector takes.
    rate: u32,
    is_timed: bool,
}

/// One line of the table.
struct Line {
    what: &'static str,
    outcome: Outcome,
    memory_mib: f64,
}

fn main() -> ExitCode {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let seconds = Duration::from_secs;
    let scale = if is_bench {
        Scale { unloaded: seconds(20), flood: seconds(60), rate: 1_000, is_timed: true }
    } else {
        let short = Duration::from_millis(700);
        Scale { unloaded: short, flood: short, rate: 20, is_timed: false }
    };
    let mut wrong = Vec::new();
    let mut lines = Vec::new();
    if let Err(error) = flood(&scale, &mut lines, &mut wrong) {
        wrong.push(format!("it ended early: {error:#}"));
    }
    // The reader may have closed the output.
    let _ = print(&lines, &wrong);
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn flood(scale: &Scale, lines: &mut Vec<Line>, wrong: &mut Vec<String>) -> Result<()> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let limited = folder.path().join("limited");
    let mut unloaded_p99_ms = 0.0;
    with_collector(&limited, scale.rate, lines, wrong, |server, lines| {
        let mut requests = requests(&server.key, CONNECTIONS);
        // A quarter of what is taken, so that no burst is used up.
        let pace = Pace::PerSecond(f64::from(scale.rate) / 4.0);
        lines.push(phase(server, "no flood", &mut requests, pace, scale.unloaded)?);
        unloaded_p99_ms = lines.last().map_or(0.0, |line| line.outcome.percentile_ms(0.99));
        let pace = if scale.is_timed { Pace::PerSecond(f64::from(scale.rate) * 10.0) } else { Pace::Peak };
        lines.push(phase(server, "flood over a rate", &mut requests, pace, scale.flood)?);
        Ok(())
    })?;
    let shedding = folder.path().join("shedding");
    with_collector(&shedding, 0, lines, wrong, |server, lines| {
        let mut few = requests(&server.key, CONNECTIONS);
        lines.push(phase(server, "full, no flood", &mut few, Pace::Peak, scale.unloaded)?);
        let mut many = requests(&server.key, 10 * CONNECTIONS);
        lines.push(phase(server, "flood without a rate", &mut many, Pace::Peak, scale.flood)?);
        Ok(())
    })?;
    for line in lines.iter() {
        look_at(line, wrong);
    }
    let of = |what: &str| lines.iter().find(|line| line.what == what).map(|line| &line.outcome);
    let Some(flooded) = of("flood over a rate") else { return Ok(()) };
    let refused = flooded.requests - flooded.right();
    if flooded.right() == 0 || refused == 0 {
        wrong.push(format!("the flood: {} taken and {refused} refused; both were to happen", flooded.right()));
    }
    if scale.is_timed {
        let (offered, taken) = (flooded.per_second(), flooded.right() as f64 / flooded.took.as_secs_f64());
        if offered < 9.0 * taken {
            wrong.push(format!("the flood was no flood: {offered:.0} offered, {taken:.0} taken a second"));
        }
        let p99_ms = flooded.percentile_ms(0.99);
        if p99_ms > 5.0 * unloaded_p99_ms {
            wrong.push(format!("p99 of what was taken is {p99_ms:.2} ms: over 5 times {unloaded_p99_ms:.2} ms"));
        }
    }
    Ok(())
}

/// Runs phases against a collector, then holds its account against the client's.
fn with_collector(
    folder: &Path,
    rate: u32,
    lines: &mut Vec<Line>,
    wrong: &mut Vec<String>,
    phases: impl FnOnce(&Server, &mut Vec<Line>) -> Result<()>,
) -> Result<()> {
    let before = lines.len();
    let configuration = [
        ("TUMAN_LIMITS_KEY_RATE", rate.to_string()),
        ("TUMAN_LIMITS_KEY_BURST", rate.div_ceil(10).to_string()),
        ("TUMAN_LIMITS_REMEMBERED_REPORTS", "500000".into()),
        ("TUMAN_SERVER_CONNECTIONS", "1024".into()),
    ];
    let server = Server::collector(folder, &configuration)?;
    phases(&server, lines)?;
    let taken: u64 = lines[before..].iter().map(|line| line.outcome.right()).sum();
    let asked: u64 = lines[before..].iter().map(|line| line.outcome.requests).sum();
    let metrics = server.metrics()?;
    let refused: f64 = REFUSALS.iter().map(|name| value(&metrics, name)).sum();
    if refused != (asked - taken) as f64 {
        wrong.push(format!("the client was refused {} times, the collector counts {refused}", asked - taken));
    }
    if value(&metrics, "tuman_reports_in_flight") != 0.0 || value(&metrics, "tuman_bodies_bytes") != 0.0 {
        wrong.push("reports or their memory are held after the last answer".into());
    }
    let ledger = server.ledger()?;
    let sum = |key: &str| -> i64 {
        let days = ledger["days"].as_array().map(Vec::as_slice).unwrap_or_default();
        days.iter().filter_map(|day| day[key].as_i64()).sum()
    };
    let events = (taken * EVENTS as u64) as i64;
    if sum("received") != events || sum("stored") + sum("in_flight") != events || ledger["balanced"] != true {
        wrong.push(format!("{events} events were acknowledged, the ledger says {ledger}"));
    }
    let (_, most) = process::memory(server.pid())?;
    let ceiling = value(&metrics, "tuman_memory_ceiling_bytes");
    if most as f64 > ceiling {
        wrong.push(format!("memory was {} MiB, over its ceiling of {:.0} MiB", most >> 20, ceiling / MIB));
    }
    server.stop()
}

fn phase(
    server: &Server,
    what: &'static str,
    requests: &mut [Vec<Request>],
    pace: Pace,
    time: Duration,
) -> Result<Line> {
    let expected = Expected { status: 202, body: format!(r#"{{"accepted":{EVENTS},"refused":[]}}"#) };
    let outcome = client::run(server.address, requests, &expected, pace, time)?;
    let (memory, _) = process::memory(server.pid())?;
    Ok(Line { what, outcome, memory_mib: memory as f64 / MIB })
}

/// Every answer is the expected one, 429 or 503, and every request has an answer.
fn look_at(line: &Line, wrong: &mut Vec<String>) {
    let Line { what, outcome, .. } = line;
    if outcome.hung > 0 {
        wrong.push(format!("{what}: {} requests were never answered", outcome.hung));
    }
    for (answer, n) in &outcome.wrong {
        if !["429 ", "503 "].iter().any(|status| answer.starts_with(status)) {
            wrong.push(format!("{what}: {n} requests got: {answer}"));
        }
    }
}

fn requests(key: &str, connections: usize) -> Vec<Vec<Request>> {
    let mut rng = SmallRng::seed_from_u64(connections as u64);
    let mut one = |_| Request::new("/v1/collect", key, load::body(&mut rng, EVENTS), Encoding::Plain);
    (0..connections).map(|_| (0..8).map(&mut one).collect()).collect()
}

fn print(lines: &[Line], wrong: &[String]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "| {:<21} | {:>9} | {:>9} | {:>9} | {:>9} | {:>8} | {:>8} | {:>11} |",
        "phase", "offered/s", "taken/s", "taken", "refused", "p50, ms", "p99, ms", "memory, MiB"
    )?;
    for Line { what, outcome, memory_mib } in lines {
        writeln!(
            out,
            "| {:<21} | {:>9.0} | {:>9.0} | {:>9} | {:>9} | {:>8.2} | {:>8.2} | {:>11.0} |",
            what,
            outcome.per_second(),
            outcome.right() as f64 / outcome.took.as_secs_f64().max(1e-9),
            outcome.right(),
            outcome.requests - outcome.right(),
            outcome.percentile_ms(0.5),
            outcome.percentile_ms(0.99),
            memory_mib
        )?;
    }
    for what in wrong {
        writeln!(out, "WRONG: {what}")?;
    }
    Ok(())
}
