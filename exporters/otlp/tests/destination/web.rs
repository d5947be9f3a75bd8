//! An HTTP server that answers as a test says, and shows what it got.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, Response, Uri};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// A request as the server saw it.
#[derive(Debug)]
pub(crate) struct Seen {
    /// How many came before.
    pub(crate) number: usize,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    /// The body after decompression.
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}

/// What to answer.
pub(crate) enum Reply {
    /// A status, headers and a body.
    Answer(u16, &'static [(&'static str, &'static str)], Vec<u8>),
    /// Nothing, for ever.
    Silence,
}

pub(crate) const OK: Reply = Reply::Answer(200, &[("content-type", "application/x-protobuf")], Vec::new());

/// A status without anything else.
pub(crate) const fn status(code: u16) -> Reply {
    Reply::Answer(code, &[], Vec::new())
}

/// A server at work.
pub(crate) struct Web {
    pub(crate) address: SocketAddr,
    seen: mpsc::Receiver<Seen>,
}

impl Web {
    /// A server on a free port.
    pub(crate) async fn start(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), answer)
    }

    pub(crate) fn start_on(listener: TcpListener, answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let address = listener.local_addr().unwrap();
        let (sender, seen) = mpsc::channel(10_000);
        let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let answer = Arc::new(answer);
        let service = Router::new().fallback(move |request: Request<Body>| {
            let (sender, count, answer) = (sender.clone(), Arc::clone(&count), Arc::clone(&answer));
            async move {
                let (head, body) = request.into_parts();
                let raw = axum::body::to_bytes(body, usize::MAX).await.unwrap();
                let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                let body = decompressed(&head.headers, &raw);
                let seen = Seen { number, uri: head.uri, headers: head.headers, body };
                let reply = answer(&seen);
                sender.send(seen).await.unwrap();
                match reply {
                    Reply::Silence => std::future::pending().await,
                    Reply::Answer(status, headers, body) => {
                        let mut response = Response::builder().status(status);
                        for (name, value) in headers {
                            response = response.header(*name, *value);
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

    /// The next request.
    pub(crate) async fn seen(&mut self) -> Seen {
        self.seen.recv().await.unwrap()
    }

    /// All requests that came and were not looked at.
    pub(crate) fn rest(&mut self) -> Vec<Seen> {
        std::iter::from_fn(|| self.seen.try_recv().ok()).collect()
    }
}

pub(crate) fn decompressed(headers: &HeaderMap, raw: &[u8]) -> Vec<u8> {
    match headers.get("content-encoding").map(|value| value.to_str().unwrap()) {
        None => raw.to_vec(),
        Some("gzip") => {
            let mut body = Vec::new();
            flate2::read::GzDecoder::new(raw).read_to_end(&mut body).unwrap();
            body
        }
        Some("zstd") => zstd::decode_all(raw).unwrap(),
        Some(other) => panic!("unknown encoding {other}"),
    }
}
