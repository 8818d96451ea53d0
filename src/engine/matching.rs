//! Answered persons and free agents: who is put through, who is abandoned, how that is counted.

use crate::domain::abandon::InAir;
use crate::domain::attempt::{AbandonCount, Record};
use crate::domain::ids::{AgentId, AttemptId, CampaignId};
use crate::domain::time::{Mono, Now, Utc};

use super::abandon_guard::Span;
use super::agent_run::{Doing, LastCall};
use super::attempt_run::Stage;
use super::engine::Engine;
use super::output::{AgentNews, Fact, Output};

impl Engine {
    pub(super) fn handle_deadlines(&mut self, now: Now) {
        self.agent_deadlines(now);
        // Whoever can still be put through is, before the rest counts as abandoned.
        self.serve(now);
        self.attempt_deadlines(now);
    }

    /// Puts through everyone who waits and can be, longest first; shows previews.
    pub(super) fn serve(&mut self, now: Now) {
        self.rehome();
        let mut waiting: Vec<(Mono, AttemptId)> = self
            .attempts
            .values()
            .filter_map(|run| match run.stage {
                Stage::Waiting { answered, .. } => Some((answered, run.key().attempt)),
                Stage::Intending { .. }
                | Stage::Dialling { .. }
                | Stage::Cancelling { .. }
                | Stage::Listening { .. }
                | Stage::Talking { .. }
                | Stage::Message
                | Stage::Ending { .. } => None,
            })
            .collect();
        waiting.sort_unstable();
        for (_, attempt) in waiting {
            if let Some(agent) = self.agent_for(attempt) {
                self.connect(now, attempt, agent);
            }
        }
        self.serve_previews(now);
    }

    /// The agent to take this person: the one who previewed the record, else of the campaign's own
    /// the one idle longest, else one of another campaign who may be spared.
    fn agent_for(&self, attempt: AttemptId) -> Option<AgentId> {
        let run = self.attempts.get(&attempt)?;
        if let Some(own) = run.agent {
            return Some(own);
        }
        let campaign = run.key().campaign;
        let idle = |of_home: bool| {
            self.agents
                .iter()
                .filter(|(_, run)| run.doing == Doing::Ready)
                .filter(|(_, run)| (run.home == Some(campaign)) == of_home)
                // Whom calls rely on takes them, also when the campaign was taken off them meanwhile.
                .filter(|(_, run)| of_home || run.rules.campaigns.contains(&campaign))
                .filter(|(id, _)| of_home || self.may_leave(**id))
                .min_by_key(|(id, run)| (run.since.mono, **id))
                .map(|(id, _)| *id)
        };
        idle(true).or_else(|| idle(false))
    }

    fn connect(&mut self, now: Now, attempt: AttemptId, agent: AgentId) {
        let Some(agent_leg) = self.agent_of(agent).and_then(super::agent_run::AgentRun::leg_up)
        else {
            return;
        };
        let event = self.event_id(now);
        let Some(run) = self.attempts.get_mut(&attempt) else { return };
        let Stage::Waiting { answered, .. } = run.stage else { return };
        let waited = u64::try_from(now.mono.since(answered).as_micros()).unwrap_or(u64::MAX);
        run.times.connected = Some(now.utc);
        run.agent = Some(agent);
        run.answer_to_agent_us = Some(waited);
        run.enter(Stage::Talking { agent }, now);
        let key = run.key();
        let attempts = run.record.attempts + 1;
        if let Some(counted) = &mut run.counted {
            counted.connected = true;
            let window = counted.window_start;
            if let Some(campaign) = self.campaigns.get_mut(&key.campaign) {
                campaign.guard.connected(window);
            }
        }
        self.out(Output::Bridge { customer: attempt.leg(), agent: agent_leg });
        if let Some(run) = self.agents.get_mut(&agent) {
            run.last = Some(LastCall { key, attempts, disposed: false });
            run.calls += 1;
            run.handling_since = Some(now.mono);
        }
        self.set_doing(now, agent, Doing::OnCall { attempt });
        self.out(Output::ToAgent(agent, AgentNews::Connected(key)));
        self.out(Output::Record(Record::Connected { key, agent, at: now.utc, event }));
        self.fact(Fact::AnswerToAgent(key.campaign, waited));
    }

    /// Nobody came in time: the person hears the campaign's message, and counts.
    pub(super) fn abandon(&mut self, now: Now, attempt: AttemptId) {
        let Some(run) = self.attempts.get_mut(&attempt) else { return };
        run.enter(Stage::Message, now);
        let campaign = run.key().campaign;
        let window_start = run.counted.map(|counted| counted.window_start);
        // Whether the bound had covered this call: the cause is outside if agents relied upon left.
        let outside = self.take_vanished_cover(campaign)
            || window_start.is_some_and(|start| self.breaks_promise(campaign, start));
        self.count_abandoned(attempt, outside);
        self.out(Output::PlayAbandonMessage(attempt.leg(), campaign));
    }

    /// Whether an agent who covered a call of this campaign has vanished: each accounts for one
    /// abandon.
    fn take_vanished_cover(&mut self, campaign: CampaignId) -> bool {
        let Some(run) = self.campaigns.get_mut(&campaign) else { return false };
        let covered = run.vanished_cover > 0;
        run.vanished_cover = run.vanished_cover.saturating_sub(1);
        covered
    }

    /// An abandon over the limit can only come from outside the promise: every launch was checked.
    /// What was put down to outside causes before is not held against this one too.
    fn breaks_promise(&self, campaign: CampaignId, window_start: Utc) -> bool {
        let Some(run) = self.campaigns.get(&campaign) else { return false };
        let limit = &run.rules.abandon_limit;
        let counted = run.guard.counted(window_start);
        let mut tally = counted.tally;
        tally.abandoned = tally.abandoned.saturating_sub(counted.outside) + 1;
        tally.is_over(limit)
    }

    pub(super) fn count_live_answer(&mut self, now: Now, attempt: AttemptId) {
        let latest = self.clock.latest();
        let Some(run) = self.attempts.get_mut(&attempt) else { return };
        if run.counted.is_some() {
            return;
        }
        let Some(campaign) = self.campaigns.get_mut(&run.key().campaign) else { return };
        let answered = run.answered_for_rules.unwrap_or(latest);
        let window_start = campaign.guard.live_answer(&campaign.rules.abandon_limit, answered);
        let after = run.dialled.map(|at| now.mono.since(at)).unwrap_or_default();
        campaign.statistics.answered(after);
        run.counted =
            Some(AbandonCount { window_start, abandoned: false, connected: false, outside: false });
    }

    pub(super) fn count_abandoned(&mut self, attempt: AttemptId, outside: bool) {
        let Some(run) = self.attempts.get_mut(&attempt) else { return };
        let Some(counted) = &mut run.counted else { return };
        counted.abandoned = true;
        counted.outside = outside;
        let window = counted.window_start;
        if let Some(campaign) = self.campaigns.get_mut(&run.intent.key.campaign) {
            campaign.guard.abandoned(window, outside);
        }
    }

    /// What is in the air for a campaign, as the bound counts it. A previewed call and the agent who
    /// waits for it are a pair of their own and stand in neither number.
    pub(super) fn in_air(&self, campaign: CampaignId) -> InAir {
        let of = |run: &&super::attempt_run::AttemptRun| {
            run.key().campaign == campaign && run.agent.is_none()
        };
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let flying = self.attempts.values().filter(of);
        InAir {
            in_flight: count(flying.clone().filter(|run| run.is_in_flight()).count()),
            waiting: count(flying.filter(|run| matches!(run.stage, Stage::Waiting { .. })).count()),
            reserved: count(
                self.agents
                    .values()
                    .filter(|run| run.doing == Doing::Ready && run.home == Some(campaign))
                    .count(),
            ),
        }
    }

    /// Whether this ready agent may be taken from the campaign that relies on them.
    pub(super) fn may_leave(&self, agent: AgentId) -> bool {
        let Some(home) = self.agents.get(&agent).and_then(|run| run.home) else { return true };
        let Some(run) = self.campaigns.get(&home) else { return true };
        let air = self.in_air(home);
        // Nothing in the air relies on anyone.
        if air.in_flight == 0 && air.waiting == 0 {
            return true;
        }
        run.guard.may_release(&run.rules.abandon_limit, &self.span(home), &air)
    }

    /// When the calls of a campaign that are in the air were or may be answered. A ring timeout that
    /// was shortened meanwhile does not shorten theirs.
    pub(super) fn span(&self, campaign: CampaignId) -> Span {
        let at = self.clock.latest();
        let ring = self.campaigns.get(&campaign).map(|run| run.rules.ring_timeout);
        let mut span = Span { since: at, at, ring: ring.unwrap_or_default() };
        for run in self.attempts.values() {
            let open = run.is_in_flight() || matches!(run.stage, Stage::Waiting { .. });
            if open && run.key().campaign == campaign {
                span.ring = span.ring.max(run.ring);
                span.since = run.answered_for_rules.map_or(span.since, |at| at.min(span.since));
            }
        }
        span
    }
}
