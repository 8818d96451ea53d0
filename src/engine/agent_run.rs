//! One agent: what they do, their nailed-up leg, and what they have asked for.
//!
//! ```text
//!             LogIn              leg up, media fresh
//! LoggedOut ────────► Connecting ───────────────────► Ready ◄──► Paused
//!                        ▲                              │  ▲
//!            leg lost    │      preview campaigns:      │  │ disposition, or wrap-up over
//!        (from any state)│  Ready ► Preview ► Dialling  │  │
//!                        │                     │        ▼  │
//!                        └──────────────── OnCall ───► WrapUp
//! ```
//!
//! Invariants: an agent has at most one customer; is `Ready` only while the leg is up and its media
//! fresh; leaves `Ready` for a break only at a moment that cannot break the abandon limit.

use serde::{Deserialize, Serialize};

use crate::domain::agent::{AgentRules, AgentState};
use crate::domain::attempt::AttemptKey;
use crate::domain::contact::ReadyRecord;
use crate::domain::ids::{AttemptId, CampaignId, LegId};
use crate::domain::time::{Duration, Mono, Now};

/// A phone that was lost is called again after this.
pub(super) const REDIAL_AFTER: Duration = Duration::from_secs(2);
/// A phone that cannot be reached so many times in a row logs its agent out.
pub(super) const REDIALS_MAX: u32 = 5;
/// A leg without media for so long is ended and called anew.
pub(super) const STALE_MAX: Duration = Duration::from_secs(15);

/// What an agent does; timers and data live in the state that needs them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Doing {
    LoggedOut,
    Connecting,
    Paused,
    Ready,
    Preview { campaign: CampaignId, record: ReadyRecord, until: Option<Mono>, accepted: bool },
    Dialling { attempt: AttemptId },
    OnCall { attempt: AttemptId },
    WrapUp { until: Option<Mono> },
}

/// The agent's own leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum AgentLeg {
    None,
    Calling {
        leg: LegId,
    },
    /// Up, and since when its media is missing.
    Up {
        leg: LegId,
        stale_since: Option<Mono>,
    },
    /// Gone; called again at this time.
    Lost {
        redial_at: Mono,
    },
}

/// What was asked for and waits for a moment that costs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Leaving {
    Pause,
    LogOut,
}

/// The last call, until it has a disposition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LastCall {
    pub(super) key: AttemptKey,
    /// Attempts of the contact, this one included.
    pub(super) attempts: u32,
    pub(super) disposed: bool,
}

/// One agent at work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AgentRun {
    pub(super) rules: AgentRules,
    pub(super) doing: Doing,
    pub(super) since: Now,
    pub(super) leg: AgentLeg,
    pub(super) redials: u32,
    pub(super) leaving: Option<Leaving>,
    /// What the agent does once the leg is there.
    pub(super) pause_when_connected: bool,
    /// The one campaign that may rely on this agent.
    pub(super) home: Option<CampaignId>,
    pub(super) last: Option<LastCall>,
    pub(super) calls: u32,
    /// Time on calls and in wrap-up, and time logged in without breaks, microseconds.
    pub(super) busy_us: u64,
    pub(super) present_us: u64,
    /// When the present handling of a call began.
    pub(super) handling_since: Option<Mono>,
}

impl AgentRun {
    pub(super) fn new(rules: AgentRules, now: Now) -> Self {
        Self {
            rules,
            doing: Doing::LoggedOut,
            since: now,
            leg: AgentLeg::None,
            redials: 0,
            leaving: None,
            pause_when_connected: false,
            home: None,
            last: None,
            calls: 0,
            busy_us: 0,
            present_us: 0,
            handling_since: None,
        }
    }

    /// The state's public name.
    pub(super) const fn state(&self) -> AgentState {
        match self.doing {
            Doing::LoggedOut => AgentState::LoggedOut,
            Doing::Connecting => AgentState::Connecting,
            Doing::Paused => AgentState::Paused,
            Doing::Ready => AgentState::Ready,
            Doing::Preview { .. } => AgentState::Preview,
            Doing::Dialling { .. } => AgentState::Dialling,
            Doing::OnCall { .. } => AgentState::OnCall,
            Doing::WrapUp { .. } => AgentState::WrapUp,
        }
    }

    /// The leg, while it is up.
    pub(super) const fn leg_up(&self) -> Option<LegId> {
        match self.leg {
            AgentLeg::Up { leg, .. } => Some(leg),
            AgentLeg::None | AgentLeg::Calling { .. } | AgentLeg::Lost { .. } => None,
        }
    }

    /// Whether the leg is up and its media fresh.
    pub(super) const fn is_audible(&self) -> bool {
        matches!(self.leg, AgentLeg::Up { stale_since: None, .. })
    }

    /// Adds the time since the last change to the agent's accounts.
    pub(super) fn account(&mut self, now: Now) {
        let passed = u64::try_from(now.mono.since(self.since.mono).as_micros()).unwrap_or(0);
        match self.doing {
            Doing::LoggedOut | Doing::Connecting | Doing::Paused => {}
            Doing::Ready | Doing::Preview { .. } | Doing::Dialling { .. } => {
                self.present_us += passed;
            }
            Doing::OnCall { .. } | Doing::WrapUp { .. } => {
                self.present_us += passed;
                self.busy_us += passed;
            }
        }
        self.since = now;
    }

    /// The next moment at which something is due.
    pub(super) fn deadline(&self) -> Option<Mono> {
        let doing = match self.doing {
            Doing::Preview { until, accepted: false, .. } | Doing::WrapUp { until } => until,
            Doing::LoggedOut
            | Doing::Connecting
            | Doing::Paused
            | Doing::Ready
            | Doing::Preview { .. }
            | Doing::Dialling { .. }
            | Doing::OnCall { .. } => None,
        };
        let leg = match self.leg {
            AgentLeg::Lost { redial_at } => Some(redial_at),
            AgentLeg::Up { stale_since: Some(since), .. } => Some(since + STALE_MAX),
            AgentLeg::None | AgentLeg::Calling { .. } | AgentLeg::Up { .. } => None,
        };
        doing.into_iter().chain(leg).min()
    }
}
