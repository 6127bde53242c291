//! What a witness is told of the parts that are decided for the whole report, and what the detectors see of them.

use super::Granted;
use crate::catalogue::Catalogue;
use crate::detect::{Detector, Watch, detect_in_version};
use crate::device::{Facets, Misplaced};
use crate::identifier::{Kind, Unusable, canonicalise};
use crate::refusal::{Note, Refusal};
use crate::report::{Activity, Event, Location, Report, Value};
use crate::time::parse_week;
use crate::token::Purpose;
use crate::witness::{Decision, Fate, Form, Why, Witness};

/// The app's version, as the catalogue knows it.
pub(super) struct Version<'a> {
    pub(super) code: u32,
    pub(super) catalogue: &'a Catalogue,
}

/// A version that the catalogue does not declare.
pub(super) fn look_at_version(report: &Report<'_>, watch: &mut Watch) {
    match report.app_version.text() {
        Some(text) => watch.version(text),
        None => watch.value(&report.app_version),
    };
}

/// The parts of `activity` that are not of their type or form.
pub(super) fn look_at_activity(activity: &Activity<'_>, watch: &mut Watch) {
    for (_, value, form) in parts_of_activity(activity) {
        if form.is_none() {
            watch.value(value);
        }
    }
}

/// The parts of a location, with their paths.
pub(super) fn parts_of<'l, 'a>(location: &'l Location<'a>) -> [(&'static str, &'l Value<'a>); 3] {
    [
        ("events[].location.lat", &location.lat),
        ("events[].location.lon", &location.lon),
        ("events[].location.geohash", &location.geohash),
    ]
}

/// The parts of `activity`, with their paths; the form is none where one is not of its type or form.
fn parts_of_activity<'l, 'a>(activity: &'l Activity<'a>) -> [(&'static str, &'l Value<'a>, Option<Form>); 6] {
    let flag = |value: &Value<'_>| value.bool().map(|_| Form::Flag);
    let week = activity.install_week.text().and_then(parse_week).map(|_| Form::Weeks);
    let days = activity.days_since_install.number().map(|_| Form::CohortDay);
    [
        ("activity.first_today", &activity.first_today, flag(&activity.first_today)),
        ("activity.first_this_week", &activity.first_this_week, flag(&activity.first_this_week)),
        ("activity.first_this_month", &activity.first_this_month, flag(&activity.first_this_month)),
        ("activity.first_ever", &activity.first_ever, flag(&activity.first_ever)),
        ("activity.install_week", &activity.install_week, week),
        ("activity.days_since_install", &activity.days_since_install, days),
    ]
}

/// Of a refused event.
pub(super) fn refused<W: Witness>(
    witness: &mut W,
    report: &Report<'_>,
    event: &Event<'_>,
    index: u32,
    reason: Refusal,
) {
    witness.event(index, Err(reason));
    if !W::LOOKS {
        return;
    }
    let fate = Fate::Refused(Why::Event(reason));
    // Why there is no place was told before.
    let location = event.location.as_ref().filter(|_| reason != Refusal::NothingToKeep).map(parts_of);
    let parts = [("events[].name", &event.name), ("events[].at", &event.at)];
    for (path, value) in parts.into_iter().chain(location.into_iter().flatten()) {
        if !value.is_absent() {
            witness.saw(Decision::at(path, index, fate));
        }
    }
    let times = u32::try_from(report.properties_of(event).len()).unwrap_or(u32::MAX);
    if times > 0 {
        witness.saw(Decision { times, ..Decision::at("events[].props.*", index, fate) });
    }
}

/// Of the report's own fields, its consent, its identifiers, and all that the protocol does not know.
pub(super) fn report<W: Witness>(
    witness: &mut W,
    report: &Report<'_>,
    granted: Granted,
    decisive: Option<usize>,
    tokens_kept: [(Purpose, bool); 2],
) {
    if !report.report_id.is_absent() {
        witness.saw(Decision::of("report_id", Fate::Taken(Form::Fingerprint)));
    }
    witness.saw(Decision::of("sent_at", Fate::Taken(Form::Memory)));
    if let Some(consent) = &report.consent {
        let policy = match granted {
            Err(Refusal::UnknownPolicy) => {
                let found = consent.policy.text().and_then(detect_in_version);
                Fate::Refused(found.map_or(Why::Event(Refusal::UnknownPolicy), personal))
            }
            _ => Fate::Taken(Form::Memory),
        };
        let memory = Fate::Taken(Form::Memory);
        for (path, value, fate) in [
            ("consent.usage", &consent.usage, memory),
            ("consent.location", &consent.location, memory),
            ("consent.policy", &consent.policy, policy),
        ] {
            tell(witness, path, value, fate);
        }
    }
    for (purpose, _) in tokens_kept.iter().filter(|(_, is_kept)| *is_kept) {
        witness.token(*purpose);
    }
    identifiers(witness, report, decisive, tokens_kept.iter().any(|(_, is_kept)| *is_kept));
    for (detector, times) in report.watch.counts() {
        witness.saw(Decision { times, ..Decision::of("*", Fate::Refused(personal(detector))) });
    }
    if report.unknown_fields > 0 {
        let fate = Fate::Dropped(Why::Noted(Note::UnknownField));
        witness.saw(Decision { times: report.unknown_fields, ..Decision::of("*", fate) });
    }
}

/// Of every identifier.
pub(super) fn identifiers<W: Witness>(
    witness: &mut W,
    report: &Report<'_>,
    decisive: Option<usize>,
    has_token: bool,
) {
    if !W::LOOKS {
        return;
    }
    for (position, id) in report.device.ids.iter().enumerate() {
        let kind = id.kind.text().and_then(Kind::from_name);
        let Some((kind, value)) = kind.zip(id.value.text()) else { continue };
        let fate = match canonicalise(kind, value) {
            Ok(_) if decisive == Some(position) && !has_token => Fate::Dropped(Why::NothingKept),
            Ok(_) if decisive == Some(position) => Fate::Taken(Form::Token),
            Ok(_) => Fate::Dropped(Why::LowerPrecedence),
            Err(why @ Unusable::Invalid(_)) => Fate::Refused(Why::Identifier(why)),
            Err(why) => Fate::Dropped(Why::Identifier(why)),
        };
        let index = u32::try_from(position).unwrap_or(u32::MAX);
        witness.saw(Decision::at("device.ids[].kind", index, fate));
        witness.saw(Decision::at("device.ids[].value", index, fate));
    }
}

/// Of what describes the device and its days, which is kept in rows of use.
pub(super) fn device<W: Witness>(
    witness: &mut W,
    report: &Report<'_>,
    facets: Facets,
    misplaced: Misplaced,
    version: Version<'_>,
    nothing_kept: bool,
) {
    let device = &report.device;
    for (path, value, number, found, form) in [
        ("device.platform", &device.platform, facets.platform, misplaced.platform, Form::Registered),
        ("device.os_version", &device.os_version, facets.os, misplaced.os, Form::MajorVersion),
        ("device.class", &device.class, facets.class, misplaced.class, Form::Registered),
        ("device.language", &device.language, facets.language, misplaced.language, Form::Registered),
    ] {
        let form = if number == 0 { Form::Other } else { form };
        tell(witness, path, value, facet(value, found, form, nothing_kept));
    }
    let text = report.app_version.text();
    let found = text.filter(|text| version.catalogue.version(text) == 0).and_then(detect_in_version);
    let form = if version.code == 0 { Form::Other } else { Form::Declared };
    tell(witness, "app.version", &report.app_version, facet(&report.app_version, found, form, nothing_kept));
    for (path, value, form) in parts_of_activity(&report.activity) {
        let found = if form.is_none() { Watch::default().value(value) } else { None };
        let fate = match (found, form) {
            (Some(detector), _) => Fate::Refused(personal(detector)),
            (None, None) => Fate::Dropped(Why::Unreadable),
            (None, Some(_)) if nothing_kept => Fate::Dropped(Why::NothingKept),
            (None, Some(form)) => Fate::Taken(form),
        };
        tell(witness, path, value, fate);
    }
}

fn facet(value: &Value<'_>, found: Option<Detector>, form: Form, nothing_kept: bool) -> Fate {
    match found.or_else(|| value.text().is_none().then(|| Watch::default().value(value)).flatten()) {
        Some(detector) => Fate::Refused(personal(detector)),
        None if nothing_kept => Fate::Dropped(Why::NothingKept),
        None if value.text().is_none() => Fate::Dropped(Why::Unreadable),
        None => Fate::Taken(form),
    }
}

fn personal(detector: Detector) -> Why {
    Why::Noted(Note::PersonalData(detector))
}

fn tell<W: Witness>(witness: &mut W, path: &'static str, value: &Value<'_>, fate: Fate) {
    if !value.is_absent() {
        witness.saw(Decision::of(path, fate));
    }
}
