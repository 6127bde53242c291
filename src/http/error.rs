//! The one mapping from what went wrong to a status: problem documents (RFC 9457) with stable codes.
//!
//! Guarantees: nothing of a request is ever in a problem document; every text is fixed.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use rand::RngExt;
use serde_json::json;
use tuman_privacy::anonymise::Rejection;
use tuman_privacy::report::ReportError;

use crate::audit::AuditError;
use crate::ingest::IngestError;
use crate::log::Line;
use crate::metrics::Metric;
use crate::spool::AppendError;
use crate::withdrawal::{ListError, WithdrawalError};
use crate::{stats, store::StoreError};

/// What a client is told.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.code.word())]
pub struct Problem {
    code: Code,
    field: Option<&'static str>,
    problems: Vec<stats::Problem>,
    wait: Duration,
}

/// The stable codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The body is not JSON.
    MalformedJson,
    /// The JSON nests too deeply.
    JsonTooDeep,
    /// The body does not decompress.
    BadEncoding,
    /// No token, an unknown one, or one of another role.
    Unauthorized,
    /// The token is for something else.
    Forbidden,
    /// No such path.
    NotFound,
    /// The path has no such method.
    MethodNotAllowed,
    /// The request came too slowly.
    RequestTimeout,
    /// The body is too large.
    BodyTooLarge,
    /// The decompressed body is too large.
    DecompressedTooLarge,
    /// Too many events.
    TooManyEvents,
    /// Not JSON by its `Content-Type`.
    UnsupportedMediaType,
    /// An unknown `Content-Encoding`.
    UnsupportedEncoding,
    /// A required field is missing or of the wrong type.
    InvalidReport,
    /// An identifier is not of its kind.
    InvalidIdentifier,
    /// A question has wrong parameters.
    InvalidQuery,
    /// A withdrawal has wrong fields.
    InvalidWithdrawal,
    /// The case of a withdrawal stands for something else.
    CaseConflict,
    /// Too many requests of one key or address, or of all together.
    RateLimited,
    /// The spool holds as much as it may.
    SpoolFull,
    /// The spool could not write and sync.
    SpoolFailed,
    /// The collector is stopping, or its day is not open.
    ShuttingDown,
    /// The store does not answer.
    StoreUnavailable,
    /// Something else; it is in the log.
    Internal,
}

impl Code {
    /// All codes.
    pub const ALL: [Code; 24] = [
        Code::MalformedJson,
        Code::JsonTooDeep,
        Code::BadEncoding,
        Code::Unauthorized,
        Code::Forbidden,
        Code::NotFound,
        Code::MethodNotAllowed,
        Code::RequestTimeout,
        Code::BodyTooLarge,
        Code::DecompressedTooLarge,
        Code::TooManyEvents,
        Code::UnsupportedMediaType,
        Code::UnsupportedEncoding,
        Code::InvalidReport,
        Code::InvalidIdentifier,
        Code::InvalidQuery,
        Code::InvalidWithdrawal,
        Code::CaseConflict,
        Code::RateLimited,
        Code::SpoolFull,
        Code::SpoolFailed,
        Code::ShuttingDown,
        Code::StoreUnavailable,
        Code::Internal,
    ];

    /// The word of the protocol.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.declaration().0
    }

    /// The status it comes with.
    #[must_use]
    pub fn status(self) -> StatusCode {
        self.declaration().1
    }

    fn declaration(self) -> (&'static str, StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Code::MalformedJson => ("malformed_json", S::BAD_REQUEST, "The body is not a JSON object in UTF-8."),
            Code::JsonTooDeep => ("json_too_deep", S::BAD_REQUEST, "The JSON document nests too deeply."),
            Code::BadEncoding => ("bad_encoding", S::BAD_REQUEST, "The body does not decompress."),
            Code::Unauthorized => ("unauthorized", S::UNAUTHORIZED, "A valid bearer token for this path is needed."),
            Code::Forbidden => ("forbidden", S::FORBIDDEN, "The app of this key has no catalogue at this collector."),
            Code::NotFound => ("not_found", S::NOT_FOUND, "There is nothing at this path."),
            Code::MethodNotAllowed => ("method_not_allowed", S::METHOD_NOT_ALLOWED, "This path has other methods."),
            Code::RequestTimeout => ("request_timeout", S::REQUEST_TIMEOUT, "The request came too slowly."),
            Code::BodyTooLarge => {
                ("body_too_large", S::PAYLOAD_TOO_LARGE, "The body is over the limit: send smaller reports.")
            }
            Code::DecompressedTooLarge => (
                "decompressed_too_large",
                S::PAYLOAD_TOO_LARGE,
                "The decompressed body is over the limit: send smaller reports.",
            ),
            Code::TooManyEvents => {
                ("too_many_events", S::PAYLOAD_TOO_LARGE, "The report holds too many events: split it.")
            }
            Code::UnsupportedMediaType => {
                ("unsupported_media_type", S::UNSUPPORTED_MEDIA_TYPE, "The Content-Type must be application/json.")
            }
            Code::UnsupportedEncoding => (
                "unsupported_encoding",
                S::UNSUPPORTED_MEDIA_TYPE,
                "The Content-Encoding must be gzip, zstd or identity.",
            ),
            Code::InvalidReport => {
                ("invalid_report", S::UNPROCESSABLE_ENTITY, "The field is missing or of the wrong type.")
            }
            Code::InvalidIdentifier => {
                ("invalid_identifier", S::UNPROCESSABLE_ENTITY, "An identifier is not of its declared kind.")
            }
            Code::InvalidQuery => ("invalid_query", S::UNPROCESSABLE_ENTITY, "The question has wrong parameters."),
            Code::InvalidWithdrawal => {
                ("invalid_withdrawal", S::UNPROCESSABLE_ENTITY, "The withdrawal has wrong fields; nothing was done.")
            }
            Code::CaseConflict => (
                "case_conflict",
                S::CONFLICT,
                "The case is registered with another day of receipt or another app, or is answered; nothing was done.",
            ),
            Code::RateLimited => ("rate_limited", S::TOO_MANY_REQUESTS, "Too much at once: try again later."),
            Code::SpoolFull => {
                ("spool_full", S::SERVICE_UNAVAILABLE, "The collector's disk queue is full: try again later.")
            }
            Code::SpoolFailed => (
                "spool_failed",
                S::SERVICE_UNAVAILABLE,
                "The collector could not write to its disk: try again later.",
            ),
            Code::ShuttingDown => (
                "shutting_down",
                S::SERVICE_UNAVAILABLE,
                "The collector is stopping, or has no open day: try again later.",
            ),
            Code::StoreUnavailable => {
                ("store_unavailable", S::SERVICE_UNAVAILABLE, "The store does not answer: try again later.")
            }
            Code::Internal => {
                ("internal", S::INTERNAL_SERVER_ERROR, "Something went wrong; the operator finds it in the log.")
            }
        }
    }

    /// After how many seconds it makes sense to try again, at the soonest.
    fn retry_after_s(self) -> Option<u64> {
        match self {
            Code::RateLimited => Some(1),
            // The longest pause of the loader between two attempts.
            Code::SpoolFull => Some(30),
            Code::SpoolFailed | Code::ShuttingDown | Code::StoreUnavailable => Some(5),
            _ => None,
        }
    }
}

impl Problem {
    /// Its code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// Too many requests: the next one is taken after `wait`.
    #[must_use]
    pub fn limited(wait: Duration) -> Problem {
        Problem { wait, ..Code::RateLimited.into() }
    }

    /// There is no memory for a body now.
    #[must_use]
    pub fn no_room() -> Problem {
        Metric::ShedBodies.add(1);
        Code::RateLimited.into()
    }

    fn of_field(code: Code, field: &'static str) -> Problem {
        Problem { field: Some(field), ..code.into() }
    }

    /// Seconds until it makes sense to try again. Longer by up to as much again, at random: all who are told at one
    /// moment must not come back at one moment.
    fn retry_after_s(&self) -> Option<u64> {
        let wait_s = self.wait.as_secs() + u64::from(self.wait.subsec_nanos() > 0);
        let least = self.code.retry_after_s()?.max(wait_s);
        Some(least + rand::rng().random_range(0..=least.max(2)))
    }

    /// The field that it is about.
    #[must_use]
    pub fn field(&self) -> Option<&'static str> {
        self.field
    }

    /// A withdrawal with these fields wrong.
    pub(super) fn withdrawal(problems: Vec<stats::Problem>) -> Problem {
        Problem { problems, ..Code::InvalidWithdrawal.into() }
    }
}

impl From<Code> for Problem {
    fn from(code: Code) -> Problem {
        Problem { code, field: None, problems: Vec::new(), wait: Duration::ZERO }
    }
}

impl From<Vec<stats::Problem>> for Problem {
    fn from(problems: Vec<stats::Problem>) -> Problem {
        Problem { problems, ..Code::InvalidQuery.into() }
    }
}

impl From<IngestError> for Problem {
    fn from(error: IngestError) -> Problem {
        let code = match &error {
            IngestError::Report(ReportError::Malformed) => Code::MalformedJson,
            IngestError::Report(ReportError::NotAnObject) => {
                return Problem::of_field(Code::InvalidReport, "");
            }
            IngestError::Report(ReportError::TooDeep) => Code::JsonTooDeep,
            IngestError::Report(ReportError::TooManyEvents) => Code::TooManyEvents,
            IngestError::Rejected(Rejection::Field(field)) => {
                return Problem::of_field(Code::InvalidReport, field);
            }
            IngestError::Rejected(Rejection::Identifier) => {
                return Problem::of_field(Code::InvalidIdentifier, "/device/ids");
            }
            IngestError::Rejected(Rejection::NoOpenDay) => Code::ShuttingDown,
            IngestError::UnknownApp => Code::Forbidden,
            IngestError::Key(error) => {
                Line::NoKey { fault: error.into() }.write();
                Code::ShuttingDown
            }
            IngestError::Spool(error) => return (*error).into(),
        };
        code.into()
    }
}

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Problem {
        let code = match error {
            AppendError::Full => {
                Metric::ShedSpool.add(1);
                Code::SpoolFull
            }
            AppendError::Overloaded => {
                Metric::ShedQueue.add(1);
                Code::RateLimited
            }
            AppendError::Sync => Code::SpoolFailed,
            AppendError::TooLarge => Code::TooManyEvents,
            AppendError::Closed => Code::ShuttingDown,
        };
        code.into()
    }
}

impl From<WithdrawalError> for Problem {
    fn from(error: WithdrawalError) -> Problem {
        let wrong = |parameter| {
            let detail = error.to_string();
            Problem::withdrawal(vec![stats::Problem { parameter: Some(parameter), detail }])
        };
        match error {
            WithdrawalError::UnknownApp => wrong("app"),
            WithdrawalError::Received => wrong("received"),
            WithdrawalError::Conflict => Code::CaseConflict.into(),
            WithdrawalError::Store(error) => error.into(),
            WithdrawalError::Audit(error) => error.into(),
            WithdrawalError::Load(_) | WithdrawalError::List(ListError::InUse) => Code::StoreUnavailable.into(),
            WithdrawalError::Interrupted => Code::ShuttingDown.into(),
            _ => {
                Line::WithdrawalFailed { fault: (&error).into() }.write();
                Code::Internal.into()
            }
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        Line::QuestionFailed { fault: (&error).into() }.write();
        if error.is_transient() { Code::StoreUnavailable.into() } else { Code::Internal.into() }
    }
}

impl From<AuditError> for Problem {
    fn from(error: AuditError) -> Problem {
        match error {
            AuditError::Store(error) => error.into(),
            AuditError::Anchor(error) => {
                Line::QuestionFailed { fault: (&error).into() }.write();
                Code::StoreUnavailable.into()
            }
        }
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }

    fn error_response(&self) -> HttpResponse {
        let (word, status, detail) = self.code.declaration();
        let mut body = json!({
            "type": format!("/problems/{word}"),
            "title": status.canonical_reason().unwrap_or_default(),
            "status": status.as_u16(),
            "code": word,
            "detail": detail,
        });
        if let Some(body) = body.as_object_mut() {
            if let Some(field) = self.field {
                body.insert("field".into(), field.into());
            }
            if !self.problems.is_empty() {
                body.insert("problems".into(), json!(self.problems));
            }
        }
        let mut response = HttpResponse::build(status);
        response.content_type("application/problem+json").insert_header((CACHE_CONTROL, "no-store"));
        if self.code == Code::Unauthorized {
            response.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        if let Some(seconds) = self.retry_after_s() {
            response.insert_header((RETRY_AFTER, seconds.to_string()));
        }
        response.body(body.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_told_to_come_before_it_makes_sense_and_not_all_at_once() {
        for (problem, least, most) in [
            (Problem::limited(Duration::from_millis(20)), 1, 3),
            (Problem::limited(Duration::from_millis(7_001)), 8, 16),
            (Problem::from(Code::SpoolFull), 30, 60),
        ] {
            let told: std::collections::BTreeSet<u64> = (0..500).filter_map(|_| problem.retry_after_s()).collect();
            assert_eq!((told.first(), told.last()), (Some(&least), Some(&most)));
        }
        assert_eq!(Problem::from(Code::Unauthorized).retry_after_s(), None);
    }
}
