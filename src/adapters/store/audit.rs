//! Who changed what, and when. Settings write their row in the transaction that changes them.

use crate::domain::time::Utc;

use super::db::{Db, Tx};
use super::error::StoreError;

/// One line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow, serde::Serialize, utoipa::ToSchema)]
pub struct AuditRow {
    /// Grows with time.
    pub id: i64,
    /// When, UTC milliseconds.
    pub at_ms: i64,
    /// Who: `user:3`, `token:crm`, `program`.
    pub made_by: String,
    /// What: `campaign.changed`, `dnc.added`.
    pub action: String,
    /// JSON with the ids it is about.
    pub detail: String,
}

impl Db {
    /// Writes a line for something that has no transaction of its own here. `detail` is JSON.
    pub async fn audit(
        &self,
        at: Utc,
        by: &str,
        action: &str,
        detail: &str,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        write(&mut tx, at, by, action, detail).await?;
        tx.commit().await
    }

    /// Lines older than `before`, the newest first.
    pub async fn audit_page(
        &self,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<AuditRow>, StoreError> {
        const SQL: &str = "SELECT id, at_ms, made_by, action, detail FROM audit_log \
                           WHERE id < $1 ORDER BY id DESC LIMIT $2";
        Ok(on_db!(self, pool => {
            sqlx::query_as(SQL).bind(before.unwrap_or(i64::MAX)).bind(i64::from(limit))
                .fetch_all(pool).await?
        }))
    }
}

/// Writes a line within a transaction.
pub(crate) async fn write(
    tx: &mut Tx,
    at: Utc,
    by: &str,
    action: &str,
    detail: &str,
) -> Result<(), StoreError> {
    const SQL: &str =
        "INSERT INTO audit_log (at_ms, made_by, action, detail) VALUES ($1, $2, $3, $4)";
    on_tx!(tx, conn => {
        sqlx::query(SQL).bind(at.as_ms()).bind(by).bind(action).bind(detail).execute(conn).await?;
    });
    Ok(())
}
