//! The campaign: days of uploads through kills, power cuts, outages, full disks, failing syncs and damage, and at the end
//! of each day the account.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use tuman::clock::{Clock, SystemClock};
use tuman::seal::release::{HOURS, defaults};
use tuman::store::{Statement, Store};

use crate::account::keys;
use crate::client::{Clients, Shared, lock};
use crate::collector::{Place, Running, SMALL_DISK_MIB};
use crate::plan::{Outcome, Plan};
use crate::{DAY_MS, NOW_MS, date, say};

/// Points at which the collector is killed while it takes and loads reports.
pub const POINTS: [&str; 8] = [
    "spool.rotate",
    "spool.write",
    "spool.sync",
    "spool.synced",
    "loader.insert",
    "loader.inserted",
    "loader.keep",
    "spool.remove",
];
/// Points of a seal, and how often each is passed: by the hours that were missed, then by the day.
pub const SEAL_POINTS: [(&str, u64); 7] = [
    ("seal.journal", 2),
    ("seal.publish", 4),
    ("seal.published", 4),
    ("seal.drop", 1),
    ("seal.destroy", 1),
    ("seal.audit", 1),
    ("seal.remove", 1),
];
/// In the first three nothing reaches the store, so that segments stay to be damaged.
const OUTAGES: [&str; 6] = ["away", "full", "readonly", "slow", "late", "hangs"];
/// A collector that makes no progress for so long hangs.
const STUCK: Duration = Duration::from_secs(60);

/// A loader that has not emptied the spool by then is stuck.
const EMPTIED: Duration = Duration::from_secs(600);

enum Turn {
    Kill,
    Outage,
    FailingSync,
    FullDisk,
}

struct Campaign {
    plan: Plan,
    place: Place,
    shared: Arc<Shared>,
    chance: Xoshiro256PlusPlus,
    running: Option<Running>,
    /// What the clock of day 0 is ahead of this machine's.
    ahead_ms: i64,
    outcome: Outcome,
    /// Releases of sealed days, as they were first seen.
    releases: BTreeMap<u32, Vec<Value>>,
}

pub fn run(plan: Plan) -> Outcome {
    let began = Instant::now();
    let mut campaign = Campaign {
        chance: Xoshiro256PlusPlus::seed_from_u64(plan.seed),
        place: Place::new(),
        shared: Arc::default(),
        running: None,
        ahead_ms: NOW_MS - SystemClock.now_ms(),
        outcome: Outcome::default(),
        releases: BTreeMap::new(),
        plan,
    };
    let disk = if campaign.place.has_small_disk() { "a tmpfs, filled" } else { "by order (mount is not permitted)" };
    say(&format!("seed {}; disk full: {disk} ({SMALL_DISK_MIB} MiB)", campaign.plan.seed));
    for day in 0..campaign.plan.days {
        campaign.day(day);
    }
    let mut outcome = campaign.outcome;
    let account = lock(&campaign.shared.account);
    outcome.total.problems.extend(account.problems.clone());
    (outcome.answers, outcome.lost, outcome.put_off) = (account.answers, account.lost, account.put_off);
    outcome.done.insert("seconds".into(), began.elapsed().as_secs());
    outcome
}

impl Campaign {
    fn day(&mut self, day: u32) {
        let ahead_ms = self.ahead_ms + i64::from(day) * DAY_MS;
        self.place.order("clock", &ahead_ms.to_string());
        // On some days a killed process leaves its unsynced writes to the system, as without a power cut.
        let has_power_cuts = day % 3 != 2;
        if has_power_cuts {
            self.place.order("power", "")
        } else {
            self.place.end("power")
        }
        if let Some(broken) = self.plan.broken {
            self.place.order(broken, "");
        }
        let clients = Clients::start(&self.shared, &self.place.key, day, ahead_ms, self.plan.seed);
        if day > 0 && self.plan.seal_kills > 0 {
            self.seal(day - 1);
        }
        self.start();
        for turn in self.turns(day) {
            self.progress(3);
            match turn {
                Turn::Kill => self.kill_somewhere(),
                Turn::Outage => self.outage(),
                Turn::FailingSync => self.failing_sync(),
                Turn::FullDisk => self.full_disk(),
            }
            self.start();
        }
        self.progress(20);
        clients.stop(&self.shared);
        self.shared.open(None);
        self.account(day);
        if day + 1 == self.plan.days && self.plan.seal_kills > 0 {
            self.place.order("clock", &(ahead_ms + DAY_MS).to_string());
            self.seal(day);
            self.shared.open(None);
            self.stop();
            let store = self.place.store();
            self.compare_sealed(day + 1, &*store);
        }
        let total = &self.outcome.total;
        say(&format!(
            "{}: {} kills, {} events acknowledged so far: {} missing, {} twice, {} problems{}",
            date(day),
            self.outcome.done("kills"),
            total.events,
            total.missing,
            total.twice,
            total.problems.len(),
            if has_power_cuts { "" } else { " (no power cuts on this day)" },
        ));
    }

    /// A day's share of everything, in a random order.
    fn turns(&mut self, day: u32) -> Vec<Turn> {
        let days = self.plan.days;
        let share = |all: u32| all / days + u32::from(day < all % days);
        let mut turns = Vec::new();
        turns.extend((0..share(self.plan.kills)).map(|_| Turn::Kill));
        turns.extend((0..share(self.plan.outages)).map(|_| Turn::Outage));
        turns.extend((0..share(self.plan.failing_syncs)).map(|_| Turn::FailingSync));
        turns.extend((0..share(self.plan.full_disks)).map(|_| Turn::FullDisk));
        for place in (1..turns.len()).rev() {
            turns.swap(place, self.chance.random_range(0..=place));
        }
        turns
    }

    fn kill_somewhere(&mut self) {
        match self.chance.random_range(0..10) {
            0..3 => {
                let answers = self.chance.random_range(0..40);
                self.progress(answers);
                self.kill("at random");
            }
            3 => {
                self.kill("at random");
                let starting = self.place.spawn();
                std::thread::sleep(Duration::from_micros(self.chance.random_range(0..900_000)));
                starting.kill();
                self.count_kill("while starting");
            }
            _ => {
                // Each once, then any.
                let untried = POINTS.into_iter().filter(|point| self.outcome.done(&format!("kill {point}")) == 0);
                let untried: Vec<&str> = untried.collect();
                let points = if untried.is_empty() { POINTS.to_vec() } else { untried };
                let point = points[self.chance.random_range(0..points.len())];
                self.kill_at(point);
            }
        }
        self.after_a_kill();
    }

    /// Has the collector killed when it passes a point, or a moment later.
    fn kill_at(&mut self, point: &'static str) {
        // Soon: a segment takes its time.
        let passing = self.chance.random_range(1..if point.starts_with("spool.s") { 40 } else { 8 });
        let later = if self.chance.random_bool(0.5) { 0 } else { self.chance.random_range(1..4_000) };
        // Passings before this moment count too: a kill that is ordered too late is ordered for the next process.
        self.kill("to begin anew");
        self.place.order("kill", &format!("{point} {passing} {later}"));
        if let Some(running) = self.place.spawn().ready() {
            self.running = Some(running);
            self.open();
            let died = self
                .wait(Duration::from_secs(20), |campaign| campaign.running.as_mut().is_some_and(Running::is_dead));
            self.place.end("kill");
            if !died {
                return self.kill("at random");
            }
        }
        self.place.end("kill");
        self.shared.open(None);
        self.running = None;
        self.count_kill(point);
    }

    fn outage(&mut self) {
        // Until a record was flipped, an outage in which one can be.
        let has_flipped = self.outcome.done("flipped records") > 0;
        let mode = OUTAGES[self.chance.random_range(0..if has_flipped { OUTAGES.len() } else { 3 })];
        self.place.order("store", mode);
        // The spool takes what comes, until its disk is full.
        let (answers, put_off) = self.shared.progress();
        let goes_on = move |campaign: &mut Campaign| {
            let now = campaign.shared.progress();
            now.0 >= answers + 40 || now.1 >= put_off + 100
        };
        if !self.wait(STUCK, goes_on) {
            self.problem(format!("nothing is answered while the store is {mode}"));
        }
        let damages = OUTAGES[..3].contains(&mode) && (!has_flipped || self.chance.random_bool(0.5));
        if damages || self.chance.random_bool(0.4) {
            self.kill("in an outage");
            if damages {
                self.damage();
            }
            self.start();
        }
        self.place.end("store");
        self.count(&format!("store {mode}"));
        self.count("store outages");
    }

    fn failing_sync(&mut self) {
        let how = if self.chance.random_bool(0.5) { "error" } else { "leak" };
        self.place.order("sync", how);
        self.put_off(3, |_| ());
        if self.chance.random_bool(0.5) {
            self.kill("while syncs fail");
            self.place.end("sync");
            self.start();
        }
        self.place.end("sync");
        self.count("failing syncs");
    }

    fn full_disk(&mut self) {
        let is_real = self.place.has_small_disk();
        if is_real {
            // What the loader frees is filled too.
            self.put_off(3, |campaign| campaign.place.fill_disk());
        } else {
            self.place.order("disk", "full");
            self.put_off(3, |_| ());
        }
        if self.chance.random_bool(0.5) {
            self.kill("on a full disk");
            // It starts on a full disk too, and loads what there is.
            self.start();
        }
        if is_real {
            self.place.empty_disk()
        } else {
            self.place.end("disk")
        }
        self.count("full disks");
    }

    fn after_a_kill(&mut self) {
        if self.outcome.done("torn ends") == 0 || self.chance.random_bool(0.25) {
            let Some(newest) = self.segments().pop() else { return };
            let garbage: Vec<u8> = (0..self.chance.random_range(1..300)).map(|_| self.chance.random()).collect();
            std::fs::OpenOptions::new().append(true).open(newest).unwrap().write_all(&garbage).unwrap();
            self.count("torn ends");
        }
    }

    /// Flips a byte in one record whose report is known, of a segment that was not tried to be loaded.
    fn damage(&mut self) {
        let segments = self.segments();
        let secret = std::fs::read(self.place.folder.join("data/report-id.key")).unwrap();
        let known = lock(&self.shared.account).fingerprints(&secret.try_into().unwrap());
        // The oldest may be in the store in part.
        for segment in segments.iter().skip(1) {
            let mut bytes = std::fs::read(segment).unwrap();
            let found: Vec<(usize, usize)> = (0..bytes.len().saturating_sub(15))
                .filter_map(|at| Some((at, *known.get(bytes.get(at..at + 16)?)?)))
                .collect();
            // With the only record of a segment its whole file would be set aside.
            let Some((at, report)) = found.first().filter(|_| found.len() > 1) else { continue };
            bytes[*at] ^= 0x40;
            std::fs::write(segment, bytes).unwrap();
            lock(&self.shared.account).damage(*report);
            self.count("flipped records");
            let checked = self.place.on(&["spool", "check", "--json"]);
            let report: Value = serde_json::from_slice(&checked.stdout).unwrap_or_default();
            if checked.status.code() != Some(3) || report["problems"].as_array().is_none_or(Vec::is_empty) {
                self.problem(format!("`tuman spool check` does not see a flipped record: {report}"));
            }
            return;
        }
    }

    fn segments(&self) -> Vec<std::path::PathBuf> {
        let files = std::fs::read_dir(self.place.spool()).unwrap().flatten().map(|entry| entry.path());
        let mut segments: Vec<_> =
            files.filter(|path| path.extension().is_some_and(|extension| extension == "segment")).collect();
        segments.sort();
        segments
    }

    /// Everything is loaded; then rows and ledger are held against what the clients know.
    fn account(&mut self, day: u32) {
        for word in ["kill", "store", "sync", "disk"] {
            self.place.end(word);
        }
        // A collector that met failing syncs says so until it is started anew.
        self.stop();
        self.start();
        let until = Instant::now() + EMPTIED;
        let (doctor, findings) = loop {
            let doctor = self.place.on(&["doctor", "--json"]);
            let findings: Vec<Value> = serde_json::from_slice(&doctor.stdout).unwrap_or_default();
            // It gives the loader twenty seconds. A slow machine takes longer for what outages have left.
            let is_loaded = findings.iter().all(|finding| finding["what"] != "loader");
            if is_loaded || Instant::now() > until {
                break (doctor, findings);
            }
        };
        let ill: Vec<String> =
            findings.iter().filter(|finding| finding["well"] != true).map(Value::to_string).collect();
        if !ill.is_empty() || !doctor.status.success() {
            self.problem(format!("the doctor on {}: {ill:?} {:?}", date(day), doctor.status.code()));
        }
        self.shared.open(None);
        self.stop();
        let store = self.place.store();
        let keys = keys(&self.place.folder.join("keys"));
        let found = lock(&self.shared.account).compare(day, &*store, keys);
        let total = &mut self.outcome.total;
        total.reports += found.reports;
        total.events += found.events;
        total.missing += found.missing;
        total.twice += found.twice;
        total.invented += found.invented;
        total.damaged += found.damaged;
        total.retries += found.retries;
        found.problems.iter().for_each(|problem| say(problem));
        total.problems.extend(found.problems);
        self.compare_sealed(day, &*store);
    }

    /// Seals a day that is over, killing the collector in it.
    fn seal(&mut self, day: u32) {
        for kill in 0..self.plan.seal_kills {
            let (point, times) = SEAL_POINTS[(kill + day as usize) % SEAL_POINTS.len()];
            let passing = self.chance.random_range(1..=times);
            let later = if self.chance.random_bool(0.5) { 0 } else { self.chance.random_range(1..20_000) };
            self.place.order("kill", &format!("{point} {passing} {later}"));
            // It seals what is due as soon as it starts.
            if let Some(running) = self.place.spawn().ready() {
                self.running = Some(running);
                self.open();
                // The first one of a day meets a seal that begins: it comes to every point, however long it takes.
                let limit = if kill == 0 { STUCK } else { Duration::from_secs(10) };
                let died = self.wait(limit, |campaign| campaign.running.as_mut().is_some_and(Running::is_dead));
                if !died {
                    // The seal was past this point already.
                    self.kill("at random");
                    continue;
                }
            }
            self.shared.open(None);
            self.running = None;
            self.count_kill(point);
        }
        self.place.end("kill");
        self.start();
        let sealed = self.place.on(&["seal", "--day", &date(day).to_string()]);
        let text = String::from_utf8_lossy(&sealed.stderr).into_owned();
        if !sealed.status.success() && !text.contains("sealed already") {
            self.problem(format!("{} is not sealed: {text}", date(day)));
        }
        self.count("days sealed");
    }

    /// Sealed days have each release once, the same at every look, and no row.
    fn compare_sealed(&mut self, before: u32, store: &dyn Store) {
        if self.plan.seal_kills == 0 {
            return;
        }
        for day in 0..before {
            let rows = |sql: &'static str| -> Vec<Value> {
                store.rows(&Statement::new(sql).bind("day", date(day))).unwrap()
            };
            let releases = rows("SELECT * FROM releases WHERE day = {day:Date} ORDER BY ALL");
            let [seals, twice, left] = [
                "SELECT count() AS n FROM seals WHERE day = {day:Date}",
                "SELECT count() - uniqExact(app, release, breakdown, dims) AS n FROM releases WHERE day = {day:Date}",
                "SELECT count() AS n FROM usage_open WHERE day = {day:Date}",
            ]
            .map(|sql| rows(sql)[0]["n"].clone());
            let of = |windows: Option<u32>| if windows.is_some() { u64::from(HOURS) } else { 1 };
            let all: u64 = defaults::ALL.into_iter().map(|release| of(release.windows)).sum();
            if (&seals, &twice, &left) != (&Value::from(all), &Value::from(0), &Value::from(0)) {
                self.outcome.total.problems.push(format!("{}: seals {seals}, twice {twice}, rows {left}", date(day)));
            }
            let first = self.releases.entry(day).or_insert_with(|| releases.clone());
            if *first != releases {
                self.outcome.total.problems.push(format!("{}: a release has changed", date(day)));
            }
        }
    }

    /// Starts the collector, if it does not run.
    fn start(&mut self) {
        if self.running.is_some() {
            return;
        }
        for _ in 0..3 {
            if let Some(running) = self.place.spawn().ready() {
                self.running = Some(running);
                return self.open();
            }
        }
        panic!("the collector does not start:\n{}", self.place.log());
    }

    fn open(&self) {
        self.shared.open(self.running.as_ref().map(|running| running.public.clone()));
    }

    fn stop(&mut self) {
        let code = self.running.take().and_then(Running::terminate);
        if code != Some(0) {
            self.problem(format!("SIGTERM ended with {code:?}"));
        }
    }

    fn kill(&mut self, when: &'static str) {
        self.shared.open(None);
        if let Some(running) = self.running.take() {
            running.kill();
            self.count_kill(when);
        }
    }

    /// Waits for so many answers more.
    fn progress(&mut self, answers: u64) {
        let goal = self.shared.progress().0 + answers;
        if !self.wait(STUCK, |campaign| campaign.shared.progress().0 >= goal) {
            panic!("the collector answers nothing:\n{}", self.place.log());
        }
    }

    /// Waits until clients were put off so many times more, under a fault that is `kept_up`.
    fn put_off(&mut self, times: u64, kept_up: impl Fn(&Campaign)) {
        let goal = self.shared.progress().1 + times;
        let is_felt = |campaign: &mut Campaign| {
            kept_up(campaign);
            campaign.shared.progress().1 >= goal
        };
        if !self.wait(STUCK, is_felt) {
            self.problem("a fault was not felt".into());
        }
    }

    fn wait(&mut self, limit: Duration, mut done: impl FnMut(&mut Campaign) -> bool) -> bool {
        let until = Instant::now() + limit;
        while !done(self) {
            if Instant::now() > until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }

    fn count(&mut self, what: &str) {
        *self.outcome.done.entry(what.to_owned()).or_default() += 1;
    }

    fn count_kill(&mut self, when: &str) {
        self.count("kills");
        self.count(&format!("kill {when}"));
    }

    fn problem(&mut self, what: String) {
        say(&what);
        self.outcome.total.problems.push(what);
    }
}
