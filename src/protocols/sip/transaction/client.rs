//! Client transaction of every request but INVITE: RFC 3261 §17.1.2.
//!
//! ```text
//!          1xx               final
//! Trying ──────► Proceeding ──────► Completed ──K──► Terminated
//!    │ F              │ F
//!    ▼                ▼
//!        Terminated
//! ```

use std::collections::VecDeque;

use super::{SIXTY_FOUR_T1, T1, T2, T4};
use crate::domain::time::{Duration, Mono};

/// What the transaction wants its owner to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Put the request on the wire.
    Send,
    /// Put it on the wire again.
    SendAgain,
    /// The first final response came.
    Answered(u16),
    /// Nothing came in 64·T1 (§17.1.2.2).
    TimedOut,
    /// The datagram could not be sent.
    NotSent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting { resend_at: Mono, interval: Duration, give_up_at: Mono },
    Completed { until: Mono },
    Terminated,
}

/// One request and its responses.
///
/// Trying and Proceeding are one state here: they differ only in the interval of timer E.
#[derive(Debug)]
pub struct Client {
    state: State,
    outputs: VecDeque<Output>,
}

impl Client {
    /// Begins in Trying and asks for the first sending.
    pub fn new(now: Mono) -> Self {
        let give_up_at = now + SIXTY_FOUR_T1;
        let state = State::Waiting { resend_at: now + T1, interval: T1, give_up_at };
        Self { state, outputs: VecDeque::from([Output::Send]) }
    }

    /// Takes the status of a response whose branch and CSeq method matched (§17.1.3).
    pub fn handle_response(&mut self, now: Mono, status: u16) {
        self.state = match self.state {
            // §17.1.2.2: in Proceeding timer E is always T2.
            State::Waiting { resend_at, give_up_at, .. } if status < 200 => {
                State::Waiting { resend_at, interval: T2, give_up_at }
            }
            State::Waiting { .. } => {
                self.outputs.push_back(Output::Answered(status));
                State::Completed { until: now + T4 }
            }
            state @ (State::Completed { .. } | State::Terminated) => state,
        };
    }

    /// The datagram could not be sent.
    pub fn handle_transport_error(&mut self) {
        if matches!(self.state, State::Waiting { .. }) {
            self.outputs.push_back(Output::NotSent);
            self.state = State::Terminated;
        }
    }

    /// When to call [`Self::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Mono> {
        match self.state {
            State::Waiting { resend_at, give_up_at, .. } => Some(resend_at.min(give_up_at)),
            State::Completed { until } => Some(until),
            State::Terminated => None,
        }
    }

    /// Fires what is due. Early or repeated calls do nothing.
    pub fn handle_timeout(&mut self, now: Mono) {
        match self.state {
            State::Waiting { give_up_at, .. } if now >= give_up_at => {
                self.outputs.push_back(Output::TimedOut);
                self.state = State::Terminated;
            }
            State::Waiting { resend_at, interval, give_up_at } if now >= resend_at => {
                self.outputs.push_back(Output::SendAgain);
                // §17.1.2.2: timer E doubles up to T2.
                let interval = (interval * 2).min(T2);
                self.state = State::Waiting { resend_at: now + interval, interval, give_up_at };
            }
            State::Completed { until } if now >= until => self.state = State::Terminated,
            State::Waiting { .. } | State::Completed { .. } | State::Terminated => {}
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

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn run_out(tx: &mut Client) -> Vec<(u128, Output)> {
        let mut log = Vec::new();
        let mut at = Mono::ZERO;
        loop {
            while let Some(output) = tx.poll_output() {
                log.push(((at - Mono::ZERO).as_millis(), output));
            }
            let Some(next) = tx.poll_timeout() else { return log };
            at = next;
            tx.handle_timeout(at);
        }
    }

    #[test]
    fn timers_e_and_f_send_eleven_times_and_give_up_at_32_s() {
        let mut tx = Client::new(Mono::ZERO);
        let at = [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
        let mut want = vec![(0, Output::Send)];
        want.extend(at.map(|at| (at, Output::SendAgain)));
        want.push((32_000, Output::TimedOut));
        assert_eq!(run_out(&mut tx), want);
        assert!(tx.is_done());
    }

    #[test]
    fn a_provisional_response_slows_timer_e_to_t2_and_leaves_timer_f() {
        let mut tx = Client::new(Mono::ZERO);
        tx.handle_response(Mono::ZERO + ms(100), 100);
        let log = run_out(&mut tx);
        assert_eq!(
            log[..3],
            [(0, Output::Send), (500, Output::SendAgain), (4_500, Output::SendAgain)]
        );
        assert_eq!(log.last(), Some(&(32_000, Output::TimedOut)));
    }

    #[test]
    fn timer_k_absorbs_repeats_of_the_answer_for_t4() {
        let mut tx = Client::new(Mono::ZERO);
        tx.handle_response(Mono::ZERO, 200);
        tx.handle_response(Mono::ZERO + ms(1), 481);
        assert_eq!(tx.poll_timeout(), Some(Mono::ZERO + T4));
        assert_eq!(run_out(&mut tx), [(0, Output::Send), (0, Output::Answered(200))]);
        assert!(tx.is_done());
    }
}
