//! Everything the engine asks for. The driver carries outputs out in their order.

use serde::{Deserialize, Serialize};

use crate::domain::agent::{AgentRefusal, AgentState};
use crate::domain::attempt::{AttemptKey, Intent, IntentRefusal, Record};
use crate::domain::call_result::{CallResult, CancelReason};
use crate::domain::ids::{AgentId, AttemptId, CampaignId, ContactId, LegId, TrunkId};
use crate::domain::time::Utc;

/// One output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// Read records ahead.
    Refill {
        /// Whose.
        campaign: CampaignId,
        /// Only records after this place in dial order (priority, seq); `None` from the start.
        after: Option<(i32, i64)>,
        /// At most so many.
        limit: u32,
    },
    /// Make this durable, then say `Intended` or `IntentRefused`.
    Intend(Intent),
    /// Take a record out of the ready queue until this time: its person may not be called now.
    Defer {
        /// Under which campaign.
        campaign: CampaignId,
        /// Which record.
        contact: ContactId,
        /// When the calling hours open again.
        until: Utc,
    },
    /// Send the INVITE of an attempt whose intent is durable.
    Dial {
        /// The attempt; its leg has the same uuid.
        attempt: AttemptId,
        /// Through which trunk.
        trunk: TrunkId,
        /// Which of its caller IDs.
        caller_id: u32,
    },
    /// CANCEL a leg that was not answered.
    Cancel(LegId, CancelReason),
    /// BYE.
    HangUp(LegId),
    /// Start listening to an answered leg.
    Listen(LegId),
    /// Call an agent's phone; the leg stays up.
    CallAgent(AgentId, LegId),
    /// Let customer and agent hear each other.
    Bridge {
        /// The customer's leg.
        customer: LegId,
        /// The agent's leg.
        agent: LegId,
    },
    /// Take the agent's leg out of its bridge.
    Unbridge(LegId),
    /// Play the campaign's message to a person whom no agent can take.
    PlayAbandonMessage(LegId, CampaignId),
    /// Make a fact durable, in this order.
    Record(Record),
    /// An agent's page has something new.
    ToAgent(AgentId, AgentNews),
    /// A fact to be counted or logged.
    Fact(Fact),
}

/// What an agent's page is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AgentNews {
    /// The agent's state changed.
    State {
        /// What they do from now on.
        state: AgentState,
        /// Since when.
        since: Utc,
        /// A break or log-out was asked for and comes as soon as it costs nothing.
        leaving: bool,
        /// When the wrap-up ends by itself.
        until: Option<Utc>,
    },
    /// A record to look at before it is dialled.
    Preview {
        /// Under which campaign.
        campaign: CampaignId,
        /// Which record.
        contact: ContactId,
        /// When it counts as timed out.
        until: Option<Utc>,
    },
    /// A customer is on the line: the screen pop.
    Connected(AttemptKey),
    /// The customer's call is over; the page stays for the disposition.
    CallEnded(AttemptId),
    /// What the agent asked for was not done.
    Refused(AgentRefusal),
}

/// A fact for counters and logs. Labels come from closed sets only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact {
    /// An intent was refused.
    IntentRefused(CampaignId, IntentRefusal),
    /// An intent came back too late to be dialled.
    IntentExpired(CampaignId),
    /// An attempt ended so.
    AttemptEnded(CampaignId, CallResult),
    /// Microseconds from the answer to the agent.
    AnswerToAgent(CampaignId, u64),
    /// An agent who was relied upon went away.
    AgentVanished(AgentId),
    /// From now on the bound holds launches back.
    HeldBack(CampaignId),
    /// The wall clock jumped by so many milliseconds; dialling waits for `RulesChecked`.
    ClockStepped(i64),
    /// A campaign's lists are used up.
    CampaignFinished(CampaignId),
    /// An input did not fit the state: our own bug, or a message that came too late.
    OutOfOrder(String),
}
