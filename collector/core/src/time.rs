//! Time as data. Nothing below the agent asks what time it is.

use crate::quantity::Seconds;

/// A point on the machine's monotonic clock, in nanoseconds since boot. Never goes back, stands still in suspend.
///
/// It is the kernel's `CLOCK_MONOTONIC`, so that it means the same in two processes of one boot: raw counters
/// kept over a restart of the agent are compared by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Instant(u64);

impl Instant {
    /// A point given in nanoseconds since boot.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since boot.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// The time since `earlier`; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Seconds {
        Seconds::new(self.0.saturating_sub(earlier.0) as f64 / 1e9)
    }
}

/// A point in civil time, in nanoseconds since the Unix epoch. For display and export only: it may step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// A point given in nanoseconds since the Unix epoch.
    pub const fn from_unix_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn unix_nanos(self) -> u64 {
        self.0
    }

    /// Whole seconds since the Unix epoch.
    pub const fn unix_seconds(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// The time since `earlier`; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Seconds {
        Seconds::new(self.0.saturating_sub(earlier.0) as f64 / 1e9)
    }

    /// This point moved forward by `span`, not beyond what can be told.
    #[must_use]
    pub fn ahead(self, span: Seconds) -> Self {
        let nanos = (span.get() * 1e9).clamp(0.0, 1.8e19);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range of u64")]
        let nanos = nanos as u64;
        Self(self.0.saturating_add(nanos))
    }

    /// This point moved back by `span`, not before the epoch.
    #[must_use]
    pub fn back(self, span: Seconds) -> Self {
        let nanos = (span.get() * 1e9).clamp(0.0, 1.8e19);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range of u64")]
        let nanos = nanos as u64;
        Self(self.0.saturating_sub(nanos))
    }
}

/// One moment on both clocks: differences use `at`, display uses `wall`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick {
    /// The monotonic clock.
    pub at: Instant,
    /// The civil clock at the same moment.
    pub wall: Timestamp,
}
