//! One event stream per tab: a snapshot first, then whatever changes.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

use crate::adapters::gate::Live;
use crate::adapters::telemetry::metrics::OpenStream;
use crate::adapters::views::BoardView;
use crate::domain::ids::AgentId;

use super::agent_desk;
use super::auth::{self, AtDesk, Role, User};
use super::campaigns;
use super::error::{Kind, Problem, ProblemBody};
use super::routes::Routes;
use super::state::{ApiState, begins_to_end};

/// A tab takes a stream for dead after two missed pings and a little more.
const PING: Duration = Duration::from_secs(15);
/// A board at most four times a second: more is not seen and costs every tab.
const BOARD_GAP: Duration = Duration::from_millis(250);
/// The summaries cost queries: once a second.
const CAMPAIGNS_GAP: Duration = Duration::from_secs(1);

/// The routes of this file.
pub fn routes() -> Routes {
    Routes::new().get("/api/v1/events", events)
}

/// The live events of who asks, as `text/event-stream`.
///
/// `event: agent` with an `AgentView` to that agent; `event: board` with a `BoardView` for each
/// campaign and `event: campaigns` with all `CampaignSummary` to managers; `event: ping` each 15 s.
/// A reconnect gets the snapshot again, whatever `Last-Event-ID` says: nothing can be missed.
#[utoipa::path(get, path = "/api/v1/events", tag = "events",
    params(("Last-Event-ID" = Option<String>, Header, description = "Accepted; the snapshot comes anyway")),
    responses((status = 200, description = "Server-sent events", content_type = "text/event-stream",
        body = String),
        (status = 401, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub async fn events(
    State(state): State<ApiState>,
    user: User,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let room = Arc::clone(state.streams()).try_acquire_owned();
    let room = room.map_err(|_| Problem::new(Kind::Busy, "too many event streams are open"))?;
    let last = headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let tab = Tab::new(state, user, last)?;
    // The permit and the gauge live as long as the stream.
    let mut sse = Sse::new(follow(tab, (room, OpenStream::new()))).into_response();
    // Proxies must not gather events.
    sse.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    sse.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(sse)
}

/// What one tab has seen.
struct Tab {
    state: ApiState,
    user: User,
    sees: Sees,
    last_id: u64,
}

/// Who a tab belongs to decides what it sees.
enum Sees {
    Desk {
        agent: AgentId,
        sent: Option<Arc<crate::adapters::views::AgentView>>,
    },
    Boards {
        sent: BTreeMap<i64, Arc<BoardView>>,
        states: BTreeMap<i64, String>,
    },
    /// An integration: pings only, so that it can tell that we live.
    Nothing,
}

impl Tab {
    fn new(state: ApiState, user: User, last_id: u64) -> Result<Self, Problem> {
        let sees = match (user.role, user.agent) {
            (Role::Agent, Some(agent)) => Sees::Desk { agent, sent: None },
            (Role::Agent, None) => {
                return Err(Problem::new(Kind::Forbidden, "this user is tied to no agent"));
            }
            (Role::Admin | Role::Manager, _) => {
                Sees::Boards { sent: BTreeMap::new(), states: BTreeMap::new() }
            }
            (Role::Integration, _) => Sees::Nothing,
        };
        Ok(Self { state, user, sees, last_id })
    }

    /// An event with the next id, greater than every one before, those of an earlier run included.
    fn event(&mut self, name: &str, data: &impl Serialize) -> Event {
        self.last_id = self.state.next_event().max(self.last_id + 1);
        let data = serde_json::to_string(data).unwrap_or_default();
        Event::default().id(self.last_id.to_string()).event(name).data(data)
    }

    /// The page of an agent whom the driver has not published yet.
    async fn desk_at_rest(&mut self) -> Option<Event> {
        let Sees::Desk { agent, sent: None } = self.sees else { return None };
        let at = AtDesk { user: self.user.clone(), agent };
        let view = agent_desk::view_of(&self.state, &at).await.ok()?;
        Some(self.event("agent", &view))
    }

    /// What differs from what was sent; `boards` says whether it is time for boards.
    fn changes(&mut self, live: &Live, boards: bool) -> Vec<Event> {
        let mut views: Vec<(&str, serde_json::Value)> = Vec::new();
        match &mut self.sees {
            Sees::Desk { agent, sent } => {
                let view = live.agents.get(&agent.get());
                if let Some(view) = view
                    && !sent.as_ref().is_some_and(|sent| Arc::ptr_eq(sent, view) || sent == view)
                {
                    views.push(("agent", json_of(view.as_ref())));
                    *sent = Some(Arc::clone(view));
                }
            }
            Sees::Boards { sent, .. } if boards => {
                for (id, board) in &live.boards {
                    if !sent.get(id).is_some_and(|sent| Arc::ptr_eq(sent, board)) {
                        views.push(("board", json_of(board.as_ref())));
                        sent.insert(*id, Arc::clone(board));
                    }
                }
            }
            Sees::Boards { .. } | Sees::Nothing => {}
        }
        views.into_iter().map(|(name, view)| self.event(name, &view)).collect()
    }

    /// Whether a campaign began, ended or changed state since the last summaries.
    fn campaigns_moved(&mut self, live: &Live) -> bool {
        let Sees::Boards { states, .. } = &mut self.sees else { return false };
        let now = live.boards.iter().map(|(id, board)| (*id, board.state.clone())).collect();
        std::mem::replace(states, now) != *states
    }

    async fn campaigns(&mut self) -> Option<Event> {
        if !matches!(self.sees, Sees::Boards { .. }) {
            return None;
        }
        match campaigns::summaries(&self.state).await {
            Ok(summaries) => Some(self.event("campaigns", &summaries)),
            // The store said why in the log; the stream lives on and tries again at the next change.
            Err(_) => None,
        }
    }
}

fn json_of(view: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(view).unwrap_or_default()
}

/// The events of a tab until it goes, its session ends or the program does.
fn follow(
    mut tab: Tab,
    held: impl Send + 'static,
) -> impl Stream<Item = Result<Event, Infallible>> {
    async_stream::stream! {
        let _held = held;
        let mut live = tab.state.gate().live();
        let mut changed = tab.state.campaigns_changed();
        let mut shutdown = tab.state.shutdown();
        let mut ping = interval_at(Instant::now() + PING, PING);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);

        let views = live.borrow_and_update().clone();
        tab.campaigns_moved(&views);
        if let Some(event) = tab.campaigns().await {
            yield Ok(event);
        }
        for event in tab.changes(&views, true) {
            yield Ok(event);
        }
        if let Some(event) = tab.desk_at_rest().await {
            yield Ok(event);
        }
        let mut boards_at = Instant::now() + BOARD_GAP;
        let mut campaigns_at = Instant::now() + CAMPAIGNS_GAP;
        let (mut boards_due, mut campaigns_due) = (false, false);
        let mut driver_lives = true;
        loop {
            // Every branch may be dropped half-way: watches and timers keep what they know.
            tokio::select! {
                seen = live.changed(), if driver_lives => {
                    driver_lives = seen.is_ok();
                    let views = live.borrow_and_update().clone();
                    campaigns_due |= tab.campaigns_moved(&views);
                    boards_due = true;
                    for event in tab.changes(&views, false) {
                        yield Ok(event);
                    }
                }
                seen = changed.changed() => campaigns_due |= seen.is_ok(),
                () = sleep_until(boards_at), if boards_due => {
                    let views = live.borrow().clone();
                    for event in tab.changes(&views, true) {
                        yield Ok(event);
                    }
                    boards_due = false;
                    boards_at = Instant::now() + BOARD_GAP;
                }
                () = sleep_until(campaigns_at), if campaigns_due => {
                    if let Some(event) = tab.campaigns().await {
                        yield Ok(event);
                    }
                    campaigns_due = false;
                    campaigns_at = Instant::now() + CAMPAIGNS_GAP;
                }
                _ = ping.tick() => {
                    if !auth::still_holds(&tab.state, tab.user.proof).await {
                        return;
                    }
                    let now_ms = tab.state.now().as_ms();
                    yield Ok(tab.event("ping", &serde_json::json!({ "at_ms": now_ms })));
                }
                () = begins_to_end(&mut shutdown) => return,
            }
        }
    }
}
