//! The writer: one task that makes everything durable which the driver wants so, by group commit.
//!
//! What arrives while a commit runs is gathered into the next one. An intent is answered when it is
//! on the disk or refused; a fact is kept until it is written, however long the database is away:
//!
//! ```text
//! driver ──send──► inbox ──► waiting ──one transaction──► database
//!    ▲                          ▲  │ failed: facts stay, intents are refused, wait, again
//!    └──────── answers ─────────┼──┘
//!                               └ withdrawals: intents whose commit gave no answer
//! ```

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use crate::adapters::telemetry::metrics;
use crate::domain::attempt::{Intent, IntentRefusal, Record};
use crate::domain::ids::{AttemptId, CampaignId, ContactId, LegId};
use crate::domain::time::Utc;

use super::batch::{Batcher, Failure, Outcome};
use super::db::Db;
use super::error::StoreError;
use super::intents::DialTarget;
use super::leases::Epoch;
use super::recovery::{AgentLeg, OrphanEnd};

/// Jobs of one transaction: enough for 20,000 a second, few enough that one commit stays short.
const BATCH_MAX: usize = 512;
/// Facts kept while the database is away: a dozen for each of 10,000 calls. Beyond it the inbox
/// fills, and then [`WriterHandle::send`] says so.
const WAITING_MAX: usize = 120_000;
/// Jobs in the inbox.
const INBOX_MAX: usize = 16_384;
/// Answers that the driver has not taken yet.
const ANSWERS_MAX: usize = 16_384;
/// First and longest wait before a failed commit is tried again.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_LONGEST: Duration = Duration::from_secs(2);
/// Another transaction was in the way: tried again at once, this often.
const CONFLICTS_MAX: u32 = 5;
/// How long a closing writer goes on trying; what is left then is logged as lost.
const CLOSING_MAX: Duration = Duration::from_secs(30);

/// What the driver wants durable.
#[derive(Debug, Clone)]
pub enum Write {
    /// May this be dialled? With the local SIP address that the INVITE is going to be sent from.
    Intent(Intent, String),
    /// A fact; at an answer with the dialog's state as JSON.
    Record(Record, Option<String>),
    /// An agent's leg is up.
    AgentLeg(AgentLeg),
    /// An agent's leg is over.
    AgentLegGone(LegId),
    /// A record leaves the ready queue until then: its person may not be called now.
    Defer {
        /// Under which campaign.
        campaign: CampaignId,
        /// Which record.
        contact: ContactId,
        /// Until when.
        until: Utc,
    },
    /// The remains of a lost call ended so.
    OrphanEnded {
        /// Whose attempt.
        campaign: CampaignId,
        /// Which.
        attempt: AttemptId,
        /// What was found out.
        how: OrphanEnd,
    },
}

/// What the driver is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// The intent is on the disk.
    Intended {
        /// Which.
        attempt: AttemptId,
        /// Whom to dial.
        target: Box<DialTarget>,
    },
    /// Nothing may be dialled.
    IntentRefused {
        /// Which.
        attempt: AttemptId,
        /// Why.
        why: IntentRefusal,
    },
}

/// A job within the writer.
#[derive(Debug)]
pub(crate) enum Job {
    Write(Write),
    Withdraw(Box<Intent>),
    Flush(oneshot::Sender<()>),
}

impl Job {
    /// What is put aside of a job that cannot be written: its time and itself.
    pub(crate) fn remains(&self) -> (i64, String) {
        let at = match self {
            Self::Write(Write::Record(record, _)) => match record {
                Record::Answered { at, .. }
                | Record::Connected { at, .. }
                | Record::CampaignFinished { at, .. } => *at,
                Record::Ended(end) | Record::Skipped(end) => end.times.intent,
                Record::Disposition(disposition) => disposition.at,
            },
            Self::Withdraw(intent) => intent.at,
            Self::Write(Write::Intent(intent, _)) => intent.at,
            Self::Write(_) | Self::Flush(_) => Utc::default(),
        };
        let body = match self {
            Self::Write(Write::Record(record, _)) => {
                serde_json::to_string(record).unwrap_or_else(|_| format!("{record:?}"))
            }
            other => format!("{other:?}"),
        };
        (at.as_ms(), body)
    }
}

/// How the writer is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WriterStatus {
    /// Jobs that wait for the database.
    pub waiting: usize,
    /// The last commit failed; facts are kept, intents refused.
    pub is_down: bool,
    /// Facts that the database refused for a reason of their own, since the start.
    pub stuck: u64,
    /// Facts of attempts that another run had settled, since the start.
    pub late: u64,
}

/// The driver's side. Cheap to clone; the writer ends when all are gone and everything is written.
#[derive(Debug, Clone)]
pub struct WriterHandle {
    inbox: mpsc::Sender<Job>,
    status: watch::Receiver<WriterStatus>,
    outbox: Arc<Notify>,
}

/// The inbox is full or the writer has ended; the job comes back.
#[derive(Debug, thiserror::Error)]
#[error("the writer takes no more")]
pub struct WriterFull(pub Box<Write>);

impl WriterHandle {
    /// Hands a job over; never waits.
    pub fn send(&self, write: Write) -> Result<(), WriterFull> {
        match self.inbox.try_reserve() {
            Ok(place) => {
                place.send(Job::Write(write));
                Ok(())
            }
            Err(_) => Err(WriterFull(Box::new(write))),
        }
    }

    /// Returns when everything sent before is on the disk; `false` if the writer ended first.
    pub async fn flush(&self) -> bool {
        let (done, wait) = oneshot::channel();
        self.inbox.send(Job::Flush(done)).await.is_ok() && wait.await.is_ok()
    }

    /// How the writer is doing; `changed()` on it waits for news.
    pub fn status(&self) -> watch::Receiver<WriterStatus> {
        self.status.clone()
    }

    /// Woken after each commit that may have put CRM events into the outbox.
    pub fn outbox_news(&self) -> Arc<Notify> {
        Arc::clone(&self.outbox)
    }
}

/// The task itself: [`Writer::run`] is to be spawned.
pub struct Writer {
    inbox: mpsc::Receiver<Job>,
    answers: mpsc::Sender<Written>,
    batcher: Batcher,
    waiting: VecDeque<Job>,
    retry: Option<Retry>,
    status: watch::Sender<WriterStatus>,
    outbox: Arc<Notify>,
}

/// The database is away: when it is tried again, and how long was waited this time.
#[derive(Debug, Clone, Copy)]
struct Retry {
    at: Instant,
    wait: Duration,
}

/// A writer for one run of the program: its handle, its task, and the answers to the driver.
/// `instance` is the name that CRM events give as their source.
pub fn writer(
    db: Db,
    run: Epoch,
    instance: String,
) -> (WriterHandle, Writer, mpsc::Receiver<Written>) {
    let (inbox_in, inbox) = mpsc::channel(INBOX_MAX);
    let (answers, answers_out) = mpsc::channel(ANSWERS_MAX);
    let (status, status_out) = watch::channel(WriterStatus::default());
    let outbox = Arc::new(Notify::new());
    let handle = WriterHandle { inbox: inbox_in, status: status_out, outbox: Arc::clone(&outbox) };
    let batcher = Batcher::new(db, run, instance);
    let (waiting, retry) = (VecDeque::new(), None);
    let writer = Writer { inbox, answers, batcher, waiting, retry, status, outbox };
    (handle, writer, answers_out)
}

impl Writer {
    /// Works until every handle is gone and everything is written.
    pub async fn run(mut self) {
        loop {
            if !self.gather().await {
                break;
            }
            if !self.waiting.is_empty() && self.is_due() {
                self.write_some().await;
            }
            self.tell_status();
        }
        self.close().await;
    }

    /// Waits for work, or for the moment to try again, and takes in what there is. `false` when
    /// every handle is gone.
    async fn gather(&mut self) -> bool {
        let has_room = self.waiting.len() < WAITING_MAX;
        let first = match self.retry {
            None if !self.waiting.is_empty() => None,
            None => match self.inbox.recv().await {
                Some(job) => Some(job),
                None => return false,
            },
            // Cancel-safe: `recv` loses nothing when the other branch wins.
            Some(retry) => tokio::select! {
                () = sleep_until(retry.at) => None,
                job = self.inbox.recv(), if has_room => match job {
                    Some(job) => Some(job),
                    None => return false,
                },
            },
        };
        if let Some(job) = first {
            self.take(job).await;
        }
        while self.waiting.len() < BATCH_MAX {
            let Ok(job) = self.inbox.try_recv() else { break };
            self.take(job).await;
        }
        true
    }

    /// An intent does not wait for a database that is away: it would be too old to be dialled.
    async fn take(&mut self, job: Job) {
        match job {
            Job::Write(Write::Intent(intent, _)) if self.retry.is_some() => {
                self.refuse(intent.key.attempt).await;
            }
            job => self.waiting.push_back(job),
        }
    }

    fn is_due(&self) -> bool {
        self.retry.is_none_or(|retry| Instant::now() >= retry.at)
    }

    /// Writes the first jobs that wait.
    async fn write_some(&mut self) {
        let n = self.waiting.len().min(BATCH_MAX);
        let jobs: Vec<Job> = self.waiting.drain(..n).collect();
        match self.write_patiently(&jobs).await {
            Ok(outcome) => self.written(jobs, outcome).await,
            Err(failure) if failure.error.is_own_fault() => self.write_singly(jobs).await,
            Err(failure) => self.failed(jobs, &failure).await,
        }
    }

    async fn write_patiently(&mut self, jobs: &[Job]) -> Result<Outcome, Failure> {
        let mut tries = 0;
        loop {
            let began = Instant::now();
            match self.batcher.write(jobs).await {
                Err(failure) if failure.error.is_conflict() && tries < CONFLICTS_MAX => tries += 1,
                Ok(outcome) => {
                    metrics::store_commit(began.elapsed(), jobs.len());
                    return Ok(outcome);
                }
                Err(failure) => {
                    metrics::store_error();
                    return Err(failure);
                }
            }
        }
    }

    /// One of the jobs cannot be written by any try: it is found by writing each alone.
    async fn write_singly(&mut self, jobs: Vec<Job>) {
        let mut jobs = VecDeque::from(jobs);
        while let Some(job) = jobs.pop_front() {
            let one = [job];
            let failure = match self.write_patiently(&one).await {
                Ok(outcome) => {
                    self.written(one.into(), outcome).await;
                    continue;
                }
                Err(failure) => failure,
            };
            if !failure.error.is_own_fault() || !self.put_aside(&one, &failure.error).await {
                let rest = one.into_iter().chain(jobs).collect();
                return self.failed(rest, &failure).await;
            }
        }
    }

    /// `false` if the database is away for this too.
    async fn put_aside(&mut self, job: &[Job; 1], error: &StoreError) -> bool {
        let [job] = job;
        if let Job::Write(Write::Intent(intent, _)) = job {
            tracing::error!(attempt.id = %intent.key.attempt, %error, "an intent cannot be written");
            self.refuse(intent.key.attempt).await;
            return true;
        }
        tracing::error!(%error, "a fact cannot be written; it is put aside in stuck_record");
        if self.batcher.put_aside(job, error).await.is_err() {
            return false;
        }
        self.status.send_modify(|status| status.stuck += 1);
        true
    }

    async fn written(&mut self, jobs: Vec<Job>, outcome: Outcome) {
        if self.retry.take().is_some() {
            tracing::info!("the database answers again");
        }
        if outcome.late > 0 {
            self.status.send_modify(|status| status.late += outcome.late as u64);
        }
        let mut may_post = false;
        for job in jobs {
            match job {
                Job::Write(Write::Record(..)) => may_post = true,
                // Whoever flushed may have gone meanwhile.
                Job::Flush(done) => drop(done.send(())),
                Job::Write(_) | Job::Withdraw(_) => {}
            }
        }
        if may_post {
            self.outbox.notify_one();
        }
        for answer in outcome.answers {
            self.answer(answer).await;
        }
    }

    /// Facts go back to where they were; intents are refused, and withdrawn should the commit have
    /// reached the disk without saying so.
    async fn failed(&mut self, jobs: Vec<Job>, failure: &Failure) {
        if self.retry.is_none() {
            tracing::error!(error = %failure.error, "the database is away; facts are kept");
        }
        let wait = self.retry.map_or(RETRY_FIRST, |retry| (retry.wait * 2).min(RETRY_LONGEST));
        self.retry = Some(Retry { at: Instant::now() + wait, wait });
        let mut kept = Vec::with_capacity(jobs.len());
        for job in jobs {
            match job {
                Job::Write(Write::Intent(intent, _)) => {
                    self.refuse(intent.key.attempt).await;
                    if failure.is_ambiguous {
                        kept.push(Job::Withdraw(Box::new(intent)));
                    }
                }
                job => kept.push(job),
            }
        }
        for job in kept.into_iter().rev() {
            self.waiting.push_front(job);
        }
    }

    async fn refuse(&self, attempt: AttemptId) {
        let why = IntentRefusal::StoreFailed;
        self.answer(Written::IntentRefused { attempt, why }).await;
    }

    /// A driver that is gone needs no answer: what is durable is found at the next start.
    async fn answer(&self, answer: Written) {
        if self.answers.send(answer).await.is_err() {
            tracing::debug!("nobody takes the writer's answers");
        }
    }

    fn tell_status(&self) {
        let (waiting, is_down) = (self.waiting.len(), self.retry.is_some());
        metrics::store_waiting(waiting);
        self.status.send_if_modified(|status| {
            let is_new = (status.waiting, status.is_down) != (waiting, is_down);
            (status.waiting, status.is_down) = (waiting, is_down);
            is_new
        });
    }

    /// Every handle is gone: what still waits is written, for as long as there is hope.
    async fn close(mut self) {
        let give_up = Instant::now() + CLOSING_MAX;
        while !self.waiting.is_empty() {
            if let Some(retry) = self.retry {
                if retry.at > give_up {
                    tracing::error!(
                        facts = self.waiting.len(),
                        "the database stayed away; these facts are lost"
                    );
                    return;
                }
                sleep_until(retry.at).await;
            }
            self.write_some().await;
        }
    }
}
