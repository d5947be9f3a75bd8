//! The integration tests: fixture hosts, golden figures, and the laws of the house.

#[cfg(test)]
mod arrows;
#[cfg(test)]
mod host_readings;
#[cfg(test)]
mod sample_config;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod whole_agent;
