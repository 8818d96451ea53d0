//! How many calls each mode wants in the air. The bound in `abandon_guard.rs` has the last word.
//!
//! Predictive, for now, is the plain form: calls in flight ≈ agents who will be free when a new call
//! is answered ÷ share of calls that are answered. The forecast by call ages of the pacing paper
//! comes with its own issue.

use crate::domain::campaign::Mode;

use super::statistics::Statistics;

/// Of the agents now busy, the share counted on as free in time is cut by this: freeing is random,
/// and a person who waits is dearer than an agent who does.
const FREED_TRUST: f64 = 0.7;
/// At most so many calls in flight for one agent counted on, whatever the answer rate.
const LINES_PER_AGENT_MAX: f64 = 10.0;

/// The people and calls of one campaign at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct View {
    /// Agents ready for this campaign.
    pub(super) ready: u32,
    /// Its agents on a call or in wrap-up.
    pub(super) busy: u32,
    /// Calls in flight that any of its agents may take.
    pub(super) in_flight: u32,
    /// Answered persons who wait.
    pub(super) waiting: u32,
    /// Its calls in the air or in talk, of every kind.
    pub(super) lines: u32,
}

/// How many calls are wanted in flight, those already there included.
pub(super) fn wanted(mode: Mode, view: &View, seen: &Statistics) -> u32 {
    let free = view.ready.saturating_sub(view.waiting);
    match mode {
        Mode::Preview => 0,
        Mode::Progressive => free,
        Mode::Power { ratio_percent } => free.saturating_mul(ratio_percent) / 100,
        Mode::Predictive => predictive(free, view.busy, seen),
    }
}

fn predictive(free: u32, busy: u32, seen: &Statistics) -> u32 {
    let freed = f64::from(busy) * seen.freed_by_answer() * FREED_TRUST;
    let agents = f64::from(free) + freed;
    let lines = (agents / seen.answer_rate()).min(agents * LINES_PER_AGENT_MAX);
    // Agents who sit idle are always worth a call each.
    floor_u32(lines).max(free)
}

#[expect(clippy::cast_possible_truncation, reason = "clamped to the range of u32 first")]
fn floor_u32(value: f64) -> u32 {
    value.clamp(0.0, f64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Duration;

    fn seen(answer_every: u32) -> Statistics {
        let mut seen = Statistics::default();
        for n in 0..1_000 {
            if n % answer_every == 0 {
                seen.answered(Duration::from_secs(10));
            } else {
                seen.unanswered();
            }
            seen.handled(Duration::from_secs(100));
        }
        seen
    }

    #[test]
    fn each_mode_wants_what_its_name_says() {
        let view = View { ready: 4, busy: 0, ..View::default() };
        assert_eq!(wanted(Mode::Preview, &view, &seen(4)), 0);
        assert_eq!(wanted(Mode::Progressive, &view, &seen(4)), 4);
        assert_eq!(wanted(Mode::Power { ratio_percent: 150 }, &view, &seen(4)), 6);
        let predictive = wanted(Mode::Predictive, &view, &seen(4));
        assert!((14..=18).contains(&predictive), "{predictive}");
    }

    #[test]
    fn predictive_counts_on_some_of_the_busy_agents() {
        let busy = View { ready: 0, busy: 20, ..View::default() };
        let lines = wanted(Mode::Predictive, &busy, &seen(4));
        // 20 agents, a tenth of them free by the answer, at 0.7 of trust, a quarter answered.
        assert!((4..=7).contains(&lines), "{lines}");
        let nobody = View::default();
        assert_eq!(wanted(Mode::Predictive, &nobody, &seen(4)), 0);
    }

    #[test]
    fn a_waiting_person_takes_an_agent_out_of_the_count() {
        let view = View { ready: 2, waiting: 2, ..View::default() };
        assert_eq!(wanted(Mode::Progressive, &view, &seen(4)), 0);
    }
}
