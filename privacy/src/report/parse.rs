//! Reads a report from JSON, in one pass, into types that take any shape.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::cell::Cell;
use core::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{
    Activity, Consent, Device, Event, Identifier, Location, MAX_DEPTH, MAX_IDENTIFIERS, MAX_PROPERTIES, Report,
    ReportError, Text, Value,
};

/// Reads the document `text`.
pub(super) fn parse(text: &str, max_events: usize) -> Result<Report<'_>, ReportError> {
    let state = State { unknown: Cell::new(0), stop: Cell::new(None), max_events, length: text.len() };
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
    Ok(report)
}

/// What all readers of one document share.
struct State {
    unknown: Cell<u32>,
    stop: Cell<Option<ReportError>>,
    max_events: usize,
    length: usize,
}

impl State {
    /// About how many things of so many bytes the document holds: a guess that saves growing, bounded whatever comes.
    fn room(&self, bytes: usize, per_event: usize) -> usize {
        (self.length / bytes).min(self.max_events.min(1_000) * per_event)
    }

    fn stop<E: serde::de::Error>(&self, why: ReportError) -> E {
        self.stop.set(Some(why));
        // The text never leaves this module: `parse` answers with `stop`.
        E::custom("stopped")
    }

    fn skip<'de, A: MapAccess<'de>>(&self, map: &mut A) -> Result<(), A::Error> {
        self.unknown.set(self.unknown.get().saturating_add(1));
        map.next_value_seed(Node(Skip { state: self, left: MAX_DEPTH }))
    }
}

/// What to make of a value of any shape.
trait Reader<'de>: Sized {
    type Out;

    fn scalar(self, value: Value<'de>) -> Self::Out;
    fn array<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Out, A::Error>;
    fn object<A: MapAccess<'de>>(self, map: A) -> Result<Self::Out, A::Error>;
}

/// The one visitor: hands whatever comes to its reader, so that no shape is an error.
struct Node<R>(R);

impl<'de, R: Reader<'de>> DeserializeSeed<'de> for Node<R> {
    type Value = R::Out;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<R::Out, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, R: Reader<'de>> Visitor<'de> for Node<R> {
    type Value = R::Out;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<R::Out, E> {
        Ok(self.0.scalar(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<R::Out, E> {
        Ok(self.0.scalar(Value::Number(value as f64)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<R::Out, E> {
        Ok(self.0.scalar(Value::Number(value as f64)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<R::Out, E> {
        Ok(self.0.scalar(Value::Number(value)))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<R::Out, E> {
        Ok(self.0.scalar(Value::Text(Text(Cow::Borrowed(text)))))
    }

    fn visit_str<E>(self, text: &str) -> Result<R::Out, E> {
        Ok(self.0.scalar(Value::Text(Text(Cow::Owned(text.into())))))
    }

    fn visit_unit<E>(self) -> Result<R::Out, E> {
        Ok(self.0.scalar(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<R::Out, A::Error> {
        self.0.array(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<R::Out, A::Error> {
        self.0.object(map)
    }
}

/// Passes over a value, counting how deep it goes.
struct Skip<'t> {
    state: &'t State,
    left: u32,
}

impl Skip<'_> {
    fn deeper<E: serde::de::Error>(&self) -> Result<Node<Skip<'_>>, E> {
        match self.left.checked_sub(1) {
            Some(left) => Ok(Node(Skip { state: self.state, left })),
            None => Err(self.state.stop(ReportError::TooDeep)),
        }
    }
}

impl<'de> Reader<'de> for Skip<'_> {
    type Out = ();

    fn scalar(self, _: Value<'de>) {}

    fn array<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(self.deeper::<A::Error>()?)?.is_some() {}
        Ok(())
    }

    fn object<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_key_seed(Name)?.is_some() {
            map.next_value_seed(self.deeper::<A::Error>()?)?;
        }
        Ok(())
    }
}

/// Keeps a scalar, passes over the rest.
struct Any<'t>(&'t State);

impl<'de> Reader<'de> for Any<'_> {
    type Out = Value<'de>;

    fn scalar(self, value: Value<'de>) -> Value<'de> {
        value
    }

    fn array<A: SeqAccess<'de>>(self, seq: A) -> Result<Value<'de>, A::Error> {
        Skip { state: self.0, left: MAX_DEPTH }.array(seq)?;
        Ok(Value::Other)
    }

    fn object<A: MapAccess<'de>>(self, map: A) -> Result<Value<'de>, A::Error> {
        Skip { state: self.0, left: MAX_DEPTH }.object(map)?;
        Ok(Value::Other)
    }
}

/// Something that is filled from the fields of a JSON object.
trait Fields<'de> {
    fn field<A: MapAccess<'de>>(&mut self, name: Text<'de>, map: &mut A) -> Result<(), A::Error>;
}

/// What stood where an object belongs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Object,
    Null,
    Other,
}

/// Reads an object into `into`; answers whether it was one.
struct Object<'t, T> {
    state: &'t State,
    into: &'t mut T,
}

impl<'de, T: Fields<'de>> Reader<'de> for Object<'_, T> {
    type Out = Shape;

    fn scalar(self, value: Value<'de>) -> Shape {
        if value.is_absent() { Shape::Null } else { Shape::Other }
    }

    fn array<A: SeqAccess<'de>>(self, seq: A) -> Result<Shape, A::Error> {
        Skip { state: self.state, left: MAX_DEPTH }.array(seq)?;
        Ok(Shape::Other)
    }

    fn object<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
        while let Some(name) = map.next_key_seed(Name)? {
            self.into.field(name, &mut map)?;
        }
        Ok(Shape::Object)
    }
}

/// Something that takes the elements of a JSON array, one by one; false at its end.
trait Elements<'de> {
    fn element<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error>;
}

/// Reads an array; answers whether it was one.
struct Array<'t, T> {
    state: &'t State,
    each: T,
}

impl<'de, T: Elements<'de>> Reader<'de> for Array<'_, T> {
    type Out = bool;

    fn scalar(self, _: Value<'de>) -> bool {
        false
    }

    fn array<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<bool, A::Error> {
        while self.each.element(&mut seq)? {}
        Ok(true)
    }

    fn object<A: MapAccess<'de>>(self, map: A) -> Result<bool, A::Error> {
        Skip { state: self.state, left: MAX_DEPTH }.object(map)?;
        Ok(false)
    }
}

/// A field's name.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Text<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Text<'de>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.into())))
    }
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
            _ => state.skip(map)?,
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
            _ => self.state.skip(map)?,
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
            _ => state.skip(map)?,
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
        if self.ids.len() >= MAX_IDENTIFIERS {
            return Ok(seq.next_element_seed(Node(Skip { state, left: MAX_DEPTH }))?.is_some());
        }
        let mut reader = IdentifierReader { state, identifier: Identifier::default() };
        if seq.next_element_seed(Node(Object { state, into: &mut reader }))?.is_none() {
            return Ok(false);
        }
        self.ids.push(reader.identifier);
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
            _ => self.state.skip(map)?,
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
            _ => self.state.skip(map)?,
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
            _ => self.state.skip(map)?,
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
            _ => state.skip(map)?,
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
            _ => self.state.skip(map)?,
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
            return self.state.skip(map);
        }
        let value = map.next_value_seed(Node(Any(self.state)))?;
        self.properties.push((name, value));
        self.taken += 1;
        Ok(())
    }
}
