//! What an agent is there for.

use serde::{Deserialize, Serialize};

/// What this agent is there for. Each kind of agent books what no other one does, so that nothing is booked twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It measures the machine, books the calls that programs send, and relays. One for each machine.
    #[default]
    Node,
    /// It stands beside one program, books the calls that this sends, and relays. The machine is somebody else's.
    Sidecar,
    /// It stands before the destinations, books calls that no agent has booked before, and relays.
    Gateway,
}

impl Role {
    /// Whether it opens probes of the machine and holds its lease.
    pub const fn measures(self) -> bool {
        matches!(self, Self::Node)
    }

    /// The word in the configuration and in `wattline.role`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Sidecar => "sidecar",
            Self::Gateway => "gateway",
        }
    }

    /// What it does, for `doctor`.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Node => "node: measures this machine, books calls, relays",
            Self::Sidecar => "sidecar: books the calls that it is sent, relays; measures no machine",
            Self::Gateway => "gateway: relays, books calls that no agent has booked; measures no machine",
        }
    }
}
