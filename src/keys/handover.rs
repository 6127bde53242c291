//! What one collector of a group hands another: encrypted with age to a one-time key of the receiver, armoured.
//!
//! The plaintext, with numbers in big-endian order:
//!
//! ```text
//! "tumanho" | version 1 | kind 1 offer, 2 mix | group 8 | length of zone 1 | zone | day 2
//! of an offer: key of the day 32 | state of the next day 32
//! number of mixes 1 | for each: day 2, entropy 32
//! ```
//!
//! Guarantees: what is taken in is whole, of this version and of plausible days; an error says what is wrong and shows
//! nothing of what was read. age authenticates the text as it was encrypted, and not who encrypted it: whoever knows the
//! recipient can make a hand-over, so that the recipient and the text must be passed on by hand, between people who know
//! each other.
//! Does not: decide whether group, day and zone are the right ones.

use std::io::{Read, Write};

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::secrecy::ExposeSecret;
use age::x25519;
use sha2::{Digest, Sha256};
use tuman_privacy::time::Day;
use zeroize::Zeroizing;

use super::shared::AHEAD;

const MAGIC: &[u8] = b"tumanho";
const VERSION: u8 = 1;
const OFFER: u8 = 1;
const MIX: u8 = 2;
/// A longer text is no hand-over: offers with all the entropy that there can be are far shorter.
pub const LONGEST: usize = 32 << 10;
/// The plaintext of the longest one: 255 mixes.
const LONGEST_PLAINTEXT: u64 = 16 << 10;

/// Why a hand-over cannot be used, or not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandoverError {
    /// No recipient.
    #[error("a recipient is what `tuman keys join request` prints: age1 and 58 letters and digits")]
    NotARecipient,
    /// Nobody to encrypt to.
    #[error("name at least one recipient with --to")]
    NoRecipient,
    /// No request waits.
    #[error("no request waits here: run `tuman keys join request`, and have the hand-over made to what it prints")]
    NoRequest,
    /// Not an armoured file.
    #[error("this is no hand-over: give the whole text, from -----BEGIN AGE ENCRYPTED FILE----- to the END line")]
    NotAFile,
    /// Encrypted to someone else.
    #[error("it is encrypted to another request: have it made to what `tuman keys join request` prints here now")]
    NotForUs,
    /// Changed, cut, or of another form.
    #[error("it is damaged: it was changed or cut on its way, or is not Tuman's")]
    Damaged,
    /// Another version.
    #[error("it is of another version of Tuman: run the same version on all collectors of the group")]
    Version,
    /// An offer where a mix belongs, or the other way round.
    #[error("it is a hand-over of the other kind: `keys join` makes a member, `keys mix` brings fresh entropy")]
    WrongKind,
    /// Another zone.
    #[error("it is of a collector whose days begin elsewhere: privacy.zone must be the same in the whole group")]
    WrongZone,
    /// Another day.
    #[error("it was not made today: an offer holds for the day on which it is made; have a new one made")]
    WrongDay,
    /// Another group.
    #[error("it is of another group of collectors")]
    WrongGroup,
    /// The age crate could not encrypt.
    #[error("it could not be encrypted")]
    NotEncrypted,
}

/// Fresh entropy for a day.
pub(super) struct Mix {
    pub(super) day: Day,
    pub(super) entropy: Zeroizing<[u8; 32]>,
}

/// What is handed over.
pub(super) struct Handover {
    pub(super) group: [u8; 8],
    pub(super) zone: String,
    /// Of an offer, the day on which it was made; of a mix, the day that it is for.
    pub(super) day: Day,
    pub(super) content: Content,
    pub(super) mixes: Vec<Mix>,
}

/// Of which kind it is.
pub(super) enum Content {
    /// For a new member.
    Offer {
        /// The key of the day.
        key: Zeroizing<[u8; 32]>,
        /// The state of the next day.
        state: Zeroizing<[u8; 32]>,
    },
    /// For all members.
    Mix,
}

/// The one-time key of a receiver.
pub(super) struct Identity(x25519::Identity);

impl Identity {
    pub(super) fn generate() -> Identity {
        Identity(x25519::Identity::generate())
    }

    /// From its file.
    pub(super) fn read(bytes: &[u8; 74]) -> Option<Identity> {
        std::str::from_utf8(bytes).ok()?.parse().ok().map(Identity)
    }

    /// For its file, and nowhere else.
    pub(super) fn expose(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.to_string().expose_secret().as_bytes().to_vec())
    }

    pub(super) fn recipient(&self) -> String {
        self.0.to_public().to_string()
    }
}

/// The public half, to which others encrypt.
pub(super) struct Recipient(x25519::Recipient);

impl Recipient {
    pub(super) fn parse(text: &str) -> Result<Recipient, HandoverError> {
        text.trim().parse().map(Recipient).map_err(|_| HandoverError::NotARecipient)
    }

    /// By which the records of both sides can be compared. Of a public key that is used once.
    pub(super) fn fingerprint(&self) -> String {
        hex::encode(&Sha256::digest(self.0.to_string().as_bytes())[..8])
    }
}

impl Handover {
    /// The armoured text.
    pub(super) fn encrypt(&self, to: &[Recipient]) -> Result<String, HandoverError> {
        if to.is_empty() {
            return Err(HandoverError::NoRecipient);
        }
        let recipients = to.iter().map(|to| &to.0 as &dyn age::Recipient);
        let encryptor = age::Encryptor::with_recipients(recipients).map_err(|_| HandoverError::NotEncrypted)?;
        let encrypt = || -> std::io::Result<Vec<u8>> {
            let armour = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?;
            let mut out = encryptor.wrap_output(armour)?;
            out.write_all(&self.plaintext())?;
            out.finish()?.finish()
        };
        let armoured = encrypt().map_err(|_| HandoverError::NotEncrypted)?;
        String::from_utf8(armoured).map_err(|_| HandoverError::NotEncrypted)
    }

    /// Reads an armoured text.
    pub(super) fn decrypt(text: &str, identity: &Identity) -> Result<Handover, HandoverError> {
        if text.len() > LONGEST || !text.trim_start().starts_with("-----BEGIN AGE ENCRYPTED FILE-----") {
            return Err(HandoverError::NotAFile);
        }
        let armour = ArmoredReader::new(text.trim().as_bytes());
        let decryptor = age::Decryptor::new_buffered(armour).map_err(|_| HandoverError::NotAFile)?;
        let reader =
            decryptor.decrypt(std::iter::once(&identity.0 as &dyn age::Identity)).map_err(|error| match error {
                age::DecryptError::NoMatchingKeys => HandoverError::NotForUs,
                _ => HandoverError::Damaged,
            })?;
        // Large enough from the start, so that no half-filled copy is left behind by growing.
        let mut plaintext = Zeroizing::new(Vec::with_capacity(LONGEST_PLAINTEXT as usize + 64));
        reader.take(LONGEST_PLAINTEXT).read_to_end(&mut plaintext).map_err(|_| HandoverError::Damaged)?;
        Handover::parse(&plaintext)
    }

    fn plaintext(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(LONGEST_PLAINTEXT as usize));
        out.extend_from_slice(MAGIC);
        let kind = if matches!(self.content, Content::Mix) { MIX } else { OFFER };
        out.extend_from_slice(&[VERSION, kind]);
        out.extend_from_slice(&self.group);
        let zone = self.zone.as_bytes();
        // Names of zones are short, and there are fewer mixes than days ahead times members.
        out.push(u8::try_from(zone.len()).unwrap_or(u8::MAX));
        out.extend_from_slice(zone);
        out.extend_from_slice(&self.day.0.to_be_bytes());
        if let Content::Offer { key, state } = &self.content {
            out.extend_from_slice(key.as_slice());
            out.extend_from_slice(state.as_slice());
        }
        out.push(u8::try_from(self.mixes.len()).unwrap_or(u8::MAX));
        for mix in self.mixes.iter().take(usize::from(u8::MAX)) {
            out.extend_from_slice(&mix.day.0.to_be_bytes());
            out.extend_from_slice(mix.entropy.as_slice());
        }
        out
    }

    fn parse(plaintext: &[u8]) -> Result<Handover, HandoverError> {
        let mut rest = Rest(plaintext);
        if rest.take(MAGIC.len())? != MAGIC {
            return Err(HandoverError::Damaged);
        }
        let [version, kind] = rest.array()?;
        if version != VERSION {
            return Err(HandoverError::Version);
        }
        let group = rest.array()?;
        let [length] = rest.array()?;
        let zone = String::from_utf8(rest.take(length.into())?.to_vec()).map_err(|_| HandoverError::Damaged)?;
        let day = Day(u16::from_be_bytes(rest.array()?));
        let content = match kind {
            OFFER => Content::Offer { key: rest.secret()?, state: rest.secret()? },
            MIX => Content::Mix,
            _ => return Err(HandoverError::Version),
        };
        let [number] = rest.array()?;
        let mut mixes = Vec::with_capacity(number.into());
        for _ in 0..number {
            mixes.push(Mix { day: Day(u16::from_be_bytes(rest.array()?)), entropy: rest.secret()? });
        }
        let fits = |mix: &Mix| match content {
            // Of an offer, for days to come; of a mix, for its day.
            Content::Offer { .. } => mix.day > day && mix.day.0 - day.0 <= AHEAD,
            Content::Mix => mix.day == day,
        };
        let has_content = matches!(content, Content::Offer { .. }) || !mixes.is_empty();
        if !rest.0.is_empty() || !has_content || !mixes.iter().all(fits) {
            return Err(HandoverError::Damaged);
        }
        Ok(Handover { group, zone, day, content, mixes })
    }
}

/// What is still to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], HandoverError> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(HandoverError::Damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], HandoverError> {
        self.take(N)?.try_into().map_err(|_| HandoverError::Damaged)
    }

    fn secret(&mut self) -> Result<Zeroizing<[u8; 32]>, HandoverError> {
        let mut secret = Zeroizing::new([0; 32]);
        secret.copy_from_slice(self.take(32)?);
        Ok(secret)
    }
}
