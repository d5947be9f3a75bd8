//! The variants of the model that were weighed against each other, reckoned anew from the tables, and what the choice
//! among them costs on a machine that had no part in it.

use super::{Machine, mean, ours};
use crate::power::curve;
use crate::power::family::{Family, UNKNOWN};
use crate::power::identify;
use crate::power::tdp::Design;

/// One way to decide what the sources leave open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Variant {
    pub(super) shape: Shape,
    /// Whether the design power of typical parts is a witness in the family's estimate.
    typical_parts: bool,
    /// Watts of each gigabyte in a benchmarked server at rest.
    memory_at_rest: f64,
    /// The deviation of the family's estimate: over all five parts of EC2, or without the one of 10 W for each thread.
    family_sigma: f64,
    /// The spread of what is said of a part that only clouds have.
    cloud_spread: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape {
    /// What being awake costs, and cores that two threads share.
    Cores,
    /// Fan, Weber and Barroso, Power Provisioning for a Warehouse-sized Computer, ISCA 2007: 2u - u^1.4.
    Fan,
    /// The published curves of servers.
    Published,
}

/// All of them; the first is the model.
pub(super) fn all() -> Vec<Variant> {
    let mut variants = Vec::new();
    for shape in [Shape::Cores, Shape::Fan, Shape::Published] {
        for typical_parts in [true, false] {
            for memory_at_rest in [0.06, 0.15] {
                for (family_sigma, cloud_spread) in [(0.60, 0.08), (0.60, 0.17), (0.45, 0.08), (0.45, 0.17)] {
                    variants.push(Variant { shape, typical_parts, memory_at_rest, family_sigma, cloud_spread });
                }
            }
        }
    }
    variants
}

impl Variant {
    /// Package watts of a machine that has its sockets for itself, with two threads on each core.
    fn watts(self, machine: &Machine) -> impl Fn(f64) -> f64 + use<> {
        let family = Family::of(identify::by_name(machine.cpu));
        let published = family.full_watts / 1.2 - family.memory_gb * 0.39;
        let rest = (family.idle_watts / 1.2 - family.memory_gb * self.memory_at_rest) / published;
        let each = if self.typical_parts { (published * 0.93 * family.design_watts).sqrt() } else { published };
        let family_weight = if family.key == UNKNOWN { 0.65 } else { self.family_sigma }.powi(-2);
        let design = Design::of(Some(machine.cpu), None).unwrap();
        let cloud = if design.sigma > 0.2 { self.cloud_spread } else { 0.0 };
        let design_weight = 1.0 / (0.2 * 0.2 + cloud * cloud);
        let by_design = (0.93 * design.watts.get() * f64::from(machine.sockets)).ln() * design_weight;
        let full =
            ((by_design + (each * machine.threads).ln() * family_weight) / (design_weight + family_weight)).exp();
        let points = curve::points(family.curve);
        move |load| full * (rest + (1.0 - rest) * self.shape.at(points, load))
    }
}

impl Shape {
    fn at(self, points: &[f64], load: f64) -> f64 {
        let span = points[10] - points[0];
        match self {
            Self::Cores => {
                let awake = (points[1] - points[0] - (points[5] - points[1]) / 4.0) / span;
                let cores = 0.8 * (2.0 * load - 2.0 * load * load) + load * load;
                awake * (10.0 * load).min(1.0) + (1.0 - awake) * cores
            }
            Self::Fan => 2.0 * load - load.powf(1.4),
            Self::Published => {
                let step = |place: usize| (load * 10.0 - place as f64).clamp(0.0, 1.0);
                (0..10).map(|place| (points[place + 1] - points[place]) * step(place)).sum::<f64>() / span
            }
        }
    }
}

/// The mean error of every variant for every machine.
pub(super) fn errors(machines: &[&Machine]) -> Vec<Vec<f64>> {
    let of = |machine: &Machine, variant: Variant| machine.error(variant.watts(machine), |point| point.watts).0;
    machines.iter().map(|machine| all().into_iter().map(|variant| of(machine, variant)).collect()).collect()
}

/// The mean error of each machine with the variant that is best for all others.
pub(super) fn leave_one_out(errors: &[Vec<f64>]) -> f64 {
    mean(errors.iter().enumerate().map(|(left_out, own)| {
        let others = || errors.iter().enumerate().filter(|(other, _)| *other != left_out);
        let of_others = |variant: usize| others().map(|(_, machine)| machine[variant]).sum::<f64>();
        let best = (0..own.len()).min_by(|one, two| of_others(*one).total_cmp(&of_others(*two))).unwrap();
        own[best]
    }))
}

#[test]
fn rapl_the_model_is_what_its_equations_say() {
    for machine in super::machines().iter().filter(|machine| machine.is_compared()) {
        let (model, anew) = (ours(&machine.parts()), all()[0].watts(machine));
        for load in [0.0, 0.03, 0.1, 0.37, 0.5, 0.9, 1.0] {
            assert!(
                (model(load) / anew(load) - 1.0).abs() < 1e-3,
                "{} {load}: {} {}",
                machine.name,
                model(load),
                anew(load)
            );
        }
    }
}
