//! Names of models and of who serves them, as spans and logs give them.

/// A model's name, and what the address around it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named<'a> {
    /// The name, without the account that an ARN bears.
    pub(crate) name: &'a str,
    /// The region of an ARN.
    pub(crate) region: Option<&'a str>,
}

/// Reads a model's name. An ARN of Amazon Bedrock gives its last part, which is the model for a foundation model and for
/// a system-defined inference profile; of what is only an id, such as an application inference profile or a prompt
/// router, the kind stays in front.
pub(crate) fn named(text: &str) -> Named<'_> {
    let text = text.trim();
    let mut parts = text.splitn(6, ':');
    let (Some("arn"), Some(_partition), Some("bedrock"), Some(region), Some(_account), Some(resource)) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Named { name: text, region: None };
    };
    let name = match resource.split_once('/') {
        Some(("foundation-model" | "inference-profile", name)) if !name.is_empty() => name,
        _ => resource,
    };
    Named { name, region: Some(region).filter(|region| !region.is_empty()) }
}

impl Named<'_> {
    /// Amazon Bedrock where only it names models so: by an ARN, or with a geography in front of the maker.
    pub(crate) fn provider(&self) -> Option<&'static str> {
        const GEOGRAPHIES: [&str; 9] = ["us", "us-gov", "eu", "apac", "jp", "au", "ca", "in", "global"];
        let is_of_bedrock = || {
            let (geography, rest) = self.name.split_once('.')?;
            Some(GEOGRAPHIES.contains(&geography) && rest.contains('.'))
        };
        (self.region.is_some() || is_of_bedrock() == Some(true)).then_some("aws.bedrock")
    }
}

/// Whether what stands where the provider should is a program that calls providers.
pub(super) fn is_framework(provider: &str) -> bool {
    const FRAMEWORKS: [&str; 10] = [
        "strands-agents",
        "strands",
        "langchain",
        "langgraph",
        "llama_index",
        "llamaindex",
        "litellm",
        "crewai",
        "pydantic-ai",
        "haystack",
    ];
    FRAMEWORKS.iter().any(|framework| framework.eq_ignore_ascii_case(provider))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_cut_off_and_opaque_ids_keep_their_kind() {
        for (text, name, region) in [
            ("gpt-4o", "gpt-4o", None),
            (" us.anthropic.claude-sonnet-4-5-20250929-v1:0 ", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", None),
            (
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
                "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
                Some("us-east-1"),
            ),
            (
                "arn:aws:bedrock:eu-west-1::foundation-model/amazon.nova-lite-v1:0",
                "amazon.nova-lite-v1:0",
                Some("eu-west-1"),
            ),
            (
                "arn:aws-us-gov:bedrock:us-gov-west-1:1:application-inference-profile/abc123",
                "application-inference-profile/abc123",
                Some("us-gov-west-1"),
            ),
            (
                "arn:aws:bedrock:us-east-1:1:default-prompt-router/anthropic.claude:1",
                "default-prompt-router/anthropic.claude:1",
                Some("us-east-1"),
            ),
            ("arn:aws:bedrock:::inference-profile/", "inference-profile/", None),
            ("arn:aws:sagemaker:us-east-1:1:endpoint/x", "arn:aws:sagemaker:us-east-1:1:endpoint/x", None),
        ] {
            assert_eq!(named(text), Named { name, region }, "{text}");
        }
    }

    #[test]
    fn a_geography_in_front_of_a_maker_is_bedrocks() {
        assert_eq!(named("us.anthropic.claude").provider(), Some("aws.bedrock"));
        assert_eq!(named("arn:aws:bedrock:us-east-1::foundation-model/x").provider(), Some("aws.bedrock"));
        for name in ["us.claude", "anthropic.claude-v2", "gpt-4.1", "in.x"] {
            assert_eq!(named(name).provider(), None, "{name}");
        }
    }
}
