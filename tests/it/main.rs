//! The integration tests: fixture hosts, golden figures, and the laws of the house.
#![expect(clippy::disallowed_methods, reason = "the files here are the tree's own, not those of a host")]

#[cfg(test)]
mod account;
#[cfg(test)]
mod arrows;
#[cfg(test)]
mod dialects;
#[cfg(test)]
mod engines;
#[cfg(test)]
mod host_readings;
#[cfg(test)]
mod parsers;
#[cfg(test)]
mod rates;
#[cfg(test)]
mod sample_config;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod whole_agent;
