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
                level.range(dims.clone()..).take_while(|(part, _)| part.starts_with(dims)).collect();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::noise::{Noise, margin, variance};
    use proptest::prelude::*;

    fn total(value: i64, margin: f64) -> Total {
        Total { value, margin, days: 1 }
    }

    fn place(cell: &str, value: i64, epsilon: f64) -> Place {
        let scale = Noise::new(1, epsilon).scale();
        Place { cell: cell.into(), total: total(value, margin(&[(1, scale)])), variance: variance(scale) }
    }

    #[test]
    fn cells_keep_within_their_parents_and_the_region() {
        let seen =
            [("", 995, 0.1), ("v94", 1_002, 0.15), ("v94f", 700, 0.25), ("v94g", 311, 0.25), ("v94fc", 690, 0.5)];
        let fitted = places(seen.map(|(cell, value, epsilon)| place(cell, value, epsilon)).into(), false);
        let value = |cell: &str| fitted[cell].value;
        assert!(value("v94") <= value("") && value("v94f") + value("v94g") <= value("v94"), "{fitted:?}");
        // The noisiest gives way the most, and what fits stays.
        assert!(value("") - 995 > (1_002 - value("v94")).abs() && value("v94fc") == 690, "{fitted:?}");
        for (cell, value, epsilon) in seen {
            let published = place(cell, value, epsilon).total;
            let moved = (fitted[cell].value - published.value).abs() as f64;
            assert_eq!(fitted[cell].margin, published.margin + moved, "{cell}");
        }
    }

    #[test]
    fn where_all_cells_are_there_they_are_the_region() {
        let seen = || vec![place("", 1_000, 0.1), place("v94", 600, 0.15), place("v95", 300, 0.15)];
        let apart = places(seen(), false);
        assert_eq!(["", "v94", "v95"].map(|cell| apart[cell].value), [1_000, 600, 300]);
        let whole = places(seen(), true);
        assert_eq!(whole["v94"].value + whole["v95"].value, whole[""].value);
        assert!(whole["v94"].value > 600 && whole[""].value < 1_000);
    }

    #[test]
    fn the_total_stays_and_its_parts_keep_within_it() {
        let named = |values: &[(&[&str], i64)], margin: f64| -> BTreeMap<Vec<String>, Total> {
            let named = |dims: &[&str]| dims.iter().map(|dim| (*dim).to_owned()).collect();
            values.iter().map(|(dims, value)| (named(dims), total(*value, margin))).collect()
        };
        let levels = vec![
            named(&[(&[], 100)], 51.0),
            named(&[(&["android"], 80), (&["ios"], 30)], 30.0),
            named(&[(&["android", "1"], 50), (&["ios", "1"], 25), (&["ios", "2"], -3), (&["web", "1"], 21)], 12.0),
        ];
        let done = breakdowns(&levels, |_| true);
        let values = |at: usize| done[at].values().map(|total| total.value).collect::<Vec<_>>();
        assert_eq!((values(0), values(1)), (vec![100], vec![75, 25]));
        // What web is in is not published: it is bounded by nothing.
        assert_eq!(values(2), [50, 25, 0, 21]);
        assert_eq!(done[1].values().map(|total| total.margin).collect::<Vec<_>>(), [35.0, 35.0]);
        let unbounded = breakdowns(&levels, |dims| !dims.is_empty());
        assert_eq!(unbounded[1].values().map(|total| total.value).collect::<Vec<_>>(), [80, 30]);
    }

    #[test]
    fn a_whole_that_lacks_a_day_bounds_nothing() {
        let (first, second) = (jiff::civil::date(2026, 10, 1), jiff::civil::date(2026, 10, 2));
        let dims = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let wholes = BTreeSet::from([(first, dims(&["a"])), (second, dims(&["a"])), (first, dims(&["b"]))]);
        let parts = BTreeSet::from([(first, dims(&["a", "x"])), (second, dims(&["b", "x"]))]);
        assert_eq!(covered(&wholes, &parts), BTreeSet::from([dims(&["a"])]));
    }

    proptest! {
        /// Seen values of any kind: whole numbers come out that hold all that is promised.
        #[test]
        fn any_places_become_consistent(seen in prop::collection::vec((0..3_u8, 0..4_u8, 0..4_u8, -80..300_i64), 1..60)) {
            let mut all = vec![place("", 500, 0.1)];
            for (a, b, c, value) in seen {
                let cell = format!("v9{a}{b}{c}");
                for (length, epsilon) in [(3, 0.15), (4, 0.25), (5, 0.5)] {
                    if all.iter().all(|place| place.cell != cell[..length]) {
                        all.push(place(&cell[..length], value * (6 - length as i64), epsilon));
                    }
                }
            }
            let fitted = places(all.clone(), false);
            for place in &all {
                let children: i64 = fitted
                    .iter()
                    .filter(|(cell, _)| match place.cell.len() {
                        0 => cell.len() == 3,
                        length => cell.len() == length + 1 && cell.starts_with(&place.cell),
                    })
                    .map(|(_, total)| total.value)
                    .sum();
                let value = fitted[&place.cell].value;
                prop_assert!(value >= 0 && children <= value, "{}: {children} of {value}", place.cell);
            }
        }
    }
}
