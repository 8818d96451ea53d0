//! Agents and their append-only settings.

use crate::domain::agent::AgentSettings;
use crate::domain::ids::AgentId;
use crate::domain::time::Utc;

use super::audit;
use super::db::{Db, Tx};
use super::error::StoreError;
use super::versions::Versioned;
use super::words::{from_json, json, whole};

/// An agent as it stands in the database.
pub type AgentRow = Versioned<AgentId, AgentSettings>;

versioned_settings!(
    "agent",
    AgentId,
    AgentSettings,
    agent,
    agents,
    agent_at_version,
    set_agent_settings
);

impl Db {
    /// Makes an agent with these settings as version 1.
    pub async fn create_agent(
        &self,
        settings: &AgentSettings,
        by: &str,
        at: Utc,
    ) -> Result<AgentId, StoreError> {
        const SQL: &str = "INSERT INTO agent (version, created_ms) VALUES (1, $1) RETURNING id";
        let mut tx = self.begin().await?;
        let (id,): (i64,) = on_tx!(&mut tx, conn => {
            sqlx::query_as(SQL).bind(at.as_ms()).fetch_one(conn).await?
        });
        let id = AgentId::new(id);
        insert_version(&mut tx, id, 1, settings, by, at).await?;
        audit::write(&mut tx, at, by, "agent.created", &format!("{{\"id\":{id}}}")).await?;
        tx.commit().await?;
        Ok(id)
    }
}
