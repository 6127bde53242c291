//! The boundary itself: one ordered list of steps that turns an untrusted report into anonymous rows.
//!
//! Guarantees: nothing leaves but [`Anonymised`]: encoded rows of coarsened values and fixed words. No identifier, no
//! coordinate, no text of the report is in it.
//! Does not: write, log, or ask for the time or for randomness; the caller brings both.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use rand_core::Rng;

use crate::catalogue::{Catalogue, Purposes};
use crate::detect::detect;
use crate::device::{Facets, facets};
use crate::encode::encode;
use crate::event::{AnonymousEvent, AnonymousPlace, Flags, INSTALL_WEEK_OLDER, INSTALL_WEEK_UNKNOWN, Rows};
use crate::identifier::{Canonical, Choice, Kind, canonicalise, choose};
use crate::place::Region;
use crate::refusal::{Note, Notes, Refusal};
use crate::report::{Activity, Consent, Event, Report};
use crate::suppression::Suppressed;
use crate::time::{Day, LocalHour, Offsets, parse_ms, parse_week, week};
use crate::token::{Purpose, Token, Tokeniser};

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
#[derive(Debug, Clone, PartialEq, Eq)]
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
    // 1. The fields that every report needs.
    let required = required(report)?;
    let mut notes = Notes::default();
    notes.add(Note::UnknownField, report.unknown_fields);

    // 2. Consent: what the user granted, and what the policy they saw had asked for.
    let granted = granted(required.consent, rules.catalogue, arrival.opted_out)?;

    // 3. One identifier, in canonical form; from here on only its tokens. And whether its owner has withdrawn, which
    //    changes nothing until the last step: a withdrawn device costs the same work and gets the same answer.
    let Identified { identifier, suppressed } = identify(report, rules.suppressed)?;

    // 4. The device, coarsened.
    let facets = facets(&report.device);
    let version = report.app_version.text().map_or(0, |text| rules.catalogue.version(text));

    // 5. The day of arrival, and how wrong the device's clock is.
    let arrived = arrival.offsets.local(arrival.at_ms.div_euclid(1_000)).day;
    if !arrival.open_days.iter().any(|(day, _)| *day == arrived) {
        return Err(Rejection::NoOpenDay);
    }
    let clock_error_ms = arrival.at_ms.saturating_sub(required.sent_at_ms);

    // 6. Every event on its own: name, time, place, properties.
    let mut tokens = Tokens { app: rules.catalogue.app(), identifier, days: arrival.open_days, known: Vec::new() };
    let mut kept = Kept::of(report, required.events.len());
    let mut refused = Vec::new();
    for (index, event) in (0_u32..).zip(required.events) {
        let context = EventContext { rules, arrival, arrived, clock_error_ms, granted, facets, version };
        if let Err(reason) = take(report, event, &context, &mut tokens, &mut kept, &mut notes) {
            refused.push((index, reason));
        }
    }

    // 7. What the app remembers of its own first days, on the earliest day of the report.
    mark_first_use(&report.activity, &mut kept.events);

    // 8. Shuffled and encoded: no order, no report id, no time of arrival.
    let received = u32::try_from(required.events.len()).unwrap_or(u32::MAX);
    let accepted = received - u32::try_from(refused.len()).unwrap_or(received);
    let mut rows = encode(kept.events, &kept.properties, kept.places, rng);

    // 9. A withdrawn device leaves none of them.
    if suppressed {
        rows.withhold();
    }
    Ok(Anonymised { day: arrived, received, accepted, refused, notes, suppressed, rows })
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

fn granted(consent: &Consent<'_>, catalogue: &Catalogue, opted_out: bool) -> Result<Granted, Rejection> {
    let policy = consent.policy.text().ok_or(Rejection::Field("/consent/policy"))?;
    if opted_out {
        return Ok(Err(Refusal::OptedOut));
    }
    let Some(asked) = catalogue.policy(policy) else {
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
    identifier: Option<Canonical>,
    suppressed: bool,
}

fn identify(report: &Report<'_>, list: Option<&Suppressed>) -> Result<Identified, Rejection> {
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
    let identifier = match choose(ids).map_err(|_| Rejection::Identifier)? {
        Choice::Chosen(identifier) => Some(identifier),
        Choice::NoToken(_) => None,
    };
    Ok(Identified { identifier, suppressed })
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

struct Kept {
    events: Vec<AnonymousEvent>,
    /// Codes of all events, one after the other.
    properties: Vec<u32>,
    places: Vec<AnonymousPlace>,
}

impl Kept {
    /// With room for all of a report.
    fn of(report: &Report<'_>, events: usize) -> Kept {
        Kept {
            events: Vec::with_capacity(events),
            properties: Vec::with_capacity(report.properties.len()),
            places: Vec::new(),
        }
    }
}

struct EventContext<'a> {
    rules: Rules<'a>,
    arrival: Arrival<'a>,
    arrived: Day,
    clock_error_ms: i64,
    granted: Granted,
    facets: Facets,
    version: u32,
}

/// Takes one event, or says why not.
fn take(
    report: &Report<'_>,
    event: &Event<'_>,
    context: &EventContext<'_>,
    tokens: &mut Tokens<'_>,
    kept: &mut Kept,
    notes: &mut Notes,
) -> Result<(), Refusal> {
    let granted = context.granted?;
    if !event.is_object {
        return Err(Refusal::MalformedEvent);
    }
    let name = event.name.text().ok_or(Refusal::MalformedEvent)?;
    let Some(declared) = context.rules.catalogue.event(name) else {
        if detect(name).is_some() {
            notes.add(Note::PersonalData, 1);
        }
        return Err(Refusal::UnknownEvent);
    };
    let (when, late) = when(event, context)?;
    let placed = place(event, when.day, context, granted, tokens, notes);
    if let Some(place) = placed {
        add_place(&mut kept.places, place);
    } else if !granted.usage {
        return Err(Refusal::NothingToKeep);
    }
    if late {
        notes.add(Note::Late, 1);
    }
    if !granted.usage {
        notes.add(Note::NoUsageConsent, 1);
        return Ok(());
    }
    let token = tokens.of(when.day, Purpose::Usage);
    if token.is_none() {
        notes.add(Note::NoToken, 1);
    }
    let properties = properties(report, event, declared, &mut kept.properties, notes);
    kept.events.push(AnonymousEvent {
        when,
        app: context.rules.catalogue.app_code(),
        event: declared.code,
        token,
        facets: context.facets,
        version: context.version,
        flags: Flags(if late { Flags::LATE } else { 0 }),
        install_week_age: INSTALL_WEEK_UNKNOWN,
        properties,
    });
    Ok(())
}

/// The local hour on which an event counts, and whether that is the day of arrival in place of its own.
fn when(event: &Event<'_>, context: &EventContext<'_>) -> Result<(LocalHour, bool), Refusal> {
    let at = event.at.text().and_then(parse_ms).ok_or(Refusal::InvalidTime)?;
    let corrected = at.saturating_add(context.clock_error_ms);
    let age_ms = context.arrival.at_ms.saturating_sub(corrected);
    if age_ms > TOO_OLD_MS {
        return Err(Refusal::TooOld);
    }
    if age_ms < -context.rules.future_tolerance_ms {
        return Err(Refusal::FromTheFuture);
    }
    // Within the tolerance an event can fall on tomorrow, which has no key yet: it happened by its arrival.
    let second = corrected.min(context.arrival.at_ms).div_euclid(1_000);
    let local = context.arrival.offsets.local(second);
    if context.arrival.open_days.iter().any(|(day, _)| *day == local.day) {
        return Ok((local, false));
    }
    Ok((LocalHour { day: context.arrived, hour: local.hour }, true))
}

fn place(
    event: &Event<'_>,
    day: Day,
    context: &EventContext<'_>,
    granted: Purposes,
    tokens: &mut Tokens<'_>,
    notes: &mut Notes,
) -> Option<AnonymousPlace> {
    let location = event.location.as_ref()?;
    if !granted.location {
        notes.add(Note::NoLocationConsent, 1);
        return None;
    }
    let Some(cell) = context.rules.region.coarsen(location) else {
        notes.add(Note::InvalidPlace, 1);
        return None;
    };
    let Some(token) = tokens.of(day, Purpose::Location) else {
        notes.add(Note::PlaceWithoutToken, 1);
        return None;
    };
    Some(AnonymousPlace { day, app: context.rules.catalogue.app_code(), token, cell, n: 1 })
}

fn add_place(places: &mut Vec<AnonymousPlace>, place: AnonymousPlace) {
    match places.iter_mut().find(|known| known.day == place.day && known.cell == place.cell) {
        Some(known) => known.n = known.n.saturating_add(1),
        None => places.push(place),
    }
}

/// Adds the codes of an event's properties to `codes`: sorted, each once. Answers where they are.
fn properties(
    report: &Report<'_>,
    event: &Event<'_>,
    declared: &crate::catalogue::Event,
    codes: &mut Vec<u32>,
    notes: &mut Notes,
) -> Range<usize> {
    let first = codes.len();
    let mut likely = 0;
    for (key, value) in report.properties_of(event) {
        let Some((index, property)) = declared.property(key.as_str(), likely) else {
            notes.add(dropped(&[Some(key.as_str()), value.text()], Note::UndeclaredProperty), 1);
            continue;
        };
        likely = index + 1;
        match property.code(value) {
            // At most 64 to look through.
            Some(code) if codes.iter().skip(first).any(|known| *known == code) => {}
            Some(code) => codes.push(code),
            None if value.is_absent() => {}
            None => notes.add(dropped(&[value.text()], Note::InvalidValue), 1),
        }
    }
    codes.get_mut(first..).unwrap_or_default().sort_unstable();
    first..codes.len()
}

/// The note for something dropped: personal data where a detector sees some, else `otherwise`.
fn dropped(texts: &[Option<&str>], otherwise: Note) -> Note {
    if texts.iter().flatten().any(|text| detect(text).is_some()) { Note::PersonalData } else { otherwise }
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
