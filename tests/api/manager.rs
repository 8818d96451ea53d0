//! What a manager does: settings that reach the dialer, lists, numbers that are not called, CRM
//! endpoints.

use std::time::Duration;

use axum::Router;
use axum::extract::Query;
use axum::routing::get;
use campanile::adapters::api::auth::Role;
use campanile::adapters::gate::Reload;
use campanile::domain::ids::{AgentId, AttemptId, CampaignId, TrunkId};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{Asked, Caller, UNHEARD_PROFILE, World, expect, refused};

async fn trunk(manager: &Caller) -> i64 {
    let body = json!({ "name": "Lab", "address": "127.0.0.1:5060", "allowed_prefixes": ["+1"] });
    manager.made("/trunks", body).await["id"].as_i64().unwrap()
}

async fn campaign(manager: &Caller, trunk: i64, more: Value) -> i64 {
    let mut body = json!({ "name": "Spring", "mode": { "kind": "progressive" }, "trunk": trunk });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    manager.made("/campaigns", body).await["id"].as_i64().unwrap()
}

async fn import(manager: &Caller, name: &str, csv: &str) -> Value {
    let request = manager
        .request(Method::POST, &format!("/lists/import?name={name}"))
        .header("content-type", "text/csv")
        .body(csv.to_owned());
    expect(request.send().await.unwrap(), StatusCode::CREATED).await
}

#[tokio::test]
async fn every_change_of_settings_is_read_again_by_the_dialer() {
    let world = World::new().await;
    let manager = world.machine(Role::Manager).await;
    let trunk = trunk(&manager).await;
    let (agent, _) = world.agent("Ivan").await;
    let campaign = campaign(&manager, trunk, json!({ "agents": [agent.get()] })).await;
    let (trunk_id, campaign_id) = (TrunkId::new(trunk), CampaignId::new(campaign));
    let reloads: Vec<_> = world.asked();
    for what in [Reload::Trunk(trunk_id), Reload::Agent(agent), Reload::Campaign(campaign_id)] {
        assert!(reloads.contains(&Asked::Reload(what)), "{what:?}");
    }
    world.asked.lock().unwrap().clear();
    let change = |path: String, body: Value| manager.send(Method::PATCH, leak(path), Some(body));
    change(format!("/trunks/{trunk}"), json!({ "lines": 3 })).await;
    change(format!("/campaigns/{campaign}"), json!({ "agents": [] })).await;
    manager.send(Method::POST, &format!("/campaigns/{campaign}/start"), None).await;
    let wanted = [
        Asked::Reload(Reload::Trunk(trunk_id)),
        Asked::Reload(Reload::Agent(agent)),
        Asked::Reload(Reload::Campaign(campaign_id)),
        Asked::Reload(Reload::Campaign(campaign_id)),
    ];
    assert_eq!(world.asked(), wanted);
    let row = world.db.agent(agent).await.unwrap().unwrap();
    assert_eq!(row.settings.campaigns, []);
}

/// A path that lives as long as the test.
fn leak(path: String) -> &'static str {
    Box::leak(path.into_boxed_str())
}

#[tokio::test]
async fn a_patch_makes_a_new_version_only_if_it_changes_something() {
    let world = World::new().await;
    let manager = world.machine(Role::Manager).await;
    let trunk = trunk(&manager).await;
    let id = campaign(&manager, trunk, json!({})).await;
    let path = format!("/campaigns/{id}");
    let patch = async |body: Value| {
        let answer = manager.send(Method::PATCH, &path, Some(body)).await;
        expect(answer, StatusCode::OK).await["version"].clone()
    };
    assert_eq!(patch(json!({ "script": "Hello {name}" })).await, 2);
    assert_eq!(patch(json!({ "script": "Hello {name}" })).await, 2);
    let seen = manager.get(&path).await;
    assert_eq!(
        (&seen["version"], &seen["settings"]["script"]),
        (&json!(2), &json!("Hello {name}"))
    );
    let first = world.db.campaign_at_version(CampaignId::new(id), 1).await.unwrap().unwrap();
    assert_eq!(first.script, "");
}

#[tokio::test]
async fn what_does_not_exist_cannot_be_named() {
    let world = World::new().await;
    let manager = world.machine(Role::Manager).await;
    let trunk = trunk(&manager).await;
    let base = json!({ "name": "Spring", "mode": { "kind": "preview" }, "trunk": trunk });
    for (key, value) in
        [("trunk", json!(99)), ("lists", json!([99])), ("agents", json!([99])), ("color", json!(1))]
    {
        let mut body = base.clone();
        body[key] = value;
        let answer = manager.post("/campaigns", body).await;
        let text: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(text["status"], 422);
        assert!(text["detail"].as_str().unwrap().contains(key), "{text}");
    }
    assert_eq!(manager.get("/campaigns").await, json!([]), "nothing half-made");
    let agent = json!({ "name": "Ivan", "phone": "sip:1@127.0.0.1", "campaigns": [99] });
    assert_eq!(refused(manager.post("/agents", agent).await).await.0, 422);
}

#[tokio::test]
async fn a_campaign_moves_between_its_states_as_a_person_may_move_it() {
    let world = World::new().await;
    let manager = world.machine(Role::Manager).await;
    let trunk = trunk(&manager).await;
    let id = campaign(&manager, trunk, json!({})).await;
    let go = async |verb: &str| {
        manager.send(Method::POST, &format!("/campaigns/{id}/{verb}"), None).await
    };
    assert_eq!(refused(go("pause").await).await.1, "conflict");
    for (verb, state) in [
        ("start", "running"),
        ("start", "running"),
        ("pause", "paused"),
        ("start", "running"),
        ("stop", "stopped"),
        ("start", "running"),
    ] {
        let answer = expect(go(verb).await, StatusCode::OK).await;
        assert_eq!(answer["state"], state, "after {verb}");
    }
    assert_eq!(manager.get(&format!("/campaigns/{id}/board")).await["state"], "running");
}

#[tokio::test]
async fn a_campaign_made_twice_with_one_key_is_made_once() {
    let world = World::new().await;
    let manager = world.machine(Role::Manager).await;
    let trunk = trunk(&manager).await;
    let make = |caller: &Caller, name: &str| {
        let body = json!({ "name": name, "mode": { "kind": "preview" }, "trunk": trunk });
        caller
            .request(Method::POST, "/campaigns")
            .header("idempotency-key", "k1")
            .json(&body)
            .send()
    };
    let first = expect(make(&manager, "Spring").await.unwrap(), StatusCode::CREATED).await;
    let again = make(&manager, "Spring").await.unwrap();
    assert_eq!(again.headers()["idempotency-replayed"], "true");
    assert_eq!(expect(again, StatusCode::CREATED).await, first);
    let other = make(&manager, "Summer").await.unwrap();
    assert_eq!(refused(other).await.1, "idempotency_key_reused");
    // Another caller's key is another key.
    let admin = world.machine(Role::Admin).await;
    let second = expect(make(&admin, "Spring").await.unwrap(), StatusCode::CREATED).await;
    assert_ne!(second["id"], first["id"]);
    // After a day the key is free again.
    world.pass(Duration::from_secs(25 * 3_600));
    let later = make(&manager, "Summer").await.unwrap();
    expect(later, StatusCode::CREATED).await;
    assert_eq!(manager.get("/campaigns").await.as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_refused_request_is_refused_again_under_its_key_and_an_unusable_key_is_named() {
    let world = World::new().await;
    let manager = world.machine(Role::Manager).await;
    let send = |key: String| {
        let body = json!({ "name": "Spring", "mode": { "kind": "preview" }, "trunk": 99 });
        manager
            .request(Method::POST, "/campaigns")
            .header("idempotency-key", key)
            .json(&body)
            .send()
    };
    for _ in 0..2 {
        assert_eq!(refused(send("k".into()).await.unwrap()).await.1, "invalid");
    }
    assert_eq!(refused(send("k".repeat(200)).await.unwrap()).await.1, "bad_request");
    let nobody = world.nobody().request(Method::POST, "/campaigns").header("idempotency-key", "k");
    assert_eq!(refused(nobody.send().await.unwrap()).await.1, "not_signed_in");
}

#[tokio::test]
async fn a_file_becomes_a_list_and_what_was_left_out_is_told_row_by_row() {
    let world = World::new().await;
    let crm = world.machine(Role::Integration).await;
    let csv = "phone,name\n+12125550101,Ада\nxyz,Боб\n+12125550101,Ада\n+12125550102,Єва\n";
    let report = import(&crm, "Spring", csv).await;
    assert_eq!(
        (&report["rows"], &report["accepted"], &report["duplicates"], &report["rejected"]),
        (&json!(4), &json!(2), &json!(1), &json!(1))
    );
    let path = report["rejects_url"].as_str().unwrap().strip_prefix("/api/v1").unwrap();
    let answer = crm.send(Method::GET, path, None).await;
    assert_eq!(answer.headers()["content-type"], "text/csv; charset=utf-8");
    let text = answer.text().await.unwrap();
    let row = text.lines().nth(1).unwrap();
    assert!(row.starts_with("3,") && row.ends_with("xyz"), "{text}");
    assert_eq!(crm.get("/lists").await[0]["contacts"], 2);

    let clean = import(&crm, "Clean", "phone\n+12125550103\n").await;
    assert_eq!(clean["rejects_url"], Value::Null);
    let path = format!("/lists/{}/rejects", clean["list"]);
    let text = crm.send(Method::GET, &path, None).await.text().await.unwrap();
    assert_eq!(text, "row,column,reason,value\n");
    assert_eq!(refused(crm.send(Method::GET, "/lists/99/rejects", None).await).await.0, 404);
    let left: Vec<_> = std::fs::read_dir(world.folder.path().join("rejects")).unwrap().collect();
    assert_eq!(left.len(), 1, "the uploads themselves are not kept");
}

#[tokio::test]
async fn a_file_that_cannot_be_read_makes_no_list() {
    let world = World::new().await;
    let manager = world.machine(Role::Manager).await;
    let send = |query: &str, kind: &'static str, body: &'static [u8]| {
        let request = manager.request(Method::POST, &format!("/lists/import?{query}"));
        request.header("content-type", kind).body(body).send()
    };
    for (query, kind, body, wanted) in [
        ("name=a", "application/json", &b"{}"[..], "unsupported_media_type"),
        ("name=a", "text/csv", b"", "invalid"),
        ("name=a", "text/csv", b"\xff\xfep\0h\0", "invalid"),
        ("name=a&map=phone:tel", "text/csv", b"phone\n+12125550101\n", "invalid"),
        ("name=a&zone=Mars", "text/csv", b"phone\n+12125550101\n", "invalid"),
        ("name=", "text/csv", b"phone\n+12125550101\n", "invalid"),
        ("", "text/csv", b"phone\n+12125550101\n", "bad_request"),
    ] {
        let answer = send(query, kind, body).await.unwrap();
        assert!(answer.status().is_client_error(), "{query} {body:?}");
        assert_eq!(refused(answer).await.1, wanted, "{query}");
    }
    assert_eq!(manager.get("/lists").await, json!([]));
}

#[tokio::test]
async fn a_segment_is_pulled_as_a_job_that_ends_with_its_report() {
    let world = World::new().await;
    let crm = Router::new().route(
        "/segment",
        get(async |Query(query): Query<std::collections::BTreeMap<String, String>>| {
            let records = match query.get("page").map(String::as_str) {
                Some("1") => json!([
                    { "id": "p1", "tel": "+12125550101", "full_name": "Ада" },
                    { "id": "p2", "tel": "none", "full_name": "Боб" }
                ]),
                _ => json!([]),
            };
            axum::Json(json!({ "records": records, "total": 2 }))
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, crm).await.unwrap() });

    let manager = world.machine(Role::Manager).await;
    let body = json!({
        "name": "Segment", "url": format!("http://{at}/segment?key=hidden"),
        "map": "phone=tel,name=full_name,external_ref=id", "token": "crm-token"
    });
    let answer = manager.post("/lists/pull", body).await;
    let job = expect(answer, StatusCode::ACCEPTED).await["job"].as_str().unwrap().to_owned();
    let ended = ended(&manager, &job).await;
    assert_eq!(ended["state"], "done", "{ended}");
    let report = &ended["report"];
    assert_eq!((&report["accepted"], &report["rejected"]), (&json!(1), &json!(1)));
    let lists = manager.get("/lists").await;
    assert_eq!(
        (&lists[0]["name"], &lists[0]["source"]),
        (&json!("Segment"), &json!(format!("http://{at}/segment")))
    );
    let audit = manager.get("/audit").await.to_string();
    assert!(audit.contains("list.imported") && !audit.contains("hidden"));
    assert!(!audit.contains("crm-token"));
}

/// A job when it is over.
async fn ended(caller: &Caller, job: &str) -> Value {
    for _ in 0..200 {
        let state = caller.get(&format!("/jobs/{job}")).await;
        if state["state"] != "running" {
            return state;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the job did not end in ten seconds");
}

#[tokio::test]
async fn an_address_that_is_none_is_not_pulled_from() {
    let world = World::new().await;
    let manager = world.machine(Role::Manager).await;
    for url in ["nonsense", "file:///etc/passwd"] {
        let answer = manager.post("/lists/pull", json!({ "name": "a", "url": url })).await;
        assert_eq!(refused(answer).await.1, "invalid");
    }
}

#[tokio::test]
async fn a_number_is_forbidden_for_all_or_for_one_campaign_and_allowed_again() {
    let world = World::new().await;
    let crm = world.machine(Role::Integration).await;
    let manager = world.machine(Role::Manager).await;
    let trunk = trunk(&manager).await;
    let id = campaign(&manager, trunk, json!({})).await;
    let number = "+442079460018";
    crm.made("/dnc", json!({ "number": number, "reason": "asked by mail" })).await;
    crm.made("/dnc", json!({ "number": number, "campaign": id })).await;
    let rows = crm.get("/dnc").await;
    let seen: Vec<_> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["campaign"].clone(), row["made_by"].as_str().unwrap().to_owned()))
        .collect();
    let by = String::from("token:integration");
    assert!(seen.contains(&(Value::Null, by.clone())) && seen.contains(&(json!(id), by)));
    let only = crm.send(Method::DELETE, &format!("/dnc/{number}?campaign={id}"), None).await;
    assert_eq!(only.status(), StatusCode::NO_CONTENT);
    assert_eq!(crm.get("/dnc").await.as_array().unwrap().len(), 1);
    for bad in [json!({ "number": "12" }), json!({ "number": number, "campaign": 99 })] {
        let answer = refused(crm.post("/dnc", bad).await).await;
        assert!([404, 422].contains(&answer.0));
    }
}

#[tokio::test]
async fn an_endpoints_secret_is_shown_once_and_only_if_it_was_made_here() {
    let world = World::new().await;
    let manager = world.machine(Role::Manager).await;
    let body = |more: Value| {
        let mut body = json!({ "name": "CRM", "url": "https://crm.example/hooks" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let made = manager.made("/crm-endpoints", body(json!({}))).await;
    let secret = made["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("whsec_"));
    let given = manager.made("/crm-endpoints", body(json!({ "secret": secret }))).await;
    assert!(given.get("secret").is_none());
    let seen = format!("{}{}", manager.get("/crm-endpoints").await, manager.get("/audit").await);
    assert!(!seen.contains(&secret));
    assert!(world.asked().contains(&Asked::Reload(Reload::CrmEndpoints)));
    for bad in [
        json!({ "secret": "short" }),
        json!({ "events": ["campanile.unheard.of"] }),
        json!({ "url": "ftp://crm.example" }),
        json!({ "name": "" }),
    ] {
        assert_eq!(refused(manager.post("/crm-endpoints", body(bad)).await).await.1, "invalid");
    }
}

#[tokio::test]
async fn an_endpoint_that_was_switched_off_says_why_and_can_be_switched_on() {
    let world = World::new().await;
    let manager = world.machine(Role::Manager).await;
    let body = json!({ "name": "CRM", "url": "https://crm.example/hooks" });
    let id = manager.made("/crm-endpoints", body).await["id"].as_i64().unwrap();
    let go = async |verb: &str| {
        let path = format!("/crm-endpoints/{id}/{verb}");
        expect(manager.send(Method::POST, &path, None).await, StatusCode::OK).await
    };
    let off = go("disable").await;
    assert_eq!((&off["enabled"], &off["disabled_why"]), (&json!(false), &json!("switched off")));
    let on = go("enable").await;
    assert_eq!((&on["enabled"], &on["disabled_why"]), (&json!(true), &Value::Null));
    assert_eq!(go("redeliver").await["redelivered"], 0);
}

#[tokio::test]
async fn an_agent_is_made_with_a_link_that_opens_their_own_desk() {
    let world = World::new().await;
    let manager = world.machine(Role::Manager).await;
    let body = json!({ "name": "Олена", "phone": "sip:102@127.0.0.1:5080" });
    let made = manager.made("/agents", body.clone()).await;
    assert!(made.get("token").is_none());
    let page = world.page_by_link(made["link"].as_str().unwrap()).await;
    let user = page.get("/session").await["user"].clone();
    assert_eq!((&user["role"], &user["agent"]), (&json!("agent"), &made["id"]));
    assert_eq!(page.get("/agent").await["name"], "Олена");
    page.send(Method::POST, "/agent/login", None).await;
    let id = AgentId::new(made["id"].as_i64().unwrap());
    assert!(matches!(world.asked().last(), Some(Asked::Agent(agent, _)) if *agent == id));
    assert_eq!(refused(manager.post("/agents", body).await).await.1, "conflict");
    assert_eq!(manager.get("/agents").await.as_array().unwrap().len(), 1, "nothing half-made");
    let again = format!("/agents/{}/link", made["id"]);
    let link = manager.made(&again, json!({})).await["link"].as_str().unwrap().to_owned();
    world.page_by_link(&link).await;
}

#[tokio::test]
async fn a_manager_ends_a_call_and_checks_a_trunk() {
    let world = World::new().await;
    let manager = world.machine(Role::Manager).await;
    let trunk = trunk(&manager).await;
    let check = manager.send(Method::POST, &format!("/trunks/{trunk}/check"), None).await;
    assert_eq!(expect(check, StatusCode::OK).await["alive"], true);
    let attempt = Uuid::from_u128(5);
    let path = format!("/calls/{attempt}/hangup");
    expect(manager.send(Method::POST, &path, None).await, StatusCode::ACCEPTED).await;
    let asked = world.asked();
    assert!(asked.contains(&Asked::CheckTrunk(trunk)));
    assert!(asked.contains(&Asked::HangUp(AttemptId::from_uuid(attempt))));
}

#[tokio::test]
async fn a_trunk_with_a_profile_that_cannot_be_used_is_neither_made_nor_changed() {
    let world = World::new().await;
    let manager = world.machine(Role::Manager).await;
    let made = trunk(&manager).await;
    let body =
        json!({ "name": "Other", "address": "203.0.113.9:5060", "profile": UNHEARD_PROFILE });
    let refusal = refused(manager.send(Method::POST, "/trunks", Some(body)).await).await;
    assert_eq!(refusal.1, "invalid");
    let body = json!({ "profile": UNHEARD_PROFILE });
    let path = format!("/trunks/{made}");
    let refusal = refused(manager.send(Method::PATCH, &path, Some(body)).await).await;
    assert_eq!(refusal.1, "invalid");
    let trunks = manager.get("/trunks").await;
    assert_eq!(trunks.as_array().unwrap().len(), 1);
    assert_ne!(trunks[0]["profile"], UNHEARD_PROFILE);
}

#[tokio::test]
async fn a_dialer_that_has_ended_refuses_and_settings_are_kept_for_its_next_start() {
    let world = World::new().await;
    let manager = world.machine(Role::Manager).await;
    let trunk = trunk(&manager).await;
    world.driver.abort();
    let check = || manager.send(Method::POST, leak(format!("/trunks/{trunk}/check")), None);
    // The task ends at its next turn.
    while check().await.status() != StatusCode::SERVICE_UNAVAILABLE {}
    assert_eq!(refused(check().await).await.1, "shutting_down");
    let change = manager.send(
        Method::PATCH,
        leak(format!("/trunks/{trunk}")),
        Some(json!({
            "lines": 9
        })),
    );
    expect(change.await, StatusCode::OK).await;
    assert_eq!(manager.get("/trunks").await[0]["lines"], 9);
}
