//! A configuration that has been checked.

use wattline_core::{Seconds, Signal, Snapshot, Timestamp};
use wattline_export_delivery::appender::Appender;
use wattline_export_delivery::aws::{Access, Settings};
use wattline_export_delivery::{
    Compression, Context, Destination, Durability, Encode, Keeping, Limits, Order, Retry, Route, Telling, Temporality,
    View,
};

use crate::config::{Config, OpenError, Problem, SinkKind};
use crate::emf::{Encoded, Form, encode, metrics};
use crate::encoder::EmfEncoder;
use crate::logs::{EVENT_OVERHEAD, LogsTransport};
use crate::sink::{Body, Packing, Sink};
use crate::web;

/// The largest event. `CloudWatch` Logs takes 256 KB with an overhead; somewhat newer words say 1 MB.
const EVENT_BYTES: usize = 250_000;
/// The largest datagram with room for headers of any kind.
const DATAGRAM_BYTES: usize = 60_000;

/// Makes bodies of samples. The log stream is known with the first snapshot: it may be named after the machine.
#[derive(Clone, Debug)]
pub(crate) struct Maker {
    form: Form,
    kind: SinkKind,
    group: String,
    stream: String,
}

/// What became of samples.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) bodies: Vec<Body>,
    pub(crate) invalid: u64,
    pub(crate) too_large: u64,
    pub(crate) without_dimensions: std::collections::BTreeSet<&'static str>,
}

/// The destination that a configuration describes.
pub(crate) fn destination(config: Config, context: &Context) -> Result<Destination, OpenError> {
    let destination = config.name.clone();
    checked(config, context).map_err(|(key, problem)| OpenError { destination, key, problem })
}

fn checked(config: Config, context: &Context) -> Result<Destination, (String, String)> {
    let plain = |(key, problem): Problem| (key.to_owned(), problem);
    config.check().map_err(plain)?;
    let view = View::new(&config.view, &config.name).map_err(|error| (format!("view.{}", error.key), error.problem))?;
    let telling = Telling::new(view, Temporality::Delta, (context.now)());
    let sink = sink(&config, context.now).map_err(plain)?;
    let encoder = EmfEncoder::new(config.name.clone(), telling, Maker::new(&config));
    let keeping = Keeping {
        place: context.place(&config.name),
        durability: Durability::Process,
        limits: Limits {
            disk_bytes: config.spool_bytes,
            memory_bytes: config.memory_bytes,
            age: Seconds::new(config.max_age.as_secs_f64()),
            // The events are put together within the limits of their sink.
            request_bytes: usize::MAX,
            request_points: u64::MAX,
            request_spans: u64::MAX,
            request_records: u64::MAX,
        },
        order: Order::Oldest,
        compression: Compression::None,
        // A body holds no more than the rules allow; whoever wants less gets none of it.
        cut: |_, _| None,
    };
    let route = Route { signal: Signal::Metrics, address: sink.to_string(), transport: Box::new(sink) };
    let Config { name, interval, grace, timeout, .. } = config;
    let (retry, encoder) = (Retry::default(), Some(Box::new(encoder) as Box<dyn Encode>));
    Ok(Destination { name, interval, timeout, grace, retry, keeping, fit: None, encoder, routes: vec![route] })
}

fn sink(config: &Config, now: fn() -> Timestamp) -> Result<Sink, Problem> {
    let appender = |path: &str| Sink::Lines(Some(Box::new(Appender::new(path, config.rotate_bytes, config.keep))));
    Ok(match config.sink {
        SinkKind::Stdout => appender("-"),
        SinkKind::File => appender(&config.path),
        SinkKind::Udp => Sink::Udp(config.address),
        SinkKind::Tcp => Sink::Tcp(config.address, None),
        SinkKind::Logs => {
            let (region, profile, proxy) = (config.region.clone(), config.profile.clone(), config.proxy.clone());
            let access = Access::new(Settings { region, profile, proxy }, now);
            Sink::Logs(Box::new(LogsTransport {
                client: web::client(config.proxy.as_ref(), config.timeout)?,
                access: access.into(),
                endpoint: config.endpoint.as_deref().map(endpoint).transpose()?,
                now,
            }))
        }
    })
}

/// An address without a path of its own ends with a slash, as it is signed.
fn endpoint(text: &str) -> Result<String, Problem> {
    let url = reqwest::Url::parse(text).map_err(|error| ("endpoint", format!("is no address: {error}")))?;
    let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
    let is_plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    if is_web && is_plain && url.path() == "/" {
        return Ok(url.into());
    }
    Err(("endpoint", "must be http:// or https:// and a host, with nothing behind it".to_owned()))
}

impl Maker {
    pub(crate) fn new(config: &Config) -> Self {
        let bytes = if config.sink == SinkKind::Udp { DATAGRAM_BYTES } else { EVENT_BYTES };
        let form = Form {
            namespace: config.namespace.clone(),
            dimensions: config.dimensions.clone(),
            is_high_resolution: config.resolution == 1,
            log: None,
            bytes,
        };
        Self { form, kind: config.sink, group: config.log_group.clone(), stream: config.log_stream.clone() }
    }

    /// The bodies of a snapshot whose sums are deltas.
    pub(crate) fn make(&self, snapshot: &Snapshot) -> Made {
        let (encoded, packing) = self.encode(snapshot);
        let Encoded { events, invalid, too_large, without_dimensions } = encoded;
        Made { bodies: packing.pack(&events), invalid, too_large, without_dimensions }
    }

    fn encode(&self, snapshot: &Snapshot) -> (Encoded, Packing) {
        let (group, stream) = (self.group.clone(), filled(&self.stream, snapshot));
        let is_for_agent = matches!(self.kind, SinkKind::Udp | SinkKind::Tcp) && !group.is_empty();
        let log = is_for_agent.then(|| (group.clone(), stream.clone()));
        let encoded = encode(&Form { log, ..self.form.clone() }, snapshot);
        let packing = match self.kind {
            SinkKind::Stdout | SinkKind::File | SinkKind::Tcp => Packing::Lines,
            SinkKind::Udp => Packing::Datagrams,
            SinkKind::Logs => Packing::Requests { group, stream },
        };
        (encoded, packing)
    }
}

/// The name of the log stream with the machine's attributes in it, without what no log stream may have.
fn filled(stream: &str, snapshot: &Snapshot) -> String {
    let filled = snapshot
        .resource
        .iter()
        .fold(stream.to_owned(), |text, attribute| text.replace(&format!("{{{}}}", attribute.key), &attribute.value));
    filled.chars().map(|c| if matches!(c, ':' | '*') || c.is_control() { '_' } else { c }).take(512).collect()
}

/// What one snapshot comes to at a destination when every sum has moved: bytes of log, with what is counted for each
/// event beside its text, and the metrics that are told apart. Nothing is sent.
pub(crate) fn preview(config: &Config, snapshot: &Snapshot) -> Result<(u64, u64), OpenError> {
    let problem = |key: String, problem| OpenError { destination: config.name.clone(), key, problem };
    config.check().map_err(|(key, text)| problem(key.to_owned(), text))?;
    let view = View::new(&config.view, &config.name);
    let mut view = view.map_err(|error| problem(format!("view.{}", error.key), error.problem))?;
    let (viewed, maker) = (view.apply(snapshot), Maker::new(config));
    let (encoded, _) = maker.encode(&viewed);
    let bytes = encoded.events.iter().map(|event| (event.text.len() + EVENT_OVERHEAD) as u64).sum();
    Ok((bytes, metrics(&maker.form, &viewed)))
}

#[cfg(test)]
mod tests {
    use wattline_core::Attribute;
    use wattline_core::attribute::key;

    use super::*;

    #[test]
    fn a_log_stream_is_named_after_the_machine() {
        let resource = vec![Attribute::new(key::HOST_NAME, "node:1"), Attribute::new(key::CLOUD_REGION, "eu-west-1")];
        let snapshot = Snapshot { resource, ..Snapshot::default() };
        assert_eq!(filled("{cloud.region}/{host.name}/{nothing}", &snapshot), "eu-west-1/node_1/{nothing}");
    }

    #[test]
    fn an_endpoint_is_a_host_and_nothing_else() {
        assert_eq!(endpoint("http://127.0.0.1:5000"), Ok("http://127.0.0.1:5000/".to_owned()));
        for wrong in ["logs.eu-west-1.amazonaws.com", "ftp://h/", "https://u:p@h/", "https://h/path", "https://h/?a=b"]
        {
            assert_eq!(endpoint(wrong).unwrap_err().0, "endpoint", "{wrong}");
        }
    }

    #[test]
    fn what_cannot_work_names_its_key() {
        let (telemetry, now) = (wattline_core::Telemetry::none(), Timestamp::default);
        let context = Context { telemetry, now, seed: 1, spools: None };
        let open = |toml: &str| destination(toml::from_str(toml).unwrap(), &context).map(|ready| ready.name);
        assert_eq!(open("name = 'x'"), Ok("x".to_owned()));
        let error = open("view = { metrics = ['nonsense'] }").unwrap_err();
        assert_eq!(error.key, "view.metrics");
        assert!(error.to_string().starts_with("the EMF destination emf cannot be opened: view.metrics has"), "{error}");
        let error = open("sink = 'logs'\nlog_group = 'g'\nproxy = 'no proxy'").unwrap_err();
        assert!(error.key == "proxy" && !error.to_string().contains("no proxy"), "{error}");
    }
}
