//! Server transaction of an INVITE that is refused: RFC 3261 §17.2.1.
//!
//! We take no calls and change no sessions, so every INVITE gets a 3xx–6xx at once and the machine
//! begins in Completed.
//!
//! ```text
//!            ACK
//! Completed ─────► Confirmed ──I──► Terminated
//!    │ H
//!    ▼
//! Terminated
//! ```

use super::{SIXTY_FOUR_T1, T1, T2, T4};
use crate::domain::time::{Duration, Mono};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Completed { resend_at: Mono, interval: Duration, give_up_at: Mono },
    Confirmed { until: Mono },
    Terminated,
}

/// One INVITE that was refused.
#[derive(Debug, Clone, Copy)]
pub struct InviteServer {
    state: State,
}

impl InviteServer {
    /// Begins in Completed; the caller has sent the response once.
    pub fn new(now: Mono) -> Self {
        let give_up_at = now + SIXTY_FOUR_T1;
        Self { state: State::Completed { resend_at: now + T1, interval: T1, give_up_at } }
    }

    /// The INVITE came again: whether the response is sent again.
    pub fn handle_repeat(&self) -> bool {
        matches!(self.state, State::Completed { .. })
    }

    /// The ACK came.
    pub fn handle_ack(&mut self, now: Mono) {
        if matches!(self.state, State::Completed { .. }) {
            self.state = State::Confirmed { until: now + T4 };
        }
    }

    /// When to call [`Self::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Mono> {
        match self.state {
            State::Completed { resend_at, give_up_at, .. } => Some(resend_at.min(give_up_at)),
            State::Confirmed { until } => Some(until),
            State::Terminated => None,
        }
    }

    /// Fires what is due: whether the response is sent again.
    pub fn handle_timeout(&mut self, now: Mono) -> bool {
        match self.state {
            State::Completed { give_up_at, .. } if now >= give_up_at => {
                self.state = State::Terminated;
                false
            }
            State::Completed { resend_at, interval, give_up_at } if now >= resend_at => {
                // §17.2.1: timer G doubles up to T2.
                let interval = (interval * 2).min(T2);
                self.state = State::Completed { resend_at: now + interval, interval, give_up_at };
                true
            }
            State::Confirmed { until } if now >= until => {
                self.state = State::Terminated;
                false
            }
            State::Completed { .. } | State::Confirmed { .. } | State::Terminated => false,
        }
    }

    /// Whether the transaction is over.
    pub fn is_done(&self) -> bool {
        self.state == State::Terminated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_g_and_h_repeat_the_refusal_until_32_s() {
        let mut tx = InviteServer::new(Mono::ZERO);
        let mut sent = Vec::new();
        while let Some(at) = tx.poll_timeout() {
            if tx.handle_timeout(at) {
                sent.push((at - Mono::ZERO).as_millis());
            }
        }
        let want = [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
        assert_eq!(sent, want);
        assert!(tx.is_done());
    }

    #[test]
    fn timer_i_absorbs_repeats_for_t4_after_the_ack() {
        let mut tx = InviteServer::new(Mono::ZERO);
        assert!(tx.handle_repeat());
        tx.handle_ack(Mono::ZERO);
        assert!(!tx.handle_repeat());
        assert_eq!(tx.poll_timeout(), Some(Mono::ZERO + T4));
        assert!(!tx.handle_timeout(Mono::ZERO + T4) && tx.is_done());
    }
}
