//! An HTTP server that answers as a test says, and shows what it was asked.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use tokio::net::TcpListener;
use wattline_core::{Instant, Telemetry, Tick, Timestamp};
use wattline_probe_intensity::{Config, Context, Kind, Secret, Signal};

/// 2026-11-22T13:02:30Z, the only time there is: the current value of every recorded answer holds from 13:00Z, or from
/// 12:00Z for ENTSO-E.
pub(crate) const NOW: Timestamp = Timestamp::from_unix_nanos(1_795_352_550_000_000_000);

/// The same, as a header.
pub(crate) const NOW_DATE: &str = "Sun, 22 Nov 2026 13:02:30 GMT";

/// A key that is easy to find again.
pub(crate) const KEY: &str = "s3cret-k3y";

/// A request as the server saw it: `GET /path?query`, then each header in lower case.
pub(crate) type Seen = Vec<String>;

/// What to answer.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// A status, headers and a body.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Nothing, for ever.
    Silence,
    /// A head and a part of a body, and then nothing, for ever.
    Trickle,
}

/// A body with 200.
pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Reply {
    let headers = vec![("content-type", "application/json; charset=utf-8".to_owned()), ("date", NOW_DATE.to_owned())];
    Reply::Answer(200, headers, body.into())
}

/// A status with a body.
pub(crate) fn status(code: u16, body: &str) -> Reply {
    Reply::Answer(code, Vec::new(), body.into())
}

/// A server at work. It gives its answers in turn, and the last one again and again.
pub(crate) struct Web {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Web {
    pub(crate) async fn start(replies: impl Into<VecDeque<Reply>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, replies) = (Arc::<Mutex<Vec<Seen>>>::default(), Arc::new(Mutex::new(replies.into())));
        let noted = Arc::clone(&seen);
        let service = Router::new().fallback(move |request: Request<Body>| {
            noted.lock().unwrap().push(written(&request));
            let reply = {
                let mut replies = replies.lock().unwrap();
                if replies.len() > 1 { replies.pop_front().unwrap() } else { replies[0].clone() }
            };
            async move {
                match reply {
                    Reply::Silence => std::future::pending().await,
                    Reply::Trickle => Response::new(Body::new(Forever(false))),
                    Reply::Answer(status, headers, body) => {
                        let mut response = Response::builder().status(status);
                        for (name, value) in headers {
                            response = response.header(name, value);
                        }
                        response.body(Body::from(body)).unwrap()
                    }
                }
            }
        });
        tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self { address, seen }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was asked so far: `GET /path?query` of each.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|seen| seen[0].clone()).collect()
    }

    /// What was asked so far, in full.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn written(request: &Request<Body>) -> Seen {
    let head = format!("{} {}", request.method(), request.uri());
    let headers = request.headers().iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
    std::iter::once(head).chain(headers).collect()
}

/// A body that begins and never ends.
struct Forever(bool);

impl axum::body::HttpBody for Forever {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        if std::mem::replace(&mut self.0, true) {
            return std::task::Poll::Pending;
        }
        std::task::Poll::Ready(Some(Ok(http_body::Frame::data(bytes::Bytes::from_static(b"{\"data\":")))))
    }
}

/// A provider at `endpoint`, with a key where it takes one.
pub(crate) fn config(kind: Kind, endpoint: &str) -> Config {
    // A busy machine must not look like a slow provider.
    let timeout = Duration::from_mins(1);
    let config = Config { endpoint: Some(endpoint.to_owned()), timeout, ..Config::of(kind) };
    let key_env = Some("KEY".to_owned());
    let zone = |zone: &str| Some(zone.to_owned());
    match kind {
        Kind::ElectricityMaps => Config { zone: zone("DE"), key_env, ..config },
        Kind::WattTime => Config { zone: zone("CAISO_NORTH"), username: zone("me"), key_env, ..config },
        Kind::EnergyCharts => Config { zone: zone("de"), ..config },
        Kind::EntsoE => Config { zone: zone("10Y1001A1001A82H"), key_env, ..config },
        Kind::Uk => config,
        Kind::File | Kind::Constant => Config { endpoint: None, ..config },
    }
}

/// A provider that is given up on soon.
pub(crate) fn impatient(kind: Kind, endpoint: &str) -> Config {
    Config { timeout: Duration::from_millis(100), ..config(kind, endpoint) }
}

/// Both signals of `WattTime`.
pub(crate) fn both_signals(endpoint: &str) -> Config {
    Config { signals: vec![Signal::Average, Signal::Marginal], ..config(Kind::WattTime, endpoint) }
}

pub(crate) fn context() -> Context {
    let now = || Tick { at: Instant::from_nanos(7), wall: NOW };
    Context { telemetry: Telemetry::none(), now: Arc::new(now), key: Some(Secret::new(KEY)), seed: 1 }
}

/// A recorded answer.
#[expect(clippy::disallowed_methods, reason = "a recording is no file of a host")]
pub(crate) fn recorded(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/testdata/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The recorded good answers of a provider, in the order in which it is asked.
pub(crate) fn good(kind: Kind) -> Vec<Reply> {
    let answers: &[&str] = match kind {
        Kind::ElectricityMaps => &["electricity_maps/latest.json"],
        Kind::WattTime => &["watttime/login.json", "watttime/historical_aoer.json"],
        Kind::Uk => &["uk/national.json"],
        Kind::EnergyCharts => &["energy_charts/co2eq.json"],
        Kind::EntsoE => &["entsoe/generation.xml"],
        Kind::File | Kind::Constant => &[],
    };
    answers.iter().map(|name| ok(recorded(name))).collect()
}

/// The providers that are asked over the web.
pub(crate) const OVER_THE_WEB: [Kind; 5] =
    [Kind::ElectricityMaps, Kind::WattTime, Kind::Uk, Kind::EnergyCharts, Kind::EntsoE];
