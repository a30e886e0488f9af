//! JSON that must be an object.
//!
//! Owns the one rule that serde leaves open for every document read here: an object is an object,
//! and a list is not one whose members stand in order. Refuses to know what the members are.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// Reads a JSON text that must be one object. RFC 8259 section 8.1: it is UTF-8 throughout, which
/// is looked at once and not for every string; the text of a claim nobody reads is no exception.
pub(crate) fn object<'de, T: Deserialize<'de>>(json: &'de [u8]) -> serde_json::Result<T> {
    let json = std::str::from_utf8(json).map_err(Error::custom)?;
    serde_json::from_str::<Object<T>>(json).map(|object| object.0)
}

/// A `T` that only a JSON object can give. Without it a derived struct also reads an array, by
/// position.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}
