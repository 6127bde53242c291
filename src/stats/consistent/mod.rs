//! Consistent values, for display: none below zero, and parts that add up to no more than their whole.
//!
//! Published values are unbiased and each has noise of its own, so that cells can add up to more than what they are in.
//! Whoever asks for `consistent=true` gets the nearest values that can be true together ([`fit`]). Nothing of this is
//! stored, and it costs no budget: it is made of published values alone.
//!
//! Guarantees: whole numbers; what cells lack of their parent is not below zero; margins are honest, in that they grow by as
//! much as the value was moved, so that they hold the truth whenever the published ones do.
//! Does not: stay unbiased. What is moved is moved for a reason that favours one direction: add up published values, and ask
//! for consistent ones of the sum.

pub(super) mod answer;
mod fit;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::civil::Date;

use super::Total;
use fit::{Node, apportion, fit, share};

/// Which values are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// Those that were published.
    Published,
    /// Those made consistent.
    Consistent,
}

impl Shown {
    /// Whether they are consistent.
    #[must_use]
    pub fn is_consistent(self) -> bool {
        self == Shown::Consistent
    }
}

/// A place's sum of a period, and the variance of its noise.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place {
    /// The cell; empty for the region.
    pub(super) cell: String,
    pub(super) total: Total,
    pub(super) variance: f64,
}

/// Makes the region, if there is one, and the cells of all precisions consistent with each other. `is_whole` says that
/// every coarsest cell was published on every day, so that they are all there is of the region.
pub(super) fn places(mut places: Vec<Place>, is_whole: bool) -> BTreeMap<String, Total> {
    // Parents come first.
    places.sort_by(|a, b| (a.cell.len(), &a.cell).cmp(&(b.cell.len(), &b.cell)));
    let index: HashMap<&str, usize> =
        places.iter().enumerate().map(|(at, place)| (place.cell.as_str(), at)).collect();
    let parent = |cell: &str| {
        let shorter = (3..cell.len()).rev().chain([0]).filter_map(|length| cell.get(..length));
        shorter.filter(|shorter| shorter.len() < cell.len()).find_map(|shorter| index.get(shorter).copied())
    };
    let nodes: Vec<Node> = places
        .iter()
        .map(|place| Node {
            parent: parent(&place.cell),
            seen: number(place.total.value),
            variance: place.variance.max(1e-6),
            is_whole: is_whole && place.cell.is_empty(),
        })
        .collect();
    let values = whole_numbers(&nodes, &fit(&nodes));
    let moved = places.iter().zip(values).map(|(place, value)| (place.cell.clone(), moved(&place.total, value)));
    moved.collect()
}

/// Whole numbers of fitted values, from the roots down, that add up as the values do.
#[allow(clippy::cast_possible_truncation)]
fn whole_numbers(nodes: &[Node], values: &[f64]) -> Vec<i64> {
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for (at, node) in nodes.iter().enumerate() {
        if let Some(parent) = node.parent {
            children[parent].push(at);
        }
    }
    let mut whole: Vec<i64> = values.iter().map(|value| value.round() as i64).collect();
    for at in 0..nodes.len() {
        if children[at].is_empty() {
            continue;
        }
        let mut parts: Vec<f64> = children[at].iter().map(|child| values[*child]).collect();
        if !nodes[at].is_whole {
            // What is in none of the children.
            parts.push((values[at] - parts.iter().sum::<f64>()).max(0.0));
        }
        for (child, number) in children[at].iter().zip(apportion(whole[at], &parts)) {
            whole[*child] = number;
        }
    }
    whole
}

/// Values of one day or sum: by breakdown, from the total to the finest, each with one dimension more.
pub(super) type Levels = Vec<BTreeMap<Vec<String>, Total>>;

/// Makes breakdowns consistent, from the total down: the total stays as it is, and parts keep within their whole. They are
/// sums of the same draws, so that they differ from it by what was not published, which cannot be below zero. A part whose
/// whole is not published, or not on all of its days, is bounded by nothing.
pub(super) fn breakdowns(levels: &Levels, is_covered: impl Fn(&[String]) -> bool) -> Levels {
    let clamped = |total: &Total| moved(total, total.value.max(0));
    let mut done: Levels = Vec::with_capacity(levels.len());
    for (depth, level) in levels.iter().enumerate() {
        let mut consistent: BTreeMap<Vec<String>, Total> =
            level.iter().map(|(dims, total)| (dims.clone(), clamped(total))).collect();
        let above = depth.checked_sub(1).and_then(|above| done.get(above));
        for (dims, whole) in above.into_iter().flatten().filter(|(dims, _)| is_covered(dims)) {
            let parts: Vec<(&Vec<String>, &Total)> =
                level.iter().filter(|(part, _)| part.starts_with(dims)).collect();
            // A margin is about as many standard deviations for each.
            let seen: Vec<(f64, f64)> =
                parts.iter().map(|(_, total)| (number(total.value), total.margin.powi(2).max(1e-6))).collect();
            let mut shared = share(number(whole.value), &seen);
            shared.push((number(whole.value) - shared.iter().sum::<f64>()).max(0.0));
            for ((part, total), value) in parts.into_iter().zip(apportion(whole.value, &shared)) {
                consistent.insert(part.clone(), moved(total, value));
            }
        }
        done.push(consistent);
    }
    done
}

/// Which wholes were published on every day on which one of their parts was.
pub(super) fn covered(
    wholes: &BTreeSet<(Date, Vec<String>)>,
    parts: &BTreeSet<(Date, Vec<String>)>,
) -> BTreeSet<Vec<String>> {
    let whole = |dims: &[String]| dims.split_last().map(|(_, dims)| dims.to_vec()).unwrap_or_default();
    let lacking: BTreeSet<Vec<String>> = parts
        .iter()
        .map(|(day, dims)| (*day, whole(dims)))
        .filter(|key| !wholes.contains(key))
        .map(|(_, dims)| dims)
        .collect();
    wholes.iter().map(|(_, dims)| dims.clone()).filter(|dims| !lacking.contains(dims)).collect()
}

/// A value that was moved: its margin is wider by as much.
fn moved(total: &Total, value: i64) -> Total {
    Total {
        value,
        margin: total.margin + number(value.abs_diff(total.value).try_into().unwrap_or(i64::MAX)),
        days: total.days,
    }
}

#[allow(clippy::cast_precision_loss)]
fn number(value: i64) -> f64 {
    value as f64
}
