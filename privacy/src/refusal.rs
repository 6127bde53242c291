//! Why something was not taken. Holds no data: reasons are fixed words, safe in answers, logs and metrics.

use crate::detect::Detector;

/// Why an event was refused. The word is part of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Refusal {
    /// The array's element is not an object, or has no name.
    MalformedEvent = 1,
    /// The catalogue does not declare the event.
    UnknownEvent = 2,
    /// `at` is not an RFC 3339 time.
    InvalidTime = 3,
    /// More than seven days before its arrival.
    TooOld = 4,
    /// After its arrival, beyond the tolerance.
    FromTheFuture = 5,
    /// No purpose that the event could serve was consented to.
    NoConsent = 6,
    /// The consent is for a policy version that the catalogue does not know.
    UnknownPolicy = 7,
    /// The device signals `Sec-GPC: 1` or `DNT: 1`.
    OptedOut = 8,
    /// What was consented to leaves nothing of the event: no usage, and no place that could be kept.
    NothingToKeep = 9,
}

impl Refusal {
    /// All reasons.
    pub const ALL: [Refusal; 9] = [
        Refusal::MalformedEvent,
        Refusal::UnknownEvent,
        Refusal::InvalidTime,
        Refusal::TooOld,
        Refusal::FromTheFuture,
        Refusal::NoConsent,
        Refusal::UnknownPolicy,
        Refusal::OptedOut,
        Refusal::NothingToKeep,
    ];

    /// The word of the protocol.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Refusal::MalformedEvent => "malformed_event",
            Refusal::UnknownEvent => "unknown_event",
            Refusal::InvalidTime => "invalid_time",
            Refusal::TooOld => "too_old",
            Refusal::FromTheFuture => "from_the_future",
            Refusal::NoConsent => "no_consent",
            Refusal::UnknownPolicy => "unknown_policy",
            Refusal::OptedOut => "opted_out",
            Refusal::NothingToKeep => "nothing_to_keep",
        }
    }

    /// The reason behind a number, as `as u8` gives it.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Refusal> {
        Refusal::ALL.into_iter().find(|reason| *reason as u8 == number)
    }
}

/// Something that was left out of what was kept, or that was noted about it. Counted, never answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Note {
    /// Kept without a token: no usable identifier.
    NoToken,
    /// Counted on the day of arrival: its own day is closed.
    Late,
    /// A property that the catalogue does not declare: dropped.
    UndeclaredProperty,
    /// A value outside what the catalogue declares: dropped.
    InvalidValue,
    /// A value or a name in which this detector found personal data: refused.
    PersonalData(Detector),
    /// A place that is no place: dropped.
    InvalidPlace,
    /// A place without a token, which could not be bounded to one device: dropped.
    PlaceWithoutToken,
    /// A place without consent to `location`: dropped.
    NoLocationConsent,
    /// Usage without consent to `usage`: dropped, the place stays.
    NoUsageConsent,
    /// A field that the protocol does not know: skipped.
    UnknownField,
}

impl Note {
    /// All notes, in the order in which [`Notes`] counts them.
    pub const ALL: [Note; 18] = [
        Note::NoToken,
        Note::Late,
        Note::UndeclaredProperty,
        Note::InvalidValue,
        Note::InvalidPlace,
        Note::PlaceWithoutToken,
        Note::NoLocationConsent,
        Note::NoUsageConsent,
        Note::UnknownField,
        Note::PersonalData(Detector::Iin),
        Note::PersonalData(Detector::Phone),
        Note::PersonalData(Detector::Email),
        Note::PersonalData(Detector::Imei),
        Note::PersonalData(Detector::Mac),
        Note::PersonalData(Detector::Ip),
        Note::PersonalData(Detector::Card),
        Note::PersonalData(Detector::Jwt),
        Note::PersonalData(Detector::RandomToken),
    ];

    /// The word in the ledger.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Note::NoToken => "no_token",
            Note::Late => "late",
            Note::UndeclaredProperty => "undeclared_property",
            Note::InvalidValue => "invalid_value",
            Note::PersonalData(Detector::Iin) => "personal_data:iin",
            Note::PersonalData(Detector::Phone) => "personal_data:phone",
            Note::PersonalData(Detector::Email) => "personal_data:email",
            Note::PersonalData(Detector::Imei) => "personal_data:imei",
            Note::PersonalData(Detector::Mac) => "personal_data:mac",
            Note::PersonalData(Detector::Ip) => "personal_data:ip",
            Note::PersonalData(Detector::Card) => "personal_data:card",
            Note::PersonalData(Detector::Jwt) => "personal_data:jwt",
            Note::PersonalData(Detector::RandomToken) => "personal_data:random_token",
            Note::InvalidPlace => "invalid_place",
            Note::PlaceWithoutToken => "place_without_token",
            Note::NoLocationConsent => "no_location_consent",
            Note::NoUsageConsent => "no_usage_consent",
            Note::UnknownField => "unknown_field",
        }
    }

    /// Where [`Notes`] counts it.
    fn place(self) -> usize {
        match self {
            Note::NoToken => 0,
            Note::Late => 1,
            Note::UndeclaredProperty => 2,
            Note::InvalidValue => 3,
            Note::InvalidPlace => 4,
            Note::PlaceWithoutToken => 5,
            Note::NoLocationConsent => 6,
            Note::NoUsageConsent => 7,
            Note::UnknownField => 8,
            Note::PersonalData(detector) => 9 + detector as usize,
        }
    }
}

/// How often each [`Note`] was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes([u32; Note::ALL.len()]);

impl Notes {
    /// Notes something `n` times.
    pub fn add(&mut self, note: Note, n: u32) {
        if let Some(count) = self.0.get_mut(note.place()) {
            *count = count.saturating_add(n);
        }
    }

    /// The notes that were made at least once.
    pub fn counts(&self) -> impl Iterator<Item = (Note, u32)> + '_ {
        Note::ALL.into_iter().zip(self.0).filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_back_to_reasons() {
        for reason in Refusal::ALL {
            assert_eq!(Refusal::from_number(reason as u8), Some(reason));
        }
        assert_eq!(Refusal::from_number(0), None);
    }

    #[test]
    fn notes_stand_in_the_order_of_their_places() {
        for (index, note) in Note::ALL.into_iter().enumerate() {
            assert_eq!(note.place(), index);
            if let Note::PersonalData(detector) = note {
                assert_eq!(note.word().strip_prefix("personal_data:"), Some(detector.name()));
            }
        }
    }
}
