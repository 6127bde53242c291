//! Memory of bodies: one ceiling for all that are in memory at a time, as sent and decompressed.
//!
//! Guarantees: who has no room gets none, at once; nobody waits for it.

use tokio::sync::{Semaphore, SemaphorePermit};

/// The memory that bodies may take.
pub struct Bodies {
    /// Counted in KiB.
    free: Semaphore,
    most: usize,
}

/// There is no room now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRoom;

impl Bodies {
    /// So many bytes.
    #[must_use]
    pub fn new(bytes: u64) -> Bodies {
        let most = usize::try_from(bytes >> 10).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Bodies { free: Semaphore::new(most), most }
    }

    /// Room for a body of so many bytes, until it is dropped.
    ///
    /// # Errors
    /// Where there is none now.
    pub fn room(&self, bytes: usize) -> Result<Room<'_>, NoRoom> {
        let permit = self.free.try_acquire_many(kib(bytes)).map_err(|_| NoRoom)?;
        Ok(Room { bodies: self, permit })
    }

    /// Bytes that are taken.
    #[must_use]
    pub fn taken(&self) -> u64 {
        (self.most.saturating_sub(self.free.available_permits()) as u64) << 10
    }
}

/// Room for a body, in all its forms.
pub struct Room<'a> {
    bodies: &'a Bodies,
    permit: SemaphorePermit<'a>,
}

impl Room<'_> {
    /// Takes room for so many bytes more.
    ///
    /// # Errors
    /// Where there is none now.
    pub fn grow(&mut self, bytes: usize) -> Result<(), NoRoom> {
        self.permit.merge(self.bodies.free.try_acquire_many(kib(bytes)).map_err(|_| NoRoom)?);
        Ok(())
    }

    /// Gives room of so many bytes back.
    pub fn shrink(&mut self, bytes: usize) {
        drop(self.permit.split(kib(bytes) as usize));
    }
}

fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_counted_until_it_is_dropped() {
        let bodies = Bodies::new(10 << 10);
        let mut one = bodies.room(4 << 10).unwrap();
        assert_eq!(one.grow(7 << 10), Err(NoRoom));
        one.grow(1).unwrap();
        assert_eq!(bodies.taken(), 5 << 10);
        let other = bodies.room(5 << 10).unwrap();
        assert!(bodies.room(1).is_err());
        one.shrink(1);
        assert_eq!(bodies.taken(), 9 << 10);
        drop((one, other));
        assert_eq!(bodies.taken(), 0);
    }
}
