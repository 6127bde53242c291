//! The list: everything that can be logged, each with its level, part, name, text and fields.

use std::fmt;
use std::time::Duration;

use jiff::civil::Date;
use serde_json::Value as Json;

use super::fault::Fault;
use super::filter::{Level, Part};
use super::panic::{Place, ThreadName};
use crate::app::Unusable;
use crate::spool::SegmentId;

/// A line of the log. What each says is in [`Line::declared`].
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "names and types say what the fields are, the texts below what the lines are")]
pub enum Line {
    Collecting,
    Stopping,
    Stopped,
    TakingOver,
    TakeOverRefused,
    NotTakenOver,
    StopLate,
    SpoolNotClosed,
    SpoolNotEmptied,
    Reloaded,
    TokensReloaded,
    ReloadRefused { unusable: Unusable },
    CoreDumpsOn { fault: Fault },
    ReportsNotForgotten { fault: Fault },
    Panicked { place: Place, thread: ThreadName },
    MemoryNotLocked,
    NoKey { fault: Fault },
    QuestionFailed { fault: Fault },
    WithdrawalFailed { fault: Fault },
    ErasureNotBooked { fault: Fault },
    SpoolRecovered { records: u64, corrupt: u64, torn_bytes: u64 },
    SpoolRenamed,
    BatchFailed { records: u64, fault: Fault },
    BatchNotCut { segment: SegmentId, fault: Fault },
    SegmentWaits { segment: SegmentId, fault: Fault },
    SegmentPassedOver { segment: SegmentId, attempts: u32, fault: Fault },
    SegmentAside { segment: SegmentId, fault: Fault },
    SegmentsDiscarded { segments: u64, events: u64 },
    AnswersDamaged { batches: u64 },
    RecordsCorrupt { segment: SegmentId, records: u64 },
    TokensRepaired { tokens: u64 },
    RowsLeft,
    DayDrained { day: Date },
    DayCounted { day: Date, took: Duration },
    DaySealed { day: Date, took: Duration },
    DayNotSealed { day: Date, fault: Fault },
    HoursSealed { day: Date, hours: u64, took: Duration },
    HoursNotSealed { fault: Fault },
    DueUnknown { fault: Fault },
    ReleasesDeleted { days: u64 },
    ReleasesNotDeleted { fault: Fault },
    KeysBehind { fault: Fault },
    KeysNotEntered { fault: Fault },
    AnchorDisputed,
    AnchorBehind { fault: Fault },
    CommandUnanswered { fault: Fault },
    ControlSocketFailed { fault: Fault },
    Simulating { day: Date },
    Simulated { events: u64, took: Duration },
}

/// What a line says.
#[derive(Debug, Clone, PartialEq)]
pub struct Declared {
    /// How much it matters.
    pub level: Level,
    /// Of which part it is.
    pub part: Part,
    /// Its name: what machines look for.
    pub name: &'static str,
    /// Its text: what people read.
    pub text: &'static str,
    /// Its fields, in their order.
    pub fields: Vec<(&'static str, Value)>,
}

/// The value of a field. There is none for a text of any other origin, and none should come.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A count, or the number of a segment.
    Number(u64),
    /// How long something took; in seconds, to the millisecond.
    Took(Duration),
    /// A local day.
    Day(Date),
    /// A word that is fixed in the program.
    Word(&'static str),
    /// A number of the system or the engine.
    Code(i64),
    /// Where a panic was.
    Place(Place),
    /// In which thread.
    Thread(ThreadName),
}

impl Line {
    /// What the line says.
    #[must_use]
    pub fn declared(&self) -> Declared {
        use Level::{Debug, Error, Info, Warn};
        use Part::{Audit, Control, Demo, Http, Loader, Seal, Serve, Spool, Store};
        match self {
            Line::Collecting => line(Info, Serve, "collecting", "collecting"),
            Line::Stopping => line(Info, Serve, "stopping", "stopping"),
            Line::Stopped => line(Info, Serve, "stopped", "stopped"),
            Line::TakingOver => line(Info, Serve, "taking_over", "stopping: the new version takes over"),
            Line::TakeOverRefused => {
                line(Error, Serve, "take_over_refused", "this version goes on: the new one cannot take over")
            }
            Line::NotTakenOver => line(Error, Serve, "not_taken_over", "the new version could not be started"),
            Line::StopLate => line(
                Warn,
                Serve,
                "stop_late",
                "not everything could be closed in time: what is in the spool is loaded at the next start",
            ),
            Line::SpoolNotClosed => {
                line(Warn, Spool, "spool_not_closed", "the spool does not close: does the disk answer?")
            }
            Line::SpoolNotEmptied => line(
                Warn,
                Loader,
                "spool_not_emptied",
                "the store does not take what is in the spool: it is loaded at the next start",
            ),
            Line::Reloaded => line(Info, Serve, "reloaded", "catalogues and tokens were read anew"),
            Line::TokensReloaded => line(Info, Serve, "tokens_reloaded", "tokens were read anew"),
            Line::ReloadRefused { unusable } => {
                line(Error, Serve, "reload_refused", "the old catalogues and tokens stay")
                    .with("what", Value::Word(unusable.word()))
                    .with("problems", Value::Number(unusable.problems()))
                    .with("first_line", Value::Number(unusable.first_line()))
            }
            Line::CoreDumpsOn { fault } => {
                line(Warn, Serve, "core_dumps_on", "core dumps cannot be turned off").caused_by(*fault)
            }
            Line::ReportsNotForgotten { fault } => {
                line(Warn, Serve, "reports_not_forgotten", "old reports cannot be forgotten").caused_by(*fault)
            }
            Line::Panicked { place, thread } => line(Error, Serve, "panicked", "a thread panicked")
                .with("place", Value::Place(place.clone()))
                .with("thread", Value::Thread(thread.clone())),
            Line::MemoryNotLocked => line(
                Warn,
                Serve,
                "memory_not_locked",
                "keys are not locked into memory: raise the limit of locked memory",
            ),
            Line::NoKey { fault } => {
                line(Error, Http, "no_key", "no key for today: reports are not taken").caused_by(*fault)
            }
            Line::QuestionFailed { fault } => {
                line(Error, Http, "question_failed", "a question could not be answered").caused_by(*fault)
            }
            Line::WithdrawalFailed { fault } => {
                line(Error, Http, "withdrawal_failed", "a withdrawal could not be carried out").caused_by(*fault)
            }
            Line::ErasureNotBooked { fault } => {
                line(Warn, Serve, "erasure_not_booked", "an interrupted erasure is not booked yet").caused_by(*fault)
            }
            Line::SpoolRecovered { records, corrupt, torn_bytes } => {
                line(Info, Spool, "spool_recovered", "the spool was not empty")
                    .with("records", Value::Number(*records))
                    .with("corrupt", Value::Number(*corrupt))
                    .with("torn_bytes", Value::Number(*torn_bytes))
            }
            Line::SpoolRenamed => {
                line(Warn, Spool, "spool_renamed", "the identity of the spool is damaged; a new one is drawn")
            }
            Line::BatchFailed { records, fault } => line(Warn, Spool, "batch_failed", "a batch could not be written")
                .with("records", Value::Number(*records))
                .caused_by(*fault),
            Line::BatchNotCut { segment, fault } => {
                line(Warn, Spool, "batch_not_cut", "the end of a failed batch cannot be cut off yet")
                    .with("segment", Value::Number(segment.get()))
                    .caused_by(*fault)
            }
            Line::SegmentWaits { segment, fault } => {
                line(Warn, Loader, "segment_waits", "a segment waits: the store did not take it")
                    .with("segment", Value::Number(segment.get()))
                    .caused_by(*fault)
            }
            Line::SegmentPassedOver { segment, attempts, fault } => {
                line(Error, Loader, "segment_passed_over", "a segment is passed over")
                    .with("segment", Value::Number(segment.get()))
                    .with("attempts", Value::Number(u64::from(*attempts)))
                    .caused_by(*fault)
            }
            Line::SegmentAside { segment, fault } => {
                line(Error, Spool, "segment_aside", "a segment is set aside: tuman spool list")
                    .with("segment", Value::Number(segment.get()))
                    .caused_by(*fault)
            }
            Line::SegmentsDiscarded { segments, events } => line(
                Error,
                Seal,
                "segments_discarded",
                "segments that were set aside went with the sealed day: their reports are lost",
            )
            .with("segments", Value::Number(*segments))
            .with("events", Value::Number(*events)),
            Line::AnswersDamaged { batches } => {
                line(Warn, Spool, "answers_damaged", "answers that were kept for retries are damaged")
                    .with("batches", Value::Number(*batches))
            }
            Line::RecordsCorrupt { segment, records } => {
                line(Error, Loader, "records_corrupt", "records failed their checksum: they are lost")
                    .with("segment", Value::Number(segment.get()))
                    .with("records", Value::Number(*records))
            }
            Line::TokensRepaired { tokens } => line(
                Warn,
                Store,
                "tokens_repaired",
                "insert tokens without rows: the last process was killed during an insert",
            )
            .with("tokens", Value::Number(*tokens)),
            Line::RowsLeft => line(
                Warn,
                Store,
                "rows_left",
                "a file of rows in the data folder could not be removed; the next start removes it",
            ),
            Line::DayDrained { day } => {
                line(Debug, Seal, "day_drained", "what was accepted is in the store").with("day", Value::Day(*day))
            }
            Line::DayCounted { day, took } => {
                line(Debug, Seal, "day_counted", "a day was counted, its noise is drawn")
                    .with("day", Value::Day(*day))
                    .with("seconds", Value::Took(*took))
            }
            Line::DaySealed { day, took } => line(Info, Seal, "day_sealed", "a day was sealed")
                .with("day", Value::Day(*day))
                .with("seconds", Value::Took(*took)),
            Line::DayNotSealed { day, fault } => line(Error, Seal, "day_not_sealed", "a day could not be sealed")
                .with("day", Value::Day(*day))
                .caused_by(*fault),
            Line::HoursSealed { day, hours, took } => {
                line(Info, Seal, "hours_sealed", "hours of an open day were sealed")
                    .with("day", Value::Day(*day))
                    .with("hours", Value::Number(*hours))
                    .with("seconds", Value::Took(*took))
            }
            Line::HoursNotSealed { fault } => {
                line(Error, Seal, "hours_not_sealed", "the hours of an open day could not be sealed")
                    .caused_by(*fault)
            }
            Line::DueUnknown { fault } => {
                line(Error, Seal, "due_unknown", "cannot see which days are due").caused_by(*fault)
            }
            Line::ReleasesDeleted { days } => {
                line(Info, Seal, "releases_deleted", "releases older than the retention are deleted")
                    .with("days", Value::Number(*days))
            }
            Line::ReleasesNotDeleted { fault } => {
                line(Error, Seal, "releases_not_deleted", "old releases could not be deleted").caused_by(*fault)
            }
            Line::KeysBehind { fault } => line(
                Warn,
                Seal,
                "keys_behind",
                "the shared state of keys, or its entries in the audit log, are behind",
            )
            .caused_by(*fault),
            Line::KeysNotEntered { fault } => {
                line(Warn, Audit, "keys_not_entered", "the audit log does not have all entries of keys yet")
                    .caused_by(*fault)
            }
            Line::AnchorDisputed => line(
                Error,
                Audit,
                "anchor_disputed",
                "the audit log is not the one of its anchor: tuman audit verify",
            ),
            Line::AnchorBehind { fault } => {
                line(Warn, Audit, "anchor_behind", "an entry of the audit log is not confirmed in its anchor")
                    .caused_by(*fault)
            }
            Line::CommandUnanswered { fault } => {
                line(Warn, Control, "command_unanswered", "a command was not answered").caused_by(*fault)
            }
            Line::ControlSocketFailed { fault } => {
                line(Warn, Control, "control_socket_failed", "the control socket failed").caused_by(*fault)
            }
            Line::Simulating { day } => {
                line(Info, Demo, "simulating", "simulating a day").with("day", Value::Day(*day))
            }
            Line::Simulated { events, took } => line(Info, Demo, "simulated", "the past is simulated")
                .with("events", Value::Number(*events))
                .with("seconds", Value::Took(*took)),
        }
    }
}

fn line(level: Level, part: Part, name: &'static str, text: &'static str) -> Declared {
    Declared { level, part, name, text, fields: Vec::new() }
}

impl Declared {
    fn with(mut self, field: &'static str, value: Value) -> Declared {
        self.fields.push((field, value));
        self
    }

    fn caused_by(self, fault: Fault) -> Declared {
        let said = self.with("cause", Value::Word(fault.cause().word()));
        match fault.number() {
            Some(number) => said.with("number", Value::Code(number)),
            None => said,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Number(number) => write!(f, "{number}"),
            Value::Took(took) => write!(f, "{:.3}", took.as_secs_f64()),
            Value::Day(day) => write!(f, "{day}"),
            Value::Word(word) => f.write_str(word),
            Value::Code(number) => write!(f, "{number}"),
            Value::Place(place) => f.write_str(place.text()),
            Value::Thread(thread) => f.write_str(thread.text()),
        }
    }
}

impl Value {
    /// Numbers as numbers, everything else as text.
    #[must_use]
    pub fn as_json(&self) -> Json {
        match self {
            Value::Number(number) => (*number).into(),
            Value::Took(took) => ((took.as_secs_f64() * 1e3).round() / 1e3).into(),
            Value::Code(number) => (*number).into(),
            Value::Day(_) | Value::Word(_) | Value::Place(_) | Value::Thread(_) => self.to_string().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Cause;

    const DOCUMENT: &str = include_str!("../../docs/logs.md");
    const SOURCE: &str = include_str!("line.rs");

    /// One of each line, with every field that it can have.
    fn one_of_each() -> Vec<Line> {
        let (day, took, segment) = (Date::MIN, Duration::from_secs(1), SegmentId::BEFORE_ALL);
        let fault = Fault::from(&std::io::Error::from_raw_os_error(libc::EIO));
        let (place, thread) = (Place::of(None), ThreadName::current());
        vec![
            Line::Collecting,
            Line::Stopping,
            Line::Stopped,
            Line::TakingOver,
            Line::TakeOverRefused,
            Line::NotTakenOver,
            Line::StopLate,
            Line::SpoolNotClosed,
            Line::SpoolNotEmptied,
            Line::Reloaded,
            Line::TokensReloaded,
            Line::ReloadRefused { unusable: Unusable::AuditLog },
            Line::CoreDumpsOn { fault },
            Line::ReportsNotForgotten { fault },
            Line::Panicked { place, thread },
            Line::MemoryNotLocked,
            Line::NoKey { fault },
            Line::QuestionFailed { fault },
            Line::WithdrawalFailed { fault },
            Line::ErasureNotBooked { fault },
            Line::SpoolRecovered { records: 1, corrupt: 0, torn_bytes: 0 },
            Line::SpoolRenamed,
            Line::BatchFailed { records: 1, fault },
            Line::BatchNotCut { segment, fault },
            Line::SegmentWaits { segment, fault },
            Line::SegmentPassedOver { segment, attempts: 1, fault },
            Line::SegmentAside { segment, fault },
            Line::SegmentsDiscarded { segments: 1, events: 1 },
            Line::AnswersDamaged { batches: 1 },
            Line::RecordsCorrupt { segment, records: 1 },
            Line::TokensRepaired { tokens: 1 },
            Line::RowsLeft,
            Line::DayDrained { day },
            Line::DayCounted { day, took },
            Line::DaySealed { day, took },
            Line::DayNotSealed { day, fault },
            Line::HoursSealed { day, hours: 1, took },
            Line::HoursNotSealed { fault },
            Line::DueUnknown { fault },
            Line::ReleasesDeleted { days: 1 },
            Line::ReleasesNotDeleted { fault },
            Line::KeysBehind { fault },
            Line::KeysNotEntered { fault },
            Line::AnchorDisputed,
            Line::AnchorBehind { fault },
            Line::CommandUnanswered { fault },
            Line::ControlSocketFailed { fault },
            Line::Simulating { day },
            Line::Simulated { events: 1, took },
        ]
    }

    #[test]
    fn the_document_has_every_line_and_no_other() {
        let lines: Vec<String> = one_of_each()
            .iter()
            .map(|line| {
                let said = line.declared();
                let fields: Vec<String> = said.fields.iter().map(|(name, _)| format!("`{name}`")).collect();
                let (level, part) = (said.level.word(), said.part.word());
                format!("| `{}` | {level} | {part} | {} | {} |", said.name, said.text, fields.join(", "))
                    .replace("|  |", "| |")
            })
            .collect();
        let document: Vec<&str> = rows_of("## Lines").collect();
        // What a row says besides, what to do about it, is free.
        for line in &lines {
            assert!(document.iter().any(|row| row.starts_with(line)), "docs/logs.md does not have\n{line}");
        }
        assert_eq!(document.len(), lines.len(), "docs/logs.md has lines that are not there");
        // Every arm of `declared` makes one line.
        let arms = SOURCE.split("fn declared").nth(1).unwrap().split("\nfn line").next().unwrap();
        assert_eq!(arms.matches("            Line::").count(), lines.len(), "a line is not in this test's list");
    }

    #[test]
    fn the_document_has_every_cause() {
        let document: Vec<&str> = rows_of("## Causes").collect();
        for cause in Cause::ALL {
            assert!(document.iter().any(|row| row.starts_with(&format!("| `{}` |", cause.word()))), "{cause:?}");
        }
        assert_eq!(document.len(), Cause::ALL.len());
    }

    /// The rows of the table below a heading.
    fn rows_of(heading: &str) -> impl Iterator<Item = &'static str> {
        let below = DOCUMENT.split(heading).nth(1).unwrap().split("\n## ").next().unwrap();
        below.lines().filter(|line| line.starts_with("| `"))
    }
}
