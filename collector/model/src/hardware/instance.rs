//! Instance types of EC2: what each consists of, and which the nearest to an unknown name is.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use wattline_core::{Text, Uncertainty};

use super::accelerator::{Accelerator, by_id};
use super::fallback;
use crate::grid::table::Table;

pub(super) const TABLE: Table = Table::new(include_str!("../../data/ec2_instance.csv"));
pub(super) const FAMILIES: Table = Table::new(include_str!("../../data/ec2_family.csv"));

/// Mebibytes in a gibibyte.
const MIB_PER_GIB: f64 = 1024.0;

/// No instance type has a longer name.
pub(super) const LONGEST_NAME: usize = 40;

/// How many names are offered for one that is not known.
const SUGGESTIONS: usize = 5;

/// What a machine that is rented by type consists of.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// The type, in small letters; with the beginning that another service than EC2 puts before it.
    pub name: Text,
    /// Logical CPUs that the guest sees.
    pub vcpus: u32,
    /// Cores that those are worth: as many where `whole_cores`, else half, and one at least.
    pub cores: u32,
    /// A logical CPU is a core of its own, as on Graviton and on AMD's processors since the seventh generation.
    pub whole_cores: bool,
    /// Memory in gibibytes.
    pub memory_gib: f64,
    /// `x86_64`, `arm64`, or `unknown`.
    pub arch: &'static str,
    /// The family of processors whose power is known best: a key of the table of processor families.
    pub cpu_family: &'static str,
    /// The processor's name as far as it is published.
    pub cpu_name: &'static str,
    /// Processors of the whole server. A bare-metal type that is a part of its family's largest server is a smaller server:
    /// `m7i.metal-24xl` has one processor where `m7i.metal-48xl` has two.
    pub host_sockets: u32,
    /// Logical CPUs of the whole server, counted as `vcpus` are. Not below `vcpus`, and just these of bare metal.
    pub host_vcpus: u32,
    /// Accelerators: of one kind on every type of EC2.
    pub accelerators: Vec<Fitted>,
    /// Cores of all Neuron devices together.
    pub neuron_cores: u32,
    /// Disks inside the server.
    pub storage: Storage,
    /// The network's bandwidth at most, in gigabits a second.
    pub network_gbps: f64,
    /// The guest has the server for itself.
    pub bare_metal: bool,
    /// The type of the table that this was made from, where the table has not the type itself.
    pub(super) stands_in: Option<&'static str>,
}

impl Instance {
    /// The guest's share of what the server has once: board, case, supplies and processors. Between nothing and all.
    pub fn share_of_host(&self) -> f64 {
        (f64::from(self.vcpus) / f64::from(self.host_vcpus.max(1))).min(1.0)
    }
}

/// Accelerators in a machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fitted {
    /// The kind.
    pub accelerator: &'static Accelerator,
    /// How many; a part of one where the provider rents out parts. Above zero.
    pub count: f64,
}

/// Disks inside a server. Network storage is none of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Storage {
    /// Gigabytes on flash.
    pub ssd_gb: f64,
    /// Gigabytes on magnetic disks.
    pub hdd_gb: f64,
}

/// An instance type with how its name was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// What it consists of.
    pub instance: Instance,
    /// How the name was understood.
    pub basis: Basis,
    /// How wrong any figure of the hardware may be because the name was not known: none where it was.
    pub uncertainty: Uncertainty,
}

impl Match {
    /// The type whose figures stand in for one that the table has not, as they are or scaled. None where the table has the
    /// type itself, and where only its size is known.
    pub const fn stands_in(&self) -> Option<&'static str> {
        self.instance.stands_in
    }

    /// The service that the name is of, where it is not EC2 itself. Its machines are those of EC2, and cost otherwise.
    pub fn service(&self) -> Option<&'static str> {
        service(&self.instance.name).map(|(service, _)| service)
    }
}

/// How the name of an instance type was understood, from strongest to weakest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// The table has it.
    Exact,
    /// The table has its family; the nearest size was scaled.
    Size,
    /// The table has a family of the same letters in another generation.
    Family,
    /// The size's usual count of vCPUs, and nothing else.
    Default,
}

impl Basis {
    /// The word for reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Size => "size",
            Self::Family => "family",
            Self::Default => "default",
        }
    }

    /// The standard deviation of the logarithm that is added to every figure of the hardware. Between two sizes of a
    /// family lies a factor of two, between two generations of one series up to two; a bare count of vCPUs is T2 of
    /// the power tiers. The figures are ours.
    const fn uncertainty(self) -> Uncertainty {
        Uncertainty::from_sigma(match self {
            Self::Exact => 0.0,
            Self::Size => 0.2,
            Self::Family => 0.35,
            Self::Default => 0.65,
        })
    }
}

/// What an instance type consists of. `provider` is `cloud.provider`; only `aws` is known. `name` may be in any case and
/// may have the beginning that `SageMaker`, RDS and `ElastiCache` put before it (`ml.`, `db.`, `cache.`); it stays in the
/// instance's name, so that nobody looks up what EC2 would cost, and [`Match::service`] tells it.
///
/// Whatever looks like an instance type, with a size that can be read, has an answer above zero in vCPUs and memory;
/// [`Match::basis`] says how good it is. `None` is for another provider and for text that is no instance type.
pub fn instance(provider: &str, name: &str) -> Option<Match> {
    if !provider.trim().eq_ignore_ascii_case("aws") {
        return None;
    }
    let name = name.trim().to_ascii_lowercase();
    let text = plain(&name);
    let (instance, basis) = match ROWS.get(text) {
        Some(row) => (row.instance(), Basis::Exact),
        None => fallback::nearest(text)?,
    };
    let instance = if text == name { instance } else { Instance { name: Text::from(name), ..instance } };
    Some(Match { instance, basis, uncertainty: basis.uncertainty() })
}

/// The names most like `name`; five at most. For an error message. First the type that stands in for it, then its family,
/// then the family most like its own, then all others, each as they are spelt.
pub fn nearest_instances(name: &str) -> Vec<&'static str> {
    let name: String = name.trim().chars().take(LONGEST_NAME).collect::<String>().to_ascii_lowercase();
    let text = plain(&name);
    let stands_in = fallback::nearest(text).and_then(|(instance, _)| instance.stands_in);
    let family = text.split_once('.').map(|(family, _)| family);
    let relative = family.and_then(fallback::relative);
    let distance = |known: &'static str, row: &Row| match () {
        () if Some(known) == stands_in => 0,
        () if Some(row.family.name) == family => 1,
        () if Some(row.family.name) == relative => 2,
        () => 3,
    };
    let mut all: Vec<(u8, f64, &'static str)> = ROWS
        .iter()
        .map(|(known, row)| (distance(known, row), strsim::normalized_damerau_levenshtein(text, known), *known))
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)).then(a.2.cmp(b.2)));
    all.into_iter().take(SUGGESTIONS).map(|(.., known)| known).collect()
}

/// The names of all types in the table.
pub fn instance_names() -> impl Iterator<Item = &'static str> {
    ROWS.keys().copied()
}

/// Services that rent out machines of EC2 under names with a beginning of their own.
const SERVICES: [(&str, &str); 3] = [("SageMaker", "ml."), ("RDS", "db."), ("ElastiCache", "cache.")];

/// The service of a name in small letters, and what stands behind its beginning.
fn service(name: &str) -> Option<(&'static str, &str)> {
    SERVICES.iter().find_map(|(service, beginning)| Some((*service, name.strip_prefix(beginning)?)))
}

fn plain(name: &str) -> &str {
    service(name).map_or(name, |(_, rest)| rest)
}

pub(super) static ROWS: LazyLock<BTreeMap<&'static str, Row>> =
    LazyLock::new(|| TABLE.rows().filter_map(|row| Row::parse(&row)).map(|row| (row.name, row)).collect());

pub(super) static FAMILY_ROWS: LazyLock<BTreeMap<&'static str, Family>> =
    LazyLock::new(|| FAMILIES.rows().filter_map(Family::parse).map(|row| (row.name, row)).collect());

/// A row of the table of types.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) vcpus: u32,
    pub(super) threads_per_core: u32,
    pub(super) memory_mib: f64,
    arch: &'static str,
    bare_metal: bool,
    pub(super) accelerator: Option<Fitted>,
    neuron_cores: u32,
    storage: Storage,
    network_gbps: f64,
    pub(super) family: Family,
}

impl Row {
    fn parse(row: &[&'static str; 17]) -> Option<Self> {
        let [name, vcpus, threads, memory, arch, _, metal, device, count, _, neuron_cores, ssd, hdd, network, ..] = row;
        let count: f64 = count.parse().ok()?;
        let accelerator = match *device {
            "" => None,
            id => Some(Fitted { accelerator: by_id(id)?, count: Some(count).filter(|count| *count > 0.0)? }),
        };
        Some(Self {
            name,
            vcpus: vcpus.parse().ok()?,
            threads_per_core: threads.parse().ok()?,
            memory_mib: memory.parse().ok()?,
            arch,
            bare_metal: *metal == "1",
            accelerator,
            neuron_cores: neuron_cores.parse().ok()?,
            storage: Storage { ssd_gb: ssd.parse().ok()?, hdd_gb: hdd.parse().ok()? },
            network_gbps: network.parse().ok()?,
            family: *FAMILY_ROWS.get(name.split_once('.')?.0)?,
        })
    }

    /// What the type consists of.
    pub(super) fn instance(&self) -> Instance {
        let whole_cores = self.threads_per_core == 1;
        let (host_sockets, host_vcpus) = self.host(self.vcpus, self.bare_metal);
        Instance {
            name: Text::Static(self.name),
            vcpus: self.vcpus,
            cores: if whole_cores { self.vcpus } else { self.vcpus.div_ceil(2) },
            whole_cores,
            memory_gib: self.memory_mib / MIB_PER_GIB,
            arch: self.arch,
            cpu_family: self.family.processors,
            cpu_name: self.family.cpu_name,
            host_sockets,
            host_vcpus,
            accelerators: self.accelerator.into_iter().collect(),
            neuron_cores: self.neuron_cores,
            storage: self.storage,
            network_gbps: self.network_gbps,
            bare_metal: self.bare_metal,
            stands_in: None,
        }
    }

    /// Sockets and logical CPUs of the server that so many vCPUs of this type's family are on. Bare metal has a server of
    /// its own, with as many of the largest server's sockets as it has of its CPUs.
    pub(super) fn host(&self, vcpus: u32, bare_metal: bool) -> (u32, u32) {
        // One type of a family that sells threads has multithreading off: its server has half as many logical CPUs.
        let threads_hidden = self.threads_per_core == 1 && !self.family.sells_cores;
        let host_vcpus = if threads_hidden { self.family.host_vcpus / 2 } else { self.family.host_vcpus };
        if bare_metal {
            (sockets_of(vcpus, host_vcpus, self.family.sockets), vcpus)
        } else {
            (self.family.sockets, host_vcpus.max(vcpus))
        }
    }

    /// The word behind the dot.
    pub(super) fn size(&self) -> &'static str {
        self.name.split_once('.').map_or("", |(_, size)| size)
    }
}

/// The sockets that so many of a server's logical CPUs fill: whole ones, one at least, and all at most.
pub(super) fn sockets_of(vcpus: u32, host_vcpus: u32, host_sockets: u32) -> u32 {
    let exact = u64::from(vcpus) * u64::from(host_sockets);
    let sockets = exact.div_ceil(u64::from(host_vcpus.max(1)));
    u32::try_from(sockets).unwrap_or(host_sockets).clamp(1, host_sockets.max(1))
}

/// A row of the table of families.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) processors: &'static str,
    cpu_name: &'static str,
    pub(super) sockets: u32,
    pub(super) host_vcpus: u32,
    pub(super) sells_cores: bool,
}

impl Family {
    fn parse(row: [&'static str; 9]) -> Option<Self> {
        let [name, processors, cpu_name, sockets, host_vcpus, vcpu, ..] = row;
        let sells_cores = match vcpu {
            "core" => true,
            "thread" => false,
            _ => return None,
        };
        let (sockets, host_vcpus) = (sockets.parse().ok()?, host_vcpus.parse().ok()?);
        Some(Self { name, processors, cpu_name, sockets, host_vcpus, sells_cores })
    }
}
