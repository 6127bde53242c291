//! The spool against a model of what it promises, over a disk that fails and crashes anywhere.
//!
//! The model knows of every record whether its caller was told it is safe, was told it failed or nothing at
//! all, or whether the loader removed it. After every step, and after every crash, what the spool offers must
//! agree.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::faulty::{Fault, FaultyFilesystem, Survival};
use super::tests::{Bench, TestClock, folder, small};
use super::*;

#[derive(Debug, Clone)]
enum Step {
    /// Records of these sizes, as one group.
    Append(Vec<usize>),
    Rotate,
    Age,
    /// Of the sealed segments, the one at this place, wrapping around.
    Remove(usize),
    /// An operation soon fails.
    Fail {
        ahead: u64,
        partial: usize,
    },
    /// Everything fails from an operation soon, until the machine is back.
    Break {
        ahead: u64,
        partial: usize,
        survival: Survival,
    },
    Crash(Survival),
    Restart,
}

struct Model {
    disk: FaultyFilesystem,
    clock: TestClock,
    bench: Option<Bench>,
    next_record: u32,
    /// Acknowledged and not removed: must be there.
    safe: BTreeSet<u32>,
    /// Refused by this process: must not be offered by it.
    failed: BTreeSet<u32>,
    /// May or may not be there: refused by an earlier process, or of a removal that failed.
    unsure: BTreeSet<u32>,
    /// Removed: must never be there again.
    removed: BTreeSet<u32>,
    /// Segments whose removal failed half-way.
    half_removed: BTreeSet<SegmentId>,
    /// Records that were offered under a token.
    tokens: BTreeMap<String, BTreeSet<u32>>,
    removed_tokens: BTreeSet<String>,
    highest: SegmentId,
    /// Segments that were not offered at the last look.
    unsealed: BTreeSet<SegmentId>,
    survival: Survival,
}

impl Model {
    fn new() -> Self {
        let (disk, clock) = (FaultyFilesystem::default(), TestClock::new());
        Self {
            bench: Some(Bench::open(&disk, &small(), &clock)),
            disk,
            clock,
            next_record: 0,
            safe: BTreeSet::new(),
            failed: BTreeSet::new(),
            unsure: BTreeSet::new(),
            removed: BTreeSet::new(),
            half_removed: BTreeSet::new(),
            tokens: BTreeMap::new(),
            removed_tokens: BTreeSet::new(),
            highest: SegmentId::BEFORE_ALL,
            unsealed: BTreeSet::new(),
            survival: Survival::Nothing,
        }
    }

    fn run(&mut self, steps: &[Step]) {
        for step in steps {
            self.take(step);
            if self.disk.is_down() {
                self.crash(self.survival);
            }
            self.check();
        }
        self.crash(Survival::Nothing);
        self.check();
    }

    fn bench(&mut self) -> &mut Bench {
        self.bench.as_mut().expect("open between steps")
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Append(sizes) => self.append(sizes),
            Step::Rotate => drop(self.bench().rotate()),
            Step::Age => {
                self.clock.advance(Duration::from_secs(2));
                self.bench().writer.step();
            }
            Step::Remove(place) => self.remove(*place),
            Step::Fail { ahead, partial } => self.disk.plan(*ahead, Fault::Error { partial: *partial }),
            Step::Break { ahead, partial, survival } => {
                self.survival = *survival;
                self.disk.plan(*ahead, Fault::Crash { partial: *partial });
            }
            Step::Crash(survival) => self.crash(*survival),
            Step::Restart => {
                let bench = self.bench.take().expect("open between steps");
                bench.spool.close();
                bench.writer.run();
                self.reopen();
            }
        }
    }

    fn append(&mut self, sizes: &[usize]) {
        let numbers: Vec<u32> = (self.next_record..).take(sizes.len()).collect();
        self.next_record += sizes.len() as u32;
        let records: Vec<Vec<u8>> = numbers.iter().zip(sizes).map(|(number, size)| record(*number, *size)).collect();
        let slices: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        for (number, outcome) in numbers.into_iter().zip(self.bench().append(&slices)) {
            let place = if outcome.is_ok() { &mut self.safe } else { &mut self.failed };
            place.insert(number);
        }
    }

    fn remove(&mut self, place: usize) {
        let sealed = self.bench().spool.sealed();
        let Some(id) = sealed.get(place % sealed.len().max(1)).copied() else {
            return;
        };
        let token = self.bench().spool.token(id);
        let numbers = self.tokens.get(&token).cloned().unwrap_or_default();
        let removed = self.bench().spool.remove(id).is_ok();
        for number in numbers {
            self.safe.remove(&number);
            self.unsure.insert(number);
            if removed {
                self.removed.insert(number);
            }
        }
        if removed {
            self.half_removed.remove(&id);
            self.removed_tokens.insert(token);
        } else {
            self.half_removed.insert(id);
        }
    }

    fn crash(&mut self, survival: Survival) {
        // Dropping a writer touches no file, as a process that dies would not.
        self.bench = None;
        self.disk.crash(survival);
        self.reopen();
    }

    fn reopen(&mut self) {
        self.half_removed.clear();
        self.unsure.append(&mut self.failed);
        self.bench = Some(self.open());
        let recovered = self.bench().recovered;
        // Holes in what was never synced may look like damage, but nothing that was acknowledged is damaged.
        assert!(recovered.records as usize >= self.safe.len());
    }

    /// Opens the spool; where the disk does not let it, the next start does.
    fn open(&mut self) -> Bench {
        loop {
            let parts = Spool::assemble(Arc::new(self.disk.clone()), folder(), small(), self.clock.monotonic());
            match parts {
                Ok((spool, writer, recovered)) => return Bench { spool, writer, recovered },
                Err(_) if self.disk.is_down() => self.disk.crash(self.survival),
                Err(_) => {}
            }
        }
    }

    fn check(&mut self) {
        let spool = self.bench().spool.clone();
        let mut offered = BTreeSet::new();
        let before = self.highest;
        for id in spool.sealed() {
            if self.half_removed.contains(&id) {
                continue;
            }
            let token = spool.token(id);
            assert!(!self.removed_tokens.contains(&token), "a removed segment came back");
            let contents = self.bench().contents(id);
            let numbers: BTreeSet<u32> = contents.iter().map(|bytes| number(bytes)).collect();
            assert_eq!(numbers.len(), contents.len(), "a record twice in a segment");
            let safe: BTreeSet<u32> = numbers.intersection(&self.safe).copied().collect();
            match self.tokens.get(&token) {
                Some(known) => assert_eq!(known, &numbers, "a token of other contents"),
                // One that was given up may turn up late: when its failed end was cut off, or at the next start.
                None => {
                    let is_late = safe.is_empty() || self.unsealed.contains(&id);
                    assert!(id > before || is_late, "numbers only grow");
                }
            }
            self.tokens.insert(token, numbers.clone());
            self.highest = self.highest.max(id);
            for number in numbers {
                assert!(offered.insert(number), "a record in two segments");
                assert!(!self.removed.contains(&number), "a removed record came back");
                assert!(!self.failed.contains(&number), "a refused record was offered");
                assert!(self.safe.contains(&number) || self.unsure.contains(&number), "an invented record");
            }
        }
        let held = spool.depth();
        let waiting = (held.waiting, spool.shared().lock().queued_bytes);
        assert_eq!(waiting, (0, 0));
        // What is not offered yet is in the segment being written; the final crash seals it.
        let missing = self.safe.difference(&offered).count() as u64;
        let state = spool.shared().lock();
        let unsealed = state.segments.values().filter(|stored| !stored.sealed);
        let writing: u64 = unsealed.map(|stored| stored.records).sum();
        assert_eq!(missing, writing, "an acknowledged record is missing");
        self.unsealed = state.segments.iter().filter(|(_, stored)| !stored.sealed).map(|(id, _)| *id).collect();
    }
}

/// A record that tells its number, and whether it is whole.
fn record(number: u32, size: usize) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.resize(4 + size, number as u8);
    bytes
}

fn number(bytes: &[u8]) -> u32 {
    let number = u32::from_le_bytes(bytes[..4].try_into().expect("four bytes"));
    assert_eq!(bytes, record(number, bytes.len() - 4), "a record with other bytes");
    number
}

fn survivals() -> impl Strategy<Value = Survival> {
    prop_oneof![
        Just(Survival::Nothing),
        Just(Survival::Everything),
        Just(Survival::Nameless),
        (0_usize..200).prop_map(Survival::Torn),
        (0_usize..200).prop_map(Survival::Zeroed),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let (ahead, partial) = (0_u64..12, 0_usize..200);
    prop_oneof![
        8 => prop::collection::vec(0_usize..150, 1..6).prop_map(Step::Append),
        2 => Just(Step::Rotate),
        1 => Just(Step::Age),
        4 => (0_usize..8).prop_map(Step::Remove),
        2 => (ahead.clone(), partial.clone()).prop_map(|(ahead, partial)| Step::Fail { ahead, partial }),
        2 => (ahead, partial, survivals())
            .prop_map(|(ahead, partial, survival)| Step::Break { ahead, partial, survival }),
        1 => survivals().prop_map(Step::Crash),
        1 => Just(Step::Restart),
    ]
}

/// Something of everything, with batches that end a segment, and a restart in between.
fn script() -> Vec<Step> {
    vec![
        Step::Append(vec![3]),
        Step::Append(vec![0, 20, 5]),
        Step::Rotate,
        Step::Append(vec![60, 60, 60]),
        Step::Remove(0),
        Step::Age,
        Step::Append(vec![140, 1]),
        Step::Restart,
        Step::Append(vec![7, 7]),
        Step::Remove(1),
        Step::Append(vec![9]),
    ]
}

#[test]
fn a_crash_at_any_operation_loses_nothing_acknowledged_and_repeats_nothing() {
    let mut calm = Model::new();
    calm.run(&script());
    assert_eq!(calm.safe.len() + calm.removed.len(), 12, "without a fault everything is taken");
    let mut losses = vec![Survival::Nothing, Survival::Everything, Survival::Nameless];
    losses.extend((0..120).step_by(7).flat_map(|bytes| [Survival::Torn(bytes), Survival::Zeroed(bytes)]));
    for ahead in 0..calm.disk.operations() {
        for survival in &losses {
            for partial in [0, 1, 17, 45, 500] {
                let mut model = Model::new();
                model.survival = *survival;
                model.disk.plan(ahead, Fault::Crash { partial });
                model.run(&script());
            }
        }
    }
}

#[test]
fn two_errors_at_any_operations_lose_nothing_acknowledged_and_repeat_nothing() {
    let mut calm = Model::new();
    calm.run(&script());
    for first in 0..calm.disk.operations() {
        for second in first + 1..first + 8 {
            let mut model = Model::new();
            model.disk.plan(first, Fault::Error { partial: 13 });
            model.disk.plan(second, Fault::Error { partial: 0 });
            model.run(&script());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_promises_hold(steps in prop::collection::vec(steps(), 1..50)) {
        Model::new().run(&steps);
    }
}
