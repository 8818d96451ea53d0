//! What a campaign has learnt of its calls: answer rate, time to an answer, handling time.
//!
//! Counts that forget by events, not by time: each new observation weighs one, older ones fade with
//! a factor. Only additions, multiplications and divisions of `f64`, so every machine agrees.

use serde::{Deserialize, Serialize};

use crate::domain::time::Duration;

/// A new outcome fades the older ones by this: half of the weight lies in the last 140.
const FADE: f64 = 0.995;
/// The guess before the first call weighs as much as this many calls.
const PRIOR_CALLS: f64 = 20.0;
/// Guess of the share of calls that a person answers. High on purpose: it dials little.
const PRIOR_ANSWER_RATE: f64 = 0.4;
/// A running mean's newest value weighs this much.
const MEAN_WEIGHT: f64 = 0.05;
/// Seconds from dialling to an answer before any was seen.
const PRIOR_TO_ANSWER_S: f64 = 10.0;
/// Seconds of talk and wrap-up before any was seen.
const PRIOR_HANDLE_S: f64 = 60.0;

/// Running estimates of one campaign.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Statistics {
    answered: f64,
    ended: f64,
    to_answer_s: Mean,
    handle_s: Mean,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Mean {
    value: f64,
    seen: u32,
}

impl Mean {
    const fn of(value: f64) -> Self {
        Self { value, seen: 0 }
    }

    /// The first few values weigh fully: the guess is soon forgotten.
    fn add(&mut self, value: f64) {
        self.seen = self.seen.saturating_add(1);
        let weight = (1.0 / f64::from(self.seen.min(1_000))).max(MEAN_WEIGHT);
        self.value += weight * (value - self.value);
    }
}

impl Default for Statistics {
    fn default() -> Self {
        Self {
            answered: PRIOR_CALLS * PRIOR_ANSWER_RATE,
            ended: PRIOR_CALLS,
            to_answer_s: Mean::of(PRIOR_TO_ANSWER_S),
            handle_s: Mean::of(PRIOR_HANDLE_S),
        }
    }
}

impl Statistics {
    /// A person answered so long after dialling.
    pub(super) fn answered(&mut self, after: Duration) {
        self.outcome(1.0);
        self.to_answer_s.add(after.as_secs_f64());
    }

    /// A call ended without a person.
    pub(super) fn unanswered(&mut self) {
        self.outcome(0.0);
    }

    /// An agent was busy with a call, wrap-up included, for so long.
    pub(super) fn handled(&mut self, time: Duration) {
        self.handle_s.add(time.as_secs_f64());
    }

    fn outcome(&mut self, answered: f64) {
        self.answered = self.answered * FADE + answered;
        self.ended = self.ended * FADE + 1.0;
    }

    /// Share of calls that a person answers, never zero.
    pub(super) fn answer_rate(&self) -> f64 {
        (self.answered / self.ended).max(0.01)
    }

    /// Share of the agents now busy who will be free by the time a new call is answered.
    pub(super) fn freed_by_answer(&self) -> f64 {
        (self.to_answer_s.value / self.handle_s.value.max(0.1)).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_learns_the_answer_rate_and_follows_a_change() {
        let mut seen = Statistics::default();
        for n in 0..1_000 {
            if n % 5 == 0 { seen.answered(Duration::from_secs(12)) } else { seen.unanswered() }
        }
        assert!((seen.answer_rate() - 0.2).abs() < 0.03, "{}", seen.answer_rate());
        for _ in 0..400 {
            seen.answered(Duration::from_secs(12));
        }
        assert!(seen.answer_rate() > 0.85);
    }
}
