//! The policy as data: what is collected, how it is treated, under which clause, how long it lives.
//!
//! One source: `sdk-spec/fields.toml`, which tests hold equal to the wire fields and to the live columns. `tuman policy`
//! prints it, `/privacy` shows it, in Kazakh, Russian and English.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The languages of the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Language {
    /// Kazakh.
    Kk,
    /// Russian.
    Ru,
    /// English.
    #[default]
    En,
}

/// The data dictionary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dictionary {
    /// Everything that a collector can be sent.
    #[serde(rename = "field")]
    pub fields: Vec<Field>,
    /// Every column that is stored.
    #[serde(rename = "column")]
    pub columns: Vec<Column>,
}

/// Something that a collector can be sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// Its path in the report, or its name in the request.
    pub path: String,
    /// `body`, `header` or `connection`.
    pub part: String,
    /// What is done to it.
    pub treatment: Treatment,
    /// The clause of the policy that governs it.
    pub clause: String,
    /// What it serves; nothing where it is empty.
    pub purpose: Vec<String>,
    /// The columns that hold something made from it.
    pub stored: Vec<String>,
    /// How long that lives.
    pub retention: Retention,
    /// What happens to it, in Kazakh.
    pub kk: String,
    /// In Russian.
    pub ru: String,
    /// In English.
    pub en: String,
}

/// A column of the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its table.
    pub table: String,
    /// Its name.
    pub column: String,
    /// Its type in ClickHouse.
    #[serde(rename = "type")]
    pub kind: String,
    /// The fields that it is made of.
    pub from: Vec<String>,
    /// How long it lives.
    pub retention: Retention,
    /// What it holds.
    pub en: String,
}

/// What is done to a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Treatment {
    /// The word itself is stored, as one that was declared beforehand.
    Kept,
    /// Only a coarser value is stored.
    Coarsened,
    /// Only a keyed hash is stored.
    Hashed,
    /// Only the declared value or range is stored.
    Bucketed,
    /// Needed to treat the report, not stored.
    UsedInMemory,
    /// Not used.
    Dropped,
}

/// How long something lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Retention {
    /// Until its day is sealed.
    #[serde(rename = "open_day")]
    OpenDay,
    /// 48 hours.
    #[serde(rename = "48_hours")]
    Hours48,
    /// Without end: public names and counts.
    #[serde(rename = "lasting")]
    Lasting,
    /// Not at all.
    #[serde(rename = "none")]
    None,
}

const FIELDS: &str = include_str!("../sdk-spec/fields.toml");

/// The dictionary of this version.
pub fn dictionary() -> &'static Dictionary {
    static DICTIONARY: LazyLock<Dictionary> =
        LazyLock::new(|| toml::from_str(FIELDS).expect("the dictionary is checked by a test"));
    &DICTIONARY
}

/// Which edition of the dictionary and the notices this is: SHA-256 of their files, in hex. It is in the audit log's entry
/// of each start, so that an inventory that was printed can be laid beside what ran.
pub fn digest() -> &'static str {
    static DIGEST: LazyLock<String> = LazyLock::new(|| {
        let mut digest = Sha256::new();
        for text in [FIELDS, notice(Language::Kk), notice(Language::Ru), notice(Language::En)] {
            digest.update((text.len() as u64).to_be_bytes());
            digest.update(text);
        }
        hex::encode(digest.finalize())
    });
    &DIGEST
}

/// The text that an app shows its user before it asks for consent; `{{...}}` are the app's to fill in.
#[must_use]
pub fn notice(language: Language) -> &'static str {
    match language {
        Language::Kk => include_str!("../sdk-spec/notice/kk.md"),
        Language::Ru => include_str!("../sdk-spec/notice/ru.md"),
        Language::En => include_str!("../sdk-spec/notice/en.md"),
    }
}

impl Field {
    /// What happens to it.
    #[must_use]
    pub fn what(&self, language: Language) -> &str {
        match language {
            Language::Kk => &self.kk,
            Language::Ru => &self.ru,
            Language::En => &self.en,
        }
    }
}

impl Treatment {
    /// In words.
    #[must_use]
    pub fn word(self, language: Language) -> &'static str {
        let (kk, ru, en) = match self {
            Treatment::Kept => ("сақталады", "хранится", "kept"),
            Treatment::Coarsened => ("ірілендіріледі", "огрубляется", "coarsened"),
            Treatment::Hashed => ("кілтпен хэштеледі", "хешируется с ключом", "hashed with a key"),
            Treatment::Bucketed => ("аралыққа келтіріледі", "сводится к диапазону", "reduced to a range"),
            Treatment::UsedInMemory => ("тек жадта", "только в памяти", "in memory only"),
            Treatment::Dropped => ("алынбайды", "отбрасывается", "dropped"),
        };
        of(language, kk, ru, en)
    }
}

impl Retention {
    /// In words.
    #[must_use]
    pub fn word(self, language: Language) -> &'static str {
        let (kk, ru, en) = match self {
            Retention::OpenDay => ("күн мөрленгенге дейін", "до запечатывания дня", "until its day is sealed"),
            Retention::Hours48 => ("48 сағат", "48 часов", "48 hours"),
            Retention::Lasting => ("мерзімсіз", "бессрочно", "lasting"),
            Retention::None => ("сақталмайды", "не хранится", "not stored"),
        };
        of(language, kk, ru, en)
    }
}

fn of(language: Language, kk: &'static str, ru: &'static str, en: &'static str) -> &'static str {
    match language {
        Language::Kk => kk,
        Language::Ru => ru,
        Language::En => en,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dictionary_is_whole() {
        let dictionary = dictionary();
        assert!(dictionary.fields.len() > 30 && dictionary.columns.len() > 40);
        for field in &dictionary.fields {
            let stores = field.retention != Retention::None;
            assert!(!stores || !field.stored.is_empty(), "{} lives somewhere", field.path);
        }
    }

    #[test]
    fn every_notice_names_the_ten_days() {
        for language in [Language::Kk, Language::Ru, Language::En] {
            assert!(notice(language).contains("10"));
        }
    }
}
