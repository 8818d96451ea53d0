//! Whether a phone is still there, judged by what it sends.
//!
//! ```text
//! Stale ── RTP or RTCP ──► Fresh ── no RTP for 5 s and no RTCP for 15 s ──► Stale
//! ```

use crate::domain::time::{Duration, Mono};

/// A phone sends voice every 20 ms; after 5 s without it is gone, or it suppresses silence.
pub const RTP_AGE_MAX: Duration = Duration::from_secs(5);
/// A phone that suppresses silence still reports every 5 s (RFC 3550 §6.2); three may go missing.
pub const RTCP_AGE_MAX: Duration = Duration::from_secs(15);

/// What became of the phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is heard again, or for the first time.
    Fresh,
    /// It is not heard any more.
    Stale,
}

/// Tells changes only; a phone never heard is stale and no change.
#[derive(Debug, Default)]
pub struct Freshness {
    fresh: bool,
    rtp_at: Option<Mono>,
    rtcp_at: Option<Mono>,
}

impl Freshness {
    /// A phone not heard yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// An RTP packet came.
    pub fn handle_rtp(&mut self, now: Mono) -> Option<Change> {
        self.rtp_at = Some(now);
        self.handle_timeout(now)
    }

    /// An RTCP packet came.
    pub fn handle_rtcp(&mut self, now: Mono) -> Option<Change> {
        self.rtcp_at = Some(now);
        self.handle_timeout(now)
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Mono) -> Option<Change> {
        let younger = |at: Option<Mono>, age| at.is_some_and(|at| now.since(at) < age);
        let fresh = younger(self.rtp_at, RTP_AGE_MAX) || younger(self.rtcp_at, RTCP_AGE_MAX);
        let changed = std::mem::replace(&mut self.fresh, fresh) != fresh;
        changed.then_some(if fresh { Change::Fresh } else { Change::Stale })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Mono {
        Mono::from_micros(ms * 1_000)
    }

    #[test]
    fn a_phone_is_fresh_for_five_seconds_after_its_last_packet() {
        let mut phone = Freshness::new();
        assert_eq!(phone.handle_timeout(at(60_000)), None, "never heard is no change");
        assert_eq!(phone.handle_rtp(at(60_000)), Some(Change::Fresh));
        assert_eq!(phone.handle_rtp(at(61_000)), None);
        assert_eq!(phone.handle_timeout(at(65_999)), None);
        assert_eq!(phone.handle_timeout(at(66_000)), Some(Change::Stale));
        assert_eq!(phone.handle_timeout(at(70_000)), None);
        assert_eq!(phone.handle_rtp(at(71_000)), Some(Change::Fresh));
    }

    #[test]
    fn a_phone_that_suppresses_silence_is_fresh_by_its_reports() {
        let mut phone = Freshness::new();
        assert_eq!(phone.handle_rtp(at(0)), Some(Change::Fresh));
        assert_eq!(phone.handle_rtcp(at(4_000)), None);
        assert_eq!(phone.handle_timeout(at(18_999)), None);
        assert_eq!(phone.handle_timeout(at(19_000)), Some(Change::Stale));
    }
}
