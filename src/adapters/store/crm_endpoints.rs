//! Where CRM events are posted: addresses, secrets, which types, and whether they are let be.

use crate::adapters::secret::Secret;
use crate::domain::time::Utc;

use super::audit;
use super::db::Db;
use super::error::StoreError;
use super::words::clean;

/// Names an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId(i64);

impl EndpointId {
    /// Wraps a raw id read from an API path.
    pub const fn new(raw: i64) -> Self {
        Self(raw)
    }

    /// The raw id.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl std::fmt::Display for EndpointId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A receiver of CRM events.
#[derive(Clone)]
pub struct EndpointRow {
    /// Its id.
    pub id: EndpointId,
    /// Its name.
    pub name: String,
    /// Where events are posted.
    pub url: String,
    /// The key of the signature (`whsec_…`).
    pub secret: Secret,
    /// Types it wants; none means all.
    pub events: Vec<String>,
    /// Events are posted to it, and put into its outbox.
    pub is_enabled: bool,
    /// Why not, if not.
    pub disabled_why: Option<String>,
    /// It is left alone until then.
    pub backoff_until: Utc,
}

/// A receiver to be.
pub struct NewEndpoint<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where events are posted.
    pub url: &'a str,
    /// The key of the signature.
    pub secret: &'a Secret,
    /// Types it wants; none means all.
    pub events: &'a [String],
}

#[derive(sqlx::FromRow)]
struct StoredEndpoint {
    id: i64,
    name: String,
    url: String,
    secret: String,
    enabled: bool,
    disabled_why: Option<String>,
    backoff_until_ms: i64,
}

impl Db {
    /// Adds a receiver; events are put into its outbox from now on.
    pub async fn create_crm_endpoint(
        &self,
        new: &NewEndpoint<'_>,
        by: &str,
        at: Utc,
    ) -> Result<EndpointId, StoreError> {
        const SQL: &str = "INSERT INTO crm_endpoint (name, url, secret, enabled, \
            backoff_until_ms, created_ms) VALUES ($1, $2, $3, TRUE, 0, $4) RETURNING id";
        const EVENT: &str = "INSERT INTO crm_endpoint_event (endpoint, type) VALUES ($1, $2) \
                             ON CONFLICT (endpoint, type) DO NOTHING";
        let mut tx = self.begin().await?;
        let (id,): (i64,) = on_tx!(&mut tx, conn => {
            sqlx::query_as(SQL).bind(clean(new.name)).bind(clean(new.url))
                .bind(new.secret.reveal()).bind(at.as_ms()).fetch_one(conn).await?
        });
        for kind in new.events {
            on_tx!(&mut tx, conn => {
                sqlx::query(EVENT).bind(id).bind(clean(kind)).execute(conn).await?;
            });
        }
        let detail = format!("{{\"id\":{id}}}");
        audit::write(&mut tx, at, by, "crm_endpoint.created", &detail).await?;
        tx.commit().await?;
        Ok(EndpointId(id))
    }

    /// All receivers, by id.
    pub async fn crm_endpoints(&self) -> Result<Vec<EndpointRow>, StoreError> {
        const SQL: &str = "SELECT id, name, url, secret, enabled, disabled_why, backoff_until_ms \
                           FROM crm_endpoint ORDER BY id";
        const EVENTS: &str =
            "SELECT endpoint, type FROM crm_endpoint_event ORDER BY endpoint, type";
        let (rows, events): (Vec<StoredEndpoint>, Vec<(i64, String)>) = on_db!(self, pool => (
            sqlx::query_as(SQL).fetch_all(pool).await?,
            sqlx::query_as(EVENTS).fetch_all(pool).await?,
        ));
        let of = |id: i64| -> Vec<String> {
            let own = events.iter().filter(|(endpoint, _)| *endpoint == id);
            own.map(|(_, kind)| kind.clone()).collect()
        };
        let rows = rows.into_iter().map(|row| EndpointRow {
            id: EndpointId(row.id),
            events: of(row.id),
            name: row.name,
            url: row.url,
            secret: Secret::new(row.secret),
            is_enabled: row.enabled,
            disabled_why: row.disabled_why,
            backoff_until: Utc::from_ms(row.backoff_until_ms),
        });
        Ok(rows.collect())
    }

    /// Leaves a receiver alone until then: none of its events is given by [`Db::claim_heads`].
    pub async fn endpoint_backoff(
        &self,
        endpoint: EndpointId,
        until: Utc,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE crm_endpoint SET backoff_until_ms = $2 WHERE id = $1";
        let mut tx = self.begin().await?;
        on_tx!(&mut tx, conn => {
            sqlx::query(SQL).bind(endpoint.0).bind(until.as_ms()).execute(conn).await?;
        });
        tx.commit().await
    }

    /// Posts nothing more to a receiver, for this reason; what waits for it stays.
    pub async fn disable_endpoint(
        &self,
        endpoint: EndpointId,
        why: &str,
        by: &str,
        at: Utc,
    ) -> Result<(), StoreError> {
        self.switch_endpoint(endpoint, Some(why), by, at).await
    }

    /// Posts to a receiver again, beginning with what waited.
    pub async fn enable_endpoint(
        &self,
        endpoint: EndpointId,
        by: &str,
        at: Utc,
    ) -> Result<(), StoreError> {
        self.switch_endpoint(endpoint, None, by, at).await
    }

    async fn switch_endpoint(
        &self,
        endpoint: EndpointId,
        why_not: Option<&str>,
        by: &str,
        at: Utc,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE crm_endpoint SET enabled = $2, disabled_why = $3, \
                           backoff_until_ms = 0 WHERE id = $1";
        let mut tx = self.begin().await?;
        let changed = on_tx!(&mut tx, conn => {
            sqlx::query(SQL).bind(endpoint.0).bind(why_not.is_none()).bind(why_not.map(clean))
                .execute(conn).await?.rows_affected()
        });
        if changed == 0 {
            return Err(StoreError::NotFound("CRM endpoint"));
        }
        let action =
            if why_not.is_some() { "crm_endpoint.disabled" } else { "crm_endpoint.enabled" };
        audit::write(&mut tx, at, by, action, &format!("{{\"id\":{endpoint}}}")).await?;
        tx.commit().await
    }
}
