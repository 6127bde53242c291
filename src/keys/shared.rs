//! The state that several collectors share, so that one device has one token at all of them.
//!
//! The file `shared.state` holds the state of the next day that has not begun: the collector passes a day as soon as it
//! begins, and makes the day's key on the way. So neither the file nor whoever steals it leads to a day whose rows may
//! exist, here or at another collector of the group. Fresh entropy waits in files of its own until its day comes, and is
//! mixed in before the day's key is made; several entropies of one day in the order of their public names, so that all
//! collectors mix alike.
//!
//! Guarantees: a state goes forward only, also over days that the collector was off, also where the clock is set back;
//! the old one is overwritten; a crash leaves the one or the other, and both give a day the same key.
//! Does not: see that another collector has the same state. [`Shown::check`] is for people to compare.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tuman_privacy::time::Day;
use tuman_privacy::token::Ratchet;
use zeroize::Zeroizing;

use super::handover::{Content, Handover, HandoverError, Identity, Mix, Recipient};
use super::ring::{State, is_destroyed, key_file, random, random_name};
use super::{Act, ActKind, KeyError, Keyring};
use crate::clock::{date_of, day_of, timestamp};
use crate::config::KeyMode;
use crate::memory::KEEPER;

const STATE: &str = "shared.state";
const REQUEST: &str = "request.identity";
/// The first bytes of a state file, with the version of its form.
const MAGIC: [u8; 8] = *b"tumanst1";
const LENGTH: usize = 50;
const MIX_NAME_DOMAIN: &[u8] = b"tuman/v1/mix-name";
/// How many days ahead entropy can be mixed in.
pub(super) const AHEAD: u16 = 30;

/// The state of a day that has not begun.
pub(super) struct Shared {
    group: [u8; 8],
    day: Day,
    ratchet: Ratchet,
}

/// What can be shown of a shared state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The random name of the group.
    pub group: String,
    /// The first day that the state leads to.
    pub next_day: Date,
    /// Four bytes in hex that are equal where the next day's key will be.
    pub check: String,
    /// Fresh entropy that waits for its day.
    pub mixes: Vec<ShownMix>,
}

/// Fresh entropy that waits for its day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownMix {
    /// Its day.
    pub day: Date,
    /// Its public name.
    pub name: String,
}

/// What a collector that joined has now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// The random name of the group.
    pub group: String,
    /// Whether today's key is the group's. Otherwise this collector had one before, and shares from tomorrow on.
    pub shares_today: bool,
}

impl Keyring {
    /// Makes the common state of a new group. A key that today has already stays, and becomes the group's.
    ///
    /// # Errors
    /// Where keys are not shared, or there is a state.
    pub fn init_shared(&self, now_ms: i64) -> Result<String, KeyError> {
        let mut state = self.state();
        self.must_share()?;
        if self.has_shared() {
            return Err(KeyError::HasState);
        }
        for (day, name) in self.mixes()?.into_keys() {
            self.folder.erase(&mix_file(day, &name))?;
        }
        let today = self.zone.day(now_ms);
        let group = *random::<8>()?;
        let begun = state.tokenisers.contains_key(&today) || is_destroyed(&state, today);
        let day = if begun { Day(today.0.saturating_add(1)) } else { today };
        let shared = Shared { group, day, ratchet: Ratchet::take_kept(&mut *random::<32>()?, &KEEPER) };
        self.act(&mut state, ActKind::KeysShared, group, today, Vec::new(), now_ms)?;
        self.write_shared(&shared)?;
        self.advance(&mut state, today, today, now_ms)?;
        Ok(hex::encode(group))
    }

    /// The public key to which others encrypt for this collector. One is made where none waits.
    ///
    /// # Errors
    /// Where keys are not shared, or a file cannot be written.
    pub fn request(&self) -> Result<String, KeyError> {
        let _turn = self.state();
        self.must_share()?;
        if let Some(bytes) = self.folder.read(REQUEST)? {
            return Ok(Identity::read(&bytes).ok_or_else(|| self.folder.damaged())?.recipient());
        }
        let identity = Identity::generate();
        self.folder.write(REQUEST, identity.expose().as_slice())?;
        Ok(identity.recipient())
    }

    /// What a new member of the group needs, encrypted to it: today's key, the state of tomorrow, waiting entropy.
    ///
    /// # Errors
    /// Where there is no state, or today has no key, or `to` is no recipient.
    pub fn offer(&self, to: &str, now_ms: i64) -> Result<String, KeyError> {
        let mut state = self.state();
        let to = [Recipient::parse(to)?];
        let shared = self.current(&mut state, now_ms)?;
        let today = self.zone.day(now_ms);
        if is_destroyed(&state, today) {
            return Err(KeyError::Destroyed(date_of(today)));
        }
        let key = self.folder.read(&key_file(today))?.ok_or(KeyError::Passed(date_of(today)))?;
        let next = Zeroizing::new(*shared.ratchet.expose());
        let handover = Handover {
            group: shared.group,
            zone: self.zone_name(),
            day: today,
            content: Content::Offer { key, state: next },
            mixes: self.read_mixes(None)?,
        };
        self.act(&mut state, ActKind::KeysOffered, shared.group, today, fingerprints(&to), now_ms)?;
        Ok(handover.encrypt(&to)?)
    }

    /// Takes over what a member of the group offered. It must have been made today, to this collector's request.
    ///
    /// # Errors
    /// Where it cannot be used, or there is a state and `replace` does not say to give it up.
    pub fn join(&self, file: &str, replace: Replace, now_ms: i64) -> Result<Joined, KeyError> {
        let mut state = self.state();
        self.must_share()?;
        if self.has_shared() && replace == Replace::No {
            return Err(KeyError::HasState);
        }
        let handover = self.open_handover(file)?;
        let Content::Offer { mut key, state: mut next } = handover.content else {
            return Err(HandoverError::WrongKind.into());
        };
        let today = self.zone.day(now_ms);
        if handover.day != today {
            return Err(HandoverError::WrongDay.into());
        }
        let tomorrow = Day(today.0.saturating_add(1));
        if let Some(day) = state.records.range(tomorrow..).map(|(day, _)| *day).find(|day| is_destroyed(&state, *day))
        {
            return Err(KeyError::LeadsToSealed(date_of(day)));
        }
        self.act(&mut state, ActKind::KeysJoined, handover.group, today, Vec::new(), now_ms)?;
        for (day, name) in self.mixes()?.into_keys() {
            self.folder.erase(&mix_file(day, &name))?;
        }
        self.write_mixes(&handover.mixes)?;
        let shares_today = match self.folder.read::<32>(&key_file(today))? {
            Some(own) => subtle::ConstantTimeEq::ct_eq(own.as_slice(), key.as_slice()).into(),
            None if is_destroyed(&state, today) => false,
            None => {
                self.adopt(&mut state, today, &mut key, now_ms)?;
                true
            }
        };
        let ratchet = Ratchet::take_kept(&mut next, &KEEPER);
        self.write_shared(&Shared { group: handover.group, day: tomorrow, ratchet })?;
        // What was encrypted to this request can be opened by nobody any more.
        self.folder.erase(REQUEST)?;
        Ok(Joined { group: hex::encode(handover.group), shares_today })
    }

    /// Fresh entropy for a coming day, encrypted to the other members. Where some waits for the day already, it is
    /// handed over once more.
    ///
    /// # Errors
    /// Where the day has begun, there is no state, or one of `to` is no recipient.
    pub fn mix_offer(&self, day: Option<Date>, to: &[String], now_ms: i64) -> Result<String, KeyError> {
        let mut state = self.state();
        let to = to.iter().map(|to| Recipient::parse(to)).collect::<Result<Vec<Recipient>, HandoverError>>()?;
        let shared = self.current(&mut state, now_ms)?;
        let today = self.zone.day(now_ms);
        let day = match day {
            Some(date) if date_of(day_of(date)) != date => return Err(KeyError::NotAComingDay(date)),
            Some(date) => day_of(date),
            None => Day(today.0.saturating_add(1)),
        };
        must_be_coming(day, &shared, today)?;
        let mut mixes = self.read_mixes(Some(day))?;
        self.act(&mut state, ActKind::KeysMixOffered, shared.group, day, fingerprints(&to), now_ms)?;
        if mixes.is_empty() {
            mixes.push(Mix { day, entropy: random()? });
            self.write_mixes(&mixes)?;
        }
        let content = Content::Mix;
        let handover = Handover { group: shared.group, zone: self.zone_name(), day, content, mixes };
        Ok(handover.encrypt(&to)?)
    }

    /// Takes over fresh entropy for a day that has not begun; answers the day.
    ///
    /// # Errors
    /// Where it cannot be used, is of another group, or its day has begun.
    pub fn mix_accept(&self, file: &str, now_ms: i64) -> Result<Date, KeyError> {
        let mut state = self.state();
        let shared = self.current(&mut state, now_ms)?;
        let handover = self.open_handover(file)?;
        if !matches!(handover.content, Content::Mix) {
            return Err(HandoverError::WrongKind.into());
        }
        if handover.group != shared.group {
            return Err(HandoverError::WrongGroup.into());
        }
        must_be_coming(handover.day, &shared, self.zone.day(now_ms))?;
        self.act(&mut state, ActKind::KeysMixAccepted, shared.group, handover.day, Vec::new(), now_ms)?;
        self.write_mixes(&handover.mixes)?;
        self.folder.erase(REQUEST)?;
        Ok(date_of(handover.day))
    }

    /// What can be shown of the shared state; `None` where there is none.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn shown(&self) -> Result<Option<Shown>, KeyError> {
        let _turn = self.state();
        let Some(mut shared) = self.read_shared()? else {
            return Ok(None);
        };
        for mix in self.read_mixes(Some(shared.day))? {
            shared.ratchet.mix(mix.entropy.as_slice());
        }
        let shown = |(day, name): (Day, String)| ShownMix { day: date_of(day), name };
        Ok(Some(Shown {
            group: hex::encode(shared.group),
            next_day: date_of(shared.day),
            check: hex::encode(shared.ratchet.check()),
            mixes: self.mixes()?.into_keys().map(shown).collect(),
        }))
    }

    /// The first day that the shared state leads to; `None` where there is no state.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn leads_to(&self) -> Result<Option<Day>, KeyError> {
        let _turn = self.state();
        Ok(self.read_shared()?.map(|shared| shared.day))
    }

    pub(super) fn has_shared(&self) -> bool {
        self.folder.has(STATE)
    }

    /// Passes all days through `through`, and makes today's key on the way. In `own` mode a state that was left goes on
    /// too, without a key.
    pub(super) fn advance(&self, state: &mut State, today: Day, through: Day, now_ms: i64) -> Result<(), KeyError> {
        let Some(mut shared) = self.read_shared()? else {
            return Ok(());
        };
        if shared.day <= through {
            while shared.day <= through {
                for mix in self.read_mixes(Some(shared.day))? {
                    shared.ratchet.mix(mix.entropy.as_slice());
                }
                let wants_key = self.mode == KeyMode::Shared
                    && shared.day == today
                    && !state.tokenisers.contains_key(&today)
                    && !is_destroyed(state, today);
                if wants_key {
                    let mut key = Zeroizing::new(*shared.ratchet.day_key().expose());
                    self.adopt(state, today, &mut key, now_ms)?;
                }
                shared.ratchet.advance();
                if shared.day == Day(u16::MAX) {
                    break;
                }
                shared.day.0 += 1;
            }
            // After the key: a crash in between finds the key, and the old state leads to the same one.
            self.write_shared(&shared)?;
        }
        // After the state: a crash in between leaves entropy of a day that is passed, which leads nowhere.
        for (day, name) in self.mixes()?.into_keys() {
            if day < shared.day {
                self.folder.erase(&mix_file(day, &name))?;
            }
        }
        Ok(())
    }

    /// The state, after the days that have begun are passed.
    fn current(&self, state: &mut State, now_ms: i64) -> Result<Shared, KeyError> {
        self.must_share()?;
        let today = self.zone.day(now_ms);
        self.advance(state, today, today, now_ms)?;
        self.read_shared()?.ok_or(KeyError::NoState)
    }

    fn must_share(&self) -> Result<(), KeyError> {
        if self.mode == KeyMode::Shared { Ok(()) } else { Err(KeyError::NotShared) }
    }

    fn zone_name(&self) -> String {
        self.zone.time_zone().iana_name().unwrap_or_default().to_owned()
    }

    fn act(
        &self,
        state: &mut State,
        act: ActKind,
        group: [u8; 8],
        day: Day,
        recipients: Vec<String>,
        now_ms: i64,
    ) -> Result<(), KeyError> {
        let (name, group) = (random_name()?, hex::encode(group));
        let act = Act { act, name, group, day: date_of(day), at: timestamp(now_ms), recipients };
        // Recorded before it is done: a crash in between leaves a line too many, and never one too few.
        self.record.append_act(&act, &self.folder)?;
        state.acts.push(act);
        Ok(())
    }

    fn open_handover(&self, file: &str) -> Result<Handover, KeyError> {
        let bytes = self.folder.read(REQUEST)?.ok_or(HandoverError::NoRequest)?;
        let identity = Identity::read(&bytes).ok_or_else(|| self.folder.damaged())?;
        let handover = Handover::decrypt(file, &identity)?;
        if handover.zone != self.zone_name() {
            return Err(HandoverError::WrongZone.into());
        }
        Ok(handover)
    }

    fn read_shared(&self) -> Result<Option<Shared>, KeyError> {
        let Some(bytes) = self.folder.read::<LENGTH>(STATE)? else {
            return Ok(None);
        };
        let (magic, rest) = bytes.split_at(8);
        let (group, rest) = rest.split_at(8);
        let (day, state) = rest.split_at(2);
        let (Ok(group), Ok(day), Ok(state)) = (group.try_into(), day.try_into(), <[u8; 32]>::try_from(state)) else {
            return Err(self.folder.damaged());
        };
        let mut state = Zeroizing::new(state);
        if magic != MAGIC {
            return Err(self.folder.damaged());
        }
        let day = Day(u16::from_be_bytes(day));
        Ok(Some(Shared { group, day, ratchet: Ratchet::take_kept(&mut state, &KEEPER) }))
    }

    fn write_shared(&self, shared: &Shared) -> Result<(), KeyError> {
        let mut bytes = Zeroizing::new([0; LENGTH]);
        let (head, state) = bytes.split_at_mut(18);
        head[..8].copy_from_slice(&MAGIC);
        head[8..16].copy_from_slice(&shared.group);
        head[16..].copy_from_slice(&shared.day.0.to_be_bytes());
        state.copy_from_slice(shared.ratchet.expose());
        self.folder.write(STATE, bytes.as_slice())
    }

    /// Days and names of all entropy that waits, in the order in which it is mixed in.
    fn mixes(&self) -> Result<BTreeMap<(Day, String), ()>, KeyError> {
        let names = self.folder.names()?;
        let parts = |name: &str| {
            let (date, name) = name.strip_prefix("mix-")?.strip_suffix(".entropy")?.split_at_checked(10)?;
            Some((day_of(date.parse().ok()?), name.strip_prefix('-')?.to_owned()))
        };
        Ok(names.iter().filter_map(|name| Some((parts(name)?, ()))).collect())
    }

    /// The entropy of one day, or of all days, in the order in which it is mixed in.
    fn read_mixes(&self, of: Option<Day>) -> Result<Vec<Mix>, KeyError> {
        let mut mixes = Vec::new();
        for (day, name) in self.mixes()?.into_keys() {
            if of.is_some_and(|of| of != day) {
                continue;
            }
            let entropy = self.folder.read::<32>(&mix_file(day, &name))?.ok_or_else(|| self.folder.damaged())?;
            if mix_name(&entropy) != name {
                return Err(self.folder.damaged());
            }
            mixes.push(Mix { day, entropy });
        }
        Ok(mixes)
    }

    fn write_mixes(&self, mixes: &[Mix]) -> Result<(), KeyError> {
        for mix in mixes {
            let file = mix_file(mix.day, &mix_name(&mix.entropy));
            if !self.folder.has(&file) {
                self.folder.write(&file, mix.entropy.as_slice())?;
            }
        }
        Ok(())
    }
}

/// Whether a state that is there may be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Replace {
    /// It stays, and the hand-over is refused.
    No,
    /// It goes.
    Yes,
}

fn must_be_coming(day: Day, shared: &Shared, today: Day) -> Result<(), KeyError> {
    // A state that the clock was ahead of has passed days that are still to come.
    let coming = day > today && day >= shared.day && day.0 - today.0 <= AHEAD;
    if coming { Ok(()) } else { Err(KeyError::NotAComingDay(date_of(day))) }
}

fn fingerprints(recipients: &[Recipient]) -> Vec<String> {
    recipients.iter().map(Recipient::fingerprint).collect()
}

fn mix_file(day: Day, name: &str) -> String {
    format!("mix-{}-{name}.entropy", date_of(day))
}

/// The public name of entropy: a hash of 32 random bytes, which says nothing of them.
fn mix_name(entropy: &[u8; 32]) -> String {
    let mut digest = Sha256::new();
    digest.update(MIX_NAME_DOMAIN);
    digest.update(entropy);
    hex::encode(&digest.finalize()[..8])
}
