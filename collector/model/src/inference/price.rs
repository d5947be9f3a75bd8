//! What the tokens of a call cost, by the published list prices in the crate `genai-prices`.
//!
//! The crate holds its prices inside, reads nothing and sends nothing; given a time it does not look at the clock. Its
//! input counts include cached tokens, as ours do, and each kind of token is charged once.

use std::time::{Duration, UNIX_EPOCH};

use genai_prices::{Calculator, ErrorKind, PriceCalculation, PriceRequest, Usage, UsageKey};
use wattline_core::reading::TokenUsage;
use wattline_core::{Timestamp, Usd};

/// Why a call has no price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoPrice {
    /// No table has the model, or not with this provider.
    UnknownModel,
    /// The token counts contradict each other: more cached tokens than input.
    TokenCounts,
}

/// Providers whose name in `gen_ai.provider.name` is another than in the price table.
const PROVIDERS: &[(&str, &str)] = &[
    ("aws.bedrock", "aws"),
    ("aws_bedrock", "aws"),
    ("bedrock", "aws"),
    ("azure.ai.inference", "azure"),
    ("azure.ai.openai", "azure"),
    ("az.ai.inference", "azure"),
    ("az.ai.openai", "azure"),
    ("gcp.gemini", "google"),
    ("gcp.gen_ai", "google"),
    ("gcp.vertex_ai", "google"),
    ("gemini", "google"),
    ("vertex_ai", "google"),
    ("mistral_ai", "mistral"),
    ("mistralai", "mistral"),
    ("moonshot_ai", "moonshotai"),
    ("x_ai", "x-ai"),
    ("xai", "x-ai"),
];

/// Providers that sell others' models at prices of their own, which the table does not have: the maker's price would
/// be the wrong one.
const NOT_IN_THE_TABLE: &[&str] = &["ibm.watsonx.ai"];

/// The list price of a call's tokens at the time of the call. `provider` is the value of `gen_ai.provider.name`; where it
/// names a framework and no seller, the model's maker is taken for the seller.
pub fn price(provider: &str, model: &str, tokens: &TokenUsage, at: Timestamp) -> Result<Usd, NoPrice> {
    let TokenUsage { input, output, cache_read, cache_write, reasoning: _ } = *tokens;
    if cache_read.saturating_add(cache_write) > input {
        return Err(NoPrice::TokenCounts);
    }
    let mut usage = Usage::from([(UsageKey::INPUT_TOKENS, input as f64), (UsageKey::OUTPUT_TOKENS, output as f64)]);
    if cache_read > 0 {
        usage.insert(UsageKey::CACHE_READ_TOKENS, cache_read as f64);
    }
    if cache_write > 0 {
        usage.insert(UsageKey::CACHE_WRITE_TOKENS, cache_write as f64);
    }
    let provider = provider.trim().to_ascii_lowercase();
    if NOT_IN_THE_TABLE.contains(&provider.as_str()) {
        return Err(NoPrice::UnknownModel);
    }
    let seller = PROVIDERS.iter().find(|(ours, _)| *ours == provider).map_or(provider.as_str(), |(_, theirs)| theirs);
    let calculated = look_up(Some(seller), model, &usage, at)?;
    let usd = calculated.total_price;
    if usd.is_finite() && usd >= 0.0 { Ok(Usd::new(usd)) } else { Err(NoPrice::TokenCounts) }
}

/// Decodes the price table now, which takes tens of milliseconds, and not with the first call.
pub fn prepare() {
    let _decoded = Calculator::bundled();
}

fn look_up(seller: Option<&str>, model: &str, usage: &Usage, at: Timestamp) -> Result<PriceCalculation, NoPrice> {
    let name = without_address(model);
    let mut request = PriceRequest::new(name, usage).with_timestamp(UNIX_EPOCH + Duration::from_nanos(at.unix_nanos()));
    if let Some(seller) = seller {
        request = request.with_provider_id(seller);
    }
    match Calculator::bundled().calculate(&request) {
        Ok(price) => Ok(price),
        Err(error) => match (error.kind(), name.rsplit_once('/')) {
            (ErrorKind::InvalidUsage, _) => Err(NoPrice::TokenCounts),
            (ErrorKind::ProviderNotFound, _) if seller.is_some() => look_up(None, model, usage, at),
            // A path in front of the name, as routers and registries write it.
            (ErrorKind::ModelNotFound, Some((_, last))) => look_up(seller, last, usage, at),
            _ => Err(NoPrice::UnknownModel),
        },
    }
}

/// The model's own name in an ARN or behind `models/`.
fn without_address(model: &str) -> &str {
    let model = model.trim();
    if model.starts_with("arn:") {
        model.rsplit('/').next().unwrap_or(model)
    } else {
        model.trim_start_matches("models/")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wattline_core::NanoUsd;

    use super::*;
    use crate::grid::table::Table;

    const AUTUMN_2026: Timestamp = Timestamp::from_unix_nanos(1_788_220_800_000_000_000);

    fn tokens(input: u64, cache_read: u64, cache_write: u64, output: u64) -> TokenUsage {
        TokenUsage { input, output, cache_read, cache_write, reasoning: 0 }
    }

    #[test]
    fn the_python_package_gives_the_same_to_the_nano_dollar() {
        let vectors = Table::new(include_str!("../../data/vectors/prices.csv"));
        let mut seen = 0;
        for [provider, model, seconds, input, read, write, output, nano] in vectors.rows() {
            let number = |field: &str| field.parse::<u64>().unwrap();
            let usage = tokens(number(input), number(read), number(write), number(output));
            let at = Timestamp::from_unix_nanos(number(seconds) * 1_000_000_000);
            let usd = price(provider, model, &usage, at).unwrap();
            assert_eq!(NanoUsd::round(usd).get(), number(nano), "{provider} {model}");
            seen += 1;
        }
        assert_eq!(seen, 18);
    }

    #[test]
    fn each_kind_of_input_token_is_charged_once() {
        let of = |read, write| {
            price("anthropic", "claude-sonnet-4-5", &tokens(1_000_000, read, write, 0), AUTUMN_2026).unwrap().get()
        };
        // Above 200,000 tokens of input each kind costs twice or so, by the maker's list.
        let (plain, all_read, all_written) = (of(0, 0), of(1_000_000, 0), of(0, 1_000_000));
        assert!((all_read / plain - 0.1).abs() < 1e-9, "reading a cache costs a tenth");
        assert!((all_written / plain - 1.25).abs() < 1e-9, "writing it a quarter more");
    }

    #[test]
    fn names_lead_to_the_same_price_however_they_are_addressed() {
        let of = |provider, model| price(provider, model, &tokens(1000, 0, 0, 1000), AUTUMN_2026);
        let plain = of("aws.bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0").unwrap();
        let arn =
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0";
        assert_eq!(of("aws.bedrock", arn), Ok(plain));
        assert_eq!(of("aws.bedrock", "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0"), Ok(plain));
        // A framework sells nothing: the maker does.
        assert_eq!(of("strands-agents", "claude-sonnet-4-5"), of("anthropic", "claude-sonnet-4-5"));
    }

    #[test]
    fn what_cannot_be_priced_says_why() {
        let usage = tokens(10, 0, 0, 10);
        assert_eq!(price("openai", "gpt-nobody-knows", &usage, AUTUMN_2026), Err(NoPrice::UnknownModel));
        assert_eq!(price("ibm.watsonx.ai", "gpt-4o", &usage, AUTUMN_2026), Err(NoPrice::UnknownModel));
        assert_eq!(price("openai", "gpt-4o", &tokens(10, 8, 8, 1), AUTUMN_2026), Err(NoPrice::TokenCounts));
        assert_eq!(price("openai", "", &usage, AUTUMN_2026), Err(NoPrice::UnknownModel));
    }

    proptest! {
        #[test]
        fn nothing_that_comes_in_panics(provider in "\\PC{0,16}", model in "\\PC{0,24}", input: u64, output: u64, read: u64, at: u64) {
            let usage = tokens(input, read, 0, output);
            if let Ok(usd) = price(&provider, &model, &usage, Timestamp::from_unix_nanos(at)) {
                prop_assert!(usd.get() >= 0.0);
            }
        }
    }
}
