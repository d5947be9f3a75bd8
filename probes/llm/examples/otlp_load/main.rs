//! Load for whatever takes spans over OTLP/HTTP and relays them: a sender and the server that it relays to, in one
//! process, so that every span is counted and timed from one end to the other.
//!
//! Requests have 512 spans of calls of about 600 bytes each. They are encoded once; ids and times are written into them
//! in place, so that no id is sent twice. `tests/real/throughput` runs it.
//!
//! ```text
//! otlp_load TO SINK SECONDS CONNECTIONS WINDOW PACE
//! ```
//!
//! It sends to the port `TO` for as many seconds, over as many connections, and counts what comes back at the port `SINK`.
//! `WINDOW` requests may be on their way at one time; `PACE` is how many it sends in a second, 0 for as many as it can.
#![expect(clippy::print_stdout, reason = "an example says what it measured")]
#![expect(clippy::disallowed_methods, reason = "an example measures time")]

mod mix;
#[expect(dead_code, reason = "the benchmark uses the rest")]
#[path = "../../benches/request/mod.rs"]
mod request;

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_ENCODING;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use wattline_wire::trace::resource_spans;

use mix::{Template, templates};

type Failure = Box<dyn Error + Send + Sync>;

/// What is late by so much will not come any more.
const PATIENCE: Duration = Duration::from_secs(20);
/// A sender that is told to come again comes after so long.
const AGAIN: Duration = Duration::from_millis(5);
/// Connections of the sink read so much at once.
const BUFFER: usize = 1 << 20;

/// What is known of the requests, by their numbers, which are in the trace id of their first span.
struct Course {
    begun: Instant,
    /// Requests that are on their way.
    window: Semaphore,
    arrived_requests: AtomicU64,
    arrived_spans: AtomicU64,
    refused: AtomicU64,
    /// When each request was sent, in nanoseconds from the beginning, and then how long it took.
    times: Mutex<Vec<u64>>,
}

impl Course {
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn sent(&self, number: usize) {
        let now = self.now();
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        if times.len() <= number {
            times.resize(number + 1, 0);
        }
        if let Some(time) = times.get_mut(number) {
            *time = now;
        }
    }

    fn arrived(&self, body: &[u8]) -> Result<(), Failure> {
        let now = self.now();
        let (mut spans, mut number) = (0, None);
        for group in resource_spans(body) {
            for scope in group?.scopes() {
                for span in scope?.spans() {
                    let span = span?;
                    number.get_or_insert(mix::number(span.trace_id));
                    spans += 1;
                }
            }
        }
        let number = usize::try_from(number.ok_or("a request without spans")?)?;
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let time = times.get_mut(number).ok_or("a request that was not sent")?;
        *time = now.saturating_sub(*time);
        drop(times);
        self.arrived_spans.fetch_add(spans, Ordering::Relaxed);
        self.arrived_requests.fetch_add(1, Ordering::Relaxed);
        self.window.add_permits(1);
        Ok(())
    }
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<u64> = std::env::args().skip(1).map(|word| word.parse()).collect::<Result<_, _>>()?;
    let [to, sink, seconds, connections, window, pace] = arguments[..] else {
        return Err("usage: otlp_load TO SINK SECONDS CONNECTIONS WINDOW PACE".into());
    };
    let address = |port: u64| u16::try_from(port).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let course = Arc::new(Course {
        begun: Instant::now(),
        window: Semaphore::new(usize::try_from(window)?),
        arrived_requests: AtomicU64::new(0),
        arrived_spans: AtomicU64::new(0),
        refused: AtomicU64::new(0),
        times: Mutex::default(),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address(sink)?).await?;
        let sink = tokio::spawn(serve(listener, Arc::clone(&course)));
        let sent = send(&course, address(to)?, Duration::from_secs(seconds), connections, pace).await?;
        let sending = course.begun.elapsed();
        settle(&course, sent).await;
        sink.abort();
        report(&course, sent, sending);
        Ok(())
    })
}

/// Sends for as long as it should, and returns how many requests were taken.
async fn send(
    course: &Arc<Course>,
    to: SocketAddr,
    lasting: Duration,
    connections: u64,
    pace: u64,
) -> Result<u64, Failure> {
    let next = Arc::new(AtomicU64::new(0));
    let templates = Arc::new(templates()?);
    // Ids of two runs do not meet either.
    let run = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let (course, next, templates) = (Arc::clone(course), Arc::clone(&next), Arc::clone(&templates));
        senders.spawn(async move {
            let mut connection = connect(to).await?;
            while course.begun.elapsed() < lasting {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if let Some(nanos) = (number * 1_000_000_000).checked_div(pace) {
                    let due = course.begun + Duration::from_nanos(nanos);
                    tokio::time::sleep_until(due.into()).await;
                }
                course.window.acquire().await?.forget();
                let index = usize::try_from(number)?;
                let template = templates.get(index % templates.len()).ok_or("no template")?;
                let body = fresh(template, run, number)?;
                course.sent(index);
                while !post(&mut connection, body.clone()).await? {
                    course.refused.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(AGAIN).await;
                }
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(ended) = senders.join_next().await {
        ended??;
    }
    Ok(next.load(Ordering::Relaxed))
}

/// A request of a template with ids that no other has, of calls that have just ended.
fn fresh(template: &Template, run: u64, number: u64) -> Result<Bytes, Failure> {
    let mut body = BytesMut::from(template.body.as_slice());
    let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())?;
    template.write(&mut body, run, number, now);
    Ok(body.freeze())
}

async fn connect(to: SocketAddr) -> Result<SendRequest<Full<Bytes>>, Failure> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// Whether a request was taken. False when it should come again.
async fn post(connection: &mut SendRequest<Full<Bytes>>, body: Bytes) -> Result<bool, Failure> {
    connection.ready().await?;
    let request = Request::post("/v1/traces")
        .header("host", "localhost")
        .header("content-type", "application/x-protobuf")
        .body(Full::new(body))?;
    let response = connection.send_request(request).await?;
    let status = response.status();
    response.into_body().collect().await?;
    match status.as_u16() {
        200 => Ok(true),
        429 | 503 => Ok(false),
        _ => Err(format!("the answer is {status}").into()),
    }
}

async fn serve(listener: TcpListener, course: Arc<Course>) -> Result<(), Failure> {
    loop {
        let (stream, _peer) = listener.accept().await?;
        let course = Arc::clone(&course);
        let service = service_fn(move |request| take(Arc::clone(&course), request));
        let mut http = hyper::server::conn::http1::Builder::new();
        http.max_buf_size(BUFFER);
        tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
    }
}

async fn take(course: Arc<Course>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_packed = request.headers().contains_key(CONTENT_ENCODING);
    let mut status = 500;
    if let Ok(body) = request.into_body().collect().await {
        let body = body.to_bytes();
        let outcome =
            if is_packed { unpacked(&body).and_then(|body| course.arrived(&body)) } else { course.arrived(&body) };
        match outcome {
            Ok(()) => status = 200,
            Err(error) => println!("at the sink: {error}"),
        }
    }
    let mut response = Response::new(Full::default());
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    Ok(response)
}

fn unpacked(body: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut whole = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(body), &mut whole)?;
    Ok(whole)
}

/// Waits until all has arrived, or nothing comes any more.
async fn settle(course: &Course, sent: u64) {
    let mut last = (0, Instant::now());
    loop {
        let arrived = course.arrived_requests.load(Ordering::Relaxed);
        if arrived >= sent || (arrived == last.0 && last.1.elapsed() > PATIENCE) {
            return;
        }
        if arrived != last.0 {
            last = (arrived, Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn report(course: &Course, sent: u64, sending: Duration) {
    let mut times = course.times.lock().unwrap_or_else(PoisonError::into_inner).clone();
    times.sort_unstable();
    let quantile = |of: usize| times.get((times.len() * of / 100).min(times.len().saturating_sub(1))).copied();
    let millis = |of| quantile(of).unwrap_or_default() as f64 / 1e6;
    println!(
        r#"{{"spans": {}, "arrived": {}, "refused": {}, "seconds": {}, "p50_ms": {}, "p95_ms": {}, "p99_ms": {}}}"#,
        sent * request::SPANS,
        course.arrived_spans.load(Ordering::Relaxed),
        course.refused.load(Ordering::Relaxed),
        sending.as_secs_f64(),
        millis(50),
        millis(95),
        millis(99),
    );
}
