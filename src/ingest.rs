//! From a report's bytes to its answer: parse, recognise a retry, anonymise, append to the spool.
//!
//! Guarantees: an answer is given only after its record is synced, or is the one that was given before. The work goes
//! on when the client hangs up, so that its retry finds either an answer or nothing.
//! Does not: know HTTP.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rand::Rng;
use tokio::sync::oneshot;
use tuman_privacy::anonymise::{Anonymised, Arrival, Rejection, Rules, anonymise, anonymise_before};
use tuman_privacy::place::Region;
use tuman_privacy::report::{Report, ReportError};
use tuman_privacy::report_id::{Fingerprint, Fingerprinter};
use tuman_privacy::suggest::{Suggestion, Suggestions};
use tuman_privacy::time::{Day, Offsets};
use tuman_privacy::token::{DayKey, Token, Tokeniser};

use zeroize::{Zeroize, Zeroizing};

use crate::answer::Answer;
use crate::catalogue::Catalogues;
use crate::clock::{Clock, Zone};
use crate::keys::{KeyError, Keyring, OpenDays};
use crate::ledger::Lines;
use crate::ledger::flight::{Flight, Sums};
use crate::metrics::{self, Metric};
use crate::preview::Seen;
use crate::record;
use crate::seen::{self, Known};
use crate::spool::{AppendError, Spool};
use crate::withdrawal::{InForce, SuppressionList};

/// A report's bytes, wiped when dropped.
///
/// Not `Zeroizing<Vec<u8>>`, which wipes a vector byte by byte: as a slice it is wiped at the speed of memory.
#[derive(Default)]
pub struct Body(pub Vec<u8>);

impl Drop for Body {
    fn drop(&mut self) {
        self.0.as_mut_slice().zeroize();
        self.0.spare_capacity_mut().zeroize();
    }
}

/// Why a report was not taken.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The body is no report.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The report as a whole cannot be taken.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The app has no catalogue.
    #[error("the app has no catalogue")]
    UnknownApp,
    /// Today has no key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The spool did not take it.
    #[error(transparent)]
    Spool(#[from] AppendError),
}

/// What does not change from report to report.
pub struct Settings {
    /// Tells when a report arrives.
    pub clock: Arc<dyn Clock>,
    /// Where days begin and end.
    pub zone: Zone,
    /// Where places are told apart.
    pub region: Region,
    /// Events in one report.
    pub max_events: usize,
    /// How far in the future an event may lie.
    pub future_tolerance_ms: i64,
}

/// What is keyed with secrets of the collector's own.
pub struct Keyed {
    /// Makes fingerprints of report ids.
    pub fingerprinter: Fingerprinter,
    /// Knows devices that have withdrawn.
    pub suppression: Arc<SuppressionList>,
    /// Holds names that catalogues may lack.
    pub suggestions: Suggestions,
}

/// Takes reports.
pub struct Ingest {
    settings: Settings,
    catalogues: ArcSwap<Catalogues>,
    keyring: Arc<Keyring>,
    seen: Arc<seen::Seen>,
    spool: Spool,
    flight: Arc<Flight>,
    fingerprinter: Fingerprinter,
    suppression: Arc<SuppressionList>,
    offsets: ArcSwap<(i64, Offsets)>,
    suggestions: Mutex<Suggestions>,
}

/// A report that is anonymised and waits for its sync.
struct Prepared {
    record: Vec<u8>,
    answer: Answer,
    report: Fingerprint,
    now_ms: i64,
    booked: Booked,
    // Held until the record is synced: a day is closed only when no request holds it.
    open: Arc<OpenDays>,
    // Likewise: a withdrawal waits until no request works by an older list.
    list: Arc<InForce>,
}

/// What a record books in the ledger.
struct Booked {
    app: String,
    day: Day,
    sums: Sums,
}

enum Step {
    Append(Prepared),
    /// The answer that it got, and the retry's record.
    Known(Answer, Vec<u8>, Booked),
    /// The answer comes; the retry's record is for then.
    Wait(oneshot::Receiver<Option<Answer>>, Vec<u8>, Booked),
}

impl Ingest {
    /// Brings the parts together.
    #[must_use]
    pub fn new(
        settings: Settings,
        catalogues: Catalogues,
        keyring: Arc<Keyring>,
        seen: Arc<seen::Seen>,
        spool: Spool,
        flight: Arc<Flight>,
        Keyed { fingerprinter, suppression, suggestions }: Keyed,
    ) -> Ingest {
        let now_ms = settings.clock.now_ms();
        let offsets = ArcSwap::from_pointee((now_ms, settings.zone.offsets_around(now_ms)));
        Ingest {
            settings,
            catalogues: ArcSwap::from_pointee(catalogues),
            keyring,
            seen,
            spool,
            flight,
            fingerprinter,
            suppression,
            offsets,
            suggestions: Mutex::new(suggestions),
        }
    }

    /// The catalogues in force.
    #[must_use]
    pub fn catalogues(&self) -> Arc<Catalogues> {
        self.catalogues.load_full()
    }

    /// Puts other catalogues in force.
    pub fn reload(&self, catalogues: Catalogues) {
        self.catalogues.store(Arc::new(catalogues));
    }

    /// Names that at least [`DEVICES`](tuman_privacy::suggest::DEVICES) devices have sent within one day since the
    /// start, and that the catalogues in force do not declare; of one app or of all.
    #[must_use]
    pub fn suggestions(&self, app: Option<&str>) -> Vec<Suggestion> {
        let catalogues = self.catalogues();
        let is_open = |known: &&Suggestion| {
            app.is_none_or(|app| *known.app == *app)
                && catalogues.get(&known.app).is_some_and(|catalogue| !catalogue.declares(known))
        };
        let suggestions = self.suggestions.lock().unwrap_or_else(PoisonError::into_inner);
        suggestions.suggested().filter(is_open).cloned().collect()
    }

    /// Forgets which undeclared names these devices have sent. A report that has such a name waits for one of them, not
    /// for all.
    pub fn forget(&self, tokens: impl IntoIterator<Item = (Day, Token)>) {
        for (day, token) in tokens {
            self.suggestions.lock().unwrap_or_else(PoisonError::into_inner).forget(day, token);
        }
    }

    /// Takes a report of `app`. The body is wiped before anything is waited for.
    ///
    /// # Errors
    /// Where the report was not taken; nothing of it is kept then.
    pub async fn take(self: &Arc<Self>, app: &str, body: Body, opted_out: bool) -> Result<Answer, IngestError> {
        let step = self.prepare(app, &body.0, opted_out);
        drop(body);
        match step? {
            Step::Append(prepared) => {
                let taken = self.append(prepared).await;
                taken.unwrap_or(Err(AppendError::Closed)).map_err(IngestError::from)
            }
            Step::Known(answer, record, booked) => {
                self.book_retry(record, booked).await?;
                Ok(answer)
            }
            Step::Wait(first, record, booked) => {
                let answer = first.await.ok().flatten().ok_or(IngestError::Spool(AppendError::Sync))?;
                self.book_retry(record, booked).await?;
                Ok(answer)
            }
        }
    }

    /// Books a retry, before it is answered: the account is of everything that was answered 202.
    async fn book_retry(&self, record: Vec<u8>, booked: Booked) -> Result<(), AppendError> {
        let (sender, synced) = oneshot::channel();
        self.book(record, booked, move |appended| {
            // The client may have hung up.
            let _ = sender.send(appended);
        });
        synced.await.unwrap_or(Err(AppendError::Closed))
    }

    /// What would become of a report of `app` if its id were new: what a witness sees of it. Nothing is kept, booked or
    /// remembered; tokens are made under a key that is thrown away, and a day without a key gets none.
    ///
    /// # Errors
    /// Where the body is no report, or the app or the day takes none.
    pub fn preview(
        &self,
        app: &str,
        body: &[u8],
        opted_out: bool,
    ) -> Result<(Seen, Result<Anonymised, Rejection>), IngestError> {
        let catalogues = self.catalogues.load();
        let catalogue = catalogues.get(app).ok_or(IngestError::UnknownApp)?;
        let report = Report::parse(body, self.settings.max_events)?;
        let mut seen = Seen::default();
        if let Err(rejection) = self.fingerprinter.fingerprint(app, &report) {
            return Ok((seen, Err(rejection)));
        }
        let now_ms = self.settings.clock.now_ms();
        let mut key = Zeroizing::new([0; 32]);
        rand::rng().fill_bytes(key.as_mut_slice());
        let tokeniser = Arc::new(Tokeniser::new(&DayKey::take(&mut key)));
        let days = self.keyring.days_that_would_be_open(now_ms)?;
        let open_days: Vec<_> = days.into_iter().map(|day| (day, tokeniser.clone())).collect();
        let offsets = self.offsets(now_ms);
        let rules = Rules {
            catalogue: &catalogue.allow_list,
            region: &self.settings.region,
            future_tolerance_ms: self.settings.future_tolerance_ms,
            // A preview tells nobody who has withdrawn.
            suppressed: None,
        };
        let arrival = Arrival { at_ms: now_ms, offsets: &offsets.1, open_days: &open_days, opted_out };
        let decided = anonymise_before(&mut seen, &report, rules, arrival, &mut rand::rng());
        Ok((seen, decided))
    }

    fn prepare(&self, app: &str, body: &[u8], opted_out: bool) -> Result<Step, IngestError> {
        let catalogues = self.catalogues.load();
        let catalogue = catalogues.get(app).ok_or(IngestError::UnknownApp)?;
        let report = Report::parse(body, self.settings.max_events)?;
        let id = self.fingerprinter.fingerprint(app, &report)?;
        let now_ms = self.settings.clock.now_ms();
        let retry = || {
            let events = u32::try_from(report.events()).unwrap_or(u32::MAX);
            let day = self.settings.zone.day(now_ms);
            let lines = Lines::of_duplicate(app, day, events);
            let booked = Booked { app: app.to_owned(), day, sums: lines.sums() };
            (record::write(&[], &[], lines.bytes(), None, 0), booked)
        };
        match self.seen.begin(id) {
            Known::New => {}
            Known::Answered(answer) => {
                let (record, booked) = retry();
                return Ok(Step::Known(answer, record, booked));
            }
            Known::Pending(first) => {
                let (record, booked) = retry();
                return Ok(Step::Wait(first, record, booked));
            }
        }
        let reserved = Reserved { seen: &self.seen, id: Some(id), now_ms };
        let open = self.keyring.open_days(now_ms)?;
        let offsets = self.offsets(now_ms);
        let list = self.suppression.in_force();
        let rules = Rules {
            catalogue: &catalogue.allow_list,
            region: &self.settings.region,
            future_tolerance_ms: self.settings.future_tolerance_ms,
            suppressed: list.of(app),
        };
        let arrival = Arrival { at_ms: now_ms, offsets: &offsets.1, open_days: &open.days, opted_out };
        let mut anonymised = anonymise(&report, rules, arrival, &mut rand::rng())?;
        if !anonymised.sightings.is_empty() {
            let sightings = std::mem::take(&mut anonymised.sightings);
            let mut suggestions = self.suggestions.lock().unwrap_or_else(PoisonError::into_inner);
            suggestions.take(app, anonymised.day, sightings);
        }
        let lines = Lines::of(app, &anonymised);
        let booked = Booked { app: app.to_owned(), day: anonymised.day, sums: lines.sums() };
        let answer = Answer { accepted: anonymised.accepted, refused: anonymised.refused };
        let rows = anonymised.rows;
        let withheld = rows.withheld + lines.withheld();
        let record = record::write(&rows.usage, &rows.places, lines.bytes(), Some((id, &answer)), withheld);
        reserved.keep();
        Ok(Step::Append(Prepared { record, answer, report: id, now_ms, booked, open, list }))
    }

    /// Appends, and settles the report on the spool's own thread: a client that hangs up must not stop what is half done.
    fn append(&self, prepared: Prepared) -> oneshot::Receiver<Result<Answer, AppendError>> {
        let Prepared { record, answer, report, now_ms, booked, open, list } = prepared;
        let (sender, receiver) = oneshot::channel();
        let seen = self.seen.clone();
        self.book(record, booked, move |appended| {
            drop((open, list));
            if appended.is_ok() {
                for (_, reason) in &answer.refused {
                    metrics::refused(*reason);
                }
            }
            seen.settle(report, appended.is_ok().then_some(&answer), now_ms);
            // The client may have hung up.
            let _ = sender.send(appended.map(|()| answer));
        });
        receiver
    }

    /// Appends a record whose events are in flight from here on, or were not received; `told` hears which, on the spool's
    /// own thread.
    fn book(&self, record: Vec<u8>, booked: Booked, told: impl FnOnce(Result<(), AppendError>) + Send + 'static) {
        let Booked { app, day, sums } = booked;
        let flight = self.flight.clone();
        // Before the sync: afterwards the store could have them first.
        flight.enter(&app, day, sums);
        self.spool.append_then(record, move |appended| {
            match appended {
                Ok(()) => count(sums),
                Err(_) => flight.undo(&app, day, sums),
            }
            told(appended);
        });
    }

    /// The zone's offsets, looked up anew every hour.
    fn offsets(&self, now_ms: i64) -> Arc<(i64, Offsets)> {
        let offsets = self.offsets.load_full();
        if (now_ms - offsets.0).abs() < 3_600_000 {
            return offsets;
        }
        let fresh = Arc::new((now_ms, self.settings.zone.offsets_around(now_ms)));
        self.offsets.store(fresh.clone());
        fresh
    }
}

/// Counts events that are synced.
fn count(sums: Sums) {
    for (metric, n) in [
        (Metric::EventsReceived, sums.received),
        (Metric::EventsAccepted, sums.stored),
        (Metric::EventsRefused, sums.refused),
        (Metric::EventsDuplicate, sums.duplicate),
    ] {
        if n > 0 {
            metric.add(n.unsigned_abs());
        }
    }
    Metric::ReportEvents.observe_count(usize::try_from(sums.received).unwrap_or(0));
}

/// Gives a reservation back unless it is kept.
struct Reserved<'a> {
    seen: &'a seen::Seen,
    id: Option<Fingerprint>,
    now_ms: i64,
}

impl Reserved<'_> {
    fn keep(mut self) {
        self.id = None;
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.seen.settle(id, None, self.now_ms);
        }
    }
}
