//! Who sells answers of models: the names by which traces call them, and where their machines are supposed to be.

use std::sync::LazyLock;

use wattline_core::{Ratio, Text, Uncertainty};

use crate::grid::table::Table;
use crate::grid::{Pue, pue};

pub(super) const TABLE: Table = Table::new(include_str!("../../data/api_provider.csv"));

/// The name of the row for Amazon Bedrock.
const BEDROCK: &str = "aws.bedrock";

/// A provider as the table has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Provider {
    /// As `gen_ai.provider.name` has it; `*` for all others.
    pub(super) name: &'static str,
    /// What else names it, with spaces between.
    aliases: &'static str,
    /// The cloud whose regions a call's region is one of.
    pub(super) cloud: Option<&'static str>,
    /// The zone where it is supposed to serve when nobody says where.
    pub(super) zone: &'static str,
    /// PUE and its sigma; none for a cloud, whose fleet the table of PUE has.
    pue: Option<(f64, f64)>,
    source: &'static str,
    year: Option<u16>,
}

/// For a provider without a row, if the row for all others were lost; a test holds that it is there.
const ANYBODY: Provider = Provider {
    name: "*",
    aliases: "",
    cloud: None,
    zone: "WORLD",
    pue: Some((1.2, 0.15)),
    source: "assumed",
    year: None,
};

pub(super) static PROVIDERS: LazyLock<Vec<Provider>> =
    LazyLock::new(|| TABLE.rows().filter_map(Provider::parse).collect());

/// True for a provider that the table has a row for, under its name or an alias, in any case.
pub fn is_provider(name: &str) -> bool {
    Provider::find(name).is_some()
}

/// The provider's name as the table has it, for any of its names, which may have a part of its service behind a dot
/// (`openai.chat`); else the name in lower case.
pub(super) fn canonical(name: &str) -> String {
    let of_service = || name.split_once('.').and_then(|(provider, _)| Provider::find(provider));
    let found = Provider::find(name).or_else(of_service);
    found.map_or_else(|| name.trim().to_ascii_lowercase(), |provider| provider.name.to_owned())
}

impl Provider {
    fn find(name: &str) -> Option<Self> {
        let name = name.trim();
        let bears = |provider: &&Self| {
            let aliases = provider.aliases.split(' ');
            !name.is_empty() && std::iter::once(provider.name).chain(aliases).any(|own| own.eq_ignore_ascii_case(name))
        };
        PROVIDERS.iter().filter(|provider| provider.name != "*").find(bears).copied()
    }

    /// The row of a provider, else that of all others.
    pub(super) fn of(name: &str) -> Self {
        let anybody = || PROVIDERS.iter().find(|provider| provider.name == "*").copied();
        Self::find(name).or_else(anybody).unwrap_or(ANYBODY)
    }

    /// The row of Amazon Bedrock.
    pub(super) fn bedrock() -> Self {
        Self::of(BEDROCK)
    }

    /// True for the row of Amazon Bedrock.
    pub(super) fn is_bedrock(&self) -> bool {
        self.name == BEDROCK
    }

    /// What its facilities draw beside the machines, where no region is known.
    pub(super) fn pue(&self, year: Option<u16>) -> Pue {
        let Some((ratio, sigma)) = self.pue else { return pue(self.cloud, None, year) };
        Pue {
            ratio: Ratio::new(ratio),
            source: Text::Static(self.source),
            year: self.year,
            uncertainty: Uncertainty::from_sigma(sigma),
        }
    }

    fn parse([name, aliases, cloud, zone, pue, sigma, source, year, _licence]: [&'static str; 9]) -> Option<Self> {
        let cloud = (!cloud.is_empty()).then_some(cloud);
        let pue = pue.parse().ok().zip(sigma.parse().ok());
        let year = year.parse().ok();
        (pue.is_some() || cloud.is_some()).then_some(Self { name, aliases, cloud, zone, pue, source, year })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::Grid;

    #[test]
    fn every_row_parses_and_leads_to_a_known_zone() {
        crate::grid::table::check::<9>(TABLE, PROVIDERS.len());
        for row in PROVIDERS.iter() {
            assert!(Grid::builtin().knows(row.zone) || row.zone == "WORLD", "{row:?}");
            assert!((1.0..2.0).contains(&row.pue(None).ratio.get()), "{row:?}");
        }
        assert_eq!(Provider::of("nobody").name, "*");
        assert_eq!(Provider::bedrock().cloud, Some("aws"));
    }

    #[test]
    fn no_name_leads_to_two_providers() {
        let aliases = PROVIDERS.iter().flat_map(|row| row.aliases.split(' ').filter(|alias| !alias.is_empty()));
        let mut names: Vec<&str> = PROVIDERS.iter().map(|row| row.name).chain(aliases).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn other_conventions_name_the_same_providers() {
        for (alias, name) in [
            ("bedrock", "aws.bedrock"),
            ("azure", "azure.ai.openai"),
            ("az.ai.inference", "azure.ai.inference"),
            ("Vertex_AI", "gcp.vertex_ai"),
            (" gemini ", "gcp.gemini"),
            ("mistral", "mistral_ai"),
            ("mistralai", "mistral_ai"),
            ("openai", "openai"),
            ("amazon-bedrock", "aws.bedrock"),
            ("google.generative-ai", "gcp.gemini"),
        ] {
            assert_eq!((canonical(alias).as_str(), is_provider(alias)), (name, true), "{alias}");
        }
        for nobody in ["*", "", " ", "strands-agents", "groq"] {
            assert!(!is_provider(nobody), "{nobody}");
        }
        assert_eq!(canonical("Groq"), "groq");
        assert_eq!(
            (canonical("openai.responses"), canonical("anthropic.messages")),
            ("openai".into(), "anthropic".into())
        );
        assert_eq!(canonical("groq.chat"), "groq.chat", "nobody knows what it names");
    }
}
