//! Turns of exports: few are in memory at one time, and of one token one.
//!
//! Guarantees: a turn is given back when it is dropped; whoever takes long keeps one turn from others, and not all.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// All turns.
pub struct Exports {
    turns: Arc<Semaphore>,
    /// Tokens that have one, by their hash.
    holders: Mutex<HashSet<String>>,
}

/// A turn, until it is dropped.
pub struct Turn {
    exports: Arc<Exports>,
    holder: Option<String>,
    _permit: OwnedSemaphorePermit,
}

impl Exports {
    /// So many at one time.
    #[must_use]
    pub fn new(most: usize) -> Arc<Exports> {
        Arc::new(Exports { turns: Arc::new(Semaphore::new(most)), holders: Mutex::default() })
    }

    /// A turn for a token, which is named by its hash; none where it has one already, or all are taken.
    #[must_use]
    pub fn take_for(self: &Arc<Exports>, sha256: &str) -> Option<Turn> {
        let mut holders = self.holders();
        if holders.contains(sha256) {
            return None;
        }
        let permit = self.turns.clone().try_acquire_owned().ok()?;
        holders.insert(sha256.to_owned());
        Some(Turn { exports: self.clone(), holder: Some(sha256.to_owned()), _permit: permit })
    }

    /// Waits for a turn of nobody's, for a command.
    pub async fn wait(self: &Arc<Exports>) -> Option<Turn> {
        let permit = self.turns.clone().acquire_owned().await.ok()?;
        Some(Turn { exports: self.clone(), holder: None, _permit: permit })
    }

    /// Turns that nobody has.
    #[must_use]
    pub fn free(&self) -> usize {
        self.turns.available_permits()
    }

    /// A thread that panicked leaves no half of a change.
    fn holders(&self) -> MutexGuard<'_, HashSet<String>> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(holder) = self.holder.take() {
            self.exports.holders().remove(&holder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_one_turn_and_leaves_the_others() {
        let exports = Exports::new(2);
        let first = exports.take_for("a").unwrap();
        assert!(exports.take_for("a").is_none());
        let second = exports.take_for("b").unwrap();
        assert!(exports.take_for("c").is_none());
        drop(first);
        assert_eq!(exports.free(), 1);
        assert!(exports.take_for("b").is_none());
        let third = exports.take_for("a").unwrap();
        drop((second, third));
        assert_eq!(exports.free(), 2);
    }
}
