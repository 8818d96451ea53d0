//! The OpenAPI document: it names every route, it is committed as it is, and every route answers as
//! it says.

use std::collections::BTreeSet;
use std::sync::Arc;

use campanile::adapters::api::auth::Role;
use campanile::adapters::api::openapi::document;
use campanile::adapters::api::server::routes;
use campanile::adapters::views::{
    AgentRowView, AgentView, BoardView, CallView, CardView, DispositionView, LiveCallView,
};
use campanile::domain::abandon::AbandonLimit;
use chrono_tz::Tz;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::contract::{check, fits};
use crate::world::{Caller, START_MS, World};

const ATTEMPT: Uuid = Uuid::from_u128(0x0199_c4de_0000_7000_8000_0000_0000_0007);
const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");

fn as_json() -> Value {
    serde_json::to_value(document()).unwrap()
}

/// `method path` of every operation of the document.
fn operations() -> BTreeSet<(String, String)> {
    let document = as_json();
    let paths = document["paths"].as_object().unwrap().clone();
    let of = |(path, methods): (String, Value)| {
        let methods: Vec<_> = methods.as_object().unwrap().keys().cloned().collect();
        methods.into_iter().map(move |method| (method, path.clone()))
    };
    paths.into_iter().flat_map(of).collect()
}

#[test]
fn the_document_names_the_routes_of_the_router_and_no_others() {
    let routes = routes();
    let listed: BTreeSet<_> = routes
        .listed()
        .iter()
        .map(|(method, path)| ((*method).to_owned(), (*path).to_owned()))
        .collect();
    assert_eq!(listed.len(), routes.listed().len(), "a route stands twice");
    assert_eq!(listed, operations());
}

#[test]
fn the_committed_document_is_current() {
    let text = format!("{:#}\n", as_json());
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(COMMITTED, &text).unwrap();
    }
    let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
    assert!(
        committed == text,
        "docs/openapi.json is old: run UPDATE_OPENAPI=1 cargo test --test api openapi"
    );
}

#[test]
fn what_serde_writes_of_settings_is_what_the_document_says() {
    let document = as_json();
    let limit = AbandonLimit::us(Tz::America__New_York, "2026-11-24".parse().unwrap());
    let schema = &document["components"]["schemas"]["AbandonLimit"];
    fits(&document, schema, &serde_json::to_value(limit).unwrap(), "AbandonLimit").unwrap();
    let wrong = json!({ "formula": "guess" });
    assert!(fits(&document, schema, &wrong, "AbandonLimit").is_err());
}

/// One request of the walk: who asks, what of the document it is, with which parts of the path.
struct Step<'a> {
    who: &'a Caller,
    method: Method,
    template: &'static str,
    /// What stands in the place of `{…}`, and the query.
    id: String,
    query: &'static str,
    body: Option<Value>,
    status: u16,
}

/// Walks through the API and remembers where it was.
struct Walk {
    document: Value,
    seen: BTreeSet<(String, String)>,
}

impl Walk {
    async fn step(&mut self, step: Step<'_>) -> Value {
        let path = match (step.template.find('{'), step.template.find('}')) {
            (Some(from), Some(to)) => {
                format!("{}{}{}", &step.template[..from], step.id, &step.template[to + 1..])
            }
            _ => step.template.to_owned(),
        };
        let short = path.strip_prefix("/api/v1").unwrap_or(&path);
        let path = format!("{short}{}", step.query);
        let request = step.who.request(step.method.clone(), &path);
        let answer = match step.body {
            Some(Value::String(csv)) => request.header("content-type", "text/csv").body(csv),
            Some(body) => request.json(&body),
            None => request,
        };
        let answer = answer.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let kind = headers.get("content-type").map_or("", |kind| kind.to_str().unwrap());
        // A stream of events does not end; its beginning is proved elsewhere.
        let text = match kind {
            "text/event-stream" => String::new(),
            _ => answer.text().await.unwrap(),
        };
        let method = step.method.as_str().to_lowercase();
        assert_eq!(status, step.status, "{method} {path}: {text}");
        check(&self.document, &method, step.template, status, kind, &text).unwrap();
        self.seen.insert((method, step.template.to_owned()));
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }
}

fn step<'a>(who: &'a Caller, method: &str, template: &'static str, status: u16) -> Step<'a> {
    let method = method.parse().unwrap();
    Step { who, method, template, id: String::new(), query: "", body: None, status }
}

impl Step<'_> {
    fn id(self, id: impl ToString) -> Self {
        Self { id: id.to_string(), ..self }
    }
    fn query(self, query: &'static str) -> Self {
        Self { query, ..self }
    }
    fn body(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }
}

/// Views with something in every part.
fn publish(world: &World, campaign: i64, agent: i64) {
    let choice =
        DispositionView { code: "sale".into(), label: "Sale".into(), next: "close".into() };
    let fields = vec![("city".into(), "Львів".into())];
    let card = CardView { fields, dispositions: vec![choice], ..CardView::default() };
    let call = CallView { attempt: ATTEMPT.to_string(), card, ..CallView::default() };
    let view = AgentView { agent, call: Some(call), ..AgentView::default() };
    let row = AgentRowView { agent, state: "ready".into(), ..AgentRowView::default() };
    let live_call = LiveCallView { attempt: ATTEMPT.to_string(), ..LiveCallView::default() };
    let board = BoardView {
        campaign,
        results: vec![("busy".into(), 3)],
        refused: vec![("number_gap".into(), 1)],
        answer_to_agent_ms: Some((40.5, 90.0)),
        calls: vec![live_call],
        agents: vec![row],
        ..BoardView::default()
    };
    world.publish(|live| {
        live.boards.insert(campaign, Arc::new(board));
        live.agents.insert(agent, Arc::new(view));
    });
    world.state.history().sample(&world.live.borrow(), START_MS);
}

#[tokio::test]
async fn every_route_answers_as_the_document_says() {
    let world = World::new().await;
    let mut walk = Walk { document: as_json(), seen: BTreeSet::new() };
    let nobody = world.nobody();
    let admin = world.machine(Role::Admin).await;
    running(&mut walk, &nobody).await;
    sessions(&mut walk, &world).await;
    access(&mut walk, &admin).await;

    let trunk = trunks(&mut walk, &admin).await;
    let list = lists(&mut walk, &admin).await;
    let (agent, desk) = agents(&mut walk, &world, &admin).await;
    let campaign = campaigns(&mut walk, &admin, trunk, list, agent).await;
    publish(&world, campaign, agent);
    live(&mut walk, &admin, campaign).await;
    desk_of(&mut walk, &desk).await;
    do_not_call(&mut walk, &admin).await;
    crm(&mut walk, &admin).await;

    let missing: Vec<_> = operations().difference(&walk.seen).cloned().collect();
    assert_eq!(missing, [], "routes that no step of this walk asks for");
}

async fn running(walk: &mut Walk, nobody: &Caller) {
    for template in ["/healthz", "/readyz", "/metrics", "/api/v1/openapi.json"] {
        walk.step(step(nobody, "GET", template, 200)).await;
    }
}

async fn sessions(walk: &mut Walk, world: &World) {
    let page = world.admin_page().await;
    walk.step(step(&page, "GET", "/api/v1/session", 200)).await;
    let password = json!({ "name": "Olena", "password": "a long password" });
    walk.step(step(&page, "POST", "/api/v1/session/password", 204).body(password.clone())).await;
    walk.step(step(&page, "DELETE", "/api/v1/session", 204)).await;
    let nobody = world.nobody();
    walk.step(step(&nobody, "POST", "/api/v1/session", 200).body(password)).await;
    walk.step(step(&nobody, "GET", "/api/v1/session", 401)).await;
}

async fn access(walk: &mut Walk, admin: &Caller) {
    let body = json!({ "name": "crm", "role": "integration" });
    walk.step(step(admin, "POST", "/api/v1/tokens", 201).body(body)).await;
    let tokens = walk.step(step(admin, "GET", "/api/v1/tokens", 200)).await;
    let crm = tokens.as_array().unwrap().iter().find(|row| row["name"] == "crm").unwrap();
    let revoke = |id: &str| step(admin, "DELETE", "/api/v1/tokens/{id}", 204).id(id);
    walk.step(revoke(crm["id"].as_str().unwrap())).await;
    walk.step(Step { status: 404, ..revoke("0") }).await;
    let body = json!({ "name": "Petro", "role": "manager" });
    walk.step(step(admin, "POST", "/api/v1/users", 201).body(body)).await;
    let users = walk.step(step(admin, "GET", "/api/v1/users", 200)).await;
    let petro = users.as_array().unwrap().iter().find(|row| row["name"] == "Petro").unwrap();
    let remove = || step(admin, "DELETE", "/api/v1/users/{id}", 204).id(&petro["id"]);
    walk.step(remove()).await;
    walk.step(Step { status: 404, ..remove() }).await;
    walk.step(step(admin, "GET", "/api/v1/audit", 200).query("?limit=2")).await;
}

async fn trunks(walk: &mut Walk, admin: &Caller) -> i64 {
    let body = json!({
        "name": "Lab", "address": "127.0.0.1:5060", "allowed_prefixes": ["+1"],
        "caller_ids": ["+12125550100"], "networks": ["127.0.0.0/8"], "password": "env:PW"
    });
    let made = walk.step(step(admin, "POST", "/api/v1/trunks", 201).body(body)).await;
    let id = made["id"].as_i64().unwrap();
    let all = walk.step(step(admin, "GET", "/api/v1/trunks", 200)).await;
    assert_eq!(all[0]["password"], "env:PW");
    let change = step(admin, "PATCH", "/api/v1/trunks/{id}", 200).id(id);
    walk.step(change.body(json!({ "lines": 7 }))).await;
    walk.step(step(admin, "POST", "/api/v1/trunks/{id}/check", 200).id(id)).await;
    walk.step(step(admin, "POST", "/api/v1/trunks/{id}/check", 404).id(99)).await;
    id
}

async fn lists(walk: &mut Walk, admin: &Caller) -> i64 {
    let csv = "phone,name,id\n+12125550101,Ада,1\nnot a number,Боб,2\n+12125550101,Ада,1\n";
    let import = step(admin, "POST", "/api/v1/lists/import", 201).query("?name=Spring");
    let report = walk.step(import.body(csv.into())).await;
    assert_eq!((&report["accepted"], &report["rejected"]), (&json!(1), &json!(1)));
    walk.step(step(admin, "GET", "/api/v1/lists", 200)).await;
    let id = report["list"].as_i64().unwrap();
    walk.step(step(admin, "GET", "/api/v1/lists/{id}/rejects", 200).id(id)).await;
    walk.step(step(admin, "GET", "/api/v1/jobs/{id}", 404).id(Uuid::nil())).await;
    id
}

async fn agents(walk: &mut Walk, world: &World, admin: &Caller) -> (i64, Caller) {
    let body = json!({ "name": "Ivan", "phone": "sip:101@127.0.0.1", "with_token": true });
    let made = walk.step(step(admin, "POST", "/api/v1/agents", 201).body(body)).await;
    let id = made["id"].as_i64().unwrap();
    walk.step(step(admin, "GET", "/api/v1/agents", 200)).await;
    let change = step(admin, "PATCH", "/api/v1/agents/{id}", 200).id(id);
    walk.step(change.body(json!({ "name": "Ivan K." }))).await;
    walk.step(step(admin, "POST", "/api/v1/agents/{id}/token", 201).id(id)).await;
    walk.step(step(admin, "POST", "/api/v1/agents/{id}/link", 201).id(id)).await;
    (id, world.with_token(made["token"].as_str().unwrap()))
}

async fn campaigns(walk: &mut Walk, admin: &Caller, trunk: i64, list: i64, agent: i64) -> i64 {
    let body = json!({
        "name": "Spring", "mode": { "kind": "power", "ratio_percent": 150 }, "trunk": trunk,
        "lists": [list], "agents": [agent]
    });
    let made = walk.step(step(admin, "POST", "/api/v1/campaigns", 201).body(body)).await;
    let id = made["id"].as_i64().unwrap();
    walk.step(step(admin, "GET", "/api/v1/campaigns/{id}/board", 200).id(id)).await;
    let all = walk.step(step(admin, "GET", "/api/v1/campaigns", 200)).await;
    assert_eq!((&all[0]["lists"], &all[0]["agents"]), (&json!([list]), &json!([agent])));
    assert_eq!(all[0]["contacts"]["ready"], 1);
    walk.step(step(admin, "GET", "/api/v1/campaigns/{id}", 200).id(id)).await;
    let change = step(admin, "PATCH", "/api/v1/campaigns/{id}", 200).id(id);
    walk.step(change.body(json!({ "lines_max": 5 }))).await;
    let set = step(admin, "PUT", "/api/v1/campaigns/{id}/lists", 200).id(id);
    walk.step(set.body(json!([list]))).await;
    walk.step(step(admin, "POST", "/api/v1/campaigns/{id}/start", 200).id(id)).await;
    walk.step(step(admin, "POST", "/api/v1/campaigns/{id}/pause", 200).id(id)).await;
    walk.step(step(admin, "POST", "/api/v1/campaigns/{id}/stop", 200).id(id)).await;
    id
}

async fn live(walk: &mut Walk, admin: &Caller, campaign: i64) {
    for template in [
        "/api/v1/campaigns/{id}/board",
        "/api/v1/campaigns/{id}/history",
        "/api/v1/campaigns/{id}/attempts",
        "/api/v1/campaigns/{id}/ledger",
    ] {
        walk.step(step(admin, "GET", template, 200).id(campaign)).await;
        walk.step(step(admin, "GET", template, 404).id(99)).await;
    }
    walk.step(step(admin, "POST", "/api/v1/calls/{attempt}/hangup", 202).id(ATTEMPT)).await;
    walk.step(step(admin, "GET", "/api/v1/events", 200)).await;
}

async fn desk_of(walk: &mut Walk, desk: &Caller) {
    walk.step(step(desk, "GET", "/api/v1/agent", 200)).await;
    for template in [
        "/api/v1/agent/login",
        "/api/v1/agent/ready",
        "/api/v1/agent/preview/accept",
        "/api/v1/agent/hangup",
        "/api/v1/agent/pause",
        "/api/v1/agent/logout",
    ] {
        walk.step(step(desk, "POST", template, 202)).await;
    }
    let skip = step(desk, "POST", "/api/v1/agent/preview/skip", 202);
    walk.step(skip.body(json!({ "close": true }))).await;
    let dispose = step(desk, "POST", "/api/v1/agent/disposition", 202);
    walk.step(dispose.body(json!({ "attempt": ATTEMPT, "code": "sale" }))).await;
}

async fn do_not_call(walk: &mut Walk, admin: &Caller) {
    let body = json!({ "number": "+442079460018", "reason": "asked" });
    walk.step(step(admin, "POST", "/api/v1/dnc", 201).body(body)).await;
    let all = walk.step(step(admin, "GET", "/api/v1/dnc", 200)).await;
    assert_eq!(all[0]["number"], "+442079460018");
    let remove = || step(admin, "DELETE", "/api/v1/dnc/{number}", 204).id("+442079460018");
    walk.step(remove()).await;
    walk.step(Step { status: 404, ..remove() }).await;
}

async fn crm(walk: &mut Walk, admin: &Caller) {
    let pull = json!({ "name": "Segment", "url": "http://127.0.0.1:9/segment" });
    let pull = step(admin, "POST", "/api/v1/lists/pull", 202).body(pull);
    let job = walk.step(pull).await["job"].as_str().unwrap().to_owned();
    walk.step(step(admin, "GET", "/api/v1/jobs/{id}", 200).id(job)).await;

    let body = json!({ "name": "CRM", "url": "http://127.0.0.1:9/events" });
    let make = step(admin, "POST", "/api/v1/crm-endpoints", 201).body(body);
    let made = walk.step(make).await;
    assert!(made["secret"].as_str().unwrap().starts_with("whsec_"));
    let id = made["id"].as_i64().unwrap();
    walk.step(step(admin, "GET", "/api/v1/crm-endpoints", 200)).await;
    for (method, template) in [
        ("POST", "/api/v1/crm-endpoints/{id}/disable"),
        ("POST", "/api/v1/crm-endpoints/{id}/enable"),
        ("GET", "/api/v1/crm-endpoints/{id}/dead-letters"),
        ("POST", "/api/v1/crm-endpoints/{id}/redeliver"),
    ] {
        walk.step(step(admin, method, template, 200).id(id)).await;
        walk.step(step(admin, method, template, 404).id(99)).await;
    }
}
