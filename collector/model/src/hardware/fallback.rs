//! What a type that the table does not have is most like: another size, another generation, or its size alone.

use std::cmp::Reverse;

use wattline_core::Text;

use super::instance::{Basis, FAMILY_ROWS, Fitted, Instance, LONGEST_NAME, ROWS, Row, Storage, sockets_of};

/// vCPUs of `xlarge`; every other size is a multiple or a part of it.
const VCPUS_PER_XLARGE: f64 = 4.0;

/// The largest multiple of `xlarge` that is taken for a size: the largest server of the table has 224.
const LARGEST_SIZE: u32 = 1024;

/// Of a type whose family nobody knows: memory for each vCPU as in the general-purpose series.
const GIB_PER_VCPU: f64 = 4.0;

/// Of the same: a server of two sockets with 48 threads each, the most common host in the table of families.
const HOST_VCPUS: u32 = 96;
const HOST_SOCKETS: u32 = 2;

/// The nearest hardware to `text`, which is in small letters and not in the table. None where no size can be read: any size
/// that were taken for it would be booked as if it were known.
pub(super) fn nearest(text: &str) -> Option<(Instance, Basis)> {
    let (family, size) = text.split_once('.')?;
    let word = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if text.len() > LONGEST_NAME
        || !word(family)
        || !word(size)
        || !family.starts_with(|c: char| c.is_ascii_alphabetic())
    {
        return None;
    }
    let asked = Size::parse(size)?;
    if FAMILY_ROWS.contains_key(family) {
        return Some((scaled(text, family, asked, is_metal(size))?, Basis::Size));
    }
    if let Some(relative) = relative(family) {
        return Some((scaled(text, relative, asked, is_metal(size))?, Basis::Family));
    }
    Some((by_size(text, asked, is_metal(size)), Basis::Default))
}

/// How large a size is beside `xlarge`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Size {
    Xlarges(f64),
    WholeServer,
}

impl Size {
    /// `nano` to `large` halve each time, as their memory does; `24xlarge` and `metal-24xl` are 24; `metal` is all.
    fn parse(word: &str) -> Option<Self> {
        let parts = |count: f64| Some(Self::Xlarges(count));
        match word {
            "nano" => return parts(1.0 / 32.0),
            "micro" => return parts(1.0 / 16.0),
            "small" => return parts(1.0 / 8.0),
            "medium" => return parts(1.0 / 4.0),
            "large" => return parts(1.0 / 2.0),
            "xlarge" => return parts(1.0),
            "metal" => return Some(Self::WholeServer),
            _ => {}
        }
        let digits = match word.strip_prefix("metal-") {
            Some(rest) => rest.strip_suffix("xl")?,
            None => word.strip_suffix("xlarge")?,
        };
        if digits.starts_with(['0', '+']) {
            return None;
        }
        let count: u32 = digits.parse().ok().filter(|count| (1..=LARGEST_SIZE).contains(count))?;
        parts(f64::from(count))
    }
}

/// A size of a known family: the nearest size of it, multiplied.
fn scaled(text: &str, family: &str, asked: Size, bare_metal: bool) -> Option<Instance> {
    let mut rows: Vec<&Row> = ROWS.values().filter(|row| row.family.name == family).collect();
    rows.sort_by_key(|row| row.vcpus);
    let (row, factor) = match asked {
        Size::Xlarges(asked) => rows
            .iter()
            .map(|row| (*row, asked / xlarges(row)))
            .min_by(|a, b| a.1.ln().abs().total_cmp(&b.1.ln().abs()))?,
        Size::WholeServer => {
            let largest = *rows.last()?;
            (largest, f64::from(largest.family.host_vcpus) / f64::from(largest.vcpus))
        }
    };
    Some(multiplied(row, factor, text, bare_metal))
}

/// `metal`, `metal-24xl`: the guest has no hypervisor under it.
fn is_metal(size: &str) -> bool {
    size.starts_with("metal")
}

fn xlarges(row: &Row) -> f64 {
    match Size::parse(row.size()) {
        Some(Size::Xlarges(count)) => count,
        Some(Size::WholeServer) | None => f64::from(row.vcpus) / VCPUS_PER_XLARGE,
    }
}

fn multiplied(row: &Row, factor: f64, text: &str, bare_metal: bool) -> Instance {
    let instance = row.instance();
    let vcpus = count(f64::from(instance.vcpus) * factor);
    let devices = instance.accelerators.iter().map(|fitted| {
        // Whole devices stay whole; a part of one may become another part.
        let many = fitted.count * factor;
        Fitted { count: if fitted.count < 1.0 { many } else { many.round().max(1.0) }, ..*fitted }
    });
    let accelerators: Vec<Fitted> = devices.collect();
    let (host_sockets, host_vcpus) = row.host(vcpus, bare_metal);
    Instance {
        name: Text::from(text.to_owned()),
        vcpus,
        cores: if instance.whole_cores { vcpus } else { vcpus.div_ceil(2) },
        memory_gib: instance.memory_gib * factor,
        host_sockets,
        host_vcpus,
        neuron_cores: neuron_cores(&instance, &accelerators),
        accelerators,
        storage: Storage { ssd_gb: instance.storage.ssd_gb * factor, hdd_gb: instance.storage.hdd_gb * factor },
        network_gbps: instance.network_gbps * factor,
        bare_metal,
        stands_in: Some(row.name),
        ..instance
    }
}

/// As many for each device as the known size has.
fn neuron_cores(known: &Instance, accelerators: &[Fitted]) -> u32 {
    let devices = |fitted: &[Fitted]| fitted.iter().map(|fitted| fitted.count).sum::<f64>();
    if known.neuron_cores == 0 {
        return 0;
    }
    count(f64::from(known.neuron_cores) * devices(accelerators) / devices(&known.accelerators))
}

/// The known family that is most like an unknown one: of the same series; with the same letters behind the generation,
/// else with the same maker of the processor; of the nearest generation, the newer of two; of the variant spelt most alike
/// and nearest in number; the plainest. So a `p7` is like the newest of the sixth, `p6-b200`, and not like an older `p5`.
pub(super) fn relative(family: &str) -> Option<&'static str> {
    let asked = Letters::of(family)?;
    let rank = |known: &'static str| {
        let letters = Letters::of(known).filter(|letters| letters.series == asked.series)?;
        let kinship = if letters.rest == asked.rest { 2 } else { u32::from(letters.maker() == asked.maker()) };
        let distance = letters.generation.abs_diff(asked.generation);
        let likeness = strsim::normalized_levenshtein(letters.rest, asked.rest)
            + strsim::normalized_levenshtein(letters.variant, asked.variant);
        let apart = letters.number().abs_diff(asked.number());
        let age = (Reverse(distance), letters.generation);
        Some((kinship, age, likeness, (Reverse(apart), Reverse(known.len())), known))
    };
    let best = FAMILY_ROWS.keys().filter_map(|known| rank(known)).max_by(|a, b| {
        let of_age = a.0.cmp(&b.0).then(a.1.cmp(&b.1));
        of_age.then(a.2.total_cmp(&b.2)).then(a.3.cmp(&b.3)).then(a.4.cmp(b.4))
    });
    best.map(|(.., known)| known)
}

/// A family's name in its parts: `m`, 8, `gd`, and after a hyphen what tells variants of one generation apart: `flex`,
/// `b200`, `12tb`.
struct Letters<'a> {
    series: &'a str,
    generation: u32,
    rest: &'a str,
    variant: &'a str,
}

impl<'a> Letters<'a> {
    fn of(family: &'a str) -> Option<Self> {
        let (series, behind) = family.split_at(family.find(|c: char| c.is_ascii_digit())?);
        let digits = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
        let (generation, behind) = behind.split_at(digits);
        let (rest, variant) = behind.split_once('-').unwrap_or((behind, ""));
        Some(Self { series, generation: generation.parse().ok()?, rest, variant })
    }

    /// The number in the variant's name; none counts as zero.
    fn number(&self) -> u32 {
        let digits: String = self.variant.chars().filter(char::is_ascii_digit).collect();
        digits.parse().unwrap_or_default()
    }

    /// AMD, Graviton or Intel; the generations before the sixth leave Intel's letter out.
    fn maker(&self) -> char {
        self.rest.chars().next().filter(|letter| matches!(letter, 'a' | 'g')).unwrap_or('i')
    }
}

/// A type of which nothing is known but how large it is.
fn by_size(text: &str, size: Size, bare_metal: bool) -> Instance {
    let vcpus = match size {
        Size::Xlarges(xlarges) => count(xlarges * VCPUS_PER_XLARGE),
        Size::WholeServer => HOST_VCPUS,
    };
    let host_vcpus = if bare_metal { vcpus } else { HOST_VCPUS.max(vcpus) };
    Instance {
        name: Text::from(text.to_owned()),
        vcpus,
        cores: vcpus.div_ceil(2),
        whole_cores: false,
        memory_gib: f64::from(vcpus) * GIB_PER_VCPU,
        arch: "unknown",
        cpu_family: "unknown",
        cpu_name: "unknown",
        host_sockets: if bare_metal { sockets_of(vcpus, HOST_VCPUS, HOST_SOCKETS) } else { HOST_SOCKETS },
        host_vcpus,
        accelerators: Vec::new(),
        neuron_cores: 0,
        storage: Storage::default(),
        network_gbps: 0.0,
        bare_metal,
        stands_in: None,
    }
}

/// The nearest whole number above zero.
fn count(exact: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "held inside the type's range")]
    let whole = exact.round().clamp(1.0, f64::from(u32::MAX)) as u32;
    whole
}
