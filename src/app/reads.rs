//! What the driver reads from the store: as tasks beside it, whose answers come back as [`Later`].

use std::collections::BTreeMap;

use tokio::sync::oneshot;

use super::driver::{Driver, Later};
use super::live_views::StoreCounts;
use crate::adapters::gate::Reload;
use crate::adapters::store::campaigns::CampaignRow;
use crate::adapters::store::tally::WindowTally;
use crate::adapters::store::{Db, StoreError};
use crate::domain::abandon::Window;
use crate::domain::campaign::{CampaignRules, CampaignState};
use crate::domain::time::{Duration, Utc};
use crate::engine::input::Input;
use crate::protocols::sip;

/// Rules that could not be read after a step of the clock are read again after this.
const CHECK_AGAIN: Duration = Duration::from_secs(1);

impl Driver {
    /// Tells the engine all settings, at the start.
    pub(super) async fn tell_settings(&mut self) -> anyhow::Result<()> {
        for row in self.db.trunks().await? {
            self.later(Later::Trunk(Box::new(row)));
        }
        for row in self.db.agents().await? {
            self.later(Later::Agent(Box::new(row)));
        }
        for row in self.db.campaigns().await? {
            let tallies = read_tallies(&self.db, &row, self.clock.utc()).await?;
            self.later(Later::Campaign { asked: 0, row: Box::new(row), tallies });
        }
        self.tell_networks();
        Ok(())
    }

    pub(super) fn campaign_read(&mut self, row: CampaignRow, tallies: Vec<(Window, WindowTally)>) {
        let rules = CampaignRules::of(row.id, row.version, &row.settings);
        let (campaign, state) = (row.id, row.state);
        let first_time = self.book.campaign(campaign).is_none()
            || !self.engine.campaign_ids().contains(&campaign);
        tracing::info!(campaign.id = %campaign, ?state, version = rules.version, "campaign settings or state");
        self.book.put_campaign(row);
        // Made known at rest first, so that no call is launched before its windows are loaded.
        if first_time {
            self.feed(Input::Campaign(Box::new(rules.clone()), CampaignState::Created));
            for (window, counted) in tallies {
                let WindowTally { tally, outside } = counted;
                self.feed(Input::Tally { campaign, window, tally, outside });
            }
        }
        self.feed(Input::Campaign(Box::new(rules), state));
    }

    /// Reads again what changed; the answer comes when the engine has been told.
    pub(super) fn reload(&mut self, what: Reload, done: oneshot::Sender<()>) {
        let now = self.clock.utc();
        self.next_read += 1;
        let asked = self.next_read;
        match what {
            Reload::Campaign(id) => self.read(move |db| async move {
                let Some(row) = db.campaign(id).await? else { return Ok(vec![Later::Done(done)]) };
                let tallies = read_tallies(&db, &row, now).await?;
                let read = Later::Campaign { asked, row: Box::new(row), tallies };
                Ok(vec![read, Later::Done(done)])
            }),
            Reload::Trunk(id) => self.read(move |db| async move {
                let row = db.trunk(id).await?.map(|row| Later::Trunk(Box::new(row)));
                Ok(row.into_iter().chain([Later::Done(done)]).collect())
            }),
            Reload::Agent(id) => self.read(move |db| async move {
                let row = db.agent(id).await?.map(|row| Later::Agent(Box::new(row)));
                Ok(row.into_iter().chain([Later::Done(done)]).collect())
            }),
            // Delivery reads its endpoints from the store each time.
            Reload::CrmEndpoints => {
                done.send(()).ok();
            }
        }
    }

    /// Carries out a read beside the driver; what it finds comes back through the queue.
    pub(super) fn read<F, R>(&self, read: F)
    where
        F: FnOnce(Db) -> R,
        R: Future<Output = Result<Vec<Later>, StoreError>> + Send + 'static,
    {
        let later = self.later_in.clone();
        let found = read(self.db.clone());
        tokio::spawn(async move {
            match found.await {
                Ok(found) => {
                    for item in found {
                        // Fails only when the driver has ended.
                        if later.send(item).await.is_err() {
                            return;
                        }
                    }
                }
                Err(error) => tracing::error!(%error, "cannot read from the database"),
            }
        });
    }

    /// After a step of the wall clock: reads every rule again, then lets dialling go on.
    pub(super) fn check_rules(&mut self) {
        let now = self.clock.utc();
        self.next_read += 1;
        let asked = self.next_read;
        self.read(move |db| async move {
            // Dialling waits for this, so it is tried until it succeeds.
            loop {
                match read_campaigns(&db, asked, now).await {
                    Ok(found) => {
                        return Ok(found.into_iter().chain([Later::RulesChecked]).collect());
                    }
                    Err(error) => tracing::error!(%error, "cannot read the rules again"),
                }
                tokio::time::sleep(CHECK_AGAIN).await;
            }
        });
    }

    /// Requests that open a dialog are answered only from trunks and agents' phones.
    pub(super) fn tell_networks(&mut self) {
        let mut networks = self.book.networks();
        networks.extend(&self.networks);
        self.command(sip::Command::Networks(networks));
    }

    /// Notes the wall time, so that the next run sees whether the clock went back meanwhile.
    pub(super) fn mark_time(&self, now: Utc) {
        let node = self.node.clone();
        self.read(move |db| async move {
            db.mark_time(&node, now).await?;
            Ok(Vec::new())
        });
    }

    /// Counts contacts and results of every campaign.
    pub(super) fn read_counts(&self) {
        let campaigns = self.engine.campaign_ids();
        self.read(move |db| async move {
            let mut found = Vec::new();
            for campaign in campaigns {
                let contacts = db.contact_counts(campaign).await?;
                let results = results_of(&db.counters(campaign).await?);
                found.push(Later::Counts(campaign, StoreCounts { contacts, results }));
            }
            Ok(found)
        });
    }
}

async fn read_campaigns(db: &Db, asked: u64, now: Utc) -> Result<Vec<Later>, StoreError> {
    let mut found = Vec::new();
    for row in db.campaigns().await? {
        let tallies = read_tallies(db, &row, now).await?;
        found.push(Later::Campaign { asked, row: Box::new(row), tallies });
    }
    Ok(found)
}

/// Results by code, most frequent first, out of a campaign's counters.
fn results_of(counters: &BTreeMap<String, i64>) -> Vec<(String, u64)> {
    let mut results: Vec<(String, u64)> = counters
        .iter()
        .filter_map(|(name, n)| Some((name.strip_prefix("result.")?, *n)))
        .map(|(code, n)| (code.to_owned(), u64::try_from(n).unwrap_or(0)))
        .collect();
    results.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    results
}

/// The tallies of the window at `now` and of the one before it.
async fn read_tallies(
    db: &Db,
    row: &CampaignRow,
    now: Utc,
) -> Result<Vec<(Window, WindowTally)>, StoreError> {
    let limit = &row.settings.abandon_limit;
    let here = limit.window_at(now);
    let before = limit.window_at(Utc::from_ms(here.start.as_ms() - 1));
    let mut tallies = Vec::new();
    for window in [before, here] {
        tallies.push((window, db.tally(row.id, window.start).await?));
    }
    Ok(tallies)
}
