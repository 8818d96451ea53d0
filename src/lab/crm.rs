//! A small CRM: serves a segment page by page, and takes CRM events as a customer's would.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::clock::Clock;
use super::crm_ledger::{Books, CrmLedger, Taken};
use super::people;
use super::webhook::{self, Signed};

/// A page of the segment holds at most this many records.
const PER_PAGE_MAX: u32 = 1_000;
/// The largest event taken: Standard Webhooks asks for less than 20 kB.
const EVENT_MAX: usize = 256 * 1024;

/// What a CRM is started with.
#[derive(Clone)]
pub struct CrmConfig {
    /// Where it listens; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// People in the segment; at most [`people::PEOPLE_MAX`].
    pub contacts: u32,
    /// Makes their names.
    pub seed: u64,
    /// The `whsec_` secret that events are signed with; none yet refuses them all.
    pub secret: Option<String>,
    /// The bearer token that the segment asks for; none lets everybody in.
    pub token: Option<String>,
}

/// How the CRM feels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "mood", rename_all = "snake_case")]
pub enum Mood {
    /// It works.
    #[default]
    Up,
    /// 503 with Retry-After to every event.
    Down,
    /// 500 to every event.
    Failing,
    /// It takes this long for each event.
    Slow {
        /// Milliseconds.
        wait_ms: u64,
    },
    /// It takes the event and then answers 504, so that it is sent again.
    LosesAnswers,
}

struct Shared {
    clock: Clock,
    config: CrmConfig,
    addr: SocketAddr,
    books: Mutex<Books>,
    mood: Mutex<Mood>,
    key: Mutex<Option<Vec<u8>>>,
}

/// Nothing that holds these locks can panic half-way, so a poisoned one is as good as new.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running CRM; it stops when it is dropped.
pub struct Crm {
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl Crm {
    /// Starts one.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn start(config: CrmConfig, clock: Clock) -> io::Result<Self> {
        let listener = TcpListener::bind(config.listen).await?;
        let addr = listener.local_addr()?;
        let key = config.secret.as_deref().and_then(webhook::key);
        let shared = Arc::new(Shared {
            clock,
            config,
            addr,
            books: Mutex::default(),
            mood: Mutex::default(),
            key: Mutex::new(key),
        });
        let router = Router::new()
            .route("/segment", get(segment))
            .route("/events", post(events))
            .layer(DefaultBodyLimit::max(EVENT_MAX))
            .with_state(shared.clone());
        let server = tokio::spawn(async move {
            // `serve` without a shutdown signal ends only with its task.
            drop(axum::serve(listener, router).await);
        });
        Ok(Self { shared, server })
    }

    /// Where the segment is pulled from.
    pub fn segment_url(&self) -> String {
        format!("http://{}/segment", self.shared.addr)
    }

    /// Where events are posted to.
    pub fn events_url(&self) -> String {
        format!("http://{}/events", self.shared.addr)
    }

    /// The mapping that `list pull` needs for its records.
    pub const fn mapping() -> &'static str {
        "phone=phones.0.number,name=full_name,external_ref=id,zone=tz,priority=score,\
         city=city,debt=debt,product=product"
    }

    /// Takes events signed with this `whsec_` secret from here on.
    pub fn set_secret(&self, secret: &str) {
        *locked(&self.shared.key) = webhook::key(secret);
    }

    /// How it answers from here on.
    pub fn set_mood(&self, mood: Mood) {
        *locked(&self.shared.mood) = mood;
    }

    /// What it has learned so far.
    pub fn ledger(&self) -> CrmLedger {
        locked(&self.shared.books).ledger()
    }
}

impl Drop for Crm {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[derive(Deserialize)]
struct PageQuery {
    #[serde(default = "first_page")]
    page: u32,
    #[serde(default = "usual_page")]
    per_page: u32,
}

fn first_page() -> u32 {
    1
}

fn usual_page() -> u32 {
    100
}

#[derive(Serialize)]
struct Page {
    records: Vec<people::Record>,
    next: Option<String>,
    total: u32,
}

async fn segment(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<PageQuery>,
    headers: HeaderMap,
) -> Response {
    if let Some(token) = &shared.config.token {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if given.and_then(|value| value.strip_prefix("Bearer ")) != Some(token.as_str()) {
            return (StatusCode::UNAUTHORIZED, "a bearer token is needed").into_response();
        }
    }
    let total = shared.config.contacts.min(people::PEOPLE_MAX);
    let per_page = query.per_page.clamp(1, PER_PAGE_MAX);
    let page = query.page.max(1);
    let first = (page - 1).saturating_mul(per_page).min(total);
    let end = first.saturating_add(per_page).min(total);
    let records: Vec<_> =
        (first..end).filter_map(|index| people::record(shared.config.seed, index)).collect();
    locked(&shared.books).counters().contacts_served += records.len() as u64;
    let next = (end < total)
        .then(|| format!("http://{}/segment?page={}&per_page={per_page}", shared.addr, page + 1));
    Json(Page { records, next, total }).into_response()
}

async fn events(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let mood = *locked(&shared.mood);
    if let Mood::Slow { wait_ms } = mood {
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
    }
    let mut books = locked(&shared.books);
    books.counters().posts += 1;
    match mood {
        Mood::Down => {
            books.counters().turned_away += 1;
            return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")]).into_response();
        }
        Mood::Failing => {
            books.counters().turned_away += 1;
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        Mood::Up | Mood::Slow { .. } | Mood::LosesAnswers => {}
    }
    let named = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let signed = Signed {
        id: named("webhook-id"),
        timestamp: named("webhook-timestamp"),
        signature: named("webhook-signature"),
    };
    let key = locked(&shared.key).clone();
    let verdict = key
        .ok_or(webhook::Unsigned::Signature)
        .and_then(|key| webhook::verify(&key, (shared.clock)().utc, &signed, &body));
    if let Err(why) = verdict {
        books.counters().refused_signatures += 1;
        return (StatusCode::UNAUTHORIZED, why.to_string()).into_response();
    }
    match (books.take(signed.id, &body), mood) {
        (Taken::Malformed, _) => StatusCode::BAD_REQUEST.into_response(),
        (Taken::Full, _) => StatusCode::INSUFFICIENT_STORAGE.into_response(),
        (Taken::New, Mood::LosesAnswers) => StatusCode::GATEWAY_TIMEOUT.into_response(),
        (Taken::New | Taken::Duplicate, _) => StatusCode::NO_CONTENT.into_response(),
    }
}
