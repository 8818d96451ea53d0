//! The event stream: a snapshot first, then what changes, to those whom it concerns.

use std::sync::Arc;
use std::time::Duration;

use campanile::adapters::api::auth::Role;
use campanile::adapters::views::{AgentView, BoardView};
use futures_util::StreamExt as _;
use reqwest::{Method, Response};
use serde_json::Value;

use crate::world::{Caller, World, refused};

/// One event.
#[derive(Debug, Clone, PartialEq)]
struct Event {
    id: u64,
    name: String,
    data: Value,
}

/// Reads events off a response.
struct Stream {
    bytes: futures_util::stream::BoxStream<'static, reqwest::Result<Vec<u8>>>,
    text: String,
}

impl Stream {
    async fn open(caller: &Caller) -> Self {
        Self::of(caller.send(Method::GET, "/events", None).await)
    }

    fn of(answer: Response) -> Self {
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let bytes = answer.bytes_stream().map(|chunk| chunk.map(|bytes| bytes.to_vec())).boxed();
        Self { bytes, text: String::new() }
    }

    /// The next event; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(parse(&event));
            }
            let chunk = tokio::time::timeout(Duration::from_secs(10), self.bytes.next());
            let chunk = chunk.await.expect("an event within ten seconds")?.ok()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next event of this name.
    async fn named(&mut self, name: &str) -> Event {
        loop {
            let event = self.next().await.expect("the stream goes on");
            if event.name == name {
                return event;
            }
        }
    }
}

fn parse(text: &str) -> Event {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_default().trim_start().to_owned()
    };
    let data = serde_json::from_str(&field("data")).unwrap();
    Event { id: field("id").parse().unwrap(), name: field("event"), data }
}

fn publish_agent(world: &World, agent: i64, state: &str, version: u64) {
    let view = AgentView { agent, state: state.into(), version, ..AgentView::default() };
    world.publish(|live| {
        live.agents.insert(agent, Arc::new(view));
    });
}

fn publish_board(world: &World, campaign: i64, state: &str, ringing: u32) {
    let board = BoardView { campaign, state: state.into(), ringing, ..BoardView::default() };
    world.publish(|live| {
        live.boards.insert(campaign, Arc::new(board));
    });
}

#[tokio::test]
async fn an_agent_sees_their_own_page_and_nobody_elses() {
    let world = World::new().await;
    let (ivan, desk) = world.agent("Ivan").await;
    let (olena, _) = world.agent("Olena").await;
    let mut stream = Stream::open(&desk).await;
    let first = stream.next().await.unwrap();
    assert_eq!((first.name.as_str(), &first.data["state"]), ("agent", &"logged_out".into()));
    publish_agent(&world, olena.get(), "ready", 1);
    publish_board(&world, 1, "running", 3);
    publish_agent(&world, ivan.get(), "ready", 2);
    let second = stream.next().await.unwrap();
    assert_eq!((second.name.as_str(), &second.data["agent"]), ("agent", &ivan.get().into()));
    assert_eq!(second.data["state"], "ready");
    assert!(second.id > first.id);
}

#[tokio::test]
async fn a_manager_sees_summaries_then_boards_then_what_changes() {
    let world = World::new().await;
    publish_board(&world, 1, "created", 0);
    let manager = world.machine(Role::Manager).await;
    let mut stream = Stream::open(&manager).await;
    let first = stream.next().await.unwrap();
    assert_eq!((first.name.as_str(), &first.data), ("campaigns", &Value::Array(vec![])));
    assert_eq!(stream.next().await.unwrap().data["campaign"], 1);
    publish_board(&world, 1, "created", 7);
    assert_eq!(stream.named("board").await.data["ringing"], 7);
    // A change of state is worth new summaries.
    publish_board(&world, 1, "running", 7);
    stream.named("campaigns").await;
}

#[tokio::test]
async fn boards_come_at_most_four_times_a_second_and_the_last_one_comes() {
    let world = World::new().await;
    let manager = world.machine(Role::Manager).await;
    let mut stream = Stream::open(&manager).await;
    stream.named("campaigns").await;
    let began = tokio::time::Instant::now();
    for ringing in 1..=60 {
        publish_board(&world, 1, "running", ringing);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut boards = 0;
    loop {
        boards += 1;
        if stream.named("board").await.data["ringing"] == 60 {
            break;
        }
    }
    let quarters = began.elapsed().as_millis() / 250 + 1;
    assert!(boards <= quarters, "{boards} boards in {quarters} quarters of a second");
}

#[tokio::test]
async fn a_reconnect_gets_the_snapshot_again_under_greater_ids() {
    let world = World::new().await;
    let (ivan, desk) = world.agent("Ivan").await;
    publish_agent(&world, ivan.get(), "ready", 1);
    let first = Stream::open(&desk).await.next().await.unwrap();
    let last = first.id + 1_000_000;
    let request = desk.request(Method::GET, "/events").header("last-event-id", last.to_string());
    let again = Stream::of(request.send().await.unwrap()).next().await.unwrap();
    assert_eq!(again.data, first.data);
    assert!(again.id > last);
}

#[tokio::test]
async fn a_stream_ends_with_the_program() {
    let world = World::new().await;
    let manager = world.machine(Role::Manager).await;
    let mut stream = Stream::open(&manager).await;
    stream.named("campaigns").await;
    world.shutdown.send_replace(true);
    while stream.next().await.is_some() {}
}

#[tokio::test]
async fn nobody_sees_events_without_signing_in() {
    let world = World::new().await;
    let answer = world.nobody().send(Method::GET, "/events", None).await;
    assert_eq!(refused(answer).await.1, "not_signed_in");
}
