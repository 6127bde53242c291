//! What is written into the audit log: every kind of entry, with its detail as a type of its own.
//!
//! Guarantees: a detail holds days, times, numbers, fixed words, digests, random names of keys, and names that the
//! operator gave: of apps, policy versions and tokens. Each of these has a type that can be made from its origin alone,
//! so that an identifier, a token or a value of a report has no way in.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use crate::app::Unusable;
use crate::catalogue::Catalogues;
use crate::config::Config;
use crate::keys::{Act, ActKind, KeyRecord};
use crate::policy;
use crate::seal::journal::Journal;
use crate::seal::release::rounded;
use crate::withdrawal::{Case, CaseNumber, Summary};

pub use exported::{Exported, Recipient};
pub use names::TokenName;
use names::{ActName, AppId, Digest, Fingerprint, GroupName, KeyName, ListName, ReleaseName, Versions, versions};
pub use tokens::{SignedIn, TokenChanged};

mod exported;
mod names;
mod tokens;

/// Something that was done.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The collector started.
    Started(Started),
    /// Catalogues and tokens were read anew.
    Reloaded(Reloaded),
    /// Catalogues and tokens were to be read anew, and the old ones stayed.
    ReloadRefused(ReloadRefused),
    /// The anchor was not there and was made anew.
    AnchorMade,
    /// A day's key was created.
    KeyCreated(KeyCreated),
    /// Something was done with the state that collectors share.
    KeysActed(KeysActed),
    /// A day was sealed: its rows and its key are destroyed.
    DaySealed(DaySealed),
    /// Days that were older than the retention: their releases are deleted.
    ReleasesDeleted(ReleasesDeleted),
    /// Releases were handed out in bulk.
    Exported(Exported),
    /// Somebody signed in on the dashboard.
    SignedIn(SignedIn),
    /// A token is in force, or is in force otherwise than before.
    TokenAdded(TokenChanged),
    /// A token is in force no more, or no more as it was.
    TokenRevoked(TokenChanged),
    /// A withdrawal was registered, and its device put on the suppression list.
    WithdrawalRegistered(WithdrawalRegistered),
    /// The device's rows are erased from the open days.
    WithdrawalErased(WithdrawalErased),
    /// The device's owner was answered.
    WithdrawalAnswered(WithdrawalAnswered),
    /// The suppression list and its key are destroyed.
    SuppressionListEnded(SuppressionListEnded),
}

/// The kinds of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// [`Event::Started`].
    Started,
    /// [`Event::Reloaded`].
    Reloaded,
    /// [`Event::ReloadRefused`].
    ReloadRefused,
    /// [`Event::AnchorMade`].
    AnchorMade,
    /// [`Event::KeyCreated`].
    KeyCreated,
    /// [`Event::KeysActed`]: a state was made, for a new group.
    KeysShared,
    /// [`Event::KeysActed`]: the state was handed to another collector.
    KeysOffered,
    /// [`Event::KeysActed`]: a state was taken from another collector.
    KeysJoined,
    /// [`Event::KeysActed`]: fresh entropy was made for a coming day, or handed over once more.
    KeysMixOffered,
    /// [`Event::KeysActed`]: fresh entropy was taken from another collector.
    KeysMixAccepted,
    /// [`Event::DaySealed`].
    DaySealed,
    /// [`Event::ReleasesDeleted`].
    ReleasesDeleted,
    /// [`Event::Exported`].
    Exported,
    /// [`Event::SignedIn`].
    SignedIn,
    /// [`Event::TokenAdded`].
    TokenAdded,
    /// [`Event::TokenRevoked`].
    TokenRevoked,
    /// [`Event::WithdrawalRegistered`].
    WithdrawalRegistered,
    /// [`Event::WithdrawalErased`].
    WithdrawalErased,
    /// [`Event::WithdrawalAnswered`].
    WithdrawalAnswered,
    /// [`Event::SuppressionListEnded`].
    SuppressionListEnded,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 20] = [
        Kind::Started,
        Kind::Reloaded,
        Kind::ReloadRefused,
        Kind::AnchorMade,
        Kind::KeyCreated,
        Kind::KeysShared,
        Kind::KeysOffered,
        Kind::KeysJoined,
        Kind::KeysMixOffered,
        Kind::KeysMixAccepted,
        Kind::DaySealed,
        Kind::ReleasesDeleted,
        Kind::Exported,
        Kind::SignedIn,
        Kind::TokenAdded,
        Kind::TokenRevoked,
        Kind::WithdrawalRegistered,
        Kind::WithdrawalErased,
        Kind::WithdrawalAnswered,
        Kind::SuppressionListEnded,
    ];

    /// Its word in the log.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Kind::Started => "started",
            Kind::Reloaded => "reloaded",
            Kind::ReloadRefused => "reload_refused",
            Kind::AnchorMade => "anchor_made",
            Kind::KeyCreated => "key_created",
            Kind::KeysShared => ActKind::KeysShared.word(),
            Kind::KeysOffered => ActKind::KeysOffered.word(),
            Kind::KeysJoined => ActKind::KeysJoined.word(),
            Kind::KeysMixOffered => ActKind::KeysMixOffered.word(),
            Kind::KeysMixAccepted => ActKind::KeysMixAccepted.word(),
            Kind::DaySealed => "day_sealed",
            Kind::ReleasesDeleted => "releases_deleted",
            Kind::Exported => "exported",
            Kind::SignedIn => "signed_in",
            Kind::TokenAdded => "token_added",
            Kind::TokenRevoked => "token_revoked",
            Kind::WithdrawalRegistered => "withdrawal_registered",
            Kind::WithdrawalErased => "withdrawal_erased",
            Kind::WithdrawalAnswered => "withdrawal_answered",
            Kind::SuppressionListEnded => "suppression_list_ended",
        }
    }
}

impl Event {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Event::Started(_) => Kind::Started,
            Event::Reloaded(_) => Kind::Reloaded,
            Event::ReloadRefused(_) => Kind::ReloadRefused,
            Event::AnchorMade => Kind::AnchorMade,
            Event::KeyCreated(_) => Kind::KeyCreated,
            Event::KeysActed(detail) => match detail.act {
                ActKind::KeysShared => Kind::KeysShared,
                ActKind::KeysOffered => Kind::KeysOffered,
                ActKind::KeysJoined => Kind::KeysJoined,
                ActKind::KeysMixOffered => Kind::KeysMixOffered,
                ActKind::KeysMixAccepted => Kind::KeysMixAccepted,
            },
            Event::DaySealed(_) => Kind::DaySealed,
            Event::ReleasesDeleted(_) => Kind::ReleasesDeleted,
            Event::Exported(_) => Kind::Exported,
            Event::SignedIn(_) => Kind::SignedIn,
            Event::TokenAdded(_) => Kind::TokenAdded,
            Event::TokenRevoked(_) => Kind::TokenRevoked,
            Event::WithdrawalRegistered(_) => Kind::WithdrawalRegistered,
            Event::WithdrawalErased(_) => Kind::WithdrawalErased,
            Event::WithdrawalAnswered(_) => Kind::WithdrawalAnswered,
            Event::SuppressionListEnded(_) => Kind::SuppressionListEnded,
        }
    }

    /// Its detail, as JSON.
    pub(super) fn detail(&self) -> String {
        let detail = match self {
            Event::Started(detail) => serde_json::to_string(detail),
            Event::Reloaded(detail) => serde_json::to_string(detail),
            Event::ReloadRefused(detail) => serde_json::to_string(detail),
            Event::AnchorMade => Ok("{}".into()),
            Event::KeyCreated(detail) => serde_json::to_string(detail),
            Event::KeysActed(detail) => serde_json::to_string(detail),
            Event::DaySealed(detail) => serde_json::to_string(detail),
            Event::ReleasesDeleted(detail) => serde_json::to_string(detail),
            Event::Exported(detail) => serde_json::to_string(detail),
            Event::SignedIn(detail) => serde_json::to_string(detail),
            Event::TokenAdded(detail) | Event::TokenRevoked(detail) => serde_json::to_string(detail),
            Event::WithdrawalRegistered(detail) => serde_json::to_string(detail),
            Event::WithdrawalErased(detail) => serde_json::to_string(detail),
            Event::WithdrawalAnswered(detail) => serde_json::to_string(detail),
            Event::SuppressionListEnded(detail) => serde_json::to_string(detail),
        };
        detail.expect("texts, numbers and maps of them are JSON")
    }
}

/// By which program, configuration and catalogues.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Started {
    version: &'static str,
    configuration: Digest,
    catalogues: Versions,
    /// Edition of the dictionary and the notices.
    policy: &'static str,
}

impl Started {
    /// Of this program.
    #[must_use]
    pub fn with(config: &Config, catalogues: &Catalogues) -> Started {
        let version = env!("CARGO_PKG_VERSION");
        Started {
            version,
            configuration: Digest::of(config),
            catalogues: versions(catalogues),
            policy: policy::digest(),
        }
    }
}

/// Which catalogues are in force from here on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reloaded {
    catalogues: Versions,
}

impl Reloaded {
    /// With these.
    #[must_use]
    pub fn with(catalogues: &Catalogues) -> Reloaded {
        Reloaded { catalogues: versions(catalogues) }
    }
}

/// What could not be used.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReloadRefused {
    what: &'static str,
    problems: u64,
}

impl From<Unusable> for ReloadRefused {
    fn from(unusable: Unusable) -> ReloadRefused {
        ReloadRefused { what: unusable.word(), problems: unusable.problems() }
    }
}

/// Which key, and when.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KeyCreated {
    day: Date,
    name: KeyName,
    created_at: Timestamp,
}

impl KeyCreated {
    /// As the record of keys has it.
    #[must_use]
    pub fn of(key: &KeyRecord) -> KeyCreated {
        KeyCreated { day: key.day, name: KeyName::of(key), created_at: key.created_at }
    }
}

/// What was done with the state that collectors share, and when.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KeysActed {
    #[serde(skip)]
    act: ActKind,
    day: Date,
    name: ActName,
    group: GroupName,
    at: Timestamp,
    recipients: Vec<Fingerprint>,
}

impl KeysActed {
    /// As the record of keys has it.
    #[must_use]
    pub fn of(act: &Act) -> KeysActed {
        KeysActed {
            act: act.act,
            day: act.day,
            name: ActName(act.name.clone()),
            group: GroupName(act.group.clone()),
            at: act.at,
            recipients: act.recipients.iter().cloned().map(Fingerprint).collect(),
        }
    }
}

/// Which day and which key.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DaySealed {
    day: Date,
    key: Option<KeyName>,
    key_created_at: Option<Timestamp>,
    /// What each app's releases spent together, those of hours included.
    epsilon: BTreeMap<AppId, f64>,
    /// The releases of each app that have no noise, where there are any.
    without_noise: BTreeMap<AppId, Vec<ReleaseName>>,
    /// The releases of each app that were left out, where there are any: hours had spent their share under an earlier
    /// catalogue, or had begun with other parameters.
    left_out: BTreeMap<AppId, Vec<ReleaseName>>,
}

impl DaySealed {
    /// With the day's releases, and its key, where it had one.
    #[must_use]
    pub fn with(journal: &Journal, key: Option<&KeyRecord>) -> DaySealed {
        let mut sealed = DaySealed {
            day: journal.day,
            key: key.map(KeyName::of),
            key_created_at: key.map(|key| key.created_at),
            epsilon: BTreeMap::new(),
            without_noise: BTreeMap::new(),
            left_out: BTreeMap::new(),
        };
        let named = |names: &[String]| names.iter().cloned().map(ReleaseName).collect();
        for (app, releases) in &journal.left_out {
            sealed.left_out.insert(AppId(app.clone()), named(releases));
        }
        for (app, releases) in &journal.apps {
            let spent: f64 = releases.iter().filter_map(|release| release.epsilon).sum();
            sealed.epsilon.insert(AppId(app.clone()), spent);
            let bare = releases.iter().filter(|release| release.epsilon.is_none());
            let names: Vec<ReleaseName> = bare.map(|release| ReleaseName(release.release.clone())).collect();
            if !names.is_empty() {
                sealed.without_noise.insert(AppId(app.clone()), names);
            }
        }
        for hours in &journal.hours {
            *sealed.epsilon.entry(AppId(hours.app.clone())).or_default() += hours.epsilon;
        }
        for spent in sealed.epsilon.values_mut() {
            *spent = rounded(*spent);
        }
        sealed
    }
}

/// Which days, how many of them were sealed, and after how many days they go.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReleasesDeleted {
    /// The first day.
    pub from: Date,
    /// The last day.
    pub to: Date,
    /// How many days between them are deleted.
    pub days: u64,
    /// The retention.
    pub retention_days: u16,
}

/// Which case, until when, from which app, on which list. Nothing of the device.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WithdrawalRegistered {
    case: CaseNumber,
    received: Date,
    due: Date,
    app: Option<AppId>,
    list: ListName,
}

impl WithdrawalRegistered {
    /// Of a case.
    #[must_use]
    pub fn of(case: &Case) -> WithdrawalRegistered {
        WithdrawalRegistered {
            case: case.case.clone(),
            received: case.received,
            due: case.due,
            app: case.app.clone().map(AppId),
            list: ListName(case.list.clone()),
        }
    }
}

/// Of which case, and on which days the device was looked for; not whether, nor how much, there was.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WithdrawalErased {
    case: CaseNumber,
    open_days: Vec<Date>,
}

impl WithdrawalErased {
    /// Of a case.
    #[must_use]
    pub fn of(case: &Case, open_days: &[Date]) -> WithdrawalErased {
        WithdrawalErased { case: case.case.clone(), open_days: open_days.to_vec() }
    }
}

/// Which case.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WithdrawalAnswered {
    case: CaseNumber,
}

impl WithdrawalAnswered {
    /// Of a case.
    #[must_use]
    pub fn of(case: &Case) -> WithdrawalAnswered {
        WithdrawalAnswered { case: case.case.clone() }
    }
}

/// Which list, by its random name, since when, and how many tags it had.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SuppressionListEnded {
    list: ListName,
    begun_at: Timestamp,
    tags: u64,
}

impl SuppressionListEnded {
    /// Of a list.
    #[must_use]
    pub fn of(list: &Summary) -> SuppressionListEnded {
        SuppressionListEnded { list: ListName(list.name.clone()), begun_at: list.begun_at, tags: list.tags }
    }
}

#[cfg(test)]
mod tests;
