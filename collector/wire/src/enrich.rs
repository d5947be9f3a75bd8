//! Adds attributes to relayed spans. Everything else stays byte for byte; only the lengths of the messages around are
//! written anew.

use std::collections::BTreeMap;
use std::convert::Infallible;

use crate::protobuf::{Error, Reader, put_bytes, put_key, put_message};

/// A span by its trace and its own id.
pub type SpanId = (u128, u64);

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A number.
    Number(f64),
}

/// An attribute with its value.
pub type Attribute = (&'static str, Value);

/// Where in a message the messages are that lead to spans, by the depth: resources, scopes, spans.
const TO_SPANS: [u32; 3] = [1, 2, 2];
const TRACE_ID: u32 = 1;
const SPAN_ID: u32 = 2;
const ATTRIBUTES: u32 = 9;

/// An export request of spans with attributes added behind those that its spans bear; `None` where none of them is
/// named. `request` is one that [`check`](crate::schema::check) has passed.
pub fn with_attributes(
    request: &[u8],
    attributes: &BTreeMap<SpanId, Vec<Attribute>>,
) -> Result<Option<Vec<u8>>, Error> {
    let mut out = Vec::with_capacity(request.len() + 256 * attributes.len());
    Ok(rewrite(Reader::new(request), &TO_SPANS, attributes, &mut out)?.then_some(out))
}

/// Copies a message to `out`. True where something was added.
fn rewrite(
    mut reader: Reader<'_>,
    path: &[u32],
    attributes: &BTreeMap<SpanId, Vec<Attribute>>,
    out: &mut Vec<u8>,
) -> Result<bool, Error> {
    let Some((inner, path)) = path.split_first() else {
        let added = attributes.get(&span_id(reader.clone())?);
        out.extend_from_slice(reader.rest());
        for (key, value) in added.into_iter().flatten() {
            put_attribute(out, key, value);
        }
        return Ok(added.is_some());
    };
    let mut changed = false;
    while !reader.is_empty() {
        let before = reader.clone();
        let (number, wire_type) = reader.key()?;
        if (number, wire_type) != (*inner, 2) {
            reader.pass_over(number, wire_type)?;
            out.extend_from_slice(before.read_until(&reader));
            continue;
        }
        let message = reader.message()?;
        let start = out.len();
        let mut inside = false;
        put_message(out, number, |out| {
            inside = rewrite(message, path, attributes, out)?;
            Ok::<(), Error>(())
        })?;
        if inside {
            changed = true;
        } else {
            // As it was written, whatever way of writing a length its sender has.
            out.truncate(start);
            out.extend_from_slice(before.read_until(&reader));
        }
    }
    Ok(changed)
}

fn span_id(span: Reader<'_>) -> Result<SpanId, Error> {
    let (mut trace, mut id) = (0, 0);
    for field in span {
        let field = field?;
        match field.number {
            TRACE_ID => trace = field.bytes()?.try_into().map_or(0, u128::from_be_bytes),
            SPAN_ID => id = field.bytes()?.try_into().map_or(0, u64::from_be_bytes),
            _ => {}
        }
    }
    Ok((trace, id))
}

fn put_attribute(out: &mut Vec<u8>, key: &str, value: &Value) {
    let Ok(()) = put_message(out, ATTRIBUTES, |out| {
        put_bytes(out, 1, key.as_bytes());
        put_message(out, 2, |out| {
            match value {
                Value::Text(text) => put_bytes(out, 1, text.as_bytes()),
                Value::Number(number) => {
                    put_key(out, 4, 1);
                    out.extend_from_slice(&number.to_le_bytes());
                }
            }
            Ok::<(), Infallible>(())
        })
    });
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::any_value::Value as ProtoValue;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    fn span(id: u8) -> Span {
        let value = Some(AnyValue { value: Some(ProtoValue::IntValue(i64::from(id))) });
        Span {
            trace_id: vec![7; 16],
            span_id: vec![id; 8],
            name: format!("span {id}"),
            attributes: vec![KeyValue { key: "own".to_owned(), value, ..Default::default() }],
            end_time_unix_nano: 5,
            ..Default::default()
        }
    }

    fn request(groups: &[Vec<u8>]) -> ExportTraceServiceRequest {
        let of =
            |spans: &Vec<u8>| ScopeSpans { spans: spans.iter().map(|id| span(*id)).collect(), ..Default::default() };
        let group =
            |spans| ResourceSpans { scope_spans: vec![of(spans)], schema_url: "s".to_owned(), ..Default::default() };
        ExportTraceServiceRequest { resource_spans: groups.iter().map(group).collect() }
    }

    fn id(id: u8) -> SpanId {
        (u128::from_be_bytes([7; 16]), u64::from_be_bytes([id; 8]))
    }

    proptest! {
        #[test]
        fn the_named_spans_have_the_attributes_and_nothing_else_changes(
            groups in prop::collection::vec(prop::collection::vec(1u8..20, 0..5), 0..4),
            named in prop::collection::btree_set(1u8..20, 0..6),
        ) {
            let added = vec![("energy", Value::Number(1.5)), ("method", Value::Text("modelled".to_owned()))];
            let attributes: BTreeMap<_, _> = named.iter().map(|name| (id(*name), added.clone())).collect();
            let mut expected = request(&groups);
            let bytes = expected.encode_to_vec();
            let told = with_attributes(&bytes, &attributes).unwrap();
            let mut is_changed = false;
            for span in expected.resource_spans.iter_mut().flat_map(|group| &mut group.scope_spans).flat_map(|scope| &mut scope.spans) {
                if named.contains(&span.span_id[0]) {
                    is_changed = true;
                    for (key, value) in [
                        ("energy", ProtoValue::DoubleValue(1.5)),
                        ("method", ProtoValue::StringValue("modelled".to_owned())),
                    ] {
                        let value = Some(AnyValue { value: Some(value) });
                        span.attributes.push(KeyValue { key: key.to_owned(), value, ..Default::default() });
                    }
                }
            }
            prop_assert_eq!(told.is_some(), is_changed);
            if let Some(told) = told {
                prop_assert_eq!(ExportTraceServiceRequest::decode(told.as_slice()).unwrap(), expected);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let attributes = BTreeMap::from([((0, 0), vec![("energy", Value::Number(1.0))])]);
            let _told = with_attributes(&bytes, &attributes);
        }
    }
}
