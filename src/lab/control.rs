//! The world's control over HTTP, for tests that run it in a process of its own.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::crm::Mood;
use super::world::{Stop, World, WorldInfo, WorldLedger, WorldLive};

/// A listening control; it stops when it is dropped.
pub struct Control {
    local: SocketAddr,
    server: JoinHandle<()>,
}

/// `POST /desks`: the daemon, and a bearer token an agent.
#[derive(Clone, Serialize, Deserialize)]
pub struct Seats {
    /// For example `http://127.0.0.1:8080`.
    pub api: String,
    /// The first agent's first.
    pub tokens: Vec<String>,
}

/// `POST /crm/secret`.
#[derive(Clone, Serialize, Deserialize)]
pub struct CrmSecret {
    /// `whsec_…`
    pub secret: String,
}

#[derive(Deserialize)]
struct How {
    #[serde(default)]
    how: Stop,
}

#[derive(Deserialize)]
struct Wait {
    #[serde(default)]
    wait_ms: u64,
}

type Shared = State<Arc<World>>;

impl Control {
    /// Starts listening.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn start(world: Arc<World>, listen: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let local = listener.local_addr()?;
        let router = Router::new()
            .route("/info", get(async |State(world): Shared| Json::<WorldInfo>(world.info())))
            .route("/ledger", get(async |State(world): Shared| Json::<WorldLedger>(world.ledger())))
            .route("/live", get(async |State(world): Shared| Json::<WorldLive>(world.live())))
            .route("/desks", post(seat))
            .route("/agents/stop", post(stop))
            .route("/agents/go", post(async |State(world): Shared| world.let_agents_go_on()))
            .route("/agents/{number}/{what}", post(tell_phone))
            .route(
                "/carrier/hangup",
                post(async |State(world): Shared| world.carrier().hang_up_all()),
            )
            .route("/crm/secret", post(secret))
            .route("/crm/{mood}", post(mood))
            .with_state(world);
        let server = tokio::spawn(async move {
            // `serve` without a shutdown signal ends only with its task.
            drop(axum::serve(listener, router).await);
        });
        Ok(Self { local, server })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn seat(State(world): Shared, Json(seats): Json<Seats>) -> (StatusCode, String) {
    match world.seat_agents(seats.api, seats.tokens) {
        Ok(()) => (StatusCode::OK, String::new()),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

async fn stop(State(world): Shared, Query(query): Query<How>) {
    world.stop_agents(query.how);
}

async fn tell_phone(State(world): Shared, Path((number, what)): Path<(u32, String)>) -> StatusCode {
    let phones = world.phones();
    match what.as_str() {
        "vanish" => phones.vanish(number),
        "back" => phones.come_back(number),
        "hangup" => phones.hang_up(number),
        "mute" => phones.mute(number),
        "unmute" => phones.unmute(number),
        _ => return StatusCode::NOT_FOUND,
    }
    StatusCode::OK
}

async fn secret(State(world): Shared, Json(body): Json<CrmSecret>) {
    world.crm().set_secret(&body.secret);
}

async fn mood(
    State(world): Shared,
    Path(mood): Path<String>,
    Query(query): Query<Wait>,
) -> StatusCode {
    world.crm().set_mood(match mood.as_str() {
        "up" => Mood::Up,
        "down" => Mood::Down,
        "failing" => Mood::Failing,
        "slow" => Mood::Slow { wait_ms: query.wait_ms },
        "loses_answers" => Mood::LosesAnswers,
        _ => return StatusCode::NOT_FOUND,
    });
    StatusCode::OK
}
