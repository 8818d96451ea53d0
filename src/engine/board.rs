//! What the engine shows of itself: numbers without names, read by the driver for the pages.

use serde::Serialize;

use crate::domain::abandon::{AbandonLimit, Window};
use crate::domain::agent::AgentState;
use crate::domain::attempt::IntentRefusal;
use crate::domain::call_result::CallResult;
use crate::domain::campaign::{CampaignState, Mode};
use crate::domain::ids::{AgentId, AttemptId, CampaignId, NumberId};
use crate::domain::time::{Now, Utc};

use super::abandon_guard::Counted;
use super::attempt_run::Stage;
use super::campaign_run::Pacing;
use super::engine::Engine;

/// One campaign at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Board {
    /// Which.
    pub campaign: CampaignId,
    /// Its state.
    pub state: CampaignState,
    /// Its mode.
    pub mode: Mode,
    /// Why no more calls are launched.
    pub pacing: Pacing,
    /// Launched since the program began.
    pub launched: u64,
    /// Results since the program began.
    pub results: Vec<(CallResult, u64)>,
    /// Refused intents since the program began.
    pub refused: Vec<(IntentRefusal, u64)>,
    /// The limit.
    pub limit: AbandonLimit,
    /// The present window.
    pub window: Window,
    /// What it holds.
    pub counted: Counted,
    /// Share of calls that a person answers, as estimated.
    pub answer_rate: f64,
    /// Calls, oldest first.
    pub calls: Vec<BoardCall>,
    /// Agents who may serve it.
    pub agents: Vec<BoardAgent>,
}

/// One call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BoardCall {
    /// Its attempt.
    pub attempt: AttemptId,
    /// The number.
    pub number: NumberId,
    /// `intending`, `dialling`, `ringing`, `listening`, `waiting`, `talking`, `message`, `ending`.
    pub stage: &'static str,
    /// Since when.
    pub since: Utc,
    /// Who has it.
    pub agent: Option<AgentId>,
}

/// One agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BoardAgent {
    /// Who.
    pub agent: AgentId,
    /// What they do.
    pub state: AgentState,
    /// Since when.
    pub since: Utc,
    /// Calls taken.
    pub calls: u32,
    /// A break or log-out was asked for.
    pub leaving: bool,
    /// Time on calls and in wrap-up, microseconds.
    pub busy_us: u64,
    /// Time logged in without breaks, microseconds.
    pub present_us: u64,
}

impl Engine {
    /// The campaigns that the engine knows.
    pub fn campaign_ids(&self) -> Vec<CampaignId> {
        self.campaigns.keys().copied().collect()
    }

    /// Calls of all campaigns in the air or in talk.
    pub fn calls_live(&self) -> usize {
        self.attempts.len()
    }

    /// One campaign as it stands.
    pub fn board(&self, campaign: CampaignId, now: Now) -> Option<Board> {
        let run = self.campaigns.get(&campaign)?;
        let limit = run.rules.abandon_limit;
        let window = limit.window_at(self.clock.latest().max(now.utc));
        Some(Board {
            campaign,
            state: run.state,
            mode: run.rules.mode,
            pacing: run.pacing,
            launched: run.launched,
            results: run.results.iter().map(|(result, n)| (*result, *n)).collect(),
            refused: run.refused.iter().map(|(why, n)| (*why, *n)).collect(),
            limit,
            window,
            counted: run.guard.counted(window.start),
            answer_rate: run.statistics.answer_rate(),
            calls: self.board_calls(campaign),
            agents: self.board_agents(campaign, now),
        })
    }

    fn board_calls(&self, campaign: CampaignId) -> Vec<BoardCall> {
        self.attempts
            .values()
            .filter(|run| run.key().campaign == campaign)
            .map(|run| BoardCall {
                attempt: run.key().attempt,
                number: run.key().number,
                stage: match run.stage {
                    Stage::Intending { .. } => "intending",
                    Stage::Dialling { ringing_since: None, .. } => "dialling",
                    Stage::Dialling { .. } => "ringing",
                    Stage::Listening { .. } => "listening",
                    Stage::Waiting { .. } => "waiting",
                    Stage::Talking { .. } => "talking",
                    Stage::Message => "message",
                    Stage::Cancelling { .. } | Stage::Ending { .. } => "ending",
                },
                since: run.stage_since.utc,
                agent: run.agent,
            })
            .collect()
    }

    fn board_agents(&self, campaign: CampaignId, now: Now) -> Vec<BoardAgent> {
        self.agents
            .iter()
            .filter(|(_, run)| run.rules.campaigns.contains(&campaign))
            .map(|(id, run)| {
                let mut accounted = run.clone();
                accounted.account(now);
                BoardAgent {
                    agent: *id,
                    state: run.state(),
                    since: run.since.utc,
                    calls: run.calls,
                    leaving: run.leaving.is_some(),
                    busy_us: accounted.busy_us,
                    present_us: accounted.present_us,
                }
            })
            .collect()
    }
}
