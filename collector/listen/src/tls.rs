//! TLS by rustls: the agent's certificate, and certificates of clients where they are asked for.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde::{Deserialize, Serialize};

use crate::guard::{GuardError, read};
use crate::watched::Watched;

const CERT: &str = "tls.cert_file";
const KEY: &str = "tls.key_file";
const CLIENT_CA: &str = "tls.client_ca_file";

/// How a listener speaks TLS. Without any key it speaks plain text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// The certificate with its chain, in PEM.
    pub cert_file: Option<PathBuf>,
    /// Its private key, in PEM: PKCS#8, PKCS#1 or SEC1.
    pub key_file: Option<PathBuf>,
    /// Authorities, in PEM. A client must then show a certificate that one of them has signed.
    pub client_ca_file: Option<PathBuf>,
}

impl TlsConfig {
    /// Whether a listener may be reached from outside, given whether it asks for a token: nobody listens in, and
    /// everybody is known.
    pub const fn is_enough_beyond_loopback(&self, asks_for_token: bool) -> bool {
        self.cert_file.is_some() && (self.client_ca_file.is_some() || asks_for_token)
    }
}

/// TLS of a listener.
pub(crate) struct Tls {
    server: Watched<Arc<ServerConfig>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.server.fmt(f)
    }
}

impl Tls {
    /// Reads the files of `config`; `None` where it names none.
    pub(crate) fn new(
        section: &'static str,
        config: &TlsConfig,
        protocols: &[&str],
    ) -> Result<Option<Self>, GuardError> {
        let TlsConfig { cert_file, key_file, client_ca_file } = config;
        let incomplete = |missing| Err(GuardError::Incomplete { section, missing });
        let (cert, key) = match (cert_file, key_file, client_ca_file) {
            (None, None, None) => return Ok(None),
            (Some(cert), Some(key), _) => (cert, key),
            (Some(_), None, _) => return incomplete("tls.cert_file is set and tls.key_file is not"),
            (None, Some(_), _) => return incomplete("tls.key_file is set and tls.cert_file is not"),
            (None, None, Some(_)) => {
                return incomplete("tls.client_ca_file is set; tls.cert_file and tls.key_file are not");
            }
        };
        let files = Files { section, cert: cert.clone(), key: key.clone(), client_ca: client_ca_file.clone() };
        let protocols: Vec<Vec<u8>> = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let paths = [Some(cert), Some(key), client_ca_file.as_ref()].into_iter().flatten().cloned().collect();
        let server = Watched::new(paths, move || files.server(protocols.clone()).map(Arc::new))?;
        Ok(Some(Self { server }))
    }

    /// What the next handshake uses.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server.current())
    }
}

struct Files {
    section: &'static str,
    cert: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

impl Files {
    fn server(&self, protocols: Vec<Vec<u8>>) -> Result<ServerConfig, GuardError> {
        let chain = self.certificates(CERT, &self.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&read(self.section, KEY, &self.key)?)
            .map_err(|_unreadable| self.malformed(KEY, &self.key, "holds no private key in PEM"))?;
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| self.malformed(CERT, &self.cert, error))?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for authority in self.certificates(CLIENT_CA, path)? {
                    roots.add(authority).map_err(|error| self.malformed(CLIENT_CA, path, error))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .map_err(|error| self.malformed(CLIENT_CA, path, error))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        // This also finds out whether the key is that of the certificate.
        let mut server =
            builder.with_single_cert(chain, key).map_err(|error| self.malformed(CERT, &self.cert, error))?;
        server.alpn_protocols = protocols;
        Ok(server)
    }

    fn certificates(&self, key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, GuardError> {
        let text = read(self.section, key, path)?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        match certificates {
            Ok(certificates) if !certificates.is_empty() => Ok(certificates),
            _ => Err(self.malformed(key, path, "holds no certificate in PEM")),
        }
    }

    fn malformed(&self, key: &'static str, path: &Path, problem: impl fmt::Display) -> GuardError {
        let problem = problem.to_string();
        GuardError::Malformed { section: self.section, key, path: path.to_owned(), problem }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A certificate and its key in `folder`.
    fn signed(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (cert, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        fs::write(&cert, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        (cert, key)
    }

    fn error(cert: Option<&Path>, key: Option<&Path>, client_ca: Option<&Path>) -> String {
        let owned = |path: Option<&Path>| path.map(Path::to_owned);
        let config = TlsConfig { cert_file: owned(cert), key_file: owned(key), client_ca_file: owned(client_ca) };
        Tls::new("x", &config, &["h2"]).err().map_or_else(String::new, |error| error.to_string())
    }

    #[test]
    fn what_is_wrong_is_told_with_its_key_and_nothing_of_the_key_itself() {
        let folder = tempfile::tempdir().unwrap();
        let (cert, key) = signed(folder.path(), "one");
        let (_, other) = signed(folder.path(), "two");
        let empty = folder.path().join("empty");
        fs::write(&empty, "").unwrap();
        assert_eq!(error(None, None, None), "");
        assert_eq!(error(Some(&cert), Some(&key), Some(&cert)), "");
        assert_eq!(error(Some(&cert), None, None), "x: tls.cert_file is set and tls.key_file is not");
        assert_eq!(error(None, Some(&key), None), "x: tls.key_file is set and tls.cert_file is not");
        assert!(error(None, None, Some(&cert)).starts_with("x: tls.client_ca_file is set"));
        let missing = folder.path().join("none");
        assert!(error(Some(&missing), Some(&key), None).starts_with("x.tls.cert_file: reading "));
        assert!(error(Some(&empty), Some(&key), None).ends_with("empty holds no certificate in PEM"));
        assert!(error(Some(&cert), Some(&cert), None).ends_with("one.pem holds no private key in PEM"));
        assert!(error(Some(&cert), Some(&key), Some(&empty)).starts_with("x.tls.client_ca_file: "));
        let wrong = error(Some(&cert), Some(&other), None);
        assert!(wrong.starts_with("x.tls.cert_file: ") && wrong.contains("KeyMismatch"), "{wrong}");
    }
}
