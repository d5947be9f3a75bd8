//! What the tokens of a call cost: by prices of the user's own, else by the published list prices in the crate
//! `genai-prices`.
//!
//! Its prices are a table here (`listed`), of which the crate decodes what a name may mean. It reads nothing and sends
//! nothing; given a time it does not look at the clock. Its input counts include cached tokens, as ours do, and each kind of token is charged once.
//!
//! Looking up a model takes the crate microseconds, more than all else that is done to a call, so what it answers is
//! kept as rates: see [`rates`]. An agent sees few models; a stranger who names many makes it slower, not larger.

mod kept;
pub(crate) mod list;
mod listed;
pub(crate) mod rates;

use std::sync::{Mutex, PoisonError};

use wattline_core::reading::{Inference, TokenUsage};
use wattline_core::{Timestamp, Usd};

use self::kept::{Kept, Question};
use self::list::{HalfHour, Listed};
pub use self::rates::{PerMillion, Rates};

use crate::cost::PriceBook;

/// The published list in use, with its version, as figures name their source.
pub const PRICE_LIST: &str = "genai-prices 0.2.1";

/// Why a call has no price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoPrice {
    /// No table has the model, or not with this provider.
    UnknownModel,
    /// The model has a price, but none at this service tier and time: that of another tier would be a guess.
    UnknownTier,
    /// The token counts contradict each other: more cached tokens than input.
    TokenCounts,
}

/// What decides the price of a token.
#[derive(Clone, Copy, Debug)]
pub struct Sale<'a> {
    /// The value of `gen_ai.provider.name`. Where it names a framework and no seller, the model's maker is taken for
    /// the seller.
    pub provider: &'a str,
    /// The model that answered, under any of its names.
    pub model: &'a str,
    /// The model that was asked for, which helps where the answer's name says nothing.
    pub asked: Option<&'a str>,
    /// The service tier in the provider's word. `default`, `standard` and their like are the list price, as no word is;
    /// `batch` is the price of batches.
    pub tier: Option<&'a str>,
    /// The time of the call.
    pub at: Timestamp,
}

impl<'a> Sale<'a> {
    fn of(call: &'a Inference) -> Self {
        Self {
            provider: &call.key.provider,
            model: &call.key.model,
            asked: call.request_model.as_deref(),
            tier: call.service_tier.as_deref(),
            at: call.start,
        }
    }
}

/// The prices of tokens in force: the user's own before the published ones.
#[derive(Debug, Default)]
pub struct TokenPrices {
    own: PriceBook,
    kept: Mutex<Kept>,
}

impl TokenPrices {
    /// Prices with those of the user's own before the published ones.
    pub fn new(own: PriceBook) -> Self {
        Self { own, kept: Mutex::default() }
    }

    /// The price of a call that was made.
    pub fn of_call(&self, call: &Inference) -> Result<Usd, NoPrice> {
        self.price(&Sale::of(call), &call.usage)
    }

    /// The price of so many tokens in one call.
    pub fn price(&self, sale: &Sale<'_>, tokens: &TokenUsage) -> Result<Usd, NoPrice> {
        if !adds_up(tokens) {
            return Err(NoPrice::TokenCounts);
        }
        let Sale { provider, model, asked, tier, at } = *sale;
        let half_hour = HalfHour::of(at);
        let question = Question { provider, model, asked, tier, half_hour };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rates) = kept.rates(&question) {
            return rates.as_ref().map_err(|why| *why)?.price(tokens, 1);
        }
        let (rates, lasts) = self.find(sale, half_hour);
        let price = rates.as_ref().map_err(|why| *why).and_then(|rates| rates.price(tokens, 1));
        if lasts {
            kept.keep(&question, rates);
        }
        price
    }

    /// The rates for a call that was made, and whether they are the same for the whole half hour.
    pub(super) fn rates_of(&self, call: &Inference) -> (Result<Rates, NoPrice>, bool) {
        let sale = Sale::of(call);
        let half_hour = HalfHour::of(sale.at);
        let Sale { provider, model, asked, tier, at: _ } = sale;
        let question = Question { provider, model, asked, tier, half_hour };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rates) = kept.rates(&question) {
            return (rates.clone(), true);
        }
        let (rates, lasts) = self.find(&sale, half_hour);
        if lasts {
            kept.keep(&question, rates.clone());
        }
        (rates, lasts)
    }

    /// The rates in force for a sale, with their source: what a price is made of.
    pub fn rates(&self, sale: &Sale<'_>) -> Result<Rates, NoPrice> {
        self.find(sale, HalfHour::of(sale.at)).0
    }

    /// Answers that had to be dropped because too many models were named; each costs microseconds to find again.
    pub fn dropped(&self) -> u64 {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).dropped()
    }

    /// The rates of a sale, and whether they are the same for the whole half hour.
    fn find(&self, sale: &Sale<'_>, half_hour: HalfHour) -> (Result<Rates, NoPrice>, bool) {
        let names = || std::iter::once(sale.model).chain(sale.asked);
        let tier = list::tier(sale.tier);
        if let Some(own) = names().find_map(|model| self.own.find(sale.provider, model, tier, sale.at)) {
            // Prices of the user's own begin at midnight, which is the end of a half hour.
            return (Ok(Rates::own(own)), true);
        }
        let mut answer = (Err(NoPrice::UnknownModel), true);
        // An instrumentation cuts off who made a model of Amazon Bedrock. Amazon's own are listed with it only.
        let is_cut =
            |model: &&str| list::seller(sale.provider) == AWS && AMAZONS.iter().any(|own| model.starts_with(own));
        let whole = names().find(is_cut).map(|model| format!("amazon.{model}"));
        for model in names().chain(whole.as_deref()) {
            answer = match Listed::find(sale.provider, model, tier, sale.at) {
                Ok(listed) if listed.lasts(half_hour) => (listed.rates(), true),
                Ok(listed) => (listed.rates(), false),
                Err(why) => (Err(why), answer.1),
            };
            if answer.0 != Err(NoPrice::UnknownModel) {
                break;
            }
        }
        answer
    }
}

/// What the price list calls Amazon Bedrock.
const AWS: &str = "aws";
/// How the names of Amazon's own models begin.
const AMAZONS: [&str; 2] = ["nova-", "titan-"];

/// False where the counts contradict each other, so that no sum of prices could be right.
pub(super) fn adds_up(tokens: &TokenUsage) -> bool {
    let TokenUsage { input, output, cache_read, cache_write, cache_write_1h, reasoning } = *tokens;
    let cached = cache_read.checked_add(cache_write);
    cached.is_some_and(|cached| cached <= input) && cache_write_1h <= cache_write && reasoning <= output
}

#[cfg(test)]
mod tests;
