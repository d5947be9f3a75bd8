//! A place as people name it on the command line.

use wattline_model::grid::{Grid, Place};

use crate::cli::Where;
use crate::config::{Config, Machine};

/// Clouds whose regions have names that no other cloud uses.
const PROVIDERS: [&str; 3] = ["aws", "gcp", "azure"];

/// What a name of a place stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// `cloud.provider` of a region.
    pub provider: Option<&'static str>,
    /// The region.
    pub region: Option<String>,
    /// A country, a state or a zone of a grid.
    pub zone: Option<String>,
    /// A name that no table has, with the nearest that one has and what stands in.
    pub note: Option<String>,
}

impl Found {
    /// Looks a name up among the regions of all clouds, and then among countries, states and zones.
    pub fn of(name: Option<&str>) -> Self {
        let Some(name) = name.map(str::trim).filter(|name| !name.is_empty()) else {
            let note = "no place is named, so the world's average stands in; name one with --region".to_owned();
            return Self { note: Some(note), ..Self::default() };
        };
        let grid = Grid::builtin();
        let lower = name.to_ascii_lowercase();
        if let Some(provider) = PROVIDERS.into_iter().find(|provider| grid.region(provider, &lower).is_some()) {
            return Self { provider: Some(provider), region: Some(lower), ..Self::default() };
        }
        if grid.has(name) {
            return Self { zone: Some(name.to_owned()), ..Self::default() };
        }
        let regions = PROVIDERS.into_iter().flat_map(|provider| grid.nearest_regions(provider, &lower));
        let mut nearest: Vec<&str> = regions.chain(grid.nearest_zones(name)).collect();
        nearest.sort_by_key(|known| strsim::damerau_levenshtein(&known.to_ascii_lowercase(), &lower));
        nearest.truncate(5);
        let stand_in = grid.intensity(&Place { zone: Some(name), ..Place::default() }, None);
        let note = format!(
            "{name} is no region, country, state or zone of any table (nearest: {}); the average of {} stands in (tier {})",
            nearest.join(", "),
            stand_in.zone,
            stand_in.tier.as_str()
        );
        Self { zone: Some(name.to_owned()), note: Some(note), ..Self::default() }
    }

    /// The place of a question: the one that it names, else the one that the configuration names.
    pub fn of_question(asked: &Where, config: &Config) -> Self {
        let Machine { provider, region, .. } = &config.machine;
        let known = || PROVIDERS.into_iter().find(|known| Some(*known) == provider.as_deref());
        match (&asked.region, &config.carbon.zone) {
            (Some(name), _) | (None, Some(name)) => Self::of(Some(name)),
            (None, None) if region.is_some() => Self { provider: known(), region: region.clone(), ..Self::default() },
            (None, None) => Self::of(None),
        }
    }

    /// As the model asks for it.
    pub fn place(&self) -> Place<'_> {
        Place {
            zone: self.zone.as_deref(),
            provider: self.provider,
            region: self.region.as_deref(),
            ..Place::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_names_its_cloud_and_a_country_is_a_zone() {
        for (name, provider) in [("us-east-1", "aws"), ("EUROPE-WEST4", "gcp"), ("westeurope", "azure")] {
            assert_eq!(Found::of(Some(name)).provider, Some(provider), "{name}");
        }
        assert_eq!(Found::of(Some("FR")).zone.as_deref(), Some("FR"));
        assert_eq!(Found::of(Some("US-VA")).zone.as_deref(), Some("US-VA"));
    }

    #[test]
    fn an_unknown_name_comes_back_with_the_nearest_and_with_what_stands_in() {
        let note = |name| Found::of(Some(name)).note.unwrap();
        let region = note("us-esat-1");
        assert!(region.contains("us-east-1") && region.contains("tier world"), "{region}");
        let country = note("US-ZZ");
        assert!(country.contains("tier country"), "{country}");
        let world = note("Atlantis");
        assert!(world.contains("WORLD") && world.contains("tier world"), "{world}");
        assert!(Found::of(None).note.is_some());
    }
}
