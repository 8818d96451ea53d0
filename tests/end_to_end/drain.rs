//! SIGTERM lets talks end and nothing new begin; a second one ends the talks.

use std::time::Duration;

use campanile::adapters::store::attempts::AttemptRow;
use campanile::app::clock::Clock;
use campanile::app::demo::{DialerBooks, compare};
use campanile::lab::world::WorldLedger;
use serde_json::json;

use crate::support::{
    Campaign, Daemon, Lab, LabOptions, all_attempts, alone, board, set_up, until,
};

/// What may still have been on its way when the signal was sent.
const LATE_MS: i64 = 1_000;

/// Lets a campaign dial until some people talk.
async fn talking(lab: &Lab, calls: u32) -> (Daemon, Campaign) {
    let mut daemon = Daemon::new("");
    daemon.start().await;
    let campaign = set_up(&daemon, lab, json!({})).await;
    lab.seat(&daemon, &campaign).await;
    let api = daemon.api();
    until(Duration::from_secs(40), "people talk", async || {
        (board(&api, &campaign).await.talking >= calls).then_some(())
    })
    .await;
    (daemon, campaign)
}

/// After the end all books say the same, and no event waits.
async fn books(daemon: &Daemon, campaign: &Campaign, lab: &Lab) -> (Vec<AttemptRow>, WorldLedger) {
    let ledger = lab.ledger().await;
    let db = daemon.db().await;
    let attempts = all_attempts(&db, campaign).await;
    let outbox = db.outbox_counts().await.unwrap();
    db.close().await;
    assert_eq!(outbox.waiting, 0, "events were flushed");
    let books =
        DialerBooks { attempts: &attempts, posted: outbox.posted, delivered: outbox.delivered };
    assert_eq!(compare(&books, &ledger.carrier, &ledger.crm).mismatches, Vec::<String>::new());
    let live = lab.live().await;
    assert_eq!((live.calls, live.legs), (0, 0), "nothing is left in the air");
    (attempts, ledger)
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_begins_no_call_lets_talks_end_and_flushes_events() {
    let _alone = alone().await;
    let lab = Lab::start(LabOptions { contacts: 300, agents: 8, seed: 11, speed: 20.0 });
    let (mut daemon, campaign) = talking(&lab, 3).await;
    let at = Clock::start().utc();
    daemon.terminate();
    let status = daemon.ended(Duration::from_secs(60)).await;
    assert!(status.success(), "{status}:\n{}", daemon.log());

    let (attempts, ledger) = books(&daemon, &campaign, &lab).await;
    let late = ledger.carrier.rows.values().filter(|row| row.invited_ms > at.as_ms() + LATE_MS);
    assert_eq!(late.count(), 0, "no new calls");
    let in_talk: Vec<&AttemptRow> = attempts
        .iter()
        .filter(|row| row.connected_ms.is_some_and(|connected| connected <= at.as_ms()))
        .filter(|row| row.ended_ms.is_some_and(|ended| ended > at.as_ms()))
        .collect();
    assert!(in_talk.len() >= 2, "people talked when it was told to stop");
    for row in in_talk {
        let by = row.ended_by.as_deref();
        assert!(matches!(by, Some("customer" | "agent" | "both")), "a talk was ended by {by:?}");
    }
    for row in attempts.iter().filter(|row| row.connected_ms.is_some()) {
        assert!(row.disposition.is_some(), "{}: its agent could say what it meant", row.attempt);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_sigterm_ends_the_talks() {
    let _alone = alone().await;
    // Talks of half a minute: they do not end by themselves in time.
    let lab = Lab::start(LabOptions { contacts: 200, agents: 8, seed: 12, speed: 3.0 });
    let (mut daemon, campaign) = talking(&lab, 3).await;
    daemon.terminate();
    let api = daemon.api();
    until(Duration::from_secs(20), "only talks are left", async || {
        let board = board(&api, &campaign).await;
        (board.pacing == "draining" && board.ringing == 0).then_some(())
    })
    .await;
    let talks = board(&api, &campaign).await.talking;
    assert!(talks > 0, "the first signal lets talks go on");
    daemon.terminate();
    let status = daemon.ended(Duration::from_secs(10)).await;
    assert!(status.success(), "{status}:\n{}", daemon.log());
    let (attempts, _) = books(&daemon, &campaign, &lab).await;
    let cut = attempts
        .iter()
        .filter(|row| row.connected_ms.is_some() && row.ended_by.as_deref() == Some("dialer"));
    assert!(cut.count() > 0, "the second ends them");
}
