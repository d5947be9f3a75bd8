//! The embedded store of the agent.
//!
//! [`books`] keeps what every series came to over time. [`store`] opens a database so that it survives whatever happens to the process or the disk: it is what the spools
//! of the destinations stand on, too.

pub mod books;
pub mod store;

pub use books::{Commit, Ledger, Observation, Series, Span, Total};
pub use store::{Durability, Place, Schema, StoreError};
