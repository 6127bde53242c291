//! What is kept of a device: platform, major version of its system, class, language. Never the model.
//!
//! Guarantees: every value comes from a registry of this module; anything else is `other`, number zero. Numbers are
//! stored, so they never change; registries only grow at their end.

use crate::report::Device;

/// Platforms; a platform's number is its index.
pub const PLATFORMS: [&str; 9] =
    ["other", "android", "ios", "ipados", "harmonyos", "windows", "macos", "linux", "web"];

/// Device classes; a class's number is its index.
pub const CLASSES: [&str; 7] = ["other", "phone", "tablet", "tv", "watch", "car", "desktop"];

/// Languages (ISO 639-1, without region); a language's number is its index.
pub const LANGUAGES: [&str; 49] = [
    "other", "kk", "ru", "en", "uz", "ky", "tg", "tk", "az", "tr", "uk", "be", "de", "zh", "ko", "ja", "ar", "fa",
    "ps", "hi", "ur", "es", "fr", "it", "pt", "pl", "cs", "hy", "ka", "mn", "tt", "ug", "ba", "he", "id", "vi", "th",
    "nl", "sv", "fi", "el", "ro", "bg", "sr", "hu", "lt", "lv", "et", "bn",
];

/// The facets of a device that are stored, as numbers of the registries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facets {
    pub(crate) platform: u8,
    pub(crate) os: u8,
    pub(crate) class: u8,
    pub(crate) language: u8,
}

/// The facets of a device as reported.
pub(crate) fn facets(device: &Device<'_>) -> Facets {
    let platform = number(&PLATFORMS, device.platform.text());
    Facets {
        platform,
        os: device.os_version.text().map_or(0, |text| os_major(platform, text)),
        class: number(&CLASSES, device.class.text()),
        language: number(&LANGUAGES, device.language.text().map(primary_language)),
    }
}

fn number(registry: &[&str], text: Option<&str>) -> u8 {
    let Some(text) = text else { return 0 };
    let index = registry.iter().position(|name| name.eq_ignore_ascii_case(text)).unwrap_or(0);
    u8::try_from(index).unwrap_or(0)
}

/// The primary subtag of a BCP 47 tag: `kk` of `kk-KZ` or `kk_Cyrl_KZ`.
fn primary_language(tag: &str) -> &str {
    tag.split(['-', '_']).next().unwrap_or_default()
}

/// The major version, where the platform has had one of that number; else zero.
fn os_major(platform: u8, text: &str) -> u8 {
    let digits = text.split('.').next().unwrap_or_default();
    if digits.is_empty() || digits.len() > 2 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return 0;
    }
    let major = digits.parse().unwrap_or(0);
    let known = match PLATFORMS.get(usize::from(platform)) {
        Some(&"android") => 4..=30,
        Some(&"ios" | &"ipados") => 8..=40,
        Some(&"other") | None => return 0,
        Some(_) => 1..=60,
    };
    if known.contains(&major) { major } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_major_version_of_a_known_platform_is_kept() {
        assert_eq!(os_major(1, "14"), 14);
        assert_eq!(os_major(2, "17.5.1"), 17);
        for (platform, text) in
            [(1, "3"), (1, "490154203237518"), (1, "-1"), (1, ""), (1, "1४"), (0, "14"), (2, "99")]
        {
            assert_eq!(os_major(platform, text), 0, "{text}");
        }
    }

    #[test]
    fn languages_lose_their_region() {
        for (tag, language) in [("kk-KZ", "kk"), ("RU", "ru"), ("kk_Cyrl_KZ", "kk"), ("xx", "other"), ("", "other")] {
            assert_eq!(LANGUAGES[usize::from(number(&LANGUAGES, Some(primary_language(tag))))], language);
        }
    }
}
