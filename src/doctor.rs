//! Looks a collector over: is everything as it must be?

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::ToSpan;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::audit;
use crate::clock::{date_of, day_of};
use crate::config::KeyMode;
use crate::keys::KeyError;
use crate::ledger;
use crate::memory;
use crate::retention;
use crate::store::{Statement, StoreError};
use crate::withdrawal::Alarm;

/// More hits of detectors than one in so many events are no chance.
const MOST_HITS_ONE_IN: i64 = 1_000;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was looked at.
    pub what: String,
    /// Whether it is as it must be.
    pub well: bool,
    /// What was found, and what to do if it is not well.
    pub detail: String,
}

impl Finding {
    fn well(what: &str, detail: impl Into<String>) -> Finding {
        Finding { what: what.into(), well: true, detail: detail.into() }
    }

    fn ill(what: &str, detail: impl Into<String>) -> Finding {
        Finding { what: what.into(), well: false, detail: detail.into() }
    }
}

/// Looks everything over.
pub async fn examine(app: &Arc<App>) -> Vec<Finding> {
    let mut findings = vec![spool(app), keys(app), memory()];
    // What is on its way would be missing on one side of the account.
    if let Err(error) = app.loader.drain(std::time::Duration::from_secs(20)).await {
        findings.push(Finding::ill("loader", error.to_string()));
    }
    findings.push(flight(app));
    if let Err(error) = app.withdrawals.recover().await {
        findings.push(Finding::ill("withdrawals", error.to_string()));
    }
    let app = app.clone();
    let of_store = tokio::task::spawn_blocking(move || {
        let mut findings = Vec::new();
        for (what, examined) in [
            ("store", store(&app)),
            ("ledger", accounts(&app)),
            ("detectors", detectors(&app)),
            ("rows", rows(&app)),
            ("seals", seals(&app)),
            ("releases", releases(&app)),
            ("audit", Ok(audit(&app))),
            ("withdrawals", withdrawals(&app)),
        ] {
            findings.push(examined.unwrap_or_else(|error| Finding::ill(what, error.to_string())));
        }
        findings
    });
    findings.extend(of_store.await.unwrap_or_default());
    findings
}

fn spool(app: &App) -> Finding {
    let depth = app.spool.depth();
    let limit = app.config.spool.limit;
    let detail = format!("{} reports in {} bytes wait, the limit is {limit}", depth.records, depth.bytes);
    if depth.bytes * 2 > limit.bytes() {
        return Finding::ill("spool", format!("{detail}: is the store away?"));
    }
    if depth.aside > 0 {
        let what = "segments are set aside: see `tuman spool list`. The next seal removes them";
        return Finding::ill("spool", format!("{} {what}", depth.aside));
    }
    let foreign = app.loader.standing().foreign.len();
    if foreign > 0 {
        let what = "segments have records of another version and wait for it: was tuman downgraded?";
        return Finding::ill("spool", format!("{foreign} {what}"));
    }
    if depth.failures > 0 {
        return Finding::ill("spool", format!("{} writes failed since the start: is the disk full?", depth.failures));
    }
    Finding::well("spool", detail)
}

/// What is in flight balances, and is nothing where the spool is empty and nothing comes in.
fn flight(app: &App) -> Finding {
    let before = app.admission.in_flight();
    let (total, depth) = (app.flight.total(), app.spool.depth());
    if total.difference() != 0 {
        return Finding::ill("flight", format!("{} events on their way are unaccounted for", total.difference()));
    }
    let is_quiet = before == 0 && app.admission.in_flight() == 0 && depth.records == 0 && depth.waiting == 0;
    if is_quiet && total.received != 0 {
        return Finding::ill(
            "flight",
            format!("{} events were acknowledged and are not in the store: records were damaged", total.received),
        );
    }
    Finding::well("flight", format!("{} events are on their way to the store", total.received))
}

fn keys(app: &App) -> Finding {
    // Only looked at: a collector that took nothing today has no key for today.
    if app.keyring.lacks_state(app.clock.now_ms()) {
        return Finding::ill("keys", KeyError::NoState.to_string());
    }
    let days: Vec<String> = app.keyring.days().into_iter().map(|day| date_of(day).to_string()).collect();
    let days = if days.is_empty() { "no day has a key".to_owned() } else { format!("of {}", days.join(", ")) };
    Finding::well(
        "keys",
        match app.keyring.shown() {
            Ok(Some(shown)) if app.keyring.mode() == KeyMode::Shared => {
                format!("{days}; shared, group {}, check {} for {}", shown.group, shown.check, shown.next_day)
            }
            Ok(_) => days,
            Err(error) => return Finding::ill("keys", error.to_string()),
        },
    )
}

/// Keys are locked into memory and left out of dumps.
fn memory() -> Finding {
    let kept = memory::examine();
    let detail = format!("{} of {} keys are locked into memory and left out of dumps", kept.locked, kept.secrets);
    if kept.locked < kept.secrets {
        return Finding::ill("memory", format!("{detail}: {}, and restart", memory::REMEDY));
    }
    Finding::well("memory", detail)
}

fn store(app: &App) -> Result<Finding, StoreError> {
    let store = app.store.describe()?;
    Ok(Finding::well("store", format!("{}, ClickHouse {}, schema {}", store.kind, store.version, store.schema)))
}

/// Received = stored + duplicate + refused + lost, for every app and each of the last ten days.
fn accounts(app: &App) -> Result<Finding, StoreError> {
    let to = app.today();
    let from = to.saturating_sub(9.days());
    let (mut received, mut stored, mut lost, mut wrong) = (0, 0, 0, Vec::new());
    for id in app.app_ids() {
        for (day, account) in ledger::accounts(&*app.store, &id, from, to)? {
            received += account.of("received");
            stored += account.of("stored");
            lost += account.of(ledger::LOST);
            if account.difference() != 0 {
                wrong.push(format!("{id} on {day}: {} events unaccounted for", account.difference()));
            }
        }
    }
    if wrong.is_empty() {
        let lost = if lost > 0 { format!(" lost={lost}") } else { String::new() };
        return Ok(Finding::well(
            "ledger",
            format!("since {from}: received={received} stored={stored}{lost}: every event is accounted for"),
        ));
    }
    Ok(Finding::ill("ledger", wrong.join("; ")))
}

/// Apps send hardly anything that the detectors know. They hit ordinary values too, by chance, so that a few hits say
/// nothing.
fn detectors(app: &App) -> Result<Finding, StoreError> {
    let to = app.today();
    let from = to.saturating_sub(1.day());
    let (mut found, mut ill) = (Vec::new(), false);
    for id in app.app_ids() {
        let mut hits: BTreeMap<String, i64> = BTreeMap::new();
        let mut received = 0;
        for account in ledger::accounts(&*app.store, &id, from, to)?.values() {
            received += account.of("received");
            for (detector, n) in account.under("note:personal_data:") {
                *hits.entry(detector.to_owned()).or_default() += n;
            }
        }
        ill |= hits.values().sum::<i64>() * MOST_HITS_ONE_IN > received;
        found.extend(hits.into_iter().map(|(detector, n)| format!("{id}: {detector} {n}")));
    }
    if found.is_empty() {
        return Ok(Finding::well("detectors", format!("since {from}: no personal data in reports")));
    }
    let found = format!("since {from}, by detector, in {}", found.join(", "));
    Ok(match ill {
        false => Finding::well("detectors", format!("{found}: few enough to be chance")),
        true => Finding::ill("detectors", format!("{found}: nothing of it is kept; find where the app sends it")),
    })
}

/// The rows of open days are those that the ledger says.
fn rows(app: &App) -> Result<Finding, StoreError> {
    #[derive(Deserialize)]
    struct Row {
        day: jiff::civil::Date,
        difference: i64,
    }
    let statement = Statement::new(include_str!("doctor/rows.sql"));
    let rows: Vec<Row> = app.store.rows(&statement.bind("from", app.today().saturating_sub(10.days())))?;
    let closed: Vec<jiff::civil::Date> = destroyed(app);
    let wrong: Vec<String> = rows
        .iter()
        .filter(|row| row.difference != 0 && !closed.contains(&row.day))
        .map(|row| format!("{}: {} rows too many or too few", row.day, row.difference))
        .collect();
    if wrong.is_empty() {
        return Ok(Finding::well("rows", "open days hold exactly the rows of the ledger"));
    }
    Ok(Finding::ill("rows", wrong.join("; ")))
}

/// No day is open past its grace, and none of a sealed day is left.
fn seals(app: &App) -> Result<Finding, StoreError> {
    let now_ms = app.clock.now_ms();
    let overdue: Vec<String> = app
        .keyring
        .days()
        .into_iter()
        // The scheduler looks twice a minute, and a large day takes its time.
        .filter(|day| now_ms > app.keyring.grace_ends(*day).saturating_add(3_600_000))
        .map(|day| date_of(day).to_string())
        .collect();
    if !overdue.is_empty() {
        return Ok(Finding::ill("seals", format!("not sealed though their grace has ended: {}", overdue.join(", "))));
    }
    let closed = destroyed(app);
    let left = crate::seal::days_with_rows(&*app.store)?;
    if let Some(day) = left.into_iter().map(date_of).find(|day| closed.contains(day)) {
        return Ok(Finding::ill(
            "seals",
            format!("rows of the sealed day {day} are left: run `tuman seal --day {day}`"),
        ));
    }
    let sealed =
        closed.iter().max().map_or_else(|| "no day is sealed yet".to_owned(), |day| format!("sealed through {day}"));
    Ok(Finding::well("seals", sealed))
}

/// No release is older than its retention, and nothing is left of deleted days.
fn releases(app: &App) -> Result<Finding, StoreError> {
    let standing = retention::standing(app)?;
    if standing.left > 0 || standing.due > 0 {
        let what = format!(
            "{} days are older than the retention, of deleted ones {} values are left",
            standing.due, standing.left
        );
        return Ok(Finding::ill("releases", format!("{what}: look for `could not be deleted` in the log")));
    }
    let kept = match app.config.releases.retention.days() {
        Some(days) => format!("kept for {days} days"),
        None => "kept for ever".to_owned(),
    };
    Ok(Finding::well("releases", format!("{kept}; {} older days are deleted", standing.deleted)))
}

/// The chain of the audit log is whole, and ends where its anchor says.
fn audit(app: &App) -> Finding {
    match app.sealer.audit.contents().map(|log| audit::verify(&log)) {
        Ok(Ok(verified)) => Finding::well("audit", format!("{} entries, their chain is whole", verified.entries)),
        Ok(Err(broken)) => Finding::ill("audit", format!("{broken}: keep the folder and look who can write to it")),
        Err(error) => Finding::ill("audit", error.to_string()),
    }
}

/// No case of withdrawal is left undone, and what the suppression list costs.
fn withdrawals(app: &App) -> Result<Finding, StoreError> {
    let overview = app.withdrawals.overview()?;
    let mut alarms: Vec<_> =
        overview.cases.iter().filter_map(|standing| Some((standing.alarm?, &standing.case))).collect();
    // The worst first.
    alarms.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.due.cmp(&b.1.due)));
    if alarms.is_empty() {
        return Ok(Finding::well("withdrawals", overview.to_string()));
    }
    let told: Vec<String> = alarms
        .into_iter()
        .map(|(alarm, case)| match alarm {
            Alarm::Overdue => format!("case {} is OVERDUE since {}: answer it at once", case.case, case.due),
            Alarm::Unfinished => format!("case {} is not erased yet: give its withdrawal again", case.case),
            Alarm::Due => format!("case {} must be answered by {}", case.case, case.due),
        })
        .collect();
    Ok(Finding::ill("withdrawals", told.join("; ")))
}

fn destroyed(app: &App) -> Vec<jiff::civil::Date> {
    let records = app.keyring.records();
    records.iter().filter(|record| record.destroyed_at.is_some()).map(|record| date_of(day_of(record.day))).collect()
}
