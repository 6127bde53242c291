//! Seeded draws: the only source of chance of the simulated fleet.
//!
//! Guarantees: the draws depend on the seed, the subject and the coordinates alone, on every machine and in every order
//! of asking, so that one report can be made without making those before it.
//! Does not: resist prediction. Nothing here protects anybody.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};

/// What is drawn. Draws of different subjects are independent.
#[derive(Clone, Copy)]
pub(super) enum Subject {
    Cycle = 1,
    Habit,
    Phone,
    Active,
    Trip,
    Visits,
    Report,
}

/// A stream of draws.
pub(super) struct Chance(Xoshiro256PlusPlus);

impl Chance {
    /// The stream for a subject at two coordinates, for example a phone and a day.
    pub(super) fn of(seed: u64, subject: Subject, first: u64, second: u64) -> Chance {
        Chance(Xoshiro256PlusPlus::seed_from_u64(mix(seed, subject, first, second)))
    }

    /// A single draw in [0, 1), without setting up a stream.
    pub(super) fn single(seed: u64, subject: Subject, first: u64, second: u64) -> f64 {
        fraction(mix(seed, subject, first, second))
    }

    /// A draw in [0, 1).
    pub(super) fn unit(&mut self) -> f64 {
        fraction(self.0.next_u64())
    }

    /// A whole number below `bound`; 0 for a bound of 0.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        // The upper half of the product is below the bound, so that it always fits.
        ((u64::from(self.0.next_u32()) * u64::from(bound)) >> 32) as u32
    }

    /// Whether something of this probability happens.
    pub(super) fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of the given, all alike.
    pub(super) fn pick<T: Copy, const N: usize>(&mut self, among: &[T; N]) -> T {
        const { assert!(N > 0) };
        among[self.below(N as u32) as usize]
    }

    /// One of the given, by weight.
    pub(super) fn weighted<T: Copy, const N: usize>(&mut self, among: &[(T, u32); N]) -> T {
        const { assert!(N > 0) };
        let mut left = self.below(among.iter().map(|(_, weight)| weight).sum());
        for (value, weight) in among {
            if left < *weight {
                return *value;
            }
            left -= weight;
        }
        among[N - 1].0
    }

    /// An exponentially distributed draw with the given mean.
    pub(super) fn exponential(&mut self, mean: f64) -> f64 {
        -(1.0 - self.unit()).ln() * mean
    }

    /// 64 random bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// 16 random bytes, for a UUID.
    pub(super) fn bytes(&mut self) -> [u8; 16] {
        self.0.random()
    }
}

/// The finaliser of SplitMix64 over each coordinate in turn.
fn mix(seed: u64, subject: Subject, first: u64, second: u64) -> u64 {
    let mut state = seed;
    for part in [subject as u64, first, second] {
        state = (state ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        state ^= state >> 31;
    }
    state
}

/// The upper 53 bits as a number in [0, 1).
fn fraction(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}
