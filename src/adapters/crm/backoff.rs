//! How long to wait after a failure: the schedule of Standard Webhooks 1.0 with jitter, and what a
//! receiver asks for by Retry-After.

use std::time::Duration;

use crate::domain::time::Utc;

/// The longest wait that a receiver may ask for.
pub const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);

/// Waits after the first, second … failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// The waits; the last one is repeated where there is no end to the tries.
    pub steps: &'static [Duration],
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Standard Webhooks 1.0, "Deliverability and reliability": at once, then these.
pub const STANDARD: Schedule = Schedule {
    steps: &[
        s(5),
        s(5 * 60),
        s(30 * 60),
        s(2 * 3_600),
        s(5 * 3_600),
        s(10 * 3_600),
        s(14 * 3_600),
        s(20 * 3_600),
        s(24 * 3_600),
    ],
};

/// A pull that somebody waits for: half a minute in all.
pub const PULL: Schedule = Schedule { steps: &[s(1), s(2), s(4), s(8), s(15)] };

impl Schedule {
    /// The wait after `tries` failures, the last step again when they are used up. `dice` shortens
    /// it by up to a fifth, so that many who failed together do not return together.
    pub fn wait(&self, tries: u32, dice: u32) -> Duration {
        let last = self.steps.len().saturating_sub(1);
        let step = usize::try_from(tries.saturating_sub(1)).unwrap_or(usize::MAX).min(last);
        let step = self.steps.get(step).copied().unwrap_or_default();
        step.saturating_sub((step / 5).mul_f64(f64::from(dice) / f64::from(u32::MAX)))
    }

    /// Whether an event that failed `tries` times on its own account is given up.
    pub fn is_over(&self, tries: u32) -> bool {
        usize::try_from(tries).unwrap_or(usize::MAX) > self.steps.len()
    }
}

/// Reads Retry-After: seconds, or a date (RFC 9110 §10.2.3). What is longer than a day is a day.
pub fn retry_after(value: &str, now: Utc) -> Option<Duration> {
    let value = value.trim();
    let wait = if let Ok(seconds) = value.parse::<u64>() {
        Duration::from_secs(seconds)
    } else {
        let at = chrono::DateTime::parse_from_rfc2822(value).ok()?;
        let ms = at.timestamp_millis().saturating_sub(now.as_ms());
        Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_tenth_failure_of_an_event_is_its_last() {
        assert_eq!(STANDARD.wait(1, 0), s(5));
        assert_eq!(STANDARD.wait(9, 0), s(24 * 3_600));
        assert_eq!(STANDARD.wait(50, 0), s(24 * 3_600));
        assert!(!STANDARD.is_over(9));
        assert!(STANDARD.is_over(10));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = Utc::from_ms(784_111_777_000);
        assert_eq!(retry_after("120", now), Some(s(120)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:50:37 GMT", now), Some(s(60)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:00:00 GMT", now), Some(s(0)));
        assert_eq!(retry_after("99999999999", now), Some(RETRY_AFTER_MAX));
        assert_eq!(retry_after("soon", now), None);
    }

    proptest! {
        #[test]
        fn jitter_takes_a_fifth_at_most_and_adds_nothing(tries in 0u32..30, dice: u32) {
            let (full, wait) = (STANDARD.wait(tries, 0), STANDARD.wait(tries, dice));
            prop_assert!(wait <= full && wait >= full.mul_f64(0.799));
        }
    }
}
