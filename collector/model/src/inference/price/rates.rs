//! Prices as rates: USD for each million tokens of a kind, which may rise with the length of the input.

use wattline_core::Usd;
use wattline_core::reading::TokenUsage;

use super::NoPrice;

/// Prices are stated for so many tokens.
const MILLION: f64 = 1e6;

/// USD for a million tokens of each kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PerMillion {
    /// Input that is in no cache.
    pub input: f64,
    /// Input read from a cache.
    pub cache_read: f64,
    /// Input written to a cache for the usual five minutes.
    pub cache_write: f64,
    /// Input written to a cache for an hour.
    pub cache_write_1h: f64,
    /// Output without reasoning.
    pub output: f64,
    /// Output that is reasoning.
    pub reasoning: f64,
}

/// The rates of one model at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Rates {
    /// Where they are from: the published list with its version, or `configuration`.
    pub source: &'static str,
    /// Price of a call, whatever its tokens.
    pub call: Usd,
    /// The rates of the shortest inputs.
    pub base: PerMillion,
    /// The rates of a call whose whole input has more tokens than stated here, in rising order.
    pub above: Vec<(u64, PerMillion)>,
}

impl Rates {
    /// Rates of the user's own, which depend on no length.
    pub(super) const fn own(base: PerMillion) -> Self {
        Self { source: "configuration", call: Usd::ZERO, base, above: Vec::new() }
    }

    /// The price of tokens whose counts add up, of so many calls of equal length.
    ///
    /// Summed in the order in which the crate sums, so that the answer is the crate's to the last digit or nearly so.
    pub(crate) fn price(&self, tokens: &TokenUsage, calls: u64) -> Result<Usd, NoPrice> {
        let TokenUsage { input, output, cache_read, cache_write, cache_write_1h, reasoning } = *tokens;
        let length = input / calls.max(1);
        let rates = self.above.iter().rev().find(|(above, _)| length > *above).map_or(&self.base, |(_, rates)| rates);
        let of = |rate: f64, count: u64| rate * count as f64 / MILLION;
        let plain = input.saturating_sub(cache_read).saturating_sub(cache_write);
        let usd_in = of(rates.cache_read, cache_read)
            + of(rates.cache_write_1h, cache_write_1h)
            + of(rates.cache_write, cache_write.saturating_sub(cache_write_1h))
            + of(rates.input, plain);
        let usd_out = of(rates.output, output.saturating_sub(reasoning)) + of(rates.reasoning, reasoning);
        let usd = self.call.get() * calls.max(1) as f64 + (usd_in + usd_out);
        if usd.is_finite() && usd >= 0.0 { Ok(Usd::new(usd)) } else { Err(NoPrice::TokenCounts) }
    }
}
