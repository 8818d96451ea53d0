//! Commands that talk to a daemon, here a small server that answers as the API does.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::command::{Said, campanile, folder, with_env};

/// A request as the daemon saw it.
#[derive(Debug, Clone)]
struct Seen {
    method: Method,
    target: String,
    token: String,
    body: Bytes,
}

impl Seen {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

struct Daemon {
    addr: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Daemon {
    async fn new(answer: impl Fn(&Seen) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(vec![]));
        let (shared, answer) = (Arc::clone(&seen), Arc::new(answer));
        let app = Router::new().fallback(move |request: Request| {
            let (shared, answer) = (Arc::clone(&shared), Arc::clone(&answer));
            async move {
                let (parts, body) = request.into_parts();
                let token = parts.headers.get("authorization").map(|t| t.to_str().unwrap());
                let seen = Seen {
                    method: parts.method,
                    target: parts.uri.to_string(),
                    token: token.unwrap_or_default().to_owned(),
                    body: axum::body::to_bytes(body, usize::MAX).await.unwrap(),
                };
                let answer = answer(&seen);
                shared.lock().unwrap().push(seen);
                answer
            }
        });
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { addr, seen }
    }

    async fn told(&self, folder: &std::path::Path, words: &str) -> Said {
        let url = format!("http://{}", self.addr);
        let mut words: Vec<&str> = words.split(' ').collect();
        words.extend(["--url", &url]);
        with_env(folder, &words, &[("CAMPANILE_TOKEN", "t0ken")]).await
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn answer(value: Value) -> Response {
    Json(value).into_response()
}

fn problem(status: u16, title: &str, detail: &str) -> Response {
    let body = json!({ "type": "about:blank", "title": title, "status": status, "detail": detail });
    let headers = [("content-type", "application/problem+json")];
    (StatusCode::from_u16(status).unwrap(), headers, body.to_string()).into_response()
}

#[tokio::test]
async fn without_a_daemon_the_exit_code_is_four_and_the_message_says_what_to_do() {
    let folder = folder();
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("http://{closed}");
    let words = ["campaign", "start", "1", "--url", &url, "--token", "x"];
    let said = campanile(folder.path(), &words).await;
    assert_eq!(said.code, 4, "{}", said.err);
    assert!(said.err.contains("is `campanile serve` running?"), "{}", said.err);
}

#[tokio::test]
async fn a_refusal_is_exit_code_five_with_the_daemons_reason() {
    let folder = folder();
    let daemon = Daemon::new(|_| problem(409, "Not now", "the campaign has no agents")).await;
    let said = daemon.told(folder.path(), "campaign start 7").await;
    assert_eq!(said.code, 5, "{}", said.err);
    assert!(
        said.err.contains("refused (409): Not now: the campaign has no agents"),
        "{}",
        said.err
    );
    let seen = &daemon.seen()[0];
    assert_eq!((&seen.method, seen.target.as_str()), (&Method::POST, "/api/v1/campaigns/7/start"));
    assert_eq!(seen.token, "Bearer t0ken");
}

#[tokio::test]
async fn the_token_is_found_in_the_daemons_folder() {
    let folder = folder();
    let daemon = Daemon::new(|_| answer(json!([]))).await;
    let config = format!("data_dir = \"data\"\n[http]\nlisten = \"{}\"\n", daemon.addr);
    std::fs::write(folder.path().join("campanile.toml"), config).unwrap();
    let said = campanile(folder.path(), &["campaign", "status"]).await;
    assert_eq!(said.code, 2, "without a token: {}", said.err);
    assert!(said.err.contains("data/cli.token"), "{}", said.err);

    std::fs::create_dir(folder.path().join("data")).unwrap();
    std::fs::write(folder.path().join("data/cli.token"), "from-the-file\n").unwrap();
    let said = campanile(folder.path(), &["campaign", "status"]).await;
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(daemon.seen()[0].token, "Bearer from-the-file");
}

#[tokio::test]
async fn an_imported_file_arrives_whole_and_its_rejects_are_fetched() {
    let folder = folder();
    let report = json!({ "list": 3, "rows": 2, "accepted": 1, "duplicates": 0, "rejected": 1,
                         "rejects_url": "/api/v1/lists/3/rejects" });
    let daemon = Daemon::new(move |seen| {
        if seen.method == Method::GET {
            "row,column\n3,phone\n".into_response()
        } else {
            answer(report.clone())
        }
    })
    .await;
    let text = format!("Ім'я;Телефон\n{}\n", "Олена;0501234567\n".repeat(20_000));
    std::fs::write(folder.path().join("люди.csv"), &text).unwrap();
    let said = daemon
        .told(folder.path(), "list import люди.csv --region UA --map phone=Телефон,name=Ім'я")
        .await;
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("2 rows, 1 accepted, 0 duplicates, 1 rejected"), "{}", said.out);
    let seen = daemon.seen();
    assert_eq!(seen[0].body, text.as_bytes());
    let target = "/api/v1/lists/import?name=%D0%BB%D1%8E%D0%B4%D0%B8&map=phone%3D%D0%A2";
    assert!(seen[0].target.starts_with(target), "{}", seen[0].target);
    assert!(seen[0].target.ends_with("&region=UA"), "{}", seen[0].target);
    assert_eq!(seen[1].target, "/api/v1/lists/3/rejects");
    let rejects = std::fs::read_to_string(folder.path().join("люди.csv.rejects.csv")).unwrap();
    assert_eq!(rejects, "row,column\n3,phone\n");
}

#[tokio::test]
async fn a_pull_is_watched_to_its_end() {
    let folder = folder();
    let asked = Mutex::new(0);
    let daemon = Daemon::new(move |seen| {
        if seen.method == Method::POST {
            return (StatusCode::ACCEPTED, Json(json!({ "job": "j-1" }))).into_response();
        }
        let mut asked = asked.lock().unwrap();
        *asked += 1;
        let report = json!({ "list": 9, "rows": 5, "accepted": 5, "duplicates": 0, "rejected": 0 });
        match *asked {
            1 => answer(json!({ "state": "running", "done": 2, "total": 5 })),
            _ => answer(json!({ "state": "done", "done": 5, "total": 5, "report": report })),
        }
    })
    .await;
    std::fs::write(folder.path().join("secret"), "crm-token\n").unwrap();
    let words = "list pull https://crm.example.com/s --name autumn --map phone=tel --crm-token file:secret --json";
    let said = daemon.told(folder.path(), words).await;
    assert_eq!(said.code, 0, "{}", said.err);
    let report: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(report["accepted"], 5);
    let body = daemon.seen()[0].json();
    assert_eq!(
        body,
        json!({ "name": "autumn", "url": "https://crm.example.com/s", "map": "phone=tel", "token": "crm-token" })
    );
    assert_eq!(daemon.seen()[1].target, "/api/v1/jobs/j-1");
}

#[tokio::test]
async fn a_pull_that_failed_is_exit_code_one_with_its_reason() {
    let folder = folder();
    let daemon = Daemon::new(|seen| {
        if seen.method == Method::POST {
            return (StatusCode::ACCEPTED, Json(json!({ "job": "j" }))).into_response();
        }
        answer(json!({ "state": "failed", "done": 0, "error": "the CRM refused the token (401)" }))
    })
    .await;
    let said = daemon.told(folder.path(), "list pull http://x/s --name a --map phone=tel").await;
    assert_eq!(said.code, 1);
    assert!(said.err.contains("refused the token"), "{}", said.err);
}

#[tokio::test]
async fn a_campaign_is_made_from_words() {
    let folder = folder();
    let daemon = Daemon::new(|_| answer(json!({ "id": 4, "version": 1 }))).await;
    std::fs::write(folder.path().join("s.json"), r#"{"script":"Hello {name}","attempts_max":9}"#)
        .unwrap();
    let words = "campaign create --name autumn --trunk 1 --list 2 --agent 5 --agent 6 --mode power \
        --ratio 1.25 --hours 9:00-20:00 --attempts 3 --ring 25 --settings s.json";
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let said = daemon.told(folder.path(), &words).await;
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("campanile campaign start 4"), "{}", said.out);
    let body = daemon.seen()[0].json();
    assert_eq!(body["mode"], json!({ "kind": "power", "ratio_percent": 125 }));
    assert_eq!(body["agents"], json!([5, 6]));
    assert_eq!(body["attempts_max"], 3, "the option goes before the file");
    assert_eq!(body["script"], "Hello {name}");
    assert_eq!(body["ring_timeout_ms"], 25_000);
    assert_eq!(body["calling_hours"]["spans"][0]["from_minute"], 540);
}

#[tokio::test]
async fn a_board_is_drawn_for_people_and_passed_on_for_scripts() {
    let folder = folder();
    let board = campanile::adapters::views::BoardView {
        campaign: 1,
        name: "Осінь".into(),
        state: "running".into(),
        mode: "predictive".into(),
        attempts: 12,
        ..Default::default()
    };
    let board = serde_json::to_value(board).unwrap();
    let same = board.clone();
    let daemon = Daemon::new(move |_| answer(board.clone())).await;
    let said = daemon.told(folder.path(), "campaign status 1").await;
    assert!(said.out.contains("Осінь (campaign 1): running, predictive"), "{}", said.out);
    assert!(!said.out.contains('\x1b'), "no terminal, no escape sequences");
    let said = daemon.told(folder.path(), "campaign status 1 --json").await;
    assert_eq!(serde_json::from_str::<Value>(&said.out).unwrap(), same);
}

#[tokio::test]
async fn campaigns_are_listed_in_columns() {
    let folder = folder();
    let daemon = Daemon::new(|_| {
        answer(json!([{
            "id": 1, "name": "Осінь", "state": "running",
            "mode": { "kind": "power", "ratio_percent": 150 },
            "contacts": { "total": 10, "ready": 4, "waits": 3, "live": 2, "closed": 1 },
        }]))
    })
    .await;
    let said = daemon.told(folder.path(), "campaign status").await;
    let rows: Vec<Vec<&str>> =
        said.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[1], ["1", "Осінь", "running", "power", "10", "4", "3", "2", "1"]);
}

#[tokio::test]
async fn an_agents_link_is_made_whole_and_a_silent_trunk_is_exit_code_one() {
    let folder = folder();
    let daemon = Daemon::new(|seen| {
        if seen.target.ends_with("/check") {
            return answer(
                json!({ "alive": false, "status": null, "took_ms": 2000, "note": "no answer" }),
            );
        }
        answer(json!({ "id": 5, "link": "/link/abc" }))
    })
    .await;
    let said = daemon.told(folder.path(), "agent add --name Olena --phone sip:101@127.0.0.1").await;
    assert!(said.out.contains(&format!("http://{}/link/abc", daemon.addr)), "{}", said.out);
    let said = daemon.told(folder.path(), "trunk check 1").await;
    assert_eq!(said.code, 1);
    assert!(said.out.contains("trunk 1 does not answer after 2000 ms"), "{}", said.out);
}
