//! Weighted least squares on a tree: the values nearest to what was seen that can be true together.
//!
//! True counts are not below zero, and the children of a node do not add up to more than the node: what they lack is in
//! none of them. Where children are all there is, they add up to it exactly. Of all such values those are chosen whose
//! squared distances from what was seen, each divided by the variance of its noise, are least together.
//!
//! The set of such values is convex, so that the choice is one, and never farther from the truth than what was seen, as
//! distances are measured here: the truth is in the set. On a tree it is found exactly, in one way up and one down. Each
//! node says how much it takes at which price (the derivative of its cost): a line with a few bends. The takes of children
//! add up, and each node turns their sum into its own.

/// A node. Its parent stands before it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// The index of its parent; none for a root.
    pub(super) parent: Option<usize>,
    /// What was seen.
    pub(super) seen: f64,
    /// The variance of its noise, above zero.
    pub(super) variance: f64,
    /// Whether its children are all there is of it.
    pub(super) is_whole: bool,
}

/// How much is taken at a price: nothing at low ones, then more and more. The slope changes by `.1` at the price `.0`.
type Take = Vec<(f64, f64)>;

/// The fitted values, in the order of the nodes.
pub(super) fn fit(nodes: &[Node]) -> Vec<f64> {
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for (at, node) in nodes.iter().enumerate() {
        if let Some(parent) = node.parent {
            children[parent].push(at);
        }
    }
    let mut takes: Vec<Take> = vec![Vec::new(); nodes.len()];
    let mut below: Vec<Take> = vec![Vec::new(); nodes.len()];
    for at in (0..nodes.len()).rev() {
        let mut sum: Take = children[at].iter().flat_map(|child| takes[*child].iter().copied()).collect();
        sum.sort_by(|a, b| a.0.total_cmp(&b.0));
        takes[at] = take(&nodes[at], &sum, children[at].is_empty());
        below[at] = sum;
    }
    let mut values = vec![0.0; nodes.len()];
    let mut prices: Vec<f64> = vec![0.0; nodes.len()];
    for at in 0..nodes.len() {
        values[at] = taken(&takes[at], prices[at]);
        let price = price(&below[at], values[at], nodes[at].is_whole);
        for child in &children[at] {
            prices[*child] = price;
        }
    }
    values
}

/// What parts of a fixed whole become: they add up to no more than it.
pub(super) fn share(whole: f64, parts: &[(f64, f64)]) -> Vec<f64> {
    let mut sum: Take = parts.iter().map(|(seen, variance)| (-seen / variance, *variance)).collect();
    sum.sort_by(|a, b| a.0.total_cmp(&b.0));
    let price = price(&sum, whole.max(0.0), false);
    parts.iter().map(|(seen, variance)| (seen + variance * price).max(0.0)).collect()
}

/// What a node takes, where its children take `sum`.
fn take(node: &Node, sum: &Take, is_leaf: bool) -> Take {
    let Node { seen, variance, is_whole, .. } = *node;
    if is_leaf {
        return vec![(-seen / variance, variance)];
    }
    // At the children's price q they take x, and the node pays q and what x is off from what was seen.
    let (mut bends, mut x, mut slope, mut last, mut own) = (Vec::new(), 0.0, 0.0, f64::NEG_INFINITY, 0.0);
    let mut bend = |x: f64, q: f64, steeper: f64| {
        bends.push(((x - seen) / variance + q, steeper));
    };
    for (q, change) in sum {
        if !is_whole && *q >= 0.0 {
            break;
        }
        if slope > 0.0 {
            x += slope * (q - last);
        }
        (slope, last) = (slope + change, *q);
        let steeper = slope * variance / (slope + variance);
        bend(x, *q, steeper - own);
        own = steeper;
    }
    if !is_whole {
        // What the children lack costs nothing: from here on the node takes what it likes.
        if slope > 0.0 {
            x -= slope * last;
        }
        bend(x, 0.0, variance - own);
    }
    bends
}

/// How much is taken at a price.
fn taken(take: &Take, price: f64) -> f64 {
    take.iter().filter(|(at, _)| *at < price).map(|(at, change)| change * (price - at)).sum::<f64>().max(0.0)
}

/// The price at which no more than `x` is taken; exactly `x`, where the parts are the whole.
fn price(take: &Take, x: f64, is_whole: bool) -> f64 {
    if !is_whole && taken(take, 0.0) <= x {
        return 0.0;
    }
    let (mut sum, mut slope, mut last) = (0.0, 0.0, 0.0);
    for (at, change) in take {
        let next = if slope > 0.0 { sum + slope * (at - last) } else { 0.0 };
        if slope > 0.0 && next >= x {
            return last + (x - sum) / slope;
        }
        (sum, slope, last) = (next, slope + change, *at);
    }
    if slope > 0.0 { last + (x - sum) / slope } else { 0.0 }
}

/// Whole numbers near the parts that add up to the whole, by the largest remainders.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(super) fn apportion(whole: i64, parts: &[f64]) -> Vec<i64> {
    let mut whole_parts: Vec<i64> = parts.iter().map(|part| part.floor() as i64).collect();
    let lacking = whole - whole_parts.iter().sum::<i64>();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by(|a, b| (parts[*b] - parts[*b].floor()).total_cmp(&(parts[*a] - parts[*a].floor())));
    for at in order.into_iter().take(lacking.max(0) as usize) {
        whole_parts[at] += 1;
    }
    whole_parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Trees of up to 40 nodes, with what is true of them: leaves, and what is in no leaf.
    fn trees() -> impl Strategy<Value = (Vec<Node>, Vec<f64>)> {
        let node = (
            any::<prop::sample::Index>(),
            0.5..50.0_f64,
            0.0..30.0_f64,
            -60.0..60.0_f64,
            any::<bool>(),
            any::<bool>(),
        );
        prop::collection::vec(node, 1..40).prop_map(|drawn| {
            let mut nodes: Vec<Node> = Vec::new();
            for (at, (parent, variance, _, _, is_root, is_whole)) in drawn.iter().enumerate() {
                let parent = (at > 0 && !is_root).then(|| parent.index(at));
                nodes.push(Node { parent, seen: 0.0, variance: *variance, is_whole: *is_whole });
            }
            let is_leaf = |at: usize| !nodes.iter().any(|node| node.parent == Some(at));
            let mut truth: Vec<f64> = (0..nodes.len())
                .map(|at| if nodes[at].is_whole && !is_leaf(at) { 0.0 } else { drawn[at].2 })
                .collect();
            for at in (0..nodes.len()).rev() {
                if let Some(parent) = nodes[at].parent {
                    truth[parent] += truth[at];
                }
            }
            for (at, node) in nodes.iter_mut().enumerate() {
                node.seen = truth[at] + drawn[at].3;
            }
            (nodes, truth)
        })
    }

    fn children(nodes: &[Node], parent: usize) -> Vec<usize> {
        (0..nodes.len()).filter(|at| nodes[*at].parent == Some(parent)).collect()
    }

    /// Squared distance, each divided by its variance.
    fn distance(nodes: &[Node], a: &[f64], b: impl Fn(usize) -> f64) -> f64 {
        (0..nodes.len()).map(|at| (a[at] - b(at)).powi(2) / nodes[at].variance).sum()
    }

    proptest! {
        #[test]
        fn sums_hold_and_nothing_is_below_zero((nodes, _) in trees()) {
            let fitted = fit(&nodes);
            for at in 0..nodes.len() {
                prop_assert!(fitted[at] >= 0.0);
                let children = children(&nodes, at);
                let sum: f64 = children.iter().map(|child| fitted[*child]).sum();
                prop_assert!(sum <= fitted[at] + 1e-6, "{sum} of {}", fitted[at]);
                if nodes[at].is_whole && !children.is_empty() {
                    prop_assert!((sum - fitted[at]).abs() < 1e-6, "{sum} of {}", fitted[at]);
                }
            }
        }

        /// Wherever the truth lies: what is fitted is no farther from it than what was seen.
        #[test]
        fn errors_never_grow((nodes, truth) in trees()) {
            let fitted = fit(&nodes);
            let before = distance(&nodes, &truth, |at| nodes[at].seen);
            let after = distance(&nodes, &truth, |at| fitted[at]);
            prop_assert!(after <= before + 1e-6, "{after} and {before}");
        }

        /// Nothing that can be true is nearer: no step towards the truth, which can be, is an improvement.
        #[test]
        fn what_is_fitted_is_the_nearest((nodes, truth) in trees()) {
            let fitted = fit(&nodes);
            let best = distance(&nodes, &fitted, |at| nodes[at].seen);
            for step in [0.001, 0.1, 0.5, 1.0] {
                let other: Vec<f64> = (0..nodes.len()).map(|at| fitted[at] + step * (truth[at] - fitted[at])).collect();
                prop_assert!(distance(&nodes, &other, |at| nodes[at].seen) >= best - 1e-6);
            }
        }

        #[test]
        fn what_can_be_true_stays_as_it_is((mut nodes, truth) in trees()) {
            for (node, value) in nodes.iter_mut().zip(&truth) {
                node.seen = *value;
            }
            for (fitted, value) in fit(&nodes).into_iter().zip(truth) {
                prop_assert!((fitted - value).abs() < 1e-6);
            }
        }

        #[test]
        fn parts_of_a_fixed_whole_keep_within_it(
            whole in -10.0..500.0_f64,
            parts in prop::collection::vec((-50.0..200.0_f64, 0.5..50.0_f64), 0..20),
        ) {
            let shared = share(whole, &parts);
            let sum: f64 = shared.iter().sum();
            prop_assert!(sum <= whole.max(0.0) + 1e-6 && shared.iter().all(|part| *part >= 0.0));
            let clamped: f64 = parts.iter().map(|(seen, _)| seen.max(0.0)).sum();
            if clamped <= whole {
                prop_assert!((clamped - sum).abs() < 1e-6);
            } else {
                prop_assert!((sum - whole.max(0.0)).abs() < 1e-6);
            }
        }

        #[test]
        fn whole_numbers_add_up_and_stay_near(parts in prop::collection::vec(0.0..100.0_f64, 1..20), up in any::<bool>()) {
            let sum: f64 = parts.iter().sum();
            let whole = if up { sum.ceil() } else { sum.floor() } as i64;
            let apportioned = apportion(whole, &parts);
            prop_assert_eq!(apportioned.iter().sum::<i64>(), whole);
            for (number, part) in apportioned.iter().zip(&parts) {
                prop_assert!((*number as f64 - part).abs() <= 1.0);
            }
        }
    }

    /// A parent and its four children, which are all there is of it: far from zero nothing is clamped, so that the fit is
    /// linear in what was seen. Its mean is the truth, and its variance what theory says.
    #[test]
    fn without_clamping_it_is_unbiased_and_less_noisy() {
        use crate::seal::noise::{Noise, variance};
        let (parent_noise, child_noise) = (Noise::new(1, 0.15), Noise::new(1, 0.25));
        let truth = [1_000.0, 200.0, 300.0, 400.0, 100.0];
        let trials = 20_000;
        let parents = parent_noise.blur(vec![1_000; trials]).unwrap();
        let children = child_noise.blur([200, 300, 400, 100].repeat(trials)).unwrap();
        let (parent_variance, child_variance) = (variance(parent_noise.scale()), variance(child_noise.scale()));
        let (mut sums, mut squares) = ([0.0; 5], [0.0; 5]);
        for (parent, children) in parents.iter().zip(children.chunks(4)) {
            let whole = Node { parent: None, seen: *parent as f64, variance: parent_variance, is_whole: true };
            let part =
                |seen: &i64| Node { parent: Some(0), seen: *seen as f64, variance: child_variance, is_whole: false };
            let nodes: Vec<Node> = [whole].into_iter().chain(children.iter().map(part)).collect();
            for (at, value) in fit(&nodes).into_iter().enumerate() {
                sums[at] += value - truth[at];
                squares[at] += (value - truth[at]).powi(2);
            }
        }
        // Two independent sights of the parent; of a child, its own and the parent's less its sisters'.
        let both = |a: f64, b: f64| 1.0 / (1.0 / a + 1.0 / b);
        let parent = both(parent_variance, 4.0 * child_variance);
        let child = both(child_variance, parent_variance + 3.0 * child_variance);
        for (at, expected) in [parent, child, child, child, child].into_iter().enumerate() {
            let (mean, found) = (sums[at] / trials as f64, squares[at] / trials as f64);
            // Six standard errors: of a mean, and of a variance of draws with at most a Laplace draw's fourth moment.
            assert!(mean.abs() < 6.0 * (expected / trials as f64).sqrt(), "{at}: off by {mean}");
            assert!(
                (found - expected).abs() < 6.0 * expected * (5.0 / trials as f64).sqrt(),
                "{at}: {found}, {expected}"
            );
        }
        assert!(parent < parent_variance && child < child_variance);
    }
}
