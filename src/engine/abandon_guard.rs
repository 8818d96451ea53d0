//! The last word on every launch: no call is dialled that could bring a window over the limit.
//!
//! Keeps what was counted in each legal window and asks `domain/abandon.rs` the question for the
//! window of this moment and, where a call may still be answered after its end, for the next one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::abandon::{AbandonLimit, InAir, Tally, Window, may_launch, may_release};
use crate::domain::time::{Duration, Utc};

use super::attempt_run::SETUP_MAX;

/// Windows kept: the present, the next, and the last, whose calls may still be ending.
const WINDOWS_MAX: usize = 4;
/// From a launch to the latest moment its answer can count, beyond the ring timeouts: the intent on
/// its way, a CANCEL that waits for its final answer (64·T1 = 32 s), and the wait for an agent.
const AFTER_RING: Duration = Duration::from_secs(2 + 32 + 2);

/// What a window holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counted {
    /// What the law counts.
    pub tally: Tally,
    /// Abandons whose cause lies outside the promise, part of `tally.abandoned`.
    pub outside: u32,
}

/// The abandon budget of one campaign.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct AbandonGuard {
    windows: BTreeMap<Utc, Counted>,
}

impl AbandonGuard {
    /// What the store counted before this process began.
    pub(super) fn load(&mut self, window: Window, tally: Tally, outside: u32) {
        self.windows.insert(window.start, Counted { tally, outside });
        while self.windows.len() > WINDOWS_MAX {
            self.windows.pop_first();
        }
    }

    /// What the window that starts there holds.
    pub(super) fn counted(&self, window_start: Utc) -> Counted {
        self.windows.get(&window_start).copied().unwrap_or_default()
    }

    /// A person answered; the window that the answer belongs to.
    pub(super) fn live_answer(&mut self, limit: &AbandonLimit, at: Utc) -> Utc {
        let start = limit.window_at(at).start;
        self.of(start).tally.live_answers += 1;
        start
    }

    /// A person was passed to an agent.
    pub(super) fn connected(&mut self, window_start: Utc) {
        self.of(window_start).tally.connected += 1;
    }

    /// A person was abandoned; `outside` if the cause lies outside the promise.
    pub(super) fn abandoned(&mut self, window_start: Utc, outside: bool) {
        let counted = self.of(window_start);
        counted.tally.abandoned += 1;
        counted.outside += u32::from(outside);
    }

    /// A lost call, counted as answered and abandoned, was not answered after all.
    pub(super) fn take_back_lost(&mut self, window_start: Utc) {
        let counted = self.of(window_start);
        let tally = &mut counted.tally;
        tally.live_answers = tally.live_answers.saturating_sub(1);
        tally.abandoned = tally.abandoned.saturating_sub(1);
        counted.outside = counted.outside.saturating_sub(1);
    }

    fn of(&mut self, window_start: Utc) -> &mut Counted {
        while self.windows.len() > WINDOWS_MAX {
            self.windows.pop_first();
        }
        self.windows.entry(window_start).or_default()
    }

    /// Whether one more call may be launched at `at`.
    pub(super) fn may_launch(
        &self,
        limit: &AbandonLimit,
        ring: Duration,
        air: &InAir,
        at: Utc,
    ) -> bool {
        self.reach(limit, ring, at).iter().all(|tally| may_launch(limit, tally, air))
    }

    /// Whether a reserved agent may leave at `at`.
    pub(super) fn may_release(
        &self,
        limit: &AbandonLimit,
        ring: Duration,
        air: &InAir,
        at: Utc,
    ) -> bool {
        self.reach(limit, ring, at).iter().all(|tally| may_release(limit, tally, air))
    }

    /// The tallies of every window that a call launched at `at` may be answered in.
    fn reach(&self, limit: &AbandonLimit, ring: Duration, at: Utc) -> Vec<Tally> {
        let here = limit.window_at(at);
        let mut tallies = vec![self.counted(here.start).tally];
        // Ringing may begin at the last moment of the set-up, which lasts as long again and more.
        let reach = ring + SETUP_MAX + ring + AFTER_RING;
        if at + reach >= here.end {
            tallies.push(self.counted(here.end).tally);
        }
        tallies
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::Tz;

    #[test]
    fn near_midnight_both_days_must_allow_a_launch() {
        let limit = AbandonLimit::uk("2026-01-01".parse().unwrap());
        let noon = Utc::from_ms(1_795_521_600_000); // 2026-11-24T12:00:00Z
        let window = limit.window_at(noon);
        let mut guard = AbandonGuard::default();
        let rich = Tally { live_answers: 1_000, abandoned: 0, connected: 1_000 };
        guard.load(window, rich, 0);
        let air = InAir { in_flight: 10, waiting: 0, reserved: 5 };
        let ring = Duration::from_secs(20);
        assert_eq!(limit.zone, Tz::Europe__London);
        assert!(guard.may_launch(&limit, ring, &air, noon));
        let late = Utc::from_ms(window.end.as_ms() - 30_000);
        assert!(!guard.may_launch(&limit, ring, &air, late), "tomorrow starts at nothing");
        // Set up for 30 s, then ringing for 20 s, is 50 s, and a crossed CANCEL comes on top of it.
        let early = Utc::from_ms(window.end.as_ms() - 85_000);
        assert!(!guard.may_launch(&limit, ring, &air, early), "a late ringing reaches tomorrow");
        let covered = InAir { in_flight: 4, waiting: 0, reserved: 5 };
        assert!(guard.may_launch(&limit, ring, &covered, late));
    }
}
