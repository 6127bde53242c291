//! The fault campaign: a client that keeps its own account posts to a real process, which is killed, cut off from power
//! and from its store, filled, and damaged. What was acknowledged is stored exactly once, and the ledger says so.
//!
//! `make test` runs a short form, `make torture` all of it. `TORTURE_SEED` repeats a campaign's choices; how processes and
//! kills fall together is up to the machine. `TORTURE_KILLS` is how many kills there are at least.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, unreachable_pub)]

mod account;
mod campaign;
mod client;
mod collector;
mod plan;

use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::ToSpan;
use plan::{Outcome, Plan};

const APP: &str = "kz.test.app";
/// 2026-10-05T10:00:00+05:00, where every campaign begins.
const NOW_MS: i64 = 1_791_176_400_000;
const DAY_MS: i64 = 86_400_000;

/// The engine works on one folder at a time in this process.
static TURN: Mutex<()> = Mutex::new(());

#[test]
fn what_was_acknowledged_is_stored_exactly_once_through_everything() {
    let _turn = turn();
    let short = Plan {
        seed: seed(),
        days: 2,
        kills: 8,
        outages: 2,
        failing_syncs: 2,
        full_disks: 1,
        seal_kills: 2,
        broken: None,
    };
    let full = std::env::var("TORTURE_KILLS").ok().and_then(|kills| kills.parse::<u32>().ok());
    let plan = match full {
        None => short,
        Some(kills) => {
            Plan { days: 10, kills, outages: 24, failing_syncs: 16, full_disks: 8, seal_kills: 4, ..short }
        }
    };
    let outcome = campaign::run(plan.clone());
    table(&outcome);
    assert_done(&plan, full.is_some(), &outcome);
    let total = &outcome.total;
    assert!(total.problems.is_empty(), "{:#?}", total.problems);
    assert_eq!((total.missing, total.twice, total.invented), (0, 0, 0));
    assert!(total.events > 200, "hardly anything was acknowledged");
}

#[test]
fn a_collector_that_does_not_sync_is_caught() {
    let _turn = turn();
    let outcome = campaign::run(broken("no_sync"));
    table(&outcome);
    assert!(outcome.total.missing > 0, "the campaign did not notice");
}

#[test]
fn a_collector_whose_inserts_have_no_token_is_caught() {
    let _turn = turn();
    let outcome = campaign::run(broken("no_token"));
    table(&outcome);
    assert!(outcome.total.twice > 0, "the campaign did not notice");
}

/// A campaign shows nothing of a fault that did not happen.
fn assert_done(plan: &Plan, is_full: bool, outcome: &Outcome) {
    let seals = u64::from(plan.days) * plan.seal_kills as u64;
    for (what, least) in [
        ("kills", u64::from(plan.kills)),
        ("store outages", u64::from(plan.outages)),
        ("failing syncs", u64::from(plan.failing_syncs)),
        ("full disks", u64::from(plan.full_disks)),
        // A short one has not the time for every damage.
        ("torn ends", u64::from(is_full)),
        ("flipped records", u64::from(is_full)),
        ("days sealed", u64::from(plan.days).min(seals)),
    ] {
        assert!(outcome.done(what) >= least, "{what}: {} of {least}", outcome.done(what));
    }
    // Nor for every point.
    let points = campaign::POINTS.into_iter().chain(campaign::SEAL_POINTS.map(|(point, _)| point));
    let left_out: Vec<&str> = points.filter(|point| outcome.done(&format!("kill {point}")) == 0).collect();
    assert!(!is_full || left_out.is_empty(), "nobody was killed at {left_out:?}");
}

/// The same campaign, shorter still.
fn broken(how: &'static str) -> Plan {
    Plan {
        seed: seed(),
        days: 1,
        kills: 6,
        outages: 1,
        failing_syncs: 0,
        full_disks: 0,
        seal_kills: 0,
        broken: Some(how),
    }
}

fn seed() -> u64 {
    std::env::var("TORTURE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random)
}

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The local day of a day of the campaign.
fn date(day: u32) -> jiff::civil::Date {
    jiff::civil::date(2026, 10, 5).saturating_add(i64::from(day).days())
}

/// Says how it goes, also where the output of tests is captured.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "torture: {text}");
}

fn table(outcome: &Outcome) {
    let total = &outcome.total;
    let mut rows: Vec<(String, u64)> = outcome.done.iter().map(|(what, n)| (what.clone(), *n)).collect();
    rows.extend(
        [
            ("reports acknowledged", total.reports),
            ("events in them", total.events),
            ("answers 202", outcome.answers),
            ("uploads without an answer", outcome.lost),
            ("uploads put off (429, 503)", outcome.put_off),
            ("retries answered", total.retries),
            ("reports damaged on purpose", total.damaged),
            ("events missing", total.missing),
            ("events twice", total.twice),
            ("events invented", total.invented),
            ("other problems", total.problems.len() as u64),
        ]
        .map(|(what, n)| (what.to_owned(), n)),
    );
    for (what, n) in rows {
        say(&format!("{what:<32}{n:>9}"));
    }
    for problem in &total.problems {
        say(problem);
    }
}
