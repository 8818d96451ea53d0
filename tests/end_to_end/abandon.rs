//! Agents stop taking calls while calls that rely on them ring: the people who answer hear the
//! message, and every ledger that can see an abandon counts the same ones.

use std::collections::BTreeSet;
use std::time::Duration;

use campanile::adapters::store::attempts::AttemptRow;
use campanile::app::client::Client;
use campanile::app::demo::{DialerBooks, compare};
use campanile::domain::abandon::AbandonLimit;
use campanile::lab::carrier_ledger::{CarrierRow, Heard};
use campanile::lab::world::WorldLedger;
use serde_json::json;

use crate::support::{
    Campaign, Daemon, Lab, LabOptions, all_attempts, board, set_up, settle, until,
};

const AGENTS: u32 = 80;
/// 10 %: generous, so that more calls ring than agents are ready, and still soon exceeded.
const LIMIT_PPM: u32 = 100_000;
/// Answers before the agents stop for the first time.
const ANSWERS_FIRST: u32 = 35;
/// Abandons that are wanted with the whole message heard.
const WANTED: usize = 20;
/// The agents stop so often at most.
const ROUNDS_MAX: u32 = 6;
/// How long any one thing may take.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn agents_who_stop_leave_abandons_that_every_ledger_counts_alike() {
    let lab = Lab::start(LabOptions { contacts: 2_000, agents: AGENTS, seed: 5, speed: 4.0 });
    let mut daemon = Daemon::new("");
    daemon.start().await;
    let first_day = chrono::NaiveDate::from_ymd_opt(2026, 1, 1).unwrap();
    let limit = AbandonLimit {
        limit_ppm: LIMIT_PPM,
        ..AbandonLimit::us(chrono_tz::Tz::America__New_York, first_day)
    };
    let settings = json!({
        "mode": { "kind": "power", "ratio_percent": 200 },
        "abandon_limit": limit,
    });
    let campaign = set_up(&daemon, &lab, settings).await;
    lab.seat(&daemon, &campaign).await;
    let api = daemon.api();
    until(PATIENCE, "answers to build on", async || {
        let abandon = board(&api, &campaign).await.abandon;
        (abandon.answered >= ANSWERS_FIRST).then_some(())
    })
    .await;

    let began = tokio::time::Instant::now();
    let mut rounds = 0;
    while heard_whole(&lab.ledger().await) < WANTED {
        assert!(rounds < ROUNDS_MAX, "{rounds} rounds: {:?}", board(&api, &campaign).await.abandon);
        stop_while_calls_ring(&api, &lab, &campaign, if rounds == 0 { 20 } else { 45 }).await;
        rounds += 1;
        let heard = heard_whole(&lab.ledger().await);
        println!("round {rounds} after {:?}: {heard} heard the message", began.elapsed());
    }
    settle(&daemon, &campaign, PATIENCE).await;
    println!("at rest after {:?}", began.elapsed());
    check(&daemon, &lab, &campaign).await;
    daemon.terminate();
    assert!(daemon.ended(PATIENCE).await.success(), "{}", daemon.log());
}

/// Once so many calls ring every phone hangs up and loses its power; back when all of it is over.
async fn stop_while_calls_ring(api: &Client, lab: &Lab, campaign: &Campaign, ringing: u32) {
    until(PATIENCE, "calls ring", async || {
        (board(api, campaign).await.ringing >= ringing).then_some(())
    })
    .await;
    // A phone that only lost its power would be relied upon until its silence is noticed; one that
    // hangs up first is gone at once, and without power it does not answer when it is called again.
    for phone in 1..=AGENTS {
        lab.order(&format!("/agents/{phone}/hangup"), &json!({})).await;
    }
    lab.order("/agents/stop?how=vanish", &json!({})).await;
    until(PATIENCE, "nobody rings, waits or listens", async || {
        board(api, campaign).await.calls.is_empty().then_some(())
    })
    .await;
    lab.order("/agents/go", &json!({})).await;
}

/// Callees who heard the message from the first note to the last.
fn heard_whole(world: &WorldLedger) -> usize {
    world.carrier.rows.values().filter(|row| row.heard == Some(Heard::Message)).count()
}

async fn check(daemon: &Daemon, lab: &Lab, campaign: &Campaign) {
    let api = daemon.api();
    let world = lab.ledger().await;
    let abandon = board(&api, campaign).await.abandon;
    let db = daemon.db().await;
    let attempts = all_attempts(&db, campaign).await;
    let counts = db.outbox_counts().await.unwrap();
    db.close().await;

    // Everything, call by call, as the demo compares it.
    let books =
        DialerBooks { attempts: &attempts, posted: counts.posted, delivered: counts.delivered };
    let mismatches = compare(&books, &world.carrier, &world.crm).mismatches;
    assert_eq!(mismatches, Vec::<String>::new());

    // The abandons, each by each.
    let [mut ours, mut theirs, mut told, mut early] = [const { BTreeSet::<String>::new() }; 4];
    for row in &attempts {
        let attempt = row.attempt.to_string();
        let call = &world.carrier.rows[&format!("{attempt}@campanile")];
        let is_theirs = check_attempt(row, call);
        if row.abandoned {
            ours.insert(attempt.clone());
        }
        if is_theirs {
            theirs.insert(attempt.clone());
        }
        let result = world.crm.rows[&attempt].result.as_deref();
        if matches!(result, Some("abandoned_to_message" | "abandoned")) {
            told.insert(attempt.clone());
        }
        if row.result == "customer_hung_up" {
            early.insert(attempt);
        }
    }
    assert!(heard_whole(&world) >= WANTED);
    assert_eq!(ours, theirs, "the dialer's abandons and the carrier's");
    assert_eq!(ours, told, "the dialer's abandons and the CRM's");
    assert!(!early.is_empty(), "nobody hung up in the first two seconds: nothing is shown");
    assert!(early.is_disjoint(&ours));

    // The rate: the board's, and the same from what carrier and CRM counted.
    let count = |n: usize| u32::try_from(n).unwrap();
    assert_eq!(abandon.abandoned, count(ours.len()));
    assert_eq!(u64::from(abandon.answered), world.carrier.answers);
    let results = &world.crm.results;
    let told = |code: &str| results.get(code).copied().unwrap_or(0);
    let abandoned = told("abandoned_to_message") + told("abandoned");
    let answered = abandoned + told("connected") + told("customer_hung_up");
    let ppm = |above: u64, below: u64| u32::try_from(above * 1_000_000 / below).unwrap();
    assert_eq!(abandon.rate_ppm, ppm(abandoned, answered));
    assert_eq!(abandon.rate_ppm, ppm(theirs.len() as u64, world.carrier.answers));

    println!("{abandon:?}; {} hung up before two seconds", early.len());

    // Agents vanished and calls relied on them: their abandons have their cause outside the promise,
    // and what is left is within the limit.
    let within = abandon.abandoned - abandon.outside;
    assert!(abandon.rate_ppm > LIMIT_PPM, "{abandon:?}");
    assert!(abandon.outside >= 1, "{abandon:?}");
    assert!(within * 1_000_000 <= LIMIT_PPM * abandon.answered, "{abandon:?}");
    let outside: i64 =
        sqlx::query_scalar("SELECT count(*) FROM attempt WHERE outside AND abandoned")
            .fetch_one(&daemon.sql().await)
            .await
            .unwrap();
    assert_eq!(i64::from(abandon.outside), outside);
}

/// One attempt against its call; whether the carrier saw an abandon.
fn check_attempt(row: &AttemptRow, call: &CarrierRow) -> bool {
    let after_answer = || row.ended_ms.unwrap() - row.answered_ms.unwrap();
    let by_callee = matches!(row.ended_by.as_deref(), Some("customer" | "both"));
    match row.result.as_str() {
        "abandoned_to_message" => {
            assert!(row.abandoned && row.connected_ms.is_none(), "{row:?}");
            assert!(after_answer() >= 2_000, "{row:?}");
            match call.heard {
                Some(Heard::Message) => {}
                // Some left before it was over, or in the instant of its first note.
                Some(Heard::PartOfMessage) => assert!(by_callee, "{row:?} {call:?}"),
                _ => assert!(by_callee && stayed_ms(call) >= 1_900, "{row:?} {call:?}"),
            }
            assert_ne!(call.heard, Some(Heard::Agent), "{row:?}");
            true
        }
        "customer_hung_up" => {
            assert!(!row.abandoned && by_callee, "{row:?}");
            assert!(after_answer() <= 2_100, "they could have heard the message: {row:?}");
            assert_eq!(call.heard, Some(Heard::Silence), "{row:?}");
            false
        }
        // The answer crossed our CANCEL: somebody picked up and nobody was there.
        "abandoned" => {
            assert!(row.abandoned && call.cancelled_too_late, "{row:?} {call:?}");
            true
        }
        _ => {
            assert!(!row.abandoned, "{row:?}");
            assert!(!matches!(call.heard, Some(Heard::Message | Heard::PartOfMessage)), "{call:?}");
            false
        }
    }
}

/// From answer to end, by the carrier's clock.
fn stayed_ms(call: &CarrierRow) -> i64 {
    call.ended_ms.unwrap() - call.answered_ms.unwrap()
}
