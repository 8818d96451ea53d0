//! Agents' phones: called at log-in, kept up, called again when lost.

use crate::domain::ids::{AgentId, LegId};
use crate::domain::time::Now;

use super::agent_run::{AgentLeg, Doing, REDIAL_AFTER, REDIALS_MAX};
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
            if run.redials >= REDIALS_MAX {
                run.leg = AgentLeg::None;
                self.drop_work(now, agent);
                self.log_out(now, agent);
                return;
            }
        }
        match run.doing {
            Doing::Ready | Doing::Preview { .. } | Doing::Dialling { .. } => {
                if self.drain == Drain::No {
                    self.fact(Fact::AgentVanished(agent));
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
}
