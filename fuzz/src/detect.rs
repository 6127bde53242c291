//! Detectors of personal data: any text gets an answer, and the same one in the same spelling.

use tuman_privacy::detect::{Detector, card, detect, iin, kz_mobile};

/// Looks for personal data in the bytes, read as text.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let found = detect(&text);
    assert_eq!(found, detect(&text));
    // What a single detector sees makes the text personal, under whatever name.
    for sees in [iin(&text), kz_mobile(&text), card(&text)] {
        assert!(!sees || found.is_some());
    }
    // Not hidden by what stands around it, where that is no part of a word or number.
    if let Some(Detector::Email | Detector::Jwt) = found {
        assert!(detect(&format!("( {text} )")).is_some());
    }
}
