//! Cases: what was asked, by when it must be answered, what was done.
//!
//! Kept for good, one line for each step, in the table `withdrawals`. No identifier, tag or token is in it, and no
//! number of rows: how much someone used an app is about that person. Kept is whether there was anything to erase,
//! since the answer says so.

use std::collections::BTreeMap;
use std::fmt;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tuman_privacy::detect::detect;

use crate::clock::{day_of, timestamp};
use crate::rowbinary::RowBinary;
use crate::store::{Statement, Store, StoreError, Table};

/// Calendar days from the receipt of a notice to its deadline (clause 1.3 of the policy).
pub const DAYS: i64 = 10;
/// So many days before the deadline, a case that is not answered is an alarm.
pub const ALARM_DAYS: i64 = 2;
/// The longest case number.
const LONGEST: usize = 40;

/// The number under which a notice is registered: the operator's own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CaseNumber(String);

/// A text is no case number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a case number has 1 to 40 letters A-Z a-z, digits and - / . _, begins with a letter or digit, and holds no personal data"
)]
pub struct NoCaseNumber;

impl CaseNumber {
    /// Reads a case number.
    ///
    /// # Errors
    /// Where it is none, or where a detector sees personal data in it: it is kept for good, and stands in the audit log.
    pub fn parse(text: &str) -> Result<CaseNumber, NoCaseNumber> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'/' | b'.' | b'_');
        let begins = text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
        if !begins || text.len() > LONGEST || !text.bytes().all(fits) || detect(text).is_some() {
            return Err(NoCaseNumber);
        }
        Ok(CaseNumber(text.to_owned()))
    }

    /// The number.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CaseNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for CaseNumber {
    type Error = NoCaseNumber;

    fn try_from(text: String) -> Result<CaseNumber, NoCaseNumber> {
        CaseNumber::parse(&text)
    }
}

impl From<CaseNumber> for String {
    fn from(number: CaseNumber) -> String {
        number.0
    }
}

/// How far a case is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Collection from the device has stopped; its rows may be there yet.
    Registered,
    /// Its rows are erased.
    Erased,
    /// Its owner has been told.
    Answered,
}

/// Why a case needs someone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Alarm {
    /// The deadline is two days away, or nearer.
    Due,
    /// The erasure was interrupted: the command must be repeated.
    Unfinished,
    /// The deadline has passed.
    Overdue,
}

/// A case of withdrawal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// Its number.
    pub case: CaseNumber,
    /// The local day on which the notice was received.
    pub received: Date,
    /// By the end of this local day it must be answered.
    pub due: Date,
    /// The one app that it is about; none where it is about all.
    pub app: Option<String>,
    /// How far it is.
    pub state: State,
    /// When collection from the device stopped.
    pub registered_at: Timestamp,
    /// When its rows were erased.
    pub erased_at: Option<Timestamp>,
    /// The days that were open then, whose rows could still be found.
    pub open_days: Vec<Date>,
    /// Whether rows of use were found, and erased.
    pub usage: bool,
    /// Whether rows of places were found, and erased.
    pub places: bool,
    /// When its owner was told.
    pub answered_at: Option<Timestamp>,
    /// The name of the suppression list that the device was put on.
    pub list: String,
}

/// What an erasure came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Erased {
    pub(super) days: Vec<Date>,
    pub(super) usage: bool,
    pub(super) places: bool,
}

/// A step of a case, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Registered,
    /// An erasure was cut short that had found rows.
    Interrupted {
        usage: bool,
        places: bool,
    },
    Erased(Erased),
    Answered,
}

impl Step {
    fn word(&self) -> &'static str {
        match self {
            Step::Registered => "registered",
            Step::Interrupted { .. } => "interrupted",
            Step::Erased(_) => "erased",
            Step::Answered => "answered",
        }
    }
}

impl Case {
    /// A case that begins now.
    pub(super) fn begin(case: CaseNumber, received: Date, app: Option<String>, list: String, now_ms: i64) -> Case {
        Case {
            case,
            received,
            due: received.saturating_add(DAYS.days()),
            app,
            state: State::Registered,
            registered_at: timestamp(now_ms),
            erased_at: None,
            open_days: Vec::new(),
            usage: false,
            places: false,
            answered_at: None,
            list,
        }
    }

    /// Why it needs someone today; the worst, where there are several reasons.
    #[must_use]
    pub fn alarm(&self, today: Date) -> Option<Alarm> {
        match self.state {
            State::Answered => None,
            _ if today > self.due => Some(Alarm::Overdue),
            State::Registered => Some(Alarm::Unfinished),
            State::Erased if today >= self.due.saturating_sub(ALARM_DAYS.days()) => Some(Alarm::Due),
            State::Erased => None,
        }
    }

    /// Goes on by a step. A second erasure adds to what the first one found.
    pub(super) fn take(&mut self, step: &Step, at: Timestamp) {
        match step {
            Step::Registered => {}
            Step::Interrupted { usage, places } => {
                self.usage |= usage;
                self.places |= places;
            }
            Step::Erased(erased) => {
                self.state = State::Erased;
                self.erased_at = Some(at);
                self.open_days.extend(&erased.days);
                self.open_days.sort_unstable();
                self.open_days.dedup();
                self.usage |= erased.usage;
                self.places |= erased.places;
            }
            Step::Answered => {
                self.state = State::Answered;
                self.answered_at = Some(at);
            }
        }
    }
}

/// Writes a step of a case; it is on disk when this returns.
pub(super) fn write(store: &dyn Store, case: &Case, step: &Step, at_ms: i64) -> Result<(), StoreError> {
    let (days, usage, places) = match step {
        Step::Erased(erased) => (erased.days.as_slice(), erased.usage, erased.places),
        Step::Interrupted { usage, places } => ([].as_slice(), *usage, *places),
        Step::Registered | Step::Answered => ([].as_slice(), false, false),
    };
    let days: Vec<_> = days.iter().map(|day| day_of(*day)).collect();
    let mut row = RowBinary::default();
    row.string(case.case.as_str()).string(step.word()).i64(at_ms);
    row.date(day_of(case.received)).date(day_of(case.due));
    row.string(case.app.as_deref().unwrap_or_default()).string(&case.list);
    row.dates(&days).bool(usage).bool(places);
    // The number itself has characters that an insert's token must not have.
    let name = hex::encode(&Sha256::digest(case.case.as_str())[..12]);
    store.insert(Table::Withdrawals, &format!("case-{name}-{}-{at_ms}", step.word()), row.bytes())
}

/// All cases, by their number.
pub(super) fn read(store: &dyn Store) -> Result<BTreeMap<CaseNumber, Case>, StoreError> {
    #[derive(Deserialize)]
    struct Row {
        case: String,
        step: String,
        at_ms: i64,
        received: Date,
        app: String,
        list: String,
        days: Vec<Date>,
        usage: bool,
        places: bool,
    }
    let rows: Vec<Row> = store.rows(&Statement::new(
        "SELECT case, step, toUnixTimestamp64Milli(at) AS at_ms, received, app, list, days, usage, places \
         FROM withdrawals \
         ORDER BY case, at, indexOf(['registered', 'interrupted', 'erased', 'answered'], step)",
    ))?;
    let mut cases: BTreeMap<CaseNumber, Case> = BTreeMap::new();
    for (index, row) in rows.into_iter().enumerate() {
        let number = CaseNumber(row.case);
        let step = match row.step.as_str() {
            "registered" => Step::Registered,
            "interrupted" => Step::Interrupted { usage: row.usage, places: row.places },
            "erased" => Step::Erased(Erased { days: row.days, usage: row.usage, places: row.places }),
            "answered" => Step::Answered,
            _ => return Err(StoreError::Unreadable { row: index + 1 }),
        };
        let app = Some(row.app).filter(|app| !app.is_empty());
        let begun = || Case::begin(number.clone(), row.received, app, String::new(), row.at_ms);
        let case = cases.entry(number.clone()).or_insert_with(begun);
        case.take(&step, timestamp(row.at_ms));
        // The last one counts: a list may have been ended between two withdrawals of one case.
        case.list = row.list;
    }
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn case_numbers_are_of_a_strict_alphabet() {
        for good in ["17", "W-2026/017", "ZT.2026-10-05/3", "a", "17-3/128_b", &"x-".repeat(20)] {
            assert!(CaseNumber::parse(good).is_ok(), "{good}");
        }
        for wrong in ["", "-1", "a b", "ЖТ-17", "17\n", "№17", "a'b", "x\u{200b}", &"x-".repeat(21)] {
            assert_eq!(CaseNumber::parse(wrong), Err(NoCaseNumber), "{wrong}");
        }
    }

    #[test]
    fn a_case_number_with_personal_data_is_refused() {
        for personal in [
            "991231500016",
            "87012345678",
            "490154203237518",
            "00-1B-44-11-3A-B7",
            "case-77012345678",
            "4111111111111111",
        ] {
            assert_eq!(CaseNumber::parse(personal), Err(NoCaseNumber), "{personal}");
            assert!(serde_json::from_value::<CaseNumber>(personal.into()).is_err());
        }
    }

    fn erased() -> Step {
        Step::Erased(Erased { days: vec![date(2026, 10, 5)], usage: true, places: false })
    }

    #[test]
    fn the_deadline_is_ten_calendar_days_and_the_alarm_two_before() {
        let mut case = Case::begin(CaseNumber::parse("17").unwrap(), date(2026, 10, 5), None, "a".into(), 0);
        assert_eq!(case.due, date(2026, 10, 15));
        assert_eq!(case.alarm(date(2026, 10, 5)), Some(Alarm::Unfinished));
        case.take(&erased(), timestamp(1));
        let alarms = [12, 13, 15, 16].map(|day| case.alarm(date(2026, 10, day)));
        assert_eq!(alarms, [None, Some(Alarm::Due), Some(Alarm::Due), Some(Alarm::Overdue)]);
        case.take(&Step::Answered, timestamp(2));
        assert_eq!(case.alarm(date(2027, 1, 1)), None);
        assert!(Alarm::Overdue > Alarm::Unfinished && Alarm::Unfinished > Alarm::Due);
    }

    #[test]
    fn a_second_erasure_adds_to_the_first() {
        let mut case = Case::begin(CaseNumber::parse("17").unwrap(), date(2026, 10, 5), None, "a".into(), 0);
        case.take(&erased(), timestamp(1));
        let days = vec![date(2026, 10, 6), date(2026, 10, 5)];
        case.take(&Step::Erased(Erased { days, usage: false, places: true }), timestamp(2));
        assert_eq!((case.open_days.len(), case.usage, case.places), (2, true, true));
        assert_eq!(case.erased_at, Some(timestamp(2)));
    }
}
