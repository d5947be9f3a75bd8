//! Records that come as OTLP log records, as of a subscription to a log group or of a Collector that reads files.

use memchr::memmem;
use serde_json::{Map, Number, Value};
use wattline_core::Timestamp;
use wattline_wire::logs::log_records;
use wattline_wire::protobuf::Error;
use wattline_wire::trace::{AnyValue, Array, Attributes};

use super::{Rules, Told};

/// Words that no record of ours is without, and no other log has.
const MARKS: [&[u8]; 2] = [super::INVOCATION_LOG.as_bytes(), b"memory.gb_hours.used"];

/// What the log records of an export request tell. Most requests tell nothing, and are searched once for two words.
pub fn calls_of_logs(request: &[u8], rules: &Rules, now: Timestamp) -> Result<Told, Error> {
    let mut told = Told::default();
    if !is_marked(request) {
        return Ok(told);
    }
    for record in log_records(request) {
        let record = record?;
        if !is_marked(record.bytes) {
            continue;
        }
        match record.body()? {
            AnyValue::Text(text) => told.read_line(text.as_bytes(), rules, now),
            AnyValue::Bytes(bytes) => told.read_line(bytes, rules, now),
            AnyValue::KeyValues(values) => told.read(&object(values)?, rules, now, true),
            // The word stood in an attribute, or nobody knows where.
            _ => {}
        }
    }
    Ok(told)
}

fn is_marked(bytes: &[u8]) -> bool {
    MARKS.iter().any(|mark| memmem::find(bytes, mark).is_some())
}

fn object(values: Attributes<'_>) -> Result<Map<String, Value>, Error> {
    values
        .map(|pair| {
            let pair = pair?;
            Ok((pair.key.to_owned(), json(pair.value()?)?))
        })
        .collect()
}

fn array(values: &Array<'_>) -> Result<Value, Error> {
    values.values().map(|value| json(value?)).collect::<Result<_, Error>>().map(Value::Array)
}

/// A value as JSON. Messages are nested no deeper than the reader allows.
fn json(value: AnyValue<'_>) -> Result<Value, Error> {
    Ok(match value {
        AnyValue::Empty | AnyValue::Bytes(_) => Value::Null,
        AnyValue::Text(text) => Value::from(text),
        AnyValue::Bool(bool) => Value::from(bool),
        AnyValue::Int(int) => Value::from(int),
        AnyValue::Double(double) => Number::from_f64(double).map_or(Value::Null, Value::Number),
        AnyValue::Array(values) => array(&values)?,
        AnyValue::KeyValues(values) => Value::Object(object(values)?),
    })
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList, any_value};
    use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;
    use crate::bedrock::LeftOut;

    const RECORD: &str = r#"{"schemaType":"ModelInvocationLog","requestId":"r","modelId":"m","operation":"Converse",
        "input":{"inputTokenCount":3,"inputBodyJson":{"toolConfig":{"tools":[{"a":1.5},null,true]}}},
        "output":{"outputTokenCount":4,"outputBodyJson":[{"messageStop":{"stopReason":"end_turn"}}]}}"#;

    fn any(value: &Value) -> AnyValue {
        use any_value::Value as Any;
        let value = match value {
            Value::Null => return AnyValue::default(),
            Value::Bool(bool) => Any::BoolValue(*bool),
            Value::Number(number) => {
                number.as_i64().map_or_else(|| Any::DoubleValue(number.as_f64().unwrap()), Any::IntValue)
            }
            Value::String(text) => Any::StringValue(text.clone()),
            Value::Array(values) => Any::ArrayValue(ArrayValue { values: values.iter().map(any).collect() }),
            Value::Object(map) => {
                let pair = |(key, value): (&String, &Value)| KeyValue {
                    key: key.clone(),
                    value: Some(any(value)),
                    ..KeyValue::default()
                };
                Any::KvlistValue(KeyValueList { values: map.iter().map(pair).collect() })
            }
        };
        AnyValue { value: Some(value) }
    }

    fn request(bodies: impl IntoIterator<Item = AnyValue>) -> Vec<u8> {
        let log_records =
            bodies.into_iter().map(|body| LogRecord { body: Some(body), ..LogRecord::default() }).collect();
        let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
        ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }] }
            .encode_to_vec()
    }

    fn told(request: &[u8]) -> Told {
        calls_of_logs(request, &Rules::default(), Timestamp::default()).unwrap()
    }

    #[test]
    fn a_record_is_the_same_call_as_a_text_as_bytes_and_as_values() {
        let values = any(&serde_json::from_str(RECORD).unwrap());
        let bytes = AnyValue { value: Some(any_value::Value::BytesValue(RECORD.replace('\n', "").into_bytes())) };
        let told = told(&request([any(&Value::from(RECORD)), bytes, values, any(&Value::from("something else"))]));
        assert_eq!((told.calls.len(), told.left_out.len()), (3, 0), "{told:?}");
        assert!(told.calls.iter().all(|call| *call == told.calls[0]));
        assert_eq!(told.calls[0].finish_reason, Some("end_turn".into()));
        assert_eq!(told.calls[0].tools.map(|tools| tools.count), Some(3));
    }

    #[test]
    fn other_records_are_nobodys_loss_and_broken_ones_are_counted() {
        let other = any(&Value::from(r#"{"input": 1}"#));
        assert_eq!(told(&request([other.clone()])), Told::default());
        let broken = any(&Value::from(&RECORD[..60]));
        assert_eq!(told(&request([other, broken])).left_out, [(LeftOut::Unreadable, 1)].into());
    }

    proptest! {
        #[test]
        fn no_request_panics(bytes: Vec<u8>, cut: prop::sample::Index, at: prop::sample::Index, byte: u8) {
            calls_of_logs(&[super::super::INVOCATION_LOG.as_bytes(), &bytes].concat(), &Rules::default(), Timestamp::default()).ok();
            let mut request = request([any(&Value::from(RECORD)), any(&serde_json::from_str(RECORD).unwrap())]);
            let index = at.index(request.len());
            request[index] = byte;
            request.truncate(cut.index(request.len() + 1));
            calls_of_logs(&request, &Rules::default(), Timestamp::default()).ok();
        }
    }
}
