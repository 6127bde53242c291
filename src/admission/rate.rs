//! Rates of many callers in a table of fixed size: the generic cell rate algorithm, by `governor`.
//!
//! Guarantees: memory is what the table has from the start, with no list of callers; a slot holds a time and nothing
//! else, and says nothing once that time is past.
//! Does not: tell callers apart that share both of their slots. Each caller has one slot in each half of the table and
//! is refused only where both refuse it, so that this is rare until most of the table is taken.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{Quota, RateLimiter};

use crate::clock::Clock;

/// A rate for each caller.
pub struct Rate {
    limiter: RateLimiter<usize, Slots, Ticks, NoOpMiddleware<Duration>>,
    slots: usize,
}

impl Rate {
    /// So many a second, and so many at once after a pause; `None` where the rate is zero.
    #[must_use]
    pub fn new(per_s: u32, burst: u32, slots: usize, clock: Arc<dyn Clock>) -> Option<Rate> {
        let quota = Quota::per_second(NonZeroU32::new(per_s)?).allow_burst(NonZeroU32::new(burst)?);
        let table = (0..2 * slots).map(|_| InMemoryState::default()).collect();
        Some(Rate { limiter: RateLimiter::new(quota, Slots(table), Ticks(clock)), slots })
    }

    /// Counts a request of the caller that is called `hash`.
    ///
    /// # Errors
    /// After how long its next one is taken.
    pub fn count(&self, hash: u64) -> Result<(), Duration> {
        // Both halves are counted, whatever the first says.
        let first = self.count_in(slot(hash, self.slots));
        let second = self.count_in(self.slots + slot(hash.rotate_left(32), self.slots));
        match (first, second) {
            (Err(first), Err(second)) => Err(first.min(second)),
            _ => Ok(()),
        }
    }

    fn count_in(&self, slot: usize) -> Result<(), Duration> {
        self.limiter.check_key(&slot).map_err(|until| until.wait_time_from(clock::Clock::now(self.limiter.clock())))
    }
}

/// The lower half of a hash as a slot; the number of slots is a power of two.
fn slot(hash: u64, slots: usize) -> usize {
    (hash & (slots as u64 - 1)) as usize
}

struct Slots(Box<[InMemoryState]>);

impl StateStore for Slots {
    type Key = usize;

    fn measure_and_replace<T, F, E>(&self, slot: &usize, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0[*slot].measure_and_replace(&NotKeyed::NonKey, decide)
    }
}

struct Ticks(Arc<dyn Clock>);

impl clock::Clock for Ticks {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.monotonic()
    }
}
