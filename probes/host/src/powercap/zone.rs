//! What the directories and names of the powercap tree mean.

use wattline_core::reading::Scope;
use wattline_core::{Device, DeviceKind, Text};

/// A zone's directory. The order is that of the numbers, registers before memory-mapped registers, parents first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    mapped: bool,
    top: u32,
    sub: Option<u32>,
}

impl Place {
    /// `intel-rapl:0`, `intel-rapl:0:1` and the same under `intel-rapl-mmio`; `None` for anything else, such as the
    /// control types themselves.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let mut parts = name.split(':');
        let mapped = match parts.next()? {
            "intel-rapl" => false,
            "intel-rapl-mmio" => true,
            _ => return None,
        };
        let top = parts.next()?.parse().ok()?;
        let sub = parts.next().map(str::parse).transpose().ok()?;
        parts.next().is_none().then_some(Self { mapped, top, sub })
    }

    /// The directory's name.
    pub(super) fn directory(&self) -> String {
        let Self { mapped, top, sub } = self;
        let kind = if *mapped { "intel-rapl-mmio" } else { "intel-rapl" };
        match sub {
            Some(sub) => format!("{kind}:{top}:{sub}"),
            None => format!("{kind}:{top}"),
        }
    }

    /// The zone around this one.
    pub(super) fn parent(&self) -> Option<Self> {
        self.sub.map(|_| Self { sub: None, ..*self })
    }
}

/// What a zone measures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A package, or one die of it.
    Package(Socket),
    /// The memory of a package, or of one die of it.
    Dram(Socket),
    /// The whole platform, `psys`: what it includes differs between machines, packages as a rule.
    Platform(String),
    /// A part of a package, or something that no document describes.
    Part(String),
}

/// A package as zones name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Socket {
    package: u32,
    die: Option<u32>,
}

impl Socket {
    /// From `package-0` or `package-0-die-1`.
    fn parse(label: &str) -> Option<Self> {
        let rest = label.strip_prefix("package-")?;
        match rest.split_once("-die-") {
            Some((package, die)) => Some(Self { package: package.parse().ok()?, die: Some(die.parse().ok()?) }),
            None => Some(Self { package: rest.parse().ok()?, die: None }),
        }
    }

    fn id(self, word: &str) -> String {
        match self.die {
            Some(die) => format!("{word}-{}-die-{die}", self.package),
            None => format!("{word}-{}", self.package),
        }
    }
}

impl Role {
    /// From the zone's name and that of the zone around it.
    pub(super) fn new(label: &str, parent: Option<&str>) -> Self {
        let socket = parent.and_then(Socket::parse);
        match (label, socket) {
            ("dram", Some(socket)) => Self::Dram(socket),
            (_, Some(socket)) => Self::Part(socket.id(label)),
            (_, None) if label.starts_with("psys") => Self::Platform(label.to_owned()),
            (_, None) => match (Socket::parse(label), parent) {
                (Some(socket), None) => Self::Package(socket),
                (_, parent) => {
                    Self::Part(parent.map_or_else(|| label.to_owned(), |parent| format!("{parent}/{label}")))
                }
            },
        }
    }

    /// Tells the zone from all others of the machine.
    pub(super) fn id(&self) -> String {
        match self {
            Self::Package(socket) => socket.id("package"),
            Self::Dram(socket) => socket.id("dram"),
            Self::Platform(label) | Self::Part(label) => label.clone(),
        }
    }

    /// The die's number, zero where there is but one.
    pub(super) fn die(&self) -> u32 {
        match self {
            Self::Package(socket) | Self::Dram(socket) => socket.die.unwrap_or(0),
            Self::Platform(_) | Self::Part(_) => 0,
        }
    }

    /// The zone's place on the books.
    pub(super) fn scope(&self) -> Scope {
        match self {
            Self::Package(_) => Scope::Device(Device::new(DeviceKind::Cpu, self.id())),
            Self::Dram(_) => Scope::Device(Device::new(DeviceKind::Memory, self.id())),
            Self::Platform(label) | Self::Part(label) => Scope::Overlapping(Text::from(label.clone())),
        }
    }

    /// True for a row of the processors.
    pub(super) const fn is_cpu(&self) -> bool {
        matches!(self, Self::Package(_))
    }

    /// The words in what was found, for one and for several.
    pub(super) const fn words(&self) -> (&'static str, &'static str) {
        match self {
            Self::Package(_) => ("package", "packages"),
            Self::Dram(_) => ("dram", "dram"),
            Self::Platform(_) => ("psys", "psys"),
            Self::Part(_) => ("part", "parts"),
        }
    }

    /// True when `later` is another die of the same package, of the same kind: the zones that some processors back
    /// with one counter.
    pub(super) fn may_be_mirrored_by(&self, later: &Self) -> bool {
        match (self, later) {
            (Self::Package(one), Self::Package(other)) | (Self::Dram(one), Self::Dram(other)) => {
                one.package == other.package && one.die != other.die
            }
            _ => false,
        }
    }

    /// The fastest the zone's counter can grow, in microjoules per second. It decides which decrease is believed to
    /// be a wrap, so it stands well above what is sold: processors of 2025 are rated at up to 500 W and peak at
    /// twice that, their memory at a quarter of it, and a platform holds a few of each.
    pub(super) const fn fastest_uj_per_second(&self) -> f64 {
        match self {
            Self::Package(_) | Self::Part(_) => 2e9,
            Self::Dram(_) => 1e9,
            Self::Platform(_) => 20e9,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_ordered_by_number_and_read_back() {
        let mut places: Vec<Place> = ["intel-rapl-mmio:0", "intel-rapl:10", "intel-rapl:2:1", "intel-rapl:2"]
            .iter()
            .map(|name| Place::parse(name).unwrap())
            .collect();
        places.sort();
        let names: Vec<String> = places.iter().map(Place::directory).collect();
        assert_eq!(names, ["intel-rapl:2", "intel-rapl:2:1", "intel-rapl:10", "intel-rapl-mmio:0"]);
        for other in ["intel-rapl", "intel-rapl:", "intel-rapl:0:1:2", "dtpm:0", "intel-rapl:x", "intel-rapl:0:"] {
            assert_eq!(Place::parse(other), None, "{other}");
        }
    }

    #[test]
    fn names_say_what_a_zone_measures() {
        let id = |label, parent| (Role::new(label, parent).id(), Role::new(label, parent).words().0);
        assert_eq!(id("package-1", None), ("package-1".into(), "package"));
        assert_eq!(id("package-0-die-1", None), ("package-0-die-1".into(), "package"));
        assert_eq!(id("dram", Some("package-1")), ("dram-1".into(), "dram"));
        assert_eq!(id("dram", Some("package-0-die-1")), ("dram-0-die-1".into(), "dram"));
        assert_eq!(id("core", Some("package-1")), ("core-1".into(), "part"));
        assert_eq!(id("psys", None), ("psys".into(), "psys"));
        assert_eq!(id("psys-1", None), ("psys-1".into(), "psys"));
        // Nothing undocumented may become a row.
        assert_eq!(id("dram", Some("psys")), ("psys/dram".into(), "part"));
        assert_eq!(id("package-x", None), ("package-x".into(), "part"));
        assert_eq!(id("package-0", Some("psys")), ("psys/package-0".into(), "part"));
        assert_eq!(id("", None), (String::new(), "part"));
    }
}
