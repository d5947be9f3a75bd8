use std::time::UNIX_EPOCH;

use genai_prices::{Calculator, ErrorKind, PriceRequest, Usage, UsageKey};
use proptest::prelude::*;
use wattline_core::NanoUsd;

use super::listed::{Missing, Part};
use super::*;
use crate::grid::table::Table;

/// 1 September 2026.
const AUTUMN_2026: Timestamp = day(20_697);

const fn day(since_1970: u64) -> Timestamp {
    Timestamp::from_unix_nanos(since_1970 * 86_400_000_000_000)
}

fn tokens(input: u64, cache_read: u64, cache_write: u64, output: u64) -> TokenUsage {
    TokenUsage { input, output, cache_read, cache_write, ..TokenUsage::default() }
}

fn sale<'a>(provider: &'a str, model: &'a str) -> Sale<'a> {
    Sale { provider, model, asked: None, tier: None, at: AUTUMN_2026 }
}

fn price(provider: &str, model: &str, tokens: &TokenUsage) -> Result<Usd, NoPrice> {
    TokenPrices::default().price(&sale(provider, model), tokens)
}

/// What the crate itself says, asked with all that it can be told.
fn of_the_crate(sale: &Sale<'_>, tokens: &TokenUsage) -> Result<f64, NoPrice> {
    let TokenUsage { input, output, cache_read, cache_write, cache_write_1h, reasoning } = *tokens;
    let counts = [
        (UsageKey::INPUT_TOKENS, input),
        (UsageKey::CACHE_READ_TOKENS, cache_read),
        (UsageKey::CACHE_WRITE_TOKENS, cache_write),
        (UsageKey::CACHE_WRITE_1H_TOKENS, cache_write_1h),
        (UsageKey::OUTPUT_TOKENS, output),
        (UsageKey::OUTPUT_REASONING_TOKENS, reasoning),
    ];
    let usage: Usage = counts.into_iter().map(|(key, count)| (key, count as f64)).collect();
    // Which name leads to a model is ours to find; what that costs is asked of the crate's own list.
    let listed = Listed::find(sale.provider, sale.model, list::tier(sale.tier), sale.at)?;
    let at = UNIX_EPOCH + std::time::Duration::from_nanos(sale.at.unix_nanos());
    let price = listed.ask(&usage, at).map_err(|_refused| NoPrice::UnknownModel)?;
    let mut request = PriceRequest::new(list::without_address(sale.model), &usage)
        .with_timestamp(at)
        .with_provider_id(&price.provider_id);
    request = match list::tier(sale.tier).map(str::to_ascii_lowercase).as_deref() {
        None => request,
        Some("batch") => request.with_price_context("processing", "batch"),
        Some(tier) => {
            let request = request.with_price_context("service_tier", tier);
            assert_eq!(Calculator::bundled().calculate(&request).unwrap(), price);
            return Ok(price.total_price);
        }
    };
    assert_eq!(Calculator::bundled().calculate(&request).unwrap(), price);
    Ok(price.total_price)
}

/// What the whole list of the crate and the part of ours say of a name at a seller.
fn agree(seller: Option<&str>, name: &str) {
    let usage = Usage::from([(UsageKey::INPUT_TOKENS, 300_000.0), (UsageKey::OUTPUT_TOKENS, 10.0)]);
    let mut request = PriceRequest::new(name, &usage).with_timestamp(UNIX_EPOCH);
    if let Some(seller) = seller {
        request = request.with_provider_id(seller);
    }
    let ours =
        Part::find(seller, name).and_then(|part| part.ask(PriceRequest::new(name, &usage).with_timestamp(UNIX_EPOCH)));
    let theirs = Calculator::bundled().calculate(&request).map_err(|error| match error.kind() {
        ErrorKind::ProviderNotFound => Missing::Seller,
        ErrorKind::ModelNotFound => Missing::Model,
        _ => Missing::Sense,
    });
    assert_eq!(ours, theirs, "{name} of {seller:?}");
}

#[test]
fn every_model_of_the_list_is_found_as_in_the_whole_list_under_all_its_names() {
    let mut models = 0;
    for provider in Calculator::bundled().providers() {
        for model in provider.models() {
            let (seller, id) = (provider.id(), model.id());
            agree(Some(seller), id);
            models += 1;
            if models % 11 == 0 {
                agree(None, id);
                agree(Some("litellm"), &format!("{seller}/{id}"));
                agree(Some("openrouter"), &format!("{seller}/{id}"));
                agree(Some(seller), &format!("{}-20251211:free", id.to_uppercase()));
            }
        }
    }
    assert!(models > 2_000, "{models}");
    for name in ["", "gpt-5", "claude-sonnet-4-5-20250929", "anthropic/claude-sonnet-4.5", "nobody's"] {
        for seller in [None, Some(""), Some(" OpenAI "), Some("LiteLLM"), Some("google"), Some("nobody")] {
            agree(seller, name);
        }
    }
}

#[test]
fn the_version_of_the_list_is_the_one_that_is_compiled_in() {
    let lock = include_str!("../../../../../Cargo.lock");
    let (name, version) = PRICE_LIST.split_once(' ').unwrap();
    assert!(lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n")));
    let vectors = Table::new(include_str!("../../../data/vectors/prices.csv"));
    assert_eq!(vectors.head("version"), Some(PRICE_LIST), "the test vectors are of another version");
    let table = Table::new(include_str!("../../../data/token_prices.txt"));
    assert_eq!(table.head("version"), Some(PRICE_LIST), "the table is of another version");
}

#[test]
fn the_python_package_gives_the_same_to_the_nano_dollar() {
    let vectors = Table::new(include_str!("../../../data/vectors/prices.csv"));
    let prices = TokenPrices::default();
    let mut seen = 0;
    for [provider, model, tier, seconds, input, cache_read, cache_write, cache_write_1h, output, reasoning, nano] in
        vectors.rows()
    {
        let number = |field: &str| field.parse::<u64>().unwrap();
        let usage = TokenUsage {
            input: number(input),
            output: number(output),
            cache_read: number(cache_read),
            cache_write: number(cache_write),
            cache_write_1h: number(cache_write_1h),
            reasoning: number(reasoning),
        };
        let at = Timestamp::from_unix_nanos(number(seconds) * 1_000_000_000);
        let sale = Sale { tier: Some(tier), at, ..sale(provider, model) };
        for _first_asked_then_kept in 0..2 {
            let usd = prices.price(&sale, &usage).unwrap();
            assert_eq!(NanoUsd::round(usd).get(), number(nano), "{provider} {model} {tier} {seconds}");
        }
        seen += 1;
    }
    assert_eq!(seen, VECTORS);
}

/// Rows of the table of vectors.
const VECTORS: usize = 41;

#[test]
fn each_kind_of_input_token_is_charged_once() {
    let of = |read, write, hour| {
        let usage = TokenUsage { cache_write_1h: hour, ..tokens(1_000_000, read, write, 0) };
        price("anthropic", "claude-sonnet-4-5", &usage).unwrap().get()
    };
    // Above 200,000 tokens of input each kind costs twice or so, by the maker's list.
    let plain = of(0, 0, 0);
    assert!((of(1_000_000, 0, 0) / plain - 0.1).abs() < 1e-9, "reading a cache costs a tenth");
    assert!((of(0, 1_000_000, 0) / plain - 1.25).abs() < 1e-9, "writing it a quarter more");
    assert!((of(0, 1_000_000, 1_000_000) / plain - 2.0).abs() < 1e-9, "for an hour twice as much");
}

#[test]
fn names_lead_to_the_same_price_however_they_are_addressed() {
    let of = |provider, model| price(provider, model, &tokens(1000, 0, 0, 1000));
    let plain = of("aws.bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0").unwrap();
    let arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0";
    assert_eq!(of("aws.bedrock", arn), Ok(plain));
    assert_eq!(of("aws.bedrock", "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0"), Ok(plain));
    assert_eq!(of("aws.bedrock", "my-router/bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0"), Ok(plain));
    // A framework sells nothing: the maker does.
    assert_eq!(of("strands-agents", "claude-sonnet-4-5"), of("anthropic", "claude-sonnet-4-5"));
    // A router answers with a name of its own; the model asked for helps.
    let routed = Sale { asked: Some("claude-sonnet-4-5"), ..sale("anthropic", "the-best") };
    assert_eq!(TokenPrices::default().price(&routed, &tokens(1000, 0, 0, 1000)), of("anthropic", "claude-sonnet-4-5"));
}

#[test]
fn what_cannot_be_priced_says_why() {
    let usage = tokens(10, 0, 0, 10);
    assert_eq!(price("openai", "gpt-nobody-knows", &usage), Err(NoPrice::UnknownModel));
    assert_eq!(price("ibm.watsonx.ai", "gpt-4o", &usage), Err(NoPrice::UnknownModel));
    assert_eq!(price("openai", "gpt-4o", &tokens(10, 8, 8, 1)), Err(NoPrice::TokenCounts));
    assert_eq!(price("openai", "", &usage), Err(NoPrice::UnknownModel));
    for nonsense in [
        TokenUsage { cache_write_1h: 3, ..tokens(10, 0, 2, 1) },
        TokenUsage { reasoning: 11, ..usage },
        tokens(10, u64::MAX, 11, 0),
    ] {
        assert_eq!(price("openai", "gpt-4o", &nonsense), Err(NoPrice::TokenCounts));
    }
}

#[test]
fn a_tier_has_the_price_that_is_listed_for_it_and_no_other() {
    let of = |provider, model, tier: Option<&str>, at| {
        let sale = Sale { tier, at, ..sale(provider, model) };
        TokenPrices::default().price(&sale, &tokens(1_000_000, 0, 0, 0)).map(Usd::get)
    };
    // The list has tiers of OpenAI from 12 October and batches from 14 October 2026 on.
    let later = day(20_750);
    assert_eq!(of("openai", "gpt-5", None, later), Ok(1.25));
    for word in ["default", "Auto", " standard ", ""] {
        assert_eq!(of("openai", "gpt-5", Some(word), later), Ok(1.25));
    }
    assert_eq!(of("openai", "gpt-5", Some("flex"), later), Ok(0.625));
    assert_eq!(of("openai", "gpt-5", Some("PRIORITY"), later), Ok(2.5));
    assert_eq!(of("anthropic", "claude-haiku-4-5", Some("batch"), later), Ok(0.5));
    assert_eq!(of("openai", "gpt-5", Some("flex"), AUTUMN_2026), Err(NoPrice::UnknownTier), "not listed for then");
    assert_eq!(of("aws.bedrock", "amazon.nova-lite-v1:0", Some("flex"), later), Err(NoPrice::UnknownTier));
    assert_eq!(of("openai", "gpt-nobody-knows", Some("flex"), later), Err(NoPrice::UnknownModel));
}

#[test]
fn a_price_of_ones_own_wins_over_the_list() {
    let own = "[[price]]\nmodel = 'gpt-5'\ninput = 1.0\noutput = 8.0\ncache_read = 0.05\nfrom = 2026-09-01\n\
        [[price]]\nmodel = 'house-*'\ninput = 0.5\noutput = 0.5\n";
    let prices = TokenPrices::new(PriceBook::parse(own).unwrap());
    let of = |model, at, usage| prices.price(&Sale { at, ..sale("openai", model) }, &usage).map(Usd::get);
    assert_eq!(of("gpt-5", AUTUMN_2026, tokens(1_000_000, 1_000_000, 0, 1_000_000)), Ok(8.05));
    let before = Timestamp::from_unix_nanos(AUTUMN_2026.unix_nanos() - 1);
    assert_eq!(of("gpt-5", before, tokens(1_000_000, 0, 0, 0)), Ok(1.25), "not before its date");
    assert_eq!(of("house-7b", AUTUMN_2026, tokens(1_000_000, 0, 0, 0)), Ok(0.5));
    let source = |model| prices.rates(&sale("openai", model)).map(|rates| rates.source);
    assert_eq!((source("gpt-5"), source("gpt-4o")), (Ok("configuration"), Ok(PRICE_LIST)));
    assert_eq!(of("gpt-4o", AUTUMN_2026, tokens(1_000_000, 0, 0, 0)), Ok(2.5), "others stay as listed");
    let asked = Sale { asked: Some("house-7b"), ..sale("openai", "gpt-4o") };
    assert_eq!(prices.price(&asked, &tokens(1_000_000, 0, 0, 0)).map(Usd::get), Ok(0.5));
}

#[test]
fn rates_are_found_with_the_lengths_at_which_they_rise() {
    let rates = |provider, model| Listed::find(provider, model, None, AUTUMN_2026).unwrap().rates().unwrap();
    let sonnet = rates("anthropic", "claude-sonnet-4-5");
    let expected = PerMillion {
        input: 3.0,
        cache_read: 0.3,
        cache_write: 3.75,
        cache_write_1h: 6.0,
        output: 15.0,
        reasoning: 15.0,
    };
    assert_eq!(sonnet.base, expected);
    let long = PerMillion {
        input: 6.0,
        cache_read: 0.6,
        cache_write: 7.5,
        cache_write_1h: 12.0,
        output: 22.5,
        reasoning: 22.5,
    };
    assert_eq!(sonnet.above, [(200_000, long)]);
    assert!(rates("openai", "gpt-4o").above.is_empty());
}

#[test]
fn a_price_that_depends_on_the_hour_follows_it() {
    // DeepSeek's nights were cheaper at first: the list has its hours in UTC.
    let prices = TokenPrices::default();
    let mut seen = std::collections::BTreeSet::new();
    for minute in 0..24 * 60 {
        let at = Timestamp::from_unix_nanos(day(20_300).unix_nanos() + minute * 60_000_000_000);
        let sale = Sale { at, ..sale("deepseek", "deepseek-chat") };
        let usage = tokens(1_000_000, 0, 0, 1_000_000);
        let usd = prices.price(&sale, &usage).unwrap().get();
        assert_eq!(Ok(usd), of_the_crate(&sale, &usage), "{minute}");
        seen.insert(NanoUsd::round(Usd::new(usd)));
    }
    assert!(seen.len() > 1, "{seen:?}");
}

/// Every model of the list, under its id.
fn any_model() -> impl Strategy<Value = (String, String)> {
    let providers = Calculator::bundled().providers();
    let all: Vec<_> = providers
        .flat_map(|provider| provider.models().map(move |model| (provider.id().to_owned(), model.id().to_owned())))
        .collect();
    prop::sample::select(all)
}

/// Counts near the lengths at which rates rise, and any others, which add up.
fn any_tokens() -> impl Strategy<Value = TokenUsage> {
    let near =
        prop::sample::select(vec![32_000u64, 100_000, 128_000, 199_999, 200_000, 256_000, 272_000, 512_000, 524_288]);
    let input = prop_oneof![
        0u64..2_000_000,
        0u64..1_000_000_000,
        (near, 0u64..3).prop_map(|(length, more)| length - 1 + more),
    ];
    (input, 0u64..1_000_000, 0.0..1.0f64, 0.0..1.0f64, 0.0..1.0f64, 0.0..1.0f64).prop_map(
        |(input, output, read, write, hour, reasoning)| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a whole")]
            let of = |whole: u64, share: f64| (whole as f64 * share) as u64;
            let cache_read = of(input, read);
            let cache_write = of(input - cache_read, write);
            let cache_write_1h = of(cache_write, hour);
            TokenUsage { input, output, cache_read, cache_write, cache_write_1h, reasoning: of(output, reasoning) }
        },
    )
}

fn any_time() -> impl Strategy<Value = Timestamp> {
    // From 2024 to the end of 2027, in seconds, and at the borders of half hours.
    let seconds = 1_704_067_200u64..1_830_297_600;
    (seconds, any::<bool>(), -1i64..=1).prop_map(|(seconds, at_border, off)| {
        let nanos = if at_border { seconds / 1800 * 1800 * 1_000_000_000 } else { seconds * 1_000_000_000 };
        Timestamp::from_unix_nanos(nanos.saturating_add_signed(off))
    })
}

#[test]
fn amazons_own_models_are_found_without_their_maker() {
    let prices = TokenPrices::default();
    let of = |provider, model| {
        let sale = Sale { provider, model, asked: None, tier: None, at: AUTUMN_2026 };
        prices.price(&sale, &tokens(1_000_000, 0, 0, 0))
    };
    for (cut, whole) in
        [("titan-embed-text-v2:0", "amazon.titan-embed-text-v2:0"), ("nova-lite-v1:0", "amazon.nova-lite-v1:0")]
    {
        assert!(of("aws.bedrock", whole).is_ok());
        assert_eq!(of("aws.bedrock", cut), of("aws.bedrock", whole));
    }
    assert_eq!(of("openai", "titan-embed-text-v2:0"), Err(NoPrice::UnknownModel));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_kept_price_is_the_crates_own(
        (provider, model) in any_model(),
        (at, usage) in (any_time(), any_tokens()),
        tier in prop::option::weighted(0.3, prop::sample::select(vec!["batch", "flex", "priority", "fast", "default"])),
    ) {
        let prices = TokenPrices::default();
        let sale = Sale { tier, at, ..sale(&provider, &model) };
        let first = prices.price(&sale, &usage);
        prop_assert_eq!(first, prices.price(&sale, &usage), "asked again");
        match (first, of_the_crate(&sale, &usage)) {
            (Ok(usd), Ok(expected)) => {
                prop_assert!((usd.get() - expected).abs() <= 1e-14 * expected, "{} is not {}", usd.get(), expected);
            }
            (kept, expected) => prop_assert_eq!(kept.map(Usd::get), expected),
        }
    }
}

proptest! {
    #[test]
    fn any_name_is_found_as_in_the_whole_list(
        seller in prop::option::of(prop::sample::select(vec!["openai", "google", "anthropic", "aws", "litellm", "x"])),
        name in "(gpt|claude|gemini|models|anthropic/claude|o|\\PC)[-./]?(4|5|3|pro|sonnet|\\PC){0,2}(-mini)?(-20[0-9]{6}|-2٠[0-9]{6})?[-:]?\\PC{0,3}",
    ) {
        agree(seller, &name);
    }

    #[test]
    fn nothing_that_comes_in_panics(
        (provider, model, tier) in ("\\PC{0,16}", "\\PC{0,24}", prop::option::of("\\PC{0,8}")),
        (input, output, read, at) in any::<(u64, u64, u64, u64)>(),
    ) {
        let sale = Sale { tier: tier.as_deref(), at: Timestamp::from_unix_nanos(at), ..sale(&provider, &model) };
        if let Ok(usd) = TokenPrices::default().price(&sale, &tokens(input, read, 0, output)) {
            prop_assert!(usd.get() >= 0.0);
        }
    }
}
