//! After a crash: what an earlier run left in the air becomes attempts with the result `lost`.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::attempt::{
    AbandonCount, AttemptEnd, AttemptKey, EndedBy, Evidence, Intent, Times,
};
use crate::domain::call_result::CallResult;
use crate::domain::campaign::CampaignSettings;
use crate::domain::ids::{
    AgentId, AttemptId, CampaignId, ContactId, CrmEventId, LegId, NumberId, PersonId, TrunkId,
};
use crate::domain::phone::E164;
use crate::domain::time::Utc;

use super::contacts::number;
use super::db::{Db, Tx};
use super::error::{StoreError, corrupt};
use super::leases::Epoch;
use super::records::{self, Applied, Ink};
use super::tally::Sums;
use super::words::{whole, word};

/// A call that an earlier run left in the air.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostCall {
    /// The intent as it was made; `agent` is the one who had the call, if one was put through.
    pub intent: Intent,
    /// When it was answered, if that was written.
    pub answered: Option<Utc>,
    /// When an agent was put through, if that was written.
    pub connected: Option<Utc>,
    /// Attempts of the contact that count, without this one.
    pub attempts: u32,
}

/// The leg of a call whose result is `lost`, which nobody has seen ended yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostLeg {
    /// Whose attempt.
    pub campaign: CampaignId,
    /// Which.
    pub attempt: AttemptId,
    /// When the intent was made.
    pub intent: Utc,
    /// The number, for the Request-URI of a CANCEL or BYE.
    pub number: E164,
    /// The trunk the INVITE went to.
    pub trunk: TrunkId,
    /// Under which of its versions.
    pub trunk_version: u32,
    /// Which of its caller ids was shown.
    pub caller_id: u32,
    /// The local SIP address that the INVITE was sent from.
    pub sip_local: String,
    /// The dialog as it was at the answer, JSON of the driver's making.
    pub dialog: Option<String>,
    /// An answer was written.
    pub answered: bool,
    /// The legal window in which it counts.
    pub window_start: Utc,
}

/// An agent's leg that an earlier run left up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentLeg {
    /// The leg.
    pub leg: LegId,
    /// Whose it is.
    pub agent: AgentId,
    /// The dialog, JSON of the driver's making.
    pub dialog: String,
}

/// What was found out about a lost call when its remains were ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrphanEnd {
    /// The far end knows of no such call: its INVITE was never sent, or it failed by itself.
    NeverSent,
    /// It was cancelled before an answer.
    NotAnswered,
    /// It was up; our BYE ended it.
    EndedByUs,
    /// The far end had ended it, or did so now; whether it was answered is not always known.
    EndedByThem,
    /// The far end says nothing.
    Silent,
}

impl OrphanEnd {
    /// It is shown that no person answered.
    pub const fn shows_no_answer(self) -> bool {
        match self {
            Self::NeverSent | Self::NotAnswered => true,
            Self::EndedByUs | Self::EndedByThem | Self::Silent => false,
        }
    }
}

/// The end of a lost call. Until shown otherwise it counts as answered and, unless an agent had it,
/// as abandoned: a crash must never make the abandon rate look better than it is.
pub fn lost_end(
    call: &LostCall,
    settings: &CampaignSettings,
    at: Utc,
    event: CrmEventId,
) -> AttemptEnd {
    let result = CallResult::Lost;
    let attempts = call.attempts + u32::from(result.row().is_attempt);
    let is_connected = call.connected.is_some();
    let answered = call.answered.unwrap_or(call.intent.at);
    AttemptEnd {
        key: call.intent.key,
        result,
        evidence: Evidence {
            ended_by: call.answered.map(|_| EndedBy::Unknown),
            note: Some("the program ended before the result was known".to_owned()),
            ..Evidence::default()
        },
        times: Times {
            intent: call.intent.at,
            answered: call.answered,
            connected: call.connected,
            ended: Some(at),
            ..Times::default()
        },
        agent: call.intent.agent,
        answer_to_agent_us: None,
        next: settings.retry.next(result, attempts, settings.attempts_max, at),
        count: Some(AbandonCount {
            window_start: settings.abandon_limit.window_at(answered).start,
            abandoned: !is_connected,
            connected: is_connected,
            outside: !is_connected,
        }),
        event,
    }
}

#[derive(sqlx::FromRow)]
struct LostRow {
    campaign: i64,
    attempt: Uuid,
    contact: i64,
    person: i64,
    number: i64,
    campaign_version: i64,
    trunk: i64,
    trunk_version: i64,
    result_map_version: i64,
    caller_id: i64,
    agent: Option<i64>,
    number_gap_ms: i64,
    intent_ms: i64,
    answered_ms: Option<i64>,
    connected_ms: Option<i64>,
    attempts: i64,
}

impl LostRow {
    fn call(self) -> Result<LostCall, StoreError> {
        let key = AttemptKey {
            attempt: AttemptId::from_uuid(self.attempt),
            campaign: CampaignId::new(self.campaign),
            contact: ContactId::new(self.contact),
            person: PersonId::new(self.person),
            number: NumberId::new(self.number),
        };
        let intent = Intent {
            key,
            campaign_version: whole("version", self.campaign_version)?,
            trunk: TrunkId::new(self.trunk),
            trunk_version: whole("version", self.trunk_version)?,
            result_map_version: whole("version", self.result_map_version)?,
            caller_id: whole("caller id", self.caller_id)?,
            agent: self.agent.map(AgentId::new),
            at: Utc::from_ms(self.intent_ms),
            number_gap_ms: self.number_gap_ms,
        };
        Ok(LostCall {
            intent,
            answered: self.answered_ms.map(Utc::from_ms),
            connected: self.connected_ms.map(Utc::from_ms),
            attempts: whole("attempts", self.attempts)?,
        })
    }
}

#[derive(sqlx::FromRow)]
struct LostLegRow {
    campaign: i64,
    attempt: Uuid,
    intent_ms: i64,
    digits: i64,
    trunk: Option<i64>,
    trunk_version: Option<i64>,
    caller_id: Option<i64>,
    sip_local: String,
    dialog: Option<String>,
    answered_ms: Option<i64>,
    window_ms: Option<i64>,
}

impl LostLegRow {
    fn leg(self) -> Result<LostLeg, StoreError> {
        let absent = || corrupt("attempt", "a lost call without a trunk");
        Ok(LostLeg {
            campaign: CampaignId::new(self.campaign),
            attempt: AttemptId::from_uuid(self.attempt),
            intent: Utc::from_ms(self.intent_ms),
            number: number(self.digits)?,
            trunk: TrunkId::new(self.trunk.ok_or_else(absent)?),
            trunk_version: whole("version", self.trunk_version.ok_or_else(absent)?)?,
            caller_id: whole("caller id", self.caller_id.ok_or_else(absent)?)?,
            sip_local: self.sip_local,
            dialog: self.dialog,
            answered: self.answered_ms.is_some(),
            window_start: Utc::from_ms(self.window_ms.unwrap_or(self.intent_ms)),
        })
    }
}

impl Db {
    /// Calls that earlier runs left in the air, under whatever name: the newest run leads every
    /// campaign, so nobody else would settle them.
    pub async fn lost_calls(&self, run: &Epoch) -> Result<Vec<LostCall>, StoreError> {
        const SQL: &str = "SELECT l.campaign, l.attempt, l.contact, l.person, l.number, \
            l.campaign_version, l.trunk, l.trunk_version, l.result_map_version, l.caller_id, \
            l.agent, l.number_gap_ms, l.intent_ms, l.answered_ms, l.connected_ms, cc.attempts \
            FROM live_call l \
            JOIN campaign_contact cc ON cc.campaign = l.campaign AND cc.contact = l.contact \
            WHERE l.epoch < $1 ORDER BY l.campaign, l.attempt";
        let rows: Vec<LostRow> = on_db!(self, pool => {
            sqlx::query_as(SQL).bind(run.epoch).fetch_all(pool).await?
        });
        rows.into_iter().map(LostRow::call).collect()
    }

    /// Writes the ends of lost calls, each the same way as any other end, and that their legs are still
    /// to be ended; calls that were settled before are left alone. Returns how many were written.
    pub async fn write_lost(
        &self,
        ends: &[AttemptEnd],
        instance: &str,
    ) -> Result<usize, StoreError> {
        /// Ends written by one transaction.
        const CHUNK: usize = 200;
        let mut written = 0;
        for chunk in ends.chunks(CHUNK) {
            let mut tx = self.begin().await?;
            let mut sums = Sums::default();
            for end in chunk {
                leave_leg(&mut tx, end.key).await?;
                let mut ink = Ink { instance, sums: &mut sums };
                if records::ended(&mut tx, end, &mut ink).await? == Applied::Done {
                    written += 1;
                }
            }
            sums.write(&mut tx).await?;
            tx.commit().await?;
        }
        Ok(written)
    }

    /// Legs of lost calls that no run has seen ended.
    pub async fn lost_legs(&self) -> Result<Vec<LostLeg>, StoreError> {
        const SQL: &str = "SELECT l.campaign, l.attempt, a.intent_ms, n.digits, a.trunk, \
            a.trunk_version, a.caller_id, l.sip_local, l.dialog, a.answered_ms, a.window_ms \
            FROM lost_leg l \
            JOIN attempt a ON a.campaign = l.campaign AND a.attempt = l.attempt \
            JOIN number n ON n.id = a.number \
            ORDER BY l.campaign, l.attempt";
        let rows: Vec<LostLegRow> =
            on_db!(self, pool => sqlx::query_as(SQL).fetch_all(pool).await?);
        rows.into_iter().map(LostLegRow::leg).collect()
    }

    /// Legs of agents that earlier runs left up.
    pub async fn agent_legs(&self, run: &Epoch) -> Result<Vec<AgentLeg>, StoreError> {
        const SQL: &str = "SELECT leg, agent, dialog FROM agent_leg \
                           WHERE epoch < $1 ORDER BY leg";
        let rows: Vec<(Uuid, i64, String)> = on_db!(self, pool => {
            sqlx::query_as(SQL).bind(run.epoch).fetch_all(pool).await?
        });
        let leg = |(leg, agent, dialog)| AgentLeg {
            leg: LegId::from_uuid(leg),
            agent: AgentId::new(agent),
            dialog,
        };
        Ok(rows.into_iter().map(leg).collect())
    }
}

/// What ending a lost call needs outlives the call's row: a restart that is cut short itself must not
/// forget whom it has not yet hung up on.
async fn leave_leg(tx: &mut Tx, key: AttemptKey) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO lost_leg (campaign, attempt, sip_local, dialog) \
        SELECT campaign, attempt, sip_local, dialog FROM live_call \
        WHERE campaign = $1 AND attempt = $2 ON CONFLICT (campaign, attempt) DO NOTHING";
    on_tx!(tx, conn => {
        sqlx::query(SQL).bind(key.campaign.get()).bind(key.attempt.as_uuid()).execute(conn).await?;
    });
    Ok(())
}

/// Notes how the remains of a lost call ended; where that shows that nobody answered, its count for
/// the abandon limit is taken back. The first finding stands.
pub(crate) async fn orphan_ended(
    tx: &mut Tx,
    campaign: CampaignId,
    attempt: AttemptId,
    how: OrphanEnd,
    sums: &mut Sums,
) -> Result<(), StoreError> {
    const NOTE: &str = "UPDATE attempt SET orphan = $3 WHERE campaign = $1 AND attempt = $2 \
        AND result = 'lost' AND orphan IS NULL \
        RETURNING window_ms, abandoned, connected, outside, answered_ms";
    const GONE: &str = "DELETE FROM lost_leg WHERE campaign = $1 AND attempt = $2";
    const UNCOUNT: &str = "UPDATE attempt SET window_ms = NULL, abandoned = FALSE, \
        connected = FALSE, outside = FALSE WHERE campaign = $1 AND attempt = $2";
    type Row = (Option<i64>, bool, bool, bool, Option<i64>);
    on_tx!(&mut *tx, conn => {
        sqlx::query(GONE).bind(campaign.get()).bind(attempt.as_uuid()).execute(conn).await?;
    });
    let row: Option<Row> = on_tx!(&mut *tx, conn => {
        sqlx::query_as(NOTE).bind(campaign.get()).bind(attempt.as_uuid()).bind(word(&how))
            .fetch_optional(conn).await?
    });
    let Some((Some(window_ms), abandoned, connected, outside, None)) = row else { return Ok(()) };
    if !how.shows_no_answer() {
        return Ok(());
    }
    let window_start = Utc::from_ms(window_ms);
    sums.count(campaign, &AbandonCount { window_start, abandoned, connected, outside }, -1);
    on_tx!(tx, conn => {
        sqlx::query(UNCOUNT).bind(campaign.get()).bind(attempt.as_uuid()).execute(conn).await?;
    });
    Ok(())
}

/// Keeps the dialog of an agent's leg, so that a restart can end it.
pub(crate) async fn put_agent_leg(
    tx: &mut Tx,
    run: &Epoch,
    leg: &AgentLeg,
) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO agent_leg (leg, agent, node, epoch, dialog) \
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT (leg) DO UPDATE SET dialog = excluded.dialog";
    on_tx!(tx, conn => {
        sqlx::query(SQL).bind(leg.leg.as_uuid()).bind(leg.agent.get()).bind(&run.node)
            .bind(run.epoch).bind(&leg.dialog).execute(conn).await?;
    });
    Ok(())
}

/// An agent's leg is over.
pub(crate) async fn remove_agent_leg(tx: &mut Tx, leg: LegId) -> Result<(), StoreError> {
    const SQL: &str = "DELETE FROM agent_leg WHERE leg = $1";
    on_tx!(tx, conn => { sqlx::query(SQL).bind(leg.as_uuid()).execute(conn).await?; });
    Ok(())
}
