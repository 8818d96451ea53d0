//! Calls per second of a trunk. The only file that names governor.
//!
//! A `RateLimiter` is neither `Clone` nor `Serialize` and reads a clock of its own, so none is kept:
//! a check builds one on the stack over one number (the theoretical arrival time of the next call)
//! which belongs to the engine.

use std::cell::Cell;
use std::num::NonZeroU32;
use std::rc::Rc;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter};
use serde::{Deserialize, Serialize};

use crate::domain::time::Mono;

/// How many calls a second a trunk may still be given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct LineBudget {
    /// Theoretical arrival time of the next call, nanoseconds of monotonic time.
    next_ns: Option<u64>,
}

struct OneCell(Cell<Option<Nanos>>);

impl StateStore for &OneCell {
    type Key = NotKeyed;
    fn measure_and_replace<T, F, E>(&self, _key: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let (answer, next) = decide(self.0.get())?;
        self.0.set(Some(next));
        Ok(answer)
    }
}

#[derive(Debug, Clone)]
struct GivenClock(Rc<Cell<u64>>);

impl Clock for GivenClock {
    type Instant = Nanos;
    fn now(&self) -> Nanos {
        Nanos::from(self.0.get())
    }
}

impl LineBudget {
    /// Takes one call if `per_second` allows it at `now`; a rate of zero allows none.
    pub(super) fn try_take(&mut self, now: Mono, per_second: u32) -> bool {
        let Some(per_second) = NonZeroU32::new(per_second) else { return false };
        let clock = GivenClock(Rc::new(Cell::new(0)));
        let state = OneCell(Cell::new(self.next_ns.map(Nanos::from)));
        let quota = Quota::per_second(per_second).allow_burst(NonZeroU32::MIN);
        // Made while the clock stands at zero: that fixes the limiter's own start.
        let limiter: RateLimiter<NotKeyed, &OneCell, GivenClock, NoOpMiddleware<Nanos>> =
            RateLimiter::new(quota, &state, clock.clone());
        clock.0.set(now.as_micros().saturating_mul(1_000));
        let taken = limiter.check().is_ok();
        self.next_ns = state.0.get().map(Nanos::as_u64);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_calls_a_second_in_virtual_time_and_a_clone_has_its_own_budget() {
        let mut budget = LineBudget::default();
        let mut copy = budget.clone();
        let ten_seconds = |budget: &mut LineBudget| {
            (0..10_000u64).filter(|ms| budget.try_take(Mono::from_micros(ms * 1_000), 30)).count()
        };
        assert!((290..=301).contains(&ten_seconds(&mut budget)));
        assert!((290..=301).contains(&ten_seconds(&mut copy)));
    }
}
