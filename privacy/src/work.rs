//! Counts the work of the boundary, in tests alone: what a report costs must not depend on whose it is.
//!
//! A clock would measure the machine. What takes time in the boundary is hashing, searching texts and encoding rows; each
//! of the three says here what it was given.

use std::cell::Cell;
use std::thread_local;

use crate::event::Rows;

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Work {
    /// Keyed hashes, and bytes that went into them.
    hashes: usize,
    hashed: usize,
    /// Texts that the detectors searched, and their bytes.
    searches: usize,
    searched: usize,
    /// Calls of the encoder, and bytes of rows that came out of it.
    encodings: usize,
    encoded: usize,
}

thread_local! {
    static DONE: Cell<Work> = const { Cell::new(Work {
        hashes: 0, hashed: 0, searches: 0, searched: 0, encodings: 0, encoded: 0,
    }) };
}

pub(crate) fn hashed(parts: &[&[u8]]) {
    let mut done = DONE.get();
    done.hashes += 1;
    done.hashed += parts.iter().map(|part| part.len()).sum::<usize>();
    DONE.set(done);
}

pub(crate) fn searched(text: &str) {
    let mut done = DONE.get();
    done.searches += 1;
    done.searched += text.len();
    DONE.set(done);
}

pub(crate) fn encoded(rows: &Rows) {
    let mut done = DONE.get();
    done.encodings += 1;
    done.encoded += rows.usage.len() + rows.places.len();
    DONE.set(done);
}

mod tests {
    use super::*;

    use alloc::sync::Arc;
    use alloc::vec;
    use std::string::{String, ToString};

    use serde_json::{Value, json};

    use crate::anonymise::{Anonymised, Arrival, Rules, anonymise};
    use crate::catalogue::{Catalogue, Declaration, EventDeclaration, Purposes};
    use crate::identifier::{Kind, canonicalise};
    use crate::place::Region;
    use crate::report::Report;
    use crate::suppression::{Suppressed, TagBits, Tagger};
    use crate::time::{Day, Offsets};
    use crate::token::{DayKey, Tokeniser};

    /// 2026-10-05T10:00:00+05:00.
    const NOW_MS: i64 = 1_791_176_400_000;
    const WITHDRAWN: &str = "490154203237518";
    const OTHER: &str = "356938035643809";

    /// Draws of a shuffle, counted.
    struct Draws(u64);

    impl rand_core::TryRng for Draws {
        type Error = core::convert::Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            self.0 += 1;
            Ok(0x9e37_79b9)
        }

        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            self.0 += 1;
            Ok(0x9e37_79b9_7f4a_7c15)
        }

        fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
            self.0 += 1;
            out.fill(0x9e);
            Ok(())
        }
    }

    /// Takes a report where one device is withdrawn; answers what it cost too.
    fn take(body: &str) -> (Anonymised, Work, u64) {
        let declaration = Declaration {
            app: "kz.demo.app".into(),
            versions: vec!["3.4.1".into()],
            policies: vec![("2026-01".into(), Purposes { usage: true, location: true })],
            events: vec![EventDeclaration { name: "app_open".into(), properties: vec![] }],
        };
        let catalogue = Catalogue::compile(&declaration).unwrap();
        let region = Region::within([46.4, 40.5, 87.4, 55.5], vec![]);
        let key = |byte: u8| Arc::new(Tokeniser::new(&DayKey::take(&mut [byte; 32])));
        let open_days = [(Day(20_730), key(1)), (Day(20_731), key(2))];
        let tagger = Arc::new(Tagger::take(&mut [7; 32], TagBits::new(20).unwrap()));
        let tag = tagger.tag(&canonicalise(Kind::Imei, WITHDRAWN).unwrap());
        let suppressed = Suppressed::new(tagger, [tag]);
        let rules = Rules {
            catalogue: &catalogue,
            region: &region,
            future_tolerance_ms: 600_000,
            suppressed: Some(&suppressed),
        };
        let offsets = Offsets::new(5 * 3600, vec![]);
        let arrival = Arrival { at_ms: NOW_MS, offsets: &offsets, open_days: &open_days, opted_out: false };
        let report = Report::parse(body.as_bytes(), 500).unwrap();
        let mut draws = Draws(0);
        DONE.set(Work::default());
        let taken = anonymise(&report, rules, arrival, &mut draws).unwrap();
        (taken, DONE.get(), draws.0)
    }

    /// A report of a device, with so many events on two days; some of them refused, with texts for the detectors.
    fn body(imei: &str, first_of_others: bool, events: usize) -> String {
        let event = |n: usize| match n % 4 {
            0 => json!({ "name": "app_open", "at": "2026-10-05T09:00:00+05:00", "location": { "geohash": "v9v6h" } }),
            1 => {
                json!({ "name": "app_open", "at": "2026-10-04T23:00:00+05:00", "location": { "lat": 51.1, "lon": 71.4 } })
            }
            2 => {
                json!({ "name": "aigerim@example.kz", "at": "2026-10-05T09:00:00+05:00", "props": { "q": "+7 701 234 56 78" } })
            }
            _ => {
                json!({ "name": "app_open", "at": "2026-10-05T08:00:00+05:00", "props": { "unknown": "Some Text 1234567" } })
            }
        };
        let mac = json!({ "kind": "mac", "value": "00:1B:44:11:3A:B7" });
        let imei = json!({ "kind": "imei", "value": imei });
        let ids = if first_of_others { json!([imei, mac]) } else { json!([mac, imei]) };
        json!({
            "sent_at": "2026-10-05T10:00:00+05:00",
            "consent": { "usage": true, "location": true, "policy": "2026-01" },
            "device": { "ids": ids, "platform": "android", "os_version": "14", "class": "a strange one, 77" },
            "app": { "version": "3.4.1" },
            "events": (0..events).map(event).collect::<std::vec::Vec<Value>>(),
        })
        .to_string()
    }

    #[test]
    fn a_report_of_a_withdrawn_device_costs_the_same_work_as_another() {
        let mut costs = std::vec::Vec::new();
        for events in [0, 1, 4, 40, 400] {
            for order in [true, false] {
                let (withdrawn, its_work, its_draws) = take(&body(WITHDRAWN, order, events));
                let (other, work, draws) = take(&body(OTHER, order, events));
                assert_eq!((withdrawn.suppressed, other.suppressed), (true, false));
                assert_eq!((its_work, its_draws), (work, draws), "{events} events");
                assert_eq!(
                    (&withdrawn.refused, withdrawn.accepted, &withdrawn.notes),
                    (&other.refused, other.accepted, &other.notes)
                );
                assert!(withdrawn.rows.usage.is_empty() && other.rows.usage.is_empty() == (events == 0));
                costs.push((work, draws));
            }
        }
        // What is compared does count: another report is another number, in every part.
        let ((small, few), (large, many)) = (costs[4], costs[8]);
        assert!(small.hashes >= 4 && small.searches > 2 && small.encoded > 100 && few > 0, "{small:?}");
        assert!(large.searched > small.searched && large.encoded > 9 * small.encoded && many > few, "{large:?}");
    }
}
