use std::time::Duration;

use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{PROTOBUF, Running, Setup, encoded, post, send};

/// Opens a connection and sends the head of a request, up to where the server asks for the body.
async fn begin(running: &Running, body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(running.http).await.unwrap();
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n\
         content-length: {}\r\nexpect: 100-continue\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

async fn finish(mut stream: TcpStream, body: &[u8]) -> String {
    stream.write_all(body).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    reply
}

#[tokio::test]
async fn a_stop_closes_the_door_and_finishes_what_is_inside() {
    // Only the senders' own ends close the connections: nothing is cut within the hour.
    let mut running = Setup::with(|config| config.read_timeout = Duration::from_hours(1)).start();
    let body = encoded(7);
    let idle = TcpStream::connect(running.http).await.unwrap();
    let inside = begin(&running, &body).await;
    running.stop.cancel();
    let reply = finish(inside, &body).await;
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    tokio::time::timeout(Duration::from_secs(10), &mut running.task).await.unwrap().unwrap();
    assert!(TcpStream::connect(running.http).await.is_err() && TcpStream::connect(running.grpc).await.is_err());
    drop(idle);
    let (calls, envelopes, _) = running.seen();
    assert_eq!((calls.len(), envelopes.len()), (1, 1));
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_sender_that_has_stopped_sending() {
    let mut running = Setup::with(|config| config.read_timeout = Duration::from_millis(100)).start();
    let stuck = begin(&running, b"body").await;
    let silent = TcpStream::connect(running.grpc).await.unwrap();
    running.stop.cancel();
    (&mut running.task).await.unwrap();
    drop((stuck, silent));
}

#[tokio::test]
async fn connections_that_bring_no_request_are_closed() {
    let running = Setup::with(|config| config.read_timeout = Duration::from_millis(50)).start();
    for (address, first) in
        [(running.http, "POST /v1/tr"), (running.http, ""), (running.grpc, "PRI *"), (running.grpc, "")]
    {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(first.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        // Closed or reset: either way the place is free again.
        let _closed = stream.read_to_end(&mut rest).await;
        assert!(!rest.starts_with(b"HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn further_connections_wait_for_a_place() {
    let running = Setup::with(|config| config.max_connections = 1).start();
    let body = encoded(7);
    let first = begin(&running, &body).await;
    let address = running.http;
    let mut second = tokio::spawn(send(address, post("/v1/traces", &[PROTOBUF], body.clone())));
    let waiting = tokio::time::timeout(Duration::from_millis(100), &mut second).await;
    assert!(waiting.is_err(), "the second connection was served beside the first");
    drop(first);
    assert_eq!(second.await.unwrap().status, StatusCode::OK);
}
