//! An export request of log records, read in place: as much of them as tells of calls.
//!
//! Source: opentelemetry-proto 1.x, `collector/logs/v1/logs_service.proto` and `logs/v1/logs.proto`.

use crate::protobuf::{Error, Reader};
use crate::trace::{AnyValue, Attributes, last_message};

/// The log records of an export request.
pub fn log_records(request: &[u8]) -> impl Iterator<Item = Result<LogRecord<'_>, Error>> {
    inside(Reader::new(request), 1).flat_map(records_of_resource)
}

/// One log record.
#[derive(Clone, Debug)]
pub struct LogRecord<'a> {
    /// The whole record as it came, so that it can be searched before it is read.
    pub bytes: &'a [u8],
    resource: Reader<'a>,
    scope: Reader<'a>,
    fields: Reader<'a>,
}

impl<'a> LogRecord<'a> {
    /// What it says.
    pub fn body(&self) -> Result<AnyValue<'a>, Error> {
        AnyValue::read(last_message(self.fields.clone(), 5)?)
    }

    /// Its attributes.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.fields.clone(), 6)
    }

    /// The attributes of its resource.
    pub fn resource_attributes(&self) -> Attributes<'a> {
        Attributes::new(self.resource.clone(), 1)
    }

    /// The name of its scope; empty if it has none.
    pub fn scope_name(&self) -> Result<&'a str, Error> {
        last_text(self.scope.clone(), 1)
    }

    /// The name of the event that it is; empty if it is none, or names it in an attribute.
    pub fn event_name(&self) -> Result<&'a str, Error> {
        last_text(self.fields.clone(), 12)
    }

    /// When it happened, else when it was seen, in nanoseconds since the epoch; 0 where neither is told.
    pub fn time_unix_nanos(&self) -> Result<u64, Error> {
        let (mut happened, mut seen) = (0, 0);
        for field in self.fields.clone() {
            let field = field?;
            match field.number {
                1 => happened = field.fixed64()?,
                11 => seen = field.fixed64()?,
                _ => {}
            }
        }
        Ok(if happened > 0 { happened } else { seen })
    }

    /// The ids of the trace and of the span that it belongs to; empty where there is none.
    pub fn ids(&self) -> Result<(&'a [u8], &'a [u8]), Error> {
        let (mut trace, mut span): (&[u8], &[u8]) = (&[], &[]);
        for field in self.fields.clone() {
            let field = field?;
            match field.number {
                9 => trace = field.bytes()?,
                10 => span = field.bytes()?,
                _ => {}
            }
        }
        Ok((trace, span))
    }
}

fn records_of_resource(group: Message<'_>) -> impl Iterator<Item = Result<LogRecord<'_>, Error>> {
    let resource = group.clone().and_then(|(_, fields)| last_message(fields, 1));
    each(group, 2).flat_map(move |scope| {
        let resource = resource.clone();
        let around = scope.clone().and_then(|(_, fields)| last_message(fields, 1));
        each(scope, 2).map(move |record| {
            let (bytes, fields) = record?;
            Ok(LogRecord { bytes, resource: resource.clone()?, scope: around.clone()?, fields })
        })
    })
}

fn last_text(fields: Reader<'_>, number: u32) -> Result<&str, Error> {
    let mut text = "";
    for field in fields {
        let field = field?;
        if field.number == number {
            text = field.text()?;
        }
    }
    Ok(text)
}

type Message<'a> = Result<(&'a [u8], Reader<'a>), Error>;

fn each(outer: Message<'_>, number: u32) -> impl Iterator<Item = Message<'_>> {
    let (error, fields) = match outer {
        Ok((_, fields)) => (None, fields),
        Err(error) => (Some(Err(error)), Reader::empty()),
    };
    error.into_iter().chain(inside(fields, number))
}

fn inside(fields: Reader<'_>, number: u32) -> impl Iterator<Item = Message<'_>> {
    fields.filter_map(move |field| match field {
        Ok(field) if field.number == number => Some(field.bytes().and_then(|bytes| Ok((bytes, field.message()?)))),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    })
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::common::v1::{AnyValue as Owned, any_value};
    use opentelemetry_proto::tonic::logs::v1::{LogRecord as OwnedRecord, ResourceLogs, ScopeLogs};
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    #[test]
    fn records_come_with_their_bodies_in_order() {
        let record = |text: &str| OwnedRecord {
            time_unix_nano: 7,
            body: Some(Owned { value: Some(any_value::Value::StringValue(text.to_owned())) }),
            ..OwnedRecord::default()
        };
        let scope = |texts: &[&str]| ScopeLogs {
            log_records: texts.iter().map(|text| record(text)).collect(),
            ..ScopeLogs::default()
        };
        let resource = |scope_logs| ResourceLogs { scope_logs, ..ResourceLogs::default() };
        let resource_logs = vec![resource(vec![scope(&["a", "b"]), scope(&[])]), resource(vec![scope(&["c"])])];
        let request = ExportLogsServiceRequest { resource_logs }.encode_to_vec();
        let bodies: Vec<String> =
            log_records(&request).map(|record| format!("{:?}", record.unwrap().body().unwrap())).collect();
        assert_eq!(bodies, ["Text(\"a\")", "Text(\"b\")", "Text(\"c\")"]);
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes: Vec<u8>) {
            let count = log_records(&bytes).filter(|record| record.as_ref().is_ok_and(|record| record.body().is_ok())).count();
            prop_assert!(count <= bytes.len());
        }
    }
}
