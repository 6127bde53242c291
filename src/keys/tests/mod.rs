//! Keys over days and weeks, through crashes, on one collector and on several.

mod crashes;
mod group;
mod ring;

use std::path::Path;

use jiff::civil::{Date, date};
use tuman_privacy::identifier::{Canonical, Kind, canonicalise};
use tuman_privacy::token::{Purpose, Token};

use super::*;
use crate::clock::{Zone, date_of, day_of};
use crate::config::KeyMode;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// 2026-10-05T12:00:00+05:00.
const NOON: i64 = 1_791_183_600_000;
/// The day of [`NOON`].
const TODAY: Date = date(2026, 10, 5);

fn keyring_of(folder: &Path, mode: KeyMode) -> Keyring {
    let zone = Zone::named("Asia/Almaty").unwrap();
    Keyring::open(&folder.join("keys"), &folder.join("keys.jsonl"), zone, 6 * HOUR_MS, mode).unwrap()
}

fn id() -> Canonical {
    canonicalise(Kind::Imei, "490154203237518").unwrap()
}

/// The token of one device on today's day.
fn token(keyring: &Keyring, now: i64) -> Result<Token, KeyError> {
    let open = keyring.open_days(now)?;
    let today = keyring.zone.day(now);
    let (_, tokeniser) = open.days.iter().find(|(day, _)| *day == today).unwrap();
    Ok(tokeniser.token("a", Purpose::Usage, &id()))
}
