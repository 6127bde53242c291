//! The page's languages: which one a reader gets, and how it writes numbers, dates and plurals.

use jiff::civil::Date;

use super::texts::{ENGLISH, Forms, KAZAKH, RUSSIAN, Texts};
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

    /// Its texts.
    pub(super) fn texts(self) -> &'static Texts {
        match self {
            Language::English => &ENGLISH,
            Language::Russian => &RUSSIAN,
            Language::Kazakh => &KAZAKH,
        }
    }

    /// A whole number with its digits in groups of three.
    pub(super) fn number(self, value: i64) -> String {
        let digits = value.unsigned_abs().to_string();
        let mut out = String::from(if value < 0 { "\u{2212}" } else { "" });
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                out.push(match self {
                    Language::English => ',',
                    Language::Russian | Language::Kazakh => '\u{202f}',
                });
            }
            out.push(digit);
        }
        out
    }

    /// A number with up to `places` decimals.
    pub(super) fn decimal(self, value: f64, places: usize) -> String {
        let text = format!("{value:.places$}");
        let text = match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.'),
            false => &text,
        };
        self.point(text)
    }

    /// A count as people read it, not below zero, with its margin.
    pub(super) fn with_margin(self, value: f64, margin: f64) -> String {
        let (value, margin) = (self.number(whole(value)), self.number(whole(margin)));
        format!("{value}\u{a0}±\u{a0}{margin}")
    }

    /// A change in percent, with its margin.
    pub(super) fn change(self, percent: f64, margin: f64) -> String {
        let sign = if percent > 0.0 { "+" } else { "" };
        let space = if self == Language::English { "" } else { "\u{a0}" };
        let write = |value: f64| self.point(&format!("{value:.1}"));
        let (percent, margin) = (write(percent), write(margin));
        format!("{sign}{percent}\u{a0}±\u{a0}{margin}{space}%")
    }

    /// A date with its month spelled out.
    pub(super) fn date(self, date: Date) -> String {
        self.in_year(&self.day_and_month(date), date.year())
    }

    /// A date without its year, as short as it gets.
    pub(super) fn short_date(self, date: Date) -> String {
        let months = self.texts().months_short;
        let month = months[usize::from(date.month().unsigned_abs()) - 1];
        format!("{}\u{a0}{month}", date.day())
    }

    /// From one date to another, both included.
    pub(super) fn dates(self, from: Date, to: Date) -> String {
        if from == to {
            return self.date(to);
        }
        if from.year() != to.year() {
            return format!("{} – {}", self.date(from), self.date(to));
        }
        let days = match from.month() == to.month() {
            true => format!("{}–{}", from.day(), self.day_and_month(to)),
            false => format!("{} – {}", self.day_and_month(from), self.day_and_month(to)),
        };
        self.in_year(&days, to.year())
    }

    /// A number and its noun.
    pub(super) fn counted(self, n: i64, forms: &Forms) -> String {
        let form = match self {
            Language::English if n == 1 => forms.one,
            Language::English | Language::Kazakh => forms.many,
            Language::Russian => match (n % 10, n % 100) {
                (1, tail) if tail != 11 => forms.one,
                (2..=4, tail) if !(12..=14).contains(&tail) => forms.few,
                _ => forms.many,
            },
        };
        format!("{}\u{a0}{form}", self.number(n))
    }

    /// Digits with the language's decimal sign and a minus sign in place of a hyphen.
    fn point(self, digits: &str) -> String {
        let text = digits.replace('-', "\u{2212}");
        match self {
            Language::English => text,
            Language::Russian | Language::Kazakh => text.replace('.', ","),
        }
    }

    fn day_and_month(self, date: Date) -> String {
        let month = self.texts().months[usize::from(date.month().unsigned_abs()) - 1];
        format!("{}\u{a0}{month}", date.day())
    }

    fn in_year(self, days: &str, year: i16) -> String {
        match self {
            Language::English => format!("{days} {year}"),
            Language::Russian => format!("{days} {year}\u{a0}г."),
            Language::Kazakh => format!("{year}\u{a0}жылғы {days}"),
        }
    }
}

/// Rounded, and not below zero: for people only.
#[allow(clippy::cast_possible_truncation)]
pub(super) fn whole(value: f64) -> i64 {
    value.max(0.0).round() as i64
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

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

    #[test]
    fn numbers_are_written_as_each_language_does() {
        let [english, russian, kazakh] = Language::ALL;
        assert_eq!(english.number(1_234_567), "1,234,567");
        assert_eq!(russian.number(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(kazakh.number(999), "999");
        assert_eq!(english.number(-1_000), "\u{2212}1,000");
        assert_eq!(russian.decimal(0.25, 2), "0,25");
        assert_eq!(english.decimal(20.0, 0), "20");
        assert_eq!(english.with_margin(-3.0, 12.4), "0\u{a0}±\u{a0}12");
        assert_eq!(english.change(4.25, 1.0), "+4.2\u{a0}±\u{a0}1.0%");
        assert_eq!(russian.change(-4.2, 1.1), "\u{2212}4,2\u{a0}±\u{a0}1,1\u{a0}%");
    }

    #[test]
    fn dates_are_written_as_each_language_does() {
        let day = date(2026, 11, 22);
        let all =
            |write: &dyn Fn(Language) -> String| Language::ALL.map(|language| write(language).replace('\u{a0}', " "));
        assert_eq!(
            all(&|language| language.date(day)),
            ["22 November 2026", "22 ноября 2026 г.", "2026 жылғы 22 қараша"]
        );
        assert_eq!(
            all(&|language| language.dates(date(2026, 11, 16), day)),
            ["16–22 November 2026", "16–22 ноября 2026 г.", "2026 жылғы 16–22 қараша"]
        );
        assert_eq!(
            all(&|language| language.dates(date(2026, 10, 24), day)),
            ["24 October – 22 November 2026", "24 октября – 22 ноября 2026 г.", "2026 жылғы 24 қазан – 22 қараша"]
        );
        assert_eq!(
            all(&|language| language.dates(date(2025, 12, 31), date(2026, 1, 1)))[0],
            "31 December 2025 – 1 January 2026"
        );
        assert_eq!(all(&|language| language.short_date(day)), ["22 Nov", "22 нояб.", "22 қар."]);
    }

    #[test]
    fn nouns_follow_their_numbers() {
        let days = |language: Language, n| language.counted(n, &language.texts().days);
        let russian = [1, 2, 5, 11, 12, 21, 22, 25, 111, 0].map(|n| days(Language::Russian, n));
        assert_eq!(
            russian.map(|text| text.split('\u{a0}').next_back().unwrap_or_default().to_owned()),
            ["день", "дня", "дней", "дней", "дней", "день", "дня", "дней", "дней", "дней"]
        );
        assert_eq!(days(Language::English, 1), "1\u{a0}day");
        assert_eq!(days(Language::English, 2), "2\u{a0}days");
        assert_eq!(days(Language::Kazakh, 5), "5\u{a0}күн");
    }
}
