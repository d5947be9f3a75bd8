//! An export request of log records, read in place: as much of them as tells of calls.
//!
//! Source: opentelemetry-proto 1.x, `collector/logs/v1/logs_service.proto` and `logs/v1/logs.proto`.

use crate::protobuf::{Error, Reader};
use crate::trace::{AnyValue, last_message};

/// The log records of an export request.
pub fn log_records(request: &[u8]) -> impl Iterator<Item = Result<LogRecord<'_>, Error>> {
    // Resources, scopes, records.
    inside(Reader::new(request), 1).flat_map(|resource| each(resource, 2)).flat_map(|scope| each(scope, 2)).map(
        |record| {
            let (bytes, fields) = record?;
            Ok(LogRecord { bytes, fields })
        },
    )
}

/// One log record.
#[derive(Clone, Debug)]
pub struct LogRecord<'a> {
    /// The whole record as it came, so that it can be searched before it is read.
    pub bytes: &'a [u8],
    fields: Reader<'a>,
}

impl<'a> LogRecord<'a> {
    /// What it says.
    pub fn body(&self) -> Result<AnyValue<'a>, Error> {
        AnyValue::read(last_message(self.fields.clone(), 5)?)
    }
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
