//! What all destinations share: how long data waits, what an answer means, when to try again and what a loss is
//! called.
//!
//! The rules (when to try again, what an answer means, what is cut, kept and let go of) talk to no network and read no
//! clock: time and chance come in as arguments. The [`courier`] puts them together, and the search for credentials in
//! [`aws`] asks whom it must.

pub mod appender;
pub mod aws;
pub mod backoff;
pub mod courier;
pub mod ends;
pub mod pack;
pub mod reason;
pub mod series;
pub mod split;
pub mod spool;
pub mod telling;
pub mod temporality;
pub mod verdict;
pub mod view;

pub use backoff::{Backoff, Chance};
pub use courier::{Context, Destination, Encode, Encoding, Retry, Route, Sending, Transport};
pub use ends::Ends;
pub use pack::Compression;
pub use reason::DropReason;
pub use spool::{Keeping, Limits, Lost, Order, Pending, Pushed, SnapshotNumber, Spool, Taken, Tally};
pub use wattline_core::secret::{self, Redaction, Secret};
pub use wattline_core::words;
pub use wattline_ledger::{Durability, Place};

pub use telling::{Telling, Temporality};
pub use temporality::Deltas;
pub use verdict::{Verdict, of_grpc, of_http, retry_after};
pub use view::{View, ViewConfig, ViewError};
