//! Withdrawal of consent: collection from a device stops, its rows are erased, a deadline is kept.
//!
//! The steps, under one case number:
//! 1. the device is put on the suppression list, durably: from here on nothing of it is stored;
//! 2. the case is registered, with its deadline;
//! 3. what is on its way is awaited: requests that began by an older list, then the spool;
//! 4. both tokens of each identifier are computed for every open day and app, taken out of segments that are set aside,
//!    and the rows that carry them are erased from the store, to the last file;
//! 5. the ledger is corrected, so that open days hold the rows that it says;
//! 6. the case is noted as erased. Only now is the command answered.
//!
//! Guarantees: an answer means that all of it is done and on disk. The same command can be given again at any time and
//! changes nothing that is done. Identifiers are in memory alone, for as long as the command lasts: a crash before the
//! answer leaves a case that is registered and not erased, which is an alarm until the command is given again. The
//! restart itself cannot go on with it, since nothing that was kept leads to the device.
//! Does not: find rows of days whose key is lost, or anything of sealed days: nobody can.

mod case;
mod identifiers;
mod journal;
mod letter;
mod list;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::ToSpan;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tuman_privacy::code::{Sort, code};
use tuman_privacy::time::Day;
use tuman_privacy::token::{Purpose, Token};

pub use case::{ALARM_DAYS, Alarm, Case, CaseNumber, DAYS, NoCaseNumber, State};
pub use identifiers::{IdentifierError, Identifiers};
pub use letter::letter;
pub use list::{InForce, ListError, Summary, SuppressionList};

use crate::audit::{
    AuditError, Event, SuppressionListEnded, WithdrawalAnswered, WithdrawalErased, WithdrawalRegistered,
};
use crate::clock::{date_of, timestamp};
use crate::ledger::SUPPRESSED;
use crate::loader::LoadError;
use crate::seal::Sealer;
use crate::store::{Device, Found, Statement, StoreError, Table};
use case::{Erased, Step};
use journal::{Journal, Planned, Rows};

/// How long an erasure waits until what was accepted is in the store.
const DRAIN_LIMIT: Duration = Duration::from_secs(300);
/// A notice that was received longer ago is a slip of the pen.
const OLDEST_DAYS: i64 = 366;
/// Over so many days it is measured how many events were dropped.
const MEASURED_DAYS: i64 = 10;

/// A notice of withdrawal, without the identifiers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Under this number.
    pub case: CaseNumber,
    /// When it was received; today where it does not say.
    pub received: Option<Date>,
    /// The one app that it is about.
    pub app: Option<String>,
}

/// Why a command about withdrawals was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum WithdrawalError {
    /// There is no such app.
    #[error("there is no app of that name here; without one, the withdrawal is from all apps")]
    UnknownApp,
    /// It was not received in the last year.
    #[error("the day of receipt lies in the future, or more than a year ago")]
    Received,
    /// The number stands for something else.
    #[error("the case is registered with another day of receipt or another app, or is answered: use another number")]
    Conflict,
    /// There is no such case.
    #[error("there is no case of that number: `tuman withdraw --list` shows all")]
    UnknownCase,
    /// It is not erased yet.
    #[error("the case is registered and not erased: give its withdrawal again, with its identifiers, then go on")]
    Unfinished,
    /// The list.
    #[error(transparent)]
    List(#[from] ListError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// What was accepted could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The journal.
    #[error("the journal of erasures: {0}")]
    Journal(#[from] std::io::Error),
    /// The work was given up.
    #[error("the withdrawal was interrupted: give it again")]
    Interrupted,
}

/// A case, and how it stands today.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// The case.
    #[serde(flatten)]
    pub case: Case,
    /// The device is on the suppression list: the list that it was put on has not been ended.
    pub listed: bool,
    /// Why it needs someone.
    pub alarm: Option<Alarm>,
}

/// All cases, the list, and what it costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Overview {
    /// All cases, by number.
    pub cases: Vec<Standing>,
    /// The suppression list.
    pub list: Option<Summary>,
    /// From this day on it was measured.
    pub measured_from: Date,
    /// Events of all apps that were received since then.
    pub received: i64,
    /// Those dropped for the list: of withdrawn devices and of others that share their tags.
    pub suppressed: i64,
}

impl fmt::Display for Overview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = self.cases.iter().filter(|standing| standing.case.state != State::Answered).count();
        write!(f, "{} cases, {open} not answered; ", self.cases.len())?;
        let Some(list) = &self.list else { return f.write_str("no suppression list") };
        write!(
            f,
            "{} tags of {} bits on the list, which drop {}",
            list.tags,
            list.bits,
            percent(list.expected_share)
        )?;
        let share = self.suppressed as f64 / self.received.max(1) as f64;
        write!(f, " of other devices; since {} {} of {} events", self.measured_from, self.suppressed, self.received)?;
        write!(f, " ({}) were dropped", percent(share))
    }
}

fn percent(share: f64) -> String {
    format!("{:.4} %", share * 100.0)
}

/// Withdraws devices, and keeps the cases.
pub struct Withdrawals {
    sealer: Arc<Sealer>,
    list: Arc<SuppressionList>,
    journal: Journal,
    cases: Mutex<BTreeMap<CaseNumber, Case>>,
    /// One withdrawal at a time.
    turn: tokio::sync::Mutex<()>,
}

impl Withdrawals {
    /// Opens the cases of a store and the journal of a data folder.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn open(data: &Path, sealer: Arc<Sealer>, list: Arc<SuppressionList>) -> Result<Withdrawals, StoreError> {
        let cases = Mutex::new(case::read(&*sealer.store)?);
        Ok(Withdrawals { sealer, list, journal: Journal::of(data), cases, turn: tokio::sync::Mutex::new(()) })
    }

    /// Carries a withdrawal out, or carries on with one.
    ///
    /// # Errors
    /// Where it is refused, and nothing is done; or where a step failed: the same command goes on from there.
    pub async fn register(self: &Arc<Self>, notice: Notice, ids: Identifiers) -> Result<Standing, WithdrawalError> {
        let _turn = self.turn.lock().await;
        let ids = Arc::new(ids);
        let begun = self.checked(&notice)?;
        self.recovered().await?;
        let listed = ids.clone();
        let case = self.on_a_thread(move |this| this.begin(begun, &listed)).await?;
        self.list.settled().await?;
        // No seal may count, drop or journal a day meanwhile.
        let _sealing = self.sealer.turn.lock().await;
        self.sealer.loader.drain(DRAIN_LIMIT).await?;
        let case = self.on_a_thread(move |this| this.finish(case, &ids)).await?;
        Ok(self.standing(&case))
    }

    /// Notes that the owner of a device has been told what was done.
    ///
    /// # Errors
    /// Where there is no such case, or its rows are not erased yet.
    pub async fn answer(self: &Arc<Self>, number: &CaseNumber) -> Result<Standing, WithdrawalError> {
        let _turn = self.turn.lock().await;
        let case = self.cases().get(number).cloned().ok_or(WithdrawalError::UnknownCase)?;
        let case = match case.state {
            State::Registered => return Err(WithdrawalError::Unfinished),
            State::Answered => case,
            State::Erased => {
                self.on_a_thread(move |this| {
                    let event = Event::WithdrawalAnswered(WithdrawalAnswered::of(&case));
                    this.step(case, &Step::Answered, &event)
                })
                .await?
            }
        };
        Ok(self.standing(&case))
    }

    /// How a case stands.
    ///
    /// # Errors
    /// Where there is no such case.
    pub fn status(&self, number: &CaseNumber) -> Result<Standing, WithdrawalError> {
        let case = self.cases().get(number).cloned().ok_or(WithdrawalError::UnknownCase)?;
        Ok(self.standing(&case))
    }

    /// All cases, the list, and what the list has cost lately. Blocks.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn overview(&self) -> Result<Overview, StoreError> {
        #[derive(Deserialize)]
        struct Row {
            received: i64,
            suppressed: i64,
        }
        let measured_from = self.today().saturating_sub((MEASURED_DAYS - 1).days());
        let statement = Statement::new(
            "SELECT sumIf(n, outcome = 'received') AS received, sumIf(n, outcome = {suppressed:String}) AS suppressed \
             FROM ledger WHERE day >= {from:Date}",
        );
        let rows: Vec<Row> =
            self.sealer.store.rows(&statement.bind("suppressed", SUPPRESSED).bind("from", measured_from))?;
        let row = rows.into_iter().next().unwrap_or(Row { received: 0, suppressed: 0 });
        let cases: Vec<Case> = self.cases().values().cloned().collect();
        Ok(Overview {
            cases: cases.iter().map(|case| self.standing(case)).collect(),
            list: self.list.summary(),
            measured_from,
            received: row.received,
            suppressed: row.suppressed,
        })
    }

    /// How many cases need someone today, for each reason.
    #[must_use]
    pub fn alarms(&self) -> BTreeMap<Alarm, u64> {
        let today = self.today();
        let mut alarms = BTreeMap::new();
        for alarm in self.cases().values().filter_map(|case| case.alarm(today)) {
            *alarms.entry(alarm).or_default() += 1;
        }
        alarms
    }

    /// Different tags on the suppression list.
    #[must_use]
    pub fn tags(&self) -> u64 {
        self.list.summary().map_or(0, |list| list.tags)
    }

    /// Destroys the suppression list and its key; answers what was known of it.
    ///
    /// # Errors
    /// Where there is none, or a file cannot be removed: the command can be given again.
    pub async fn end_list(self: &Arc<Self>) -> Result<Summary, WithdrawalError> {
        let _turn = self.turn.lock().await;
        let ended = self.list.summary().ok_or(ListError::None)?;
        let event = Event::SuppressionListEnded(SuppressionListEnded::of(&ended));
        self.on_a_thread(move |this| {
            // First the entry, as with keys: no list goes without one. After a crash in between there may be two.
            let sealer = &this.sealer;
            sealer.audit.record(sealer.clock.now_ms(), &event)?;
            Ok(this.list.end()?)
        })
        .await?;
        Ok(ended)
    }

    /// Books what an erasure that was cut short has left unbooked.
    ///
    /// # Errors
    /// Where what was accepted cannot be loaded, or the store does not answer: it stays to be done.
    pub async fn recover(self: &Arc<Self>) -> Result<(), WithdrawalError> {
        let _turn = self.turn.lock().await;
        self.recovered().await
    }

    async fn recovered(self: &Arc<Self>) -> Result<(), WithdrawalError> {
        let Some(planned) = self.journal.read()? else { return Ok(()) };
        let planned = Arc::new(planned);
        let _sealing = self.sealer.turn.lock().await;
        loop {
            self.sealer.loader.drain(DRAIN_LIMIT).await?;
            let planned = planned.clone();
            let booked = self.on_a_thread(move |this| {
                let booked = this.sealer.loader.while_quiet(|| this.book_what_is_gone(&planned));
                booked.transpose()
            });
            if booked.await?.is_some() {
                return Ok(());
            }
        }
    }

    /// What an interrupted erasure had found is of its case, although not all of it may be gone yet.
    fn book_what_is_gone(&self, planned: &Planned) -> Result<(), WithdrawalError> {
        planned.book_what_is_gone(&*self.sealer.store, &self.sealed())?;
        let case = self.cases().get(&planned.case).cloned();
        if let Some(mut case) = case {
            let (usage, places) = planned.found();
            let step = Step::Interrupted { usage, places };
            let now_ms = self.sealer.clock.now_ms();
            case::write(&*self.sealer.store, &case, &step, now_ms)?;
            case.take(&step, timestamp(now_ms));
            self.cases().insert(case.case.clone(), case);
        }
        Ok(self.journal.remove()?)
    }

    /// Days whose keys are destroyed.
    fn sealed(&self) -> Vec<Date> {
        let records = self.sealer.keyring.records();
        records.iter().filter(|record| record.destroyed_at.is_some()).map(|record| record.day).collect()
    }

    /// The case that a notice begins or goes on with.
    fn checked(&self, notice: &Notice) -> Result<Begun, WithdrawalError> {
        let today = self.today();
        if let Some(case) = self.cases().get(&notice.case) {
            let same = notice.received.is_none_or(|received| received == case.received) && notice.app == case.app;
            if !same || case.state == State::Answered {
                return Err(WithdrawalError::Conflict);
            }
            return Ok(Begun::Again(case.clone()));
        }
        let catalogues = self.sealer.ingest.catalogues();
        if notice.app.as_ref().is_some_and(|app| catalogues.get(app).is_none()) {
            return Err(WithdrawalError::UnknownApp);
        }
        let received = notice.received.unwrap_or(today);
        if received > today || received < today.saturating_sub(OLDEST_DAYS.days()) {
            return Err(WithdrawalError::Received);
        }
        let now_ms = self.sealer.clock.now_ms();
        Ok(Begun::First(Case::begin(notice.case.clone(), received, notice.app.clone(), String::new(), now_ms)))
    }

    /// Steps 1 and 2.
    fn begin(&self, begun: Begun, ids: &Identifiers) -> Result<Case, WithdrawalError> {
        let (Begun::First(mut case) | Begun::Again(mut case)) = begun.clone();
        case.list = self.list.add(case.app.as_deref(), ids, self.sealer.clock.now_ms())?;
        if matches!(begun, Begun::Again(_)) {
            return Ok(case);
        }
        let event = Event::WithdrawalRegistered(WithdrawalRegistered::of(&case));
        self.step(case, &Step::Registered, &event)
    }

    /// Steps 4 to 6.
    fn finish(&self, case: Case, ids: &Identifiers) -> Result<Case, WithdrawalError> {
        let erased = self.erase(&case, ids)?;
        let found = erased.usage || erased.places;
        let event = Event::WithdrawalErased(WithdrawalErased::of(&case, &erased.days));
        let case = self.step(case, &Step::Erased(erased), &event)?;
        if found {
            // Only now: it also tells, after a crash, that there was something to erase.
            self.journal.remove()?;
        }
        Ok(case)
    }

    fn erase(&self, case: &Case, ids: &Identifiers) -> Result<Erased, WithdrawalError> {
        let store = &*self.sealer.store;
        let days = self.sealer.keyring.tokenisers();
        let apps = self.apps(case, days.first().map(|(day, _)| *day))?;
        let tokens = |purpose| {
            let mut tokens = Vec::new();
            for (day, tokeniser) in &days {
                for (app, name) in &apps {
                    tokens.extend(ids.iter().map(|id| (day.0, *app, tokeniser.token(name, purpose, id))));
                }
            }
            tokens
        };
        let (usage, places) = (tokens(Purpose::Usage), tokens(Purpose::Location));
        self.sealer.ingest.forget(usage.iter().map(|(day, _, token)| (Day(*day), *token)));
        let device = |(day, app, token): &(u16, u32, Token)| Device { day: *day, app: *app, token: token.get() };
        let [usage, places] = [usage, places].map(|tokens| tokens.iter().map(device).collect::<Vec<_>>());
        // Before the store: rows of a segment that is put back would come in again.
        self.sealer.loader.blank_aside(&usage.iter().chain(&places).map(|device| device.token).collect())?;
        let planned = Planned::of(
            case.case.clone(),
            rows(&apps, &store.find(Table::UsageOpen, &usage)?, &store.find(Table::PlacesOpen, &places)?),
        )?;
        let found = planned.found();
        if found != (false, false) {
            self.journal.write(&planned)?;
        }
        // Also where nothing was found: an earlier try may have left files that the engine has not removed yet.
        store.erase(Table::UsageOpen, &usage)?;
        store.erase(Table::PlacesOpen, &places)?;
        if found != (false, false) {
            planned.book(store)?;
        }
        Ok(Erased { days: days.iter().map(|(day, _)| date_of(*day)).collect(), usage: found.0, places: found.1 })
    }

    /// Codes and names of the apps in which a case's device may have rows: also of those whose catalogue is gone.
    fn apps(&self, case: &Case, from: Option<Day>) -> Result<HashMap<u32, String>, WithdrawalError> {
        #[derive(Deserialize)]
        struct Row {
            app: String,
        }
        let mut names: BTreeSet<String> = BTreeSet::new();
        match (&case.app, from) {
            (Some(app), _) => names.extend([app.clone()]),
            (None, None) => {}
            (None, Some(from)) => {
                let statement = Statement::new("SELECT DISTINCT app FROM ledger WHERE day >= {from:Date}");
                let rows: Vec<Row> = self.sealer.store.rows(&statement.bind("from", date_of(from)))?;
                names.extend(rows.into_iter().map(|row| row.app));
                let catalogues = self.sealer.ingest.catalogues();
                names.extend(catalogues.all().iter().map(|catalogue| catalogue.declaration.app.clone()));
            }
        }
        Ok(names.into_iter().map(|name| (code(Sort::App, &name), name)).collect())
    }

    /// Notes a step of a case: in the audit log, then in its table, then in memory.
    fn step(&self, mut case: Case, step: &Step, event: &Event) -> Result<Case, WithdrawalError> {
        let now_ms = self.sealer.clock.now_ms();
        self.sealer.audit.record(now_ms, event)?;
        case::write(&*self.sealer.store, &case, step, now_ms)?;
        case.take(step, timestamp(now_ms));
        self.cases().insert(case.case.clone(), case.clone());
        Ok(case)
    }

    fn standing(&self, case: &Case) -> Standing {
        let listed = self.list.summary().is_some_and(|list| list.name == case.list);
        Standing { case: case.clone(), listed, alarm: case.alarm(self.today()) }
    }

    fn today(&self) -> Date {
        date_of(self.sealer.zone.day(self.sealer.clock.now_ms()))
    }

    fn cases(&self) -> MutexGuard<'_, BTreeMap<CaseNumber, Case>> {
        self.cases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn on_a_thread<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Withdrawals) -> Result<T, WithdrawalError> + Send + 'static,
    ) -> Result<T, WithdrawalError> {
        let this = self.clone();
        tokio::task::spawn_blocking(move || work(&this)).await.map_err(|_| WithdrawalError::Interrupted)?
    }
}

/// A case at the beginning of a command.
#[derive(Clone)]
enum Begun {
    First(Case),
    Again(Case),
}

/// What was found in both tables, by day and app.
fn rows(apps: &HashMap<u32, String>, usage: &[Found], places: &[Found]) -> Vec<Rows> {
    let mut rows: BTreeMap<(u16, u32), (u64, u64)> = BTreeMap::new();
    for found in usage {
        rows.entry((found.day, found.app)).or_default().0 += found.rows;
    }
    for found in places {
        rows.entry((found.day, found.app)).or_default().1 += found.rows;
    }
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let named = |((day, app), (usage, places))| {
        let app: &String = apps.get(&app)?;
        Some(Rows { day: date_of(Day(day)), app: app.clone(), usage: number(usage), places: number(places) })
    };
    rows.into_iter().filter_map(named).collect()
}
