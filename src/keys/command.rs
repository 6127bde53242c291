//! What `tuman keys` asks of a collector, and what it is answered.

use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use super::prove::{Evidence, Proof, prove};
use super::shared::{Joined, Replace, Shown};
use super::{KeyRecord, chronicle};
use crate::app::App;
use crate::clock::day_of;
use crate::config::KeyMode;
use crate::log::Line;
use crate::memory::{self, Kept};
use crate::seal::days_with_rows;

/// A raw identifier on its way from a person to the boundary. Shown to nobody, wiped when dropped.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RawIdentifier(pub String);

impl Drop for RawIdentifier {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for RawIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RawIdentifier(redacted)")
    }
}

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// List the days.
    List,
    /// Make the state of a new group.
    Init,
    /// The recipient for hand-overs to this collector.
    Request,
    /// Hand the state over.
    JoinOffer {
        /// The new member's recipient.
        to: String,
    },
    /// Take the state over.
    JoinAccept {
        /// The armoured text.
        file: String,
        /// Whether a state that is there may be given up.
        replace: Replace,
    },
    /// Make fresh entropy, or hand it over again.
    MixOffer {
        /// The day; tomorrow where none is named.
        day: Option<Date>,
        /// The other members' recipients.
        to: Vec<String>,
    },
    /// Take fresh entropy over.
    MixAccept {
        /// The armoured text.
        file: String,
    },
    /// Show whether a day's tokens can still be computed.
    Prove {
        /// The day.
        day: Date,
        /// `KIND=VALUE`.
        id: RawIdentifier,
    },
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The days.
    Listing(Listing),
    /// The state of a new group is there.
    Shared {
        /// The group's random name.
        group: String,
    },
    /// Where to encrypt to.
    Recipient(String),
    /// An armoured text.
    Handover(String),
    /// The collector is a member now.
    Joined(Joined),
    /// Fresh entropy waits for this day.
    Mixed(Date),
    /// Whether a day's tokens can still be computed.
    Proof(Proof),
}

/// All days that have or had a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listing {
    /// Own keys or shared ones.
    pub mode: KeyMode,
    /// How they are kept in memory.
    pub memory: Kept,
    /// The shared state, if there is one.
    pub shared: Option<Shown>,
    /// By day.
    pub days: Vec<KeyRecord>,
}

/// Carries out what was asked. Waits for files and the store.
///
/// # Errors
/// In words for the person who asked.
pub fn carry_out(asked: Asked, app: &App) -> Result<Answer, String> {
    let now_ms = app.clock.now_ms();
    let keyring = &app.keyring;
    let keys = |error: super::KeyError| error.to_string();
    let answer = match asked {
        Asked::List => Answer::Listing(Listing {
            mode: keyring.mode(),
            memory: memory::examine(),
            shared: keyring.shown().map_err(keys)?,
            days: keyring.records(),
        }),
        Asked::Init => Answer::Shared { group: keyring.init_shared(now_ms).map_err(keys)? },
        Asked::Request => Answer::Recipient(keyring.request().map_err(keys)?),
        Asked::JoinOffer { to } => Answer::Handover(keyring.offer(&to, now_ms).map_err(keys)?),
        Asked::JoinAccept { file, replace } => Answer::Joined(keyring.join(&file, replace, now_ms).map_err(keys)?),
        Asked::MixOffer { day, to } => Answer::Handover(keyring.mix_offer(day, &to, now_ms).map_err(keys)?),
        Asked::MixAccept { file } => Answer::Mixed(keyring.mix_accept(&file, now_ms).map_err(keys)?),
        Asked::Prove { day, id } => {
            let evidence = Evidence {
                log: app.sealer.audit.contents().map_err(|error| error.to_string())?,
                has_rows: days_with_rows(&*app.store).map_err(|error| error.to_string())?.contains(&day_of(day)),
                apps: app.app_ids(),
            };
            Answer::Proof(prove(keyring, day, &id.0, &evidence).map_err(|error| error.to_string())?)
        }
    };
    // The record of keys has it by now: where the store is away, the sealer's round enters it later.
    if let Err(error) = chronicle::enter(keyring, &app.sealer.audit, &*app.store, now_ms) {
        Line::KeysNotEntered { fault: (&error).into() }.write();
    }
    Ok(answer)
}
