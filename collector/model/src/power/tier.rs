//! How a figure of power was obtained, from the best to the last resort.

/// The tier of a figure: the lower, the further it is from a meter. Its own uncertainty stands beside every figure;
/// a tier says only what it rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// A meter at the machine's input: BMC, power supply, wall.
    T0a,
    /// The energy counters of the processor packages.
    T0b,
    /// The energy counter of a graphics processor.
    T0c,
    /// The power utilisation that a Neuron device reports.
    T0d,
    /// A model with published figures of the processor's family.
    T1a,
    /// A model of a processor of which only the design power is known.
    T1b,
    /// A model of a known accelerator from its utilisation.
    T1c,
    /// A default for each virtual CPU.
    T2,
}

impl Tier {
    /// The name, as it stands in an attribute.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::T0a => "t0a",
            Self::T0b => "t0b",
            Self::T0c => "t0c",
            Self::T0d => "t0d",
            Self::T1a => "t1a",
            Self::T1b => "t1b",
            Self::T1c => "t1c",
            Self::T2 => "t2",
        }
    }
}
