//! Secrets on memory pages of their own, and the keeper who guards these pages.
//!
//! Guarantees: a secret shares its pages with nothing else, so that they can be locked and left out of dumps without
//! touching a neighbour. The keeper hears of the pages before the secret is on them, and again when it is wiped and
//! before the memory goes back. Whatever is derived from a secret has the same keeper.
//!
//! Does not: lock anything. That takes the operating system, and the keeper that the caller brings.

use alloc::boxed::Box;
use core::fmt;

use zeroize::Zeroizing;

/// Where a secret lies: whole pages that hold nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pages {
    /// The address of the first byte.
    pub address: usize,
    /// How many bytes are in use from there on.
    pub length: usize,
}

/// Guards the pages of secrets.
pub trait Keeper: Send + Sync {
    /// Takes pages into its care. The secret is not on them yet.
    fn keep(&self, pages: Pages);

    /// Lets pages go. The secret is wiped.
    fn release(&self, pages: Pages);
}

/// A secret on pages of its own. It is dropped where it lies: what is put here wipes itself when it is dropped.
pub(crate) struct Paged<T> {
    page: Box<Page<T>>,
    keeper: Option<&'static dyn Keeper>,
}

// As large as a page is on the machines that Tuman runs on: 4 KiB on x86-64, up to 64 KiB on arm64.
#[cfg_attr(target_arch = "x86_64", repr(align(4096)))]
#[cfg_attr(not(target_arch = "x86_64"), repr(align(65536)))]
struct Page<T>(Option<T>);

impl<T> Page<T> {
    /// A constant: a `None` from the stack may bring with it what was there.
    const VACANT: Option<T> = None;
}

impl<T> Paged<T> {
    /// Pages without a secret. Never inlined, so that a page's worth of stack is gone again before a secret is near.
    #[inline(never)]
    pub(crate) fn vacant(keeper: Option<&'static dyn Keeper>) -> Paged<T> {
        let paged = Paged { page: Box::new(Page(None)), keeper };
        if let Some(keeper) = keeper {
            keeper.keep(paged.pages());
        }
        paged
    }

    /// Puts the secret on its pages. One that is there is wiped.
    pub(crate) fn put(&mut self, secret: T) -> &mut T {
        self.page.0.insert(secret)
    }

    pub(crate) fn get(&self) -> &T {
        self.page.0.as_ref().expect("a secret is put on its pages where they are made, and taken off where they end")
    }

    pub(crate) fn keeper(&self) -> Option<&'static dyn Keeper> {
        self.keeper
    }

    fn pages(&self) -> Pages {
        Pages { address: core::ptr::from_ref(&*self.page).addr(), length: size_of::<Option<T>>() }
    }
}

impl<T> Drop for Paged<T> {
    fn drop(&mut self) {
        // Dropped where it lies, which wipes it; the pages are let go only now.
        self.page.0 = Page::VACANT;
        if let Some(keeper) = self.keeper {
            keeper.release(self.pages());
        }
    }
}

impl<T> fmt::Debug for Paged<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Paged(redacted)")
    }
}

/// 32 bytes.
pub(crate) type Secret = Paged<Zeroizing<[u8; 32]>>;

impl Secret {
    /// 32 zeros, to be written over where they lie.
    pub(crate) fn empty(keeper: Option<&'static dyn Keeper>) -> Secret {
        let mut secret = Secret::vacant(keeper);
        secret.put(Zeroizing::new([0; 32]));
        secret
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8; 32] {
        self.page.0.get_or_insert_with(|| Zeroizing::new([0; 32]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::vec::Vec;

    use crate::token::{DayKey, Ratchet, Tokeniser};

    /// Writes down what it is told.
    struct Listener(Mutex<Vec<(&'static str, Pages)>>);

    impl Keeper for Listener {
        fn keep(&self, pages: Pages) {
            self.0.lock().unwrap().push(("keep", pages));
        }

        fn release(&self, pages: Pages) {
            self.0.lock().unwrap().push(("release", pages));
        }
    }

    fn listener() -> &'static Listener {
        Box::leak(Box::new(Listener(Mutex::default())))
    }

    #[test]
    fn every_secret_is_kept_from_its_first_byte_to_its_last() {
        let listener = listener();
        {
            let mut ratchet = Ratchet::take_kept(&mut [1; 32], listener);
            let key = ratchet.day_key();
            let _tokeniser = Tokeniser::new(&key);
            ratchet.advance();
            ratchet.mix(&[2; 32]);
            let _other = DayKey::take_kept(&mut [3; 32], listener);
        }
        let heard = listener.0.lock().unwrap();
        let kept = heard.iter().filter(|(what, _)| *what == "keep").count();
        // The state and its two successors, the day's key, the keyed hash, the other key.
        assert_eq!((kept, heard.len()), (6, 12));
        for (_, pages) in heard.iter() {
            assert!(pages.address.is_multiple_of(align_of::<Page<()>>()) && pages.length <= align_of::<Page<()>>());
        }
    }

    #[test]
    fn two_secrets_never_share_a_page() {
        let listener = listener();
        let keys: Vec<DayKey> = (0..50_u8).map(|n| DayKey::take_kept(&mut [n; 32], listener)).collect();
        let mut pages: Vec<usize> = listener.0.lock().unwrap().iter().map(|(_, pages)| pages.address).collect();
        pages.sort_unstable();
        pages.dedup();
        assert_eq!(pages.len(), keys.len());
    }
}
