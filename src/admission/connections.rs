//! Connections that are open, by the address that they came from.
//!
//! Guarantees: the list holds hashes of addresses with an open connection and nothing else: no more entries than
//! connections, and none when the last is closed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Open connections.
pub struct Connections {
    most: usize,
    open: Mutex<HashMap<u64, usize>>,
}

impl Connections {
    /// At most so many of one address; zero: any number.
    #[must_use]
    pub fn new(most: usize) -> Connections {
        Connections { most, open: Mutex::new(HashMap::new()) }
    }

    /// Counts a connection of the address that is called `hash`, until it is dropped; `None` where there are too many.
    #[must_use]
    pub fn open(self: &Arc<Self>, hash: u64) -> Option<Connection> {
        let mut open = self.lock();
        let count = open.entry(hash).or_default();
        if self.most > 0 && *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Connection { connections: self.clone(), hash })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open connection.
pub struct Connection {
    connections: Arc<Connections>,
    hash: u64,
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut open = self.connections.lock();
        if let Some(count) = open.get_mut(&self.hash) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.hash);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_connections_and_is_forgotten_with_the_last() {
        let connections = Arc::new(Connections::new(2));
        let (one, two) = (connections.open(1), connections.open(1));
        assert!(one.is_some() && two.is_some() && connections.open(1).is_none() && connections.open(2).is_some());
        drop(one);
        assert!(connections.open(1).is_some());
        drop(two);
        assert!(connections.lock().is_empty());
    }
}
