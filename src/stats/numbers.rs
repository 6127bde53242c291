//! What a histogram over declared buckets says of a number: quantiles, sum and mean.
//!
//! Open rows hold buckets and no values, so that this is all that can be known. A quantile is the bucket it lies in. A sum
//! takes every number as the middle of its bucket, bounded: numbers above the last bound count as that bound, and numbers
//! below zero, where the first bound is above it, as zero. Margins hold both the noise and the width of the buckets.
//!
//! Guarantees: works on published values alone, so that it costs no budget. A bucket that was not published counts as
//! empty: `suppressed` in the answer says how many there are.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use tuman_privacy::properties::PropertyDeclaration;

use super::Total;

/// The bounds of an app's bucketed numbers, by dimension.
pub type Buckets = HashMap<String, Vec<f64>>;

/// The quantiles that are answered.
const QUANTILES: [f64; 5] = [0.1, 0.25, 0.5, 0.75, 0.9];

/// What is known of a bucketed number.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Numbers {
    /// The dimension: event and property.
    pub of: String,
    /// The other dimensions of the breakdown.
    pub dims: BTreeMap<String, String>,
    /// Quantiles.
    pub quantiles: Vec<Quantile>,
    /// The bounded sum.
    pub sum: f64,
    /// With 95 % probability the bounded sum lies within this distance.
    pub sum_margin: f64,
    /// The mean of the bounded numbers.
    pub mean: f64,
    /// With 95 % probability it lies within this distance.
    pub mean_margin: f64,
}

/// A quantile, as the bucket that it lies in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Quantile {
    /// Which: 0.5 is the median.
    pub p: f64,
    /// It is above this; none in the first bucket.
    pub above: Option<f64>,
    /// It is not above this; none in the last bucket.
    pub upto: Option<f64>,
    /// With 95 % probability it is above this.
    pub surely_above: Option<f64>,
    /// With 95 % probability it is not above this.
    pub surely_upto: Option<f64>,
}

/// A bucket's count and margin.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Bucket {
    n: f64,
    margin: f64,
}

/// What sums of a breakdown say of the dimension that is a bucketed number, for each choice of the others.
#[allow(clippy::cast_precision_loss)]
pub(super) fn of(dims: &[String], sums: &[(Vec<String>, Total)], buckets: &Buckets) -> Vec<Numbers> {
    let Some((at, bounds)) = dims.iter().enumerate().find_map(|(at, dim)| Some((at, buckets.get(dim)?))) else {
        return Vec::new();
    };
    let labels = PropertyDeclaration::Buckets(bounds.clone()).labels();
    let mut groups: BTreeMap<Vec<String>, Vec<Bucket>> = BTreeMap::new();
    for (values, total) in sums {
        let mut others = values.clone();
        if at >= others.len() {
            return Vec::new();
        }
        let label = others.remove(at);
        // A day that was sealed with other bounds cannot be added to days with these.
        let Some(bucket) = labels.iter().position(|known| *known == label) else { return Vec::new() };
        let group = groups.entry(others).or_insert_with(|| vec![Bucket::default(); labels.len()]);
        group[bucket] = Bucket { n: total.value as f64, margin: total.margin };
    }
    let names = dims.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, dim)| dim.clone());
    let names: Vec<String> = names.collect();
    let known = groups.into_iter().filter_map(|(others, found)| {
        numbers(dims[at].clone(), names.iter().cloned().zip(others).collect(), bounds, &found)
    });
    known.collect()
}

fn numbers(of: String, dims: BTreeMap<String, String>, bounds: &[f64], buckets: &[Bucket]) -> Option<Numbers> {
    let count: f64 = buckets.iter().map(|bucket| bucket.n).sum();
    if count <= 0.0 {
        return None;
    }
    let quantiles = QUANTILES.iter().map(|p| quantile(*p, bounds, buckets)).collect();
    let edges = edges(bounds);
    let middle = |at: usize| f64::midpoint(edges[at].0, edges[at].1);
    let sum: f64 = buckets.iter().enumerate().map(|(at, bucket)| middle(at) * bucket.n).sum();
    let width: f64 =
        buckets.iter().zip(&edges).map(|(bucket, (low, high))| (high - low) / 2.0 * bucket.n.max(0.0)).sum();
    let mean = sum / count;
    let noise = |around: f64| {
        let squares = buckets.iter().enumerate().map(|(at, bucket)| ((middle(at) - around) * bucket.margin).powi(2));
        squares.sum::<f64>().sqrt()
    };
    Some(Numbers {
        of,
        dims,
        quantiles,
        sum: rounded(sum),
        sum_margin: rounded(noise(0.0) + width),
        mean: rounded(mean),
        mean_margin: rounded((noise(mean) + width) / count),
    })
}

/// The edges of each bucket, bounded: from zero, or from the first bound where that is below, to the last bound.
fn edges(bounds: &[f64]) -> Vec<(f64, f64)> {
    let lows = bounds.first().map(|first| first.min(0.0)).into_iter().chain(bounds.iter().copied());
    let highs = bounds.iter().chain(bounds.last()).copied();
    lows.zip(highs).collect()
}

fn quantile(p: f64, bounds: &[f64], buckets: &[Bucket]) -> Quantile {
    let total: f64 = buckets.iter().map(|bucket| bucket.n).sum();
    // How many more lie up to each bound than there should be at the quantile, and the margin of this difference.
    let mut differences = Vec::new();
    let mut upto = 0.0;
    for at in 0..bounds.len() {
        upto += buckets[at].n;
        let share = |other: usize| if other <= at { 1.0 - p } else { p };
        let squares = buckets.iter().enumerate().map(|(other, bucket)| (share(other) * bucket.margin).powi(2));
        differences.push((upto - p * total, squares.sum::<f64>().sqrt()));
    }
    let bucket = differences.iter().position(|(difference, _)| *difference >= 0.0).unwrap_or(bounds.len());
    let below = differences.iter().rposition(|(difference, margin)| difference + margin < 0.0);
    let above = differences.iter().position(|(difference, margin)| difference - margin >= 0.0);
    Quantile {
        p,
        above: bucket.checked_sub(1).and_then(|at| bounds.get(at)).copied(),
        upto: bounds.get(bucket).copied(),
        surely_above: below.and_then(|at| bounds.get(at)).copied(),
        surely_upto: above.and_then(|at| bounds.get(at)).copied(),
    }
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(value: i64, margin: f64) -> Total {
        Total { value, margin, days: 1 }
    }

    fn asked(counts: &[(&str, i64)], margin: f64) -> Vec<Numbers> {
        let sums: Vec<_> = counts.iter().map(|(label, n)| (vec![(*label).to_owned()], total(*n, margin))).collect();
        let buckets = Buckets::from([("view.ms".to_owned(), vec![100.0, 300.0, 1000.0])]);
        of(&["view.ms".to_owned()], &sums, &buckets)
    }

    #[test]
    fn quantiles_lie_in_the_bucket_that_holds_them() {
        let numbers = &asked(&[("<=100", 100), ("<=300", 500), ("<=1000", 300), (">1000", 100)], 0.0)[0];
        let buckets: Vec<_> = numbers.quantiles.iter().map(|quantile| (quantile.above, quantile.upto)).collect();
        let second = (Some(100.0), Some(300.0));
        let third = (Some(300.0), Some(1000.0));
        assert_eq!(buckets, [(None, Some(100.0)), second, second, third, third]);
        // 100 x 50 + 500 x 200 + 300 x 650 + 100 x 1000, and half a bucket's width for each.
        assert_eq!((numbers.sum, numbers.sum_margin), (400_000.0, 5_000.0 + 50_000.0 + 105_000.0));
        assert_eq!((numbers.mean, numbers.mean_margin), (400.0, 160.0));
    }

    #[test]
    fn noise_widens_what_is_sure() {
        let counts = [("<=100", 490), ("<=300", 20), ("<=1000", 400), (">1000", 90)];
        let median = |margin| asked(&counts, margin)[0].quantiles[2].clone();
        let exact = median(0.0);
        assert_eq!((exact.surely_above, exact.surely_upto), (Some(100.0), Some(300.0)));
        let noisy = median(30.0);
        assert_eq!((noisy.above, noisy.upto), (Some(100.0), Some(300.0)));
        assert_eq!((noisy.surely_above, noisy.surely_upto), (None, Some(1000.0)));
    }

    #[test]
    fn the_interval_of_a_quantile_holds_the_true_one() {
        use crate::seal::noise::{Noise, margin};
        let truth = [300_i64, 180, 40, 480];
        let noise = Noise::new(8, 0.5);
        let drawn = noise.blur(truth.repeat(4_000)).unwrap();
        let margin = margin(&[(1, noise.scale())]);
        // The true median is not above 1000, and above 300: 480 of 1000 are up to 300.
        let held = drawn.chunks(4).filter(|counts| {
            let named: Vec<_> =
                ["<=100", "<=300", "<=1000", ">1000"].into_iter().zip(counts.iter().copied()).collect();
            let median = asked(&named, margin)[0].quantiles[2].clone();
            median.surely_above.is_none_or(|above| above <= 300.0)
                && median.surely_upto.is_none_or(|upto| upto >= 1000.0)
        });
        // At least 95 %; a standard error is 0.35 %.
        assert!(held.count() >= 3_760);
    }

    #[test]
    fn other_bounds_and_other_dimensions_say_nothing() {
        assert_eq!(asked(&[("<=100", 100), ("<=200", 500)], 0.0), []);
        assert_eq!(asked(&[], 0.0), []);
        let sums = [(vec!["android".to_owned()], total(5, 0.0))];
        assert_eq!(of(&["platform".to_owned()], &sums, &Buckets::new()), []);
    }
}
