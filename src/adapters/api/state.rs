//! What every handler can reach.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::{Semaphore, watch};

use crate::adapters::gate::{Gate, GateError, Reload};
use crate::adapters::store::Db;
use crate::adapters::telemetry::metrics::{self, Metrics};
use crate::domain::time::Utc;

use super::auth::User;
use super::error::Problem;
use super::history::History;
use super::jobs::Jobs;
use super::password::Passwords;

/// Open event streams at most: each costs a task and a socket.
pub const STREAMS_MAX: usize = 2_048;

/// Reads the wall clock; the app gives its own.
pub type Clock = Arc<dyn Fn() -> Utc + Send + Sync>;

/// Says why a SIP profile of this name cannot be used.
pub type ProfileCheck = Arc<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// What the app hands to the API.
pub struct ApiOptions {
    /// The database.
    pub db: Db,
    /// The way to the driver.
    pub gate: Gate,
    /// The wall clock.
    pub clock: Clock,
    /// Renders `/metrics`.
    pub metrics: Metrics,
    /// Name of this installation, as CRM events carry it.
    pub instance: String,
    /// Names under which pages may reach us, beside loopback and plain addresses.
    pub hosts: Vec<String>,
    /// Where pages find us, for one-time links: `http://127.0.0.1:8080`.
    pub base_url: String,
    /// Whether a CRM may stand at a private address; the config's `crm.allow_private_addresses`.
    pub allow_private_addresses: bool,
    /// Whether a trunk may name this SIP profile.
    pub check_profile: ProfileCheck,
    /// Where the reject files of imports are kept.
    pub rejects_dir: PathBuf,
    /// Turns true when the program begins to end.
    pub shutdown: watch::Receiver<bool>,
}

/// The state of all handlers; cheap to clone.
#[derive(Clone)]
pub struct ApiState(Arc<Inner>);

struct Inner {
    options: ApiOptions,
    started: Utc,
    passwords: Passwords,
    jobs: Arc<Jobs>,
    history: History,
    /// Idempotency keys whose first request is still being carried out.
    keys_in_use: Mutex<BTreeSet<String>>,
    /// Grows when what `GET /campaigns` shows has changed.
    campaigns_changed: watch::Sender<u64>,
    streams: Arc<Semaphore>,
    last_event: AtomicU64,
}

impl ApiState {
    /// The state of a process that begins now.
    pub fn new(options: ApiOptions) -> Self {
        let started = (options.clock)();
        metrics::started(started.as_ms());
        // Event ids begin with the time of the start, so that they grow across restarts too.
        let last_event = AtomicU64::new(u64::try_from(started.as_ms()).unwrap_or(0) << 10);
        Self(Arc::new(Inner {
            options,
            started,
            passwords: Passwords::default(),
            jobs: Arc::default(),
            history: History::default(),
            keys_in_use: Mutex::default(),
            campaigns_changed: watch::Sender::new(0),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            last_event,
        }))
    }

    /// The database.
    pub fn db(&self) -> &Db {
        &self.0.options.db
    }

    /// The way to the driver.
    pub fn gate(&self) -> &Gate {
        &self.0.options.gate
    }

    /// The wall clock.
    pub fn now(&self) -> Utc {
        (self.0.options.clock)()
    }

    /// When the process began.
    pub fn started(&self) -> Utc {
        self.0.started
    }

    /// What the app gave.
    pub fn options(&self) -> &ApiOptions {
        &self.0.options
    }

    /// What was counted.
    pub fn metrics(&self) -> &Metrics {
        &self.0.options.metrics
    }

    /// Password hashing and its limits.
    pub fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }

    /// Long work.
    pub fn jobs(&self) -> &Arc<Jobs> {
        &self.0.jobs
    }

    /// The last hour of each campaign.
    pub fn history(&self) -> &History {
        &self.0.history
    }

    /// Turns true when the program begins to end.
    pub fn shutdown(&self) -> watch::Receiver<bool> {
        self.0.options.shutdown.clone()
    }

    pub(super) fn keys_in_use(&self) -> &Mutex<BTreeSet<String>> {
        &self.0.keys_in_use
    }

    pub(super) fn streams(&self) -> &Arc<Semaphore> {
        &self.0.streams
    }

    /// The next id of an event stream.
    pub(super) fn next_event(&self) -> u64 {
        self.0.last_event.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// What `GET /campaigns` shows may have changed.
    pub fn touch_campaigns(&self) {
        self.0.campaigns_changed.send_modify(|count| *count += 1);
    }

    /// Waits for [`Self::touch_campaigns`].
    pub fn campaigns_changed(&self) -> watch::Receiver<u64> {
        self.0.campaigns_changed.subscribe()
    }

    /// Has the driver read changed settings; returns when the engine knows them. A program that is
    /// ending reads them at its next start.
    pub(super) async fn reload(&self, what: Reload) -> Result<(), Problem> {
        self.touch_campaigns();
        match self.gate().reload(what).await {
            Ok(()) | Err(GateError::Closed) => Ok(()),
            Err(error @ (GateError::Busy | GateError::Refused(_))) => Err(error.into()),
        }
    }

    /// Writes down who changed what. `detail` holds ids and settings, never a secret.
    pub(super) async fn audit(
        &self,
        user: &User,
        action: &str,
        detail: serde_json::Value,
    ) -> Result<(), Problem> {
        Ok(self.db().audit(self.now(), &user.by(), action, &detail.to_string()).await?)
    }
}

/// Returns when the program begins to end. (The guard of a watch must not live across an await.)
pub(super) async fn begins_to_end(shutdown: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, and the program with it.
    let _ = shutdown.wait_for(|over| *over).await;
}
