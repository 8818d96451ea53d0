//! INVITE client transaction: RFC 3261 §17.1.1 with the Accepted state of RFC 6026 §7.2.
//!
//! ```text
//!            1xx                2xx
//! Calling ────────► Proceeding ────────► Accepted ──M──► Terminated
//!    │ B                 │ 3xx–6xx
//!    ▼                   ▼
//! Terminated         Completed ──D──► Terminated
//! ```
//!
//! From Calling, 2xx and 3xx–6xx lead to the same places as from Proceeding.

use std::collections::VecDeque;

use super::{SIXTY_FOUR_T1, T1};
use crate::domain::time::{Duration, Mono};

/// How long a final non-2xx keeps absorbing its repeats over UDP (§17.1.1.2: at least 32 s).
pub const TIMER_D: Duration = Duration::from_secs(32);

/// What the transaction wants its owner to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Put the INVITE on the wire.
    Send,
    /// Put it on the wire again.
    SendAgain,
    /// Acknowledge the 3xx–6xx; a 2xx is acknowledged by the dialog instead (§13.2.2.4).
    SendAck,
    /// The response at hand is news for the call.
    Deliver,
    /// Nothing came in 64·T1; the call fails as if 408 had come (§17.1.1.2).
    TimedOut,
    /// The datagram could not be sent; the call fails as if 503 had come (§8.1.3.1).
    NotSent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Provisional,
    Success,
    Failure,
}

impl Class {
    const fn of(status: u16) -> Self {
        match status {
            0..=199 => Self::Provisional,
            200..=299 => Self::Success,
            300.. => Self::Failure,
        }
    }
}

/// Each state carries only the timers that run in it, so that a stale timer cannot exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Calling { resend_at: Mono, interval: Duration, give_up_at: Mono },
    Proceeding,
    Accepted { until: Mono },
    Completed { until: Mono },
    Terminated,
}

/// One INVITE and its responses.
#[derive(Debug)]
pub struct InviteClient {
    state: State,
    outputs: VecDeque<Output>,
}

impl InviteClient {
    /// Begins in Calling and asks for the first sending.
    pub fn new(now: Mono) -> Self {
        let give_up_at = now + SIXTY_FOUR_T1;
        let state = State::Calling { resend_at: now + T1, interval: T1, give_up_at };
        Self { state, outputs: VecDeque::from([Output::Send]) }
    }

    /// Takes the status of a response whose branch and CSeq method matched (§17.1.3).
    pub fn handle_response(&mut self, now: Mono, status: u16) {
        self.state = match (self.state, Class::of(status)) {
            (State::Calling { .. } | State::Proceeding, Class::Provisional) => {
                self.outputs.push_back(Output::Deliver);
                State::Proceeding
            }
            (State::Calling { .. } | State::Proceeding, Class::Success) => {
                self.outputs.push_back(Output::Deliver);
                State::Accepted { until: now + SIXTY_FOUR_T1 }
            }
            (State::Calling { .. } | State::Proceeding, Class::Failure) => {
                self.outputs.extend([Output::SendAck, Output::Deliver]);
                State::Completed { until: now + TIMER_D }
            }
            // RFC 6026 §7.2: a repeat, or the 2xx of another branch of a fork; the dialog tells.
            (state @ State::Accepted { .. }, Class::Success) => {
                self.outputs.push_back(Output::Deliver);
                state
            }
            (state @ State::Completed { .. }, Class::Failure) => {
                self.outputs.push_back(Output::SendAck);
                state
            }
            // Late or reordered; the call has moved on.
            (state @ State::Accepted { .. }, Class::Provisional | Class::Failure)
            | (state @ State::Completed { .. }, Class::Provisional | Class::Success)
            | (state @ State::Terminated, _) => state,
        };
    }

    /// The datagram could not be sent.
    pub fn handle_transport_error(&mut self) {
        match self.state {
            State::Calling { .. } | State::Proceeding => {
                self.outputs.push_back(Output::NotSent);
                self.state = State::Terminated;
            }
            // Only the ACK was lost; the call has its final response and needs no second end.
            State::Completed { .. } => self.state = State::Terminated,
            // RFC 6026 §7.2: an Accepted transaction outlives a transport error.
            State::Accepted { .. } | State::Terminated => {}
        }
    }

    /// The owner waits no longer: 64·T1 after its CANCEL the call counts as taken back (§9.1).
    pub fn abandon(&mut self) {
        self.state = State::Terminated;
    }

    /// Whether provisional responses came and no final one.
    pub fn is_proceeding(&self) -> bool {
        self.state == State::Proceeding
    }

    /// When to call [`Self::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Mono> {
        match self.state {
            State::Calling { resend_at, give_up_at, .. } => Some(resend_at.min(give_up_at)),
            State::Accepted { until } | State::Completed { until } => Some(until),
            State::Proceeding | State::Terminated => None,
        }
    }

    /// Fires what is due. Early or repeated calls do nothing.
    pub fn handle_timeout(&mut self, now: Mono) {
        match self.state {
            State::Calling { give_up_at, .. } if now >= give_up_at => {
                self.outputs.push_back(Output::TimedOut);
                self.state = State::Terminated;
            }
            State::Calling { resend_at, interval, give_up_at } if now >= resend_at => {
                self.outputs.push_back(Output::SendAgain);
                // §17.1.1.2: timer A doubles.
                let interval = interval * 2;
                self.state = State::Calling { resend_at: now + interval, interval, give_up_at };
            }
            State::Accepted { until } | State::Completed { until } if now >= until => {
                self.state = State::Terminated;
            }
            State::Calling { .. }
            | State::Proceeding
            | State::Accepted { .. }
            | State::Completed { .. }
            | State::Terminated => {}
        }
    }

    /// The next thing to do; call until `None` after every `handle_*`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether the transaction is over and every output was taken.
    pub fn is_done(&self) -> bool {
        self.state == State::Terminated && self.outputs.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn drain(tx: &mut InviteClient) -> Vec<Output> {
        std::iter::from_fn(|| tx.poll_output()).collect()
    }

    /// Jumps from timer to timer until none is left.
    fn run_out(tx: &mut InviteClient) -> Vec<(Duration, Output)> {
        let mut log: Vec<_> = drain(tx).into_iter().map(|o| (Duration::ZERO, o)).collect();
        while let Some(at) = tx.poll_timeout() {
            tx.handle_timeout(at);
            log.extend(drain(tx).into_iter().map(|o| (at - Mono::ZERO, o)));
        }
        log
    }

    #[test]
    fn timers_a_and_b_send_seven_invites_and_give_up_at_32_s() {
        let mut tx = InviteClient::new(Mono::ZERO);
        let mut want = vec![(ms(0), Output::Send)];
        let again = [500, 1_500, 3_500, 7_500, 15_500, 31_500];
        want.extend(again.map(|at| (ms(at), Output::SendAgain)));
        want.push((ms(32_000), Output::TimedOut));
        assert_eq!(run_out(&mut tx), want);
        assert!(tx.is_done());
    }

    #[test]
    fn ringing_stops_timers_a_and_b() {
        let mut tx = InviteClient::new(Mono::ZERO);
        tx.handle_response(Mono::ZERO + ms(100), 180);
        assert_eq!(tx.poll_timeout(), None);
    }

    #[test]
    fn timer_d_acknowledges_a_repeated_busy_for_32_s_and_reports_it_once() {
        let mut tx = InviteClient::new(Mono::ZERO);
        tx.handle_response(Mono::ZERO, 486);
        tx.handle_response(Mono::ZERO + ms(31_999), 486);
        let want = [Output::Send, Output::SendAck, Output::Deliver, Output::SendAck];
        assert_eq!(drain(&mut tx), want);
        assert_eq!(tx.poll_timeout(), Some(Mono::ZERO + TIMER_D));
        tx.handle_timeout(Mono::ZERO + TIMER_D);
        tx.handle_response(Mono::ZERO + TIMER_D, 486);
        assert!(tx.is_done());
    }

    #[test]
    fn timer_m_delivers_every_2xx_for_64_t1_and_nothing_else() {
        let mut tx = InviteClient::new(Mono::ZERO);
        tx.handle_response(Mono::ZERO, 200);
        tx.handle_response(Mono::ZERO + ms(10), 183);
        tx.handle_response(Mono::ZERO + ms(20), 486);
        tx.handle_transport_error();
        tx.handle_response(Mono::ZERO + ms(30), 200);
        assert_eq!(drain(&mut tx), [Output::Send, Output::Deliver, Output::Deliver]);
        assert_eq!(tx.poll_timeout(), Some(Mono::ZERO + SIXTY_FOUR_T1));
    }

    proptest! {
        /// Whatever arrives and whenever, the call hears of at most one failure.
        #[test]
        fn one_failure_at_most(
            steps in prop::collection::vec((0u64..40_000, prop::option::weighted(0.9, 100u16..700)), 0..40)
        ) {
            let mut now = Mono::ZERO;
            let mut tx = InviteClient::new(now);
            let mut failures = 0;
            for (wait, status) in steps {
                now += ms(wait);
                tx.handle_timeout(now);
                match status {
                    Some(status) => tx.handle_response(now, status),
                    None => tx.handle_transport_error(),
                }
                let failed = status.is_some_and(|s| s >= 300);
                failures += drain(&mut tx).iter().filter(|o| match o {
                    Output::Deliver => failed,
                    Output::TimedOut | Output::NotSent => true,
                    Output::Send | Output::SendAgain | Output::SendAck => false,
                }).count();
            }
            prop_assert!(failures <= 1);
        }
    }
}
