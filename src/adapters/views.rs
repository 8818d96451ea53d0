//! What pages and machines read: the JSON shapes of the API's live data. The driver fills them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An agent's page, whole; sent anew at each change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentView {
    /// Who.
    pub agent: i64,
    /// The agent's name.
    pub name: String,
    /// `logged_out`, `connecting`, `paused`, `ready`, `preview`, `dialling`, `on_call`, `wrap_up`.
    pub state: String,
    /// Since when, UTC milliseconds.
    pub since_ms: i64,
    /// A break or log-out was asked for and comes as soon as it costs nothing.
    pub leaving: bool,
    /// When the wrap-up ends by itself, UTC milliseconds.
    pub until_ms: Option<i64>,
    /// The previewed record.
    pub preview: Option<CardView>,
    /// The call, while it lasts and until it has a disposition.
    pub call: Option<CallView>,
    /// A message key of the catalogue, when something asked for was not done.
    pub refused: Option<String>,
    /// Grows with each change.
    pub version: u64,
}

/// A person's record on the agent's page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CardView {
    /// The row of the list.
    pub contact: i64,
    /// The campaign's id.
    pub campaign: i64,
    /// The campaign's name.
    pub campaign_name: String,
    /// The person's name.
    pub name: String,
    /// The number, E.164.
    pub number: String,
    /// The CRM's own id of the person.
    pub external_ref: String,
    /// The contact's time zone (IANA).
    pub zone: String,
    /// Fields of the list in their order, `[name, value]`.
    pub fields: Vec<(String, String)>,
    /// The script with the person's fields put in.
    pub script: String,
    /// What the agent may choose at the end.
    pub dispositions: Vec<DispositionView>,
    /// A page of the CRM to open, if the list names one.
    pub crm_url: Option<String>,
    /// When an undecided preview counts as timed out, UTC milliseconds.
    pub until_ms: Option<i64>,
}

/// One choice at the end of a call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DispositionView {
    /// Stable code.
    pub code: String,
    /// What the agent reads.
    pub label: String,
    /// `close`, `retry`, `callback`, `do_not_call`: what follows unless the agent chooses otherwise.
    pub next: String,
}

/// A call on the agent's page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CallView {
    /// The attempt's uuid.
    pub attempt: String,
    /// `talking` or `ended`.
    pub state: String,
    /// When the person answered, UTC milliseconds.
    pub answered_ms: i64,
    /// When the agent was put through, UTC milliseconds.
    pub connected_ms: i64,
    /// The record.
    pub card: CardView,
}

/// A running campaign on the manager's page; sent a few times a second.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BoardView {
    /// Which campaign.
    pub campaign: i64,
    /// Its name.
    pub name: String,
    /// `created`, `running`, `paused`, `stopped`, `finished`.
    pub state: String,
    /// `predictive`, `progressive`, `power`, `preview`.
    pub mode: String,
    /// When this was true, UTC milliseconds.
    pub at_ms: i64,
    /// Contacts by what became of them.
    pub contacts: ContactCounts,
    /// Calls in the air: being set up or ringing.
    pub ringing: u32,
    /// Answered persons who wait for an agent.
    pub waiting: u32,
    /// Calls in talk.
    pub talking: u32,
    /// Attempts since the campaign began.
    pub attempts: u64,
    /// Attempts by call result: `[code, count]`, most frequent first.
    pub results: Vec<(String, u64)>,
    /// Intents refused by reason since the program began: `[reason, count]`.
    pub refused: Vec<(String, u64)>,
    /// The abandon rate with all that belongs to it.
    pub abandon: AbandonView,
    /// Answer to agent, milliseconds, median and 99th percentile; `None` before the first.
    pub answer_to_agent_ms: Option<(f64, f64)>,
    /// Share of logged-in time (without breaks) in talk and wrap-up, 0–1.
    pub utilisation: f64,
    /// Why no more calls are launched at the moment, as a message key: `dialling`, `no_agents`,
    /// `bound`, `lines`, `calls_per_second`, `list_empty`, `closed_hours`, `paused`, `clock`, `draining`.
    pub pacing: String,
    /// Calls now in the air or in talk.
    pub calls: Vec<LiveCallView>,
    /// The agents of the campaign.
    pub agents: Vec<AgentRowView>,
}

/// Contacts of a campaign by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContactCounts {
    /// All.
    pub total: u64,
    /// May be dialled now.
    pub ready: u64,
    /// Become ready later.
    pub waits: u64,
    /// In the air.
    pub live: u64,
    /// Done with.
    pub closed: u64,
}

/// The abandon rate: numerator, denominator, window, limit, formula.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AbandonView {
    /// Numerator.
    pub abandoned: u32,
    /// Denominator.
    pub answered: u32,
    /// Parts per million.
    pub rate_ppm: u32,
    /// Parts per million.
    pub limit_ppm: u32,
    /// `live_answers` or `abandoned_plus_connected`.
    pub formula: String,
    /// `answer`: from when the wait is counted.
    pub clock_start: String,
    /// How long a person may wait, milliseconds.
    pub wait_ms: u32,
    /// First instant of the window, UTC milliseconds.
    pub window_start_ms: i64,
    /// Its end.
    pub window_end_ms: i64,
    /// The zone in which its days are cut (IANA).
    pub zone: String,
    /// Abandons whose cause lies outside the promise (a crash, a vanished agent), part of `abandoned`.
    pub outside: u32,
}

/// One live call on the manager's page. The number is masked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LiveCallView {
    /// The attempt's uuid.
    pub attempt: String,
    /// `intending`, `dialling`, `ringing`, `listening`, `waiting`, `talking`, `message`, `ending`.
    pub state: String,
    /// Since when, UTC milliseconds.
    pub since_ms: i64,
    /// The masked number.
    pub number: String,
    /// Who talks to them.
    pub agent: Option<i64>,
}

/// One agent on the manager's page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentRowView {
    /// Who.
    pub agent: i64,
    /// Name.
    pub name: String,
    /// State, as in `AgentView`.
    pub state: String,
    /// Since when, UTC milliseconds.
    pub since_ms: i64,
    /// Calls taken since log-in.
    pub calls: u32,
    /// A break or log-out was asked for.
    pub leaving: bool,
}
