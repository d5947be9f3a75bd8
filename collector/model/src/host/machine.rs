//! The devices of a whole machine: those with a meter, a model of those without, and what the enclosure draws.

use std::collections::BTreeMap;

use wattline_core::{Device, DeviceKind, Joules, Method, MicroJoules, Ratio, Seconds, Uncertainty, Watts};

use super::meter::{DeviceEnergy, Drawn, Input, Metered, Modelled};
use super::witness::Use;
use crate::power::{ENCLOSURE_SHARE, ENCLOSURE_SIGMA, HostPower};

/// However little a remainder is, it is not known worse than this.
const WORST: f64 = 2.0;

/// A machine's energy in a window.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Machine {
    /// All devices, the enclosure last.
    pub(crate) devices: Vec<DeviceEnergy>,
    /// How well the whole is known, where a meter at the input closes it.
    pub(crate) closed_by_input: Option<Uncertainty>,
}

/// Models what is not metered.
#[derive(Debug, Default)]
pub(crate) struct Modeller {
    /// What a modelled device still owes below one microjoule, so that rounding does not add up.
    carry: BTreeMap<DeviceKind, f64>,
}

impl Modeller {
    /// The energy of every device since the window opened, modelled where no meter covers the device's kind.
    pub(crate) fn complete(&mut self, metered: Metered, power: &HostPower, use_: &Use, elapsed: Seconds) -> Machine {
        let Metered { mut devices, input } = metered;
        let load = power.at(use_.busy, use_.memory_used);
        let has = |kind| devices.iter().any(|energy| energy.device.kind == kind);
        let (cpu_metered, memory_metered) = (has(DeviceKind::Cpu), has(DeviceKind::Memory));
        let watched = devices.iter().all(|device| device.drawn.covers(elapsed));
        if !cpu_metered {
            devices.push(self.modelled(DeviceKind::Cpu, "cpu", [load.cpu, load.cpu_idle, Watts::ZERO], power, elapsed));
        }
        if !memory_metered {
            let watts = [load.memory, load.memory_idle, load.memory_moving];
            devices.push(self.modelled(DeviceKind::Memory, "memory", watts, power, elapsed));
        }
        // A meter at the input closes a window only if it and all meters inside watched it: what one of them missed
        // would be taken for the enclosure's, and booked again when that meter is read again.
        match input.filter(|input| watched && input.drawn.covers(elapsed)) {
            Some(input) => close(devices, input),
            None => {
                let enclosure = self.modelled_enclosure(&devices, power, elapsed);
                devices.push(enclosure);
                Machine { devices, closed_by_input: None }
            }
        }
    }

    fn modelled(
        &mut self,
        kind: DeviceKind,
        id: &'static str,
        [drawn, idle, moving]: [Watts; 3],
        power: &HostPower,
        elapsed: Seconds,
    ) -> DeviceEnergy {
        let inside = self.whole(kind, drawn * elapsed);
        DeviceEnergy {
            device: Device::new(kind, id),
            drawn: Drawn { inside, covered: elapsed, ..Drawn::default() },
            method: power.method(),
            model: power.name().clone(),
            uncertainty: if kind == DeviceKind::Memory { power.memory_uncertainty() } else { power.uncertainty() },
            modelled: Some(Modelled {
                idle: MicroJoules::round(idle * elapsed).min(inside),
                moving: MicroJoules::round(moving * elapsed).min(inside),
            }),
            enclosure: Ratio::new(ENCLOSURE_SHARE),
        }
    }

    fn modelled_enclosure(&mut self, devices: &[DeviceEnergy], power: &HostPower, elapsed: Seconds) -> DeviceEnergy {
        let inside = self.whole(DeviceKind::Enclosure, around(devices, |drawn| drawn.inside));
        let under =
            Uncertainty::of_sum(devices.iter().map(|device| (device.drawn.inside.get() as f64, device.uncertainty)));
        DeviceEnergy {
            device: enclosure(),
            drawn: Drawn { inside, covered: elapsed, before: share_before(devices), since: since(devices) },
            method: power.method(),
            model: "enclosure-share/1".into(),
            uncertainty: under.times(Uncertainty::from_sigma(ENCLOSURE_SIGMA)),
            modelled: None,
            enclosure: Ratio::ZERO,
        }
    }

    /// Whole microjoules of a modelled energy; the fraction is owed to the next window.
    fn whole(&mut self, kind: DeviceKind, energy: Joules) -> MicroJoules {
        let carry = self.carry.entry(kind).or_default();
        let exact = energy.get() * 1e6 + *carry;
        let whole = MicroJoules::round(Joules::new(exact.floor() / 1e6));
        *carry = if exact.is_finite() { (exact - whole.get() as f64).clamp(0.0, 1.0) } else { 0.0 };
        whole
    }
}

fn enclosure() -> Device {
    Device::new(DeviceKind::Enclosure, "enclosure")
}

/// What the enclosure draws for the devices, by the share of each.
fn around(devices: &[DeviceEnergy], part: fn(&Drawn) -> MicroJoules) -> Joules {
    devices.iter().map(|device| part(&device.drawn).quantity() * device.enclosure.get()).sum()
}

fn since(devices: &[DeviceEnergy]) -> Option<wattline_core::Timestamp> {
    devices.iter().filter_map(|device| device.drawn.since).min()
}

/// The enclosure's share of what was drawn before the window.
fn share_before(devices: &[DeviceEnergy]) -> MicroJoules {
    MicroJoules::round(around(devices, |drawn| drawn.before))
}

/// Closes the machine by a meter at its input: the enclosure is what that shows beyond the devices. Metered devices
/// stand. What a model says of the others gives way where the parts would be more than the whole: then the modelled
/// devices and the enclosure share what the metered ones left, in proportion to what the model wants for each.
fn close(mut devices: Vec<DeviceEnergy>, input: Input) -> Machine {
    let Input { drawn, model, uncertainty } = input;
    let is_modelled = |device: &DeviceEnergy| device.modelled.is_some();
    let metered: MicroJoules =
        devices.iter().filter(|device| !is_modelled(device)).map(|device| device.drawn.inside).sum();
    let modelled: Vec<u64> =
        devices.iter().filter(|device| is_modelled(device)).map(|device| device.drawn.inside.get()).collect();
    let left = drawn.inside.less(metered);
    let wanted = MicroJoules::round(around(&devices, |drawn| drawn.inside));
    let modelled_sum: MicroJoules = modelled.iter().copied().map(MicroJoules::new).sum();
    let inside = if modelled_sum + wanted <= left || modelled.is_empty() {
        left.less(modelled_sum)
    } else {
        let weights: Vec<u64> = modelled.iter().copied().chain([wanted.get()]).collect();
        let mut parts = left.split(&weights).unwrap_or_else(|| vec![MicroJoules::ZERO; weights.len()]);
        let enclosure = parts.pop().unwrap_or_default();
        let shrunk = devices.iter_mut().filter(|device| is_modelled(device));
        for (device, part) in shrunk.zip(parts) {
            shrink(device, part);
        }
        enclosure
    };
    let before = match drawn.before {
        // A power meter keeps no counter over a restart: then the share answers.
        MicroJoules::ZERO => share_before(&devices),
        before => before.less(devices.iter().map(|device| device.drawn.before).sum()),
    };
    let method = devices.iter().fold(Method::Measured, |method, device| method.with(device.method));
    let remainder = remainder_uncertainty(&devices, drawn.inside, uncertainty, inside);
    let since = since(&devices).into_iter().chain(drawn.since).min();
    devices.push(DeviceEnergy {
        device: enclosure(),
        drawn: Drawn { inside, covered: drawn.covered, before, since },
        method,
        model,
        uncertainty: remainder,
        modelled: None,
        enclosure: Ratio::ZERO,
    });
    Machine { devices, closed_by_input: Some(uncertainty) }
}

/// Gives a modelled device less than its model says, at rest as well.
fn shrink(device: &mut DeviceEnergy, energy: MicroJoules) {
    let factor = energy.get() as f64 / (device.drawn.inside.get() as f64).max(1.0);
    device.drawn.inside = energy;
    let less = |part: MicroJoules| MicroJoules::round(part.quantity() * factor).min(energy);
    device.modelled =
        device.modelled.map(|Modelled { idle, moving }| Modelled { idle: less(idle), moving: less(moving) });
}

/// A small difference of large figures is known worse than either.
fn remainder_uncertainty(
    devices: &[DeviceEnergy],
    input: MicroJoules,
    uncertainty: Uncertainty,
    remainder: MicroJoules,
) -> Uncertainty {
    let parts: f64 = devices.iter().map(|device| device.uncertainty.sigma() * device.drawn.inside.get() as f64).sum();
    let error = parts.hypot(uncertainty.sigma() * input.get() as f64);
    Uncertainty::from_sigma((error / (remainder.get() as f64).max(1.0)).min(WORST))
}
