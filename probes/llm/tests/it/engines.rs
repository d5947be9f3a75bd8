//! Engines over HTTP: what the source does with answers that are late, large, wrong or elsewhere.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wattline_core::flow::Outlet;
use wattline_core::reading::{EngineReading, SourceState};
use wattline_core::{Reading, Readings, Receiver, Telemetry, Tick, queue};
use wattline_probe_llm::engines::{AskError, Config, Context, EngineReceiver, Kubernetes, NAME, TargetConfig, once};

const VLLM: &str = "vllm:generation_tokens_total{model_name=\"m\"} 5\nvllm:num_requests_running{model_name=\"m\"} 1\n";

/// A scripted server: the answer to each path, as it goes over the wire.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<BTreeMap<String, String>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Script {
    fn with(self, path: &str, answer: impl Into<String>) -> Self {
        self.answers.lock().unwrap().insert(path.to_owned(), answer.into());
        self
    }

    fn heads(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Serves, and tells where.
    async fn serve(&self) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let script = self.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let script = script.clone();
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = stream.read_u8().await else { return };
                        head.push(byte);
                    }
                    let head = String::from_utf8(head).unwrap();
                    let path = head.split(' ').nth(1).unwrap().to_owned();
                    script.asked.lock().unwrap().push(head);
                    let answer = script.answers.lock().unwrap().get(&path).cloned();
                    let answer =
                        answer.unwrap_or_else(|| "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned());
                    stream.write_all(answer.as_bytes()).await.ok();
                    // An answer without an end stays open.
                    if answer.contains("hang") {
                        std::future::pending::<()>().await;
                    }
                });
            }
        });
        port
    }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn at(port: u16) -> Config {
    let target = TargetConfig::at(format!("http://127.0.0.1:{port}"));
    Config { target: vec![target], interval: Duration::from_secs(1), ..Config::default() }
}

async fn asked_once(config: &Config) -> Result<String, AskError> {
    let mut answers = once(config).await.unwrap();
    answers.remove(0).outcome
}

/// The source at work; it ends with this.
struct AtWork {
    inbox: queue::Receiver<Readings>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl AtWork {
    fn start(config: &Config) -> Self {
        let context = Context { telemetry: Telemetry::none(), now: Arc::new(Tick::default) };
        let receiver = Box::new(EngineReceiver::new(config, context).unwrap());
        let (readings, inbox) = queue::bounded(64);
        let stop = CancellationToken::new();
        let task = tokio::spawn(receiver.run(Outlet { readings, relay: None }, stop.clone()));
        Self { inbox, stop, task }
    }

    async fn next(&mut self) -> Reading {
        let readings = self.inbox.next().await.unwrap();
        assert_eq!(readings.source, NAME);
        readings.items.into_iter().next().unwrap()
    }

    async fn engine(&mut self) -> Box<EngineReading> {
        loop {
            if let Reading::Engine(engine) = self.next().await {
                return engine;
            }
        }
    }

    async fn state(&mut self) -> SourceState {
        loop {
            if let Reading::Health(health) = self.next().await {
                assert_eq!(health.part, NAME);
                return health.state;
            }
        }
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

#[tokio::test]
async fn an_engine_is_read_and_its_state_told() {
    let port = Script::default().with("/metrics", ok(VLLM)).serve().await;
    let mut at_work = AtWork::start(&at(port));
    let engine = at_work.engine().await;
    assert_eq!((engine.engine.model.as_str(), engine.engine.port, engine.tokens.output), ("m", port, Some(5)));
    assert_eq!(engine.service.as_str(), format!("127.0.0.1:{port}"));
    let SourceState::Up { found } = at_work.state().await else { panic!("it is not up") };
    assert!(found.starts_with(&format!("vllm at 127.0.0.1:{port}: m (does not tell: prompt tokens, ")), "{found}");
    at_work.end().await;
}

#[tokio::test]
async fn other_paths_are_tried_and_the_one_that_answers_is_kept() {
    let script = Script::default().with("/prometheus/metrics", ok("trtllm_generation_tokens_total 3\n"));
    let script = script.with("/v1/models", ok(r#"{"data":[{"id":"served"}]}"#));
    let port = script.serve().await;
    let mut at_work = AtWork::start(&at(port));
    assert_eq!(at_work.engine().await.engine.model.as_str(), "served");
    assert_eq!(at_work.engine().await.engine.model.as_str(), "served");
    at_work.end().await;
    let paths: Vec<String> = script.heads().iter().map(|head| head.split(' ').nth(1).unwrap().to_owned()).collect();
    let expected = ["/metrics", "/v1/metrics", "/prometheus/metrics", "/v1/models", "/prometheus/metrics"];
    assert_eq!(paths[..5], expected);
}

#[tokio::test]
async fn what_was_configured_of_an_engine_stands_in_its_readings() {
    let port = Script::default().with("/own", ok("tgi_queue_size 1\n")).serve().await;
    let text = format!(
        "interval = \"1s\"\n[[target]]\nurl = \"http://127.0.0.1:{port}/own\"\nmodel = \"llama-3.1-8b\"\nservice = \"chat\"\n\
         gpu = \"b200\"\ngpus = 2\nbytes_per_parameter = 1\ntask = \"reasoning\"\n"
    );
    let mut at_work = AtWork::start(&toml::from_str(&text).unwrap());
    let engine = at_work.engine().await;
    at_work.end().await;
    assert_eq!((engine.engine.model.as_str(), engine.service.as_str()), ("llama-3.1-8b", "chat"));
    let hardware = engine.hardware.unwrap();
    assert_eq!((hardware.gpus, hardware.bytes_per_parameter), (Some(2), Some(1.0)));
}

#[tokio::test]
async fn refusals_redirects_and_strangers_are_told_apart() {
    let status = |line: &str| format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    for (answer, is) in [
        (status("401 Unauthorized"), "denied"),
        (status("307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/x"), "not there"),
        (status("500 Internal Server Error"), "failed"),
        (ok("process_cpu_seconds_total 1\n"), "not there"),
        ("nonsense\r\n\r\n".to_owned(), "failed"),
    ] {
        let port = Script::default().with("/metrics", answer.clone()).serve().await;
        let found = match asked_once(&at(port)).await.unwrap_err() {
            AskError::Denied(_) => "denied",
            AskError::NotThere(_) => "not there",
            AskError::Failed(_) => "failed",
        };
        assert_eq!(found, is, "{answer}");
    }
}

#[tokio::test]
async fn an_answer_that_never_ends_or_is_too_large_is_given_up() {
    let unfinished = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\nx-hang: hang\r\n\r\nvllm:";
    let port = Script::default().with("/metrics", unfinished).serve().await;
    let slow = Config { timeout: Duration::from_millis(100), ..at(port) };
    let error = asked_once(&slow).await.unwrap_err().to_string();
    assert!(error.contains("no whole answer within 100ms"), "{error}");

    let port = Script::default().with("/metrics", ok(&"# comment\n".repeat(1_700_000))).serve().await;
    let patient = Config { timeout: Duration::from_secs(30), ..at(port) };
    let error = asked_once(&patient).await.unwrap_err().to_string();
    assert!(error.contains("larger than 16777216 bytes"), "{error}");
}

#[tokio::test]
async fn a_token_is_sent_and_one_that_is_not_there_says_so() {
    let script = Script::default().with("/metrics", ok(VLLM));
    let port = script.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let mut config = at(port);
    config.target[0].bearer_token_file = Some(file.clone());
    let error = asked_once(&config).await.unwrap_err();
    assert!(matches!(&error, AskError::Denied(what) if what.contains("token")), "{error}");
    std::fs::write(&file, "s3cret\n").unwrap();
    asked_once(&config).await.unwrap();
    assert!(script.heads()[0].to_lowercase().contains("authorization: bearer s3cret"), "{:?}", script.heads());
}

#[tokio::test]
async fn a_failing_engine_does_not_keep_others_from_being_read() {
    let broken = Script::default().with("/metrics", "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n");
    let (bad, good) = (broken.serve().await, Script::default().with("/metrics", ok(VLLM)).serve().await);
    let mut config = at(good);
    config.target.push(TargetConfig::at(format!("http://127.0.0.1:{bad}")));
    let mut at_work = AtWork::start(&config);
    let state = at_work.state().await;
    let SourceState::Failed { what } = &state else { panic!("{state:?}") };
    assert!(what.contains("HTTP 500") && what.contains("read are vllm at"), "{what}");
    assert_eq!(at_work.engine().await.engine.port, good);
    at_work.end().await;
}

#[tokio::test]
async fn engines_of_loopback_are_found_and_what_is_none_is_passed_over() {
    let engine = Script::default().with("/metrics", ok(VLLM)).serve().await;
    let stranger = Script::default().with("/metrics", ok("up 1\n")).serve().await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let ports = vec![stranger, free, engine, engine];
    let config = Config { loopback: true, ports, interval: Duration::from_secs(1), ..Config::default() };
    let mut at_work = AtWork::start(&config);
    assert_eq!(at_work.engine().await.engine.port, engine);
    let SourceState::Up { found } = at_work.state().await else { panic!("it is not up") };
    assert!(!found.contains(&format!(":{stranger}")), "{found}");
    at_work.end().await;

    let nobody = Config { ports: vec![free], ..config };
    let mut at_work = AtWork::start(&nobody);
    assert!(matches!(at_work.state().await, SourceState::Absent { .. }));
    at_work.end().await;
}

#[tokio::test]
async fn pods_are_found_through_the_kubelet_and_a_kubelet_that_fails_is_told() {
    let engine = Script::default().with("/metrics", ok(VLLM)).serve().await;
    let pods = format!(
        r#"{{"items":[{{"metadata":{{"name":"vllm-0","namespace":"models","annotations":{{"prometheus.io/scrape":"true","prometheus.io/port":"{engine}"}}}},"status":{{"phase":"Running","podIP":"127.0.0.1"}}}}]}}"#
    );
    let kubelet = Script::default().with("/pods", ok(&pods)).serve().await;
    let of = |port: u16| Config {
        interval: Duration::from_secs(1),
        kubernetes: Some(Kubernetes { kubelet: format!("http://127.0.0.1:{port}"), ..Kubernetes::default() }),
        ..Config::default()
    };
    let mut at_work = AtWork::start(&of(kubelet));
    let reading = at_work.engine().await;
    assert_eq!((reading.service.as_str(), reading.engine.port), ("models/vllm-0", engine));
    at_work.end().await;

    let broken = Script::default().with("/pods", ok("{\"items\":3}")).serve().await;
    let mut at_work = AtWork::start(&of(broken));
    let state = at_work.state().await;
    assert!(matches!(&state, SourceState::Failed { what } if what.contains("reading the pods")), "{state:?}");
    at_work.end().await;
}

#[test]
fn a_configuration_that_cannot_be_used_names_its_key() {
    for (text, key) in [
        ("interval = \"100ms\"", "interval"),
        ("timeout = \"1h\"", "timeout"),
        ("[[target]]\nurl = \"ftp://h\"", "url"),
        ("[[target]]\nurl = \"http://h\"\ngpus = 0", "gpus"),
        ("[[target]]\nurl = \"http://h\"\nbytes_per_parameter = 100", "bytes_per_parameter"),
        ("[[target]]\nurl = \"https://h\"\nca_file = \"/no/such/file\"", "ca_file"),
        ("[kubernetes]\nkubelet = \"http://h\"\nrefresh = \"1s\"", "kubernetes.refresh"),
        ("[kubernetes]\nca_file = \"/no/such/file\"", "kubernetes.ca_file"),
    ] {
        let config: Config = toml::from_str(text).unwrap();
        let context = Context { telemetry: Telemetry::none(), now: Arc::new(Tick::default) };
        assert_eq!(EngineReceiver::new(&config, context).unwrap_err().key, key, "{text}");
    }
    for text in
        ["[[target]]\nurl = \"h\"\nkind = \"ollama\"", "[[target]]", "[[target]]\nurl = \"h\"\ngpu = \"a100\"", "x = 1"]
    {
        assert!(toml::from_str::<Config>(text).is_err(), "{text}");
    }
}
