//! Amazon Web Services as a destination: the shared code of `wattline-aws`, and what its answers mean for a request.

mod answer;

pub use answer::judge;
pub use wattline_aws::{
    Access, AccessError, Grant, Region, RegionError, Service, Settings, SignError, Unsigned, clock_skew,
};
