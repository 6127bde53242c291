//! Everything that the page says, in its three languages.
//!
//! A text that one language lacks does not compile. Texts with values in them are functions of those values, which come
//! already written in the language.

mod english;
mod kazakh;
mod russian;

pub(super) use english::ENGLISH;
pub(super) use kazakh::KAZAKH;
pub(super) use russian::RUSSIAN;

use crate::seal::release::defaults;
use crate::seal::{exact, histogram};

/// A noun after 1, after 2 to 4, after 5 and more. Languages with fewer forms repeat the last.
#[derive(Debug)]
pub(super) struct Forms {
    pub(super) one: &'static str,
    pub(super) few: &'static str,
    pub(super) many: &'static str,
}

/// The texts of one language.
pub(super) struct Texts {
    pub(super) months: [&'static str; 12],
    pub(super) months_short: [&'static str; 12],
    pub(super) days: Forms,
    pub(super) cells: Forms,
    pub(super) rows: Forms,

    // The frame
    pub(super) tagline: &'static str,
    pub(super) skip: &'static str,
    pub(super) languages: &'static str,
    pub(super) apps: &'static str,
    pub(super) simulated: &'static str,
    pub(super) no_such_app: &'static str,
    pub(super) footer: &'static str,

    // Freshness
    pub(super) sealed: fn(sealed: &str, asked: i64) -> String,
    pub(super) sealed_through: fn(date: &str) -> String,
    pub(super) next_today: fn(time: &str, zone: &str) -> String,
    pub(super) next_tomorrow: fn(time: &str, zone: &str) -> String,
    pub(super) by_hand: &'static str,

    // Active devices
    pub(super) activity: &'static str,
    pub(super) chart: fn(period: &str) -> String,
    pub(super) chart_says: fn(lowest: &str, highest: &str) -> String,
    pub(super) devices: &'static str,
    pub(super) band: &'static str,
    pub(super) gap: &'static str,
    pub(super) axis_from: fn(value: &str) -> String,
    pub(super) as_table: &'static str,
    pub(super) day: &'static str,
    pub(super) not_sealed: &'static str,
    pub(super) below_threshold: &'static str,
    pub(super) mean: &'static str,
    pub(super) over_days: fn(days: &str) -> String,
    pub(super) last_day: &'static str,
    pub(super) change: &'static str,
    pub(super) change_note: fn(before: &str, days: &str) -> String,
    pub(super) week: &'static str,
    pub(super) month: &'static str,
    pub(super) flags_note: &'static str,
    pub(super) none_published: &'static str,

    // Today
    pub(super) today: &'static str,
    pub(super) today_caption: fn(date: &str, until: &str) -> String,
    pub(super) today_note: fn(hours: u8) -> String,
    pub(super) hour: &'static str,

    // Events
    pub(super) events: &'static str,
    pub(super) event: &'static str,
    pub(super) sent: &'static str,
    pub(super) devices_per_day: &'static str,
    pub(super) events_caption: fn(period: &str) -> String,
    pub(super) events_note: &'static str,
    pub(super) no_events: &'static str,
    pub(super) rest: fn(rows: &str) -> String,

    // Places
    pub(super) places: &'static str,
    pub(super) precision: &'static str,
    pub(super) precisions: [&'static str; 3],
    pub(super) whole_region: &'static str,
    pub(super) inside: fn(cell: &str) -> String,
    pub(super) cell: &'static str,
    pub(super) town: &'static str,
    pub(super) near: fn(town: &str) -> String,
    pub(super) sealed_days: &'static str,
    pub(super) places_caption: fn(period: &str) -> String,
    pub(super) places_note: &'static str,
    pub(super) in_region: fn(region: &str, devices: &str) -> String,
    pub(super) map: fn(cells: &str) -> String,
    pub(super) map_says: fn(busiest: &str) -> String,
    pub(super) map_note: &'static str,
    pub(super) no_places: &'static str,
    pub(super) geojson: &'static str,
    pub(super) towns_from: &'static str,

    // How it was made
    pub(super) suppressed: &'static str,
    pub(super) suppressed_why: &'static str,
    pub(super) suppressed_none: &'static str,
    pub(super) not_published: &'static str,
    pub(super) told_apart_by: &'static str,
    pub(super) made: &'static str,
    pub(super) made_how: &'static str,
    pub(super) release: &'static str,
    pub(super) epsilon: &'static str,
    pub(super) bound: &'static str,
    pub(super) scale: &'static str,
    pub(super) threshold: &'static str,
    pub(super) mechanism: &'static str,
    pub(super) no_threshold: &'static str,
    pub(super) discrete_laplace: &'static str,
    pub(super) without_noise: &'static str,
    pub(super) made_without_noise: &'static str,
    pub(super) releases: Releases,
    pub(super) dims: Dims,

    // Nothing to show yet
    pub(super) nothing_sealed: &'static str,
    pub(super) first_report: &'static str,
    pub(super) first_report_note: &'static str,
    pub(super) no_catalogue: &'static str,
    pub(super) store_away: &'static str,

    // The way in
    pub(super) sign_in: &'static str,
    pub(super) sign_in_why: &'static str,
    pub(super) token: &'static str,
    pub(super) show: &'static str,
    pub(super) nothing_kept: &'static str,
    pub(super) wrong_token: &'static str,
    pub(super) asked_anew: &'static str,
}

impl Texts {
    /// What a mechanism is called.
    pub(super) fn mechanism_called<'a>(&self, mechanism: &'a str) -> &'a str {
        match mechanism {
            histogram::MECHANISM => self.discrete_laplace,
            exact::MECHANISM => self.without_noise,
            other => other,
        }
    }
}

/// What releases are called.
pub(super) struct Releases {
    active_devices: &'static str,
    first_use: &'static str,
    places_5: &'static str,
    places_4: &'static str,
    places_3: &'static str,
    region: &'static str,
    event_devices: &'static str,
    event_totals: &'static str,
    active_by_hour: &'static str,
    events_by_hour: &'static str,
}

impl Releases {
    /// What a release is called; its own name where it has no other.
    pub(super) fn called<'a>(&self, name: &'a str) -> &'a str {
        let known = [
            (defaults::ACTIVE_DEVICES, self.active_devices),
            (defaults::FIRST_USE, self.first_use),
            (defaults::PLACES_5, self.places_5),
            (defaults::PLACES_4, self.places_4),
            (defaults::PLACES_3, self.places_3),
            (defaults::REGION, self.region),
            (defaults::EVENT_DEVICES, self.event_devices),
            (defaults::EVENT_TOTALS, self.event_totals),
            (defaults::ACTIVE_BY_HOUR, self.active_by_hour),
            (defaults::EVENTS_BY_HOUR, self.events_by_hour),
        ];
        let found = known.into_iter().find(|(release, _)| release.name == name);
        found.map_or(name, |(_, called)| called)
    }
}

/// What dimensions are called.
pub(super) struct Dims {
    none: &'static str,
    platform: &'static str,
    version: &'static str,
    event: &'static str,
    cell: &'static str,
    first: &'static str,
    hour: &'static str,
}

impl Dims {
    /// What a breakdown is called.
    pub(super) fn called(&self, breakdown: &str) -> String {
        let names = breakdown.split(',').map(|name| match name {
            "" => self.none,
            "platform" => self.platform,
            "version" => self.version,
            "event" => self.event,
            "cell" => self.cell,
            "first" => self.first,
            "hour" => self.hour,
            other => other,
        });
        names.collect::<Vec<_>>().join(", ")
    }
}
