//! Who may do what: tokens of apps, analysts, partners, operators and officers.
//!
//! Guarantees: tokens are 256 random bits and stored as SHA-256 only; every refusal is the same; one that has expired is
//! as if it were not there.
//! The file is TOML, one `[[token]]` per token: `name`, `role`, `sha256`, `app` where it is bound to one, `basis` for
//! partners, and `expires` where it does not last.

pub mod file;

use std::collections::HashMap;
use std::path::Path;

use jiff::Timestamp;
use rand::TryRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use toml::Spanned;

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// An app's key: writes reports of one app, reads nothing.
    App,
    /// Reads releases.
    Analyst,
    /// Reads the ledger and health.
    Operator,
    /// Is responsible for personal data: registers withdrawals.
    Officer,
    /// Someone outside: takes exports of releases, on a basis of the policy, and reads nothing else.
    Partner,
}

/// Why releases may go to a partner: the clause of the privacy policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Basis {
    /// The user has agreed.
    #[serde(rename = "4.2.1")]
    Consent,
    /// The service cannot work without it.
    #[serde(rename = "4.2.2")]
    Operation,
    /// The law requires it.
    #[serde(rename = "4.2.3")]
    Law,
    /// Rights are defended where the terms of use were broken.
    #[serde(rename = "4.2.4")]
    Rights,
}

impl Basis {
    /// All of them.
    pub const ALL: [Basis; 4] = [Basis::Consent, Basis::Operation, Basis::Law, Basis::Rights];

    /// The number of its clause.
    #[must_use]
    pub fn clause(self) -> &'static str {
        match self {
            Basis::Consent => "4.2.1",
            Basis::Operation => "4.2.2",
            Basis::Law => "4.2.3",
            Basis::Rights => "4.2.4",
        }
    }

    /// What the clause says, in short.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Basis::Consent => "the user has agreed",
            Basis::Operation => "the service cannot work without it",
            Basis::Law => "the law of Kazakhstan requires it",
            Basis::Rights => "rights are defended where the terms of use were broken",
        }
    }

    /// The basis of a clause.
    #[must_use]
    pub fn of_clause(clause: &str) -> Option<Basis> {
        Basis::ALL.into_iter().find(|basis| basis.clause() == clause)
    }
}

/// What a token grants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// What people call the token.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// The one app it is bound to; required for apps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Why a partner may have exports; required for partners, and for nobody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<Basis>,
    /// SHA-256 of the token, in hex.
    pub sha256: String,
    /// From when on it grants nothing; none where it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

impl Grant {
    /// True where the grant reaches `app`.
    #[must_use]
    pub fn reaches(&self, app: &str) -> bool {
        self.app.as_deref().is_none_or(|bound| bound == app)
    }

    /// True where it grants nothing that `other` does not.
    #[must_use]
    fn is_within(&self, other: &Grant) -> bool {
        let ends_first = match (self.expires, other.expires) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(mine), Some(others)) => mine <= others,
        };
        let reaches_less = other.app.is_none() || self.app == other.app;
        self.role == other.role && self.basis == other.basis && reaches_less && ends_first
    }

    /// True where it has not expired.
    #[must_use]
    pub fn is_in_force(&self, now_ms: i64) -> bool {
        self.expires.is_none_or(|expires| now_ms < expires.as_millisecond())
    }
}

/// The hash by which a token is known.
#[must_use]
pub fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// All grants, by the hash of their token.
#[derive(Debug, Default, Clone)]
pub struct Access(HashMap<[u8; 32], Grant>);

/// Why the access file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// It cannot be read.
    #[error("the access file {0} cannot be read ({1}); `tuman init` makes one")]
    Read(String, std::io::Error),
    /// It is not of the form.
    #[error("the access file {file} is wrong: line {line}: {what}")]
    Form {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong and what would be right.
        what: String,
    },
    /// It cannot be written.
    #[error("the access file {0} cannot be written ({1})")]
    Write(String, std::io::Error),
    /// There is a token of this name.
    #[error("there is a token of this name: choose another, or revoke it first")]
    NameTaken,
    /// There is none.
    #[error("there is no token of this name; `tuman access list` names all")]
    NoSuchName,
    /// The tokens stand in an array within a line.
    #[error(
        "the tokens stand in an array, `token = [...]`: write each as `[[token]]`, or change it by hand and send SIGHUP"
    )]
    Inline,
    /// The name cannot be one.
    #[error("a name has 1 to 80 characters on one line, and is no personal data and no token")]
    Name,
    /// No randomness.
    #[error("the operating system gives no randomness")]
    Randomness,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileForm {
    #[serde(default)]
    token: Vec<Spanned<Grant>>,
}

#[derive(Serialize)]
struct NewFile {
    token: Vec<Grant>,
}

impl Access {
    /// Reads the access file.
    ///
    /// # Errors
    /// Where it cannot be read, or an entry is wrong.
    pub fn read(file: &Path) -> Result<Access, AccessError> {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file).map_err(|error| AccessError::Read(name.clone(), error))?;
        Access::parse(&text, &name)
    }

    /// Reads the text of the access file `name`.
    fn parse(text: &str, name: &str) -> Result<Access, AccessError> {
        let wrong = |at: usize, what: String| {
            let line = text[..at.min(text.len())].matches('\n').count() + 1;
            AccessError::Form { file: name.to_owned(), line, what }
        };
        let form: FileForm = toml::from_str(text)
            .map_err(|error| wrong(error.span().map_or(0, |span| span.start), error.message().to_owned()))?;
        Access::from_grants(form.token).map_err(|(at, what)| wrong(at, what))
    }

    /// An error comes with where its token begins.
    fn from_grants(grants: Vec<Spanned<Grant>>) -> Result<Access, (usize, String)> {
        let mut access: HashMap<[u8; 32], Grant> = HashMap::new();
        for grant in grants {
            let at = grant.span().start;
            let grant = grant.into_inner();
            let mut hash = [0; 32];
            hex::decode_to_slice(&grant.sha256, &mut hash)
                .map_err(|_| (at, format!("token `{}`: sha256 is 64 hex digits", grant.name)))?;
            if grant.role == Role::App && grant.app.is_none() {
                return Err((at, format!("token `{}`: an app's key names its app", grant.name)));
            }
            if (grant.role == Role::Partner) != grant.basis.is_some() {
                let what = "a partner's token names its basis, 4.2.1 to 4.2.4, and no other token does";
                return Err((at, format!("token `{}`: {what}", grant.name)));
            }
            if let Some(other) = access.get(&hash) {
                // Which of the two counts would be chance, and `revoke` would leave the other.
                return Err((at, format!("tokens `{}` and `{}` have one sha256", other.name, grant.name)));
            }
            access.insert(hash, grant);
        }
        Ok(Access(access))
    }

    /// The grant of a token that is in force. The lookup is by the token's hash: its timing says nothing about other
    /// tokens.
    #[must_use]
    pub fn grant(&self, token: &str, now_ms: i64) -> Option<&Grant> {
        self.grant_of(&hash(token), now_ms)
    }

    /// The grant of a token that is in force, by its hash.
    #[must_use]
    pub fn grant_of(&self, hash: &[u8; 32], now_ms: i64) -> Option<&Grant> {
        self.0.get(hash).filter(|grant| grant.is_in_force(now_ms))
    }

    /// These grants, as far as `newer` gives them too: what may be in force while it is not known yet whether what is
    /// new in `newer` may.
    #[must_use]
    pub fn within(&self, newer: &Access) -> Access {
        let both = self.0.iter().filter_map(|(hash, old)| Some((*hash, old, newer.0.get(hash)?)));
        let lesser = both.filter_map(|(hash, old, new)| {
            let lesser = if new.is_within(old) { Some(new) } else { Some(old).filter(|old| old.is_within(new)) };
            Some((hash, lesser?.clone()))
        });
        Access(lesser.collect())
    }

    /// Grants that `other` does not have, or has otherwise, by name; each with its token's hash.
    #[must_use]
    pub fn beyond(&self, other: &Access) -> Vec<([u8; 32], Grant)> {
        let those = self.0.iter().filter(|(hash, grant)| other.0.get(*hash) != Some(grant));
        let mut those: Vec<([u8; 32], Grant)> = those.map(|(hash, grant)| (*hash, grant.clone())).collect();
        those.sort_by(|(_, a), (_, b)| (&a.name, &a.sha256).cmp(&(&b.name, &b.sha256)));
        those
    }

    pub(crate) fn insert(&mut self, hash: [u8; 32], grant: Grant) {
        self.0.insert(hash, grant);
    }

    pub(crate) fn remove(&mut self, hash: &[u8; 32]) {
        self.0.remove(hash);
    }

    /// All grants, by name.
    #[must_use]
    pub fn all(&self) -> Vec<&Grant> {
        let mut all: Vec<&Grant> = self.0.values().collect();
        all.sort_by(|a, b| (&a.name, &a.sha256).cmp(&(&b.name, &b.sha256)));
        all
    }
}

/// Makes a token, shown once, and its grant.
///
/// # Errors
/// Where the operating system gives no randomness.
pub fn issue(name: &str, role: Role, app: Option<&str>) -> Result<(String, Grant), AccessError> {
    let mut secret = [0_u8; 32];
    rand::rngs::SysRng.try_fill_bytes(&mut secret).map_err(|_| AccessError::Randomness)?;
    let prefix = match role {
        Role::App => "tka",
        Role::Analyst => "tkr",
        Role::Operator => "tko",
        Role::Officer => "tkf",
        Role::Partner => "tkp",
    };
    let token = format!("{prefix}_{}", hex::encode(secret));
    let sha256 = hex::encode(hash(&token));
    Ok((token, Grant { name: name.into(), role, app: app.map(Into::into), basis: None, sha256, expires: None }))
}

/// Makes a partner's token, shown once, and its grant.
///
/// # Errors
/// Where the operating system gives no randomness.
pub fn issue_partner(name: &str, basis: Basis, app: Option<&str>) -> Result<(String, Grant), AccessError> {
    let (token, grant) = issue(name, Role::Partner, app)?;
    Ok((token, Grant { basis: Some(basis), ..grant }))
}

/// The access file that holds these grants.
#[must_use]
pub fn file_of(grants: Vec<Grant>) -> String {
    let body = toml::to_string(&NewFile { token: grants }).unwrap_or_default();
    format!("# Tokens are stored as SHA-256: a lost one is replaced, not recovered.\n{body}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_hash_alone() {
        let (token, grant) = issue("shop", Role::App, Some("kz.demo.app")).unwrap();
        let text = file_of(vec![grant]);
        assert!(!text.contains(&token));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("access.toml");
        std::fs::write(&file, text).unwrap();
        let access = Access::read(&file).unwrap();
        assert!(access.grant(&token, 0).unwrap().reaches("kz.demo.app"));
        assert!(!access.grant(&token, 0).unwrap().reaches("kz.other"));
        assert!(access.grant("tka_00", 0).is_none());
    }

    #[test]
    fn an_expired_token_grants_nothing() {
        let (token, grant) = issue("guest", Role::Analyst, None).unwrap();
        let grant = Grant { expires: Some(Timestamp::from_second(1_000).unwrap()), ..grant };
        let access = Access::parse(&file_of(vec![grant]), "access.toml").unwrap();
        assert!(access.grant(&token, 999_999).is_some());
        assert!(access.grant(&token, 1_000_000).is_none());
        assert_eq!(access.all().len(), 1, "it is still listed");
    }

    #[test]
    fn of_a_changed_token_the_lesser_is_in_force_meanwhile() {
        let at = |second| Some(Timestamp::from_second(second).unwrap());
        let (_, wide) = issue("guest", Role::Analyst, None).unwrap();
        let narrow = Grant { name: "other".into(), app: Some("kz.demo.app".into()), expires: at(5), ..wide.clone() };
        let elsewhere = Grant { app: Some("kz.other".into()), ..narrow.clone() };
        let longer = Grant { expires: at(6), ..narrow.clone() };
        let operator = Grant { role: Role::Operator, ..narrow.clone() };
        let of = |grant: &Grant| Access::parse(&file_of(vec![grant.clone()]), "access.toml").unwrap();
        let meanwhile = |old: &Grant, new: &Grant| of(old).within(&of(new)).all().first().copied().cloned();
        assert_eq!(meanwhile(&wide, &narrow), Some(narrow.clone()));
        assert_eq!(meanwhile(&narrow, &wide), Some(narrow.clone()));
        assert_eq!(meanwhile(&narrow, &longer), Some(narrow.clone()));
        for other in [elsewhere, operator] {
            assert_eq!(meanwhile(&narrow, &other), None);
        }
        assert_eq!(of(&narrow).within(&Access::default()).all(), Vec::<&Grant>::new());
        assert_eq!(of(&narrow).beyond(&of(&longer)).len(), 1);
        assert_eq!(of(&narrow).beyond(&of(&narrow)), []);
    }

    #[test]
    fn an_apps_key_names_its_app() {
        let (_, analyst) = issue("y", Role::Analyst, None).unwrap();
        let (_, grant) = issue("x", Role::App, None).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("access.toml");
        std::fs::write(&file, file_of(vec![analyst, grant])).unwrap();
        let line = std::fs::read_to_string(&file).unwrap().lines().position(|line| line.contains("\"x\"")).unwrap();
        let wrong = Access::read(&file).unwrap_err();
        // Its entry begins on the line before its name.
        assert!(matches!(wrong, AccessError::Form { line: found, .. } if found == line), "{wrong}");
    }

    #[test]
    fn two_entries_of_one_token_are_refused_by_the_line_of_the_second() {
        let (_, first) = issue("first", Role::Analyst, None).unwrap();
        let second = Grant { name: "second".into(), sha256: first.sha256.to_uppercase(), ..first.clone() };
        let text = file_of(vec![first, second]);
        let line = text.lines().position(|line| line.contains("\"second\"")).unwrap();
        let wrong = Access::parse(&text, "access.toml").unwrap_err();
        assert!(matches!(wrong, AccessError::Form { line: found, .. } if found == line), "{wrong}");
    }

    #[test]
    fn a_partner_names_its_basis_and_nobody_else_has_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("access.toml");
        for basis in Basis::ALL {
            let (token, partner) = issue_partner("ministry", basis, None).unwrap();
            std::fs::write(&file, file_of(vec![partner])).unwrap();
            assert_eq!(Access::read(&file).unwrap().grant(&token, 0).unwrap().basis, Some(basis));
            assert_eq!(Basis::of_clause(basis.clause()), Some(basis));
            assert!(std::fs::read_to_string(&file).unwrap().contains(&format!("basis = \"{}\"", basis.clause())));
        }
        let (_, bare) = issue("ministry", Role::Partner, None).unwrap();
        let (_, analyst) = issue("analyst", Role::Analyst, None).unwrap();
        let with_basis = Grant { basis: Some(Basis::Law), ..analyst };
        for wrong in [bare, with_basis] {
            std::fs::write(&file, file_of(vec![wrong])).unwrap();
            assert!(Access::read(&file).unwrap_err().to_string().contains("basis"));
        }
        assert_eq!(Basis::of_clause("4.2.5"), None);
    }
}
