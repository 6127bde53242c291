//! Attack C, the second look: what adds up says the same thing twice.
//!
//! Breakdowns of active devices are sums of the same noisy cells: adding children up gives the parent, draw by draw, and
//! nothing new. Places are drawn anew at each precision, each with a budget of its own: whoever weighs a cell, its parents and
//! the region against each other has several draws of one number, and comes closer than with the best of them. How much
//! closer follows from the scales; here it is tried, and held against that.

use tuman::seal::histogram::{Counted, Histogram};
use tuman::seal::release::{Release, defaults};

use super::{Beside, Success, allowed, epsilon, say, scale, sized, told, variance};

/// All of a region's devices are in one cell, so that each level counts the same: the best case for the attacker.
const LEVELS: [Release; 4] = [defaults::PLACES_5, defaults::PLACES_4, defaults::PLACES_3, defaults::REGION];

/// One cell of each level in each of these worlds, sealed by the sealer's own code.
fn sealed(worlds: &[i64]) -> Vec<[i64; 4]> {
    let of_levels = LEVELS.map(|release| {
        let cells = worlds.iter().map(|devices| Counted::devices(*devices)).enumerate().collect();
        let histogram = Histogram { release: &release, cells };
        let sealed = histogram.seal(|at| vec![("cell".into(), vec![format!("{at:08}")])]).unwrap();
        assert_eq!(sealed.published.len(), worlds.len(), "far above every threshold");
        // Published in the order of their names.
        sealed.published.iter().map(|value| value.value).collect::<Vec<i64>>()
    });
    (0..worlds.len()).map(|at| [0, 1, 2, 3].map(|level| of_levels[level][at])).collect()
}

/// The estimate of least variance from independent draws around one number.
fn weighed(seen: [i64; 4]) -> f64 {
    let weights = LEVELS.map(|release| 1.0 / variance(scale(&release)));
    let sum: f64 = weights.iter().sum();
    seen.iter().zip(weights).map(|(value, weight)| *value as f64 * weight).sum::<f64>() / sum
}

#[test]
fn levels_of_places_weighed_together_come_closer_by_as_much_as_their_budgets_say() {
    let trials = sized(10_000, 500_000);
    let (mut best, mut together) = (0.0, 0.0);
    for seen in sealed(&vec![1_000; trials]) {
        best += (seen[0] as f64 - 1_000.0).powi(2);
        together += (weighed(seen) - 1_000.0).powi(2);
    }
    let root = |sum: f64| (sum / trials as f64).sqrt();
    let (best, together) = (root(best), root(together));
    let promised = LEVELS.map(|release| 1.0 / variance(scale(&release))).iter().sum::<f64>().recip().sqrt();
    say(&format!(
        "attack C, places of three precisions and the region: off by {together:.2} devices together, by {best:.2} \
         with the finest alone; {promised:.2} follows from their budgets"
    ));
    // Ten standard errors of a root mean square over so many draws with the kurtosis of a Laplace draw.
    let slack = 10.0 * promised * (5.0 / (4.0 * trials as f64)).sqrt();
    assert!((together - promised).abs() < slack, "{together}, promised {promised} within {slack}");
    assert!(together < best, "the second look is one");
}

#[test]
fn levels_of_places_weighed_together_tell_a_device_no_better_than_their_budgets_allow() {
    let epsilon: f64 = LEVELS.iter().map(epsilon).sum();
    let evidence = |seen: [i64; 4]| {
        let of = |(release, value): (&Release, i64)| {
            ((value - 1_000).abs() - (value - 1_001).abs()) as f64 / scale(release)
        };
        LEVELS.iter().zip(seen).map(of).sum::<f64>()
    };
    let guess = |n: usize, evidence: f64| {
        if evidence == 0.0 { (n / 2).is_multiple_of(2) } else { (evidence > 0.0) == n.is_multiple_of(2) }
    };
    let worlds: Vec<i64> = (0..sized(10_000, 500_000)).map(|n| 1_000 + i64::from(n % 2 == 0)).collect();
    let judged =
        |seen: Vec<[i64; 4]>| Success::of(seen.into_iter().enumerate().map(|(n, seen)| guess(n, evidence(seen))));
    let success = judged(sealed(&worlds));
    let control = judged(worlds.iter().map(|devices| [*devices; 4]).collect());
    told("C, a device in all levels of places", success, &Beside { chance: 0.5, bound: allowed(epsilon), control });
}

#[test]
fn children_of_active_devices_add_up_to_their_parent_draw_by_draw() {
    let cells =
        ["1", "2", "3"].iter().flat_map(|v| ["android", "ios"].map(|p| ((p, *v), Counted::devices(2_000)))).collect();
    let sealed = Histogram { release: &defaults::ACTIVE_DEVICES, cells }
        .seal(|(platform, version)| {
            let (platform, version) = ((*platform).to_owned(), (*version).to_owned());
            vec![
                (String::new(), vec![]),
                ("platform".into(), vec![platform.clone()]),
                ("version".into(), vec![version.clone()]),
                ("platform,version".into(), vec![platform, version]),
            ]
        })
        .unwrap();
    let sum = |breakdown: &str| -> i64 {
        sealed.published.iter().filter(|value| value.breakdown == breakdown).map(|value| value.value).sum()
    };
    let total = sum("");
    assert_eq!([sum("platform"), sum("version"), sum("platform,version")], [total; 3]);
    // Drawn anew for each answer, as the control has it, they would differ.
    let anew = tuman::seal::noise::Noise::new(1, 0.25).blur(vec![total; 20]).unwrap();
    assert!(anew.iter().any(|value| *value != total));
}
