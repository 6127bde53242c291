//! The names and digests that a detail may hold, each a type of its own.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tuman_privacy::detect::detect;

use crate::access::Grant;
use crate::catalogue::{Catalogue, Catalogues};
use crate::config::Config;
use crate::keys::KeyRecord;

/// A SHA-256, in hex, of a configuration or a catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(super) struct Digest(pub(super) String);

impl Digest {
    pub(super) fn of(config: &Config) -> Digest {
        Digest(hex::encode(Sha256::digest(serde_json::to_vec(config).expect("a configuration is JSON"))))
    }
}

/// The random name of a suppression list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(super) struct ListName(pub(super) String);

/// The name of a release, from a catalogue that was in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct ReleaseName(pub(super) String);

/// An app that has a catalogue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub(super) struct AppId(pub(super) String);

/// Which version of a catalogue, and which versions of the policy it declares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Version {
    pub(super) digest: Digest,
    pub(super) policies: Vec<String>,
}

impl Version {
    pub(super) fn of(catalogue: &Catalogue) -> Version {
        let policies = catalogue.declaration.policies.iter().map(|(version, _)| version.clone()).collect();
        Version { digest: Digest(catalogue.digest.clone()), policies }
    }
}

pub(super) type Versions = BTreeMap<AppId, Version>;

pub(super) fn versions(catalogues: &Catalogues) -> Versions {
    let all = catalogues.all();
    all.iter().map(|catalogue| (AppId(catalogue.declaration.app.clone()), Version::of(catalogue))).collect()
}

/// The random name of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(super) struct KeyName(pub(super) String);

impl KeyName {
    pub(super) fn of(key: &KeyRecord) -> KeyName {
        KeyName(key.name.clone())
    }
}

/// The random name of an act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(super) struct ActName(pub(super) String);

/// The random name of a group of collectors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(super) struct GroupName(pub(super) String);

/// The fingerprint of a public one-time key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(super) struct Fingerprint(pub(super) String);

/// What the operator calls a token in the access file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct TokenName(pub(super) String);

impl TokenName {
    /// The name of a grant's token; left out where it looks like a token or personal data itself.
    #[must_use]
    pub fn of(grant: &Grant) -> TokenName {
        let is_fit = grant.name.len() <= 80 && detect(&grant.name).is_none();
        TokenName(if is_fit { grant.name.clone() } else { "(left out)".into() })
    }
}
