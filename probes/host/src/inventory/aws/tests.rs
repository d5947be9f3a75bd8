use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use super::*;
use crate::inventory::cloud::{self, CloudConfig, CloudMode};
use wattline_core::reading::SourceState;

const DOCUMENT: &str = r#"{
  "accountId" : "123456789012",
  "architecture" : "x86_64",
  "availabilityZone" : "eu-west-1b",
  "billingProducts" : null,
  "imageId" : "ami-0abcdef1234567890",
  "instanceId" : "i-0123456789abcdef0",
  "instanceType" : "g5.2xlarge",
  "kernelId" : null,
  "pendingTime" : "2026-09-01T10:00:00Z",
  "privateIp" : "10.0.1.23",
  "region" : "eu-west-1",
  "version" : "2017-09-30"
}"#;

/// Long enough for a loaded machine; only the tests of silence wait for it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request as the service saw it: its first line, and its token if it bore one.
type Seen = (String, Option<String>);

/// A metadata service on loopback that answers each request as `reply` says: status and body, or silence.
fn service(reply: fn(&str) -> Option<(u16, String)>) -> (String, Receiver<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (seen, requests) = sync_channel(16);
    thread::spawn(move || {
        let mut silent = Vec::new();
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let (line, token) = request(&stream);
            let reply = reply(&line);
            if seen.send((line, token)).is_err() {
                return;
            }
            match reply {
                Some((status, body)) => respond(&stream, status, &body),
                None => silent.push(stream),
            }
        }
    });
    (endpoint, requests)
}

fn request(stream: &TcpStream) -> Seen {
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap).take_while(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
    let token = |line: String| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("X-aws-ec2-metadata-token").then(|| value.trim().to_owned())
    };
    (first, lines.filter_map(token).last())
}

fn respond(mut stream: &TcpStream, status: u16, body: &str) {
    let length = body.len();
    write!(stream, "HTTP/1.1 {status} Whatever\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}").ok();
}

fn good(line: &str) -> (u16, String) {
    let (status, body) = match line {
        "PUT /latest/api/token" => (200, "secret-token=="),
        "GET /latest/dynamic/instance-identity/document" => (200, DOCUMENT),
        "GET /latest/meta-data/instance-life-cycle" => (200, "spot"),
        _ => (404, ""),
    };
    (status, body.to_owned())
}

#[test]
fn a_good_service_tells_all_and_is_asked_with_the_token() {
    let (endpoint, requests) = service(|line| Some(good(line)));
    let instance = ask(&format!("{endpoint}/"), PATIENCE).unwrap();
    assert_eq!(
        instance,
        CloudInstance {
            provider: "aws".into(),
            platform: "aws_ec2".into(),
            region: Some("eu-west-1".into()),
            availability_zone: Some("eu-west-1b".into()),
            account_id: Some("123456789012".into()),
            instance_id: Some("i-0123456789abcdef0".into()),
            instance_type: Some("g5.2xlarge".into()),
            life_cycle: Some("spot".into()),
        }
    );
    let tokens: Vec<_> = requests.try_iter().map(|(_, token)| token).collect();
    assert_eq!(tokens, [None, Some("secret-token==".into()), Some("secret-token==".into())]);
}

#[test]
fn an_instance_whose_life_cycle_is_not_told_is_still_an_instance() {
    let (endpoint, _requests) = service(|line| match line {
        "GET /latest/meta-data/instance-life-cycle" => Some((404, "<html>".into())),
        _ => Some(good(line)),
    });
    let instance = ask(&endpoint, PATIENCE).unwrap();
    assert_eq!(instance.instance_type.as_deref(), Some("g5.2xlarge"));
    assert_eq!(instance.life_cycle, None);
}

#[test]
fn a_service_of_version_1_is_refused_and_not_asked_further() {
    let (endpoint, requests) = service(|line| match line {
        "PUT /latest/api/token" => Some((401, String::new())),
        _ => Some(good(line)),
    });
    let error = ask(&endpoint, PATIENCE).unwrap_err();
    assert!(matches!(error, AskError::Refused { status: 401, .. }), "{error}");
    assert!(error.to_string().contains(&endpoint), "{error}");
    assert_eq!(requests.try_iter().count(), 1);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the promise under test is about the clock on the wall")]
fn a_service_that_never_answers_costs_no_more_than_the_timeout() {
    for silent in ["PUT /latest/api/token", "GET /latest/dynamic/instance-identity/document"] {
        let (endpoint, requests) = match silent {
            "PUT /latest/api/token" => service(|_| None),
            _ => service(|line| if line.starts_with("PUT") { Some(good(line)) } else { None }),
        };
        let before = std::time::Instant::now();
        let error = ask(&endpoint, Duration::from_millis(400)).unwrap_err();
        // The margin is for a machine that is busy with other tests.
        assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
        assert!(matches!(error, AskError::Unreachable { .. }), "{error}");
        let last = requests.try_iter().last().unwrap();
        assert_eq!(last.0, silent);
    }
}

#[test]
fn garbage_is_an_error_that_says_so() {
    for document in [
        "",
        "<html>",
        "[]",
        "{}",
        r#"{"instanceId": 7}"#,
        r#"{"instanceId": "i-xyz"}"#,
        "{\"instanceId\": \"\u{1b}[31m\"}",
    ] {
        assert!(parse(document).is_err(), "{document}");
    }
    let (endpoint, _requests) =
        service(|line| if line.starts_with("PUT") { Some(good(line)) } else { Some((200, "{\"a\":".into())) });
    let error = ask(&endpoint, PATIENCE).unwrap_err();
    assert!(matches!(error, AskError::Garbage { .. }), "{error}");
}

#[test]
fn words_that_are_none_are_left_out_of_an_honest_document() {
    let instance =
        parse(r#"{"instanceId": "i-12345678", "region": "eu west", "instanceType": "p4d.24xlarge", "extra": []}"#);
    let instance = instance.unwrap();
    assert_eq!((instance.region, instance.instance_type.as_deref()), (None, Some("p4d.24xlarge")));
}

#[test]
fn an_answer_without_end_is_cut() {
    let (endpoint, _requests) =
        service(|line| if line.starts_with("PUT") { Some(good(line)) } else { Some((200, "x".repeat(1 << 20))) });
    assert!(ask(&endpoint, PATIENCE).is_err());
}

fn nitro() -> Firmware {
    Firmware {
        system_vendor: Some("Amazon EC2".into()),
        product_name: Some("m5.large".into()),
        board_asset_tag: Some("i-0fedcba9876543210".into()),
        ..Firmware::default()
    }
}

#[test]
fn a_service_out_of_reach_leaves_what_the_firmware_tells() {
    // Nobody listens where a listener has just been closed.
    let endpoint = format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let config = CloudConfig { endpoint, timeout: PATIENCE, ..CloudConfig::default() };
    let (instance, health) = cloud::read(&nitro(), &config);
    let instance = instance.unwrap();
    assert_eq!(instance.instance_type.as_deref(), Some("m5.large"));
    assert_eq!(instance.instance_id.as_deref(), Some("i-0fedcba9876543210"));
    assert_eq!(instance.region, None);
    assert!(matches!(health.unwrap().state, SourceState::Failed { what } if what.contains("hop limit")));
}

#[test]
fn only_a_machine_of_amazon_is_asked_unless_the_config_says_always() {
    let (endpoint, requests) = service(|line| Some(good(line)));
    let config = |mode| CloudConfig { mode, endpoint: endpoint.clone(), timeout: PATIENCE };
    assert_eq!(cloud::read(&Firmware::default(), &config(CloudMode::Auto)), (None, None));
    let (never, health) = cloud::read(&nitro(), &config(CloudMode::Never));
    assert_eq!((never.unwrap().instance_type.as_deref(), health), (Some("m5.large"), None));
    assert_eq!(requests.try_iter().count(), 0);

    let (instance, health) = cloud::read(&Firmware::default(), &config(CloudMode::Always));
    assert_eq!(instance.unwrap().instance_type.as_deref(), Some("g5.2xlarge"));
    assert_eq!(health.unwrap().state, SourceState::Up { found: "aws_ec2 g5.2xlarge".into() });
}
