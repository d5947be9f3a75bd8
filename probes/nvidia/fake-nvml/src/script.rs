//! What the library answers.
//!
//! A line is `key = value`. The key of a GPU begins with its index or with `*`, which stands for all of them; that of a
//! slice with both numbers: `0.energy_mj`, `*.power_mw`, `0.1.uuid`. A value is a number or a text; `!15` makes the call
//! fail with that code of NVML; `hang` makes it wait until the script says something else. `0.all` answers every question
//! about a GPU before any other line does. What no line answers is not supported, which is code 3.

use std::collections::BTreeMap;

/// NVML's code for what a device does not have.
const NOT_SUPPORTED: u32 = 3;

/// The answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    lines: BTreeMap<String, String>,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A value.
    Value(String),
    /// The call fails with this code.
    Code(u32),
    /// The call waits.
    Hang,
}

impl Answer {
    fn of(text: &str) -> Self {
        match text.strip_prefix('!') {
            Some(code) => Self::Code(code.trim().parse().unwrap_or(NOT_SUPPORTED)),
            None if text == "hang" => Self::Hang,
            None => Self::Value(text.to_owned()),
        }
    }
}

impl Script {
    /// Reads a script. A line without ` = ` is a comment; of two lines with one key the last counts.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| line.split_once(" = "));
        Self { lines: lines.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())).collect() }
    }

    /// The answer about the library itself.
    pub fn get(&self, key: &str) -> Option<Answer> {
        self.lines.get(key).map(|text| Answer::of(text))
    }

    /// The answer about a GPU.
    pub fn of_gpu(&self, gpu: usize, key: &str) -> Answer {
        let failing = self.get(&format!("{gpu}.all"));
        let own = || self.get(&format!("{gpu}.{key}"));
        let common = || self.get(&format!("*.{key}"));
        failing.or_else(own).or_else(common).unwrap_or(Answer::Code(NOT_SUPPORTED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_answers_by_its_own_line_then_by_the_common_one_then_not_at_all() {
        let script = Script::parse("a comment\n*.power_mw = 7\n1.power_mw = !15\n2.all = hang\n");
        assert_eq!(script.of_gpu(0, "power_mw"), Answer::Value("7".to_owned()));
        assert_eq!(script.of_gpu(1, "power_mw"), Answer::Code(15));
        assert_eq!(script.of_gpu(2, "power_mw"), Answer::Hang);
        assert_eq!(script.of_gpu(0, "energy_mj"), Answer::Code(3));
    }
}
