//! An agent's states, as pages, events and reports name them.

use serde::{Deserialize, Serialize};

use super::ids::{AgentId, CampaignId};

/// What a manager sets of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentSettings {
    /// The name that people see.
    pub name: String,
    /// The phone's SIP URI, for example `sip:101@127.0.0.1:5080`.
    pub phone: String,
    /// Campaigns whose calls the agent takes.
    pub campaigns: Vec<CampaignId>,
}

/// What the engine needs of an agent: no name, no address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRules {
    /// Who.
    pub id: AgentId,
    /// Version of the settings these rules were taken from.
    pub version: u32,
    /// Campaigns whose calls the agent takes, the first one first.
    pub campaigns: Vec<CampaignId>,
}

impl AgentRules {
    /// The engine's view of `settings`.
    pub fn of(id: AgentId, version: u32, settings: &AgentSettings) -> Self {
        Self { id, version, campaigns: settings.campaigns.clone() }
    }
}

/// What an agent is doing. The engine's own state carries the timers; this is its public name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    /// Not logged in.
    LoggedOut,
    /// Logged in; the phone's leg is being set up or its media is missing.
    Connecting,
    /// Logged in, not taking calls.
    Paused,
    /// Waiting for a call.
    Ready,
    /// Looking at a record before it is dialled.
    Preview,
    /// An accepted preview is being dialled for this agent.
    Dialling,
    /// Talking to a customer.
    OnCall,
    /// After a call, before the disposition.
    WrapUp,
}

/// Why an agent's request was not carried out. Shown to the agent as text of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum AgentRefusal {
    /// No such agent in the engine.
    #[error("this agent is not known to the dialer")]
    Unknown,
    /// The request does not fit the agent's state.
    #[error("not possible in the agent's present state")]
    WrongState,
    /// The call named is not this agent's.
    #[error("this call is not the agent's")]
    NotYours,
    /// The program is shutting down.
    #[error("the dialer is shutting down")]
    Draining,
}
