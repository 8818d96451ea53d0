//! The end of attempts: exactly one record for each, with what becomes of the contact.

use crate::domain::attempt::{
    AttemptEnd, AttemptKey, DispositionRecord, EndedBy, Evidence, Record, Times,
};
use crate::domain::call_result::{CallResult, NetworkEnd};
use crate::domain::contact::ReadyRecord;
use crate::domain::ids::{AgentId, AttemptId, CampaignId};
use crate::domain::retry::ContactNext;
use crate::domain::time::{Now, Utc};

use super::engine::Engine;
use super::output::Output;

impl Engine {
    /// Ends an attempt and forgets it.
    pub(super) fn finish(
        &mut self,
        now: Now,
        attempt: AttemptId,
        result: CallResult,
        network: Option<NetworkEnd>,
        by: Option<EndedBy>,
    ) {
        let event = self.event_id(now);
        let Some(mut run) = self.attempts.remove(&attempt) else { return };
        // Closes the account of the ringing.
        run.enter(run.stage, now);
        let campaign = run.key().campaign;
        let next = self.contact_next(campaign, result, run.record.attempts, now.utc);
        self.doubt_rest(campaign);
        let end = run.end(result, next, network, by, event, now);
        self.out(Output::Record(Record::Ended(Box::new(end))));
        if let Some(disposition) = run.disposition.take() {
            self.out(Output::Record(Record::Disposition(disposition)));
        }
        self.count_result(campaign, result);
        if let Some(agent) = run.agent {
            self.free_dialling_agent(now, agent, attempt);
        }
    }

    /// A preview that did not lead to a call: an attempt without one.
    pub(super) fn record_skipped(
        &mut self,
        now: Now,
        agent: AgentId,
        campaign: CampaignId,
        record: ReadyRecord,
        result: CallResult,
    ) {
        let key = AttemptKey {
            attempt: AttemptId::from_uuid(self.dice.uuid(now.utc)),
            campaign,
            contact: record.contact,
            person: record.person,
            number: record.number,
        };
        let end = AttemptEnd {
            key,
            result,
            evidence: Evidence::default(),
            times: Times { intent: now.utc, ended: Some(now.utc), ..Times::default() },
            agent: Some(agent),
            answer_to_agent_us: None,
            next: self.contact_next(campaign, result, record.attempts, now.utc),
            count: None,
            event: self.event_id(now),
        };
        self.doubt_rest(campaign);
        self.out(Output::Record(Record::Skipped(Box::new(end))));
        self.count_result(campaign, result);
    }

    /// A disposition is written after the end of its attempt, though it may be given before.
    pub(super) fn record_disposition(&mut self, record: DispositionRecord) {
        self.doubt_rest(record.key.campaign);
        match self.attempts.get_mut(&record.key.attempt) {
            Some(run) => run.disposition = Some(record),
            None => self.out(Output::Record(Record::Disposition(record))),
        }
    }

    /// What ended may be tried again, so the campaign is not finished before the store says so.
    fn doubt_rest(&mut self, campaign: CampaignId) {
        if let Some(run) = self.campaigns.get_mut(&campaign) {
            run.hopper.doubt();
        }
    }

    fn contact_next(
        &self,
        campaign: CampaignId,
        result: CallResult,
        attempts_before: u32,
        at: Utc,
    ) -> ContactNext {
        let attempts = attempts_before + u32::from(result.row().is_attempt);
        self.campaigns.get(&campaign).map_or(ContactNext::Closed, |run| {
            run.rules.retry.next(result, attempts, run.rules.attempts_max, at)
        })
    }
}
