//! The instance metadata service of EC2, version 2.
//!
//! Version 1, which answers without a token, is not asked: where it is all there is, a proxy or a service of
//! somebody else is answering. The paths and headers are those of the EC2 user guide, "Use the Instance Metadata
//! Service to access instance metadata".

use std::time::Duration;

use serde::Deserialize;
use ureq::Agent;
use wattline_core::reading::CloudInstance;

use super::firmware::Firmware;

/// The most that is read of an answer. An identity document has about 500 bytes.
const ANSWER_LIMIT: u64 = 64 << 10;
/// The longest word that is believed.
const LONGEST: usize = 128;

/// Why the service did not tell what the instance is.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// Nobody answered in time, as in a container that is one network hop too far away.
    #[error(
        "asking {url} for the instance: {reason}; in a container, allow a hop limit of 2 or use the host's network, \
         or set probes.cloud.mode to never"
    )]
    Unreachable { url: String, reason: String },
    /// Somebody answered and refused.
    #[error("asking {url} for the instance: it answered with status {status}, not as version 2 of the service does")]
    Refused { url: String, status: u16 },
    /// Somebody answered something else.
    #[error("asking {url} for the instance: the answer is not an identity document: {reason}")]
    Garbage { url: String, reason: String },
}

/// What is used of the instance identity document.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IdentityDocument {
    instance_id: String,
    instance_type: Option<String>,
    region: Option<String>,
    availability_zone: Option<String>,
    account_id: Option<String>,
}

/// Asks once. The token may take half of `timeout`, because it is its answer that a hop limit swallows; the two
/// answers after it, which come from the same place, a quarter each.
pub(super) fn ask(endpoint: &str, timeout: Duration) -> Result<CloudInstance, AskError> {
    let service = Service { agent: agent(), endpoint: endpoint.trim_end_matches('/'), timeout };
    let token = service.token()?;
    let document = service.get("/latest/dynamic/instance-identity/document", &token)?;
    let mut instance = parse(&document).map_err(|reason| {
        let url = service.url("/latest/dynamic/instance-identity/document");
        AskError::Garbage { url, reason }
    })?;
    // Whether it is a spot instance is worth having and not worth losing the rest for.
    instance.life_cycle =
        service.get("/latest/meta-data/instance-life-cycle", &token).ok().filter(|word| is_word(word));
    Ok(instance)
}

struct Service<'a> {
    agent: Agent,
    endpoint: &'a str,
    timeout: Duration,
}

/// An agent that goes to the endpoint and nowhere else: no proxy of the environment, which would answer with its own
/// instance, and no redirect.
fn agent() -> Agent {
    Agent::config_builder().proxy(None).max_redirects(0).http_status_as_error(false).build().new_agent()
}

impl Service<'_> {
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.endpoint)
    }

    fn token(&self) -> Result<String, AskError> {
        let url = self.url("/latest/api/token");
        let request = self.agent.put(&url).header("X-aws-ec2-metadata-token-ttl-seconds", "60");
        let request = request.config().timeout_global(Some(self.timeout / 2)).build();
        let token = answer(url.clone(), request.send_empty())?;
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(AskError::Garbage { url, reason: "the token is not a word".to_owned() });
        }
        Ok(token)
    }

    fn get(&self, path: &str, token: &str) -> Result<String, AskError> {
        let url = self.url(path);
        let request = self.agent.get(&url).header("X-aws-ec2-metadata-token", token);
        let request = request.config().timeout_global(Some(self.timeout / 4)).build();
        answer(url, request.call())
    }
}

fn answer(url: String, response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<String, AskError> {
    let unreachable = |error: ureq::Error| AskError::Unreachable { url: url.clone(), reason: error.to_string() };
    let mut response = response.map_err(unreachable)?;
    let status = response.status().as_u16();
    if status != 200 {
        return Err(AskError::Refused { url, status });
    }
    let text = response.body_mut().with_config().limit(ANSWER_LIMIT).read_to_string().map_err(unreachable)?;
    Ok(text.trim().to_owned())
}

fn parse(document: &str) -> Result<CloudInstance, String> {
    let document: IdentityDocument = serde_json::from_str(document).map_err(|error| error.to_string())?;
    let IdentityDocument { instance_id, instance_type, region, availability_zone, account_id } = document;
    if !is_instance_id(&instance_id) {
        return Err("its instanceId is none".to_owned());
    }
    let word = |text: Option<String>| text.filter(|text| is_word(text));
    Ok(CloudInstance {
        region: word(region),
        availability_zone: word(availability_zone),
        account_id: word(account_id),
        instance_type: word(instance_type),
        ..instance(instance_id)
    })
}

fn instance(id: String) -> CloudInstance {
    CloudInstance {
        provider: "aws".to_owned(),
        platform: "aws_ec2".to_owned(),
        instance_id: Some(id),
        ..CloudInstance::default()
    }
}

/// What the firmware of a Nitro instance tells: the type as the product, the id as the board's asset tag.
pub(super) fn of_firmware(firmware: &Firmware) -> Option<CloudInstance> {
    if !firmware.is_amazon() {
        return None;
    }
    let id = firmware.board_asset_tag.clone().filter(|tag| is_instance_id(tag));
    let kind = firmware.product_name.clone().filter(|name| is_word(name) && name.contains('.'));
    Some(CloudInstance { instance_id: id, instance_type: kind, ..instance(String::new()) })
}

/// `i-` and hexadecimal digits, 8 in old ids and 17 in new ones.
fn is_instance_id(text: &str) -> bool {
    let Some(digits) = text.strip_prefix("i-") else { return false };
    (8..=32).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What names of types, zones and life cycles are made of.
fn is_word(text: &str) -> bool {
    let honest = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !text.is_empty() && text.len() <= LONGEST && text.bytes().all(honest)
}

#[cfg(test)]
mod tests;
