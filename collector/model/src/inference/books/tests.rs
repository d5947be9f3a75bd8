use proptest::prelude::*;
use wattline_core::Seconds;
use wattline_core::reading::TokenUsage;

use super::*;
use crate::grid::Grid;
use crate::inference::ecologits::InputWeights;
use crate::inference::{LocalAddresses, TokenPrices};

const NOW: Timestamp = Timestamp::from_unix_nanos(1_788_220_860_000_000_000);
const BEFORE: Timestamp = Timestamp::from_unix_nanos(1_788_220_800_000_000_000);

fn book(books: &mut InferenceBooks, call: &Inference) -> Assessment {
    book_weighted(books, call, InputWeights::default())
}

fn book_weighted(books: &mut InferenceBooks, call: &Inference, weights: InputWeights) -> Assessment {
    let local = LocalAddresses::default();
    let prices = TokenPrices::default();
    books.book(call, &Context { now: NOW, grid: Grid::builtin(), local: &local, prices: &prices, weights })
}

fn call(provider: &'static str, model: &'static str, input: u64, output: u64) -> Inference {
    let key = InferenceKey {
        model: model.into(),
        provider: provider.into(),
        service: "shop".into(),
        agent: None,
        operation: "chat".into(),
    };
    Inference::new(key, BEFORE, Seconds::new(12.5), TokenUsage { input, output, ..TokenUsage::default() })
}

fn failed(mut call: Inference) -> Inference {
    call.error = Some("timeout".into());
    call
}

/// The sum of a metric's numbers over all series that bear `label`.
fn sum(samples: &[Sample], name: &str, label: Option<(&str, &str)>) -> f64 {
    samples
        .iter()
        .filter(|sample| sample.metric.name == name)
        .filter(|sample| label.is_none_or(|(key, value)| sample.attribute(key) == Some(value)))
        .filter_map(Sample::number)
        .sum()
}

fn has(samples: &[Sample], name: &str) -> bool {
    samples.iter().any(|sample| sample.metric.name == name)
}

#[test]
fn a_remote_call_is_told_in_joules_grams_and_dollars() {
    let mut books = InferenceBooks::new();
    let mut one = call("aws.bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", 1000, 400);
    one.region = Some("us-west-2".into());
    let assessment = book(&mut books, &one);
    let samples = books.samples(NOW, Conventions::Current);
    // The Python package says 0.000530920 to 0.000851614 kWh at the machine; the middle of it is booked.
    let kwh = f64::midpoint(0.000_530_919_867_863_864_9, 0.000_851_613_769_063_610_5);
    assert!((sum(&samples, "inference.energy", Some(("energy.origin", "remote"))) - kwh * 3.6e6).abs() < 1e-6);
    // Oregon: its grid zone 204 g/kWh or, without zones, the state 203.66; PUE 1.12 once.
    let grams = if cfg!(feature = "odbl") { 204.0 } else { 203.66 };
    let operational = sum(&samples, "inference.carbon", Some(("carbon.kind", "operational")));
    assert!((operational - kwh * grams * 1.12).abs() < 1e-8, "{operational}");
    let embodied = sum(&samples, "inference.carbon", Some(("carbon.kind", "embodied")));
    assert!((embodied - 0.027_796_378_968_253_967).abs() < 1e-8, "{embodied}");
    // Bedrock's regional price: 3.30 and 16.50 dollars for a million.
    assert!((sum(&samples, "inference.cost.usd", None) - (1000.0 * 3.3 + 400.0 * 16.5) / 1e6).abs() < 1e-9);
    assert!(assessment.unknown.is_empty());
    let energy = samples.iter().find(|sample| sample.metric.name == "inference.energy").unwrap();
    assert_eq!(energy.attribute("energy.model"), Some("ecologits/0.11"));
    assert_eq!(energy.attribute("energy.method"), Some("modelled"));
    assert_eq!(energy.period, Period { start: NOW, at: NOW });
    let factor = sum(&samples, "uncertainty.factor", Some(("uncertainty.quantity", "inference.energy")));
    assert!((3.0..4.0).contains(&factor), "{factor}");
    let carbon = sum(&samples, "uncertainty.factor", Some(("uncertainty.quantity", "inference.carbon")));
    assert!(carbon > factor, "place and facility add to the error");
}

#[test]
fn energy_with_input_reckoned_stands_apart_and_both_add_up() {
    let mut books = InferenceBooks::new();
    let one = call("aws.bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", 1000, 400);
    let plain = book(&mut books, &one).energy.unwrap();
    let weighted = book_weighted(&mut books, &one, InputWeights { new: 0.2, cached: 0.01 }).energy.unwrap();
    // Two hundred tokens more: half as many again. What the call took bounds the time, and with it the server's part.
    let ratio = weighted.energy.get() / plain.energy.get();
    assert!((1.2..=1.5).contains(&ratio), "{ratio}");
    assert!(weighted.energy_uncertainty.factor() < plain.energy_uncertainty.factor());
    let samples = books.samples(NOW, Conventions::Current);
    let of = |model| sum(&samples, "inference.energy", Some(("energy.model", model)));
    assert!((of("ecologits/0.11") - plain.energy.get()).abs() < 1e-6);
    assert!((of("ecologits/0.11+input") - weighted.energy.get()).abs() < 1e-6);
}

#[test]
fn many_short_calls_together_cost_what_short_calls_cost() {
    // Above 200,000 tokens of input a call of this model has a higher price.
    let model = call("anthropic", "claude-sonnet-4-5-20250929", 10_000, 100);
    let one = book(&mut InferenceBooks::new(), &model);
    let mut books = InferenceBooks::new();
    let (local, prices, weights) = (LocalAddresses::default(), TokenPrices::default(), InputWeights::default());
    let context = Context { now: NOW, grid: Grid::builtin(), local: &local, prices: &prices, weights };
    let more = More { usage: model.usage.map(|count| count * 100), calls: 100 };
    books.book_sum(&model.key, &more, &context);
    let cost = sum(&books.samples(NOW, Conventions::Current), "inference.cost.usd", None);
    assert!((cost - one.cost.unwrap().get() * 100.0).abs() < 1e-9, "{cost}");
}

#[test]
fn the_score_is_all_carbon_for_each_token_and_each_request() {
    let mut books = InferenceBooks::new();
    for output in [400, 100] {
        book(&mut books, &call("aws.bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", 1000, output));
    }
    // A call seen with this probability stands for four, with four times its tokens.
    let mut one_of_four = call("aws.bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", 1000, 300);
    one_of_four.probability = Ratio::new(0.25);
    book(&mut books, &one_of_four);
    // A call that failed at once emitted nothing, and did nothing.
    let mut refused = call("aws.bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", 0, 0);
    refused.error = Some("429".into());
    book(&mut books, &refused);
    let samples = books.samples(NOW, Conventions::Current);
    let carbon = sum(&samples, "inference.carbon", None);
    let score = |unit| sum(&samples, "inference.sci", Some(("sci.unit", unit)));
    assert!((score("request") - carbon / 6.0).abs() < 1e-12 * carbon, "{}", score("request"));
    assert!((score("token") - carbon / (1400.0 + 1100.0 + 4.0 * 1300.0)).abs() < 1e-12 * carbon, "{}", score("token"));
    let of_local = |books: &mut InferenceBooks| {
        let mut local = call("openai", "llama-3.1-8b", 1000, 400);
        local.server_address = Some("10.0.0.7:8000".into());
        book(books, &local);
        has(&books.samples(NOW, Conventions::Current), "inference.sci")
    };
    assert!(!of_local(&mut InferenceBooks::new()), "its carbon is in a machine's books");
}

#[test]
fn a_local_call_has_tokens_and_no_joules() {
    let mut books = InferenceBooks::new();
    let mut one = call("openai", "llama-3.1-8b", 1000, 400);
    one.server_address = Some("10.0.0.7:8000".into());
    assert_eq!(book(&mut books, &one).origin, Origin::Local);
    let samples = books.samples(NOW, Conventions::Current);
    for name in ["inference.energy", "inference.carbon", "inference.cost.usd", "inference.unknown"] {
        assert!(!has(&samples, name), "{name}");
    }
    assert!((sum(&samples, "inference.calls", None) - 1.0).abs() < 1e-12);
    assert!(has(&samples, "gen_ai.client.token.usage") && has(&samples, "gen_ai.client.operation.duration"));
}

#[test]
fn what_no_table_knows_is_counted() {
    let mut books = InferenceBooks::new();
    book(&mut books, &call("openai", "nobodys-model", 10, 10));
    book(&mut books, &call("openai", "nobodys-model", 0, 0));
    book(&mut books, &call("aws.bedrock", "amazon.nova-lite-v1:0", 10, 10));
    let samples = books.samples(NOW, Conventions::Current);
    let unknown = |reason| sum(&samples, "inference.unknown", Some(("wattline.reason", reason)));
    assert!((unknown("model_parameters") - 2.0).abs() < 1e-12, "nobody has published Nova's size");
    assert!((unknown("price") - 1.0).abs() < 1e-12);
    assert!((unknown("token_counts") - 1.0).abs() < 1e-12);
    assert!(!has(&samples, "inference.energy"));
    assert!(has(&samples, "inference.cost.usd"), "Nova's price is known");
}

#[test]
fn a_book_that_is_answered_with_a_word_is_told_with_a_wide_range() {
    let of = |input| book(&mut InferenceBooks::new(), &call("openai", "gpt-4o", input, 500)).energy.unwrap();
    let (short, long) = (of(1), of(1_000_000));
    assert_eq!((short.energy, short.operational, short.embodied), (long.energy, long.operational, long.embodied));
    assert!((3.0..3.6).contains(&short.energy_uncertainty.factor()), "{short:?}");
    assert!(long.energy_uncertainty.factor() > 100.0 * short.energy_uncertainty.factor(), "{long:?}");
    assert!(long.embodied_uncertainty > short.embodied_uncertainty);
}

#[test]
fn what_making_machines_emitted_does_not_depend_on_the_grid() {
    let of = |region: &'static str| {
        let model = "anthropic.claude-sonnet-4-5-20250929-v1:0";
        let mut one = call("aws.bedrock", model, 10, 400);
        one.region = Some(region.into());
        book(&mut InferenceBooks::new(), &one).energy.unwrap()
    };
    // A region that is known, and one that is not, for which the country of the provider stands in.
    let (known, unknown) = (of("eu-west-3"), of("mars-1"));
    assert!(known.operational_uncertainty < unknown.operational_uncertainty);
    assert_eq!(known.embodied_uncertainty, unknown.embodied_uncertainty);
    for found in [known, unknown] {
        let sigmas = [found.embodied_uncertainty, found.operational_uncertainty].map(Uncertainty::sigma);
        let both = found.carbon_uncertainty.sigma();
        assert!(sigmas.iter().any(|sigma| *sigma <= both) && sigmas.iter().any(|sigma| both <= *sigma), "{found:?}");
        assert!(found.energy_uncertainty < found.embodied_uncertainty);
    }
}

#[test]
fn a_call_that_failed_at_once_draws_nothing_and_is_no_riddle() {
    let mut books = InferenceBooks::new();
    let mut refused = call("openai", "gpt-4o", 0, 0);
    refused.error = Some("429".into());
    book(&mut books, &refused);
    let samples = books.samples(NOW, Conventions::Current);
    assert!((sum(&samples, "inference.calls", Some(("error.type", "429"))) - 1.0).abs() < 1e-12);
    assert!(!has(&samples, "inference.energy") && !has(&samples, "inference.unknown"));
    assert!(!has(&samples, "gen_ai.client.token.usage"));
    assert!(has(&samples, "gen_ai.client.operation.duration"));
}

#[test]
fn a_sampled_call_stands_for_those_not_seen() {
    let (mut all, mut sampled) = (InferenceBooks::new(), InferenceBooks::new());
    let one = call("openai", "gpt-4o", 100, 400);
    for _ in 0..8 {
        book(&mut all, &one);
    }
    book(&mut sampled, &Inference { probability: Ratio::new(0.125), ..one.clone() });
    let (all, sampled) = (all.samples(NOW, Conventions::Current), sampled.samples(NOW, Conventions::Current));
    for name in ["inference.calls", "inference.energy", "inference.carbon", "inference.cost.usd"] {
        let (all, sampled) = (sum(&all, name, None), sum(&sampled, name, None));
        assert!((all - sampled).abs() < 1e-7 * all, "{name}: {all} and not {sampled}");
    }
    let histogram = |samples: &[Sample]| {
        samples.iter().find(|s| s.attribute("gen_ai.token.type") == Some("output")).unwrap().value.clone()
    };
    assert_eq!(histogram(&all), histogram(&sampled));
    for nonsense in [f64::NAN, 0.0, -1.0, 7.0] {
        let mut books = InferenceBooks::new();
        book(&mut books, &Inference { probability: Ratio::new(nonsense), ..one.clone() });
        assert!(
            (sum(&books.samples(NOW, Conventions::Current), "inference.calls", None) - 1.0).abs() < 1e-12,
            "{nonsense}"
        );
    }
}

#[test]
fn the_books_stay_bounded_and_nothing_is_lost() {
    let mut books = InferenceBooks::new();
    let calls = InferenceBooks::MAX_KEYS + 50;
    for n in 0..calls {
        let mut one = call("openai", "gpt-4o", 10, 10);
        one.key.service = Text::from(format!("service {n}"));
        book(&mut books, &one);
    }
    assert_eq!((books.len(), books.folded()), (InferenceBooks::MAX_KEYS + 1, 50));
    let samples = books.samples(NOW, Conventions::Current);
    assert!((sum(&samples, "inference.calls", None) - calls as f64).abs() < 1e-9);
    let mut errors = InferenceBooks::new();
    for n in 0..100 {
        let mut one = call("openai", "gpt-4o", 10, 10);
        one.error = Some(Text::from(format!("error {n}")));
        book(&mut errors, &one);
    }
    let samples = errors.samples(NOW, Conventions::Current);
    assert!(sum(&samples, "inference.calls", Some(("error.type", "_OTHER"))) > 80.0);
    assert!((sum(&samples, "inference.calls", None) - 100.0).abs() < 1e-9);
    assert!(
        samples.iter().filter(|sample| sample.metric.name == "inference.calls").count()
            <= InferenceBooks::MAX_ERRORS + 2
    );
}

#[test]
fn a_series_counts_from_when_its_first_call_was_booked_whatever_that_call_says() {
    let mut books = InferenceBooks::new();
    for start in [BEFORE, Timestamp::from_unix_nanos(5), Timestamp::default()] {
        book(&mut books, &Inference { start, ..call("openai", "gpt-4o", 10, 10) });
        assert!(books.samples(NOW, Conventions::Current).iter().all(|sample| sample.period.start == NOW), "{start:?}");
    }
    assert!(books.samples(BEFORE, Conventions::Current).iter().all(|sample| sample.period.start <= sample.period.at));
}

#[test]
fn every_attribute_is_one_that_the_metric_table_allows() {
    let mut books = InferenceBooks::new();
    book(&mut books, &call("openai", "gpt-4o", 10, 10));
    book(&mut books, &call("openai", "nobodys-model", 10, 10));
    book(&mut books, &failed(call("openai", "gpt-4o", 10, 0)));
    for sample in books.samples(NOW, Conventions::Current) {
        for attribute in &sample.attributes {
            assert!(sample.metric.attributes.contains(&attribute.key), "{} on {}", attribute.key, sample.metric.name);
        }
    }
}

fn any_call() -> impl Strategy<Value = Inference> {
    let provider = prop::sample::select(vec!["openai", "anthropic", "aws.bedrock", "gcp.gemini", "ollama", "somebody"]);
    let model = prop::sample::select(vec![
        "gpt-4o",
        "claude-sonnet-4-5",
        "gemini-2.5-flash",
        "llama-3.1-8b",
        "mistral-large-2512",
        "nobodys-model",
    ]);
    let error = prop::option::weighted(0.2, prop::sample::select(vec!["timeout", "429"]));
    let address = prop::option::of(prop::sample::select(vec!["localhost", "api.example.com", "10.0.0.1"]));
    let region = prop::option::of(prop::sample::select(vec!["us-east-1", "eu-north-1", "europe-west1"]));
    ((provider, model, error, address, region), (0u64..200_000, 0u64..20_000, 0.0..1.5f64, 0.0..100.0f64)).prop_map(
        |((provider, model, error, address, region), (input, output, probability, seconds))| {
            let mut call = call(provider, model, input, output);
            call.error = error.map(Text::from);
            call.server_address = address.map(Text::from);
            call.region = region.map(Text::from);
            Inference { probability: Ratio::new(probability), duration: Seconds::new(seconds), ..call }
        },
    )
}

proptest! {
    #[test]
    fn the_books_are_the_sum_of_the_calls(calls in prop::collection::vec(any_call(), 0..40)) {
        let mut books = InferenceBooks::new();
        let (mut energy, mut carbon, mut cost, mut count) = (0.0, 0.0, 0.0, 0.0);
        for call in &calls {
            let assessment = book(&mut books, call);
            let scale = if call.probability.get() < 1.0 { 1.0 / call.probability.get().max(1e-6) } else { 1.0 };
            count += scale;
            energy += assessment.energy.map_or(0.0, |found| found.energy.get() * scale * 1e6);
            carbon += assessment.energy.map_or(0.0, |found| (found.operational.get() + found.embodied.get()) * scale * 1e9);
            cost += assessment.cost.map_or(0.0, |usd| usd.get() * scale * 1e9);
        }
        let samples = books.samples(NOW, Conventions::Current);
        let told = |name| sum(&samples, name, None);
        // One unit for each call, two for carbon's two kinds; and the count of calls is kept to a millionth of one.
        let unit = calls.len() as f64;
        prop_assert!((told("inference.calls") - count).abs() <= unit * 1e-6 + count * 1e-12);
        prop_assert!((told("inference.energy") * 1e6 - energy).abs() <= unit + energy * 1e-6);
        prop_assert!((told("inference.carbon") * 1e9 - carbon).abs() <= 2.0 * unit + carbon * 1e-6);
        prop_assert!((told("inference.cost.usd") * 1e9 - cost).abs() <= unit + cost * 1e-6);
    }

    #[test]
    fn the_order_of_calls_does_not_matter(calls in prop::collection::vec(any_call(), 0..30), turn in 0usize..30) {
        let mut shuffled: Vec<_> = calls.iter().rev().cloned().collect();
        let turn = turn.min(shuffled.len());
        shuffled.rotate_left(turn);
        let (mut one, mut two) = (InferenceBooks::new(), InferenceBooks::new());
        for call in &calls { book(&mut one, call); }
        for call in &shuffled { book(&mut two, call); }
        let (one, two) = (one.samples(NOW, Conventions::Current), two.samples(NOW, Conventions::Current));
        prop_assert_eq!(one.len(), two.len());
        for (one, two) in one.iter().zip(&two) {
            prop_assert_eq!((one.metric.name, &one.subject, &one.attributes), (two.metric.name, &two.subject, &two.attributes));
            match (&one.value, &two.value) {
                (wattline_core::Value::Histogram(one), wattline_core::Value::Histogram(two)) => {
                    prop_assert_eq!(one.counts(), two.counts());
                    prop_assert_eq!((one.scale(), one.offset(), one.count()), (two.scale(), two.offset(), two.count()));
                    // A sum of floating-point durations may differ in its last digits, and only there.
                    prop_assert!((one.sum() - two.sum()).abs() <= 1e-12 * one.sum());
                }
                (one, two) => prop_assert_eq!(one, two),
            }
        }
    }
}

#[test]
fn books_that_were_saved_say_the_same_and_go_on() {
    let mut books = InferenceBooks::new();
    for (input, output) in [(1000, 400), (7, 3), (0, 9)] {
        book(&mut books, &call("openai", "gpt-4o", input, output));
    }
    book(&mut books, &failed(call("openai", "nobody-knows-it", 5, 0)));
    let saved = serde_json::to_string(&books.save()).unwrap();
    let mut restored = InferenceBooks::restored(serde_json::from_str(&saved).unwrap());
    assert_eq!(restored.samples(NOW, Conventions::Current), books.samples(NOW, Conventions::Current));
    for books in [&mut books, &mut restored] {
        book(books, &call("openai", "gpt-4o", 123, 456));
    }
    assert_eq!(restored.samples(NOW, Conventions::Current), books.samples(NOW, Conventions::Current));
}
