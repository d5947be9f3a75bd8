//! The probe against a library that stands in for NVIDIA's, through the real loader and the real calls.

#[cfg(test)]
mod failures;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod machine;
#[cfg(test)]
mod processes;
#[cfg(test)]
mod readings;
#[cfg(test)]
mod slices;
