//! Writes the report of one visit as JSON.
//!
//! Guarantees: the fields of the protocol, in the spelling of an Android or an iOS phone; the same visit gives the same
//! bytes, but for the moment of sending.
//! Does not: pack or post the bytes.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::chance::Subject;
use super::cities::Point;
use super::identity::Platform;
use super::phone::{Life, Phone, Placing};
use super::rhythm::Visit;
use super::visit;

/// A local day, ready to write moments of it and of the days around it.
pub(super) struct LocalDay {
    /// Days since 1970.
    pub(super) number: i32,
    /// Day of the month, from 1.
    pub(super) month_day: i32,
    midnight: Timestamp,
    offset_s: i32,
    /// The offset as text, like `+05:00`.
    offset: String,
    /// The dates from three days before to four days after, as text.
    dates: Vec<String>,
}

const DATES_BEFORE: i64 = 3;
const DATES_AFTER: i64 = 4;

impl LocalDay {
    /// A day in a zone.
    ///
    /// # Errors
    ///
    /// Fails at the edges of the calendar, in the years -9999 and 9999.
    pub(super) fn new(day: Date, zone: &TimeZone) -> Result<LocalDay, jiff::Error> {
        let start = day.to_zoned(zone.clone())?;
        let offset_s = start.offset().seconds();
        let minutes = offset_s.unsigned_abs() / 60;
        let sign = if offset_s < 0 { '-' } else { '+' };
        let dates = (-DATES_BEFORE..=DATES_AFTER)
            .map(|days| Ok(day.checked_add(days.days())?.to_string()))
            .collect::<Result<_, jiff::Error>>()?;
        Ok(LocalDay {
            number: day_number(day),
            month_day: i32::from(day.day()),
            midnight: start.timestamp(),
            offset_s,
            offset: format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60),
            dates,
        })
    }

    /// The moment so many milliseconds after local midnight.
    pub(super) fn moment(&self, ms: i64) -> Timestamp {
        Timestamp::from_millisecond(self.midnight.as_millisecond() + ms).unwrap_or(self.midnight)
    }

    /// The milliseconds from local midnight to a moment.
    pub(super) fn ms_at(&self, moment: Timestamp) -> i64 {
        moment.as_millisecond() - self.midnight.as_millisecond()
    }

    /// Writes a moment as RFC 3339: Android with the local offset, iOS in UTC with milliseconds.
    fn write(&self, ms: i64, platform: Platform, into: &mut Json) {
        let shifted_ms = match platform {
            Platform::Android => ms,
            Platform::Ios => ms - i64::from(self.offset_s) * 1_000,
        };
        let date = usize::try_from(shifted_ms.div_euclid(DAY_MS) + DATES_BEFORE).ok();
        let Some(date) = date.and_then(|index| self.dates.get(index)) else {
            into.raw(&self.moment(ms).to_string());
            return;
        };
        let of_day_ms = shifted_ms.rem_euclid(DAY_MS) as u32;
        let seconds = of_day_ms / 1_000;
        into.raw(date);
        into.raw("T");
        into.padded(seconds / 3_600, 2);
        into.raw(":");
        into.padded(seconds / 60 % 60, 2);
        into.raw(":");
        into.padded(seconds % 60, 2);
        match platform {
            Platform::Android => into.raw(&self.offset),
            Platform::Ios => {
                into.raw(".");
                into.padded(of_day_ms % 1_000, 3);
                into.raw("Z");
            }
        }
    }
}

const DAY_MS: i64 = 86_400_000;

/// Days since 1970.
pub(super) fn day_number(day: Date) -> i32 {
    (day - Date::constant(1970, 1, 1)).get_days()
}

/// All that one report depends on.
pub(super) struct Occasion<'a> {
    pub(super) seed: u64,
    pub(super) life: &'a Life,
    pub(super) phone: &'a Phone,
    pub(super) day: &'a LocalDay,
    /// The version of the app on this day.
    pub(super) version: &'static str,
    pub(super) visit: Visit,
    /// The place of the visit among those of the day, from 0.
    pub(super) index: u32,
}

/// The body of the report, sent at `sent_ms` after local midnight.
pub(super) fn write(occasion: &Occasion<'_>, sent_ms: i64) -> Vec<u8> {
    let Occasion { seed, life, phone, day, version, visit, index } = *occasion;
    let skew_ms = i64::from(phone.skew_s) * 1_000;
    let mut chance = life.chance(seed, Subject::Report, day.number * 4 + index as i32);
    let mut json = Json(Vec::with_capacity(640 + 240 * visit.events as usize));

    json.raw(r#"{"report_id":""#);
    let mut uuid = [0; 36];
    json.raw(uuid::Builder::from_random_bytes(chance.bytes()).as_uuid().as_hyphenated().encode_lower(&mut uuid));
    json.raw(r#"","sent_at":""#);
    day.write(sent_ms + skew_ms, phone.platform, &mut json);
    json.raw("\"");
    write_consent(phone, &mut json);
    write_device(phone, &mut json);
    json.raw(r#","app":{"version":""#);
    json.raw(version);
    json.raw("\"}");
    write_activity(occasion, &mut json);
    json.raw(r#","events":["#);
    let stay = life.stay(seed, phone, day.number);
    let place = stay.point(phone, &mut chance, day.number, visit.start_s / 3_600);
    let mut walk = visit::Walk::new(occasion.version, &mut chance);
    let gap_ms = i64::from(visit.length_s) * 1_000 / i64::from(visit.events);
    for number in 0..visit.events {
        let jitter_ms = i64::from(chance.below(gap_ms as u32));
        let at_ms = i64::from(visit.start_s) * 1_000 + i64::from(number) * gap_ms + jitter_ms;
        json.raw(if number == 0 { r#"{"name":""# } else { r#",{"name":""# });
        let step = walk.step(&mut chance);
        json.raw(step.name());
        json.raw(r#"","at":""#);
        day.write(at_ms + skew_ms, phone.platform, &mut json);
        json.raw("\"");
        let located = phone.consent.location || step.ignores_consent();
        if located && (number == 0 || chance.happens(0.35)) {
            write_place(phone.placing, place, &mut json);
        }
        json.raw(r#","props":{"#);
        walk.write_properties(step, &mut chance, &mut json);
        json.raw("}}");
    }
    json.raw("]}");
    json.0
}

fn write_consent(phone: &Phone, json: &mut Json) {
    json.raw(r#","consent":{"usage":"#);
    json.boolean(phone.consent.usage);
    json.raw(r#","location":"#);
    json.boolean(phone.consent.location);
    json.raw(r#","policy":""#);
    json.raw(phone.consent.policy);
    json.raw("\"}");
}

fn write_device(phone: &Phone, json: &mut Json) {
    json.raw(r#","device":{"ids":["#);
    for (index, identifier) in phone.identifiers.iter().enumerate() {
        json.raw(if index == 0 { r#"{"kind":""# } else { r#",{"kind":""# });
        json.raw(identifier.kind.name());
        json.raw(r#"","value":""#);
        json.raw(&identifier.sent);
        json.raw("\"}");
    }
    json.raw(match phone.platform {
        Platform::Android => r#"],"platform":"android","os_version":""#,
        Platform::Ios => r#"],"platform":"ios","os_version":""#,
    });
    json.raw(phone.os_version);
    json.raw(r#"","class":""#);
    json.raw(phone.class);
    json.raw(r#"","language":""#);
    json.raw(phone.language);
    json.raw("\"}");
}

/// The first report of a day carries what the app remembers; those after it only say when it was installed.
fn write_activity(occasion: &Occasion<'_>, json: &mut Json) {
    let Occasion { seed, life, day, index, .. } = *occasion;
    let first = index == 0;
    let firsts = first.then(|| life.firsts(seed, day.number, day.month_day));
    json.raw(r#","activity":{"first_today":"#);
    json.boolean(first);
    json.raw(r#","first_this_week":"#);
    json.boolean(firsts.is_some_and(|firsts| firsts.week));
    json.raw(r#","first_this_month":"#);
    json.boolean(firsts.is_some_and(|firsts| firsts.month));
    json.raw(r#","first_ever":"#);
    json.boolean(firsts.is_some_and(|firsts| firsts.ever));
    json.raw(r#","install_week":""#);
    let installed = Date::constant(1970, 1, 1).saturating_add(i64::from(life.installed).days());
    let week = installed.iso_week_date();
    json.padded(u32::from(week.year().unsigned_abs()), 4);
    json.raw("-W");
    json.padded(u32::from(week.week().unsigned_abs()), 2);
    json.raw(r#"","days_since_install":"#);
    json.number((day.number - life.installed).unsigned_abs());
    json.raw("}");
}

fn write_place(placing: Placing, place: Point, json: &mut Json) {
    let geohash = match placing {
        Placing::Geohash => geohash::encode(geohash::Coord { x: place.longitude(), y: place.latitude() }, 5).ok(),
        Placing::Coordinates => None,
    };
    if let Some(cell) = geohash {
        json.raw(r#","location":{"geohash":""#);
        json.raw(&cell);
        json.raw("\"}");
        return;
    }
    json.raw(r#","location":{"lat":"#);
    json.degrees(place.latitude_e6);
    json.raw(r#","lon":"#);
    json.degrees(place.longitude_e6);
    json.raw("}");
}

/// JSON in the making. Its strings are our own constants and need no escaping.
pub(super) struct Json(Vec<u8>);

impl Json {
    pub(super) fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(super) fn boolean(&mut self, value: bool) {
        self.raw(if value { "true" } else { "false" });
    }

    pub(super) fn number(&mut self, value: u32) {
        self.padded(value, 1);
    }

    /// A number with at least so many digits.
    pub(super) fn padded(&mut self, value: u32, digits: usize) {
        let mut text = [b'0'; 10];
        let mut left = value;
        let mut first = text.len();
        while left > 0 || text.len() - first < digits {
            first -= 1;
            text[first] = b'0' + (left % 10) as u8;
            left /= 10;
        }
        self.0.extend_from_slice(&text[first..]);
    }

    fn degrees(&mut self, value_e6: i32) {
        if value_e6 < 0 {
            self.raw("-");
        }
        let value = value_e6.unsigned_abs();
        self.number(value / 1_000_000);
        self.raw(".");
        self.padded(value % 1_000_000, 6);
    }
}
