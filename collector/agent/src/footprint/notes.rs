//! What was not known, and what stands in for it.

use wattline_model::footprint::{Footprint, MachineFootprint};
use wattline_model::grid::Tier;
use wattline_model::hardware::Basis;

use crate::place::Found;

/// What was not known, with what stands in for it.
pub(super) fn notes(found: &Found, footprint: &Footprint) -> Vec<String> {
    let is_coarse = matches!(footprint.intensity.tier, Tier::World | Tier::Country);
    let needs_place = is_coarse && (footprint.machine.is_some() || found.zone.is_some());
    let mut notes: Vec<String> = found.note.iter().filter(|_| needs_place).cloned().collect();
    if let Some(machine) = &footprint.machine {
        notes.extend(of_machine(machine, found));
    }
    let asked = found.region.is_some() || found.zone.is_some();
    if asked && footprint.calls.iter().any(|call| call.place.intensity.estimated) {
        let supposed =
            "the place asked for is no region of the calls' provider: where that is supposed to be is reckoned with";
        notes.push(supposed.to_owned());
    }
    for call in &footprint.calls {
        let missing: Vec<&str> = call.unknown.iter().map(|unknown| unknown.as_str()).collect();
        if !missing.is_empty() {
            let near = nearest(&call.nearest);
            notes.push(format!(
                "of {} no table has: {}; nothing is guessed{near}",
                call.asked.model,
                missing.join(", ")
            ));
        }
    }
    notes
}

fn of_machine(machine: &MachineFootprint, found: &Found) -> Vec<String> {
    let MachineFootprint { name, basis, family, is_processor, cost, service, .. } = machine;
    let other = machine.stands_in.unwrap_or("a relative");
    let near = nearest(&machine.nearest);
    let mut notes = Vec::new();
    match basis {
        Basis::Exact => match (service, cost) {
            (Some(service), _) => notes.push(format!("{name} is rented out by {service} at prices that no table has")),
            (None, None) => notes.push(format!("no table has a price of {name}")),
            (None, Some(_)) => {}
        },
        _ if *is_processor => notes.push(format!("no table has the processor {name}{near}; {family} stands in for it")),
        Basis::Size => notes.push(stand_in(name, &near, &format!("{other}, scaled to its size,"))),
        Basis::Family => notes.push(stand_in(name, &near, other)),
        Basis::Default => notes.push(stand_in(name, &near, "the usual count of virtual CPUs")),
    }
    if let Some(provider) = found.provider.filter(|provider| *provider != "aws" && !is_processor) {
        notes.push(format!("the type is of AWS and the region of {provider}"));
    }
    notes
}

fn stand_in(name: &str, near: &str, stand_in: &str) -> String {
    format!("no table has the type {name}{near}; {stand_in} stands in, without a price")
}

fn nearest(names: &[&str]) -> String {
    if names.is_empty() { String::new() } else { format!(" (nearest: {})", names.join(", ")) }
}
