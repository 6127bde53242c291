//! Why something failed, as a fixed word and a number: what a line says of an error.
//!
//! Errors of the program are for people at a terminal: their texts name folders, and some hold what the system or the
//! engine said. None of that goes into a line. A new error that shall be logged gets a `From` here, and words where those
//! that are there do not fit.

use std::io;

use crate::audit::AuditError;
use crate::keys::KeyError;
use crate::loader::LoadError;
use crate::record::RecordError;
use crate::retention::RetentionError;
use crate::seal::SealError;
use crate::spool::{ReadError, RemoveError};
use crate::store::StoreError;
use crate::withdrawal::{ListError, WithdrawalError};

/// Why something failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    cause: Cause,
    /// The system's `errno`, or the engine's code.
    number: Option<i64>,
}

impl Fault {
    /// Its word.
    #[must_use]
    pub fn cause(self) -> Cause {
        self.cause
    }

    /// The system's or the engine's number.
    #[must_use]
    pub fn number(self) -> Option<i64> {
        self.number
    }
}

/// The words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A file is not there.
    NotFound,
    /// The system does not allow it.
    PermissionDenied,
    /// The disk or the quota is full.
    NoSpace,
    /// A file does not hold what it must.
    InvalidContent,
    /// The other side has gone away.
    Disconnected,
    /// Anything else that the system says; its number tells.
    System,
    /// The store is closed, or gives no answer.
    StoreUnavailable,
    /// The store's limit of memory.
    StoreMemory,
    /// The store took too long.
    StoreTimeout,
    /// The store has too much to do.
    StoreOverloaded,
    /// The store refused a statement.
    StoreRejected,
    /// The store gave what cannot be read.
    StoreUnreadable,
    /// The store's tables are of another version.
    StoreSchema,
    /// The engine cannot be started.
    Engine,
    /// A key file is not what its name says.
    KeyDamaged,
    /// Keys are not shared here.
    KeysOwn,
    /// There is no shared state of keys.
    NoSharedState,
    /// There is a shared state of keys.
    HasSharedState,
    /// The shared state of keys is past the day.
    DayPassed,
    /// The day has begun, or is too far away.
    NotAComingDay,
    /// What was handed over cannot be used.
    Handover,
    /// The system gives no randomness.
    NoRandomness,
    /// The day is sealed, its key destroyed.
    DaySealed,
    /// A request still uses the day.
    DayInUse,
    /// The day is not over.
    DayNotOver,
    /// There is nothing of the day.
    DayEmpty,
    /// A record is damaged.
    RecordDamaged,
    /// A record is of another version.
    RecordVersion,
    /// There is no such segment.
    SegmentUnknown,
    /// What was accepted is not loaded in time.
    NotLoaded,
    /// No noise could be drawn.
    NoNoise,
    /// The releases of an app spend more than a day has.
    OverBudget,
    /// The work panicked; that has a line of its own.
    Panicked,
    /// The process stops.
    Stopping,
}

impl Cause {
    /// All words.
    pub const ALL: [Cause; 34] = [
        Cause::NotFound,
        Cause::PermissionDenied,
        Cause::NoSpace,
        Cause::InvalidContent,
        Cause::Disconnected,
        Cause::System,
        Cause::StoreUnavailable,
        Cause::StoreMemory,
        Cause::StoreTimeout,
        Cause::StoreOverloaded,
        Cause::StoreRejected,
        Cause::StoreUnreadable,
        Cause::StoreSchema,
        Cause::Engine,
        Cause::KeyDamaged,
        Cause::KeysOwn,
        Cause::NoSharedState,
        Cause::HasSharedState,
        Cause::DayPassed,
        Cause::NotAComingDay,
        Cause::Handover,
        Cause::NoRandomness,
        Cause::DaySealed,
        Cause::DayInUse,
        Cause::DayNotOver,
        Cause::DayEmpty,
        Cause::RecordDamaged,
        Cause::RecordVersion,
        Cause::SegmentUnknown,
        Cause::NotLoaded,
        Cause::NoNoise,
        Cause::OverBudget,
        Cause::Panicked,
        Cause::Stopping,
    ];

    /// The word in the log.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Cause::NotFound => "not_found",
            Cause::PermissionDenied => "permission_denied",
            Cause::NoSpace => "no_space",
            Cause::InvalidContent => "invalid_content",
            Cause::Disconnected => "disconnected",
            Cause::System => "system",
            Cause::StoreUnavailable => "store_unavailable",
            Cause::StoreMemory => "store_memory",
            Cause::StoreTimeout => "store_timeout",
            Cause::StoreOverloaded => "store_overloaded",
            Cause::StoreRejected => "store_rejected",
            Cause::StoreUnreadable => "store_unreadable",
            Cause::StoreSchema => "store_schema",
            Cause::Engine => "engine",
            Cause::KeyDamaged => "key_damaged",
            Cause::KeysOwn => "keys_own",
            Cause::NoSharedState => "no_shared_state",
            Cause::HasSharedState => "has_shared_state",
            Cause::DayPassed => "day_passed",
            Cause::NotAComingDay => "not_a_coming_day",
            Cause::Handover => "handover",
            Cause::NoRandomness => "no_randomness",
            Cause::DaySealed => "day_sealed",
            Cause::DayInUse => "day_in_use",
            Cause::DayNotOver => "day_not_over",
            Cause::DayEmpty => "day_empty",
            Cause::RecordDamaged => "record_damaged",
            Cause::RecordVersion => "record_version",
            Cause::SegmentUnknown => "segment_unknown",
            Cause::NotLoaded => "not_loaded",
            Cause::NoNoise => "no_noise",
            Cause::OverBudget => "over_budget",
            Cause::Panicked => "panicked",
            Cause::Stopping => "stopping",
        }
    }
}

impl From<Cause> for Fault {
    fn from(cause: Cause) -> Fault {
        Fault { cause, number: None }
    }
}

impl From<&io::Error> for Fault {
    fn from(error: &io::Error) -> Fault {
        use io::ErrorKind as K;
        let cause = match error.kind() {
            K::NotFound => Cause::NotFound,
            K::PermissionDenied | K::ReadOnlyFilesystem => Cause::PermissionDenied,
            K::StorageFull | K::QuotaExceeded => Cause::NoSpace,
            K::InvalidData | K::UnexpectedEof => Cause::InvalidContent,
            K::BrokenPipe | K::ConnectionReset | K::ConnectionAborted | K::NotConnected => Cause::Disconnected,
            _ => Cause::System,
        };
        Fault { cause, number: error.raw_os_error().map(i64::from) }
    }
}

impl From<&StoreError> for Fault {
    fn from(error: &StoreError) -> Fault {
        let cause = match error {
            StoreError::Io { source, .. } => return source.into(),
            StoreError::Overloaded { code } => {
                return Fault { cause: Cause::StoreOverloaded, number: Some(i64::from(*code)) };
            }
            StoreError::Rejected { code, .. } => {
                return Fault { cause: Cause::StoreRejected, number: Some(i64::from(*code)) };
            }
            StoreError::EngineMissing { .. }
            | StoreError::EngineUnusable { .. }
            | StoreError::Locked { .. }
            | StoreError::NotStarted { .. } => Cause::Engine,
            StoreError::Unavailable => Cause::StoreUnavailable,
            StoreError::NoSpace => Cause::NoSpace,
            StoreError::Memory => Cause::StoreMemory,
            StoreError::Timeout => Cause::StoreTimeout,
            StoreError::SchemaNewer { .. } | StoreError::SchemaChanged { .. } => Cause::StoreSchema,
            StoreError::Unreadable { .. } => Cause::StoreUnreadable,
            StoreError::InvalidName { .. } => Cause::StoreRejected,
        };
        cause.into()
    }
}

impl From<&KeyError> for Fault {
    fn from(error: &KeyError) -> Fault {
        match error {
            KeyError::Folder(_, error) | KeyError::Record(_, error) => error.into(),
            KeyError::Damaged(_) => Cause::KeyDamaged.into(),
            KeyError::Randomness => Cause::NoRandomness.into(),
            KeyError::Destroyed(_) | KeyError::LeadsToSealed(_) => Cause::DaySealed.into(),
            KeyError::NotShared => Cause::KeysOwn.into(),
            KeyError::NoState => Cause::NoSharedState.into(),
            KeyError::HasState => Cause::HasSharedState.into(),
            KeyError::Passed(_) => Cause::DayPassed.into(),
            KeyError::NotAComingDay(_) => Cause::NotAComingDay.into(),
            KeyError::Handover(_) => Cause::Handover.into(),
            KeyError::InUse(_) => Cause::DayInUse.into(),
        }
    }
}

impl From<&LoadError> for Fault {
    fn from(error: &LoadError) -> Fault {
        match error {
            LoadError::Read(ReadError::Unknown) | LoadError::Remove(RemoveError::Unknown) => {
                Cause::SegmentUnknown.into()
            }
            LoadError::Read(ReadError::Read(error)) | LoadError::Remove(RemoveError::Remove(error)) => error.into(),
            LoadError::Store(error) => error.into(),
            LoadError::Seen(error) => error.into(),
            LoadError::Record(RecordError::Version) => Cause::RecordVersion.into(),
            LoadError::Record(RecordError::Damaged) => Cause::RecordDamaged.into(),
            LoadError::Panicked => Cause::Panicked.into(),
            LoadError::Waiting(_) => Cause::NotLoaded.into(),
            LoadError::Stopped => Cause::Stopping.into(),
        }
    }
}

impl From<&RetentionError> for Fault {
    fn from(error: &RetentionError) -> Fault {
        match error {
            RetentionError::Store(error) => error.into(),
            RetentionError::Audit(error) => error.into(),
        }
    }
}

impl From<&AuditError> for Fault {
    fn from(error: &AuditError) -> Fault {
        match error {
            AuditError::Store(error) => error.into(),
            AuditError::Anchor(error) => error.into(),
        }
    }
}

impl From<&ListError> for Fault {
    fn from(error: &ListError) -> Fault {
        match error {
            ListError::File(_, error) => error.into(),
            ListError::Damaged(_) => Cause::InvalidContent.into(),
            ListError::NoKey(_) | ListError::None => Cause::NotFound.into(),
            ListError::Randomness => Cause::NoRandomness.into(),
            ListError::InUse => Cause::NotLoaded.into(),
        }
    }
}

impl From<&WithdrawalError> for Fault {
    fn from(error: &WithdrawalError) -> Fault {
        match error {
            // What is wrong with a request or a command is told to whoever gave it.
            WithdrawalError::UnknownApp
            | WithdrawalError::Received
            | WithdrawalError::Conflict
            | WithdrawalError::UnknownCase
            | WithdrawalError::Unfinished => Cause::InvalidContent.into(),
            WithdrawalError::List(error) => error.into(),
            WithdrawalError::Store(error) => error.into(),
            WithdrawalError::Audit(error) => error.into(),
            WithdrawalError::Load(error) => error.into(),
            WithdrawalError::Journal(error) => error.into(),
            WithdrawalError::Interrupted => Cause::Stopping.into(),
        }
    }
}

impl From<&SealError> for Fault {
    fn from(error: &SealError) -> Fault {
        match error {
            SealError::NotOver(_) => Cause::DayNotOver.into(),
            SealError::NothingThere(_) => Cause::DayEmpty.into(),
            SealError::AlreadySealed(_) => Cause::DaySealed.into(),
            SealError::Store(error) => error.into(),
            SealError::Audit(error) => error.into(),
            SealError::Key(error) => error.into(),
            SealError::Load(error) => error.into(),
            SealError::OverBudget { .. } => Cause::OverBudget.into(),
            SealError::Noise(_) => Cause::NoNoise.into(),
            SealError::Journal(error) => error.into(),
            SealError::Randomness => Cause::NoRandomness.into(),
            SealError::Interrupted => Cause::Stopping.into(),
        }
    }
}
