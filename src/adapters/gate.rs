//! The gate between the API and the driver: requests go in by a bounded queue, live views come out.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use crate::domain::agent::AgentRefusal;
use crate::domain::ids::{AgentId, AttemptId, CampaignId, TrunkId};
use crate::engine::input::AgentCommand;

use super::views::{AgentView, BoardView};

/// Requests that wait for the driver at once, at most; more are answered "busy".
pub const REQUESTS_MAX: usize = 1_024;

/// What the API asks of the driver.
#[derive(Debug)]
pub enum Request {
    /// An agent's command; the answer is the engine's.
    Agent(AgentId, AgentCommand, oneshot::Sender<Result<(), AgentRefusal>>),
    /// A manager ends a call.
    HangUp(AttemptId),
    /// Settings changed in the store: read them again and tell the engine.
    Reload(Reload, oneshot::Sender<()>),
    /// Send an OPTIONS to a trunk.
    CheckTrunk(TrunkId, oneshot::Sender<TrunkCheck>),
}

/// What changed in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// A campaign's settings, state or lists.
    Campaign(CampaignId),
    /// A trunk.
    Trunk(TrunkId),
    /// An agent.
    Agent(AgentId),
    /// CRM endpoints.
    CrmEndpoints,
}

/// What a trunk said to an OPTIONS.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct TrunkCheck {
    /// It answered.
    pub alive: bool,
    /// Its SIP status.
    pub status: Option<u16>,
    /// How long it took, milliseconds.
    pub took_ms: u64,
    /// What that means, in words.
    pub note: String,
}

/// Why the gate did not pass a request on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// The engine refused.
    #[error(transparent)]
    Refused(#[from] AgentRefusal),
    /// Too many requests wait.
    #[error("the dialer is busy; try again")]
    Busy,
    /// The driver has ended.
    #[error("the dialer is shutting down")]
    Closed,
}

/// Live views of everything, published by the driver; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Live {
    /// By campaign id.
    pub boards: BTreeMap<i64, Arc<BoardView>>,
    /// By agent id.
    pub agents: BTreeMap<i64, Arc<AgentView>>,
    /// The program was asked to stop: no new calls, no new work.
    pub draining: bool,
}

/// The API's side of the gate.
#[derive(Debug, Clone)]
pub struct Gate {
    requests: mpsc::Sender<Request>,
    live: watch::Receiver<Arc<Live>>,
}

/// The driver's side of the gate.
#[derive(Debug)]
pub struct GateDriver {
    /// What the API asks for.
    pub requests: mpsc::Receiver<Request>,
    /// Where the driver publishes.
    pub live: watch::Sender<Arc<Live>>,
}

/// Both sides of a new gate.
pub fn gate() -> (Gate, GateDriver) {
    let (requests_in, requests) = mpsc::channel(REQUESTS_MAX);
    let (live, live_out) = watch::channel(Arc::new(Live::default()));
    (Gate { requests: requests_in, live: live_out }, GateDriver { requests, live })
}

impl Gate {
    /// Passes an agent's command on and waits for the engine's answer.
    pub async fn agent(&self, agent: AgentId, command: AgentCommand) -> Result<(), GateError> {
        let (answer, wait) = oneshot::channel();
        self.send(Request::Agent(agent, command, answer))?;
        wait.await.map_err(|_| GateError::Closed)?.map_err(GateError::Refused)
    }

    /// Ends a call.
    pub fn hang_up(&self, attempt: AttemptId) -> Result<(), GateError> {
        self.send(Request::HangUp(attempt))
    }

    /// Has settings read again; returns when the engine knows them.
    pub async fn reload(&self, what: Reload) -> Result<(), GateError> {
        let (done, wait) = oneshot::channel();
        self.send(Request::Reload(what, done))?;
        wait.await.map_err(|_| GateError::Closed)
    }

    /// Asks a trunk whether it is there.
    pub async fn check_trunk(&self, trunk: TrunkId) -> Result<TrunkCheck, GateError> {
        let (answer, wait) = oneshot::channel();
        self.send(Request::CheckTrunk(trunk, answer))?;
        wait.await.map_err(|_| GateError::Closed)
    }

    /// The present views; `changed()` on it waits for the next.
    pub fn live(&self) -> watch::Receiver<Arc<Live>> {
        self.live.clone()
    }

    fn send(&self, request: Request) -> Result<(), GateError> {
        self.requests.try_send(request).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => GateError::Busy,
            mpsc::error::TrySendError::Closed(_) => GateError::Closed,
        })
    }
}
