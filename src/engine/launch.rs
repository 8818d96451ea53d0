//! Launching: as many calls as the mode wants, the bound allows, and trunk and list can give.

use crate::domain::attempt::{AttemptKey, Intent, IntentRefusal, RESULT_MAP_VERSION, Record};
use crate::domain::call_result::CallResult;
use crate::domain::campaign::{CampaignState, Mode};
use crate::domain::contact::ReadyRecord;
use crate::domain::ids::{AgentId, AttemptId, CampaignId};
use crate::domain::time::Now;

use super::agent_run::{AgentRun, Doing};
use super::attempt_run::AttemptRun;
use super::campaign_run::Pacing;
use super::engine::{Drain, Engine};
use super::output::{Fact, Output};
use super::pacing::{View, wanted};

impl Engine {
    /// One round over all campaigns: refills, then launches.
    pub(super) fn launch(&mut self, now: Now) {
        let mut order: Vec<CampaignId> = self.campaigns.keys().copied().collect();
        if !order.is_empty() {
            let shift = usize::try_from(self.turn).unwrap_or(0) % order.len();
            order.rotate_left(shift);
            self.turn = self.turn.wrapping_add(1);
        }
        for campaign in order {
            self.forget_vanished(campaign);
            self.refill(now, campaign);
            let before = self.campaigns.get(&campaign).map(|run| run.pacing);
            let pacing = self.launch_campaign(now, campaign);
            if pacing == Pacing::Bound && before != Some(Pacing::Bound) {
                self.fact(Fact::HeldBack(campaign));
            }
            if let Some(run) = self.campaigns.get_mut(&campaign) {
                run.pacing = pacing;
            }
            self.finish_campaign(now, campaign);
        }
    }

    /// With nothing in the air nobody is missed any more.
    fn forget_vanished(&mut self, campaign: CampaignId) {
        let air = self.in_air(campaign);
        if let Some(run) = self.campaigns.get_mut(&campaign)
            && air.in_flight + air.waiting == 0
        {
            run.vanished_cover = 0;
        }
    }

    fn refill(&mut self, now: Now, campaign: CampaignId) {
        if self.drain != Drain::No {
            return;
        }
        let Some(run) = self.campaigns.get_mut(&campaign).filter(|run| run.is_running()) else {
            return;
        };
        if let Some((after, limit)) = run.hopper.refill(now.mono) {
            self.out(Output::Refill { campaign, after, limit });
        }
    }

    fn launch_campaign(&mut self, now: Now, campaign: CampaignId) -> Pacing {
        if self.drain != Drain::No {
            return Pacing::Draining;
        }
        let Some(run) = self.campaigns.get(&campaign) else { return Pacing::Paused };
        if !run.is_running() {
            return Pacing::Paused;
        }
        if self.clock.waits_for_rules() {
            return Pacing::Clock;
        }
        if run.rules.mode == Mode::Preview {
            return self.launch_accepted(now, campaign);
        }
        let view = self.view(campaign);
        if view.ready + view.busy == 0 {
            return Pacing::NoAgents;
        }
        let wanted = wanted(run.rules.mode, &view, &run.statistics);
        for _ in view.in_flight..wanted {
            if let Err(held) = self.launch_one(now, campaign, None) {
                return held;
            }
        }
        if view.ready == 0 && wanted == 0 { Pacing::NoAgents } else { Pacing::Dialling }
    }

    /// Dials the records that agents accepted in preview.
    fn launch_accepted(&mut self, now: Now, campaign: CampaignId) -> Pacing {
        let accepted: Vec<(AgentId, ReadyRecord)> = self
            .agents
            .iter()
            .filter_map(|(id, run)| match run.doing {
                Doing::Preview { campaign: of, record, accepted: true, .. } if of == campaign => {
                    Some((*id, record))
                }
                Doing::Preview { .. }
                | Doing::LoggedOut
                | Doing::Connecting
                | Doing::Paused
                | Doing::Ready
                | Doing::Dialling { .. }
                | Doing::OnCall { .. }
                | Doing::WrapUp { .. } => None,
            })
            .collect();
        for (agent, record) in accepted {
            // The card may have been looked at past the end of the hours.
            if !self.may_call(now, campaign, &record) {
                self.put_off(now, campaign, record);
                self.become_free(now, agent);
                continue;
            }
            if let Err(held) = self.launch_one(now, campaign, Some((agent, record))) {
                return held;
            }
        }
        // Who waits for a card that is not there may serve another campaign meanwhile.
        let waits = |run: &AgentRun| run.doing == Doing::Ready && run.home == Some(campaign);
        let dry = self.campaigns.get(&campaign).is_some_and(|run| run.hopper.is_empty());
        if dry && self.agents.values().any(waits) {
            return self.why_no_record(campaign);
        }
        Pacing::Dialling
    }

    /// One launch, or why not. The order of the questions is the order of the answers on the page.
    fn launch_one(
        &mut self,
        now: Now,
        campaign: CampaignId,
        previewed: Option<(AgentId, ReadyRecord)>,
    ) -> Result<(), Pacing> {
        let agent = previewed.map(|(agent, _)| agent);
        if agent.is_none() && !self.bound_allows(campaign) {
            return Err(Pacing::Bound);
        }
        let lines = self.lines(|run| run.key().campaign == campaign);
        let run = self.campaigns.get(&campaign).ok_or(Pacing::Paused)?;
        let trunk_id = run.rules.trunk;
        if lines >= run.rules.lines_max {
            return Err(Pacing::Lines);
        }
        let used = self.lines(|run| run.intent.trunk == trunk_id);
        let trunk = self.trunks.get(&trunk_id).ok_or(Pacing::Lines)?;
        if used >= trunk.rules.lines {
            return Err(Pacing::Lines);
        }
        let record = match previewed {
            Some((_, record)) => record,
            None => self.next_record(now, campaign).ok_or_else(|| self.why_no_record(campaign))?,
        };
        let trunk = self.trunks.get_mut(&trunk_id).ok_or(Pacing::Lines)?;
        if !trunk.budget.try_take(now.mono, trunk.rules.calls_per_second) {
            if previewed.is_none()
                && let Some(run) = self.campaigns.get_mut(&campaign)
            {
                run.hopper.put_back(record);
            }
            return Err(Pacing::CallsPerSecond);
        }
        self.intend(now, campaign, record, agent);
        Ok(())
    }

    fn intend(
        &mut self,
        now: Now,
        campaign: CampaignId,
        record: ReadyRecord,
        agent: Option<AgentId>,
    ) {
        let attempt = AttemptId::from_uuid(self.dice.uuid(now.utc));
        let Some(run) = self.campaigns.get_mut(&campaign) else { return };
        let Some(trunk) = self.trunks.get(&run.rules.trunk).map(|trunk| trunk.rules) else {
            return;
        };
        let caller_id = self.dice.below(trunk.caller_ids);
        run.launched += 1;
        let intent = Intent {
            key: AttemptKey {
                attempt,
                campaign,
                contact: record.contact,
                person: record.person,
                number: record.number,
            },
            campaign_version: run.rules.version,
            trunk: trunk.id,
            trunk_version: trunk.version,
            result_map_version: RESULT_MAP_VERSION,
            caller_id,
            agent,
            at: now.utc,
            number_gap_ms: i64::try_from(run.rules.number_gap.as_millis()).unwrap_or(i64::MAX),
        };
        let ring = run.rules.ring_timeout;
        self.attempts.insert(attempt, AttemptRun::new(intent, record, ring, now));
        if let Some(agent) = agent {
            self.set_doing(now, agent, Doing::Dialling { attempt });
        }
        self.out(Output::Intend(intent));
    }

    pub(super) fn intent_refused(&mut self, now: Now, attempt: AttemptId, why: IntentRefusal) {
        let Some(run) = self.attempts.remove(&attempt) else { return };
        let campaign = run.key().campaign;
        if let Some(campaign) = self.campaigns.get_mut(&campaign) {
            *campaign.refused.entry(why).or_default() += 1;
            campaign.hopper.doubt();
        }
        self.fact(Fact::IntentRefused(campaign, why));
        if let Some(agent) = run.agent {
            self.free_dialling_agent(now, agent, attempt);
        }
    }

    /// An agent who waited for a previewed call that came to nothing is free again.
    pub(super) fn free_dialling_agent(&mut self, now: Now, agent: AgentId, attempt: AttemptId) {
        if self.agent_of(agent).is_some_and(|run| run.doing == Doing::Dialling { attempt }) {
            self.out(Output::ToAgent(agent, super::output::AgentNews::CallEnded(attempt)));
            self.become_free(now, agent);
        }
    }

    /// The next record whose person may be called now. Others are put off until their hours open.
    pub(super) fn next_record(&mut self, now: Now, campaign: CampaignId) -> Option<ReadyRecord> {
        loop {
            let record = self.campaigns.get_mut(&campaign)?.hopper.take()?;
            if self.may_call(now, campaign, &record) {
                return Some(record);
            }
            self.put_off(now, campaign, record);
        }
    }

    /// A clock that went back may not reopen an evening, nor one that ran ahead a morning.
    fn may_call(&self, now: Now, campaign: CampaignId, record: &ReadyRecord) -> bool {
        self.campaigns.get(&campaign).is_some_and(|run| {
            let hours = &run.rules.calling_hours;
            hours.is_open(record.zone, now.utc) && hours.is_open(record.zone, self.clock.latest())
        })
    }

    fn put_off(&mut self, now: Now, campaign: CampaignId, record: ReadyRecord) {
        let latest = self.clock.latest().max(now.utc);
        let Some(run) = self.campaigns.get_mut(&campaign) else { return };
        let until = run.rules.calling_hours.next_open(record.zone, latest);
        // Hours that never open are looked at again in a day: a manager may mend them.
        let until = until.filter(|at| *at > now.utc);
        let until = until.unwrap_or(now.utc + crate::domain::time::Duration::from_secs(86_400));
        run.pacing = Pacing::ClosedHours;
        run.hopper.doubt();
        self.out(Output::Defer { campaign, contact: record.contact, until });
    }

    fn why_no_record(&self, campaign: CampaignId) -> Pacing {
        match self.campaigns.get(&campaign).map(|run| run.pacing) {
            Some(Pacing::ClosedHours) => Pacing::ClosedHours,
            Some(_) | None => Pacing::ListEmpty,
        }
    }

    fn bound_allows(&self, campaign: CampaignId) -> bool {
        let Some(run) = self.campaigns.get(&campaign) else { return false };
        let (limit, span) = (&run.rules.abandon_limit, self.span(campaign));
        run.guard.may_launch(limit, &span, &self.in_air(campaign))
    }

    fn lines(&self, of: impl Fn(&AttemptRun) -> bool) -> u32 {
        u32::try_from(self.attempts.values().filter(|run| of(run)).count()).unwrap_or(u32::MAX)
    }

    pub(super) fn view(&self, campaign: CampaignId) -> View {
        let air = self.in_air(campaign);
        let busy = self
            .agents
            .values()
            .filter(|run| matches!(run.doing, Doing::OnCall { .. } | Doing::WrapUp { .. }))
            .filter(|run| run.leaving.is_none())
            .filter(|run| run.last.is_some_and(|last| last.key.campaign == campaign))
            .count();
        View {
            ready: air.reserved,
            busy: u32::try_from(busy).unwrap_or(u32::MAX),
            in_flight: air.in_flight,
            waiting: air.waiting,
            lines: self.lines(|run| run.key().campaign == campaign),
        }
    }

    /// A campaign whose lists are used up and whose last call has its disposition is finished.
    fn finish_campaign(&mut self, now: Now, campaign: CampaignId) {
        let in_use = self.attempts.values().any(|run| run.key().campaign == campaign)
            || self.agents.values().any(|run| match run.doing {
                Doing::WrapUp { .. } => {
                    run.last.is_some_and(|last| last.key.campaign == campaign && !last.disposed)
                }
                Doing::Preview { campaign: of, .. } => of == campaign,
                Doing::LoggedOut
                | Doing::Connecting
                | Doing::Paused
                | Doing::Ready
                | Doing::Dialling { .. }
                | Doing::OnCall { .. } => false,
            });
        let Some(run) = self.campaigns.get_mut(&campaign) else { return };
        if run.is_running() && run.hopper.is_used_up() && !in_use {
            run.state = CampaignState::Finished;
            run.pacing = Pacing::ListEmpty;
            self.out(Output::Record(Record::CampaignFinished { campaign, at: now.utc }));
            self.fact(Fact::CampaignFinished(campaign));
        }
    }

    /// What the result counts of a campaign become.
    pub(super) fn count_result(&mut self, campaign: CampaignId, result: CallResult) {
        if let Some(run) = self.campaigns.get_mut(&campaign) {
            *run.results.entry(result).or_default() += 1;
        }
        self.fact(Fact::AttemptEnded(campaign, result));
    }
}
