//! Accepts connections, caps them, and lets them finish.

use std::convert::Infallible;
use std::future::{Future, pending};
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
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wattline_core::flow::Task;

use super::Config;

/// Requests at one time on one gRPC connection.
const STREAMS: u32 = 64;
/// Bytes on their way to us unread, for one gRPC request and for its connection.
const WINDOW: u32 = 1 << 20;
/// How long to wait before accepting again where the system has no descriptor left.
const PAUSE: Duration = Duration::from_millis(200);

/// The connections of all listeners.
#[derive(Clone)]
pub(super) struct Connections {
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    patience: Duration,
    stop: CancellationToken,
    /// Ends what has not finished by itself after the stop.
    cut: CancellationToken,
}

impl Connections {
    pub(super) fn new(config: &Config, stop: CancellationToken) -> Self {
        Self {
            places: Arc::new(Semaphore::new(config.max_connections as usize)),
            tasks: TaskTracker::new(),
            patience: config.read_timeout,
            stop,
            cut: CancellationToken::new(),
        }
    }

    /// Accepts HTTP/1.1 until the stop.
    pub(super) fn serve_http1<A, F, B>(&self, listener: TcpListener, answer: A) -> Task<()>
    where
        A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
        B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
    {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(self.patience);
        Box::pin(self.clone().accept(listener, move |stream, heard| {
            let answer = answer.clone();
            let service = service_fn(move |request| {
                heard.cancel();
                answer(request)
            });
            builder.serve_connection(TokioIo::new(stream), service)
        }))
    }

    /// Accepts HTTP/2 with prior knowledge until the stop.
    pub(super) fn serve_http2<A, F, B>(&self, listener: TcpListener, answer: A) -> Task<()>
    where
        A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
        B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
    {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(self.patience)
            .keep_alive_timeout(self.patience)
            .max_concurrent_streams(STREAMS)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW);
        Box::pin(self.clone().accept(listener, move |stream, heard| {
            let answer = answer.clone();
            let service = service_fn(move |request| {
                heard.cancel();
                answer(request)
            });
            builder.serve_connection(TokioIo::new(stream), service)
        }))
    }

    async fn accept<C>(self, listener: TcpListener, connect: impl Fn(TcpStream, CancellationToken) -> C)
    where
        C: GracefulConnection + Send + 'static,
    {
        let mut warned = false;
        while let Some(accepted) = self.stop.run_until_cancelled(listener.accept()).await {
            let stream = match accepted {
                Ok((stream, _peer)) => stream,
                Err(error) => {
                    tracing::warn!("an OTLP connection could not be accepted: {error}");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            // The place comes after the connection: a listener that waits for one must not keep it from the other.
            let Some(place) = self.stop.run_until_cancelled(self.place(&mut warned)).await else { return };
            // An answer is a few bytes and should not wait for more.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!("an OTLP connection could not be set to send at once: {error}");
            }
            let heard = CancellationToken::new();
            let connection = connect(stream, heard.clone());
            self.tasks.spawn(self.clone().attend(connection, heard, place));
        }
    }

    async fn place(&self, warned: &mut bool) -> Option<OwnedSemaphorePermit> {
        if self.places.available_permits() == 0 && !std::mem::replace(warned, true) {
            tracing::warn!("the OTLP receiver has as many connections as it may; further ones wait");
        }
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    /// Runs one connection. One that brings no request in time is closed: it would keep others out.
    async fn attend<C: GracefulConnection>(
        self,
        connection: C,
        heard: CancellationToken,
        place: Option<OwnedSemaphorePermit>,
    ) {
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
        drop(place);
    }

    /// Waits until all connections have finished, and ends those that do not.
    pub(super) async fn drain(self) {
        self.tasks.close();
        if tokio::time::timeout(self.patience, self.tasks.wait()).await.is_err() {
            tracing::warn!("{} OTLP connections did not finish and were closed", self.tasks.len());
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
