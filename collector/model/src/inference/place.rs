//! Who served a call, and where: an engine of one's own, or an API somewhere on a grid.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use wattline_core::reading::Inference;
use wattline_core::{Ratio, Text, Uncertainty};

use super::models;
use crate::grid::table::Table;
use crate::grid::{Grid, Intensity, Place, Pue, pue};

const TABLE: Table = Table::new(include_str!("../../data/api_provider.csv"));

/// Programs that run models where they are installed, as `gen_ai.provider.name` names them.
const ENGINES: &[&str] = &[
    "ollama",
    "vllm",
    "sglang",
    "llama.cpp",
    "llama_cpp",
    "llamacpp",
    "lm_studio",
    "lmstudio",
    "localai",
    "tgi",
    "tensorrt_llm",
    "triton",
    "mlx",
];

/// Services that no private address turns into an engine of one's own: a private address is an endpoint inside the
/// customer's network that leads to them.
const SERVICES: &[&str] =
    &["aws.bedrock", "azure.ai.inference", "azure.ai.openai", "gcp.gemini", "gcp.gen_ai", "gcp.vertex_ai"];

/// Ends of names that no public resolver answers. Source: RFC 6761, RFC 6762, RFC 8375, ICANN's `internal`; `lan` and
/// `svc` by custom.
const PRIVATE_ENDINGS: &[&str] =
    &[".localhost", ".local", ".internal", ".lan", ".home.arpa", ".svc", ".svc.cluster.local"];

/// Who served a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// An engine on a machine of one's own: its joules are in that machine's books.
    Local,
    /// An API: its joules are in nobody's books, and are modelled.
    Remote,
}

impl Origin {
    /// The value of `energy.origin`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
        }
    }
}

/// Addresses of engines of one's own beside those that are private by their nature: exact host names, or the end of
/// one with a dot in front (`.models.example`).
#[derive(Clone, Debug, Default)]
pub struct LocalAddresses {
    names: Vec<String>,
}

impl LocalAddresses {
    /// From the configured list.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self { names: names.into_iter().map(|name| name.trim().to_ascii_lowercase()).collect() }
    }

    /// True for a listed, loopback or private address, and for a name that no public resolver knows: one without a
    /// dot, or under `localhost`, `local`, `internal`, `lan`, `home.arpa` or a cluster's `svc`.
    pub fn contains(&self, address: &str) -> bool {
        let host = host(address).to_ascii_lowercase();
        if host.is_empty() {
            return false;
        }
        let listed = |name: &String| host == *name || (name.starts_with('.') && host.ends_with(name.as_str()));
        if self.names.iter().any(listed) {
            return true;
        }
        if let Ok(address) = host.parse::<IpAddr>() {
            return private(address);
        }
        !host.contains('.') || PRIVATE_ENDINGS.iter().any(|ending| host.ends_with(ending))
    }
}

/// Who served `call`.
///
/// A private or listed address is an engine of one's own, and so is the name of a program that runs models; but not
/// for a model that only an API sells, nor for a cloud's service: then a proxy stands between.
pub fn origin(call: &Inference, local: &LocalAddresses) -> Origin {
    let provider = call.key.provider.to_ascii_lowercase();
    let sold = models::only_sold(&call.key.model) || call.request_model.as_deref().is_some_and(models::only_sold);
    let engine = ENGINES.contains(&provider.as_str());
    let private = call.server_address.as_deref().is_some_and(|address| local.contains(address));
    if !sold && !SERVICES.contains(&provider.as_str()) && (engine || private) { Origin::Local } else { Origin::Remote }
}

/// The grid and the facility behind a remote call.
#[derive(Clone, Debug, PartialEq)]
pub struct RemotePlace {
    /// Of the region that served it, else of the provider's usual country.
    pub intensity: Intensity,
    /// Of that region, else of the provider.
    pub pue: Pue,
}

impl RemotePlace {
    /// Where a provider serves from: the region if one is known and the provider's cloud has it, else where the
    /// table supposes the provider's machines to be.
    /// `year` is that of the call: both have a figure for each.
    pub fn of(grid: &Grid, provider: &str, region: Option<&str>, year: Option<u16>) -> Self {
        let row = provider_row(provider);
        if let (Some(cloud), Some(region)) = (row.cloud, region)
            && grid.region(cloud, region).is_some()
        {
            let place = Place { provider: Some(cloud), region: Some(region), ..Place::default() };
            return Self { intensity: grid.intensity(&place, year), pue: pue(Some(cloud), Some(region), year) };
        }
        let mut intensity = grid.intensity(&Place { zone: Some(row.zone), ..Place::default() }, year);
        // Nobody said where: the country is a supposition.
        intensity.estimated = true;
        Self { intensity, pue: row.pue(year) }
    }
}

#[derive(Clone, Copy, Debug)]
struct ProviderRow {
    provider: &'static str,
    cloud: Option<&'static str>,
    zone: &'static str,
    /// PUE and its sigma; none for a cloud, whose fleet the table of PUE has.
    pue: Option<(f64, f64)>,
    source: &'static str,
    year: Option<u16>,
}

/// For a provider without a row, if the row for all others were lost; a test holds that it is there.
const ANYBODY: ProviderRow =
    ProviderRow { provider: "*", cloud: None, zone: "WORLD", pue: Some((1.2, 0.15)), source: "assumed", year: None };

static PROVIDERS: LazyLock<Vec<ProviderRow>> = LazyLock::new(|| TABLE.rows().filter_map(ProviderRow::parse).collect());

/// True for a provider that the table has a row for.
pub fn is_provider(name: &str) -> bool {
    PROVIDERS.iter().any(|row| row.provider != "*" && row.provider.eq_ignore_ascii_case(name.trim()))
}

fn provider_row(provider: &str) -> ProviderRow {
    let row = |name: &str| PROVIDERS.iter().find(|row| row.provider.eq_ignore_ascii_case(name)).copied();
    row(provider.trim()).or_else(|| row("*")).unwrap_or(ANYBODY)
}

impl ProviderRow {
    fn parse([provider, cloud, zone, pue, sigma, source, year, _licence]: [&'static str; 8]) -> Option<Self> {
        let cloud = (!cloud.is_empty()).then_some(cloud);
        let pue = pue.parse().ok().zip(sigma.parse().ok());
        (pue.is_some() || cloud.is_some()).then_some(Self {
            provider,
            cloud,
            zone,
            pue,
            source,
            year: year.parse().ok(),
        })
    }

    fn pue(&self, year: Option<u16>) -> Pue {
        let Some((ratio, sigma)) = self.pue else { return pue(self.cloud, None, year) };
        Pue {
            ratio: Ratio::new(ratio),
            source: Text::Static(self.source),
            year: self.year,
            uncertainty: Uncertainty::from_sigma(sigma),
        }
    }
}

/// The host in an address that may bear a scheme, a port or a path.
fn host(address: &str) -> &str {
    let address = address.trim();
    let address = address.split_once("://").map_or(address, |(_, rest)| rest);
    let address = address.split('/').next().unwrap_or_default();
    if let Some(rest) = address.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    match address.rsplit_once(':') {
        // More than one colon is an IPv6 address without brackets.
        Some((name, port)) if !name.contains(':') && port.chars().all(|c| c.is_ascii_digit()) => name,
        _ => address,
    }
    .trim_end_matches('.')
}

fn private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => private_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => private_v4(mapped),
            None => private_v6(address),
        },
    }
}

fn private_v4(address: Ipv4Addr) -> bool {
    // 100.64.0.0/10 is shared inside a provider's network or an overlay (RFC 6598); nothing public answers there.
    let [first, second, ..] = address.octets();
    let shared = first == 100 && (64..128).contains(&second);
    address.is_loopback() || address.is_private() || address.is_link_local() || address.is_unspecified() || shared
}

fn private_v6(address: Ipv6Addr) -> bool {
    address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local() || address.is_unspecified()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wattline_core::Seconds;
    use wattline_core::reading::TokenUsage;
    use wattline_core::subject::InferenceKey;

    use super::*;
    use crate::grid::Tier;

    fn call(provider: &'static str, model: &'static str, address: Option<&'static str>) -> Inference {
        Inference {
            key: InferenceKey {
                model: model.into(),
                provider: provider.into(),
                service: "s".into(),
                agent: None,
                operation: "chat".into(),
            },
            request_model: None,
            start: wattline_core::Timestamp::default(),
            duration: Seconds::new(1.0),
            usage: TokenUsage::default(),
            region: None,
            server_address: address.map(Text::from),
            service_tier: None,
            error: None,
            probability: Ratio::new(1.0),
        }
    }

    #[test]
    fn every_row_parses_and_leads_to_a_known_zone() {
        crate::grid::table::check::<8>(TABLE, PROVIDERS.len());
        for row in PROVIDERS.iter() {
            assert!(Grid::builtin().knows(row.zone) || row.zone == "WORLD", "{row:?}");
            assert!((1.0..2.0).contains(&row.pue(None).ratio.get()), "{row:?}");
        }
        assert_eq!(provider_row("nobody").provider, "*");
    }

    #[test]
    fn private_addresses_are_engines_of_ones_own() {
        let listed = LocalAddresses::new(["llm.example.com".to_owned(), ".models.example".to_owned()]);
        for local in [
            "127.0.0.1",
            "http://127.0.0.1:8000/v1",
            "localhost:11434",
            "10.1.2.3",
            "192.168.1.7:8000",
            "172.31.0.1",
            "100.64.0.9",
            "169.254.1.1",
            "[::1]:8000",
            "fd00::1",
            "::ffff:10.0.0.1",
            "vllm",
            "vllm.models.svc",
            "gpu.lan",
            "box.local",
            "vllm.default.svc.cluster.local.",
            "llm.example.com",
            "a.models.example",
            "LLM.Example.com:443",
        ] {
            assert!(listed.contains(local), "{local}");
        }
        for remote in [
            "api.openai.com",
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "llm.example.com.evil.org",
            "models.example",
            "bedrock-runtime.us-east-1.amazonaws.com",
            "",
            "::ffff:8.8.8.8",
        ] {
            assert!(!listed.contains(remote), "{remote}");
        }
    }

    #[test]
    fn a_model_that_only_an_api_sells_is_remote_behind_any_proxy() {
        let none = LocalAddresses::default();
        let of = |provider, model, address| origin(&call(provider, model, address), &none);
        assert_eq!(of("openai", "llama-3.1-8b", Some("10.0.0.1")), Origin::Local);
        assert_eq!(of("openai", "gpt-4o", Some("10.0.0.1")), Origin::Remote);
        assert_eq!(of("openai", "gpt-oss-120b", Some("localhost:8000")), Origin::Local);
        assert_eq!(of("anthropic", "claude-sonnet-4-5", Some("localhost:4000")), Origin::Remote);
        assert_eq!(of("ollama", "llama3.1:8b", None), Origin::Local);
        assert_eq!(of("openai", "llama-3.1-8b", None), Origin::Remote);
        assert_eq!(of("aws.bedrock", "meta.llama3-1-8b-instruct-v1:0", Some("10.0.0.1")), Origin::Remote);
        // A router asked for an alias and was answered by a model that only an API sells.
        let mut routed = call("openai", "fast", Some("10.0.0.1"));
        routed.request_model = Some("gpt-4o-mini".into());
        assert_eq!(origin(&routed, &none), Origin::Remote);
    }

    fn sweden() -> Place<'static> {
        Place { zone: Some("SWE"), ..Place::default() }
    }

    #[test]
    fn a_region_counts_only_in_its_own_providers_cloud() {
        let of = |provider, region| RemotePlace::of(Grid::builtin(), provider, region, Some(2024));
        let stockholm = of("aws.bedrock", Some("eu-north-1"));
        assert!(stockholm.intensity.zone.starts_with("SE") || stockholm.intensity.zone.as_str() == "SWE");
        assert_eq!((stockholm.intensity.estimated, stockholm.pue.ratio), (false, Ratio::new(1.1)));
        let unknown = of("aws.bedrock", Some("mars-1"));
        let usa = of("openai", Some("eu-north-1"));
        assert_eq!((unknown.pue.ratio, unknown.pue.source.as_str()), (Ratio::new(1.15), "aws-2024-fleet"));
        assert_eq!((unknown.intensity.clone(), usa.intensity.tier), (usa.intensity, Tier::Country));
        assert_eq!(of("mistral_ai", None).intensity.grams, Grid::builtin().intensity(&sweden(), Some(2024)).grams);
        assert!(of("mistral_ai", None).intensity.estimated);
        assert_eq!(of("somebody", None).intensity.tier, Tier::World);
    }

    #[test]
    fn a_call_of_a_past_year_has_the_figures_of_its_year() {
        let of = |year| RemotePlace::of(Grid::builtin(), "aws.bedrock", Some("eu-central-1"), Some(year));
        assert_eq!((of(2023).pue.ratio, of(2025).pue.ratio), (Ratio::new(1.33), Ratio::new(1.24)));
        assert_eq!((of(2023).intensity.year, of(2025).intensity.year), (Some(2023), Some(2025)));
    }

    proptest! {
        #[test]
        fn no_address_panics(address in "\\PC{0,30}|[0-9a-f:.\\[\\]/]{0,30}") {
            let _answer = LocalAddresses::default().contains(&address);
        }
    }
}
