//! Trying a destination: one empty request for each signal, and what is wrong when it is not taken.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use wattline_core::{Signal, Timestamp};
use wattline_export_delivery::{Compression, Transport, Verdict};

use crate::config::{Config, Protocol};
use crate::plan::{OpenError, Way, ways};

/// What became of the request of one signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The signal.
    pub signal: Signal,
    /// Where it was sent.
    pub endpoint: String,
    /// What the destination has to say, or what is wrong.
    pub outcome: Result<String, Fault>,
}

/// Why a destination does not take what it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which part is at fault.
    pub kind: FaultKind,
    /// What happened. No secret is in it.
    pub detail: String,
    /// What to do.
    pub remedy: String,
}

/// The parts that can be at fault, from near to far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The host's name is not known.
    Dns,
    /// Nothing listens there.
    Refused,
    /// Nothing answers in time.
    Silent,
    /// The proxy does not let us through.
    Proxy,
    /// The two cannot agree on TLS, or one does not trust the other.
    Tls,
    /// The credential is missing or refused.
    Credential,
    /// The address, the protocol or the encoding is another than the destination's.
    Protocol,
    /// It is there and cannot take anything now.
    Busy,
    /// Anything else.
    Other,
}

impl FaultKind {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Refused => "refused",
            Self::Silent => "silent",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::Credential => "credential",
            Self::Protocol => "protocol",
            Self::Busy => "busy",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Sends a request without items to each of the destination's endpoints, which every OTLP receiver has to take
/// (opentelemetry-proto, docs/specification.md, "OTLP/gRPC Request": empty requests succeed).
pub async fn try_out(config: Config, now: fn() -> Timestamp) -> Result<Vec<Trial>, OpenError> {
    let (protocol, has_proxy, is_aws) = (config.protocol, config.proxy.is_some(), config.aws.is_some());
    let (timeout, compression) = (config.timeout, config.compression);
    let mut trials = Vec::new();
    for Way { signal, endpoint, mut transport } in ways(&config, now)? {
        let verdict = attempt(&mut *transport, compression, timeout).await;
        let outcome = judged(verdict, Manner { protocol, has_proxy, is_aws, is_tls: endpoint.is_tls() });
        trials.push(Trial { signal, endpoint: endpoint.to_string(), outcome });
    }
    Ok(trials)
}

async fn attempt(transport: &mut dyn Transport, compression: Compression, timeout: Duration) -> Verdict {
    let sending = async {
        match compression.pack(&Bytes::new()) {
            Ok(body) => transport.send(body, compression).await,
            Err(error) => Verdict::Retry { after: None, cause: error.to_string() },
        }
    };
    let silence = |_elapsed| Verdict::Retry { after: None, cause: format!("no answer within {timeout:?}") };
    tokio::time::timeout(timeout, sending).await.unwrap_or_else(silence)
}

/// How the request was sent.
#[derive(Clone, Copy)]
struct Manner {
    protocol: Protocol,
    has_proxy: bool,
    is_aws: bool,
    is_tls: bool,
}

fn judged(verdict: Verdict, manner: Manner) -> Result<String, Fault> {
    match verdict {
        Verdict::Delivered { message, .. } if message.contains(crate::http::WEB_PAGE) => {
            Err(fault(FaultKind::Protocol, message, "name the address of an OTLP receiver; this one serves pages"))
        }
        Verdict::Delivered { message, .. } if message.is_empty() => Ok("takes data".to_owned()),
        Verdict::Delivered { message, .. } => Ok(format!("takes data, and says: {message}")),
        Verdict::Unauthorized { cause } if cause.starts_with("HTTP 407") => Err(of_proxy(cause)),
        Verdict::Unauthorized { cause } => {
            let remedy = if manner.is_aws {
                "see who you are by `aws sts get-caller-identity`, and allow it cloudwatch:PutMetricData, \
                 logs:PutLogEvents and xray:PutTraceSegments"
            } else {
                "correct headers, header_files or bearer_token_file"
            };
            Err(fault(FaultKind::Credential, cause, remedy))
        }
        // AWS looks at the signature first, and some of its services at what is in the request next.
        Verdict::Refused { cause, .. } if manner.is_aws && cause.starts_with("HTTP 400") => {
            Ok(format!("lets us in, and says of an empty request: {cause}"))
        }
        Verdict::Refused { cause, .. } | Verdict::TooLarge { cause } => Err(of_refusal(cause, manner)),
        Verdict::Retry { cause, .. } => Err(of_failure(cause, manner)),
    }
}

fn of_proxy(cause: String) -> Fault {
    fault(FaultKind::Proxy, cause, "correct proxy, and the user and password in it")
}

/// The destination answered and will never take such a request.
fn of_refusal(cause: String, manner: Manner) -> Fault {
    let status = cause.strip_prefix("HTTP ").and_then(|rest| rest.get(..3)?.parse::<u16>().ok());
    let (kind, remedy) = match status {
        Some(300..=399) => (FaultKind::Protocol, "name the address that it redirects to; redirects are not followed"),
        Some(404 | 501) if manner.protocol == Protocol::Grpc => {
            (FaultKind::Protocol, "no gRPC service is at this address; try protocol = \"http/protobuf\"")
        }
        Some(404) => (
            FaultKind::Protocol,
            "correct the path: receivers take /v1/metrics, /v1/traces and /v1/logs, and an endpoint of one signal is used \
             as it stands",
        ),
        Some(405) => (FaultKind::Protocol, "this address takes no POST; name that of the OTLP receiver"),
        Some(415) => (
            FaultKind::Protocol,
            "the receiver wants another encoding: try protocol = \"http/protobuf\" or \"http/json\", and compression = \
             \"gzip\" or \"none\"",
        ),
        Some(400) => (FaultKind::Protocol, "the receiver cannot read the request; correct protocol and compression"),
        _ if cause.contains("does not speak gRPC") || cause.contains("without a gRPC status") => {
            (FaultKind::Protocol, "try protocol = \"http/protobuf\"")
        }
        _ if cause.contains("Unimplemented") => {
            (FaultKind::Protocol, "the server has no OTLP service for this signal; leave it out of signals")
        }
        _ => (FaultKind::Other, "see the log of the destination"),
    };
    fault(kind, cause, remedy)
}

/// No answer came, or one that passes.
fn of_failure(cause: String, manner: Manner) -> Fault {
    let lower = cause.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if says(&["does not exist", "transaction search"]) {
        return fault(FaultKind::Other, cause, "make it; data waits until then");
    }
    // The proxy is nearer than all behind it.
    if manner.has_proxy && says(&["unsuccessful tunnel", "tunnel error", "proxy"]) {
        return of_proxy(cause);
    }
    let (kind, remedy) = if says(&["dns error", "failed to lookup address", "name or service not known"]) {
        (FaultKind::Dns, "correct the host name, or the name servers of this machine")
    } else if says(&["connection refused"]) {
        (FaultKind::Refused, "start the receiver, or correct host and port; in a container, localhost is the container")
    } else if says(&["no answer within", "timed out", "timeout", "no route to host", "network is unreachable"]) {
        (FaultKind::Silent, "open the way through firewalls and security groups, or correct the address")
    } else if says(&["invalidcontenttype", "corrupt message"]) {
        (FaultKind::Tls, "the server does not speak TLS there; write http:// or, for gRPC, insecure = true")
    } else if says(&["unknownissuer", "badsignature"]) {
        (FaultKind::Tls, "name the authority that signed the server's certificate in tls.ca_file")
    } else if says(&["not valid for name", "notvalidforname", "not valid for"]) {
        (FaultKind::Tls, "use a host name that the server's certificate names")
    } else if says(&["expired", "notvalidyet", "not valid yet"]) {
        (FaultKind::Tls, "renew the server's certificate, or set this machine's clock")
    } else if says(&["certificaterequired", "certificate required", "badcertificate", "unknownca", "handshakefailure"])
    {
        (FaultKind::Tls, "the server wants a certificate that it trusts: tls.cert_file and tls.key_file")
    } else if says(&["certificate", "tls", "handshake", "peer sent no"]) {
        (FaultKind::Tls, "correct the certificates of the two sides")
    } else if says(&["http 429", "http 502", "http 503", "http 504"]) {
        (FaultKind::Busy, "the destination is there and takes nothing now; data waits for it")
    } else if manner.protocol == Protocol::Grpc {
        (FaultKind::Protocol, "no gRPC is spoken there; try protocol = \"http/protobuf\", or https:// for TLS")
    } else if manner.is_tls {
        (FaultKind::Other, "see the log of the destination")
    } else {
        (FaultKind::Protocol, "no HTTP is spoken there; try protocol = \"grpc\", or https:// for TLS")
    };
    fault(kind, cause, remedy)
}

fn fault(kind: FaultKind, detail: String, remedy: &str) -> Fault {
    Fault { kind, detail, remedy: remedy.to_owned() }
}
