//! Campaigns: append-only settings, the state, and which lists they dial.

use std::collections::BTreeSet;

use crate::domain::campaign::{CampaignSettings, CampaignState};
use crate::domain::ids::{CampaignId, ListId};
use crate::domain::time::Utc;

use super::audit;
use super::db::{Db, Tx};
use super::error::StoreError;
use super::lists;
use super::ready_queue;
use super::tally::Sums;
use super::versions::Versioned;
use super::words::{from_json, from_word, json, whole, word};

/// A campaign as it stands in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CampaignRow {
    /// Which.
    pub id: CampaignId,
    /// The newest version of its settings.
    pub version: u32,
    /// Whether it dials.
    pub state: CampaignState,
    /// What a manager set.
    pub settings: CampaignSettings,
}

versioned_settings!(
    "campaign",
    CampaignId,
    CampaignSettings,
    campaign_settings,
    all_campaign_settings,
    campaign_at_version,
    set_campaign_settings
);

/// Contacts taken into a campaign by one transaction: others get their turn between.
const FILL_CHUNK: i64 = 2_000;

impl Db {
    /// Makes a campaign in state `Created`, with these settings as version 1.
    pub async fn create_campaign(
        &self,
        settings: &CampaignSettings,
        by: &str,
        at: Utc,
    ) -> Result<CampaignId, StoreError> {
        const SQL: &str = "INSERT INTO campaign (version, state, created_ms) \
                           VALUES (1, $1, $2) RETURNING id";
        // The node that runs now leads the new campaign too.
        const LEASE: &str = "INSERT INTO campaign_lease (campaign, node, epoch) \
                             SELECT $1, node, epoch FROM process_mark ORDER BY epoch DESC LIMIT 1";
        let mut tx = self.begin().await?;
        let state = word(&CampaignState::Created);
        let (id,): (i64,) = on_tx!(&mut tx, conn => {
            sqlx::query_as(SQL).bind(state).bind(at.as_ms()).fetch_one(conn).await?
        });
        let id = CampaignId::new(id);
        insert_version(&mut tx, id, 1, settings, by, at).await?;
        on_tx!(&mut tx, conn => { sqlx::query(LEASE).bind(id.get()).execute(conn).await?; });
        audit::write(&mut tx, at, by, "campaign.created", &format!("{{\"id\":{id}}}")).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// One campaign.
    pub async fn campaign(&self, id: CampaignId) -> Result<Option<CampaignRow>, StoreError> {
        const SQL: &str = "SELECT state FROM campaign WHERE id = $1";
        let Some(row) = self.campaign_settings(id).await? else { return Ok(None) };
        let (state,): (String,) = on_db!(self, pool => {
            sqlx::query_as(SQL).bind(id.get()).fetch_one(pool).await?
        });
        with_state(row, &state).map(Some)
    }

    /// All campaigns, by id.
    pub async fn campaigns(&self) -> Result<Vec<CampaignRow>, StoreError> {
        const SQL: &str = "SELECT id, state FROM campaign ORDER BY id";
        let rows = self.all_campaign_settings().await?;
        let states: std::collections::BTreeMap<i64, String> = on_db!(self, pool => {
            sqlx::query_as::<_, (i64, String)>(SQL).fetch_all(pool).await?
        })
        .into_iter()
        .collect();
        rows.into_iter()
            .map(|row| {
                let state = states.get(&row.id.get()).map_or("", String::as_str);
                with_state(row, state)
            })
            .collect()
    }

    /// Changes the state; an audit row goes with it.
    pub async fn set_campaign_state(
        &self,
        id: CampaignId,
        state: CampaignState,
        by: &str,
        at: Utc,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        write_state(&mut tx, id, state, by, at).await?;
        tx.commit().await
    }

    /// The lists that a campaign dials.
    pub async fn campaign_lists(&self, id: CampaignId) -> Result<Vec<ListId>, StoreError> {
        const SQL: &str = "SELECT list FROM campaign_list \
                           WHERE campaign = $1 AND state <> 'emptying' ORDER BY list";
        let rows: Vec<(i64,)> = on_db!(self, pool => {
            sqlx::query_as(SQL).bind(id.get()).fetch_all(pool).await?
        });
        Ok(rows.into_iter().map(|(list,)| ListId::new(list)).collect())
    }

    /// Makes these the lists of a campaign: contacts of new ones become ready, those of lists taken
    /// away leave the queue (a call in the air ends as it ends). Works in chunks, so that dialling
    /// goes on meanwhile; if it is cut short, [`Db::fill_campaigns`] carries on.
    pub async fn set_campaign_lists(
        &self,
        id: CampaignId,
        wanted: &[ListId],
        by: &str,
        at: Utc,
    ) -> Result<(), StoreError> {
        const ADD: &str = "INSERT INTO campaign_list (campaign, list, state) \
                           VALUES ($1, $2, 'filling') ON CONFLICT (campaign, list) DO UPDATE \
                           SET state = 'filling' WHERE campaign_list.state = 'emptying'";
        const REMOVE: &str =
            "UPDATE campaign_list SET state = 'emptying' WHERE campaign = $1 AND list = $2";
        let wanted: BTreeSet<ListId> = wanted.iter().copied().collect();
        let mut tx = self.begin().await?;
        for list in &wanted {
            lists::expect_ready(&mut tx, *list).await?;
            on_tx!(&mut tx, conn => {
                sqlx::query(ADD).bind(id.get()).bind(list.get()).execute(conn).await?;
            });
        }
        for list in lists_of(&mut tx, id).await?.difference(&wanted) {
            on_tx!(&mut tx, conn => {
                sqlx::query(REMOVE).bind(id.get()).bind(list.get()).execute(conn).await?;
            });
        }
        let ids: Vec<i64> = wanted.iter().map(|list| list.get()).collect();
        let detail = format!("{{\"id\":{id},\"lists\":{ids:?}}}");
        audit::write(&mut tx, at, by, "campaign.lists", &detail).await?;
        tx.commit().await?;
        self.fill_campaigns().await
    }

    /// Carries on with every list that is not yet wholly in, or out of, its campaign. Called once at
    /// the start of the program; [`Db::set_campaign_lists`] calls it by itself.
    pub async fn fill_campaigns(&self) -> Result<(), StoreError> {
        const SQL: &str = "SELECT campaign, list, state FROM campaign_list \
                           WHERE state <> 'filled' ORDER BY campaign, list";
        let open: Vec<(i64, i64, String)> = on_db!(self, pool => {
            sqlx::query_as(SQL).fetch_all(pool).await?
        });
        for (campaign, list, state) in open {
            let (campaign, list) = (CampaignId::new(campaign), ListId::new(list));
            self.move_list(campaign, list, state == "filling").await?;
        }
        Ok(())
    }

    async fn move_list(
        &self,
        campaign: CampaignId,
        list: ListId,
        fill: bool,
    ) -> Result<(), StoreError> {
        const FILLED: &str = "UPDATE campaign_list SET state = 'filled' \
                              WHERE campaign = $1 AND list = $2 AND state = 'filling'";
        const EMPTIED: &str = "DELETE FROM campaign_list \
                               WHERE campaign = $1 AND list = $2 AND state = 'emptying'";
        let mut after = 0;
        loop {
            let mut tx = self.begin().await?;
            let Some(last) = lists::chunk_end(&mut tx, list, after, FILL_CHUNK).await? else {
                let sql = if fill { FILLED } else { EMPTIED };
                on_tx!(&mut tx, conn => {
                    sqlx::query(sql).bind(campaign.get()).bind(list.get()).execute(conn).await?;
                });
                return tx.commit().await;
            };
            let mut sums = Sums::default();
            let range = (after, last);
            if fill {
                ready_queue::fill_range(&mut tx, campaign, list, range, &mut sums).await?;
            } else {
                ready_queue::empty_range(&mut tx, campaign, list, range, &mut sums).await?;
            }
            sums.write(&mut tx).await?;
            tx.commit().await?;
            after = last;
        }
    }
}

/// Changes the state within a transaction.
pub(crate) async fn write_state(
    tx: &mut Tx,
    id: CampaignId,
    state: CampaignState,
    by: &str,
    at: Utc,
) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE campaign SET state = $2 WHERE id = $1";
    let state = word(&state);
    let changed = on_tx!(tx, conn => {
        sqlx::query(SQL).bind(id.get()).bind(&state).execute(conn).await?.rows_affected()
    });
    if changed == 0 {
        return Err(StoreError::NotFound("campaign"));
    }
    let detail = format!("{{\"id\":{id},\"state\":\"{state}\"}}");
    audit::write(tx, at, by, "campaign.state", &detail).await
}

async fn lists_of(tx: &mut Tx, id: CampaignId) -> Result<BTreeSet<ListId>, StoreError> {
    const SQL: &str = "SELECT list FROM campaign_list WHERE campaign = $1";
    let rows: Vec<(i64,)> = on_tx!(tx, conn => {
        sqlx::query_as(SQL).bind(id.get()).fetch_all(conn).await?
    });
    Ok(rows.into_iter().map(|(list,)| ListId::new(list)).collect())
}

fn with_state(
    row: Versioned<CampaignId, CampaignSettings>,
    state: &str,
) -> Result<CampaignRow, StoreError> {
    Ok(CampaignRow {
        id: row.id,
        version: row.version,
        state: from_word("campaign state", state)?,
        settings: row.settings,
    })
}
