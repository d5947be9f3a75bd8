//! A machine in the calculator: its parts' power at a load, and what that, having made it and paying for it come to.

use std::collections::BTreeMap;

use wattline_core::{Bytes, GramsCo2e, Joules, Liters, Ratio, Seconds, Text, Uncertainty, Usd, UsdPerKwh, Watts};

use super::{ASSUMED_SIGMA, ASSUMED_UTILIZATION, MachineName, Own, Question, Range, Site};
use crate::hardware::{self, Accelerator, Basis, Fitted, Instance, Made, Storage, WattsBasis};
use crate::power::{self, HostPower, Terms, Tier};

/// What a chassis may add beyond what is reckoned for it: the largest published system of eight GPUs draws 10.2 kW where
/// its GPUs draw 5.6, which is 1.35 times 1.35.
/// Source: NVIDIA DGX H100, at most 10.2 kW.
const CHASSIS_AT_MOST: f64 = 1.35;

/// Price of electricity on premises where nobody says: about what business pays in the USA.
/// Source: U.S. Energy Information Administration, commercial average of 2023, 12.7 cents.
const ELECTRICITY: UsdPerKwh = UsdPerKwh::new(0.12);

/// What a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKind {
    /// Processor packages, or a guest's share of them.
    Cpu,
    /// Memory.
    Memory,
    /// Fans, board and conversion of processor and memory.
    Enclosure,
    /// Drives inside the machine.
    Storage,
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
            Self::Storage => "storage",
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
    /// Which tier of the power model knows it.
    pub tier: Tier,
    /// Its greatest power is an estimate of ours.
    pub is_estimate: bool,
}

/// One machine, and what all that were asked for come to.
#[derive(Clone, Debug)]
pub struct MachineFootprint {
    /// Its name as found.
    pub name: Text,
    /// In one line, what it consists of.
    pub description: String,
    /// It was named by its processor and is no instance type.
    pub is_processor: bool,
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
    /// What having made one machine emitted, the guest's share of it.
    pub embodied: Range<GramsCo2e>,
    /// Energy of all machines over the time asked for.
    pub energy: Range<Joules>,
    /// Carbon of that energy, the facility's part included.
    pub operational: Range<GramsCo2e>,
    /// The part of the embodied carbon that the time asked for is of their lives.
    pub embodied_share: Range<GramsCo2e>,
    /// Water evaporated at the site,
    pub water_site: Option<Range<Liters>>,
    /// and at the plants of the grid.
    pub water_grid: Option<Range<Liters>>,
    /// Rent, or electricity on premises; `None` where no table has the rent.
    pub cost: Option<MachineCost>,
    /// The type whose figures stand in, where the type is in no table.
    pub stands_in: Option<&'static str>,
    /// The service that rents the type out under this name, at prices of its own.
    pub service: Option<&'static str>,
    /// Types with the nearest names, where the type is in no table.
    pub nearest: Vec<&'static str>,
}

/// What machines cost.
#[derive(Clone, Debug, PartialEq)]
pub struct MachineCost {
    /// All of them over the time asked for.
    pub usd: Usd,
    /// What is paid.
    pub kind: CostKind,
    /// Which price list, for which region and when.
    pub from: Text,
    /// It is another region's price, which no sum should hold.
    pub is_hint: bool,
}

/// What is paid for a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CostKind {
    /// Its rent, electricity included.
    Instance,
    /// Its electricity, the facility's part included.
    Electricity,
}

impl CostKind {
    /// The value of `cost.kind`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Electricity => "electricity",
        }
    }
}

impl MachineFootprint {
    /// The machine of `question`; `None` for a name that is no instance type.
    pub(super) fn of(name: &MachineName, question: &Question<'_>, site: &Site) -> Option<Self> {
        let known = Known::of(name)?.with(&question.own.accelerators);
        let load = question.utilization.unwrap_or(Ratio::new(ASSUMED_UTILIZATION));
        let is_assumed = question.utilization.is_none();
        let assumed = Uncertainty::from_sigma(if is_assumed { ASSUMED_SIGMA } else { 0.0 });
        let at = |load| known.parts(load, is_assumed, known.uncertainty.times(assumed));
        let sum = |parts: &[Part]| parts.iter().map(|part| part.power.central).sum::<Watts>();
        let parts = at(load);
        let uncertainty = Uncertainty::of_sum(parts.iter().map(|part| (part.power.central.get(), part.uncertainty)));
        let wide = Range::of(sum(&parts), uncertainty);
        let ends = |end: fn(&Range<Watts>) -> Watts| parts.iter().map(|part| end(&part.power)).sum::<Watts>();
        // The whole is never outside of what its parts come to.
        let power =
            Range { low: wide.low.max(ends(|power| power.low)), high: wide.high.min(ends(|power| power.high)), ..wide };
        let narrower = Ratio::of(power.high.get(), wide.high.get()).get();
        let time = question.time * f64::from(question.count);
        let drawn = power.central * time;
        let facility = drawn * site.pue.ratio.get();
        let with = |other: Uncertainty| uncertainty.times(other);
        let of_facility = uncertainty.times(site.pue.uncertainty);
        let part_of_life = Ratio::of(time.get(), question.own.lifetime.get()).get();
        let embodied = known.embodied(&question.own);
        Some(Self {
            is_processor: matches!(name, MachineName::Cpu { .. }),
            basis: known.basis,
            tier: known.power.tier(),
            family: known.power.family().clone(),
            utilization: load,
            is_utilization_assumed: is_assumed,
            idle: sum(&at(Ratio::ZERO)),
            full: sum(&at(Ratio::new(1.0))),
            energy: power.map(|watts| watts * time),
            operational: Range::of(facility * site.intensity.grams, of_facility.times(site.intensity.uncertainty))
                .with_high_times(narrower),
            embodied_share: embodied.map(|grams| grams * part_of_life),
            embodied,
            water_site: site
                .water
                .site
                .as_ref()
                .map(|water| Range::of(drawn * water.liters, with(water.uncertainty)).with_high_times(narrower)),
            water_grid: site.water.grid.as_ref().map(|water| {
                Range::of(facility * water.liters, of_facility.times(water.uncertainty)).with_high_times(narrower)
            }),
            cost: known.cost(name, question, time, facility),
            parts,
            power,
            nearest: known.nearest,
            stands_in: known.stands_in,
            service: known.service,
            description: known.description,
            name: known.name,
        })
    }
}

/// What the tables have of a machine.
struct Known {
    name: Text,
    description: String,
    basis: Basis,
    uncertainty: Uncertainty,
    nearest: Vec<&'static str>,
    stands_in: Option<&'static str>,
    service: Option<&'static str>,
    power: HostPower,
    /// Bytes on flash and on magnetic disks.
    drives: (Bytes, Bytes),
    /// Each kind with how many.
    accelerators: Vec<(Accelerator, f64)>,
    made: hardware::Parts,
}

impl Known {
    fn of(name: &MachineName) -> Option<Self> {
        match name {
            MachineName::Instance { name } => Self::instance(name),
            MachineName::Cpu { model, threads, sockets, memory_gib } => {
                Some(Self::on_premises(model, *threads, *sockets, *memory_gib))
            }
        }
    }

    fn instance(name: &str) -> Option<Self> {
        let matched = hardware::instance("aws", name)?;
        let (stands_in, service) = (matched.stands_in(), matched.service());
        let hardware::Match { instance, basis, uncertainty } = matched;
        let nearest = if basis == Basis::Exact { Vec::new() } else { hardware::nearest_instances(name) };
        Some(Self {
            description: describe(&instance),
            basis,
            uncertainty,
            nearest,
            stands_in,
            service,
            power: HostPower::of_parts(&power::Parts {
                family: Some(instance.cpu_family),
                cpu_name: Some(instance.cpu_name),
                logical_cpus: f64::from(instance.vcpus),
                whole_cores: instance.whole_cores,
                sockets: instance.bare_metal.then_some(instance.host_sockets),
                memory_gb: instance.memory_gib,
                guest: !instance.bare_metal,
                terms: Terms { storage: true, ..Terms::default() },
                ..power::Parts::default()
            }),
            drives: (gigabytes(instance.storage.ssd_gb), gigabytes(instance.storage.hdd_gb)),
            made: hardware::Parts::of(&instance),
            accelerators: instance.accelerators.iter().map(|fitted| (*fitted.accelerator, fitted.count)).collect(),
            name: instance.name,
        })
    }

    /// With the user's own figures for accelerators.
    fn with(mut self, own: &BTreeMap<String, Watts>) -> Self {
        for (known, _) in &mut self.accelerators {
            let told =
                own.iter().find(|(name, _)| hardware::accelerator(name).is_some_and(|named| named.id == known.id));
            if let Some((_, watts)) = told {
                *known = known.with_max_watts(*watts);
            }
        }
        self
    }

    fn on_premises(model: &str, threads: u32, sockets: Option<u32>, memory_gib: Option<f64>) -> Self {
        let power = HostPower::of_parts(&power::Parts {
            cpu_name: Some(model),
            logical_cpus: f64::from(threads),
            sockets,
            memory_gb: memory_gib.unwrap_or(0.0),
            ..power::Parts::default()
        });
        let memory_gib = power.memory_gb();
        Self {
            name: Text::from(model.to_owned()),
            description: format!("{threads} hardware threads of {model}, {memory_gib:.0} GiB"),
            basis: match power.tier() {
                Tier::T2 => Basis::Default,
                _ if power.is_by_design() => Basis::Exact,
                _ => Basis::Family,
            },
            uncertainty: Uncertainty::NONE,
            stands_in: None,
            service: None,
            nearest: if power.is_by_design() { Vec::new() } else { power::nearest(model) },
            made: hardware::Parts::on_premises(sockets.or(power.sockets()), threads, memory_gib, Storage::default()),
            drives: (Bytes::ZERO, Bytes::ZERO),
            accelerators: Vec::new(),
            power,
        }
    }

    /// What having made one machine emitted. What is not known to be in it errs as the rest of it does.
    fn embodied(&self, own: &Own) -> Range<GramsCo2e> {
        if !own.counts_embodied {
            return Range::default();
        }
        if let Some(declared) = own.embodied {
            return Range::of(declared, hardware::DECLARED);
        }
        let Made { low, central, high, .. } = hardware::embodied(&self.made).total();
        let factor = self.uncertainty.factor();
        Range { low: low * (1.0 / factor), central, high: high * factor }
    }

    /// The parts' power at a load. Memory is taken to be as full as the processor is busy.
    fn parts(&self, load: Ratio, is_assumed: bool, wider: Uncertainty) -> Vec<Part> {
        let power = self.power.at(load, load);
        let own = [
            (PartKind::Cpu, power.cpu, self.power.uncertainty()),
            (PartKind::Memory, power.memory, self.power.memory_uncertainty()),
            (PartKind::Enclosure, power.enclosure, self.power.enclosure_uncertainty()),
            (PartKind::Storage, self.power.storage(self.drives.0, self.drives.1), power::STORAGE),
        ];
        let own = own.into_iter().filter(|(_, watts, _)| *watts > Watts::ZERO).map(|(kind, watts, uncertainty)| {
            let uncertainty = uncertainty.times(wider);
            let (tier, power) = (self.power.tier(), Range::of(watts, uncertainty));
            Part { kind, name: kind.as_str().to_owned(), power, uncertainty, tier, is_estimate: false }
        });
        own.chain(self.accelerators.iter().map(|fitted| accelerator(fitted, load, is_assumed, self.uncertainty)))
            .collect()
    }

    fn cost(
        &self,
        name: &MachineName,
        question: &Question<'_>,
        time: Seconds,
        facility: Joules,
    ) -> Option<MachineCost> {
        match name {
            MachineName::Cpu { .. } => {
                let price = question.own.electricity;
                let from = if price.is_some() { "configured" } else { "assumed: 0.12 USD/kWh" };
                let usd = facility * price.unwrap_or(ELECTRICITY);
                Some(MachineCost { usd, kind: CostKind::Electricity, from: Text::Static(from), is_hint: false })
            }
            MachineName::Instance { name } => {
                let region = question.place.region.unwrap_or_default();
                let own = question.own.rent.map(hardware::InstancePrice::configured);
                let own = own.or_else(|| question.own.rents.price(region, name));
                // A price that belongs to another type is none.
                let listed = || hardware::price("aws", region, name).filter(|_| self.basis == Basis::Exact);
                let price = own.or_else(listed)?;
                let read = price.date.as_deref().map_or_else(String::new, |date| format!(" of {date}"));
                let hint = if price.estimated { ", another region's price: a hint, in no sum" } else { "" };
                let from = match &*price.source {
                    "configured" => "configured".to_owned(),
                    _ => format!("on demand in {}{read}{hint}", price.region),
                };
                let usd = time * price.usd_per_hour;
                Some(MachineCost { usd, kind: CostKind::Instance, from: from.into(), is_hint: price.estimated })
            }
        }
    }
}

/// Accelerators of one kind, with the chassis that they need.
fn accelerator((accelerator, count): &(Accelerator, f64), load: Ratio, is_assumed: bool, wider: Uncertainty) -> Part {
    let count = *count;
    let device = if is_assumed { accelerator.uncertainty_assumed() } else { accelerator.uncertainty() };
    let uncertainty = Accelerator::system_uncertainty(device).times(wider);
    let is_estimate = accelerator.max_basis == WattsBasis::Estimate;
    let mut power = Range::of(accelerator.system_watts(load) * count, uncertainty);
    if !is_estimate {
        // A board keeps within its limit; what the chassis adds may be more than is known.
        let most = accelerator.system_watts(Ratio::new(1.0)) * count * CHASSIS_AT_MOST;
        power.high = power.high.min(most).max(power.central);
    }
    let name = format!("{} x {}", whole_or_part(count), accelerator.name);
    let tier = if is_assumed { Tier::T2 } else { Tier::T1c };
    Part { kind: PartKind::Accelerator, name, power, uncertainty, tier, is_estimate }
}

fn gigabytes(count: f64) -> Bytes {
    Bytes::new(count * 1e9)
}

/// A count of accelerators, of which a guest may have an eighth.
fn whole_or_part(count: f64) -> String {
    if count < 1.0 { format!("1/{:.0}", 1.0 / count) } else { format!("{count:.0}") }
}

fn describe(instance: &Instance) -> String {
    let Instance { vcpus, whole_cores, memory_gib, cpu_name, accelerators, bare_metal, .. } = instance;
    let each = if *whole_cores { "cores" } else { "threads" };
    let metal = if *bare_metal { ", bare metal" } else { "" };
    let mut parts = vec![format!("{vcpus} {each} of {cpu_name}{metal}"), format!("{memory_gib} GiB")];
    parts.extend(
        accelerators
            .iter()
            .map(|Fitted { accelerator, count }| format!("{} x {}", whole_or_part(*count), accelerator.name)),
    );
    parts.join(", ")
}
