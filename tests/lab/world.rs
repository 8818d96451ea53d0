//! The whole world under its control, with a daemon that is only a script.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, Sse};
use axum::routing::{get, post};
use axum::{Json, Router};
use campanile::adapters::views::{AgentView, CallView, CardView, DispositionView};
use campanile::domain::time::{Mono, Now, Utc};
use campanile::lab::clock;
use campanile::lab::control::Control;
use campanile::lab::world::{World, WorldConfig, WorldInfo, WorldLedger, WorldLive};
use futures_util::Stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::http;
use crate::uac::Uac;

/// An agent's page that follows a script: logged out, ready, a call, wrap-up, ready.
struct Script {
    view: watch::Sender<AgentView>,
    clicks: Mutex<Vec<(String, Value, Option<String>)>>,
}

impl Script {
    fn new() -> Arc<Self> {
        let view = watch::Sender::new(view("logged_out", None));
        Arc::new(Self { view, clicks: Mutex::default() })
    }

    fn show(&self, view: AgentView) {
        self.view.send_replace(view);
    }

    fn paths(&self) -> Vec<String> {
        self.clicks.lock().unwrap().iter().map(|(path, _, _)| path.clone()).collect()
    }

    async fn until_clicked(&self, path: &str, times: usize) {
        for _ in 0..600 {
            if self.paths().iter().filter(|clicked| *clicked == path).count() >= times {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{path} was not clicked {times} times: {:?}", self.paths());
    }
}

fn view(state: &str, call_state: Option<&str>) -> AgentView {
    let code = String::from("not_interested");
    let dispositions = vec![DispositionView { code, ..DispositionView::default() }];
    let number = String::from("+12125550100");
    let card = CardView { number, dispositions, ..CardView::default() };
    let call = call_state.map(|call_state| CallView {
        attempt: "a1".into(),
        state: call_state.into(),
        card,
        ..CallView::default()
    });
    AgentView { state: state.into(), call, ..AgentView::default() }
}

async fn events(
    State(script): State<Arc<Script>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let mut views = script.view.subscribe();
    Sse::new(async_stream::stream! {
        loop {
            let data = serde_json::to_string(&*views.borrow_and_update()).unwrap();
            yield Ok(Event::default().event("agent").data(data));
            if views.changed().await.is_err() {
                break;
            }
        }
    })
}

async fn click(
    State(script): State<Arc<Script>>,
    Path(path): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    if headers.get("authorization").is_none_or(|value| value != "Bearer token-1") {
        return (StatusCode::UNAUTHORIZED, Json(json!({})));
    }
    let key = headers.get("idempotency-key").map(|key| key.to_str().unwrap().to_owned());
    script.clicks.lock().unwrap().push((path, body, key));
    (StatusCode::ACCEPTED, Json(json!({})))
}

/// A daemon with a runtime of its own, so that it can die with all its connections.
struct Daemon {
    addr: SocketAddr,
    runtime: Runtime,
}

impl Daemon {
    fn start(script: &Arc<Script>, listen: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind(listen).unwrap();
        listener.set_nonblocking(true).unwrap();
        let addr = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/api/v1/events", get(events))
            .route("/api/v1/agent/{*path}", post(click))
            .with_state(script.clone());
        runtime.spawn(async move {
            axum::serve(TcpListener::from_std(listener).unwrap(), router).await.unwrap();
        });
        Self { addr, runtime }
    }

    /// Waits until its port is free again; a runtime may not be waited for inside another one.
    async fn die(self) {
        let shut_down = move || self.runtime.shutdown_timeout(Duration::from_secs(5));
        tokio::task::spawn_blocking(shut_down).await.unwrap();
    }
}

async fn world() -> (Arc<World>, Control, String) {
    let clock = clock::starting_at(Now { mono: Mono::ZERO, utc: Utc::from_ms(1_767_607_200_000) });
    let config = WorldConfig::on_loopback(10, 3, 1, 1_000.0);
    let world = Arc::new(World::start(config, clock).await.unwrap());
    let control = Control::start(world.clone(), "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let base = format!("http://{}", control.local_addr());
    (world, control, base)
}

async fn get_json<T: serde::de::DeserializeOwned>(url: String) -> T {
    http().get(url).send().await.unwrap().json().await.unwrap()
}

async fn post_to(url: String, body: Value) -> StatusCode {
    let response = http().post(url).json(&body).send().await.unwrap();
    response.status()
}

#[tokio::test]
async fn an_agent_works_through_a_call_and_comes_back_to_a_daemon_that_was_started_again() {
    let (_world, _control, base) = world().await;
    let script = Script::new();
    let daemon = Daemon::start(&script, "127.0.0.1:0".parse().unwrap());
    let addr = daemon.addr;
    let seats = json!({ "api": format!("http://{addr}"), "tokens": ["token-1"] });
    assert_eq!(post_to(format!("{base}/desks"), seats).await, StatusCode::OK);

    script.until_clicked("login", 1).await;
    script.show(view("ready", None));
    script.show(view("on_call", Some("talking")));
    script.until_clicked("hangup", 1).await;
    script.show(view("wrap_up", Some("ended")));
    script.until_clicked("disposition", 1).await;
    let (_, body, key) = script.clicks.lock().unwrap().last().cloned().unwrap();
    assert_eq!((&body["attempt"], &body["code"]), (&json!("a1"), &json!("not_interested")));
    assert!(key.is_some());
    script.show(view("ready", None));

    daemon.die().await;
    script.show(view("logged_out", None));
    let before = script.paths().iter().filter(|path| *path == "login").count();
    let again = Daemon::start(&script, addr);
    script.until_clicked("login", before + 1).await;
    again.die().await;

    let ledger: WorldLedger = get_json(format!("{base}/ledger")).await;
    let desks = ledger.desks;
    assert_eq!((desks.connects, desks.posted, desks.accepted), (1, 1, 1));
    assert!(desks.streams >= 2 && desks.rows["a1"].hung_up, "{desks:?}");
}

#[tokio::test]
async fn the_control_tells_where_everything_is_and_moves_it() {
    let (world, _control, base) = world().await;
    let info: WorldInfo = get_json(format!("{base}/info")).await;
    assert_eq!(info.phones.len(), 3);
    assert!(info.phones[0].starts_with("sip:agent1@127.0.0.1:"));
    let live: WorldLive = get_json(format!("{base}/live")).await;
    assert_eq!(live, WorldLive::default());

    let event = || post_to(info.events_url.clone(), json!({}));
    assert_eq!(event().await, StatusCode::UNAUTHORIZED);
    assert_eq!(post_to(format!("{base}/crm/down"), json!({})).await, StatusCode::OK);
    assert_eq!(event().await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(post_to(format!("{base}/crm/up"), json!({})).await, StatusCode::OK);
    assert_eq!(event().await, StatusCode::UNAUTHORIZED);
    assert_eq!(post_to(format!("{base}/crm/sideways"), json!({})).await, StatusCode::NOT_FOUND);

    let mut uac = Uac::new(info.carrier.parse().unwrap(), "+12125550100", "a@t").await;
    uac.invite().await;
    uac.next().await;
    assert_eq!(world.ledger().carrier.attempts, 1);

    for what in ["stop", "go", "stop?how=pause", "stop?how=freeze", "go", "2/vanish", "2/back"] {
        let status = post_to(format!("{base}/agents/{what}"), json!({})).await;
        assert_eq!(status, StatusCode::OK, "{what}");
    }
    assert_eq!(post_to(format!("{base}/agents/2/fly"), json!({})).await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn agents_who_stop_lose_their_phones_and_get_them_back() {
    let (world, _control, base) = world().await;
    let far = world.phones().local_addr();
    let mut uac = Uac::new(far, "agent1", "a@t").await;
    uac.invite().await;
    uac.until(200).await;
    uac.ack().await;
    assert_eq!(world.live().legs, 1);
    post_to(format!("{base}/agents/stop"), json!({})).await;
    assert_eq!(world.live().legs, 0);
    uac.bye().await;
    assert!(uac.next_within(Duration::from_millis(300)).await.is_none());
    post_to(format!("{base}/agents/go"), json!({})).await;
    let mut second = Uac::new(far, "agent1", "b@t").await;
    second.invite().await;
    second.until(200).await;
}
