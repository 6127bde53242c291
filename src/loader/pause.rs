//! Pauses between attempts at a store that is in trouble: they grow to a longest one, and no two collectors have the same.

use std::time::{Duration, Instant};

use rand::RngExt;

pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Between half of a pause and all of it: collectors that lost one store do not come back to it at one moment.
pub(super) fn with_jitter(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.5..=1.0))
}

/// The pause after a pause.
pub(super) fn longer(pause: Duration) -> Duration {
    (pause * 2).min(LONGEST_PAUSE)
}

/// What is known of a segment that failed, and is passed over for a while.
pub(super) struct Failures {
    pub(super) attempts: u32,
    /// The store took another segment meanwhile.
    pub(super) others_pass: bool,
    /// When it is tried again, and how long it waits after that: whatever becomes of others.
    pub(super) again: Instant,
    pause: Duration,
}

impl Failures {
    pub(super) fn none() -> Failures {
        Failures { attempts: 0, others_pass: false, again: Instant::now(), pause: FIRST_PAUSE }
    }

    /// Counts an attempt, and puts the next one off.
    pub(super) fn once_more(&mut self) {
        self.attempts += 1;
        self.again = Instant::now() + with_jitter(self.pause);
        self.pause = longer(self.pause);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::iter::successors;

    use super::*;

    #[test]
    fn pauses_grow_are_capped_and_are_not_those_of_other_collectors() {
        let pauses: Vec<Duration> = successors(Some(FIRST_PAUSE), |pause| Some(longer(*pause))).take(12).collect();
        let pause = Duration::from_secs(30);
        let grows = |pair: &[Duration]| pair[1] >= pair[0].mul_f64(1.5) || pair[1] == pause;
        assert!(pauses.windows(2).all(grows) && pauses[10..] == [pause; 2], "{pauses:?}");
        let drawn: BTreeSet<Duration> = (0..100).map(|_| with_jitter(pause)).collect();
        assert!(drawn.len() > 50, "hardly two are the same");
        assert!(drawn.iter().all(|drawn| (pause / 2..=pause).contains(drawn)), "{drawn:?}");
    }
}
