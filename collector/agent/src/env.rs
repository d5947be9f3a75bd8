//! The only place that reads the environment.

/// A variable of the environment. Empty counts as not set, as the OpenTelemetry specification has it.
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub fn get(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
