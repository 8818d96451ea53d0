//! When a contact is tried again, by call result.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::call_result::CallResult;
use super::time::{Duration, Utc};

/// Waiting times by result; a result that is not named ends the contact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryRules {
    /// Seconds to wait after each result that is tried again.
    pub after_s: BTreeMap<CallResult, u32>,
}

impl Default for RetryRules {
    fn default() -> Self {
        use CallResult as R;
        const MINUTE: u32 = 60;
        const HOUR: u32 = 60 * MINUTE;
        Self {
            after_s: BTreeMap::from([
                (R::NotDialled, MINUTE),
                (R::DialError, 5 * MINUTE),
                (R::TrunkDown, 5 * MINUTE),
                (R::Congestion, 5 * MINUTE),
                (R::CarrierFailure, 10 * MINUTE),
                (R::NoRingback, 30 * MINUTE),
                (R::DroppedWhileRinging, 30 * MINUTE),
                (R::Busy, 15 * MINUTE),
                (R::NoAnswer, 2 * HOUR),
                (R::Unreachable, 2 * HOUR),
                (R::AnsweringMachine, 4 * HOUR),
                (R::NetworkMachine, 4 * HOUR),
                (R::DeadAir, 4 * HOUR),
                (R::CancelledByDialer, 5 * MINUTE),
                (R::AgentSkipped, 10 * MINUTE),
                (R::PreviewTimedOut, 10 * MINUTE),
                (R::CustomerHungUp, 24 * HOUR),
                // Ofcom: 72 h before an abandoned number is called again.
                (R::Abandoned, 72 * HOUR),
                (R::AbandonedToMessage, 72 * HOUR),
                (R::Lost, HOUR),
            ]),
        }
    }
}

/// What becomes of a contact in its campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ContactNext {
    /// Nothing more in this campaign.
    Closed,
    /// As many attempts as the campaign allows were made.
    MaxAttempts,
    /// Tried again at this time or later.
    Waits {
        /// UTC milliseconds.
        due_at: Utc,
    },
}

impl RetryRules {
    /// What follows `result` at `at` when `attempts` were made, this one included if it counts.
    pub fn next(&self, result: CallResult, attempts: u32, max: u32, at: Utc) -> ContactNext {
        let Some(after_s) = self.after_s.get(&result) else { return ContactNext::Closed };
        if attempts >= max {
            return ContactNext::MaxAttempts;
        }
        ContactNext::Waits { due_at: at + Duration::from_secs(u64::from(*after_s)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_waits_a_connected_call_ends_and_the_maximum_is_kept() {
        let rules = RetryRules::default();
        let at = Utc::from_ms(1_000);
        let busy = rules.next(CallResult::Busy, 1, 3, at);
        assert_eq!(busy, ContactNext::Waits { due_at: Utc::from_ms(901_000) });
        assert_eq!(rules.next(CallResult::Busy, 3, 3, at), ContactNext::MaxAttempts);
        assert_eq!(rules.next(CallResult::Connected, 1, 3, at), ContactNext::Closed);
        assert_eq!(rules.next(CallResult::InvalidNumber, 1, 3, at), ContactNext::Closed);
    }
}
