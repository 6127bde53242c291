//! What is promised of sums of draws, computed apart from the program: the distribution itself, and tests against it.

use statrs::function::beta::beta_reg;
use statrs::function::gamma::gamma_ur;

/// The distribution of a sum of draws of the discrete Laplace distribution.
pub struct Law {
    /// P(sum = n), from `-width` to `width`.
    pmf: Vec<f64>,
    width: usize,
}

impl Law {
    pub fn of(draws: u32, scale: f64) -> Law {
        let a = (-1.0 / scale).exp();
        let variance = f64::from(draws) * 2.0 * a / (1.0 - a).powi(2);
        // What lies beyond has a probability of less than 10^-12.
        let width = (32.0 * scale + 10.0 * variance.sqrt()) as usize + 2;
        let mut pmf = vec![0.0; 2 * width + 1];
        pmf[width] = 1.0;
        for _ in 0..draws {
            // A convolution with (1 - a) / (1 + a) a^|n| is a sum over what lies below, and one over what lies above.
            let run = |values: &mut dyn Iterator<Item = &f64>| -> Vec<f64> {
                let sum = |sum: &mut f64, value: &f64| {
                    *sum = *sum * a + value;
                    Some(*sum)
                };
                values.scan(0.0, sum).collect()
            };
            let upward = run(&mut pmf.iter());
            let mut downward = run(&mut pmf.iter().rev());
            downward.reverse();
            let whole = upward.iter().zip(&downward).zip(&pmf).map(|((up, down), own)| up + down - own);
            pmf = whole.map(|sum| sum * (1.0 - a) / (1.0 + a)).collect();
        }
        Law { pmf, width }
    }

    /// P(sum = n).
    pub fn at(&self, n: i64) -> f64 {
        let at = n + self.width as i64;
        usize::try_from(at).ok().and_then(|at| self.pmf.get(at)).copied().unwrap_or(0.0)
    }

    /// P(sum >= n).
    pub fn from(&self, n: i64) -> f64 {
        let first = (n + self.width as i64).clamp(0, self.pmf.len() as i64);
        self.pmf[first as usize..].iter().sum()
    }

    /// P(|sum| <= m).
    pub fn within(&self, m: i64) -> f64 {
        1.0 - 2.0 * self.from(m + 1)
    }

    pub fn variance(&self) -> f64 {
        let middle = self.width as f64;
        self.pmf.iter().enumerate().map(|(at, p)| (at as f64 - middle).powi(2) * p).sum()
    }

    /// The probability that draws of this law fit it as badly as these, by chi-square: few classes have fewer than twenty.
    pub fn fit(&self, draws: &[i64]) -> f64 {
        let mut found = vec![0.0; self.pmf.len()];
        let (mut beyond, n) = (0.0, draws.len() as f64);
        for draw in draws {
            match found.get_mut((draw + self.width as i64) as usize) {
                Some(found) => *found += 1.0,
                None => beyond += 1.0,
            }
        }
        let (mut classes, mut expected, mut seen) = (Vec::new(), 0.0, beyond);
        for (p, found) in self.pmf.iter().zip(found) {
            expected += p * n;
            seen += found;
            if expected >= 20.0 {
                classes.push((expected, seen));
                (expected, seen) = (0.0, 0.0);
            }
        }
        if let Some(last) = classes.last_mut() {
            *last = (last.0 + expected, last.1 + seen);
        }
        chi_square(
            classes.len() - 1,
            classes.iter().map(|(expected, seen)| (seen - expected).powi(2) / expected).sum(),
        )
    }
}

/// The probability that a chi-square with so many degrees of freedom is at least this.
pub fn chi_square(freedom: usize, statistic: f64) -> f64 {
    gamma_ur(freedom as f64 / 2.0, statistic.max(1e-9) / 2.0)
}

/// The probability of at least so many hits, where each try hits with probability `p`.
pub fn at_least(hits: u64, tries: u64, p: f64) -> f64 {
    if hits == 0 {
        return 1.0;
    }
    beta_reg(hits as f64, (tries - hits) as f64 + 1.0, p)
}

#[test]
fn the_law_of_one_draw_is_the_closed_form() {
    for scale in [0.25, 2.0, 4.0, 26.7, 120.0_f64] {
        let (law, a) = (Law::of(1, scale), (-1.0 / scale).exp());
        for n in [0, 1, 5, 30] {
            assert!((law.at(n) - (1.0 - a) / (1.0 + a) * a.powi(n as i32)).abs() < 1e-12);
            assert!((law.within(n) - (1.0 - 2.0 * a.powi(n as i32 + 1) / (1.0 + a))).abs() < 1e-9);
        }
        assert!((law.variance() / (2.0 * a / (1.0 - a).powi(2)) - 1.0).abs() < 1e-6);
    }
    let (one, three) = (Law::of(1, 4.0), Law::of(3, 4.0));
    assert!((three.variance() - 3.0 * one.variance()).abs() < 1e-6);
    assert!((three.pmf.iter().sum::<f64>() - 1.0).abs() < 1e-9);
}

#[test]
fn tails_are_those_of_the_tables() {
    assert!((chi_square(10, 18.307) - 0.05).abs() < 1e-4);
    assert!((at_least(2, 3, 0.5) - 0.5).abs() < 1e-9);
    assert!((at_least(1, 10, 0.1) - (1.0 - 0.9_f64.powi(10))).abs() < 1e-9);
}

/// A test of the test.
#[test]
fn draws_of_another_scale_do_not_fit() {
    let draws = tuman::seal::noise::Noise::new(1, 0.3).blur(vec![0; 40_000]).unwrap();
    assert!(Law::of(1, 1.0 / 0.3).fit(&draws) > 1e-9);
    assert!(Law::of(1, 1.1 / 0.3).fit(&draws) < 1e-6);
}
