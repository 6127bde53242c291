//! Exact draws of the discrete Laplace distribution, and the random bits that they are made of.
//!
//! The sampler is algorithm 2 of Canonne, Kamath and Steinke, "The Discrete Gaussian for Differential Privacy" (2020). It
//! works on whole numbers alone: a scale is taken as the fraction that its floating-point number is, so that no rounding
//! makes one outcome likelier than it may be. Tests hold it against the distribution and against OpenDP's sampler.
//!
//! Guarantees: a seal's bits come from the operating system's generator; bits that were used are wiped.
//! Does not: hide how long a draw takes, which no one outside of the machine can see.

use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::Zeroize;

/// Why no noise was drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoiseError {
    /// The scale is none that can be drawn from.
    #[error("no noise can be drawn: its scale is out of range")]
    Scale,
    /// The system gives no randomness.
    #[error("no noise can be drawn: the operating system gives no randomness")]
    Randomness,
}

/// Where random bits come from. A seal takes [`System`]; tests bring one with a seed, to have the same noise again.
pub trait Source {
    /// The next 64 bits.
    ///
    /// # Errors
    /// Where there are none.
    fn bits(&mut self) -> Result<u64, NoiseError>;
}

/// The operating system's generator, asked for a little at a time.
pub struct System {
    pool: [u8; POOL],
    used: usize,
}

const POOL: usize = 512;

impl System {
    /// A source that has asked for nothing yet.
    #[must_use]
    pub fn new() -> System {
        System { pool: [0; POOL], used: POOL }
    }
}

impl Default for System {
    fn default() -> System {
        System::new()
    }
}

impl Source for System {
    fn bits(&mut self) -> Result<u64, NoiseError> {
        if self.used + 8 > POOL {
            SysRng.try_fill_bytes(&mut self.pool).map_err(|_| NoiseError::Randomness)?;
            self.used = 0;
        }
        let mut taken = [0; 8];
        let next = &mut self.pool[self.used..self.used + 8];
        taken.copy_from_slice(next);
        next.zeroize();
        self.used += 8;
        Ok(u64::from_le_bytes(taken))
    }
}

impl Drop for System {
    fn drop(&mut self) {
        self.pool.zeroize();
    }
}

/// A discrete Laplace distribution: P(n) is proportional to `e^(-|n| / scale)`, with `scale = over / under` exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Laplace {
    over: u64,
    under: u64,
}

impl Laplace {
    /// The distribution of a scale from 2^-10 to 2^40.
    ///
    /// # Errors
    /// Where the scale is another, or no number.
    pub fn new(scale: f64) -> Result<Laplace, NoiseError> {
        if !(scale >= 1.0 / 1024.0 && scale <= (1_u64 << 40) as f64) {
            return Err(NoiseError::Scale);
        }
        // A normal number is its mantissa, with the leading one that is not written, by a power of two.
        let bits = scale.to_bits();
        let mantissa = bits & ((1 << 52) - 1) | 1 << 52;
        let exponent = i64::try_from(bits >> 52).unwrap_or(0) - 1_075;
        let zeros = mantissa.trailing_zeros();
        let (odd, exponent) = (mantissa >> zeros, exponent + i64::from(zeros));
        let power = |exponent: i64| u32::try_from(exponent).ok().and_then(|shift| 1_u64.checked_shl(shift));
        let (over, under) =
            if exponent < 0 { (Some(odd), power(-exponent)) } else { (power(exponent).map(|by| odd * by), Some(1)) };
        Ok(Laplace { over: over.ok_or(NoiseError::Scale)?, under: under.ok_or(NoiseError::Scale)? })
    }

    /// One draw.
    ///
    /// # Errors
    /// Where there is no randomness.
    pub fn draw(self, source: &mut dyn Source) -> Result<i64, NoiseError> {
        loop {
            // The part below `over`, accepted with probability e^(-part / over).
            let part = below(self.over, source)?;
            if !decays(part, self.over, source)? {
                continue;
            }
            let mut whole = 0_u64;
            while decays(1, 1, source)? {
                whole += 1;
            }
            let size = (u128::from(part) + u128::from(self.over) * u128::from(whole)) / u128::from(self.under);
            let is_negative = source.bits()? & 1 == 1;
            if is_negative && size == 0 {
                // Zero has one sign, or it would be drawn twice as often as it may.
                continue;
            }
            let size = i64::try_from(size).map_err(|_| NoiseError::Scale)?;
            return Ok(if is_negative { -size } else { size });
        }
    }
}

/// True with probability `e^(-part / whole)`, for a part of the whole.
fn decays(part: u64, whole: u64, source: &mut dyn Source) -> Result<bool, NoiseError> {
    let mut tries = 1;
    // Each try holds with probability `part / whole / tries`.
    while below(whole, source)? < part && below(tries, source)? == 0 {
        tries += 1;
    }
    Ok(tries % 2 == 1)
}

/// A whole number below `end`, each as likely.
fn below(end: u64, source: &mut dyn Source) -> Result<u64, NoiseError> {
    if end <= 1 {
        return Ok(0);
    }
    let mask = u64::MAX >> (end - 1).leading_zeros();
    loop {
        let number = source.bits()? & mask;
        if number < end {
            return Ok(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_is_the_fraction_that_its_number_is() {
        let of = |scale: f64| Laplace::new(scale).map(|Laplace { over, under }| (over, under));
        assert_eq!(of(4.0), Ok((4, 1)));
        assert_eq!(of(0.25), Ok((1, 4)));
        assert_eq!(of(2.5), Ok((5, 2)));
        for scale in [1.0 / 0.15, 8.0 / 0.3, 120.0, 0.001, 1.0 / 3.0, 1e12] {
            let (over, under) = of(scale).unwrap();
            assert_eq!(over as f64 / under as f64, scale);
        }
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-4, 1e15] {
            assert_eq!(of(wrong), Err(NoiseError::Scale));
        }
    }

    #[test]
    fn the_system_gives_other_bits_each_time() {
        let mut source = System::new();
        let drawn: std::collections::HashSet<u64> = (0..1_000).map(|_| source.bits().unwrap()).collect();
        assert_eq!(drawn.len(), 1_000);
        assert!(source.pool[..source.used].iter().all(|byte| *byte == 0), "what was used is wiped");
    }

    #[test]
    fn a_source_that_fails_draws_nothing() {
        struct Dry(u32);
        impl Source for Dry {
            fn bits(&mut self) -> Result<u64, NoiseError> {
                self.0 = self.0.checked_sub(1).ok_or(NoiseError::Randomness)?;
                Ok(0x5555_5555_5555_5555)
            }
        }
        for bits in 0..3 {
            assert_eq!(Laplace::new(6.7).unwrap().draw(&mut Dry(bits)), Err(NoiseError::Randomness));
        }
    }
}
