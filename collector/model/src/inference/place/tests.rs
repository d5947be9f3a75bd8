use proptest::prelude::*;
use wattline_core::reading::{Inference, TokenUsage};
use wattline_core::subject::InferenceKey;
use wattline_core::{Ratio, Seconds, Text};

use super::*;
use crate::grid::Tier;

fn call(provider: &'static str, model: &'static str, address: Option<&'static str>) -> Inference {
    let key = InferenceKey {
        model: model.into(),
        provider: provider.into(),
        service: "s".into(),
        agent: None,
        operation: "chat".into(),
    };
    let mut call = Inference::new(key, wattline_core::Timestamp::default(), Seconds::new(1.0), TokenUsage::default());
    call.server_address = address.map(Text::from);
    call
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
    for service in ["aws.bedrock", "bedrock", "Azure", "vertex_ai"] {
        assert_eq!(of(service, "meta.llama3-1-8b-instruct-v1:0", Some("10.0.0.1")), Origin::Remote, "{service}");
    }
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

fn served(provider: &str, model: &str, region: Option<&str>) -> RemotePlace {
    RemotePlace::of_models(Grid::builtin(), provider, [model], region, Some(2024))
}

#[test]
fn other_names_of_a_provider_lead_to_the_same_place() {
    let of = |provider, region| RemotePlace::of(Grid::builtin(), provider, region, Some(2024));
    assert_eq!(of("bedrock", Some("eu-north-1")), of("aws.bedrock", Some("eu-north-1")));
    assert_eq!(of("azure", Some("swedencentral")), of("azure.ai.openai", Some("swedencentral")));
    assert_eq!(of("vertex_ai", Some("europe-west1")), of("gcp.vertex_ai", Some("europe-west1")));
    assert_eq!(of("gemini", None), of("gcp.gemini", None));
    assert_eq!(of("mistral", None), of("mistral_ai", None));
    assert_ne!(of("mistral", None).intensity.grams, of("somebody", None).intensity.grams);
}

#[test]
fn a_profile_is_reckoned_in_its_geography_and_not_on_the_grid_of_the_usa() {
    let usa = served("aws.bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0", None);
    assert_eq!(usa, RemotePlace::of(Grid::builtin(), "aws.bedrock", None, Some(2024)), "no profile, no region");
    let eu = served("aws.bedrock", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", None);
    assert_eq!((eu.intensity.zone.as_str(), eu.intensity.estimated), ("aws:eu", true));
    // Ember's average of the EU in 2024 is 213 g/kWh; London and Zurich are among the regions of AWS.
    assert!((120.0..280.0).contains(&eu.intensity.grams.get()), "{eu:?}");
    // From Stockholm to Frankfurt: a factor of five either way and more.
    assert!(eu.intensity.uncertainty.factor() > 4.0, "{eu:?}");
    let world = served("aws.bedrock", "global.anthropic.claude-sonnet-4-5-20250929-v1:0", None);
    assert_eq!((world.intensity.tier, world.intensity.estimated), (Tier::World, true));
    let japan = served("bedrock", "jp.anthropic.claude-sonnet-4-5-20250929-v1:0", None).intensity;
    let regions = ["ap-northeast-1", "ap-northeast-3"].map(|region| served("bedrock", "", Some(region)).intensity);
    let low = regions.iter().map(|region| region.grams.get()).fold(f64::INFINITY, f64::min);
    let high = regions.iter().map(|region| region.grams.get()).fold(0.0, f64::max);
    assert!((low..=high).contains(&japan.grams.get()), "{japan:?}");
}

#[test]
fn a_name_of_bedrock_says_who_served_and_its_arn_says_where() {
    let model = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0";
    let paris = served("aws.bedrock", model, Some("eu-west-3"));
    assert_eq!(paris, RemotePlace::of(Grid::builtin(), "aws.bedrock", Some("eu-west-3"), Some(2024)));
    let arn = format!("arn:aws:bedrock:eu-west-3:123456789012:inference-profile/{model}");
    assert_eq!(served("aws.bedrock", &arn, None), paris);
    // A framework, the maker, and a region of nobody's all leave what the name says.
    for (provider, region) in [("strands-agents", None), ("anthropic", None), ("bedrock", Some("mars-1"))] {
        assert_eq!(served(provider, model, region), served("aws.bedrock", model, None), "{provider}");
    }
    assert_eq!(served("anthropic", "claude-sonnet-4-5", None).pue.ratio, Ratio::new(1.115));
    // The model that answered bears no profile where the one asked for does.
    let models = ["claude-sonnet-4-5-20250929", model];
    let asked = RemotePlace::of_models(Grid::builtin(), "aws.bedrock", models, None, Some(2024));
    assert_eq!(asked, served("aws.bedrock", model, None));
    // A cloud keeps its own grid, whatever the name says.
    assert_eq!(served("azure", model, None), served("azure", "gpt-4o", None));
    let sweden = RemotePlace::of(Grid::builtin(), "azure", Some("swedencentral"), Some(2024));
    assert_eq!(served("azure", "us.anthropic.claude", Some("swedencentral")), sweden);
}

proptest! {
    #[test]
    fn no_address_panics(address in "\\PC{0,30}|[0-9a-f:.\\[\\]/]{0,30}") {
        let _answer = LocalAddresses::default().contains(&address);
    }
}
