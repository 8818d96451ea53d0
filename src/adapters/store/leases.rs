//! Runs of the program: each start has a new epoch, and a campaign's intents need the newest one.

use crate::domain::ids::CampaignId;
use crate::domain::time::Utc;

use super::db::{Db, Tx};
use super::error::StoreError;

/// One run of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Epoch {
    /// The node's name.
    pub node: String,
    /// Greater than that of every earlier run of any node.
    pub epoch: i64,
    /// The latest wall-clock time that an earlier run saw; a clock behind it stepped back meanwhile.
    pub seen_until: Option<Utc>,
}

impl Db {
    /// Begins a run: takes the next epoch and the lease of every campaign, so that intents of an
    /// earlier run, should it still be there, are refused from now on. CRM events that an earlier
    /// run was delivering are free again.
    pub async fn begin_epoch(&self, node: &str, at: Utc) -> Result<Epoch, StoreError> {
        const SEEN: &str = "SELECT MAX(epoch), MAX(utc_ms) FROM process_mark";
        const MARK: &str = "INSERT INTO process_mark (node, epoch, utc_ms) VALUES ($1, $2, $3) \
                            ON CONFLICT (node) DO UPDATE SET epoch = excluded.epoch";
        const TAKE: &str = "INSERT INTO campaign_lease (campaign, node, epoch) \
                            SELECT id, $1, $2 FROM campaign WHERE TRUE \
                            ON CONFLICT (campaign) DO UPDATE \
                            SET node = excluded.node, epoch = excluded.epoch";
        const FREE: &str = "UPDATE crm_outbox SET lease_until_ms = 0 WHERE lease_until_ms > 0";
        let mut tx = self.begin().await?;
        // PostgreSQL: two nodes that start at once must not take the same epoch.
        let lock = tx.dialect("SELECT 1", "LOCK TABLE process_mark IN EXCLUSIVE MODE");
        on_tx!(&mut tx, conn => { sqlx::query(lock).execute(conn).await?; });
        let (epoch, seen): (Option<i64>, Option<i64>) = on_tx!(&mut tx, conn => {
            sqlx::query_as(SEEN).fetch_one(conn).await?
        });
        let epoch = epoch.unwrap_or(0) + 1;
        on_tx!(&mut tx, conn => {
            sqlx::query(MARK).bind(node).bind(epoch).bind(at.as_ms()).execute(&mut *conn).await?;
            sqlx::query(TAKE).bind(node).bind(epoch).execute(&mut *conn).await?;
            sqlx::query(FREE).execute(&mut *conn).await?;
        });
        tx.commit().await?;
        Ok(Epoch { node: node.to_owned(), epoch, seen_until: seen.map(Utc::from_ms) })
    }

    /// Notes the wall-clock time from time to time; it only grows.
    pub async fn mark_time(&self, node: &str, at: Utc) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE process_mark SET utc_ms = $2 WHERE node = $1 AND utc_ms < $2";
        let mut tx = self.begin().await?;
        on_tx!(&mut tx, conn => {
            sqlx::query(SQL).bind(node).bind(at.as_ms()).execute(conn).await?;
        });
        tx.commit().await
    }
}

/// Whether this run may write intents of a campaign. The row stays locked until the commit, so that
/// a run that takes over waits for what is being written and then sees it.
pub(crate) async fn holds(
    tx: &mut Tx,
    campaign: CampaignId,
    run: &Epoch,
) -> Result<bool, StoreError> {
    macro_rules! lease {
        ($lock:literal) => {
            concat!(
                "SELECT 1 FROM campaign_lease WHERE campaign = $1 AND node = $2 AND epoch = $3",
                $lock
            )
        };
    }
    // SQLite's write transaction is already alone.
    let sql = tx.dialect(lease!(""), lease!(" FOR SHARE"));
    let row = on_tx!(tx, conn => {
        sqlx::query(sql).bind(campaign.get()).bind(&run.node).bind(run.epoch)
            .fetch_optional(conn).await?.map(|_| ())
    });
    Ok(row.is_some())
}
