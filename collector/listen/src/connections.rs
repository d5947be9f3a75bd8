//! Accepts connections, caps them, secures them, and lets them finish.

use std::error::Error;
use std::future::{Future, pending};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wattline_core::Telemetry;
use wattline_core::flow::Task;

use crate::guard::Guard;
use crate::place::{Kind, Listener, SocketFile};
use crate::stream::Stream;

/// Requests at one time on one HTTP/2 connection.
const STREAMS: u32 = 64;
/// Bytes on their way to us unread, for one HTTP/2 request and for its connection.
const WINDOW: u32 = 1 << 20;
/// Bytes that an HTTP/1.1 connection reads at once, and the longest head of a request. More would be memory for each
/// connection, and colder when it is read again.
const BUFFER: usize = 128 << 10;
/// How long to wait before accepting again where the system has no descriptor left.
const PAUSE: Duration = Duration::from_millis(200);
/// The longest time for a handshake, which is a few messages.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What connections may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections of all listeners together. Further ones wait.
    pub connections: usize,
    /// The time that a client has for its first request, and for the head of each; also how long requests in flight
    /// are waited for at the end.
    pub patience: Duration,
}

/// The connections of all listeners of one service.
#[derive(Clone)]
pub struct Connections {
    /// The service's name in the log.
    name: &'static str,
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    patience: Duration,
    telemetry: Telemetry,
    stop: CancellationToken,
    /// Ends what has not finished by itself after the stop.
    cut: CancellationToken,
}

impl Connections {
    /// None yet. Listeners close when `stop` is cancelled.
    pub fn new(name: &'static str, limits: Limits, telemetry: Telemetry, stop: CancellationToken) -> Self {
        let Limits { connections, patience } = limits;
        Self {
            name,
            places: Arc::new(Semaphore::new(connections)),
            tasks: TaskTracker::new(),
            patience,
            telemetry,
            stop,
            cut: CancellationToken::new(),
        }
    }

    /// Accepts HTTP/1.1 until the stop.
    pub fn serve_http1<A, F, B>(&self, listener: Listener, guard: Arc<Guard>, answer: A) -> Task<()>
    where
        A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Response<B>, std::convert::Infallible>> + Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(self.patience).max_buf_size(BUFFER);
        Box::pin(self.clone().accept(listener, guard, move |stream, heard| {
            let answer = answer.clone();
            let service = service_fn(move |request| {
                heard.cancel();
                answer(request)
            });
            builder.serve_connection(TokioIo::new(stream), service)
        }))
    }

    /// Accepts HTTP/2 with prior knowledge until the stop.
    pub fn serve_http2<A, F, B>(&self, listener: Listener, guard: Arc<Guard>, answer: A) -> Task<()>
    where
        A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Response<B>, std::convert::Infallible>> + Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(self.patience)
            .keep_alive_timeout(self.patience)
            .max_concurrent_streams(STREAMS)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW);
        Box::pin(self.clone().accept(listener, guard, move |stream, heard| {
            let answer = answer.clone();
            let service = service_fn(move |request| {
                heard.cancel();
                answer(request)
            });
            builder.serve_connection(TokioIo::new(stream), service)
        }))
    }

    async fn accept<S, C>(self, listener: Listener, guard: Arc<Guard>, serve: S)
    where
        S: Fn(Stream, CancellationToken) -> C + Send + Sync + 'static,
        C: GracefulConnection + Send + 'static,
    {
        let name = self.name;
        let listener = match Open::new(listener) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!("a listener of {name} could not be registered with the runtime: {error}");
                return;
            }
        };
        let serve = Arc::new(serve);
        let mut warned = false;
        while let Some(accepted) = self.stop.run_until_cancelled(listener.accept()).await {
            let stream = match accepted {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::warn!("a connection of {name} could not be accepted: {error}");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            // The place comes after the connection: a listener that waits for one must not keep it from the other.
            let Some(place) = self.stop.run_until_cancelled(self.place(&mut warned)).await else { return };
            let (this, guard, serve) = (self.clone(), Arc::clone(&guard), Arc::clone(&serve));
            self.tasks.spawn(async move {
                if let Some(stream) = this.secured(stream, &guard).await {
                    let heard = CancellationToken::new();
                    let connection = serve(stream, heard.clone());
                    this.attend(connection, heard).await;
                }
                drop(place);
            });
        }
    }

    async fn place(&self, warned: &mut bool) -> Option<OwnedSemaphorePermit> {
        if self.places.available_permits() == 0 && !std::mem::replace(warned, true) {
            tracing::warn!("{} has as many connections as it may; further ones wait", self.name);
        }
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    /// The connection after its handshake, where there is one; `None` where that failed, which is counted.
    async fn secured(&self, stream: Accepted, guard: &Guard) -> Option<Stream> {
        let stream = match stream {
            Accepted::Unix(stream) => return Some(Stream::Unix(stream)),
            Accepted::Tcp(stream) => stream,
        };
        // An answer is a few bytes and should not wait for more.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!("a connection of {} could not be set to send at once: {error}", self.name);
        }
        let Some(tls) = &guard.tls else { return Some(Stream::Tcp(stream)) };
        let handshake = TlsAcceptor::from(tls.server()).accept(stream);
        let handshake = tokio::time::timeout(HANDSHAKE.min(self.patience), handshake);
        let (reason, error) = match self.stop.run_until_cancelled(handshake).await? {
            Ok(Ok(stream)) => return Some(Stream::Tls(Box::new(stream))),
            Ok(Err(error)) => ("tls_handshake", error.to_string()),
            Err(_elapsed) => ("tls_handshake_slow", "it took too long".to_owned()),
        };
        self.telemetry.turned_away(reason);
        tracing::debug!("a TLS handshake with {} failed: {error}", self.name);
        None
    }

    /// Runs one connection. One that brings no request in time is closed: it would keep others out.
    async fn attend<C: GracefulConnection>(&self, connection: C, heard: CancellationToken) {
        let mut connection = pin!(connection);
        let stopping = tokio::select! {
            _ended = connection.as_mut() => false,
            () = silence(&heard, self.patience) => false,
            () = self.stop.cancelled() => true,
        };
        if stopping {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                _ended = connection => {}
                () = self.cut.cancelled() => {}
            }
        }
    }

    /// Waits until all connections have finished, and ends those that do not.
    pub async fn drain(self) {
        self.tasks.close();
        if tokio::time::timeout(self.patience, self.tasks.wait()).await.is_err() {
            tracing::warn!("{} connections of {} did not finish and were closed", self.tasks.len(), self.name);
            self.cut.cancel();
            self.tasks.wait().await;
        }
    }
}

/// Returns when nothing was heard for so long; never if something was.
async fn silence(heard: &CancellationToken, patience: Duration) {
    if tokio::time::timeout(patience, heard.cancelled()).await.is_ok() {
        pending::<()>().await;
    }
}

/// A listener that the runtime knows.
enum Open {
    Tcp(TcpListener),
    Unix(UnixListener, #[expect(dead_code, reason = "it removes the socket when it is dropped")] SocketFile),
}

enum Accepted {
    Tcp(TcpStream),
    Unix(tokio::net::UnixStream),
}

impl Open {
    fn new(listener: Listener) -> io::Result<Self> {
        match listener.kind {
            Kind::Tcp(listener) => TcpListener::from_std(listener).map(Self::Tcp),
            Kind::Unix(listener, file) => Ok(Self::Unix(UnixListener::from_std(listener)?, file)),
        }
    }

    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(stream, _peer)| Accepted::Tcp(stream)),
            Self::Unix(listener, _) => listener.accept().await.map(|(stream, _peer)| Accepted::Unix(stream)),
        }
    }
}
