//! The wall clock as rules may use it: it never goes back, and a jump stops dialling.

use serde::{Deserialize, Serialize};

use crate::domain::time::{Now, Utc};

/// A jump of more than this against the monotonic clock makes dialling wait, milliseconds. Slewing
/// by NTP stays below 0.5 ms a second; half a second between inputs leaves a wide margin.
const STEP_MAX_MS: i64 = 5_000;

/// What the engine knows of the wall clock.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct RuleClock {
    last: Option<Now>,
    latest: Utc,
    waits_for_rules: bool,
}

impl RuleClock {
    /// Takes in a reading; the size of a jump in milliseconds, if this is one.
    pub(super) fn observe(&mut self, now: Now) -> Option<i64> {
        let step = self.last.map_or(0, |last| {
            let passed = i64::try_from(now.mono.since(last.mono).as_millis()).unwrap_or(i64::MAX);
            now.utc.as_ms() - last.utc.as_ms() - passed
        });
        self.last = Some(now);
        self.latest = self.latest.max(now.utc);
        if step.abs() <= STEP_MAX_MS {
            return None;
        }
        self.waits_for_rules = true;
        Some(step)
    }

    /// An earlier process has seen this time already.
    pub(super) fn seen(&mut self, until: Utc) {
        self.latest = self.latest.max(until);
    }

    /// The rules were checked against the new time.
    pub(super) fn rules_checked(&mut self) {
        self.waits_for_rules = false;
    }

    /// Whether dialling waits for the rules.
    pub(super) const fn waits_for_rules(&self) -> bool {
        self.waits_for_rules
    }

    /// The latest wall time ever seen: windows are cut by it, so that none opens twice.
    pub(super) const fn latest(&self) -> Utc {
        self.latest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::{Duration, Mono};

    fn at(mono_ms: u64, utc_ms: i64) -> Now {
        Now { mono: Mono::from_micros(mono_ms * 1_000), utc: Utc::from_ms(utc_ms) }
    }

    #[test]
    fn a_step_over_five_seconds_waits_for_the_rules_and_time_for_rules_never_goes_back() {
        let mut clock = RuleClock::default();
        assert_eq!(clock.observe(at(0, 1_000_000)), None);
        assert_eq!(clock.observe(at(500, 1_005_400)), None, "4.9 s is slew");
        assert!(!clock.waits_for_rules());
        assert_eq!(clock.observe(at(1_000, 900_000)), Some(-105_900));
        assert!(clock.waits_for_rules());
        assert_eq!(clock.latest(), Utc::from_ms(1_005_400));
        clock.rules_checked();
        let later = at(1_000, 900_000).after(Duration::from_millis(500));
        assert_eq!(clock.observe(later), None);
        assert!(!clock.waits_for_rules());
    }
}
