//! OTLP/JSON requests turned into protobuf, so that everything behind reads one encoding.
//!
//! The rules are those of the OTLP specification, "JSON Protobuf Encoding": names in lowerCamelCase, ids in
//! hexadecimal of either case, enums as integers, 64-bit integers as strings, unknown names ignored. Real senders
//! break them, so integers of any width may be numbers or strings, and an enum may be given by its name.
//! Nothing in between is built: values are written as they are read.

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use wattline_core::Signal;

use crate::protobuf::{put_bytes, put_key, put_message, put_varint};
use crate::schema::{self, Field, Kind, Message};

/// Why a JSON request could not be turned into protobuf.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// It is not JSON, or not the request it should be.
    #[error("{0}")]
    Invalid(#[from] serde_json::Error),
    /// As protobuf it would be larger than allowed.
    #[error("the request is larger than {limit} bytes as protobuf")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
}

/// Turns an export request of `signal` into protobuf of at most `limit` bytes.
///
/// `serde_json` bounds the depth of known values at 128 arrays and objects inside one another, and skips unknown ones
/// without recursion.
pub fn to_protobuf(signal: Signal, json: &[u8], limit: usize) -> Result<Vec<u8>, JsonError> {
    let mut out = Output { bytes: Vec::with_capacity(json.len().min(limit) / 2), limit, full: false };
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let read = Body { message: schema::request(signal), out: &mut out }.deserialize(&mut deserializer);
    match read.and_then(|()| deserializer.end()) {
        Ok(()) => Ok(out.bytes),
        Err(_stopped) if out.full => Err(JsonError::TooLarge { limit }),
        Err(error) => Err(JsonError::Invalid(error)),
    }
}

struct Output {
    bytes: Vec<u8>,
    limit: usize,
    full: bool,
}

impl Output {
    fn check<E: serde::de::Error>(&mut self) -> Result<(), E> {
        self.full = self.bytes.len() > self.limit;
        if self.full { Err(E::custom("too large")) } else { Ok(()) }
    }
}

/// Reads a JSON object as the fields of a message.
struct Body<'o> {
    message: &'static Message,
    out: &'o mut Output,
}

impl<'de> DeserializeSeed<'de> for Body<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Body<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(field) = map.next_key_seed(Name(self.message))? {
            match field {
                Some(field) => map.next_value_seed(Slot { field, element: false, out: self.out })?,
                None => map.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        Ok(())
    }
}

/// Finds a field by its name; `None` for a name that is not known.
struct Name(&'static Message);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<&'static Field>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<&'static Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.field_named(name))
    }
}

/// Reads the value of one field and writes it.
struct Slot<'o> {
    field: &'static Field,
    /// Whether this is one value of a list.
    element: bool,
    out: &'o mut Output,
}

impl<'de> DeserializeSeed<'de> for Slot<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Slot<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.field.kind {
            _ if self.field.repeated && !self.element => "a list",
            Kind::Message(_) => "an object",
            Kind::Text => "a text",
            Kind::Bytes => "a text in base64",
            Kind::Id => "a text in hexadecimal",
            Kind::Bool => "true or false",
            Kind::Enum(_) => "an enum as an integer or by its name",
            Kind::Double => "a number",
            _ => "an integer in range, as a number or as a text",
        };
        write!(f, "{kind} for {}", self.field.name)
    }

    /// Null stands for a value that is not set.
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Kind::Message(message) = self.field.kind else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Err(self.invalid("an object"));
        };
        self.check_single()?;
        let Output { bytes, limit, full } = &mut *self.out;
        put_message(bytes, self.field.number, |bytes| {
            let mut inner = Output { bytes: std::mem::take(bytes), limit: *limit, full: false };
            let read = Body { message, out: &mut inner }.visit_map(map);
            *bytes = inner.bytes;
            *full = inner.full;
            read
        })?;
        // The length before it is written last, and a message without fields is nothing but its length.
        self.out.check()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if !self.field.repeated || self.element {
            return Err(self.invalid("a list"));
        }
        while list.next_element_seed(Slot { field: self.field, element: true, out: self.out })?.is_some() {}
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        match self.field.kind {
            Kind::Bool => self.integer(i128::from(value)),
            _ => Err(self.invalid("a truth value")),
        }
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.integer(i128::from(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.integer(i128::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        if matches!(self.field.kind, Kind::Double) {
            return self.double(value);
        }
        // Protobuf's JSON mapping takes 1.0 and 1e3 for integers.
        #[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and the field's own range is narrower")]
        let whole = value as i128;
        if value.fract() == 0.0 { self.integer(whole) } else { Err(self.invalid("a fraction")) }
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        self.check_single()?;
        let number = self.field.number;
        match self.field.kind {
            Kind::Text => put_bytes(&mut self.out.bytes, number, text.as_bytes()),
            Kind::Bytes => match from_base64(text) {
                Some(bytes) => put_bytes(&mut self.out.bytes, number, &bytes),
                None => return Err(self.invalid("another text")),
            },
            Kind::Id => match from_hexadecimal(text) {
                Some(bytes) => put_bytes(&mut self.out.bytes, number, &bytes),
                None => return Err(self.invalid("another text")),
            },
            Kind::Double => match text.parse() {
                Ok(value) => return self.double(value),
                Err(_not_a_number) => return Err(self.invalid("another text")),
            },
            Kind::Message(_) => return Err(self.invalid("a text")),
            Kind::Bool => match text {
                "true" => return self.integer(1),
                "false" => return self.integer(0),
                _ => return Err(self.invalid("another text")),
            },
            Kind::Enum(names) => {
                let value = names.iter().position(|name| *name == text).map(|value| value as i128);
                return match value.or_else(|| text.parse().ok()) {
                    Some(value) => self.integer(value),
                    None => Err(self.invalid("another text")),
                };
            }
            _ => match text.parse::<i128>() {
                Ok(value) => return self.integer(value),
                Err(_not_a_number) => return Err(self.invalid("another text")),
            },
        }
        self.out.check()
    }
}

impl Slot<'_> {
    fn invalid<E: serde::de::Error>(&self, found: &str) -> E {
        E::invalid_type(serde::de::Unexpected::Other(found), self)
    }

    fn check_single<E: serde::de::Error>(&self) -> Result<(), E> {
        if self.field.repeated && !self.element { Err(self.invalid("a single value")) } else { Ok(()) }
    }

    fn double<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.check_single()?;
        put_key(&mut self.out.bytes, self.field.number, 1);
        self.out.bytes.extend_from_slice(&value.to_le_bytes());
        self.out.check()
    }

    fn integer<E: serde::de::Error>(self, value: i128) -> Result<(), E> {
        self.check_single()?;
        let out_of_range = |_| self.invalid("an integer out of range");
        // A variable-length integer below zero is written in 64 bits, whatever its own width.
        let signed = |value: i64| Encoded::Varint(value.cast_unsigned());
        let encoded = match self.field.kind {
            Kind::Int32 | Kind::Enum(_) => signed(i64::from(i32::try_from(value).map_err(out_of_range)?)),
            Kind::Int64 => signed(i64::try_from(value).map_err(out_of_range)?),
            Kind::Bool | Kind::Uint32 => Encoded::Varint(u64::from(u32::try_from(value).map_err(out_of_range)?)),
            Kind::Uint64 => Encoded::Varint(u64::try_from(value).map_err(out_of_range)?),
            Kind::Sint32 => {
                let value = i32::try_from(value).map_err(out_of_range)?;
                Encoded::Varint(u64::from((value << 1 ^ value >> 31).cast_unsigned()))
            }
            Kind::Fixed32 => Encoded::Fixed32(u32::try_from(value).map_err(out_of_range)?),
            Kind::Fixed64 => Encoded::Fixed64(u64::try_from(value).map_err(out_of_range)?),
            Kind::Sfixed64 => Encoded::Fixed64(i64::try_from(value).map_err(out_of_range)?.cast_unsigned()),
            Kind::Double => return self.double(value as f64),
            Kind::Message(_) | Kind::Text | Kind::Bytes | Kind::Id => return Err(self.invalid("a number")),
        };
        encoded.put(self.field.number, &mut self.out.bytes);
        self.out.check()
    }
}

/// An integer in its wire type.
enum Encoded {
    Varint(u64),
    Fixed32(u32),
    Fixed64(u64),
}

impl Encoded {
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        match self {
            Self::Varint(value) => {
                put_key(out, number, 0);
                put_varint(out, *value);
            }
            Self::Fixed32(value) => {
                put_key(out, number, 5);
                out.extend_from_slice(&value.to_le_bytes());
            }
            Self::Fixed64(value) => {
                put_key(out, number, 1);
                out.extend_from_slice(&value.to_le_bytes());
            }
        }
    }
}

/// Protobuf's JSON mapping takes both alphabets, with padding or without.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    const CONFIG: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG);
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}

fn from_hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect();
    if rest.is_empty() { bytes } else { None }
}

#[cfg(test)]
mod tests;
