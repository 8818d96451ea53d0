//! The agent's desk: what is passed on, what is refused, and to whom it is open.

use std::sync::Arc;

use campanile::adapters::api::auth::Role;
use campanile::adapters::views::{AgentView, CallView, CardView, DispositionView};
use campanile::domain::agent::AgentRefusal;
use campanile::domain::disposition::NextAction;
use campanile::domain::ids::{AgentId, AttemptId};
use campanile::domain::time::Utc;
use campanile::engine::input::AgentCommand;
use reqwest::{Method, StatusCode};
use serde_json::json;
use uuid::Uuid;

use crate::world::{Asked, START_MS, World, expect, refused};

const ATTEMPT: Uuid = Uuid::from_u128(0x0199_c4de_0000_7000_8000_0000_0000_0001);

/// The agent has a call of a campaign with three choices.
fn on_call(world: &World, agent: AgentId) {
    let choice = |code: &str, next: &str| DispositionView {
        code: code.into(),
        label: code.into(),
        next: next.into(),
    };
    let dispositions = vec![choice("sale", "close"), choice("later", "callback")];
    let card = CardView { dispositions, ..CardView::default() };
    let call = CallView { attempt: ATTEMPT.to_string(), card, ..CallView::default() };
    let view = AgentView {
        agent: agent.get(),
        state: "on_call".into(),
        call: Some(call),
        ..AgentView::default()
    };
    world.publish(|live| {
        live.agents.insert(agent.get(), Arc::new(view));
    });
}

#[tokio::test]
async fn each_command_reaches_the_dialer_as_what_it_is() {
    let world = World::new().await;
    let (agent, desk) = world.agent("Ivan").await;
    world.asked.lock().unwrap().clear();
    let commands = [
        ("/agent/login", AgentCommand::LogIn),
        ("/agent/ready", AgentCommand::Ready),
        ("/agent/preview/accept", AgentCommand::AcceptPreview),
        ("/agent/hangup", AgentCommand::HangUp),
        ("/agent/pause", AgentCommand::Pause),
        ("/agent/logout", AgentCommand::LogOut),
    ];
    for (path, _) in &commands {
        expect(desk.send(Method::POST, path, None).await, StatusCode::ACCEPTED).await;
    }
    for close in [false, true] {
        let answer = desk.post("/agent/preview/skip", json!({ "close": close })).await;
        expect(answer, StatusCode::ACCEPTED).await;
    }
    let mut wanted: Vec<_> =
        commands.into_iter().map(|(_, command)| Asked::Agent(agent, command)).collect();
    for close in [false, true] {
        wanted.push(Asked::Agent(agent, AgentCommand::SkipPreview { close }));
    }
    assert_eq!(world.asked(), wanted);
}

#[tokio::test]
async fn a_refusal_of_the_dialer_is_a_conflict_with_its_catalogue_key() {
    let world = World::new().await;
    let (_, desk) = world.agent("Ivan").await;
    for (refusal, status, key) in [
        (AgentRefusal::WrongState, 409, "agent.refused.wrong_state"),
        (AgentRefusal::NotYours, 409, "agent.refused.not_yours"),
        (AgentRefusal::Unknown, 409, "agent.refused.unknown"),
        (AgentRefusal::Draining, 503, "agent.refused.draining"),
    ] {
        *world.refuse.lock().unwrap() = Some(refusal);
        let answer = refused(desk.send(Method::POST, "/agent/ready", None).await).await;
        assert_eq!((answer.0, answer.2.as_str()), (status, key));
    }
}

#[tokio::test]
async fn the_desk_shows_the_live_view_and_before_that_a_logged_out_agent() {
    let world = World::new().await;
    let (agent, desk) = world.agent("Ivan").await;
    let view = desk.get("/agent").await;
    assert_eq!((&view["name"], &view["state"]), (&json!("Ivan"), &json!("logged_out")));
    on_call(&world, agent);
    assert_eq!(desk.get("/agent").await["call"]["attempt"], ATTEMPT.to_string());
}

#[tokio::test]
async fn a_disposition_goes_with_what_follows_and_its_note_is_kept() {
    let world = World::new().await;
    let (agent, desk) = world.agent("Ivan").await;
    on_call(&world, agent);
    world.asked.lock().unwrap().clear();
    let attempt = AttemptId::from_uuid(ATTEMPT);
    let dispose = |code: &str, next| {
        Asked::Agent(agent, AgentCommand::Dispose { attempt, code: code.to_owned(), next })
    };
    let sale = json!({ "attempt": ATTEMPT, "code": "sale", "note": "wants two" });
    expect(desk.post("/agent/disposition", sale).await, StatusCode::ACCEPTED).await;
    let at = START_MS + 3_600_000;
    let later = json!({
        "attempt": ATTEMPT, "code": "later", "next": { "kind": "callback", "at": at }
    });
    expect(desk.post("/agent/disposition", later).await, StatusCode::ACCEPTED).await;
    let callback = NextAction::Callback { at: Utc::from_ms(at) };
    assert_eq!(world.asked(), [dispose("sale", NextAction::Close), dispose("later", callback)]);
    let audit = world.machine(Role::Manager).await.get("/audit").await;
    let notes: Vec<_> = audit["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["action"] == "attempt.note")
        .map(|row| row["detail"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(notes.len(), 1);
    assert!(notes[0].contains("wants two") && notes[0].contains(&ATTEMPT.to_string()));
}

#[tokio::test]
async fn an_impossible_disposition_does_not_reach_the_dialer() {
    let world = World::new().await;
    let (agent, desk) = world.agent("Ivan").await;
    on_call(&world, agent);
    world.asked.lock().unwrap().clear();
    for (body, kind) in [
        (json!({ "attempt": Uuid::nil(), "code": "sale" }), "not_yours"),
        (json!({ "attempt": ATTEMPT, "code": "unheard_of" }), "invalid"),
        (json!({ "attempt": ATTEMPT, "code": "later" }), "invalid"),
        (
            json!({ "attempt": ATTEMPT, "code": "later", "next": { "kind": "callback", "at": 5 } }),
            "invalid",
        ),
        (json!({ "attempt": ATTEMPT, "code": "sale", "note": "x".repeat(5_000) }), "invalid"),
    ] {
        let answer = desk.post("/agent/disposition", body).await;
        assert_eq!(refused(answer).await.1, kind);
    }
    assert_eq!(world.asked(), []);
}

#[tokio::test]
async fn a_repeated_disposition_with_its_key_is_answered_and_not_repeated() {
    let world = World::new().await;
    let (agent, desk) = world.agent("Ivan").await;
    on_call(&world, agent);
    world.asked.lock().unwrap().clear();
    let send = |body: serde_json::Value| {
        desk.request(Method::POST, "/agent/disposition")
            .header("idempotency-key", "one")
            .json(&body)
            .send()
    };
    let body = json!({ "attempt": ATTEMPT, "code": "sale" });
    let first = send(body.clone()).await.unwrap();
    assert!(!first.headers().contains_key("idempotency-replayed"));
    expect(first, StatusCode::ACCEPTED).await;
    let second = send(body).await.unwrap();
    assert_eq!(second.headers()["idempotency-replayed"], "true");
    assert_eq!(expect(second, StatusCode::ACCEPTED).await, json!({}));
    assert_eq!(world.asked().len(), 1);
    let other = send(json!({ "attempt": ATTEMPT, "code": "later" })).await.unwrap();
    assert_eq!(refused(other).await.1, "idempotency_key_reused");
}

#[tokio::test]
async fn a_desk_is_open_to_its_own_agent_only() {
    let world = World::new().await;
    for role in [Role::Admin, Role::Manager, Role::Integration] {
        let caller = world.machine(role).await;
        assert_eq!(refused(caller.send(Method::GET, "/agent", None).await).await.1, "forbidden");
    }
    let (_, desk) = world.agent("Ivan").await;
    for path in ["/campaigns", "/agents", "/trunks", "/audit", "/users"] {
        assert_eq!(refused(desk.send(Method::GET, path, None).await).await.1, "forbidden");
    }
    let nobody = world.nobody();
    let answer = nobody.send(Method::POST, "/agent/ready", None).await;
    assert_eq!(refused(answer).await.1, "not_signed_in");
}
