//! A release: what is counted, how it is bounded, how much budget it takes, and when it is published.
//!
//! Twelve are there by default; a catalogue changes them, leaves some out, and declares others ([`crate::catalogue`]).

use std::borrow::Cow;

use super::domain::Public;
use super::noise::{Noise, margin};

/// Most cells of a release's public domain, places apart: each gets a draw of noise.
pub const MOST_CELLS: usize = 20_000;
/// Hours of a day: the windows of a release that is sealed every hour.
pub const HOURS: u8 = 24;
/// The daily epsilon of a catalogue that names none.
pub const DAILY_EPSILON: f64 = 2.0;
/// Most that a catalogue may set as its daily epsilon.
pub const MOST_DAILY_EPSILON: f64 = 4.0;
/// The lowest threshold of a declared release, and of any release without noise.
pub const LEAST_THRESHOLD: i64 = 10;

/// The parameters of a release.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    /// Its name.
    pub name: Cow<'static, str>,
    /// What is counted.
    pub measure: Measure,
    /// How much one device adds to all its values together, at most; to those of one hour, where it is sealed every hour.
    pub bound: u32,
    /// Its privacy budget; none where values are published without noise.
    pub epsilon: Option<f64>,
    /// Values below this are not published. `i64::MIN` publishes all.
    pub threshold: i64,
    /// Of a release that is sealed every hour: in how many hours of a day one device counts, its first ones. None where
    /// the day is sealed as a whole.
    pub windows: Option<u32>,
}

/// What a release counts.
#[derive(Debug, Clone, PartialEq)]
pub enum Measure {
    /// Devices or events, over all combinations of the values of some dimensions.
    Over {
        /// Which of the two.
        counts: Counts,
        /// The dimensions, at most four.
        by: Cow<'static, [Dimension]>,
        /// Which sums are published beside the cells.
        sums: Sums,
    },
    /// Devices by their most frequent cell of so many characters, below published cells of one less.
    Places(u8),
    /// Devices in the region.
    Region,
    /// Devices by first use: of the day, of the week, of the month, ever.
    FirstUse,
    /// Devices one, seven and thirty days after their install.
    Cohorts,
    /// Devices on their first day of the week, by weeks since their install.
    Retention,
    /// Devices that reach each of these events, in this order, within the day.
    Funnel(Vec<String>),
}

/// Devices or events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// Devices, each in at most `bound` cells.
    Devices,
    /// Events, at most `bound` of each device.
    Events,
}

impl Counts {
    /// What they are called in answers and files.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Counts::Devices => "devices",
            Counts::Events => "events",
        }
    }
}

impl Measure {
    /// Which of the two it counts.
    #[must_use]
    pub fn counts(&self) -> Counts {
        match self {
            Measure::Over { counts, .. } => *counts,
            _ => Counts::Devices,
        }
    }
}

/// Which sums of noisy cells are published beside the cells. They cost no budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sums {
    /// None: the cells count a device more than once.
    None,
    /// By every choice of the dimensions, and the total.
    All,
}

/// A dimension whose values are public.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dimension {
    /// The platforms that the catalogue declares, and `other`.
    Platform,
    /// The versions that the catalogue declares, and `other`.
    Version,
    /// The languages of the registry.
    Language,
    /// The device classes of the registry.
    Class,
    /// The events that the catalogue declares.
    Event,
    /// The local hour, `00` to `23`.
    Hour,
    /// The classes of first use, disjoint.
    FirstUse,
    /// The values of a property that the catalogue declares; other events are not counted.
    Property {
        /// Its event.
        event: String,
        /// Its key.
        key: String,
    },
}

impl Dimension {
    /// Its name in releases.
    #[must_use]
    pub fn name(&self) -> Cow<'static, str> {
        match self {
            Dimension::Platform => "platform".into(),
            Dimension::Version => "version".into(),
            Dimension::Language => "language".into(),
            Dimension::Class => "class".into(),
            Dimension::Event => "event".into(),
            Dimension::Hour => "hour".into(),
            Dimension::FirstUse => "first_use".into(),
            Dimension::Property { event, key } => format!("{event}.{key}").into(),
        }
    }
}

/// A breakdown of a release: which of its dimensions are told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breakdown {
    /// Their names, separated by commas; empty for the total.
    pub name: String,
    /// How many values it has.
    pub values: usize,
    /// How many draws of noise a value holds, at most.
    pub draws: u32,
}

impl Breakdown {
    /// The same in each hour of a day.
    fn hourly(self) -> Breakdown {
        Breakdown { name: by_hour(&self.name), values: self.values.saturating_mul(HOURS.into()), draws: self.draws }
    }
}

impl Release {
    /// The names of its dimensions. The hour is the first one of a release that is sealed every hour.
    #[must_use]
    pub fn dims(&self) -> Vec<String> {
        let hour = self.windows.map(|_| Dimension::Hour);
        match &self.measure {
            Measure::Over { by, .. } => {
                hour.iter().chain(by.iter()).map(|dimension| dimension.name().into_owned()).collect()
            }
            Measure::Places(_) => vec!["cell".into()],
            Measure::Region => vec![],
            Measure::FirstUse => vec!["first".into()],
            Measure::Cohorts => vec!["day".into()],
            Measure::Retention => vec!["week".into()],
            Measure::Funnel(_) => vec!["step".into()],
        }
    }

    /// Its noise; none where there is none. The epsilon of a release that is sealed every hour covers all hours of a day
    /// in which one device counts.
    #[must_use]
    pub fn noise(&self) -> Option<Noise> {
        let most = self.bound.saturating_mul(self.windows.unwrap_or(1));
        self.epsilon.map(|epsilon| Noise::new(most, epsilon))
    }

    /// The scale of its noise; none where there is no noise.
    #[must_use]
    pub fn scale(&self) -> Option<f64> {
        self.noise().map(Noise::scale)
    }

    /// What its values are told apart by, the finest last. For places, of the whole region: finer cells than three
    /// characters are drawn below published ones only.
    #[must_use]
    pub fn breakdowns(&self, public: &Public<'_>) -> Vec<Breakdown> {
        let one = |values: usize, draws: u32| Breakdown { name: self.dims().join(","), values, draws };
        match &self.measure {
            Measure::Over { by, sums, .. } => {
                let breakdowns = public.breakdowns(by, *sums, self.epsilon.is_some()).into_iter();
                breakdowns
                    .map(|breakdown| if self.windows.is_some() { breakdown.hourly() } else { breakdown })
                    .collect()
            }
            Measure::Places(characters) => vec![one(public.places(*characters), 1)],
            Measure::Region => vec![one(1, 1)],
            Measure::FirstUse => vec![one(4, 5)],
            Measure::Cohorts => vec![one(3, 1)],
            Measure::Retention => vec![one(super::count::WEEKS.into(), 1)],
            Measure::Funnel(steps) => vec![one(steps.len(), u32::try_from(steps.len()).unwrap_or(u32::MAX))],
        }
    }

    /// The 95 % margin of a value that holds so many draws; without noise, that of rounding.
    #[must_use]
    pub fn margin(&self, draws: u32) -> f64 {
        self.scale().map_or(super::exact::MARGIN, |scale| margin(&[(draws, scale)]))
    }
}

/// What a breakdown is called with the hour before its dimensions.
#[must_use]
pub fn by_hour(breakdown: &str) -> String {
    let hour = Dimension::Hour.name();
    if breakdown.is_empty() { hour.into_owned() } else { format!("{hour},{breakdown}") }
}

/// What releases spend together for one device, app and day.
#[must_use]
pub fn spent(releases: &[Release]) -> f64 {
    releases.iter().filter_map(|release| release.epsilon).sum()
}

/// What was spent, as people read it: sums of decimal fractions have long tails.
#[must_use]
pub fn rounded(epsilon: f64) -> f64 {
    (epsilon * 1e6).round() / 1e6
}

/// The default releases. Their budgets add up to 2.0 for one device, app and day.
pub mod defaults {
    use std::borrow::Cow;

    use super::{Counts, Dimension, Measure, Release, Sums};

    const BY_PLATFORM_AND_VERSION: &[Dimension] = &[Dimension::Platform, Dimension::Version];
    const BY_EVENT: &[Dimension] = &[Dimension::Event];

    const fn release(name: &'static str, measure: Measure, bound: u32, epsilon: f64, threshold: i64) -> Release {
        Release { name: Cow::Borrowed(name), measure, bound, epsilon: Some(epsilon), threshold, windows: None }
    }

    /// The same every hour, with this many hours of a day in which one device counts.
    const fn hourly(windows: u32, mut release: Release) -> Release {
        release.windows = Some(windows);
        release
    }

    const fn over(counts: Counts, by: &'static [Dimension], sums: Sums) -> Measure {
        Measure::Over { counts, by: Cow::Borrowed(by), sums }
    }

    /// Active devices by platform and version.
    pub const ACTIVE_DEVICES: Release =
        release("active_devices", over(Counts::Devices, BY_PLATFORM_AND_VERSION, Sums::All), 1, 0.25, 20);
    /// Devices by their first use: of the week, of the month, ever.
    pub const FIRST_USE: Release = release("first_use", Measure::FirstUse, 1, 0.15, 20);
    /// Devices one, seven and thirty days after their install.
    pub const COHORTS: Release = release("cohorts", Measure::Cohorts, 1, 0.05, 20);
    /// Devices on their first day of the week, by weeks since their install.
    pub const RETENTION: Release = release("retention", Measure::Retention, 1, 0.05, 20);
    /// Devices by their most frequent cell.
    pub const PLACES_5: Release = release("places_5", Measure::Places(5), 1, 0.4, 50);
    /// The same at four characters.
    pub const PLACES_4: Release = release("places_4", Measure::Places(4), 1, 0.25, 50);
    /// The same at three characters.
    pub const PLACES_3: Release = release("places_3", Measure::Places(3), 1, 0.15, 50);
    /// Devices in the region.
    pub const REGION: Release = release("region", Measure::Region, 1, 0.05, i64::MIN);
    /// Devices by event name.
    pub const EVENT_DEVICES: Release =
        release("event_devices", over(Counts::Devices, BY_EVENT, Sums::None), 8, 0.25, 250);
    /// Events by name, and all together.
    pub const EVENT_TOTALS: Release =
        release("event_totals", over(Counts::Events, BY_EVENT, Sums::All), 24, 0.2, 1000);
    /// Active devices of each hour. Of a device, the first four hours in which it is seen on a day.
    pub const ACTIVE_BY_HOUR: Release =
        hourly(4, release("active_by_hour", over(Counts::Devices, &[], Sums::All), 1, 0.1, 320));
    /// Events of each hour by name. Of a device, the first four hours in which it is seen on a day.
    pub const EVENTS_BY_HOUR: Release =
        hourly(4, release("events_by_hour", over(Counts::Events, BY_EVENT, Sums::None), 6, 0.1, 2000));

    /// All of them.
    pub const ALL: [Release; 12] = [
        ACTIVE_DEVICES,
        FIRST_USE,
        COHORTS,
        RETENTION,
        PLACES_5,
        PLACES_4,
        PLACES_3,
        REGION,
        EVENT_DEVICES,
        EVENT_TOTALS,
        ACTIVE_BY_HOUR,
        EVENTS_BY_HOUR,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_budgets_add_up() {
        assert!((spent(&defaults::ALL) - DAILY_EPSILON).abs() < 1e-9);
    }
}
