//! What one GPU can be asked: everything, until it says that it does not have it. So each feature is tried once, by the
//! first reading that wants it, and what is missing costs nothing afterwards.

use wattline_core::reading::DownReason;

use crate::gpu::{Answer, Fault};

/// What is asked of a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Question {
    Energy,
    Power,
    PowerLimit,
    PowerLimitDefault,
    Utilization,
    Encoder,
    Decoder,
    Memory,
    Temperature,
    GraphicsClock,
    ComputeClock,
    MemoryClock,
    VideoClock,
    Limits,
    CorrectedErrors,
    UncorrectedErrors,
    PcieReplays,
    LinkErrors,
    Fields,
    Compute,
    Graphics,
    Mps,
    ProcessUtilization,
    Activity,
    SliceActivity,
    CriticalErrors,
    Slices,
    Cut,
}

impl Question {
    /// What is missing where it is not answered, in words for people.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Energy => "energy counter",
            Self::Power => "power",
            Self::PowerLimit => "power limit",
            Self::PowerLimitDefault => "power limit as delivered",
            Self::Utilization => "utilization",
            Self::Encoder => "encoder",
            Self::Decoder => "decoder",
            Self::Memory => "memory",
            Self::Temperature => "temperature",
            Self::GraphicsClock => "graphics clock",
            Self::ComputeClock => "compute clock",
            Self::MemoryClock => "memory clock",
            Self::VideoClock => "video clock",
            Self::Limits => "clock limits",
            Self::CorrectedErrors => "corrected memory errors",
            Self::UncorrectedErrors => "uncorrected memory errors",
            Self::PcieReplays => "PCIe replays",
            Self::LinkErrors => "NVLink errors",
            Self::Fields => "field values",
            Self::Compute => "compute processes",
            Self::Graphics => "graphics processes",
            Self::Mps => "MPS clients",
            Self::ProcessUtilization => "utilization by process",
            Self::Activity => "activity counters",
            Self::SliceActivity => "activity counters of slices",
            Self::CriticalErrors => "critical errors",
            Self::Slices => "slices",
            Self::Cut => "size of slices",
        }
    }
}

/// Why a GPU, or all of them, cannot be read any further now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// This GPU.
    Gpu(DownReason),
    /// The driver.
    Driver(String),
}

/// What one GPU can be asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Features {
    missing: Vec<Question>,
    denied: Vec<Question>,
    /// Since the last [`Features::begin`].
    answered: u32,
    failed: u32,
}

impl Features {
    /// A reading begins.
    pub(crate) const fn begin(&mut self) {
        (self.answered, self.failed) = (0, 0);
    }

    /// True when everything that was asked in this reading failed.
    pub(crate) const fn all_failed(&self) -> bool {
        self.answered == 0 && self.failed > 0
    }

    /// True unless it is known that the GPU has no answer.
    pub(crate) fn can(&self, question: Question) -> bool {
        !self.missing.contains(&question) && !self.denied.contains(&question)
    }

    /// The answer to a question, if there is one. A question that the GPU does not know is not asked again.
    pub(crate) fn ask<T>(&mut self, question: Question, answer: impl FnOnce() -> Answer<T>) -> Result<Option<T>, Stop> {
        if !self.can(question) {
            return Ok(None);
        }
        match answer() {
            Ok(answer) => {
                self.answered += 1;
                return Ok(Some(answer));
            }
            Err(Fault::Unsupported) => self.missing.push(question),
            Err(Fault::Denied) => self.denied.push(question),
            Err(Fault::Nothing) => self.answered += 1,
            Err(Fault::Transient) => self.failed += 1,
            Err(Fault::Down(reason)) => return Err(Stop::Gpu(reason)),
            Err(Fault::Driver(what)) => return Err(Stop::Driver(what)),
        }
        Ok(None)
    }

    /// What the GPU does not tell, in words for people and in a steady order.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        let mut missing: Vec<Question> = self.missing.iter().chain(&self.denied).copied().collect();
        missing.sort_unstable();
        missing.into_iter().map(Question::as_str).collect()
    }

    /// What this process may not know.
    pub(crate) fn denied(&self) -> impl Iterator<Item = &'static str> {
        self.denied.iter().map(|question| question.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_that_is_not_supported_or_not_allowed_is_asked_once() {
        let mut features = Features::default();
        for (question, fault) in [(Question::Energy, Fault::Unsupported), (Question::Compute, Fault::Denied)] {
            let mut asked = 0;
            for _ in 0..3 {
                let answer = features.ask(question, || {
                    asked += 1;
                    Err::<(), _>(fault.clone())
                });
                assert_eq!(answer, Ok(None));
            }
            assert_eq!(asked, 1, "{question:?}");
        }
        assert_eq!(features.missing(), ["energy counter", "compute processes"]);
        assert_eq!(features.denied().collect::<Vec<_>>(), ["compute processes"]);
    }

    #[test]
    fn a_failure_that_passes_is_asked_again_and_alone_makes_a_reading_fail() {
        let mut features = Features::default();
        features.begin();
        assert_eq!(features.ask(Question::Power, || Err::<(), _>(Fault::Transient)), Ok(None));
        assert!(features.all_failed());
        assert_eq!(features.ask(Question::Power, || Ok(7)), Ok(Some(7)));
        assert!(!features.all_failed());
    }
}
