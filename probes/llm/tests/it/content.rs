use http::StatusCode;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;
use wattline_probe_llm::content::{self, Content, Handling};

use crate::support::{PROTOBUF, Setup, attribute, post, request, send};

#[tokio::test]
async fn content_is_treated_before_it_is_relayed_and_calls_are_booked_all_the_same() {
    let with = |value: Option<&str>| {
        let mut request = request(1);
        let said = value.map(|value| attribute("gen_ai.input.messages", Value::StringValue(value.to_owned())));
        request.resource_spans[0].scope_spans[0].spans[0].attributes.extend(said);
        request
    };
    let sent = with(Some("who am I"));
    for (handling, wanted) in
        [(Handling::Keep, Some(sent.clone())), (Handling::Drop, Some(with(None))), (Handling::Hash, None)]
    {
        let content = Content::new(&content::Config { content: handling, ..Default::default() }).unwrap();
        let mut running = Setup { content, ..Setup::default() }.start();
        let reply = send(running.http, post("/v1/traces", &[PROTOBUF], sent.encode_to_vec())).await;
        assert_eq!(reply.status, StatusCode::OK);
        let (calls, envelopes, _) = running.seen();
        let relayed = ExportTraceServiceRequest::decode(envelopes[0].body.clone()).unwrap();
        let said = relayed.resource_spans[0].scope_spans[0].spans[0].attributes.last().unwrap().clone();
        match wanted {
            Some(wanted) => assert_eq!(relayed, wanted),
            None => assert!(format!("{said:?}").contains("hmac-sha256:"), "{said:?}"),
        }
        assert_eq!((calls.len(), calls[0].usage.input), (1, 1));
    }
}
