//! What agents ask for, and their state changes. The only writer of an agent's state.

use crate::domain::agent::AgentRefusal;
use crate::domain::attempt::{DispositionRecord, EndedBy};
use crate::domain::call_result::{CallResult, CancelReason};
use crate::domain::disposition::NextAction;
use crate::domain::ids::{AgentId, AttemptId, CampaignId};
use crate::domain::retry::ContactNext;
use crate::domain::time::{Mono, Now, Utc};

use super::agent_run::{AgentLeg, AgentRun, Doing, LastCall, Leaving, STALE_MAX};
use super::attempt_run::Stage;
use super::campaign_run::{CampaignRun, Pacing};
use super::engine::{Drain, Engine};
use super::input::AgentCommand;
use super::output::{AgentNews, Output};

impl Engine {
    pub(super) fn agent_command(&mut self, now: Now, agent: AgentId, command: AgentCommand) {
        if let Err(refusal) = self.try_agent_command(now, agent, command) {
            self.out(Output::ToAgent(agent, AgentNews::Refused(refusal)));
        }
    }

    fn try_agent_command(
        &mut self,
        now: Now,
        agent: AgentId,
        command: AgentCommand,
    ) -> Result<(), AgentRefusal> {
        let draining = self.drain != Drain::No;
        let run = self.agents.get_mut(&agent).ok_or(AgentRefusal::Unknown)?;
        match command {
            AgentCommand::LogIn => {
                if draining {
                    return Err(AgentRefusal::Draining);
                }
                if run.doing == Doing::LoggedOut {
                    run.pause_when_connected = false;
                    run.redials = 0;
                    self.call_phone(now, agent);
                    self.set_doing(now, agent, Doing::Connecting);
                }
                Ok(())
            }
            AgentCommand::Pause => self.ask_to_leave(now, agent, Leaving::Pause),
            AgentCommand::LogOut => self.ask_to_leave(now, agent, Leaving::LogOut),
            AgentCommand::Ready => self.ready_again(now, agent),
            AgentCommand::AcceptPreview => {
                let Doing::Preview { accepted, .. } = &mut run.doing else {
                    return Err(AgentRefusal::WrongState);
                };
                *accepted = true;
                Ok(())
            }
            AgentCommand::SkipPreview { close } => {
                let result = if close { CallResult::AgentClosed } else { CallResult::AgentSkipped };
                self.end_preview(now, agent, result)
            }
            AgentCommand::HangUp => {
                match run.doing {
                    Doing::OnCall { attempt } => self.agent_leaves_call(now, agent, attempt),
                    Doing::Dialling { attempt } => self.cancel(now, attempt, CancelReason::Stopped),
                    Doing::LoggedOut
                    | Doing::Connecting
                    | Doing::Paused
                    | Doing::Ready
                    | Doing::Preview { .. }
                    | Doing::WrapUp { .. } => return Err(AgentRefusal::WrongState),
                }
                Ok(())
            }
            AgentCommand::Dispose { attempt, code, next } => {
                self.dispose(now, agent, attempt, code, next)
            }
        }
    }

    fn ready_again(&mut self, now: Now, agent: AgentId) -> Result<(), AgentRefusal> {
        let run = self.agents.get_mut(&agent).ok_or(AgentRefusal::Unknown)?;
        match run.doing {
            Doing::LoggedOut => return Err(AgentRefusal::WrongState),
            Doing::Connecting => run.pause_when_connected = false,
            Doing::Paused | Doing::WrapUp { .. } => {
                run.leaving = None;
                self.become_free(now, agent);
            }
            Doing::Ready
            | Doing::Preview { .. }
            | Doing::Dialling { .. }
            | Doing::OnCall { .. } => {
                if run.leaving.take().is_some() {
                    self.tell_state(agent);
                }
            }
        }
        Ok(())
    }

    fn ask_to_leave(
        &mut self,
        now: Now,
        agent: AgentId,
        leaving: Leaving,
    ) -> Result<(), AgentRefusal> {
        let run = self.agents.get_mut(&agent).ok_or(AgentRefusal::Unknown)?;
        match run.doing {
            Doing::LoggedOut => {}
            Doing::Connecting if leaving == Leaving::Pause => run.pause_when_connected = true,
            Doing::Paused if leaving == Leaving::Pause => {}
            Doing::Connecting | Doing::Paused | Doing::WrapUp { .. }
                if leaving == Leaving::LogOut =>
            {
                self.log_out(now, agent);
            }
            Doing::WrapUp { .. } => {
                run.leaving = Some(leaving);
                self.become_free(now, agent);
            }
            Doing::Preview { .. } => {
                run.leaving = Some(leaving);
                self.return_preview(now, agent);
            }
            Doing::Connecting
            | Doing::Paused
            | Doing::Ready
            | Doing::Dialling { .. }
            | Doing::OnCall { .. } => {
                run.leaving = Some(leaving);
                self.tell_state(agent);
            }
        }
        Ok(())
    }

    /// Lets go of those who asked for a break, where that cannot break the abandon limit.
    pub(super) fn grant_leaves(&mut self, now: Now) {
        let asked: Vec<(AgentId, Leaving)> = self
            .agents
            .iter()
            .filter(|(_, run)| run.doing == Doing::Ready)
            .filter_map(|(id, run)| run.leaving.map(|leaving| (*id, leaving)))
            .collect();
        for (agent, leaving) in asked {
            if self.may_leave(agent) {
                self.leave(now, agent, leaving);
            }
        }
    }

    fn leave(&mut self, now: Now, agent: AgentId, leaving: Leaving) {
        match leaving {
            Leaving::Pause => {
                if let Some(run) = self.agents.get_mut(&agent) {
                    run.leaving = None;
                }
                self.set_doing(now, agent, Doing::Paused);
            }
            Leaving::LogOut => self.log_out(now, agent),
        }
    }

    pub(super) fn log_out(&mut self, now: Now, agent: AgentId) {
        let Some(run) = self.agents.get_mut(&agent) else { return };
        run.leaving = None;
        // Time away is no handling time.
        run.handling_since = None;
        match std::mem::replace(&mut run.leg, AgentLeg::None) {
            AgentLeg::Up { leg, .. } => self.out(Output::HangUp(leg)),
            AgentLeg::Calling { leg } => {
                let why = CancelReason::AgentGone;
                self.out(Output::Cancel(leg, why));
            }
            AgentLeg::None | AgentLeg::Lost { .. } => {}
        }
        self.set_doing(now, agent, Doing::LoggedOut);
    }

    /// Ready, or on the break that was asked for; back to connecting if the phone is not there.
    pub(super) fn become_free(&mut self, now: Now, agent: AgentId) {
        let Some(run) = self.agents.get_mut(&agent) else { return };
        if let Some(since) = run.handling_since.take() {
            let handled = now.mono.since(since);
            let campaign = run.last.map(|last| last.key.campaign);
            if let Some(run) = campaign.and_then(|id| self.campaigns.get_mut(&id)) {
                run.statistics.handled(handled);
            }
        }
        let Some(run) = self.agents.get_mut(&agent) else { return };
        match run.leaving {
            // On the way out of a call nobody relies on this agent yet.
            Some(leaving) => self.leave(now, agent, leaving),
            None if run.is_audible() => {
                self.set_doing(now, agent, Doing::Ready);
                self.choose_home(agent);
            }
            None => self.set_doing(now, agent, Doing::Connecting),
        }
    }

    /// The campaign that may rely on this agent: of those that run, the one with the fewest ready.
    pub(super) fn choose_home(&mut self, agent: AgentId) {
        let Some(run) = self.agents.get(&agent) else { return };
        let ready_in = |campaign: CampaignId| {
            self.agents
                .values()
                .filter(|run| run.doing == Doing::Ready && run.home == Some(campaign))
                .count()
        };
        let home = run
            .rules
            .campaigns
            .iter()
            .copied()
            .filter(|id| {
                self.campaigns.get(id).is_some_and(super::campaign_run::CampaignRun::is_running)
            })
            .min_by_key(|id| (self.is_dry(*id), ready_in(*id)));
        if let Some(run) = self.agents.get_mut(&agent) {
            run.home = home;
        }
    }

    pub(super) fn set_doing(&mut self, now: Now, agent: AgentId, doing: Doing) {
        let Some(run) = self.agents.get_mut(&agent) else { return };
        run.account(now);
        if doing != Doing::Ready {
            run.home = None;
        }
        run.doing = doing;
        self.tell_state(agent);
    }

    fn tell_state(&mut self, agent: AgentId) {
        let Some(run) = self.agents.get(&agent) else { return };
        let until = match run.doing {
            Doing::WrapUp { until } => until,
            Doing::LoggedOut
            | Doing::Connecting
            | Doing::Paused
            | Doing::Ready
            | Doing::Preview { .. }
            | Doing::Dialling { .. }
            | Doing::OnCall { .. } => None,
        };
        let news = AgentNews::State {
            state: run.state(),
            since: run.since.utc,
            leaving: run.leaving.is_some(),
            until: until.map(|at| utc_of(run.since, at)),
        };
        self.out(Output::ToAgent(agent, news));
    }

    /// Gives back what an agent who is gone was working on.
    pub(super) fn drop_work(&mut self, now: Now, agent: AgentId) {
        let Some(run) = self.agents.get(&agent) else { return };
        match run.doing {
            Doing::OnCall { attempt } => self.agent_leaves_call(now, agent, attempt),
            Doing::Preview { .. } => self.return_preview(now, agent),
            Doing::Dialling { attempt } => self.withdraw_agent(now, attempt),
            Doing::LoggedOut
            | Doing::Connecting
            | Doing::Paused
            | Doing::Ready
            | Doing::WrapUp { .. } => {}
        }
    }

    /// The agent ends the call: the customer's leg is hung up, the agent's stays.
    pub(super) fn agent_leaves_call(&mut self, now: Now, agent: AgentId, attempt: AttemptId) {
        if let Some(run) = self.attempts.get_mut(&attempt) {
            let ending = Stage::Ending { result: CallResult::Connected, by: EndedBy::Agent };
            run.enter(ending, now);
            self.out(Output::HangUp(attempt.leg()));
        }
        self.part(now, agent, attempt);
    }

    /// A call with this agent is over: wrap-up, or free at once if a disposition was given already.
    pub(super) fn part(&mut self, now: Now, agent: AgentId, attempt: AttemptId) {
        let Some(run) = self.agents.get_mut(&agent) else { return };
        let leg = run.leg_up();
        let disposed = run.last.is_some_and(|last| last.key.attempt == attempt && last.disposed);
        let wrap_up = run
            .last
            .and_then(|last| self.campaigns.get(&last.key.campaign))
            .and_then(|campaign| campaign.rules.wrap_up);
        if let Some(leg) = leg {
            self.out(Output::Unbridge(leg));
        }
        self.out(Output::ToAgent(agent, AgentNews::CallEnded(attempt)));
        if disposed {
            self.become_free(now, agent);
        } else {
            let until = wrap_up.map(|wait| now.mono + wait);
            self.set_doing(now, agent, Doing::WrapUp { until });
        }
    }

    fn dispose(
        &mut self,
        now: Now,
        agent: AgentId,
        attempt: AttemptId,
        code: String,
        next: NextAction,
    ) -> Result<(), AgentRefusal> {
        let run = self.agents.get_mut(&agent).ok_or(AgentRefusal::Unknown)?;
        // What a call meant is said when it is over: until then it would be known in memory alone.
        if run.doing == (Doing::OnCall { attempt }) {
            return Err(AgentRefusal::WrongState);
        }
        let Some(LastCall { key, attempts, disposed }) = &mut run.last else {
            return Err(AgentRefusal::NotYours);
        };
        if key.attempt != attempt {
            return Err(AgentRefusal::NotYours);
        }
        if *disposed {
            return Err(AgentRefusal::WrongState);
        }
        *disposed = true;
        let (key, attempts) = (*key, *attempts);
        let wrapping_up = matches!(run.doing, Doing::WrapUp { .. });
        let event = self.event_id(now);
        let contact = self.contact_after(key.campaign, &next, attempts, now.utc);
        let record = DispositionRecord { key, agent, code, next, contact, at: now.utc, event };
        self.record_disposition(record);
        if wrapping_up {
            self.become_free(now, agent);
        }
        Ok(())
    }

    fn contact_after(
        &self,
        campaign: CampaignId,
        next: &NextAction,
        attempts: u32,
        at: Utc,
    ) -> ContactNext {
        match next {
            NextAction::Close | NextAction::DoNotCall => ContactNext::Closed,
            NextAction::Callback { at } => ContactNext::Waits { due_at: *at },
            // The agent found what no ear had heard: the rule for a machine fits best.
            NextAction::Retry => self.campaigns.get(&campaign).map_or(ContactNext::Closed, |run| {
                let max = run.rules.attempts_max;
                run.rules.retry.next(CallResult::AnsweringMachine, attempts, max, at)
            }),
        }
    }

    /// What is due of agents: wrap-ups and previews that ran out, phones to be called again.
    pub(super) fn agent_deadlines(&mut self, now: Now) {
        let due: Vec<AgentId> = self
            .agents
            .iter()
            .filter(|(_, run)| run.deadline().is_some_and(|at| at <= now.mono))
            .map(|(id, _)| *id)
            .collect();
        for agent in due {
            self.agent_deadline(now, agent);
        }
    }

    fn agent_deadline(&mut self, now: Now, agent: AgentId) {
        let Some(run) = self.agents.get(&agent) else { return };
        let passed = |at: Option<Mono>| at.is_some_and(|at| at <= now.mono);
        match run.leg {
            AgentLeg::Lost { redial_at } if passed(Some(redial_at)) => self.call_phone(now, agent),
            AgentLeg::Up { leg, stale_since: Some(since) } if passed(Some(since + STALE_MAX)) => {
                self.agent_legs.remove(&leg);
                self.out(Output::HangUp(leg));
                self.phone_lost(now, agent, true);
            }
            AgentLeg::None
            | AgentLeg::Calling { .. }
            | AgentLeg::Up { .. }
            | AgentLeg::Lost { .. } => {}
        }
        let Some(run) = self.agents.get(&agent) else { return };
        match run.doing {
            Doing::WrapUp { until } if passed(until) => self.become_free(now, agent),
            Doing::Preview { until, accepted: false, .. } if passed(until) => {
                // Cannot fail: the state was just matched.
                let _done = self.end_preview(now, agent, CallResult::PreviewTimedOut);
            }
            Doing::LoggedOut
            | Doing::Connecting
            | Doing::Paused
            | Doing::Ready
            | Doing::Preview { .. }
            | Doing::Dialling { .. }
            | Doing::OnCall { .. }
            | Doing::WrapUp { .. } => {}
        }
    }

    /// Those who relied on a campaign that no longer runs serve another, if that costs nothing.
    pub(super) fn rehome(&mut self) {
        let homeless: Vec<AgentId> = self
            .agents
            .iter()
            .filter(|(_, run)| run.doing == Doing::Ready)
            .filter(|(_, run)| {
                run.home.is_none_or(|home| {
                    !run.rules.campaigns.contains(&home)
                        || self.campaigns.get(&home).is_none_or(|run| !run.is_running())
                        || (self.is_dry(home)
                            && run.rules.campaigns.iter().any(|other| self.is_thirsty(*other)))
                })
            })
            .map(|(id, _)| *id)
            .collect();
        for agent in homeless {
            if self.may_leave(agent) {
                self.choose_home(agent);
            }
        }
    }

    /// Runs, and has nobody to dial at the moment, or no line to dial more.
    fn is_dry(&self, campaign: CampaignId) -> bool {
        use Pacing::{ClosedHours, Lines, ListEmpty};
        self.campaigns.get(&campaign).is_some_and(|run| {
            run.is_running() && matches!(run.pacing, ListEmpty | ClosedHours | Lines)
        })
    }

    /// Runs, and would dial for more agents.
    fn is_thirsty(&self, campaign: CampaignId) -> bool {
        !self.is_dry(campaign) && self.campaigns.get(&campaign).is_some_and(CampaignRun::is_running)
    }

    pub(super) fn agent_of(&self, id: AgentId) -> Option<&AgentRun> {
        self.agents.get(&id)
    }
}

/// The wall time of a monotonic moment, seen from a reading of both.
fn utc_of(seen: Now, at: Mono) -> Utc {
    seen.utc + at.since(seen.mono)
}
