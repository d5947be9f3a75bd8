//! What a span tells of, in the words of every convention.

use wattline_wire::trace::SpanKind;

use super::attributes::{Call, Name};

/// What a span tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told<'a> {
    /// A call of a model. Its operation is one of the semantic conventions', or `None` where it has a name of its own.
    Call(Operation<'a>),
    /// The run of an agent.
    Run,
    /// The run of a tool.
    Tool,
    /// Something else.
    Other,
}

/// The operation of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation<'a> {
    /// One that tables know.
    Known(&'static str),
    /// One that they do not, by its own name.
    Unknown(&'a str),
}

/// What the values of `gen_ai.operation.name` and of the span kinds of others mean, in small letters.
const WORDS: &[(&str, Told<'static>)] = &[
    ("chat", CHAT),
    ("text_completion", COMPLETION),
    ("generate_content", GENERATE),
    ("embeddings", EMBEDDINGS),
    ("invoke_agent", Told::Run),
    ("execute_tool", Told::Tool),
    // What the conventions name beside, and what repeats the tokens of a call without being one.
    ("invoke_workflow", Told::Other),
    ("create_agent", Told::Other),
    ("plan", Told::Other),
    ("fetch_response", Told::Other),
    ("retrieval", Told::Other),
    ("create_memory", Told::Other),
    ("search_memory", Told::Other),
    ("update_memory", Told::Other),
    ("upsert_memory", Told::Other),
    ("delete_memory", Told::Other),
    ("create_memory_store", Told::Other),
    ("delete_memory_store", Told::Other),
    ("execute_event_loop_cycle", Told::Other), // Strands
    ("chain", Told::Other),                    // LangSmith
    ("framework", Told::Other),                // OpenLIT, of frameworks
    // OpenInference, LangSmith, MLflow and Langfuse.
    ("llm", CHAT),
    ("chat_model", CHAT),
    ("generation", CHAT),
    ("embedding", EMBEDDINGS),
    ("agent", Told::Run),
    ("tool", Told::Tool),
    ("retriever", Told::Other),
    ("reranker", Told::Other),
    ("guardrail", Told::Other),
    ("evaluator", Told::Other),
    ("parser", Told::Other),
    ("prompt", Told::Other),
    ("span", Told::Other),
    // OpenLLMetry.
    ("completion", COMPLETION),
    ("rerank", Told::Other),
    ("workflow", Told::Other),
    ("task", Told::Other),
    // Vercel AI SDK: the spans around these repeat what they tell.
    ("ai.generatetext.dogenerate", CHAT),
    ("ai.streamtext.dostream", CHAT),
    ("ai.generateobject.dogenerate", CHAT),
    ("ai.streamobject.dostream", CHAT),
    ("ai.embed.doembed", EMBEDDINGS),
    ("ai.embedmany.doembed", EMBEDDINGS),
    ("ai.generatetext", Told::Run),
    ("ai.streamtext", Told::Run),
    ("ai.generateobject", Told::Other),
    ("ai.streamobject", Told::Other),
    ("ai.embed", Told::Other),
    ("ai.embedmany", Told::Other),
    ("ai.toolcall", Told::Tool),
];

const CHAT: Told<'static> = Told::Call(Operation::Known("chat"));
const COMPLETION: Told<'static> = Told::Call(Operation::Known("text_completion"));
const GENERATE: Told<'static> = Told::Call(Operation::Known("generate_content"));
const EMBEDDINGS: Told<'static> = Told::Call(Operation::Known("embeddings"));

/// What stands for an operation that nobody names.
const UNNAMED: &str = "unknown";

/// What a span or record of this kind with these attributes tells of.
///
/// The words of the semantic conventions count before those of others. What neither knows is a call if it has a model
/// and token counts and either a name for what it does or the kind of a client.
pub(super) fn told<'a>(call: &Call<'a>, kind: SpanKind) -> Told<'a> {
    let own = call.text(Name::Operation);
    if let Some(told) = own.and_then(word) {
        return told;
    }
    if let Some(told) = call.text(Name::Kind).and_then(word) {
        return told;
    }
    let has_model = call.has(Name::RequestModel) || call.has(Name::ResponseModel);
    let has_usage = call.has(Name::Input) || call.has(Name::Output);
    match own {
        _ if !has_model || !has_usage => Told::Other,
        Some(name) => Told::Call(Operation::Unknown(name)),
        // Tables have prices and energies of nothing but texts; without a name it is taken for one of these.
        None if kind == SpanKind::Client => Told::Call(Operation::Known(UNNAMED)),
        None => Told::Other,
    }
}

fn word(word: &str) -> Option<Told<'static>> {
    // MLflow tells its kinds as JSON.
    let word = word.trim_matches('"');
    WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, told)| *told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_unique_and_in_small_letters() {
        for (number, (one, _)) in WORDS.iter().enumerate() {
            assert_eq!(*one, one.to_ascii_lowercase());
            assert!(WORDS.iter().skip(number + 1).all(|(other, _)| one != other), "{one}");
        }
    }
}
