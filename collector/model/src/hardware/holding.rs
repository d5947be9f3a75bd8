//! What a machine costs to hold, used or not: its rent, and what having made it emitted, by the hour and by its parts.

use wattline_core::reading::{Inventory, Virtualization};
use wattline_core::{DeviceKind, GramsCo2e, Ratio, Seconds, Text, Uncertainty, UsdPerHour};

use super::{Accelerator, Basis, Embodied, InstancePrice, Match, Parts, PriceFile, Storage, embodied, instance, price};
use crate::host;

#[cfg(test)]
mod tests;

/// Weights by which a rent is divided: what a provider's small machines cost for each of their parts, in USD an hour.
/// Source: `OpenCost`, default prices on AWS. That of an accelerator is the least one: whatever a machine costs beyond its
/// CPUs and memory, its accelerators cost.
const USD_PER_VCPU: f64 = 0.031_611;
const USD_PER_GIB: f64 = 0.004_237;
const USD_PER_ACCELERATOR: f64 = 0.95;

/// Of a guest whose host nobody names, the host's logical CPUs: two sockets of 24 cores, the middle of what clouds have
/// rented out since 2017. Ours.
const CPUS_OF_A_HOST: f64 = 96.0;

/// How wrong that may be: hosts have 32 to 384 logical CPUs.
const UNKNOWN_HOST_SIGMA: f64 = 0.6;

/// How wrong a maker's own declaration may be: declarations of one part differ by this much. Ours.
pub const DECLARED: Uncertainty = Uncertainty::from_sigma(0.30);

const BYTES_PER_GIB: f64 = 1_073_741_824.0;

/// The user's own figures about holding the machine.
#[derive(Clone, Copy, Debug)]
pub struct OwnHolding<'a> {
    /// Whether embodied carbon is reckoned.
    pub counts_embodied: bool,
    /// What making the whole machine emitted, where the maker has told.
    pub embodied: Option<GramsCo2e>,
    /// For how long a machine is used.
    pub lifetime: Seconds,
    /// The rent.
    pub rent: Option<UsdPerHour>,
    /// A file of rents.
    pub prices: &'a PriceFile,
}

/// A machine's holding, with where it is from.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// What goes to the books.
    pub holding: host::Holding,
    /// The price list that the rent is of; `None` where there is no rent.
    pub price: Option<InstancePrice>,
    /// How the instance type was understood; `None` where there is none, and where it was not.
    pub basis: Option<Basis>,
    /// The type of the table whose figures stand in, where the table has not the machine's own.
    pub stands_in: Option<&'static str>,
    /// The service that the type is of, where that is not EC2: its machines have no list price here.
    pub service: Option<&'static str>,
    /// Logical CPUs of the type by the table and of the machine itself, where the two differ: then one of them is not what
    /// it is taken for, or multithreading is switched off.
    pub vcpus_differ: Option<(u32, u32)>,
}

/// What it costs to hold the machine that `inventory` describes. The rent of an instance type is only its own, and in
/// its own region: another's would be booked to the nano-dollar and be wrong.
pub fn holding(inventory: &Inventory, own: &OwnHolding<'_>) -> Held {
    let cloud = inventory.cloud.as_ref();
    let provider = cloud.map_or("", |cloud| cloud.provider.as_str());
    let name = cloud.and_then(|cloud| cloud.instance_type.as_deref());
    let region = cloud.and_then(|cloud| cloud.region.as_deref()).unwrap_or_default();
    let matched = name.and_then(|name| instance(provider, name));
    let listed = name.and_then(|name| price(provider, region, name));
    let price = own.rent.map(InstancePrice::configured).or_else(|| {
        // A spot instance has another price every hour.
        let is_on_demand = cloud.and_then(|cloud| cloud.life_cycle.as_deref()).is_none_or(|life| life != "spot");
        let of_list = || listed.clone().filter(|price| is_on_demand && !price.estimated);
        own.prices.price(region, name?).or_else(of_list)
    });
    let (parts, uncertainty) = parts(inventory, matched.as_ref());
    let made = embodied(&parts);
    let whole = listed.or_else(|| price.clone()).map(|price| price.usd_per_hour);
    Held {
        holding: host::Holding {
            rent: price.as_ref().map(|price| price.usd_per_hour),
            embodied: own.counts_embodied.then(|| by_the_hour(&made, own, uncertainty)),
            parts: weights(inventory, &parts, &made, whole),
        },
        price,
        basis: matched.as_ref().map(|matched| matched.basis),
        stands_in: matched.as_ref().and_then(Match::stands_in),
        service: matched.as_ref().and_then(Match::service),
        vcpus_differ: matched.as_ref().and_then(|matched| vcpus_differ(matched, inventory)),
    }
}

/// The vCPUs of the type and the logical CPUs of the machine, where they differ.
fn vcpus_differ(matched: &Match, inventory: &Inventory) -> Option<(u32, u32)> {
    let (table, machine) = (matched.instance.vcpus, inventory.cpu.logical_count?);
    (table != machine).then_some((table, machine))
}

impl InstancePrice {
    /// The user's own price.
    pub const fn configured(usd_per_hour: UsdPerHour) -> Self {
        let (region, source) = (Text::Static("*"), Text::Static("configured"));
        Self { usd_per_hour, region, date: None, source, estimated: false }
    }
}

/// The parts of the machine, and how wrong their count may be.
fn parts(inventory: &Inventory, matched: Option<&Match>) -> (Parts, Uncertainty) {
    if let Some(Match { instance, uncertainty, .. }) = matched {
        return (Parts::of(instance), *uncertainty);
    }
    let cpus = inventory.cpu.logical_count.unwrap_or(1).max(1);
    let memory_gib = inventory.memory_bytes.map_or(0.0, |bytes| bytes as f64 / BYTES_PER_GIB);
    let whole = Parts::on_premises(inventory.cpu.socket_count, cpus, memory_gib, Storage::default());
    if inventory.virtualization == Virtualization::None {
        return (whole, Uncertainty::NONE);
    }
    let share = (f64::from(cpus) / CPUS_OF_A_HOST).min(1.0);
    let guest = Parts { servers: share, packages: share * 2.0, ..whole };
    (guest, Uncertainty::from_sigma(UNKNOWN_HOST_SIGMA))
}

fn by_the_hour(made: &Embodied, own: &OwnHolding<'_>, parts: Uncertainty) -> host::Embodied {
    let total = made.total();
    let (total, uncertainty) = match own.embodied {
        Some(central) => (super::Made { central, ..total }, DECLARED),
        None => (total, total.uncertainty.times(parts)),
    };
    host::Embodied { per_hour: total.per_hour(own.lifetime), uncertainty }
}

/// The weights of the machine's parts: prices for the rent, and what was emitted for the rest.
///
/// `whole` is what the machine costs by a list, of any region, for only shares are taken from it; else its rent. A machine
/// of that price costs more than CPUs and memory do elsewhere because of its accelerators, so they weigh the difference,
/// and the weights sum to the price. A discount on the whole machine is then a discount on all of its parts.
fn weights(inventory: &Inventory, parts: &Parts, made: &Embodied, whole: Option<UsdPerHour>) -> Vec<host::HeldPart> {
    let vcpus = f64::from(inventory.cpu.logical_count.unwrap_or(1).max(1));
    let (usd_cpu, usd_memory) = (USD_PER_VCPU * vcpus, USD_PER_GIB * parts.memory_gb);
    let devices: f64 = parts.accelerators.iter().map(|fitted| fitted.count).sum();
    let usd_beyond = whole.map_or(0.0, |whole| whole.get() - usd_cpu - usd_memory);
    let usd_accelerators = if devices > 0.0 { usd_beyond.max(USD_PER_ACCELERATOR * devices) } else { 0.0 };
    let is_gpu = parts.accelerators.iter().any(|fitted| fitted.accelerator.is_gpu());
    let accelerator = if is_gpu { DeviceKind::Gpu } else { DeviceKind::Accelerator };
    [
        (DeviceKind::Cpu, usd_cpu, made.cpu.central),
        (DeviceKind::Memory, usd_memory, made.memory.central),
        (DeviceKind::Disk, 0.0, made.storage.central),
        (accelerator, usd_accelerators, made.accelerators.central),
    ]
    .into_iter()
    .filter(|(_, rent, embodied)| *rent > 0.0 || *embodied > GramsCo2e::ZERO)
    .map(|(kind, rent, embodied)| host::HeldPart {
        kind,
        weight_rent: Ratio::new(rent),
        // The sums of weights stay far below what whole billionths can hold.
        weight_embodied: Ratio::new(embodied.get() / 1e6),
    })
    .collect()
}

impl Accelerator {
    /// Whether it is a graphics processor, and not a chip made for models alone.
    fn is_gpu(&self) -> bool {
        self.id.starts_with("nvidia-") || self.id.starts_with("amd-")
    }
}
