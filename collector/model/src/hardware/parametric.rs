//! The published parametric models of making parts: the oracle of the tables, written from their documentation.
//!
//! Source: `BoaviztAPI` documentation, doc.api.boavizta.org (processors, memory and disks: UBA, Green Cloud Computing,
//! 2021; GPUs: ADEME, 2026). All results are kilograms of CO2e.

use std::f64::consts::PI;

/// A processor: its package and its die in square millimetres.
pub(super) fn package_kg(die_mm2: f64) -> f64 {
    9.14 + 0.0197 * die_mm2
}

/// Memory modules of a size and a density in gigabytes for each square centimetre.
pub(super) fn memory_kg(modules: f64, gb: f64, gb_per_cm2: f64) -> f64 {
    modules * (5.22 + 2.2 * gb / gb_per_cm2)
}

/// One flash drive.
pub(super) fn ssd_kg(gb: f64, gb_per_cm2: f64) -> f64 {
    6.34 + 2.2 * gb / gb_per_cm2
}

/// What a board with a GPU is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Board {
    pub(super) die_mm2: f64,
    pub(super) dies: f64,
    pub(super) memory_gb: f64,
    pub(super) memory_dies: f64,
    pub(super) circuit_cm2: f64,
    pub(super) casing_kg: f64,
    pub(super) heatsink_kg: f64,
    pub(super) mass_kg: f64,
}

impl Board {
    /// The documentation's default: a large GPU of 814 mm2 with 80 GB in six stacks.
    pub(super) const DEFAULT: Self = Self {
        die_mm2: 814.0,
        dies: 1.0,
        memory_gb: 80.0,
        memory_dies: 6.0,
        circuit_cm2: 296.0,
        casing_kg: 0.79,
        heatsink_kg: 0.90,
        mass_kg: 1.69,
    };

    /// Manufacture, 19,000 km by ship and 1,000 km by truck, and the end of life.
    pub(super) fn kg(&self) -> f64 {
        const MEMORY_MM2_PER_GB: f64 = 15.5;
        let memory_die_mm2 = self.memory_gb * MEMORY_MM2_PER_GB / self.memory_dies;
        let transport_kg = 0.25955 + 19_000.0 * 1.33e-5 + 1_000.0 * 5.04e-5;
        8.2542 * self.casing_kg
            + 5.7412 * self.heatsink_kg
            + 0.032_549 * self.circuit_cm2
            + 0.042_592 * self.dies * wafer_mm2(self.die_mm2)
            + 0.183_79 * self.memory_dies * wafer_mm2(memory_die_mm2)
            + (transport_kg + 1.5062) * self.mass_kg
    }
}

/// The area of a wafer of 300 mm that one working die uses up: with the saw's 0.2 mm, the rim, and the yield.
fn wafer_mm2(die_mm2: f64) -> f64 {
    let wafer = PI * 150.0 * 150.0;
    let cut = (die_mm2.sqrt() + 0.2).powi(2);
    let dies_on_wafer = wafer / cut - PI * 300.0 / (2.0 * cut).sqrt();
    let working = (-(cut / 1000.0).sqrt()).exp();
    wafer / dies_on_wafer / working
}

#[test]
fn the_published_examples_of_parts_come_out() {
    let near = |computed: f64, published: f64, digit: f64| {
        assert!((computed - published).abs() <= digit / 2.0 + 1e-9, "{computed} is not {published}");
    };
    // BoaviztAPI tests/api/test_component.py: a processor of 12 cores of 24.5 mm2, 12 modules of 32 GB, a drive of
    // 400 GB, the default GPU, and two boards of 24 GB in 12 dies that weigh 2.2 kg.
    near(package_kg(12.0 * 24.5), 14.93, 0.01);
    near(memory_kg(12.0, 32.0, 1.79), 534.6, 0.1);
    near(ssd_kg(400.0, 50.6), 23.73, 0.01);
    near(Board::DEFAULT.kg(), 575.1, 0.1);
    let small = Board { memory_gb: 24.0, memory_dies: 12.0, mass_kg: 2.2, ..Board::DEFAULT };
    near(2.0 * small.kg(), 477.2, 0.1);
    // The documentation gives 23.78 kg for a die of 694 mm2 in one place; its own formula gives this.
    near(package_kg(694.0), 22.81, 0.01);
}
