//! Server transaction of every request but INVITE: RFC 3261 §17.2.2.
//!
//! We answer at once, so Trying and Proceeding pass within one call and the machine begins in
//! Completed: it holds the response and sends it again to every repeat of the request.
//!
//! ```text
//! Completed ──J──► Terminated
//! ```

use super::SIXTY_FOUR_T1;
use crate::domain::time::Mono;

/// One request that was answered.
#[derive(Debug, Clone, Copy)]
pub struct Server {
    until: Mono,
}

impl Server {
    /// Begins in Completed; the caller has sent the response once.
    pub fn new(now: Mono) -> Self {
        // §17.2.2: timer J is 64·T1 over UDP.
        Self { until: now + SIXTY_FOUR_T1 }
    }

    /// When the transaction ends.
    pub fn poll_timeout(&self) -> Mono {
        self.until
    }

    /// Whether a repeat that comes now is a new request.
    pub fn is_done(&self, now: Mono) -> bool {
        now >= self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Duration;

    #[test]
    fn timer_j_holds_the_response_for_64_t1() {
        let tx = Server::new(Mono::ZERO);
        assert!(!tx.is_done(Mono::ZERO + Duration::from_micros(31_999_999)));
        assert!(tx.is_done(Mono::ZERO + Duration::from_secs(32)));
    }
}
