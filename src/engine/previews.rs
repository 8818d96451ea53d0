//! Preview: an agent sees the record first, and dials, skips or closes it.

use crate::domain::agent::AgentRefusal;
use crate::domain::call_result::CallResult;
use crate::domain::campaign::Mode;
use crate::domain::ids::{AgentId, CampaignId};
use crate::domain::time::Now;

use super::agent_run::Doing;
use super::engine::{Drain, Engine};
use super::output::{AgentNews, Output};

impl Engine {
    /// Shows a record to each ready agent of a preview campaign; dials what was accepted.
    pub(super) fn serve_previews(&mut self, now: Now) {
        if self.drain != Drain::No {
            return;
        }
        let ready: Vec<(AgentId, CampaignId)> = self
            .agents
            .iter()
            .filter(|(_, run)| run.doing == Doing::Ready && run.leaving.is_none())
            .filter_map(|(id, run)| run.home.map(|home| (*id, home)))
            .filter(|(_, home)| {
                self.campaigns
                    .get(home)
                    .is_some_and(|run| run.is_running() && run.rules.mode == Mode::Preview)
            })
            .collect();
        for (agent, campaign) in ready {
            // Calls of the mode before may still rely on this agent.
            if !self.may_leave(agent) {
                continue;
            }
            let Some(record) = self.next_record(now, campaign) else { continue };
            let timeout = self.campaigns.get(&campaign).and_then(|run| run.rules.preview_timeout);
            let until = timeout.map(|wait| now.mono + wait);
            let preview = Doing::Preview { campaign, record, until, accepted: false };
            self.set_doing(now, agent, preview);
            let news = AgentNews::Preview {
                campaign,
                contact: record.contact,
                until: timeout.map(|wait| now.utc + wait),
            };
            self.out(Output::ToAgent(agent, news));
        }
    }

    pub(super) fn end_preview(
        &mut self,
        now: Now,
        agent: AgentId,
        result: CallResult,
    ) -> Result<(), AgentRefusal> {
        let run = self.agents.get(&agent).ok_or(AgentRefusal::Unknown)?;
        let Doing::Preview { campaign, record, accepted: false, .. } = run.doing else {
            return Err(AgentRefusal::WrongState);
        };
        self.record_skipped(now, agent, campaign, record, result);
        self.become_free(now, agent);
        Ok(())
    }

    /// Takes away the previews of a campaign, or all.
    pub(super) fn return_previews(&mut self, now: Now, campaign: Option<CampaignId>) {
        let shown: Vec<AgentId> = self
            .agents
            .iter()
            .filter(|(_, run)| match run.doing {
                Doing::Preview { campaign: of, .. } => campaign.is_none_or(|id| id == of),
                Doing::LoggedOut
                | Doing::Connecting
                | Doing::Paused
                | Doing::Ready
                | Doing::Dialling { .. }
                | Doing::OnCall { .. }
                | Doing::WrapUp { .. } => false,
            })
            .map(|(id, _)| *id)
            .collect();
        for agent in shown {
            self.return_preview(now, agent);
        }
    }

    /// Takes a preview away and gives the record back to the hopper.
    pub(super) fn return_preview(&mut self, now: Now, agent: AgentId) {
        let Some(run) = self.agents.get(&agent) else { return };
        let Doing::Preview { campaign, record, .. } = run.doing else { return };
        if let Some(run) = self.campaigns.get_mut(&campaign) {
            run.hopper.put_back(record);
        }
        self.become_free(now, agent);
    }
}
