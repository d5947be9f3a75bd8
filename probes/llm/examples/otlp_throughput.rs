//! How many spans the whole receiver takes for each second of its CPU time: HTTP, check, calls, queues.
//!
//! The receiver has one thread of its own, whose CPU time the kernel counts; the sender and whoever empties the
//! queues have others. Run it with `cargo run --release -p wattline-probe-llm --example otlp_throughput`.
#![expect(clippy::print_stdout, reason = "an example says what it measured")]

#[path = "../benches/request/mod.rs"]
mod request;

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use rustix::time::{ClockId, clock_gettime};
use tokio_util::sync::CancellationToken;
use wattline_core::{Outlet, Receiver, Telemetry, Tick, queue};
use wattline_probe_llm::content::Content;
use wattline_probe_llm::otlp::{Config, OtlpReceiver, bind};

const REQUESTS: u64 = 4000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut config = Config::default();
    "127.0.0.1:0".clone_into(&mut config.http.listen);
    config.grpc.enabled = false;
    let bound = bind(&config)?;
    let address = bound.addresses().http.and_then(|place| place.tcp()).ok_or("no listener")?;
    let receiver = OtlpReceiver::new(bound, Telemetry::none(), Arc::new(Tick::default), Content::Keep, "");
    let (readings_in, mut readings) = queue::bounded(64);
    let (relay_in, mut relay) = queue::bounded(64);
    let outlet = Outlet { readings: readings_in, relay: Some(relay_in) };
    let stop = CancellationToken::new();

    let until = stop.clone();
    let server = std::thread::spawn(move || -> std::io::Result<f64> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(Box::new(receiver).run(outlet, until));
        let spent = clock_gettime(ClockId::ThreadCPUTime);
        Ok(std::time::Duration::try_from(spent).map_or(0.0, |spent| spent.as_secs_f64()))
    });
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let calls = client.block_on(async {
        let emptied = tokio::spawn(async move {
            let mut calls = 0;
            while let Some(readings) = readings.next().await {
                calls += readings.items.len();
            }
            calls
        });
        let relayed = tokio::spawn(async move { while relay.next().await.is_some() {} });
        send(address).await?;
        stop.cancel();
        relayed.await?;
        Ok::<_, Box<dyn Error>>(emptied.await?)
    })?;
    let seconds = server.join().map_err(|_panic| "the receiver panicked")??;
    let spans = REQUESTS * request::SPANS;
    println!("{spans} spans in {REQUESTS} requests, {calls} calls booked, {seconds:.2} s of CPU in the receiver");
    println!("{:.0} spans per CPU second", spans as f64 / seconds);
    Ok(())
}

async fn send(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let body = Bytes::from(request::request());
    let stream = tokio::net::TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    for _ in 0..REQUESTS {
        sender.ready().await?;
        let request = Request::post("/v1/traces")
            .header("host", "localhost")
            .header("content-type", "application/x-protobuf")
            .body(Full::new(body.clone()))?;
        let response = sender.send_request(request).await?;
        if !response.status().is_success() {
            return Err(format!("the receiver answered {}", response.status()).into());
        }
        response.into_body().collect().await?;
    }
    drop(sender);
    Ok(connection.await??)
}
