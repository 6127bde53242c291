//! The queue in front of a worker: has a request waited too long for its turn?
//!
//! A worker runs what is ready in the order in which it became ready. The first request that is looked at puts a
//! marker behind everything that is ready then; until the worker comes to the marker, whatever it looks at has been
//! waiting for at least as long as the marker has. So the wait is known without a timer, and costs nothing when idle.
//! Who has waited too long is refused, which is cheap: the queue becomes shorter, and those who are taken are taken
//! quickly.

use std::cell::Cell;
use std::time::{Duration, Instant};

thread_local! {
    /// When the marker that is on its way was put.
    static MARKED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Whether the request that is looked at now has waited longer than `most`. To be called on a worker.
#[must_use]
pub fn is_late(most: Duration) -> bool {
    if let Some(marked) = MARKED.get() {
        return marked.elapsed() > most;
    }
    MARKED.set(Some(Instant::now()));
    // At the end of the queue.
    actix_web::rt::spawn(async { MARKED.set(None) });
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn who_waits_behind_a_long_turn_is_late_and_the_next_is_not() {
        assert!(!is_late(Duration::ZERO));
        // The marker has not been reached.
        assert!(is_late(Duration::ZERO));
        assert!(!is_late(Duration::from_secs(3_600)));
        tokio::task::yield_now().await;
        assert!(!is_late(Duration::ZERO));
    }
}
