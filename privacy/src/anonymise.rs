//! The boundary itself: one ordered list of steps that turns an untrusted report into anonymous rows.
//!
//! Guarantees: nothing leaves but [`Anonymised`]: encoded rows of coarsened values and fixed words. No identifier, no
//! coordinate, no text of the report is in it. Detectors look at every name and value that is not a declared or
//! registered one, and what they find is refused and counted, wherever it stands. What is decided can be watched
//! ([`anonymise_before`]); whoever watches learns fixed words and declared names alone.
//! Does not: write, log, or ask for the time or for randomness; the caller brings both.

use alloc::sync::Arc;
use alloc::vec::Vec;

use rand_core::Rng;

use crate::catalogue::{Catalogue, Purposes};
use crate::detect::Watch;
use crate::device::facets;
use crate::encode::encode;
use crate::event::{AnonymousEvent, Flags, INSTALL_WEEK_OLDER, INSTALL_WEEK_UNKNOWN, Rows};
use crate::identifier::{Canonical, Choice, Kind, canonicalise, choose_at};
use crate::place::{Coarsener, Region};
use crate::refusal::{Note, Notes, Refusal};
use crate::report::{Activity, Consent, Event, Report};
use crate::suggest::Sighting;
use crate::suppression::Suppressed;
use crate::time::{Day, Offsets, parse_ms, parse_week, week};
use crate::token::{Purpose, Token, Tokeniser};
use crate::witness::Witness;

mod event;
mod telling;

use event::{EventContext, Kept};

/// Events older than this on arrival are refused.
pub const TOO_OLD_MS: i64 = 7 * 86_400_000;

/// What holds for every report of an app.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The app's allow-list.
    pub catalogue: &'a Catalogue,
    /// Where places are told apart.
    pub region: &'a Region,
    /// How far after its arrival an event may lie, in milliseconds.
    pub future_tolerance_ms: i64,
    /// Devices whose owners have withdrawn; none where nobody has.
    pub suppressed: Option<&'a Suppressed>,
}

/// What is known of the moment at which a report arrived.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// Milliseconds since 1970.
    pub at_ms: i64,
    /// The zone's offsets around it.
    pub offsets: &'a Offsets,
    /// The days that still take events, with their keys. The day of arrival is one of them.
    pub open_days: &'a [(Day, Arc<Tokeniser>)],
    /// The request says `Sec-GPC: 1` or `DNT: 1`.
    pub opted_out: bool,
}

/// Why a report was not taken as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// A field that every report needs is missing or of the wrong type. Holds the field's JSON pointer, which is ours.
    #[error("the report's field {0} is missing or of the wrong type")]
    Field(&'static str),
    /// No identifier is usable and at least one is invalid.
    #[error("an identifier is not of its declared kind")]
    Identifier,
    /// The day of arrival has no key.
    #[error("the day of arrival is not open")]
    NoOpenDay,
}

/// A report, anonymised.
#[derive(Debug, PartialEq, Eq)]
pub struct Anonymised {
    /// The local day of arrival, on which the report is accounted.
    pub day: Day,
    /// How many events it held.
    pub received: u32,
    /// How many of them left a row, or would have, were the device not suppressed.
    pub accepted: u32,
    /// The others: index in the report, reason.
    pub refused: Vec<(u32, Refusal)>,
    /// What was left out or noted.
    pub notes: Notes,
    /// An identifier of the report is on the suppression list. The answer is that of an accepted report; no row is kept.
    pub suppressed: bool,
    /// What is kept.
    pub rows: Rows,
    /// Names that the catalogue does not declare, of a device with a token and a consent to `usage`.
    pub sightings: Vec<Sighting>,
}

/// Anonymises a report.
///
/// # Errors
/// Where the report as a whole cannot be taken. One bad event never is a reason.
pub fn anonymise(
    report: &Report<'_>,
    rules: Rules<'_>,
    arrival: Arrival<'_>,
    rng: &mut impl Rng,
) -> Result<Anonymised, Rejection> {
    anonymise_before(&mut (), report, rules, arrival, rng)
}

/// Anonymises a report before a witness, who is told what becomes of each part of it.
///
/// # Errors
/// As [`anonymise`].
pub fn anonymise_before<W: Witness>(
    witness: &mut W,
    report: &Report<'_>,
    rules: Rules<'_>,
    arrival: Arrival<'_>,
    rng: &mut impl Rng,
) -> Result<Anonymised, Rejection> {
    // 1. The fields that every report needs.
    let required = required(report)?;
    let mut notes = Notes::default();
    notes.add(Note::UnknownField, report.unknown_fields);
    // What the parser passed over, it has shown to the detectors.
    let mut watch = report.watch;

    // 2. Consent: what the user granted, and what the policy they saw had asked for.
    let granted = granted(required.consent, rules.catalogue, arrival.opted_out, &mut watch)?;

    // 3. One identifier, in canonical form; from here on only its tokens. And whether its owner has withdrawn, which
    //    changes nothing until the last step: a withdrawn device costs the same work and gets the same answer.
    let Identified { decisive, choice, suppressed } = identify(witness, report, rules.suppressed)?;
    let identifier = match choice {
        Choice::Chosen(identifier) => Some(identifier),
        Choice::NoToken(_) => None,
    };

    // 4. The device, coarsened.
    let (facets, misplaced) = facets(&report.device, &mut watch);
    let version = report.app_version.text().map_or(0, |text| rules.catalogue.version(text));
    if version == 0 {
        telling::look_at_version(report, &mut watch);
    }

    // 5. The day of arrival, and how wrong the device's clock is.
    let arrived = arrival.offsets.local(arrival.at_ms.div_euclid(1_000)).day;
    if !arrival.open_days.iter().any(|(day, _)| *day == arrived) {
        return Err(Rejection::NoOpenDay);
    }
    let clock_error_ms = arrival.at_ms.saturating_sub(required.sent_at_ms);

    // 6. Every event on its own: name, time, place, properties.
    let mut tokens = Tokens { app: rules.catalogue.app(), identifier, days: arrival.open_days, known: Vec::new() };
    let mut kept = Kept::of(report, required.events.len());
    let mut coarsener = Coarsener::new(rules.region);
    let mut refused = Vec::new();
    for (index, event) in (0_u32..).zip(required.events) {
        let context = EventContext { rules, arrival, arrived, clock_error_ms, granted, facets, version, index };
        let mut hands = event::Hands {
            coarsener: &mut coarsener,
            tokens: &mut tokens,
            kept: &mut kept,
            notes: &mut notes,
            watch: &mut watch,
        };
        if let Err(reason) = event::take(witness, report, event, &context, &mut hands) {
            event::look_over(report, event, rules.catalogue, reason, &mut watch);
            telling::refused(witness, report, event, index, reason);
            refused.push((index, reason));
        }
    }

    // 7. What the app remembers of its own first days, on the earliest day of the report.
    mark_first_use(&report.activity, &mut kept.events);
    telling::look_at_activity(&report.activity, &mut watch);

    if W::LOOKS {
        let version = telling::Version { code: version, catalogue: rules.catalogue };
        // Others are made for names that the catalogue may lack, and gone with the report.
        let kept_for = [
            (Purpose::Usage, kept.events.iter().any(|event| event.token.is_some())),
            (Purpose::Location, !kept.places.is_empty()),
        ];
        telling::report(witness, report, granted, decisive, kept_for);
        telling::device(witness, report, facets, misplaced, version, kept.events.is_empty());
    }

    // 8. Shuffled and encoded: no order, no report id, no time of arrival.
    let received = u32::try_from(required.events.len()).unwrap_or(u32::MAX);
    let accepted = received - u32::try_from(refused.len()).unwrap_or(received);
    for (detector, times) in watch.counts() {
        notes.add(Note::PersonalData(detector), times);
    }
    if arrival.opted_out {
        // Of such a report nothing is counted but its events.
        notes = Notes::default();
    }
    let mut rows = encode(kept.events, &kept.properties, kept.places, rng);

    // 9. A withdrawn device leaves none of them.
    if suppressed {
        rows.withhold();
        kept.sightings.clear();
    }
    Ok(Anonymised { day: arrived, received, accepted, refused, notes, suppressed, rows, sightings: kept.sightings })
}

struct Required<'r, 'a> {
    sent_at_ms: i64,
    consent: &'r Consent<'a>,
    events: &'r [Event<'a>],
}

fn required<'r, 'a>(report: &'r Report<'a>) -> Result<Required<'r, 'a>, Rejection> {
    let sent_at = report.sent_at.text().and_then(parse_ms).ok_or(Rejection::Field("/sent_at"))?;
    let consent = report.consent.as_ref().ok_or(Rejection::Field("/consent"))?;
    if consent.usage.bool().is_none() && !consent.usage.is_absent() {
        return Err(Rejection::Field("/consent/usage"));
    }
    if consent.location.bool().is_none() && !consent.location.is_absent() {
        return Err(Rejection::Field("/consent/location"));
    }
    let events = report.events.as_deref().ok_or(Rejection::Field("/events"))?;
    Ok(Required { sent_at_ms: sent_at, consent, events })
}

/// What may be kept, or why every event of the report is refused.
type Granted = Result<Purposes, Refusal>;

fn granted(
    consent: &Consent<'_>,
    catalogue: &Catalogue,
    opted_out: bool,
    watch: &mut Watch,
) -> Result<Granted, Rejection> {
    let policy = consent.policy.text().ok_or(Rejection::Field("/consent/policy"))?;
    if opted_out {
        return Ok(Err(Refusal::OptedOut));
    }
    let Some(asked) = catalogue.policy(policy) else {
        watch.version(policy);
        return Ok(Err(Refusal::UnknownPolicy));
    };
    let given =
        Purposes { usage: consent.usage.bool().unwrap_or(false), location: consent.location.bool().unwrap_or(false) };
    let purposes = given.and(asked);
    if purposes == Purposes::default() {
        return Ok(Err(Refusal::NoConsent));
    }
    Ok(Ok(purposes))
}

/// What the identifiers of a report come to.
struct Identified {
    /// The one that decided it.
    decisive: Option<usize>,
    choice: Choice,
    suppressed: bool,
}

fn identify<W: Witness>(
    witness: &mut W,
    report: &Report<'_>,
    list: Option<&Suppressed>,
) -> Result<Identified, Rejection> {
    let mut ids = Vec::with_capacity(report.device.ids.len());
    for id in &report.device.ids {
        let kind = id.kind.text().and_then(Kind::from_name).ok_or(Rejection::Field("/device/ids/kind"))?;
        let value = id.value.text().ok_or(Rejection::Field("/device/ids/value"))?;
        ids.push((kind, value));
    }
    let mut suppressed = false;
    if let Some(list) = list {
        // Each of them, and not only the one that becomes the token: a device is known by any of its identifiers.
        for (kind, value) in &ids {
            suppressed |= canonicalise(*kind, value).is_ok_and(|id| list.holds(&id));
        }
    }
    let choice = choose_at(ids);
    match &choice {
        Ok((_, Choice::Chosen(identifier))) => witness.identifier(Ok(identifier.kind())),
        Ok((_, Choice::NoToken(why))) => witness.identifier(Err(*why)),
        Err(_) => telling::identifiers(witness, report, None, false),
    }
    let (decisive, choice) = choice.map_err(|_| Rejection::Identifier)?;
    Ok(Identified { decisive, choice, suppressed })
}

/// The tokens of the report's device, computed once for each day that its events fall on.
struct Tokens<'a> {
    app: &'a str,
    identifier: Option<Canonical>,
    days: &'a [(Day, Arc<Tokeniser>)],
    known: Vec<(Day, Purpose, Token)>,
}

impl Tokens<'_> {
    fn of(&mut self, day: Day, purpose: Purpose) -> Option<Token> {
        let identifier = self.identifier.as_ref()?;
        if let Some((_, _, token)) = self.known.iter().find(|(d, p, _)| *d == day && *p == purpose) {
            return Some(*token);
        }
        let (_, tokeniser) = self.days.iter().find(|(open, _)| *open == day)?;
        let token = tokeniser.token(self.app, purpose, identifier);
        self.known.push((day, purpose, token));
        Some(token)
    }
}

/// Flags belong to the day on which the report begins: a report holds the events of one local day.
fn mark_first_use(activity: &Activity<'_>, events: &mut [AnonymousEvent]) {
    let Some(first_day) = events.iter().map(|event| event.when.day).min() else {
        return;
    };
    let mut flags = 0;
    for (value, flag) in [
        (&activity.first_today, Flags::FIRST_TODAY),
        (&activity.first_this_week, Flags::FIRST_THIS_WEEK),
        (&activity.first_this_month, Flags::FIRST_THIS_MONTH),
        (&activity.first_ever, Flags::FIRST_EVER),
    ] {
        if value.bool() == Some(true) {
            flags |= flag;
        }
    }
    for (days, flag) in [(1.0, Flags::DAY_1), (7.0, Flags::DAY_7), (30.0, Flags::DAY_30)] {
        if activity.days_since_install.number() == Some(days) {
            flags |= flag;
        }
    }
    let installed = activity.install_week.text().and_then(parse_week);
    let age = installed
        .and_then(|installed| week(first_day).checked_sub(installed))
        .map_or(INSTALL_WEEK_UNKNOWN, |weeks| {
            u8::try_from(weeks).unwrap_or(INSTALL_WEEK_OLDER).min(INSTALL_WEEK_OLDER)
        });
    for event in events.iter_mut().filter(|event| event.when.day == first_day) {
        event.flags.0 |= flags;
        event.install_week_age = age;
    }
}
