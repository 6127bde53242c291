//! Sessions of people on the dashboard: from a cookie to the token that opened it.
//!
//! Guarantees: sessions are in memory alone and end with the process; their number is bounded, each ends after
//! [`LIFE_MS`]; what a browser holds is 256 random bits, of which only the hash is kept here. A session leads to its
//! token's hash and no further, so that one whose token is revoked or has expired grants nothing.
//! Does not: know HTTP, roles, or who anyone is.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rand::TryRng;
use zeroize::Zeroizing;

use crate::access::hash;

/// How long a session lasts: a working day.
pub const LIFE_MS: i64 = 12 * 3_600_000;
/// Sessions at one time; beyond, the oldest ends.
const MOST: usize = 1_024;
/// Sessions of one token at one time; beyond, its oldest ends, so that one person ends nobody else's.
const MOST_OF_ONE: usize = 16;

/// All sessions.
#[derive(Default)]
pub struct Sessions(Mutex<Table>);

#[derive(Default)]
struct Table {
    /// By the hash of what the browser holds.
    open: HashMap<[u8; 32], Session>,
    /// How many there were: orders those of one moment.
    opened: u64,
}

#[derive(Debug, Clone, Copy)]
struct Session {
    /// The hash of the token that opened it.
    token: [u8; 32],
    ends_ms: i64,
    number: u64,
}

/// There is no randomness for a session.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gives no randomness")]
pub struct NoRandomness;

impl Sessions {
    /// Opens a session for a token; answers what the browser holds.
    ///
    /// # Errors
    /// Where there is no randomness.
    pub fn open(&self, token: [u8; 32], now_ms: i64) -> Result<Zeroizing<String>, NoRandomness> {
        let mut secret = Zeroizing::new([0_u8; 32]);
        rand::rngs::SysRng.try_fill_bytes(secret.as_mut_slice()).map_err(|_| NoRandomness)?;
        let secret = Zeroizing::new(hex::encode(secret.as_slice()));
        let mut table = self.table();
        table.open.retain(|_, session| now_ms < session.ends_ms);
        table.make_room(MOST_OF_ONE, |session| session.token == token);
        table.make_room(MOST, |_| true);
        table.opened += 1;
        let session = Session { token, ends_ms: now_ms + LIFE_MS, number: table.opened };
        table.open.insert(hash(&secret), session);
        Ok(secret)
    }

    /// The hash of the token that opened a session, and when the session ends.
    #[must_use]
    pub fn token(&self, secret: &str, now_ms: i64) -> Option<([u8; 32], i64)> {
        let session = self.table().open.get(&hash(secret)).copied()?;
        (now_ms < session.ends_ms).then_some((session.token, session.ends_ms))
    }

    /// Ends a session, if it is there.
    pub fn close(&self, secret: &str) {
        self.table().open.remove(&hash(secret));
    }

    /// A thread that panicked leaves no half of a change.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Ends the oldest of some sessions until one more is within `most`.
    fn make_room(&mut self, most: usize, is_one: impl Fn(&Session) -> bool) {
        let those = self.open.iter().filter(|(_, session)| is_one(session));
        let mut those: Vec<(u64, [u8; 32])> = those.map(|(key, session)| (session.number, *key)).collect();
        those.sort_unstable();
        let over = (those.len() + 1).saturating_sub(most);
        for (_, key) in those.into_iter().take(over) {
            self.open.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_leads_to_its_token_until_it_ends() {
        let sessions = Sessions::default();
        let secret = sessions.open([1; 32], 0).unwrap();
        assert_eq!(sessions.token(&secret, 5), Some(([1; 32], LIFE_MS)));
        assert_eq!(sessions.token(&secret, LIFE_MS), None);
        assert_eq!(sessions.token("", 5), None);
        sessions.close(&secret);
        assert_eq!(sessions.token(&secret, 5), None);
    }

    #[test]
    fn their_number_is_bounded_and_one_token_ends_only_its_own() {
        let sessions = Sessions::default();
        let first = sessions.open([1; 32], 0).unwrap();
        let other = sessions.open([2; 32], 0).unwrap();
        let more: Vec<Zeroizing<String>> = (0..MOST_OF_ONE).map(|_| sessions.open([1; 32], 0).unwrap()).collect();
        assert_eq!(sessions.token(&first, 1), None, "the oldest of its token");
        assert!(more.iter().chain([&other]).all(|secret| sessions.token(secret, 1).is_some()));
        for n in 0..MOST as u64 {
            let mut token = [3; 32];
            token[..8].copy_from_slice(&n.to_be_bytes());
            sessions.open(token, 0).unwrap();
        }
        assert_eq!(sessions.table().open.len(), MOST);
        assert_eq!(sessions.token(&other, 1), None, "the oldest of all");
    }
}
