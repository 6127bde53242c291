//! What is kept of a device: platform, major version of its system, class, language. Never the model.
//!
//! Guarantees: every value comes from a registry of this module; anything else is `other`, number zero. Numbers are
//! stored, so they never change; registries only grow at their end.

use crate::detect::{Detector, Watch};
use crate::report::{Device, Value};

/// The longest version or language of which a part is kept, in bytes.
const LONGEST: usize = 64;

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

/// The personal data that was found in a facet's place, by facet.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Misplaced {
    pub(crate) platform: Option<Detector>,
    pub(crate) os: Option<Detector>,
    pub(crate) class: Option<Detector>,
    pub(crate) language: Option<Detector>,
}

/// The facets of a device as reported. Detectors look at what is no word of a registry, and at what stands around the
/// part that would be kept; a facet in which they find something is `other`.
pub(crate) fn facets(device: &Device<'_>, watch: &mut Watch) -> (Facets, Misplaced) {
    let (platform, platform_found) = registered(&PLATFORMS, &device.platform, watch);
    let (class, class_found) = registered(&CLASSES, &device.class, watch);
    let (language, language_found) = language(&device.language, watch);
    let (os, os_found) = os(platform, &device.os_version, watch);
    let misplaced =
        Misplaced { platform: platform_found, os: os_found, class: class_found, language: language_found };
    (Facets { platform, os, class, language }, misplaced)
}

fn registered(registry: &[&str], value: &Value<'_>, watch: &mut Watch) -> (u8, Option<Detector>) {
    match value.text().and_then(|text| number(registry, text)) {
        Some(number) => (number, None),
        None => (0, watch.value(value)),
    }
}

fn language(value: &Value<'_>, watch: &mut Watch) -> (u8, Option<Detector>) {
    let text = value.text().filter(|text| text.len() <= LONGEST);
    let Some(number) = text.and_then(|text| number(&LANGUAGES, primary_language(text))) else {
        return (0, watch.value(value));
    };
    match watch.value(value) {
        Some(detector) => (0, Some(detector)),
        None => (number, None),
    }
}

fn os(platform: u8, value: &Value<'_>, watch: &mut Watch) -> (u8, Option<Detector>) {
    let Some(text) = value.text() else {
        return (0, watch.value(value));
    };
    match watch.version(text) {
        Some(detector) => (0, Some(detector)),
        None if text.len() > LONGEST => (0, None),
        None => (os_major(platform, text), None),
    }
}

fn number(registry: &[&str], text: &str) -> Option<u8> {
    let index = registry.iter().position(|name| name.eq_ignore_ascii_case(text))?;
    u8::try_from(index).ok()
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
    use std::borrow::ToOwned;

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
            assert_eq!(LANGUAGES[usize::from(number(&LANGUAGES, primary_language(tag)).unwrap_or(0))], language);
        }
    }

    #[test]
    fn what_stands_beside_the_part_that_is_kept_is_looked_at() {
        let facets_of = |os: &str, language: &str| {
            let device = Device {
                platform: Value::of_text("android"),
                os_version: Value::of_text(os),
                language: Value::of_text(language),
                ..Device::default()
            };
            let (facets, misplaced) = facets(&device, &mut Watch::default());
            ((facets.os, misplaced.os), (facets.language, misplaced.language))
        };
        assert_eq!(facets_of("14.0.0.116", "kk-KZ"), ((14, None), (1, None)));
        let phone = Some(Detector::Phone);
        assert_eq!(facets_of("14.+77012345678", "ru-77012345678"), ((0, phone), (0, phone)));
        let long = "14.".to_owned() + &"0.".repeat(40);
        assert_eq!(facets_of(&long, &("ru-".to_owned() + &"x-".repeat(40))), ((0, None), (0, None)));
    }
}
