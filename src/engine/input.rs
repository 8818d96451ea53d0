//! Everything that can happen to the engine. Each input comes with a [`Now`](crate::domain::time::Now)
//! and is written to the run log as it is.

use serde::{Deserialize, Serialize};

use crate::domain::abandon::{Tally, Window};
use crate::domain::agent::AgentRules;
use crate::domain::attempt::IntentRefusal;
use crate::domain::call_result::{NetworkEnd, Verdict};
use crate::domain::campaign::{CampaignRules, CampaignState};
use crate::domain::contact::ReadyRecord;
use crate::domain::disposition::NextAction;
use crate::domain::ids::{AgentId, AttemptId, CampaignId, LegId};
use crate::domain::time::{Duration, Utc};
use crate::domain::trunk::TrunkRules;

/// One input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// Time has passed; the driver sends one at least every half second.
    Tick,
    /// A campaign's settings or state, at the start and at each change.
    Campaign(Box<CampaignRules>, CampaignState),
    /// A trunk, at the start and at each change.
    Trunk(TrunkRules),
    /// An agent, at the start and at each change.
    AgentRules(AgentRules),
    /// What the store counted in a window before this process began.
    Tally {
        /// Whose.
        campaign: CampaignId,
        /// Which window.
        window: Window,
        /// What it holds; lost calls of a crash stand in it as answered and abandoned.
        tally: Tally,
        /// Abandons whose cause lies outside the promise, part of the tally's.
        outside: u32,
    },
    /// A lost call of an earlier run is shown never to have been answered: its count is taken back.
    LostNotAnswered {
        /// Whose.
        campaign: CampaignId,
        /// First instant of the window it was counted in.
        window_start: Utc,
    },
    /// The answer to [`Output::Refill`](super::output::Output::Refill).
    Records {
        /// Whose.
        campaign: CampaignId,
        /// In dial order, after the cursor that was asked for.
        records: Vec<ReadyRecord>,
        /// What else the store holds for the campaign.
        rest: Rest,
    },
    /// The intent is durable: the call may be dialled, within two seconds of its making.
    Intended(AttemptId),
    /// The intent was not let be; nothing is dialled.
    IntentRefused(AttemptId, IntentRefusal),
    /// Something happened to a leg.
    Leg(LegId, LegEvent),
    /// The listening stage has heard enough.
    Heard(LegId, Verdict),
    /// An agent did something on their page.
    Agent(AgentId, AgentCommand),
    /// The rules were read again after a step of the wall clock; dialling may go on.
    RulesChecked,
    /// A manager ends a call.
    HangUp(AttemptId),
    /// No new calls; `hurry` ends the talks too.
    Drain {
        /// A second request to stop.
        hurry: bool,
    },
}

/// What the store holds for a campaign beyond the records it gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rest {
    /// More is ready: ask again.
    More,
    /// Nothing more is ready now; something may become so at this time (UTC ms) or when asked later.
    Later(Option<i64>),
    /// Nothing is ready and nothing waits: what is in the air is the last.
    Nothing,
}

/// What happened to one leg.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LegEvent {
    /// The far end rings (180, 183 or what the profile takes for it).
    Ringing,
    /// A 2xx came, and was acknowledged.
    Answered,
    /// It ended without an answer.
    Failed(NetworkEnd),
    /// An answered leg is over.
    Ended(LegEnd),
    /// Its media is there: the first packet, or the first after a pause.
    MediaFresh,
    /// No packet came for too long.
    MediaStale,
    /// The message was played to its end.
    Played,
}

/// How an answered leg came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LegEnd {
    /// The far end sent BYE.
    Remote,
    /// We did.
    Local,
    /// Both did at once.
    Both,
    /// The answer crossed our CANCEL; it was acknowledged and ended.
    CrossedCancel,
    /// Our requests find no answer.
    Silent,
}

/// What an agent asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AgentCommand {
    /// Begin work: their phone is called and stays connected.
    LogIn,
    /// End work, at the first moment that costs nothing.
    LogOut,
    /// A break, at the first moment that costs nothing.
    Pause,
    /// Take calls.
    Ready,
    /// Dial the previewed record.
    AcceptPreview,
    /// Not this record, now.
    SkipPreview {
        /// Never this record in this campaign.
        close: bool,
    },
    /// Hang up on the customer.
    HangUp,
    /// Say what the call meant; ends the wrap-up.
    Dispose {
        /// Which call.
        attempt: AttemptId,
        /// The campaign's code.
        code: String,
        /// The business outcome.
        next: NextAction,
    },
}

/// How long an intent may be on its way before it must not be dialled any more.
pub const INTENT_AGE_MAX: Duration = Duration::from_secs(2);
