//! A server on loopback over a SQLite file, a fake driver, and clients of each kind.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use campanile::adapters::api::auth::Role;
use campanile::adapters::api::{ApiOptions, ApiState, first_start_link, mint_token, router};
use campanile::adapters::crm::http::plain_client;
use campanile::adapters::gate::{GateDriver, Live, Reload, Request, TrunkCheck, gate};
use campanile::adapters::store::Db;
use campanile::adapters::telemetry::metrics::Metrics;
use campanile::domain::agent::AgentRefusal;
use campanile::domain::ids::{AgentId, AttemptId};
use campanile::domain::time::Utc;
use campanile::engine::input::AgentCommand;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch;

/// A Monday noon; every test's time is counted from here.
pub(crate) const START_MS: i64 = 1_760_000_000_000;

/// A SIP profile that there is not.
pub(crate) const UNHEARD_PROFILE: &str = "unheard";

/// What the driver was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    Agent(AgentId, AgentCommand),
    HangUp(AttemptId),
    Reload(Reload),
    CheckTrunk(i64),
}

/// A running server.
pub(crate) struct World {
    pub(crate) db: Db,
    pub(crate) base: String,
    pub(crate) state: ApiState,
    pub(crate) live: Arc<watch::Sender<Arc<Live>>>,
    pub(crate) asked: Arc<Mutex<Vec<Asked>>>,
    /// What the driver answers to agents.
    pub(crate) refuse: Arc<Mutex<Option<AgentRefusal>>>,
    pub(crate) clock_ms: Arc<AtomicI64>,
    pub(crate) shutdown: watch::Sender<bool>,
    pub(crate) driver: tokio::task::JoinHandle<()>,
    pub(crate) folder: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("campanile.db");
        let db = Db::open(&format!("sqlite:{}", file.display())).await.unwrap();
        let (gate, GateDriver { mut requests, live }) = gate();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let refuse: Arc<Mutex<Option<AgentRefusal>>> = Arc::default();
        let (log, refusal) = (Arc::clone(&asked), Arc::clone(&refuse));
        let driver_task = tokio::spawn(async move {
            while let Some(request) = requests.recv().await {
                let seen = answer(request, *refusal.lock().unwrap());
                log.lock().unwrap().push(seen);
            }
        });
        let clock_ms = Arc::new(AtomicI64::new(START_MS));
        let reads = Arc::clone(&clock_ms);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (shutdown, ends) = watch::channel(false);
        let state = ApiState::new(ApiOptions {
            db: db.clone(),
            gate,
            clock: Arc::new(move || Utc::from_ms(reads.load(Ordering::Relaxed))),
            metrics: Metrics::detached().unwrap(),
            instance: "test".into(),
            hosts: vec!["dialer.example".into()],
            base_url: base.clone(),
            allow_private_addresses: true,
            check_profile: Arc::new(|name| match name {
                UNHEARD_PROFILE => Err(String::from("no such profile")),
                _ => Ok(()),
            }),
            rejects_dir: folder.path().join("rejects"),
            shutdown: ends,
        });
        let service = router(state.clone()).into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self {
            db,
            base,
            state,
            live: Arc::new(live),
            asked,
            refuse,
            clock_ms,
            shutdown,
            driver: driver_task,
            folder,
        }
    }

    pub(crate) fn now(&self) -> Utc {
        Utc::from_ms(self.clock_ms.load(Ordering::Relaxed))
    }

    /// Lets the clock go on.
    pub(crate) fn pass(&self, time: Duration) {
        let ms = i64::try_from(time.as_millis()).unwrap();
        self.clock_ms.fetch_add(ms, Ordering::Relaxed);
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// A machine with a token of this role.
    pub(crate) async fn machine(&self, role: Role) -> Caller {
        let token = mint_token(&self.db, role.word(), role, None, self.now()).await.unwrap();
        self.with_token(token.reveal())
    }

    /// A caller with this bearer token.
    pub(crate) fn with_token(&self, token: &str) -> Caller {
        Caller { token: Some(token.to_owned()), ..self.nobody() }
    }

    /// Someone who is not signed in.
    pub(crate) fn nobody(&self) -> Caller {
        Caller {
            http: plain_client(Duration::from_secs(5)).unwrap(),
            base: self.base.clone(),
            token: None,
            cookie: None,
            csrf: None,
        }
    }

    /// A page that signed in with this one-time link.
    pub(crate) async fn page_by_link(&self, link: &str) -> Caller {
        let token = link.rsplit_once('/').unwrap().1;
        let mut page = self.nobody();
        let answer = page.send(Method::POST, "/session", Some(json!({ "link": token }))).await;
        assert_eq!(answer.status(), StatusCode::OK);
        page.take_session(answer).await;
        page
    }

    /// The administrator's page, by the link of the first start.
    pub(crate) async fn admin_page(&self) -> Caller {
        let link = first_start_link(&self.db, &self.base, self.now()).await.unwrap().unwrap();
        self.page_by_link(&link).await
    }

    /// A new agent and a program that acts for them.
    pub(crate) async fn agent(&self, name: &str) -> (AgentId, Caller) {
        let manager = self.machine(Role::Manager).await;
        let body = json!({ "name": name, "phone": "sip:101@127.0.0.1", "with_token": true });
        let made = manager.made("/agents", body).await;
        let caller = self.with_token(made["token"].as_str().unwrap());
        (AgentId::new(made["id"].as_i64().unwrap()), caller)
    }

    /// Publishes views as the driver does.
    pub(crate) fn publish(&self, change: impl FnOnce(&mut Live)) {
        self.live.send_modify(|live| change(Arc::make_mut(live)));
    }
}

fn answer(request: Request, refusal: Option<AgentRefusal>) -> Asked {
    match request {
        Request::Agent(agent, command, reply) => {
            let _ = reply.send(refusal.map_or(Ok(()), Err));
            Asked::Agent(agent, command)
        }
        Request::HangUp(attempt) => Asked::HangUp(attempt),
        Request::Reload(what, done) => {
            let _ = done.send(());
            Asked::Reload(what)
        }
        Request::CheckTrunk(trunk, reply) => {
            let note = String::from("it answers");
            let _ = reply.send(TrunkCheck { alive: true, status: Some(200), took_ms: 3, note });
            Asked::CheckTrunk(trunk.get())
        }
    }
}

/// Someone who asks.
pub(crate) struct Caller {
    pub(crate) http: Client,
    pub(crate) base: String,
    pub(crate) token: Option<String>,
    pub(crate) cookie: Option<String>,
    pub(crate) csrf: Option<String>,
}

impl Caller {
    /// A request with what this caller has to show.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let root = ["/metrics", "/healthz", "/readyz"].contains(&path);
        let prefix = if root { "" } else { "/api/v1" };
        let is_change = method != Method::GET;
        let mut request = self.http.request(method, format!("{}{prefix}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", format!("theme=dark; campanile_session={cookie}"));
        }
        if let Some(csrf) = self.csrf.as_ref().filter(|_| is_change) {
            request = request.header("x-csrf-token", csrf);
        }
        request
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    /// Reads something that must be there.
    pub(crate) async fn get(&self, path: &str) -> Value {
        expect(self.send(Method::GET, path, None).await, StatusCode::OK).await
    }

    /// Makes something.
    pub(crate) async fn made(&self, path: &str, body: Value) -> Value {
        expect(self.send(Method::POST, path, Some(body)).await, StatusCode::CREATED).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Response {
        self.send(Method::POST, path, Some(body)).await
    }

    /// Takes cookie and CSRF token from the answer to a sign-in.
    pub(crate) async fn take_session(&mut self, answer: Response) -> Value {
        let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
        let value = cookie.split(';').next().unwrap().split_once('=').unwrap().1;
        self.cookie = Some(value.to_owned());
        let body: Value = answer.json().await.unwrap();
        self.csrf = Some(body["csrf"].as_str().unwrap().to_owned());
        body
    }
}

/// The JSON of an answer with this status.
pub(crate) async fn expect(answer: Response, status: StatusCode) -> Value {
    let (got, url) = (answer.status(), answer.url().clone());
    let text = answer.text().await.unwrap();
    assert_eq!(got, status, "{url}: {text}");
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

/// A refusal: status, the last part of its type, the catalogue key.
pub(crate) async fn refused(answer: Response) -> (u16, String, String) {
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    assert_eq!(kind, "application/problem+json");
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["status"], status);
    assert!(body["title"].is_string() && body["detail"].is_string());
    let name = body["type"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
    (status, name, body["key"].as_str().unwrap().to_owned())
}
