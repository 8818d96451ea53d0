//! An attempt: one try to reach a contact. What is written before it is dialled, while it lives and
//! when it ends.

use serde::{Deserialize, Serialize};

use super::call_result::{CallResult, CancelReason, NetworkEnd};
use super::disposition::NextAction;
use super::ids::{
    AgentId, AttemptId, CampaignId, ContactId, CrmEventId, NumberId, PersonId, TrunkId,
};
use super::retry::ContactNext;
use super::time::Utc;

/// Names one attempt and everything it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptKey {
    /// The attempt.
    pub attempt: AttemptId,
    /// Whose rules it was made under.
    pub campaign: CampaignId,
    /// The row of the list.
    pub contact: ContactId,
    /// The person.
    pub person: PersonId,
    /// The number.
    pub number: NumberId,
}

/// The decision to dial, made durable before the INVITE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Which attempt of what.
    pub key: AttemptKey,
    /// Version of the campaign's settings that decided.
    pub campaign_version: u32,
    /// The trunk it goes out through.
    pub trunk: TrunkId,
    /// Version of the trunk's settings.
    pub trunk_version: u32,
    /// Version of the result taxonomy and its mapping.
    pub result_map_version: u32,
    /// Which of the trunk's caller IDs is shown.
    pub caller_id: u32,
    /// The agent who accepted a preview and waits for this call.
    pub agent: Option<AgentId>,
    /// When it was decided.
    pub at: Utc,
    /// No other call to this number within so many milliseconds before `at`, by any campaign.
    pub number_gap_ms: i64,
}

/// The present version of `domain/call_result.rs`: raised when a mapping changes.
pub const RESULT_MAP_VERSION: u32 = 1;

/// Why the store did not let an intent be. Counted and explained; nothing was dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentRefusal {
    /// The record is no longer in the ready queue (another node, a manager, a new list).
    NotReady,
    /// On a do-not-call list.
    DoNotCall,
    /// The number was called too recently, by this campaign or another.
    NumberGap,
    /// This node does not hold the campaign's lease any more.
    LeaseLost,
    /// The trunk may not dial this number (prefix, premium, short).
    NumberNotAllowed,
    /// The database failed; the record stays where it was.
    StoreFailed,
}

/// Who ended an answered call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// The customer hung up.
    Customer,
    /// The agent hung up, or their leg went away.
    Agent,
    /// The program did (message played, shutdown, time limit).
    Dialer,
    /// Our BYE crossed theirs.
    Both,
    /// Nobody told us: the peer fell silent.
    Unknown,
}

/// When what happened, UTC milliseconds; 0 where it did not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Times {
    /// The intent was made.
    pub intent: Utc,
    /// The INVITE was handed to the network.
    pub dialled: Option<Utc>,
    /// The first 18x.
    pub ringing: Option<Utc>,
    /// The 2xx.
    pub answered: Option<Utc>,
    /// An agent was put through.
    pub connected: Option<Utc>,
    /// It was over.
    pub ended: Option<Utc>,
}

/// The raw evidence beside a call result.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// What the network said, if the call was not answered.
    pub network: Option<NetworkEnd>,
    /// Why we cancelled, if we did.
    pub cancelled: Option<CancelReason>,
    /// Our CANCEL and the answer crossed.
    pub answer_crossed_cancel: bool,
    /// How long it rang, milliseconds.
    pub ringing_ms: u32,
    /// Who ended the call, if it was answered.
    pub ended_by: Option<EndedBy>,
    /// In words, where there is more to say.
    pub note: Option<String>,
}

/// The end of an attempt: exactly one for each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptEnd {
    /// Which attempt.
    pub key: AttemptKey,
    /// How it ended.
    pub result: CallResult,
    /// What was seen.
    pub evidence: Evidence,
    /// When.
    pub times: Times,
    /// The agent who had the call.
    pub agent: Option<AgentId>,
    /// From the answer to the agent, microseconds.
    pub answer_to_agent_us: Option<u64>,
    /// What becomes of the contact.
    pub next: ContactNext,
    /// How this end counts for the abandon limit, if a person answered.
    pub count: Option<AbandonCount>,
    /// Stable id of the CRM event that reports it.
    pub event: CrmEventId,
}

/// How an answered call counts, in the window of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbandonCount {
    /// First instant of the window that the answer fell into.
    pub window_start: Utc,
    /// It counts as abandoned.
    pub abandoned: bool,
    /// It was passed to an agent.
    pub connected: bool,
    /// The cause lies outside the promise: a vanished agent, a crash, a crossing answer.
    pub outside: bool,
}

/// An agent's disposition of a call, and what follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DispositionRecord {
    /// Which attempt.
    pub key: AttemptKey,
    /// Who chose.
    pub agent: AgentId,
    /// The campaign's code.
    pub code: String,
    /// The business outcome.
    pub next: NextAction,
    /// What becomes of the contact, as the business outcome and the campaign's rules say.
    pub contact: ContactNext,
    /// When.
    pub at: Utc,
    /// Stable id of the CRM event that reports it.
    pub event: CrmEventId,
}

/// What the engine wants made durable, in the order it became true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// The customer answered; the dialog's state is put in by the driver so that a restart can end it.
    Answered {
        /// Which attempt.
        key: AttemptKey,
        /// When.
        at: Utc,
    },
    /// An agent was put through: the screen pop, also as a CRM event.
    Connected {
        /// Which attempt.
        key: AttemptKey,
        /// To whom.
        agent: AgentId,
        /// When.
        at: Utc,
        /// Stable id of the CRM event.
        event: CrmEventId,
    },
    /// An attempt is over. Removes the live call.
    Ended(Box<AttemptEnd>),
    /// A preview was skipped, closed or timed out: an attempt without a call.
    Skipped(Box<AttemptEnd>),
    /// An agent's choice.
    Disposition(DispositionRecord),
    /// A campaign changed state by itself (its lists are used up).
    CampaignFinished {
        /// Which.
        campaign: CampaignId,
        /// When.
        at: Utc,
    },
}
