//! What all destinations share: how long data waits, what an answer means, when to try again and what a loss is
//! called.
//!
//! Nothing here talks to a network, reads a clock or draws a random number: time and chance come in as arguments,
//! so that every rule is tested without a server.

pub mod backoff;
pub mod pack;
pub mod reason;
pub mod secret;
pub mod split;
pub mod spool;
pub mod verdict;

pub use backoff::{Backoff, Chance};
pub use pack::Compression;
pub use reason::DropReason;
pub use secret::{Redaction, Secret};
pub use spool::{Keeping, Limits, Lost, Order, Pending, Pushed, SnapshotNumber, Spool, Taken, Tally};
pub use verdict::{Verdict, of_grpc, of_http, retry_after};
