use super::super::usage::MOST_TOKENS;
use super::*;

#[test]
fn calls_without_tokens_with_absurd_ones_and_of_engines_are_counted() {
    let operation = || attribute("gen_ai.operation.name", "chat");
    let with = |key: &str, value: Json| span(1, vec![operation(), attribute(key, value)]);
    let calls = read(vec![
        span(1, vec![operation()]),
        with("gen_ai.usage.cache_read.input_tokens", 5.into()),
        with("gen_ai.usage.input_tokens", (-1).into()),
        with("gen_ai.usage.input_tokens", 1_000_000_001.into()),
        with("gen_ai.usage.output_tokens", 0.5.into()),
        with("gen_ai.usage.output_tokens", f64::NAN.into()),
        with("gen_ai.usage.output_tokens", "many".into()),
        ProtoSpan { kind: 2, ..chat(2, 5) },
    ]);
    let expected = Calls { without_tokens: 2, absurd_tokens: 5, of_engines: 1, ..Calls::default() };
    assert_eq!(calls, expected);
}

#[test]
fn counts_may_be_texts_or_floating_point_numbers() {
    let attributes = vec![
        attribute("gen_ai.operation.name", "chat"),
        attribute("gen_ai.usage.input_tokens", " 12 "),
        attribute("gen_ai.usage.output_tokens", 34.0),
        attribute("gen_ai.usage.reasoning.output_tokens", "5.0"),
    ];
    let usage = read(vec![span(1, attributes)]).booked[0].usage;
    assert_eq!(usage, TokenUsage { input: 12, output: 34, reasoning: 5, ..TokenUsage::default() });
}

#[test]
fn the_tier_that_served_the_call_counts_before_the_one_asked_for() {
    let tier = |attributes: &[(&'static str, &'static str)]| {
        let mut all = vec![attribute("gen_ai.operation.name", "chat"), attribute("gen_ai.usage.input_tokens", 1)];
        all.extend(attributes.iter().map(|(key, value)| attribute(key, *value)));
        read(vec![span(1, all)]).booked[0].service_tier.clone()
    };
    let asked = ("openai.request.service_tier", "auto");
    assert_eq!(tier(&[asked, ("openai.response.service_tier", "flex")]), Some("flex".into()));
    assert_eq!(tier(&[("gen_ai.openai.response.service_tier", "default"), asked]), Some("default".into()));
    assert_eq!(tier(&[asked]), Some("auto".into()));
    assert_eq!(tier(&[]), None);
}

#[test]
fn an_input_that_came_whole_from_a_cache_is_not_counted_twice() {
    let attributes = vec![
        attribute("gen_ai.operation.name", "chat"),
        attribute("gen_ai.usage.input_tokens", 100),
        attribute("gen_ai.usage.output_tokens", 7),
        attribute("gen_ai.usage.cache_read.input_tokens", 90),
        attribute("gen_ai.usage.cache_write.input_tokens", 10),
        attribute("gen_ai.usage.reasoning.output_tokens", 7),
    ];
    let usage = read(vec![span(1, attributes)]).booked[0].usage;
    assert_eq!((usage.input, usage.output), (100, 7));
}

#[test]
fn cached_and_reasoning_tokens_that_exceed_their_whole_are_added_to_it() {
    let attributes = vec![
        attribute("gen_ai.operation.name", "chat"),
        attribute("gen_ai.usage.input_tokens", 3),
        attribute("gen_ai.usage.output_tokens", 4),
        attribute("gen_ai.usage.cache_read.input_tokens", 25_037),
        attribute("gen_ai.usage.cache_write.input_tokens", 10),
        attribute("gen_ai.usage.reasoning.output_tokens", 6),
    ];
    let usage = read(vec![span(1, attributes)]).booked[0].usage;
    assert_eq!((usage.input, usage.output), (25_050, 10));
}

proptest! {
    #[test]
    fn booked_counts_are_consistent(counts in prop::collection::vec(prop::option::of(-5i64..2_000_000_000), 5)) {
        let keys = [
            "gen_ai.usage.input_tokens",
            "gen_ai.usage.output_tokens",
            "gen_ai.usage.cache_read.input_tokens",
            "gen_ai.usage.cache_write.input_tokens",
            "gen_ai.usage.reasoning.output_tokens",
        ];
        let mut attributes = vec![attribute("gen_ai.operation.name", "chat")];
        attributes.extend(keys.into_iter().zip(counts).filter_map(|(key, count)| Some(attribute(key, count?))));
        let calls = read(vec![span(1, attributes)]);
        prop_assert_eq!(calls.booked.len() as u64 + calls.without_tokens + calls.absurd_tokens, 1);
        for call in calls.booked {
            let TokenUsage { input, output, cache_read, cache_write, cache_write_1h: _, reasoning } = call.usage;
            prop_assert!(cache_read + cache_write <= input && reasoning <= output && input <= 3 * MOST_TOKENS);
        }
    }
}
