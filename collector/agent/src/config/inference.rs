//! How calls of language models are told.

use serde::Deserialize;
use wattline_model::inference::Conventions;
use wattline_model::inference::ecologits::InputWeights;

use super::{ConfigError, check};
use crate::env;

/// How calls of language models are told.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Inference {
    /// The names of the figures; by default as `$OTEL_SEMCONV_STABILITY_OPT_IN` says.
    pub conventions: Option<Names>,
    /// What a token of input that is read anew counts for in the energy of a remote call, in tokens of output: 0 to 1.
    pub input_weight: f64,
    /// The same of a token that is read from a cache: 0 to 1.
    pub cached_weight: f64,
}

/// A generation of the semantic conventions for generative AI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Names {
    /// Those of 1.41: `gen_ai.client.token.usage`.
    Current,
    /// Those of the working copy after it: `gen_ai.client.inference.usage.input_tokens`.
    Latest,
    /// Both.
    Both,
}

impl Inference {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        for (key, weight) in
            [("inference.input_weight", self.input_weight), ("inference.cached_weight", self.cached_weight)]
        {
            check((0.0..=1.0).contains(&weight), key, || weight.to_string(), "tokens of output, 0 to 1")?;
        }
        Ok(())
    }

    /// What tokens of input count for.
    pub const fn weights(&self) -> InputWeights {
        InputWeights { new: self.input_weight, cached: self.cached_weight }
    }

    /// The names in force. The conventions' own variable is a list of what an instrumentation is to move to.
    pub fn conventions(&self) -> Conventions {
        let named = self.conventions.or_else(|| {
            let opted = env::get("OTEL_SEMCONV_STABILITY_OPT_IN")?;
            let mut opted = opted.split(',').map(str::trim);
            opted.find_map(|word| match word {
                "gen_ai_latest_experimental" => Some(Names::Latest),
                "gen_ai_latest_experimental/dup" => Some(Names::Both),
                _ => None,
            })
        });
        match named {
            None | Some(Names::Current) => Conventions::Current,
            Some(Names::Latest) => Conventions::Latest,
            Some(Names::Both) => Conventions::Both,
        }
    }
}
