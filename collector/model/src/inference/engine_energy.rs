//! The energy of an inference engine without a meter, from how many requests it works on at a time.
//!
//! A regression over 565 measured configurations of vLLM 0.11 on H100 and B200 gives the energy of all GPUs of a replica
//! for each generated token, that of reading the prompts included: the batch alone changes it tenfold, and an engine
//! tells its batch. Energy at rest, and of the server around the GPUs, is not in it.
//!
//! Source: least squares over ML.ENERGY Benchmark 3.0 (`ml-energy/leaderboard` `public/data/tasks`, 2026-02-16: lm-arena
//! chat, GPQA and Sourcegraph fill-in-the-middle), natural logarithms, R2 = 0.949. Figures of whole models left out of
//! the fit were off by a factor of 1.25 in the median and 2.1 in nine of ten.

use wattline_core::reading::{EngineHardware, EngineTask, Gpu};
use wattline_core::{Joules, Uncertainty};

use super::ecologits::{Parameters, Span};

/// The name and version of the model: the value of `energy.model`.
pub const NAME: &str = "ml-energy-fit/1";

/// The 90 % factor of models that were left out of the fit, as the logarithm's standard deviation: ln(2.1) / 1.645.
const FIT_SIGMA: f64 = 0.451_03;

/// Where the number of GPUs is not told it may be half or twice as many: ln(2) times its coefficient, halved to a
/// standard deviation of which 90 % reach that far.
const GPUS_SIGMA: f64 = 0.5158 * std::f64::consts::LN_2 / 1.645;

/// The same of the bytes of a parameter: 8 bits are as usual as 16.
const BYTES_SIGMA: f64 = 0.4022 * std::f64::consts::LN_2 / 1.645;

/// Bytes of a parameter where nobody says otherwise: 16 bits.
const BYTES_PER_PARAMETER: f64 = 2.0;

/// A fifth more than the weights for all else that lies in memory, as `EcoLogits` has it.
const MEMORY_FOR_WEIGHTS: f64 = 1.2;

/// No replica takes more: a guard against nonsense.
const MOST_GPUS: f64 = 1024.0;

/// The largest batch that was measured: beyond it nothing is told.
const MOST_REQUESTS: f64 = 4096.0;

/// What one generated token takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PerToken {
    /// Energy of all GPUs of the replica.
    pub energy: Joules,
    /// How wrong it may be.
    pub uncertainty: Uncertainty,
}

/// The energy of one generated token on a replica of `model` with `batch` requests at work, which counts as one at
/// least. Measured were batches of 8 to 4096; below, the curve is carried on.
pub fn per_token(model: &Parameters, hardware: &EngineHardware, batch: f64) -> PerToken {
    let (active, total) = (middle(model.active_billions), middle(model.total_billions));
    let bytes = hardware.bytes_per_parameter.unwrap_or(BYTES_PER_PARAMETER);
    let gpus = hardware.gpus.map_or_else(|| holding(total, bytes, hardware.gpu), f64::from);
    let batch = if batch.is_finite() { batch.clamp(1.0, MOST_REQUESTS).ln() } else { 0.0 };
    let log = -0.734 + 0.2273 * active.ln() + 0.4288 * total.ln() - 0.8519 * batch
        + 0.0381 * batch * batch
        + 0.5158 * gpus.ln()
        + 0.4022 * bytes.ln()
        + board(hardware.gpu)
        + task(hardware.task)
        - 0.0094 * batch * (total / active).ln();
    let assumed = |is_told: bool, sigma: f64| Uncertainty::from_sigma(if is_told { 0.0 } else { sigma });
    let uncertainty = Uncertainty::from_sigma(FIT_SIGMA)
        .times(assumed(hardware.gpus.is_some(), GPUS_SIGMA))
        .times(assumed(hardware.bytes_per_parameter.is_some(), BYTES_SIGMA));
    PerToken { energy: Joules::new(log.exp()), uncertainty }
}

const fn board(gpu: Gpu) -> f64 {
    match gpu {
        Gpu::H100 => 0.0,
        Gpu::B200 => 0.0695,
    }
}

const fn task(task: EngineTask) -> f64 {
    match task {
        EngineTask::Chat => 0.0,
        EngineTask::Reasoning => 0.177,
        EngineTask::Completion => 0.8604,
    }
}

/// The middle of a range by its factor; equal to its ends where the figure is published.
fn middle(span: Span) -> f64 {
    (span.low * span.high).sqrt().max(1e-3)
}

/// As many GPUs as hold the weights, a power of two.
fn holding(total_billions: f64, bytes: f64, gpu: Gpu) -> f64 {
    let memory_gb = match gpu {
        Gpu::H100 => 80.0,
        Gpu::B200 => 180.0,
    };
    let least = (MEMORY_FOR_WEIGHTS * total_billions * bytes / memory_gb).ceil().max(1.0);
    least.log2().ceil().exp2().min(MOST_GPUS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn model(active: f64, total: f64) -> Parameters {
        let span = |billions| Span { low: billions, high: billions };
        Parameters {
            total_billions: span(total),
            active_billions: span(active),
            tokens_per_second: None,
            first_token: None,
        }
    }

    const fn on(gpu: Gpu, gpus: u32, bytes: f64, task: EngineTask) -> EngineHardware {
        EngineHardware { gpu, gpus: Some(gpus), bytes_per_parameter: Some(bytes), task }
    }

    /// Active and total billions, the hardware, and for a batch: J for a token as Python computed it from the published
    /// coefficients, and as it was measured.
    const ROWS: [(f64, f64, EngineHardware, [f64; 3]); 15] = [
        // Llama 3.1 8B on one H100, chat.
        (8.0, 8.0, on(Gpu::H100, 1, 2.0, EngineTask::Chat), [8.0, 0.497_766_832_532_440_03, 0.455]),
        (8.0, 8.0, on(Gpu::H100, 1, 2.0, EngineTask::Chat), [64.0, 0.138_781_051_984_724_04, 0.119]),
        (8.0, 8.0, on(Gpu::H100, 1, 2.0, EngineTask::Chat), [512.0, 0.053_793_786_540_258_67, 0.070]),
        // Llama 3.1 70B on four H100.
        (70.0, 70.0, on(Gpu::H100, 4, 2.0, EngineTask::Chat), [8.0, 4.222_989_311_427_921, 3.759]),
        (70.0, 70.0, on(Gpu::H100, 4, 2.0, EngineTask::Chat), [64.0, 1.177_400_463_141_58, 0.797]),
        (70.0, 70.0, on(Gpu::H100, 4, 2.0, EngineTask::Chat), [1024.0, 0.358_035_658_652_761_1, 0.373]),
        // Qwen 3 235B A22B on eight H100.
        (22.0, 235.0, on(Gpu::H100, 8, 2.0, EngineTask::Chat), [8.0, 7.448_388_723_017_842, 7.29]),
        (22.0, 235.0, on(Gpu::H100, 8, 2.0, EngineTask::Chat), [256.0, 0.985_273_910_130_952_1, 1.09]),
        // Llama 3.1 405B, FP8 on eight H100 and 16 bits on eight B200.
        (405.0, 405.0, on(Gpu::H100, 8, 1.0, EngineTask::Chat), [256.0, 2.065_404_758_393_581, 2.06]),
        (405.0, 405.0, on(Gpu::B200, 8, 2.0, EngineTask::Chat), [4096.0, 1.192_512_547_909_389_4, 1.015]),
        // DeepSeek R1, FP8 on eight B200, GPQA.
        (37.0, 671.0, on(Gpu::B200, 8, 1.0, EngineTask::Reasoning), [64.0, 3.318_614_910_227_795_5, 3.859]),
        // GPT OSS 120B on one H100, GPQA; 4 bits.
        (5.0, 117.0, on(Gpu::H100, 1, 0.5, EngineTask::Reasoning), [64.0, 0.238_078_933_032_254_05, 0.268]),
        // Qwen 3 Coder 480B, FP8 on four B200, and 30B on one H100, fill in the middle.
        (35.0, 480.0, on(Gpu::B200, 4, 1.0, EngineTask::Completion), [64.0, 3.975_194_477_969_883_3, 5.333]),
        (3.0, 30.0, on(Gpu::H100, 1, 2.0, EngineTask::Completion), [64.0, 0.422_888_194_308_340_74, 0.342]),
        // The worst of the table: Qwen 3 235B, FP8 on two B200.
        (22.0, 235.0, on(Gpu::B200, 2, 1.0, EngineTask::Chat), [64.0, 0.786_731_504_970_648_6, 1.472]),
    ];

    #[test]
    fn python_gives_the_same_and_measurements_lie_within_the_range_told() {
        let mut logs = Vec::new();
        for (active, total, hardware, [batch, python, measured]) in ROWS {
            let found = per_token(&model(active, total), &hardware, batch);
            let joules = found.energy.get();
            assert!((joules / python - 1.0).abs() < 1e-9, "{active}/{total} at {batch}: {joules} J and not {python} J");
            let factor = (joules / measured).max(measured / joules);
            assert!(factor < found.uncertainty.factor(), "{active}/{total} at {batch}: off by {factor}");
            logs.push(factor);
        }
        logs.sort_by(f64::total_cmp);
        // The text has 1.20 as the typical factor over all 565.
        assert!(logs[logs.len() / 2] < 1.3, "{logs:?}");
        assert!((FIT_SIGMA - 2.1_f64.ln() / 1.645).abs() < 1e-4);
    }

    #[test]
    fn what_is_not_told_is_taken_from_the_model_and_widens_the_range() {
        let told = on(Gpu::H100, 4, 2.0, EngineTask::Chat);
        let left_out = EngineHardware { gpus: None, bytes_per_parameter: None, ..told };
        let large = model(70.55, 70.55);
        let (told, left_out) = (per_token(&large, &told, 64.0), per_token(&large, &left_out, 64.0));
        assert_eq!(told.energy, left_out.energy);
        assert!(left_out.uncertainty.factor() > told.uncertainty.factor());
        for (billions, bytes, gpu, gpus) in [
            (8.03, 2.0, Gpu::H100, 1.0),
            (70.55, 2.0, Gpu::B200, 1.0),
            (405.85, 2.0, Gpu::H100, 16.0),
            (405.85, 1.0, Gpu::H100, 8.0),
            (0.0, 2.0, Gpu::H100, 1.0),
            (1e9, 2.0, Gpu::H100, MOST_GPUS),
        ] {
            let found = holding(billions, bytes, gpu);
            assert!((found - gpus).abs() < 1e-9, "{billions}: {found}");
        }
    }

    proptest! {
        #[test]
        fn a_token_never_takes_nothing_and_never_more_in_a_larger_batch(
            active in 0.0..1e4f64, more in 0.0..1e4f64, batch in prop_oneof![0.0..5000.0f64, Just(f64::NAN)], gpus in 1..64u32,
        ) {
            let (model, hardware) = (model(active, active + more), on(Gpu::H100, gpus, 2.0, EngineTask::Chat));
            let joules = per_token(&model, &hardware, batch).energy.get();
            prop_assert!(joules.is_finite() && joules > 0.0);
            prop_assert!(per_token(&model, &hardware, batch * 2.0).energy.get() <= joules);
        }
    }
}
