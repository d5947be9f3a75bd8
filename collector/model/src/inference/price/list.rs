//! The published list prices in the crate `genai-prices`, read out as rates.
//!
//! The crate answers questions and shows no table. But a price is a rate times a count of tokens, so a question about
//! one kind of token gives its rate, and lengths of input at which rates change are found by halving.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use genai_prices::{PriceCalculation, PriceRequest, Usage, UsageKey};
use wattline_core::{Timestamp, Usd};

use super::listed::{Missing, Part};
use super::rates::{PerMillion, Rates};
use super::{NoPrice, PRICE_LIST};
use crate::inference::provider::canonical;

/// Providers whose name in `gen_ai.provider.name` is another than in the price table.
const PROVIDERS: &[(&str, &str)] = &[
    ("aws.bedrock", "aws"),
    ("azure.ai.inference", "azure"),
    ("azure.ai.openai", "azure"),
    ("gcp.gemini", "google"),
    ("gcp.gen_ai", "google"),
    ("gcp.vertex_ai", "google"),
    ("mistral_ai", "mistral"),
    ("moonshot_ai", "moonshotai"),
    ("x_ai", "x-ai"),
    ("xai", "x-ai"),
];

/// Providers that sell others' models at prices of their own, which the table does not have: the maker's price would
/// be the wrong one.
const NOT_IN_THE_TABLE: &[&str] = &["ibm.watsonx.ai"];

/// Words of providers for the tier that has the list price. `auto` is asked for and not served; where the answer tells
/// no other tier, the list price is what most such calls cost.
const LIST_PRICE: &[&str] = &["auto", "default", "on_demand", "standard", "standard_only"];

/// An input longer than any at which rates rise: a thousand times what the longest context holds.
const LONG_INPUT: u64 = 1 << 30;

/// Nanoseconds in half an hour.
const HALF_HOUR_NANOS: u64 = 1_800_000_000_000;

/// Half an hour of civil time. List prices change at midnight UTC and, where they depend on the time of day, on the
/// hour or half past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HalfHour(u64);

impl HalfHour {
    pub(crate) const fn of(at: Timestamp) -> Self {
        Self(at.unix_nanos() / HALF_HOUR_NANOS)
    }

    pub(super) const fn number(self) -> u64 {
        self.0
    }

    fn first(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.0 * HALF_HOUR_NANOS)
    }

    fn last(self) -> SystemTime {
        self.first() + Duration::from_nanos(HALF_HOUR_NANOS - 1)
    }
}

/// The tier in lower case; `None` for the one that has the list price.
pub(crate) fn tier(word: Option<&str>) -> Option<&str> {
    word.map(str::trim)
        .filter(|word| !word.is_empty() && !LIST_PRICE.iter().any(|list| list.eq_ignore_ascii_case(word)))
}

/// The seller's name in the price table for a value of `gen_ai.provider.name`.
pub(crate) fn seller(provider: &str) -> String {
    let provider = canonical(provider);
    PROVIDERS.iter().find(|(ours, _)| *ours == provider).map_or(provider, |(_, theirs)| (*theirs).to_owned())
}

/// A model that the table has.
pub(super) struct Listed<'a> {
    part: Arc<Part>,
    model: &'a str,
    /// In lower case.
    tier: Option<String>,
    at: SystemTime,
}

impl<'a> Listed<'a> {
    /// Finds the model at this seller, at this tier.
    pub(super) fn find(provider: &str, model: &'a str, tier: Option<&str>, at: Timestamp) -> Result<Self, NoPrice> {
        let seller = seller(provider);
        if NOT_IN_THE_TABLE.contains(&seller.as_str()) {
            return Err(NoPrice::UnknownModel);
        }
        let name = without_address(model);
        let (mut seller, mut model) = (Some(seller), name);
        let at = UNIX_EPOCH + Duration::from_nanos(at.unix_nanos());
        let tier = tier.map(str::to_ascii_lowercase);
        let found = |seller: Option<&str>, model| {
            let part = Arc::new(Part::find(seller, model)?);
            let listed = Self { part, model, tier: tier.clone(), at };
            listed.ask(&Usage::new(), at).map(|_price| listed)
        };
        // A path may stand in front of the name, as routers and registries write it: first without its first part,
        // then without all of it.
        let (first, last) = (name.split_once('/'), name.rsplit_once('/'));
        let mut shorter = [first, last].into_iter().flatten().map(|(_path, name)| name);
        let listed = loop {
            match found(seller.as_deref(), model) {
                Ok(listed) => break listed,
                // The model may tell its seller.
                Err(Missing::Seller) if seller.is_some() => seller = None,
                Err(Missing::Model) => model = shorter.next().ok_or(NoPrice::UnknownModel)?,
                Err(Missing::Seller | Missing::Sense) => return Err(NoPrice::UnknownModel),
            }
        };
        if listed.tier.is_some() && !listed.has_tier() {
            return Err(NoPrice::UnknownTier);
        }
        Ok(listed)
    }

    /// The rates at the time asked for.
    pub(super) fn rates(&self) -> Result<Rates, NoPrice> {
        let call = self.answer(&Usage::new())?.total_price;
        let mut above = Vec::new();
        for threshold in self.thresholds()? {
            above.push((threshold, self.rates_of(threshold + 1)?));
        }
        Ok(Rates { source: PRICE_LIST, call: Usd::new(call), base: self.rates_of(1)?, above })
    }

    /// True when all rates stay the same for the whole half hour.
    pub(super) fn lasts(&self, half_hour: HalfHour) -> bool {
        [1, LONG_INPUT].into_iter().all(|input| {
            let [first, now, last] =
                [half_hour.first(), self.at, half_hour.last()].map(|at| self.ask(&mixed(input), at).ok());
            first.is_some() && first == now && now == last
        })
    }

    /// Whether the table has prices for the tier. Where it has none the crate answers with the list price, so a tier
    /// is known by a price of its own.
    fn has_tier(&self) -> bool {
        let plain = Self { part: Arc::clone(&self.part), tier: None, ..*self };
        [1, LONG_INPUT].into_iter().any(|input| {
            let usage = mixed(input);
            self.ask(&usage, self.at).ok() != plain.ask(&usage, self.at).ok()
        })
    }

    /// Lengths of input beyond which the rates are others, in rising order. Found by halving, on the assumption that
    /// rates which are the same at two lengths are the same between them; the tests hold it against the list.
    fn thresholds(&self) -> Result<Vec<u64>, NoPrice> {
        let (short, long) = (self.mean_rates(1)?, self.mean_rates(LONG_INPUT)?);
        let (mut found, mut open) = (Vec::new(), vec![((1, short), (LONG_INPUT, long))]);
        while let Some((low, high)) = open.pop() {
            if low.1 == high.1 {
                continue;
            }
            if high.0 - low.0 == 1 {
                found.push(low.0);
                continue;
            }
            let middle = low.0.midpoint(high.0);
            let middle = (middle, self.mean_rates(middle)?);
            open.push((middle, high));
            open.push((low, middle));
        }
        Ok(found)
    }

    /// A number for the rates of input and one for those of output: the same numbers, the same rates.
    fn mean_rates(&self, input: u64) -> Result<(f64, f64), NoPrice> {
        let answer = self.answer(&mixed(input))?;
        Ok((decimal(answer.input_price / input as f64), decimal(answer.output_price / input as f64)))
    }

    /// The rates of calls with so many tokens of input.
    fn rates_of(&self, input: u64) -> Result<PerMillion, NoPrice> {
        let rates = |keys: &[UsageKey]| {
            let keys = std::iter::once(UsageKey::INPUT_TOKENS).chain(keys.iter().cloned());
            let answer = self.answer(&keys.map(|key| (key, input as f64)).collect())?;
            Ok([answer.input_price, answer.output_price].map(|usd| decimal(usd / input as f64 * 1e6)))
        };
        let [plain, _] = rates(&[])?;
        let [cache_read, _] = rates(&[UsageKey::CACHE_READ_TOKENS])?;
        let [cache_write, _] = rates(&[UsageKey::CACHE_WRITE_TOKENS])?;
        let [cache_write_1h, _] = rates(&[UsageKey::CACHE_WRITE_TOKENS, UsageKey::CACHE_WRITE_1H_TOKENS])?;
        let [_, output] = rates(&[UsageKey::OUTPUT_TOKENS])?;
        let [_, reasoning] = rates(&[UsageKey::OUTPUT_TOKENS, UsageKey::OUTPUT_REASONING_TOKENS])?;
        Ok(PerMillion { input: plain, cache_read, cache_write, cache_write_1h, output, reasoning })
    }

    fn answer(&self, usage: &Usage) -> Result<PriceCalculation, NoPrice> {
        self.ask(usage, self.at).map_err(|_no_price| NoPrice::UnknownModel)
    }

    /// What the crate says.
    pub(super) fn ask(&self, usage: &Usage, at: SystemTime) -> Result<PriceCalculation, Missing> {
        let mut request = PriceRequest::new(self.model, usage).with_timestamp(at);
        if let Some(tier) = &self.tier {
            request = match tier.as_str() {
                "batch" => request.with_price_context("processing", "batch"),
                tier => request.with_price_context("service_tier", tier),
            };
        }
        self.part.ask(request)
    }
}

/// Tokens of every kind, so that a change of any rate changes the price.
fn mixed(input: u64) -> Usage {
    let input = input as f64;
    Usage::from([
        (UsageKey::INPUT_TOKENS, input),
        (UsageKey::CACHE_READ_TOKENS, input / 8.0),
        (UsageKey::CACHE_WRITE_TOKENS, input / 2.0),
        (UsageKey::CACHE_WRITE_1H_TOKENS, input / 8.0),
        (UsageKey::OUTPUT_TOKENS, input),
        (UsageKey::OUTPUT_REASONING_TOKENS, input / 4.0),
    ])
}

/// The decimal number of at most fourteen digits next to this one. Prices are written with fewer, so what was lost by
/// multiplying and dividing comes back.
fn decimal(number: f64) -> f64 {
    format!("{number:.13e}").parse().unwrap_or(number)
}

/// The model's own name in an ARN or behind `models/`.
pub(crate) fn without_address(model: &str) -> &str {
    let model = model.trim();
    if model.starts_with("arn:") {
        model.rsplit('/').next().unwrap_or(model)
    } else {
        model.trim_start_matches("models/")
    }
}
