//! Takes message content out of relayed spans and log records: prompts, completions, instructions, arguments and
//! results of tools.
//!
//! What holds content is told by its name alone, from one table (`content/names.rs`): attributes wherever they stand, events of
//! spans, and bodies of log records. Everything else stays byte for byte, fields of a later protocol included; only the
//! lengths of the messages around what was taken out are written anew. Names of spans, status messages and exceptions
//! are not content here, whatever a program writes into them.

mod names;

use wattline_core::Signal;

use crate::protobuf::{Error, Reader, put_bytes, put_varint};
use crate::trace::{AnyValue, last_message};

/// What becomes of content.
#[derive(Clone, Copy)]
pub enum Treatment<'a> {
    /// It is left out: attributes, events and bodies as a whole.
    Drop,
    /// A text takes its place, made of its bytes: of a text these are its own, of any other value its encoding. Events
    /// keep their name and time.
    Replace(&'a dyn Fn(&[u8]) -> String),
}

/// An export request of `signal` without content; `None` where it holds none. `request` is one that
/// [`check`](crate::schema::check) has passed. Metrics are not looked at: no convention has content there.
pub fn without_content(signal: Signal, request: &[u8], treatment: Treatment<'_>) -> Result<Option<Vec<u8>>, Error> {
    let shape = match signal {
        Signal::Metrics => return Ok(None),
        Signal::Traces => &TRACES,
        Signal::Logs => &LOGS,
    };
    let mut out = Vec::with_capacity(request.len());
    let around = Around { treatment, scope: "", is_content: false };
    Ok(rewrite(Reader::new(request), shape, around, &mut out)?.then_some(out))
}

/// Where in a message attributes and further messages stand. The numbers are those of opentelemetry-proto 1.10.
struct Shape {
    kind: Kind,
    /// The field of the attributes; 0 where there are none.
    attributes: u32,
    inner: &'static [(u32, &'static Shape)],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Other,
    /// Its scope says who made its log records.
    ScopeLogs,
    Event,
    Record,
}

const fn holder(attributes: u32) -> Shape {
    Shape { kind: Kind::Other, attributes, inner: &[] }
}

static RESOURCE: Shape = holder(1);
static SCOPE: Shape = holder(3);
static LINK: Shape = holder(4);
static EVENT: Shape = Shape { kind: Kind::Event, ..holder(EVENT_ATTRIBUTES) };
static SPAN: Shape = Shape { inner: &[(11, &EVENT), (13, &LINK)], ..holder(9) };
static SCOPE_SPANS: Shape = Shape { inner: &[(1, &SCOPE), (2, &SPAN)], ..holder(0) };
static RESOURCE_SPANS: Shape = Shape { inner: &[(1, &RESOURCE), (2, &SCOPE_SPANS)], ..holder(0) };
static TRACES: Shape = Shape { inner: &[(1, &RESOURCE_SPANS)], ..holder(0) };
static RECORD: Shape = Shape { kind: Kind::Record, ..holder(RECORD_ATTRIBUTES) };
static SCOPE_LOGS: Shape = Shape { kind: Kind::ScopeLogs, inner: &[(1, &SCOPE), (2, &RECORD)], ..holder(0) };
static RESOURCE_LOGS: Shape = Shape { inner: &[(1, &RESOURCE), (2, &SCOPE_LOGS)], ..holder(0) };
static LOGS: Shape = Shape { inner: &[(1, &RESOURCE_LOGS)], ..holder(0) };

const KEY: u32 = 1;
const VALUE: u32 = 2;
const SCOPE_NAME: u32 = 1;
const EVENT_NAME: u32 = 2;
const EVENT_ATTRIBUTES: u32 = 3;
const RECORD_BODY: u32 = 5;
const RECORD_ATTRIBUTES: u32 = 6;
const RECORD_EVENT_NAME: u32 = 12;

/// What the messages around say of the one that is read.
#[derive(Clone, Copy)]
struct Around<'a> {
    treatment: Treatment<'a>,
    /// The name of the scope of log records.
    scope: &'a str,
    /// The event as a whole is content, or the record's body.
    is_content: bool,
}

/// Copies a message to `out`. True where something was taken out.
fn rewrite<'a>(
    mut reader: Reader<'a>,
    shape: &'static Shape,
    mut around: Around<'a>,
    out: &mut Vec<u8>,
) -> Result<bool, Error> {
    match shape.kind {
        Kind::Other => {}
        Kind::ScopeLogs => around.scope = scope_name(reader.clone())?,
        Kind::Event => around.is_content = names::is_event(last_text(reader.clone(), EVENT_NAME)?),
        Kind::Record => around.is_content = is_content_record(reader.clone(), around.scope)?,
    }
    let mut changed = false;
    while !reader.is_empty() {
        let before = reader.clone();
        let (number, wire_type) = reader.key()?;
        let key = before.read_until(&reader);
        if wire_type != 2 {
            reader.pass_over(number, wire_type)?;
            out.extend_from_slice(before.read_until(&reader));
            continue;
        }
        let message = reader.clone().message();
        reader.delimited()?;
        let start = out.len();
        if field(message, number, key, shape, around, out)? {
            changed = true;
        } else {
            out.truncate(start);
            out.extend_from_slice(before.read_until(&reader));
        }
    }
    Ok(changed)
}

/// Writes a field that may hold content, without it. False where it holds none; what was written then is nothing.
fn field<'a>(
    message: Result<Reader<'a>, Error>,
    number: u32,
    key: &[u8],
    shape: &'static Shape,
    around: Around<'a>,
    out: &mut Vec<u8>,
) -> Result<bool, Error> {
    if number == shape.attributes {
        return attribute(message?, key, shape, around, out);
    }
    if shape.kind == Kind::Record && number == RECORD_BODY && around.is_content {
        if let Treatment::Replace(replace) = around.treatment {
            put(out, key, &text_value(&replace(payload(&message?)?)));
        }
        return Ok(true);
    }
    let Some((_, inner)) = shape.inner.iter().find(|(inner, _)| *inner == number) else { return Ok(false) };
    let message = message?;
    if let (Kind::Event, Treatment::Drop) = (inner.kind, around.treatment)
        && names::is_event(last_text(message.clone(), EVENT_NAME)?)
    {
        return Ok(true);
    }
    out.extend_from_slice(key);
    let body = out.len();
    let changed = rewrite(message, inner, around, out)?;
    if changed {
        let mut length = Vec::with_capacity(5);
        put_varint(&mut length, (out.len() - body) as u64);
        out.splice(body..body, length);
    }
    Ok(changed)
}

/// Writes an attribute without its value where that is content.
fn attribute(
    message: Reader<'_>,
    key: &[u8],
    shape: &Shape,
    around: Around<'_>,
    out: &mut Vec<u8>,
) -> Result<bool, Error> {
    let (name, value) = (last_text(message.clone(), KEY)?, last_message(message.clone(), VALUE)?);
    let is_part_of_content = shape.kind == Kind::Event && around.is_content;
    if !is_part_of_content && !names::is_attribute(name) {
        return Ok(false);
    }
    if let Treatment::Replace(replace) = around.treatment {
        let mut replaced = without(message, VALUE)?;
        put_bytes(&mut replaced, VALUE, &text_value(&replace(payload(&value)?)));
        put(out, key, &replaced);
    }
    Ok(true)
}

/// Whether the body of a log record is content: it is an event about a model, or a library that instruments models
/// made it.
fn is_content_record(record: Reader<'_>, scope: &str) -> Result<bool, Error> {
    if names::is_scope(scope) || names::is_record(last_text(record.clone(), RECORD_EVENT_NAME)?) {
        return Ok(true);
    }
    for attribute in record {
        let attribute = attribute?;
        if attribute.number == RECORD_ATTRIBUTES {
            let message = attribute.message()?;
            // Before records had a field for it, the name of an event was an attribute.
            if last_text(message.clone(), KEY)? == "event.name"
                && let AnyValue::Text(name) = AnyValue::read(last_message(message, VALUE)?)?
                && names::is_record(name)
            {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn scope_name(scope_logs: Reader<'_>) -> Result<&str, Error> {
    last_text(last_message(scope_logs, 1)?, SCOPE_NAME)
}

/// The text field `number`; empty if there is none. Of several the last one counts, as in protobuf.
fn last_text(message: Reader<'_>, number: u32) -> Result<&str, Error> {
    let mut last = "";
    for field in message {
        let field = field?;
        if field.number == number {
            last = field.text()?;
        }
    }
    Ok(last)
}

/// What a value is hashed by.
fn payload<'a>(value: &Reader<'a>) -> Result<&'a [u8], Error> {
    match AnyValue::read(value.clone())? {
        AnyValue::Text(text) => Ok(text.as_bytes()),
        _ => Ok(value.rest()),
    }
}

/// The fields of a message but `number`, as they are.
fn without(mut message: Reader<'_>, number: u32) -> Result<Vec<u8>, Error> {
    let mut rest = Vec::new();
    while !message.is_empty() {
        let before = message.clone();
        let (this, wire_type) = message.key()?;
        message.pass_over(this, wire_type)?;
        if this != number {
            rest.extend_from_slice(before.read_until(&message));
        }
    }
    Ok(rest)
}

/// An encoded `AnyValue`.
fn text_value(text: &str) -> Vec<u8> {
    let mut value = Vec::with_capacity(text.len() + 3);
    put_bytes(&mut value, 1, text.as_bytes());
    value
}

/// Appends a message behind a key that is already encoded.
fn put(out: &mut Vec<u8>, key: &[u8], message: &[u8]) {
    out.extend_from_slice(key);
    put_varint(out, message.len() as u64);
    out.extend_from_slice(message);
}

#[cfg(test)]
mod tests;
