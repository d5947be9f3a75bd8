//! The way to a provider: over TLS with authorities of one's own, and through a proxy.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use wattline_probe_intensity::{Config, FetchError, Kind, Secret, once};

use crate::web::{Web, config, context, good, recorded};

/// Writes an authority to `ca`, and starts a server for `localhost` that it vouches for. Returns its port.
async fn start_with_tls(ca: &Path) -> u16 {
    let ca_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    std::fs::write(ca, params.self_signed(&ca_key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, ca_key);
    let key = KeyPair::generate().unwrap();
    let chain = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap().pem();
    let chain = vec![CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(server.with_no_client_auth().with_single_cert(chain, key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // A client that does not trust us hangs up.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                asked.push(stream.read_u8().await.unwrap());
            }
            let body = recorded("electricity_maps/latest.json");
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            stream.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    port
}

#[tokio::test]
async fn only_authorities_that_are_named_are_trusted() {
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    let endpoint = format!("https://localhost:{}", start_with_tls(&ca).await);
    let trusting = Config { ca_file: Some(ca), ..config(Kind::ElectricityMaps, &endpoint) };
    assert_eq!(once(&trusting, &context()).await.unwrap().len(), 1);
    let other = directory.path().join("other.pem");
    start_with_tls(&other).await;
    let wary = Config { ca_file: Some(other), ..trusting };
    let error = once(&wary, &context()).await.unwrap_err();
    assert!(matches!(&error, FetchError::Failed { what } if what.contains("certificate")), "{error:?}");
}

#[tokio::test]
async fn a_proxy_is_asked_in_place_of_the_provider_and_its_password_is_told_to_nobody_else() {
    let proxy = Web::start(good(Kind::Uk)).await;
    let address = proxy.url().replace("http://", "http://me:pr0xy-s3cret@");
    let config = Config { proxy: Some(Secret::new(address)), ..config(Kind::Uk, "http://carbon.invalid") };
    assert!(!once(&config, &context()).await.unwrap().is_empty());
    let seen = proxy.seen().remove(0);
    assert_eq!(seen[0], "GET http://carbon.invalid/intensity/2026-11-22T13:01Z/fw24h");
    // base64 of `me:pr0xy-s3cret`.
    assert!(seen.contains(&"proxy-authorization: Basic bWU6cHIweHktczNjcmV0".to_owned()), "{seen:?}");
    // Nobody at the proxy's address: the error names the provider, not the proxy with its password.
    let gone = Config { proxy: Some(Secret::new("http://me:pr0xy-s3cret@127.0.0.1:1")), ..config };
    let error = once(&gone, &context()).await.unwrap_err().to_string();
    assert!(error.contains("carbon.invalid") && !error.contains("pr0xy"), "{error}");
}
