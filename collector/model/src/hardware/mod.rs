//! What machines consist of: the hardware of cloud instances, accelerators and their power, the carbon of making them,
//! and what an instance costs.
//!
//! A name that the tables do not know is answered from the nearest one that they know, never with nothing and never
//! with zero, and the answer says so. Figures of making come as low, central and high.

mod accelerator;
mod embodied;
mod fallback;
mod holding;
mod instance;
mod price;

#[cfg(test)]
mod parametric;
#[cfg(test)]
mod tests;

pub use accelerator::{Accelerator, WattsBasis, accelerator, accelerators};
pub use embodied::{DEFAULT_LIFETIME, Embodied, Made, Parts, embodied};
pub use holding::{DECLARED, Held, OwnHolding, holding};
pub use instance::{Basis, Fitted, Instance, Match, Storage, instance, instance_names, nearest_instances};
pub use price::{InstancePrice, PriceFile, PriceFileError, price};

/// The version of the tables.
pub fn version() -> &'static str {
    instance::TABLE.head("version").unwrap_or("unknown")
}

/// Who must be named where figures of these tables are shown: the tables of instances and of prices.
pub fn attributions() -> impl Iterator<Item = &'static str> {
    [instance::TABLE, price::TABLE].into_iter().filter_map(|table| table.head("attribution"))
}
