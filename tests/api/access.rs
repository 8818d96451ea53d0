//! Who gets in, by what, and what a page must show with each change.

use std::time::Duration;

use campanile::adapters::api::auth::Role;
use campanile::adapters::api::first_start_link;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{World, expect, refused};

#[tokio::test]
async fn the_first_link_makes_the_administrator_once_and_is_printed_until_there_is_a_password() {
    let world = World::new().await;
    let link = |world: &World| {
        let (db, base, now) = (world.db.clone(), world.base.clone(), world.now());
        async move { first_start_link(&db, &base, now).await.unwrap() }
    };
    let first = link(&world).await.unwrap();
    assert!(first.starts_with(&format!("{}/link/link_", world.base)));
    let page = world.page_by_link(&first).await;
    let session = page.get("/session").await;
    assert_eq!(session["user"]["role"], "admin");
    assert_eq!(session["user"]["must_set_password"], true);
    // Used up.
    let token = first.rsplit_once('/').unwrap().1;
    let again = world.nobody().post("/session", json!({ "link": token })).await;
    assert_eq!(refused(again).await.1, "wrong_credentials");
    // Without a password yet, a restart prints another one.
    assert!(link(&world).await.is_some());

    let password = json!({ "name": "Olena", "password": "a long password" });
    let set = page.post("/session/password", password).await;
    assert_eq!(set.status(), StatusCode::NO_CONTENT);
    assert_eq!(link(&world).await, None);
    let user = page.get("/session").await["user"].clone();
    assert_eq!((&user["name"], &user["must_set_password"]), (&json!("Olena"), &json!(false)));
}

#[tokio::test]
async fn name_and_password_open_a_session_and_signing_out_ends_it() {
    let world = World::new().await;
    let admin = world.admin_page().await;
    let password = json!({ "name": "Olena", "password": "a long password" });
    admin.post("/session/password", password).await;

    let mut page = world.nobody();
    let wrong = json!({ "name": "Olena", "password": "a wrong password" });
    assert_eq!(refused(page.post("/session", wrong).await).await.1, "wrong_credentials");
    let unknown = json!({ "name": "Nobody", "password": "a long password" });
    assert_eq!(refused(page.post("/session", unknown).await).await.1, "wrong_credentials");
    let right = json!({ "name": "Olena", "password": "a long password" });
    let answer = page.post("/session", right).await;
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age="] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert_eq!(page.take_session(answer).await["user"]["name"], "Olena");
    page.get("/session").await;

    let out = page.send(Method::DELETE, "/session", None).await;
    assert_eq!(out.status(), StatusCode::NO_CONTENT);
    assert_eq!(refused(page.send(Method::GET, "/session", None).await).await.1, "not_signed_in");
}

#[tokio::test]
async fn a_new_password_ends_the_users_other_sessions() {
    let world = World::new().await;
    let (one, other) = (world.admin_page().await, world.admin_page().await);
    one.post("/session/password", json!({ "password": "a long password" })).await;
    one.get("/session").await;
    assert_eq!(refused(other.send(Method::GET, "/session", None).await).await.0, 401);
}

#[tokio::test]
async fn a_session_ends_by_itself_after_a_shift() {
    let world = World::new().await;
    let page = world.admin_page().await;
    world.pass(Duration::from_secs(13 * 3_600));
    page.get("/session").await;
    world.pass(Duration::from_secs(3_600));
    assert_eq!(refused(page.send(Method::GET, "/session", None).await).await.0, 401);
}

#[tokio::test]
async fn a_link_that_is_too_old_opens_nothing() {
    let world = World::new().await;
    let link = first_start_link(&world.db, &world.base, world.now()).await.unwrap().unwrap();
    world.pass(Duration::from_secs(8 * 24 * 3_600));
    let token = link.rsplit_once('/').unwrap().1;
    let answer = world.nobody().post("/session", json!({ "link": token })).await;
    assert_eq!(refused(answer).await.0, 401);
}

#[tokio::test]
async fn a_page_without_its_csrf_token_changes_nothing() {
    let world = World::new().await;
    let mut page = world.admin_page().await;
    let csrf = page.csrf.take();
    let body = json!({ "name": "crm", "role": "integration" });
    assert_eq!(refused(page.post("/tokens", body.clone()).await).await.1, "csrf");
    page.csrf = world.admin_page().await.csrf;
    assert_eq!(refused(page.post("/tokens", body.clone()).await).await.1, "csrf");
    page.csrf = csrf;
    page.made("/tokens", body).await;
}

#[tokio::test]
async fn a_page_of_another_origin_changes_nothing_and_cannot_sign_in() {
    let world = World::new().await;
    let page = world.admin_page().await;
    let foreign = |path: &str, body: Value| {
        page.request(Method::POST, path).header("origin", "http://evil.example").json(&body)
    };
    let answer = foreign("/tokens", json!({ "name": "x", "role": "admin" })).send().await.unwrap();
    assert_eq!(refused(answer).await, (403, "csrf".into(), "error.csrf".into()));
    let body = json!({ "name": "a", "password": "b" });
    assert_eq!(refused(foreign("/session", body).send().await.unwrap()).await.0, 403);
}

#[tokio::test]
async fn a_cookie_counts_under_our_own_names_only() {
    let world = World::new().await;
    let page = world.admin_page().await;
    let under =
        |host: &'static str| page.request(Method::GET, "/session").header("host", host).send();
    assert_eq!(under("dialer.example").await.unwrap().status(), StatusCode::OK);
    let answer = under("rebound.example:8080").await.unwrap();
    assert_eq!(refused(answer).await.1, "foreign_host");
    // A machine's token is nothing that a browser would send by itself.
    let machine = world.machine(Role::Manager).await;
    let request = machine.request(Method::GET, "/campaigns").header("host", "dialer.internal");
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn attempts_to_sign_in_are_limited() {
    let world = World::new().await;
    let body = json!({ "name": "admin", "password": "guess" });
    let page = world.nobody();
    for _ in 0..5 {
        assert_eq!(refused(page.post("/session", body.clone()).await).await.0, 401);
    }
    let answer = page.post("/session", body).await;
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(refused(answer).await.1, "too_many_attempts");
}

#[tokio::test]
async fn a_wrong_token_gets_nothing_even_beside_a_good_cookie() {
    let world = World::new().await;
    let mut page = world.admin_page().await;
    page.token = Some("token_wrong".into());
    let answer = page.send(Method::GET, "/campaigns", None).await;
    assert_eq!(answer.headers()["www-authenticate"], "Bearer");
    assert_eq!(refused(answer).await.1, "not_signed_in");
}

#[tokio::test]
async fn only_an_administrator_makes_users_and_tokens() {
    let world = World::new().await;
    let admin = world.machine(Role::Admin).await;
    let manager = world.machine(Role::Manager).await;
    let body = json!({ "name": "Petro", "role": "manager" });
    assert_eq!(refused(manager.post("/users", body.clone()).await).await.1, "forbidden");
    assert_eq!(refused(manager.post("/tokens", body.clone()).await).await.1, "forbidden");

    let link = admin.made("/users", body.clone()).await["link"].as_str().unwrap().to_owned();
    let page = world.page_by_link(&link).await;
    assert_eq!(page.get("/session").await["user"]["role"], "manager");
    page.get("/campaigns").await;
    assert_eq!(refused(admin.post("/users", body).await).await.1, "conflict");

    let made = admin.made("/tokens", json!({ "name": "crm", "role": "integration" })).await;
    let crm = world.with_token(made["token"].as_str().unwrap());
    crm.get("/campaigns").await;
    assert_eq!(refused(crm.send(Method::GET, "/agents", None).await).await.1, "forbidden");
    assert_eq!(crm.get("/session").await["csrf"], "");
    let agent = admin.post("/tokens", json!({ "name": "a", "role": "agent" })).await;
    assert_eq!(refused(agent).await.1, "invalid");
    let users = admin.get("/users").await;
    assert_eq!(users[0]["name"], "Petro");
}

#[tokio::test]
async fn a_revoked_token_and_a_removed_user_are_out_at_once() {
    let world = World::new().await;
    let admin = world.admin_page().await;
    let made = admin.made("/tokens", json!({ "name": "crm", "role": "integration" })).await;
    let token = made["token"].as_str().unwrap();
    let crm = world.with_token(token);
    crm.get("/campaigns").await;
    let tokens = admin.get("/tokens").await;
    assert!(!tokens.to_string().contains(token));
    let path = format!("/tokens/{}", tokens[0]["id"].as_str().unwrap());
    admin.send(Method::DELETE, &path, None).await;
    assert_eq!(refused(crm.send(Method::GET, "/campaigns", None).await).await.0, 401);
    assert_eq!(admin.get("/tokens").await, json!([]));

    let body = json!({ "name": "Petro", "role": "manager" });
    let made = admin.made("/users", body).await;
    let page = world.page_by_link(made["link"].as_str().unwrap()).await;
    let id = page.get("/session").await["user"]["id"].clone();
    admin.send(Method::DELETE, &format!("/users/{id}"), None).await;
    assert_eq!(refused(page.send(Method::GET, "/session", None).await).await.0, 401);
    let own = admin.get("/session").await["user"]["id"].clone();
    let answer = admin.send(Method::DELETE, &format!("/users/{own}"), None).await;
    assert_eq!(refused(answer).await.1, "conflict");
}

#[tokio::test]
async fn what_was_changed_stands_in_the_audit_log_with_who_did_it_and_without_secrets() {
    let world = World::new().await;
    let admin = world.admin_page().await;
    let made = admin.made("/tokens", json!({ "name": "crm", "role": "integration" })).await;
    let page = admin.get("/audit?limit=1").await;
    let row = &page["items"][0];
    assert_eq!((&row["action"], &row["made_by"]), (&json!("token.created"), &json!("user:1")));
    let next = page["next"].as_i64().unwrap();
    let older = admin.get(&format!("/audit?after={next}")).await;
    assert_eq!(older["items"][0]["action"], "session.begin");
    assert_eq!(older["next"], Value::Null);
    let text = format!("{page}{older}");
    assert!(!text.contains(made["token"].as_str().unwrap()));
    let agent = world.machine(Role::Integration).await;
    assert_eq!(refused(agent.send(Method::GET, "/audit", None).await).await.0, 403);
}

#[tokio::test]
async fn refusals_are_problems_whatever_is_wrong_with_the_request() {
    let world = World::new().await;
    let manager = world.machine(Role::Manager).await;
    let kind =
        async |request: reqwest::RequestBuilder| refused(request.send().await.unwrap()).await.1;
    let request = |method, path| manager.request(method, path);
    assert_eq!(kind(request(Method::GET, "/nowhere")).await, "not_found");
    assert_eq!(kind(request(Method::DELETE, "/campaigns")).await, "method_not_allowed");
    assert_eq!(kind(request(Method::GET, "/campaigns/seven")).await, "not_found");
    assert_eq!(kind(request(Method::GET, "/campaigns/7")).await, "not_found");
    assert_eq!(kind(request(Method::GET, "/audit?limit=x")).await, "bad_request");
    let post = || request(Method::POST, "/agents");
    assert_eq!(kind(post().body("{")).await, "unsupported_media_type");
    let as_json = |body: String| post().header("content-type", "application/json").body(body);
    assert_eq!(kind(as_json("{".into())).await, "bad_request");
    assert_eq!(kind(as_json(r#"{"name":7}"#.into())).await, "invalid");
    assert_eq!(kind(as_json(format!("\"{}\"", "x".repeat(300_000)))).await, "too_large");
}

#[tokio::test]
async fn the_program_says_that_it_lives_and_whether_it_is_ready() {
    let world = World::new().await;
    let nobody = world.nobody();
    let health = nobody.get("/healthz").await;
    assert_eq!((&health["status"], &health["instance"]), (&json!("ok"), &json!("test")));
    nobody.get("/readyz").await;
    let metrics = nobody.send(Method::GET, "/metrics", None).await;
    assert_eq!(metrics.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    world.shutdown.send_replace(true);
    let answer = nobody.send(Method::GET, "/readyz", None).await;
    expect(answer, StatusCode::SERVICE_UNAVAILABLE).await;
}
