//! What is published, as rows of `releases` and `seals`.

use tuman_privacy::time::Day;

use super::journal::Journal;
use super::release::HOURS;
use crate::rowbinary::RowBinary;

/// The values.
pub(super) fn releases(day: Day, journal: &Journal) -> RowBinary {
    let mut rows = RowBinary::default();
    for (app, releases) in &journal.apps {
        for sealed in releases {
            for value in &sealed.published {
                rows.date(day).string(app).string(&sealed.release).string(&value.breakdown);
                rows.strings(&value.dims).i64(value.value).f64(value.margin).u8(sealed.hour.unwrap_or(HOURS));
            }
        }
    }
    rows
}

/// How they were made.
pub(super) fn seals(day: Day, journal: &Journal) -> RowBinary {
    let mut rows = RowBinary::default();
    let sealed_at = u32::try_from(journal.sealed_at.as_second()).unwrap_or(0);
    for (app, releases) in &journal.apps {
        for sealed in releases {
            let suppressed = serde_json::to_string(&sealed.suppressed).unwrap_or_default();
            rows.date(day).string(app).string(&sealed.release).strings(&sealed.dims).u32(sealed.bound);
            rows.f64(sealed.epsilon.unwrap_or(0.0)).f64(sealed.scale).i64(sealed.threshold.unwrap_or(i64::MIN));
            rows.string(&sealed.mechanism).u64(sealed.domain).u64(sealed.published.len() as u64);
            rows.string(&suppressed).u32(sealed_at).u8(sealed.hour.unwrap_or(HOURS));
            rows.u8(sealed.windows.and_then(|windows| u8::try_from(windows).ok()).unwrap_or(0));
        }
    }
    rows
}
