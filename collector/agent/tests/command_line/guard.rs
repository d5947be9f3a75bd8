//! Listeners that ask who comes.

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use rustix::process::Signal;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::support::*;

const TOKEN: &str = "a-token-of-some-length";

/// A certificate that signs itself, its key, and a file with a token.
fn files(folder: &Path) -> String {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(folder.join("tls.pem"), made.cert.pem()).unwrap();
    fs::write(folder.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
    fs::write(folder.join("tokens"), TOKEN).unwrap();
    folder.display().to_string()
}

fn tls_get(address: SocketAddr, authority: &Path, head: &str) -> String {
    let mut roots = RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let client = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let mut stream = StreamOwned::new(client, connect(address));
    write!(stream, "GET {head}\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_admin_endpoint_shows_figures_over_tls_and_for_a_token_and_life_to_all() {
    let address = free_address();
    let admin = format!("[admin]\nlisten = \"{address}\"\nbearer_token_file = \"FOLDER/tokens\"\n");
    let tls = "[admin.tls]\ncert_file = \"FOLDER/tls.pem\"\nkey_file = \"FOLDER/tls.key\"\n";
    let otlp = NO_LISTENERS.split_once("[probes").unwrap().1;
    let (folder, path) = configured(&format!("{TO_STDOUT}{admin}{tls}[probes{otlp}"));
    let place = files(folder.path());
    let config = fs::read_to_string(&path).unwrap().replace("FOLDER", &place);
    fs::write(&path, config).unwrap();

    let mut agent = Running::start(&["--config", &path]);
    agent.wait_for_figures();
    let authority = folder.path().join("tls.pem");
    let get = |head: &str| tls_get(address, &authority, head);
    assert!(get("/healthz HTTP/1.1").starts_with("HTTP/1.1 200"));
    assert!(get("/readyz HTTP/1.1").starts_with("HTTP/1.1 200"));
    let refused = get("/metrics HTTP/1.1");
    assert!(refused.starts_with("HTTP/1.1 401") && refused.contains("www-authenticate: Bearer"), "{refused}");
    assert!(get("/metrics HTTP/1.1\r\nauthorization: Bearer something-else-here").starts_with("HTTP/1.1 401"));
    assert!(get(&format!("/metrics HTTP/1.1\r\nauthorization: Bearer {TOKEN}")).contains("hw_energy_joules_total"));

    let doctor = text(&output(&["doctor", "--config", &path]).stdout);
    assert!(doctor.contains("TLS, asks for a bearer token"), "{doctor}");
    assert!(doctor.contains(&format!("{address} is in use by a running wattline")), "{doctor}");
    assert_eq!(agent.log_lines(TOKEN), 0);
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn a_certificate_that_is_missing_is_told_with_its_key_before_anything_runs() {
    let (_folder, path) = configured(&format!(
        "{NO_LISTENERS}[probes.otlp.tls]\ncert_file = \"/no/such.pem\"\nkey_file = \"/no/such.key\"\n"
    ));
    let run = output(&["--config", &path]);
    let error = text(&run.stderr);
    assert_eq!(run.status.code(), Some(1), "{error}");
    assert!(error.contains("probes.otlp.tls.cert_file: reading /no/such.pem failed"), "{error}");
}

#[test]
fn check_tells_of_a_listener_that_anybody_could_reach() {
    let (_folder, path) = configured("[admin]\nenabled = false\n[probes.otlp.http]\nlisten = \"0.0.0.0:0\"\n");
    let check = output(&["check", "--config", &path]);
    let page = text(&check.stdout);
    assert_eq!(check.status.code(), Some(1), "{page}");
    assert!(
        page.contains("set probes.otlp.tls.cert_file and key_file together with probes.otlp.bearer_token"),
        "{page}"
    );
}

#[test]
fn a_socket_takes_calls_lives_through_a_reload_and_is_gone_at_the_end() {
    let (folder, path) = configured("");
    let socket = folder.path().join("otlp.sock");
    let listen = format!(
        "{TO_STDOUT}[admin]\nenabled = false\n[probes.otlp.grpc]\nenabled = false\n[probes.otlp.http]\nlisten = \"unix:{}\"\n",
        socket.display()
    );
    let good = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{good}{listen}")).unwrap();
    let mut agent = Running::start(&["--config", &path]);
    agent.wait_for("listening for OTLP");
    let post = |call: &str| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        let length = call.len();
        let head = "POST /v1/traces HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json";
        write!(stream, "{head}\r\ncontent-length: {length}\r\n\r\n{call}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    };
    post(CALL);
    agent.wait_for_figure(Figure("inference.calls", &[]), 1.0);
    rewrite(&path, &good, &listen, "600ms");
    agent.signal(Signal::HUP);
    agent.wait_for("configuration reloaded");
    agent.wait_for("listening for OTLP");
    // The same span again would be the same call.
    post(&CALL.replace("0000000000000001\",\"name", "0000000000000002\",\"name"));
    agent.wait_for_figure(Figure("inference.calls", &[]), 2.0);
    assert_eq!(agent.stop(), Some(0));
    assert!(!socket.exists());
}
