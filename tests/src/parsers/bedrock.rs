//! Lines of AWS's own logs: of model invocations, and of the usage of hosted agents.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use prost::Message as _;
use wattline_core::reading::AgentUsage;
use wattline_probe_llm::bedrock::{Rules, Told, calls_of_logs};

use super::{NOW, calls};

/// A session lasts eight hours at most.
const LONGEST_NS: u64 = 8 * 3_600_000_000_000;
/// More vCPUs and gigabytes than any session has, in an interval of a second at least.
const MOST_VCPUS: u128 = 256;
const MOST_GB: u128 = 4096;

/// Plays a file of lines.
pub fn play(file: &[u8]) {
    let rules = Rules {
        service_keys: vec!["team".to_owned(), "app".to_owned()],
        models: [("application-inference-profile/abc".to_owned(), "amazon.nova-pro-v1:0".to_owned())].into(),
    };
    let mut whole = Told::default();
    for line in file.split(|&byte| byte == b'\n') {
        whole.read_line(line, &rules, NOW);
        same_in_a_log_record(line, &rules);
    }
    told(&whole);
    // A value has two bytes at least.
    let values = whole.len() as u64 + whole.left_out.values().sum::<u64>();
    assert!(values <= file.len() as u64, "{values} values in {} bytes", file.len());
}

/// Calls and usage are possible ones.
pub(super) fn told(told: &Told) {
    told.calls.iter().for_each(|call| calls::call(call, NOW));
    for usage in &told.usage {
        let AgentUsage { agent: _, session: _, at: _, elapsed_ns, vcpu_ns, gb_ns } = **usage;
        let longest = u128::from(elapsed_ns.max(1_000_000_000));
        assert!(elapsed_ns <= LONGEST_NS, "{usage:?}");
        assert!(u128::from(vcpu_ns) <= MOST_VCPUS * longest && u128::from(gb_ns) <= MOST_GB * longest, "{usage:?}");
    }
}

/// A line tells the same, whether it stands in a file or in a log record.
fn same_in_a_log_record(line: &[u8], rules: &Rules) {
    let Ok(text) = std::str::from_utf8(line) else { return };
    // Of other records nobody looks at what is in them.
    if !text.contains("ModelInvocationLog") && !text.contains("memory.gb_hours.used") {
        return;
    }
    let body = Some(AnyValue { value: Some(any_value::Value::StringValue(text.to_owned())) });
    let scope_logs =
        vec![ScopeLogs { log_records: vec![LogRecord { body, ..Default::default() }], ..Default::default() }];
    let resource_logs = vec![ResourceLogs { scope_logs, ..Default::default() }];
    let request = ExportLogsServiceRequest { resource_logs }.encode_to_vec();
    let mut of_file = Told::default();
    of_file.read_line(line, rules, NOW);
    let of_record = calls_of_logs(&request, rules, NOW).unwrap_or_else(|error| panic!("a log record: {error}"));
    assert_eq!(of_record, of_file, "in a log record and in a file");
}
