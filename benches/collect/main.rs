//! Benchmark of the way from a request to its synced 202, and on into the store.
//!
//! It starts the built program in a folder of its own and posts reports to it, at peak and at half of it, in batches of
//! 100, 20 and 1, plain and compressed. Then it weighs the open rows of each batch size on the disk, and seals a large day.
//! What all that costs is set beside floors that are measured in the same run, because only ratios hold from
//! machine to machine. `docs/performance.md` says how to read the table.
//!
//! Guarantees: every answer is checked, and the store's rows are counted; where something is missing, the run says so.
//! Does not: judge. It ends with 0 whatever the numbers are.
#![allow(clippy::disallowed_macros, reason = "it is no part of the collector, and talks to whoever runs it")]

mod client;
mod day;
mod floor_report;
mod floors;
mod load;
mod process;
mod server;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rand::SeedableRng;
use rand::rngs::SmallRng;

use client::{Expected, Outcome, Pace};
use load::{Encoding, Request};
use process::{Cpu, Spent};
use server::{Counters, Server};
use table::{Findings, Row, number};

const CONNECTIONS: usize = 64;
const MIB: f64 = 1_048_576.0;

/// How long things are measured.
struct Times {
    floor: Duration,
    phase: Duration,
    idle: Duration,
    /// Events of the day that is sealed.
    sealed: u64,
}

struct Args {
    json: bool,
    /// Only loads of so many events a request; all where none is named.
    only: Vec<usize>,
    times: Times,
    folder: PathBuf,
}

impl Args {
    fn wants(&self, kind: Kind) -> bool {
        self.only.is_empty() || self.only.contains(&kind.events)
    }
}

/// One kind of load.
#[derive(Clone, Copy)]
struct Kind {
    events: usize,
    encoding: Encoding,
}

impl Kind {
    fn name(self) -> String {
        let plural = if self.events == 1 { "" } else { "s" };
        format!("{} event{plural}, {}", self.events, self.encoding.name())
    }

    /// Requests of each connection: together tens of megabytes, so that bodies come from memory and not from a cache.
    fn per_connection(self) -> usize {
        match self.events {
            1 => 256,
            2..=20 => 64,
            _ => 32,
        }
    }

    fn requests(self, key: &str) -> Vec<Vec<Request>> {
        let mut rng = SmallRng::seed_from_u64(self.events as u64);
        (0..CONNECTIONS)
            .map(|_| {
                (0..self.per_connection())
                    .map(|_| {
                        let body = load::body(&mut rng, self.events);
                        Request::new("/v1/collect", key, body, self.encoding)
                    })
                    .collect()
            })
            .collect()
    }
}

const KINDS: [Kind; 6] = [
    Kind { events: 100, encoding: Encoding::Plain },
    Kind { events: 100, encoding: Encoding::Gzip },
    Kind { events: 20, encoding: Encoding::Plain },
    Kind { events: 20, encoding: Encoding::Gzip },
    Kind { events: 1, encoding: Encoding::Plain },
    Kind { events: 1, encoding: Encoding::Gzip },
];

/// What is measured before the collector starts.
struct Floors {
    parse_ns: f64,
    sync_p99_ms: f64,
    /// Processor time of the empty handler for each of [`KINDS`].
    empty_ns: [f64; KINDS.len()],
}

/// A phase at the collector.
struct Phase {
    outcome: Outcome,
    spent: Spent,
    rows: f64,
    load_s: f64,
}

impl Phase {
    /// Events that were answered; at least one, to divide by.
    fn events(&self, kind: Kind) -> f64 {
        (self.outcome.requests * kind.events as u64).max(1) as f64
    }

    /// Processor time of an event up to its synced 202.
    fn collection_ns(&self, kind: Kind) -> f64 {
        self.spent.collection_ns() as f64 / self.events(kind)
    }
}

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == server::EMPTY_HANDLER) {
        return match server::serve_empty() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    if let Some(done) = day::asked() {
        return done.map_or_else(
            |error| {
                progress(&format!("{error:#}"));
                ExitCode::FAILURE
            },
            |()| ExitCode::SUCCESS,
        );
    }
    let args = match arguments() {
        Ok(args) => args,
        Err(error) => {
            eprintln!("collect: {error}; there are --json, --short, --only EVENTS, --folder DIR");
            return ExitCode::from(2);
        }
    };
    let mut findings = Findings::default();
    if let Err(error) = measure(&args, &mut findings) {
        findings.wrong.push(format!("the run ended early: {error:#}"));
    }
    let print = if args.json { table::json } else { table::text };
    // The reader may have closed the output.
    let _ = print(&findings);
    ExitCode::SUCCESS
}

fn arguments() -> Result<Args> {
    let seconds = Duration::from_secs;
    let mut args = Args {
        json: false,
        only: Vec::new(),
        times: Times { floor: seconds(3), phase: seconds(10), idle: seconds(10), sealed: 30_000_000 },
        folder: env!("CARGO_TARGET_TMPDIR").into(),
    };
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        match argument.as_str() {
            // Cargo says that this is a benchmark.
            "--bench" => {}
            "--json" => args.json = true,
            "--short" => {
                let short = Duration::from_millis(600);
                args.times = Times { floor: short / 3, phase: short, idle: short * 2, sealed: 200_000 };
            }
            "--only" => args.only.push(given.next().context("--only needs a number of events")?.parse()?),
            "--folder" => args.folder = given.next().context("--folder needs a folder")?.into(),
            other => anyhow::bail!("`{other}` is unknown"),
        }
    }
    Ok(args)
}

fn measure(args: &Args, findings: &mut Findings) -> Result<()> {
    let began = Instant::now();
    let machine_before = process::machine_ns();
    let mine_before = Cpu::of(std::process::id())?;
    std::fs::create_dir_all(&args.folder)?;
    let folder = tempfile::tempdir_in(&args.folder)?;
    describe(findings);
    let (floors, mut served_ns) = measure_floors(&args.times, folder.path(), findings)?;

    progress("starting the collector");
    let server = Server::collector(&folder.path().join("collector"), &[("TUMAN_LIMITS_KEY_RATE", "0".into())])?;
    measure_idle(&server, &args.times, "idle, just started", findings)?;
    for (number, kind) in KINDS.into_iter().enumerate() {
        if !args.wants(kind) {
            continue;
        }
        measure_kind(&server, kind, floors.empty_ns[number], &floors, &args.times, findings)?;
    }
    measure_memory(&server, findings)?;
    measure_idle(&server, &args.times, "idle, after the load", findings)?;
    served_ns += Cpu::of(server.pid())?.since(&Cpu::none()).total_ns;

    if server.ledger()?["balanced"] != true {
        findings.wrong.push("the ledger does not balance".into());
    }

    server.stop()?;
    for kind in KINDS.into_iter().filter(|kind| kind.encoding == Encoding::Plain && args.wants(*kind)) {
        served_ns += measure_disk(&folder.path().join(format!("open-{}", kind.events)), kind, &args.times, findings)?;
    }
    measure_seal(&folder.path().join("sealed"), &args.times, findings)?;

    let mine_ns = Cpu::of(std::process::id())?.since(&mine_before).total_ns;
    let others_ns = (process::machine_ns() - machine_before).saturating_sub(served_ns + mine_ns);
    let others = others_ns as f64 / began.elapsed().as_nanos() as f64;
    findings
        .machine
        .push(("used by others and the kernel during the run".into(), format!("{:.0} % of a core", others * 100.0)));
    Ok(())
}

/// The floors; also the processor time that the empty handler took in all.
fn measure_floors(times: &Times, folder: &std::path::Path, findings: &mut Findings) -> Result<(Floors, u64)> {
    progress("measuring floors");
    let mut rng = SmallRng::seed_from_u64(7);
    let bodies: Vec<Vec<u8>> = (0..200).map(|_| load::body(&mut rng, 100)).collect();
    let bytes: usize = bodies.iter().map(Vec::len).sum();
    findings
        .machine
        .push(("batch".into(), format!("100 events, {} bytes", number(bytes as f64 / bodies.len() as f64))));
    let parse_ns = floors::parse(&bodies, 100, times.floor)?;
    let mut row = Row::new("floor: check UTF-8 and parse, 100 events", "event");
    row.per_second = Some(1e9 / parse_ns);
    row.cpu_ns = Some(parse_ns);
    findings.rows.push(row);

    let (p50_ms, sync_p99_ms) = floors::sync(folder, times.floor)?;
    let mut row = Row::new("floor: fdatasync of 16 KiB", "sync");
    row.p50_ms = Some(p50_ms);
    row.p99_ms = Some(sync_p99_ms);
    findings.rows.push(row);

    let server = Server::empty()?;
    let expected = Expected { status: 204, body: String::new() };
    let mut empty_ns = [0.0; KINDS.len()];
    for (kind, cost) in KINDS.into_iter().zip(&mut empty_ns) {
        let mut requests = kind.requests("floor");
        let before = Cpu::of(server.pid())?;
        let outcome = client::run(server.address, &mut requests, &expected, Pace::Peak, times.floor)?;
        let spent = Cpu::of(server.pid())?.since(&before);
        check(&outcome, "the empty handler", findings);
        *cost = spent.total_ns as f64 / outcome.requests.max(1) as f64;
        let mut row = Row::new(format!("floor: empty handler, {}", kind.name()), "request");
        row.per_second = Some(outcome.per_second());
        row.cpu_ns = Some(*cost);
        row.p50_ms = Some(outcome.percentile_ms(0.5));
        row.p99_ms = Some(outcome.percentile_ms(0.99));
        findings.rows.push(row);
    }
    let served_ns = Cpu::of(server.pid())?.since(&Cpu::none()).total_ns;
    server.stop()?;
    Ok((Floors { parse_ns, sync_p99_ms, empty_ns }, served_ns))
}

fn measure_kind(
    server: &Server,
    kind: Kind,
    empty_ns: f64,
    floors: &Floors,
    times: &Times,
    findings: &mut Findings,
) -> Result<()> {
    let name = kind.name();
    let mut requests = kind.requests(&server.key);
    let peak = measure_phase(server, kind, &mut requests, Pace::Peak, times.phase, findings)?;
    let half = Pace::PerSecond(peak.outcome.per_second() / 2.0);
    let half = measure_phase(server, kind, &mut requests, half, times.phase, findings)?;

    let collect_ns = peak.collection_ns(kind);
    let parse_budget_ns = 1.6 * floors.parse_ns + 300.0;
    let mut row = Row::new(format!("{name}: to the synced 202, at peak"), "event");
    row.per_second = Some(peak.outcome.per_second() * kind.events as f64);
    row.cpu_ns = Some(collect_ns);
    row.p50_ms = Some(peak.outcome.percentile_ms(0.5));
    row.p99_ms = Some(peak.outcome.percentile_ms(0.99));
    row = match (kind.events, kind.encoding) {
        (100, Encoding::Plain) => {
            row.to_floor = Some(collect_ns / floors.parse_ns);
            let words = format!("CPU at most 1.6 x parse + 300 = {} ns", number(parse_budget_ns));
            row.at_most(collect_ns, parse_budget_ns, words)
        }
        (1, _) => {
            row.to_floor = Some(collect_ns / empty_ns);
            let words = format!("CPU at most 2 x empty handler = {} ns", number(2.0 * empty_ns));
            row.at_most(collect_ns, 2.0 * empty_ns, words)
        }
        _ => row,
    };
    findings.rows.push(row);

    let per_core = 1e9 / collect_ns.max(1e-9);
    let mut row = Row::new(format!("{name}: of one core, by its CPU"), "event");
    row.per_second = Some(per_core);
    let least = match (kind.events, kind.encoding) {
        (100, Encoding::Plain) => Some(1.0e6),
        (100, Encoding::Gzip) => Some(0.8e6),
        (1, _) => Some(50e3),
        _ => None,
    };
    if let Some(least) = least {
        row = row.at_least(per_core, least, format!("at least {} a second", number(least)));
    }
    findings.rows.push(row);

    let mut row = Row::new(format!("{name}: whole process, with the insert"), "event");
    row.cpu_ns = Some(peak.spent.total_ns as f64 / peak.events(kind));
    findings.rows.push(row);

    let mut row = Row::new(format!("{name}: insert, with merges"), "row");
    let insert_ns = peak.spent.insert_ns() as f64 / peak.rows.max(1.0);
    row.per_second = Some(peak.rows / peak.load_s.max(1e-9));
    row.cpu_ns = Some(insert_ns);
    if kind.events == 100 {
        row = row.at_most(insert_ns, 800.0, "CPU at most 800 ns; 1 000 000 a second".into());
        row.kept = Some(insert_ns <= 800.0 && row.per_second >= Some(1e6));
    }
    findings.rows.push(row);

    let mut row = Row::new(format!("{name}: insert, merges left out"), "row");
    row.cpu_ns = Some(insert_ns - peak.spent.merge_ns() as f64 / peak.rows.max(1.0));
    findings.rows.push(row);

    let p99_ms = half.outcome.percentile_ms(0.99);
    let most_ms = 4.0 * floors.sync_p99_ms + 2.0;
    let mut row = Row::new(format!("{name}: to the synced 202, at half of it"), "event");
    row.per_second = Some(half.outcome.per_second() * kind.events as f64);
    row.cpu_ns = Some(half.collection_ns(kind));
    row.p50_ms = Some(half.outcome.percentile_ms(0.5));
    row.p99_ms = Some(p99_ms);
    row.to_floor = Some(p99_ms / floors.sync_p99_ms.max(1e-9));
    let words = format!("p99 at most 4 x sync + 2 = {most_ms:.2} ms");
    findings.rows.push(row.at_most(p99_ms, most_ms, words));

    for (phase, at) in [(&peak, "at peak"), (&half, "at half of it")] {
        let events = phase.events(kind);
        let mut threads: Vec<(String, f64)> = phase
            .spent
            .by_name
            .iter()
            .map(|(name, ns)| (name.clone(), *ns as f64 / events))
            .filter(|(_, ns)| *ns >= 1.0)
            .collect();
        threads.sort_by(|a, b| b.1.total_cmp(&a.1));
        findings.threads.push((format!("{name}, {at}"), threads));
    }
    Ok(())
}

/// Posts for a while, then waits until the store has all of it: the insert of these events is in the phase's cost.
fn measure_phase(
    server: &Server,
    kind: Kind,
    requests: &mut [Vec<Request>],
    pace: Pace,
    time: Duration,
    findings: &mut Findings,
) -> Result<Phase> {
    let what = match pace {
        Pace::Peak => format!("{}, at peak", kind.name()),
        Pace::PerSecond(rate) => format!("{}, {} requests a second", kind.name(), number(rate)),
    };
    progress(&what);
    let expected = Expected { status: 202, body: format!(r#"{{"accepted":{},"refused":[]}}"#, kind.events) };
    let counters: Counters = server.drained()?;
    let before = Cpu::of(server.pid())?;
    let outcome = client::run(server.address, requests, &expected, pace, time)?;
    let after = server.drained()?;
    let spent = Cpu::of(server.pid())?.since(&before);
    check(&outcome, &what, findings);
    let sent = (outcome.requests * kind.events as u64) as f64;
    let rows = after.rows - counters.rows;
    if after.accepted - counters.accepted != sent || rows < sent {
        findings.wrong.push(format!(
            "{what}: of {} events the collector counted {} and the store has {} rows",
            number(sent),
            number(after.accepted - counters.accepted),
            number(rows),
        ));
    }
    Ok(Phase { outcome, spent, rows, load_s: after.load_s - counters.load_s })
}

fn measure_idle(server: &Server, times: &Times, what: &str, findings: &mut Findings) -> Result<()> {
    progress(what);
    // The engine tidies up for a moment after each load.
    std::thread::sleep(times.idle / 2);
    let before = Cpu::of(server.pid())?;
    let began = Instant::now();
    std::thread::sleep(times.idle);
    let spent = Cpu::of(server.pid())?.since(&before);
    let share = spent.by_name.values().sum::<u64>() as f64 / began.elapsed().as_nanos() as f64;
    let mut row = Row::new(what, "");
    row.value = Some(format!("{:.2} %", share * 100.0));
    findings.rows.push(row.at_most(share, 0.01, "CPU under 1 % of a core".into()));
    let (now, _) = process::memory(server.pid())?;
    let mut row = Row::new(format!("{what}: memory"), "");
    row.value = Some(format!("{:.0} MiB", now as f64 / MIB));
    findings.rows.push(row.at_most(now as f64, 400.0 * MIB, "under 400 MiB".into()));
    Ok(())
}

fn measure_memory(server: &Server, findings: &mut Findings) -> Result<()> {
    let (_, most) = process::memory(server.pid())?;
    let mut row = Row::new("most memory under the load", "");
    row.value = Some(format!("{:.0} MiB", most as f64 / MIB));
    findings.rows.push(row.at_most(most as f64, 1e9, "under 1 GB (954 MiB)".into()));
    Ok(())
}

/// Posts to a collector of its own, and weighs what its store has then. Answers the processor time of the collector.
fn measure_disk(folder: &std::path::Path, kind: Kind, times: &Times, findings: &mut Findings) -> Result<u64> {
    let server = Server::collector(folder, &[("TUMAN_LIMITS_KEY_RATE", "0".into())])?;
    let mut requests = kind.requests(&server.key);
    measure_phase(&server, kind, &mut requests, Pace::Peak, times.phase, findings)?;
    let spent_ns = Cpu::of(server.pid())?.since(&Cpu::none()).total_ns;
    server.stop()?;
    let weight: day::Weight = day::run(day::WEIGH, folder, 0)?;
    let bytes = weight.bytes as f64 / weight.events.max(1) as f64;
    let mut row = Row::new(format!("{}: open rows on disk", kind.name()), "event");
    row.value = Some(format!("{bytes:.1} bytes"));
    findings.rows.push(row.at_most(bytes, 10.0, "under 10 bytes".into()));
    Ok(spent_ns)
}

fn measure_seal(folder: &std::path::Path, times: &Times, findings: &mut Findings) -> Result<()> {
    progress("sealing a large day");
    server::init(folder)?;
    let sealed: day::Sealed = day::run(day::SEAL, folder, times.sealed)?;
    if sealed.published == 0 {
        findings.wrong.push("the seal published nothing".into());
    }
    let per_second = times.sealed as f64 / sealed.seconds.max(1e-9);
    let mut row = Row::new(format!("seal of a day of {} events", number(times.sealed as f64)), "event");
    row.per_second = Some(per_second);
    findings.rows.push(row.at_least(per_second, 1e6, "at least 1 000 000 a second".into()));
    let mut row = Row::new("seal: most memory", "");
    row.value = Some(format!("{:.0} MiB", sealed.most_bytes as f64 / MIB));
    findings.rows.push(row.at_most(sealed.most_bytes as f64, 2e9, "under 2 GB (1 907 MiB)".into()));
    Ok(())
}

fn check(outcome: &Outcome, what: &str, findings: &mut Findings) {
    if outcome.right() == 0 {
        findings.wrong.push(format!("{what}: nothing was answered as it should be"));
    }
    if outcome.hung > 0 {
        findings.wrong.push(format!("{what}: {} requests were never answered", outcome.hung));
    }
    if outcome.unsent > 0 {
        findings
            .wrong
            .push(format!("{what}: {} requests were never sent, so far behind was the server", outcome.unsent));
    }
    for (answer, n) in outcome.wrong.iter().take(5) {
        findings.wrong.push(format!("{what}: {n} of {} requests got: {answer}", outcome.requests));
    }
}

fn describe(findings: &mut Findings) {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(':')).map_or("unknown", |(_, name)| name.trim());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let entries = [
        ("processor", format!("{model}, {cores} cores")),
        ("kernel", read("/proc/sys/kernel/osrelease").trim().to_owned()),
        ("load before the run", read("/proc/loadavg").trim().to_owned()),
        ("connections", CONNECTIONS.to_string()),
    ];
    findings.machine.extend(entries.map(|(what, value)| (what.to_owned(), value)));
}

/// On the error output, so that `--json` stays JSON.
fn progress(what: &str) {
    eprintln!("collect: {what}");
}
