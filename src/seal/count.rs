//! Counts an open day of one app, over the public domain of each release.
//!
//! Contributions are bounded in SQL, deterministically per device, with a salt that lives as long as the seal. The domain
//! comes from the catalogue and the registries, never from the data: what is not declared is `other` or not counted.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Range;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tuman_privacy::code::{Sort, code};
use tuman_privacy::event::{Flags, INSTALL_WEEK_OLDER};
use tuman_privacy::time::Day;

use super::SealError;
use super::domain::{Axis, Public, choices};
use super::histogram::{Counted, Histogram, Sealed};
use super::laplace::Source;
use super::noise::NoiseError;
use super::places::Places;
use super::release::{Counts, Dimension, Measure, Release, Sums};
use crate::clock::date_of;
use crate::store::{Statement, Store};

/// What is counted, and the salt by which contributions are chosen.
pub(super) struct Count<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) day: Day,
    /// The app's code in open rows.
    pub(super) app: u32,
    pub(super) public: Public<'a>,
    pub(super) salt: (u64, u64),
    /// Where each slice of the day's tokens begins and ends.
    slices: Vec<(u64, u64)>,
    /// The bits that noise is made of.
    pub(super) source: RefCell<&'a mut dyn Source>,
}

/// The classes of first use, disjoint: a device is in one of them.
pub(super) const FIRST_USES: [&str; 5] = ["ever", "week_and_month", "month", "week", "again"];

/// Open rows that are counted at one time. What counting takes in memory grows with them, and not with the day.
const SLICE: u64 = 1_000_000;

/// Cuts the tokens of devices into ranges of so many rows, as far as tokens are even: they are hashes. The lowest, zero,
/// is that of rows without a device, which are in no release.
fn slices(rows: u64) -> Vec<(u64, u64)> {
    let slices = rows.div_ceil(SLICE).max(1);
    let width = u64::MAX / slices;
    let slice = |at: u64| (at * width + 1, if at + 1 == slices { u64::MAX } else { (at + 1) * width });
    (0..slices).map(slice).collect()
}

/// Weeks since the install that retention tells apart.
pub(super) const WEEKS: u8 = 13;

/// The names of the places in the counting statement that an axis is bound to: code list, column, kind, `other`.
const SLOTS: [[&str; 4]; 4] = [
    ["codes_a", "column_a", "property_a", "other_a"],
    ["codes_b", "column_b", "property_b", "other_b"],
    ["codes_c", "column_c", "property_c", "other_c"],
    ["codes_d", "column_d", "property_d", "other_d"],
];

/// A row of the counting statement.
#[derive(Deserialize)]
struct Row {
    a: u32,
    b: u32,
    c: u32,
    d: u32,
    first: u16,
    /// Of what is counted by the hour; zero otherwise.
    hour: u8,
    n: i64,
    devices: i64,
}

impl<'a> Count<'a> {
    /// Looks how large the day is.
    pub(super) fn of(
        store: &'a dyn Store,
        day: Day,
        app: u32,
        public: Public<'a>,
        salt: (u64, u64),
        source: &'a mut dyn Source,
    ) -> Result<Count<'a>, SealError> {
        #[derive(Deserialize)]
        struct Size {
            n: u64,
        }
        let statement = Statement::new(include_str!("sql/size.sql")).bind("day", date_of(day)).bind("app", app);
        let rows = store.rows::<Size>(&statement)?.iter().map(|size| size.n).sum();
        Ok(Count { store, day, app, public, salt, slices: slices(rows), source: RefCell::new(source) })
    }
}

impl Count<'_> {
    /// Seals releases, in their order. Coarser places come before finer ones, which depend on them.
    pub(super) fn releases(&self, releases: &[Release]) -> Result<Vec<Sealed>, SealError> {
        let mut places = Places::default();
        let mut order: Vec<usize> = (0..releases.len()).collect();
        order.sort_by_key(|at| match releases[*at].measure {
            Measure::Places(characters) => characters,
            _ => 0,
        });
        let mut sealed: Vec<Option<Sealed>> = vec![None; releases.len()];
        for at in order {
            sealed[at] = Some(self.release(&releases[at], &mut places)?);
        }
        Ok(sealed.into_iter().flatten().collect())
    }

    fn release(&self, release: &Release, places: &mut Places) -> Result<Sealed, SealError> {
        match &release.measure {
            Measure::Over { counts, by, sums } => self.over(release, *counts, by, *sums),
            Measure::Places(characters) => places.level(self, release, *characters),
            Measure::Region => places.region(self, release),
            Measure::FirstUse | Measure::Cohorts | Measure::Retention => self.flags(release),
            Measure::Funnel(steps) => self.funnel(release, steps),
        }
    }

    /// Seals what was counted.
    pub(super) fn seal<K>(
        &self,
        histogram: Histogram<'_, K>,
        shares: impl Fn(&K) -> Vec<(String, Vec<String>)>,
    ) -> Result<Sealed, NoiseError> {
        histogram.seal_from(&mut **self.source.borrow_mut(), shares)
    }

    pub(super) fn statement(&self, text: &'static str) -> Statement {
        Statement::new(text)
            .bind("day", date_of(self.day))
            .bind("app", self.app)
            .bind("salt_a", self.salt.0)
            .bind("salt_b", self.salt.1)
    }

    /// What a counting statement finds, slice by slice: a device is in one of them, so that counts of one cell add up.
    pub(super) fn rows<T: DeserializeOwned>(&self, statement: &Statement) -> Result<Vec<T>, SealError> {
        let mut rows = Vec::new();
        for (first, last) in &self.slices {
            let slice = statement.clone().bind("first_token", *first).bind("last_token", *last);
            rows.extend(self.store.rows::<T>(&slice)?);
        }
        Ok(rows)
    }

    /// Devices or events over dimensions.
    fn over(&self, release: &Release, counts: Counts, by: &[Dimension], sums: Sums) -> Result<Sealed, SealError> {
        let shape = Shape::of(self.public, by);
        let rows = self.counted(release, counts, &shape, 0..0)?;
        self.over_shape(release, &shape, sums, &rows)
    }

    /// Seals hours of a release that is sealed every hour; those without any row too.
    pub(super) fn hours(&self, release: &Release, hours: Range<u8>) -> Result<Vec<Sealed>, SealError> {
        let Measure::Over { counts, by, sums } = &release.measure else { return Ok(Vec::new()) };
        let shape = Shape::of(self.public, by);
        let rows = self.counted(release, *counts, &shape, hours.clone())?;
        let (mut by_hour, mut sealed) = (HashMap::<u8, Vec<Row>>::new(), Vec::new());
        for row in rows {
            by_hour.entry(row.hour).or_default().push(row);
        }
        for hour in hours {
            let rows = by_hour.remove(&hour).unwrap_or_default();
            sealed.push(self.over_shape(release, &shape, *sums, &rows)?.of_hour(hour));
        }
        Ok(sealed)
    }

    /// The exact counts: of the whole day, or of each of the hours where a release is sealed every hour.
    fn counted(
        &self,
        release: &Release,
        counts: Counts,
        shape: &Shape<'_>,
        hours: Range<u8>,
    ) -> Result<Vec<Row>, SealError> {
        let event = shape.axes.iter().map(|axis| axis.event).max().unwrap_or(0);
        let mut statement = self
            .statement(include_str!("sql/counted.sql"))
            .bind("bound", release.bound)
            .bind("event", event)
            .bind("devices", u8::from(counts == Counts::Devices))
            .bind("windows", release.windows.unwrap_or(0))
            .bind("from", hours.start)
            .bind("upto", hours.end)
            .bind("late", Flags::LATE)
            .bind("with_first", u8::from(shape.first.is_some()));
        let none = Axis::none();
        for (slot, names) in SLOTS.into_iter().enumerate() {
            let axis = shape.columns.get(slot).map_or(&none, |at| &shape.axes[*at]);
            statement = statement
                .bind(names[0], axis.codes.as_slice())
                .bind(names[1], axis.column)
                .bind(names[2], u8::from(axis.is_property))
                .bind(names[3], u8::from(axis.has_other()));
        }
        self.rows(&statement)
    }

    fn over_shape(
        &self,
        release: &Release,
        shape: &Shape<'_>,
        sums: Sums,
        rows: &[Row],
    ) -> Result<Sealed, SealError> {
        let Shape { by, axes, first, columns } = shape;
        let mut domain: Vec<Vec<usize>> = vec![Vec::new()];
        for axis in axes {
            let longer = |key: &Vec<usize>, at: usize| key.iter().copied().chain([at]).collect();
            domain = domain.iter().flat_map(|key| (0..axis.labels.len()).map(move |at| longer(key, at))).collect();
        }
        let counted = rows.iter().filter_map(|row| {
            let mut key = vec![0; axes.len()];
            for (at, found) in columns.iter().zip([row.a, row.b, row.c, row.d]) {
                key[*at] = axes[*at].index(found)?;
            }
            if let Some(first) = *first {
                key[first] = FIRST_USES.iter().position(|class| *class == first_use_class(row.first))?;
            }
            Some((key, Counted { value: row.n, devices: row.devices }))
        });
        // Without noise there are the cells and the total alone.
        let is_published =
            |chosen: &Vec<usize>| release.epsilon.is_some() || chosen.is_empty() || chosen.len() == axes.len();
        let breakdowns: Vec<(String, Vec<usize>)> = choices(axes.len(), sums)
            .into_iter()
            .filter(is_published)
            .map(|chosen| (chosen.iter().map(|at| by[*at].name()).collect::<Vec<_>>().join(","), chosen))
            .collect();
        let histogram = over(release, domain, counted);
        Ok(self.seal(histogram, |key| {
            let share = |(name, chosen): &(String, Vec<usize>)| {
                (name.clone(), chosen.iter().map(|at| axes[*at].labels[key[*at]].clone()).collect())
            };
            breakdowns.iter().map(share).collect()
        })?)
    }

    /// First use, cohorts and retention, from the flags that apps send.
    fn flags(&self, release: &Release) -> Result<Sealed, SealError> {
        #[derive(Deserialize)]
        struct Row {
            flags: u16,
            age: u8,
            devices: i64,
        }
        let rows: Vec<Row> = self.rows(&self.statement(include_str!("sql/first_use.sql")))?;
        let named = |breakdown: &str, label: &str| vec![(breakdown.to_owned(), vec![label.to_owned()])];
        Ok(match release.measure {
            Measure::FirstUse => {
                let counted = rows.iter().map(|row| (first_use_class(row.flags), Counted::devices(row.devices)));
                self.seal(over(release, FIRST_USES.to_vec(), counted), |class| {
                    first_use_measures(class).iter().flat_map(|measure| named("first", measure)).collect()
                })
            }
            Measure::Cohorts => {
                let domain = vec![Some("1"), Some("7"), Some("30"), None];
                let counted = rows.iter().map(|row| (cohort(row.flags), Counted::devices(row.devices)));
                self.seal(over(release, domain, counted), |day| day.map(|day| named("day", day)).unwrap_or_default())
            }
            _ => {
                let domain = (0..WEEKS).map(Some).chain([None]).collect();
                let is_first = |row: &&Row| row.flags & (Flags::FIRST_THIS_WEEK | Flags::FIRST_EVER) != 0;
                let week = |age: u8| Some(age).filter(|age| *age < WEEKS.min(INSTALL_WEEK_OLDER));
                let counted = rows.iter().filter(is_first).map(|row| (week(row.age), Counted::devices(row.devices)));
                self.seal(over(release, domain, counted), |week| {
                    week.map(|week| named("week", &week.to_string())).unwrap_or_default()
                })
            }
        }?)
    }

    /// Devices by the steps that they reach: each is counted at its furthest, and published at every one before.
    fn funnel(&self, release: &Release, steps: &[String]) -> Result<Sealed, SealError> {
        #[derive(Deserialize)]
        struct Row {
            reached: usize,
            devices: i64,
        }
        let codes: Vec<u32> = steps.iter().map(|step| code(Sort::Event, step)).collect();
        let statement = self.statement(include_str!("sql/funnel.sql")).bind("steps", codes.as_slice());
        let rows: Vec<Row> = self.rows(&statement)?;
        let counted = rows.iter().map(|row| (row.reached, Counted::devices(row.devices)));
        Ok(self.seal(over(release, (1..=steps.len()).collect(), counted), |reached| {
            (0..*reached).map(|at| ("step".to_owned(), vec![step(at, &steps[at])])).collect()
        })?)
    }
}

/// The dimensions of a release over columns.
struct Shape<'a> {
    by: &'a [Dimension],
    axes: Vec<Axis>,
    /// Which of them is first use: it is no column.
    first: Option<usize>,
    /// Which of them are columns, in the order in which the counting statement has them.
    columns: Vec<usize>,
}

impl<'a> Shape<'a> {
    fn of(public: Public<'_>, by: &'a [Dimension]) -> Shape<'a> {
        let axes: Vec<Axis> = by.iter().map(|dimension| public.axis(dimension)).collect();
        let first = by.iter().position(|dimension| *dimension == Dimension::FirstUse);
        let columns = (0..axes.len()).filter(|at| Some(*at) != first).collect();
        Shape { by, axes, first, columns }
    }
}

/// What a step is called in a release: its number, so that steps sort in their order, and its event.
fn step(at: usize, event: &str) -> String {
    format!("{:02} {event}", at + 1)
}

/// The histogram of counts over a domain; what lies outside it is not counted.
pub(super) fn over<K: Clone + Eq + Hash>(
    release: &Release,
    domain: Vec<K>,
    counted: impl IntoIterator<Item = (K, Counted)>,
) -> Histogram<'_, K> {
    let mut cells: Vec<(K, Counted)> = domain.into_iter().map(|key| (key, Counted::default())).collect();
    let index: HashMap<K, usize> = cells.iter().enumerate().map(|(at, (key, _))| (key.clone(), at)).collect();
    for (key, counted) in counted {
        if let Some(at) = index.get(&key) {
            cells[*at].1.value += counted.value;
            cells[*at].1.devices += counted.devices;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_hold_every_token_but_zero_once() {
        for (rows, expected) in [(0, 1), (1, 1), (SLICE, 1), (SLICE + 1, 2), (30 * SLICE, 30), (999 * SLICE, 999)] {
            let slices = slices(rows);
            assert_eq!(slices.len(), expected, "{rows}");
            assert_eq!((slices[0].0, slices[slices.len() - 1].1), (1, u64::MAX));
            assert!(slices.iter().all(|(first, last)| first <= last));
            assert!(slices.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0), "{rows}");
        }
    }
}
