//! Engines among the pods of this node, as the kubelet lists them.

use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;

use super::OpenError;
use super::config::{self, Kubernetes};
use super::web::{AskError, Web};

/// Pods that are asked at most: a node runs 250 at most by its documentation, and few of them engines.
const PODS_MAX: usize = 256;

/// The longest time for the kubelet's list. No engine is asked meanwhile.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Asks the kubelet.
#[derive(Clone, Debug)]
pub(super) struct Kubelet {
    base: Url,
    web: Web,
    pub(super) refresh: Duration,
}

impl Kubelet {
    /// Checks the configuration and reads the certificates.
    pub(super) fn new(config: &Kubernetes) -> Result<Self, OpenError> {
        let wrong = |problem: &str| OpenError { key: "kubernetes.kubelet", problem: problem.to_owned() };
        let base = Url::parse(config.kubelet.trim()).map_err(|_parse| wrong("is not a URL"))?;
        let is_https = match base.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(wrong("does not begin with http:// or https://")),
        };
        if config.refresh < Duration::from_secs(10) {
            return Err(OpenError { key: "kubernetes.refresh", problem: "is shorter than 10s".to_owned() });
        }
        // In the clear nobody is shown a token: the kubelet's read-only port asks for none.
        let token_file = config.token_file.clone().filter(|_| is_https);
        let web = Web::new(is_https, config.ca_file.as_deref(), token_file, TIMEOUT)
            .map_err(|error| OpenError { key: "kubernetes.ca_file", ..error })?;
        Ok(Self { base, web, refresh: config.refresh })
    }

    /// The pods that want to be asked.
    pub(super) async fn pods(&self) -> Result<Vec<config::Target>, AskError> {
        let body = self.web.get(&self.base, "/pods").await?;
        annotated(&body).map_err(|error| AskError::Failed(format!("reading the pods of {}: {error}", self.base)))
    }
}

#[derive(Deserialize)]
struct PodList {
    #[serde(default)]
    items: Vec<Pod>,
}

#[derive(Deserialize)]
struct Pod {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    name: String,
    namespace: String,
    annotations: Option<std::collections::BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    containers: Option<Vec<Container>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Container {
    ports: Option<Vec<ContainerPort>>,
}

#[derive(Deserialize)]
struct ContainerPort {
    #[serde(rename = "containerPort", default)]
    number: u16,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    phase: String,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
}

/// The pods of a list that run and are annotated for scraping, under the name of the pod.
fn annotated(body: &[u8]) -> Result<Vec<config::Target>, serde_json::Error> {
    let list: PodList = serde_json::from_slice(body)?;
    Ok(list.items.iter().filter_map(target_of).take(PODS_MAX).collect())
}

fn target_of(pod: &Pod) -> Option<config::Target> {
    let annotation = |name: &str| {
        let all = pod.metadata.annotations.as_ref()?;
        all.get(&format!("prometheus.io/{name}")).map(|value| value.trim()).filter(|value| !value.is_empty())
    };
    if pod.status.phase != "Running" || annotation("scrape") != Some("true") {
        return None;
    }
    let address: std::net::IpAddr = pod.status.pod_ip.as_deref()?.parse().ok()?;
    let declared =
        || pod.spec.containers.iter().flatten().flat_map(|container| container.ports.iter().flatten()).next();
    let port: u16 = match annotation("port") {
        Some(port) => port.parse().ok()?,
        None => declared()?.number,
    };
    let scheme = annotation("scheme").filter(|scheme| *scheme == "https").unwrap_or("http");
    let path = annotation("path").unwrap_or("");
    let slash = if path.is_empty() || path.starts_with('/') { "" } else { "/" };
    let url = format!("{scheme}://{}{slash}{path}", std::net::SocketAddr::new(address, port));
    let service = format!("{}/{}", pod.metadata.namespace, pod.metadata.name);
    Some(config::Target { service: Some(service), ..config::Target::at(url) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A list as `kubectl get --raw /api/v1/nodes/NODE/proxy/pods` prints it, less what is not read.
    const PODS: &str = r#"{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[
      {"metadata":{"name":"vllm-0","namespace":"models","uid":"1","annotations":{"prometheus.io/scrape":"true","prometheus.io/port":"8000","prometheus.io/path":"/metrics"}},
       "spec":{"containers":[{"name":"vllm","ports":[{"containerPort":8080,"protocol":"TCP"}]}]},"status":{"phase":"Running","podIP":"10.0.0.7"}},
      {"metadata":{"name":"tgi-0","namespace":"models","annotations":{"prometheus.io/scrape":"true"}},
       "spec":{"containers":[{"name":"side"},{"name":"tgi","ports":[{"containerPort":80}]}]},"status":{"phase":"Running","podIP":"fd00::7"}},
      {"metadata":{"name":"ended","namespace":"models","annotations":{"prometheus.io/scrape":"true","prometheus.io/port":"8000"}},"status":{"phase":"Succeeded","podIP":"10.0.0.8"}},
      {"metadata":{"name":"silent","namespace":"models","annotations":null},"status":{"phase":"Running","podIP":"10.0.0.9"}},
      {"metadata":{"name":"off","namespace":"models","annotations":{"prometheus.io/scrape":"false","prometheus.io/port":"8000"}},"status":{"phase":"Running","podIP":"10.0.0.9"}},
      {"metadata":{"name":"portless","namespace":"models","annotations":{"prometheus.io/scrape":"true"}},"spec":{"containers":null},"status":{"phase":"Running","podIP":"10.0.0.9"}},
      {"metadata":{"name":"odd","namespace":"models","annotations":{"prometheus.io/scrape":"true","prometheus.io/port":"http"}},"status":{"phase":"Running","podIP":"10.0.0.9"}},
      {"metadata":{"name":"elsewhere","namespace":"models","annotations":{"prometheus.io/scrape":"true","prometheus.io/port":"1"}},"status":{"phase":"Running","podIP":"evil.example/?"}}
    ]}"#;

    #[test]
    fn running_pods_that_ask_for_it_are_found() {
        let found = annotated(PODS.as_bytes()).unwrap();
        let told: Vec<(&str, &str)> =
            found.iter().map(|target| (target.url.as_str(), target.service.as_deref().unwrap())).collect();
        assert_eq!(told, [("http://10.0.0.7:8000/metrics", "models/vllm-0"), ("http://[fd00::7]:80", "models/tgi-0")]);
    }

    proptest! {
        #[test]
        fn no_list_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            annotated(&bytes).ok();
        }
    }
}
