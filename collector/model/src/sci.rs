//! Software Carbon Intensity: all carbon of a piece of software for each functional unit of its work.
//!
//! SCI = (O + M) / R by ISO/IEC 21031:2024, where O is the carbon of electricity at the grid's average where it was
//! drawn (no certificates, no contracts), M the share of what making the hardware emitted, and R the work done. SCI for
//! AI (Green Software Foundation) names R for a language model: the tokens processed, input and output.

use wattline_core::{Count, GramsCo2e, Ratio, Text, Tokens, Uncertainty, Workload};

use crate::host::{HeldRow, HostBooks, WorkloadRow};

/// What a piece of software emitted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct View {
    /// Carbon of electricity, by location.
    pub operational: GramsCo2e,
    /// How wrong it may be.
    pub operational_uncertainty: Uncertainty,
    /// Its part of what making the hardware emitted.
    pub embodied: GramsCo2e,
    /// How wrong it may be.
    pub embodied_uncertainty: Uncertainty,
}

/// The work that the carbon was for, done in the time of the view and by what is in it.
#[derive(Clone, Debug, PartialEq)]
pub enum FunctionalUnit {
    /// Tokens processed, input and output.
    Tokens(Tokens),
    /// Requests answered.
    Requests(Count),
    /// Any other unit.
    Other {
        /// One of it, in the singular: `page`.
        name: Text,
        /// How many.
        count: Count,
    },
}

impl FunctionalUnit {
    /// The value of `sci.unit`.
    pub fn name(&self) -> Text {
        match self {
            Self::Tokens(_) => Text::Static("token"),
            Self::Requests(_) => Text::Static("request"),
            Self::Other { name, .. } => name.clone(),
        }
    }

    fn count(&self) -> f64 {
        match self {
            Self::Tokens(tokens) => tokens.get(),
            Self::Requests(count) | Self::Other { count, .. } => count.get(),
        }
    }
}

/// The score, in grams for one unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sci {
    /// The score.
    pub per_unit: GramsCo2e,
    /// The lower end of its 90 % range.
    pub low: GramsCo2e,
    /// The upper end.
    pub high: GramsCo2e,
    /// The share of operational carbon in it; zero where there is no carbon.
    pub operational_share: Ratio,
}

/// The score of `view` for each `unit`. `None` where no work was done, where the count of it is no number, and where
/// the carbon is no number or negative: of those there is no intensity.
pub fn sci(view: &View, unit: &FunctionalUnit) -> Option<Sci> {
    let View { operational, operational_uncertainty, embodied, embodied_uncertainty } = *view;
    let is_amount = |grams: GramsCo2e| grams.is_finite() && grams >= GramsCo2e::ZERO;
    let count = unit.count();
    if !(count.is_finite() && count > 0.0 && is_amount(operational) && is_amount(embodied)) {
        return None;
    }
    let parts = [(operational.get(), operational_uncertainty), (embodied.get(), embodied_uncertainty)];
    let factor = Uncertainty::of_sum(parts).factor();
    // Divided one by one: the sum of two amounts may be beyond what a number holds.
    let grams = operational.get() / count + embodied.get() / count;
    let scored = Sci {
        per_unit: GramsCo2e::new(grams),
        low: GramsCo2e::new(grams / factor),
        high: GramsCo2e::new(grams * factor),
        operational_share: Ratio::of(operational.get() / count, grams),
    };
    (scored.low.is_finite() && scored.high.is_finite()).then_some(scored)
}

/// Which part of the hardware was there for a workload. The standard counts all that is reserved or provisioned, and
/// not only what was used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Provision {
    /// Nothing is known to be reserved: what nobody used is everybody's in proportion to what each used. Over all
    /// workloads the views add up to the machine, less what ended series hold.
    InProportion,
    /// This share of the machine, from 0 to 1, is reserved for the workload, which answers for that share of what the
    /// machine emitted, less what ended series hold, and for what it used where that is more.
    Reserved(Ratio),
}

impl View {
    /// What a workload emitted on this machine since the books opened, with what was `provided` for it. `None` where
    /// it has no series of its own. Series that ended are in the machine's carbon and in nobody's view.
    pub fn of_workload(books: &HostBooks, workload: &Workload, provided: Provision) -> Option<Self> {
        let drawn = |row: &WorkloadRow| row.operational.get();
        let held = |row: &HeldRow| row.embodied.get();
        let is_its = books.workloads().any(|row| *row.workload == *workload)
            || books.held().any(|row| *row.workload == *workload);
        if !is_its || *workload == Workload::Nobody {
            return None;
        }
        let mut operational = Part::default();
        for row in books.workloads() {
            operational.add(&row.workload, workload, drawn(row));
        }
        let mut embodied = Part::default();
        for row in books.held() {
            embodied.add(&row.workload, workload, held(row));
        }
        Some(Self {
            operational: operational.of(provided),
            operational_uncertainty: books.operational_uncertainty(),
            embodied: embodied.of(provided),
            embodied_uncertainty: books.embodied_uncertainty(),
        })
    }
}

/// Nanograms by whose they are.
#[derive(Default)]
struct Part {
    own: u64,
    others: u64,
    nobodys: u64,
}

impl Part {
    fn add(&mut self, holder: &Workload, own: &Workload, nanograms: u64) {
        let sum = match holder {
            Workload::Nobody => &mut self.nobodys,
            holder if holder == own => &mut self.own,
            _ => &mut self.others,
        };
        *sum = sum.saturating_add(nanograms);
    }

    fn of(&self, provided: Provision) -> GramsCo2e {
        let (own, others, nobodys) = (self.own as f64, self.others as f64, self.nobodys as f64);
        let nanograms = match provided {
            Provision::InProportion => own + nobodys * Ratio::of(own, own + others).get(),
            Provision::Reserved(share) => own.max((own + others + nobodys) * share.get().clamp(0.0, 1.0)),
        };
        GramsCo2e::new(nanograms / 1e9)
    }
}

#[cfg(test)]
mod tests;
