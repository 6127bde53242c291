//! One event of a report: its name, time, place and properties.

use alloc::vec::Vec;
use core::ops::Range;

use super::{Arrival, Granted, Rules, TOO_OLD_MS, Tokens};
use crate::catalogue::{Catalogue, Purposes};
use crate::detect::{Detector, Watch};
use crate::device::Facets;
use crate::event::{AnonymousEvent, AnonymousPlace, Flags, INSTALL_WEEK_UNKNOWN};
use crate::place::Coarsener;
use crate::refusal::{Note, Notes, Refusal};
use crate::report::{Event, Location, Report, Value};
use crate::suggest::{MOST_OF_A_REPORT, Sighting};
use crate::time::{Day, LocalHour, parse_ms};
use crate::token::Purpose;
use crate::witness::{Decision, Fate, Form, Why, Witness};

/// A geohash of so many characters has fewer digits than any number that a detector knows.
const SHORT_GEOHASH: usize = 8;

pub(super) struct Kept {
    pub(super) events: Vec<AnonymousEvent>,
    /// Codes of all events, one after the other.
    pub(super) properties: Vec<u32>,
    pub(super) places: Vec<AnonymousPlace>,
    pub(super) sightings: Vec<Sighting>,
}

impl Kept {
    /// With room for all of a report.
    pub(super) fn of(report: &Report<'_>, events: usize) -> Kept {
        Kept {
            events: Vec::with_capacity(events),
            properties: Vec::with_capacity(report.properties.len()),
            places: Vec::new(),
            sightings: Vec::new(),
        }
    }
}

pub(super) struct EventContext<'a> {
    pub(super) rules: Rules<'a>,
    pub(super) arrival: Arrival<'a>,
    pub(super) arrived: Day,
    pub(super) clock_error_ms: i64,
    pub(super) granted: Granted,
    pub(super) facets: Facets,
    pub(super) version: u32,
    pub(super) index: u32,
}

/// What the events of a report are taken with, one after the other.
pub(super) struct Hands<'h, 't> {
    pub(super) coarsener: &'h mut Coarsener<'t>,
    pub(super) tokens: &'h mut Tokens<'t>,
    pub(super) kept: &'h mut Kept,
    pub(super) notes: &'h mut Notes,
    pub(super) watch: &'h mut Watch,
}

impl Hands<'_, '_> {
    /// Keeps the sighting of a name, once, where the device has a token on the day of arrival.
    #[cold]
    fn sight(&mut self, event: Option<&str>, name: &str, arrived: Day) {
        let sightings = &mut self.kept.sightings;
        if sightings.len() >= MOST_OF_A_REPORT || sightings.iter().any(|known| known.is_of(event, name)) {
            return;
        }
        let token = self.tokens.of(arrived, Purpose::Usage);
        sightings.extend(token.and_then(|token| Sighting::of(token, event, name)));
    }
}

/// Takes one event, or says why not.
pub(super) fn take<W: Witness>(
    witness: &mut W,
    report: &Report<'_>,
    event: &Event<'_>,
    context: &EventContext<'_>,
    hands: &mut Hands<'_, '_>,
) -> Result<(), Refusal> {
    let granted = context.granted?;
    if !event.is_object {
        return Err(Refusal::MalformedEvent);
    }
    let name = event.name.text().ok_or(Refusal::MalformedEvent)?;
    let Some(declared) = context.rules.catalogue.event(name) else {
        if granted.usage {
            hands.sight(None, name, context.arrived);
        }
        return Err(Refusal::UnknownEvent);
    };
    let (when, late) = when(event, context)?;
    let placed = place(event, when.day, context, granted, hands);
    tell_of_place(witness, event, context.index, placed);
    if placed.is_err() && !granted.usage {
        return Err(Refusal::NothingToKeep);
    }
    if let Ok(place) = placed {
        add_place(&mut hands.kept.places, place);
    }
    witness.event(context.index, Ok(crate::witness::Kept { usage: granted.usage, place: placed.is_ok() }));
    if late {
        hands.notes.add(Note::Late, 1);
    }
    if !granted.usage {
        hands.notes.add(Note::NoUsageConsent, 1);
        tell_of_name_and_time(
            witness,
            context.index,
            Fate::Dropped(Why::Noted(Note::NoUsageConsent)),
            Form::LocalDay,
        );
        for (key, value) in report.properties_of(event) {
            let found = look_at_property(declared, key.as_str(), value, hands.watch);
            let why = found.map_or(Note::NoUsageConsent, Note::PersonalData);
            tell_of_property(witness, context.index, None, refused_if_personal(why));
        }
        return Ok(());
    }
    tell_of_name_and_time(
        witness,
        context.index,
        Fate::Taken(Form::Declared),
        if late { Form::LateHour } else { Form::LocalHour },
    );
    let token = hands.tokens.of(when.day, Purpose::Usage);
    if token.is_none() {
        hands.notes.add(Note::NoToken, 1);
    }
    let properties = properties(witness, report, event, declared, context, hands);
    hands.kept.events.push(AnonymousEvent {
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

/// Shows the detectors what a refused event holds beside declared words.
#[cold]
pub(super) fn look_over(
    report: &Report<'_>,
    event: &Event<'_>,
    catalogue: &Catalogue,
    reason: Refusal,
    watch: &mut Watch,
) {
    let declared = event.name.text().and_then(|name| catalogue.event(name));
    if declared.is_none() {
        watch.value(&event.name);
    }
    if event.at.text().and_then(parse_ms).is_none() {
        watch.value(&event.at);
    }
    // Where no place could be kept, it was looked at before.
    if let Some(location) = event.location.as_ref().filter(|_| reason != Refusal::NothingToKeep) {
        look_at_place(location, watch);
    }
    for (key, value) in report.properties_of(event) {
        match declared {
            Some(declared) => {
                look_at_property(declared, key.as_str(), value, watch);
            }
            None => {
                look_at_pair(key.as_str(), value, watch);
            }
        }
    }
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

/// The place of an event; else why there is none, where the event has one.
fn place(
    event: &Event<'_>,
    day: Day,
    context: &EventContext<'_>,
    granted: Purposes,
    hands: &mut Hands<'_, '_>,
) -> Result<AnonymousPlace, Option<Note>> {
    let location = event.location.as_ref().ok_or(None)?;
    let cell = hands.coarsener.coarsen(location);
    if !(cell.is_some() && is_only_a_place(location))
        && let Some(detector) = look_at_place(location, hands.watch)
    {
        return Err(Some(Note::PersonalData(detector)));
    }
    if !granted.location {
        hands.notes.add(Note::NoLocationConsent, 1);
        return Err(Some(Note::NoLocationConsent));
    }
    let Some(cell) = cell else {
        hands.notes.add(Note::InvalidPlace, 1);
        return Err(Some(Note::InvalidPlace));
    };
    let Some(token) = hands.tokens.of(day, Purpose::Location) else {
        hands.notes.add(Note::PlaceWithoutToken, 1);
        return Err(Some(Note::PlaceWithoutToken));
    };
    Ok(AnonymousPlace { day, app: context.rules.catalogue.app_code(), token, cell, n: 1 })
}

/// Whether a location that is a place can hold nothing else: two numbers, or a short geohash.
fn is_only_a_place(location: &Location<'_>) -> bool {
    match (&location.lat, &location.lon, &location.geohash) {
        (Value::Absent, Value::Absent, geohash) => geohash.text().is_some_and(|text| text.len() <= SHORT_GEOHASH),
        (_, _, geohash) => geohash.is_absent(),
    }
}

/// Digits and most letters are characters of a geohash: a phone number would be the place of one.
#[cold]
fn look_at_place(location: &Location<'_>, watch: &mut Watch) -> Option<Detector> {
    let mut found = watch.value(&location.geohash);
    for value in [&location.lat, &location.lon] {
        if value.number().is_none() {
            found = found.or_else(|| watch.value(value));
        }
    }
    found
}

fn add_place(places: &mut Vec<AnonymousPlace>, place: AnonymousPlace) {
    match places.iter_mut().find(|known| known.day == place.day && known.cell == place.cell) {
        Some(known) => known.n = known.n.saturating_add(1),
        None => places.push(place),
    }
}

/// Adds the codes of an event's properties to those of the report: sorted, each once. Answers where they are.
fn properties<W: Witness>(
    witness: &mut W,
    report: &Report<'_>,
    event: &Event<'_>,
    declared: &crate::catalogue::Event,
    context: &EventContext<'_>,
    hands: &mut Hands<'_, '_>,
) -> Range<usize> {
    let index = context.index;
    let first = hands.kept.properties.len();
    let mut likely = 0;
    for (key, value) in report.properties_of(event) {
        let Some((place, name, property)) = declared.property(key.as_str(), likely) else {
            let found = look_at_pair(key.as_str(), value, hands.watch);
            let note = noted(found, Note::UndeclaredProperty, hands.notes);
            tell_of_property(witness, index, None, refused_if_personal(note));
            hands.sight(Some(declared.name()), key.as_str(), context.arrived);
            continue;
        };
        likely = place + 1;
        let codes = &mut hands.kept.properties;
        match property.code(value) {
            Some(code) => {
                // At most 64 to look through.
                if !codes.iter().skip(first).any(|known| *known == code) {
                    codes.push(code);
                }
                tell_of_property(witness, index, Some(name), Fate::Taken(property.form()));
            }
            None if value.is_absent() => {}
            None => {
                let note = noted(hands.watch.value(value), Note::InvalidValue, hands.notes);
                tell_of_property(witness, index, Some(name), refused_if_personal(note));
            }
        }
    }
    let codes = &mut hands.kept.properties;
    codes.get_mut(first..).unwrap_or_default().sort_unstable();
    first..codes.len()
}

/// Shows the detectors an undeclared property. It counts once, whether its key, its value or both are personal data, so
/// that what is counted is what a preview tells.
fn look_at_pair(key: &str, value: &Value<'_>, watch: &mut Watch) -> Option<Detector> {
    watch.text(key).or_else(|| watch.value(value))
}

/// Shows the detectors a property of which nothing is kept.
fn look_at_property(
    declared: &crate::catalogue::Event,
    key: &str,
    value: &Value<'_>,
    watch: &mut Watch,
) -> Option<Detector> {
    match declared.property(key, 0) {
        None => look_at_pair(key, value, watch),
        Some((_, _, property)) if property.code(value).is_some() => None,
        Some(_) => watch.value(value),
    }
}

/// The note for something dropped: personal data, which the watch has counted, or else `otherwise`.
fn noted(found: Option<Detector>, otherwise: Note, notes: &mut Notes) -> Note {
    match found {
        Some(detector) => Note::PersonalData(detector),
        None => {
            notes.add(otherwise, 1);
            otherwise
        }
    }
}

/// Personal data is refused, anything else dropped.
fn refused_if_personal(note: Note) -> Fate {
    match note {
        Note::PersonalData(_) => Fate::Refused(Why::Noted(note)),
        _ => Fate::Dropped(Why::Noted(note)),
    }
}

fn tell_of_name_and_time<W: Witness>(witness: &mut W, index: u32, name: Fate, time: Form) {
    witness.saw(Decision::at("events[].name", index, name));
    witness.saw(Decision::at("events[].at", index, Fate::Taken(time)));
}

fn tell_of_place<W: Witness>(
    witness: &mut W,
    event: &Event<'_>,
    index: u32,
    placed: Result<AnonymousPlace, Option<Note>>,
) {
    if !W::LOOKS {
        return;
    }
    let (Some(location), fate) = (
        &event.location,
        match placed {
            Ok(place) => Fate::Taken(Form::of_cell(place.cell)),
            Err(Some(note)) => refused_if_personal(note),
            Err(None) => return,
        },
    ) else {
        return;
    };
    for (path, value) in super::telling::parts_of(location) {
        let by_coordinates = location.lat.number().is_some() && location.lon.number().is_some();
        let fate = match fate {
            Fate::Taken(_) if by_coordinates && path.ends_with("geohash") => Fate::Dropped(Why::CoordinatesFirst),
            Fate::Taken(_) if !by_coordinates && !path.ends_with("geohash") => Fate::Dropped(Why::Unreadable),
            fate => fate,
        };
        if !value.is_absent() {
            witness.saw(Decision::at(path, index, fate));
        }
    }
}

fn tell_of_property<W: Witness>(witness: &mut W, index: u32, name: Option<&str>, fate: Fate) {
    witness.saw(Decision { path: "events[].props.*", index: Some(index), name, times: 1, fate });
}
