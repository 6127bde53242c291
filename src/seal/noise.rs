//! Noise: the exact discrete Laplace mechanism on integers, and the 95 % margins of what it gives.
//!
//! The draws are those of [`laplace`](super::laplace). Margins come from the distribution itself, not from the values.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::laplace::{Laplace, Source, System};

pub use super::laplace::NoiseError;

/// The noise of a release: each value gets a draw of the discrete Laplace distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noise {
    scale: f64,
}

impl Noise {
    /// The noise for counts to which one device adds at most `bound` in all, under a budget of `epsilon`.
    #[must_use]
    pub fn new(bound: u32, epsilon: f64) -> Noise {
        Noise { scale: f64::from(bound) / epsilon }
    }

    /// The scale of the distribution: `bound / epsilon`.
    #[must_use]
    pub fn scale(self) -> f64 {
        self.scale
    }

    /// Adds noise to every value, from the operating system's generator.
    ///
    /// # Errors
    /// Where the scale is out of range or the system gives no randomness.
    pub fn blur(self, values: Vec<i64>) -> Result<Vec<i64>, NoiseError> {
        self.blur_from(&mut System::new(), values)
    }

    /// Adds noise to every value, from this source.
    ///
    /// # Errors
    /// Where the scale is out of range or the source has no randomness.
    pub fn blur_from(self, source: &mut dyn Source, values: Vec<i64>) -> Result<Vec<i64>, NoiseError> {
        let laplace = Laplace::new(self.scale)?;
        values.into_iter().map(|value| Ok(value.saturating_add(laplace.draw(source)?))).collect()
    }
}

/// The 95 % margin of a sum of independent draws: the smallest `m` with P(|sum| <= m) at least 0.95.
///
/// `parts` lists how many draws of which scale the sum holds.
#[must_use]
pub fn margin(parts: &[(u32, f64)]) -> f64 {
    // Few are asked for, again and again: one for each breakdown of a release.
    static KNOWN: Mutex<BTreeMap<Vec<(u32, u64)>, f64>> = Mutex::new(BTreeMap::new());
    let sum = parts.iter().map(|(n, scale)| (*n, scale.to_bits())).collect();
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    *known.entry(sum).or_insert_with(|| computed(parts))
}

fn computed(parts: &[(u32, f64)]) -> f64 {
    let draws: u32 = parts.iter().map(|(n, _)| n).sum();
    if draws == 0 {
        return 0.0;
    }
    let variance: f64 = parts.iter().map(|(n, scale)| f64::from(*n) * variance(*scale)).sum();
    // Many draws: the sum is normal to within half a percent.
    if draws >= 30 {
        return (1.959_964 * variance.sqrt()).ceil();
    }
    let (mut low, mut high) = (0_u32, ceil(10.0 * variance.sqrt() + 10.0));
    while low < high {
        let middle = low + (high - low) / 2;
        if within(parts, middle) >= 0.95 {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    f64::from(low)
}

/// The variance of one draw: 2a / (1 - a)^2 with a = e^(-1/scale).
#[must_use]
pub fn variance(scale: f64) -> f64 {
    let a = (-1.0 / scale).exp();
    2.0 * a / (1.0 - a).powi(2)
}

/// P(|sum| <= m), from the characteristic function: the integral over one period of its product with the Dirichlet
/// kernel. The midpoint rule converges geometrically on a periodic, analytic integrand.
fn within(parts: &[(u32, f64)], m: u32) -> f64 {
    let points = 4 * m + 2_048;
    let mut sum = 0.0;
    for index in 0..points {
        let t = std::f64::consts::PI * (f64::from(index) + 0.5) / f64::from(points);
        let mut value = ((f64::from(m) + 0.5) * t).sin() / (t / 2.0).sin();
        for (n, scale) in parts {
            let a = (-1.0 / scale).exp();
            value *=
                ((1.0 - a).powi(2) / (1.0 - 2.0 * a * t.cos() + a * a)).powi(i32::try_from(*n).unwrap_or(i32::MAX));
        }
        sum += value;
    }
    sum / f64::from(points)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn ceil(value: f64) -> u32 {
    value.ceil().clamp(0.0, 1e9) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_margin_of_one_draw_is_that_of_the_closed_form() {
        for scale in [0.5, 1.0, 2.0, 4.0, 26.7, 120.0] {
            // P(|X| <= m) = 1 - 2 a^(m+1) / (1 + a)
            let a = f64::exp(-1.0 / scale);
            let exact = (0..).find(|m| 1.0 - 2.0 * a.powi(m + 1) / (1.0 + a) >= 0.95).unwrap();
            assert_eq!(margin(&[(1, scale)]), f64::from(exact), "scale {scale}");
        }
        assert_eq!(margin(&[]), 0.0);
    }

    #[test]
    fn margins_cover_what_is_drawn() {
        for n in [1_usize, 3, 12, 40] {
            let noise = Noise::new(1, 0.25);
            let drawn = noise.blur(vec![0; n * 20_000]).unwrap();
            let margin = margin(&[(u32::try_from(n).unwrap(), noise.scale())]);
            let covered = drawn.chunks(n).filter(|draws| (draws.iter().sum::<i64>().abs() as f64) <= margin).count();
            // 20,000 trials: the standard error is 0.15 %; the discreteness adds up to a percent at one draw.
            assert!((18_850..=19_300).contains(&covered), "{n} draws: {covered}");
        }
    }

    #[test]
    fn noise_is_unbiased() {
        let drawn = Noise::new(8, 0.3).blur(vec![100; 40_000]).unwrap();
        let mean = drawn.iter().sum::<i64>() as f64 / drawn.len() as f64;
        // The standard error is 37.7 / 200.
        assert!((mean - 100.0).abs() < 1.0, "{mean}");
    }
}
