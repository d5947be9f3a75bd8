//! What comes from an agent of the same kind: from another one, or from this one itself.

use http::StatusCode;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use tonic::Code;
use wattline_probe_llm::otlp::VIA;

use crate::support::{PROTOBUF, Setup, encoded, post, request, send};

#[tokio::test]
async fn what_we_have_sent_ourselves_is_refused_for_good() {
    let mut running = Setup::default().start();
    let reply = send(running.http, post("/v1/traces", &[PROTOBUF, (VIA, "us")], encoded(1))).await;
    assert_eq!((reply.status, reply.header("retry-after")), (StatusCode::LOOP_DETECTED, ""));
    let mut client = TraceServiceClient::connect(format!("http://{}", running.grpc)).await.unwrap();
    let mut request = tonic::Request::new(request(1));
    request.metadata_mut().insert(VIA, "us".parse().unwrap());
    assert_eq!(client.export(request).await.unwrap_err().code(), Code::FailedPrecondition);
    let (calls, envelopes, counted) = running.seen();
    assert_eq!((calls.len(), envelopes.len(), counted.as_str()), (0, 0, "wattline.refused loop traces 2"));
}

#[tokio::test]
async fn what_another_agent_has_booked_is_relayed_and_not_booked_again() {
    let mut running = Setup::default().start();
    let reply = send(running.http, post("/v1/traces", &[PROTOBUF, (VIA, "another")], encoded(1))).await;
    assert_eq!(reply.status, StatusCode::OK);
    let (calls, envelopes, counted) = running.seen();
    assert_eq!((calls.len(), envelopes.len(), counted.as_str()), (0, 1, "wattline.received traces 2"));
}
