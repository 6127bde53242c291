//! What becomes of each part of a report, for whoever wants to see it decided: previews.
//!
//! [`crate::anonymise::anonymise_before`] tells a [`Witness`] what it decides, where it decides it, so that a preview
//! cannot differ from what is done. Telling it to `()` costs nothing.
//!
//! Guarantees: a decision holds fixed words, positions, and names that the app's catalogue declares; nothing that the
//! report made up, and no value.

use crate::identifier::{Invalid, Kind, NoToken, Unusable};
use crate::place::Cell;
use crate::refusal::{Note, Refusal};
use crate::token::Purpose;

/// Is told what is decided.
pub trait Witness {
    /// False where nobody looks, so that nothing needs to be found out for it alone.
    const LOOKS: bool = true;

    /// What becomes of a part of the report.
    fn saw(&mut self, decision: Decision<'_>);

    /// What becomes of an event: what is kept of it, or why nothing is.
    fn event(&mut self, index: u32, outcome: Result<Kept, Refusal>);

    /// From what kind of identifier tokens are made, or why from none.
    fn identifier(&mut self, choice: Result<Kind, NoToken>);

    /// A token is kept for this purpose.
    fn token(&mut self, purpose: Purpose);
}

impl Witness for () {
    const LOOKS: bool = false;

    fn saw(&mut self, _: Decision<'_>) {}

    fn event(&mut self, _: u32, _: Result<Kept, Refusal>) {}

    fn identifier(&mut self, _: Result<Kind, NoToken>) {}

    fn token(&mut self, _: Purpose) {}
}

/// What is kept of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// A row of use.
    pub usage: bool,
    /// A place.
    pub place: bool,
}

/// What becomes of a part of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision<'a> {
    /// Its path in the data dictionary, such as `events[].props.*`.
    pub path: &'static str,
    /// Its index, where the path has an array.
    pub index: Option<u32>,
    /// The declared name that `*` stands for; none where the report made the name up.
    pub name: Option<&'a str>,
    /// How many parts this is about.
    pub times: u32,
    /// What becomes of it.
    pub fate: Fate,
}

impl Decision<'static> {
    /// About the one part of a path.
    #[must_use]
    pub fn of(path: &'static str, fate: Fate) -> Decision<'static> {
        Decision { path, index: None, name: None, times: 1, fate }
    }

    /// About an element of an array.
    #[must_use]
    pub fn at(path: &'static str, index: u32, fate: Fate) -> Decision<'static> {
        Decision { index: Some(index), ..Decision::of(path, fate) }
    }
}

/// What becomes of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is treated as the dictionary says, and kept in this form.
    Taken(Form),
    /// It leaves nothing.
    Dropped(Why),
    /// It leaves nothing, and is a mistake of the app or what the user does not want.
    Refused(Why),
}

/// The form in which something is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Not at all: it is needed to treat the report.
    Memory,
    /// A fingerprint of the report's id.
    Fingerprint,
    /// A token.
    Token,
    /// The number of a word of a registry.
    Registered,
    /// `other`.
    Other,
    /// The number of a major version.
    MajorVersion,
    /// The code of a declared name or value.
    Declared,
    /// The code of a declared range.
    Range,
    /// A yes or no.
    Flag,
    /// Whether it is one of three days.
    CohortDay,
    /// An age in weeks.
    Weeks,
    /// The local hour.
    LocalHour,
    /// The local hour on the day of arrival, since its own day is closed.
    LateHour,
    /// The local day: of an event of which only the place is kept.
    LocalDay,
    /// A cell of this many characters.
    Cell(u8),
    /// Only that it is outside the region.
    Abroad,
}

impl Form {
    /// The form of a place.
    #[must_use]
    pub fn of_cell(cell: Cell) -> Form {
        if cell == Cell::ABROAD {
            return Form::Abroad;
        }
        Form::Cell(u8::try_from(cell.as_str().len()).unwrap_or_default())
    }

    /// In words; none where nothing is kept.
    #[must_use]
    pub fn words(self) -> Option<&'static str> {
        Some(match self {
            Form::Memory => return None,
            Form::Fingerprint => "keyed fingerprint, 128 bits, for 48 hours, apart from all rows",
            Form::Token => "keyed hash, 64 bits, until the day is sealed",
            Form::Registered => "number of a registered word",
            Form::Other => "`other`",
            Form::MajorVersion => "number of the major version",
            Form::Declared => "code of a declared value",
            Form::Range => "code of a declared range",
            Form::Flag => "yes or no",
            Form::CohortDay => "whether it is 1, 7 or 30",
            Form::Weeks => "age in weeks, up to a year",
            Form::LocalHour => "local hour",
            Form::LateHour => "local hour, on the day of arrival",
            Form::LocalDay => "local day",
            Form::Cell(3) => "geohash of 3 characters",
            Form::Cell(4) => "geohash of 4 characters",
            Form::Cell(_) => "geohash of 5 characters",
            Form::Abroad => "`abroad`",
        })
    }
}

/// Why something leaves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is noted in the ledger.
    Noted(Note),
    /// Its event is refused.
    Event(Refusal),
    /// The identifier gives no token.
    Identifier(Unusable),
    /// Another identifier goes first.
    LowerPrecedence,
    /// Coordinates go before a geohash.
    CoordinatesFirst,
    /// It is not of the type or form of its field, and taken for absent.
    Unreadable,
    /// There is no row that it would be in.
    NothingKept,
}

impl Why {
    /// All words there are.
    pub fn words() -> impl Iterator<Item = &'static str> {
        use Invalid::*;
        let invalid =
            [Length, Character, CheckDigit, Separators, ManufacturerPart, SerialPart, AllDecimal, PseudoEsn];
        let unusable = [Unusable::Junk, Unusable::Randomised, Unusable::OptedOut];
        let others = [Why::LowerPrecedence, Why::CoordinatesFirst, Why::Unreadable, Why::NothingKept];
        let identifiers = invalid.into_iter().map(Unusable::Invalid).chain(unusable).map(Why::Identifier);
        // An identifier's opt-out has the word of the refusal.
        let all = Refusal::ALL.into_iter().map(Why::Event).chain(Note::ALL.into_iter().map(Why::Noted));
        let apart = identifiers.filter(|why| *why != Why::Identifier(Unusable::OptedOut));
        all.chain(apart).chain(others).map(Why::word)
    }

    /// The stable word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Why::Noted(note) => note.word(),
            Why::Event(refusal) => refusal.word(),
            Why::Identifier(Unusable::Junk) => "shared",
            Why::Identifier(Unusable::Randomised) => "randomised",
            Why::Identifier(Unusable::OptedOut) => "opted_out",
            Why::Identifier(Unusable::Invalid(invalid)) => match invalid {
                Invalid::Length => "invalid_length",
                Invalid::Character => "invalid_character",
                Invalid::CheckDigit => "invalid_check_digit",
                Invalid::Separators => "invalid_separators",
                Invalid::ManufacturerPart => "invalid_manufacturer_part",
                Invalid::SerialPart => "invalid_serial_part",
                Invalid::AllDecimal => "invalid_all_decimal",
                Invalid::PseudoEsn => "invalid_pseudo_esn",
            },
            Why::LowerPrecedence => "lower_precedence",
            Why::CoordinatesFirst => "coordinates_first",
            Why::Unreadable => "unreadable",
            Why::NothingKept => "nothing_kept",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_said_once() {
        let words: alloc::collections::BTreeSet<_> = Why::words().collect();
        assert_eq!(words.len(), Why::words().count());
    }
}
