//! Keyed hashes of identifiers, and the keys of a day.
//!
//! A token is the first eight bytes of HMAC-SHA-256 under the key of the day over the app, the purpose, the kind and
//! the canonical identifier. With the key it says whether two events of one day, app and purpose are of one device;
//! without the key it says nothing, and the key is destroyed when the day is sealed.
//!
//! Guarantees: keys, states and tokens are redacted when printed and cannot be serialised; keys and states cannot be
//! copied and are wiped when dropped, as is every keyed hash state. Each lies on pages of its own ([`crate::secret`]),
//! so that moving one leaves no second copy behind and its keeper can lock it. The hash crates keep a padded copy of a
//! key on the stack while they set up a state: after each such act the stack below is overwritten, as well as safe
//! code can do it.
//!
//! Does not: draw random numbers, lock memory, write files, or know what day it is.

use core::fmt;

use hkdf::{Hkdf, HkdfExtract};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroize;

use crate::identifier::Canonical;
use crate::secret::{Keeper, Paged, Secret};

const TOKEN_DOMAIN: &[u8] = b"tuman/v1/device-token";
const DAY_KEY_INFO: &[u8] = b"tuman/v1/day-key";
const RATCHET_INFO: &[u8] = b"tuman/v1/ratchet";
const MIX_DOMAIN: &[u8] = b"tuman/v1/mix";
const CHECK_INFO: &[u8] = b"tuman/v1/check";

/// The secret of one local day.
pub struct DayKey {
    key: Secret,
}

impl DayKey {
    /// Takes a key out of `source`, which is left wiped. The bytes must be random: from the operating system, from
    /// the key's file, or from a [`Ratchet`].
    pub fn take(source: &mut [u8; 32]) -> DayKey {
        DayKey { key: take(source, None) }
    }

    /// As [`DayKey::take`], on pages in the care of `keeper`, as is every tokeniser of it.
    pub fn take_kept(source: &mut [u8; 32], keeper: &'static dyn Keeper) -> DayKey {
        DayKey { key: take(source, Some(keeper)) }
    }

    /// The key itself. For the key's own file and for tests against the vectors: it must go nowhere else.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        self.key.get()
    }
}

impl fmt::Debug for DayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DayKey(redacted)")
    }
}

/// What a token is for. The two tokens of one device cannot be joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Statistics of use; rows without a place.
    Usage,
    /// Statistics of places; rows without an event.
    Location,
}

impl Purpose {
    /// The name used in consents and in the token's input.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Purpose::Usage => "usage",
            Purpose::Location => "location",
        }
    }
}

/// Keyed hash of an identifier: one device, within one day, one app and one purpose.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(u64);

impl Token {
    /// The number that open rows hold.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
impl Token {
    /// A token out of nothing, for tests of what takes tokens.
    pub(crate) fn of_number(number: u64) -> Token {
        Token(number)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(redacted)")
    }
}

/// Makes the tokens of one day: the hash is keyed once, and copied for each token.
pub struct Tokeniser {
    keyed: Paged<KeyedHash>,
}

impl Tokeniser {
    /// Keys the hash with the key of the day, which can be dropped afterwards.
    #[must_use]
    pub fn new(key: &DayKey) -> Tokeniser {
        let mut keyed = Paged::vacant(key.key.keeper());
        set_up(&mut keyed, key.expose());
        wipe_stack();
        Tokeniser { keyed }
    }

    /// The token of an identifier for one app and purpose.
    ///
    /// Only the first 65,535 bytes of `app` count: the name comes from the catalogue, which keeps it far shorter.
    #[must_use]
    pub fn token(&self, app: &str, purpose: Purpose, id: &Canonical) -> Token {
        let parts: [&[u8]; 5] =
            [TOKEN_DOMAIN, app.as_bytes(), purpose.name().as_bytes(), id.kind().name().as_bytes(), id.expose()];
        let mut code = length_prefixed(self.keyed.get(), &parts);
        let mut first = [0; 8];
        for (to, from) in first.iter_mut().zip(&code) {
            *to = *from;
        }
        code.as_mut_slice().zeroize();
        Token(u64::from_be_bytes(first))
    }
}

impl fmt::Debug for Tokeniser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokeniser(redacted)")
    }
}

/// A chain of states from which several collectors derive the same day keys. A state leads to the keys of its own day
/// and of later ones, never back.
///
/// ```text
/// day key  = HKDF-Expand(S, "tuman/v1/day-key")
/// next S   = HKDF-Expand(S, "tuman/v1/ratchet")
/// mixed S  = HKDF-Extract(salt = S, "tuman/v1/mix" | entropy)
/// check    = HKDF-Expand(S, "tuman/v1/check"), its first 4 bytes
/// ```
pub struct Ratchet {
    state: Secret,
}

impl Ratchet {
    /// Takes a state out of `source`, which is left wiped.
    pub fn take(source: &mut [u8; 32]) -> Ratchet {
        Ratchet { state: take(source, None) }
    }

    /// As [`Ratchet::take`], on pages in the care of `keeper`, as are the states and keys that it leads to.
    pub fn take_kept(source: &mut [u8; 32], keeper: &'static dyn Keeper) -> Ratchet {
        Ratchet { state: take(source, Some(keeper)) }
    }

    /// The key of the state's day.
    #[must_use]
    pub fn day_key(&self) -> DayKey {
        DayKey { key: self.expand(DAY_KEY_INFO) }
    }

    /// Goes on to the next day. The state of the day before is wiped: its key cannot be derived again.
    pub fn advance(&mut self) {
        self.state = self.expand(RATCHET_INFO);
    }

    /// Mixes fresh entropy into the state, so that whoever had learned it loses the days to come. The result is as
    /// strong as the better of the two, and the old state is wiped. All collectors must mix in the same bytes at
    /// the same place of the chain. The fixed prefix keeps any `entropy` from acting as one of the other two
    /// derivations.
    pub fn mix(&mut self, entropy: &[u8]) {
        self.state = extract(&self.state, entropy);
        wipe_stack();
    }

    /// Four bytes by which people see that two collectors hold the same state. They say nothing of the state or of
    /// any key: it is one more branch of the same one-way derivation.
    #[must_use]
    pub fn check(&self) -> [u8; 4] {
        let whole = self.expand(CHECK_INFO);
        let [a, b, c, d, ..] = **whole.get();
        [a, b, c, d]
    }

    /// The state itself. For its own file and for tests against the vectors: it must go nowhere else.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        self.state.get()
    }

    fn expand(&self, info: &[u8]) -> Secret {
        let out = expand(&self.state, info);
        wipe_stack();
        out
    }
}

impl fmt::Debug for Ratchet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ratchet(redacted)")
    }
}

/// A hash that is keyed already; wiped when dropped.
pub(crate) type KeyedHash = Hmac<Sha256>;

/// The code of parts, each with its length before it, so that none can run into the next.
pub(crate) fn length_prefixed(keyed: &KeyedHash, parts: &[&[u8]]) -> hmac::digest::Output<Sha256> {
    #[cfg(test)]
    crate::work::hashed(parts);
    let mut hash = keyed.clone();
    for part in parts {
        let length = u16::try_from(part.len()).unwrap_or(u16::MAX);
        hash.update(&length.to_be_bytes());
        hash.update(part.get(..usize::from(length)).unwrap_or(part));
    }
    hash.finalize().into_bytes()
}

fn take(source: &mut [u8; 32], keeper: Option<&'static dyn Keeper>) -> Secret {
    let mut secret = Secret::empty(keeper);
    secret.bytes_mut().copy_from_slice(source);
    source.zeroize();
    secret
}

// The three functions that set up a keyed state are never inlined: what they leave on the stack then lies below their
// caller, where `wipe_stack` reaches it.

#[inline(never)]
pub(crate) fn set_up(keyed: &mut Paged<KeyedHash>, key: &[u8; 32]) {
    keyed.put(Hmac::new_from_slice(key).expect("HMAC takes keys of any length"));
}

#[inline(never)]
fn expand(state: &Secret, info: &[u8]) -> Secret {
    let mut out = Secret::empty(state.keeper());
    Hkdf::<Sha256>::from_prk(state.get().as_slice())
        .expect("a state has the 32 bytes that SHA-256 asks of a pseudorandom key")
        .expand(info, out.bytes_mut())
        .expect("32 bytes are within the limit of HKDF, 255 x 32");
    out
}

#[inline(never)]
fn extract(state: &Secret, entropy: &[u8]) -> Secret {
    let mut hash = HkdfExtract::<Sha256>::new(Some(state.get().as_slice()));
    hash.input_ikm(MIX_DOMAIN);
    hash.input_ikm(entropy);
    let (mut mixed, _) = hash.finalize();
    let mut out = Secret::empty(state.keeper());
    out.bytes_mut().copy_from_slice(mixed.as_slice());
    mixed.as_mut_slice().zeroize();
    out
}

/// Overwrites the stack below the caller, where the hash crates have left copies of a key.
#[inline(never)]
pub(crate) fn wipe_stack() {
    let mut stack = [0_u8; 4096];
    stack.zeroize();
}
