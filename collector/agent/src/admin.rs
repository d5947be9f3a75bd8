//! The admin endpoint: `/metrics` for Prometheus, `/healthz` and `/readyz` for whoever supervises.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wattline_core::{Snapshot, Tick};
use wattline_export_prometheus::Scrape;

use crate::clock;

/// A snapshot older than this many windows means that measuring has stopped.
const STALE_WINDOWS: u32 = 5;

#[derive(Clone)]
struct Admin {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    scrape: Scrape,
    stale_after: Duration,
    started: Tick,
}

/// Serves on `listener` until `stop` is cancelled.
pub async fn serve(
    listener: TcpListener,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    window: Duration,
    stop: CancellationToken,
) {
    let admin = Admin {
        scrape: Scrape { snapshots: snapshots.clone() },
        snapshots,
        stale_after: window * STALE_WINDOWS,
        started: clock::tick(),
    };
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .with_state(admin);
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "the admin endpoint stopped");
    }
}

/// Binds the admin listener. The error names the key.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let (content_type, body) = admin.scrape.render();
    ([(header::CONTENT_TYPE, content_type)], body).into_response()
}

/// Alive: the last snapshot is young. Kubernetes restarts what is not.
async fn health(State(admin): State<Admin>) -> (StatusCode, String) {
    let last = admin.snapshots.borrow().tick;
    let since = if last == Tick::default() { admin.started } else { last };
    let age = clock::tick().at.since(since.at).get();
    if age <= admin.stale_after.as_secs_f64() {
        (StatusCode::OK, format!("measuring: the last snapshot is {age:.1} s old\n"))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("measuring has stopped: the last snapshot is {age:.1} s old\n"))
    }
}

/// Ready: there are figures.
async fn ready(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    if admin.snapshots.borrow().samples.is_empty() {
        (StatusCode::SERVICE_UNAVAILABLE, "no figures yet\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}
