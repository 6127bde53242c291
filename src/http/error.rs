//! The one mapping from what went wrong to a status: problem documents (RFC 9457) with stable codes.
//!
//! Guarantees: nothing of a request is ever in a problem document; every text is fixed.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde_json::json;
use tuman_privacy::anonymise::Rejection;
use tuman_privacy::report::ReportError;

use crate::ingest::IngestError;
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
    /// Too many requests at once.
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

    fn retry_after_s(self) -> Option<u32> {
        match self {
            Code::RateLimited => Some(1),
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

    /// A withdrawal with these fields wrong.
    pub(super) fn withdrawal(problems: Vec<stats::Problem>) -> Problem {
        Problem { code: Code::InvalidWithdrawal, field: None, problems }
    }
}

impl From<Code> for Problem {
    fn from(code: Code) -> Problem {
        Problem { code, field: None, problems: Vec::new() }
    }
}

impl From<Vec<stats::Problem>> for Problem {
    fn from(problems: Vec<stats::Problem>) -> Problem {
        Problem { code: Code::InvalidQuery, field: None, problems }
    }
}

impl From<IngestError> for Problem {
    fn from(error: IngestError) -> Problem {
        let code = match &error {
            IngestError::Report(ReportError::Malformed) => Code::MalformedJson,
            IngestError::Report(ReportError::NotAnObject) => {
                return Problem { code: Code::InvalidReport, field: Some(""), problems: Vec::new() };
            }
            IngestError::Report(ReportError::TooDeep) => Code::JsonTooDeep,
            IngestError::Report(ReportError::TooManyEvents) => Code::TooManyEvents,
            IngestError::Rejected(Rejection::Field(field)) => {
                return Problem { code: Code::InvalidReport, field: Some(*field), problems: Vec::new() };
            }
            IngestError::Rejected(Rejection::Identifier) => {
                return Problem { code: Code::InvalidIdentifier, field: Some("/device/ids"), problems: Vec::new() };
            }
            IngestError::Rejected(Rejection::NoOpenDay) => Code::ShuttingDown,
            IngestError::UnknownApp => Code::Forbidden,
            IngestError::Key(error) => {
                tracing::error!(%error, "no key for today: reports are not taken");
                Code::ShuttingDown
            }
            IngestError::Spool(AppendError::Full) => Code::SpoolFull,
            IngestError::Spool(AppendError::Overloaded) => Code::RateLimited,
            IngestError::Spool(AppendError::Sync) => Code::SpoolFailed,
            IngestError::Spool(AppendError::TooLarge) => Code::TooManyEvents,
            IngestError::Spool(AppendError::Closed) => Code::ShuttingDown,
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
            WithdrawalError::Load(_) | WithdrawalError::List(ListError::InUse) => Code::StoreUnavailable.into(),
            WithdrawalError::Interrupted => Code::ShuttingDown.into(),
            _ => {
                tracing::error!(%error, "a withdrawal could not be carried out");
                Code::Internal.into()
            }
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        tracing::error!(%error, "a question could not be answered");
        if error.is_transient() { Code::StoreUnavailable.into() } else { Code::Internal.into() }
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
        if let Some(seconds) = self.code.retry_after_s() {
            response.insert_header((RETRY_AFTER, seconds.to_string()));
        }
        response.body(body.to_string())
    }
}
