//! How calls of language models are told.

use serde::Deserialize;
use wattline_model::inference::Conventions;

use crate::env;

/// How calls of language models are told.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Inference {
    /// The names of the figures; by default as `$OTEL_SEMCONV_STABILITY_OPT_IN` says.
    pub conventions: Option<Names>,
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
