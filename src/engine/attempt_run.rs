//! One attempt from its intent to its end.
//!
//! ```text
//!           durable         2xx            heard          an agent is free
//! Intending ───────► Dialling ─────► Listening ───► Waiting ─────────────► Talking
//!     │ refused         │ ring timeout    │ machine     │ nobody in time       │ either hangs up
//!     ▼                 ▼                 ▼             ▼                      ▼
//!   (gone)          Cancelling ─────► Ending ◄──── Message ◄───────────────  Ending
//!                        └──── final ────┴── leg over ──► (gone, one AttemptEnd)
//! ```
//!
//! Invariants: `Dial` is put out only after `Intended`, and within two seconds of the intent; each
//! attempt that was intended ends in exactly one `Record::Ended`; an attempt is in `k` of the bound
//! until it is known to be a person or to be over.

use serde::{Deserialize, Serialize};

use crate::domain::attempt::{
    AbandonCount, AttemptEnd, AttemptKey, DispositionRecord, EndedBy, Evidence, Intent, Times,
};
use crate::domain::call_result::{CallResult, CancelReason, NetworkEnd};
use crate::domain::contact::ReadyRecord;
use crate::domain::ids::{AgentId, CrmEventId};
use crate::domain::retry::ContactNext;
use crate::domain::time::{Duration, Mono, Now, Utc};

/// A call that neither rings nor ends is cancelled so long after the ring timeout would have run out
/// had it rung at once. Setting up a mobile call takes up to ten seconds.
pub(super) const SETUP_MAX: Duration = Duration::from_secs(10);

/// SIP ends every leg within 64·T1 of our BYE, or twice that where a CANCEL waits for a 1xx first;
/// an end that is not there by then is not coming.
const SIP_END_MAX: Duration = Duration::from_secs(100);
/// No message to an abandoned person is longer.
const MESSAGE_MAX: Duration = Duration::from_secs(120);

/// Where an attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    Intending { withdrawn: bool },
    Dialling { cancel_at: Mono, ringing_since: Option<Mono> },
    Cancelling { why: CancelReason },
    Listening { answered: Mono },
    Waiting { answered: Mono, until: Mono },
    Talking { agent: AgentId },
    Message,
    Ending { result: CallResult, by: EndedBy },
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AttemptRun {
    pub(super) intent: Intent,
    pub(super) intended_at: Mono,
    pub(super) record: ReadyRecord,
    /// The ring timeout it was launched under: the bound has reckoned with this one.
    pub(super) ring: Duration,
    pub(super) stage: Stage,
    pub(super) stage_since: Now,
    pub(super) times: Times,
    pub(super) dialled: Option<Mono>,
    /// The answer by the clock that never goes back: it names the legal window.
    pub(super) answered_for_rules: Option<Utc>,
    pub(super) ringing_ms: u32,
    pub(super) ringing_seen: bool,
    pub(super) cancelled: Option<CancelReason>,
    pub(super) counted: Option<AbandonCount>,
    pub(super) answer_to_agent_us: Option<u64>,
    /// The agent who talks or talked, or who waits for a previewed call.
    pub(super) agent: Option<AgentId>,
    /// Given before the call was over; written after its end.
    pub(super) disposition: Option<DispositionRecord>,
}

impl AttemptRun {
    pub(super) fn new(intent: Intent, record: ReadyRecord, ring: Duration, now: Now) -> Self {
        Self {
            agent: intent.agent,
            intent,
            intended_at: now.mono,
            record,
            ring,
            stage: Stage::Intending { withdrawn: false },
            stage_since: now,
            times: Times { intent: now.utc, ..Times::default() },
            dialled: None,
            answered_for_rules: None,
            ringing_ms: 0,
            ringing_seen: false,
            cancelled: None,
            counted: None,
            answer_to_agent_us: None,
            disposition: None,
        }
    }

    pub(super) const fn key(&self) -> AttemptKey {
        self.intent.key
    }

    /// Changes the stage; leaving `Dialling` closes the account of its ringing.
    pub(super) fn enter(&mut self, stage: Stage, now: Now) {
        if let Stage::Dialling { ringing_since: Some(since), .. } = self.stage {
            self.ringing_ms = u32::try_from(now.mono.since(since).as_millis()).unwrap_or(u32::MAX);
        }
        self.stage = stage;
        self.stage_since = now;
    }

    /// Launched and not yet known to be a person or over: `k` of the bound.
    pub(super) const fn is_in_flight(&self) -> bool {
        match self.stage {
            Stage::Intending { .. }
            | Stage::Dialling { .. }
            | Stage::Cancelling { .. }
            | Stage::Listening { .. } => true,
            Stage::Waiting { .. }
            | Stage::Talking { .. }
            | Stage::Message
            | Stage::Ending { .. } => false,
        }
    }

    /// The next moment at which something is due.
    pub(super) fn deadline(&self) -> Option<Mono> {
        let since = self.stage_since.mono;
        match self.stage {
            Stage::Dialling { cancel_at, .. } => Some(cancel_at),
            Stage::Waiting { until, .. } => Some(until),
            Stage::Cancelling { .. } | Stage::Ending { .. } => Some(since + SIP_END_MAX),
            Stage::Message => Some(since + MESSAGE_MAX),
            Stage::Intending { .. } | Stage::Listening { .. } | Stage::Talking { .. } => None,
        }
    }

    /// The attempt's end, as it is written.
    pub(super) fn end(
        &self,
        result: CallResult,
        next: ContactNext,
        network: Option<NetworkEnd>,
        ended_by: Option<EndedBy>,
        event: CrmEventId,
        now: Now,
    ) -> AttemptEnd {
        let crossed = self.cancelled.is_some() && self.times.answered.is_some();
        AttemptEnd {
            key: self.key(),
            result,
            evidence: Evidence {
                network,
                cancelled: self.cancelled,
                answer_crossed_cancel: crossed,
                ringing_ms: self.ringing_ms,
                ended_by,
                note: None,
            },
            times: Times { ended: Some(now.utc), ..self.times },
            agent: self.agent,
            answer_to_agent_us: self.answer_to_agent_us,
            next,
            count: self.counted,
            event,
        }
    }
}
