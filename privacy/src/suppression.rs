//! The suppression list: devices whose owners have withdrawn, without their identifiers.
//!
//! A tag is a keyed hash of an identifier, cut to so few bits that many devices share it:
//!
//! ```text
//! tag = first n bits of HMAC-SHA-256(suppression key, LP("tuman/v1/suppression-tag") | LP(kind) | LP(canonical))
//! LP(x) = length of x as u16 big-endian, then x
//! ```
//!
//! Under a key of its own: a tag cannot be held against a token of any day. Whoever holds list and key can tell that an
//! identifier may be on the list, never that it is: others have its tag too. Those others are dropped as well; how
//! many is the price, and [`TagBits`] is where it is set.
//!
//! Guarantees: keys and tags are redacted when printed; the keyed state is wiped when dropped. A lookup reads one word
//! of a bitmap, whatever is on the list, so that its time tells nothing.
//!
//! Does not: draw keys, keep files, or know who withdrew, when, and from which app.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use zeroize::Zeroize;

use crate::identifier::Canonical;
use crate::secret::{Keeper, Paged};
use crate::token::{KeyedHash, length_prefixed, set_up, wipe_stack};

const TAG_DOMAIN: &[u8] = b"tuman/v1/suppression-tag";

/// How many bits a tag has.
///
/// With n bits, one other device in 2^n shares a given tag. More bits drop fewer others and hide the withdrawn one among
/// fewer: beyond 24 even a fleet of tens of millions has hardly two devices to a tag, which would make it an identifier.
/// Below 12 each tag costs more than one device in 4,096.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TagBits(u8);

impl TagBits {
    /// The fewest.
    pub const FEWEST: u8 = 12;
    /// The most.
    pub const MOST: u8 = 24;

    /// So many bits, where that is within the limits.
    #[must_use]
    pub fn new(bits: u8) -> Option<TagBits> {
        (TagBits::FEWEST..=TagBits::MOST).contains(&bits).then_some(TagBits(bits))
    }

    /// The number of bits.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }

    /// How many tags there can be.
    #[must_use]
    pub fn tags(self) -> u32 {
        1 << self.0
    }
}

/// A keyed and cut hash of an identifier.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(u32);

impl Tag {
    /// A tag that was read back from the list; `None` where it is none of so many bits.
    #[must_use]
    pub fn read(number: u32, bits: TagBits) -> Option<Tag> {
        (number < bits.tags()).then_some(Tag(number))
    }

    /// The number that the list holds.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }

    /// The tag that the same identifier has with fewer bits: its first ones.
    #[must_use]
    pub fn cut(self, from: TagBits, to: TagBits) -> Tag {
        Tag(self.0 >> from.0.saturating_sub(to.0))
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tag(redacted)")
    }
}

/// Makes tags under one key: the hash is keyed once, and copied for each tag.
pub struct Tagger {
    keyed: Paged<KeyedHash>,
    bits: TagBits,
}

impl Tagger {
    /// Keys the hash with the suppression key, which is left wiped. The key must be random.
    pub fn take(key: &mut [u8; 32], bits: TagBits) -> Tagger {
        Tagger::keyed(key, bits, None)
    }

    /// As [`Tagger::take`], on pages in the care of `keeper`.
    pub fn take_kept(key: &mut [u8; 32], bits: TagBits, keeper: &'static dyn Keeper) -> Tagger {
        Tagger::keyed(key, bits, Some(keeper))
    }

    fn keyed(key: &mut [u8; 32], bits: TagBits, keeper: Option<&'static dyn Keeper>) -> Tagger {
        let mut keyed = Paged::vacant(keeper);
        set_up(&mut keyed, key);
        key.zeroize();
        wipe_stack();
        Tagger { keyed, bits }
    }

    /// How many bits its tags have.
    #[must_use]
    pub fn bits(&self) -> TagBits {
        self.bits
    }

    /// The tag of an identifier.
    #[must_use]
    pub fn tag(&self, id: &Canonical) -> Tag {
        let mut code = length_prefixed(self.keyed.get(), &[TAG_DOMAIN, id.kind().name().as_bytes(), id.expose()]);
        let mut first = [0; 4];
        for (to, from) in first.iter_mut().zip(&code) {
            *to = *from;
        }
        code.as_mut_slice().zeroize();
        Tag(u32::from_be_bytes(first) >> (32 - u32::from(self.bits.0)))
    }
}

impl fmt::Debug for Tagger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tagger(redacted)")
    }
}

/// The tags that hold for the reports of one app.
pub struct Suppressed {
    tagger: Arc<Tagger>,
    /// A bit for each tag that there can be: at most 2 MiB.
    marks: Vec<u64>,
}

impl Suppressed {
    /// The list of these tags.
    #[must_use]
    pub fn new(tagger: Arc<Tagger>, tags: impl IntoIterator<Item = Tag>) -> Suppressed {
        let words = usize::try_from(tagger.bits.tags() / 64).unwrap_or(0);
        let mut marks = vec![0_u64; words];
        for tag in tags {
            if let Some(word) = marks.get_mut(index(tag)) {
                *word |= 1 << (tag.0 % 64);
            }
        }
        Suppressed { tagger, marks }
    }

    /// True where the identifier's tag is on the list: of a withdrawn device, or of one that shares its tag.
    #[must_use]
    pub fn holds(&self, id: &Canonical) -> bool {
        let tag = self.tagger.tag(id);
        let word = self.marks.get(index(tag)).copied().unwrap_or_default();
        word >> (tag.0 % 64) & 1 == 1
    }
}

impl fmt::Debug for Suppressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Suppressed(redacted)")
    }
}

/// The word of the bitmap that a tag's bit is in.
fn index(tag: Tag) -> usize {
    usize::try_from(tag.0 / 64).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identifier::{Kind, canonicalise};
    use std::format;

    fn tagger(bits: u8) -> Arc<Tagger> {
        Arc::new(Tagger::take(&mut [7; 32], TagBits::new(bits).unwrap()))
    }

    #[test]
    fn only_sensible_numbers_of_bits_are_taken() {
        assert!(TagBits::new(11).is_none() && TagBits::new(25).is_none());
        assert_eq!(TagBits::new(20).unwrap().tags(), 1 << 20);
    }

    #[test]
    fn the_key_is_wiped_where_it_was_taken_from_and_nothing_is_printed() {
        let mut key = [7; 32];
        let tagger = Tagger::take(&mut key, TagBits::new(20).unwrap());
        assert_eq!(key, [0; 32]);
        let tag = tagger.tag(&canonicalise(Kind::Imei, "490154203237518").unwrap());
        let list = Suppressed::new(Arc::new(tagger), [tag]);
        assert_eq!(format!("{tag:?} {list:?}"), "Tag(redacted) Suppressed(redacted)");
    }

    #[test]
    fn fewer_bits_are_the_first_of_more() {
        let id = canonicalise(Kind::Imei, "490154203237518").unwrap();
        let (long, short) = (TagBits::new(24).unwrap(), TagBits::new(12).unwrap());
        assert_eq!(tagger(24).tag(&id).cut(long, short), tagger(12).tag(&id));
        assert!(Tag::read(1 << 12, short).is_none() && Tag::read((1 << 12) - 1, short).is_some());
    }

    #[test]
    fn a_tag_is_shared_by_about_one_device_in_two_to_the_bits() {
        let tagger = tagger(12);
        let imei = |serial: u32| canonicalise(Kind::Imei, &format!("3569380{serial:07}")).unwrap();
        let list = Suppressed::new(tagger.clone(), [tagger.tag(&imei(0))]);
        let others = (1..200_000).filter(|serial| list.holds(&imei(*serial))).count();
        // 200,000 / 4,096 is 48.8, give or take seven; beyond 15 or 100 less than once in a million keys.
        assert!((15..100).contains(&others), "{others}");
        assert!(list.holds(&imei(0)));
    }
}
