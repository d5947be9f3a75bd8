//! Amazon Web Services: where its endpoints are, who may call them, how a request is signed and what an answer says.
//!
//! Credentials come from where the AWS SDKs find them, through the SDK's own crates: environment, shared profile (with
//! SSO, assumed roles and `credential_process`), web identity, ECS, EKS pod identity and the instance's metadata
//! service. Those crates read the environment, files and the network themselves. [`Client`] asks what it is told to;
//! everything else here is pure.

mod access;
mod client;
mod place;
mod sign;
mod skew;

pub use access::{Access, AccessError, Grant, Settings};
pub use client::{AskError, Client};
pub use place::{Region, RegionError, Service};
pub use sign::{SignError, Unsigned};
pub use skew::clock_skew;
