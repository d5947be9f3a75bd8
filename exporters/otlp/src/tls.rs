//! Certificates and keys, read and checked before anything is sent, and again when their files change.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls_platform_verifier::BuilderVerifierExt;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::config::{Key, Tls};

/// The files of [`Tls`], read.
#[derive(Default)]
pub(crate) struct Material {
    /// PEM of the authorities that replace the system's.
    authorities: Option<Vec<u8>>,
    /// PEM of our certificate chain and of its key.
    identity: Option<(Vec<u8>, Vec<u8>)>,
}

/// The versions of HTTP that are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Http {
    /// 2 or 1.1, as the server likes.
    Any,
    /// 1.1, which is all that AWS takes telemetry by.
    One,
}

/// A key of the configuration and what is wrong with it.
pub(crate) type Problem = (Key, String);

impl Material {
    pub(crate) fn read(tls: &Tls) -> Result<Self, Problem> {
        let Tls { ca_file, cert_file, key_file } = tls;
        let authorities = ca_file.as_deref().map(|path| read("tls.ca_file", path)).transpose()?;
        let identity = match (cert_file, key_file) {
            (None, None) => None,
            (Some(cert), Some(key)) => Some((read("tls.cert_file", cert)?, read("tls.key_file", key)?)),
            (Some(_), None) => return Err(("tls.key_file", "is missing; tls.cert_file needs its key".to_owned())),
            (None, Some(_)) => {
                return Err(("tls.cert_file", "is missing; tls.key_file needs its certificate".to_owned()));
            }
        };
        Ok(Self { authorities, identity })
    }

    /// TLS for HTTP. The provider is passed rather than installed: the process may have its own.
    pub(crate) fn for_http(&self, http: Http) -> Result<ClientConfig, Problem> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| ("tls", error.to_string()))?;
        let builder = match &self.authorities {
            Some(pem) => builder.with_root_certificates(trusted(pem)?),
            None => builder.with_platform_verifier().map_err(|error| {
                ("tls.ca_file", format!("is not set and the system's certificates cannot be used: {error}"))
            })?,
        };
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let chain = certificates("tls.cert_file", cert)?;
                let key = PrivateKeyDer::from_pem_slice(key)
                    .map_err(|error| ("tls.key_file", format!("holds no private key in PEM: {error}")))?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| ("tls.key_file", format!("does not go with tls.cert_file: {error}")))?
            }
        };
        config.alpn_protocols = match http {
            Http::Any => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            Http::One => vec![b"http/1.1".to_vec()],
        };
        Ok(config)
    }

    /// TLS for gRPC. tonic takes ring unless the process has installed a provider, and says what fails only when it
    /// is too late to name the key, so the same files are checked as for HTTP first.
    pub(crate) fn for_grpc(&self) -> Result<ClientTlsConfig, Problem> {
        self.for_http(Http::Any)?;
        let mut config = ClientTlsConfig::new();
        config = match &self.authorities {
            Some(pem) => config.ca_certificate(Certificate::from_pem(pem)),
            None => config.with_native_roots(),
        };
        if let Some((cert, key)) = &self.identity {
            config = config.identity(Identity::from_pem(cert, key));
        }
        Ok(config)
    }
}

fn trusted(pem: &[u8]) -> Result<rustls::RootCertStore, Problem> {
    let mut store = rustls::RootCertStore::empty();
    for certificate in certificates("tls.ca_file", pem)? {
        store.add(certificate).map_err(|error| ("tls.ca_file", format!("holds an unusable authority: {error}")))?;
    }
    Ok(store)
}

fn certificates(key: Key, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_empty) => Err((key, "holds no certificate in PEM".to_owned())),
        Err(error) => Err((key, format!("is not readable as PEM: {error}"))),
    }
}

#[expect(clippy::disallowed_methods, reason = "certificates are the user's files, not host counters")]
fn read(key: Key, path: &Path) -> Result<Vec<u8>, Problem> {
    std::fs::read(path).map_err(|error| (key, format!("cannot be read from {}: {error}", path.display())))
}
