//! Values of any shape: the one visitor of the report's parser, and what it can make of a value.
//!
//! Guarantees: no shape is an error. What is passed over is passed over to a bounded depth, and the detectors see it.

use alloc::borrow::Cow;
use core::cell::Cell;
use core::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{MAX_DEPTH, ReportError, Text, Value};
use crate::detect::{Detector, Watch};

/// What all readers of one document share.
pub(super) struct State {
    pub(super) unknown: Cell<u32>,
    pub(super) watch: Cell<Watch>,
    pub(super) stop: Cell<Option<ReportError>>,
    pub(super) max_events: usize,
    pub(super) length: usize,
}

impl State {
    /// About how many things of so many bytes the document holds: a guess that saves growing, bounded whatever comes.
    pub(super) fn room(&self, bytes: usize, per_event: usize) -> usize {
        (self.length / bytes).min(self.max_events.min(1_000) * per_event)
    }

    pub(super) fn stop<E: serde::de::Error>(&self, why: ReportError) -> E {
        self.stop.set(Some(why));
        // The text goes no further: `parse` answers with `stop`.
        E::custom("stopped")
    }

    /// Passes over a field that the protocol does not know: its name and all that is in its value are looked at only.
    pub(super) fn skip<'de, A: MapAccess<'de>>(&self, name: &Text<'de>, map: &mut A) -> Result<(), A::Error> {
        self.unknown.set(self.unknown.get().saturating_add(1));
        self.look(|watch| watch.text(name.as_str()));
        map.next_value_seed(Node(Skip { state: self, left: MAX_DEPTH }))
    }

    /// Lets the detectors look at something that is passed over.
    fn look(&self, at: impl FnOnce(&mut Watch) -> Option<Detector>) {
        let mut watch = self.watch.get();
        at(&mut watch);
        self.watch.set(watch);
    }
}

/// What to make of a value of any shape.
pub(super) trait Reader<'de>: Sized {
    type Out;

    fn scalar(self, value: Value<'de>) -> Self::Out;

    /// Text that the parser had to unescape, and that is gone after the call.
    fn unescaped(self, text: &str) -> Self::Out {
        self.scalar(Value::Text(Text(Cow::Owned(text.into()))))
    }

    fn array<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Out, A::Error>;
    fn object<A: MapAccess<'de>>(self, map: A) -> Result<Self::Out, A::Error>;
}

/// The one visitor: hands whatever comes to its reader, so that no shape is an error.
pub(super) struct Node<R>(pub(super) R);

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
        Ok(self.0.scalar(Value::Integer(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<R::Out, E> {
        Ok(self.0.scalar(Value::Number(value)))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<R::Out, E> {
        Ok(self.0.scalar(Value::Text(Text(Cow::Borrowed(text)))))
    }

    fn visit_str<E>(self, text: &str) -> Result<R::Out, E> {
        Ok(self.0.unescaped(text))
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

/// Passes over a value, counting how deep it goes. Nothing is copied: the detectors look at each text where it stands.
pub(super) struct Skip<'t> {
    pub(super) state: &'t State,
    pub(super) left: u32,
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

    fn scalar(self, value: Value<'de>) {
        self.state.look(|watch| watch.value(&value));
    }

    fn unescaped(self, text: &str) {
        self.state.look(|watch| watch.text(text));
    }

    fn array<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(self.deeper::<A::Error>()?)?.is_some() {}
        Ok(())
    }

    fn object<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(Name)? {
            self.state.look(|watch| watch.text(name.as_str()));
            map.next_value_seed(self.deeper::<A::Error>()?)?;
        }
        Ok(())
    }
}

/// Keeps a scalar, passes over the rest.
pub(super) struct Any<'t>(pub(super) &'t State);

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
pub(super) trait Fields<'de> {
    fn field<A: MapAccess<'de>>(&mut self, name: Text<'de>, map: &mut A) -> Result<(), A::Error>;
}

/// What stood where an object belongs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Object,
    Null,
    Other,
}

/// Reads an object into `into`; answers whether it was one.
pub(super) struct Object<'t, T> {
    pub(super) state: &'t State,
    pub(super) into: &'t mut T,
}

impl<'de, T: Fields<'de>> Reader<'de> for Object<'_, T> {
    type Out = Shape;

    fn scalar(self, value: Value<'de>) -> Shape {
        self.state.look(|watch| watch.value(&value));
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
pub(super) trait Elements<'de> {
    fn element<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error>;
}

/// Reads an array; answers whether it was one.
pub(super) struct Array<'t, T> {
    pub(super) state: &'t State,
    pub(super) each: T,
}

impl<'de, T: Elements<'de>> Reader<'de> for Array<'_, T> {
    type Out = bool;

    fn scalar(self, value: Value<'de>) -> bool {
        self.state.look(|watch| watch.value(&value));
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
pub(super) struct Name;

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
