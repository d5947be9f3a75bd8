use super::*;

#[test]
fn a_parent_that_repeats_its_child_is_dropped() {
    let agent = span(1, vec![attribute("gen_ai.operation.name", "invoke_agent")]);
    let cycle = below(2, span(3, vec![]));
    // The framework's span comes last, as the outer span ends last.
    let calls = read(vec![
        below(3, chat(4, 10)),
        below(3, chat(5, 20)),
        cycle,
        below(1, chat(2, 30)),
        agent,
        below(1, chat(6, 40)),
    ]);
    assert_eq!((inputs(&calls), calls.repeated), (vec![10, 20, 40], 1));
}

#[test]
fn only_the_lowest_of_a_chain_is_booked() {
    let calls = read(vec![chat(1, 1), below(1, chat(2, 2)), below(2, chat(3, 3)), below(3, chat(4, 4))]);
    assert_eq!((inputs(&calls), calls.repeated), (vec![4], 3));
}

#[test]
fn another_trace_another_class_and_a_call_without_tokens_repeat_nothing() {
    let mut elsewhere = below(1, chat(2, 2));
    elsewhere.trace_id = vec![8; 16];
    let embeddings = vec![attribute("gen_ai.operation.name", "embeddings"), attribute("gen_ai.usage.input_tokens", 3)];
    let without_tokens = span(4, vec![attribute("gen_ai.operation.name", "chat")]);
    let calls = read(vec![chat(1, 1), elsewhere, below(1, span(3, embeddings)), below(1, without_tokens)]);
    assert_eq!((inputs(&calls), calls.repeated, calls.without_tokens), (vec![1, 2, 3], 0, 1));
}

#[test]
fn spans_without_valid_ids_are_related_to_nothing() {
    let mut nameless = chat(1, 1);
    nameless.span_id = vec![];
    let mut zero = below(0, chat(0, 2));
    zero.trace_id = vec![0; 16];
    let calls = read(vec![nameless.clone(), nameless, zero.clone(), zero]);
    assert_eq!((inputs(&calls), calls.repeated), (vec![1, 1, 2, 2], 0));
}

#[test]
fn a_span_that_came_twice_is_booked_once_and_one_above_itself_is_booked() {
    let calls = read(vec![chat(1, 1), chat(2, 2), chat(1, 1), below(3, chat(3, 3))]);
    assert_eq!((inputs(&calls), calls.repeated), (vec![1, 2, 3], 1));
}

/// A forest of spans: for each its parent among those before it, and whether it is a call.
fn forests() -> impl Strategy<Value = (Vec<(Option<usize>, bool)>, u64)> {
    let span = (prop::option::of(any::<prop::sample::Index>()), any::<bool>());
    (prop::collection::vec(span, 1..40), any::<u64>()).prop_map(|(spans, seed)| {
        let parent = |index: usize, parent: Option<prop::sample::Index>| {
            parent.filter(|_| index > 0).map(|parent| parent.index(index))
        };
        (spans.into_iter().enumerate().map(|(index, (above, call))| (parent(index, above), call)).collect(), seed)
    })
}

proptest! {
    #[test]
    fn the_booked_calls_are_those_without_a_call_below((forest, seed) in forests()) {
        let id = |index: usize| u8::try_from(index + 1).unwrap();
        let mut spans: Vec<ProtoSpan> = forest.iter().enumerate().map(|(index, (parent, call))| {
            let one = if *call { chat(id(index), i64::from(id(index))) } else { span(id(index), vec![]) };
            parent.map_or(one.clone(), |parent| below(id(parent), one))
        }).collect();
        let turn = usize::try_from(seed % spans.len() as u64).unwrap();
        spans.rotate_left(turn);

        let has_call_below = |index: usize| forest.iter().enumerate().any(|(other, (_, call))| {
            let above = std::iter::successors(forest[other].0, |&above| forest[above].0);
            *call && above.into_iter().any(|above| above == index)
        });
        let expected: Vec<u64> =
            (0..forest.len()).filter(|&index| forest[index].1 && !has_call_below(index)).map(|index| u64::from(id(index))).collect();
        let mut booked = inputs(&read(spans));
        booked.sort_unstable();
        prop_assert_eq!(booked, expected);
    }
}
