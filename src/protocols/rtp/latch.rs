//! Where a leg's media really is: behind NAT it is not where its session description says.
//!
//! ```text
//!               packet from the described address
//! Open ──────────────────────────────────────────────► Settled(described)
//!   │ first stranger with a negotiated payload type            ▲
//!   ▼                                                          │ the described address speaks
//! Open(candidate) ─────────────────────────────────────────────┘ within the window
//!   └── the window of 2 s ends ──► Settled(candidate)
//! ```
//!
//! Once settled nothing moves it, so that nobody can take a call over in its middle; the window is
//! as short as a phone needs to send its first packet after an answer.

use std::net::SocketAddr;

use crate::domain::time::{Duration, Mono};

/// How long after the answer a stranger may become the leg's address.
pub const WINDOW: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open { candidate: Option<SocketAddr>, until: Mono },
    Settled(SocketAddr),
}

/// Decides whose packets belong to a leg, and where ours go.
#[derive(Debug, Clone, Copy)]
pub struct Latch {
    described: SocketAddr,
    state: State,
}

impl Latch {
    /// Opens the window at the answer that described `described`.
    pub fn new(now: Mono, described: SocketAddr) -> Self {
        Self { described, state: State::Open { candidate: None, until: now + WINDOW } }
    }

    /// Whether a packet is the leg's. `negotiated`: its payload type is one agreed on.
    pub fn admits(&mut self, now: Mono, from: SocketAddr, negotiated: bool) -> bool {
        if let State::Open { candidate, until } = self.state {
            self.state = if now > until {
                State::Settled(candidate.unwrap_or(self.described))
            } else if from == self.described {
                State::Settled(from)
            } else if candidate.is_none() && negotiated {
                State::Open { candidate: Some(from), until }
            } else {
                self.state
            };
        }
        match self.state {
            State::Open { candidate, .. } => candidate == Some(from),
            State::Settled(address) => address == from,
        }
    }

    /// Where packets come from, once any were admitted.
    pub fn address(&self) -> SocketAddr {
        match self.state {
            State::Open { candidate, .. } => candidate.unwrap_or(self.described),
            State::Settled(address) => address,
        }
    }

    /// Where to send; none while the description names no address (0.0.0.0, or port 0) and nobody
    /// was heard.
    pub fn target(&self) -> Option<SocketAddr> {
        let address = self.address();
        (!address.ip().is_unspecified() && address.port() != 0).then_some(address)
    }

    /// Whether the leg is elsewhere than its description says.
    pub fn moved(&self) -> bool {
        self.address() != self.described
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(n: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, n], 4_000))
    }

    fn at(ms: u64) -> Mono {
        Mono::from_micros(ms * 1_000)
    }

    #[test]
    fn the_described_address_settles_it_and_strangers_are_refused() {
        let mut latch = Latch::new(at(0), address(1));
        assert_eq!(latch.target(), Some(address(1)));
        assert!(latch.admits(at(10), address(1), false));
        assert!(!latch.admits(at(20), address(2), true));
        assert!(!latch.moved());
    }

    #[test]
    fn the_first_stranger_with_a_negotiated_payload_is_followed_and_only_that_one() {
        let mut latch = Latch::new(at(0), address(1));
        assert!(!latch.admits(at(5), address(2), false), "not negotiated");
        assert!(latch.admits(at(10), address(3), true));
        assert!(!latch.admits(at(20), address(2), true), "once");
        assert!(latch.admits(at(5_000), address(3), true));
        assert_eq!((latch.target(), latch.moved()), (Some(address(3)), true));
    }

    #[test]
    fn the_described_address_wins_within_the_window_and_not_after() {
        for (ms, wins) in [(1_999, true), (2_001, false)] {
            let mut latch = Latch::new(at(0), address(1));
            assert!(latch.admits(at(10), address(2), true));
            assert_eq!(latch.admits(at(ms), address(1), true), wins);
            assert_eq!(latch.admits(at(ms + 1), address(2), true), !wins);
        }
    }

    #[test]
    fn after_the_window_no_stranger_is_followed() {
        let mut latch = Latch::new(at(0), address(1));
        assert!(!latch.admits(at(2_001), address(2), true));
        assert!(latch.admits(at(9_000), address(1), true));
    }

    #[test]
    fn a_description_without_an_address_is_sent_nothing_until_someone_is_heard() {
        let mut latch = Latch::new(at(0), SocketAddr::from(([0, 0, 0, 0], 4_000)));
        assert_eq!(latch.target(), None);
        assert!(latch.admits(at(10), address(2), true));
        assert_eq!(latch.target(), Some(address(2)));
    }

    proptest! {
        /// Whoever sends what and when: after the window the target never moves.
        #[test]
        fn the_target_never_moves_after_the_window(
            packets in prop::collection::vec((0u64..4_000, 0u8..4, any::<bool>()), 1..50)
        ) {
            let mut latch = Latch::new(at(0), address(0));
            let mut packets = packets;
            packets.sort_unstable();
            let mut settled = None;
            for (ms, from, negotiated) in packets {
                let admitted = latch.admits(at(ms), address(from), negotiated);
                prop_assert_eq!(admitted, latch.target() == Some(address(from)));
                if ms > 2_000 {
                    prop_assert_eq!(*settled.get_or_insert(latch.target()), latch.target());
                }
            }
        }
    }
}
