//! The robots in front of the phones: each uses the HTTP API as an agent's page does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::{Client, Response};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::agent_desk::{AgentDesk, Click, DeskBooks, DeskRow, Orders};
use super::agent_phone::AgentPhones;
use super::clock::{Clock, sleep_until};
use super::sse::{Events, SseEvent};
use crate::adapters::crm::http::plain_client;
use crate::adapters::views::AgentView;
use crate::simulation::population::{Population, PopulationParams};

/// Waits between two tries to reach the daemon: they double up to the second.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// The daemon sends a ping every 15 s; a stream silent for longer than two is broken.
const SILENCE_MAX: Duration = Duration::from_secs(35);
/// A click that takes longer is tried again.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// What the desks are started with.
#[derive(Debug, Clone)]
pub struct DesksConfig {
    /// The daemon, for example `http://127.0.0.1:8080`.
    pub api: String,
    /// Bearer tokens of agents 1, 2 and so on, who sit at the phones of the same number.
    pub tokens: Vec<String>,
    /// The same people as the carrier's: how long a talk lasts is known to both.
    pub population: PopulationParams,
    /// The same seed as the carrier's.
    pub seed: u64,
}

/// The desks' side of the books.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesksLedger {
    /// Records that popped up with a call: distinct attempts.
    pub connects: u64,
    /// Of these, calls that the agent asked to hang up.
    pub hung_up: u64,
    /// Dispositions accepted, by code.
    pub dispositions: BTreeMap<String, u64>,
    /// Dispositions posted.
    pub posted: u64,
    /// Dispositions accepted.
    pub accepted: u64,
    /// Log-ins asked for.
    pub logins: u64,
    /// Previews accepted.
    pub previews_accepted: u64,
    /// Previews skipped.
    pub previews_skipped: u64,
    /// Times the event stream was opened.
    pub streams: u64,
    /// Clicks that the API refused, by path.
    pub refused: BTreeMap<String, u64>,
    /// Agents by the state their page shows.
    pub states: BTreeMap<String, u64>,
    /// One row a call, by attempt id.
    pub rows: BTreeMap<String, DeskRow>,
}

struct Seat {
    number: u32,
    desk: Mutex<AgentDesk>,
    streams: Mutex<u64>,
    wake: Notify,
}

impl Seat {
    fn lock(&self) -> MutexGuard<'_, AgentDesk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Working desks; they close when they are dropped.
pub struct Desks {
    seats: Vec<Arc<Seat>>,
    phones: Arc<AgentPhones>,
    clock: Clock,
    _tasks: JoinSet<()>,
}

impl Desks {
    /// Seats the agents. They find the daemon by themselves, as often as it takes.
    ///
    /// # Errors
    /// The HTTP client cannot be built.
    pub fn start(
        config: DesksConfig,
        phones: Arc<AgentPhones>,
        clock: Clock,
    ) -> Result<Self, reqwest::Error> {
        let client = plain_client(Duration::from_secs(2))?;
        let population = Arc::new(Population::new(config.seed, config.population));
        let (mut tasks, mut seats) = (JoinSet::new(), Vec::new());
        for (number, token) in (1..).zip(config.tokens) {
            let desk = AgentDesk::new(number, config.seed, population.clone());
            let seat = Arc::new(Seat {
                number,
                desk: Mutex::new(desk),
                streams: Mutex::default(),
                wake: Notify::new(),
            });
            seats.push(seat.clone());
            let link =
                Api { client: client.clone(), base: format!("{}/api/v1", config.api), token };
            let (phones, clock) = (phones.clone(), clock.clone());
            tasks.spawn(async move { work(seat, link, phones, clock).await });
        }
        Ok(Self { seats, phones, clock, _tasks: tasks })
    }

    /// Tells all agents how to go on.
    pub fn order(&self, orders: Orders) {
        for seat in &self.seats {
            seat.lock().order((self.clock)(), orders, self.phones.heard(seat.number));
            seat.wake.notify_one();
        }
    }

    /// What they did so far.
    pub fn ledger(&self) -> DesksLedger {
        let mut ledger = DesksLedger::default();
        for seat in &self.seats {
            ledger.streams += *seat.streams.lock().unwrap_or_else(PoisonError::into_inner);
            let desk = seat.lock();
            *ledger.states.entry(desk.view().state.clone()).or_default() += 1;
            ledger.add(desk.books());
        }
        ledger
    }
}

impl DesksLedger {
    fn add(&mut self, books: &DeskBooks) {
        self.logins += books.logins;
        self.previews_accepted += books.previews_accepted;
        self.previews_skipped += books.previews_skipped;
        for (path, count) in &books.refused {
            *self.refused.entry(path.clone()).or_default() += count;
        }
        for (attempt, row) in &books.calls {
            self.connects += 1;
            self.hung_up += u64::from(row.hung_up);
            self.posted += u64::from(row.disposition.is_some());
            self.accepted += u64::from(row.accepted);
            if let (Some(code), true) = (&row.disposition, row.accepted) {
                *self.dispositions.entry(code.clone()).or_default() += 1;
            }
            self.rows.insert(attempt.clone(), row.clone());
        }
    }
}

struct Api {
    client: Client,
    base: String,
    token: String,
}

impl Api {
    async fn events(&self) -> Option<Response> {
        let request = self.client.get(format!("{}/events", self.base)).bearer_auth(&self.token);
        let response = tokio::time::timeout(ANSWER_MAX, request.send()).await.ok()?.ok()?;
        response.status().is_success().then_some(response)
    }

    async fn click(&self, click: &Click) -> Option<u16> {
        let mut request = self
            .client
            .post(format!("{}/agent/{}", self.base, click.path))
            .bearer_auth(&self.token)
            .header("content-type", "application/json")
            .timeout(ANSWER_MAX)
            .body(click.body.clone());
        if let Some(key) = &click.key {
            request = request.header("idempotency-key", key);
        }
        Some(request.send().await.ok()?.status().as_u16())
    }
}

/// One agent's day: as long as there is a stream, look and click; then find the daemon again.
async fn work(seat: Arc<Seat>, api: Api, phones: Arc<AgentPhones>, clock: Clock) {
    let mut wait = BACK_OFF.0;
    loop {
        if let Some(response) = api.events().await {
            *seat.streams.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            if sit(&seat, &api, &phones, &clock, response).await {
                wait = BACK_OFF.0;
            }
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(BACK_OFF.1);
    }
}

/// Until the stream ends; true if anything came from it.
async fn sit(
    seat: &Seat,
    api: &Api,
    phones: &AgentPhones,
    clock: &Clock,
    response: Response,
) -> bool {
    let mut events = Events::new(response);
    let mut came = false;
    let mut last = tokio::time::Instant::now();
    loop {
        let (due, click) = {
            let mut desk = seat.lock();
            desk.handle_timeout(clock(), phones.heard(seat.number));
            (desk.poll_timeout(), desk.poll_click())
        };
        if let Some(click) = click {
            let status = api.click(&click).await;
            seat.lock().handle_answer(&click, status);
            continue;
        }
        // `next` loses nothing when another branch wins: what it has read stays in `events`.
        tokio::select! {
            event = tokio::time::timeout_at(last + SILENCE_MAX, events.next()) => match event {
                Ok(Some(SseEvent { name, data })) => {
                    came = true;
                    last = tokio::time::Instant::now();
                    if name == "agent"
                        && let Ok(view) = serde_json::from_str::<AgentView>(&data)
                    {
                        let heard = phones.heard(seat.number);
                        seat.lock().handle_view(clock(), view, heard);
                    }
                }
                Ok(None) | Err(_) => return came,
            },
            () = sleep_until(clock, due) => {}
            () = seat.wake.notified() => {}
        }
    }
}
