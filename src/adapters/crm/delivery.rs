//! Posts what the outbox holds: at least once with a stable id, in order per person.
//!
//! ```text
//! one worker per endpoint, up to 16 posts at once, never two of one person
//!
//! claim the first event of each person ─► post ─► 2xx   delivered
//!        ▲                                  ├────► 4xx   again later, then dead letter; the person waits
//!        │                                  ├────► 410   endpoint switched off; its events stay
//!        └── back-off of the endpoint ◄─────┴────► 5xx, 408, 425, 429, no answer: the endpoint waits
//! ```
//!
//! Nothing is deleted before it was acknowledged. A process that dies after the acknowledgement and
//! before the deletion posts the event again: receivers know it by its id.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Client;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::adapters::import::job::Clock;
use crate::adapters::store::crm_endpoints::EndpointRow;
use crate::adapters::store::crm_outbox::OutboxHead;
use crate::adapters::store::{Db, StoreError};
use crate::adapters::telemetry::metrics;
use crate::domain::time::Utc;

use super::backoff::{STANDARD, Schedule};
use super::http::guarded_client;
use super::post::{Answer, Post, post};

/// Posts to one endpoint at once, at most: enough for hundreds of events a second, few enough for a
/// small CRM.
pub const POSTS_MAX: usize = 16;
/// How long a claimed event belongs to this process beyond the time its post may take.
const LEASE_MARGIN: Duration = Duration::from_secs(30);
/// How often endpoints are read anew and the outbox is measured.
const ENDPOINTS_EVERY: Duration = Duration::from_secs(1);
/// The wait after the database failed.
const STORE_WAIT: Duration = Duration::from_secs(1);

/// How events are delivered.
#[derive(Debug, Clone, Copy)]
pub struct DeliveryOptions {
    /// How long an endpoint may take to answer.
    pub timeout: Duration,
    /// Whether endpoints may stand at private addresses.
    pub allow_private_addresses: bool,
    /// Waits after failures.
    pub schedule: Schedule,
    /// How often an empty outbox is looked at.
    pub poll: Duration,
    /// How long deliveries go on after the shutdown was asked for.
    pub drain: Duration,
}

impl Default for DeliveryOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(15),
            allow_private_addresses: false,
            schedule: STANDARD,
            poll: Duration::from_millis(100),
            drain: Duration::from_secs(20),
        }
    }
}

/// Delivers until `shutdown` turns true, then what is due still, for `options.drain` at most.
pub async fn run(
    db: Db,
    options: DeliveryOptions,
    clock: Clock,
    mut shutdown: watch::Receiver<bool>,
) {
    let client = match guarded_client(options.timeout, options.allow_private_addresses) {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "no CRM event can be delivered: cannot make an HTTP client");
            return;
        }
    };
    let shared = Shared { db, client, options, clock, shutdown: shutdown.clone() };
    let mut workers = JoinSet::new();
    let mut known = BTreeSet::new();
    loop {
        match shared.db.crm_endpoints().await {
            Ok(rows) => {
                for row in rows.into_iter().filter(|row| known.insert(row.id)) {
                    workers.spawn(Worker::new(shared.clone(), row).run());
                }
            }
            Err(error) => tracing::warn!(%error, "cannot read the CRM endpoints"),
        }
        shared.measure().await;
        if *shutdown.borrow() {
            break;
        }
        tokio::select! {
            () = tokio::time::sleep(ENDPOINTS_EVERY) => {}
            changed = shutdown.changed() => {
                // Without anybody who could announce the end this is the end.
                if changed.is_err() { break }
            }
        }
    }
    let drained =
        tokio::time::timeout(options.drain, async { while workers.join_next().await.is_some() {} });
    if drained.await.is_err() {
        tracing::info!("some CRM events wait for the next start");
    }
    shared.measure().await;
}

/// What all workers use.
#[derive(Clone)]
struct Shared {
    db: Db,
    client: Client,
    options: DeliveryOptions,
    clock: Clock,
    shutdown: watch::Receiver<bool>,
}

impl Shared {
    async fn measure(&self) {
        let Ok(counts) = self.db.outbox_counts().await else { return };
        let oldest = counts.oldest.map_or(0, |at| (self.clock)().as_ms() - at.as_ms());
        let oldest = Duration::from_millis(u64::try_from(oldest).unwrap_or(0));
        metrics::crm_outbox(counts.waiting, oldest);
    }
}

/// A post that came back.
struct Posted {
    head: OutboxHead,
    begun: Utc,
    answer: Answer,
}

/// One endpoint's deliveries.
struct Worker {
    shared: Shared,
    endpoint: EndpointRow,
    read_at: Utc,
    posts: JoinSet<Posted>,
    /// Failures of the endpoint since it last took something.
    streak: u32,
    /// When the last of them was noticed: what was posted before says nothing new.
    failed_at: Utc,
    /// Nothing is posted before.
    wait_until: Utc,
}

impl Worker {
    fn new(shared: Shared, endpoint: EndpointRow) -> Self {
        let (read_at, wait_until) = ((shared.clock)(), endpoint.backoff_until);
        let (posts, failed_at) = (JoinSet::new(), Utc::from_ms(i64::MIN));
        Self { shared, endpoint, read_at, posts, streak: 0, failed_at, wait_until }
    }

    /// Works until the shutdown was asked for and nothing is due.
    async fn run(mut self) {
        loop {
            if let Err(error) = self.claim().await {
                tracing::warn!(endpoint.id = %self.endpoint.id, %error, "cannot read the CRM outbox");
                tokio::time::sleep(STORE_WAIT).await;
            }
            if self.posts.is_empty() {
                if *self.shared.shutdown.borrow() {
                    return;
                }
                self.rest().await;
                continue;
            }
            // Where all places are taken only a post that comes back brings anything new.
            let has_room = self.posts.len() < POSTS_MAX;
            let poll = self.shared.options.poll;
            tokio::select! {
                Some(joined) = self.posts.join_next() => {
                    let first = joined.ok();
                    let more = std::iter::from_fn(|| self.posts.try_join_next());
                    let posted: Vec<Posted> = first.into_iter().chain(more.flatten()).collect();
                    self.settle(posted).await;
                }
                () = tokio::time::sleep(poll), if has_room => {}
            }
        }
    }

    /// Waits for the next look, or for the end of the program.
    async fn rest(&mut self) {
        let now = (self.shared.clock)();
        let is_on = self.endpoint.is_enabled;
        let wait = if is_on { self.shared.options.poll } else { ENDPOINTS_EVERY };
        let back_off = self.wait_until.as_ms().saturating_sub(now.as_ms()).max(0);
        let back_off = Duration::from_millis(u64::try_from(back_off).unwrap_or(0));
        // An endpoint switched on again has no back-off any more: it is looked at once a second.
        let wait = wait.max(back_off.min(ENDPOINTS_EVERY));
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            changed = self.shared.shutdown.changed() => {
                if changed.is_err() {
                    // Nobody announces an end: go on at the same pace.
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    /// Takes due events into the free places and posts them.
    async fn claim(&mut self) -> Result<(), StoreError> {
        let now = (self.shared.clock)();
        let since = now.as_ms().saturating_sub(self.read_at.as_ms()).unsigned_abs();
        if u128::from(since) >= ENDPOINTS_EVERY.as_millis() {
            self.read_endpoint(now).await?;
        }
        let free = POSTS_MAX.saturating_sub(self.posts.len());
        if free == 0 || !self.endpoint.is_enabled || now < self.wait_until {
            return Ok(());
        }
        let lease = self.shared.options.timeout + LEASE_MARGIN;
        let limit = u32::try_from(free).unwrap_or(1);
        let heads =
            self.shared.db.claim_endpoint_heads(self.endpoint.id, now, lease, limit).await?;
        for head in heads {
            self.posts.spawn(deliver(self.shared.clone(), self.endpoint.clone(), head));
        }
        Ok(())
    }

    /// Reads the endpoint as a manager may have changed it.
    async fn read_endpoint(&mut self, now: Utc) -> Result<(), StoreError> {
        let rows = self.shared.db.crm_endpoints().await?;
        self.read_at = now;
        let Some(row) = rows.into_iter().find(|row| row.id == self.endpoint.id) else {
            self.endpoint.is_enabled = false;
            return Ok(());
        };
        if row.is_enabled && !self.endpoint.is_enabled {
            // Switched on by a person: what was before does not count.
            (self.streak, self.wait_until) = (0, now);
        }
        self.endpoint = row;
        Ok(())
    }

    /// Writes down what came of posts.
    async fn settle(&mut self, posted: Vec<Posted>) {
        let mut delivered = vec![];
        let mut failed = vec![];
        for one in posted {
            match one.answer {
                Answer::Delivered => {
                    self.streak = 0;
                    delivered.push(one.head.id);
                }
                _ => failed.push(one),
            }
        }
        let mut written = Ok(());
        if !delivered.is_empty() {
            for _ in &delivered {
                metrics::crm_delivery(metrics::Delivery::Delivered);
            }
            written = self.shared.db.delivered(&delivered).await;
        }
        for one in failed {
            written = written.and(self.fail(one).await);
        }
        if let Err(error) = written {
            // The lease ends by itself and the event is posted again.
            tracing::warn!(endpoint.id = %self.endpoint.id, %error, "cannot write to the CRM outbox");
            tokio::time::sleep(STORE_WAIT).await;
        }
    }

    async fn fail(&mut self, posted: Posted) -> Result<(), StoreError> {
        let Posted { head, begun, answer } = posted;
        let (db, now) = (self.shared.db.clone(), (self.shared.clock)());
        let schedule = self.shared.options.schedule;
        match answer {
            Answer::Delivered => db.delivered(&[head.id]).await,
            Answer::Refused { why } if schedule.is_over(head.tries) => {
                metrics::crm_delivery(metrics::Delivery::Dead);
                tracing::warn!(
                    endpoint.id = %self.endpoint.id, event.id = %head.event, tries = head.tries, why,
                    "CRM event given up; it stands among the dead letters"
                );
                db.dead_letter(head.id, &why, now).await
            }
            Answer::Refused { why } => {
                metrics::crm_delivery(metrics::Delivery::Retried);
                let next = now + schedule.wait(head.tries, rand::random());
                db.failed(head.id, next, &why).await
            }
            Answer::Gone => {
                metrics::crm_delivery(metrics::Delivery::Retried);
                if self.endpoint.is_enabled {
                    self.endpoint.is_enabled = false;
                    let id = self.endpoint.id;
                    tracing::warn!(endpoint.id = %id, "CRM answered 410 and is switched off");
                    db.disable_endpoint(id, "it answered 410 Gone", "program", now).await?;
                }
                db.failed(head.id, now, "410 Gone").await
            }
            Answer::Later { why, wait } => {
                metrics::crm_delivery(metrics::Delivery::Retried);
                self.back_off(begun, now, wait, &why).await?;
                // The endpoint waits, not the event: whoever ends the back-off ends it for all.
                db.failed(head.id, now, &why).await
            }
        }
    }

    /// Leaves the endpoint alone for a while. Posts that were under way together count once.
    async fn back_off(
        &mut self,
        begun: Utc,
        now: Utc,
        asked: Option<Duration>,
        why: &str,
    ) -> Result<(), StoreError> {
        if self.streak == 0 || begun >= self.failed_at {
            self.streak = self.streak.saturating_add(1);
            self.failed_at = now;
            if self.streak == 1 {
                tracing::warn!(endpoint.id = %self.endpoint.id, why, "CRM does not take events; they wait");
            }
        }
        let wait = self.shared.options.schedule.wait(self.streak, rand::random());
        // What the receiver asks for goes before our own schedule, sooner or later.
        let until = now + asked.unwrap_or(wait);
        if until > self.wait_until {
            self.wait_until = until;
            self.shared.db.endpoint_backoff(self.endpoint.id, until).await?;
        }
        Ok(())
    }
}

async fn deliver(shared: Shared, endpoint: EndpointRow, head: OutboxHead) -> Posted {
    let begun = (shared.clock)();
    let what = Post {
        url: &endpoint.url,
        secret: endpoint.secret.reveal(),
        event: head.event.as_uuid(),
        body: &head.body,
    };
    let allow_private = shared.options.allow_private_addresses;
    let answer = post(&shared.client, &what, allow_private, begun).await;
    Posted { head, begun, answer }
}
