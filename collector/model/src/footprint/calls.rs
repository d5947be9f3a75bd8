//! Calls of language models in the calculator: the same assessment as of a call that was seen.

use std::sync::Arc;

use wattline_core::reading::{CallKind, Inference, TokenUsage};
use wattline_core::subject::InferenceKey;
use wattline_core::{GramsCo2e, Joules, Seconds, Text, Timestamp, Usd};

use super::{Question, Range};
use crate::grid::Grid;
use crate::inference::ecologits::InputWeights;
use crate::inference::{self, LocalAddresses, RemotePlace, Unknown, models};

/// Tokens of one kind of call.
#[derive(Clone, Debug, PartialEq)]
pub struct Tokens {
    /// `gen_ai.provider.name`; the model's maker where nobody says.
    pub provider: Option<String>,
    /// The model.
    pub model: String,
    /// Tokens sent to it, cached ones included.
    pub input: u64,
    /// Tokens that it generates.
    pub output: u64,
    /// How many such calls.
    pub calls: f64,
}

/// What such calls come to.
#[derive(Clone, Debug)]
pub struct CallFootprint {
    /// What was asked.
    pub asked: Tokens,
    /// The provider reckoned with.
    pub provider: Text,
    /// The grid and the facility reckoned with: of the region, else where the provider is supposed to be.
    pub place: RemotePlace,
    /// Energy of the provider's machines; `None` where no table has the model.
    pub energy: Option<Range<Joules>>,
    /// Carbon of electricity and of having made the machines.
    pub carbon: Option<CallCarbon>,
    /// List price; `None` where no table has it.
    pub cost: Option<Usd>,
    /// What no table knows.
    pub unknown: Vec<Unknown>,
    /// Models of the table whose names are nearest, where the model is in none.
    pub nearest: Vec<&'static str>,
}

/// Carbon of calls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CallCarbon {
    /// Of the electricity.
    pub operational: Range<GramsCo2e>,
    /// Of having made the machines.
    pub embodied: Range<GramsCo2e>,
    /// Both, with their range.
    pub total: Range<GramsCo2e>,
}

impl CallFootprint {
    /// What `tokens` come to. The time that an answer takes is the model's usual speed, where a table has it.
    pub(super) fn of(tokens: &Tokens, question: &Question<'_>) -> Self {
        let local = LocalAddresses::default();
        let known = models::find(&tokens.model);
        let provider: Text = match &tokens.provider {
            Some(provider) => provider.clone().into(),
            None => known.map_or(Text::Static("unknown"), |model| maker(model.owner)),
        };
        let call = inference_of(tokens, &provider, question.place.region, question.at);
        // By EcoLogits' own rule, so that its answers can be compared.
        let (prices, weights) = (&question.own.tokens, InputWeights::default());
        let context = inference::Context { now: question.at, grid: Grid::builtin(), local: &local, prices, weights };
        let found = inference::assess(&call, &context);
        let energy = found.energy.map(|energy| Range::of(energy.energy * tokens.calls, energy.energy_uncertainty));
        let carbon = found.energy.map(|energy| {
            let (operational, embodied) = (energy.operational * tokens.calls, energy.embodied * tokens.calls);
            CallCarbon {
                operational: Range::of(operational, energy.operational_uncertainty),
                embodied: Range::of(embodied, energy.embodied_uncertainty),
                total: Range::of(operational + embodied, energy.carbon_uncertainty),
            }
        });
        let nearest = if energy.is_none() { models::nearest(&tokens.model) } else { Vec::new() };
        Self {
            asked: tokens.clone(),
            place: RemotePlace::of_models(
                Grid::builtin(),
                &provider,
                [tokens.model.as_str()],
                question.place.region,
                question.year,
            ),
            provider,
            energy,
            carbon,
            cost: found.cost.map(|cost| cost * tokens.calls),
            unknown: found.unknown,
            nearest,
        }
    }
}

/// The provider's name for a maker that also serves its models.
fn maker(owner: &'static str) -> Text {
    Text::Static(match owner {
        "google" => "gcp.gemini",
        "mistral" => "mistral_ai",
        other => other,
    })
}

fn inference_of(tokens: &Tokens, provider: &Text, region: Option<&str>, at: Timestamp) -> Inference {
    let key = InferenceKey {
        model: tokens.model.clone().into(),
        provider: provider.clone(),
        service: "footprint".into(),
        agent: None,
        operation: "chat".into(),
    };
    let usage = TokenUsage { input: tokens.input, output: tokens.output, ..TokenUsage::default() };
    let kind = CallKind { region: region.map(|region| region.to_owned().into()), ..CallKind::new(key) };
    Inference::of(Arc::new(kind), at, Seconds::ZERO, usage)
}
