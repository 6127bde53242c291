//! Counts an open day of one app, over the public domain of each release.
//!
//! Contributions are bounded in SQL, deterministically per device, with a salt that lives as long as the seal. The domain
//! comes from the catalogue and the registries, never from the data: what is not declared is `other` or not counted.

use std::collections::HashMap;
use std::hash::Hash;

use serde::Deserialize;
use tuman_privacy::code::{Sort, code};
use tuman_privacy::device::PLATFORMS;
use tuman_privacy::event::{Flags, INSTALL_WEEK_OLDER};
use tuman_privacy::time::Day;

use super::SealError;
use super::release::{Histogram, Release, Sealed, defaults};
use crate::catalogue::Catalogue;
use crate::clock::date_of;
use crate::store::{Statement, Store};

/// What is counted, and the salt by which contributions are chosen.
pub(super) struct Count<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) day: Day,
    pub(super) catalogue: &'a Catalogue,
    pub(super) salt: (u64, u64),
}

/// The classes of first use, disjoint: a device is in one of them.
const FIRST_USES: [&str; 5] = ["ever", "week_and_month", "month", "week", "again"];

/// Weeks since the install that retention tells apart.
const WEEKS: u8 = 13;

impl Count<'_> {
    pub(super) fn statement(&self, text: &'static str) -> Statement {
        Statement::new(text)
            .bind("day", date_of(self.day))
            .bind("app", self.catalogue.allow_list.app_code())
            .bind("salt_a", self.salt.0)
            .bind("salt_b", self.salt.1)
    }

    /// Active devices by platform and version.
    pub(super) fn activity(&self) -> Result<Sealed, SealError> {
        #[derive(Deserialize)]
        struct Row {
            platform: u8,
            version: u32,
            devices: i64,
        }
        let rows: Vec<Row> = self.store.rows(&self.statement(include_str!("sql/activity.sql")))?;
        let platform = |number: u8| {
            let name = PLATFORMS.get(usize::from(number)).copied().unwrap_or("other");
            self.catalogue.platforms.iter().find(|declared| *declared == name).map_or("other", String::as_str)
        };
        let versions: HashMap<u32, &str> = self
            .catalogue
            .declaration
            .versions
            .iter()
            .map(|version| (code(Sort::Version, version), version.as_str()))
            .collect();
        let mut domain = Vec::new();
        for platform in self.catalogue.platforms.iter().map(String::as_str).chain(["other"]) {
            for version in self.catalogue.declaration.versions.iter().map(String::as_str).chain(["other"]) {
                domain.push((platform, version));
            }
        }
        let counted = rows
            .iter()
            .map(|row| ((platform(row.platform), *versions.get(&row.version).unwrap_or(&"other")), row.devices));
        let histogram = over(defaults::ACTIVE_DEVICES, domain, counted);
        Ok(histogram.seal(|(platform, version)| {
            let (platform, version) = ((*platform).to_owned(), (*version).to_owned());
            vec![
                ("", vec![]),
                ("platform", vec![platform.clone()]),
                ("version", vec![version.clone()]),
                ("platform,version", vec![platform, version]),
            ]
        })?)
    }

    /// First use, cohorts and retention, from the flags that apps send.
    pub(super) fn first_use(&self) -> Result<[Sealed; 3], SealError> {
        #[derive(Deserialize)]
        struct Row {
            flags: u16,
            age: u8,
            devices: i64,
        }
        let rows: Vec<Row> = self.store.rows(&self.statement(include_str!("sql/first_use.sql")))?;
        let first_use = over(
            defaults::FIRST_USE,
            FIRST_USES.to_vec(),
            rows.iter().map(|row| (first_use_class(row.flags), row.devices)),
        );
        let cohorts = over(
            defaults::COHORTS,
            vec![Some("1"), Some("7"), Some("30"), None],
            rows.iter().map(|row| (cohort(row.flags), row.devices)),
        );
        let weeks: Vec<Option<u8>> = (0..WEEKS).map(Some).chain([None]).collect();
        let retention = over(
            defaults::RETENTION,
            weeks,
            rows.iter()
                .filter(|row| row.flags & (Flags::FIRST_THIS_WEEK | Flags::FIRST_EVER) != 0)
                .map(|row| (Some(row.age).filter(|age| *age < WEEKS.min(INSTALL_WEEK_OLDER)), row.devices)),
        );
        Ok([
            first_use.seal(|class| {
                first_use_measures(class).iter().map(|measure| ("first", vec![(*measure).to_owned()])).collect()
            })?,
            cohorts.seal(|cohort| cohort.iter().map(|day| ("day", vec![(*day).to_owned()])).collect())?,
            retention.seal(|week| week.iter().map(|week| ("week", vec![week.to_string()])).collect())?,
        ])
    }

    /// Devices and events by event name.
    pub(super) fn events(&self) -> Result<[Sealed; 2], SealError> {
        #[derive(Deserialize)]
        struct Row {
            event: u32,
            n: i64,
        }
        let names: Vec<(u32, &str)> = self
            .catalogue
            .declaration
            .events
            .iter()
            .map(|event| (code(Sort::Event, &event.name), event.name.as_str()))
            .collect();
        let seal = |release: Release, text: &'static str| -> Result<Sealed, SealError> {
            let statement = self.statement(text).bind("bound", release.bound);
            let rows: Vec<Row> = self.store.rows(&statement)?;
            let domain = names.iter().map(|(code, _)| *code).collect();
            let histogram = over(release, domain, rows.iter().map(|row| (row.event, row.n)));
            let name = |code: &u32| names.iter().find(|(known, _)| known == code).map_or("", |(_, name)| name);
            Ok(histogram.seal(|code| vec![("event", vec![name(code).to_owned()])])?)
        };
        Ok([
            seal(defaults::EVENT_DEVICES, include_str!("sql/event_devices.sql"))?,
            seal(defaults::EVENT_TOTALS, include_str!("sql/event_totals.sql"))?,
        ])
    }
}

/// The histogram of counts over a domain; what lies outside it is not counted.
pub(super) fn over<K: Clone + Eq + Hash>(
    release: Release,
    domain: Vec<K>,
    counted: impl IntoIterator<Item = (K, i64)>,
) -> Histogram<K> {
    let mut cells: Vec<(K, i64)> = domain.into_iter().map(|key| (key, 0)).collect();
    let index: HashMap<K, usize> = cells.iter().enumerate().map(|(at, (key, _))| (key.clone(), at)).collect();
    for (key, n) in counted {
        if let Some(at) = index.get(&key) {
            cells[*at].1 += n;
        }
    }
    Histogram { release, cells }
}

fn first_use_class(flags: u16) -> &'static str {
    let has = |flag: u16| flags & flag != 0;
    match (has(Flags::FIRST_EVER), has(Flags::FIRST_THIS_WEEK), has(Flags::FIRST_THIS_MONTH)) {
        (true, _, _) => "ever",
        (_, true, true) => "week_and_month",
        (_, false, true) => "month",
        (_, true, false) => "week",
        (_, false, false) => "again",
    }
}

/// The published values that a class is part of: a first use ever is one of the day, the week and the month too.
fn first_use_measures(class: &str) -> &'static [&'static str] {
    match class {
        "ever" => &["day", "week", "month", "ever"],
        "week_and_month" => &["day", "week", "month"],
        "month" => &["day", "month"],
        "week" => &["day", "week"],
        _ => &["day"],
    }
}

fn cohort(flags: u16) -> Option<&'static str> {
    if flags & Flags::DAY_1 != 0 {
        Some("1")
    } else if flags & Flags::DAY_7 != 0 {
        Some("7")
    } else if flags & Flags::DAY_30 != 0 {
        Some("30")
    } else {
        None
    }
}
