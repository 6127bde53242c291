//! Why something did not work, each error with the operation that failed.

use std::io;

use super::SegmentId;

/// Why the spool could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// An option is out of its range.
    #[error("spool option {0}")]
    Options(&'static str),
    /// The folder could not be created or listed.
    #[error("cannot use the spool folder")]
    Folder(#[source] io::Error),
    /// The file of the identity is there but could not be read.
    #[error("cannot read the identity of the spool")]
    Identity(#[source] io::Error),
    /// A segment may not be read, or what was found in it could not be synced.
    #[error("cannot use segment {0}")]
    Segment(SegmentId, #[source] io::Error),
    /// The writer thread could not be started.
    #[error("cannot start the spool's writer")]
    Thread(#[source] io::Error),
}

/// Why a record was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The spool holds as much as it may; space comes back as segments are removed.
    #[error("the spool is full")]
    Full,
    /// Too much is waiting for its sync.
    #[error("too many records are waiting")]
    Overloaded,
    /// The write or the sync failed, a full disk included.
    #[error("the record could not be written and synced")]
    Sync,
    /// The record does not fit into a segment.
    #[error("the record is larger than a segment")]
    TooLarge,
    /// The spool was closed, or its writer has ended.
    #[error("the spool is closed")]
    Closed,
}

/// Why a segment could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no sealed segment of this number.
    #[error("there is no such sealed segment")]
    Unknown,
    /// The file could not be read.
    #[error("cannot read the segment")]
    Read(#[source] io::Error),
}

/// Why a segment could not be removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// There is no sealed segment of this number.
    #[error("there is no such sealed segment")]
    Unknown,
    /// The file could not be removed or renamed, or that not made durable. Try again: what was done is not
    /// undone.
    #[error("cannot remove the segment")]
    Remove(#[source] io::Error),
}
