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

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use crate::adapters::store::lists::NewContact;
    use crate::domain::abandon::AbandonLimit;
    use crate::domain::attempt::{AttemptKey, RESULT_MAP_VERSION};
    use crate::domain::calling_hours::CallingHours;
    use crate::domain::campaign::{CampaignSettings, Mode};
    use crate::domain::contact::NumberType;
    use crate::domain::ids::{AttemptId, ContactId, NumberId, PersonId};
    use crate::domain::phone::E164;
    use crate::domain::time::Utc;
    use crate::domain::trunk::TrunkSettings;

    use super::*;

    /// A commit that gave no answer may have reached the disk: the intent was refused to the driver,
    /// so the record must be where it was, whichever it was.
    #[tokio::test]
    async fn a_withdrawn_intent_puts_its_record_back_and_only_if_it_stood() {
        let folder = tempfile::tempdir().unwrap();
        let db =
            Db::open(&format!("sqlite:{}", folder.path().join("t.db").display())).await.unwrap();
        let (campaign, run) = campaign_of_one(&db).await;
        let before = db.ready_records(campaign, None, 10, Utc::default()).await.unwrap();
        let intent = intent(campaign);
        let mut batcher = Batcher::new(db.clone(), run, "test".into());
        let withdraw = [Job::Withdraw(Box::new(intent))];
        for reached_the_disk in [false, true, true] {
            if reached_the_disk {
                let dial = [Job::Write(Write::Intent(
                    // The number keeps its last call; with no gap to keep it is let through again.
                    Intent { number_gap_ms: 0, ..intent },
                    "local".into(),
                ))];
                let outcome = batcher.write(&dial).await.map_err(|f| f.error).unwrap();
                assert!(matches!(outcome.answers[..], [Written::Intended { .. }]));
                assert_eq!(db.contact_counts(campaign).await.unwrap().live, 1);
            }
            batcher.write(&withdraw).await.map_err(|f| f.error).unwrap();
            let after = db.ready_records(campaign, None, 10, Utc::default()).await.unwrap();
            assert_eq!(after, before);
            assert_eq!(db.contact_counts(campaign).await.unwrap().live, 0);
        }
    }

    fn intent(campaign: CampaignId) -> Intent {
        Intent {
            key: AttemptKey {
                attempt: AttemptId::from_uuid(uuid::Uuid::from_u128(1)),
                campaign,
                contact: ContactId::new(1),
                person: PersonId::new(1),
                number: NumberId::new(1),
            },
            campaign_version: 1,
            trunk: TrunkId::new(1),
            trunk_version: 1,
            result_map_version: RESULT_MAP_VERSION,
            caller_id: 0,
            agent: None,
            at: Utc::default(),
            number_gap_ms: 60_000,
        }
    }

    async fn campaign_of_one(db: &Db) -> (CampaignId, Epoch) {
        let at = Utc::default();
        let trunk = TrunkSettings {
            name: "lab".into(),
            profile: "lab".into(),
            address: "127.0.0.1:5060".parse().unwrap(),
            domain: String::new(),
            caller_ids: vec![],
            calls_per_second: 1,
            lines: 1,
            allowed_prefixes: vec!["1".into()],
            networks: vec![],
            username: None,
            password: None,
        };
        let settings = CampaignSettings {
            name: "one".into(),
            mode: Mode::Progressive,
            legal_zone: Tz::UTC,
            calling_hours: CallingHours::all_day(),
            abandon_limit: AbandonLimit::us(Tz::UTC, "2026-01-01".parse().unwrap()),
            ring_timeout_ms: 20_000,
            wrap_up_ms: 0,
            attempts_max: 1,
            number_gap_s: 60,
            retry: crate::domain::retry::RetryRules::default(),
            trunk: db.create_trunk(&trunk, "test", at).await.unwrap(),
            lines_max: 1,
            preview_timeout_ms: 0,
            abandon_message: String::new(),
            script: String::new(),
            dispositions: vec![],
        };
        let contact = NewContact {
            external_ref: "a".into(),
            name: "A".into(),
            number: E164::parse("+12125550100").unwrap(),
            zone: Tz::UTC,
            number_type: NumberType::Unknown,
            priority: 0,
            fields: vec![],
        };
        let campaign = db.create_campaign(&settings, "test", at).await.unwrap();
        let list = db.begin_list("one", "test", at).await.unwrap();
        db.add_contacts(list, &[contact], at).await.unwrap();
        db.commit_list(list, at).await.unwrap();
        db.set_campaign_lists(campaign, &[list], "test", at).await.unwrap();
        (campaign, db.begin_epoch("main", at).await.unwrap())
    }
}
