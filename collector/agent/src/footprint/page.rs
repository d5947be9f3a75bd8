//! The answer as a page for a terminal.

use std::fmt::Write;

use super::{Answer, Call, Cost, Figure, Impact, Machine, Part, Place};
use crate::units::{liters, mass, ranged, watt_hours, watts};

impl Answer {
    /// The answer on one screen.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        self.write(&mut out).ok();
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        if let Some(machine) = &self.machine {
            machine.write(out, self.hours)?;
        }
        for call in &self.calls {
            call.write(out)?;
        }
        writeln!(out, "{:<20}{:>14}  90 % range", "TOTAL", "")?;
        match &self.total.impact {
            Some(impact) => impact.write(out, &self.place.as_ref().map_or_else(String::new, Place::line))?,
            None => writeln!(out, "{:<20}{:>14}  because a part is", "energy, carbon", "unknown")?,
        }
        match self.total.cost_usd {
            Some(usd) => writeln!(out, "{:<20}{:>14}", "cost", format!("{} USD", money(usd)))?,
            None => writeln!(out, "{:<20}{:>14}  because a part is", "cost", "unknown")?,
        }
        for note in &self.notes {
            writeln!(out, "\nnote: {note}")?;
        }
        Ok(())
    }
}

impl Impact {
    fn write(&self, out: &mut String, grid: &str) -> std::fmt::Result {
        let Self { energy_j, operational_g, embodied_g, carbon_g } = self;
        line(out, "energy", *energy_j, watt_hours, "of the machines, without the facility's")?;
        line(out, "carbon, electricity", *operational_g, mass, grid)?;
        line(out, "carbon, embodied", *embodied_g, mass, "the part of the machines' lives that it takes")?;
        line(out, "carbon", *carbon_g, mass, "")
    }
}

impl Place {
    fn line(&self) -> String {
        let Self { intensity_g_per_kwh, zone, intensity_source, intensity_tier, is_estimated, pue, pue_source, .. } =
            self;
        let grams = intensity_g_per_kwh.central;
        let supposed = if *is_estimated { ", supposed" } else { "" };
        format!(
            "{grams:.0} gCO2e/kWh of {zone} ({intensity_source}, tier {intensity_tier}{supposed}), PUE {pue:.2} ({pue_source})"
        )
    }
}

impl Machine {
    fn write(&self, out: &mut String, hours: f64) -> std::fmt::Result {
        let Self { name, description, basis, family, count, utilization, idle_w, full_w, .. } = self;
        let many = if *count == 1 { String::new() } else { format!("{count} x ") };
        writeln!(out, "{many}{name} for {hours} h: {description}")?;
        writeln!(out, "known as: {basis}; processor by {family}")?;
        writeln!(out)?;
        let assumed = if self.utilization_is_assumed { ", assumed" } else { "" };
        writeln!(out, "{:<32}{:>9}  90 % range", format!("POWER at {:.0} % load{assumed}", utilization * 100.0), "")?;
        for Part { name, tier, is_estimate, power_w, .. } in &self.parts {
            let estimate = if *is_estimate { ", an estimate of ours: nobody publishes it" } else { "" };
            power_line(out, &format!("  {name}"), *power_w, &format!("tier {tier}{estimate}"))?;
        }
        power_line(out, "one machine", self.power_w, "")?;
        writeln!(out, "{:<32}{:>9} to {}", "  from rest to full load", watts(*idle_w), watts(*full_w))?;
        writeln!(out)?;
        writeln!(out, "{:<20}{:>14}  90 % range", "MACHINE", "")?;
        line(out, "embodied, whole", self.embodied_whole_g, mass, "of making one, or the guest's share of it")?;
        for (what, figure) in [("water, site", self.water_site_l), ("water, grid", self.water_grid_l)] {
            if let Some(figure) = figure {
                line(out, what, figure, liters, "")?;
            }
        }
        if let Some(Cost { usd, kind, from, is_hint: _ }) = &self.cost {
            writeln!(out, "{:<20}{:>14}  {from}", format!("cost, {kind}"), format!("{} USD", money(*usd)))?;
        }
        writeln!(out)
    }
}

impl Call {
    fn write(&self, out: &mut String) -> std::fmt::Result {
        let Self { provider, model, input_tokens, output_tokens, calls, energy_j, carbon_g, cost_usd, .. } = self;
        let title = format!("{calls} x {provider} {model}, {input_tokens} tokens in and {output_tokens} out");
        writeln!(out, "{title}")?;
        writeln!(out)?;
        writeln!(out, "{:<20}{:>14}  90 % range", "CALLS", "")?;
        let grid = self.place.line();
        let model = format!("of the machines, by {}: output tokens alone", self.energy_model);
        let rows = [("energy", energy_j, watt_hours as fn(f64) -> String, &model), ("carbon", carbon_g, mass, &grid)];
        for (what, figure, show, from) in rows {
            match figure {
                Some(figure) => line(out, what, *figure, show, from)?,
                None => writeln!(out, "{what:<20}{:>14}", "unknown")?,
            }
        }
        let price = cost_usd.map_or_else(|| "unknown".to_owned(), |usd| format!("{} USD", money(usd)));
        writeln!(out, "{:<20}{price:>14}", "cost")?;
        writeln!(out)
    }
}

fn line(out: &mut String, what: &str, figure: Figure, show: fn(f64) -> String, from: &str) -> std::fmt::Result {
    let Figure { central, low, high } = figure;
    let (shown, range) = ranged(central, low, high, show);
    writeln!(out, "{}", format!("{what:<20}{shown:>14}  {range:<28}{from}").trim_end())
}

fn power_line(out: &mut String, name: &str, figure: Figure, from: &str) -> std::fmt::Result {
    let Figure { central, low, high } = figure;
    let (shown, range) = ranged(central, low, high, watts);
    writeln!(out, "{}", format!("{name:<32}{shown:>9}  {range:<21}{from}").trim_end())
}

/// Dollars to the cent, and smaller sums to four digits.
fn money(usd: f64) -> String {
    let decimals = if usd == 0.0 || usd >= 1.0 {
        2
    } else {
        (4..12).find(|decimals| usd * 10f64.powi(*decimals) >= 1000.0).unwrap_or(12)
    };
    format!("{usd:.*}", usize::try_from(decimals).unwrap_or(2))
}
