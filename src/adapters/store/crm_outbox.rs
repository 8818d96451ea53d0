//! The outbox of CRM events: at least once with a stable id, in order per person.

use crate::adapters::crm::payload::CrmEvent;
use crate::domain::attempt::AttemptKey;
use crate::domain::time::Utc;

use super::db::Tx;
use super::error::StoreError;
use super::tally::Sums;

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
