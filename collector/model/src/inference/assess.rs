//! One call: who served it, what that drew and emitted, what it cost, and what no table knows.

use wattline_core::reading::{CallKind, Doubts, Inference, TokenUsage};
use wattline_core::{GramsCo2e, Joules, Timestamp, Uncertainty, Usd};

use super::ecologits::{InputWeights, Served};
use super::models;
use super::place::{LocalAddresses, Origin, RemotePlace, origin};
use super::price::list::HalfHour;
use super::price::{NoPrice, Rates, TokenPrices, adds_up};
use crate::grid::{Grid, civil_year};

/// Published figures for making servers and GPUs differ this much: the logarithm's standard deviation.
/// Source: GPUs 164 to 575 kg by maker's declaration and parametric model, servers likewise.
const EMBODIED_SIGMA: f64 = 0.45;

/// What must be known beside the call itself.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// When the call is booked: no series starts later than this.
    pub now: Timestamp,
    /// The carbon intensities of grids.
    pub grid: &'a Grid,
    /// Which addresses are engines of one's own.
    pub local: &'a LocalAddresses,
    /// What tokens cost.
    pub prices: &'a TokenPrices,
    /// What tokens of input count for in a remote call's energy.
    pub weights: InputWeights,
}

/// What no table knows of a call: the value of `wattline.reason` on `inference.unknown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Unknown {
    /// The model's size, so there is no energy.
    ModelParameters,
    /// The price.
    Price,
    /// How many tokens there were: none are stated for a call that succeeded, or they contradict each other.
    TokenCounts,
    /// What the operation draws and costs: it is none that the tables are about.
    Operation,
    /// Whether the input counts cached tokens; it is taken to.
    CachedInput,
    /// When it was; it is booked as of its arrival.
    Clock,
}

impl Unknown {
    /// The word in attributes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ModelParameters => "model_parameters",
            Self::Price => "price",
            Self::TokenCounts => "token_counts",
            Self::Operation => "operation",
            Self::CachedInput => "cached_input",
            Self::Clock => "clock",
        }
    }
}

/// What a remote call drew and emitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RemoteEnergy {
    /// By which model: [`NAME`](super::ecologits::NAME) or [`NAME_WITH_INPUT`](super::ecologits::NAME_WITH_INPUT).
    pub model: &'static str,
    /// Energy of the machines, without the facility's overhead.
    pub energy: Joules,
    /// Carbon of the electricity of machines and facility.
    pub operational: GramsCo2e,
    /// The call's share of what making the machines emitted.
    pub embodied: GramsCo2e,
    /// How wrong the energy may be; more where input is long, which has no term in the model.
    pub energy_uncertainty: Uncertainty,
    /// How wrong the carbon of the electricity may be: energy, facility and grid.
    pub operational_uncertainty: Uncertainty,
    /// How wrong the carbon of making the machines may be: the call's share of them and what making them emitted. Neither
    /// facility nor grid is in it.
    pub embodied_uncertainty: Uncertainty,
    /// How wrong the sum of both carbons may be.
    pub carbon_uncertainty: Uncertainty,
}

/// What is made of one call as it was seen, before it is scaled by its sampling probability.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment {
    /// Who served it.
    pub origin: Origin,
    /// Its energy and carbon; `None` for a local call, and where the model is unknown.
    pub energy: Option<RemoteEnergy>,
    /// Its list price; `None` for a local call, and where the price is unknown.
    pub cost: Option<Usd>,
    /// What could not be told. Of a local call, whose energy is told elsewhere, only what its sender left open.
    pub unknown: Vec<Unknown>,
}

/// Assesses one call. A call that failed before any token came back draws and costs nothing; one that stopped halfway
/// is assessed by the tokens it has.
pub fn assess(call: &Inference, context: &Context<'_>) -> Assessment {
    assess_sum(call, 1, context)
}

/// Assesses `calls` together, of which `call` has the sums. Prices and ranges depend on the length of one: all are taken
/// to be as long as the mean.
pub(super) fn assess_sum(call: &Inference, calls: u64, context: &Context<'_>) -> Assessment {
    Judged::of(call, context).assess(call, calls, context)
}

/// What tables and configuration say of a kind of call, whatever its tokens: looking it up costs more than to reckon
/// with it. It holds for one context.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    origin: Origin,
    served: Option<Served>,
    /// Where calls of a year were served.
    place: Option<(Option<u16>, RemotePlace)>,
    /// The rates of half an hour.
    rates: Option<(HalfHour, Result<Rates, NoPrice>)>,
}

impl Judged {
    /// Looks up what all calls of a kind have in common.
    pub(super) fn of(kind: &CallKind, context: &Context<'_>) -> Self {
        // The model that answered decides; one asked for under another name helps where the answer's name says nothing.
        let model = models::find(&kind.key.model).or_else(|| kind.request_model.as_deref().and_then(models::find));
        Self {
            origin: origin(kind, context.local),
            served: model.map(|model| Served::new(&model.parameters)),
            place: None,
            rates: None,
        }
    }

    /// Assesses a call of this kind, or `calls` of which it has the sums.
    pub(super) fn assess(&mut self, call: &Inference, calls: u64, context: &Context<'_>) -> Assessment {
        let mut assessment = Assessment { origin: self.origin, energy: None, cost: None, unknown: Vec::new() };
        let Doubts { cached_input, clock, operation } = call.doubts;
        for (is_open, reason) in
            [(cached_input, Unknown::CachedInput), (clock, Unknown::Clock), (operation, Unknown::Operation)]
        {
            if is_open {
                assessment.unknown.push(reason);
            }
        }
        let TokenUsage { input, output, .. } = call.usage;
        if self.origin == Origin::Local || operation || (output == 0 && call.error.is_some()) {
            return assessment;
        }
        if input == 0 && output == 0 {
            assessment.unknown.push(Unknown::TokenCounts);
            return assessment;
        }
        assessment.energy = self.remote_energy(call, calls, context);
        if assessment.energy.is_none() {
            assessment.unknown.push(Unknown::ModelParameters);
        }
        match self.price(call, calls, context.prices) {
            Ok(usd) => assessment.cost = Some(usd),
            Err(NoPrice::UnknownModel | NoPrice::UnknownTier) => assessment.unknown.push(Unknown::Price),
            Err(NoPrice::TokenCounts) => assessment.unknown.push(Unknown::TokenCounts),
        }
        assessment
    }

    fn price(&mut self, call: &Inference, calls: u64, prices: &TokenPrices) -> Result<Usd, NoPrice> {
        if !adds_up(&call.usage) {
            return Err(NoPrice::TokenCounts);
        }
        let half_hour = HalfHour::of(call.start);
        if let Some((of, rates)) = &self.rates
            && *of == half_hour
        {
            return rates.as_ref().map_err(|why| *why)?.price(&call.usage, calls);
        }
        let (rates, lasts) = prices.rates_of(call);
        let price = rates.as_ref().map_err(|why| *why).and_then(|rates| rates.price(&call.usage, calls));
        self.rates = lasts.then_some((half_hour, rates));
        price
    }

    fn remote_energy(&mut self, call: &Inference, calls: u64, context: &Context<'_>) -> Option<RemoteEnergy> {
        let Context { grid, weights, .. } = *context;
        let served = self.served.as_ref()?;
        // A call that began at no known time is taken for one of now.
        let year = (call.start > Timestamp::default()).then(|| civil_year(call.start));
        let place = match &self.place {
            Some((of, place)) if *of == year => place,
            _ => &self.place.insert((year, place(call, grid, year))).1,
        };
        let tokens = call.usage.output as f64 + weights.tokens(&call.usage);
        let estimate = served.estimate(tokens, call.duration);
        let (energy, embodied) = (estimate.energy(), estimate.embodied());
        let operational = energy * place.pue.ratio.get() * place.intensity.grams;
        let mean = call.usage.map(|count| count / calls.max(1));
        let energy_uncertainty = estimate.uncertainty.times(served.unreckoned_input(&mean, weights));
        let operational_uncertainty =
            energy_uncertainty.times(place.pue.uncertainty).times(place.intensity.uncertainty);
        // Reading input holds the machines too, in proportion to the energy that it needs.
        let embodied_uncertainty = energy_uncertainty.times(Uncertainty::from_sigma(EMBODIED_SIGMA));
        Some(RemoteEnergy {
            model: weights.model(),
            energy,
            operational,
            embodied,
            energy_uncertainty,
            operational_uncertainty,
            embodied_uncertainty,
            carbon_uncertainty: Uncertainty::of_sum([
                (operational.get(), operational_uncertainty),
                (embodied.get(), embodied_uncertainty),
            ]),
        })
    }
}

fn place(kind: &CallKind, grid: &Grid, year: Option<u16>) -> RemotePlace {
    let names = std::iter::once(kind.key.model.as_str()).chain(kind.request_model.as_deref());
    RemotePlace::of_models(grid, &kind.key.provider, names, kind.region.as_deref(), year)
}
