//! Carrying out what the engine asks for, and taking in what SIP tells. Ids become numbers and
//! addresses here, and nowhere before.

use std::collections::VecDeque;
use std::sync::Arc;

use super::dial_plan;
use super::driver::{Driver, Later};
use super::recovery::Orphaned;
use crate::adapters::media::LegRole;
use crate::adapters::store::contacts::ContactCard;
use crate::adapters::store::recovery::AgentLeg;
use crate::adapters::store::writer::{Write, WriterFull};
use crate::adapters::telemetry::metrics;
use crate::domain::attempt::Record;
use crate::domain::call_result::{CancelReason, NetworkEnd, StatusMeaning, Verdict};
use crate::domain::ids::{AgentId, AttemptId, CampaignId, LegId, TrunkId};
use crate::domain::time::{Now, Utc};
use crate::engine::input::{Input, LegEnd, LegEvent, Rest};
use crate::engine::output::{AgentNews, Fact, Output};
use crate::protocols::sdp;
use crate::protocols::sip;
use crate::protocols::sip::profile::StatusMeaning as ProfileMeaning;

impl Driver {
    pub(super) fn carry_out(&mut self, now: Now, output: Output, inputs: &mut VecDeque<Input>) {
        match output {
            Output::Refill { campaign, after, limit } => {
                let at = now.utc;
                self.read(move |db| async move {
                    // The engine waits for an answer: without one it would never ask again.
                    let read = db.ready_records(campaign, after, limit, at).await;
                    let (records, rest) = read.unwrap_or_else(|error| {
                        tracing::error!(campaign.id = %campaign, %error, "cannot read records");
                        (Vec::new(), Rest::Later(None))
                    });
                    Ok(vec![Later::Records { campaign, records, rest }])
                });
            }
            Output::Defer { campaign, contact, until } => {
                self.write(Write::Defer { campaign, contact, until });
            }
            Output::Intend(intent) => {
                let local = self.sip.advertised.to_string();
                self.intents.insert(intent.key.attempt, (intent.key.campaign, intent.trunk));
                self.write(Write::Intent(intent, local));
            }
            Output::Dial { attempt, trunk, caller_id } => {
                if let Err(end) = self.dial(attempt, trunk, caller_id) {
                    inputs.push_back(Input::Leg(attempt.leg(), LegEvent::Failed(end)));
                }
            }
            Output::Cancel(leg, why) => {
                let reason = match why {
                    CancelReason::RingTimeout => sip::ReasonValue::RingTimeout,
                    CancelReason::Stopped => sip::ReasonValue::NotNeeded,
                    CancelReason::AgentGone => sip::ReasonValue::AgentLost,
                };
                self.command(sip::Command::Cancel { leg, reason });
            }
            Output::HangUp(leg) => {
                let reason = sip::ReasonValue::NormalClearing;
                self.command(sip::Command::Bye { leg, reason });
            }
            // Nobody listens yet: every answer is taken for a person, at once.
            Output::Listen(leg) if self.unusable.remove(&leg) => {
                inputs.push_back(Input::HangUp(AttemptId::from_uuid(leg.as_uuid())));
            }
            Output::Listen(leg) => inputs.push_back(Input::Heard(leg, Verdict::NotListened)),
            Output::CallAgent(agent, leg) => {
                if let Err(why) = self.call_agent(agent, leg) {
                    tracing::warn!(agent.id = %agent, why, "cannot call the agent's phone");
                    let end = NetworkEnd { transport_failed: true, ..NetworkEnd::default() };
                    inputs.push_back(Input::Leg(leg, LegEvent::Failed(end)));
                }
            }
            Output::Bridge { customer, agent } => self.media.bridge(customer, agent),
            Output::Unbridge(leg) => self.media.unbridge(leg),
            Output::PlayAbandonMessage(leg, campaign) => {
                let message = self
                    .book
                    .campaign(campaign)
                    .map(|row| row.settings.abandon_message.clone())
                    .unwrap_or_default();
                self.media.play(leg, &message);
            }
            Output::Record(record) => self.record(record),
            Output::ToAgent(agent, news) => self.agent_news(agent, news, now.utc),
            Output::Fact(fact) => self.fact(fact),
        }
    }

    /// Queues a write; nothing that has become true is lost to a full queue.
    pub(super) fn write(&mut self, write: Write) {
        if !self.writes.is_empty() {
            self.writes.push_back(write);
        } else if let Err(WriterFull(write)) = self.writer.send(write) {
            self.writes.push_back(*write);
        }
    }

    /// Queues a SIP command in order.
    pub(super) fn command(&mut self, command: sip::Command) {
        let now = self.clock.mono();
        if !self.commands.is_empty() {
            self.commands.push_back((now, command));
        } else if let Err(error) = self.sip.commands.try_send(command) {
            self.commands.push_back((now, error.into_inner()));
        }
    }

    fn dial(
        &mut self,
        attempt: AttemptId,
        trunk: TrunkId,
        caller_id: u32,
    ) -> Result<(), NetworkEnd> {
        let failed = |phrase: &str| NetworkEnd {
            transport_failed: true,
            phrase: phrase.to_owned(),
            ..NetworkEnd::default()
        };
        let call = self.calls.get(&attempt).ok_or_else(|| failed("the intent is not known"))?;
        let number = call.number;
        let trunk = self.book.trunk(trunk).ok_or_else(|| failed("the trunk is not known"))?.clone();
        let leg = attempt.leg();
        let media =
            self.media.open(leg, LegRole::Customer).map_err(|error| failed(&error.to_string()))?;
        let offer = dial_plan::offer(leg, media);
        let invite = trunk.invite(leg, number, caller_id, self.sip.advertised, offer);
        tracing::debug!(attempt.id = %attempt, trunk = %trunk.settings.name, "dialling");
        self.command(sip::Command::Invite(invite));
        Ok(())
    }

    fn call_agent(&mut self, agent: AgentId, leg: LegId) -> Result<(), String> {
        let row = self.book.agent(agent).ok_or("the agent is not known")?;
        let phone = row.settings.phone.clone();
        let media = self.media.open(leg, LegRole::Agent).map_err(|error| error.to_string())?;
        let offer = dial_plan::offer(leg, media);
        let invite = dial_plan::invite_phone(leg, &phone, self.sip.advertised, offer)
            .inspect_err(|_| self.media.close(leg))
            .map_err(|error| error.to_string())?;
        let orphan = invite.orphan(self.sip.advertised);
        self.agent_legs.insert(leg, (agent, orphan.clone()));
        self.write_agent_leg(leg, agent, &orphan);
        self.command(sip::Command::Invite(invite));
        Ok(())
    }

    /// Written before it is answered: a restart ends the leg whether it rings or talks.
    fn write_agent_leg(&mut self, leg: LegId, agent: AgentId, orphan: &sip::Orphan) {
        match serde_json::to_string(orphan) {
            Ok(dialog) => self.write(Write::AgentLeg(AgentLeg { leg, agent, dialog })),
            Err(error) => tracing::error!(%error, "an agent's leg cannot be written down"),
        }
    }

    fn record(&mut self, record: Record) {
        let dialog = match &record {
            Record::Answered { key, .. } => {
                self.calls.get(&key.attempt).and_then(|call| call.dialog.clone())
            }
            Record::Ended(end) => {
                let attempt = end.key.attempt;
                self.calls.remove(&attempt);
                self.views.call_ended(attempt);
                self.media.close(attempt.leg());
                tracing::debug!(
                    attempt.id = %attempt,
                    campaign.id = %end.key.campaign,
                    result = end.result.code(),
                    "attempt ended"
                );
                None
            }
            Record::Connected { .. }
            | Record::Skipped(_)
            | Record::Disposition(_)
            | Record::CampaignFinished { .. } => None,
        };
        let disposed = match &record {
            Record::Disposition(disposition) => Some(disposition.key.attempt),
            _ => None,
        };
        self.write(Write::Record(record, dialog));
        if let Some(attempt) = disposed {
            self.recorded = Some(attempt);
            if let Some(answer) = self.dispositions.remove(&attempt) {
                self.when_written(answer);
            }
        }
    }

    fn agent_news(&mut self, agent: AgentId, news: AgentNews, now: Utc) {
        let card = match &news {
            AgentNews::Connected(key) => {
                self.calls.get(&key.attempt).map(|call| call.card.as_ref().clone())
            }
            AgentNews::Preview { campaign, contact, until } => {
                let (campaign, contact, until) = (*campaign, *contact, *until);
                self.read(move |db| async move {
                    let card = db.contact_card(contact).await?;
                    Ok(card
                        .map(|card| Later::Preview { agent, campaign, card: Box::new(card), until })
                        .into_iter()
                        .collect())
                });
                return;
            }
            AgentNews::Refused(why) => {
                self.refusal = Some((agent, *why));
                None
            }
            AgentNews::State { .. } | AgentNews::CallEnded(_) => None,
        };
        let name = self.book.agent(agent).map(|row| row.settings.name.clone()).unwrap_or_default();
        self.views.agent_news(agent, &name, &news, card, now);
        self.views_changed = true;
    }

    /// The previewed record has been read: it goes onto the page.
    pub(super) fn show_preview(
        &mut self,
        agent: AgentId,
        campaign: CampaignId,
        card: &ContactCard,
        until: Option<Utc>,
    ) {
        let name = self.book.agent(agent).map(|row| row.settings.name.clone()).unwrap_or_default();
        let news = AgentNews::Preview { campaign, contact: card.contact, until };
        let view = self.book.card(campaign, card);
        self.views.agent_news(agent, &name, &news, Some(view), self.clock.utc());
        self.views_changed = true;
    }

    fn fact(&mut self, fact: Fact) {
        metrics::fact(&fact);
        match fact {
            Fact::AnswerToAgent(campaign, micros) => self.views.answer_to_agent(campaign, micros),
            Fact::ClockStepped(ms) => {
                tracing::warn!(ms, "the wall clock jumped: dialling waits for the rules");
                self.check_rules();
            }
            Fact::IntentRefused(campaign, why) => {
                tracing::debug!(campaign.id = %campaign, ?why, "intent refused");
            }
            Fact::IntentExpired(campaign) => {
                tracing::warn!(campaign.id = %campaign, "an intent came back too late to be dialled");
            }
            Fact::AgentVanished(agent) => {
                tracing::warn!(agent.id = %agent, "an agent who was relied upon is gone");
            }
            Fact::CampaignFinished(campaign) => {
                tracing::info!(campaign.id = %campaign, "campaign finished: its lists are used up");
            }
            Fact::OutOfOrder(what) => tracing::error!(what, "an input did not fit"),
            Fact::AttemptEnded(..) | Fact::HeldBack(_) => {}
        }
    }

    pub(super) fn sip_event(&mut self, event: sip::Event) {
        match event {
            sip::Event::Progress { leg, status, .. } => {
                if self.rings(leg, status) {
                    self.feed(Input::Leg(leg, LegEvent::Ringing));
                }
            }
            sip::Event::Answered { leg, sdp, dialog } => self.answered(leg, &sdp, &dialog),
            sip::Event::Failed { leg, failure } => {
                if let Some((agent, _)) = self.agent_legs.get(&leg) {
                    let status = failure.status;
                    tracing::warn!(agent.id = %agent, ?status, "the agent's phone was not reached");
                }
                let end = self.network_end(leg, failure);
                self.leg_over(leg);
                self.feed(Input::Leg(leg, LegEvent::Failed(end)));
            }
            sip::Event::Ended { leg, by, .. } => {
                let how = match by {
                    sip::EndedBy::Them => LegEnd::Remote,
                    sip::EndedBy::Us => LegEnd::Local,
                    sip::EndedBy::CancelCrossedAnswer => LegEnd::CrossedCancel,
                    sip::EndedBy::Lost => LegEnd::Silent,
                };
                self.leg_over(leg);
                self.feed(Input::Leg(leg, LegEvent::Ended(how)));
            }
            sip::Event::OptionsAnswered { id, status } => self.trunk_checked(id, status),
            sip::Event::OrphanEnded { leg, how } => {
                self.orphan_ended(leg, how);
            }
            sip::Event::Counted(counter) => {
                metrics::sip_event(counter.name());
            }
        }
    }

    /// A leg of the last run is ended: what that shows is noted.
    fn orphan_ended(&mut self, leg: LegId, how: sip::OrphanEnd) {
        let Some(orphan) = self.orphans.remove(&leg) else { return };
        tracing::info!(call.leg = %leg, ?how, "a leg of the last run is ended");
        let Orphaned::Call { campaign, window_start, answered, remembered } = orphan else {
            self.write(Write::AgentLegGone(leg));
            return;
        };
        let how = Orphaned::shown(remembered, how);
        if how.shows_no_answer() && !answered {
            self.feed(Input::LostNotAnswered { campaign, window_start });
        }
        let attempt = AttemptId::from_uuid(leg.as_uuid());
        self.write(Write::OrphanEnded { campaign, attempt, how });
    }

    fn rings(&self, leg: LegId, status: u16) -> bool {
        let call = self.calls.get(&AttemptId::from_uuid(leg.as_uuid()));
        let trunk = call.and_then(|call| self.book.trunk(call.trunk));
        trunk.map_or(status == 180, |trunk| trunk.profile.rings(status))
    }

    fn answered(&mut self, leg: LegId, answer: &[u8], dialog: &sip::DialogState) {
        let media = match sdp::read_answer(answer) {
            Ok(media) => Some(media),
            Err(error) => {
                tracing::warn!(call.leg = %leg, %error, "the answer describes no media we can use");
                None
            }
        };
        match media {
            Some(media) => self.media.connect(leg, media),
            // An agent who cannot be heard is no agent; a person who picked up was abandoned.
            None if self.agent_legs.contains_key(&leg) => {
                let reason = sip::ReasonValue::NormalClearing;
                self.command(sip::Command::Bye { leg, reason });
                self.feed(Input::Leg(leg, LegEvent::Failed(NetworkEnd::default())));
                return;
            }
            None => {
                self.unusable.insert(leg);
            }
        }
        if let Some((agent, orphan)) = self.agent_legs.get_mut(&leg) {
            orphan.dialog = Some(dialog.clone());
            let (agent, orphan) = (*agent, orphan.clone());
            self.write_agent_leg(leg, agent, &orphan);
        } else if let Some(call) = self.calls.get_mut(&AttemptId::from_uuid(leg.as_uuid())) {
            // Plain data: writing it as JSON does not fail.
            call.dialog = serde_json::to_string(dialog).ok();
        }
        self.feed(Input::Leg(leg, LegEvent::Answered));
    }

    /// An agent's leg is over: its media and its mark in the store go. A customer's go with the
    /// record of its end.
    fn leg_over(&mut self, leg: LegId) {
        if self.agent_legs.remove(&leg).is_some() {
            self.media.close(leg);
            self.write(Write::AgentLegGone(leg));
        }
    }

    fn network_end(&self, leg: LegId, failure: sip::Failure) -> NetworkEnd {
        let call = self.calls.get(&AttemptId::from_uuid(leg.as_uuid()));
        let profile =
            call.and_then(|call| self.book.trunk(call.trunk)).map(|t| Arc::clone(&t.profile));
        let means = failure
            .status
            .and_then(|status| profile.and_then(|profile| profile.meaning(status)))
            .map(|meaning| match meaning {
                ProfileMeaning::Busy => StatusMeaning::Busy,
                ProfileMeaning::NoAnswer => StatusMeaning::NoAnswer,
                ProfileMeaning::NoSuchNumber => StatusMeaning::NoSuchNumber,
                ProfileMeaning::Declined => StatusMeaning::Declined,
                ProfileMeaning::Congestion => StatusMeaning::Congestion,
                ProfileMeaning::Blocked => StatusMeaning::Blocked,
            });
        NetworkEnd {
            status: failure.status,
            phrase: without_numbers(&failure.phrase),
            q850: failure.q850,
            reason_text: failure
                .reason_protocol
                .as_deref()
                .and_then(reason_text)
                .map(|text| without_numbers(&text)),
            retry_after_s: failure.retry_after_s,
            transport_failed: matches!(
                failure.kind,
                sip::FailureKind::TransportError | sip::FailureKind::NotSent
            ),
            means,
        }
    }
}

/// What a carrier writes goes into the run log and the evidence: runs of five digits or more, which
/// may be somebody's number, are blotted out.
fn without_numbers(text: &str) -> String {
    let mut blotted = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, digits) = rest.split_at(at);
        let run = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        let (run, after) = digits.split_at(run);
        blotted.push_str(before);
        blotted.push_str(if run.len() < 5 { run } else { "…" });
        rest = after;
    }
    blotted + rest
}

/// The text parameter of a Reason header (RFC 3326 §2), without its quotes.
fn reason_text(reason: &str) -> Option<String> {
    let (_, rest) = reason.split_once("text=")?;
    let rest = rest.trim_start();
    let text = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => rest.split([';', ',']).next()?,
    };
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_a_carriers_words_are_blotted_out() {
        assert_eq!(without_numbers("+12125550100 not found"), "+… not found");
        assert_eq!(without_numbers("cause 486, 20 s"), "cause 486, 20 s");
        assert_eq!(without_numbers(""), "");
    }

    #[test]
    fn the_text_of_a_reason_header_is_read_with_and_without_quotes() {
        let read = |text: &str| reason_text(text);
        let blocked = "SIP;cause=603;text=\"v=analytics1;url=https://x.example\"";
        assert_eq!(read(blocked), Some("v=analytics1;url=https://x.example".into()));
        assert_eq!(read("Q.850;cause=17;text=busy;x=1"), Some("busy".into()));
        assert_eq!(read("Q.850;cause=17"), None);
    }
}
