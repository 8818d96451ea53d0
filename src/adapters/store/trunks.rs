//! Trunks and their append-only settings.

use crate::domain::ids::TrunkId;
use crate::domain::time::Utc;
use crate::domain::trunk::TrunkSettings;

use super::audit;
use super::db::{Db, Tx};
use super::error::StoreError;
use super::versions::Versioned;
use super::words::{from_json, json, whole};

/// A trunk as it stands in the database.
pub type TrunkRow = Versioned<TrunkId, TrunkSettings>;

versioned_settings!(
    "trunk",
    TrunkId,
    TrunkSettings,
    trunk,
    trunks,
    trunk_at_version,
    set_trunk_settings
);

impl Db {
    /// Makes a trunk with these settings as version 1.
    pub async fn create_trunk(
        &self,
        settings: &TrunkSettings,
        by: &str,
        at: Utc,
    ) -> Result<TrunkId, StoreError> {
        const SQL: &str = "INSERT INTO trunk (version, created_ms) VALUES (1, $1) RETURNING id";
        let mut tx = self.begin().await?;
        let (id,): (i64,) = on_tx!(&mut tx, conn => {
            sqlx::query_as(SQL).bind(at.as_ms()).fetch_one(conn).await?
        });
        let id = TrunkId::new(id);
        insert_version(&mut tx, id, 1, settings, by, at).await?;
        audit::write(&mut tx, at, by, "trunk.created", &format!("{{\"id\":{id}}}")).await?;
        tx.commit().await?;
        Ok(id)
    }
}
