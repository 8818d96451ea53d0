//! A CRM that takes posts, checks what the standards ask for, and answers as a test tells it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::world::SECRET;

/// One post as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) id: String,
    pub(crate) person: i64,
    pub(crate) n: i64,
    pub(crate) path: String,
    pub(crate) at: Instant,
    /// The status that it was answered with.
    pub(crate) status: u16,
}

/// What a test answers.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) header: Option<(&'static str, String)>,
    pub(crate) after: Duration,
}

pub(crate) fn reply(status: u16) -> Reply {
    Reply { status, header: None, after: Duration::ZERO }
}

type Answers = dyn Fn(&Received) -> Reply + Send + Sync;

#[derive(Default)]
struct Seen {
    received: Vec<Received>,
    open: BTreeMap<i64, u32>,
    /// Posts under way at once, the most there were.
    at_once: usize,
    faults: Vec<String>,
}

/// The receiver; dropped, it stops listening.
pub(crate) struct Receiver {
    pub(crate) addr: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    server: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Receiver {
    pub(crate) async fn new(answers: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), answers).await
    }

    pub(crate) async fn at(
        addr: SocketAddr,
        answers: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(addr).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (shared, answers): (_, Arc<Answers>) = (Arc::clone(&seen), Arc::new(answers));
        let app = Router::new().fallback(move |uri: Uri, headers: HeaderMap, body: Bytes| {
            take(Arc::clone(&shared), Arc::clone(&answers), uri, headers, body)
        });
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { addr, seen, server }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.addr)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.seen.lock().unwrap().received.clone()
    }

    /// Posts answered with success.
    pub(crate) fn taken(&self) -> Vec<Received> {
        self.received().into_iter().filter(|post| post.status < 300).collect()
    }

    pub(crate) fn at_once(&self) -> usize {
        self.seen.lock().unwrap().at_once
    }

    /// Everything was signed and well formed, and never two posts of one person were under way.
    pub(crate) fn assert_clean(&self) {
        let seen = self.seen.lock().unwrap();
        assert!(seen.faults.is_empty(), "{:?}", seen.faults);
    }

    /// The numbers of a person's events in the order in which they were taken.
    pub(crate) fn taken_of(&self, person: i64) -> Vec<i64> {
        self.taken().iter().filter(|post| post.person == person).map(|post| post.n).collect()
    }
}

async fn take(
    seen: Arc<Mutex<Seen>>,
    answers: Arc<Answers>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let event: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut post = Received {
        id: event["id"].as_str().unwrap_or_default().to_owned(),
        person: event["data"]["person"].as_i64().unwrap_or_default(),
        n: event["data"]["n"].as_i64().unwrap_or_default(),
        path: uri.path().to_owned(),
        at: Instant::now(),
        status: 0,
    };
    let reply = answers(&post);
    post.status = reply.status;
    let person = post.person;
    {
        let mut seen = seen.lock().unwrap();
        if let Err(fault) = check(&headers, &body, &post) {
            seen.faults.push(fault);
        }
        *seen.open.entry(person).or_default() += 1;
        if seen.open[&person] > 1 {
            seen.faults.push(format!("two posts of person {person} at once"));
        }
        seen.at_once = seen.at_once.max(seen.open.values().map(|n| *n as usize).sum());
        seen.received.push(post);
    }
    // Counted down also when the sender gives up and this future is dropped.
    let _open = Open(Arc::clone(&seen), person);
    tokio::time::sleep(reply.after).await;
    let status = StatusCode::from_u16(reply.status).unwrap();
    match reply.header {
        Some((name, value)) => (status, [(name, value)]).into_response(),
        None => status.into_response(),
    }
}

struct Open(Arc<Mutex<Seen>>, i64);

impl Drop for Open {
    fn drop(&mut self) {
        *self.0.lock().unwrap().open.entry(self.1).or_default() -= 1;
    }
}

/// Checks the headers as Standard Webhooks 1.0 and CloudEvents 1.0 have them, from their texts.
fn check(headers: &HeaderMap, body: &[u8], post: &Received) -> Result<(), String> {
    let header = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.map(str::to_owned).ok_or(format!("no {name}"))
    };
    if header("content-type")? != "application/cloudevents+json" {
        return Err("content type".into());
    }
    let (id, timestamp) = (header("webhook-id")?, header("webhook-timestamp")?);
    if id != post.id {
        return Err(format!("webhook-id {id} is not the event's {}", post.id));
    }
    let key = STANDARD.decode(SECRET.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    let signature = header("webhook-signature")?;
    let tag = signature.strip_prefix("v1,").and_then(|tag| STANDARD.decode(tag).ok());
    let tag = tag.ok_or_else(|| format!("signature {signature}"))?;
    mac.verify_slice(&tag).map_err(|_| "wrong signature".to_owned())
}
