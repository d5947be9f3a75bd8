//! Signs what it is told and prints the signature, so that another signer can be compared with ours.
//!
//! Reads one request a line, as JSON: `access_key`, `secret_key`, `token` (or null), `region`, `service`, `url`,
//! `headers` (pairs), `body` (a list of bytes), `time` (Unix seconds). Prints the headers of each as a line of JSON.

#![expect(clippy::print_stdout, reason = "this is what it is for")]

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use serde::Deserialize;
use wattline_core::Timestamp;
use wattline_export_delivery::Secret;
use wattline_export_delivery::aws::{Grant, Region, Unsigned};

#[derive(Deserialize)]
struct Request {
    access_key: String,
    secret_key: Secret,
    token: Option<Secret>,
    region: Region,
    service: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    time: u64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for line in io::stdin().lock().lines() {
        let request: Request = serde_json::from_str(&line?)?;
        let grant = Grant::fixed(&request.access_key, &request.secret_key, request.token.as_ref(), request.region);
        let headers: Vec<(&str, &str)> =
            request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let unsigned = Unsigned { url: &request.url, headers: &headers, body: &request.body };
        let at = Timestamp::from_unix_nanos(request.time.saturating_mul(1_000_000_000));
        let signed = grant.sign_for(&request.service, &unsigned, at)?;
        let signed: BTreeMap<&str, &str> =
            signed.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
        println!("{}", serde_json::to_string(&signed)?);
    }
    Ok(())
}
