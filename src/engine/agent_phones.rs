//! Agents' phones: called at log-in, kept up, called again when lost.

use crate::domain::ids::{AgentId, CampaignId, LegId};
use crate::domain::time::Now;

use super::agent_run::{AgentLeg, Doing, Leaving, REDIAL_AFTER, REDIALS_MAX};
use super::engine::{Drain, Engine};
use super::output::{Fact, Output};

impl Engine {
    pub(super) fn call_phone(&mut self, now: Now, agent: AgentId) {
        let leg = LegId::from_uuid(self.dice.uuid(now.utc));
        self.agent_legs.insert(leg, agent);
        if let Some(run) = self.agents.get_mut(&agent) {
            run.leg = AgentLeg::Calling { leg };
        }
        self.out(Output::CallAgent(agent, leg));
    }

    /// The phone is there and heard: work begins or goes on.
    pub(super) fn phone_audible(&mut self, now: Now, agent: AgentId) {
        let Some(run) = self.agents.get_mut(&agent) else { return };
        run.redials = 0;
        if run.doing == Doing::Connecting {
            if run.pause_when_connected {
                run.pause_when_connected = false;
                self.set_doing(now, agent, Doing::Paused);
            } else {
                self.become_free(now, agent);
            }
        }
    }

    /// The phone is gone or silent: nobody may rely on this agent any more.
    pub(super) fn phone_lost(&mut self, now: Now, agent: AgentId, gone: bool) {
        let Some(run) = self.agents.get_mut(&agent) else { return };
        if gone {
            run.redials += 1;
            run.leg = AgentLeg::Lost { redial_at: now.mono + REDIAL_AFTER };
            if run.doing == Doing::LoggedOut {
                run.leg = AgentLeg::None;
                return;
            }
            if run.redials >= REDIALS_MAX || run.leaving == Some(Leaving::LogOut) {
                run.leg = AgentLeg::None;
                self.drop_work(now, agent);
                self.log_out(now, agent);
                return;
            }
        }
        match run.doing {
            Doing::Ready | Doing::Preview { .. } | Doing::Dialling { .. } => {
                let home = run.home;
                if self.drain == Drain::No {
                    self.fact(Fact::AgentVanished(agent));
                    self.count_vanished(home);
                }
                self.drop_work(now, agent);
                self.set_doing(now, agent, Doing::Connecting);
            }
            Doing::OnCall { .. } if gone => {
                self.drop_work(now, agent);
            }
            Doing::Paused => {
                run.pause_when_connected = true;
                self.set_doing(now, agent, Doing::Connecting);
            }
            Doing::OnCall { .. } | Doing::LoggedOut | Doing::Connecting | Doing::WrapUp { .. } => {}
        }
    }

    /// A reserved agent is gone: if more calls are in the air than agents are left, one abandon that
    /// follows has its cause in that, outside the promise.
    fn count_vanished(&mut self, home: Option<CampaignId>) {
        let Some(home) = home else { return };
        let air = self.in_air(home);
        if let Some(run) = self.campaigns.get_mut(&home)
            && air.in_flight + air.waiting >= air.reserved
        {
            run.vanished_cover += 1;
        }
    }
}
