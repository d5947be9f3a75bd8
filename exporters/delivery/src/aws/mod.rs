//! Amazon Web Services: where its endpoints are, who may call them, and how a request is signed.
//!
//! Credentials come from where the AWS SDKs find them, through the SDK's own crates: environment, shared profile (with
//! SSO, assumed roles and `credential_process`), web identity, ECS, EKS pod identity and the instance's metadata
//! service. Those crates read the environment, files and the network themselves. Everything else here is pure.

mod access;
mod answer;
mod place;
mod sign;
mod skew;

pub use access::{Access, AccessError, Grant, Settings};
pub use answer::judge;
pub use place::{Region, RegionError, Service};
pub use sign::{SignError, Unsigned};
pub use skew::clock_skew;
