//! One engine: how it is asked, and what its answer means.

use std::time::Duration;

use reqwest::Url;
use serde_json::Value as Json;
use wattline_core::Text;

use super::OpenError;
use super::config;
use super::read::{Origin, Told, read};
use super::web::{AskError, Web};

/// Where engines show their metrics, the most usual first: vLLM, `SGLang`, llama.cpp, TGI, Triton; NIM; TensorRT-LLM;
/// older versions of `LiteLLM`.
const PATHS: [&str; 4] = ["/metrics", "/v1/metrics", "/prometheus/metrics", "/metrics/"];

/// Where engines tell their model, whose metrics name none: with an `OpenAI` interface, and TGI.
const MODEL_PATHS: [&str; 2] = ["/v1/models", "/info"];

/// An engine that may be asked.
#[derive(Clone, Debug)]
pub(super) struct Target {
    base: Url,
    /// The path, where the address has one.
    has_path: bool,
    pub(super) address: Text,
    pub(super) port: u16,
    service: Text,
    config: config::Target,
    web: Web,
    /// Nobody named it: it was found, and it may be no engine at all.
    pub(super) is_found: bool,
}

/// What was learned about a target, and is used for the next question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Learned {
    /// The path that answered.
    path: Option<&'static str>,
    /// The model that it serves, by its own interface.
    model: Option<String>,
}

impl Target {
    /// Checks an address and reads its certificates.
    pub(super) fn new(config: config::Target, timeout: Duration, is_found: bool) -> Result<Self, OpenError> {
        let wrong = |problem: &str| OpenError { key: "url", problem: format!("{:?} {problem}", config.url) };
        let base = Url::parse(config.url.trim()).map_err(|_parse| wrong("is not a URL; write http://host:port"))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(wrong("does not begin with http:// or https://"));
        }
        let Some(host) = base.host_str().filter(|host| !host.is_empty()) else { return Err(wrong("names no host")) };
        if !base.username().is_empty() || base.password().is_some() {
            // The address is shown; what is wrong with it is not.
            let problem = "holds a password; put a token into bearer_token_file".to_owned();
            return Err(OpenError { key: "url", problem });
        }
        if config.gpus.is_some_and(|gpus| !(1..=1024).contains(&gpus)) {
            return Err(OpenError { key: "gpus", problem: "is not from 1 to 1024".to_owned() });
        }
        if config.bytes_per_parameter.is_some_and(|bytes| !(0.1..=8.0).contains(&bytes)) {
            return Err(OpenError { key: "bytes_per_parameter", problem: "is not from 0.1 to 8".to_owned() });
        }
        let address = Text::from(host.trim_start_matches('[').trim_end_matches(']').to_owned());
        let port = base.port_or_known_default().unwrap_or(0);
        let service = config.service.clone().map_or_else(|| Text::from(format!("{host}:{port}")), Text::from);
        let is_https = base.scheme() == "https";
        let web = Web::new(is_https, config.ca_file.as_deref(), config.bearer_token_file.clone(), timeout)?;
        let has_path = !matches!(base.path(), "" | "/");
        Ok(Self { base, has_path, address, port, service, config, web, is_found })
    }

    /// By what a target is known, whoever named it: this machine has one loopback.
    pub(super) fn place(&self) -> String {
        let host = if self.address.eq_ignore_ascii_case("localhost") { "127.0.0.1" } else { &self.address };
        format!("{host}:{}", self.port)
    }

    /// Asks once.
    pub(super) async fn ask(&self, learned: &mut Learned) -> Result<Told, AskError> {
        let mut told = self.ask_for_metrics(learned).await?;
        if told.is_nameless && self.config.model.is_none() {
            if learned.model.is_none() {
                learned.model = self.ask_for_model().await;
            }
            if let Some(model) = &learned.model {
                told.readings.iter_mut().for_each(|reading| reading.engine.model = Text::from(model.clone()));
            }
        }
        if let (Some(model), [reading]) = (&self.config.model, told.readings.as_mut_slice()) {
            reading.engine.model = Text::from(model.clone());
        }
        for reading in &mut told.readings {
            reading.hardware = self.config.hardware();
            reading.devices = self.config.devices.iter().cloned().map(Text::from).collect();
        }
        Ok(told)
    }

    async fn ask_for_metrics(&self, learned: &mut Learned) -> Result<Told, AskError> {
        if self.has_path {
            return self.ask_at("").await;
        }
        if let Some(path) = learned.path {
            match self.ask_at(path).await {
                Err(AskError::NotThere(_)) => learned.path = None,
                other => return other,
            }
        }
        let mut first = None;
        for path in PATHS {
            match self.ask_at(path).await {
                Ok(told) => {
                    learned.path = Some(path);
                    return Ok(told);
                }
                Err(error @ AskError::NotThere(_)) => {
                    first.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(first.unwrap_or_else(|| AskError::NotThere(format!("asking {}: nothing is there", self.base))))
    }

    async fn ask_at(&self, path: &str) -> Result<Told, AskError> {
        let body = self.web.get(&self.base, path).await?;
        let origin = Origin {
            kind: self.config.kind,
            model: self.config.model.as_deref(),
            address: &self.address,
            port: self.port,
            service: &self.service,
        };
        read(&body, &origin).ok_or_else(|| {
            AskError::NotThere(format!(
                "asking {}{path}: there is an answer, and nothing in it is of a known engine",
                self.base
            ))
        })
    }

    async fn ask_for_model(&self) -> Option<String> {
        for path in MODEL_PATHS {
            if let Ok(body) = self.web.get(&self.base, path).await
                && let Some(model) = serde_json::from_slice(&body).ok().and_then(|json: Json| model_in(&json))
            {
                return Some(model);
            }
        }
        None
    }
}

/// The first model of an `OpenAI` list, or the model that TGI describes.
fn model_in(json: &Json) -> Option<String> {
    let listed = json.get("data").and_then(|data| data.get(0)).and_then(|model| model.get("id"));
    let name = listed.or_else(|| json.get("model_id"))?.as_str()?.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<Target, OpenError> {
        Target::new(config::Target::at(url.to_owned()), Duration::from_secs(1), false)
    }

    #[test]
    fn an_address_is_checked_and_known_by_host_and_port() {
        for (url, place) in [
            ("http://localhost:8000", "127.0.0.1:8000"),
            ("http://127.0.0.1:8000/metrics", "127.0.0.1:8000"),
            ("http://vllm.models.svc", "vllm.models.svc:80"),
            ("http://[::1]:30000", "::1:30000"),
        ] {
            assert_eq!(target(url).unwrap().place(), place);
        }
        for bad in ["", "127.0.0.1:8000", "unix:/run/x", "http://u:s3cret@h:1", "http://"] {
            let error = target(bad).unwrap_err().to_string();
            assert!(error.contains("url") && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn the_model_is_read_from_either_interface() {
        let model = |text: &str| model_in(&serde_json::from_str(text).unwrap());
        assert_eq!(model(r#"{"object":"list","data":[{"id":"a"},{"id":"b"}]}"#).as_deref(), Some("a"));
        assert_eq!(model(r#"{"model_id":"m","sha":null}"#).as_deref(), Some("m"));
        for none in ["{}", "[]", "1", r#"{"data":[]}"#, r#"{"data":[{"id":1}]}"#, r#"{"model_id":" "}"#] {
            assert_eq!(model(none), None, "{none}");
        }
    }
}
