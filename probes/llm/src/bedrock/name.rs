//! Names of models and of those who call them, without the account that an ARN bears.
//!
//! Source: AWS service authorization reference, "Resource types defined by Amazon Bedrock".

/// Characters of a name that are kept: a name is shorter, and whatever is longer is none.
const LONGEST: usize = 256;

/// A word that may become a label: short, on one line, not empty.
pub(super) fn label(word: &str) -> Option<String> {
    let word: String = word.trim().chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    (!word.is_empty()).then_some(word)
}

/// A model by its id or ARN.
///
/// What names a model stands alone: `us.anthropic.claude-sonnet-4-5-20250929-v1:0`. What only stands for one keeps its
/// kind in front: `application-inference-profile/abc`, `prompt-router/xyz`. Neither account nor partition is in it.
pub(super) fn model(id: &str) -> Option<String> {
    let id = id.trim();
    let Some(arn) = id.strip_prefix("arn:") else { return label(id) };
    // Partition, service, region, account; the resource may hold colons itself.
    let resource = arn.splitn(5, ':').nth(4)?;
    let name = match resource.split_once('/') {
        Some(("foundation-model" | "inference-profile", name)) => name,
        _ => resource,
    };
    label(name)
}

/// True where the name is one that an account has made up: nothing in it tells which model answers.
pub(super) fn is_opaque(model: &str) -> bool {
    const STANDS_FOR: [&str; 7] = [
        "application-inference-profile",
        "custom-model",
        "custom-model-deployment",
        "imported-model",
        "prompt",
        "prompt-router",
        "provisioned-model",
    ];
    model.split_once('/').is_some_and(|(kind, _)| STANDS_FOR.contains(&kind))
}

/// The region in an ARN.
pub(super) fn region_of(arn: &str) -> Option<&str> {
    arn.trim().strip_prefix("arn:")?.split(':').nth(2).filter(|region| is_region(region))
}

/// Whether a text is written as the names of regions are.
pub(super) fn is_region(text: &str) -> bool {
    let plain = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    plain && text.len() <= 32 && text.split('-').count() >= 3
}

/// Who called, by the ARN of the identity: the name of the role or of the user, without account and session.
pub(super) fn caller(arn: &str) -> Option<String> {
    let resource = arn.trim().strip_prefix("arn:")?.splitn(5, ':').nth(4)?;
    let mut parts = resource.split('/');
    let name = match parts.next()? {
        // A session of a role: the role, then the session, which may be anything.
        "assumed-role" => parts.next(),
        // Users and roles may have a path in front.
        "user" | "role" | "federated-user" => parts.next_back(),
        "root" => Some("root"),
        _ => None,
    };
    name.and_then(label)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_model_is_named_without_its_account() {
        for (id, expected) in [
            ("anthropic.claude-3-haiku-20240307-v1:0", "anthropic.claude-3-haiku-20240307-v1:0"),
            ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0"),
            (
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
                "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            ),
            (
                "arn:aws-us-gov:bedrock:us-gov-west-1:123456789012:application-inference-profile/abc",
                "application-inference-profile/abc",
            ),
            (
                "arn:aws:bedrock:us-east-1:123456789012:default-prompt-router/anthropic.claude:1",
                "default-prompt-router/anthropic.claude:1",
            ),
            ("arn:aws:sagemaker:us-east-1:123456789012:endpoint/mine", "endpoint/mine"),
        ] {
            assert_eq!(model(id).as_deref(), Some(expected), "{id}");
        }
        for id in ["", "arn:", "arn:aws:bedrock", "arn:aws:bedrock:us-east-1:123456789012", " \n"] {
            assert_eq!(model(id), None, "{id:?}");
        }
    }

    #[test]
    fn a_caller_is_named_without_account_and_session() {
        for (arn, expected) in [
            ("arn:aws:sts::123456789012:assumed-role/app/i-0123", Some("app")),
            ("arn:aws:iam::123456789012:user/team/alice", Some("alice")),
            ("arn:aws:iam::123456789012:role/service/searcher", Some("searcher")),
            ("arn:aws:iam::123456789012:root", Some("root")),
            ("arn:aws:sts::123456789012:assumed-role/", None),
            ("alice", None),
        ] {
            assert_eq!(caller(arn).as_deref(), expected, "{arn}");
        }
    }

    proptest! {
        #[test]
        fn no_account_becomes_a_label(rest in "[a-z/:.-]{0,40}") {
            let arn = format!("arn:aws:bedrock:us-east-1:123456789012:{rest}");
            for name in [model(&arn), caller(&arn)].into_iter().flatten() {
                prop_assert!(!name.contains("123456789012"), "{}", name);
            }
        }

        #[test]
        fn no_name_panics(text: String) {
            let _names = (model(&text), caller(&text), region_of(&text).map(is_region));
        }
    }
}
