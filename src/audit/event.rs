//! What is written into the audit log: every kind of entry, with its detail as a type of its own.
//!
//! Guarantees: a detail holds days, times, numbers, fixed words, digests, random names of keys, and names that the
//! operator gave: of apps, policy versions and tokens. Each of these has a type that can be made from its origin alone,
//! so that an identifier, a token or a value of a report has no way in.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tuman_privacy::detect::detect;

use crate::access::Grant;
use crate::app::Unusable;
use crate::catalogue::{Catalogue, Catalogues};
use crate::config::Config;
use crate::keys::{Act, ActKind, KeyRecord};
use crate::policy;
use crate::seal::journal::Journal;
use crate::stats::PlacesQuery;
use crate::withdrawal::{Case, CaseNumber, Summary};

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
    /// Releases were handed out in bulk.
    Exported(Exported),
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
    /// [`Event::Exported`].
    Exported,
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
    pub const ALL: [Kind; 16] = [
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
        Kind::Exported,
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
            Kind::Exported => "exported",
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
            Event::Exported(_) => Kind::Exported,
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
            Event::Exported(detail) => serde_json::to_string(detail),
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
    /// What each app's releases spent together.
    epsilon: BTreeMap<AppId, f64>,
    /// The releases of each app that have no noise, where there are any.
    without_noise: BTreeMap<AppId, Vec<ReleaseName>>,
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
        };
        for (app, releases) in &journal.apps {
            let spent: f64 = releases.iter().filter_map(|release| release.epsilon).sum();
            // To what a person reads: sums of decimal fractions have long tails.
            sealed.epsilon.insert(AppId(app.clone()), (spent * 1e6).round() / 1e6);
            let bare = releases.iter().filter(|release| release.epsilon.is_none());
            let names: Vec<ReleaseName> = bare.map(|release| ReleaseName(release.release.clone())).collect();
            if !names.is_empty() {
                sealed.without_noise.insert(AppId(app.clone()), names);
            }
        }
        sealed
    }
}

/// Which case, until when, from which app, on which list. Nothing of the device.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WithdrawalRegistered {
    case: CaseNumber,
    received: Date,
    due: Date,
    app: Option<AppId>,
    list: String,
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
            list: case.list.clone(),
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
    list: String,
    begun_at: Timestamp,
    tags: u64,
}

impl SuppressionListEnded {
    /// Of a list.
    #[must_use]
    pub fn of(list: &Summary) -> SuppressionListEnded {
        SuppressionListEnded { list: list.name.clone(), begun_at: list.begun_at, tags: list.tags }
    }
}

/// What was handed out, and to whom.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Exported {
    what: Export,
    app: AppId,
    from: Date,
    to: Date,
    precision: u8,
    to_whom: Recipient,
}

impl Exported {
    /// Places as GeoJSON.
    #[must_use]
    pub fn places(query: &PlacesQuery, to_whom: Recipient) -> Exported {
        let period = query.scope.period;
        let app = AppId(query.scope.app.clone());
        Exported {
            what: Export::PlacesGeojson,
            app,
            from: period.from,
            to: period.to,
            precision: query.precision,
            to_whom,
        }
    }
}

/// What can be handed out in bulk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Export {
    /// Places as GeoJSON.
    #[serde(rename = "places.geojson")]
    PlacesGeojson,
}

/// Who got it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Recipient {
    /// The bearer of a token, over HTTP.
    Token(TokenName),
    /// Whoever may run commands on the machine.
    Command,
}

/// A SHA-256, in hex, of a configuration or a catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
struct Digest(String);

impl Digest {
    fn of(config: &Config) -> Digest {
        Digest(hex::encode(Sha256::digest(serde_json::to_vec(config).expect("a configuration is JSON"))))
    }
}

/// The name of a release, from a catalogue that was in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct ReleaseName(String);

/// An app that has a catalogue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
struct AppId(String);

/// Which version of a catalogue, and which versions of the policy it declares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Version {
    digest: Digest,
    policies: Vec<String>,
}

impl Version {
    fn of(catalogue: &Catalogue) -> Version {
        let policies = catalogue.declaration.policies.iter().map(|(version, _)| version.clone()).collect();
        Version { digest: Digest(catalogue.digest.clone()), policies }
    }
}

type Versions = BTreeMap<AppId, Version>;

fn versions(catalogues: &Catalogues) -> Versions {
    let all = catalogues.all();
    all.iter().map(|catalogue| (AppId(catalogue.declaration.app.clone()), Version::of(catalogue))).collect()
}

/// The random name of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
struct KeyName(String);

impl KeyName {
    fn of(key: &KeyRecord) -> KeyName {
        KeyName(key.name.clone())
    }
}

/// The random name of an act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
struct ActName(String);

/// The random name of a group of collectors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
struct GroupName(String);

/// The fingerprint of a public one-time key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
struct Fingerprint(String);

/// What the operator calls a token in the access file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct TokenName(String);

impl TokenName {
    /// The name of a grant's token; left out where it looks like a token or personal data itself.
    #[must_use]
    pub fn of(grant: &Grant) -> TokenName {
        let is_fit = grant.name.len() <= 80 && detect(&grant.name).is_none();
        TokenName(if is_fit { grant.name.clone() } else { "(left out)".into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Role, issue};
    use crate::stats::{Period, Scope};

    const DOCUMENT: &str = include_str!("../../docs/operations.md");

    fn one_of_each() -> Vec<Event> {
        let day = jiff::civil::date(2026, 10, 5);
        let catalogue = Catalogue::parse(include_str!("../cli/init/catalogue.toml")).unwrap();
        let catalogues = Catalogues::of(catalogue);
        let (name, created_at) = ("00".into(), Timestamp::UNIX_EPOCH);
        let key = KeyRecord { day, name, created_at, destroyed_at: None };
        let act = |act| {
            let (name, group) = ("01".into(), "02".into());
            let recipients = vec!["03".into()];
            Event::KeysActed(KeysActed::of(&Act { act, name, group, day, at: created_at, recipients }))
        };
        let journal = Journal { day, sealed_at: created_at, apps: vec![("kz.example.app".into(), vec![])] };
        let scope = Scope { app: "kz.example.app".into(), period: Period { from: day, to: day } };
        let mut events = vec![
            Event::Started(Started::with(&Config::default(), &catalogues)),
            Event::Reloaded(Reloaded::with(&catalogues)),
            Event::ReloadRefused(Unusable::AuditLog.into()),
            Event::AnchorMade,
            Event::KeyCreated(KeyCreated::of(&key)),
        ];
        events.extend(ActKind::ALL.map(act));
        events.push(Event::DaySealed(DaySealed::with(&journal, Some(&key))));
        events.push(Event::Exported(Exported::places(&PlacesQuery { scope, precision: 5 }, Recipient::Command)));
        let case = CaseNumber::parse("2026/17").unwrap();
        let (app, list) = (Some(AppId("kz.example.app".into())), "04".to_owned());
        let registered =
            WithdrawalRegistered { case: case.clone(), received: day, due: day, app, list: list.clone() };
        events.extend([
            Event::WithdrawalRegistered(registered),
            Event::WithdrawalErased(WithdrawalErased { case: case.clone(), open_days: vec![day] }),
            Event::WithdrawalAnswered(WithdrawalAnswered { case }),
            Event::SuppressionListEnded(SuppressionListEnded { list, begun_at: created_at, tags: 1 }),
        ]);
        events
    }

    #[test]
    fn the_document_has_every_kind_with_its_detail() {
        let section = DOCUMENT.split("## Audit log").nth(1).unwrap().split("\n## ").next().unwrap();
        let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| `")).collect();
        let events = one_of_each();
        assert_eq!(events.iter().map(Event::kind).collect::<Vec<_>>(), Kind::ALL);
        for event in &events {
            let detail: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&event.detail()).unwrap();
            let start = format!("| `{}` |", event.kind().word());
            let row = rows.iter().find(|row| row.starts_with(&start)).unwrap_or_else(|| panic!("no {start}"));
            for field in detail.keys() {
                assert!(row.contains(&format!("`{field}`")), "{start} does not say `{field}`");
            }
        }
        assert_eq!(rows.len(), Kind::ALL.len());
    }

    #[test]
    fn a_start_names_what_was_in_force() {
        let detail = one_of_each()[0].detail();
        assert!(detail.contains(r#""policies":["2026-01"]"#), "{detail}");
    }

    #[test]
    fn a_token_put_in_the_place_of_its_name_is_left_out() {
        let (token, mut grant) = issue("the ministry", Role::Analyst, None).unwrap();
        assert_eq!(TokenName::of(&grant).0, "the ministry");
        for wrong in [token, "aigerim@example.kz".into(), "x".repeat(81)] {
            grant.name = wrong;
            assert_eq!(TokenName::of(&grant).0, "(left out)");
        }
    }
}
