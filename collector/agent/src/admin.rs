//! The admin endpoint: `/metrics` for Prometheus, `/healthz` and `/readyz` for whoever supervises.
//!
//! Where a token is asked for, it is for `/metrics`: a supervisor has none, and learns no figures.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use wattline_core::{Instant, Snapshot, Telemetry, Tick};
use wattline_export_prometheus::Scrape;
use wattline_listen::{Connections, Guard, Limits, Listener};

use crate::clock;
use crate::role::Role;

/// A settlement older than this many windows means that measuring has stopped.
const STALE_WINDOWS: u32 = 5;

/// A few scrapers and supervisors; further ones wait.
const LIMITS: Limits = Limits { connections: 64, patience: Duration::from_secs(30) };

/// The endpoint's listener, open, and who may use it.
#[derive(Debug)]
pub struct Door {
    /// The listener.
    pub listener: Listener,
    /// What it asks for.
    pub guard: Arc<Guard>,
}

#[derive(Clone)]
struct Admin {
    settled: watch::Receiver<Option<Tick>>,
    scrape: Scrape,
    role: Role,
    stale_after: Duration,
    started: Instant,
}

/// Serves at `door` until `stop` is cancelled. `settled` tells the tick of the last settlement.
pub async fn serve(
    door: Door,
    telemetry: Telemetry,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    settled: watch::Receiver<Option<Tick>>,
    role: Role,
    window: Duration,
    stop: CancellationToken,
) {
    let Door { listener, guard } = door;
    let admin = Admin {
        settled,
        role,
        scrape: Scrape { snapshots },
        stale_after: window * STALE_WINDOWS,
        started: clock::tick().at,
    };
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&guard), admitted))
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .with_state(admin);
    let connections = Connections::new("the admin endpoint", LIMITS, telemetry, stop);
    connections.serve_http1(listener, guard, move |request| router.clone().oneshot(request)).await;
    connections.drain().await;
}

/// Lets a request pass that bears a token, where one is asked for.
async fn admitted(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    if guard.admits(request.headers()) {
        return next.run(request).await;
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer realm=\"wattline\"")];
    (StatusCode::UNAUTHORIZED, challenge, "a bearer token is wanted, and this request bears none or another\n")
        .into_response()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let (content_type, body) = admin.scrape.render();
    ([(header::CONTENT_TYPE, content_type)], body).into_response()
}

/// Alive: the last window was settled a short time ago. Kubernetes restarts what is not. Snapshots do not count:
/// those that only tell of language models go on when the machine is measured no more.
async fn health(State(admin): State<Admin>) -> (StatusCode, String) {
    let settled = admin.settled.borrow().map(|tick| tick.at);
    // An agent whose window a reload has shortened gets the time of a new one.
    let since = settled.map_or(admin.started, |at| at.max(admin.started));
    let age = clock::tick().at.since(since).get();
    let (doing, sign) =
        if admin.role.measures() { (MEASURING, "the last settlement") } else { (RECEIVING, "the last pulse") };
    if age <= admin.stale_after.as_secs_f64() {
        (StatusCode::OK, format!("{doing}: {sign} is {age:.1} s old\n"))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("{doing} has stopped: {sign} is {age:.1} s old\n"))
    }
}

/// Ready: there are energy figures.
async fn ready(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    if admin.settled.borrow().is_some() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "no energy figures yet: the first window is not settled\n")
    }
}

/// How the answer of a wattline that measures begins.
const MEASURING: &str = "measuring";
/// And of one that only receives.
const RECEIVING: &str = "receiving";
/// The longest that a running agent may take to answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// Whether a wattline that is at work answers at `address`.
pub fn is_served(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /healthz HTTP/1.0\r\nhost: localhost\r\n\r\n")?;
        let mut answer = String::new();
        stream.take(ANSWER_LIMIT).read_to_string(&mut answer)?;
        Ok(answer)
    };
    let is_at_work = |body: &str| body.split(':').next().is_some_and(|word| [MEASURING, RECEIVING].contains(&word));
    ask().is_ok_and(|answer| answer.split("\r\n\r\n").nth(1).is_some_and(is_at_work))
}

/// The most that is read of an answer.
const ANSWER_LIMIT: u64 = 4096;
