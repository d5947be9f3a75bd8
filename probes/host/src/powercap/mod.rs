//! Running average power limit counters, through the kernel's powercap tree (`/sys/class/powercap`, documented in
//! Documentation/power/powercap/powercap.rst). Intel's and AMD's processors speak through the same driver.
//!
//! A package includes its cores and uncore, and on servers not its memory: packages and their dram zones are rows on
//! the books, everything else overlaps. Sockets are known by the zone's name, because the numbers of the directories
//! follow the order in which the driver found them.

mod mirror;
mod zone;

use std::collections::BTreeMap;

use wattline_core::counter::Range;
use wattline_core::reading::{EnergyReading, EnergySource, Reading, Readings, Scope, SourceState};
use wattline_core::{HostRoot, Instant};

use crate::health::{Fault, absent, counted};
use crate::kept::{self, Budget, KeptFile};
use mirror::{Mirror, Sight};
use zone::{Place, Role};

const TREE: &str = "sys/class/powercap";

/// The tree is listed again after this time, because drivers are loaded and processors come online late.
const RESCAN_SECONDS: f64 = 60.0;

/// No machine known has more. A larger tree is cut, and the cut is said.
const ZONE_LIMIT: usize = 512;

/// What to do when `energy_uj` may not be read. It has been readable by root only since the PLATYPUS attack
/// (CVE-2020-8694), which reads secrets out of fine energy readings.
const REMEDY: &str = "energy_uj is readable by root only since CVE-2020-8694: make it readable by the agent's group \
    with a udev rule or a tmpfiles.d line, or run the agent as root or with CAP_DAC_READ_SEARCH";

/// The zones of the machine and what is known of them.
#[derive(Debug, Default)]
pub(crate) struct Powercap {
    zones: Vec<Zone>,
    mirrors: BTreeMap<(String, String), Mirror>,
    scanned_at: Option<Instant>,
    scan_fault: Option<Fault>,
    gives_cpu: bool,
}

#[derive(Debug)]
struct Zone {
    directory: String,
    role: Role,
    id: String,
    scope: Scope,
    range: Option<Range>,
    file: KeptFile,
    raw: Option<u64>,
    fault: Option<Fault>,
}

impl Powercap {
    /// Appends what every zone shows and returns how it went.
    pub(crate) fn read(&mut self, root: &HostRoot, budget: &Budget, at: Instant, out: &mut Readings) -> SourceState {
        if self.scanned_at.is_none_or(|then| at.since(then).get() >= RESCAN_SECONDS) {
            self.scan(root);
            self.scanned_at = Some(at);
        }
        let mut buffer = Vec::new();
        let mut gone = false;
        for zone in &mut self.zones {
            gone |= zone.read(root, budget, &mut buffer);
        }
        if gone {
            self.scanned_at = None;
        }
        self.look_for_mirrors(root, budget, &mut buffer);
        for zone in &self.zones {
            let (Some(raw), false) = (zone.raw, self.may_be_mirror(zone)) else { continue };
            self.gives_cpu |= zone.role.is_cpu();
            out.items.push(Reading::Energy(EnergyReading {
                scope: zone.scope.clone(),
                source: EnergySource::Rapl,
                counter_uj: raw,
                range: zone.range,
            }));
        }
        self.judge(root)
    }

    /// True once a package has been read: then nothing else may be a row for the processors.
    pub(crate) const fn gives_cpu(&self) -> bool {
        self.gives_cpu
    }

    /// Closes what is kept open and lists the tree anew at the next reading. What was learnt of mirrors stays: it is
    /// a property of the machine.
    pub(crate) fn reset(&mut self) {
        self.zones.clear();
        self.scanned_at = None;
    }

    fn scan(&mut self, root: &HostRoot) {
        let (found, fault) = find_zones(root);
        self.scan_fault = fault;
        let mut old = std::mem::take(&mut self.zones);
        for (place, role) in found {
            let directory = format!("{TREE}/{}", place.directory());
            let kept = old.iter().position(|zone| zone.directory == directory && zone.role == role);
            self.zones.push(match kept {
                Some(index) => old.swap_remove(index),
                None => Zone::new(root, directory, role),
            });
        }
        self.gives_cpu &= self.zones.iter().any(|zone| zone.role.is_cpu());
        let present = |name: &String| self.zones.iter().any(|zone| zone.id == *name);
        self.mirrors.retain(|(earlier, later), _| present(earlier) && present(later));
        for (index, later) in self.zones.iter().enumerate() {
            for earlier in self.zones.iter().take(index).filter(|earlier| earlier.role.may_be_mirrored_by(&later.role))
            {
                self.mirrors.entry((earlier.id.clone(), later.id.clone())).or_default();
            }
        }
    }

    /// Compares every die with the earlier dies of its package, until each pair is known to be two counters.
    fn look_for_mirrors(&mut self, root: &HostRoot, budget: &Budget, buffer: &mut Vec<u8>) {
        let Self { zones, mirrors, .. } = self;
        for ((earlier, later), mirror) in mirrors {
            if mirror.is_distinct() {
                continue;
            }
            let Some(shown) = zones.iter().find(|zone| zone.id == *later).and_then(|zone| zone.raw) else { continue };
            let Some(zone) = zones.iter_mut().find(|zone| zone.id == *earlier) else { continue };
            // The earlier die is read once more, so that the reading of the later one lies between two of its own.
            let before = zone.raw;
            zone.read(root, budget, buffer);
            let after = std::mem::replace(&mut zone.raw, before);
            if let (Some(before), Some(after)) = (before, after) {
                mirror.see(Sight { before, shown, after });
            }
        }
    }

    /// True as long as the zone may show the counter of an earlier die of its package. An earlier die that cannot be
    /// read proves nothing, so that its mirror does not take its place for the time.
    fn may_be_mirror(&self, zone: &Zone) -> bool {
        self.mirrors.iter().any(|((_, later), mirror)| *later == zone.id && !mirror.is_distinct())
    }

    fn judge(&self, root: &HostRoot) -> SourceState {
        let found = self.found();
        let fault = self.zones.iter().filter_map(|zone| zone.fault.as_ref()).max_by_key(|fault| fault.denied);
        match fault.or(self.scan_fault.as_ref()) {
            Some(fault) => fault.state(&found, REMEDY),
            None if self.zones.is_empty() => absent(root, TREE),
            None => SourceState::Up { found },
        }
    }

    /// The zones that are read, counted by kind, and the dies that are left out.
    fn found(&self) -> String {
        let mut counts: BTreeMap<(&'static str, &'static str), usize> = BTreeMap::new();
        let mut left_out = Vec::new();
        for zone in self.zones.iter().filter(|zone| zone.raw.is_some()) {
            let repeated = self.mirrors.iter().find(|((_, later), mirror)| *later == zone.id && mirror.is_proven());
            match repeated {
                Some(((earlier, later), _)) => left_out.push(format!("{later} left out, it repeats {earlier}")),
                None if self.may_be_mirror(zone) => {
                    left_out.push(format!("{} held back until it differs", zone.id));
                }
                None => *counts.entry(zone.role.words()).or_default() += 1,
            }
        }
        let counted = counts.into_iter().map(|((one, many), count)| counted(count, one, many));
        counted.chain(left_out).collect::<Vec<_>>().join(", ")
    }
}

impl Zone {
    fn new(root: &HostRoot, directory: String, role: Role) -> Self {
        let max = root.read(format!("{directory}/max_energy_range_uj")).ok();
        let max = max.and_then(|text| kept::number(text.as_bytes())).filter(|&max| max > 0);
        let range = max.map(|max| Range { max, fastest_per_second: role.fastest_uj_per_second() });
        let (id, scope) = (role.id(), role.scope());
        Self { directory, role, id, scope, range, file: KeptFile::default(), raw: None, fault: None }
    }

    /// Reads the counter. True when the zone is gone.
    fn read(&mut self, root: &HostRoot, budget: &Budget, buffer: &mut Vec<u8>) -> bool {
        let path = || format!("{}/energy_uj", self.directory);
        self.raw = None;
        match self.file.read(root, budget, path, buffer) {
            Ok(()) => {
                self.raw = kept::number(buffer);
                self.fault = self.raw.is_none().then(|| Fault::text(root, &path(), "a number of microjoules"));
                false
            }
            Err(error) => {
                self.fault = Some(Fault::reading(root, &path(), &error));
                kept::is_gone(&error)
            }
        }
    }
}

/// The zones of the tree in order of their numbers, without those that show again what another shows: the tree may
/// hold the same zone twice, from the processor's registers and from memory-mapped ones.
fn find_zones(root: &HostRoot) -> (Vec<(Place, Role)>, Option<Fault>) {
    let names = match root.list(TREE) {
        Ok(names) => names,
        Err(error) if kept::is_gone(&error) => return (Vec::new(), None),
        Err(error) => return (Vec::new(), Some(Fault::reading(root, TREE, &error))),
    };
    let mut places: Vec<Place> = names.iter().filter_map(|name| Place::parse(name)).collect();
    places.sort_unstable();
    let mut fault = None;
    if places.len() > ZONE_LIMIT {
        fault = Some(Fault::text(root, TREE, &format!("a tree of at most {ZONE_LIMIT} zones")));
        places.truncate(ZONE_LIMIT);
    }
    let mut labels = BTreeMap::new();
    for place in &places {
        let path = format!("{TREE}/{}/name", place.directory());
        match root.read(&path) {
            Ok(label) => {
                labels.insert(place.clone(), label.trim().to_owned());
            }
            Err(error) if kept::is_gone(&error) => {}
            Err(error) => fault = Some(Fault::reading(root, &path, &error)),
        }
    }
    let mut zones: Vec<(Place, Role)> = Vec::new();
    for (place, label) in &labels {
        let parent = place.parent().and_then(|parent| labels.get(&parent));
        let role = Role::new(label, parent.map(String::as_str));
        if zones.iter().all(|(_, known)| known.id() != role.id()) {
            zones.push((place.clone(), role));
        }
    }
    // Dies in order of their numbers, so that the same one of several mirrors stays whatever the directories say.
    zones.sort_by_key(|(place, role)| (role.die(), place.clone()));
    (zones, fault)
}

#[cfg(test)]
mod tests;
