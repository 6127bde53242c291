//! The page's languages, and which one a reader gets.

use crate::policy;

/// A language of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    English,
    Russian,
    Kazakh,
}

impl Language {
    /// All of them, in the order of the links that switch.
    pub(super) const ALL: [Language; 3] = [Language::English, Language::Russian, Language::Kazakh];

    /// The language of a code.
    pub(super) fn of(code: &str) -> Option<Language> {
        Language::ALL.into_iter().find(|language| language.code() == code)
    }

    /// The first choice of an `Accept-Language` header that the page has; English where it has none.
    pub(super) fn negotiated(accepted: &str) -> Language {
        let mut best = (0.0, Language::English);
        for choice in accepted.split(',').take(20) {
            let (range, quality) = choice.split_once(';').unwrap_or((choice, "q=1"));
            let code = range.trim().split('-').next().unwrap_or_default().to_ascii_lowercase();
            let quality: f64 = quality.trim().strip_prefix("q=").and_then(|q| q.parse().ok()).unwrap_or(0.0);
            if let Some(language) = Language::of(&code).filter(|_| quality > best.0) {
                best = (quality, language);
            }
        }
        best.1
    }

    /// Its code in BCP 47.
    pub(super) fn code(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::Russian => "ru",
            Language::Kazakh => "kk",
        }
    }

    /// The same language of the policy.
    pub(super) fn of_policy(self) -> policy::Language {
        match self {
            Language::English => policy::Language::En,
            Language::Russian => policy::Language::Ru,
            Language::Kazakh => policy::Language::Kk,
        }
    }

    /// What it calls itself.
    pub(super) fn own_name(self) -> &'static str {
        match self {
            Language::English => "English",
            Language::Russian => "Русский",
            Language::Kazakh => "Қазақша",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reader_gets_the_best_language_there_is() {
        for (accepted, language) in [
            ("kk-KZ,ru;q=0.9,en;q=0.8", Language::Kazakh),
            ("de, ru;q=0.5, en;q=0.4", Language::Russian),
            ("en;q=0.1,RU-ru;q=0.2", Language::Russian),
            ("de", Language::English),
            ("", Language::English),
            ("ru;q=0", Language::English),
            ("ru;q=x", Language::English),
        ] {
            assert_eq!(Language::negotiated(accepted), language, "{accepted}");
        }
    }
}
