//! The names under which content is sent. A new one is one line; `*` stands for any characters, or none, and is
//! never the first.
//!
//! Sources: OpenTelemetry semantic conventions for generative AI 1.36 to 1.41 and their events; OpenLLMetry
//! `opentelemetry-semantic-conventions-ai`; OpenInference `spec/semantic_conventions.md`; the Vercel AI SDK's telemetry
//! page; the list by which AWS Distro for OpenTelemetry takes content out (`llo_handler.py`); and what the packages
//! named below send.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Attributes of spans, events, links, log records, scopes and resources.
const ATTRIBUTES: &[&str] = &[
    // OpenTelemetry, now and before.
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.tool.definitions",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "gen_ai.tool.message",
    "gen_ai.retrieval.documents",
    "gen_ai.retrieval.query.text",
    "gen_ai.evaluation.explanation",
    "gen_ai.prompt",
    "gen_ai.completion",
    "gen_ai.content.*",
    "gen_ai.event.content",
    // OpenLLMetry.
    "gen_ai.prompt.*.content*",
    "gen_ai.prompt.*.arguments",
    "gen_ai.prompt.*.reasoning*",
    "gen_ai.completion.*.content*",
    "gen_ai.completion.*.arguments",
    "gen_ai.completion.*.reasoning*",
    "gen_ai.completion.*.refusal",
    "llm.prompt",
    "llm.prompts*",
    "llm.completion",
    "llm.completions*",
    "llm.request.functions*",
    "traceloop.entity.input",
    "traceloop.entity.output",
    "traceloop.prompt.template*",
    // OpenInference.
    "input.value",
    "output.value",
    "input.images*",
    "input.documents*",
    "output.images*",
    "output.documents*",
    "llm.input_messages",
    "llm.input_messages.*content*",
    "llm.input_messages.*arguments*",
    "llm.output_messages",
    "llm.output_messages.*content*",
    "llm.output_messages.*arguments*",
    "llm.choices*",
    "llm.tools*",
    "llm.function_call",
    "llm.prompt_template.template",
    "llm.prompt_template.variables",
    "message.content*",
    "message.function_call_arguments_json",
    "message.tool_calls*",
    "tool_call.function.arguments",
    "tool.parameters",
    "tool.json_schema",
    "retrieval.documents*",
    "reranker.query",
    "reranker.input_documents*",
    "reranker.output_documents*",
    "embedding.text",
    "embedding.vector",
    "embedding.embeddings*",
    "document.content",
    "document.metadata",
    // Vercel AI SDK.
    "ai.prompt*",
    "ai.response.text",
    "ai.response.object",
    "ai.response.reasoning",
    "ai.response.toolCalls",
    "ai.response.files",
    "ai.result.*",
    "ai.toolCall.args",
    "ai.toolCall.result",
    "ai.toolCall.input",
    "ai.toolCall.output",
    "ai.value",
    "ai.values",
    "ai.embedding",
    "ai.embeddings",
    "ai.documents",
    // Langfuse.
    "langfuse.observation.input",
    "langfuse.observation.output",
    "langfuse.trace.input",
    "langfuse.trace.output",
    // MLflow.
    "mlflow.spanInputs",
    "mlflow.spanOutputs",
    "mlflow.traceInputs",
    "mlflow.traceOutputs",
    "mlflow.chat.messages",
    "mlflow.chat.tools",
    // Pydantic AI and Logfire.
    "all_messages_events",
    "pydantic_ai.all_messages",
    "final_result",
    "model_request_parameters",
    "tool_arguments",
    "tool_response",
    "request_data",
    "response_data",
    // Strands, CrewAI, Haystack, Google's Agent Development Kit.
    "system_prompt",
    "tool.result",
    "gen_ai.agent.human_input",
    "gen_ai.agent.actual_output",
    "crewai.crew.*",
    "crewai.agent.*",
    "crewai.task.*",
    "crew_agents",
    "crew_tasks",
    "crew_inputs",
    "haystack.component.input",
    "haystack.component.output",
    "haystack.pipeline.input_data",
    "haystack.pipeline.output_data",
    "gcp.vertex.agent.llm_request",
    "gcp.vertex.agent.llm_response",
    "gcp.vertex.agent.tool_call_args",
    "gcp.vertex.agent.tool_response",
    "gcp.vertex.agent.data",
    // Command lines that code: Claude Code, Codex, Gemini.
    "prompt",
    "completion",
    "tool_input",
    "tool_output",
    "tool_parameters",
    "function_args",
    "request_text",
    "response_text",
];

/// Events of spans that are content as a whole.
const EVENTS: &[&str] = &["gen_ai.content.*", "gen_ai.*.message", "gen_ai.choice", "llm.content.*"];

/// Log records whose body is content, by the name of their event.
const RECORDS: &[&str] = &["gen_ai.*"];

/// Log records whose body is content, by the name of their scope: libraries that instrument models and agents.
const SCOPES: &[&str] = &[
    "strands.*",
    "openinference.*",
    "opentelemetry.instrumentation.langchain*",
    "opentelemetry.instrumentation.crewai*",
    "opentelemetry.instrumentation.openai*",
    "opentelemetry.instrumentation.anthropic*",
    "opentelemetry.instrumentation.bedrock*",
    "opentelemetry.instrumentation.llamaindex*",
    "opentelemetry.instrumentation.google_genai*",
    "opentelemetry.instrumentation.vertexai*",
    "crewai.telemetry*",
];

pub(super) fn is_attribute(name: &str) -> bool {
    static ALL: LazyLock<Patterns> = LazyLock::new(|| Patterns::new(ATTRIBUTES));
    ALL.hold(name)
}

pub(super) fn is_event(name: &str) -> bool {
    static ALL: LazyLock<Patterns> = LazyLock::new(|| Patterns::new(EVENTS));
    ALL.hold(name)
}

pub(super) fn is_record(event: &str) -> bool {
    static ALL: LazyLock<Patterns> = LazyLock::new(|| Patterns::new(RECORDS));
    ALL.hold(event)
}

pub(super) fn is_scope(name: &str) -> bool {
    static ALL: LazyLock<Patterns> = LazyLock::new(|| Patterns::new(SCOPES));
    ALL.hold(name)
}

/// Patterns by their first letter, so that most of them are never compared with a name.
struct Patterns(BTreeMap<u8, Vec<Pattern>>);

struct Pattern {
    /// What stands before the first star.
    head: &'static str,
    /// What stands behind it, with further stars; `None` where there is none.
    tail: Option<&'static str>,
}

impl Patterns {
    fn new(patterns: &[&'static str]) -> Self {
        let mut by_letter = BTreeMap::<u8, Vec<Pattern>>::new();
        for pattern in patterns {
            let of_letter = by_letter.entry(pattern.bytes().next().unwrap_or_default()).or_default();
            of_letter.push(Pattern::new(pattern));
        }
        Self(by_letter)
    }

    fn hold(&self, name: &str) -> bool {
        let of_letter = name.bytes().next().and_then(|letter| self.0.get(&letter));
        of_letter.is_some_and(|patterns| patterns.iter().any(|pattern| pattern.matches(name)))
    }
}

impl Pattern {
    fn new(pattern: &'static str) -> Self {
        match pattern.split_once('*') {
            Some((head, tail)) => Self { head, tail: Some(tail) },
            None => Self { head: pattern, tail: None },
        }
    }

    fn matches(&self, name: &str) -> bool {
        let Self { head, tail } = self;
        match (name.strip_prefix(head), tail) {
            (None, _) => false,
            (Some(rest), None) => rest.is_empty(),
            (Some(rest), Some(tail)) => ends_as(rest, tail),
        }
    }
}

/// Whether `name` ends as `tail` says, with anything before.
fn ends_as(mut name: &str, mut tail: &str) -> bool {
    // What stands between two stars is looked for from the left; what follows the last must be the end.
    while let Some((middle, after)) = tail.split_once('*') {
        let Some((_, behind)) = name.split_once(middle) else { return false };
        (name, tail) = (behind, after);
    }
    name.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_stands_for_any_rest() {
        for (pattern, name, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "a.bc", false),
            ("a.*", "a.", true),
            ("a.*", "a", false),
            ("a*", "a", true),
            ("a.*.c", "a.0.c", true),
            ("a.*.c", "a.c", false),
            ("a.*.c", "a.0.cd", false),
            ("a.*x*", "a.0.x.y", true),
            ("a.*x*", "a.0.y", false),
            ("a*b*b", "ab", false),
            ("a*b*b", "abb", true),
        ] {
            assert_eq!(Patterns::new(&[pattern]).hold(name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn what_figures_are_made_of_is_no_content() {
        for name in [
            "gen_ai.usage.input_tokens",
            "gen_ai.request.model",
            "gen_ai.prompt.0.role",
            "gen_ai.completion.0.finish_reason",
            "gen_ai.tool.name",
            "llm.token_count.prompt",
            "llm.input_messages.0.message.role",
            "ai.usage.inputTokens",
            "ai.response.finishReason",
            "langfuse.observation.usage_details",
            "mlflow.chat.tokenUsage",
            "service.name",
            "session.id",
        ] {
            assert!(!is_attribute(name), "{name}");
        }
    }

    #[test]
    fn every_dialect_is_recognised() {
        for name in [
            "gen_ai.input.messages",
            "gen_ai.prompt.12.content",
            "gen_ai.completion.0.tool_calls.1.arguments",
            "llm.input_messages.0.message.content",
            "llm.input_messages.0.message.contents.1.message_content.text",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments",
            "retrieval.documents.3.document.content",
            "traceloop.entity.input",
            "ai.prompt.messages",
            "crewai.crew.tasks_output",
        ] {
            assert!(is_attribute(name), "{name}");
        }
        assert!(is_event("gen_ai.user.message") && is_event("gen_ai.content.prompt") && !is_event("exception"));
        assert!(is_record("gen_ai.client.inference.operation.details") && !is_record("app.started"));
    }

    proptest! {
        #[test]
        fn a_name_made_after_a_pattern_matches_it(
            index in any::<prop::sample::Index>(), filling in "[a-z0-9_.]{0,6}",
        ) {
            let pattern = ATTRIBUTES[index.index(ATTRIBUTES.len())];
            prop_assert!(is_attribute(&pattern.replace('*', &filling)), "{} {}", pattern, filling);
        }
    }
}
