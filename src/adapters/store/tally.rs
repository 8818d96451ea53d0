//! Sums: the abandon rate's windows, and a campaign's counters.

use std::collections::BTreeMap;

use crate::adapters::views::ContactCounts;
use crate::domain::abandon::Tally;
use crate::domain::attempt::AbandonCount;
use crate::domain::ids::CampaignId;
use crate::domain::time::Utc;

use super::db::{Db, Tx};
use super::error::StoreError;
use super::words::whole;

/// A window's sums with the part of the abandons whose cause lies outside the promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WindowTally {
    /// What counts.
    pub tally: Tally,
    /// Of the abandons: caused by a crash, a vanished agent, a crossing answer.
    pub outside: u32,
}

/// Additions to one window, as far as a batch has gathered them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TallyChange {
    pub(crate) live_answers: i64,
    pub(crate) abandoned: i64,
    pub(crate) connected: i64,
    pub(crate) outside: i64,
}

/// Changes to sums, gathered by a transaction and written once at its end in the order of their
/// keys: one statement per sum however long the batch, and two writers never wait for each other in
/// a circle.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    counters: BTreeMap<(CampaignId, String), i64>,
    tallies: BTreeMap<(CampaignId, Utc), TallyChange>,
}

impl Sums {
    pub(crate) fn add(&mut self, campaign: CampaignId, name: impl Into<String>, n: i64) {
        *self.counters.entry((campaign, name.into())).or_default() += n;
    }

    /// Counts an answered call; `sign` −1 takes it back.
    pub(crate) fn count(&mut self, campaign: CampaignId, count: &AbandonCount, sign: i64) {
        let change = self.tallies.entry((campaign, count.window_start)).or_default();
        change.live_answers += sign;
        change.abandoned += sign * i64::from(count.abandoned);
        change.connected += sign * i64::from(count.connected);
        change.outside += sign * i64::from(count.outside);
    }

    pub(crate) async fn write(self, tx: &mut Tx) -> Result<(), StoreError> {
        const COUNTER: &str = "INSERT INTO campaign_counter (campaign, name, n) \
                               VALUES ($1, $2, $3) ON CONFLICT (campaign, name) \
                               DO UPDATE SET n = campaign_counter.n + excluded.n";
        const TALLY: &str = "INSERT INTO abandon_tally \
            (campaign, window_ms, live_answers, abandoned, connected, outside) \
            VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (campaign, window_ms) DO UPDATE SET \
            live_answers = abandon_tally.live_answers + excluded.live_answers, \
            abandoned = abandon_tally.abandoned + excluded.abandoned, \
            connected = abandon_tally.connected + excluded.connected, \
            outside = abandon_tally.outside + excluded.outside";
        for ((campaign, name), n) in self.counters {
            if n != 0 {
                on_tx!(tx, conn => {
                    sqlx::query(COUNTER).bind(campaign.get()).bind(&name).bind(n)
                        .execute(conn).await?;
                });
            }
        }
        for ((campaign, window), change) in self.tallies {
            on_tx!(tx, conn => {
                sqlx::query(TALLY).bind(campaign.get()).bind(window.as_ms())
                    .bind(change.live_answers).bind(change.abandoned).bind(change.connected)
                    .bind(change.outside).execute(conn).await?;
            });
        }
        Ok(())
    }
}

impl Db {
    /// What a campaign's window holds, by its first instant.
    pub async fn tally(
        &self,
        campaign: CampaignId,
        window_start: Utc,
    ) -> Result<WindowTally, StoreError> {
        const SQL: &str = "SELECT live_answers, abandoned, connected, outside \
                           FROM abandon_tally WHERE campaign = $1 AND window_ms = $2";
        let row: Option<(i64, i64, i64, i64)> = on_db!(self, pool => {
            sqlx::query_as(SQL).bind(campaign.get()).bind(window_start.as_ms())
                .fetch_optional(pool).await?
        });
        let Some((live_answers, abandoned, connected, outside)) = row else {
            return Ok(WindowTally::default());
        };
        let tally = Tally {
            live_answers: whole("tally", live_answers)?,
            abandoned: whole("tally", abandoned)?,
            connected: whole("tally", connected)?,
        };
        Ok(WindowTally { tally, outside: whole("tally", outside)? })
    }

    /// A campaign's counters: `result.busy`, `contacts.ready`, `crm.posted`, …
    pub async fn counters(
        &self,
        campaign: CampaignId,
    ) -> Result<BTreeMap<String, i64>, StoreError> {
        const SQL: &str = "SELECT name, n FROM campaign_counter WHERE campaign = $1";
        let rows: Vec<(String, i64)> = on_db!(self, pool => {
            sqlx::query_as(SQL).bind(campaign.get()).fetch_all(pool).await?
        });
        Ok(rows.into_iter().collect())
    }

    /// Contacts of a campaign by what became of them; one small read however long the lists are.
    pub async fn contact_counts(&self, campaign: CampaignId) -> Result<ContactCounts, StoreError> {
        let counters = self.counters(campaign).await?;
        let n = |state: &str| {
            let n = counters.get(state).copied().unwrap_or(0);
            u64::try_from(n).unwrap_or(0)
        };
        let (ready, waits) = (n("contacts.ready"), n("contacts.waits"));
        let (live, closed) = (n("contacts.live"), n("contacts.closed"));
        Ok(ContactCounts { total: ready + waits + live + closed, ready, waits, live, closed })
    }
}
