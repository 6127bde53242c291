//! A release: what is counted, how it is bounded, how much budget it takes, and how it is published.

use serde::{Deserialize, Serialize};

use super::noise::{Noise, NoiseError, margin};

/// The parameters of a release.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    /// Its name.
    pub name: &'static str,
    /// What its values are told apart by.
    pub dims: &'static [&'static str],
    /// How much one device adds to all its values together, at most.
    pub bound: u32,
    /// Its privacy budget.
    pub epsilon: f64,
    /// Values below this are not published. `i64::MIN` publishes all.
    pub threshold: i64,
}

/// The default releases. Their budgets add up to 2.0 for one device, app and day.
pub mod defaults {
    use super::Release;

    /// Active devices by platform and version.
    pub const ACTIVE_DEVICES: Release =
        Release { name: "active_devices", dims: &["platform", "version"], bound: 1, epsilon: 0.25, threshold: 20 };
    /// Devices by their first use: of the week, of the month, ever.
    pub const FIRST_USE: Release =
        Release { name: "first_use", dims: &["first"], bound: 1, epsilon: 0.15, threshold: 20 };
    /// Devices one, seven and thirty days after their install.
    pub const COHORTS: Release = Release { name: "cohorts", dims: &["day"], bound: 1, epsilon: 0.05, threshold: 20 };
    /// Devices on their first day of the week, by weeks since their install.
    pub const RETENTION: Release =
        Release { name: "retention", dims: &["week"], bound: 1, epsilon: 0.05, threshold: 20 };
    /// Devices by their most frequent cell.
    pub const PLACES_5: Release =
        Release { name: "places_5", dims: &["cell"], bound: 1, epsilon: 0.5, threshold: 50 };
    /// The same at four characters.
    pub const PLACES_4: Release =
        Release { name: "places_4", dims: &["cell"], bound: 1, epsilon: 0.25, threshold: 50 };
    /// The same at three characters.
    pub const PLACES_3: Release =
        Release { name: "places_3", dims: &["cell"], bound: 1, epsilon: 0.15, threshold: 50 };
    /// Devices in the region.
    pub const REGION: Release = Release { name: "region", dims: &[], bound: 1, epsilon: 0.1, threshold: i64::MIN };
    /// Devices by event name.
    pub const EVENT_DEVICES: Release =
        Release { name: "event_devices", dims: &["event"], bound: 8, epsilon: 0.3, threshold: 200 };
    /// Events by name.
    pub const EVENT_TOTALS: Release =
        Release { name: "event_totals", dims: &["event"], bound: 24, epsilon: 0.2, threshold: 1000 };

    /// All of them.
    pub const ALL: [Release; 10] = [
        ACTIVE_DEVICES,
        FIRST_USE,
        COHORTS,
        RETENTION,
        PLACES_5,
        PLACES_4,
        PLACES_3,
        REGION,
        EVENT_DEVICES,
        EVENT_TOTALS,
    ];
}

/// A published value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// Which of the release's dimensions are told apart, separated by commas; empty for the total.
    pub breakdown: String,
    /// Their values.
    pub dims: Vec<String>,
    /// The noisy count: unbiased, and below zero where the noise says so.
    pub value: i64,
    /// With 95 % probability the true count lies within this distance.
    pub margin: f64,
}

/// A sealed release of one app and day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sealed {
    /// The release's name.
    pub release: String,
    /// Its dimensions.
    pub dims: Vec<String>,
    /// Bound per device.
    pub bound: u32,
    /// Budget spent.
    pub epsilon: f64,
    /// Scale of the noise.
    pub scale: f64,
    /// Values below are not published; none where all are.
    pub threshold: Option<i64>,
    /// How many values could have been published.
    pub domain: u64,
    /// How many were not, by breakdown.
    pub suppressed: Vec<(String, u64)>,
    /// Those that were.
    pub published: Vec<Published>,
}

/// Counts over a public domain, before noise.
pub struct Histogram<K> {
    /// The release.
    pub release: Release,
    /// Every cell of the domain, with its exact count.
    pub cells: Vec<(K, i64)>,
}

impl<K> Histogram<K> {
    /// Adds noise to every cell, sums the noisy cells up for each breakdown and publishes what reaches the threshold.
    ///
    /// Sums are of noisy cells only, so that they cost no further budget. `shares` names, for a cell, the published
    /// values that it is part of: breakdown and dimensions.
    ///
    /// # Errors
    /// Where no noise could be drawn.
    pub fn seal(self, shares: impl Fn(&K) -> Vec<(&'static str, Vec<String>)>) -> Result<Sealed, NoiseError> {
        let noise = Noise::new(self.release.bound, self.release.epsilon);
        let (keys, counts): (Vec<K>, Vec<i64>) = self.cells.into_iter().unzip();
        let noisy = noise.blur(counts)?;
        let mut sums: Vec<(&'static str, Vec<String>, i64, u32)> = Vec::new();
        let mut index = std::collections::HashMap::new();
        for (key, value) in keys.iter().zip(noisy) {
            for share in shares(key) {
                let at = *index.entry(share.clone()).or_insert_with(|| {
                    sums.push((share.0, share.1, 0, 0));
                    sums.len() - 1
                });
                sums[at].2 += value;
                sums[at].3 += 1;
            }
        }
        Ok(publish(&self.release, noise, sums))
    }
}

fn publish(release: &Release, noise: Noise, sums: Vec<(&'static str, Vec<String>, i64, u32)>) -> Sealed {
    let domain = sums.len() as u64;
    let mut margins = std::collections::HashMap::new();
    let mut suppressed: Vec<(String, u64)> = Vec::new();
    let mut published = Vec::new();
    for (breakdown, dims, value, draws) in sums {
        if value < release.threshold {
            match suppressed.iter_mut().find(|(name, _)| name == breakdown) {
                Some((_, n)) => *n += 1,
                None => suppressed.push((breakdown.to_owned(), 1)),
            }
            continue;
        }
        let margin = *margins.entry(draws).or_insert_with(|| margin(&[(draws, noise.scale())]));
        published.push(Published { breakdown: breakdown.to_owned(), dims, value, margin });
    }
    published.sort_by(|a, b| (&a.breakdown, &a.dims).cmp(&(&b.breakdown, &b.dims)));
    Sealed {
        release: release.name.to_owned(),
        dims: release.dims.iter().map(|dim| (*dim).to_owned()).collect(),
        bound: release.bound,
        epsilon: release.epsilon,
        scale: noise.scale(),
        threshold: (release.threshold != i64::MIN).then_some(release.threshold),
        domain,
        suppressed,
        published,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_budgets_add_up() {
        let total: f64 = defaults::ALL.iter().map(|release| release.epsilon).sum();
        assert!((total - 2.0).abs() < 1e-9);
    }

    #[test]
    fn what_stays_under_the_threshold_is_counted_and_not_published() {
        let cells = vec![(("android", "1"), 1_000_000), (("android", "2"), 0), (("ios", "1"), 0)];
        let sealed = Histogram { release: defaults::ACTIVE_DEVICES, cells }
            .seal(|(platform, version)| {
                vec![
                    ("", vec![]),
                    ("platform", vec![(*platform).to_owned()]),
                    ("platform,version", vec![(*platform).to_owned(), (*version).to_owned()]),
                ]
            })
            .unwrap();
        assert_eq!(sealed.domain, 1 + 2 + 3);
        assert!(sealed.published.iter().all(|value| (value.value - 1_000_000).abs() < 1_000));
        let of = |breakdown: &str| sealed.published.iter().filter(|value| value.breakdown == breakdown).count();
        assert_eq!((of(""), of("platform"), of("platform,version")), (1, 1, 1));
        let total = sealed.published.iter().find(|value| value.breakdown.is_empty()).unwrap();
        let cell = sealed.published.iter().find(|value| value.breakdown == "platform,version").unwrap();
        assert!(total.margin > cell.margin);
    }
}
