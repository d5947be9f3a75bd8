//! The embedded store of the agent.
//!
//! [`store`] opens a database so that it survives whatever happens to the process or the disk: it is what the spools
//! of the destinations stand on, too.

pub mod store;

pub use store::{Durability, Place, Schema, StoreError};
