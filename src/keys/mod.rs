//! Day keys: created when a day begins, kept while it is open, destroyed when it is sealed.
//!
//! Guarantees: one key per local day, 32 bytes from the operating system or from the state that a group of collectors
//! shares; a restart keeps today's key; a destroyed day never gets a key again, whatever the clock says; a shared state
//! leads to no day that has begun. Keys lie in files that only the service can read, by default in a memory-backed folder,
//! so that a power cut leaves none on a disk.
//! Does not: make tokens. The boundary's `Tokeniser` does, and holds the only copy in use.
//!
//! - `ring`: which days are open;
//! - [`shared`]: the state that several collectors share, and fresh entropy for it;
//! - [`handover`]: what one collector gives another, encrypted;
//! - `folder` and `record`: the files;
//! - [`chronicle`]: the audit log's account of all this;
//! - [`prove`]: can a day's tokens still be computed?
//! - [`command`]: what `tuman keys` asks for.

pub mod chronicle;
pub mod command;
mod folder;
pub mod handover;
pub mod prove;
mod record;
mod ring;
pub mod shared;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;

use jiff::civil::Date;

pub(crate) use folder::{erase_secret, write_secret};
pub use handover::HandoverError;
pub use record::{Act, ActKind, KeyRecord};
pub use ring::{Keyring, OpenDays};

/// What went wrong with a key. No variant says what was in a file.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The folder or a file in it.
    #[error("the key folder {0}: {1}")]
    Folder(PathBuf, io::Error),
    /// A file is not what its name says.
    #[error("a file in the key folder {0} is damaged: it has another length or form than its name says")]
    Damaged(PathBuf),
    /// The record of keys.
    #[error("the record of keys {0}: {1}")]
    Record(PathBuf, io::Error),
    /// No randomness.
    #[error("the operating system gives no randomness")]
    Randomness,
    /// The day was sealed: its key is gone for good.
    #[error("the day {0} is sealed; is the clock right?")]
    Destroyed(Date),
    /// A request that still used the day did not end.
    #[error("the day {0} is still in use by a request")]
    InUse(Date),
    /// The configuration does not ask for shared keys.
    #[error("keys.mode is \"own\": set it to \"shared\" and restart, then run this again")]
    NotShared,
    /// There is no shared state.
    #[error(
        "this collector has no shared state: run `tuman keys init --shared` on the first one, `tuman keys join` on others"
    )]
    NoState,
    /// There is a shared state.
    #[error("this collector has a shared state already; `keys join accept --replace` takes another in its place")]
    HasState,
    /// The shared state is past the day, which has no key here.
    #[error(
        "the shared state is past {0}, and a state leads to no earlier day; is the clock right? A new hand-over with `tuman keys join` helps"
    )]
    Passed(Date),
    /// The day has begun, or is too far away.
    #[error("entropy can be mixed in for tomorrow and up to 30 days ahead; {0} is not among these days")]
    NotAComingDay(Date),
    /// A later day was sealed: the clock was ahead.
    #[error("the day {0} is sealed here already, and the state handed over leads to it; is the clock right?")]
    LeadsToSealed(Date),
    /// What was handed over cannot be used.
    #[error(transparent)]
    Handover(#[from] HandoverError),
}
