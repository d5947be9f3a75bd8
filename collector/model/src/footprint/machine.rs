//! A machine in the calculator: its parts' power at a load, and what having made it and renting it come to.

use wattline_core::reading::Inventory;
use wattline_core::{Joules, Ratio, Seconds, Text, Uncertainty, Usd, UsdPerHour, Watts};

use super::{ASSUMED_SIGMA, ASSUMED_UTILIZATION, MachineName, Question, Range};
use crate::hardware::{self, Basis, Embodied, Fitted, Instance, InstancePrice};
use crate::power::{self, HostPower, Tier};

/// What a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKind {
    /// Processor packages, or a guest's share of them.
    Cpu,
    /// Memory.
    Memory,
    /// Fans, board and conversion of processor and memory.
    Enclosure,
    /// Accelerators, with the chassis that they need.
    Accelerator,
}

impl PartKind {
    /// The word for people, and the value of `hw.type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Enclosure => "enclosure",
            Self::Accelerator => "accelerator",
        }
    }
}

/// The power of one part.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// What it is.
    pub kind: PartKind,
    /// Which one, in words.
    pub name: String,
    /// What it draws at the load asked for.
    pub power: Range<Watts>,
    /// How wrong that may be.
    pub uncertainty: Uncertainty,
}

/// One machine, and then all that were asked for.
#[derive(Clone, Debug)]
pub struct MachineFootprint {
    /// Its name as found.
    pub name: Text,
    /// In one line, what it consists of.
    pub description: String,
    /// Whether the type is in the table, or what stands in for it.
    pub basis: Basis,
    /// Which tier of the power model knows it.
    pub tier: Tier,
    /// The processor family whose figures are used.
    pub family: Text,
    /// The load reckoned with.
    pub utilization: Ratio,
    /// Nobody said how busy: the load is assumed.
    pub is_utilization_assumed: bool,
    /// The parts of one machine.
    pub parts: Vec<Part>,
    /// Power of one machine at rest,
    pub idle: Watts,
    /// at the load asked for,
    pub power: Range<Watts>,
    /// and at full load.
    pub full: Watts,
    /// Of the power.
    pub uncertainty: Uncertainty,
    /// Energy of all machines over the time asked for.
    pub energy: Range<Joules>,
    /// What having made one machine emitted, the guest's share of it.
    pub embodied: Embodied,
    /// What renting one costs by the hour; `None` on premises and where no table has it.
    pub price: Option<InstancePrice>,
    /// Types with the nearest names, where the type is in no table.
    pub nearest: Vec<&'static str>,
}

impl MachineFootprint {
    /// The machine of `question`; `None` for a name that is no instance type of any cloud.
    pub(super) fn of(name: &MachineName, question: &Question<'_>) -> Option<Self> {
        let Description { instance, basis, shared, is_rented, nearest } = Description::of(name, question)?;
        let utilization = question.utilization.unwrap_or(Ratio::new(ASSUMED_UTILIZATION));
        let assumed = if question.utilization.is_none() { ASSUMED_SIGMA } else { 0.0 };
        let wider = shared.times(Uncertainty::from_sigma(assumed));
        let model = HostPower::of_parts(&power::Parts {
            family: Some(instance.cpu_family),
            cpu_name: Some(&instance.cpu_name),
            logical_cpus: f64::from(instance.vcpus),
            whole_cores: instance.whole_cores,
            sockets: None,
            memory_gb: instance.memory_gib,
            tdp: None,
            guest: !instance.bare_metal,
            terms: question.terms,
        });
        let at = |load: Ratio| parts(&model, &instance.accelerators, load, wider);
        let sum = |parts: &[Part]| parts.iter().map(|part| part.power.central).sum::<Watts>();
        let parts = at(utilization);
        let power = sum(&parts);
        let uncertainty = Uncertainty::of_sum(parts.iter().map(|part| (part.power.central.get(), part.uncertainty)));
        let ranged = Range::of(power, uncertainty);
        let hours = question.time * f64::from(question.count);
        let energy = |watts: Watts| watts * hours;
        Some(Self {
            description: describe(&instance),
            basis,
            tier: model.tier(),
            family: model.family().clone(),
            utilization,
            is_utilization_assumed: question.utilization.is_none(),
            idle: sum(&at(Ratio::ZERO)),
            full: sum(&at(Ratio::new(1.0))),
            power: ranged,
            uncertainty,
            energy: Range { low: energy(ranged.low), central: energy(power), high: energy(ranged.high) },
            embodied: hardware::embodied(&hardware::Parts::of(&instance)),
            price: is_rented.then(|| price_of(&instance, question)).flatten(),
            nearest,
            name: instance.name,
            parts,
        })
    }
}
