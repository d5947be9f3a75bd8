use proptest::prelude::*;
use wattline_core::reading::EngineTokens;

use super::*;

/// What a running proxy of `LiteLLM` 1.108.7 showed after six calls of 11 tokens in, 4 of them cached, and 3 out, and
/// three streamed ones of 7 in and 5 out. Labels of users and teams are left out.
const LITELLM: &[u8] = include_bytes!("../../../tests/engines/litellm-1.108.txt");

/// What the server of llama.cpp, build 11434, showed after eight calls, four at a time, of 296 tokens in, 128 of them cached,
/// and 384 out. They took 8.7 s, and the server's own figures of them add up to 30.07 s of generating.
const LLAMA_CPP: &[u8] = include_bytes!("../../../tests/engines/llama-cpp-11434.txt");

fn read_at(body: &[u8], kind: Option<EngineKind>) -> Option<Told> {
    let (address, service) = (Text::from("127.0.0.1"), Text::from("chat"));
    read(body, &Origin { kind, model: None, address: &address, port: 8000, service: &service })
}

fn all(text: &str) -> Told {
    read_at(text.as_bytes(), None).unwrap_or_else(|| panic!("no engine is in {text}"))
}

fn one(text: &str) -> EngineReading {
    let told = all(text);
    assert_eq!((told.readings.len(), told.unread), (1, 0), "{told:?}");
    told.readings.into_iter().next().unwrap()
}

fn tokens(input: u64, cached: Option<u64>, output: u64) -> EngineTokens {
    EngineTokens { input: Some(input), cached, output: Some(output), drafted: None, accepted: None }
}

fn phases_by(clock: PhaseClock, prefill_ns: u64, decode_ns: u64) -> PhaseTimes {
    PhaseTimes { prefill_ns, prefill_clock: clock, decode_ns, decode_clock: clock }
}

fn requests(reading: &EngineReading) -> Vec<(&str, u64)> {
    reading.requests.iter().map(|(reason, count)| (reason.as_str(), *count)).collect()
}

#[test]
fn vllm_is_read_whole() {
    let reading = one(r#"
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_waiting{engine="0",model_name="m"} 1.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="m",reason="capacity"} 1.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:num_preemptions_total{engine="0",model_name="m"} 2.0
vllm:num_preemptions_created{engine="0",model_name="m"} 1.7e+09
vllm:prompt_tokens_total{engine="0",model_name="m"} 1000.0
vllm:prompt_tokens_by_source_total{engine="0",model_name="m",source="local_compute"} 600.0
vllm:prompt_tokens_cached_total{engine="0",model_name="m"} 400.0
vllm:prefix_cache_hits_total{engine="0",model_name="m"} 416.0
vllm:generation_tokens_total{engine="0",model_name="m"} 500.0
vllm:request_success_total{engine="0",finished_reason="stop",model_name="m"} 7.0
vllm:request_success_total{engine="0",finished_reason="length",model_name="m"} 2.0
vllm:request_success_total{engine="0",finished_reason="abort",model_name="m"} 0.0
vllm:spec_decode_num_draft_tokens_total{engine="0",model_name="m"} 90.0
vllm:spec_decode_num_accepted_tokens_total{engine="0",model_name="m"} 60.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.1",model_name="m"} 6.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.5",model_name="m"} 9.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf",model_name="m"} 9.0
vllm:time_to_first_token_seconds_count{engine="0",model_name="m"} 9.0
vllm:time_to_first_token_seconds_sum{engine="0",model_name="m"} 0.75
vllm:inter_token_latency_seconds_count{engine="0",model_name="m"} 490.0
vllm:inter_token_latency_seconds_sum{engine="0",model_name="m"} 9.8
vllm:e2e_request_latency_seconds_count{engine="0",model_name="m"} 9.0
vllm:e2e_request_latency_seconds_sum{engine="0",model_name="m"} 11.0
vllm:request_prefill_time_seconds_sum{engine="0",model_name="m"} 0.5
vllm:request_prefill_time_seconds_count{engine="0",model_name="m"} 9.0
vllm:request_decode_time_seconds_sum{engine="0",model_name="m"} 10.25
"#);
    assert_eq!(reading.engine.kind, EngineKind::Vllm);
    assert_eq!((reading.engine.model.as_str(), reading.engine.port), ("m", 8000));
    let expected = EngineTokens { drafted: Some(90), accepted: Some(60), ..tokens(1000, Some(400), 500) };
    assert_eq!(reading.tokens, expected);
    assert_eq!(requests(&reading), [("abort", 0), ("length", 2), ("stop", 7)]);
    assert_eq!((reading.running, reading.waiting, reading.replicas), (Some(3.0), Some(1.0), 1));
    assert_eq!((reading.cache_usage, reading.preemptions), (Some(Ratio::new(0.25)), Some(2)));
    let phases = phases_by(PhaseClock::Requests, 500_000_000, 10_250_000_000);
    assert_eq!(reading.phases, Some(phases));
    let first = HistogramReading { buckets: vec![(0.1, 6), (0.5, 9)], count: 9, sum: 0.75 };
    assert_eq!(reading.first_token, Some(first));
    assert_eq!(reading.per_token.map(|histogram| histogram.count), Some(490));
    assert_eq!(reading.missing, Vec::<&str>::new());
}

#[test]
fn older_names_of_vllm_and_names_without_total_mean_the_same() {
    let reading = one("vllm:gpu_cache_usage_perc{model_name=\"m\"} 0.5\n\
        vllm:generation_tokens{model_name=\"m\"} 5\n\
        vllm:request_prompt_tokens_sum{model_name=\"m\"} 70\n\
        vllm:gpu_prefix_cache_hits_total{model_name=\"m\"} 3\n\
        vllm:time_per_output_token_seconds_sum{model_name=\"m\"} 2\n\
        vllm:time_per_output_token_seconds_count{model_name=\"m\"} 20\n");
    assert_eq!(reading.tokens, tokens(70, Some(3), 5));
    assert_eq!(reading.cache_usage, Some(Ratio::new(0.5)));
    assert_eq!(reading.per_token, Some(HistogramReading { buckets: Vec::new(), count: 20, sum: 2.0 }));
    assert!(reading.missing.contains(&"finished requests") && reading.missing.contains(&"request duration"));
}

#[test]
fn replicas_are_added_and_ranks_of_one_replica_are_not() {
    // Two replicas of tensor parallel 2: four ranks, each pair of which tells the same.
    let rank = |dp: u32, tokens: u32, running: u32, usage: f64, tp: u32| {
        let labels =
            format!("model_name=\"m\",engine_type=\"unified\",dp_rank=\"{dp}\",pp_rank=\"0\",tp_rank=\"{tp}\"");
        // What ranks tell differs a little when they are read between two steps.
        let running = running + tp;
        format!(
            "sglang:num_running_reqs{{{labels}}} {running}\n\
             sglang:token_usage{{{labels}}} {usage}\n\
             sglang:generation_tokens_total{{{labels},is_streaming=\"true\"}} {tokens}\n\
             sglang:generation_tokens_total{{{labels},is_streaming=\"false\"}} 5\n\
             sglang:forward_execution_seconds_total{{{labels},category=\"extend\"}} 1.5\n\
             sglang:forward_execution_seconds_total{{{labels},category=\"decode\"}} 8\n\
             sglang:forward_execution_seconds_total{{{labels},category=\"idle\"}} 99\n\
             sglang:e2e_request_latency_seconds_sum{{{labels}}} 10\n\
             sglang:e2e_request_latency_seconds_count{{{labels}}} 2\n"
        )
    };
    let replica =
        |dp, tokens, running, usage| rank(dp, tokens, running, usage, 1) + &rank(dp, tokens, running, usage, 0);
    let text = replica(0, 100, 4, 0.2) + &replica(1, 300, 8, 0.6);
    let reading = one(&text);
    assert_eq!(reading.tokens.output, Some(410));
    assert_eq!((reading.running, reading.replicas), (Some(12.0), 2));
    assert_eq!(reading.cache_usage, Some(Ratio::new(0.4)));
    let phases = phases_by(PhaseClock::Engine, 3_000_000_000, 16_000_000_000);
    assert_eq!(reading.phases, Some(phases));
    assert_eq!(reading.duration.map(|histogram| histogram.count), Some(4));
}

#[test]
fn sglang_reads_under_either_separator_and_counts_cached_tokens_once() {
    for separator in [':', '_'] {
        let name = |rest: &str| format!("sglang{separator}{rest}");
        let text = [
            name("prompt_tokens_total{model_name=\"m\"} 90"),
            name("cached_tokens_total{model_name=\"m\",cache_source=\"device\"} 30"),
            name("cached_tokens_total{model_name=\"m\",cache_source=\"host\"} 10"),
            name("cached_tokens_total{model_name=\"m\",cache_source=\"total\"} 40"),
            name("generation_tokens_total{model_name=\"m\"} 50"),
        ];
        assert_eq!(one(&text.join("\n")).tokens, tokens(90, Some(40), 50));
    }
    let only_total = "sglang:cached_tokens_total{cache_source=\"total\"} 40";
    assert_eq!(one(only_total).tokens.cached, Some(40));
}

#[test]
fn tgi_has_its_tokens_in_histograms_and_its_phases_by_method() {
    let reading = one("tgi_request_generated_tokens_sum 800\ntgi_request_generated_tokens_count 10\n\
        tgi_request_input_length_sum 2000\ntgi_request_skipped_tokens_sum 12\n\
        tgi_batch_forward_duration_sum{method=\"prefill\"} 1.25\ntgi_batch_forward_duration_sum{method=\"decode\"} 6\n\
        tgi_batch_current_size 7\ntgi_queue_size 2\ntgi_request_success 10\ntgi_request_count 11\n\
        tgi_request_duration_bucket{le=\"1\"} 4\ntgi_request_duration_bucket{le=\"+Inf\"} 10\n\
        tgi_request_duration_sum 12.5\ntgi_request_duration_count 10\n");
    assert_eq!(reading.engine.kind, EngineKind::Tgi);
    assert_eq!(reading.tokens, EngineTokens { accepted: Some(12), ..tokens(2000, None, 800) });
    assert_eq!((reading.running, reading.waiting), (Some(7.0), Some(2.0)));
    assert_eq!(requests(&reading), [("success", 10)]);
    let phases = phases_by(PhaseClock::Engine, 1_250_000_000, 6_000_000_000);
    assert_eq!(reading.phases, Some(phases));
    assert_eq!(reading.duration, Some(HistogramReading { buckets: vec![(1.0, 4)], count: 10, sum: 12.5 }));
    assert_eq!(
        reading.missing,
        ["cached prompt tokens", "cache usage", "preemptions", "time to first token", "time per token"]
    );
    assert_eq!(reading.engine.model.as_str(), UNKNOWN);
    assert!(all("tgi_queue_size 1").is_nameless);
}

#[test]
fn a_quoted_body_is_read_as_what_it_quotes() {
    let plain = "# HELP llamacpp:tokens_predicted_total x\nllamacpp:tokens_predicted_total 7\n";
    let quoted = serde_json::to_string(plain).unwrap();
    assert_eq!(one(&quoted).tokens.output, Some(7));
    assert_eq!(read_at(b"\"llamacpp:tokens_predicted_total 7", None), None);
}

#[test]
fn llama_cpp_as_it_runs_is_read() {
    let told = read_at(LLAMA_CPP, None).unwrap();
    assert_eq!((told.kind, told.unread, told.is_nameless), (EngineKind::LlamaCpp, 0, true));
    let [reading] = told.readings.as_slice() else { panic!("{told:?}") };
    // It counts 168 tokens read and 128 cached.
    let expected = EngineTokens { drafted: Some(0), accepted: Some(0), ..tokens(296, Some(128), 384) };
    assert_eq!((reading.tokens, reading.running, reading.waiting), (expected, Some(0.0), Some(0.0)));
    let phases = reading.phases.unwrap();
    assert_eq!((phases.prefill_ns, phases.prefill_clock), (1_201_530_000, PhaseClock::Engine));
    assert_eq!((phases.decode_ns, phases.decode_clock), (30_066_400_000, PhaseClock::Requests));
    let older =
        one("llamacpp:prompt_tokens_total 9\nllamacpp:prompt_seconds_total 2\nllamacpp:kv_cache_usage_ratio 0.5\n");
    assert_eq!((older.tokens.input, older.cache_usage), (Some(9), Some(Ratio::new(0.5))));
    assert_eq!(older.phases.unwrap().prefill_clock, PhaseClock::Requests);
    assert!(older.missing.contains(&"cached prompt tokens"));
}

#[test]
fn tensorrt_llm_without_counters_says_what_is_missing() {
    // 1.2.1 counted requests and had four histograms.
    let reading = one("trtllm_request_success_total{model_name=\"m\",finished_reason=\"stop\"} 4\n\
        trtllm_time_to_first_token_seconds_sum{model_name=\"m\"} 1\ntrtllm_time_to_first_token_seconds_count{model_name=\"m\"} 4\n\
        trtllm_e2e_request_latency_seconds_sum{model_name=\"m\"} 9\ntrtllm_e2e_request_latency_seconds_count{model_name=\"m\"} 4\n");
    assert_eq!(reading.tokens, EngineTokens::default());
    assert_eq!(requests(&reading), [("stop", 4)]);
    for missing in ["prompt tokens", "generated tokens", "running requests", "cache usage"] {
        assert!(reading.missing.contains(&missing), "{missing}");
    }
    let newer =
        one("trtllm_num_requests_running{model_name=\"m\"} 4\ntrtllm_server_queue_length{model_name=\"m\"} 1\n\
        trtllm_generation_tokens_total{model_name=\"m\"} 30\ntrtllm_kv_cache_utilization{model_name=\"m\"} 0.5\n");
    assert_eq!((newer.running, newer.waiting, newer.tokens.output), (Some(4.0), Some(1.0), Some(30)));
}

#[test]
fn nim_has_the_names_of_vllm_without_their_prefix() {
    let text = "num_requests_running{model_name=\"m\"} 2\ngpu_cache_usage_perc{model_name=\"m\"} 0.1\n\
        prompt_tokens_total{model_name=\"m\"} 10\ngeneration_tokens_total{model_name=\"m\"} 20\n\
        request_finish_total{model_name=\"m\",finished_reason=\"stop\"} 3\nprocess_cpu_seconds_total 5\n";
    let reading = one(text);
    assert_eq!(reading.engine.kind, EngineKind::Nim);
    assert_eq!((reading.tokens, reading.running), (tokens(10, None, 20), Some(2.0)));
    assert_eq!(requests(&reading), [("stop", 3)]);
    // Newer ones speak vLLM's, and only the configuration knows better.
    let newer = read_at(b"vllm:generation_tokens_total 20", Some(EngineKind::Nim)).unwrap();
    assert_eq!((newer.kind, newer.readings[0].tokens.output), (EngineKind::Nim, Some(20)));
}

#[test]
fn triton_tells_each_model_and_what_the_backend_of_vllm_adds() {
    let told = all("nv_inference_request_success{model=\"a\",version=\"1\"} 5\n\
        nv_inference_request_success{gpu_uuid=\"GPU-1\",model=\"b\",version=\"1\"} 2\n\
        nv_inference_request_success{gpu_uuid=\"GPU-2\",model=\"b\",version=\"1\"} 3\n\
        nv_inference_pending_request_count{model=\"a\",version=\"1\"} 4\nnv_gpu_utilization{gpu_uuid=\"GPU-1\"} 0.5\n\
        nv_inference_first_response_histogram_ms_bucket{model=\"a\",version=\"1\",le=\"100\"} 1\n\
        nv_inference_first_response_histogram_ms_sum{model=\"a\",version=\"1\"} 750\n\
        nv_inference_first_response_histogram_ms_count{model=\"a\",version=\"1\"} 5\n\
        vllm:generation_tokens_total{model=\"a\",version=\"1\"} 60\n");
    assert_eq!(told.kind, EngineKind::Triton);
    let [a, b] = told.readings.as_slice() else { panic!("{told:?}") };
    assert_eq!((a.engine.model.as_str(), b.engine.model.as_str()), ("a", "b"));
    assert_eq!((requests(a), requests(b)), (vec![("success", 5)], vec![("success", 5)]));
    assert_eq!((a.waiting, a.tokens.output, b.tokens.output), (Some(4.0), Some(60), None));
    assert_eq!(a.first_token, Some(HistogramReading { buckets: vec![(0.1, 1)], count: 5, sum: 0.75 }));
}

#[test]
fn litellm_as_it_runs_is_read() {
    let told = read_at(LITELLM, None).unwrap();
    assert_eq!((told.kind, told.unread, told.readings.len()), (EngineKind::LiteLlm, 0, 1));
    let reading = &told.readings[0];
    assert_eq!(reading.engine.model.as_str(), "tiny");
    assert_eq!(reading.tokens, tokens(6 * 11 + 3 * 7, Some(6 * 4), 6 * 3 + 3 * 5));
    assert_eq!(requests(reading), [("unknown", 9)]);
    assert_eq!(reading.running, Some(1.0), "the scrape itself is in flight");
    assert_eq!(reading.duration.as_ref().map(|histogram| histogram.count), Some(9));
    assert_eq!(reading.first_token.as_ref().map(|histogram| histogram.count), Some(3), "streamed calls have one");
    assert_eq!(reading.missing, ["waiting requests", "cache usage", "preemptions", "prefill time", "decode time"]);
}

#[test]
fn what_is_no_engine_is_none_and_a_wrong_kind_does_not_make_it_one() {
    for text in ["", "<html>", "process_cpu_seconds_total 1\nup 1\n", "num_requests 3", "\u{0}\u{1}"] {
        assert_eq!(read_at(text.as_bytes(), None), None, "{text}");
        assert_eq!(read_at(text.as_bytes(), Some(EngineKind::Vllm)), None, "{text}");
    }
}

#[test]
fn models_and_reasons_beyond_the_limit_are_told_together_or_counted() {
    let lines = (0..MODELS_MAX + 5).map(|n| format!("vllm:num_requests_running{{model_name=\"m{n:03}\"}} 1\n"));
    let told = all(&lines.collect::<String>());
    assert_eq!((told.readings.len(), told.left_out), (MODELS_MAX, 5));
    let lines = (0..40).map(|n| format!("vllm:request_success_total{{finished_reason=\"r{n:02}\"}} 1\n"));
    let reading = one(&lines.collect::<String>());
    assert_eq!(reading.requests.len(), REASONS_MAX + 1);
    assert_eq!(reading.requests.iter().map(|(_, count)| count).sum::<u64>(), 40);
}

#[test]
fn long_words_are_cut_at_a_whole_character() {
    let reading = one(&format!("vllm:num_requests_running{{model_name=\"{}\"}} 1", "é".repeat(300)));
    assert_eq!(reading.engine.model.as_str(), "é".repeat(WORD_BYTES_MAX / 2));
}

#[test]
fn nonsense_in_a_histogram_never_makes_counts_fall() {
    let reading = one(
        "vllm:time_to_first_token_seconds_bucket{le=\"1\"} 5\nvllm:time_to_first_token_seconds_bucket{le=\"2\"} 3\n\
        vllm:time_to_first_token_seconds_bucket{le=\"x\"} 3\nvllm:time_to_first_token_seconds_bucket{le=\"4\"} 900\n\
        vllm:time_to_first_token_seconds_bucket{le=\"-1\"} 1\nvllm:time_to_first_token_seconds_sum -3\n\
        vllm:time_to_first_token_seconds_count 8\nvllm:generation_tokens_total NaN\nvllm:prompt_tokens_total -5\n",
    );
    let expected = HistogramReading { buckets: vec![(1.0, 5), (2.0, 5), (4.0, 8)], count: 8, sum: 0.0 };
    assert_eq!((reading.first_token, reading.tokens.output, reading.tokens.input), (Some(expected), None, None));
}

/// Two values that are numbers may have a sum that is none.
#[test]
fn sums_beyond_all_numbers_are_not_told() {
    let twice = |line: &str| [line.replace('@', "engine=\"0\""), line.replace('@', "engine=\"1\"")].join("\n");
    let reading = one(&twice(
        "vllm:num_requests_running{@} 1e308\nvllm:num_requests_waiting{@} 1.7e308\nvllm:generation_tokens_total{@} 1e16\n\
         vllm:request_prefill_time_seconds_sum{@} 1e308\nvllm:time_to_first_token_seconds_count{@} 1\n\
         vllm:time_to_first_token_seconds_sum{@} 1e308\nvllm:request_success_total{@} 1e19",
    ));
    assert_eq!((reading.running, reading.waiting, reading.tokens.output), (None, None, None));
    assert_eq!(requests(&reading), []);
    assert_eq!((reading.phases, reading.first_token), (None, None));
    // A sum over replicas in the order of their names: infinite, and then less so.
    let usage = [(0, "1e308"), (1, "1e308"), (2, "-1.7e308"), (3, "-1.7e308"), (4, "-1.7e308")];
    let lines = usage.map(|(engine, usage)| format!("vllm:kv_cache_usage_perc{{engine=\"{engine}\"}} {usage}\n"));
    let usage = one(&lines.concat()).cache_usage.map(Ratio::get);
    assert!(usage.is_none_or(|usage| (0.0..=1.0).contains(&usage)), "{usage:?}");
}

proptest! {
    #[test]
    fn no_text_of_an_engine_panics(
        lines in prop::collection::vec(("(vllm:|sglang_|tgi_|nv_|llamacpp:|litellm_|)[a-z_]{0,24}(_total|_sum|_bucket|_count)?", "[a-z_]{1,8}", "[ -~]{0,6}", any::<f64>()), 0..40),
        kind in prop::option::of(prop::sample::select(EngineKind::ALL.to_vec())),
    ) {
        let lines = lines.iter().map(|(name, key, value, number)| {
            format!("{name}{{{key}={value:?},tp_rank=\"{value}\"}} {number}")
        });
        let text = lines.collect::<Vec<_>>().join("\n");
        if let Some(told) = read_at(text.as_bytes(), kind) {
            prop_assert!(!told.readings.is_empty());
        }
    }
}
