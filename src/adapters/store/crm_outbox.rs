//! The outbox of CRM events: at least once with a stable id, in order per person.
//!
//! A row waits here until its receiver acknowledges it. Of each (endpoint, person) only the first
//! row is ever given out, so that a person's events arrive in their order; a row that fails holds up
//! its own person only, and an endpoint that fails is left alone as a whole.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::adapters::crm::payload::CrmEvent;
use crate::domain::attempt::AttemptKey;
use crate::domain::ids::{CampaignId, CrmEventId};
use crate::domain::time::{Duration, Utc};

use super::crm_endpoints::EndpointId;
use super::db::{Db, Tx};
use super::error::StoreError;
use super::tally::Sums;
use super::words::{clean, whole};

/// Names a row of the outbox, the same after it went to the dead letters and back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutboxId(i64);

/// An event to be posted now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxHead {
    /// The row.
    pub id: OutboxId,
    /// To whom.
    pub endpoint: EndpointId,
    /// The event's stable id.
    pub event: CrmEventId,
    /// Its type.
    pub kind: String,
    /// What is posted.
    pub body: String,
    /// When it was written.
    pub created: Utc,
    /// Deliveries begun, this one included.
    pub tries: u32,
}

/// How the outbox stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutboxCounts {
    /// Rows ever put in: events, once per endpoint.
    pub posted: u64,
    /// Acknowledged.
    pub delivered: u64,
    /// Not yet acknowledged.
    pub waiting: u64,
    /// Given up.
    pub dead: u64,
    /// When the oldest that waits was written.
    pub oldest: Option<Utc>,
}

/// An event that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DeadLetter {
    /// The row; pages go on after it.
    pub id: i64,
    /// The event's stable id.
    pub event: String,
    /// Its type.
    pub kind: String,
    /// When it was written, UTC milliseconds.
    pub created_ms: i64,
    /// When it was given up, UTC milliseconds.
    pub dead_ms: i64,
    /// Deliveries tried.
    pub tries: i64,
    /// Why it was given up.
    pub why: String,
    /// What was posted.
    pub body: String,
}

#[derive(sqlx::FromRow)]
struct HeadRow {
    id: i64,
    endpoint: i64,
    event: Uuid,
    kind: String,
    body: String,
    created_ms: i64,
    tries: i64,
}

/// Takes an endpoint's due heads in order. PostgreSQL must pass over rows that another node is
/// claiming now; SQLite has a single writer. The CTE is materialised, or PostgreSQL may run the
/// locking part more than once and take more than its limit.
macro_rules! claim {
    ($lock:literal) => {
        concat!(
            "WITH head AS MATERIALIZED (SELECT o.id FROM crm_outbox o WHERE o.endpoint = $1 \
             AND o.next_ms <= $2 AND o.lease_until_ms <= $2 AND NOT EXISTS (SELECT 1 \
             FROM crm_outbox p WHERE p.endpoint = o.endpoint AND p.person = o.person \
             AND p.id < o.id) ORDER BY o.id LIMIT $4 ",
            $lock,
            ") UPDATE crm_outbox SET lease_until_ms = $3, tries = tries + 1 \
             WHERE id IN (SELECT id FROM head) \
             RETURNING id, endpoint, event, type AS kind, body, created_ms, tries"
        )
    };
}
/// The claim on SQLite.
pub const CLAIM_SQLITE: &str = claim!("");
/// The claim on PostgreSQL.
pub const CLAIM_POSTGRES: &str = claim!("FOR UPDATE SKIP LOCKED");

impl Db {
    /// The first due events of each person, at most `limit` per endpoint, for `lease` from `now` on:
    /// a process that dies with them leaves them to the next. An endpoint that is switched off or in
    /// back-off gives none.
    pub async fn claim_heads(
        &self,
        now: Utc,
        lease: Duration,
        limit: u32,
    ) -> Result<Vec<OutboxHead>, StoreError> {
        const OPEN: &str = "SELECT e.id FROM crm_endpoint e WHERE e.enabled \
            AND e.backoff_until_ms <= $1 \
            AND EXISTS (SELECT 1 FROM crm_outbox o WHERE o.endpoint = e.id) ORDER BY e.id";
        let open: Vec<(i64,)> = on_db!(self, pool => {
            sqlx::query_as(OPEN).bind(now.as_ms()).fetch_all(pool).await?
        });
        let mut heads = vec![];
        for (endpoint,) in open {
            let endpoint = EndpointId::new(endpoint);
            heads.extend(self.claim_endpoint_heads(endpoint, now, lease, limit).await?);
        }
        heads.sort_by_key(|head| head.id);
        Ok(heads)
    }

    /// [`Db::claim_heads`] of one endpoint, which the caller knows to be open: a slow endpoint's
    /// worker does not keep the others' waiting.
    pub async fn claim_endpoint_heads(
        &self,
        endpoint: EndpointId,
        now: Utc,
        lease: Duration,
        limit: u32,
    ) -> Result<Vec<OutboxHead>, StoreError> {
        // Most looks find nothing, and reading takes no turn of the writer.
        const DUE: &str = "SELECT 1 FROM crm_outbox o WHERE o.endpoint = $1 AND o.next_ms <= $2 \
            AND o.lease_until_ms <= $2 AND NOT EXISTS (SELECT 1 FROM crm_outbox p \
            WHERE p.endpoint = o.endpoint AND p.person = o.person AND p.id < o.id) LIMIT 1";
        let due: Option<(i32,)> = on_db!(self, pool => {
            sqlx::query_as(DUE).bind(endpoint.get()).bind(now.as_ms()).fetch_optional(pool).await?
        });
        if due.is_none() {
            return Ok(vec![]);
        }
        let mut tx = self.begin().await?;
        let sql = tx.dialect(CLAIM_SQLITE, CLAIM_POSTGRES);
        let until = (now + lease).as_ms();
        let mut heads: Vec<HeadRow> = on_tx!(&mut tx, conn => {
            sqlx::query_as(sql).bind(endpoint.get()).bind(now.as_ms()).bind(until)
                .bind(i64::from(limit)).fetch_all(conn).await?
        });
        tx.commit().await?;
        heads.sort_by_key(|row| row.id);
        heads.into_iter().map(HeadRow::head).collect()
    }

    /// The receiver acknowledged these; each is counted once, however often it is said.
    pub async fn delivered(&self, ids: &[OutboxId]) -> Result<(), StoreError> {
        const SQL: &str = "DELETE FROM crm_outbox WHERE id = $1 RETURNING campaign";
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        let mut tx = self.begin().await?;
        let mut sums = Sums::default();
        for id in ids {
            let row: Option<(i64,)> = on_tx!(&mut tx, conn => {
                sqlx::query_as(SQL).bind(id.0).fetch_optional(conn).await?
            });
            if let Some((campaign,)) = row {
                sums.add(CampaignId::new(campaign), "crm.delivered", 1);
            }
        }
        sums.write(&mut tx).await?;
        tx.commit().await
    }

    /// It was not taken; it and what follows of its person wait until `next`.
    pub async fn failed(&self, id: OutboxId, next: Utc, error: &str) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE crm_outbox SET next_ms = $2, lease_until_ms = 0, error = $3 \
                           WHERE id = $1";
        let mut tx = self.begin().await?;
        on_tx!(&mut tx, conn => {
            sqlx::query(SQL).bind(id.0).bind(next.as_ms()).bind(clean(error)).execute(conn).await?;
        });
        tx.commit().await
    }

    /// It is given up, so that what follows of its person may go.
    pub async fn dead_letter(&self, id: OutboxId, why: &str, at: Utc) -> Result<(), StoreError> {
        const COPY: &str = "INSERT INTO crm_dead_letter (id, endpoint, person, campaign, event, \
            type, body, created_ms, dead_ms, tries, why) SELECT id, endpoint, person, campaign, \
            event, type, body, created_ms, $2, tries, $3 FROM crm_outbox WHERE id = $1";
        const DELETE: &str = "DELETE FROM crm_outbox WHERE id = $1";
        let mut tx = self.begin().await?;
        on_tx!(&mut tx, conn => {
            sqlx::query(COPY).bind(id.0).bind(at.as_ms()).bind(clean(why)).execute(&mut *conn)
                .await?;
            sqlx::query(DELETE).bind(id.0).execute(&mut *conn).await?;
        });
        tx.commit().await
    }

    /// Events given up for an endpoint after `after`, oldest first.
    pub async fn dead_letters(
        &self,
        endpoint: EndpointId,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        type Row = (i64, Uuid, String, i64, i64, i64, String, String);
        const SQL: &str = "SELECT id, event, type, created_ms, dead_ms, tries, why, body \
            FROM crm_dead_letter WHERE endpoint = $1 AND id > $2 ORDER BY id LIMIT $3";
        let rows: Vec<Row> = on_db!(self, pool => {
            sqlx::query_as(SQL).bind(endpoint.get()).bind(after.unwrap_or(0))
                .bind(i64::from(limit)).fetch_all(pool).await?
        });
        let letter = |(id, event, kind, created_ms, dead_ms, tries, why, body): Row| {
            let event = event.to_string();
            DeadLetter { id, event, kind, created_ms, dead_ms, tries, why, body }
        };
        Ok(rows.into_iter().map(letter).collect())
    }

    /// Puts an endpoint's dead letters back where they stood: before everything later. Returns how
    /// many.
    pub async fn redeliver(&self, endpoint: EndpointId) -> Result<u64, StoreError> {
        const COPY: &str = "INSERT INTO crm_outbox (id, endpoint, person, campaign, event, type, \
            body, created_ms, next_ms, lease_until_ms, tries) SELECT id, endpoint, person, \
            campaign, event, type, body, created_ms, 0, 0, 0 FROM crm_dead_letter \
            WHERE endpoint = $1 ORDER BY id ON CONFLICT (endpoint, event) DO NOTHING";
        const DELETE: &str = "DELETE FROM crm_dead_letter WHERE endpoint = $1";
        let mut tx = self.begin().await?;
        let moved = on_tx!(&mut tx, conn => {
            let moved = sqlx::query(COPY).bind(endpoint.get()).execute(&mut *conn).await?;
            sqlx::query(DELETE).bind(endpoint.get()).execute(&mut *conn).await?;
            moved.rows_affected()
        });
        tx.commit().await?;
        Ok(moved)
    }

    /// How the outbox stands, over all campaigns and endpoints.
    pub async fn outbox_counts(&self) -> Result<OutboxCounts, StoreError> {
        const SUMS: &str = "SELECT name, SUM(n) AS n FROM campaign_counter \
                            WHERE name IN ('crm.posted', 'crm.delivered') GROUP BY name";
        const WAITING: &str = "SELECT COUNT(*), MIN(created_ms) FROM crm_outbox";
        const DEAD: &str = "SELECT COUNT(*) FROM crm_dead_letter";
        // PostgreSQL sums BIGINT to NUMERIC.
        const SUMS_POSTGRES: &str = "SELECT name, SUM(n)::BIGINT AS n FROM campaign_counter \
            WHERE name IN ('crm.posted', 'crm.delivered') GROUP BY name";
        let sums_sql = match self {
            Self::Sqlite(_) => SUMS,
            Self::Postgres(_) => SUMS_POSTGRES,
        };
        let (sums, (waiting, oldest), (dead,)) = on_db!(self, pool => {
            let sums: Vec<(String, i64)> = sqlx::query_as(sums_sql).fetch_all(pool).await?;
            let waiting: (i64, Option<i64>) = sqlx::query_as(WAITING).fetch_one(pool).await?;
            let dead: (i64,) = sqlx::query_as(DEAD).fetch_one(pool).await?;
            (sums, waiting, dead)
        });
        let sum = |name| sums.iter().find(|(is, _)| is == name).map_or(0, |(_, n)| *n);
        Ok(OutboxCounts {
            posted: whole("count", sum("crm.posted"))?,
            delivered: whole("count", sum("crm.delivered"))?,
            waiting: whole("count", waiting)?,
            dead: whole("count", dead)?,
            oldest: oldest.map(Utc::from_ms),
        })
    }

    /// The earliest time at which something may be posted again, when [`Db::claim_heads`] gave
    /// nothing: the end of a back-off or a waiting time. `None` when nothing waits.
    pub async fn outbox_next(&self) -> Result<Option<Utc>, StoreError> {
        // The first thousand heads say enough; more wait behind them.
        const SQL: &str = "SELECT e.backoff_until_ms, o.next_ms, o.lease_until_ms \
            FROM crm_outbox o JOIN crm_endpoint e ON e.id = o.endpoint \
            WHERE e.enabled AND NOT EXISTS (SELECT 1 FROM crm_outbox p \
            WHERE p.endpoint = o.endpoint AND p.person = o.person AND p.id < o.id) \
            ORDER BY o.id LIMIT 1000";
        let rows: Vec<(i64, i64, i64)> = on_db!(self, pool => {
            sqlx::query_as(SQL).fetch_all(pool).await?
        });
        let due = rows.into_iter().map(|(backoff, next, lease)| backoff.max(next).max(lease));
        Ok(due.min().map(Utc::from_ms))
    }
}

impl HeadRow {
    fn head(self) -> Result<OutboxHead, StoreError> {
        Ok(OutboxHead {
            id: OutboxId(self.id),
            endpoint: EndpointId::new(self.endpoint),
            event: CrmEventId::from_uuid(self.event),
            kind: self.kind,
            body: self.body,
            created: Utc::from_ms(self.created_ms),
            tries: whole("tries", self.tries)?,
        })
    }
}

/// Puts an event into the outbox of every endpoint that wants its type. An event that stands there
/// already is left alone.
pub(crate) async fn push(
    tx: &mut Tx,
    key: AttemptKey,
    event: &CrmEvent,
    at: Utc,
    sums: &mut Sums,
) -> Result<u64, StoreError> {
    const SQL: &str = "INSERT INTO crm_outbox (endpoint, person, campaign, event, type, body, \
        created_ms, next_ms, lease_until_ms, tries) \
        SELECT e.id, $1, $2, $3, $4, $5, $6, 0, 0, 0 FROM crm_endpoint e WHERE e.enabled AND \
        (NOT EXISTS (SELECT 1 FROM crm_endpoint_event x WHERE x.endpoint = e.id) \
         OR EXISTS (SELECT 1 FROM crm_endpoint_event x WHERE x.endpoint = e.id AND x.type = $4)) \
        ORDER BY e.id ON CONFLICT (endpoint, event) DO NOTHING";
    let posted = on_tx!(tx, conn => {
        sqlx::query(SQL).bind(key.person.get()).bind(key.campaign.get()).bind(event.id.as_uuid())
            .bind(event.kind).bind(&event.body).bind(at.as_ms()).execute(conn).await?
            .rows_affected()
    });
    sums.add(key.campaign, "crm.posted", posted as i64);
    Ok(posted)
}
