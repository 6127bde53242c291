//! Benchmarks of the parts of collection, one by one, on the load of the whole one: `cargo bench --bench parts`.
//!
//! Times are of one thread and of one report, so that the parts of a report can be added up and set beside `parse/floor`,
//! which is what reading the JSON costs alone.

#[path = "../collect/floor_report.rs"]
mod floor_report;
#[path = "../collect/load.rs"]
#[allow(dead_code)]
mod load;

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tuman::admission::Bodies;
use tuman::answer::Answer;
use tuman::catalogue::Catalogue;
use tuman::clock::{Clock, SystemClock, Zone};
use tuman::http::body::{Encoding, decode};
use tuman::ingest::Body;
use tuman::ledger::Lines;
use tuman::record;
use tuman_privacy::anonymise::{Anonymised, Arrival, Rules, anonymise};
use tuman_privacy::detect::detect;
use tuman_privacy::identifier::{Kind, canonicalise};
use tuman_privacy::place::{Cell, Region};
use tuman_privacy::report::Report;
use tuman_privacy::report_id::Fingerprinter;
use tuman_privacy::time::{Day, Offsets};
use tuman_privacy::token::{DayKey, Purpose, Tokeniser};

const ID: &str = "7d0c6f0a-3a6e-4f0b-9a3e-5d2f1c0b8e77";

/// What a collector has at hand when a report comes in.
struct Collector {
    catalogue: Catalogue,
    region: Region,
    offsets: Offsets,
    days: Vec<(Day, Arc<Tokeniser>)>,
    now_ms: i64,
}

impl Collector {
    fn new() -> Collector {
        let zone = Zone::named("Asia/Almaty").expect("the zone is in the database");
        let now_ms = SystemClock.now_ms();
        let tokeniser = Arc::new(Tokeniser::new(&DayKey::take(&mut [7; 32])));
        Collector {
            catalogue: Catalogue::parse(load::CATALOGUE).expect("the load's catalogue is well"),
            region: Region::within([46.4, 40.5, 87.4, 55.5], Vec::new()),
            offsets: zone.offsets_around(now_ms),
            days: vec![(zone.day(now_ms), tokeniser)],
            now_ms,
        }
    }

    fn anonymise(&self, report: &Report<'_>, rng: &mut SmallRng) -> Anonymised {
        let rules = Rules {
            catalogue: &self.catalogue.allow_list,
            region: &self.region,
            future_tolerance_ms: 600_000,
            suppressed: None,
        };
        let arrival = Arrival { at_ms: self.now_ms, offsets: &self.offsets, open_days: &self.days, opted_out: false };
        anonymise(report, rules, arrival, rng).expect("the load is well-formed")
    }
}

fn bodies(events: usize) -> Vec<Vec<u8>> {
    let mut rng = SmallRng::seed_from_u64(events as u64);
    (0..64).map(|_| load::body(&mut rng, events)).collect()
}

/// Calls `work` with one body after the other.
fn over(criterion: &mut Criterion, group: &str, name: &str, events: usize, mut work: impl FnMut(&[u8])) {
    let bodies = bodies(events);
    let mut next = bodies.iter().cycle();
    let mut group = criterion.benchmark_group(group);
    group.throughput(Throughput::Elements(events as u64));
    group.bench_function(format!("{name}/{events}"), |bencher| {
        bencher.iter(|| work(next.next().expect("a cycle does not end")));
    });
    group.finish();
}

fn parse(criterion: &mut Criterion) {
    for events in [1, 100] {
        over(criterion, "parse", "floor", events, |body| {
            black_box(floor_report::read(body).expect("the load is JSON"));
        });
        over(criterion, "parse", "report", events, |body| {
            black_box(Report::parse(body, 500).expect("the load is well-formed"));
        });
    }
}

fn boundary(criterion: &mut Criterion) {
    let collector = Collector::new();
    let mut rng = SmallRng::seed_from_u64(1);
    for events in [1, 100] {
        let bodies = bodies(events);
        let reports: Vec<Report<'_>> =
            bodies.iter().map(|body| Report::parse(body, 500).expect("well-formed")).collect();
        let mut next = reports.iter().cycle();
        let mut group = criterion.benchmark_group("boundary");
        group.throughput(Throughput::Elements(events as u64));
        group.bench_function(format!("anonymise/{events}"), |bencher| {
            bencher.iter(|| collector.anonymise(next.next().expect("a cycle does not end"), &mut rng));
        });
        group.finish();
    }
    let fingerprinter = Fingerprinter::new(&[9; 32]);
    let body = &bodies(1)[0];
    let report = Report::parse(body, 500).expect("well-formed");
    criterion.bench_function("boundary/fingerprint", |bencher| {
        bencher.iter(|| fingerprinter.fingerprint(load::APP, black_box(&report)));
    });
    criterion.bench_function("boundary/canonical_uuid", |bencher| {
        bencher.iter(|| canonicalise(Kind::InstallId, black_box(ID)));
    });
    let (_, tokeniser) = &collector.days[0];
    let id = canonicalise(Kind::InstallId, ID).expect("it is valid");
    criterion.bench_function("boundary/token", |bencher| {
        bencher.iter(|| tokeniser.token(load::APP, Purpose::Usage, black_box(&id)));
    });
    criterion.bench_function("boundary/cell", |bencher| {
        bencher.iter(|| Cell::from_degrees(black_box(51.128_001_2), black_box(71.430_401_3)));
    });
    for (name, text) in [("declared", "order_history"), ("sentence", "Where is the nearest pharmacy, open now?")] {
        criterion.bench_function(&format!("boundary/detect_{name}"), |bencher| {
            bencher.iter(|| detect(black_box(text)));
        });
    }
}

fn collector(criterion: &mut Criterion) {
    let collector = Collector::new();
    let mut rng = SmallRng::seed_from_u64(2);
    for events in [1, 100] {
        let body = &bodies(events)[0];
        let report = Report::parse(body, 500).expect("well-formed");
        let anonymised = collector.anonymise(&report, &mut rng);
        let fingerprint = Fingerprinter::new(&[9; 32]).fingerprint(load::APP, &report).expect("it has an id");
        let answer = Answer { accepted: anonymised.accepted, refused: Vec::new() };
        criterion.bench_function(&format!("record/{events}"), |bencher| {
            bencher.iter(|| {
                let lines = Lines::of(load::APP, black_box(&anonymised));
                let rows = &anonymised.rows;
                record::write(&rows.usage, &rows.places, lines.bytes(), Some((fingerprint, &answer)), 0)
            });
        });
    }
    let body = bodies(100).remove(0);
    let sent = load::Request::new("/", "key", body.clone(), load::Encoding::Gzip);
    let at = sent.bytes().windows(4).position(|four| four == b"\r\n\r\n").expect("a request has a head") + 4;
    let gzip = &sent.bytes()[at..];
    let room = Bodies::new(64 << 20);
    criterion.bench_function("gunzip/100", |bencher| {
        bencher.iter_batched(
            || (Body(gzip.to_vec()), room.room(gzip.len()).expect("there is room")),
            |(body, mut room)| decode(body, Encoding::Gzip, 8 << 20, &mut room).is_ok(),
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(parts, parse, boundary, collector);
criterion_main!(parts);
