//! What the name of a model at Amazon Bedrock tells of where it runs.
//!
//! An inference profile bears a geography in front of the model's name, and a request is served in any region of it:
//! `eu.anthropic.claude-sonnet-4-5-20250929-v1:0`. An ARN bears the region that the request was made in.
//! Source: Amazon Bedrock user guide, "Supported Regions and models for inference profiles".

/// What the name tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Named<'a> {
    /// The region in an ARN.
    pub(super) region: Option<&'a str>,
    /// The geography of an inference profile.
    pub(super) geography: Option<&'static Geography>,
}

/// Where a request with an inference profile may be served.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Geography {
    /// What stands in front of the model's name.
    pub(super) prefix: &'static str,
    /// Beginnings of the names of its regions; empty means anywhere.
    pub(super) regions: &'static [&'static str],
    /// Beginnings of the names of regions that are none of its, though they begin like them.
    pub(super) except: &'static [&'static str],
}

/// The geographies. Source: AWS CDK API reference, `CrossRegionInferenceProfileRegion`; `ca` by the model cards.
const GEOGRAPHIES: &[Geography] = &[
    Geography { prefix: "us", regions: &["us-"], except: &["us-gov-"] },
    Geography { prefix: "us-gov", regions: &["us-gov-"], except: &[] },
    Geography { prefix: "eu", regions: &["eu-"], except: &[] },
    Geography { prefix: "apac", regions: &["ap-", "me-central-1"], except: &[] },
    Geography { prefix: "jp", regions: &["ap-northeast-1", "ap-northeast-3"], except: &[] },
    Geography { prefix: "au", regions: &["ap-southeast-2", "ap-southeast-4"], except: &[] },
    Geography { prefix: "ca", regions: &["ca-"], except: &[] },
    Geography { prefix: "in", regions: &["ap-south-"], except: &[] },
    Geography { prefix: "global", regions: &[], except: &[] },
];

/// Makers as Bedrock puts them in front of a model's name with a dot. Source: Bedrock user guide, "Supported foundation
/// models in Amazon Bedrock", model IDs.
const MAKERS: &[&str] = &[
    "ai21",
    "amazon",
    "anthropic",
    "cohere",
    "deepseek",
    "google",
    "luma",
    "meta",
    "minimax",
    "mistral",
    "moonshot",
    "moonshotai",
    "nvidia",
    "openai",
    "qwen",
    "stability",
    "twelvelabs",
    "writer",
    "zai",
];

/// Makers whose models bear such a name nowhere else. Oracle's service writes `cohere.command-r-plus` too, but without
/// the revision that Bedrock has behind most names.
const ONLY_HERE: &[&str] = &["amazon", "anthropic"];

impl Geography {
    /// True where a request may be served in that region.
    pub(super) fn has(&self, region: &str) -> bool {
        let begins = |with: &[&str]| with.iter().any(|beginning| region.starts_with(beginning));
        (self.regions.is_empty() || begins(self.regions)) && !begins(self.except)
    }
}

/// What `model` tells, if it can only be a name of Bedrock: an ARN, an inference profile, or a maker and a model with a
/// dot between and a revision behind. A router's path may stand in front.
pub(super) fn named(model: &str) -> Option<Named<'_>> {
    let model = model.trim();
    let mut arn = model.strip_prefix("arn:").into_iter().flat_map(|arn| arn.split(':'));
    let (_partition, service, region) = (arn.next(), arn.next(), arn.next());
    let of_arn = service == Some("bedrock");
    let name = model.rsplit('/').next().unwrap_or_default();
    let (first, rest) = name.split_once('.').unwrap_or((name, ""));
    let geography = GEOGRAPHIES.iter().find(|geography| geography.prefix.eq_ignore_ascii_case(first));
    let maker = if geography.is_some() { rest.split_once('.').map_or("", |(maker, _)| maker) } else { first };
    let among = |makers: &[&str]| makers.iter().any(|known| known.eq_ignore_ascii_case(maker));
    let sure = geography.is_some() || among(ONLY_HERE) || rest.contains(':');
    let made = sure && !rest.is_empty() && among(MAKERS);
    (of_arn || made).then(|| Named {
        region: region.filter(|region| of_arn && !region.is_empty()),
        geography: geography.filter(|_| made),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_bedrock_tell_region_and_geography() {
        for (model, region, geography) in [
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "-", "us"),
            ("EU.anthropic.claude-sonnet-4-5-20250929-v1:0", "-", "eu"),
            ("bedrock/apac.amazon.nova-lite-v1:0", "-", "apac"),
            ("us-gov.anthropic.claude-sonnet-4-5", "-", "us-gov"),
            ("global.anthropic.claude-opus-4-5-20251101-v1:0", "-", "global"),
            ("anthropic.claude-3-haiku-20240307-v1:0", "-", "-"),
            ("amazon.nova-pro-v1:0", "-", "-"),
            ("openai.gpt-oss-120b-1:0", "-", "-"),
            (
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/eu.meta.llama3-1-8b-instruct-v1:0",
                "us-east-1",
                "eu",
            ),
            ("arn:aws:bedrock:eu-west-3:123456789012:application-inference-profile/abc", "eu-west-3", "-"),
        ] {
            let named = named(model).unwrap_or_else(|| panic!("{model} is a name of Bedrock"));
            let found = (named.region.unwrap_or("-"), named.geography.map_or("-", |found| found.prefix));
            assert_eq!(found, (region, geography), "{model}");
        }
        let others =
            ["gpt-4.1", "claude-sonnet-4.5", "meta-llama/Llama-3.1-8B", "mistral.", "us.gpt-4o", "arn:aws:s3:x"];
        for other in
            others.into_iter().chain(["", "anthropic", "us.", "arn:", "openai/gpt-4o", "cohere.command-r-plus"])
        {
            assert_eq!(named(other), None, "{other}");
        }
    }

    #[test]
    fn the_states_government_has_regions_of_its_own() {
        let of = |prefix: &str| GEOGRAPHIES.iter().find(|geography| geography.prefix == prefix).unwrap();
        assert!(of("us").has("us-east-1") && !of("us").has("us-gov-east-1") && of("us-gov").has("us-gov-east-1"));
        assert!(of("global").has("sa-east-1") && !of("eu").has("eusc-de-east-1"));
    }

    proptest! {
        #[test]
        fn no_name_panics(model in "\\PC{0,40}|arn:[a-z:./-]{0,30}|[a-z.]{0,20}") {
            let _named = named(&model);
        }
    }
}
