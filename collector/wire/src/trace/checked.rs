//! An export request of spans, checked and read in one walk over its bytes.
//!
//! It takes what [`check`](crate::schema::check) takes, and tells what a walk over [`resource_spans`](super::resource_spans)
//! finds. Whoever listens must be able to forget: an error may come behind the last span.

use super::{AnyValue, Array, Attribute, Attributes, ResourceSpans, ScopeSpans, Span, is_error, kind};
use crate::protobuf::{Error, Problem, Reader};
use crate::schema::{Limits, Walk, table};

/// Is told what is in a request, in the order of the bytes, but of a resource and of a scope before what is in it.
pub trait Listen<'a> {
    /// What it knows of a key.
    type Known: Copy;

    /// Whether a key is one that it knows: then it need not be looked at for being a text.
    fn know(&self, key: &[u8]) -> Option<(&'static str, Self::Known)>;

    /// The resource of the spans that come next.
    fn resource(&mut self, resource: &ResourceSpans<'a>) -> Result<(), Error>;

    /// The scope of the spans that come next.
    fn scope(&mut self, scope: &ScopeSpans<'a>) -> Result<(), Error>;

    /// An attribute of the span that comes next, with what is known of its key and its value.
    fn attribute(
        &mut self,
        attribute: &Attribute<'a>,
        known: Option<Self::Known>,
        value: AnyValue<'a>,
    ) -> Result<(), Error>;

    /// A span, whose attributes were told.
    fn span(&mut self, span: &Span<'a>) -> Result<(), Error>;
}

/// Checks an export request of spans, as [`check`](crate::schema::check) does, while `listener` is told what is in it.
pub fn check_and_read<'a>(bytes: &'a [u8], limits: Limits, listener: &mut impl Listen<'a>) -> Result<u64, Error> {
    let mut walk = Walk::new(limits);
    let mut request = Reader::new(bytes);
    let mut attributes = 0;
    while !request.is_empty() {
        match request.key()? {
            (1, 2) => read_resource(&mut walk, request.message()?, listener)?,
            (number, wire_type) => walk.field(&mut request, &table::TRACES, (number, wire_type), &mut attributes)?,
        }
    }
    Ok(walk.items())
}

fn read_resource<'a>(walk: &mut Walk, mut group: Reader<'a>, listener: &mut impl Listen<'a>) -> Result<(), Error> {
    listener.resource(&ResourceSpans::read(group.clone())?)?;
    let mut attributes = 0;
    while !group.is_empty() {
        match group.key()? {
            (2, 2) => read_scope(walk, group.message()?, listener)?,
            key => walk.field(&mut group, &table::RESOURCE_SPANS, key, &mut attributes)?,
        }
    }
    Ok(())
}

fn read_scope<'a>(walk: &mut Walk, mut scope: Reader<'a>, listener: &mut impl Listen<'a>) -> Result<(), Error> {
    listener.scope(&ScopeSpans::read(scope.clone())?)?;
    let mut attributes = 0;
    while !scope.is_empty() {
        match scope.key()? {
            (2, 2) => {
                walk.count_item();
                let span = read_span(walk, scope.message()?, listener)?;
                listener.span(&span)?;
            }
            key => walk.field(&mut scope, &table::SCOPE_SPANS, key, &mut attributes)?,
        }
    }
    Ok(())
}

#[inline]
fn read_span<'a>(walk: &mut Walk, mut fields: Reader<'a>, listener: &mut impl Listen<'a>) -> Result<Span<'a>, Error> {
    let mut span = Span::empty();
    let mut attributes = 0;
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
                if attributes == 0 {
                    span.attributes = here;
                }
                walk.count_attribute(&fields, &mut attributes)?;
                read_attribute(walk, fields.message()?, listener)?;
            }
            (11, 2) => {
                span.event_count = span.event_count.saturating_add(1);
                walk.message(fields.message()?, &table::EVENT)?;
            }
            (15, 2) => {
                let status = fields.message()?;
                walk.message(status.clone(), &table::STATUS)?;
                span.failed = is_error(status)?;
            }
            key => walk.field(&mut fields, &table::SPAN, key, &mut attributes)?,
        }
    }
    Ok(span)
}

#[inline]
fn read_attribute<'a>(walk: &mut Walk, mut fields: Reader<'a>, listener: &mut impl Listen<'a>) -> Result<(), Error> {
    let mut attribute = Attribute { key: "", value: Reader::empty() };
    let (mut known, mut value) = (None, AnyValue::Empty);
    while !fields.is_empty() {
        match fields.key()? {
            (1, 2) => {
                let here = fields.clone();
                let found = listener.know(fields.delimited()?);
                known = found.map(|(_, known)| known);
                attribute.key = match found {
                    Some((key, _)) => key,
                    None => here.clone().text(1)?,
                };
            }
            (2, 2) => {
                attribute.value = fields.message()?;
                value = read_value(walk, attribute.value.clone())?;
            }
            key => walk.field(&mut fields, &table::KEY_VALUE, key, &mut 0)?,
        }
    }
    listener.attribute(&attribute, known, value)
}

#[inline]
fn read_value<'a>(walk: &mut Walk, mut fields: Reader<'a>) -> Result<AnyValue<'a>, Error> {
    let mut value = AnyValue::Empty;
    while !fields.is_empty() {
        match fields.key()? {
            (1, 2) => value = AnyValue::Text(fields.text(1)?),
            (2, 0) => value = AnyValue::Bool(fields.varint()? != 0),
            (3, 0) => value = AnyValue::Int(fields.varint()?.cast_signed()),
            (4, 1) => value = AnyValue::Double(f64::from_le_bytes(fields.array()?)),
            (5, 2) => {
                let list = fields.message()?;
                walk.message(list.clone(), &table::ARRAY_VALUE)?;
                value = AnyValue::Array(Array { fields: list });
            }
            (6, 2) => {
                let list = fields.message()?;
                walk.message(list.clone(), &table::KEY_VALUE_LIST)?;
                value = AnyValue::KeyValues(Attributes::new(list, 1));
            }
            (7, 2) => value = AnyValue::Bytes(fields.delimited()?),
            (number @ 1..=7, _) => return Err(fields.error(Problem::WireType(number))),
            key => walk.field(&mut fields, &table::ANY_VALUE, key, &mut 0)?,
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wattline_core::Signal;

    use super::*;
    use crate::samples;
    use crate::schema::check;
    use crate::trace::resource_spans;

    const LIMITS: Limits = Limits { attributes: 64 };

    /// What it is told, in words.
    #[derive(Debug, Default, PartialEq)]
    struct Heard(Vec<String>);

    impl<'a> Listen<'a> for Heard {
        type Known = usize;

        fn know(&self, key: &[u8]) -> Option<(&'static str, usize)> {
            const KEYS: [&str; 2] = ["a", "gen_ai.system"];
            KEYS.iter().position(|known| known.as_bytes() == key).map(|place| (KEYS[place], place))
        }

        fn resource(&mut self, resource: &ResourceSpans<'a>) -> Result<(), Error> {
            for attribute in resource.attributes() {
                let attribute = attribute?;
                self.0.push(format!("{} {:?}", attribute.key, attribute.value()?));
            }
            Ok(())
        }

        fn scope(&mut self, scope: &ScopeSpans<'a>) -> Result<(), Error> {
            self.0.push(format!("{} {}", scope.name, scope.version));
            Ok(())
        }

        fn attribute(
            &mut self,
            attribute: &Attribute<'a>,
            known: Option<usize>,
            value: AnyValue<'a>,
        ) -> Result<(), Error> {
            assert_eq!(known, self.know(attribute.key.as_bytes()).map(|(_, place)| place));
            self.0.push(format!("{} {value:?} {:?}", attribute.key, attribute.raw()));
            Ok(())
        }

        fn span(&mut self, span: &Span<'a>) -> Result<(), Error> {
            self.0.push(format!("{span:?}"));
            Ok(())
        }
    }

    /// The same by a walk that checks nothing beside.
    fn read(bytes: &[u8]) -> Result<Heard, Error> {
        let mut heard = Heard::default();
        for group in resource_spans(bytes) {
            let group = group?;
            heard.resource(&group)?;
            for scope in group.scopes() {
                let scope = scope?;
                heard.scope(&scope)?;
                for span in scope.spans() {
                    let span = span?;
                    for attribute in span.attributes() {
                        let attribute = attribute?;
                        let known = heard.know(attribute.key.as_bytes()).map(|(_, place)| place);
                        heard.attribute(&attribute, known, attribute.value()?)?;
                    }
                    heard.span(&span)?;
                }
            }
        }
        Ok(heard)
    }

    fn agrees(bytes: &[u8]) -> Result<(), TestCaseError> {
        let mut heard = Heard::default();
        let checked = check_and_read(bytes, LIMITS, &mut heard);
        let expected = check(Signal::Traces, bytes, LIMITS);
        prop_assert_eq!(checked.ok(), expected.ok());
        if expected.is_ok() {
            prop_assert_eq!(Ok(heard), read(bytes));
        }
        Ok(())
    }

    #[test]
    fn every_prefix_is_judged_and_read_as_by_two_walks() {
        let whole = samples::encoded(Signal::Traces);
        for length in 0..=whole.len() {
            agrees(&whole[..length]).unwrap();
        }
        for depth in 20..60 {
            agrees(&samples::nested_arrays(depth)).unwrap();
        }
    }

    #[test]
    fn attributes_have_a_limit() {
        let bytes = samples::encoded(Signal::Traces);
        let error = check_and_read(&bytes, Limits { attributes: 3 }, &mut Heard::default()).unwrap_err();
        assert_eq!(error.problem, Problem::Attributes(3));
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_and_read_as_by_two_walks(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            agrees(&bytes)?;
        }

        #[test]
        fn a_damaged_request_is_judged_and_read_as_by_two_walks(
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut bytes = samples::encoded(Signal::Traces);
            for (index, byte) in edits {
                let index = index.index(bytes.len());
                bytes[index] = byte;
            }
            agrees(&bytes)?;
        }
    }
}
