//! Who may come in: TLS, certificates of clients, bearer tokens, Unix sockets.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Status};
use wattline_listen::TlsConfig;

use crate::support::{JSON, PROTOBUF, Running, Setup, encoded, post, request, send, send_over};

const TOKEN: &str = "a-token-of-some-length";
const NEXT: &str = "another-one-that-comes-later";

/// A folder with an authority of its own.
struct Certificates {
    folder: TempDir,
    authority: Issuer<'static, KeyPair>,
}

impl Certificates {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        std::fs::write(folder.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        let this = Self { folder, authority: Issuer::new(params, key) };
        this.sign("server");
        this
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts a new certificate for `localhost` into `<name>.pem` and its key into `<name>.key`.
    fn sign(&self, name: &str) {
        let key = KeyPair::generate().unwrap();
        let signed =
            CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &self.authority).unwrap();
        std::fs::write(self.path(&format!("{name}.pem")), signed.pem()).unwrap();
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    fn config(&self) -> TlsConfig {
        TlsConfig {
            cert_file: Some(self.path("server.pem")),
            key_file: Some(self.path("server.key")),
            client_ca_file: None,
        }
    }

    fn token(&self, tokens: &str) -> PathBuf {
        let path = self.path("tokens");
        std::fs::write(&path, tokens).unwrap();
        path
    }

    /// What a client trusts, and the certificate that it shows.
    fn client(&self, shows: Option<&str>, protocol: &[u8]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("ca.pem")).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = match shows {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let chain = vec![CertificateDer::from_pem_file(self.path(&format!("{name}.pem"))).unwrap()];
                let key = PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key"))).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = vec![protocol.to_vec()];
        config
    }
}

async fn connect(address: SocketAddr, client: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(client)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

async fn tls_channel(address: SocketAddr, client: ClientConfig) -> Channel {
    let connector = tower::service_fn(move |_: Uri| {
        let client = client.clone();
        async move { connect(address, client).await.map(TokioIo::new) }
    });
    Endpoint::from_static("http://localhost").connect_with_connector(connector).await.unwrap()
}

/// Exports one call over `channel` with the header `authorization`, if any.
async fn export(channel: Channel, authorization: Option<&'static str>) -> Result<(), Status> {
    let mut client = TraceServiceClient::with_interceptor(channel, move |mut request: tonic::Request<()>| {
        if let Some(value) = authorization {
            request.metadata_mut().insert("authorization", MetadataValue::from_static(value));
        }
        Ok(request)
    });
    client.export(request(1)).await.map(drop)
}

fn call(token: Option<&str>) -> Request<Full<Bytes>> {
    let mut request = post("/v1/traces", &[PROTOBUF], encoded(1));
    if let Some(token) = token {
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    request
}

fn accepted(running: &mut Running) -> usize {
    running.seen().0.len()
}

#[tokio::test]
async fn both_protocols_are_taken_over_tls() {
    let certificates = Certificates::new();
    let mut running = Setup::with(|config| config.tls = certificates.config()).start();
    let stream = connect(running.http, certificates.client(None, b"http/1.1")).await.unwrap();
    assert_eq!(send_over(stream, call(None)).await.status, StatusCode::OK);
    export(tls_channel(running.grpc, certificates.client(None, b"h2")).await, None).await.unwrap();
    assert_eq!(accepted(&mut running), 2);
}

#[tokio::test]
async fn a_client_without_a_certificate_of_the_authority_gets_nowhere_and_is_counted() {
    let certificates = Certificates::new();
    let strangers = Certificates::new();
    strangers.sign("stranger");
    certificates.sign("friend");
    let tls = TlsConfig { client_ca_file: Some(certificates.path("ca.pem")), ..certificates.config() };
    let mut running = Setup::with(|config| config.tls = tls).start();
    for (wrong, name) in [(None, ""), (Some("stranger"), "stranger")] {
        for kind in ["pem", "key"].iter().filter(|_| wrong.is_some()) {
            let file = format!("{name}.{kind}");
            std::fs::copy(strangers.path(&file), certificates.path(&file)).unwrap();
        }
        // With TLS 1.3 the client believes the handshake over before the server has looked at its certificate.
        if let Ok(mut stream) = connect(running.http, certificates.client(wrong, b"http/1.1")).await {
            assert!(stream.read_to_end(&mut Vec::new()).await.is_err());
        }
    }
    let stream = connect(running.http, certificates.client(Some("friend"), b"http/1.1")).await.unwrap();
    assert_eq!(send_over(stream, call(None)).await.status, StatusCode::OK);
    let (calls, _, counted) = running.seen();
    assert_eq!(calls.len(), 1);
    assert_eq!(counted, "wattline.connections.refused tls_handshake 2\nwattline.received traces 2");
}

#[tokio::test]
async fn who_does_not_speak_tls_is_turned_away_in_time() {
    let certificates = Certificates::new();
    let running = Setup::with(|config| {
        config.tls = certificates.config();
        config.read_timeout = Duration::from_millis(50);
    })
    .start();
    let mut plain = TcpStream::connect(running.http).await.unwrap();
    plain.write_all(b"POST /v1/traces HTTP/1.1\r\n\r\n").await.unwrap();
    plain.read_to_end(&mut Vec::new()).await.ok();
    let mut silent = TcpStream::connect(running.grpc).await.unwrap();
    silent.read_to_end(&mut Vec::new()).await.ok();
    let counted = "wattline.connections.refused tls_handshake 1\nwattline.connections.refused tls_handshake_slow 1";
    assert_eq!(running.counted(), counted);
}

#[tokio::test]
async fn a_request_without_the_token_is_refused_in_its_own_protocol() {
    let certificates = Certificates::new();
    let mut running =
        Setup::with(|config| config.bearer_token_file = Some(certificates.token(&format!("{TOKEN}\n{NEXT}\n"))))
            .start();
    for token in [None, Some("a-token-of-some-lengtH")] {
        let reply = send(running.http, call(token)).await;
        assert_eq!(
            (reply.status, reply.header("www-authenticate")),
            (StatusCode::UNAUTHORIZED, "Bearer realm=\"wattline\"")
        );
        assert_eq!(reply.header("content-type"), "application/x-protobuf");
        assert_eq!(reply.body.first_chunk(), Some(&[8, 16]), "a Status with the code UNAUTHENTICATED");
    }
    let reply = send(running.http, post("/v1/logs", &[JSON], "{}")).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    assert!(reply.body.starts_with(br#"{"code":16,"#), "{reply:?}", reply = reply.body);

    let channel =
        || async { Channel::from_shared(format!("http://{}", running.grpc)).unwrap().connect().await.unwrap() };
    assert_eq!(export(channel().await, None).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(export(channel().await, Some("Bearer nonsense")).await.unwrap_err().code(), Code::Unauthenticated);
    export(channel().await, Some("Bearer a-token-of-some-length")).await.unwrap();
    assert_eq!(send(running.http, call(Some(NEXT))).await.status, StatusCode::OK);

    let (calls, _, counted) = running.seen();
    assert_eq!(calls.len(), 2);
    assert_eq!(
        counted,
        "wattline.received traces 4\nwattline.refused logs unauthenticated 1\nwattline.refused traces unauthenticated 4"
    );
}

#[tokio::test]
async fn beyond_loopback_tls_wants_a_token_or_certificates_beside_it() {
    let certificates = Certificates::new();
    let opens = |token: bool, client_ca: bool, tls: bool| {
        let mut config = Setup::default().config;
        config.http.listen = "0.0.0.0:0".to_owned();
        config.tls = if tls { certificates.config() } else { TlsConfig::default() };
        config.tls.client_ca_file = client_ca.then(|| certificates.path("ca.pem"));
        config.bearer_token_file = token.then(|| certificates.token(TOKEN));
        wattline_probe_llm::otlp::bind(&config).is_ok()
    };
    assert_eq!([opens(false, false, true), opens(true, false, false)], [false, false]);
    assert_eq!([opens(true, false, true), opens(false, true, true)], [true, true]);
}

/// Waits until `holds`; files are looked at once a second.
async fn eventually<F: Future<Output = bool>>(holds: impl Fn() -> F) {
    let waited = tokio::time::timeout(Duration::from_secs(30), async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    waited.await.unwrap();
}

#[tokio::test]
async fn tokens_and_certificates_are_replaced_while_it_runs() {
    let certificates = Certificates::new();
    let tokens = certificates.token(TOKEN);
    let running = Setup::with(|config| {
        config.tls = certificates.config();
        config.bearer_token_file = Some(tokens);
    })
    .start();
    let shown = || async {
        let stream = connect(running.http, certificates.client(None, b"http/1.1")).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    };
    let status = |token| {
        let certificates = &certificates;
        async move {
            let stream = connect(running.http, certificates.client(None, b"http/1.1")).await.unwrap();
            send_over(stream, call(Some(token))).await.status
        }
    };
    let first = shown().await;
    certificates.token(NEXT);
    eventually(|| async { status(NEXT).await == StatusCode::OK }).await;
    assert_eq!(status(TOKEN).await, StatusCode::UNAUTHORIZED);

    certificates.sign("server");
    eventually(|| async { shown().await != first }).await;
}

fn socket(folder: &Path, name: &str) -> (PathBuf, String) {
    let path = folder.join(name);
    let listen = format!("unix:{}", path.display());
    (path, listen)
}

#[tokio::test]
async fn unix_sockets_take_both_protocols_and_are_gone_at_the_end() {
    let certificates = Certificates::new();
    let folder = tempfile::tempdir().unwrap();
    let (http_path, http) = socket(folder.path(), "http.sock");
    let (grpc_path, grpc) = socket(folder.path(), "grpc.sock");
    let mut running = Setup::with(|config| {
        config.http.listen = http;
        config.grpc.listen = grpc;
        // Neither is for sockets.
        config.tls = certificates.config();
        config.bearer_token_file = Some(certificates.token(TOKEN));
    })
    .start();
    let reply = send_over(UnixStream::connect(&http_path).await.unwrap(), call(None)).await;
    assert_eq!(reply.status, StatusCode::OK);
    let path = grpc_path.clone();
    let connector = tower::service_fn(move |_: Uri| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    let channel = Endpoint::from_static("http://localhost").connect_with_connector(connector).await.unwrap();
    export(channel, None).await.unwrap();
    assert_eq!(accepted(&mut running), 2);
    running.stop.cancel();
    (&mut running.task).await.unwrap();
    assert!(!http_path.exists() && !grpc_path.exists());
}
