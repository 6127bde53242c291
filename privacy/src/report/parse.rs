//! Reads a report from JSON, in one pass, into types that take any shape.

use alloc::vec::Vec;
use core::cell::Cell;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess};

use super::shape::{Any, Array, Elements, Fields, Node, Object, Shape, State};
use super::{
    Activity, Consent, Device, Event, Identifier, Location, MAX_IDENTIFIERS, MAX_PROPERTIES, Report, ReportError,
    Text, Value,
};
use crate::detect::Watch;

/// Reads the document `text`.
pub(super) fn parse(text: &str, max_events: usize) -> Result<Report<'_>, ReportError> {
    let state = State {
        unknown: Cell::new(0),
        watch: Cell::new(Watch::default()),
        stop: Cell::new(None),
        max_events,
        length: text.len(),
    };
    let mut reader = ReportReader { state: &state, report: Report::default() };
    let mut json = serde_json::Deserializer::from_str(text);
    let parsed = Node(Object { state: &state, into: &mut reader }).deserialize(&mut json).and_then(|shape| {
        json.end()?;
        Ok(shape)
    });
    match parsed {
        Ok(Shape::Object) => {}
        Ok(_) => return Err(ReportError::NotAnObject),
        Err(_) => return Err(state.stop.get().unwrap_or(ReportError::Malformed)),
    }
    let mut report = reader.report;
    report.unknown_fields = state.unknown.get();
    report.watch = state.watch.get();
    Ok(report)
}

struct ReportReader<'s, 'a> {
    state: &'s State,
    report: Report<'a>,
}

impl<'de> Fields<'de> for ReportReader<'_, 'de> {
    fn field<A: MapAccess<'de>>(&mut self, name: Text<'de>, map: &mut A) -> Result<(), A::Error> {
        let state = self.state;
        let report = &mut self.report;
        match name.as_str() {
            "report_id" => report.report_id = map.next_value_seed(Node(Any(state)))?,
            "sent_at" => report.sent_at = map.next_value_seed(Node(Any(state)))?,
            "consent" => {
                let mut reader = ConsentReader { state, consent: Consent::default() };
                let shape = map.next_value_seed(Node(Object { state, into: &mut reader }))?;
                report.consent = (shape == Shape::Object).then_some(reader.consent);
            }
            "device" => {
                let mut reader = DeviceReader { state, device: Device::default() };
                map.next_value_seed(Node(Object { state, into: &mut reader }))?;
                report.device = reader.device;
            }
            "app" => {
                let mut reader = AppReader { state, version: Value::Absent };
                map.next_value_seed(Node(Object { state, into: &mut reader }))?;
                report.app_version = reader.version;
            }
            "activity" => {
                let mut reader = ActivityReader { state, activity: Activity::default() };
                map.next_value_seed(Node(Object { state, into: &mut reader }))?;
                report.activity = reader.activity;
            }
            "events" => {
                let mut events = Vec::with_capacity(state.room(160, 1));
                report.properties.clear();
                report.properties.reserve(state.room(32, 8));
                let each = EventElements { state, events: &mut events, properties: &mut report.properties };
                let is_array = map.next_value_seed(Node(Array { state, each }))?;
                report.events = is_array.then_some(events);
            }
            _ => state.skip(&name, map)?,
        }
        Ok(())
    }
}

struct ConsentReader<'s, 'a> {
    state: &'s State,
    consent: Consent<'a>,
}

impl<'de> Fields<'de> for ConsentReader<'_, 'de> {
    fn field<A: MapAccess<'de>>(&mut self, name: Text<'de>, map: &mut A) -> Result<(), A::Error> {
        match name.as_str() {
            "usage" => self.consent.usage = map.next_value_seed(Node(Any(self.state)))?,
            "location" => self.consent.location = map.next_value_seed(Node(Any(self.state)))?,
            "policy" => self.consent.policy = map.next_value_seed(Node(Any(self.state)))?,
            _ => self.state.skip(&name, map)?,
        }
        Ok(())
    }
}

struct DeviceReader<'s, 'a> {
    state: &'s State,
    device: Device<'a>,
}

impl<'de> Fields<'de> for DeviceReader<'_, 'de> {
    fn field<A: MapAccess<'de>>(&mut self, name: Text<'de>, map: &mut A) -> Result<(), A::Error> {
        let state = self.state;
        match name.as_str() {
            "ids" => {
                let each = IdentifierElements { state, ids: &mut self.device.ids };
                map.next_value_seed(Node(Array { state, each }))?;
            }
            "platform" => self.device.platform = map.next_value_seed(Node(Any(state)))?,
            "os_version" => self.device.os_version = map.next_value_seed(Node(Any(state)))?,
            "class" => self.device.class = map.next_value_seed(Node(Any(state)))?,
            "language" => self.device.language = map.next_value_seed(Node(Any(state)))?,
            _ => state.skip(&name, map)?,
        }
        Ok(())
    }
}

struct IdentifierElements<'s, 'a> {
    state: &'s State,
    ids: &'s mut Vec<Identifier<'a>>,
}

impl<'de> Elements<'de> for IdentifierElements<'_, 'de> {
    fn element<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let state = self.state;
        let mut reader = IdentifierReader { state, identifier: Identifier::default() };
        if seq.next_element_seed(Node(Object { state, into: &mut reader }))?.is_none() {
            return Ok(false);
        }
        if self.ids.len() < MAX_IDENTIFIERS {
            self.ids.push(reader.identifier);
        }
        Ok(true)
    }
}

struct IdentifierReader<'s, 'a> {
    state: &'s State,
    identifier: Identifier<'a>,
}

impl<'de> Fields<'de> for IdentifierReader<'_, 'de> {
    fn field<A: MapAccess<'de>>(&mut self, name: Text<'de>, map: &mut A) -> Result<(), A::Error> {
        match name.as_str() {
            "kind" => self.identifier.kind = map.next_value_seed(Node(Any(self.state)))?,
            "value" => self.identifier.value = map.next_value_seed(Node(Any(self.state)))?,
            _ => self.state.skip(&name, map)?,
        }
        Ok(())
    }
}

struct AppReader<'s, 'a> {
    state: &'s State,
    version: Value<'a>,
}

impl<'de> Fields<'de> for AppReader<'_, 'de> {
    fn field<A: MapAccess<'de>>(&mut self, name: Text<'de>, map: &mut A) -> Result<(), A::Error> {
        match name.as_str() {
            "version" => self.version = map.next_value_seed(Node(Any(self.state)))?,
            _ => self.state.skip(&name, map)?,
        }
        Ok(())
    }
}

struct ActivityReader<'s, 'a> {
    state: &'s State,
    activity: Activity<'a>,
}

impl<'de> Fields<'de> for ActivityReader<'_, 'de> {
    fn field<A: MapAccess<'de>>(&mut self, name: Text<'de>, map: &mut A) -> Result<(), A::Error> {
        let activity = &mut self.activity;
        match name.as_str() {
            "first_today" => activity.first_today = map.next_value_seed(Node(Any(self.state)))?,
            "first_this_week" => activity.first_this_week = map.next_value_seed(Node(Any(self.state)))?,
            "first_this_month" => activity.first_this_month = map.next_value_seed(Node(Any(self.state)))?,
            "first_ever" => activity.first_ever = map.next_value_seed(Node(Any(self.state)))?,
            "install_week" => activity.install_week = map.next_value_seed(Node(Any(self.state)))?,
            "days_since_install" => activity.days_since_install = map.next_value_seed(Node(Any(self.state)))?,
            _ => self.state.skip(&name, map)?,
        }
        Ok(())
    }
}

struct EventElements<'s, 'a> {
    state: &'s State,
    events: &'s mut Vec<Event<'a>>,
    properties: &'s mut Vec<(Text<'a>, Value<'a>)>,
}

impl<'de> Elements<'de> for EventElements<'_, 'de> {
    fn element<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let state = self.state;
        let first_property = self.properties.len();
        let event = Event { first_property, ..Event::default() };
        let mut reader = EventReader { state, event, properties: self.properties };
        let Some(shape) = seq.next_element_seed(Node(Object { state, into: &mut reader }))? else {
            return Ok(false);
        };
        if self.events.len() >= state.max_events {
            return Err(state.stop(ReportError::TooManyEvents));
        }
        let mut event = reader.event;
        event.is_object = shape == Shape::Object;
        self.events.push(event);
        Ok(true)
    }
}

struct EventReader<'s, 'a> {
    state: &'s State,
    event: Event<'a>,
    properties: &'s mut Vec<(Text<'a>, Value<'a>)>,
}

impl<'de> Fields<'de> for EventReader<'_, 'de> {
    fn field<A: MapAccess<'de>>(&mut self, name: Text<'de>, map: &mut A) -> Result<(), A::Error> {
        let state = self.state;
        match name.as_str() {
            "name" => self.event.name = map.next_value_seed(Node(Any(state)))?,
            "at" => self.event.at = map.next_value_seed(Node(Any(state)))?,
            "location" => {
                let mut reader = LocationReader { state, location: Location::default() };
                let shape = map.next_value_seed(Node(Object { state, into: &mut reader }))?;
                self.event.location = (shape != Shape::Null).then_some(reader.location);
            }
            "props" => {
                // A second `props` of the same event replaces the first.
                self.properties.truncate(self.event.first_property);
                let mut reader = PropertiesReader { state, properties: self.properties, taken: 0 };
                map.next_value_seed(Node(Object { state, into: &mut reader }))?;
                self.event.properties = reader.taken;
            }
            _ => state.skip(&name, map)?,
        }
        Ok(())
    }
}

struct LocationReader<'s, 'a> {
    state: &'s State,
    location: Location<'a>,
}

impl<'de> Fields<'de> for LocationReader<'_, 'de> {
    fn field<A: MapAccess<'de>>(&mut self, name: Text<'de>, map: &mut A) -> Result<(), A::Error> {
        match name.as_str() {
            "lat" => self.location.lat = map.next_value_seed(Node(Any(self.state)))?,
            "lon" => self.location.lon = map.next_value_seed(Node(Any(self.state)))?,
            "geohash" => self.location.geohash = map.next_value_seed(Node(Any(self.state)))?,
            _ => self.state.skip(&name, map)?,
        }
        Ok(())
    }
}

struct PropertiesReader<'s, 'a> {
    state: &'s State,
    properties: &'s mut Vec<(Text<'a>, Value<'a>)>,
    taken: usize,
}

impl<'de> Fields<'de> for PropertiesReader<'_, 'de> {
    fn field<A: MapAccess<'de>>(&mut self, name: Text<'de>, map: &mut A) -> Result<(), A::Error> {
        if self.taken >= MAX_PROPERTIES {
            return self.state.skip(&name, map);
        }
        let value = map.next_value_seed(Node(Any(self.state)))?;
        self.properties.push((name, value));
        self.taken += 1;
        Ok(())
    }
}
