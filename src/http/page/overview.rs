//! What the page shows of one app: the answers of [`crate::stats`], and the few numbers made of them.
//!
//! Does not: touch the store, or clamp and round: that is for writing numbers down.

use jiff::ToSpan;
use jiff::civil::Date;

use crate::demo::cities;
use crate::stats::{
    Activity, ActivityQuery, Breakdown, CellValue, EventValue, Events, EventsQuery, Interval, Made, Parameters,
    Period, Places, PlacesQuery, Point, Scope, Shown, Suppressed, Total,
};

/// How many days the page looks back.
pub(super) const DAYS: i64 = 30;
/// Fewer days than this on either side make no comparison.
const COMPARABLE_DAYS: usize = 7;
/// How far from a cell's middle a town outside it is still named.
const NEAR_METRES: f64 = 15_000.0;

/// The questions that make an overview.
pub(super) struct Questions {
    pub(super) days: ActivityQuery,
    pub(super) before: ActivityQuery,
    pub(super) weeks: ActivityQuery,
    pub(super) months: ActivityQuery,
    pub(super) events: EventsQuery,
    pub(super) places: PlacesQuery,
}

impl Questions {
    /// Those for an app, as seen on the day `today`.
    pub(super) fn of(app: &str, precision: u8, today: Date) -> Questions {
        let period = |from: Date, to: Date| Scope { app: app.to_owned(), period: Period { from, to } };
        let ago = |days: i64| today.saturating_sub(days.days());
        let activity = |from: Date, to: Date, interval: Interval| ActivityQuery {
            scope: period(from, to),
            interval,
            breakdown: Breakdown::None,
            shown: Shown::Published,
        };
        let yesterday = ago(1);
        Questions {
            days: activity(ago(DAYS), yesterday, Interval::Day),
            before: activity(ago(2 * DAYS), ago(DAYS + 1), Interval::Day),
            weeks: activity(ago(DAYS), yesterday, Interval::Week),
            // From a first on, so that no month is cut.
            months: activity(ago(DAYS).first_of_month(), yesterday, Interval::Month),
            events: EventsQuery { scope: period(ago(DAYS), yesterday) },
            places: PlacesQuery { scope: period(ago(DAYS), yesterday), precision, shown: Shown::Published },
        }
    }
}

/// The answers.
#[derive(Debug, Clone)]
pub(super) struct Overview {
    pub(super) period: Period,
    pub(super) days: Vec<Point>,
    pub(super) before: Vec<Point>,
    pub(super) weeks: Vec<Point>,
    pub(super) months: Vec<Point>,
    pub(super) events: Vec<EventValue>,
    pub(super) cells: Vec<CellValue>,
    pub(super) region: Option<Total>,
    /// How active devices, first use, events and places were made, in this order.
    pub(super) made: [Made; 4],
}

/// A mean per day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mean {
    pub(super) value: f64,
    pub(super) margin: f64,
    pub(super) days: usize,
}

/// A day of the period: its value where it was published, and whether it is sealed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Day {
    pub(super) date: Date,
    pub(super) value: Option<(i64, f64)>,
    pub(super) sealed: bool,
}

/// Where a cell lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Town {
    /// The largest town in it.
    Within(&'static str),
    /// The nearest one outside.
    Near(&'static str),
}

impl Overview {
    /// Puts the answers together. Only cells within the cell `within` are kept.
    pub(super) fn of(
        questions: &Questions,
        activity: [Activity; 4],
        events: Events,
        places: Places,
        within: &str,
    ) -> Overview {
        let [days, before, weeks, months] = activity;
        let mut cells = places.cells;
        cells.retain(|cell| cell.cell.starts_with(within));
        Overview {
            period: questions.days.scope.period,
            days: days.series,
            before: before.series,
            weeks: weeks.series,
            months: months.series,
            events: events.events,
            cells,
            region: places.region,
            made: [days.made, weeks.made, events.made, places.made],
        }
    }

    /// Every day of the period.
    pub(super) fn calendar(&self) -> Vec<Day> {
        let missing = &self.made[0].fresh.missing_days;
        let dates = self.period.from.series(1.day()).take_while(|date| *date <= self.period.to);
        let day = |date: Date| {
            let point = self.days.iter().find(|point| point.from == date);
            Day { date, value: point.map(|point| (point.devices, point.margin)), sealed: !missing.contains(&date) }
        };
        dates.map(day).collect()
    }

    /// The mean of the period.
    pub(super) fn mean(&self) -> Option<Mean> {
        mean(&self.days)
    }

    /// The period before, and by how many percent the mean changed since, with a margin.
    pub(super) fn change(&self) -> Option<(Mean, f64, f64)> {
        let (now, then) = (mean(&self.days)?, mean(&self.before)?);
        let comparable = now.days >= COMPARABLE_DAYS && then.days >= COMPARABLE_DAYS;
        if !comparable || then.value <= then.margin || now.value <= 0.0 {
            return None;
        }
        let ratio = now.value / then.value;
        // First order in the noise of both: exact enough where the means are far above their margins.
        let margin = ratio * (now.margin / now.value).hypot(then.margin / then.value);
        Some((then, 100.0 * (ratio - 1.0), 100.0 * margin))
    }

    /// The last week of which all seven days are published.
    pub(super) fn week(&self) -> Option<&Point> {
        self.weeks.iter().rev().find(|week| week.days == 7)
    }

    /// The month so far.
    pub(super) fn month(&self) -> Option<&Point> {
        self.months.last()
    }

    /// The parameters of all releases, each once.
    pub(super) fn parameters(&self) -> Vec<&Parameters> {
        let mut all: Vec<&Parameters> = Vec::new();
        for parameters in self.made.iter().flat_map(|made| &made.releases) {
            if !all.contains(&parameters) {
                all.push(parameters);
            }
        }
        all
    }

    /// What was not published, and its release's threshold where there is one.
    pub(super) fn suppressed(&self) -> Vec<(&Suppressed, Option<i64>)> {
        let mut all = Vec::new();
        for made in &self.made {
            for suppressed in &made.suppressed {
                let release = made.releases.iter().find(|release| release.name == suppressed.release);
                all.push((suppressed, release.and_then(|release| release.threshold)));
            }
        }
        all
    }
}

/// The mean per day of a sum over days.
pub(super) fn per_day(total: &Total) -> (f64, f64) {
    let days = f64::from(total.days.max(1));
    #[allow(clippy::cast_precision_loss)]
    let value = total.value as f64;
    (value / days, total.margin / days)
}

/// The town of a cell. Cells of three characters are so wide that a town near their middle says nothing.
pub(super) fn town(cell: &CellValue) -> Option<Town> {
    let [west, south, east, north] = cell.bounds;
    let inside = cities::all().iter().find(|city| {
        (south..north).contains(&city.centre.latitude()) && (west..east).contains(&city.centre.longitude())
    });
    if let Some(city) = inside {
        return Some(Town::Within(city.name));
    }
    let (latitude, longitude) = cell.middle();
    let middle = cities::Point::new(latitude, longitude);
    let distances = cities::all().iter().map(|city| (middle.metres_to(city.centre), city.name));
    let nearest = distances.min_by(|a, b| a.0.total_cmp(&b.0))?;
    (nearest.0 <= NEAR_METRES).then_some(Town::Near(nearest.1))
}

fn mean(points: &[Point]) -> Option<Mean> {
    if points.is_empty() {
        return None;
    }
    #[allow(clippy::cast_precision_loss)]
    let (days, sum) = (points.len() as f64, points.iter().map(|point| point.devices).sum::<i64>() as f64);
    let margin = points.iter().fold(0.0, |margin: f64, point| margin.hypot(point.margin));
    Some(Mean { value: sum / days, margin: margin / days, days: points.len() })
}
