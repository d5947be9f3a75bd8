//! The power of a device at rest, learned.

use std::collections::{BTreeMap, VecDeque};

use wattline_core::{Device, DeviceKind, Method, MicroJoules, Ratio, Seconds, Watts};

use super::books::EnergyState;
use super::meter::{DeviceEnergy, Modelled};
use super::witness::Use;
use crate::power::ComponentPower;

/// A machine is at rest in a window in which its CPUs worked no more than this share of their time.
const REST: f64 = 0.05;
/// Windows at rest that are remembered: an hour of the default length.
const REMEMBERED: usize = 360;
/// Windows at rest before the floor counts as learned.
const ENOUGH: usize = 3;
/// The floor is this quantile of the power at rest: low, because rest is never perfect, and not the minimum,
/// because a counter that is read a little early or late makes single windows look cheap.
const QUANTILE: f64 = 0.1;

/// What a device draws at rest, and how that is known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Idle {
    pub(crate) device: Device,
    /// Of an accelerator, whether it is held or not.
    pub(crate) state: Option<EnergyState>,
    /// The energy at rest in the window.
    pub(crate) energy: MicroJoules,
    pub(crate) power: Watts,
    pub(crate) method: Method,
}

/// The floors of a machine's devices.
#[derive(Debug, Default)]
pub(crate) struct Floors {
    floors: BTreeMap<Device, Floor>,
}

/// What was seen of one device, or of one device in one state.
#[derive(Debug, Default)]
pub(crate) struct Floor {
    at_rest: VecDeque<f64>,
    lowest: Option<f64>,
}

impl Floors {
    /// Takes a window into account and says what each processor and memory would have drawn in it at rest. The
    /// enclosure follows the others and has no floor of its own.
    pub(crate) fn learn(
        &mut self,
        devices: &[DeviceEnergy],
        use_: &Use,
        prior: &ComponentPower,
        elapsed: Seconds,
    ) -> Vec<Idle> {
        let learnable = |kind| matches!(kind, DeviceKind::Cpu | DeviceKind::Memory);
        let metered = |kind| devices.iter().filter(|energy| energy.device.kind == kind).count().max(1) as f64;
        devices
            .iter()
            .filter(|energy| learnable(energy.device.kind))
            .map(|energy| match energy.modelled {
                Some(Modelled { idle, .. }) => Idle {
                    device: energy.device.clone(),
                    state: None,
                    energy: idle,
                    power: idle.quantity() / elapsed,
                    method: energy.method,
                },
                None => {
                    let prior = match energy.device.kind {
                        // How much of its power memory draws at rest is better known than how much it draws.
                        DeviceKind::Memory => {
                            let share = Ratio::of(prior.memory_idle.get(), prior.memory.get());
                            energy.drawn.inside.quantity() / elapsed * share.get()
                        }
                        _ => prior.cpu_idle * (1.0 / metered(energy.device.kind)),
                    };
                    self.learn_one(energy, prior, use_.witnessed && use_.busy.get() <= REST, elapsed)
                }
            })
            .collect()
    }

    fn learn_one(&mut self, energy: &DeviceEnergy, prior: Watts, at_rest: bool, elapsed: Seconds) -> Idle {
        let floor = self.floors.entry(energy.device.clone()).or_default();
        // A window that the meter only half watched looks cheap, and would stay the lowest for ever.
        if let Some(drawn) = energy.drawn.power().filter(|_| energy.drawn.covers(elapsed)) {
            floor.observe(drawn, at_rest);
        }
        let (power, method) = floor.power(prior);
        Idle {
            device: energy.device.clone(),
            state: None,
            energy: MicroJoules::round(power * energy.drawn.covered).min(energy.drawn.inside),
            power,
            method,
        }
    }
}

impl Floor {
    /// Takes the mean power of a window into account.
    pub(crate) fn observe(&mut self, drawn: Watts, at_rest: bool) {
        let drawn = drawn.get();
        if drawn > 0.0 && drawn.is_finite() {
            self.lowest = Some(self.lowest.map_or(drawn, |lowest| lowest.min(drawn)));
            if at_rest {
                if self.at_rest.len() == REMEMBERED {
                    self.at_rest.pop_front();
                }
                self.at_rest.push_back(drawn);
            }
        }
    }

    /// The power at rest and how it is known; `prior` until rest was seen.
    pub(crate) fn power(&self, prior: Watts) -> (Watts, Method) {
        match self.learned() {
            Some(watts) => (Watts::new(watts), Method::Measured),
            // No machine rests above the least it was ever seen to draw.
            None => (Watts::new(self.lowest.unwrap_or(f64::INFINITY)).min(prior), Method::Modelled),
        }
    }

    fn learned(&self) -> Option<f64> {
        if self.at_rest.len() < ENOUGH {
            return None;
        }
        let mut sorted: Vec<f64> = self.at_rest.iter().copied().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of at most 360")]
        let rank = ((sorted.len() - 1) as f64 * QUANTILE).floor() as usize;
        sorted.get(rank).copied()
    }
}

#[cfg(test)]
mod tests {
    use wattline_core::Uncertainty;

    use crate::host::meter::Drawn;

    use super::*;

    fn window(watts: f64) -> DeviceEnergy {
        DeviceEnergy {
            device: Device::new(DeviceKind::Cpu, "package-0"),
            drawn: Drawn {
                inside: MicroJoules::round(Watts::new(watts) * Seconds::new(10.0)),
                covered: Seconds::new(10.0),
                ..Drawn::default()
            },
            method: Method::Measured,
            model: "rapl".into(),
            uncertainty: Uncertainty::NONE,
            modelled: None,
            enclosure: Ratio::ZERO,
        }
    }

    fn learn(floors: &mut Floors, watts: f64, busy: f64) -> Idle {
        let use_ = Use { busy: Ratio::new(busy), witnessed: true, ..Use::default() };
        let prior = ComponentPower { cpu_idle: Watts::new(40.0), ..ComponentPower::default() };
        floors.learn(&[window(watts)], &use_, &prior, Seconds::new(10.0)).remove(0)
    }

    #[test]
    fn until_rest_was_seen_the_prior_stands_and_says_so() {
        let mut floors = Floors::default();
        let idle = learn(&mut floors, 120.0, 0.9);
        assert_eq!((idle.power, idle.method), (Watts::new(40.0), Method::Modelled));
        assert_eq!(idle.energy, MicroJoules::new(400_000_000));
    }

    #[test]
    fn the_prior_is_never_above_what_was_drawn() {
        let idle = learn(&mut Floors::default(), 25.0, 0.9);
        assert_eq!(idle.power, Watts::new(25.0));
    }

    #[test]
    fn the_floor_is_a_low_quantile_of_rest_and_ignores_work() {
        let mut floors = Floors::default();
        for watts in [52.0, 51.0, 50.0, 53.0, 51.0, 50.5, 52.0, 54.0, 51.5, 55.0, 50.2] {
            learn(&mut floors, watts, 0.01);
        }
        let idle = learn(&mut floors, 200.0, 0.8);
        assert_eq!((idle.power, idle.method), (Watts::new(50.2), Method::Measured));
    }
}
