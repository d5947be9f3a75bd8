//! Who served a call, and where: an engine of one's own, or an API somewhere on a grid.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wattline_core::reading::CallKind;
use wattline_core::{GramsPerKwh, Uncertainty};

use super::bedrock::{self, Geography};
use super::models;
use super::provider::{self, Provider};
use crate::grid::{Grid, Intensity, Place, Pue, Tier, pue};

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
pub fn origin(call: &CallKind, local: &LocalAddresses) -> Origin {
    let provider = provider::canonical(&call.key.provider);
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
        Self::of_models(grid, provider, [], region, year)
    }

    /// The same for a call of a model, by all names that the call has for it, the best first. A name of Amazon Bedrock
    /// says that Bedrock served it where the provider's own name says no cloud, and an ARN bears the region.
    ///
    /// An inference profile (`eu.anthropic...`) is served in any region of its geography. Where the call's own region
    /// is not known, the mean of the regions of that geography stands in, each as likely as the others, with how far
    /// they lie apart as its error; for `global` the world stands in. Where the region is known it is taken, though
    /// the profile may have led elsewhere from there.
    pub fn of_models<'a>(
        grid: &Grid,
        provider: &str,
        models: impl IntoIterator<Item = &'a str>,
        region: Option<&str>,
        year: Option<u16>,
    ) -> Self {
        let mut row = Provider::of(provider);
        let (mut named_region, mut geography) = (None, None);
        for named in models.into_iter().filter_map(bedrock::named) {
            named_region = named_region.or(named.region);
            geography = geography.or(named.geography);
            if row.cloud.is_none() {
                row = Provider::bedrock();
            }
        }
        let Some(cloud) = row.cloud else { return Self::supposed(grid, &row, year) };
        let known = [region, named_region].into_iter().flatten().find(|name| grid.region(cloud, name).is_some());
        if let Some(region) = known {
            let place = Place { provider: Some(cloud), region: Some(region), ..Place::default() };
            return Self { intensity: grid.intensity(&place, year), pue: pue(Some(cloud), Some(region), year) };
        }
        match geography {
            Some(geography) if row.is_bedrock() => {
                Self { intensity: somewhere(grid, cloud, geography, year), pue: row.pue(year) }
            }
            _ => Self::supposed(grid, &row, year),
        }
    }

    fn supposed(grid: &Grid, row: &Provider, year: Option<u16>) -> Self {
        let mut intensity = grid.intensity(&Place { zone: Some(row.zone), ..Place::default() }, year);
        // Nobody said where: the country is a supposition.
        intensity.estimated = true;
        Self { intensity, pue: row.pue(year) }
    }
}

/// The mean over the regions of a geography, of which any may have served the call; the world where it has no bounds.
///
/// The error of the mean is how far the regions lie from it, in the root mean square of the logarithm, beside the
/// largest error of any of them.
fn somewhere(grid: &Grid, cloud: &'static str, geography: &Geography, year: Option<u16>) -> Intensity {
    let world = || grid.intensity(&Place::default(), year);
    let found: Vec<Intensity> = grid
        .regions()
        .filter(|region| region.provider == cloud && !geography.regions.is_empty() && geography.has(region.name))
        .map(|region| Place { provider: Some(cloud), region: Some(region.name), ..Place::default() })
        .map(|place| grid.intensity(&place, year))
        .collect();
    let mut stand_in = found.first().cloned().unwrap_or_else(world);
    stand_in.estimated = true;
    if found.is_empty() {
        return stand_in;
    }
    let count = found.len() as f64;
    let mean = found.iter().map(|found| found.grams.get()).sum::<f64>() / count;
    let square = |found: &Intensity| (found.grams.get() / mean).ln().powi(2);
    let apart = (found.iter().map(square).sum::<f64>() / count).sqrt();
    let each = found.iter().map(|found| found.uncertainty.sigma()).fold(0.0, f64::max);
    Intensity {
        grams: GramsPerKwh::new(mean),
        zone: format!("{cloud}:{}", geography.prefix).into(),
        tier: Tier::Country,
        uncertainty: Uncertainty::from_sigma(each.hypot(apart)),
        ..stand_in
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
mod tests;
