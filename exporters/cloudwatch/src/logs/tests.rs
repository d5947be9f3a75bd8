use std::sync::Mutex;

use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use wattline_export_delivery::Secret;

use super::*;
use crate::sink::Packing;

/// 2026-09-21T14:14:20Z, the time of the fake.
const NOW_MS: u64 = 1_790_000_060_000;

fn now() -> Timestamp {
    Timestamp::from_unix_nanos(NOW_MS * 1_000_000)
}

fn event(at_ms: u64, bytes: usize) -> Event {
    let start = r#"{"_aws":{"CloudWatchMetrics":[{"Metrics":[{"Name":"a"},{"Name":"b"}]}]},"x":""#;
    let text = format!("{start}{}\"}}", "x".repeat(bytes.saturating_sub(start.len() + 2)));
    Event { at_ms, text, points: 2 }
}

fn pack(events: &[Event]) -> Vec<Body> {
    Packing::Requests { group: "/wattline".to_owned(), stream: "node-1".to_owned() }.pack(events)
}

const DAY_MS: u64 = 86_400_000;

/// `CloudWatch` Logs as its reference describes it: one group, streams that are made, and a script of failures that
/// come first.
#[derive(Default)]
struct Fake {
    script: Mutex<Vec<(u16, Json)>>,
    streams: Mutex<Vec<String>>,
    group_is_missing: bool,
    /// Requests by their action, and what they were answered.
    seen: Mutex<Vec<(String, u16)>>,
    events: Mutex<Vec<String>>,
}

impl Fake {
    fn answer(&self, action: &str, authorization: &str, body: &[u8]) -> (u16, Json) {
        assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKID/20260921/eu-west-1/logs/aws4_request"));
        assert!(authorization.contains("SignedHeaders=content-type;host;x-amz-date;x-amz-target"), "{authorization}");
        let scripted = self.script.lock().unwrap().pop();
        if let Some(scripted) = scripted {
            return scripted;
        }
        let request: Json = serde_json::from_slice(body).unwrap();
        let error = |name: &str| (400, json!({ "__type": format!("com.amazonaws.logs#{name}"), "message": "no" }));
        if self.group_is_missing || request["logGroupName"] != "/wattline" {
            return error("ResourceNotFoundException");
        }
        let stream = request["logStreamName"].as_str().unwrap().to_owned();
        let is_known = self.streams.lock().unwrap().contains(&stream);
        match action {
            "CreateLogStream" if is_known => error("ResourceAlreadyExistsException"),
            "CreateLogStream" => {
                self.streams.lock().unwrap().push(stream);
                (200, json!({}))
            }
            "PutLogEvents" if !is_known => error("ResourceNotFoundException"),
            "PutLogEvents" => self.put(request["logEvents"].as_array().unwrap()),
            other => panic!("{other}"),
        }
    }

    fn put(&self, events: &[Json]) -> (u16, Json) {
        let size: usize = events.iter().map(|event| event["message"].as_str().unwrap().len() + 26).sum();
        let times: Vec<u64> = events.iter().map(|event| event["timestamp"].as_u64().unwrap()).collect();
        let span = times.last().unwrap() - times[0];
        let fits = size <= 1_048_576 && events.len() <= 10_000 && span < 86_400_000 && times.is_sorted();
        if !fits {
            return (400, json!({ "__type": "InvalidParameterException", "message": "too much" }));
        }
        let too_old = times.iter().filter(|&&at| at + 14 * DAY_MS < NOW_MS).count();
        let too_new = times.iter().filter(|&&at| at > NOW_MS + 2 * 3_600_000).count();
        let taken = &events[too_old..events.len() - too_new];
        self.events.lock().unwrap().extend(taken.iter().map(|event| event["message"].as_str().unwrap().to_owned()));
        let mut rejected = serde_json::Map::new();
        if too_old > 0 {
            rejected.insert("tooOldLogEventEndIndex".to_owned(), too_old.into());
        }
        if too_new > 0 {
            rejected.insert("tooNewLogEventStartIndex".to_owned(), (events.len() - too_new).into());
        }
        (200, if rejected.is_empty() { json!({}) } else { json!({ "rejectedLogEventsInfo": rejected }) })
    }

    /// Serves until the test ends.
    async fn serve(self: Arc<Self>, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(Arc::clone(&self).connection(stream));
        }
    }

    async fn connection(self: Arc<Self>, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        loop {
            let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
                if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                    return;
                }
                continue;
            };
            let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
            let header = |name: &str| -> String {
                let line = text.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}:")));
                line.map_or("", |line| line.split_once(':').unwrap().1.trim()).to_owned()
            };
            let length: usize = header("content-length").parse().unwrap();
            while bytes.len() < head + 4 + length {
                assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
            }
            let action = header("x-amz-target").strip_prefix("Logs_20140328.").unwrap().to_owned();
            assert_eq!(header("content-type"), JSON);
            let (status, answer) = self.answer(&action, &header("authorization"), &bytes[head + 4..head + 4 + length]);
            self.seen.lock().unwrap().push((action, status));
            let answer = answer.to_string();
            let reply = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{answer}", answer.len());
            stream.write_all(reply.as_bytes()).await.unwrap();
            bytes.drain(..head + 4 + length);
        }
    }
}

async fn start(fake: Fake) -> (Arc<Fake>, LogsTransport) {
    let fake = Arc::new(fake);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Some(format!("http://{}/", listener.local_addr().unwrap()));
    tokio::spawn(Arc::clone(&fake).serve(listener));
    let grant = Grant::fixed("AKID", &Secret::new("secret-key"), None, "eu-west-1".parse().unwrap());
    let client = crate::web::client(None, Duration::from_secs(5)).unwrap();
    (fake, LogsTransport { client, access: Arc::new(Access::fixed(grant, now)), endpoint, now })
}

fn delivered(rejected: u64) -> impl Fn(&Verdict) -> bool {
    move |verdict| matches!(verdict, Verdict::Delivered { rejected: other, .. } if *other == rejected)
}

#[tokio::test]
async fn a_missing_stream_is_made_and_then_written_to() {
    let (fake, mut transport) = start(Fake::default()).await;
    let body = &pack(&[event(NOW_MS, 100)])[0];
    for _ in 0..2 {
        let verdict = transport.send(body.bytes.clone()).await;
        assert!(delivered(0)(&verdict), "{verdict:?}");
    }
    let seen: Vec<String> =
        fake.seen.lock().unwrap().iter().map(|(action, status)| format!("{action} {status}")).collect();
    assert_eq!(seen, ["PutLogEvents 400", "CreateLogStream 200", "PutLogEvents 200", "PutLogEvents 200"]);
    assert_eq!(fake.events.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_missing_group_pauses_and_says_what_to_do() {
    let (_fake, mut transport) = start(Fake { group_is_missing: true, ..Fake::default() }).await;
    let verdict = transport.send(pack(&[event(NOW_MS, 100)])[0].bytes.clone()).await;
    let Verdict::Unauthorized { cause } = verdict else { panic!("{verdict:?}") };
    assert_eq!(cause, "the log group /wattline does not exist in eu-west-1: create it, or correct log_group");
}

#[tokio::test]
async fn what_is_too_old_or_too_new_is_counted_by_points() {
    let (fake, mut transport) = start(Fake::default()).await;
    fake.streams.lock().unwrap().push("node-1".to_owned());
    let day = 86_400_000;
    for (times, rejected) in [
        (vec![NOW_MS - 20 * day, NOW_MS - 20 * day + 1], 4),
        (vec![NOW_MS - day / 2, NOW_MS], 0),
        (vec![NOW_MS, NOW_MS + day / 2], 2),
    ] {
        let events: Vec<Event> = times.iter().map(|&at| event(at, 90)).collect();
        let bodies = pack(&events);
        assert_eq!(bodies.len(), 1);
        let verdict = transport.send(bodies[0].bytes.clone()).await;
        assert!(delivered(rejected)(&verdict), "{verdict:?}");
    }
}

#[tokio::test]
async fn requests_are_as_large_as_the_rules_allow_and_no_larger() {
    let (fake, mut transport) = start(Fake::default()).await;
    fake.streams.lock().unwrap().push("node-1".to_owned());
    let full: u64 = 1_048_576 / (1_000 + 26);
    let mut events: Vec<Event> = (0..=full).map(|_| event(NOW_MS, 1_000)).collect();
    events.extend((0..10_001).map(|_| event(NOW_MS + 1, 77)));
    events.push(event(NOW_MS + 86_400_001, 77));
    let bodies = pack(&events);
    assert_eq!(bodies.iter().map(|body| body.items).sum::<u64>(), 2 * events.len() as u64);
    assert_eq!(bodies[0].items, 2 * full);
    for body in &bodies {
        let verdict = transport.send(body.bytes.clone()).await;
        assert!(matches!(verdict, Verdict::Delivered { .. }), "{verdict:?}");
    }
    // The day after tomorrow is too new for the fake, as for the service.
    assert_eq!(fake.events.lock().unwrap().len(), events.len() - 1);
}

#[tokio::test]
async fn each_error_has_its_meaning() {
    let (fake, mut transport) = start(Fake::default()).await;
    let body = pack(&[event(NOW_MS, 100)])[0].bytes.clone();
    for (status, error, expected) in [
        (400, "ThrottlingException", "retry"),
        (400, "DataAlreadyAcceptedException", "delivered"),
        (400, "InvalidSequenceTokenException", "retry"),
        (400, "ExpiredTokenException", "unauthorized"),
        (400, "AccessDeniedException", "unauthorized"),
        (400, "UnrecognizedClientException", "unauthorized"),
        (403, "InvalidSignatureException", "unauthorized"),
        (403, "", "unauthorized"),
        (400, "InvalidParameterException", "refused"),
        (400, "SomethingNobodyKnows", "refused"),
        (413, "", "too large"),
        (429, "", "retry"),
        (500, "InternalFailure", "retry"),
        (503, "ServiceUnavailableException", "retry"),
    ] {
        fake.script.lock().unwrap().push((status, json!({ "__type": error, "message": "why secret-key" })));
        let verdict = transport.send(body.clone()).await;
        let (kind, words) = match &verdict {
            Verdict::Delivered { message, .. } => ("delivered", message),
            Verdict::Retry { cause, .. } => ("retry", cause),
            Verdict::Refused { cause, .. } => ("refused", cause),
            Verdict::TooLarge { cause } => ("too large", cause),
            Verdict::Unauthorized { cause } => ("unauthorized", cause),
        };
        assert_eq!(kind, expected, "{status} {error}");
        assert!(words.contains("why ***") && words.contains(error), "{words}");
    }
}

#[tokio::test]
async fn nobody_at_the_address_is_tried_again() {
    let (_fake, mut transport) = start(Fake::default()).await;
    transport.endpoint = Some("http://127.0.0.1:1/".to_owned());
    let verdict = transport.send(Bytes::from_static(b"{}")).await;
    assert!(matches!(verdict, Verdict::Retry { after: None, .. }), "{verdict:?}");
}
