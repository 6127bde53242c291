//! Previews: what would become of a report, field by field.
//!
//! Guarantees: a preview is what [`anonymise_before`] decides, told by the data dictionary: treatment, clause and text of
//! a field come from `sdk-spec/fields.toml` and from nowhere else. Nothing of a report is in it but positions; every
//! word is fixed, or a name that the app's catalogue declares.
//! Does not: keep anything, count anything, or ask whether a device is withdrawn.
//!
//! [`anonymise_before`]: tuman_privacy::anonymise::anonymise_before

use std::collections::BTreeMap;

use serde::Serialize;
use tuman_privacy::anonymise::{Anonymised, Rejection};
use tuman_privacy::identifier::{Kind, NoToken};
use tuman_privacy::refusal::Refusal;
use tuman_privacy::token::Purpose;
use tuman_privacy::witness::{Decision, Fate, Kept, Why, Witness};

use crate::answer::Answer;
use crate::policy::{Field, Language, Retention, Treatment, dictionary};

/// The answer to a preview.
#[derive(Debug, Serialize)]
pub struct Preview {
    /// What `/v1/collect` would answer.
    pub collect: Collect,
    /// The tokens that would be kept.
    pub token: Tokens,
    /// What would be left of each event, by its index.
    pub events: Vec<Event>,
    /// What the ledger would note.
    pub notes: BTreeMap<&'static str, u32>,
    /// What would become of each field.
    pub fields: Vec<Part>,
    /// What happens to the fields of each path, in the language asked for.
    pub texts: BTreeMap<&'static str, &'static str>,
}

/// An answer of `/v1/collect`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Collect {
    /// The report is taken.
    Taken {
        /// 202.
        status: u16,
        /// The answer.
        #[serde(flatten)]
        answer: Answer,
    },
    /// It is not.
    Refused {
        /// The status.
        status: u16,
        /// The code of the problem.
        code: &'static str,
        /// The field, where the problem has one.
        #[serde(skip_serializing_if = "Option::is_none")]
        field: Option<&'static str>,
    },
}

/// The tokens of a report.
#[derive(Debug, Default, Serialize)]
pub struct Tokens {
    /// The kind of identifier that they are made from.
    kind: Option<&'static str>,
    /// Why there is none.
    reason: Option<&'static str>,
    /// The purposes for which one is kept.
    purposes: Vec<&'static str>,
}

/// What is left of an event.
#[derive(Debug, Serialize)]
pub struct Event {
    event: u32,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    usage: bool,
    place: bool,
}

/// What becomes of a field.
#[derive(Debug, Serialize)]
pub struct Part {
    /// Its JSON pointer; `*` for a name that the report made up.
    field: String,
    /// Its path in the data dictionary.
    path: &'static str,
    /// How many fields this is about.
    times: u32,
    /// A treatment of the dictionary, `dropped` or `refused`.
    outcome: Outcome,
    /// The clause of the policy.
    clause: &'static str,
    /// Why it leaves nothing.
    reason: Option<&'static str>,
    /// The form in which it is kept.
    form: Option<&'static str>,
    /// How long that lives.
    retention: Retention,
}

/// What becomes of a field, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Outcome {
    /// What the dictionary says.
    Treated(Treatment),
    /// It leaves nothing and is a mistake, or not wanted by the user.
    #[serde(serialize_with = "refused")]
    Refused,
}

fn refused<S: serde::Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str("refused")
}

/// Sees a report decided.
#[derive(Debug, Default)]
pub struct Seen {
    decided: Vec<Decided>,
    events: Vec<Event>,
    token: Tokens,
}

#[derive(Debug, PartialEq)]
struct Decided {
    path: &'static str,
    index: Option<u32>,
    name: Option<String>,
    times: u32,
    fate: Fate,
}

impl Witness for Seen {
    fn saw(&mut self, decision: Decision<'_>) {
        let Decision { path, index, name, times, fate } = decision;
        let is_same = |known: &&mut Decided| {
            (known.path, known.index, known.name.as_deref(), known.fate) == (path, index, name, fate)
        };
        // Fields of one event come together, and are few.
        let nearby = self.decided.iter_mut().rev().take_while(|known| known.index == index && known.path == path);
        match nearby.into_iter().find(is_same) {
            Some(known) => known.times = known.times.saturating_add(times),
            None => self.decided.push(Decided { path, index, name: name.map(str::to_owned), times, fate }),
        }
    }

    fn event(&mut self, index: u32, outcome: Result<Kept, Refusal>) {
        let kept = outcome.unwrap_or(Kept { usage: false, place: false });
        self.events.push(Event {
            event: index,
            outcome: if outcome.is_ok() { "kept" } else { "refused" },
            reason: outcome.err().map(Refusal::word),
            usage: kept.usage,
            place: kept.place,
        });
    }

    fn identifier(&mut self, choice: Result<Kind, NoToken>) {
        self.token.kind = choice.ok().map(Kind::name);
        self.token.reason = choice.err().map(|why| match why {
            NoToken::None => "no_identifier",
            NoToken::Junk => "shared",
            NoToken::Randomised => "randomised",
            NoToken::OptedOut => "opted_out",
        });
    }

    fn token(&mut self, purpose: Purpose) {
        self.token.purposes.push(match purpose {
            Purpose::Usage => "usage",
            Purpose::Location => "location",
        });
    }
}

impl Preview {
    /// The preview of a report that would be taken.
    #[must_use]
    pub fn taken(seen: Seen, report: Anonymised, language: Language) -> Preview {
        let notes = report.notes.counts().map(|(note, n)| (note.word(), n)).collect();
        let answer = Answer { accepted: report.accepted, refused: report.refused };
        Preview { notes, ..Preview::of(Collect::Taken { status: 202, answer }, seen, language) }
    }

    /// The preview of a report that would be refused as a whole, with the problem that it would get.
    #[must_use]
    pub fn refused(mut seen: Seen, rejection: Rejection, problem: Collect, language: Language) -> Preview {
        // The identifiers that were refused are told of one by one.
        if let Rejection::Field(field) = rejection
            && let Some(path) = path_of(field)
        {
            seen.decided.clear();
            seen.decided.push(Decided {
                path,
                index: None,
                name: None,
                times: 1,
                fate: Fate::Refused(Why::Unreadable),
            });
        }
        seen.events.clear();
        seen.token = Tokens::default();
        Preview::of(problem, seen, language)
    }

    fn of(collect: Collect, seen: Seen, language: Language) -> Preview {
        let Seen { mut decided, events, token } = seen;
        let place = |decided: &Decided| {
            let own = place_of(decided.path);
            // The fields of one element of an array stand together.
            let array = decided.path.split_once("[]").map_or(own, |(array, _)| place_of_array(array));
            (array, decided.index, own)
        };
        decided.sort_by_key(place);
        let parts = decided.iter().filter_map(|decided| Some((decided, field(decided.path)?)));
        let fields = parts.clone().map(|(decided, field)| decided.told(field)).collect();
        let texts = parts.map(|(decided, field)| (decided.path, field.what(language))).collect();
        Preview { collect, token, events, notes: BTreeMap::new(), fields, texts }
    }
}

impl Decided {
    fn told(&self, field: &'static Field) -> Part {
        let (outcome, reason, form) = match self.fate {
            Fate::Taken(form) => (Outcome::Treated(field.treatment), None, form.words()),
            Fate::Dropped(why) => (Outcome::Treated(Treatment::Dropped), Some(why.word()), None),
            Fate::Refused(why) => (Outcome::Refused, Some(why.word()), None),
        };
        let lives = matches!(self.fate, Fate::Taken(_));
        Part {
            field: self.pointer(),
            path: self.path,
            times: self.times,
            outcome,
            clause: &field.clause,
            reason,
            form,
            retention: if lives { field.retention } else { Retention::None },
        }
    }

    /// As RFC 6901 has it, with `*` for what the report made up.
    fn pointer(&self) -> String {
        let index = self.index.map_or_else(|| "*".to_owned(), |index| index.to_string());
        let pointer = format!("/{}", self.path.replace("[]", &format!("/{index}")).replace('.', "/"));
        match (pointer.strip_suffix('*'), &self.name) {
            (Some(parent), Some(name)) => format!("{parent}{}", name.replace('~', "~0").replace('/', "~1")),
            _ => pointer,
        }
    }
}

fn field(path: &str) -> Option<&'static Field> {
    dictionary().fields.iter().find(|field| field.path == path)
}

fn place_of(path: &str) -> usize {
    dictionary().fields.iter().position(|field| field.path == path).unwrap_or(usize::MAX)
}

fn place_of_array(array: &str) -> usize {
    let is_of = |field: &Field| field.path.strip_prefix(array).is_some_and(|rest| rest.starts_with("[]"));
    dictionary().fields.iter().position(is_of).unwrap_or(usize::MAX)
}

/// The path of the first field that a rejection's pointer names, or that lies below it.
fn path_of(pointer: &str) -> Option<&'static str> {
    let wanted = pointer.strip_prefix('/')?.replace('/', ".");
    let is_such = |field: &&Field| {
        let path = field.path.replace("[]", "");
        path == wanted || path.strip_prefix(&wanted).is_some_and(|rest| rest.starts_with('.'))
    };
    dictionary().fields.iter().find(is_such).map(|field| field.path.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rejection_has_a_field_of_the_dictionary() {
        for (pointer, path) in [
            ("/report_id", "report_id"),
            ("/consent", "consent.usage"),
            ("/consent/policy", "consent.policy"),
            ("/events", "events[].name"),
            ("/device/ids/kind", "device.ids[].kind"),
        ] {
            assert_eq!(path_of(pointer), Some(path));
        }
    }

    #[test]
    fn pointers_hold_declared_names_alone() {
        let decided = |path, index, name: Option<&str>| Decided {
            path,
            index,
            name: name.map(str::to_owned),
            times: 1,
            fate: Fate::Refused(Why::Unreadable),
        };
        for (path, index, name, pointer) in [
            ("device.platform", None, None, "/device/platform"),
            ("device.ids[].value", Some(2), None, "/device/ids/2/value"),
            ("device.ids[].kind", None, None, "/device/ids/*/kind"),
            ("events[].props.*", Some(0), Some("a/b~c"), "/events/0/props/a~1b~0c"),
            ("events[].props.*", Some(0), None, "/events/0/props/*"),
            ("*", None, None, "/*"),
        ] {
            assert_eq!(decided(path, index, name).pointer(), pointer);
        }
    }
}
