//! What happens to legs: the customer's become stages of their attempt, the agent's their readiness.

use crate::domain::attempt::{EndedBy, Record};
use crate::domain::call_result::{CallResult, CancelReason, NetworkEnd, Verdict, of_unanswered};
use crate::domain::ids::{AgentId, AttemptId, CampaignId, LegId};
use crate::domain::time::Now;

use super::agent_run::AgentLeg;
use super::attempt_run::{SETUP_MAX, Stage};
use super::engine::Engine;
use super::input::{INTENT_AGE_MAX, LegEnd, LegEvent};
use super::output::{Fact, Output};

impl Engine {
    pub(super) fn leg_event(&mut self, now: Now, leg: LegId, event: LegEvent) {
        if let Some(agent) = self.agent_legs.get(&leg).copied() {
            self.agent_leg_event(now, agent, leg, event);
            return;
        }
        let attempt = AttemptId::from_uuid(leg.as_uuid());
        if self.attempts.contains_key(&attempt) {
            self.customer_leg_event(now, attempt, event);
        }
        // Else a leg that is over on our side: an agent's old phone, or a call that was written off.
    }

    fn agent_leg_event(&mut self, now: Now, agent: AgentId, leg: LegId, event: LegEvent) {
        let Some(run) = self.agents.get_mut(&agent) else { return };
        let present = match run.leg {
            AgentLeg::Calling { leg: own } | AgentLeg::Up { leg: own, .. } => own == leg,
            AgentLeg::None | AgentLeg::Lost { .. } => false,
        };
        match event {
            LegEvent::Ringing | LegEvent::Played => {}
            LegEvent::Answered if present => {
                run.leg = AgentLeg::Up { leg, stale_since: Some(now.mono) };
            }
            // Answered after the agent had logged out or the leg was given up.
            LegEvent::Answered => self.out(Output::HangUp(leg)),
            LegEvent::MediaFresh if present && run.leg_up().is_some() => {
                run.leg = AgentLeg::Up { leg, stale_since: None };
                self.phone_audible(now, agent);
            }
            LegEvent::MediaStale if present => {
                run.leg = AgentLeg::Up { leg, stale_since: Some(now.mono) };
                self.phone_lost(now, agent, false);
            }
            LegEvent::MediaFresh | LegEvent::MediaStale => {}
            LegEvent::Failed(_) | LegEvent::Ended(_) => {
                self.agent_legs.remove(&leg);
                if present {
                    self.phone_lost(now, agent, true);
                }
            }
        }
    }

    fn customer_leg_event(&mut self, now: Now, attempt: AttemptId, event: LegEvent) {
        match event {
            LegEvent::Ringing => self.customer_rings(now, attempt),
            LegEvent::Answered => self.customer_answered(now, attempt),
            LegEvent::Failed(end) => self.customer_failed(now, attempt, end),
            LegEvent::Ended(how) => self.customer_ended(now, attempt, how),
            LegEvent::Played => self.message_played(now, attempt),
            // A silent customer is a customer: their network may suppress silence.
            LegEvent::MediaFresh | LegEvent::MediaStale => {}
        }
    }

    fn customer_rings(&mut self, now: Now, attempt: AttemptId) {
        let Some(run) = self.attempts.get_mut(&attempt) else { return };
        run.ringing_seen = true;
        if let Stage::Dialling { ringing_since: None, .. } = run.stage {
            run.times.ringing = Some(now.utc);
            let cancel_at = now.mono + run.ring;
            run.enter(Stage::Dialling { cancel_at, ringing_since: Some(now.mono) }, now);
        }
    }

    fn customer_answered(&mut self, now: Now, attempt: AttemptId) {
        let latest = self.clock.latest();
        let Some(run) = self.attempts.get_mut(&attempt) else { return };
        run.answered_for_rules = run.answered_for_rules.or(Some(latest));
        match run.stage {
            Stage::Dialling { .. } => {
                run.times.answered = Some(now.utc);
                run.enter(Stage::Listening { answered: now.mono }, now);
                let key = run.key();
                self.out(Output::Record(Record::Answered { key, at: now.utc }));
                self.out(Output::Listen(attempt.leg()));
            }
            // The SIP floor ends an answer that crosses a CANCEL by itself and says so at its end.
            Stage::Cancelling { .. } => run.times.answered = Some(now.utc),
            Stage::Intending { .. }
            | Stage::Listening { .. }
            | Stage::Waiting { .. }
            | Stage::Talking { .. }
            | Stage::Message
            | Stage::Ending { .. } => {
                self.fact(Fact::OutOfOrder("answered twice".to_owned()));
            }
        }
    }

    fn customer_failed(&mut self, now: Now, attempt: AttemptId, end: NetworkEnd) {
        let Some(run) = self.attempts.get_mut(&attempt) else { return };
        if run.times.answered.is_some() && run.cancelled.is_none() {
            self.fact(Fact::OutOfOrder("failed after it was answered".to_owned()));
            self.customer_ended(now, attempt, LegEnd::Silent);
            return;
        }
        let result = of_unanswered(&end, run.ringing_seen, run.cancelled);
        let campaign = run.key().campaign;
        if let Some(run) = self.campaigns.get_mut(&campaign) {
            run.statistics.unanswered();
        }
        self.finish(now, attempt, result, Some(end), None);
    }

    fn customer_ended(&mut self, now: Now, attempt: AttemptId, how: LegEnd) {
        let Some(run) = self.attempts.get_mut(&attempt) else { return };
        let by = match how {
            LegEnd::Remote => EndedBy::Customer,
            LegEnd::Local | LegEnd::CrossedCancel => EndedBy::Dialer,
            LegEnd::Both => EndedBy::Both,
            LegEnd::Silent => EndedBy::Unknown,
        };
        match run.stage {
            Stage::Talking { agent } => {
                self.finish(now, attempt, CallResult::Connected, None, Some(by));
                self.part(now, agent, attempt);
            }
            Stage::Ending { result, by: ours } => {
                let by = if how == LegEnd::Local { ours } else { by };
                self.finish(now, attempt, result, None, Some(by));
            }
            Stage::Message => {
                self.finish(now, attempt, CallResult::AbandonedToMessage, None, Some(by));
            }
            Stage::Waiting { .. } => {
                self.finish(now, attempt, CallResult::CustomerHungUp, None, Some(by));
            }
            Stage::Listening { .. } => {
                // Hung up before a verdict: every answer counts as a person, so this one does.
                self.count_live_answer(now, attempt);
                self.finish(now, attempt, CallResult::CustomerHungUp, None, Some(by));
            }
            Stage::Cancelling { .. } | Stage::Dialling { .. } | Stage::Intending { .. } => {
                // An answer that crossed our CANCEL: a person picked up and nobody was there.
                run.times.answered = run.times.answered.or(Some(now.utc));
                self.count_live_answer(now, attempt);
                self.count_abandoned(attempt, true);
                self.finish(now, attempt, CallResult::Abandoned, None, Some(by));
            }
        }
    }

    pub(super) fn heard(&mut self, now: Now, leg: LegId, verdict: Verdict) {
        let attempt = AttemptId::from_uuid(leg.as_uuid());
        let Some(run) = self.attempts.get_mut(&attempt) else { return };
        let Stage::Listening { answered } = run.stage else { return };
        if let Some(result) = verdict.ends_call() {
            let campaign = run.key().campaign;
            run.enter(Stage::Ending { result, by: EndedBy::Dialer }, now);
            self.out(Output::HangUp(leg));
            if let Some(run) = self.campaigns.get_mut(&campaign) {
                run.statistics.unanswered();
            }
            return;
        }
        let wait = self
            .campaigns
            .get(&run.key().campaign)
            .map(|campaign| campaign.rules.abandon_limit.wait())
            .unwrap_or_default();
        run.enter(Stage::Waiting { answered, until: answered + wait }, now);
        self.count_live_answer(now, attempt);
    }

    pub(super) fn intended(&mut self, now: Now, attempt: AttemptId) {
        let Some(run) = self.attempts.get_mut(&attempt) else { return };
        let Stage::Intending { withdrawn } = run.stage else {
            self.fact(Fact::OutOfOrder("intended twice".to_owned()));
            return;
        };
        let campaign = run.key().campaign;
        if withdrawn {
            run.cancelled = Some(CancelReason::Stopped);
            self.finish(now, attempt, CallResult::CancelledByDialer, None, None);
            return;
        }
        if now.mono.since(run.intended_at) > INTENT_AGE_MAX {
            self.fact(Fact::IntentExpired(campaign));
            self.finish(now, attempt, CallResult::NotDialled, None, None);
            return;
        }
        run.times.dialled = Some(now.utc);
        run.dialled = Some(now.mono);
        let cancel_at = now.mono + run.ring + SETUP_MAX;
        run.enter(Stage::Dialling { cancel_at, ringing_since: None }, now);
        let (trunk, caller_id) = (run.intent.trunk, run.intent.caller_id);
        self.out(Output::Dial { attempt, trunk, caller_id });
    }

    /// Cancels a call that was not answered yet.
    pub(super) fn cancel(&mut self, now: Now, attempt: AttemptId, why: CancelReason) {
        let Some(run) = self.attempts.get_mut(&attempt) else { return };
        match run.stage {
            Stage::Intending { .. } => run.enter(Stage::Intending { withdrawn: true }, now),
            Stage::Dialling { .. } => {
                run.cancelled = Some(why);
                run.enter(Stage::Cancelling { why }, now);
                self.out(Output::Cancel(attempt.leg(), why));
            }
            Stage::Cancelling { .. }
            | Stage::Listening { .. }
            | Stage::Waiting { .. }
            | Stage::Talking { .. }
            | Stage::Message
            | Stage::Ending { .. } => {}
        }
    }

    pub(super) fn cancel_unanswered(&mut self, now: Now, campaign: Option<CampaignId>) {
        let of: Vec<AttemptId> = self
            .attempts
            .values()
            .filter(|run| campaign.is_none_or(|id| run.key().campaign == id))
            .map(|run| run.key().attempt)
            .collect();
        for attempt in of {
            self.cancel(now, attempt, CancelReason::Stopped);
        }
    }

    /// The agent who waited for a previewed call is gone. Unanswered, it is cancelled.
    pub(super) fn withdraw_agent(&mut self, now: Now, attempt: AttemptId) {
        if let Some(run) = self.attempts.get_mut(&attempt) {
            run.agent = None;
        }
        self.cancel(now, attempt, CancelReason::AgentGone);
    }

    pub(super) fn hang_up_by_manager(&mut self, now: Now, attempt: AttemptId) {
        self.cancel(now, attempt, CancelReason::Stopped);
        self.end_answered(now, attempt);
    }

    pub(super) fn hang_up_everyone(&mut self, now: Now) {
        let all: Vec<AttemptId> = self.attempts.keys().copied().collect();
        for attempt in all {
            self.end_answered(now, attempt);
        }
    }

    fn end_answered(&mut self, now: Now, attempt: AttemptId) {
        let Some(run) = self.attempts.get_mut(&attempt) else { return };
        let result = match run.stage {
            Stage::Talking { agent } => {
                let ending = Stage::Ending { result: CallResult::Connected, by: EndedBy::Dialer };
                run.enter(ending, now);
                self.out(Output::HangUp(attempt.leg()));
                self.part(now, agent, attempt);
                return;
            }
            Stage::Message => CallResult::AbandonedToMessage,
            Stage::Listening { .. } => {
                self.count_live_answer(now, attempt);
                self.count_abandoned(attempt, true);
                CallResult::Abandoned
            }
            Stage::Waiting { .. } => {
                self.count_abandoned(attempt, true);
                CallResult::Abandoned
            }
            Stage::Intending { .. }
            | Stage::Dialling { .. }
            | Stage::Cancelling { .. }
            | Stage::Ending { .. } => return,
        };
        if let Some(run) = self.attempts.get_mut(&attempt) {
            run.enter(Stage::Ending { result, by: EndedBy::Dialer }, now);
            self.out(Output::HangUp(attempt.leg()));
        }
    }

    fn message_played(&mut self, now: Now, attempt: AttemptId) {
        let Some(run) = self.attempts.get_mut(&attempt) else { return };
        if run.stage == Stage::Message {
            let result = CallResult::AbandonedToMessage;
            run.enter(Stage::Ending { result, by: EndedBy::Dialer }, now);
            self.out(Output::HangUp(attempt.leg()));
        }
    }

    pub(super) fn attempt_deadlines(&mut self, now: Now) {
        let due: Vec<(AttemptId, Stage)> = self
            .attempts
            .iter()
            .filter(|(_, run)| run.deadline().is_some_and(|at| at <= now.mono))
            .map(|(id, run)| (*id, run.stage))
            .collect();
        for (attempt, stage) in due {
            match stage {
                Stage::Dialling { .. } => self.cancel(now, attempt, CancelReason::RingTimeout),
                Stage::Waiting { .. } => self.abandon(now, attempt),
                // Another floor owes an end that has not come: we do not wait for ever.
                Stage::Message => {
                    self.fact(Fact::OutOfOrder("a message without an end".to_owned()));
                    self.message_played(now, attempt);
                }
                Stage::Cancelling { .. } => {
                    self.fact(Fact::OutOfOrder("a CANCEL without an end".to_owned()));
                    self.customer_failed(now, attempt, NetworkEnd::default());
                }
                Stage::Ending { .. } => {
                    self.fact(Fact::OutOfOrder("a BYE without an end".to_owned()));
                    self.customer_ended(now, attempt, LegEnd::Silent);
                }
                Stage::Intending { .. } | Stage::Listening { .. } | Stage::Talking { .. } => {}
            }
        }
    }
}
