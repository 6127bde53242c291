//! Counts over a public domain, and what is published of them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde::{Deserialize, Serialize};

use super::exact;
use super::laplace::{Source, System};
use super::noise::{Noise, NoiseError, margin};
use super::release::{Release, by_hour};

/// What `seals` calls the noise.
pub const MECHANISM: &str = "discrete_laplace";

/// A published value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// Which of the release's dimensions are told apart, separated by commas; empty for the total.
    pub breakdown: String,
    /// Their values.
    pub dims: Vec<String>,
    /// The noisy count: unbiased, and below zero where the noise says so. Without noise, the rounded count.
    pub value: i64,
    /// With 95 % probability the true count lies within this distance; without noise, always.
    pub margin: f64,
}

/// A sealed release of one app and day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sealed {
    /// The release's name.
    pub release: String,
    /// Its dimensions.
    pub dims: Vec<String>,
    /// Bound per device; in one hour, where it is sealed every hour.
    pub bound: u32,
    /// In how many hours of a day one device counts; none where the day is sealed as a whole.
    #[serde(default)]
    pub windows: Option<u32>,
    /// The local hour that was sealed; none where it was the day.
    #[serde(default)]
    pub hour: Option<u8>,
    /// Budget spent; none where there is no noise.
    pub epsilon: Option<f64>,
    /// Scale of the noise; zero where there is none.
    pub scale: f64,
    /// Values below are not published; none where all are.
    pub threshold: Option<i64>,
    /// How values were protected.
    pub mechanism: String,
    /// How many values could have been published.
    pub domain: u64,
    /// How many were not, by breakdown.
    pub suppressed: Vec<(String, u64)>,
    /// Those that were.
    pub published: Vec<Published>,
}

impl Sealed {
    /// As that of an hour, which is told before the other dimensions.
    #[must_use]
    pub(super) fn of_hour(mut self, hour: u8) -> Sealed {
        self.hour = Some(hour);
        for value in &mut self.published {
            value.breakdown = by_hour(&value.breakdown);
            value.dims.insert(0, format!("{hour:02}"));
        }
        for (breakdown, _) in &mut self.suppressed {
            *breakdown = by_hour(breakdown);
        }
        self
    }
}

/// What was counted in a cell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Devices or events, whichever the release counts.
    pub value: i64,
    /// Devices.
    pub devices: i64,
}

impl Counted {
    /// Devices, where they are what is counted.
    #[must_use]
    pub fn devices(n: i64) -> Counted {
        Counted { value: n, devices: n }
    }
}

/// Counts over a public domain, before noise.
pub struct Histogram<'a, K> {
    /// The release.
    pub release: &'a Release,
    /// Every cell of the domain, with its exact count.
    pub cells: Vec<(K, Counted)>,
}

/// A value that could be published: a cell, or a sum of cells.
pub(super) struct Share {
    pub(super) breakdown: String,
    pub(super) dims: Vec<String>,
    pub(super) value: i64,
    pub(super) devices: i64,
    /// How many draws of noise it holds.
    pub(super) draws: u32,
}

impl<K> Histogram<'_, K> {
    /// Adds noise to every cell, sums the noisy cells up for each breakdown and publishes what reaches the threshold.
    ///
    /// Sums are of noisy cells only, so that they cost no further budget. `shares` names, for a cell, the published
    /// values that it is part of: breakdown and dimensions.
    ///
    /// # Errors
    /// Where no noise could be drawn.
    pub fn seal(self, shares: impl Fn(&K) -> Vec<(String, Vec<String>)>) -> Result<Sealed, NoiseError> {
        self.seal_from(&mut System::new(), shares)
    }

    /// The same with noise from this source.
    ///
    /// # Errors
    /// Where no noise could be drawn.
    pub fn seal_from(
        self,
        source: &mut dyn Source,
        shares: impl Fn(&K) -> Vec<(String, Vec<String>)>,
    ) -> Result<Sealed, NoiseError> {
        let (keys, mut counts): (Vec<K>, Vec<Counted>) = self.cells.into_iter().unzip();
        let noise = self.release.noise();
        if let Some(noise) = noise {
            let noisy = noise.blur_from(source, counts.iter().map(|counted| counted.value).collect())?;
            // From here on no exact count is left.
            counts = noisy.into_iter().map(|value| Counted { value, devices: 0 }).collect();
        }
        let mut sums: Vec<Share> = Vec::new();
        let mut index: HashMap<(String, Vec<String>), usize> = HashMap::new();
        for (key, counted) in keys.iter().zip(counts) {
            for share in shares(key) {
                let at = match index.entry(share) {
                    Entry::Occupied(known) => *known.get(),
                    Entry::Vacant(new) => {
                        let (breakdown, dims) = new.key().clone();
                        sums.push(Share { breakdown, dims, value: 0, devices: 0, draws: 0 });
                        *new.insert(sums.len() - 1)
                    }
                };
                sums[at].value += counted.value;
                sums[at].devices += counted.devices;
                sums[at].draws += 1;
            }
        }
        let domain = sums.len() as u64;
        let (published, suppressed) = match noise {
            Some(noise) => noisy(self.release, noise, sums),
            None => exact::publish(self.release, sums),
        };
        Ok(sealed(self.release, domain, published, &suppressed))
    }
}

/// What reaches the threshold, with its margin; and the breakdowns of what does not.
fn noisy(release: &Release, noise: Noise, sums: Vec<Share>) -> (Vec<Published>, Vec<String>) {
    let (mut published, mut suppressed) = (Vec::new(), Vec::new());
    for Share { breakdown, dims, value, draws, .. } in sums {
        if value < release.threshold {
            suppressed.push(breakdown);
            continue;
        }
        let margin = margin(&[(draws, noise.scale())]);
        published.push(Published { breakdown, dims, value, margin });
    }
    (published, suppressed)
}

fn sealed(release: &Release, domain: u64, mut published: Vec<Published>, left_out: &[String]) -> Sealed {
    let mut suppressed: Vec<(String, u64)> = Vec::new();
    for breakdown in left_out {
        match suppressed.iter_mut().find(|(name, _)| name == breakdown) {
            Some((_, n)) => *n += 1,
            None => suppressed.push((breakdown.clone(), 1)),
        }
    }
    suppressed.sort();
    published.sort_by(|a, b| (&a.breakdown, &a.dims).cmp(&(&b.breakdown, &b.dims)));
    Sealed {
        release: release.name.to_string(),
        dims: release.dims(),
        bound: release.bound,
        windows: release.windows,
        hour: None,
        epsilon: release.epsilon,
        scale: release.scale().unwrap_or(0.0),
        threshold: (release.threshold != i64::MIN).then_some(release.threshold),
        mechanism: if release.epsilon.is_some() { MECHANISM } else { exact::MECHANISM }.to_owned(),
        domain,
        suppressed,
        published,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::release::defaults;

    #[test]
    fn what_stays_under_the_threshold_is_counted_and_not_published() {
        let cells = [(("android", "1"), 1_000_000), (("android", "2"), 0), (("ios", "1"), 0)];
        let cells = cells.map(|(key, n)| (key, Counted::devices(n))).into();
        // So far above the noise that no empty cell gets there by chance.
        let release = Release { threshold: 1_000, ..defaults::ACTIVE_DEVICES };
        let sealed = Histogram { release: &release, cells }
            .seal(|(platform, version)| {
                vec![
                    (String::new(), vec![]),
                    ("platform".into(), vec![(*platform).to_owned()]),
                    ("platform,version".into(), vec![(*platform).to_owned(), (*version).to_owned()]),
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
