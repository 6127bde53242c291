//! Publication without noise, for a release that says `epsilon = "off"`: threshold, complementary suppression, rounding.
//!
//! What is counted of fewer devices than the threshold is not published. Where a total stands beside the cells, and those
//! that are not published hold fewer devices than the threshold together, the total would give them away: then the
//! smallest published cells go too, until it does not, and the total itself where they do not suffice. What remains is
//! rounded to the nearest five.
//!
//! Does not: promise what noise promises. Whoever knows all devices of a cell but one can learn something of that one;
//! two days can be subtracted from each other.

use super::histogram::{Published, Share};
use super::release::Release;

/// Values are rounded to multiples of this.
const STEP: i64 = 5;
/// How far rounding moves a value, at most.
pub(super) const MARGIN: f64 = 2.0;
/// What `seals` calls it.
pub const MECHANISM: &str = "threshold_and_rounding";

/// Splits what was counted into what is published and what is not: the breakdowns of the latter.
pub(super) fn publish(release: &Release, counted: Vec<Share>) -> (Vec<Published>, Vec<String>) {
    let (mut totals, cells): (Vec<Share>, Vec<Share>) =
        counted.into_iter().partition(|share| share.dims.is_empty() && !release.dims().is_empty());
    let is_small = |share: &Share| share.devices < release.threshold;
    let (mut suppressed, mut published): (Vec<Share>, Vec<Share>) = cells.into_iter().partition(is_small);
    let (small_totals, kept) = totals.drain(..).partition(is_small);
    suppressed.extend::<Vec<Share>>(small_totals);
    let mut totals: Vec<Share> = kept;
    if !totals.is_empty() {
        // The largest last, and ties by name, so that what goes does not depend on the order in the store.
        published.sort_by(|a, b| (b.devices, &b.dims).cmp(&(a.devices, &a.dims)));
        let mut hidden: i64 = suppressed.iter().map(|share| share.devices).sum();
        while hidden > 0 && hidden < release.threshold {
            let Some(share) = published.pop() else {
                suppressed.append(&mut totals);
                break;
            };
            hidden += share.devices;
            suppressed.push(share);
        }
    }
    let rounded = published.into_iter().chain(totals).map(|share| Published {
        value: round(share.value),
        margin: MARGIN,
        breakdown: share.breakdown,
        dims: share.dims,
    });
    (rounded.collect(), suppressed.into_iter().map(|share| share.breakdown).collect())
}

fn round(value: i64) -> i64 {
    (value + STEP / 2).div_euclid(STEP) * STEP
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::seal::release::{Counts, Dimension, Measure, Sums};

    /// What is published of cells with these numbers of devices and their total: name and value.
    fn published(devices: &[i64]) -> Vec<(String, i64)> {
        let by = Cow::Borrowed(&[Dimension::Platform][..]);
        let release = Release {
            name: "exact".into(),
            measure: Measure::Over { counts: Counts::Devices, by, sums: Sums::All },
            bound: 1,
            epsilon: None,
            threshold: 10,
            windows: None,
        };
        let share = |breakdown: &str, dims: Vec<String>, n: i64| Share {
            breakdown: breakdown.into(),
            dims,
            value: n,
            devices: n,
            draws: 0,
        };
        let cells = devices.iter().zip('a'..).map(|(n, name)| share("platform", vec![name.into()], *n));
        let total = share("", vec![], devices.iter().sum());
        let (published, suppressed) = publish(&release, cells.chain([total]).collect());
        assert_eq!(published.len() + suppressed.len(), devices.len() + 1);
        let mut named: Vec<(String, i64)> =
            published.into_iter().map(|value| (value.dims.join(""), value.value)).collect();
        named.sort();
        named
    }

    fn named(list: &[(&str, i64)]) -> Vec<(String, i64)> {
        list.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect()
    }

    #[test]
    fn values_are_rounded_to_the_nearest_five() {
        for (value, rounded) in [(0, 0), (2, 0), (3, 5), (10, 10), (12, 10), (13, 15)] {
            assert_eq!(round(value), rounded);
        }
    }

    #[test]
    fn a_small_cell_that_the_total_would_give_away_takes_another_with_it() {
        assert_eq!(published(&[100, 41, 7]), named(&[("", 150), ("a", 100)]));
        // Two small ones hide each other where they are large enough together.
        assert_eq!(published(&[100, 41, 7, 6]), named(&[("", 155), ("a", 100), ("b", 40)]));
        assert_eq!(published(&[100, 41, 4, 3]), named(&[("", 150), ("a", 100)]));
        // Empty cells hide nobody.
        assert_eq!(published(&[100, 41, 0]), named(&[("", 140), ("a", 100), ("b", 40)]));
    }

    #[test]
    fn where_nothing_is_left_to_hide_behind_the_total_goes() {
        assert_eq!(published(&[4, 5]), []);
        assert_eq!(published(&[9]), []);
        assert_eq!(published(&[12]), named(&[("", 10), ("a", 10)]));
        assert_eq!(published(&[8, 8]), named(&[("", 15)]));
    }

    #[test]
    fn what_is_published_never_leaves_less_than_the_threshold_by_subtraction() {
        // Every split of few devices over four cells.
        for cells in 0..14_i64.pow(4) {
            let devices = [cells % 14, cells / 14 % 14, cells / 196 % 14, cells / 2_744];
            let shown = published(&devices);
            let is_shown = |name: &str| shown.iter().any(|(known, _)| known == name);
            if !is_shown("") {
                continue;
            }
            let hidden: i64 =
                devices.iter().zip(["a", "b", "c", "d"]).filter(|(_, name)| !is_shown(name)).map(|(n, _)| n).sum();
            assert!(hidden == 0 || hidden >= 10, "{devices:?}: {shown:?}");
        }
    }
}
