//! Keeps the pages of secrets out of swap and out of core dumps.
//!
//! Guarantees: while a secret lives, its pages are locked into memory and, on Linux, marked as none of a dump's; where the
//! system forbids either, it is said once in the log and in [`examine`], which asks the kernel and not our own books.
//! Does not: wipe secrets, which they do themselves, or cover what the processor works on: a hash in the making passes
//! through registers and a stack that is not locked.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use tuman_privacy::secret::{Keeper, Pages};

use crate::log::Line;

/// What is said where the system does not lock memory.
pub const REMEDY: &str =
    "raise the limit of locked memory to 1 MiB or more (systemd: LimitMEMLOCK, shell: ulimit -l)";

/// The keeper of all secrets of this process.
pub static KEEPER: PageKeeper = PageKeeper { kept: Mutex::new(BTreeMap::new()), warned: AtomicBool::new(false) };

/// Locks pages and lets them go.
pub struct PageKeeper {
    /// The pages of living secrets: their address, length, and whether the system did what was asked.
    kept: Mutex<BTreeMap<usize, (usize, bool)>>,
    warned: AtomicBool,
}

/// How the secrets of this process are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Secrets that live.
    pub secrets: usize,
    /// Of them: locked into memory and left out of dumps.
    pub locked: usize,
}

impl Keeper for PageKeeper {
    fn keep(&self, pages: Pages) {
        let done = lock(pages).is_ok();
        self.kept().insert(pages.address, (pages.length, done));
        if !done && !self.warned.swap(true, Ordering::Relaxed) {
            Line::MemoryNotLocked.write();
        }
    }

    fn release(&self, pages: Pages) {
        self.kept().remove(&pages.address);
        // Pages that were never locked have nothing to undo; the memory goes back to the allocator either way.
        let _ = unlock(pages);
    }
}

impl PageKeeper {
    fn kept(&self) -> MutexGuard<'_, BTreeMap<usize, (usize, bool)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks how the secrets that live now are kept: on Linux in the kernel's own account of this process's memory.
#[must_use]
pub fn examine() -> Kept {
    // Held while the kernel is asked, so that no secret comes or goes in between.
    let kept = KEEPER.kept();
    let locked = match account() {
        Some(account) => kept.keys().filter(|address| account.keeps(**address)).count(),
        None => kept.values().filter(|(_, done)| *done).count(),
    };
    Kept { secrets: kept.len(), locked }
}

/// The mappings of this process that are locked and left out of dumps: first address, address after the last.
struct Account(Vec<(usize, usize)>);

impl Account {
    fn keeps(&self, address: usize) -> bool {
        self.0.iter().any(|(from, until)| (*from..*until).contains(&address))
    }

    /// Reads the form of `/proc/<pid>/smaps`: the head of a mapping, then its fields, the flags among them.
    fn read(text: &str) -> Account {
        let mut guarded = Vec::new();
        let mut range = None;
        for line in text.lines() {
            if let Some(flags) = line.strip_prefix("VmFlags:") {
                let has = |flag: &str| flags.split_whitespace().any(|known| known == flag);
                if has("lo") && has("dd") {
                    guarded.extend(range);
                }
            } else if let Some((from, until)) = line.split(' ').next().and_then(|head| head.split_once('-')) {
                let address = |hex: &str| usize::from_str_radix(hex, 16).ok();
                range = address(from).zip(address(until));
            }
        }
        Account(guarded)
    }
}

#[cfg(target_os = "linux")]
fn account() -> Option<Account> {
    std::fs::read_to_string("/proc/self/smaps").ok().map(|text| Account::read(&text))
}

#[cfg(not(target_os = "linux"))]
fn account() -> Option<Account> {
    None
}

fn address(pages: Pages) -> *mut c_void {
    ptr::without_provenance_mut(pages.address)
}

fn lock(pages: Pages) -> Result<(), Errno> {
    // SAFETY: neither call reads, writes, moves or unmaps memory. They act on whole pages, which the secret has for
    // itself; an address that is not mapped is answered with an error.
    unsafe {
        #[cfg(target_os = "linux")]
        rustix::mm::madvise(address(pages), page_of(pages), rustix::mm::Advice::LinuxDontDump)?;
        rustix::mm::mlock(address(pages), pages.length)
    }
}

fn unlock(pages: Pages) -> Result<(), Errno> {
    // SAFETY: as in `lock`.
    unsafe {
        rustix::mm::munlock(address(pages), pages.length)?;
        #[cfg(target_os = "linux")]
        rustix::mm::madvise(address(pages), page_of(pages), rustix::mm::Advice::LinuxDoDump)?;
    }
    Ok(())
}

/// The length in whole pages, as `madvise` asks for it.
#[cfg(target_os = "linux")]
fn page_of(pages: Pages) -> usize {
    pages.length.next_multiple_of(rustix::param::page_size())
}

#[cfg(test)]
mod tests {
    use super::*;

    use tuman_privacy::token::{DayKey, Ratchet, Tokeniser};

    #[test]
    fn guarded_mappings_are_those_with_both_flags() {
        let text = "7f00-8f00 rw-p 00000000 00:00 0 \nSize: 4 kB\nVmFlags: rd wr mr mw me lo ac dd sd \n\
                    8f00-9f00 rw-p 00000000 00:00 0 [heap]\nVmFlags: rd wr lo \n\
                    9f00-af00 rw-p 00000000 00:00 0 \nVmFlags: rd wr dd \n";
        let account = Account::read(text);
        assert_eq!(account.0, [(0x7f00, 0x8f00)]);
        assert!(account.keeps(0x7f00) && account.keeps(0x8eff) && !account.keeps(0x8f00));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_kernel_says_that_secrets_are_locked_and_left_out_of_dumps() {
        let at = |secret: &[u8; 32]| secret.as_ptr().addr();
        let key = DayKey::take_kept(&mut [7; 32], &KEEPER);
        let ratchet = Ratchet::take_kept(&mut [8; 32], &KEEPER);
        let tokeniser = Tokeniser::new(&key);
        let account = account().unwrap();
        assert!(account.keeps(at(key.expose())) && account.keeps(at(ratchet.expose())));
        assert!(!account.keeps(Box::new(5).as_ref() as *const i32 as usize), "an ordinary allocation is not locked");
        let kept = examine();
        assert!(kept.secrets >= 3 && kept.locked == kept.secrets, "{kept:?}");
        drop(tokeniser);
    }

    /// Reads pages when they are let go, as the kernel shows them.
    #[cfg(target_os = "linux")]
    #[derive(Default)]
    struct Reader {
        kept: Mutex<Vec<Pages>>,
        released: Mutex<Vec<Vec<u8>>>,
    }

    #[cfg(target_os = "linux")]
    impl Keeper for Reader {
        fn keep(&self, pages: Pages) {
            self.kept.lock().unwrap().push(pages);
        }

        fn release(&self, pages: Pages) {
            self.released.lock().unwrap().push(in_use(pages));
        }
    }

    /// The bytes of pages that are in use. What is behind them was never a secret's.
    #[cfg(target_os = "linux")]
    fn in_use(pages: Pages) -> Vec<u8> {
        use std::os::unix::fs::FileExt;
        let mut bytes = vec![0; pages.length];
        let memory = std::fs::File::open("/proc/self/mem").unwrap();
        memory.read_exact_at(&mut bytes, pages.address as u64).unwrap();
        bytes
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn where_a_secret_was_is_zero_when_its_page_is_let_go() {
        let reader: &'static Reader = Box::leak(Box::default());
        let key = DayKey::take_kept(&mut [0xa7; 32], reader);
        let tokeniser = Tokeniser::new(&key);
        let mut ratchet = Ratchet::take_kept(&mut [0xb9; 32], reader);
        ratchet.advance();
        let first = reader.kept.lock().unwrap()[0];
        assert!(in_use(first).windows(32).any(|bytes| bytes == [0xa7; 32]), "the control: the secret is there");
        let used = |bytes: &[u8]| bytes.iter().filter(|byte| **byte != 0).count();
        let kept: Vec<usize> = reader.kept.lock().unwrap()[..2].iter().map(|pages| used(&in_use(*pages))).collect();
        assert!(kept.iter().all(|used| *used >= 32), "{kept:?}");
        drop((key, tokeniser, ratchet));
        let released = reader.released.lock().unwrap();
        // The key, the keyed hash, the state and the one after it.
        assert_eq!(released.len(), 4);
        let left: Vec<usize> = released.iter().map(|bytes| used(bytes)).collect();
        assert_eq!(left, [0; 4]);
    }
}
