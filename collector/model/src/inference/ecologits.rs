//! The energy and the embodied carbon of one generated answer, by the formulas of `EcoLogits` 0.11.
//!
//! A regression over published measurements gives the energy of one GPU for each output token; the size of the model
//! gives how many GPUs hold it, and the time it takes how much of their server is busy. 64 requests always share a
//! batch: against measured configurations the result was within a factor of three in eight cases of ten, and it is
//! published with at least that band.
//!
//! Input has no term. The figure stays comparable with theirs, so none is added; what input may need at most widens the
//! range instead: see [`unreckoned_input`].
//!
//! Source: Rincé and Banse, "`EcoLogits`: Evaluating the Environmental Impacts of Generative AI", JOSS 2025,
//! doi 10.21105/joss.07471, and the coefficients of the Python package's version 0.11.3.

use wattline_core::reading::TokenUsage;
use wattline_core::{GramsCo2e, Joules, Seconds, Uncertainty};

/// The name and version of the model: the value of `energy.model`.
pub const NAME: &str = "ecologits/0.11";

/// Requests that share a batch, for every provider.
const BATCH: f64 = 64.0;

/// Energy of one GPU for each output token, in watt-hours: `ALPHA * exp(BETA * batch) * active parameters + GAMMA`.
const ENERGY_ALPHA: f64 = 1.166_527_317_045_191_4e-6;
const ENERGY_BETA: f64 = -0.011_205_921_025_579_175;
const ENERGY_GAMMA: f64 = 4.052_928_146_734_005e-5;

/// Seconds for each output token: `ALPHA * active parameters + BETA * batch + GAMMA`.
const LATENCY_ALPHA: f64 = 0.000_678_508_809_435_366_3;
const LATENCY_BETA: f64 = 0.000_311_931_031_168_825_9;
const LATENCY_GAMMA: f64 = 0.019_473_717_579_473_387;

/// Weights of 16 bits and a fifth more for all else that lies in memory.
const GB_PER_BILLION_PARAMETERS: f64 = 1.2 * 16.0 / 8.0;
/// Memory of one GPU, an H100.
const GPU_MEMORY_GB: f64 = 80.0;
/// The most GPUs reckoned with: a guard against nonsense in a table, thirty times the largest model known.
const MOST_GPUS: f64 = 8192.0;

/// A server of eight GPUs without them, in kilowatts.
const SERVER_KW: f64 = 1.2;
const SERVER_GPUS: f64 = 8.0;

/// What making a server without GPUs and one GPU emitted, in kilograms, and how long they serve.
const SERVER_EMBODIED_KG: f64 = 5700.0;
const GPU_EMBODIED_KG: f64 = 273.0;
const LIFETIME_SECONDS: f64 = 3.0 * 365.0 * 24.0 * 3600.0;

/// Standard deviations that hold 90 % of a normal distribution.
const NINETY_PERCENT: f64 = 1.645;

/// The band of a factor of three as the logarithm's standard deviation: ln(3) / 1.645.
const LEAST_SIGMA: f64 = 0.667_849;

/// What reading a new token of input needs for each billion of active parameters: two operations for each parameter, at
/// 45 % of the 989 TFLOP/s of an H100 that draws 85 % of its 700 W, with its eighth of the server.
///
/// Against the formulas above that is 0.12 of a generated token for 70 billion dense parameters, 0.10 for 8, 0.05 for
/// 405, and 0.01 to 0.02 for mixtures of experts. Source: NVIDIA H100 data sheet; 0.45 and 0.85 are ours, between what ML.ENERGY
/// Benchmark 3.0 shows of power (0.57 to 0.90 of the limit) and what large batches are seen to reach of the arithmetic.
const READING_JOULES_PER_BILLION: f64 = 2e9 / (0.45 * 989e12) * (0.85 * 700.0 + 1000.0 * SERVER_KW / SERVER_GPUS);

/// A token read from a cache as a share of a new one, at most: the largest ratio of the two in published price lists
/// (Amazon Nova; others ask a tenth). No measurement was found.
const CACHED_AT_MOST: f64 = 0.25;

/// The length of input at which attention takes as many operations as the weights, for a dense model of 70 billion
/// parameters (80 layers, width 8192), so that reading a token takes twice as much. Source: Llama 3 model card.
const INPUT_THAT_DOUBLES_READING: f64 = 107_000.0;

/// The length of input at which generating a token takes twice as much, for what went before must be read each time:
/// 328 kB for each token of the same model (8 heads of 128 for keys and values, 16 bits), at 3.35 TB/s and 650 W, equal
/// what the formulas above give for a token at 31,000. Source: Llama 3 model card, NVIDIA H100 data sheet, ML.ENERGY
/// Benchmark 3.0 (500 W for each of four GPUs).
const INPUT_THAT_DOUBLES_GENERATING: f64 = 30_000.0;

/// A figure of which only the range is known. `low` equals `high` where it is published.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// The least it may be.
    pub low: f64,
    /// The most it may be.
    pub high: f64,
}

/// What is known of a model and of how it is served.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters {
    /// All parameters, in billions: they decide how many GPUs hold the model.
    pub total_billions: Span,
    /// The parameters that work on one token, in billions; all of them unless the model is a mixture of experts.
    pub active_billions: Span,
    /// Output tokens a second as observed, instead of the regression.
    pub tokens_per_second: Option<f64>,
    /// Time to the first token as observed.
    pub first_token: Option<Seconds>,
}

/// What one call drew and wore, in machines of whoever served it. No facility's overhead is in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Impact {
    /// GPUs that hold the model.
    pub gpus: f64,
    /// Energy of one of these GPUs.
    pub gpu_energy: Joules,
    /// How long the answer was in the making.
    pub generation: Seconds,
    /// The call's share of the server without GPUs.
    pub server_energy: Joules,
    /// Energy of server and GPUs.
    pub energy: Joules,
    /// The call's share of what making them emitted.
    pub embodied: GramsCo2e,
}

/// The impact of a call, with the range that unknown parameters leave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// With the least parameters.
    pub low: Impact,
    /// With the most.
    pub high: Impact,
    /// How wrong the middle may be: a factor of three, and more where the parameters are a guess.
    pub uncertainty: Uncertainty,
}

impl Estimate {
    /// The energy that is booked: the middle of the range.
    pub fn energy(&self) -> Joules {
        (self.low.energy + self.high.energy) * 0.5
    }

    /// The embodied carbon that is booked: the middle of the range.
    pub fn embodied(&self) -> GramsCo2e {
        (self.low.embodied + self.high.embodied) * 0.5
    }
}

/// Estimates a call with `output` tokens that took `latency`, which bounds the time of generation. A latency that
/// is not above zero is not known, and bounds nothing.
pub fn estimate(model: &Parameters, output: u64, latency: Seconds) -> Estimate {
    Served::new(model).estimate(output, latency)
}

/// How wrong a figure may be because input has no term in it.
///
/// The most that input may add, as a share of what the output is reckoned to need, is taken for the end of the 90 %
/// range. It is nothing for a short question and a long answer, and a factor of thousands for a book that is answered
/// with a word. The range is symmetric in the logarithm, so its lower end widens too, though input never makes a call
/// cheaper.
pub fn unreckoned_input(model: &Parameters, usage: &TokenUsage) -> Uncertainty {
    Served::new(model).unreckoned_input(usage)
}

/// A model as it is served: all that does not depend on the call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Served {
    low: Side,
    high: Side,
    /// Billions of parameters that may work on a token.
    active_billions: f64,
    first_token: f64,
}

/// One end of the range that unknown parameters leave.
#[derive(Clone, Copy, Debug)]
struct Side {
    gpus: f64,
    gpu_kwh_per_token: f64,
    seconds_per_token: f64,
    servers: f64,
    embodied_kg: f64,
}

impl Served {
    pub(super) fn new(model: &Parameters) -> Self {
        let side = |active, total| Side::new(active, total, model);
        Self {
            low: side(model.active_billions.low, model.total_billions.low),
            high: side(model.active_billions.high, model.total_billions.high),
            active_billions: model.active_billions.high,
            first_token: model.first_token.unwrap_or(Seconds::ZERO).get(),
        }
    }

    pub(super) fn estimate(&self, output: u64, latency: Seconds) -> Estimate {
        let [low, high] = [&self.low, &self.high].map(|side| side.impact(self.first_token, output, latency));
        let half_range = (high.energy.get() / low.energy.get()).ln() / 2.0 / NINETY_PERCENT;
        let half_range = if half_range.is_finite() { half_range } else { 0.0 };
        Estimate {
            low,
            high,
            uncertainty: Uncertainty::from_sigma(LEAST_SIGMA).times(Uncertainty::from_sigma(half_range)),
        }
    }

    pub(super) fn unreckoned_input(&self, usage: &TokenUsage) -> Uncertainty {
        let TokenUsage { input, output, cache_read, .. } = *usage;
        let cached = cache_read.min(input);
        let as_new = (input - cached) as f64 + cached as f64 * CACHED_AT_MOST;
        let reading = as_new * self.active_billions * READING_JOULES_PER_BILLION;
        let reading = reading * (1.0 + input as f64 / INPUT_THAT_DOUBLES_READING);
        let [low, high] =
            [&self.low, &self.high].map(|side| side.impact(self.first_token, output.max(1), Seconds::ZERO).energy);
        let generating = ((low + high) * 0.5).get();
        let added = reading / generating + input as f64 / INPUT_THAT_DOUBLES_GENERATING;
        Uncertainty::from_sigma(added.ln_1p() / NINETY_PERCENT)
    }
}

impl Side {
    fn new(active: f64, total: f64, model: &Parameters) -> Self {
        let gpus = gpus(total);
        Self {
            gpus,
            gpu_kwh_per_token: (ENERGY_ALPHA * (ENERGY_BETA * BATCH).exp() * active + ENERGY_GAMMA) / 1000.0,
            seconds_per_token: match model.tokens_per_second {
                Some(rate) if rate > 0.0 => 1.0 / rate,
                _ => LATENCY_ALPHA * active + LATENCY_BETA * BATCH + LATENCY_GAMMA,
            },
            servers: gpus / SERVER_GPUS,
            embodied_kg: gpus / SERVER_GPUS * SERVER_EMBODIED_KG + gpus * GPU_EMBODIED_KG,
        }
    }

    fn impact(&self, first_token: f64, output: u64, latency: Seconds) -> Impact {
        let Self { gpus, gpu_kwh_per_token, seconds_per_token, servers, embodied_kg } = *self;
        let tokens = output as f64;
        let gpu_kwh = tokens * gpu_kwh_per_token;
        let reckoned = tokens * seconds_per_token + first_token;
        let observed = latency.get();
        let generation = if observed > 0.0 && observed < reckoned { observed } else { reckoned };
        let server_kwh = generation / 3600.0 * SERVER_KW * servers * (1.0 / BATCH);
        Impact {
            gpus,
            gpu_energy: Joules::from_kwh(gpu_kwh),
            generation: Seconds::new(generation),
            server_energy: Joules::from_kwh(server_kwh),
            energy: Joules::from_kwh(server_kwh + gpus * gpu_kwh),
            embodied: GramsCo2e::new(generation * embodied_kg / (LIFETIME_SECONDS * BATCH) * 1000.0),
        }
    }
}

/// The power of two of GPUs whose memory holds so many billions of parameters.
fn gpus(total_billions: f64) -> f64 {
    let needed = (GB_PER_BILLION_PARAMETERS * total_billions / GPU_MEMORY_GB).ceil().clamp(1.0, MOST_GPUS);
    let mut gpus = 1.0;
    while gpus < needed {
        gpus *= 2.0;
    }
    gpus
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::grid::table::Table;

    fn same(ours: f64, theirs: &str) -> bool {
        let theirs: f64 = theirs.parse().unwrap();
        (ours - theirs).abs() <= 1e-12 * theirs.abs()
    }

    fn fixed(active: f64, total: f64) -> Parameters {
        Parameters {
            total_billions: Span { low: total, high: total },
            active_billions: Span { low: active, high: active },
            tokens_per_second: None,
            first_token: None,
        }
    }

    #[test]
    fn the_python_package_gives_the_same_to_twelve_digits() {
        let vectors = Table::new(include_str!("../../data/vectors/ecologits_points.csv"));
        let mut seen = 0;
        for [active, total, output, latency, tps, ttft, gpus, gpu, generation, server, it, embodied] in vectors.rows() {
            let model = Parameters {
                tokens_per_second: tps.parse().ok(),
                first_token: ttft.parse().ok().map(Seconds::new),
                ..fixed(active.parse().unwrap(), total.parse().unwrap())
            };
            let estimate = estimate(&model, output.parse().unwrap(), Seconds::new(latency.parse().unwrap()));
            let found = estimate.low;
            assert_eq!(estimate.low, estimate.high, "no range for published parameters");
            assert!(same(found.gpus, gpus), "{found:?}");
            assert!(same(found.gpu_energy.kwh(), gpu), "{found:?}");
            assert!(same(found.generation.get(), generation), "{found:?}");
            assert!(same(found.server_energy.kwh(), server), "{found:?}");
            assert!(same(found.energy.kwh(), it), "{found:?}");
            assert!(same(found.embodied.get() / 1000.0, embodied), "{found:?}");
            seen += 1;
        }
        assert_eq!(seen, 9);
    }

    #[test]
    fn the_packages_own_tests_come_out() {
        // EcoLogits 0.9.1, tests/test_llm_impacts.py: 7.3 billion dense parameters and 12.9 of 46.7 billion, 200 tokens
        // of output, five and ten seconds; reckoned by 0.11.3.
        for (active, total, seconds, it_kwh, embodied_g) in [
            (7.3, 7.3, 5.0, 1.219_240_890_2e-5, 0.813_802_083_3e-3),
            (12.9, 46.7, 10.0, 3.169_938_491_5e-5, 3.137_374_167_7e-3),
        ] {
            let found = estimate(&fixed(active, total), 200, Seconds::new(seconds)).low;
            assert!((found.energy.kwh() / it_kwh - 1.0).abs() < 1e-9, "{found:?}");
            assert!((found.embodied.get() / embodied_g - 1.0).abs() < 1e-9, "{found:?}");
        }
    }

    fn tokens(input: u64, cache_read: u64, output: u64) -> TokenUsage {
        TokenUsage { input, output, cache_read, ..TokenUsage::default() }
    }

    #[test]
    fn long_input_widens_the_range_to_what_reading_it_may_need() {
        let dense = fixed(70.55, 70.55);
        let factor = |input, cached, output| unreckoned_input(&dense, &tokens(input, cached, output)).factor();
        assert!(factor(1, 0, 500) < 1.001);
        assert!(factor(1000, 0, 400) < 1.4, "an ordinary call hardly changes");
        let book = factor(1_000_000, 0, 500);
        // 0.12 tokens of output for each of a million, ten times over, beside 500 that look back on all of them.
        assert!((0.118 * 1e6 / 500.0 * 10.3 + 33.0) / book > 0.95 && book > 1000.0, "{book}");
        assert!(factor(1_000_000, 1_000_000, 500) < book / 3.5);
        assert!(factor(1_000_000, 0, 100_000) < book / 30.0);
        assert!(factor(u64::MAX, 0, 0).is_finite());
    }

    #[test]
    fn reading_a_token_takes_a_small_part_of_generating_one() {
        for (active, total, share) in [
            (8.03, 8.03, 0.10),
            (70.55, 70.55, 0.12),
            (405.85, 405.85, 0.05),
            (41.0, 675.0, 0.011),
            (5.1, 117.0, 0.017),
        ] {
            let generated = estimate(&fixed(active, total), 1000, Seconds::ZERO).energy().get() / 1000.0;
            let found = active * READING_JOULES_PER_BILLION / generated;
            assert!((found / share - 1.0).abs() < 0.1, "{active} of {total}: {found}");
        }
    }

    #[test]
    fn the_band_is_a_factor_of_three_at_least() {
        let published = estimate(&fixed(8.0, 8.0), 100, Seconds::ZERO);
        assert!((published.uncertainty.factor() - 3.0).abs() < 1e-4);
        let guessed = Parameters { active_billions: Span { low: 44.0, high: 132.0 }, ..fixed(44.0, 440.0) };
        assert!(estimate(&guessed, 100, Seconds::ZERO).uncertainty.factor() > 3.0);
        assert!(estimate(&guessed, 0, Seconds::ZERO).uncertainty.sigma().is_finite());
    }

    proptest! {
        #[test]
        fn any_model_and_call_give_a_finite_figure(active: f64, total: f64, output: u64, latency: f64, tps: f64) {
            let model = Parameters { tokens_per_second: Some(tps), ..fixed(active.abs().min(1e6), total) };
            let found = estimate(&model, output, Seconds::new(latency));
            prop_assert!(found.energy().get() >= 0.0);
            prop_assert!((1.0..=MOST_GPUS).contains(&found.low.gpus));
            prop_assert!(!found.energy().get().is_nan() && !found.embodied().get().is_nan());
        }

        #[test]
        fn more_input_never_narrows_the_range(input: u64, more in 0u64..1_000_000, cached: u64, output: u64) {
            let of = |input| unreckoned_input(&fixed(44.0, 440.0), &tokens(input, cached, output)).sigma();
            prop_assert!(of(input).is_finite() && of(input) >= 0.0);
            prop_assert!(of(input) <= of(input.saturating_add(more)) + 1e-12);
        }

        #[test]
        fn more_tokens_never_need_less(output in 0u64..1_000_000, more in 0u64..1_000_000, active in 0.5..500.0f64) {
            let of = |tokens| estimate(&fixed(active, active * 4.0), tokens, Seconds::ZERO);
            prop_assert!(of(output).energy() <= of(output + more).energy());
            prop_assert!(of(output).embodied() <= of(output + more).embodied());
        }
    }
}
