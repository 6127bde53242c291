//! Who may come in, and how much at one time: rates of addresses and keys, memory of bodies, the length of the queue,
//! turns of exports.
//!
//! Guarantees: everything here has a fixed size, however many come; what is refused costs little and is told when to
//! come again. An address is never kept: it chooses two slots of a table by a hash with a key that is drawn at every
//! start, and the slots hold times alone.
//! Does not: know HTTP, or count anything across restarts.

mod connections;
mod exports;
mod network;
mod rate;
mod room;
mod turn;

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

pub use connections::{Connection, Connections};
pub use exports::{Exports, Turn};
pub use network::Network;
pub use rate::Rate;
pub use room::{Bodies, NoRoom, Room};
pub use turn::is_late;

use crate::clock::Clock;
use crate::config::Limits;
use crate::spool::{AppendError, Spool};

/// Slots of the table of addresses, in each of its two halves: 4 MiB in all.
const ADDRESS_SLOTS: usize = 1 << 18;
/// Slots of the table of keys. Only keys that are in force are counted.
const KEY_SLOTS: usize = 1 << 12;
/// Sign-ins of one address: so many a second, and so many at once after a pause. A person needs one a day.
const SIGN_INS_PER_S: u32 = 1;
const SIGN_INS_AT_ONCE: u32 = 10;

/// All limits of who may come in.
pub struct Admission {
    /// Memory of bodies.
    pub bodies: Bodies,
    /// Connections by address.
    pub connections: Arc<Connections>,
    addresses: Option<Rate>,
    failures: Option<Rate>,
    sign_ins: Option<Rate>,
    keys: Option<Rate>,
    hasher: std::hash::RandomState,
    in_flight: AtomicU64,
    /// Bytes in the spool when it refused the last report for being full.
    full_at: AtomicU64,
    /// The spool refused the last report because too many were waiting.
    is_crowded: AtomicBool,
}

impl Admission {
    /// The limits of a configuration.
    #[must_use]
    pub fn new(limits: &Limits, clock: &Arc<dyn Clock>) -> Admission {
        let rate = |per_s, burst, slots| Rate::new(per_s, burst, slots, clock.clone());
        Admission {
            bodies: Bodies::new(limits.bodies.bytes()),
            connections: Arc::new(Connections::new(limits.address_connections)),
            addresses: rate(limits.address_rate, limits.address_burst, ADDRESS_SLOTS),
            failures: rate(limits.failure_rate, limits.failure_burst, ADDRESS_SLOTS),
            sign_ins: rate(SIGN_INS_PER_S, SIGN_INS_AT_ONCE, KEY_SLOTS),
            keys: rate(limits.key_rate, limits.key_burst, KEY_SLOTS),
            hasher: std::hash::RandomState::new(),
            in_flight: AtomicU64::new(0),
            full_at: AtomicU64::new(u64::MAX),
            is_crowded: AtomicBool::new(false),
        }
    }

    /// Counts a request of an address.
    ///
    /// # Errors
    /// After how long its next one is taken.
    pub fn address(&self, address: IpAddr) -> Result<(), Duration> {
        self.count(self.addresses.as_ref(), self.hash(address))
    }

    /// Counts a request of an address that came without a valid token.
    ///
    /// # Errors
    /// After how long its next one is told so.
    pub fn failure(&self, address: IpAddr) -> Result<(), Duration> {
        self.count(self.failures.as_ref(), self.hash(address))
    }

    /// Counts an attempt of an address to sign in, whatever comes of it: also a right token waits its turn.
    ///
    /// # Errors
    /// After how long its next one is taken.
    pub fn sign_in(&self, address: IpAddr) -> Result<(), Duration> {
        self.count(self.sign_ins.as_ref(), self.hash(address))
    }

    /// Counts a report of an app's key, which is named by its hash.
    ///
    /// # Errors
    /// After how long its next one is taken.
    pub fn key(&self, sha256: &str) -> Result<(), Duration> {
        match &self.keys {
            None => Ok(()),
            Some(keys) => keys.count(self.hasher.hash_one(sha256)),
        }
    }

    /// What an address is called here, for as long as the process runs.
    #[must_use]
    pub fn hash(&self, address: IpAddr) -> u64 {
        self.hasher.hash_one(network::of_one_client(address))
    }

    /// Counts a report as in flight for as long as the guard lives.
    #[must_use]
    pub fn enter(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(&self.in_flight)
    }

    /// Reports that are being taken.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Remembers whether the spool had room for a report.
    pub fn note(&self, appended: Result<(), AppendError>, spool: &Spool) {
        let full_at = if appended == Err(AppendError::Full) { spool.depth().bytes } else { u64::MAX };
        // Read before it is written: many threads share it, and it seldom changes.
        if self.full_at.load(Ordering::Relaxed) != full_at {
            self.full_at.store(full_at, Ordering::Relaxed);
        }
        let is_crowded = appended == Err(AppendError::Overloaded);
        if self.is_crowded.load(Ordering::Relaxed) != is_crowded {
            self.is_crowded.store(is_crowded, Ordering::Relaxed);
        }
    }

    /// Whether the spool would refuse a report now. It is looked at only after it has refused one: before, it costs
    /// nothing.
    ///
    /// # Errors
    /// Why it would: nothing was removed since it was full, or its queue is full.
    pub fn spool(&self, spool: &Spool, queue_records: usize) -> Result<(), AppendError> {
        let (full_at, is_crowded) = (self.full_at.load(Ordering::Relaxed), self.is_crowded.load(Ordering::Relaxed));
        if full_at == u64::MAX && !is_crowded {
            return Ok(());
        }
        let depth = spool.depth();
        if depth.bytes >= full_at {
            return Err(AppendError::Full);
        }
        if is_crowded && depth.waiting >= queue_records as u64 {
            return Err(AppendError::Overloaded);
        }
        Ok(())
    }

    fn count(&self, rate: Option<&Rate>, hash: u64) -> Result<(), Duration> {
        rate.map_or(Ok(()), |rate| rate.count(hash))
    }
}

/// A report that is being taken.
pub struct InFlight<'a>(&'a AtomicU64);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn admission(limits: &Limits) -> (Admission, ManualClock) {
        let clock = ManualClock::at(0);
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        (Admission::new(limits, &shared), clock)
    }

    #[test]
    fn an_address_has_its_burst_then_its_rate() {
        let (admission, clock) =
            admission(&Limits { address_rate: 2, address_burst: 5, failure_burst: 1, ..Limits::default() });
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        for _ in 0..5 {
            assert_eq!(admission.address(one), Ok(()));
        }
        assert_eq!(admission.address(one), Err(Duration::from_millis(500)));
        assert_eq!(admission.address(other), Ok(()), "of another address nothing was counted");
        assert_eq!(admission.failure(one), Ok(()), "failures are counted apart");
        clock.advance(1_000);
        assert_eq!(admission.address(one), Ok(()));
        assert_eq!(admission.address(one), Ok(()));
        assert!(admission.address(one).is_err());
    }

    #[test]
    fn sign_ins_are_counted_apart_and_are_few() {
        let (admission, clock) = admission(&Limits::default());
        let one = "192.0.2.1".parse().unwrap();
        let taken = (0..100).filter(|_| admission.sign_in(one).is_ok()).count();
        assert_eq!(taken, SIGN_INS_AT_ONCE as usize);
        assert_eq!(admission.address(one), Ok(()));
        assert_eq!(admission.sign_in("192.0.2.2".parse().unwrap()), Ok(()));
        clock.advance(1_000);
        assert_eq!(admission.sign_in(one), Ok(()));
        assert!(admission.sign_in(one).is_err());
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let (admission, _) = admission(&Limits { address_rate: 1, address_burst: 1, ..Limits::default() });
        assert!(admission.address("2001:db8:0:1::1".parse().unwrap()).is_ok());
        assert!(admission.address("2001:db8:0:1:ffff::2".parse().unwrap()).is_err());
        assert!(admission.address("2001:db8:0:2::1".parse().unwrap()).is_ok());
        // An address of version 4 is the same in both forms, and its neighbour another.
        assert!(admission.address("192.0.2.1".parse().unwrap()).is_ok());
        assert!(admission.address("::ffff:192.0.2.1".parse().unwrap()).is_err());
        assert!(admission.address("::ffff:192.0.2.2".parse().unwrap()).is_ok());
    }

    #[test]
    fn zero_is_no_limit() {
        let limits = Limits { address_rate: 0, failure_rate: 0, key_rate: 0, ..Limits::default() };
        let (admission, _) = admission(&limits);
        let address = "192.0.2.1".parse().unwrap();
        for _ in 0..100_000 {
            assert!(admission.address(address).is_ok() && admission.failure(address).is_ok());
            assert!(admission.key("00").is_ok());
        }
    }

    #[test]
    fn a_flood_of_addresses_takes_no_memory_and_leaves_most_others_alone() {
        let (admission, _) = admission(&Limits { address_rate: 1, address_burst: 1, ..Limits::default() });
        for address in 0..20_000_u32 {
            let _ = admission.address(IpAddr::V4(address.into()));
        }
        let honest = (0..1_000_u32).filter(|n| admission.address(IpAddr::V4((1 << 31 | n).into())).is_ok());
        // Both slots of an address must be taken by others: about six in a thousand here.
        assert!(honest.count() > 950);
    }
}
