//! An export request of spans, read in place.
//!
//! Nothing is copied and nothing is collected: a request gives resources, a resource scopes, a scope spans, and a
//! span its attributes, each when asked for. Fields may stand in any order; a resource or scope that comes behind
//! its spans is found first. Where protobuf would merge a message that is given twice, the last one counts here: no
//! encoder writes one twice.

mod checked;

use crate::protobuf::{Error, Problem, Reader};

pub use checked::{Listen, check_and_read};

/// The resources of an export request with their spans.
pub fn resource_spans(request: &[u8]) -> impl Iterator<Item = Result<ResourceSpans<'_>, Error>> {
    messages(Reader::new(request), 1).map(|reader| ResourceSpans::read(reader?))
}

/// A resource and the spans it sent.
#[derive(Clone, Debug)]
pub struct ResourceSpans<'a> {
    fields: Reader<'a>,
    resource: Reader<'a>,
}

impl<'a> ResourceSpans<'a> {
    fn read(fields: Reader<'a>) -> Result<Self, Error> {
        Ok(Self { resource: last_message(fields.clone(), 1)?, fields })
    }

    /// The attributes of the resource.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes { fields: self.resource.clone(), number: 1 }
    }

    /// The scopes with their spans.
    pub fn scopes(&self) -> impl Iterator<Item = Result<ScopeSpans<'a>, Error>> + use<'a> {
        messages(self.fields.clone(), 2).map(|reader| ScopeSpans::read(reader?))
    }
}

/// An instrumentation scope and the spans it made.
#[derive(Clone, Debug)]
pub struct ScopeSpans<'a> {
    /// The name of the scope; empty if it has none.
    pub name: &'a str,
    /// Its version; empty if it has none.
    pub version: &'a str,
    fields: Reader<'a>,
}

impl<'a> ScopeSpans<'a> {
    fn read(fields: Reader<'a>) -> Result<Self, Error> {
        let mut this = Self { name: "", version: "", fields };
        for field in last_message(this.fields.clone(), 1)? {
            let field = field?;
            match field.number {
                1 => this.name = field.text()?,
                2 => this.version = field.text()?,
                _ => {}
            }
        }
        Ok(this)
    }

    /// The spans.
    pub fn spans(&self) -> impl Iterator<Item = Result<Span<'a>, Error>> + use<'a> {
        messages(self.fields.clone(), 2).map(|reader| Span::read(reader?))
    }
}

/// Which side of a call a span tells of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpanKind {
    /// Not said, or a kind of a later protocol.
    #[default]
    Unspecified,
    /// Inside one process.
    Internal,
    /// The called side.
    Server,
    /// The calling side.
    Client,
    /// The side that puts a message into a queue.
    Producer,
    /// The side that takes it out.
    Consumer,
}

/// One span.
#[derive(Clone, Debug)]
pub struct Span<'a> {
    /// The id of its trace: 16 bytes, if the sender keeps to the protocol.
    pub trace_id: &'a [u8],
    /// Its own id: 8 bytes.
    pub span_id: &'a [u8],
    /// The id of its parent; empty for a root.
    pub parent_span_id: &'a [u8],
    /// The W3C `tracestate` header.
    pub trace_state: &'a str,
    /// The name.
    pub name: &'a str,
    /// Which side of a call it tells of.
    pub kind: SpanKind,
    /// When it began, in nanoseconds since the Unix epoch.
    pub start_unix_nanos: u64,
    /// When it ended, in nanoseconds since the Unix epoch.
    pub end_unix_nanos: u64,
    /// Whether its status is an error.
    pub failed: bool,
    /// How many events it holds.
    pub event_count: u32,
    /// From the first attribute on, so that reading attributes skips what comes before.
    attributes: Reader<'a>,
}

impl<'a> Span<'a> {
    const fn empty() -> Self {
        Self {
            trace_id: &[],
            span_id: &[],
            parent_span_id: &[],
            trace_state: "",
            name: "",
            kind: SpanKind::Unspecified,
            start_unix_nanos: 0,
            end_unix_nanos: 0,
            failed: false,
            event_count: 0,
            attributes: Reader::empty(),
        }
    }

    fn read(mut fields: Reader<'a>) -> Result<Self, Error> {
        let mut span = Self::empty();
        let mut has_attributes = false;
        while !fields.is_empty() {
            let here = fields.clone();
            match fields.key()? {
                (1, 2) => span.trace_id = fields.delimited()?,
                (2, 2) => span.span_id = fields.delimited()?,
                (3, 2) => span.trace_state = fields.text(3)?,
                (4, 2) => span.parent_span_id = fields.delimited()?,
                (5, 2) => span.name = fields.text(5)?,
                (6, 0) => span.kind = kind(fields.varint()?),
                (7, 1) => span.start_unix_nanos = u64::from_le_bytes(fields.array()?),
                (8, 1) => span.end_unix_nanos = u64::from_le_bytes(fields.array()?),
                (9, 2) => {
                    if !has_attributes {
                        has_attributes = true;
                        span.attributes = here;
                    }
                    fields.delimited()?;
                }
                (11, 2) => {
                    span.event_count = span.event_count.saturating_add(1);
                    fields.delimited()?;
                }
                (15, 2) => span.failed = is_error(fields.message()?)?,
                (number @ (1..=9 | 11 | 15), _) => return Err(fields.error(Problem::WireType(number))),
                (number, wire_type) => fields.pass_over(number, wire_type)?,
            }
        }
        Ok(span)
    }

    /// The attributes, in the order of the bytes.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes { fields: self.attributes.clone(), number: 9 }
    }
}

/// Iterates over attributes. After an error it ends.
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    fields: Reader<'a>,
    number: u32,
}

impl<'a> Attributes<'a> {
    /// The attributes in the field `number` of a message.
    pub(crate) const fn new(fields: Reader<'a>, number: u32) -> Self {
        Self { fields, number }
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        while !self.fields.is_empty() {
            let read = match self.fields.key() {
                Ok((number, 2)) if number == self.number => self.fields.message().and_then(Attribute::read),
                Ok((number, _)) if number == self.number => Err(self.fields.error(Problem::WireType(number))),
                Ok((number, wire_type)) => match self.fields.pass_over(number, wire_type) {
                    Ok(()) => continue,
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            };
            if read.is_err() {
                self.fields = Reader::empty();
            }
            return Some(read);
        }
        None
    }
}

/// A key with a value that is read when asked for: what nobody asks for, such as a prompt, is never looked at.
#[derive(Clone, Debug)]
pub struct Attribute<'a> {
    /// The key.
    pub key: &'a str,
    value: Reader<'a>,
}

impl<'a> Attribute<'a> {
    #[inline]
    fn read(mut fields: Reader<'a>) -> Result<Self, Error> {
        let mut attribute = Self { key: "", value: Reader::empty() };
        while !fields.is_empty() {
            match fields.key()? {
                (1, 2) => attribute.key = fields.text(1)?,
                (2, 2) => attribute.value = fields.message()?,
                (number @ 1..=2, _) => return Err(fields.error(Problem::WireType(number))),
                (number, wire_type) => fields.pass_over(number, wire_type)?,
            }
        }
        Ok(attribute)
    }

    /// The value.
    pub fn value(&self) -> Result<AnyValue<'a>, Error> {
        AnyValue::read(self.value.clone())
    }

    /// The value as it is encoded.
    pub const fn raw(&self) -> &'a [u8] {
        self.value.rest()
    }
}

/// A value of an attribute.
#[derive(Clone, Debug)]
pub enum AnyValue<'a> {
    /// No value, or one of a later protocol.
    Empty,
    /// A text.
    Text(&'a str),
    /// True or false.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A number.
    Double(f64),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A list of values.
    Array(Array<'a>),
    /// Keys with values.
    KeyValues(Attributes<'a>),
}

impl<'a> AnyValue<'a> {
    #[inline]
    pub(crate) fn read(mut fields: Reader<'a>) -> Result<Self, Error> {
        let mut value = Self::Empty;
        while !fields.is_empty() {
            match fields.key()? {
                (1, 2) => value = Self::Text(fields.text(1)?),
                (2, 0) => value = Self::Bool(fields.varint()? != 0),
                (3, 0) => value = Self::Int(fields.varint()?.cast_signed()),
                (4, 1) => value = Self::Double(f64::from_le_bytes(fields.array()?)),
                (5, 2) => value = Self::Array(Array { fields: fields.message()? }),
                (6, 2) => value = Self::KeyValues(Attributes { fields: fields.message()?, number: 1 }),
                (7, 2) => value = Self::Bytes(fields.delimited()?),
                (number @ 1..=7, _) => return Err(fields.error(Problem::WireType(number))),
                (number, wire_type) => fields.pass_over(number, wire_type)?,
            }
        }
        Ok(value)
    }
}

/// A list of values.
#[derive(Clone, Debug)]
pub struct Array<'a> {
    fields: Reader<'a>,
}

impl<'a> Array<'a> {
    /// The values.
    pub fn values(&self) -> impl Iterator<Item = Result<AnyValue<'a>, Error>> + use<'a> {
        messages(self.fields.clone(), 1).map(|reader| AnyValue::read(reader?))
    }
}

/// The occurrences of the message field `number`.
fn messages(fields: Reader<'_>, number: u32) -> impl Iterator<Item = Result<Reader<'_>, Error>> {
    fields.filter_map(move |field| match field {
        Ok(field) if field.number == number => Some(field.message()),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    })
}

/// The last occurrence of the message field `number`; an empty message if there is none.
pub(crate) fn last_message(fields: Reader<'_>, number: u32) -> Result<Reader<'_>, Error> {
    messages(fields, number).try_fold(Reader::empty(), |_, reader| reader)
}

fn kind(number: u64) -> SpanKind {
    match number {
        1 => SpanKind::Internal,
        2 => SpanKind::Server,
        3 => SpanKind::Client,
        4 => SpanKind::Producer,
        5 => SpanKind::Consumer,
        _ => SpanKind::Unspecified,
    }
}

fn is_error(status: Reader<'_>) -> Result<bool, Error> {
    const ERROR: u64 = 2;
    let mut failed = false;
    for field in status {
        let field = field?;
        if field.number == 3 {
            failed = field.varint()? == ERROR;
        }
    }
    Ok(failed)
}

#[cfg(test)]
mod tests;
