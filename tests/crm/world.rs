//! A database with a folder, a clock, and events put straight into the outbox.

use std::sync::Arc;
use std::time::Duration;

use campanile::adapters::import::job::{Clock, Import};
use campanile::adapters::import::row::Reading;
use campanile::adapters::secret::Secret;
use campanile::adapters::store::Db;
use campanile::adapters::store::crm_endpoints::{EndpointId, NewEndpoint};
use campanile::domain::time::Utc;
use sqlx::SqlitePool;
use tempfile::TempDir;
use uuid::Uuid;

/// The secret that all endpoints of these tests share with their receivers.
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A new SQLite database.
pub(crate) struct World {
    pub(crate) db: Db,
    pub(crate) folder: TempDir,
    shell: SqlitePool,
}

pub(crate) fn clock() -> Clock {
    #[expect(clippy::disallowed_methods, reason = "real deliveries need the real time")]
    Arc::new(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Utc::from_ms(i64::try_from(since.as_millis()).unwrap())
    })
}

impl World {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("campanile.db").display());
        let db = Db::open(&url).await.unwrap();
        let shell = SqlitePool::connect(&url).await.unwrap();
        Self { db, folder, shell }
    }

    pub(crate) async fn endpoint(&self, url: &str) -> EndpointId {
        let secret = Secret::new(SECRET);
        let new = NewEndpoint { name: "crm", url, secret: &secret, events: &[] };
        self.db.create_crm_endpoint(&new, "test", clock()()).await.unwrap()
    }

    /// Puts the next event of a person into an endpoint's outbox; `n` counts per person.
    pub(crate) async fn event(&self, endpoint: EndpointId, person: i64, n: i64) -> Uuid {
        let event = Uuid::from_u128(
            (u128::from(endpoint.get().unsigned_abs()) << 96)
                | (u128::from(person.unsigned_abs()) << 48)
                | u128::from(n.unsigned_abs()),
        );
        let body = format!(
            "{{\"specversion\":\"1.0\",\"id\":\"{event}\",\"data\":{{\"person\":{person},\"n\":{n}}}}}"
        );
        sqlx::query(
            "INSERT INTO crm_outbox (endpoint, person, campaign, event, type, body, created_ms, \
             next_ms, lease_until_ms, tries) VALUES ($1, $2, 1, $3, 'campanile.call.ended', $4, \
             $5, 0, 0, 0)",
        )
        .bind(endpoint.get())
        .bind(person)
        .bind(event)
        .bind(body)
        .bind(clock()().as_ms())
        .execute(&self.shell)
        .await
        .unwrap();
        event
    }

    /// An import into this world's database.
    pub(crate) fn import(&self, reading: Reading) -> Import {
        Import {
            db: self.db.clone(),
            name: "autumn".into(),
            source: "test".into(),
            reading,
            rejects_dir: self.folder.path().join("rejects"),
            clock: clock(),
        }
    }

    /// Reads one number out of the database.
    pub(crate) async fn number(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.shell).await.unwrap()
    }

    /// Reads texts out of the database.
    pub(crate) async fn texts(&self, sql: &'static str) -> Vec<String> {
        sqlx::query_scalar(sql).fetch_all(&self.shell).await.unwrap()
    }
}

/// Waits until `is_so`, for ten seconds at most.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(10), async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "not within ten seconds: {what}");
}
