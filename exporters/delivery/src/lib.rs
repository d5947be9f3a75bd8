//! What all destinations share: how long data waits, what an answer means, when to try again and what a loss is
//! called.
//!
//! Nothing here talks to a network, reads a clock or draws a random number, but the search for credentials in
//! [`aws`]: time and chance come in as arguments, so that every rule is tested without a server. Only [`appender`]
//! writes.

pub mod appender;
pub mod aws;
pub mod backlog;
pub mod backoff;
pub mod ends;
pub mod reason;
pub mod secret;
pub mod series;
pub mod split;
pub mod temporality;
pub mod verdict;
pub mod view;
pub mod words;

pub use backlog::{Backlog, Limits, Lost, Pending, SnapshotNumber, Tally};
pub use backoff::{Backoff, Chance};
pub use ends::Ends;
pub use reason::DropReason;
pub use secret::{Redaction, Secret};
pub use temporality::Deltas;
pub use verdict::{Verdict, of_grpc, of_http, retry_after};
pub use view::{View, ViewConfig, ViewError};
