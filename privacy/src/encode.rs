//! Rows in ClickHouse's RowBinary, as the open tables declare them.
//!
//! Guarantees: fixed columns, little-endian; strings and arrays with a LEB128 length. The rows of a report are shuffled
//! here, before anyone can write them.

use alloc::vec::Vec;

use rand_core::Rng;

use crate::event::{AnonymousEvent, AnonymousPlace, RowCount, Rows};
use crate::time::Day;

/// Columns and types of `usage_open`, in the order of the rows' bytes.
pub const USAGE_STRUCTURE: &str = "day Date, hour UInt8, app UInt32, event UInt32, token UInt64, platform UInt8, os UInt8, version UInt32, class UInt8, language UInt8, flags UInt16, install_week_age UInt8, props Array(UInt32)";

/// Columns and types of `places_open`, in the order of the rows' bytes.
pub const PLACES_STRUCTURE: &str = "day Date, app UInt32, token UInt64, cell String, n UInt32";

/// Shuffles and encodes the rows of a report; `properties` are the codes of all events.
pub(crate) fn encode(
    mut events: Vec<AnonymousEvent>,
    properties: &[u32],
    mut places: Vec<AnonymousPlace>,
    rng: &mut impl Rng,
) -> Rows {
    shuffle(&mut events, rng);
    shuffle(&mut places, rng);
    let mut rows = Rows::default();
    rows.usage.reserve(events.len() * 32 + properties.len() * 4);
    rows.places.reserve(places.len() * 32);
    for event in &events {
        let properties = properties.get(event.properties.clone()).unwrap_or_default();
        framed(&mut rows.usage, |out| usage_row(event, properties, out));
        count(&mut rows.counts, event.when.day, |count| count.usage += 1);
    }
    for place in &places {
        framed(&mut rows.places, |out| place_row(place, out));
        count(&mut rows.counts, place.day, |count| count.places += 1);
    }
    #[cfg(test)]
    crate::work::encoded(&rows);
    rows
}

/// Splits rows of [`Rows`] into RowBinary rows without their lengths.
pub fn rows(framed: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = framed;
    core::iter::from_fn(move || {
        let (length, tail) = rest.split_first_chunk::<2>()?;
        let (row, tail) = tail.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        rest = tail;
        Some(row)
    })
}

fn usage_row(event: &AnonymousEvent, properties: &[u32], out: &mut Vec<u8>) {
    out.extend_from_slice(&event.when.day.0.to_le_bytes());
    out.push(event.when.hour);
    out.extend_from_slice(&event.app.to_le_bytes());
    out.extend_from_slice(&event.event.to_le_bytes());
    out.extend_from_slice(&event.token.map_or(0, |token| token.get()).to_le_bytes());
    out.push(event.facets.platform);
    out.push(event.facets.os);
    out.extend_from_slice(&event.version.to_le_bytes());
    out.push(event.facets.class);
    out.push(event.facets.language);
    out.extend_from_slice(&event.flags.0.to_le_bytes());
    out.push(event.install_week_age);
    leb128(properties.len(), out);
    for code in properties {
        out.extend_from_slice(&code.to_le_bytes());
    }
}

fn place_row(place: &AnonymousPlace, out: &mut Vec<u8>) {
    out.extend_from_slice(&place.day.0.to_le_bytes());
    out.extend_from_slice(&place.app.to_le_bytes());
    out.extend_from_slice(&place.token.get().to_le_bytes());
    let cell = place.cell.as_str();
    leb128(cell.len(), out);
    out.extend_from_slice(cell.as_bytes());
    out.extend_from_slice(&place.n.to_le_bytes());
}

fn framed(out: &mut Vec<u8>, row: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0, 0]);
    row(out);
    // A row has at most 64 properties of four bytes: far under 64 KiB.
    let length = u16::try_from(out.len() - start - 2).unwrap_or(u16::MAX);
    if let Some(slot) = out.get_mut(start..start + 2) {
        slot.copy_from_slice(&length.to_le_bytes());
    }
}

fn leb128(mut value: usize, out: &mut Vec<u8>) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

fn count(counts: &mut Vec<RowCount>, day: Day, add: impl FnOnce(&mut RowCount)) {
    if let Some(known) = counts.iter_mut().find(|count| count.day == day) {
        return add(known);
    }
    let mut fresh = RowCount { day, usage: 0, places: 0 };
    add(&mut fresh);
    counts.push(fresh);
}

/// Fisher and Yates, with the multiply-shift of Lemire for the index; its bias of at most 500 / 2^32 hides nothing.
fn shuffle<T>(items: &mut [T], rng: &mut impl Rng) {
    for last in (1..items.len()).rev() {
        let bound = u64::try_from(last + 1).unwrap_or(1);
        let index = (u64::from(rng.next_u32()) * bound) >> 32;
        items.swap(last, usize::try_from(index).unwrap_or(last));
    }
}
