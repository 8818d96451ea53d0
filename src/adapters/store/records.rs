//! Facts of an attempt, each applied once however often it is written: the answer, the agent put
//! through, the end, the disposition.

use crate::adapters::crm::payload::{self, Subject};
use crate::domain::attempt::{AttemptEnd, AttemptKey, DispositionRecord, Record};
use crate::domain::campaign::CampaignState;
use crate::domain::disposition::NextAction;
use crate::domain::ids::{AgentId, CrmEventId};
use crate::domain::retry::ContactNext;
use crate::domain::time::Utc;

use super::attempts::{self, CallFacts};
use super::campaigns;
use super::contacts;
use super::crm_outbox;
use super::db::Tx;
use super::dnc::{self, DncScope, NewDnc};
use super::error::{StoreError, corrupt};
use super::ready_queue::{self, Place};
use super::tally::Sums;

/// What a record is written with.
pub(crate) struct Ink<'a> {
    /// Which installation CRM events speak for.
    pub(crate) instance: &'a str,
    /// Sums gathered by the batch.
    pub(crate) sums: &'a mut Sums,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applied {
    /// It is written, or was before.
    Done,
    /// The attempt was settled by another run meanwhile (its result is `lost`).
    Late,
}

/// Writes one fact.
pub(crate) async fn apply(
    tx: &mut Tx,
    record: &Record,
    dialog: Option<&str>,
    ink: &mut Ink<'_>,
) -> Result<Applied, StoreError> {
    match record {
        Record::Answered { key, at } => answered(tx, *key, *at, dialog).await,
        Record::Connected { key, agent, at, event } => {
            connected(tx, *key, *agent, *at, *event, ink).await
        }
        Record::Ended(end) => ended(tx, end, ink).await,
        Record::Skipped(end) => skipped(tx, end, ink).await,
        Record::Disposition(record) => disposition(tx, record, ink).await,
        Record::CampaignFinished { campaign, at } => {
            let state = CampaignState::Finished;
            campaigns::write_state(tx, *campaign, state, "program", *at).await?;
            Ok(Applied::Done)
        }
    }
}

async fn answered(
    tx: &mut Tx,
    key: AttemptKey,
    at: Utc,
    dialog: Option<&str>,
) -> Result<Applied, StoreError> {
    const SQL: &str = "UPDATE live_call SET answered_ms = $3, dialog = COALESCE($4, dialog) \
                       WHERE campaign = $1 AND attempt = $2";
    let found = on_tx!(tx, conn => {
        sqlx::query(SQL).bind(key.campaign.get()).bind(key.attempt.as_uuid()).bind(at.as_ms())
            .bind(dialog).execute(conn).await?.rows_affected()
    });
    Ok(if found == 1 { Applied::Done } else { Applied::Late })
}

async fn connected(
    tx: &mut Tx,
    key: AttemptKey,
    agent: AgentId,
    at: Utc,
    event: CrmEventId,
    ink: &mut Ink<'_>,
) -> Result<Applied, StoreError> {
    const SQL: &str = "UPDATE live_call SET connected_ms = $3, agent = $4 \
                       WHERE campaign = $1 AND attempt = $2 AND connected_ms IS NULL";
    let found = on_tx!(&mut *tx, conn => {
        sqlx::query(SQL).bind(key.campaign.get()).bind(key.attempt.as_uuid()).bind(at.as_ms())
            .bind(agent.get()).execute(conn).await?.rows_affected()
    });
    if found == 0 {
        return Ok(Applied::Late);
    }
    let event =
        compose(tx, key, ink.instance, |subject| payload::screen_pop(subject, event, agent, at))
            .await?;
    crm_outbox::push(tx, key, &event, at, ink.sums).await?;
    Ok(Applied::Done)
}

/// The end of a call that had an intent.
pub(crate) async fn ended(
    tx: &mut Tx,
    end: &AttemptEnd,
    ink: &mut Ink<'_>,
) -> Result<Applied, StoreError> {
    let Some(call) = attempts::take_live_call(tx, end.key).await? else {
        return Ok(Applied::Late);
    };
    settle(tx, end, &call, ink).await
}

/// A preview that was not dialled: the record leaves the queue without a call.
async fn skipped(tx: &mut Tx, end: &AttemptEnd, ink: &mut Ink<'_>) -> Result<Applied, StoreError> {
    let call = attempts::no_call(tx, end.key).await?;
    settle(tx, end, &call, ink).await
}

async fn settle(
    tx: &mut Tx,
    end: &AttemptEnd,
    call: &CallFacts,
    ink: &mut Ink<'_>,
) -> Result<Applied, StoreError> {
    const SQL: &str = "UPDATE campaign_contact SET attempts = attempts + $3, last_result = $4 \
                       WHERE campaign = $1 AND contact = $2";
    if !attempts::insert(tx, end, call).await? {
        return Ok(Applied::Late);
    }
    let key = end.key;
    let row = end.result.row();
    on_tx!(&mut *tx, conn => {
        sqlx::query(SQL).bind(key.campaign.get()).bind(key.contact.get())
            .bind(i64::from(row.is_attempt)).bind(row.code).execute(conn).await?;
    });
    if let Some(standing) = ready_queue::standing(tx, key.campaign, key.contact).await? {
        // Without a call of its own (a skipped preview) it must not move a contact in the air.
        if call.is_live || standing.state == "ready" {
            let to = place_of(end.next, false);
            ready_queue::place(tx, key.campaign, key.contact, &standing, to, ink.sums).await?;
        }
    }
    ink.sums.add(key.campaign, format!("result.{}", row.code), 1);
    if let Some(count) = &end.count {
        ink.sums.count(key.campaign, count, 1);
    }
    let at = end.times.ended.unwrap_or(end.times.intent);
    let event = compose(tx, key, ink.instance, |subject| payload::call_ended(subject, end)).await?;
    crm_outbox::push(tx, key, &event, at, ink.sums).await?;
    Ok(Applied::Done)
}

async fn disposition(
    tx: &mut Tx,
    record: &DispositionRecord,
    ink: &mut Ink<'_>,
) -> Result<Applied, StoreError> {
    let key = record.key;
    if !attempts::set_disposition(tx, record).await? {
        return Ok(Applied::Late);
    }
    let is_promise = matches!(record.next, NextAction::Callback { .. });
    if record.next == NextAction::DoNotCall {
        let card = contacts::card_of(tx, key).await?;
        let number = card.ok_or_else(|| corrupt("attempt", "its contact is gone"))?.number;
        let by = format!("agent:{}", record.agent);
        let new = NewDnc {
            number,
            scope: DncScope::Own,
            source: "agent",
            reason: &record.code,
            by: &by,
            at: record.at,
        };
        dnc::add(tx, &new).await?;
    }
    if let Some(standing) = ready_queue::standing(tx, key.campaign, key.contact).await? {
        // A contact that is being called again belongs to that newer call.
        if standing.state != "live" {
            let to = place_of(record.contact, is_promise);
            ready_queue::place(tx, key.campaign, key.contact, &standing, to, ink.sums).await?;
        }
    }
    let event =
        compose(tx, key, ink.instance, |subject| payload::disposition(subject, record)).await?;
    crm_outbox::push(tx, key, &event, record.at, ink.sums).await?;
    Ok(Applied::Done)
}

fn place_of(next: ContactNext, promised: bool) -> Place {
    match next {
        ContactNext::Closed => Place::Closed("done"),
        ContactNext::MaxAttempts => Place::Closed("max_attempts"),
        ContactNext::Waits { due_at } => Place::Waits { due: due_at, promised },
    }
}

/// An event about an attempt, with its person and number put in.
async fn compose(
    tx: &mut Tx,
    key: AttemptKey,
    instance: &str,
    make: impl FnOnce(&Subject<'_>) -> payload::CrmEvent + Send,
) -> Result<payload::CrmEvent, StoreError> {
    let card = contacts::card_of(tx, key).await?;
    let card = card.ok_or_else(|| corrupt("attempt", "its contact is gone"))?;
    Ok(make(&Subject {
        instance,
        attempt: key.attempt,
        campaign: key.campaign.get(),
        contact: key.contact.get(),
        external_ref: &card.external_ref,
        number: &card.number.to_string(),
    }))
}
