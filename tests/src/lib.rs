//! Support code of the integration tests.

pub mod host;
pub mod load;
pub mod parsers;
pub mod rendering;
