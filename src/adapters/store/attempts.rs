//! Attempts: the append-only history, the pages that read it, and the dialer's own ledger.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::attempt::{AttemptEnd, AttemptKey, DispositionRecord, RESULT_MAP_VERSION};
use crate::domain::disposition::NextAction;
use crate::domain::ids::{AgentId, AttemptId, CampaignId};
use crate::domain::phone::E164;
use crate::domain::retry::ContactNext;
use crate::domain::time::Utc;

use super::contacts;
use super::db::{Db, Tx};
use super::error::StoreError;
use super::words::{clean, json, whole, word};

/// What a live call leaves to its attempt.
#[derive(Debug, Default, sqlx::FromRow)]
pub(crate) struct CallFacts {
    #[sqlx(skip)]
    pub(crate) is_live: bool,
    node: Option<String>,
    epoch: Option<i64>,
    campaign_version: i64,
    trunk: Option<i64>,
    trunk_version: Option<i64>,
    result_map_version: i64,
    caller_id: Option<i64>,
}

/// Takes a call out of the air; `None` if it is not there (it was settled before).
pub(crate) async fn take_live_call(
    tx: &mut Tx,
    key: AttemptKey,
) -> Result<Option<CallFacts>, StoreError> {
    const SQL: &str = "DELETE FROM live_call WHERE campaign = $1 AND attempt = $2 \
        RETURNING node, epoch, campaign_version, trunk, trunk_version, result_map_version, caller_id";
    let call: Option<CallFacts> = on_tx!(tx, conn => {
        sqlx::query_as(SQL).bind(key.campaign.get()).bind(key.attempt.as_uuid())
            .fetch_optional(conn).await?
    });
    Ok(call.map(|call| CallFacts { is_live: true, ..call }))
}

/// The facts of an attempt that never had a call.
pub(crate) async fn no_call(tx: &mut Tx, key: AttemptKey) -> Result<CallFacts, StoreError> {
    const SQL: &str = "SELECT version FROM campaign WHERE id = $1";
    let row: Option<(i64,)> = on_tx!(tx, conn => {
        sqlx::query_as(SQL).bind(key.campaign.get()).fetch_optional(conn).await?
    });
    let (campaign_version,) = row.ok_or(StoreError::NotFound("campaign"))?;
    let result_map_version = i64::from(RESULT_MAP_VERSION);
    Ok(CallFacts { campaign_version, result_map_version, ..CallFacts::default() })
}

/// Writes an attempt's end; `false` if it has one.
pub(crate) async fn insert(
    tx: &mut Tx,
    end: &AttemptEnd,
    call: &CallFacts,
) -> Result<bool, StoreError> {
    const SQL: &str = "INSERT INTO attempt (campaign, attempt, contact, person, number, node, \
        epoch, campaign_version, trunk, trunk_version, result_map_version, caller_id, agent, \
        result, cisco, intent_ms, dialled_ms, ringing_ms, answered_ms, connected_ms, ended_ms, \
        rang_ms, sip_status, sip_phrase, q850, cancelled, ended_by, answer_to_agent_us, evidence, \
        next_due_ms, window_ms, abandoned, connected, outside, event) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, \
        $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35) \
        ON CONFLICT (campaign, attempt) DO NOTHING";
    let (key, times, evidence) = (end.key, end.times, &end.evidence);
    let network = evidence.network.as_ref();
    let row = end.result.row();
    let due = match end.next {
        ContactNext::Waits { due_at } => Some(due_at.as_ms()),
        ContactNext::Closed | ContactNext::MaxAttempts => None,
    };
    let answer_us = end.answer_to_agent_us.map(|us| i64::try_from(us).unwrap_or(i64::MAX));
    let evidence_json = json("evidence", evidence)?;
    let written = on_tx!(tx, conn => {
        sqlx::query(SQL)
            .bind(key.campaign.get()).bind(key.attempt.as_uuid()).bind(key.contact.get())
            .bind(key.person.get()).bind(key.number.get()).bind(&call.node).bind(call.epoch)
            .bind(call.campaign_version).bind(call.trunk).bind(call.trunk_version)
            .bind(call.result_map_version).bind(call.caller_id)
            .bind(end.agent.map(AgentId::get)).bind(row.code).bind(i64::from(row.cisco))
            .bind(times.intent.as_ms()).bind(times.dialled.map(Utc::as_ms))
            .bind(times.ringing.map(Utc::as_ms)).bind(times.answered.map(Utc::as_ms))
            .bind(times.connected.map(Utc::as_ms)).bind(times.ended.map(Utc::as_ms))
            .bind(i64::from(evidence.ringing_ms)).bind(final_status(end).map(i64::from))
            .bind(network.map(|network| clean(&network.phrase)))
            .bind(network.and_then(|network| network.q850).map(i64::from))
            .bind(evidence.cancelled.as_ref().map(word)).bind(evidence.ended_by.as_ref().map(word))
            .bind(answer_us).bind(evidence_json).bind(due)
            .bind(end.count.map(|count| count.window_start.as_ms()))
            .bind(end.count.is_some_and(|count| count.abandoned))
            .bind(end.count.is_some_and(|count| count.connected))
            .bind(end.count.is_some_and(|count| count.outside))
            .bind(end.event.as_uuid())
            .execute(conn).await?.rows_affected()
    });
    Ok(written == 1)
}

/// The final status of the INVITE: 200 wherever it was answered, also across our CANCEL.
fn final_status(end: &AttemptEnd) -> Option<u16> {
    if end.times.answered.is_some() || end.evidence.answer_crossed_cancel {
        return Some(200);
    }
    end.evidence.network.as_ref().and_then(|network| network.status)
}

/// Writes an agent's choice; `false` if the attempt is not there or has one.
pub(crate) async fn set_disposition(
    tx: &mut Tx,
    record: &DispositionRecord,
) -> Result<bool, StoreError> {
    const SQL: &str = "UPDATE attempt SET disposition = $3, disposition_next = $4, \
        disposition_agent = $5, disposition_ms = $6 \
        WHERE campaign = $1 AND attempt = $2 AND disposition IS NULL";
    let next = match record.next {
        NextAction::Close => "close",
        NextAction::Retry => "retry",
        NextAction::Callback { .. } => "callback",
        NextAction::DoNotCall => "do_not_call",
    };
    let key = record.key;
    let written = on_tx!(tx, conn => {
        sqlx::query(SQL).bind(key.campaign.get()).bind(key.attempt.as_uuid())
            .bind(clean(&record.code)).bind(next).bind(record.agent.get())
            .bind(record.at.as_ms()).execute(conn).await?.rows_affected()
    });
    Ok(written == 1)
}

/// One attempt as pages and the ledgers' comparison read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRow {
    /// Which.
    pub attempt: AttemptId,
    /// The row of the list.
    pub contact: i64,
    /// The number.
    pub number: E164,
    /// Code of the call result.
    pub result: String,
    /// Cisco's code.
    pub cisco: i64,
    /// Final status of the INVITE, if one came.
    pub status: Option<i64>,
    /// Q.850 cause, if one came.
    pub q850: Option<i64>,
    /// When the intent was made, UTC milliseconds.
    pub intent_ms: i64,
    /// When the INVITE was sent.
    pub dialled_ms: Option<i64>,
    /// When the first 18x came.
    pub ringing_at_ms: Option<i64>,
    /// When it was answered.
    pub answered_ms: Option<i64>,
    /// When an agent was put through.
    pub connected_ms: Option<i64>,
    /// When it was over.
    pub ended_ms: Option<i64>,
    /// How long it rang.
    pub rang_ms: i64,
    /// Who ended an answered call.
    pub ended_by: Option<String>,
    /// The agent who had it.
    pub agent: Option<i64>,
    /// It counts as abandoned.
    pub abandoned: bool,
    /// How an orphan of a crash ended, where its result is `lost`.
    pub orphan: Option<String>,
    /// Everything that was seen, JSON.
    pub evidence: String,
    /// The agent's choice.
    pub disposition: Option<String>,
    /// The business outcome.
    pub disposition_next: Option<String>,
}

#[derive(sqlx::FromRow)]
struct StoredAttempt {
    attempt: Uuid,
    contact: i64,
    digits: i64,
    result: String,
    cisco: i64,
    sip_status: Option<i64>,
    q850: Option<i64>,
    intent_ms: i64,
    dialled_ms: Option<i64>,
    ringing_ms: Option<i64>,
    answered_ms: Option<i64>,
    connected_ms: Option<i64>,
    ended_ms: Option<i64>,
    rang_ms: i64,
    ended_by: Option<String>,
    agent: Option<i64>,
    abandoned: bool,
    orphan: Option<String>,
    evidence: String,
    disposition: Option<String>,
    disposition_next: Option<String>,
}

impl StoredAttempt {
    fn row(self) -> Result<AttemptRow, StoreError> {
        Ok(AttemptRow {
            attempt: AttemptId::from_uuid(self.attempt),
            contact: self.contact,
            number: contacts::number(self.digits)?,
            result: self.result,
            cisco: self.cisco,
            status: self.sip_status,
            q850: self.q850,
            intent_ms: self.intent_ms,
            dialled_ms: self.dialled_ms,
            ringing_at_ms: self.ringing_ms,
            answered_ms: self.answered_ms,
            connected_ms: self.connected_ms,
            ended_ms: self.ended_ms,
            rang_ms: self.rang_ms,
            ended_by: self.ended_by,
            agent: self.agent,
            abandoned: self.abandoned,
            orphan: self.orphan,
            evidence: self.evidence,
            disposition: self.disposition,
            disposition_next: self.disposition_next,
        })
    }
}

/// The dialer's own ledger of a campaign, counted from its attempts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ledger {
    /// Attempts that are over.
    pub attempts: LedgerAttempts,
    /// Of these, with an INVITE sent.
    pub dialled: u64,
    /// Final statuses of INVITEs.
    pub sip_finals: BTreeMap<u16, u64>,
    /// Answered calls.
    pub answers: u64,
    /// Calls put through to an agent.
    pub connects: u64,
    /// Who ended the answered calls: `customer`, `agent`, `dialer`, `both`, `unknown`.
    pub hung_up: BTreeMap<String, u64>,
    /// Calls that count as abandoned.
    pub abandoned: u64,
    /// CRM events put into the outbox and acknowledged.
    pub crm_events: LedgerEvents,
}

/// Attempts by result.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LedgerAttempts {
    /// All.
    pub total: u64,
    /// By code of the call result.
    pub by_result: BTreeMap<String, u64>,
}

/// CRM events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LedgerEvents {
    /// Put into the outbox, counted once per endpoint.
    pub posted: u64,
    /// Acknowledged.
    pub delivered: u64,
}

impl Db {
    /// A campaign's attempts after `after`, in the order of their ids, which is that of time.
    pub async fn attempts_page(
        &self,
        campaign: CampaignId,
        after: Option<AttemptId>,
        limit: u32,
    ) -> Result<Vec<AttemptRow>, StoreError> {
        const SQL: &str = "SELECT a.attempt, a.contact, n.digits, a.result, a.cisco, \
            a.sip_status, a.q850, a.intent_ms, a.dialled_ms, a.ringing_ms, a.answered_ms, \
            a.connected_ms, a.ended_ms, a.rang_ms, a.ended_by, a.agent, a.abandoned, a.orphan, \
            a.evidence, a.disposition, a.disposition_next \
            FROM attempt a JOIN number n ON n.id = a.number \
            WHERE a.campaign = $1 AND a.attempt > $2 ORDER BY a.attempt LIMIT $3";
        let after = after.map_or(Uuid::nil(), AttemptId::as_uuid);
        let rows: Vec<StoredAttempt> = on_db!(self, pool => {
            sqlx::query_as(SQL).bind(campaign.get()).bind(after).bind(i64::from(limit))
                .fetch_all(pool).await?
        });
        rows.into_iter().map(StoredAttempt::row).collect()
    }

    /// The ledger of a campaign; reads all its attempts.
    pub async fn ledger(&self, campaign: CampaignId) -> Result<Ledger, StoreError> {
        type Row = (String, Option<i64>, Option<String>, bool, bool, bool, bool, i64);
        const SQL: &str = "SELECT result, sip_status, ended_by, dialled_ms IS NOT NULL, \
            answered_ms IS NOT NULL, connected_ms IS NOT NULL, abandoned, COUNT(*) FROM attempt \
            WHERE campaign = $1 GROUP BY 1, 2, 3, 4, 5, 6, 7";
        let rows: Vec<Row> = on_db!(self, pool => {
            sqlx::query_as(SQL).bind(campaign.get()).fetch_all(pool).await?
        });
        let mut ledger = Ledger::default();
        for (result, status, ended_by, dialled, answered, connected, abandoned, n) in rows {
            let n: u64 = whole("count", n)?;
            let if_so = |is: bool| if is { n } else { 0 };
            ledger.attempts.total += n;
            *ledger.attempts.by_result.entry(result).or_default() += n;
            ledger.dialled += if_so(dialled);
            ledger.answers += if_so(answered);
            ledger.connects += if_so(connected);
            ledger.abandoned += if_so(abandoned);
            if let Some(status) = status {
                *ledger.sip_finals.entry(whole("status", status)?).or_default() += n;
            }
            if answered {
                let who = ended_by.unwrap_or_else(|| "unknown".to_owned());
                *ledger.hung_up.entry(who).or_default() += n;
            }
        }
        let counters = self.counters(campaign).await?;
        let count = |name| counters.get(name).and_then(|n| u64::try_from(*n).ok()).unwrap_or(0);
        ledger.crm_events =
            LedgerEvents { posted: count("crm.posted"), delivered: count("crm.delivered") };
        Ok(ledger)
    }
}
