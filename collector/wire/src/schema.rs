//! The messages of an OTLP export request as one table, and the check of a request against it.
//!
//! Two readers use the table: [`check`], which says whether a decoder would take the bytes and counts what is in
//! them, and the reading of OTLP/JSON. Fields that are not in it are skipped, as protobuf asks of an older reader.

pub(crate) mod table;

use wattline_core::Signal;

use crate::protobuf::{Error, Problem, Reader};

/// A message: its fields by number.
#[derive(Debug)]
pub(crate) struct Message {
    fields: &'static [Field],
    /// Whether each is a span, a log record or a point, which is what is counted.
    item: bool,
    /// Whether each is an attribute, of which there may be only so many in one place.
    attribute: bool,
}

/// A field of a message.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) number: u32,
    /// The name in OTLP/JSON.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) repeated: bool,
}

/// The type of a field.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Message(&'static Message),
    Text,
    Bytes,
    /// Bytes that are hexadecimal in OTLP/JSON.
    Id,
    Bool,
    Int32,
    Uint32,
    Uint64,
    Int64,
    Sint32,
    /// The names stand at their values.
    Enum(&'static [&'static str]),
    Fixed32,
    Fixed64,
    Sfixed64,
    Double,
}

impl Message {
    #[inline]
    fn field(&self, number: u32) -> Option<&'static Field> {
        // Most messages number their fields without a gap, so the first guess is nearly always right.
        match self.fields.get((number as usize).wrapping_sub(1)) {
            Some(field) if field.number == number => Some(field),
            _ => self.fields.iter().find(|field| field.number == number),
        }
    }

    pub(crate) fn field_named(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// The message of an export request of `signal`.
pub(crate) const fn request(signal: Signal) -> &'static Message {
    match signal {
        Signal::Traces => &table::TRACES,
        Signal::Metrics => &table::METRICS,
        Signal::Logs => &table::LOGS,
    }
}

/// What is too much in one request that is otherwise well formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Attributes of one span, event, link, record, point, scope or resource, or entries of one nested list.
    pub attributes: u32,
}

/// Reads an export request of `signal` to its end and counts its spans, log records or points.
///
/// What passes here passes prost and every other decoder of the same messages: framing, wire types, depth and
/// UTF-8 of all known fields are checked.
pub fn check(signal: Signal, bytes: &[u8], limits: Limits) -> Result<u64, Error> {
    let mut walk = Walk::new(limits);
    walk.message(Reader::new(bytes), request(signal))?;
    Ok(walk.items())
}

/// A walk over a request, message by message.
pub(crate) struct Walk {
    limits: Limits,
    items: u64,
}

impl Walk {
    pub(crate) const fn new(limits: Limits) -> Self {
        Self { limits, items: 0 }
    }

    /// Spans, log records and points so far.
    pub(crate) const fn items(&self) -> u64 {
        self.items
    }

    pub(crate) const fn count_item(&mut self) {
        self.items += 1;
    }

    /// Counts one of the `attributes` of a message. An error is at `reader`.
    #[inline]
    pub(crate) fn count_attribute(&self, reader: &Reader<'_>, attributes: &mut u32) -> Result<(), Error> {
        *attributes += 1;
        if *attributes > self.limits.attributes {
            return Err(reader.error(Problem::Attributes(self.limits.attributes)));
        }
        Ok(())
    }

    /// Checks a message of a known type to its end.
    pub(crate) fn message(&mut self, mut reader: Reader<'_>, message: &'static Message) -> Result<(), Error> {
        let mut attributes = 0;
        while !reader.is_empty() {
            let key = reader.key()?;
            self.field(&mut reader, message, key, &mut attributes)?;
        }
        Ok(())
    }

    /// Checks the value of a field of a message with so many attributes so far.
    #[inline]
    pub(crate) fn field(
        &mut self,
        reader: &mut Reader<'_>,
        message: &'static Message,
        (number, wire_type): (u32, u8),
        attributes: &mut u32,
    ) -> Result<(), Error> {
        let Some(known) = message.field(number) else {
            // A decoder refuses even to skip a field at the deepest level.
            if reader.depth_left() == 0 {
                return Err(reader.error(Problem::Depth));
            }
            return reader.pass_over(number, wire_type);
        };
        if let (Kind::Message(inner), 2) = (known.kind, wire_type) {
            self.items += u64::from(inner.item);
            if inner.attribute {
                self.count_attribute(reader, attributes)?;
            }
            self.message(reader.message()?, inner)
        } else {
            check_value(reader, known, wire_type)
        }
    }
}

#[inline]
fn check_value(reader: &mut Reader<'_>, field: &Field, wire_type: u8) -> Result<(), Error> {
    match (field.kind, wire_type) {
        (Kind::Text, 2) => reader.skip_text(field.number),
        (Kind::Bytes | Kind::Id, 2) => reader.delimited().map(drop),
        (Kind::Fixed64 | Kind::Sfixed64 | Kind::Double, 1) => reader.array::<8>().map(drop),
        (Kind::Fixed32, 5) => reader.array::<4>().map(drop),
        (Kind::Bool | Kind::Int32 | Kind::Uint32 | Kind::Uint64 | Kind::Int64 | Kind::Sint32 | Kind::Enum(_), 0) => {
            reader.varint().map(drop)
        }
        (Kind::Fixed64 | Kind::Double, 2) if field.repeated => {
            if reader.delimited()?.len() % 8 == 0 {
                Ok(())
            } else {
                Err(reader.error(Problem::Truncated))
            }
        }
        (Kind::Uint64, 2) if field.repeated => {
            // Packed numbers are bounded like a message, without keys.
            let mut packed = reader.message()?;
            while !packed.is_empty() {
                packed.varint()?;
            }
            Ok(())
        }
        _ => Err(reader.error(Problem::WireType(field.number))),
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;
    use crate::samples;

    const LIMITS: Limits = Limits { attributes: 64 };

    /// Whether prost takes the bytes.
    fn prost_takes(signal: Signal, bytes: &[u8]) -> bool {
        match signal {
            Signal::Traces => ExportTraceServiceRequest::decode(bytes).is_ok(),
            Signal::Metrics => ExportMetricsServiceRequest::decode(bytes).is_ok(),
            Signal::Logs => ExportLogsServiceRequest::decode(bytes).is_ok(),
        }
    }

    fn signals() -> impl Strategy<Value = Signal> {
        prop_oneof![Just(Signal::Traces), Just(Signal::Metrics), Just(Signal::Logs)]
    }

    #[test]
    fn spans_points_and_records_are_counted() {
        assert_eq!(check(Signal::Traces, &samples::traces().encode_to_vec(), LIMITS), Ok(2));
        assert_eq!(check(Signal::Metrics, &samples::metrics().encode_to_vec(), LIMITS), Ok(5));
        assert_eq!(check(Signal::Logs, &samples::logs().encode_to_vec(), LIMITS), Ok(1));
        assert_eq!(check(Signal::Logs, &[], LIMITS), Ok(0));
    }

    #[test]
    fn attributes_have_a_limit() {
        let error = check(Signal::Traces, &samples::traces().encode_to_vec(), Limits { attributes: 3 }).unwrap_err();
        assert_eq!(error.problem, Problem::Attributes(3));
    }

    #[test]
    fn an_attribute_nested_too_deep_is_refused() {
        let deep = samples::nested_arrays(120);
        assert_eq!(check(Signal::Traces, &deep, LIMITS).unwrap_err().problem, Problem::Depth);
        assert!(!prost_takes(Signal::Traces, &deep));
        let shallow = samples::nested_arrays(20);
        assert_eq!(check(Signal::Traces, &shallow, LIMITS), Ok(1));
    }

    #[test]
    fn every_prefix_is_judged_as_prost_judges_it() {
        for signal in [Signal::Traces, Signal::Metrics, Signal::Logs] {
            let whole = samples::encoded(signal);
            for length in 0..=whole.len() {
                let prefix = &whole[..length];
                assert_eq!(check(signal, prefix, LIMITS).is_ok(), prost_takes(signal, prefix), "{signal:?} {length}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_as_prost_judges_them(
            signal in signals(), bytes in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            prop_assert_eq!(check(signal, &bytes, LIMITS).is_ok(), prost_takes(signal, &bytes));
        }

        #[test]
        fn a_damaged_request_is_judged_as_prost_judges_it(
            signal in signals(), edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut bytes = samples::encoded(signal);
            for (index, byte) in edits {
                let index = index.index(bytes.len());
                bytes[index] = byte;
            }
            // prost has no limit on attributes, and a damaged length cannot make more of them than there are here.
            prop_assert_eq!(check(signal, &bytes, LIMITS).is_ok(), prost_takes(signal, &bytes));
        }

        #[test]
        fn nesting_is_refused_where_prost_refuses_it(depth in 20usize..60) {
            let bytes = samples::nested_arrays(depth);
            prop_assert_eq!(check(Signal::Traces, &bytes, LIMITS).is_ok(), prost_takes(Signal::Traces, &bytes));
        }
    }
}
