//! What relayed spans of calls are told to bear, where that is asked for.

use wattline_core::attribute::key;
use wattline_core::reading::Inference;
use wattline_core::{Method, Timestamp, metrics};
use wattline_model::grid::Grid;
use wattline_model::inference::ecologits::InputWeights;
use wattline_model::inference::{self, LocalAddresses, TokenPrices};
use wattline_probe_llm::otlp::Enrich;
use wattline_wire::enrich::{Attribute, Value};

use crate::config::Config;

/// Assesses calls as the books do: a span bears what the call itself drew, before it is scaled by its sampling.
pub struct Assessor {
    local: LocalAddresses,
    prices: TokenPrices,
    weights: InputWeights,
}

impl Assessor {
    /// An assessor by the tables of a configuration.
    pub fn new(config: &Config) -> Self {
        Self {
            local: LocalAddresses::new(config.probes.local_engines.iter().cloned()),
            prices: TokenPrices::new(config.cost.lists.tokens.clone()),
            weights: config.inference.weights(),
        }
    }
}

impl Enrich for Assessor {
    fn attributes(&self, call: &Inference, now: Timestamp) -> Vec<Attribute> {
        let Self { local, prices, weights } = self;
        let context = inference::Context { now, grid: Grid::builtin(), local, prices, weights: *weights };
        let assessment = inference::assess(call, &context);
        let text = |text: &str| Value::Text(text.to_owned());
        let mut attributes = vec![(key::ENERGY_ORIGIN, text(assessment.origin.as_str()))];
        if let Some(drawn) = assessment.energy {
            let carbon = drawn.operational + drawn.embodied;
            attributes.extend([
                (metrics::INFERENCE_ENERGY.descriptor().name, Value::Number(drawn.energy.get())),
                ("inference.energy.factor", Value::Number(drawn.energy_uncertainty.factor())),
                (metrics::INFERENCE_CARBON.descriptor().name, Value::Number(carbon.get())),
                ("inference.carbon.factor", Value::Number(drawn.carbon_uncertainty.factor())),
                (key::ENERGY_METHOD, text(Method::Modelled.as_str())),
                (key::ENERGY_MODEL, text(drawn.model)),
            ]);
        }
        if let Some(cost) = assessment.cost {
            attributes.push((metrics::INFERENCE_COST.descriptor().name, Value::Number(cost.get())));
        }
        if !assessment.unknown.is_empty() {
            let words: Vec<&str> = assessment.unknown.iter().map(|reason| reason.as_str()).collect();
            attributes.push((metrics::INFERENCE_UNKNOWN.descriptor().name, text(&words.join(","))));
        }
        attributes
    }
}
