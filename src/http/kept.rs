//! Answers to questions of analysts, kept in the form in which they go out.
//!
//! Sealed days never change, so that the same question has the same answer until another day is sealed, or old ones are
//! deleted. Each answer is kept with the state of the releases that it was made of ([`crate::stats::state`]), and given
//! again while that is the state.
//!
//! Guarantees: no answer outlives its state; no more than [`MOST_BYTES`] are kept, the answers that were asked for last.
//! Does not: keep a question on its way from being asked twice at the same time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use sha2::{Digest, Sha256};

/// Most bytes that are kept.
pub const MOST_BYTES: usize = 64 << 20;

/// A whole answer.
#[derive(Debug, Clone)]
pub(super) struct Body {
    /// Its media type.
    kind: &'static str,
    bytes: Bytes,
    /// The entity tag, in quotes.
    tag: String,
}

impl Body {
    pub(super) fn new(kind: &'static str, bytes: Vec<u8>) -> Body {
        let tag = format!("\"{}\"", hex::encode(&Sha256::digest(&bytes)[..16]));
        Body { kind, bytes: bytes.into(), tag }
    }

    /// Whether the client has it.
    pub(super) fn is_known(&self, request: &HttpRequest) -> bool {
        is_known(request, &self.tag)
    }

    /// The response: without the body where the client has it.
    pub(super) fn response(self, request: &HttpRequest) -> HttpResponse {
        let is_known = self.is_known(request);
        let status = if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
        let mut response = HttpResponse::build(status);
        response.insert_header((CACHE_CONTROL, "private, no-cache")).insert_header((ETAG, self.tag));
        if is_known {
            return response.finish();
        }
        response.insert_header((CONTENT_TYPE, self.kind)).body(self.bytes)
    }
}

/// Whether the client has what goes by an entity tag, in quotes. A tag that is weak is the same: proxies that compress
/// make tags weak.
pub(super) fn is_known(request: &HttpRequest, tag: &str) -> bool {
    let known = request.headers().get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    known.split(',').map(str::trim).any(|known| known.strip_prefix("W/").unwrap_or(known) == tag)
}

/// The answers that are kept.
#[derive(Debug, Default)]
pub struct Kept(Mutex<Answers>);

#[derive(Debug, Default)]
struct Answers {
    bytes: usize,
    /// Counts up with each use.
    turn: u64,
    by_question: HashMap<String, Answer>,
}

#[derive(Debug)]
struct Answer {
    state: String,
    body: Body,
    used: u64,
}

impl Kept {
    /// The answer to a question, if it is of this state.
    pub(super) fn find(&self, question: &str, state: &str) -> Option<Body> {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answers.turn += 1;
        let turn = answers.turn;
        let answer = answers.by_question.get_mut(question).filter(|answer| answer.state == state)?;
        answer.used = turn;
        Some(answer.body.clone())
    }

    /// Keeps an answer; those that were not asked for the longest go.
    pub(super) fn keep(&self, question: String, state: String, body: Body) {
        // One that would drive out all others is not worth it.
        if body.bytes.len() > MOST_BYTES / 2 {
            return;
        }
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answers.turn += 1;
        answers.remove(&question);
        let answer = Answer { state, body, used: answers.turn };
        answers.bytes += answer.size(&question);
        answers.by_question.insert(question, answer);
        while answers.bytes > MOST_BYTES {
            let oldest = answers.by_question.iter().min_by_key(|(_, answer)| answer.used);
            let Some(oldest) = oldest.map(|(question, _)| question.clone()) else { return };
            answers.remove(&oldest);
        }
    }
}

impl Answers {
    fn remove(&mut self, question: &str) {
        if let Some(answer) = self.by_question.remove(question) {
            self.bytes -= answer.size(question);
        }
    }
}

impl Answer {
    /// Bytes that it takes, with a guess at what keeping it costs.
    fn size(&self, question: &str) -> usize {
        self.body.bytes.len() + question.len() + self.state.len() + 300
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(bytes: usize) -> Body {
        Body::new("application/json", vec![b'x'; bytes])
    }

    #[test]
    fn what_a_client_has_is_known_by_its_whole_tag() {
        let knows = |header: &str| {
            let request = actix_web::test::TestRequest::default().insert_header((IF_NONE_MATCH, header));
            is_known(&request.to_http_request(), "\"ab\"")
        };
        for header in ["\"ab\"", "W/\"ab\"", "\"cd\", W/\"ab\"", "\"cd\",\"ab\""] {
            assert!(knows(header), "{header}");
        }
        for header in ["", "ab", "\"abc\"", "x\"ab\"y", "W/W/\"ab\""] {
            assert!(!knows(header), "{header}");
        }
    }

    #[test]
    fn an_answer_is_given_again_until_its_state_is_another() {
        let kept = Kept::default();
        assert!(kept.find("q", "1").is_none());
        kept.keep("q".into(), "1".into(), body(3));
        assert_eq!(kept.find("q", "1").unwrap().bytes, body(3).bytes);
        assert!(kept.find("q", "2").is_none());
        kept.keep("q".into(), "2".into(), body(4));
        assert!(kept.find("q", "1").is_none());
        assert_eq!(kept.find("q", "2").unwrap().bytes.len(), 4);
        assert_eq!(kept.0.lock().unwrap().bytes, 4 + 1 + 1 + 300);
    }

    #[test]
    fn what_was_asked_for_last_stays() {
        let kept = Kept::default();
        let third = MOST_BYTES / 3;
        for question in ["a", "b"] {
            kept.keep(question.into(), "1".into(), body(third));
        }
        assert!(kept.find("a", "1").is_some());
        kept.keep("c".into(), "1".into(), body(third));
        let is_there = ["a", "b", "c"].map(|question| kept.find(question, "1").is_some());
        assert_eq!(is_there, [true, false, true]);
        kept.keep("d".into(), "1".into(), body(MOST_BYTES / 2 + 1));
        assert!(kept.find("d", "1").is_none(), "too large to be kept");
        assert!(kept.find("a", "1").is_some());
    }
}
