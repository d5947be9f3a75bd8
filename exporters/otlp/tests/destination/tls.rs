//! TLS and mutual TLS with certificates made for the test. No provider is installed for the process.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};
use wattline_core::{Signal, Telemetry, Timestamp};
use wattline_export_delivery::{Compression, Context};
use wattline_export_otlp::{Config, OtlpExporter, Protocol, Tls};

use crate::grpc::{Services, ok};
use crate::rig::{Rig, config, counts, spans};

/// An authority, and a certificate for `localhost` that it signed, as files.
pub(crate) struct Certificates {
    directory: TempDir,
    ca: String,
    cert: String,
    key: String,
}

impl Certificates {
    pub(crate) fn make() -> Self {
        let ca_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&ca_key).unwrap().pem();
        let issuer = Issuer::new(params, ca_key);
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let made = Self { directory: tempfile::tempdir().unwrap(), ca, cert: cert.pem(), key: key.serialize_pem() };
        for (name, content) in [("ca.pem", &made.ca), ("cert.pem", &made.cert), ("key.pem", &made.key)] {
            std::fs::write(made.path(name), content).unwrap();
        }
        made
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn trusting(&self) -> Tls {
        Tls { ca_file: Some(self.path("ca.pem")), ..Tls::default() }
    }

    fn mutual(&self) -> Tls {
        let (cert_file, key_file) = (Some(self.path("cert.pem")), Some(self.path("key.pem")));
        Tls { cert_file, key_file, ..self.trusting() }
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = CertificateDer::pem_slice_iter(self.cert.as_bytes()).map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

#[tokio::test]
async fn https_with_an_own_authority_delivers() {
    let certificates = Certificates::make();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let tls = certificates.trusting();
    let rig = Rig::start(Config { tls, compression: Compression::None, ..config(format!("https://localhost:{port}")) });
    rig.relay(Signal::Traces, &spans(3), 3);
    let (connection, _) = listener.accept().await.unwrap();
    let mut connection = certificates.acceptor().accept(connection).await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(&spans(3)) {
        connection.read_buf(&mut request).await.unwrap();
    }
    connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    connection.flush().await.unwrap();
    assert_eq!(rig.finish().await, counts(&[("exported traces", 3)]));
}

#[tokio::test]
async fn a_server_of_an_unknown_authority_gets_nothing() {
    let (trusted, other) = (Certificates::make(), Certificates::make());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let config =
        Config { tls: trusted.trusting(), grace: Duration::ZERO, ..config(format!("https://localhost:{port}")) };
    let rig = Rig::start(config);
    rig.relay(Signal::Traces, &spans(3), 3);
    let (connection, _) = listener.accept().await.unwrap();
    assert!(other.acceptor().accept(connection).await.is_err());
    rig.told("invalid peer certificate").await;
    assert_eq!(rig.finish().await, counts(&[("shutdown traces", 3)]));
}

#[tokio::test]
async fn grpc_with_mutual_tls_delivers() {
    let certificates = Certificates::make();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (services, mut seen) = Services::new(|_| ok());
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(&certificates.cert, &certificates.key))
        .client_ca_root(Certificate::from_pem(&certificates.ca));
    let server = tonic::transport::Server::builder()
        .tls_config(tls)
        .unwrap()
        .add_service(services.traces())
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(async move { server.await.unwrap() });
    let grpc = Config { protocol: Protocol::Grpc, grace: Duration::ZERO, ..config(format!("localhost:{port}")) };

    let rig = Rig::start(Config { tls: certificates.trusting(), ..grpc.clone() });
    rig.relay(Signal::Traces, &spans(3), 3);
    rig.told("fails and will be tried again").await;
    assert_eq!(rig.finish().await, counts(&[("shutdown traces", 3)]), "a stranger is not let in");

    let rig = Rig::start(Config { tls: certificates.mutual(), ..grpc });
    rig.relay(Signal::Traces, &spans(2), 2);
    assert_eq!(seen.recv().await.unwrap().body, spans(2));
    rig.told("destination takes data").await;
    assert_eq!(rig.finish().await, counts(&[("exported traces", 2)]));
}

/// Puts the files of `from` in place of those of `to`, one after the other as those who rotate do.
fn rotate(to: &Certificates, from: &Certificates) {
    for name in ["ca.pem", "cert.pem", "key.pem"] {
        std::fs::rename(from.path(name), to.path(name)).unwrap();
    }
}

#[tokio::test]
async fn grpc_uses_certificates_that_were_rotated_without_a_restart() {
    let (old, new) = (Certificates::make(), Certificates::make());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (services, mut seen) = Services::new(|_| ok());
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(&new.cert, &new.key))
        .client_ca_root(Certificate::from_pem(&new.ca));
    let server = tonic::transport::Server::builder()
        .tls_config(tls)
        .unwrap()
        .add_service(services.traces())
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(async move { server.await.unwrap() });
    let grpc = Config { protocol: Protocol::Grpc, ..config(format!("localhost:{port}")) };
    let rig = Rig::start(Config { tls: old.mutual(), ..grpc });
    rig.relay(Signal::Traces, &spans(3), 3);
    rig.told("fails and will be tried again").await;
    rotate(&old, &new);
    assert_eq!(seen.recv().await.unwrap().body, spans(3));
    rig.told("the certificates changed and are used from now on").await;
    assert_eq!(rig.finish().await, counts(&[("exported traces", 3)]));
}

#[tokio::test]
async fn https_uses_authorities_that_were_rotated_without_a_restart() {
    let (old, new) = (Certificates::make(), Certificates::make());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let tls = old.mutual();
    let rig = Rig::start(Config { tls, compression: Compression::None, ..config(format!("https://localhost:{port}")) });
    rig.relay(Signal::Traces, &spans(3), 3);
    let acceptor = new.acceptor();
    let (connection, _) = listener.accept().await.unwrap();
    assert!(acceptor.accept(connection).await.is_err(), "the old authority has not signed this server");
    rotate(&old, &new);
    let mut connection = loop {
        let (connection, _) = listener.accept().await.unwrap();
        if let Ok(connection) = acceptor.accept(connection).await {
            break connection;
        }
    };
    let mut request = Vec::new();
    while !request.ends_with(&spans(3)) {
        assert!(connection.read_buf(&mut request).await.unwrap() > 0, "{}", String::from_utf8_lossy(&request));
    }
    connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    connection.flush().await.unwrap();
    assert_eq!(rig.finish().await, counts(&[("exported traces", 3)]));
}

#[test]
fn what_is_wrong_with_a_certificate_names_its_key() {
    let certificates = Certificates::make();
    let other = Certificates::make();
    let open = |tls: Tls, protocol| {
        let context = Context { telemetry: Telemetry::none(), now: Timestamp::default, seed: 0, spools: None };
        let config = Config { tls, protocol, ..config("https://localhost") };
        OtlpExporter::new(config, context).map(|_| ()).unwrap_err().key
    };
    for protocol in [Protocol::Http, Protocol::Grpc] {
        let missing = Tls { ca_file: Some("/nowhere.pem".into()), ..Tls::default() };
        assert_eq!(open(missing, protocol), "tls.ca_file");
        let no_certificate = Tls { ca_file: Some(certificates.path("key.pem")), ..Tls::default() };
        assert_eq!(open(no_certificate, protocol), "tls.ca_file");
        let no_key = Tls { key_file: None, ..certificates.mutual() };
        assert_eq!(open(no_key, protocol), "tls.key_file");
        let no_certificate = Tls { cert_file: None, ..certificates.mutual() };
        assert_eq!(open(no_certificate, protocol), "tls.cert_file");
        let strange_key = Tls { key_file: Some(other.path("key.pem")), ..certificates.mutual() };
        assert_eq!(open(strange_key, protocol), "tls.key_file");
        let no_private_key = Tls { key_file: Some(certificates.path("ca.pem")), ..certificates.mutual() };
        assert_eq!(open(no_private_key, protocol), "tls.key_file");
    }
}
