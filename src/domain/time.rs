//! Time as the core sees it: a monotonic reading for durations, a wall reading for rules.
//!
//! Both are plain numbers, so that an engine can be cloned, written to disk and replayed.

use std::ops::{Add, AddAssign, Sub};
pub use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Monotonic time: microseconds since the process (or the simulated world) began.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Mono(u64);

impl Mono {
    /// The beginning of the process or of a simulated world.
    pub const ZERO: Self = Self(0);

    /// A reading of `micros` microseconds.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the beginning.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Time since `earlier`; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Mono {
    type Output = Self;
    fn add(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl AddAssign<Duration> for Mono {
    fn add_assign(&mut self, wait: Duration) {
        *self = *self + wait;
    }
}

impl Sub for Mono {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

/// Wall-clock time: milliseconds since 1970-01-01T00:00:00Z. Rules and windows are judged by it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Utc(i64);

impl Utc {
    /// A reading of `ms` milliseconds since the Unix epoch.
    pub const fn from_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_ms(self) -> i64 {
        self.0
    }

    /// The same instant as a `chrono` value; the epoch where it is out of chrono's range.
    pub fn to_chrono(self) -> chrono::DateTime<chrono::Utc> {
        chrono::DateTime::from_timestamp_millis(self.0).unwrap_or_default()
    }
}

impl Add<Duration> for Utc {
    type Output = Self;
    fn add(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// Both readings of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Now {
    /// For durations and timers.
    pub mono: Mono,
    /// For calling hours, abandon windows and anything a person reads.
    pub utc: Utc,
}

impl Now {
    /// The moment `wait` later on both clocks.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self { mono: self.mono + wait, utc: self.utc + wait }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_between_readings_out_of_order_is_zero() {
        let (a, b) = (Mono::from_micros(5), Mono::from_micros(9));
        assert_eq!(b - a, Duration::from_micros(4));
        assert_eq!(a - b, Duration::ZERO);
    }
}
