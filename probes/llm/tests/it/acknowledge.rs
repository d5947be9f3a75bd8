//! A sender that asks for more than memory is told when its data is on disk, and not before.

use std::time::Duration;

use http::StatusCode;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use tonic::Code;
use wattline_core::Envelope;
use wattline_core::receipt::Receipt;
use wattline_probe_llm::otlp::Acknowledge;

use crate::support::{PROTOBUF, Running, Setup, encoded, post, request, send};

fn start() -> Running {
    Setup::with(|config| config.acknowledge = Acknowledge::Disk).start()
}

async fn relayed(running: &mut Running) -> Receipt {
    let Envelope { receipt, .. } = running.relay.as_mut().unwrap().next().await.unwrap();
    receipt.unwrap()
}

#[tokio::test]
async fn a_sender_is_answered_when_every_destination_has_kept() {
    let mut running = start();
    let address = running.http;
    let mut answer = tokio::spawn(send(address, post("/v1/traces", &[PROTOBUF], encoded(1))));
    let receipt = relayed(&mut running).await;
    let [first, second] = [receipt.clone(), receipt.clone()];
    drop(receipt);
    first.kept();
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut answer).await.is_err(), "answered before the second");
    assert!(running.readings.try_next().is_none(), "booked before it was safe");
    second.kept();
    assert_eq!(answer.await.unwrap().status, StatusCode::OK);
    let (calls, _, counted) = running.seen();
    assert_eq!((calls.len(), counted.as_str()), (1, "wattline.received traces 2"));
}

#[tokio::test]
async fn a_destination_that_does_not_keep_it_makes_the_sender_come_again_and_books_nothing() {
    let mut running = start();
    let address = running.http;
    let answer = tokio::spawn(send(address, post("/v1/traces", &[PROTOBUF], encoded(1))));
    let receipt = relayed(&mut running).await;
    receipt.clone().kept();
    drop(receipt.clone());
    let answer = answer.await.unwrap();
    assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "1"));

    let mut client = TraceServiceClient::connect(format!("http://{}", running.grpc)).await.unwrap();
    let answer = tokio::spawn(async move { client.export(request(1)).await });
    drop(relayed(&mut running).await);
    assert_eq!(answer.await.unwrap().unwrap_err().code(), Code::Unavailable);

    let (calls, _, counted) = running.seen();
    assert_eq!((calls.len(), counted.as_str()), (0, "wattline.refused not_kept traces 2"));
}

#[tokio::test]
async fn without_a_destination_memory_is_enough() {
    let running = Setup { relay: None, ..Setup::with(|config| config.acknowledge = Acknowledge::Disk) }.start();
    assert_eq!(send(running.http, post("/v1/traces", &[PROTOBUF], encoded(1))).await.status, StatusCode::OK);
}
