//! One commit of the writer: everything that waits, in one transaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::attempt::{Intent, IntentRefusal};
use crate::domain::ids::{CampaignId, TrunkId};

use super::db::{Db, Tx};
use super::error::StoreError;
use super::intents::{self, Decision};
use super::leases::{self, Epoch};
use super::ready_queue;
use super::records::{self, Applied, Ink};
use super::recovery;
use super::tally::Sums;
use super::words::clean;
use super::writer::{Job, Write, Written};

/// Versions of trunks whose prefixes are kept at hand; far more than a run meets.
const PREFIXES_MAX: usize = 256;

/// Writes batches. Keeps at hand only what can never change.
pub(crate) struct Batcher {
    db: Db,
    run: Epoch,
    instance: String,
    prefixes: BTreeMap<(TrunkId, u32), Arc<[String]>>,
}

/// What a batch came to.
pub(crate) struct Outcome {
    /// Answers for the driver, in the order in which the intents arrived.
    pub(crate) answers: Vec<Written>,
    /// Records of attempts that another run had settled.
    pub(crate) late: usize,
}

/// Why a batch was not written.
pub(crate) struct Failure {
    pub(crate) error: StoreError,
    /// The commit itself failed: it may have reached the disk.
    pub(crate) is_ambiguous: bool,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self { error, is_ambiguous: false }
    }
}

impl Batcher {
    pub(crate) fn new(db: Db, run: Epoch, instance: String) -> Self {
        Self { db, run, instance, prefixes: BTreeMap::new() }
    }

    /// Writes `jobs` in one transaction.
    pub(crate) async fn write(&mut self, jobs: &[Job]) -> Result<Outcome, Failure> {
        let mut tx = self.db.begin().await?;
        let mut sums = Sums::default();
        let mut late = 0;
        for job in jobs {
            late += usize::from(self.fact(&mut tx, job, &mut sums).await? == Applied::Late);
        }
        let mut answers = self.intents(&mut tx, jobs, &mut sums).await?;
        // The order of keys, in which every transaction takes its locks, ends here.
        answers.sort_by_key(|(place, _)| *place);
        sums.write(&mut tx).await?;
        tx.commit().await.map_err(|error| Failure { error, is_ambiguous: true })?;
        Ok(Outcome { answers: answers.into_iter().map(|(_, answer)| answer).collect(), late })
    }

    /// Everything but intents, in the order of arrival.
    async fn fact(&self, tx: &mut Tx, job: &Job, sums: &mut Sums) -> Result<Applied, StoreError> {
        match job {
            Job::Withdraw(intent) => intents::withdraw(tx, intent, sums).await?,
            Job::Write(Write::Record(record, dialog)) => {
                let mut ink = Ink { instance: &self.instance, sums };
                return records::apply(tx, record, dialog.as_deref(), &mut ink).await;
            }
            Job::Write(Write::AgentLeg(leg)) => recovery::put_agent_leg(tx, &self.run, leg).await?,
            Job::Write(Write::AgentLegGone(leg)) => recovery::remove_agent_leg(tx, *leg).await?,
            Job::Write(Write::Defer { campaign, contact, until }) => {
                ready_queue::defer(tx, *campaign, *contact, *until, sums).await?;
            }
            Job::Write(Write::OrphanEnded { campaign, attempt, how }) => {
                recovery::orphan_ended(tx, *campaign, *attempt, *how, sums).await?;
            }
            Job::Write(Write::Intent(..)) | Job::Flush(_) => {}
        }
        Ok(Applied::Done)
    }

    /// The intents, by number and then in the order of arrival: two nodes whose batches share
    /// numbers lock them in the same order and never wait for each other in a circle.
    async fn intents(
        &mut self,
        tx: &mut Tx,
        jobs: &[Job],
        sums: &mut Sums,
    ) -> Result<Vec<(usize, Written)>, StoreError> {
        let mut intents: Vec<(usize, &Intent, &str)> = jobs
            .iter()
            .enumerate()
            .filter_map(|(place, job)| match job {
                Job::Write(Write::Intent(intent, local)) => Some((place, intent, local.as_str())),
                Job::Write(_) | Job::Withdraw(_) | Job::Flush(_) => None,
            })
            .collect();
        intents.sort_by_key(|(place, intent, _)| (intent.key.number, *place));
        let leases = self.leases(tx, &intents).await?;
        let mut answers = Vec::with_capacity(intents.len());
        for (place, intent, local) in intents {
            let attempt = intent.key.attempt;
            let refused = |why| Written::IntentRefused { attempt, why };
            if leases.get(&intent.key.campaign) != Some(&true) {
                answers.push((place, refused(IntentRefusal::LeaseLost)));
                continue;
            }
            let Some(prefixes) = self.prefixes(tx, intent).await? else {
                // A version that nobody made: our own bug, and nothing is dialled.
                answers.push((place, refused(IntentRefusal::StoreFailed)));
                continue;
            };
            let decision = intents::intend(tx, &self.run, intent, local, &prefixes, sums).await?;
            answers.push((
                place,
                match decision {
                    Decision::Stands(target) => Written::Intended { attempt, target },
                    Decision::Refused(why) => refused(why),
                },
            ));
        }
        Ok(answers)
    }

    /// Which campaigns of a batch this run holds, asked once each in the order of their ids.
    async fn leases(
        &self,
        tx: &mut Tx,
        intents: &[(usize, &Intent, &str)],
    ) -> Result<BTreeMap<CampaignId, bool>, StoreError> {
        let mut held: BTreeMap<CampaignId, bool> =
            intents.iter().map(|(_, intent, _)| (intent.key.campaign, false)).collect();
        for (campaign, is_held) in &mut held {
            *is_held = leases::holds(tx, *campaign, &self.run).await?;
        }
        Ok(held)
    }

    async fn prefixes(
        &mut self,
        tx: &mut Tx,
        intent: &Intent,
    ) -> Result<Option<Arc<[String]>>, StoreError> {
        let version = (intent.trunk, intent.trunk_version);
        if !self.prefixes.contains_key(&version) {
            let Some(found) = intents::prefixes(tx, intent).await? else { return Ok(None) };
            if self.prefixes.len() >= PREFIXES_MAX {
                self.prefixes.clear();
            }
            self.prefixes.insert(version, found.into());
        }
        Ok(self.prefixes.get(&version).map(Arc::clone))
    }

    /// Puts a record that the database refuses for a reason of its own aside, as it is.
    pub(crate) async fn put_aside(&self, job: &Job, why: &StoreError) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO stuck_record (at_ms, body, error) VALUES ($1, $2, $3)";
        let mut tx = self.db.begin().await?;
        let (at_ms, body) = job.remains();
        on_tx!(&mut tx, conn => {
            sqlx::query(SQL).bind(at_ms).bind(clean(&body)).bind(clean(&why.to_string()))
                .execute(conn).await?;
        });
        tx.commit().await
    }
}
