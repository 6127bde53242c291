//! Fingerprints of report ids, by which a retry is recognised.
//!
//! Guarantees: the id itself goes no further. A fingerprint is keyed with a secret of the collector, so that it cannot
//! be recomputed from an SDK's log, and it stands apart from rows: no row carries it.

use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroize;

use crate::anonymise::Rejection;
use crate::identifier::{Kind, canonicalise};
use crate::report::Report;

/// A report id, keyed and cut to 128 bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 16]);

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(redacted)")
    }
}

/// Makes fingerprints under one secret.
#[derive(Clone)]
pub struct Fingerprinter(Hmac<Sha256>);

impl fmt::Debug for Fingerprinter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprinter(redacted)")
    }
}

impl Fingerprinter {
    /// Uses `secret` as the key.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Fingerprinter {
        // A block of zeros after the key is what HMAC pads a short key with.
        let mut block = [0; 64];
        for (to, from) in block.iter_mut().zip(secret) {
            *to = *from;
        }
        let hmac = Hmac::new(&block.into());
        block.zeroize();
        Fingerprinter(hmac)
    }

    /// The fingerprint of a report of `app`.
    ///
    /// # Errors
    /// Where `report_id` is missing or is no UUID.
    pub fn fingerprint(&self, app: &str, report: &Report<'_>) -> Result<Fingerprint, Rejection> {
        const FIELD: Rejection = Rejection::Field("/report_id");
        let id = canonicalise(Kind::InstallId, report.id().ok_or(FIELD)?).map_err(|_| FIELD)?;
        let mut mac = self.0.clone();
        // An app's id holds no NUL, so that the two parts cannot run into each other.
        mac.update(app.as_bytes());
        mac.update(&[0]);
        mac.update(id.expose());
        let digest = mac.finalize().into_bytes();
        let mut short = [0; 16];
        short.copy_from_slice(digest.get(..16).unwrap_or(&[0; 16]));
        Ok(Fingerprint(short))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    fn of(app: &str, id: &str) -> Result<Fingerprint, Rejection> {
        let body = format!("{{\"report_id\":\"{id}\"}}");
        Fingerprinter::new(&[7; 32]).fingerprint(app, &Report::parse(body.as_bytes(), 1).unwrap())
    }

    #[test]
    fn spellings_of_one_id_are_one_and_apps_are_told_apart() {
        let one = of("a", "0b7e3c52-6d51-4c58-9a3e-1f2d3c4b5a69").unwrap();
        assert_eq!(one, of("a", "0B7E3C526D514C589A3E1F2D3C4B5A69").unwrap());
        assert_ne!(one, of("b", "0b7e3c52-6d51-4c58-9a3e-1f2d3c4b5a69").unwrap());
    }

    #[test]
    fn what_is_no_uuid_is_rejected() {
        for wrong in ["", "490154203237518", "0b7e3c52", "00000000-0000-0000-0000-000000000000"] {
            assert_eq!(of("a", wrong), Err(Rejection::Field("/report_id")), "{wrong}");
        }
    }
}
