//! The releases that a catalogue declares, and its budget: `[[release]]` and `[budget]`.
//!
//! Guarantees: what all releases of the app spend together for one device and day stays within its daily epsilon, and
//! that within a ceiling; the public domain of every release is bounded; a release without noise cannot be subtracted
//! from another one.

use std::borrow::Cow;

use tuman_privacy::catalogue::{Declaration, is_name};
use tuman_privacy::place::Region;

use super::form::Form;
use super::source::{Field, Problems, Table, nearest};
use crate::seal::domain::Public;
use crate::seal::release::{
    Counts, DAILY_EPSILON, Dimension, HOURS, LEAST_THRESHOLD, MOST_CELLS, MOST_DAILY_EPSILON, Measure, Release, Sums,
    defaults, spent,
};

const KEYS: [&str; 10] =
    ["name", "counts", "dimensions", "funnel", "window", "windows", "bound", "epsilon", "threshold", "publish"];
const DIMENSIONS: [&str; 10] =
    ["platform", "version", "language", "class", "event", "hour", "first_use", "cell_3", "cell_4", "cell_5"];
/// Most dimensions of a release.
const MOST_DIMENSIONS: usize = 4;
/// Most steps of a funnel.
const MOST_STEPS: usize = 10;
/// Most releases of an app.
const MOST_RELEASES: usize = 100;
/// Most that one device may add to a release.
const MOST_BOUND: i64 = 1_000;
/// Least epsilon of a release: below, noise is all there is.
const LEAST_EPSILON: f64 = 0.01;
/// Events that one device adds, where the catalogue does not say.
const EVENTS_BOUND: u32 = 24;
/// A threshold that is not declared lies so many scales of the noise above zero: an empty cell gets over it less than
/// once in five thousand draws.
const SCALES_TO_THRESHOLD: f64 = 8.0;
/// ... and is at least this.
const USUAL_THRESHOLD: i64 = 20;

/// The releases of an app, and what they may spend.
#[derive(Debug, Default)]
pub(super) struct Budget {
    pub(super) releases: Vec<Release>,
    pub(super) daily_epsilon: f64,
}

impl Budget {
    /// Reads the tables `budget` and `release` out of the top table.
    pub(super) fn read(top: &mut Table<'_>, form: &Form, problems: &mut Problems) -> Budget {
        let (daily_epsilon, line) = daily(top, problems);
        let mut budget = Budget { releases: defaults::ALL.into(), daily_epsilon };
        let fields = top.take("release").map(|field| field.list(problems)).unwrap_or_default();
        let line = line.or(fields.first().map(|field| field.line)).unwrap_or(1);
        if let Some(one_too_many) = fields.get(MOST_RELEASES) {
            one_too_many.wrong(&format!("{} releases: at most {MOST_RELEASES}", fields.len()), problems);
        }
        let mut seen: Vec<String> = Vec::new();
        let mut places: Vec<(usize, String)> = Vec::new();
        for field in fields {
            let Some(mut table) = field.table(problems) else { continue };
            let Some(name) = table.take("name") else {
                problems.missing(field.line, "[[release]] has no `name`");
                continue;
            };
            let Some(text) = name.text(problems) else { continue };
            if !is_name(text) {
                name.wrong("a name has lower-case letters, digits, `_`; at most 60", problems);
                continue;
            }
            if seen.iter().any(|known| known == text) {
                name.wrong(&format!("`{text}` is declared twice"), problems);
                continue;
            }
            seen.push(text.to_owned());
            places.push((name.line, text.to_owned()));
            match budget.releases.iter().position(|known| known.name == text) {
                Some(at) => budget.change(at, table, problems),
                None => budget.releases.extend(declared(text, table, form, problems)),
            }
        }
        // A release is checked against others where it is named; a default one that is not named stands at the first line.
        let line_of = |name: &str| places.iter().find(|(_, known)| known == name).map_or(line, |(line, _)| *line);
        budget.check_parents(&line_of, problems);
        budget.check_without_noise(&line_of, problems);
        budget.check_sum(line, problems);
        budget
    }

    /// Changes a default release, or leaves it out.
    fn change(&mut self, at: usize, mut table: Table<'_>, problems: &mut Problems) {
        let release = &mut self.releases[at];
        let name = release.name.clone();
        for key in ["counts", "dimensions", "funnel", "window"] {
            if let Some(field) = table.take(key) {
                field.wrong(
                    &format!("`{name}` is a default release, whose meaning is fixed: choose another name"),
                    problems,
                );
            }
        }
        let publish = table.take("publish").and_then(|field| field.boolean(problems));
        if let Some(bound) = table.take("bound") {
            match release.measure {
                Measure::Over { ref by, .. } if by.contains(&Dimension::Event) => {
                    release.bound = self::bound(&bound, problems);
                }
                _ => bound.wrong(&format!("a device is in one cell of `{name}`: it has no bound"), problems),
            }
        }
        if let Some(field) = table.take("windows") {
            match release.windows {
                Some(_) => release.windows = Some(windows(&field, problems)),
                None => field.wrong(&format!("`{name}` is sealed with the day: it has no hours"), problems),
            }
        }
        let epsilon = table.take("epsilon");
        if let Some(epsilon) = &epsilon {
            release.epsilon = self::epsilon(epsilon, release.windows, Some(&release.measure), problems);
            if release.epsilon.is_none() {
                release.threshold = release.threshold.max(LEAST_THRESHOLD);
            }
        }
        if let Some(threshold) = table.take("threshold") {
            release.threshold = self::threshold(&threshold, problems);
        }
        table.end(&["name", "windows", "bound", "epsilon", "threshold", "publish"], problems);
        if publish == Some(false) {
            self.releases.remove(at);
        }
    }

    /// Finer places are published below coarser ones.
    fn check_parents(&self, line_of: &dyn Fn(&str) -> usize, problems: &mut Problems) {
        let has = |characters: u8| self.releases.iter().any(|known| known.name == format!("places_{characters}"));
        for release in &self.releases {
            if let Measure::Places(characters) = release.measure
                && characters > 3
                && !has(characters - 1)
            {
                let coarser = characters - 1;
                let what = format!(
                    "release `{}` needs cells of {coarser} characters: a cell is published only where its parent is. Publish `places_{coarser}` or leave this one out",
                    release.name
                );
                problems.add(line_of(&release.name), what);
            }
        }
    }

    /// What has no noise must not share a dimension with something else that has none: the one could be subtracted from
    /// the other.
    fn check_without_noise(&self, line_of: &dyn Fn(&str) -> usize, problems: &mut Problems) {
        let exact: Vec<&Release> = self.releases.iter().filter(|release| release.epsilon.is_none()).collect();
        for (at, release) in exact.iter().enumerate() {
            for other in &exact[..at] {
                let dims = other.dims();
                if let Some(shared) = release.dims().iter().find(|dim| dims.contains(dim)) {
                    let what = format!(
                        "release `{}` has no noise and shares `{shared}` with `{}`, which has none either: values that are not published could be found by subtraction",
                        release.name, other.name
                    );
                    problems.add(line_of(&release.name).max(line_of(&other.name)), what);
                }
            }
        }
    }

    fn check_sum(&self, line: usize, problems: &mut Problems) {
        let total = spent(&self.releases);
        if total > self.daily_epsilon + 1e-9 {
            let terms =
                self.releases.iter().filter_map(|release| Some(format!("{} {:.2}", release.name, release.epsilon?)));
            let terms: Vec<String> = terms.collect();
            problems.add(
                line,
                format!(
                    "the releases spend {total:.2} of a daily epsilon of {:.2}: {}. Lower some, leave some out with `publish = false`, or raise budget.daily_epsilon (at most {MOST_DAILY_EPSILON:.1})",
                    self.daily_epsilon,
                    terms.join(" + ")
                ),
            );
        }
    }
}

/// The daily epsilon, and where it is declared.
fn daily(top: &mut Table<'_>, problems: &mut Problems) -> (f64, Option<usize>) {
    let Some(mut table) = top.take("budget").and_then(|field| field.table(problems)) else {
        return (DAILY_EPSILON, None);
    };
    let field = table.take("daily_epsilon");
    let line = field.as_ref().map(|field| field.line);
    let mut daily = DAILY_EPSILON;
    if let Some(field) = field
        && let Some(epsilon) = field.number(problems)
    {
        if !(LEAST_EPSILON..=MOST_DAILY_EPSILON).contains(&epsilon) {
            field.wrong(&format!("from {LEAST_EPSILON} to {MOST_DAILY_EPSILON:.1}"), problems);
        }
        daily = epsilon;
    }
    table.end(&["daily_epsilon"], problems);
    (daily, line)
}

/// A release of the app's own; none where it cannot be told what it counts or spends.
fn declared(name: &str, mut table: Table<'_>, form: &Form, problems: &mut Problems) -> Option<Release> {
    let line = table.line;
    let counts = table.take("counts").map(|field| counts(&field, problems));
    let measure = match (table.take("dimensions"), table.take("funnel")) {
        (Some(field), None) => dimensions_of(&field, counts.unwrap_or(Counts::Devices), form, problems),
        (None, Some(field)) => steps(&field, &form.declaration, problems).map(Measure::Funnel),
        (Some(_), Some(field)) => {
            field.wrong("a release has either `dimensions` or a `funnel`", problems);
            None
        }
        (None, None) => {
            problems.missing(line, format!("release `{name}` has neither `dimensions` nor a `funnel`"));
            None
        }
    };
    let is_over = matches!(measure, None | Some(Measure::Over { .. }));
    if !is_over && counts == Some(Counts::Events) {
        problems.add(line, format!("release `{name}`: funnels and cells count devices"));
    }
    let mut bound = if counts == Some(Counts::Events) { EVENTS_BOUND } else { 1 };
    if let Some(field) = table.take("bound") {
        bound = self::bound(&field, problems);
        if !is_over && bound != 1 {
            field.wrong("a device is once in a funnel and in one cell: the bound is 1", problems);
        }
    }
    let windows = hours(name, &mut table, measure.as_ref(), form, problems);
    let epsilon = table.take("epsilon").map(|field| epsilon(&field, windows, measure.as_ref(), problems));
    if epsilon.is_none() {
        problems.missing(line, format!("release `{name}` has no `epsilon`: what it may spend, or \"off\""));
    }
    let threshold = table.take("threshold").map(|field| threshold(&field, problems));
    if let Some(publish) = table.take("publish")
        && publish.boolean(problems) == Some(false)
    {
        publish.wrong("leave out the release itself: it is not one of the default ones", problems);
    }
    table.end(&KEYS, problems);

    let (mut measure, epsilon) = (measure?, epsilon?);
    if let Measure::Over { counts, sums, .. } = &mut measure
        && (*counts == Counts::Devices && bound > 1 || *counts == Counts::Events && epsilon.is_none())
    {
        // A device would be in a sum several times; and without noise, few devices could be behind many events.
        *sums = Sums::None;
    }
    let mut release = Release { name: Cow::Owned(name.to_owned()), measure, bound, epsilon, threshold: 0, windows };
    release.threshold = threshold.unwrap_or_else(|| usual_threshold(&release));
    Some(release)
}

/// In how many hours of a day one device counts, where the release is sealed every hour.
fn hours(
    name: &str,
    table: &mut Table<'_>,
    measure: Option<&Measure>,
    form: &Form,
    problems: &mut Problems,
) -> Option<u32> {
    let (window, number) = (table.take("window"), table.take("windows"));
    let Some(window) = window else {
        if let Some(number) = number {
            number.wrong("of a release with window = \"hour\"", problems);
        }
        return None;
    };
    match window.text(problems) {
        Some("day") if number.is_none() => return None,
        Some("day") => window.wrong("a release of the whole day has no `windows`", problems),
        Some("hour") => {}
        _ => window.wrong("there are day, hour", problems),
    }
    match measure {
        Some(Measure::Over { by, .. }) if by.contains(&Dimension::Hour) => {
            window.wrong("each hour is sealed apart: leave the dimension `hour` out", problems);
        }
        Some(Measure::Over { by, .. }) if by.contains(&Dimension::FirstUse) => {
            window
                .wrong("first use is of a day, and no hour tells it: leave the dimension `first_use` out", problems);
        }
        Some(Measure::Over { by, .. }) => {
            let values = in_no_region(form, |public| public.size(by)).saturating_mul(HOURS.into());
            if values > MOST_CELLS {
                window.wrong(&format!("{values} values a day: at most {MOST_CELLS}"), problems);
            }
        }
        Some(_) => window.wrong("places have no hour, and a funnel is of a day: only dimensions of use", problems),
        None => {}
    }
    let Some(number) = number else {
        let what = "in how many hours of a day one device counts, its first ones";
        problems.missing(window.line, format!("release `{name}` has no `windows`: {what}"));
        return Some(1);
    };
    Some(windows(&number, problems))
}

fn windows(field: &Field<'_>, problems: &mut Problems) -> u32 {
    let windows = field.whole(problems).unwrap_or(1);
    if !(1..=i64::from(HOURS)).contains(&windows) {
        field.wrong(&format!("from 1 to {HOURS} hours"), problems);
    }
    u32::try_from(windows).unwrap_or(1).clamp(1, HOURS.into())
}

/// Asks what is public where there is no region: places are counted elsewhere.
fn in_no_region<T>(form: &Form, ask: impl FnOnce(Public<'_>) -> T) -> T {
    let region = Region::within([0.0, 0.0, 0.0, 0.0], Vec::new());
    ask(Public { declaration: &form.declaration, platforms: &form.platforms, region: &region })
}

fn counts(field: &Field<'_>, problems: &mut Problems) -> Counts {
    match field.text(problems) {
        Some("events") => return Counts::Events,
        Some("devices") | None => {}
        Some(_) => field.wrong("there are devices, events", problems),
    }
    Counts::Devices
}

#[allow(clippy::cast_possible_truncation)]
fn usual_threshold(release: &Release) -> i64 {
    match release.scale() {
        Some(scale) => ((SCALES_TO_THRESHOLD * scale).ceil() as i64).max(USUAL_THRESHOLD),
        None => LEAST_THRESHOLD,
    }
}

fn dimensions_of(field: &Field<'_>, counts: Counts, form: &Form, problems: &mut Problems) -> Option<Measure> {
    let elements = field.list(problems);
    let mut by: Vec<Dimension> = Vec::new();
    let mut cell = None;
    let mut is_known = true;
    for element in &elements {
        let word = element.text(problems)?;
        let dimension = match word {
            "platform" => Some(Dimension::Platform),
            "version" => Some(Dimension::Version),
            "language" => Some(Dimension::Language),
            "class" => Some(Dimension::Class),
            "event" => Some(Dimension::Event),
            "hour" => Some(Dimension::Hour),
            "first_use" => Some(Dimension::FirstUse),
            "cell_3" | "cell_4" | "cell_5" => {
                cell = Some(word.as_bytes()[5] - b'0');
                continue;
            }
            _ => property(word, &form.declaration),
        };
        let Some(dimension) = dimension else {
            is_known = false;
            let near = nearest(word, &DIMENSIONS).map(|near| format!("did you mean `{near}`?"));
            let what = near.unwrap_or_else(|| {
                format!("there are {}, and `event.property` of declared ones", DIMENSIONS.join(", "))
            });
            element.wrong(&format!("`{word}` is no dimension: {what}"), problems);
            continue;
        };
        if by.contains(&dimension) {
            element.wrong(&format!("`{word}` stands here twice"), problems);
        }
        by.push(dimension);
    }
    if let Some(characters) = cell {
        if elements.len() > 1 {
            field.wrong(
                "a cell stands alone: places and usage have two tokens for one device, which cannot be joined",
                problems,
            );
        }
        return Some(Measure::Places(characters));
    }
    if by.len() > MOST_DIMENSIONS {
        field.wrong(&format!("at most {MOST_DIMENSIONS} dimensions"), problems);
        return None;
    }
    let events: Vec<&String> = by
        .iter()
        .filter_map(|dimension| match dimension {
            Dimension::Property { event, .. } => Some(event),
            _ => None,
        })
        .collect();
    if events.windows(2).any(|pair| pair[0] != pair[1]) {
        field.wrong("properties are of one event: no row has those of two", problems);
    }
    if !events.is_empty() && by.contains(&Dimension::Event) {
        field.wrong("a property says its event already: leave `event` out", problems);
    }
    if !is_known {
        return None;
    }
    let size = in_no_region(form, |public| public.size(&by));
    if size > MOST_CELLS {
        field.wrong(&format!("{size} combinations of public values: at most {MOST_CELLS}"), problems);
    }
    Some(Measure::Over { counts, by: Cow::Owned(by), sums: Sums::All })
}

/// The property that a word `event.key` names, where it is declared.
fn property(word: &str, declaration: &Declaration) -> Option<Dimension> {
    let (event, key) = word.split_once('.')?;
    let declared = declaration.events.iter().find(|known| known.name == event)?;
    declared
        .properties
        .iter()
        .any(|(known, _)| known == key)
        .then(|| Dimension::Property { event: event.to_owned(), key: key.to_owned() })
}

fn steps(field: &Field<'_>, declaration: &Declaration, problems: &mut Problems) -> Option<Vec<String>> {
    let mut steps: Vec<String> = Vec::new();
    for element in field.list(problems) {
        let step = element.text(problems)?;
        if !declaration.events.iter().any(|event| event.name == step) {
            let names: Vec<&str> = declaration.events.iter().map(|event| event.name.as_str()).collect();
            let near = nearest(step, &names).map(|near| format!(": did you mean `{near}`?")).unwrap_or_default();
            element.wrong(&format!("`{step}` is no declared event{near}"), problems);
        } else if steps.iter().any(|known| known == step) {
            element
                .wrong(&format!("`{step}` stands here twice: hours do not tell two of its events apart"), problems);
        }
        steps.push(step.to_owned());
    }
    if !(2..=MOST_STEPS).contains(&steps.len()) {
        field.wrong(&format!("a funnel has 2 to {MOST_STEPS} steps"), problems);
        return None;
    }
    Some(steps)
}

fn bound(field: &Field<'_>, problems: &mut Problems) -> u32 {
    let bound = field.whole(problems).unwrap_or(1);
    if !(1..=MOST_BOUND).contains(&bound) {
        field.wrong(&format!("from 1 to {MOST_BOUND}"), problems);
    }
    u32::try_from(bound).unwrap_or(1).max(1)
}

/// An epsilon, or none for `off`. Where it is wrong, the least there is, so that nothing else is wrong for its sake.
fn epsilon(
    field: &Field<'_>,
    windows: Option<u32>,
    measure: Option<&Measure>,
    problems: &mut Problems,
) -> Option<f64> {
    match field.as_text() {
        Some("off") => {
            if windows.is_some() {
                field.wrong("hours need noise: they can be subtracted from each other, and from the day", problems);
            }
            let contains =
                |measure: &Measure| matches!(measure, Measure::Places(_) | Measure::Funnel(_) | Measure::FirstUse);
            if measure.is_some_and(contains) {
                field.wrong(
                    "places, funnels and first use need noise: their values contain each other, and can be subtracted",
                    problems,
                );
            }
            None
        }
        Some(_) => {
            field.wrong("a number, or \"off\"", problems);
            Some(LEAST_EPSILON)
        }
        None => {
            let epsilon = field.number(problems).unwrap_or(LEAST_EPSILON);
            if !(LEAST_EPSILON..=MOST_DAILY_EPSILON).contains(&epsilon) {
                field.wrong(&format!("from {LEAST_EPSILON} to {MOST_DAILY_EPSILON:.1}, or \"off\""), problems);
                return Some(LEAST_EPSILON);
            }
            Some(epsilon)
        }
    }
}

fn threshold(field: &Field<'_>, problems: &mut Problems) -> i64 {
    let threshold = field.whole(problems).unwrap_or(LEAST_THRESHOLD);
    if !(LEAST_THRESHOLD..=1_000_000_000).contains(&threshold) {
        field.wrong(&format!("at least {LEAST_THRESHOLD}"), problems);
    }
    threshold
}
