//! Between JSON bytes and types, without trusting the bytes.

use std::borrow::Cow;

use serde::de::{DeserializeOwned, Deserializer, Visitor};
use serde::{Serialize, forward_to_deserialize_any};
use simd_json::{Buffers, ErrorType};

use crate::diagnostic::Diagnostic;
use crate::limits::{MAX_JSON_DEPTH, MAX_TEXT};

/// Reads a control payload. `scratch` takes the copy that the parser works on in place; keeping it saves allocations.
///
/// # Errors
/// [`Diagnostic::InvalidControlPayload`] tells what is wrong.
pub fn parse<T: DeserializeOwned>(payload: &[u8], scratch: &mut Vec<u8>) -> Result<T, Diagnostic> {
    scratch.clear();
    scratch.extend_from_slice(payload);
    // The depth limit is what stands between a payload of brackets and the stack: unknown members are skipped by
    // recursion.
    let mut buffers = Buffers::with_max_depth(payload.len(), MAX_JSON_DEPTH);
    simd_json::serde::from_slice_with_buffers(scratch, &mut buffers).map_err(|error| describe(&error))
}

/// Appends `value` as JSON.
#[expect(
    clippy::expect_used,
    reason = "our own types have string keys, and a Vec takes every byte"
)]
pub fn write<T: Serialize>(value: &T, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("a control payload of ours is JSON");
}

/// The parser's words, short enough for an ERROR frame.
fn describe(error: &simd_json::Error) -> Diagnostic {
    let mut reason: Cow<'static, str> = match error.error() {
        ErrorType::Serde(reason) => reason.clone().into(),
        ErrorType::ExpectedMap => "an object is expected".into(),
        ErrorType::ExpectedArray => "an array is expected".into(),
        ErrorType::ExpectedString => "a string is expected".into(),
        ErrorType::ExpectedBoolean => "a boolean is expected".into(),
        ErrorType::ExpectedUnsigned | ErrorType::ExpectedInteger | ErrorType::ExpectedFloat => {
            "a number in range is expected".into()
        }
        _ => format!("no JSON at byte {}", error.index()).into(),
    };
    if reason.len() > MAX_TEXT {
        let end = reason.floor_char_boundary(MAX_TEXT);
        reason.to_mut().truncate(end);
    }
    Diagnostic::InvalidControlPayload { reason }
}

/// A deserializer that reads a struct from an object and from nothing else.
pub(crate) struct Object<D>(pub(crate) D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Object<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// Makes `Deserialize` (and `Serialize`) of types that derive theirs with `#[serde(remote = "Self")]`, through
/// [`Object`].
macro_rules! objects {
    ($($name:ident),+ $(,)?) => {$(
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::deserialize(crate::control::json::Object(deserializer))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Self::serialize(self, serializer)
            }
        }
    )+};
}

pub(crate) use objects;
