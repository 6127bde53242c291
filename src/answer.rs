//! The answer to a report: how many events were taken, and why the others were not.

use serde::Serialize;
use serde::ser::{SerializeSeq, SerializeStruct, Serializer};
use tuman_privacy::refusal::Refusal;

/// The body of a 202.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Events taken.
    pub accepted: u32,
    /// Events refused: index in the report, reason.
    pub refused: Vec<(u32, Refusal)>,
}

impl Answer {
    /// Appends the answer in its compact form: two u32, then five bytes per refusal, little-endian.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.accepted.to_le_bytes());
        let refused = u32::try_from(self.refused.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&refused.to_le_bytes());
        for (event, reason) in &self.refused {
            out.extend_from_slice(&event.to_le_bytes());
            out.push(*reason as u8);
        }
    }

    /// Reads an answer from the front of `bytes`; also what follows it.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<(Answer, &[u8])> {
        let (accepted, rest) = bytes.split_first_chunk::<4>()?;
        let (refused, mut rest) = rest.split_first_chunk::<4>()?;
        let n = u32::from_le_bytes(*refused) as usize;
        let mut refused = Vec::with_capacity(n.min(rest.len() / 5));
        for _ in 0..n {
            let (event, tail) = rest.split_first_chunk::<4>()?;
            let (reason, tail) = tail.split_first()?;
            refused.push((u32::from_le_bytes(*event), Refusal::from_number(*reason)?));
            rest = tail;
        }
        Some((Answer { accepted: u32::from_le_bytes(*accepted), refused }, rest))
    }
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut answer = serializer.serialize_struct("Answer", 2)?;
        answer.serialize_field("accepted", &self.accepted)?;
        answer.serialize_field("refused", &Refused(&self.refused))?;
        answer.end()
    }
}

struct Refused<'a>(&'a [(u32, Refusal)]);

impl Serialize for Refused<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Entry {
            event: u32,
            reason: &'static str,
        }
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for (event, reason) in self.0 {
            list.serialize_element(&Entry { event: *event, reason: reason.word() })?;
        }
        list.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_as_the_protocol_says() {
        let answer = Answer { accepted: 48, refused: vec![(3, Refusal::UnknownEvent)] };
        let body = serde_json::to_string(&answer).unwrap();
        assert_eq!(body, r#"{"accepted":48,"refused":[{"event":3,"reason":"unknown_event"}]}"#);
    }
}
