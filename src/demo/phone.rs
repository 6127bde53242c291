//! A simulated phone: its owner's town, home and work, its system, its consent and its faults.
//!
//! Guarantees: a pure function of the fleet's seed, the phone's place in the fleet and the day of its install.
//! Does not: change. What changes from day to day is in `rhythm`.

use super::chance::{Chance, Subject};
use super::cities::{self, City, Point};
use super::identity::{self, Identifier, Platform};

/// The time that the app spends on one phone. When it ends, another phone takes the place in the fleet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Life {
    /// The place in the fleet.
    pub(super) slot: u32,
    /// The day of the install, counted from 1970.
    pub(super) installed: i32,
    /// How likely the phone is used on a day, before the first days' curiosity.
    pub(super) rate: f64,
}

/// How a phone packs what it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// How a phone writes where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placing {
    Coordinates,
    Geohash,
}

/// What the owner has allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Consent {
    pub(super) usage: bool,
    pub(super) location: bool,
    pub(super) policy: &'static str,
}

/// A phone.
#[derive(Clone, Debug)]
pub(super) struct Phone {
    pub(super) identifiers: Vec<Identifier>,
    pub(super) platform: Platform,
    pub(super) os_version: &'static str,
    pub(super) class: &'static str,
    pub(super) language: &'static str,
    pub(super) consent: Consent,
    pub(super) city: &'static City,
    pub(super) home: Point,
    pub(super) work: Point,
    pub(super) placing: Placing,
    pub(super) encoding: Encoding,
    /// How far the phone's clock is ahead, in seconds.
    pub(super) skew_s: i32,
    /// Days after which the owner installs a new version of the app.
    pub(super) update_days: i32,
    /// Hours by which the owner's day is later than that of others.
    pub(super) late_riser_h: i32,
    /// Whether the phone says `DNT: 1` and `Sec-GPC: 1`.
    pub(super) do_not_track: bool,
}

impl Life {
    /// The life that holds the place `slot` on a day.
    pub(super) fn at(seed: u64, slot: u32, day: i32) -> Life {
        let mut chance = Chance::of(seed, Subject::Cycle, u64::from(slot), 0);
        // Two places in five belong to people who try the app and leave it within months.
        let length = if chance.happens(0.4) {
            21 + (chance.exponential(35.0) as i32).min(120)
        } else {
            300 + chance.below(600) as i32
        };
        let phase = chance.below(length.unsigned_abs()) as i32;
        let installed = phase + (day - phase).div_euclid(length) * length;
        let mut chance = Chance::of(seed, Subject::Habit, u64::from(slot), install_key(installed));
        let rate = match chance.below(100) {
            0..30 => 0.75 + 0.2 * chance.unit(),
            30..70 => 0.25 + 0.35 * chance.unit(),
            _ => 0.04 + 0.16 * chance.unit(),
        };
        Life { slot, installed, rate }
    }

    /// A stream of draws for this life at one further coordinate.
    pub(super) fn chance(&self, seed: u64, subject: Subject, at: i32) -> Chance {
        Chance::of(seed, subject, self.key(), install_key(at))
    }

    /// A single draw in [0, 1) for this life at one further coordinate.
    pub(super) fn draw(&self, seed: u64, subject: Subject, at: i32) -> f64 {
        Chance::single(seed, subject, self.key(), install_key(at))
    }

    fn key(&self) -> u64 {
        (u64::from(self.slot) << 32) | u64::from(self.installed as u32)
    }
}

impl Phone {
    /// The phone of a life.
    pub(super) fn of(seed: u64, life: &Life) -> Phone {
        let mut chance = life.chance(seed, Subject::Phone, 0);
        let chance = &mut chance;
        let platform = if chance.happens(0.2) { Platform::Ios } else { Platform::Android };
        let (os_version, tablets) = match platform {
            Platform::Android => (chance.weighted(&ANDROIDS), 0.06),
            Platform::Ios => (chance.weighted(&IOS_VERSIONS), 0.09),
        };
        let city = cities::by_population(chance);
        let home = city.centre.scattered(chance, city.scale_metres());
        // Work is nearer to the centre than home.
        let work = city.centre.scattered(chance, city.scale_metres() * 0.6);
        Phone {
            identifiers: identity::draw(chance, platform),
            platform,
            os_version,
            class: if chance.happens(tablets) { "tablet" } else { "phone" },
            language: chance.weighted(&LANGUAGES),
            consent: chance.weighted(&CONSENTS),
            city,
            home,
            work,
            placing: if chance.happens(0.3) { Placing::Geohash } else { Placing::Coordinates },
            encoding: chance.weighted(&ENCODINGS),
            skew_s: skew_s(chance),
            update_days: update_days(chance),
            late_riser_h: chance.weighted(&[(-2, 10), (-1, 20), (0, 40), (1, 20), (2, 10)]),
            do_not_track: chance.happens(0.005),
        }
    }
}

const ANDROIDS: [(&str, u32); 9] =
    [("8.1.0", 1), ("9", 2), ("10", 5), ("11", 9), ("12", 12), ("13", 18), ("14", 24), ("15", 21), ("16", 8)];
const IOS_VERSIONS: [(&str, u32); 6] =
    [("15.8.3", 3), ("16.7.11", 9), ("17.6.1", 18), ("18.5", 20), ("18.6.2", 28), ("26.0.1", 22)];
const LANGUAGES: [(&str, u32); 7] =
    [("ru-KZ", 46), ("kk-KZ", 36), ("ru-RU", 8), ("en-US", 6), ("uz-UZ", 2), ("tr-TR", 1), ("zh-Hans-CN", 1)];
const ENCODINGS: [(Encoding, u32); 3] = [(Encoding::Gzip, 50), (Encoding::Zstd, 25), (Encoding::Identity, 25)];
const CONSENTS: [(Consent, u32); 5] = [
    (Consent { usage: true, location: true, policy: "2026-01" }, 81),
    (Consent { usage: true, location: false, policy: "2026-01" }, 8),
    (Consent { usage: true, location: false, policy: "2025-06" }, 3),
    (Consent { usage: false, location: true, policy: "2026-01" }, 5),
    (Consent { usage: false, location: false, policy: "2026-01" }, 3),
];

/// Most clocks are set by the network; a few are minutes off, very few hours.
fn skew_s(chance: &mut Chance) -> i32 {
    let (least, range) = match chance.below(1000) {
        0..30 => (60, 1_740),
        30..36 => (3_600, 39_600),
        _ => return chance.below(5) as i32 - 2,
    };
    let skew = least + chance.below(range) as i32;
    if chance.happens(0.5) { skew } else { -skew }
}

fn update_days(chance: &mut Chance) -> i32 {
    let mean = if chance.happens(0.12) { 60.0 } else { 4.0 };
    chance.exponential(mean) as i32
}

fn install_key(day: i32) -> u64 {
    u64::from(day as u32)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const DAY: i32 = 20_700;

    fn phones() -> impl Iterator<Item = Phone> {
        (0..12_000).map(|slot| Phone::of(3, &Life::at(3, slot, DAY)))
    }

    #[test]
    fn phones_live_where_people_live() {
        let mut by_city: HashMap<&str, f64> = HashMap::new();
        for phone in phones() {
            *by_city.entry(phone.city.name).or_default() += 1.0 / 12_000.0;
        }
        let total: f64 = cities::all().iter().map(|city| f64::from(city.population)).sum();
        for city in &cities::all()[..3] {
            let expected = f64::from(city.population) / total;
            assert!((by_city[city.name] - expected).abs() < 0.02, "{}: {}", city.name, by_city[city.name]);
        }
        let most = by_city.iter().max_by(|left, right| left.1.total_cmp(right.1)).unwrap();
        assert_eq!(*most.0, "Almaty");
    }

    #[test]
    fn homes_lie_within_the_reach_of_their_town() {
        let far = phones().filter(|phone| phone.home.metres_to(phone.city.centre) > 12_000.0).count();
        assert!(far < 120, "{far}");
        let almaty: Vec<_> = phones().filter(|phone| phone.city.name == "Almaty").collect();
        let outside = almaty.iter().filter(|phone| phone.home.metres_to(phone.city.centre) > 2_500.0).count();
        assert!(outside * 3 > almaty.len(), "all of Almaty lives in its centre");
    }

    #[test]
    fn one_phone_in_five_is_an_iphone() {
        let iphones = phones().filter(|phone| phone.platform == Platform::Ios).count();
        assert!((2_100..2_700).contains(&iphones), "{iphones}");
    }

    #[test]
    fn a_life_is_the_same_on_each_of_its_days() {
        for slot in 0..500 {
            let life = Life::at(3, slot, DAY);
            assert!(life.installed <= DAY);
            assert_eq!(Life::at(3, slot, life.installed), life);
            assert_ne!(Life::at(3, slot, life.installed - 1).installed, life.installed);
        }
    }
}
