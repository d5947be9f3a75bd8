//! Amazon CloudWatch as a destination of its own, so that nobody has to know which OTLP settings it wants.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use wattline_core::{Signal, Timestamp};
use wattline_export_delivery::aws::{Access, Region, Settings};
use wattline_export_delivery::{Compression, Retry, Secret, Verdict, ViewConfig};

use crate::config::{Aws, Config, Protocol, Tls};
use crate::tls::Problem;

/// Amazon CloudWatch by its OTLP endpoints: metrics, X-Ray traces and logs. Every key has a default.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CloudWatch {
    /// The name in logs and in `wattline.destination`. Default `cloudwatch`.
    pub name: String,
    /// The region. By default `AWS_REGION`, `AWS_DEFAULT_REGION`, the profile or the instance tells.
    pub region: Option<Region>,
    /// The profile in the AWS files. By default `AWS_PROFILE`, or `default`.
    pub profile: Option<String>,
    /// The signals to send. Default `["metrics", "traces"]`; logs need a group and a stream.
    pub signals: Vec<Signal>,
    /// The log group for logs. It must exist. Default none.
    pub log_group: Option<String>,
    /// The stream in the group for logs. It must exist. Default none.
    pub log_stream: Option<String>,
    /// A file with a CloudWatch API key, used in place of AWS credentials; X-Ray takes none. Default none.
    pub bearer_token_file: Option<PathBuf>,
    /// Another address for all signals, such as that of a VPC endpoint; `v1/<signal>` is added. Default none.
    pub endpoint: Option<String>,
    /// `gzip` (default) or `none`.
    pub compression: Compression,
    /// The longest time for one attempt. Default `10s`.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// The time between two snapshots of the metrics. Default `60s`.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// The most bytes that wait on disk, compressed. Default 1073741824 (1 GiB).
    pub spool_bytes: u64,
    /// The longest that data waits before it is dropped and counted. Default `7d`; CloudWatch takes nothing older than
    /// two weeks.
    #[serde(with = "humantime_serde")]
    pub max_age: Duration,
    /// Which figures are told.
    pub view: ViewConfig,
    /// The time for sending what waits when the agent stops. Default `5s`.
    #[serde(with = "humantime_serde")]
    pub grace: Duration,
    /// When to try again.
    pub retry: Retry,
    /// Certificates.
    pub tls: Tls,
    /// An HTTP proxy. Default none; the environment is not asked.
    pub proxy: Option<Secret>,
}

impl Default for CloudWatch {
    fn default() -> Self {
        let Config { compression, timeout, interval, spool_bytes, max_age, view, grace, retry, tls, proxy, .. } =
            Config::default();
        Self {
            name: "cloudwatch".to_owned(),
            region: None,
            profile: None,
            signals: vec![Signal::Metrics, Signal::Traces],
            log_group: None,
            log_stream: None,
            bearer_token_file: None,
            endpoint: None,
            compression,
            timeout,
            interval,
            spool_bytes,
            max_age,
            view,
            grace,
            retry,
            tls,
            proxy,
        }
    }
}

impl From<CloudWatch> for Config {
    fn from(cloudwatch: CloudWatch) -> Self {
        let CloudWatch { name, region, profile, signals, log_group, log_stream, bearer_token_file, .. } = cloudwatch;
        let CloudWatch { endpoint, compression, timeout, interval, spool_bytes, max_age, .. } = cloudwatch;
        let CloudWatch { view, grace, retry, tls, proxy, .. } = cloudwatch;
        Self {
            name,
            endpoint: endpoint.unwrap_or_default(),
            bearer_token_file,
            aws: Some(Aws { region, profile, log_group, log_stream }),
            compression,
            timeout,
            interval,
            signals,
            spool_bytes,
            max_age,
            view,
            grace,
            retry,
            tls,
            proxy,
            ..Self::default()
        }
    }
}

/// What is special about CloudWatch on the way there and back.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Who signs; `None` where a bearer token does.
    pub(crate) access: Option<Arc<Access>>,
    /// Log group and stream.
    pub(crate) logs: Option<(String, String)>,
}

/// A log group or a setting that is missing is made by people, who need a while.
const UNTIL_MADE: Duration = Duration::from_mins(1);

impl Target {
    /// Most requests that CloudWatch takes (Amazon CloudWatch User Guide, "OTLP Endpoints"): data points, and bytes,
    /// of which logs have the least room.
    pub(crate) const POINTS_MAX: u64 = 1000;
    pub(crate) const ITEMS_MAX: u64 = 10_000;
    pub(crate) const BYTES_MAX: usize = 1_000_000;

    pub(crate) fn new(config: &Config, aws: &Aws, now: fn() -> Timestamp) -> Result<Self, Problem> {
        match config.protocol {
            Protocol::Grpc => return Err(("protocol", "is grpc; CloudWatch takes OTLP over HTTP only".to_owned())),
            Protocol::Http | Protocol::Json => {}
        }
        if config.compression == Compression::Zstd {
            return Err(("compression", "is zstd; CloudWatch takes gzip or none".to_owned()));
        }
        let bearer = config.bearer_token_file.is_some();
        if bearer && config.signals.contains(&Signal::Traces) {
            let problem = "is set, but X-Ray takes no token; leave traces out of signals, or send them to a destination \
                           of their own with AWS credentials";
            return Err(("bearer_token_file", problem.to_owned()));
        }
        if bearer && aws.region.is_none() && config.endpoint.is_empty() {
            return Err(("region", "is not set; with a bearer_token_file it is not looked for".to_owned()));
        }
        let logs = match (&aws.log_group, &aws.log_stream) {
            (Some(group), Some(stream)) => Some((checked_group(group)?, checked_stream(stream)?)),
            _ if !config.signals.contains(&Signal::Logs) => None,
            (None, _) => {
                return Err((
                    "log_group",
                    "is not set; logs need one that exists, or leave them out of signals".to_owned(),
                ));
            }
            (_, None) => return Err(("log_stream", "is not set; logs need one that exists in log_group".to_owned())),
        };
        let settings =
            Settings { region: aws.region.clone(), profile: aws.profile.clone(), proxy: config.proxy.clone() };
        let access = (!bearer).then(|| Arc::new(Access::new(settings, now)));
        Ok(Self { access, logs })
    }

    /// The headers that requests of `signal` need.
    pub(crate) fn headers(&self, signal: Signal) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let (Signal::Logs, Some((group, stream))) = (signal, &self.logs) {
            let value = |text: &str| HeaderValue::from_str(text).ok();
            headers.extend(
                [("x-aws-log-group", group), ("x-aws-log-stream", stream)]
                    .into_iter()
                    .filter_map(|(name, text)| Some((HeaderName::from_static(name), value(text)?))),
            );
        }
        headers
    }

    /// A refusal for something that somebody has to make first: what it is and how, and the data is kept meanwhile.
    pub(crate) fn explained(&self, signal: Signal, verdict: Verdict, words: &str) -> Verdict {
        let Verdict::Refused { cause, .. } = &verdict else { return verdict };
        let lower = words.to_lowercase();
        if !lower.contains("does not exist") && !lower.contains("resourcenotfound") {
            return verdict;
        }
        let remedy = match (signal, &self.logs) {
            (Signal::Logs, Some((group, stream))) if lower.contains("log stream") => format!(
                "the log stream of log_stream does not exist; make it: aws logs create-log-stream --log-group-name \
                 {group} --log-stream-name {stream}"
            ),
            (Signal::Logs, Some((group, stream))) => format!(
                "the log group of log_group does not exist; make it: aws logs create-log-group --log-group-name {group} \
                 && aws logs create-log-stream --log-group-name {group} --log-stream-name {stream}"
            ),
            (Signal::Traces, _) => "X-Ray takes spans once Transaction Search is on: aws xray \
                                    update-trace-segment-destination --destination CloudWatchLogs"
                .to_owned(),
            _ => return verdict,
        };
        Verdict::Retry { after: Some(UNTIL_MADE), cause: format!("{remedy} ({cause})") }
    }
}

/// Amazon CloudWatch Logs API Reference, `CreateLogGroup`: 1 to 512 of these characters.
fn checked_group(group: &str) -> Result<String, Problem> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "_/.-#".contains(c);
    if (1..=512).contains(&group.len()) && group.chars().all(fine) {
        return Ok(group.to_owned());
    }
    Err(("log_group", format!("is {group:?}; a group has 1 to 512 letters, digits and _ / . - #")))
}

/// `CreateLogStream`: 1 to 512 characters without `:` and `*`; in a header they are printable ASCII.
fn checked_stream(stream: &str) -> Result<String, Problem> {
    let fine = |c: char| c.is_ascii_graphic() && c != ':' && c != '*';
    if (1..=512).contains(&stream.len()) && stream.chars().all(fine) {
        return Ok(stream.to_owned());
    }
    Err(("log_stream", format!("is {stream:?}; a stream has 1 to 512 characters of ASCII, no space, : or *")))
}

#[cfg(test)]
mod tests {
    use wattline_core::Telemetry;
    use wattline_export_delivery::{Context, Destination, DropReason};

    use super::*;
    use crate::plan::{OpenError, destination};

    fn of_config(config: Config) -> Result<Destination, OpenError> {
        let telemetry = Telemetry::none();
        destination(config, &Context { telemetry, now: Timestamp::default, seed: 1, spools: None })
    }

    fn opened(cloudwatch: CloudWatch) -> Result<Destination, Problem> {
        of_config(cloudwatch.into()).map_err(|error| (error.key, error.problem))
    }

    #[test]
    fn without_a_word_metrics_and_traces_go_to_the_region_of_the_machine() {
        let plan = opened(CloudWatch::default()).unwrap();
        let shown: Vec<&str> = plan.routes.iter().map(|route| route.address.as_str()).collect();
        assert_eq!(
            shown,
            ["https://monitoring.<region>.amazonaws.com/v1/metrics", "https://xray.<region>.amazonaws.com/v1/traces"]
        );
        let limits = plan.keeping.limits;
        assert_eq!((limits.request_points, limits.request_bytes), (1000, 1_000_000));
        assert_eq!(plan.name, "cloudwatch");
    }

    #[test]
    fn a_region_and_an_endpoint_of_ones_own_are_followed() {
        let signals = vec![Signal::Logs];
        let logs = CloudWatch {
            log_group: Some("/wattline/llm".to_owned()),
            log_stream: Some("host-1".to_owned()),
            signals,
            ..CloudWatch::default()
        };
        let shown = |cloudwatch| opened(cloudwatch).unwrap().routes[0].address.clone();
        let region = Some("cn-north-1".parse().unwrap());
        assert_eq!(shown(CloudWatch { region, ..logs.clone() }), "https://logs.cn-north-1.amazonaws.com.cn/v1/logs");
        let endpoint = Some("https://vpce-1.logs.eu-west-1.vpce.amazonaws.com".to_owned());
        assert_eq!(shown(CloudWatch { endpoint, ..logs }), "https://vpce-1.logs.eu-west-1.vpce.amazonaws.com/v1/logs");
    }

    #[test]
    fn what_cloudwatch_does_not_take_is_refused_under_its_key() {
        let wrong = |cloudwatch| opened(cloudwatch).unwrap_err().0;
        let logs = CloudWatch { signals: vec![Signal::Logs], ..CloudWatch::default() };
        let group = Some("g".to_owned());
        assert_eq!(wrong(logs.clone()), "log_group");
        assert_eq!(wrong(CloudWatch { log_group: group.clone(), ..logs.clone() }), "log_stream");
        let stream = Some("a:b".to_owned());
        assert_eq!(wrong(CloudWatch { log_group: group, log_stream: stream.clone(), ..logs.clone() }), "log_stream");
        assert_eq!(wrong(CloudWatch { log_group: Some("a b".to_owned()), log_stream: stream, ..logs }), "log_group");
        assert_eq!(wrong(CloudWatch { compression: Compression::Zstd, ..CloudWatch::default() }), "compression");
        let bearer = CloudWatch { bearer_token_file: Some("/t".into()), ..CloudWatch::default() };
        assert_eq!(wrong(bearer.clone()), "bearer_token_file");
        assert_eq!(wrong(CloudWatch { signals: vec![Signal::Metrics], ..bearer }), "region");
        let grpc = Config { protocol: Protocol::Grpc, ..Config::from(CloudWatch::default()) };
        assert_eq!(of_config(grpc).unwrap_err().key, "protocol");
    }

    #[test]
    fn a_missing_group_is_named_with_the_command_that_makes_it_and_the_data_is_kept() {
        let target = Target { access: None, logs: Some(("g".to_owned(), "s".to_owned())) };
        let refused = || Verdict::Refused { reason: DropReason::Rejected, cause: "HTTP 400".to_owned() };
        for (signal, words, expected) in [
            (Signal::Logs, "The specified log group does not exist.", "create-log-group --log-group-name g &&"),
            (Signal::Logs, "The specified log stream does not exist.", "--log-group-name g --log-stream-name s ("),
            (Signal::Traces, "The specified log group does not exist", "update-trace-segment-destination"),
        ] {
            let Verdict::Retry { after: Some(UNTIL_MADE), cause } = target.explained(signal, refused(), words) else {
                panic!("{words} is not kept")
            };
            assert!(cause.contains(expected), "{cause}");
        }
        assert_eq!(target.explained(Signal::Logs, refused(), "too old"), refused());
    }
}
