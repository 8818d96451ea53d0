//! The last word on every launch: no call is dialled that could bring a window over the limit.
//!
//! Keeps what was counted in each legal window and asks `domain/abandon.rs` the question for every
//! window that a call in the air may count in: that of this moment; the next one, where a call may
//! still be answered after the end; the last one, while an answer of it is listened to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::abandon::{
    AbandonLimit, Answers, InAir, Tally, Window, may_launch, may_release,
};
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

    /// Whether one more call may be launched.
    pub(super) fn may_launch(&self, limit: &AbandonLimit, span: &Span, air: &InAir) -> bool {
        let (tallies, answers) = self.reach(limit, span);
        tallies.iter().all(|tally| may_launch(limit, tally, air, answers))
    }

    /// Whether a reserved agent may leave.
    pub(super) fn may_release(&self, limit: &AbandonLimit, span: &Span, air: &InAir) -> bool {
        let (tallies, answers) = self.reach(limit, span);
        tallies.iter().all(|tally| may_release(limit, tally, air, answers))
    }

    /// The tallies of every window that a call in the air may count in.
    fn reach(&self, limit: &AbandonLimit, span: &Span) -> (Vec<Tally>, Answers) {
        let mut window = limit.window_at(span.since.min(span.at));
        let mut tallies = vec![self.counted(window.start).tally];
        // Ringing may begin at the last moment of the set-up, which lasts as long again and more.
        let latest = span.at + span.ring + SETUP_MAX + span.ring + AFTER_RING;
        while latest >= window.end && tallies.len() < WINDOWS_MAX {
            window = limit.window_at(window.end);
            tallies.push(self.counted(window.start).tally);
        }
        let answers = if tallies.len() == 1 { Answers::Here } else { Answers::HereOrElsewhere };
        (tallies, answers)
    }
}

/// When the calls in the air were or may be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// The earliest answer of those who have no agent yet, or now.
    pub(super) since: Utc,
    /// Now.
    pub(super) at: Utc,
    /// The longest ring timeout of the calls in the air and of the next one.
    pub(super) ring: Duration,
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
        let span = |at| Span { since: at, at, ring: Duration::from_secs(20) };
        assert_eq!(limit.zone, Tz::Europe__London);
        assert!(guard.may_launch(&limit, &span(noon), &air));
        let late = Utc::from_ms(window.end.as_ms() - 30_000);
        assert!(!guard.may_launch(&limit, &span(late), &air), "tomorrow starts at nothing");
        // Set up for 30 s, then ringing for 20 s, is 50 s, and a crossed CANCEL comes on top of it.
        let early = Utc::from_ms(window.end.as_ms() - 85_000);
        assert!(!guard.may_launch(&limit, &span(early), &air), "a late ringing reaches tomorrow");
        let covered = InAir { in_flight: 4, waiting: 0, reserved: 5 };
        assert!(guard.may_launch(&limit, &span(late), &covered));
    }

    #[test]
    fn an_answer_of_yesterday_that_is_still_listened_to_counts_yesterday() {
        let limit = AbandonLimit::uk("2026-01-01".parse().unwrap());
        let midnight = limit.window_at(Utc::from_ms(1_795_521_600_000)).end;
        let mut guard = AbandonGuard::default();
        // Yesterday has spent its budget; today is rich.
        let spent = Tally { live_answers: 100, abandoned: 3, connected: 97 };
        guard.load(limit.window_at(Utc::from_ms(midnight.as_ms() - 1)), spent, 0);
        let rich = Tally { live_answers: 1_000, abandoned: 0, connected: 1_000 };
        guard.load(limit.window_at(midnight), rich, 0);
        let at = midnight + Duration::from_secs(2);
        let today = Span { since: at, at, ring: Duration::from_secs(20) };
        let both = Span { since: Utc::from_ms(midnight.as_ms() - 1_000), ..today };
        let air = InAir { in_flight: 5, waiting: 0, reserved: 5 };
        assert!(guard.may_launch(&limit, &today, &air));
        assert!(!guard.may_launch(&limit, &both, &air), "the sixth may take yesterday's agent");
    }
}
