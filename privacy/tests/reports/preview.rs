//! What a witness is told and what is done are the same, for reports of any content.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tuman_privacy::anonymise::{Anonymised, Rejection};
use tuman_privacy::identifier::{Kind, NoToken};
use tuman_privacy::refusal::{Note, Refusal};
use tuman_privacy::report::Report;
use tuman_privacy::token::Purpose;
use tuman_privacy::witness::{Decision, Fate, Form, Kept, Why, Witness};

use crate::any::{self, Boundary, any_report};

/// Path, index, declared name, how many, fate.
type Told = (&'static str, Option<u32>, Option<String>, u32, Fate);

/// Writes down what it is told.
#[derive(Default)]
struct Notebook {
    decisions: Vec<Told>,
    events: Vec<(u32, Result<Kept, Refusal>)>,
    identifier: Option<Result<Kind, NoToken>>,
    tokens: Vec<Purpose>,
}

impl Witness for Notebook {
    fn saw(&mut self, decision: Decision<'_>) {
        let Decision { path, index, name, times, fate } = decision;
        self.decisions.push((path, index, name.map(str::to_owned), times, fate));
    }

    fn event(&mut self, index: u32, outcome: Result<Kept, Refusal>) {
        self.events.push((index, outcome));
    }

    fn identifier(&mut self, choice: Result<Kind, NoToken>) {
        self.identifier = Some(choice);
    }

    fn token(&mut self, purpose: Purpose) {
        self.tokens.push(purpose);
    }
}

impl Notebook {
    /// How many parts of these paths were noted so.
    fn noted(&self, note: Note) -> u32 {
        let is_such =
            |fate: &Fate| matches!(fate, Fate::Dropped(Why::Noted(n)) | Fate::Refused(Why::Noted(n)) if *n == note);
        self.decisions.iter().filter(|decision| is_such(&decision.4)).map(|decision| decision.3).sum()
    }

    /// How many events have a part of their place noted so.
    fn places_noted(&self, note: Note) -> u32 {
        let is_such = |fate: &Fate| matches!(fate, Fate::Dropped(Why::Noted(n)) if *n == note);
        let events: BTreeSet<_> = self
            .decisions
            .iter()
            .filter(|(path, _, _, _, fate)| path.starts_with("events[].location") && is_such(fate))
            .map(|decision| decision.1)
            .collect();
        u32::try_from(events.len()).unwrap()
    }

    fn taken(&self, path: &str) -> usize {
        self.decisions.iter().filter(|decision| decision.0 == path && matches!(decision.4, Fate::Taken(_))).count()
    }
}

/// Holds what was told against what was done.
fn compare(told: &Notebook, done: &Anonymised, opted_out: bool) {
    let refused: Vec<(u32, Refusal)> = told.events.iter().filter_map(|(index, o)| Some((*index, o.err()?))).collect();
    assert_eq!(refused, done.refused);
    assert_eq!(told.events.len(), usize::try_from(done.received).unwrap());
    let kept = |part: fn(&Kept) -> bool| told.events.iter().filter(|(_, o)| o.as_ref().is_ok_and(part)).count();
    let counted = |part: fn(&tuman_privacy::event::RowCount) -> u32| -> usize {
        done.rows.counts.iter().map(|count| usize::try_from(part(count)).unwrap()).sum()
    };
    assert_eq!(kept(|kept| kept.usage), counted(|count| count.usage));
    // Rows of places hold how often; events of one cell are one row.
    let n: u32 = any::cells(&done.rows.places).into_iter().map(|(_, n)| n).sum();
    assert_eq!(kept(|kept| kept.place), usize::try_from(n).unwrap());

    let notes: BTreeMap<Note, u32> = done.notes.counts().collect();
    if opted_out {
        assert!(notes.is_empty());
        return;
    }
    let of = |note: Note| notes.get(&note).copied().unwrap_or(0);
    for note in [Note::UndeclaredProperty, Note::InvalidValue, Note::UnknownField] {
        assert_eq!(told.noted(note), of(note), "{note:?}");
    }
    for note in [Note::InvalidPlace, Note::PlaceWithoutToken, Note::NoLocationConsent] {
        assert_eq!(told.places_noted(note), of(note), "{note:?}");
    }
    let without_usage = kept(|kept| !kept.usage);
    assert_eq!(of(Note::NoUsageConsent), u32::try_from(without_usage).unwrap());
    let late = told.decisions.iter().filter(|decision| decision.4 == Fate::Taken(Form::LateHour)).count();
    assert!(u32::try_from(late).unwrap() <= of(Note::Late));
    for note in Note::ALL {
        if let Note::PersonalData(_) = note {
            assert!(told.noted(note) == 0 || of(note) > 0, "{note:?} is told and not counted");
            // Of refused events only the refusal is told.
            assert!(of(note) == 0 || told.noted(note) > 0 || !refused.is_empty(), "{note:?} is counted and not told");
        }
    }
    assert_eq!(told.taken("events[].name"), counted(|count| count.usage));
    let codes: usize = any::property_codes(&done.rows.usage).into_iter().sum();
    let declared: BTreeSet<_> = told
        .decisions
        .iter()
        .filter(|decision| decision.0 == "events[].props.*" && matches!(decision.4, Fate::Taken(_)))
        .map(|(_, index, name, ..)| (index, name))
        .collect();
    // A property that stands twice may have two values.
    assert!(declared.len() <= codes && codes <= told.taken("events[].props.*"));
    let with_token = any::tokens(&done.rows.usage).into_iter().any(|token| token != 0);
    assert_eq!(told.tokens.contains(&Purpose::Usage), with_token);
    assert_eq!(told.tokens.contains(&Purpose::Location), n > 0);
    assert_eq!(told.taken("device.ids[].value"), usize::from(!told.tokens.is_empty()));
    assert!(told.tokens.is_empty() || told.identifier.unwrap().is_ok());
    let without_token = any::tokens(&done.rows.usage).into_iter().filter(|token| *token == 0).count();
    assert_eq!(of(Note::NoToken), u32::try_from(without_token).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_told_is_what_is_done((body, opted_out) in (any_report(), prop::bool::weighted(0.1))) {
        let boundary = Boundary::new();
        let report = Report::parse(body.as_bytes(), 500).unwrap();
        let mut told = Notebook::default();
        let watched = boundary.decide(&mut told, &report, opted_out);
        let unwatched = boundary.decide(&mut (), &report, opted_out);
        prop_assert_eq!(&watched, &unwatched);
        match watched {
            Ok(done) => compare(&told, &done, opted_out),
            Err(Rejection::Identifier) => {
                let is_refused = |fate: &Fate| matches!(fate, Fate::Refused(Why::Identifier(_)));
                prop_assert!(told.decisions.iter().any(|decision| is_refused(&decision.4)));
            }
            Err(rejection) => prop_assert!(matches!(rejection, Rejection::Field(_))),
        }
    }

    #[test]
    fn nothing_that_a_report_made_up_is_told(body in any_report()) {
        let boundary = Boundary::new();
        let report = Report::parse(body.as_bytes(), 500).unwrap();
        let mut told = Notebook::default();
        let _ = boundary.decide(&mut told, &report, false);
        for (_, _, name, ..) in &told.decisions {
            prop_assert!(name.is_none() || ["screen", "cached", "duration_ms"].contains(&name.as_deref().unwrap()));
        }
    }
}
