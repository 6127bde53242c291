//! Reports for tests: a good one, with what matters changed.

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{HOUR_MS, NOW_MS};

const IMEI: &str = "490154203237518";

/// A report under construction.
#[derive(Debug, Clone)]
pub struct Report(Value);

/// A report of one phone with one event, an hour before [`NOW_MS`].
pub fn report() -> Report {
    Report(json!({
        "report_id": Uuid::new_v4().to_string(),
        "sent_at": at(NOW_MS),
        "consent": { "usage": true, "location": true, "policy": "2026-01" },
        "device": {
            "ids": [{ "kind": "imei", "value": IMEI }],
            "platform": "android", "os_version": "14", "class": "phone", "language": "kk-KZ",
        },
        "app": { "version": "3.4.1" },
        "activity": { "first_today": true, "first_this_week": true, "install_week": "2026-W40", "days_since_install": 7 },
        "events": [{
            "name": "screen_view",
            "at": at(NOW_MS - HOUR_MS),
            "location": { "lat": 51.128_001_2, "lon": 71.430_401_3 },
            "props": { "screen": "home", "cached": true, "duration_ms": 840 },
        }],
    }))
}

pub fn at(ms: i64) -> String {
    Timestamp::from_millisecond(ms).unwrap().to_string()
}

impl Report {
    /// Sets a field by its JSON pointer.
    pub fn with(mut self, pointer: &str, value: Value) -> Report {
        *self.0.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = value;
        self
    }

    /// Takes a top-level field away.
    pub fn without(mut self, field: &str) -> Report {
        self.0.as_object_mut().unwrap().remove(field);
        self
    }

    /// Of another phone.
    pub fn of_phone(self, number: u64) -> Report {
        let id = Uuid::from_u64_pair(0x4000_8000 | number << 32, 0x8000_0000_0000_0000 | number);
        self.with("/device/ids", json!([{ "kind": "install_id", "value": id.to_string() }]))
    }

    /// With its event `n` times.
    pub fn times(self, n: usize) -> Report {
        let event = self.0["events"][0].clone();
        self.with("/events", Value::Array(vec![event; n]))
    }

    /// Sent at `ms`, its events an hour before.
    pub fn sent(mut self, ms: i64) -> Report {
        self.0["sent_at"] = json!(at(ms));
        for event in self.0["events"].as_array_mut().unwrap() {
            event["at"] = json!(at(ms - HOUR_MS));
        }
        self
    }

    pub fn json(&self) -> String {
        self.0.to_string()
    }
}
