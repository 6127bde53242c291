//! Shows whether the tokens of a day can still be computed, step by step.
//!
//! A token needs its day's key. Where the key's destruction is recorded, and neither the key folder, the memory of the
//! process, the shared state nor a row is left that could give it, no token of that day can be computed here again, of
//! this identifier or any other. Each step says what was looked at, so that an officer can repeat it.
//!
//! Guarantees: neither the identifier nor a token is in a proof, a log line or an entry.
//! Does not: speak for other collectors of a group, whose copies of the day's key go with their own seals, or for copies
//! that someone made of the key folder.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tuman_privacy::identifier::{Kind, canonicalise};
use tuman_privacy::time::Day;
use tuman_privacy::token::Purpose;

use super::{KeyError, Keyring};
use crate::audit::{self, Contents, Entry, verify};
use crate::clock::{date_of, day_of};
use crate::config::KeyMode;

/// What there is to say about a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The day.
    pub day: Date,
    /// What follows from the steps.
    pub verdict: Verdict,
    /// What was looked at.
    pub steps: Vec<Step>,
}

/// What follows from the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The key is destroyed, and nothing is left that leads to it.
    CannotBeComputed,
    /// The key is there, or the shared state leads to it.
    CanBeComputed,
    /// Nothing leads to the key, and something of what shows its destruction is missing.
    NotShown,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What must hold after a destruction.
    pub what: String,
    /// Whether it does.
    pub holds: bool,
    /// What was found.
    pub found: String,
}

/// What a proof is made from beside the keys.
#[derive(Debug)]
pub struct Evidence {
    /// The audit log.
    pub log: Contents,
    /// Whether a row of the day is left.
    pub has_rows: bool,
    /// The apps whose tokens are tried.
    pub apps: Vec<String>,
}

/// Why nothing can be shown. The texts say nothing of the identifier.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// No identifier.
    #[error("an identifier is KIND=VALUE; kinds are install_id, android_id, idfv, gaid, idfa, imei, meid, mac")]
    NotAnIdentifier,
    /// Not one that gets a token.
    #[error("this identifier gets no token on any day: {0}")]
    NoToken(tuman_privacy::identifier::Unusable),
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeyError),
}

/// Looks everything over. `id` is `KIND=VALUE`.
///
/// # Errors
/// Where the identifier gets no token anyway, or the key folder cannot be read.
pub fn prove(keyring: &Keyring, date: Date, id: &str, evidence: &Evidence) -> Result<Proof, ProveError> {
    let (kind, value) = id.split_once('=').ok_or(ProveError::NotAnIdentifier)?;
    let kind = Kind::from_name(kind.trim()).ok_or(ProveError::NotAnIdentifier)?;
    let id = canonicalise(kind, value.trim()).map_err(ProveError::NoToken)?;
    let day = day_of(date);
    let leads_to = keyring.leads_to()?;
    let mut steps = vec![recorded(keyring, date)];
    let name = keyring.records().into_iter().find(|record| record.day == date).map(|record| record.name);
    steps.push(logged(&evidence.log, date, name.as_deref()));
    let has_file = keyring.has_file_of(day)?;
    let found = if has_file { "there is one" } else { "there is none" };
    steps.push(step("the key folder has no file of the day", !has_file, found));
    steps.push(passed(keyring, leads_to, day));
    let found = if evidence.has_rows { "rows of the day are left, with tokens" } else { "there is none" };
    steps.push(step("the open tables have no row of the day", !evidence.has_rows, found));
    // Every key that is there, for every app and purpose. The tokens go as they come; their number is all that is kept.
    let (mut tried, mut tokens, mut of_day) = (Vec::new(), 0, false);
    for known in keyring.days() {
        let Some(tokeniser) = keyring.tokeniser(known) else { continue };
        for app in &evidence.apps {
            for purpose in [Purpose::Usage, Purpose::Location] {
                let _ = tokeniser.token(app, purpose, &id);
                tokens += 1;
            }
        }
        of_day |= known == day;
        tried.push(date_of(known).to_string());
    }
    let found = match (of_day, tried.is_empty()) {
        (true, _) => format!("the key of {date} is there and gives this identifier its tokens of that day"),
        (false, true) => "no day has a key".to_owned(),
        (false, false) => {
            format!("{tokens} tokens were computed, with the keys of {}: of these days only", tried.join(", "))
        }
    };
    steps.push(step("no key that is there gives a token of the day", !of_day, &found));
    let leads = has_file || of_day || leads_to.is_some_and(|first| first <= day);
    let verdict = if steps.iter().all(|step| step.holds) {
        Verdict::CannotBeComputed
    } else if leads {
        Verdict::CanBeComputed
    } else {
        Verdict::NotShown
    };
    Ok(Proof { day: date, verdict, steps })
}

fn step(what: &str, holds: bool, found: &str) -> Step {
    Step { what: what.into(), holds, found: found.into() }
}

fn recorded(keyring: &Keyring, date: Date) -> Step {
    let record = keyring.records().into_iter().find(|record| record.day == date);
    let (holds, found) = match record {
        None => (false, "the day never had a key here".to_owned()),
        Some(record) => match record.destroyed_at {
            None => (false, format!("key {} of the day is open", record.name)),
            Some(at) => (true, format!("key {} was destroyed at {at:.0}", record.name)),
        },
    };
    step("the record says that the day's key is destroyed", holds, &found)
}

/// The entry of the seal that destroyed the key, in a chain that is whole.
fn logged(log: &Contents, date: Date, name: Option<&str>) -> Step {
    #[derive(Deserialize)]
    struct Sealed {
        day: Date,
        key: Option<String>,
    }
    let is_it = |entry: &&Entry| {
        entry.kind == audit::Kind::DaySealed.word()
            && serde_json::from_str::<Sealed>(&entry.detail)
                .is_ok_and(|sealed| sealed.day == date && sealed.key.as_deref() == name)
    };
    let (holds, found) = match (log.entries.iter().find(is_it), verify(log)) {
        (None, _) => (false, "no entry says so".to_owned()),
        (Some(_), Err(broken)) => (false, format!("the log is broken: {broken}")),
        (Some(entry), Ok(_)) => (true, format!("entry {}, hash {}, in a chain that is whole", entry.seq, entry.hash)),
    };
    step("the audit log has the destruction", holds, &found)
}

fn passed(keyring: &Keyring, leads_to: Option<Day>, day: Day) -> Step {
    let found = match (leads_to, keyring.mode()) {
        (None, KeyMode::Own) => "there is none: keys are random, each for itself".to_owned(),
        (None, KeyMode::Shared) => "there is none".to_owned(),
        (Some(first), KeyMode::Own) => format!("it leads to {} and later, and is not used", date_of(first)),
        (Some(first), KeyMode::Shared) => format!(
            "it leads to {} and later; other collectors of the group destroy their copy of the day's key by themselves",
            date_of(first)
        ),
    };
    step("the shared state leads to later days only", leads_to.is_none_or(|first| first > day), &found)
}
