//! CRM events reach a CRM that fails, is slow, asks for time, refuses, dies and returns.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use campanile::adapters::crm::backoff::Schedule;
use campanile::adapters::crm::delivery::{DeliveryOptions, POSTS_MAX, run};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::receiver::{Receiver, Reply, reply};
use crate::world::{World, clock, until};

/// The standard's schedule in a hurry: three tries, 60 ms apart.
const QUICK: Schedule = Schedule { steps: &[Duration::from_millis(60), Duration::from_millis(60)] };

fn options() -> DeliveryOptions {
    DeliveryOptions {
        timeout: Duration::from_secs(2),
        allow_private_addresses: true,
        schedule: QUICK,
        poll: Duration::from_millis(10),
        drain: Duration::from_secs(5),
    }
}

struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

fn start(world: &World, options: DeliveryOptions) -> Running {
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(run(world.db.clone(), options, clock(), stopped));
    Running { stop, task }
}

impl Running {
    async fn end(self) {
        self.stop.send_replace(true);
        self.task.await.unwrap();
    }
}

/// Waits until the outbox is empty.
async fn emptied(world: &World) {
    until("the outbox is empty", async || world.db.outbox_counts().await.unwrap().waiting == 0)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_one_person_arrive_in_order_and_persons_do_not_wait_for_each_other() {
    let world = World::new().await;
    let crm = Receiver::new(|post| Reply {
        after: Duration::from_millis(((post.person * 7 + post.n * 3) % 20).unsigned_abs()),
        ..reply(200)
    })
    .await;
    let endpoint = world.endpoint(&crm.url()).await;
    for n in 0..8 {
        for person in 0..30 {
            world.event(endpoint, person, n).await;
        }
    }
    let running = start(&world, options());
    emptied(&world).await;
    running.end().await;
    crm.assert_clean();
    for person in 0..30 {
        assert_eq!(crm.taken_of(person), (0..8).collect::<Vec<_>>(), "person {person}");
    }
    assert!((2..=POSTS_MAX).contains(&crm.at_once()), "{} at once", crm.at_once());
    let counts = world.db.outbox_counts().await.unwrap();
    assert_eq!((counts.delivered, counts.dead), (240, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crm_that_fails_now_and_then_loses_nothing_and_keeps_the_order() {
    let world = World::new().await;
    let posts = AtomicU32::new(0);
    let crm = Receiver::new(move |_| {
        let fails = posts.fetch_add(1, Ordering::Relaxed).is_multiple_of(5);
        reply(if fails { 503 } else { 204 })
    })
    .await;
    let endpoint = world.endpoint(&crm.url()).await;
    for n in 0..5 {
        for person in 0..6 {
            world.event(endpoint, person, n).await;
        }
    }
    let running = start(&world, options());
    emptied(&world).await;
    running.end().await;
    crm.assert_clean();
    for person in 0..6 {
        assert_eq!(crm.taken_of(person), [0, 1, 2, 3, 4], "person {person}");
    }
    assert!(crm.received().len() > 30, "some were posted again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_while_the_crm_was_dead_arrives_when_it_returns() {
    let world = World::new().await;
    let gone = Receiver::new(|_| reply(200)).await;
    let (addr, url) = (gone.addr, gone.url());
    drop(gone);
    let endpoint = world.endpoint(&url).await;
    let mut sent = BTreeSet::new();
    for person in 0..5 {
        sent.insert(world.event(endpoint, person, 0).await.to_string());
    }
    let running = start(&world, options());
    until("a post has failed", async || {
        world.number("SELECT COUNT(*) FROM crm_outbox WHERE error IS NOT NULL").await > 0
    })
    .await;
    let crm = Receiver::at(addr, |_| reply(200)).await;
    emptied(&world).await;
    running.end().await;
    assert_eq!(crm.taken().into_iter().map(|post| post.id).collect::<BTreeSet<_>>(), sent);
    crm.assert_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_refused_holds_up_its_own_person_only_and_can_be_sent_again() {
    let world = World::new().await;
    let wants = Arc::new(AtomicU32::new(422));
    let status = Arc::clone(&wants);
    let crm = Receiver::new(move |post| {
        let is_bad = (post.person, post.n) == (1, 0);
        reply(if is_bad { u16::try_from(status.load(Ordering::Relaxed)).unwrap() } else { 200 })
    })
    .await;
    let endpoint = world.endpoint(&crm.url()).await;
    let bad = world.event(endpoint, 1, 0).await;
    world.event(endpoint, 1, 1).await;
    for n in 0..3 {
        world.event(endpoint, 2, n).await;
    }
    let running = start(&world, options());
    emptied(&world).await;
    let posts = crm.received();
    let bad_posts: Vec<_> = posts.iter().filter(|post| post.id == bad.to_string()).collect();
    assert_eq!(bad_posts.len(), 3, "the schedule's tries");
    let last_of_two = posts.iter().rposition(|post| post.person == 2).unwrap();
    let follower = posts.iter().position(|post| (post.person, post.n) == (1, 1)).unwrap();
    let last_bad = posts.iter().rposition(|post| post.id == bad.to_string()).unwrap();
    assert!(last_of_two < last_bad, "others did not wait");
    assert!(follower > last_bad, "its own person's next event waited");
    let letters = world.db.dead_letters(endpoint, None, 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert!(letters[0].why.contains("422"), "{}", letters[0].why);

    wants.store(200, Ordering::Relaxed);
    assert_eq!(world.db.redeliver(endpoint).await.unwrap(), 1);
    emptied(&world).await;
    running.end().await;
    assert_eq!(crm.taken().last().unwrap().id, bad.to_string());
    crm.assert_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gone_endpoint_is_switched_off_keeps_its_events_and_can_be_switched_on() {
    let world = World::new().await;
    let status = Arc::new(AtomicU32::new(410));
    let now = Arc::clone(&status);
    let crm =
        Receiver::new(move |_| reply(u16::try_from(now.load(Ordering::Relaxed)).unwrap())).await;
    let endpoint = world.endpoint(&crm.url()).await;
    for person in 0..40 {
        world.event(endpoint, person, 0).await;
    }
    let running = start(&world, options());
    until("the endpoint is off", async || !world.db.crm_endpoints().await.unwrap()[0].is_enabled)
        .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(crm.received().len() <= POSTS_MAX, "no more posts than were under way");
    assert_eq!(world.db.outbox_counts().await.unwrap().waiting, 40);

    status.store(200, Ordering::Relaxed);
    world.db.enable_endpoint(endpoint, "test", clock()()).await.unwrap();
    emptied(&world).await;
    running.end().await;
    assert_eq!(crm.taken().len(), 40);
    crm.assert_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retry_after_is_honoured() {
    let world = World::new().await;
    let posts = AtomicU32::new(0);
    let crm = Receiver::new(move |_| {
        if posts.fetch_add(1, Ordering::Relaxed) > 0 {
            return reply(200);
        }
        Reply { header: Some(("retry-after", "1".into())), ..reply(429) }
    })
    .await;
    let endpoint = world.endpoint(&crm.url()).await;
    world.event(endpoint, 1, 0).await;
    world.event(endpoint, 1, 1).await;
    let running = start(&world, options());
    emptied(&world).await;
    running.end().await;
    let posts = crm.received();
    let pause = posts[1].at - posts[0].at;
    assert!(pause >= Duration::from_millis(950), "{pause:?}");
    assert_eq!(crm.taken_of(1), [0, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_are_not_followed() {
    let world = World::new().await;
    let posts = AtomicU32::new(0);
    let crm = Receiver::new(move |_| {
        if posts.fetch_add(1, Ordering::Relaxed) > 0 {
            return reply(200);
        }
        Reply { header: Some(("location", "/elsewhere".into())), ..reply(307) }
    })
    .await;
    let endpoint = world.endpoint(&crm.url()).await;
    world.event(endpoint, 1, 0).await;
    let running = start(&world, options());
    emptied(&world).await;
    running.end().await;
    assert!(crm.received().iter().all(|post| post.path == "/hook"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crm_too_slow_to_answer_gets_the_event_again_with_the_same_id() {
    let world = World::new().await;
    let posts = AtomicU32::new(0);
    let crm = Receiver::new(move |_| {
        let is_first = posts.fetch_add(1, Ordering::Relaxed) == 0;
        Reply { after: Duration::from_secs(if is_first { 5 } else { 0 }), ..reply(200) }
    })
    .await;
    let endpoint = world.endpoint(&crm.url()).await;
    let event = world.event(endpoint, 1, 0).await.to_string();
    let running =
        start(&world, DeliveryOptions { timeout: Duration::from_millis(200), ..options() });
    emptied(&world).await;
    running.end().await;
    let ids: Vec<_> = crm.received().into_iter().map(|post| post.id).collect();
    assert_eq!(ids, [event.clone(), event]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_endpoint_does_not_hold_up_another() {
    let world = World::new().await;
    let slow = Receiver::new(|_| Reply { after: Duration::from_secs(1), ..reply(200) }).await;
    let quick = Receiver::new(|_| reply(200)).await;
    let (slow_id, quick_id) =
        (world.endpoint(&slow.url()).await, world.endpoint(&quick.url()).await);
    for person in 0..40 {
        world.event(slow_id, person, 0).await;
    }
    for person in 0..40 {
        world.event(quick_id, person, 0).await;
    }
    let running = start(&world, options());
    until("the quick one has all", async || quick.taken().len() == 40).await;
    assert!(slow.received().len() <= POSTS_MAX, "the slow one is still at its first posts");
    emptied(&world).await;
    running.end().await;
    assert_eq!(slow.taken().len(), 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_end_what_is_due_is_delivered_first_but_a_dead_crm_is_not_waited_for() {
    const PATIENT: Schedule = Schedule { steps: &[Duration::from_mins(5)] };
    let world = World::new().await;
    let crm = Receiver::new(|_| Reply { after: Duration::from_millis(20), ..reply(200) }).await;
    let dead = Receiver::new(|_| reply(200)).await;
    let dead_url = dead.url();
    drop(dead);
    let (alive, dead) = (world.endpoint(&crm.url()).await, world.endpoint(&dead_url).await);
    for person in 0..50 {
        world.event(alive, person, 0).await;
        world.event(dead, person, 0).await;
    }
    let running = start(&world, DeliveryOptions { schedule: PATIENT, ..options() });
    let begun = Instant::now();
    running.end().await;
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(crm.taken().len(), 50);
    assert_eq!(world.db.outbox_counts().await.unwrap().waiting, 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_address_is_not_posted_to_unless_allowed() {
    let world = World::new().await;
    let crm = Receiver::new(|_| reply(200)).await;
    let by_name = format!("http://localhost:{}/hook", crm.addr.port());
    for url in [crm.url(), by_name] {
        let endpoint = world.endpoint(&url).await;
        world.event(endpoint, 1, 0).await;
    }
    let running = start(&world, DeliveryOptions { allow_private_addresses: false, ..options() });
    until("both have failed", async || {
        world.number("SELECT COUNT(*) FROM crm_outbox WHERE error LIKE '%private%'").await == 2
    })
    .await;
    running.end().await;
    assert_eq!(crm.received().len(), 0);
}
