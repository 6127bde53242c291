//! The client's own account: every report it sent, what it was answered, and what must be in the store for it.

use std::collections::{BTreeMap, HashMap};

use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;
use serde_json::{Value, json};
use tuman::clock::timestamp;
use tuman::store::{Statement, Store};
use tuman_privacy::identifier::{Kind, canonicalise};
use tuman_privacy::report::Report;
use tuman_privacy::report_id::Fingerprinter;
use tuman_privacy::token::{DayKey, Purpose, Tokeniser};
use uuid::Uuid;

use crate::APP;

const HOUR_MS: i64 = 3_600_000;

/// A report, and what became of it.
pub struct Sent {
    pub body: String,
    pub day: u32,
    phone: Uuid,
    events: u32,
    accepted: u32,
    refused: Vec<&'static str>,
    answer: Option<String>,
    /// How often it was answered 202.
    answers: u32,
    /// How often no answer came, or one that it should come again.
    unanswered: u32,
    /// Its record was damaged on purpose.
    damaged: bool,
}

/// All reports.
#[derive(Default)]
pub struct Account {
    pub sent: Vec<Sent>,
    pub problems: Vec<String>,
    pub answers: u64,
    pub lost: u64,
    pub put_off: u64,
}

/// How an account and a store differ.
#[derive(Debug, Default, Clone)]
pub struct Difference {
    pub reports: u64,
    pub events: u64,
    pub missing: u64,
    pub twice: u64,
    pub invented: u64,
    pub damaged: u64,
    pub retries: u64,
    pub problems: Vec<String>,
}

impl Account {
    /// Makes the next report: of a phone of its own, some of its events to be refused.
    pub fn next(&mut self, chance: &mut Xoshiro256PlusPlus, day: u32, now_ms: i64) -> usize {
        let mut random = || Uuid::from_u64_pair(chance.random(), chance.random());
        let version_4 = |uuid: Uuid| uuid::Builder::from_random_bytes(*uuid.as_bytes()).into_uuid();
        let (id, phone) = (version_4(random()), version_4(random()));
        let (mut refused, mut events) = (Vec::new(), Vec::new());
        let n = chance.random_range(1..7_u32);
        for _ in 0..n {
            let at = now_ms - chance.random_range(0..HOUR_MS);
            let (name, at, reason) = match chance.random_range(0..20) {
                0 => ("never_declared", at, Some("unknown_event")),
                1 => ("app_open", now_ms + 3 * HOUR_MS, Some("from_the_future")),
                2 => ("app_open", now_ms - 8 * 24 * HOUR_MS, Some("too_old")),
                _ => ("app_open", at, None),
            };
            refused.extend(reason);
            let place = json!({ "lat": chance.random_range(43.0..52.0), "lon": chance.random_range(60.0..78.0) });
            events.push(json!({ "name": name, "at": timestamp(at).to_string(), "location": place }));
        }
        let body = json!({
            "report_id": id.to_string(), "sent_at": timestamp(now_ms).to_string(),
            "consent": { "usage": true, "location": true, "policy": "2026-01" },
            "device": { "ids": [{ "kind": "install_id", "value": phone.to_string() }], "platform": "android",
                        "os_version": "14", "class": "phone", "language": "kk-KZ" },
            "app": { "version": "3.4.1" },
            "events": events,
        });
        self.sent.push(Sent {
            body: body.to_string(),
            day,
            phone,
            events: n,
            accepted: n - refused.len() as u32,
            refused,
            answer: None,
            answers: 0,
            unanswered: 0,
            damaged: false,
        });
        self.sent.len() - 1
    }

    /// A 202: the same as before, and what was to be expected.
    pub fn answered(&mut self, index: usize, answer: String) {
        self.answers += 1;
        let sent = &mut self.sent[index];
        sent.answers += 1;
        let read: Value = serde_json::from_str(&answer).unwrap_or_default();
        let reasons: Vec<&str> =
            read["refused"].as_array().into_iter().flatten().filter_map(|entry| entry["reason"].as_str()).collect();
        if read["accepted"] != sent.accepted || reasons != sent.refused {
            self.problems.push(format!("an answer says {answer}, expected {} accepted", sent.accepted));
        }
        match &sent.answer {
            None => sent.answer = Some(answer),
            Some(first) if *first != answer => self.problems.push("a retry got another answer".into()),
            Some(_) => {}
        }
    }

    pub fn unanswered(&mut self, index: usize, was_put_off: bool) {
        self.sent[index].unanswered += 1;
        if was_put_off {
            self.put_off += 1;
        } else {
            self.lost += 1;
        }
    }

    /// The newest reports that were answered and are whole, with the bytes by which their records are found.
    pub fn fingerprints(&self, secret: &[u8; 32]) -> HashMap<[u8; 16], usize> {
        let fingerprinter = Fingerprinter::new(secret);
        let answered = self.sent.iter().enumerate().rev().filter(|(_, sent)| sent.answers > 0 && !sent.damaged);
        let found = answered.take(600).map(|(index, sent)| {
            let report = Report::parse(sent.body.as_bytes(), 500).unwrap();
            (fingerprinter.fingerprint(APP, &report).unwrap().0, index)
        });
        found.collect()
    }

    /// Its record is damaged: it may be missing.
    pub fn damage(&mut self, index: usize) {
        self.sent[index].damaged = true;
    }

    /// Holds the rows and the ledger of a day against the account. The day is open: its keys tell whose a row is.
    pub fn compare(&self, day: u32, store: &dyn Store, keys: Vec<Tokeniser>) -> Difference {
        #[derive(serde::Deserialize)]
        struct Row {
            token: u64,
            n: u64,
        }
        let rows: Vec<Row> =
            store.rows(&Statement::new("SELECT token, count() AS n FROM usage_open GROUP BY token")).unwrap();
        let mut stored: HashMap<u64, u64> = rows.into_iter().map(|row| (row.token, row.n)).collect();
        let mut found = Difference::default();
        let mut expected: BTreeMap<String, i64> = BTreeMap::new();
        let mut most_duplicates = 0;
        for sent in self.sent.iter().filter(|sent| sent.day == day && sent.answers > 0) {
            let phone = canonicalise(Kind::InstallId, &sent.phone.to_string()).unwrap();
            let tokens = keys.iter().map(|key| key.token(APP, Purpose::Usage, &phone).get());
            let rows: u64 = tokens.filter_map(|token| stored.remove(&token)).sum();
            let accepted = u64::from(sent.accepted);
            found.reports += 1;
            found.events += u64::from(sent.events);
            found.damaged += u64::from(sent.damaged);
            let is_gone = sent.damaged && rows == 0;
            if !is_gone {
                found.missing += accepted.saturating_sub(rows);
                found.twice += rows.saturating_sub(accepted);
                *expected.entry("stored".into()).or_default() += i64::from(sent.accepted);
                for reason in &sent.refused {
                    *expected.entry(format!("refused:{reason}")).or_default() += 1;
                }
            }
            found.retries += u64::from(sent.answers - 1);
            // A damaged record does not know its retry. One that was not answered may be in the account or not.
            let sure = if sent.damaged { 0 } else { sent.answers - 1 };
            *expected.entry("duplicate".into()).or_default() += i64::from(sure * sent.events);
            most_duplicates += i64::from((sent.answers - 1 + sent.unanswered) * sent.events);
        }
        found.invented = stored.values().sum();
        self.compare_ledger(store, day, &expected, most_duplicates, &mut found.problems);
        found
    }

    fn compare_ledger(
        &self,
        store: &dyn Store,
        day: u32,
        expected: &BTreeMap<String, i64>,
        most_duplicates: i64,
        problems: &mut Vec<String>,
    ) {
        let date = crate::date(day);
        let accounts = tuman::ledger::accounts(store, APP, date, date).unwrap();
        let Some(account) = accounts.get(&date) else {
            problems.push(format!("{date}: no ledger"));
            return;
        };
        if account.difference() != 0 {
            problems.push(format!("{date}: the ledger does not add up: {}", account.difference()));
        }
        let reasons = ["refused:unknown_event", "refused:from_the_future", "refused:too_old"];
        for outcome in ["stored"].into_iter().chain(reasons) {
            let due = expected.get(outcome).copied().unwrap_or(0);
            if account.of(outcome) != due {
                problems.push(format!("{date}: the ledger has {outcome}={}, the client {due}", account.of(outcome)));
            }
        }
        let least = expected.get("duplicate").copied().unwrap_or(0);
        if !(least..=most_duplicates).contains(&account.of("duplicate")) {
            let booked = account.of("duplicate");
            problems
                .push(format!("{date}: the ledger has duplicate={booked}, the client {least} to {most_duplicates}"));
        }
    }
}

/// The keys of open days, as the collector keeps them.
pub fn keys(folder: &std::path::Path) -> Vec<Tokeniser> {
    let mut keys = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "key") {
            let mut key: [u8; 32] = std::fs::read(entry.path()).unwrap().try_into().unwrap();
            keys.push(Tokeniser::new(&DayKey::take(&mut key)));
        }
    }
    keys
}
