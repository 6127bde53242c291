//! The judge of twins: how much epsilon must have been spent, going by what can be told apart.
//!
//! If whatever happens in one world happens in the other at most e^epsilon times as often, then no event tells them apart
//! better. So any event is a witness: from how often it was seen in each world follows, with 99 % confidence, a lower
//! bound of epsilon. The most telling event is looked for in one half of the seals, and judged by the other half: a bound
//! that was picked among thousands on the same data would hold of none.

use std::collections::BTreeMap;

use statrs::function::beta::beta_reg;
use tuman::seal::histogram::Sealed;

/// Release, breakdown, dimensions.
pub type Key = (String, String, Vec<String>);

/// What was published in a world, seal by seal.
#[derive(Default)]
pub struct World {
    seals: usize,
    columns: BTreeMap<Key, Vec<i64>>,
    scales: BTreeMap<String, f64>,
}

/// Not published: below every value.
const NOT: i64 = i64::MIN;

impl World {
    /// Takes note of the seal number `at`, of so many.
    pub fn note(&mut self, at: usize, of: usize, sealed: &[Sealed]) {
        self.seals = of;
        for release in sealed {
            self.scales.insert(release.release.clone(), release.scale.max(0.1));
            for value in &release.published {
                let key = (release.release.clone(), value.breakdown.clone(), value.dims.clone());
                self.columns.entry(key).or_insert_with(|| vec![NOT; of])[at] = value.value;
            }
        }
    }

    fn column(&self, key: &Key) -> Vec<i64> {
        self.columns.get(key).cloned().unwrap_or_else(|| vec![NOT; self.seals])
    }
}

/// What the judge found.
pub struct Verdict {
    /// Epsilon is at least this, with 99 % confidence; zero where nothing was told apart.
    pub least: f64,
    /// By what.
    pub event: String,
}

/// A number per seal in each world, and what it is.
struct Feature {
    what: String,
    one: Vec<i64>,
    other: Vec<i64>,
}

/// The best that can be told about some releases.
pub fn judge(one: &World, other: &World, releases: &[String]) -> Verdict {
    let keys: Vec<&Key> = one.columns.keys().chain(other.columns.keys()).collect();
    let mut keys: Vec<&Key> = keys.into_iter().filter(|key| releases.contains(&key.0)).collect();
    keys.sort();
    keys.dedup();
    let mut features: Vec<Feature> = keys
        .iter()
        .map(|key| Feature {
            what: format!("{} {} {}", key.0, key.1, key.2.join(" ")),
            one: one.column(key),
            other: other.column(key),
        })
        .collect();
    features.push(together(one, other, &keys));
    let (half, whole) = (one.seals / 2, one.seals);
    let mut best: Option<(f64, &Feature, Event)> = None;
    for feature in &features {
        for event in events(&feature.one[..half], &feature.other[..half]) {
            let [a, b] = [&feature.one, &feature.other].map(|column| event.count(&column[..half]));
            let promise = rough(a, b);
            if best.as_ref().is_none_or(|(most, _, _)| promise > *most) {
                best = Some((promise, feature, event));
            }
        }
    }
    let Some((_, feature, event)) = best else {
        return Verdict { least: 0.0, event: "nothing is published".into() };
    };
    let [a, b] = [&feature.one, &feature.other].map(|column| event.count(&column[half..]));
    let least = least_epsilon(a, b, (whole - half) as u64);
    Verdict { least, event: format!("{} {event}: {a} and {b}", feature.what) }
}

/// Something that happens in a seal, or not.
#[derive(Debug, Clone, Copy)]
enum Event {
    From(i64),
    Below(i64),
    Is(i64),
}

impl Event {
    fn count(self, column: &[i64]) -> u64 {
        let holds = |value: &&i64| match self {
            Event::From(least) => **value >= least,
            Event::Below(end) => **value < end,
            Event::Is(one) => **value == one,
        };
        column.iter().filter(holds).count() as u64
    }
}

impl std::fmt::Display for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Event::Is(NOT) => f.write_str("not published"),
            Event::From(least) => write!(f, ">= {least}"),
            Event::Below(end) => write!(f, "< {end}"),
            Event::Is(one) => write!(f, "= {one}"),
        }
    }
}

/// Events that may be telling: up to and from values all over the distribution, single values, published or not.
fn events(one: &[i64], other: &[i64]) -> Vec<Event> {
    let mut all: Vec<i64> = one.iter().chain(other).copied().collect();
    all.sort_unstable();
    let published = all.iter().position(|value| *value != NOT).map_or(&[][..], |first| &all[first..]);
    let mut events = vec![Event::Is(NOT)];
    let Some(least) = published.first() else { return events };
    let mut cuts: Vec<i64> = (0..64).map(|at| published[at * published.len() / 64]).chain([*least]).collect();
    cuts.dedup();
    for cut in cuts {
        events.extend([Event::From(cut), Event::Below(cut), Event::Is(cut)]);
    }
    events
}

/// All values weighed together, as whoever knows everything but the one device would: by how much likelier each makes the
/// other world, in thousandths. What is not known of the worlds is learnt from the first half of the seals.
fn together(one: &World, other: &World, keys: &[&Key]) -> Feature {
    let half = one.seals / 2;
    let mut sums = [vec![0.0; one.seals], vec![0.0; one.seals]];
    for key in keys {
        // Sums of cells hold the draws of their cells, which are weighed already.
        let finest = keys.iter().filter(|other| other.0 == key.0).map(|other| other.2.len()).max();
        let scale = one.scales.get(&key.0).copied().unwrap_or(1.0);
        if finest != Some(key.2.len()) {
            continue;
        }
        let columns = [one.column(key), other.column(key)];
        let learnt = columns.each_ref().map(|column| learnt(&column[..half]));
        let [(share, middle), (other_share, other_middle)] = learnt;
        // The standard error of a middle is the scale by the root of the number: nearer ones may well be the same.
        let is_same = (middle - other_middle).abs() < 3.0 * scale / (half as f64).sqrt();
        for (sums, column) in sums.iter_mut().zip(&columns) {
            for (sum, value) in sums.iter_mut().zip(column) {
                *sum += match *value {
                    NOT => ((1.0 - other_share) / (1.0 - share)).ln(),
                    _ if is_same => (other_share / share).ln(),
                    value => ((value as f64 - middle).abs() - (value as f64 - other_middle).abs()) / scale,
                };
            }
        }
    }
    let [one, other] = sums.map(|sums| sums.into_iter().map(|sum| (1_000.0 * sum) as i64).collect());
    Feature { what: "all together".into(), one, other }
}

/// The share of seals that publish a value, never none and never all; and the middle of what they publish.
fn learnt(column: &[i64]) -> (f64, f64) {
    let mut published: Vec<i64> = column.iter().copied().filter(|value| *value != NOT).collect();
    published.sort_unstable();
    let share = (published.len() as f64 + 1.0) / (column.len() as f64 + 2.0);
    let middle = published.get(published.len() / 2).map_or(0.0, |middle| *middle as f64);
    (share, middle)
}

/// About how good a bound will be: quick, to choose among events.
fn rough(a: u64, b: u64) -> f64 {
    let (a, b) = (a as f64 + 1.0, b as f64 + 1.0);
    (a / b).ln().abs() - 2.6 * (1.0 / a + 1.0 / b).sqrt()
}

/// With 99 % confidence, epsilon is at least this, where an event was seen `a` times in one world and `b` times in the
/// other, of so many. Each of the two rates gets half of the doubt.
pub fn least_epsilon(a: u64, b: u64, of: u64) -> f64 {
    let (more, less) = (a.max(b), a.min(b));
    (lower(more, of, 0.005) / upper(less, of, 0.005)).ln().max(0.0)
}

/// The Clopper-Pearson bound: a rate is below this with at most this doubt.
fn lower(hits: u64, of: u64, doubt: f64) -> f64 {
    if hits == 0 {
        return 0.0;
    }
    bisect(|p| beta_reg(hits as f64, (of - hits) as f64 + 1.0, p) >= doubt)
}

/// The Clopper-Pearson bound: a rate is above this with at most this doubt.
fn upper(hits: u64, of: u64, doubt: f64) -> f64 {
    if hits == of {
        return 1.0;
    }
    bisect(|p| 1.0 - beta_reg(hits as f64 + 1.0, (of - hits) as f64, p) <= doubt)
}

/// Where what is false near zero becomes true.
fn bisect(is_reached: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if is_reached(middle) { high = middle } else { low = middle }
    }
    f64::midpoint(low, high)
}

#[test]
fn the_bounds_are_those_of_the_tables() {
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-4, "{a} {b}");
    near(lower(5, 10, 0.025), 0.1871);
    near(upper(5, 10, 0.025), 0.8129);
    near(upper(0, 20_000, 0.005), 1.0 - 0.005_f64.powf(1.0 / 20_000.0));
    near(lower(9_000, 10_000, 0.005), 0.8920);
    assert_eq!((lower(0, 10, 0.005), upper(10, 10, 0.005)), (0.0, 1.0));
    // Three times as often, seen often: nearly ln 3.
    let least = least_epsilon(6_000, 2_000, 10_000);
    assert!(least > 1.0 && least < 3.0_f64.ln(), "{least}");
    assert_eq!(least_epsilon(1_000, 1_010, 10_000), 0.0);
}
