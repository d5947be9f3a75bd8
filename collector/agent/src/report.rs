//! One window as a person reads it, and as a program does.

mod gpus;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde::Serialize;
use wattline_core::reading::{CloudInstance, CpuModel, Virtualization};
use wattline_core::{DeviceKind, Inventory, Method, MicroJoules, Seconds, Uncertainty};
use wattline_model::hardware::{self, Basis, Held};
use wattline_model::host::{EnergyState, HostBooks};

use crate::pipeline::Pipeline;
use crate::units::{joules, liters, mass, watts};

/// What was measured, broken down by device and by workload. Energy in joules, power in watts, carbon in grams.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The agent's version.
    pub version: &'static str,
    /// The machine.
    pub host: Machine,
    /// Length of the last settled window in seconds.
    pub window_s: f64,
    /// End of the window, seconds since the Unix epoch.
    pub at: u64,
    /// The whole machine at its input.
    pub total: Figure,
    /// Its devices; they add up to the total.
    pub devices: Vec<Device>,
    /// Mean watts of the last window by `hw.type` that were not idle: what workloads and nobody seen used.
    pub devices_active_w: BTreeMap<&'static str, f64>,
    /// What ran, by energy; with idle and unattributed energy they add up to the total.
    pub workloads: Vec<Workload>,
    /// GPUs as they were seen last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<gpus::Gpu>,
    /// Energy at rest, which belongs to nobody.
    pub idle: Figure,
    /// Energy that no witness explains.
    pub unattributed: Figure,
    /// Carbon.
    pub carbon: Carbon,
    /// Money.
    pub cost: Cost,
    /// Water, where it is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub water: Option<Water>,
    /// Calls of language models since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inference: Option<Inference>,
}

/// The machine.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Machine {
    /// Its name.
    pub name: String,
    /// One line about it.
    pub description: String,
    /// What stands in where its instance type is in no table, or what does not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
    /// Accelerators of the instance type, whose energy is in no book because nothing reads them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
}

/// Energy with its method and 90 % range.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Figure {
    /// Joules since the start.
    pub energy_j: f64,
    /// Mean watts of the last window.
    pub power_w: f64,
    /// How it was obtained.
    pub method: Method,
    /// The lower end of the range of the power.
    pub power_low_w: f64,
    /// The upper end.
    pub power_high_w: f64,
}

/// A device.
#[derive(Clone, Debug, Serialize)]
pub struct Device {
    /// `hw.id`.
    pub id: String,
    /// `hw.type`.
    pub kind: &'static str,
    /// The meter or the model.
    pub model: String,
    /// Its energy.
    #[serde(flatten)]
    pub figure: Figure,
}

/// A workload.
#[derive(Clone, Debug, Serialize)]
pub struct Workload {
    /// Its name.
    pub name: String,
    /// `workload.kind`.
    pub kind: &'static str,
    /// Mean watts of the last window by `hw.type`.
    pub power_by_device_w: BTreeMap<&'static str, f64>,
    /// Its share of all active energy of the window.
    pub share: f64,
    /// Its energy.
    #[serde(flatten)]
    pub figure: Figure,
}

/// Carbon with what it was computed from.
#[derive(Clone, Debug, Serialize)]
pub struct Carbon {
    /// Grams of CO2e of electricity since the start, the facility's part included.
    pub grams: f64,
    /// The lower end of the 90 % range.
    pub grams_low: f64,
    /// The upper end.
    pub grams_high: f64,
    /// Grams of CO2e of having made the machine that fall on the time since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embodied: Option<Embodied>,
    /// The electricity's grams by the contract of supply: another view of `grams`, not added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub market_grams: Option<f64>,
    /// gCO2e per kWh.
    pub intensity: f64,
    /// Of which zone.
    pub zone: String,
    /// From which table, provider or configuration.
    pub source: String,
    /// How near that is to the place: `live`, `zone`, ..., `world`.
    pub tier: &'static str,
    /// Power usage effectiveness.
    pub pue: f64,
    /// From which table or configuration.
    pub pue_source: String,
}

/// Carbon of having made the machine.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Embodied {
    /// Grams for each hour that it is held.
    pub grams_per_hour: f64,
    /// Grams since the start.
    pub grams: f64,
    /// The lower end of the 90 % range.
    pub grams_low: f64,
    /// The upper end.
    pub grams_high: f64,
}

/// Money since the start.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Cost {
    /// Electricity in USD; absent where it is in the rent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub electricity_usd: Option<f64>,
    /// The rent of the machine in USD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_usd: Option<f64>,
    /// The price list that the rent is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_price: Option<String>,
}

/// Water since the start, in litres.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Water {
    /// Evaporated at the site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site_l: Option<f64>,
    /// Evaporated at the plants of the grid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grid_l: Option<f64>,
}

/// Calls of language models since the start.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Inference {
    /// Calls.
    pub calls: f64,
    /// Joules.
    pub energy_j: f64,
    /// Grams of CO2e.
    pub carbon_g: f64,
    /// USD.
    pub cost_usd: f64,
}

impl Report {
    /// What the books say after their last window; `None` before the first.
    pub fn of(pipeline: &Pipeline) -> Option<Self> {
        let books = pipeline.host().books();
        let settled = books.settled_at()?;
        let window = books.window().max(Seconds::new(1e-9));
        let uncertainty = books.uncertainty();
        let devices = devices(books);
        let power = devices.iter().map(|device| device.figure.power_w).sum();
        let total = Figure::new(books.energy(), power, books.method(), uncertainty);
        let split = books.method().split();
        let state = |state| {
            let rows = || books.workloads().filter(move |row| row.state == state);
            let energy = rows().map(|row| row.energy).sum();
            let last: MicroJoules = rows().map(|row| row.last).sum();
            Figure::new(energy, (last.quantity() / window).get(), split, uncertainty)
        };
        Some(Self {
            version: env!("CARGO_PKG_VERSION"),
            host: Machine { doubt: doubt(pipeline), unread: unread(pipeline), ..machine(pipeline.host().inventory()) },
            window_s: window.get(),
            at: settled.at.unix_seconds(),
            total,
            devices_active_w: active(books, window),
            workloads: workloads(books, window, uncertainty),
            gpus: gpus::of(pipeline, settled.at),
            idle: state(EnergyState::Idle),
            unattributed: state(EnergyState::Unattributed),
            devices,
            carbon: Carbon::of(pipeline),
            cost: Cost::of(pipeline),
            water: Water::of(books),
            inference: pipeline.inference_totals(),
        })
    }

    /// The report on one screen, with at most `top` workloads.
    pub fn text(&self, top: usize) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        self.write(&mut out, top).ok();
        out
    }

    fn write(&self, out: &mut String, top: usize) -> std::fmt::Result {
        writeln!(out, "wattline {}  {}", self.version, self.host.name)?;
        writeln!(out, "{}", self.host.description)?;
        for words in self.host.unread.iter().chain(&self.host.doubt) {
            writeln!(out, "note: {words}")?;
        }
        writeln!(out)?;
        writeln!(out, "{:<28}{:>9} {:>12}  {:<11} {:<21} from", "DEVICE", "power", "energy", "method", "90 % range")?;
        line(out, "machine", &self.total, "the sum of the devices")?;
        for device in &self.devices {
            line(out, &format!("  {}", device.name()), &device.figure, &device.model)?;
        }
        writeln!(out)?;
        self.write_workloads(out, top)?;
        writeln!(out)?;
        gpus::write(&self.gpus, out)?;
        self.write_meaning(out)
    }

    fn write_workloads(&self, out: &mut String, top: usize) -> std::fmt::Result {
        let has = |kind| self.devices.iter().any(|device| device.kind == kind);
        // Kinds that not every machine has, by the name of their column.
        let rare = [("gpu", "gpu"), ("accelerator", "accel.")].into_iter().filter(|(kind, _)| has(*kind));
        let columns: Vec<_> = [("cpu", "cpu"), ("memory", "memory")]
            .into_iter()
            .chain(rare)
            .chain([("enclosure", "enclosure")])
            .collect();
        let row = |name: &str, power: &str, parts: &[String], energy: &str| {
            let parts = parts.iter().fold(String::new(), |all, part| all + &format!(" {part:>9}"));
            format!("{name:<38}{power:>9}{parts} {energy:>12}")
        };
        let heads: Vec<String> = columns.iter().map(|(_, head)| (*head).to_owned()).collect();
        let none = vec![String::new(); columns.len()];
        writeln!(out, "{}", row("WORKLOAD", "power", &heads, "energy"))?;
        for workload in self.workloads.iter().take(top) {
            let of = |kind| watts(workload.power_by_device_w.get(kind).copied().unwrap_or(0.0));
            let parts: Vec<String> = columns.iter().map(|(kind, _)| of(*kind)).collect();
            let name = short(&format!("{} ({})", workload.name, workload.kind), 37);
            let Figure { power_w, energy_j, .. } = workload.figure;
            writeln!(out, "{}", row(&name, &watts(power_w), &parts, &joules(energy_j)))?;
        }
        let rest = self.workloads.iter().skip(top);
        let (count, power, energy) = rest.fold((0, 0.0, 0.0), |(count, power, energy), workload| {
            (count + 1, power + workload.figure.power_w, energy + workload.figure.energy_j)
        });
        if count > 0 {
            writeln!(out, "{}", row(&format!("{count} more"), &watts(power), &none, &joules(energy)))?;
        }
        for (name, figure) in [("idle: at rest, nobody's", self.idle), ("unattributed: no witness", self.unattributed)]
        {
            writeln!(out, "{}", row(name, &watts(figure.power_w), &none, &joules(figure.energy_j)))?;
        }
        Ok(())
    }

    fn write_meaning(&self, out: &mut String) -> std::fmt::Result {
        self.carbon.write(out)?;
        self.cost.write(out)?;
        if let Some(Water { site_l, grid_l }) = self.water {
            let told = [(site_l, "at the site"), (grid_l, "at the plants of the grid")];
            for (water, place) in told.into_iter().filter_map(|(water, place)| Some((water?, place))) {
                writeln!(out, "water   {} {place}", liters(water))?;
            }
        }
        if let Some(Inference { calls, energy_j, carbon_g, cost_usd }) = self.inference {
            writeln!(
                out,
                "models  {calls:.0} calls, {}, {}, {cost_usd:.6} USD since the start",
                joules(energy_j),
                mass(carbon_g)
            )?;
        }
        writeln!(out, "window  {:.1} s", self.window_s)
    }
}

impl Carbon {
    fn of(pipeline: &Pipeline) -> Self {
        let (books, meaning) = (pipeline.host().books(), pipeline.meaning());
        let (intensity, pue) = (meaning.intensity(), meaning.pue());
        let grams = books.meaning().operational.quantity().get();
        let factor = books.operational_uncertainty().factor();
        let embodied = books.meaning().embodied.map(|made| made.quantity().get());
        let made_factor = books.embodied_uncertainty().factor();
        let per_hour = meaning.held().holding.embodied.map_or(0.0, |made| made.per_hour.get());
        Self {
            grams,
            grams_low: grams / factor,
            grams_high: grams * factor,
            embodied: embodied.map(|grams| Embodied {
                grams_per_hour: per_hour,
                grams,
                grams_low: grams / made_factor,
                grams_high: grams * made_factor,
            }),
            market_grams: books.meaning().market.map(|grams| grams.quantity().get()),
            intensity: intensity.grams.get(),
            zone: intensity.zone.to_string(),
            source: intensity.source.to_string(),
            tier: intensity.tier.as_str(),
            pue: pue.ratio.get(),
            pue_source: pue.source.to_string(),
        }
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let Self {
            grams,
            grams_low,
            grams_high,
            embodied,
            market_grams,
            intensity,
            zone,
            source,
            tier,
            pue,
            pue_source,
        } = self;
        writeln!(
            out,
            "carbon  {} ({} to {}) of electricity, at {intensity:.0} gCO2e/kWh of {zone} ({source}, tier {tier}), PUE \
             {pue:.2} ({pue_source})",
            mass(*grams),
            mass(*grams_low),
            mass(*grams_high),
        )?;
        if let Some(Embodied { grams_per_hour: _, grams, grams_low, grams_high }) = embodied {
            let range = format!("{} to {}", mass(*grams_low), mass(*grams_high));
            writeln!(out, "        {} ({range}) embodied in the machine", mass(*grams))?;
        }
        if let Some(grams) = market_grams {
            writeln!(out, "        {} of electricity by contract, not added", mass(*grams))?;
        }
        Ok(())
    }
}

impl Cost {
    fn of(pipeline: &Pipeline) -> Self {
        let meaning = pipeline.host().books().meaning();
        let price = pipeline.meaning().held().price.as_ref();
        Self {
            electricity_usd: meaning.electricity.map(|cost| cost.quantity().get()),
            instance_usd: meaning.rent.map(|cost| cost.quantity().get()),
            instance_price: price.map(|price| {
                let read = price.date.as_ref().map_or_else(String::new, |date| format!(" of {date}"));
                format!("{} USD/h, {}{read}", price.usd_per_hour.get(), price.source)
            }),
        }
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let Self { electricity_usd, instance_usd, instance_price } = self;
        if let Some(usd) = electricity_usd {
            writeln!(out, "cost    {usd:.9} USD of electricity")?;
        }
        if let Some(usd) = instance_usd {
            let price = instance_price.as_deref().unwrap_or("a price before");
            writeln!(out, "cost    {usd:.6} USD of rent, electricity included, at {price}")?;
        }
        if electricity_usd.is_none() && instance_usd.is_none() {
            writeln!(
                out,
                "cost    unknown: no table has the rent of this machine; set cost.instance or cost.electricity"
            )?;
        }
        Ok(())
    }
}

impl Water {
    fn of(books: &HostBooks) -> Option<Self> {
        let of = |water: Option<wattline_core::Microliters>| water.map(|water| water.quantity().get());
        let water = Self { site_l: of(books.meaning().water_site), grid_l: of(books.meaning().water_grid) };
        (water.site_l.is_some() || water.grid_l.is_some()).then_some(water)
    }
}

impl Device {
    /// Kind and id, once where they are the same.
    pub fn name(&self) -> String {
        if self.id == self.kind { self.id.clone() } else { format!("{} {}", self.kind, self.id) }
    }
}

impl Figure {
    fn new(energy: MicroJoules, power_w: f64, method: Method, uncertainty: Uncertainty) -> Self {
        let factor = uncertainty.factor();
        Self {
            energy_j: energy.quantity().get(),
            power_w,
            method,
            power_low_w: power_w / factor,
            power_high_w: power_w * factor,
        }
    }
}

fn devices(books: &HostBooks) -> Vec<Device> {
    books
        .devices()
        .map(|row| Device {
            id: row.device.id.to_string(),
            kind: row.device.kind.as_str(),
            model: row.model.to_string(),
            figure: Figure::new(row.energy, row.power.get(), row.method, row.uncertainty),
        })
        .collect()
}

fn active(books: &HostBooks, window: Seconds) -> BTreeMap<&'static str, f64> {
    let mut active = BTreeMap::new();
    for row in books.workloads().filter(|row| row.state != EnergyState::Idle) {
        *active.entry(row.kind.as_str()).or_default() += (row.last.quantity() / window).get();
    }
    active
}

fn workloads(books: &HostBooks, window: Seconds, uncertainty: Uncertainty) -> Vec<Workload> {
    let mut by_workload: BTreeMap<_, (MicroJoules, MicroJoules, BTreeMap<&'static str, f64>)> = BTreeMap::new();
    let mut active = 0.0;
    let held = |state| matches!(state, EnergyState::Active | EnergyState::Reserved);
    for row in books.workloads().filter(|row| held(row.state)) {
        let (energy, last, by_device) = by_workload.entry(row.workload.clone()).or_default();
        *energy += row.energy;
        *last += row.last;
        *by_device.entry(row.kind.as_str()).or_default() += (row.last.quantity() / window).get();
        active += row.last.quantity().get();
    }
    let method = books.method().split();
    let mut workloads: Vec<Workload> = by_workload
        .into_iter()
        .map(|(workload, (energy, last, power_by_device_w))| Workload {
            name: workload.to_string(),
            kind: workload.kind(),
            power_by_device_w,
            share: if active > 0.0 { last.quantity().get() / active } else { 0.0 },
            figure: Figure::new(energy, (last.quantity() / window).get(), method, uncertainty),
        })
        .collect();
    workloads.sort_by(|a, b| b.figure.power_w.total_cmp(&a.figure.power_w).then_with(|| a.name.cmp(&b.name)));
    workloads
}

/// Accelerators that the instance type has and of which fewer are on the books: what nobody reads is not booked, which is
/// said.
fn unread(pipeline: &Pipeline) -> Option<String> {
    let cloud = pipeline.host().inventory().cloud.as_ref()?;
    let found = hardware::instance(&cloud.provider, cloud.instance_type.as_deref()?)?.instance;
    let fitted: f64 = found.accelerators.iter().map(|fitted| fitted.count).sum();
    let is_accelerator = |kind| matches!(kind, DeviceKind::Gpu | DeviceKind::Accelerator);
    let rows = pipeline.host().books().devices().filter(|row| is_accelerator(row.device.kind));
    let read = rows.map(|row| &row.device.id).collect::<BTreeSet<_>>().len();
    if read as f64 >= fitted {
        return None;
    }
    let names: Vec<String> =
        found.accelerators.iter().map(|fitted| format!("{} x {}", fitted.count, fitted.accelerator.name)).collect();
    let names = names.join(", ");
    Some(match read {
        0 => format!("{} has {names}: not read, so no energy is booked for them", found.name),
        _ => format!("{} has {names}: {read} are read, and no energy is booked for the others", found.name),
    })
}

/// What is wrong with the instance type, if anything.
fn doubt(pipeline: &Pipeline) -> Option<String> {
    let name = pipeline.host().inventory().cloud.as_ref()?.instance_type.clone()?;
    let Held { basis, stands_in, vcpus_differ, .. } = pipeline.meaning().held();
    match (basis, stands_in, vcpus_differ) {
        (None, _, _) => {
            let near = hardware::nearest_instances(&name).join(", ");
            Some(format!(
                "{name} is no instance type of any table (nearest: {near}); its CPUs and memory are reckoned with"
            ))
        }
        (Some(basis), _, _) if *basis != Basis::Exact => {
            let other = stands_in.unwrap_or("the usual count of virtual CPUs");
            Some(format!("no table has {name}: {other} stands in, and it has no price"))
        }
        (_, _, Some((table, machine))) => Some(format!("{name} has {table} virtual CPUs, and this machine {machine}")),
        _ => None,
    }
}

fn machine(inventory: &Inventory) -> Machine {
    let Inventory { host_name, cpu, memory_bytes, virtualization, cloud, .. } = inventory;
    let CpuModel { name, logical_count, .. } = cpu;
    let mut parts = vec![name.clone().unwrap_or_else(|| "an unknown processor".to_owned())];
    parts.extend(logical_count.map(|count| format!("{count} CPUs")));
    parts.extend(memory_bytes.map(|bytes| format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0)));
    parts.push(match (cloud, virtualization) {
        (Some(CloudInstance { provider, instance_type, region, .. }), _) => {
            let words = [Some(provider.clone()), instance_type.clone(), region.clone()];
            words.into_iter().flatten().collect::<Vec<_>>().join(" ")
        }
        (None, Virtualization::Guest(hypervisor)) if hypervisor == "unknown" => "a virtual machine".to_owned(),
        (None, Virtualization::Guest(hypervisor)) => format!("a virtual machine of {hypervisor}"),
        (None, Virtualization::None) => "bare metal".to_owned(),
        (None, Virtualization::Unknown) => "virtual or not is unknown".to_owned(),
    });
    Machine {
        name: host_name.clone().unwrap_or_else(|| "unknown".to_owned()),
        description: parts.join(", "),
        doubt: None,
        unread: None,
    }
}

fn line(out: &mut String, name: &str, figure: &Figure, from: &str) -> std::fmt::Result {
    let range = format!("{} to {}", watts(figure.power_low_w), watts(figure.power_high_w));
    writeln!(
        out,
        "{:<28}{:>9} {:>12}  {:<11} {:<21} {from}",
        short(name, 27),
        watts(figure.power_w),
        joules(figure.energy_j),
        figure.method.as_str(),
        range
    )
}

/// The text cut to `width` characters.
fn short(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_and_say_so() {
        assert_eq!(short("abcdef", 4), "abc…");
        assert_eq!(short("häß", 3), "häß");
    }
}
