//! What was done by a token, and with one.

use serde::Serialize;

use super::names::TokenName;
use crate::access::{Grant, Role};

/// By which token, and what it is for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SignedIn {
    token: TokenName,
    role: Role,
}

impl SignedIn {
    /// By a token that is in force.
    #[must_use]
    pub fn by(grant: &Grant) -> SignedIn {
        SignedIn { token: TokenName::of(grant), role: grant.role }
    }
}

/// Which token came or went, and what it is for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TokenChanged {
    token: TokenName,
    role: Role,
}

impl TokenChanged {
    /// As the access file has it, or had it.
    #[must_use]
    pub fn of(grant: &Grant) -> TokenChanged {
        TokenChanged { token: TokenName::of(grant), role: grant.role }
    }
}
