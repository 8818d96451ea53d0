//! The daemon is killed again and again while carrier, agents' phones and CRM live on; afterwards
//! every attempt is reconciled with what the far sides saw.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use campanile::adapters::store::attempts::AttemptRow;
use campanile::app::clock::Clock;
use campanile::app::demo::{DialerBooks, compare};
use campanile::domain::call_result::CallResult;
use campanile::domain::retry::RetryRules;
use campanile::lab::carrier_ledger::{CarrierLedger, CarrierRow, Ender};
use campanile::lab::crm_ledger::CrmLedger;
use campanile::lab::world::WorldLedger;
use campanile::simulation::dice::Dice;
use serde_json::json;
use sqlx::SqlitePool;
use uuid::Uuid;

use crate::support::{
    Campaign, Daemon, Lab, LabOptions, all_attempts, alone, set_up, settle, until,
};

/// Not shorter than this lie two calls to one number apart.
const GAP: Duration = Duration::from_secs(4);
/// What was up when the daemon was killed is over so long after its restart.
const OVER_WITHIN_MS: i64 = 40_000;
/// How long a seam of milliseconds is looked for.
const SEAM_WITHIN: Duration = Duration::from_secs(6);
/// Agents find the daemon, their phones answer, the first call is decided on.
const DIALS_WITHIN: Duration = Duration::from_secs(30);

/// When the daemon is killed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Moment {
    /// So long after it has begun to dial again.
    Dialling(Duration),
    /// When something has happened outside and the disk does not know it yet, or the reverse.
    Between(Seam),
    /// So long after its process began: in the middle of its recovery.
    Recovering(Duration),
}

/// One kill and the restart after it.
#[derive(Debug, Clone, Copy)]
struct Shot {
    moment: Moment,
    /// How long nothing runs.
    down: Duration,
    /// Whether the outside stands still until the next process is ready.
    frozen: bool,
}

/// Where disk and wire differ for a few milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Seam {
    /// The intent is on the disk, its INVITE is not on the wire.
    IntentAndInvite,
    /// The answer is acknowledged, and not on the disk.
    AckAndRecord,
    /// The call is over, and its result is not on the disk.
    EndAndResult,
}

/// A kill that was done.
struct Kill {
    /// In words, for the report.
    what: String,
    at_ms: i64,
    restarted_ms: i64,
}

/// What the database held of a call at the kill.
#[derive(sqlx::FromRow)]
struct InAir {
    attempt: Uuid,
    intent_ms: i64,
    answered_ms: Option<i64>,
    connected_ms: Option<i64>,
}

/// What an attempt counts for the abandon limit.
#[derive(sqlx::FromRow)]
struct Counts {
    attempt: Uuid,
    window_ms: Option<i64>,
    abandoned: bool,
    connected: bool,
    outside: bool,
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_kills_lose_no_attempt_and_leave_no_call_behind() {
    let seed = match std::env::var("CAMPANILE_TEST_SEED") {
        Ok(text) => text.parse().unwrap(),
        Err(_) => rand::random::<u32>().into(),
    };
    println!("CAMPANILE_TEST_SEED={seed}");
    let _alone = alone().await;
    let clock = Clock::start();
    let lab = Lab::start(LabOptions { contacts: 1_500, agents: 20, seed, speed: 30.0 });
    let mut daemon = Daemon::new("");
    daemon.start().await;
    let campaign = set_up(&daemon, &lab, settings()).await;
    lab.seat(&daemon, &campaign).await;

    let mut faults = Vec::new();
    let mut kills = Vec::new();
    for Shot { moment, down, frozen } in moments(seed) {
        let hit = wait_for(moment, &daemon, &lab, &clock, kills.last()).await;
        daemon.kill();
        let at_ms = clock.utc().as_ms();
        let in_air = left_in_air(&daemon, &campaign).await;
        if frozen {
            lab.freeze();
        }
        tokio::time::sleep(down).await;
        let restarted_ms = clock.utc().as_ms();
        daemon.spawn();
        let what = format!(
            "{moment:?}{}{}, {} calls in the air, down for {down:?}",
            if hit { "" } else { " (not met)" },
            if frozen { ", the outside frozen" } else { "" },
            in_air.len()
        );
        println!("killed at {at_ms}: {what}");
        kills.push(Kill { what, at_ms, restarted_ms });
        if frozen {
            daemon.ready().await;
            check_counts_until_shown(&daemon, &campaign, &in_air, &mut faults).await;
            lab.thaw();
        }
    }
    daemon.ready().await;
    settle(&daemon, &campaign, Duration::from_secs(60)).await;
    let waits = Duration::from_secs(45);
    until(waits, "the legs of dead processes end", async || {
        let sql = daemon.sql().await;
        let (left,): (i64,) = sqlx::query_as(
            "SELECT (SELECT COUNT(*) FROM attempt WHERE result = 'lost' AND orphan IS NULL) \
             + (SELECT COUNT(*) FROM live_call)",
        )
        .fetch_one(&sql)
        .await
        .unwrap();
        sql.close().await;
        (left == 0 && lab.live().await.calls == 0).then_some(())
    })
    .await;
    check_sums(&daemon, &campaign, &mut faults).await;
    daemon.terminate();
    let status = daemon.ended(Duration::from_secs(40)).await;
    assert!(status.success(), "{status}");
    assert_eq!(lab.live().await.legs, 0, "phones are still in calls");

    let ledger = lab.ledger().await;
    reconcile(&daemon, &campaign, &ledger, &mut faults).await;
    check_gaps(&ledger.carrier, &mut faults);
    check_ends(&kills, &ledger, &mut faults);
    let found = faults.len();
    faults.truncate(60);
    assert!(faults.is_empty(), "CAMPANILE_TEST_SEED={seed}: {found} faults\n{}", faults.join("\n"));
}

/// Two attempts a contact, tried again as soon as the gap lets.
fn settings() -> serde_json::Value {
    let mut retry = RetryRules::default();
    for after_s in retry.after_s.values_mut() {
        *after_s = 1;
    }
    json!({ "attempts_max": 2, "number_gap_s": GAP.as_secs(), "retry": retry })
}

/// Ten kills.
fn moments(seed: u64) -> Vec<Shot> {
    let mut dice = Dice::of(seed, &[1]);
    let mut some = |low: f64, high: f64| Duration::from_secs_f64(dice.between(low, high));
    let at_once = |moment| Shot { moment, down: Duration::ZERO, frozen: false };
    let frozen = |moment| Shot { moment, down: Duration::ZERO, frozen: true };
    let mut moments = vec![
        at_once(Moment::Dialling(some(1.0, 4.0))),
        frozen(Moment::Dialling(some(2.0, 4.0))),
        // Those who ring answer meanwhile, those who talk give up.
        Shot { down: some(1.0, 3.0), ..at_once(Moment::Dialling(some(3.0, 6.0))) },
        Shot { down: some(0.0, 1.0), ..at_once(Moment::Dialling(some(4.0, 8.0))) },
        at_once(Moment::Between(Seam::IntentAndInvite)),
        frozen(Moment::Between(Seam::IntentAndInvite)),
        at_once(Moment::Between(Seam::AckAndRecord)),
        Shot { down: some(0.0, 2.0), ..at_once(Moment::Between(Seam::EndAndResult)) },
        at_once(Moment::Recovering(some(0.0, 0.3))),
        at_once(Moment::Recovering(some(0.1, 1.5))),
    ];
    // All but the first at a place of chance: before the first kill there is nothing to recover.
    for at in (2..moments.len()).rev() {
        moments.swap(at, 1 + dice.below(at));
    }
    moments
}

/// Waits for the moment; whether it was what was looked for.
async fn wait_for(
    moment: Moment,
    daemon: &Daemon,
    lab: &Lab,
    clock: &Clock,
    last: Option<&Kill>,
) -> bool {
    let began = last.map_or(0, |kill| kill.restarted_ms);
    match moment {
        Moment::Recovering(wait) => {
            let passed = Duration::from_millis((clock.utc().as_ms() - began).unsigned_abs());
            tokio::time::sleep(wait.saturating_sub(passed)).await;
            true
        }
        Moment::Dialling(wait) => {
            fresh_intent(daemon, began).await;
            tokio::time::sleep(wait).await;
            true
        }
        Moment::Between(seam) => {
            fresh_intent(daemon, began).await;
            stop_in(seam, daemon, lab, began).await
        }
    }
}

/// Waits until the newest process has written an intent.
async fn fresh_intent(daemon: &Daemon, began: i64) {
    until(DIALS_WITHIN, "the campaign dials", async || {
        // A process that was killed at once may have left no tables.
        let sql = daemon.try_sql().await?;
        let newest: Result<(Option<i64>,), _> =
            sqlx::query_as("SELECT MAX(intent_ms) FROM live_call").fetch_one(&sql).await;
        sql.close().await;
        newest.ok()?.0.filter(|newest| *newest > began)
    })
    .await;
}

/// Stops the process again and again until disk and wire differ in the way that is looked for; it is
/// then killed where it stands. Gives up after a while.
async fn stop_in(seam: Seam, daemon: &Daemon, lab: &Lab, began: i64) -> bool {
    let deadline = tokio::time::Instant::now() + SEAM_WITHIN;
    let sql = daemon.try_sql().await.unwrap();
    loop {
        daemon.freeze();
        let calls: Vec<InAir> =
            sqlx::query_as("SELECT attempt, intent_ms, answered_ms, connected_ms FROM live_call")
                .fetch_all(&sql)
                .await
                .unwrap();
        let carrier = lab.ledger().await.carrier;
        let differs = calls.iter().filter(|call| call.intent_ms > began).any(|call| {
            let row = carrier.rows.get(&format!("{}@campanile", call.attempt));
            match seam {
                Seam::IntentAndInvite => row.is_none(),
                Seam::AckAndRecord => row.is_some_and(|row| {
                    let answered = row.answered_ms.is_some() && row.acknowledged;
                    answered && row.ended_ms.is_none() && call.answered_ms.is_none()
                }),
                Seam::EndAndResult => row.is_some_and(|row| {
                    row.ended_ms.is_some() && row.acknowledged && !row.cancelled
                }),
            }
        });
        if differs || tokio::time::Instant::now() > deadline {
            // Not closed: the last to close would tidy up what the restart has to.
            std::mem::forget(sql);
            return differs;
        }
        daemon.thaw();
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

/// The calls that the database holds after the kill, read from a copy of its files: nothing is
/// recovered or tidied up in place of the next process.
async fn left_in_air(daemon: &Daemon, campaign: &Campaign) -> Vec<InAir> {
    let copy = tempfile::tempdir().unwrap();
    for name in ["campanile.db", "campanile.db-wal"] {
        let from = daemon.data_dir().join(name);
        if from.exists() {
            std::fs::copy(from, copy.path().join(name)).unwrap();
        }
    }
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(copy.path().join("campanile.db"))
        .create_if_missing(true);
    let sql = SqlitePool::connect_with(options).await.unwrap();
    // A process that was killed at once may have left no tables.
    let found = sqlx::query_as(
        "SELECT attempt, intent_ms, answered_ms, connected_ms FROM live_call WHERE campaign = $1",
    )
    .bind(campaign.id)
    .fetch_all(&sql)
    .await
    .unwrap();
    sql.close().await;
    found
}

/// While the far side says nothing, each lost call counts as answered and, unless an agent had it,
/// as abandoned outside the promise: on the disk and on the manager's page.
async fn check_counts_until_shown(
    daemon: &Daemon,
    campaign: &Campaign,
    in_air: &[InAir],
    faults: &mut Vec<String>,
) {
    let sql = daemon.sql().await;
    let counts = counts(&sql, campaign).await;
    for call in in_air {
        let Some(row) = counts.get(&call.attempt) else {
            faults.push(format!("attempt {}: in the air at the kill, and not lost", call.attempt));
            continue;
        };
        let connected = call.connected_ms.is_some();
        let right = row.window_ms.is_some()
            && row.connected == connected
            && row.abandoned != connected
            && row.outside != connected;
        if !right {
            faults.push(format!("attempt {}: does not count until shown", call.attempt));
        }
    }
    let sums: (i64, i64) = sqlx::query_as(
        "SELECT SUM(live_answers), SUM(abandoned) FROM abandon_tally WHERE campaign = $1",
    )
    .bind(campaign.id)
    .fetch_one(&sql)
    .await
    .unwrap();
    sql.close().await;
    check_sums(daemon, campaign, faults).await;
    let api = daemon.api();
    let seen = until(Duration::from_secs(10), "the board is there", async || {
        let path = format!("/campaigns/{}/board", campaign.id);
        let board: campanile::adapters::views::BoardView = api.get(&path).await.ok()?;
        (board.abandon.window_end_ms > 0).then_some(board.abandon)
    })
    .await;
    if (i64::from(seen.answered), i64::from(seen.abandoned)) != sums {
        faults.push(format!(
            "the page counts {} answered and {} abandoned, the disk {sums:?}",
            seen.answered, seen.abandoned
        ));
    }
}

async fn counts(sql: &SqlitePool, campaign: &Campaign) -> BTreeMap<Uuid, Counts> {
    let rows: Vec<Counts> = sqlx::query_as(
        "SELECT attempt, window_ms, abandoned, connected, outside FROM attempt WHERE campaign = $1",
    )
    .bind(campaign.id)
    .fetch_all(sql)
    .await
    .unwrap();
    rows.into_iter().map(|row| (row.attempt, row)).collect()
}

/// The tally of each window is the sum of its attempts, at every moment: one statement sees one
/// moment.
async fn check_sums(daemon: &Daemon, campaign: &Campaign, faults: &mut Vec<String>) {
    const SQL: &str = "SELECT t.window_ms, \
        t.live_answers, t.abandoned, t.connected, t.outside, \
        COUNT(a.attempt), COALESCE(SUM(a.abandoned), 0), COALESCE(SUM(a.connected), 0), \
        COALESCE(SUM(a.outside), 0) \
        FROM abandon_tally t LEFT JOIN attempt a \
        ON a.campaign = t.campaign AND a.window_ms = t.window_ms \
        WHERE t.campaign = $1 GROUP BY t.window_ms";
    type Row = (i64, i64, i64, i64, i64, i64, i64, i64, i64);
    let sql = daemon.sql().await;
    let rows: Vec<Row> = sqlx::query_as(SQL).bind(campaign.id).fetch_all(&sql).await.unwrap();
    sql.close().await;
    for (window, live, abandoned, connected, outside, a, b, c, d) in rows {
        let (tally, sum) = ((live, abandoned, connected, outside), (a, b, c, d));
        if tally != sum {
            faults.push(format!("window {window}: the tally is {tally:?}, its attempts {sum:?}"));
        }
    }
}

/// Attempt by attempt: what is not lost agrees with carrier and CRM in everything, what is lost falls
/// into one of the few ways in which a call can be lost.
async fn reconcile(
    daemon: &Daemon,
    campaign: &Campaign,
    ledger: &WorldLedger,
    faults: &mut Vec<String>,
) {
    let db = daemon.db().await;
    let attempts = all_attempts(&db, campaign).await;
    let outbox = db.outbox_counts().await.unwrap();
    db.close().await;
    let sql = daemon.sql().await;
    let counts = counts(&sql, campaign).await;
    let stuck: (i64,) =
        sqlx::query_as("SELECT COUNT(*) FROM stuck_record").fetch_one(&sql).await.unwrap();
    sql.close().await;
    if stuck.0 > 0 {
        faults.push(format!("{} facts could not be written", stuck.0));
    }
    let (lost, settled): (Vec<_>, Vec<_>) =
        attempts.into_iter().partition(|row| row.result == CallResult::Lost.row().code);
    let (mut carrier, mut crm) = (ledger.carrier.clone(), ledger.crm.clone());
    let mut ways: BTreeMap<&str, u32> = BTreeMap::new();
    for row in &lost {
        let call = carrier.rows.remove(&format!("{}@campanile", row.attempt));
        match way_of_loss(row, call.as_ref()) {
            Ok(way) => *ways.entry(way).or_default() += 1,
            Err(why) => faults.push(format!("lost attempt {}: {why}\n  {call:?}", row.attempt)),
        }
        let answered = call.as_ref().is_some_and(|call| call.answered_ms.is_some());
        let count = &counts[&row.attempt.as_uuid()];
        if answered && count.window_ms.is_none() {
            faults.push(format!("lost attempt {}: answered and does not count", row.attempt));
        }
        check_crm(row, &mut crm, faults);
    }
    let books =
        DialerBooks { attempts: &settled, posted: outbox.posted, delivered: outbox.delivered };
    let compared = compare(&books, &carrier, &crm);
    faults.extend(compared.mismatches);
    if lost.len() < 10 {
        faults.push(format!("only {} attempts were lost: the kills prove nothing", lost.len()));
    }
    check_desks(&settled, ledger, faults);
    println!(
        "{} attempts, {} lost {ways:?}, {} second calls",
        settled.len() + lost.len(),
        lost.len(),
        ledger.carrier.rows.values().filter(|row| row.nth > 1).count()
    );
}

/// How a call was lost, told by the carrier's row; what we found out must fit it.
fn way_of_loss(row: &AttemptRow, call: Option<&CarrierRow>) -> Result<&'static str, String> {
    let found = row.orphan.as_deref().ok_or("nobody found out what became of it")?;
    let Some(call) = call else {
        return match found {
            "never_sent" => Ok("never sent"),
            _ => Err(format!("the carrier knows none, and we found {found}")),
        };
    };
    if call.doubled_invites > 0 {
        return Err(format!("{} INVITEs too many", call.doubled_invites));
    }
    if call.ended_ms.is_none() {
        return Err("it is still up".to_owned());
    }
    let fits = |ways: &[&str], way| match ways.contains(&found) {
        true => Ok(way),
        false => Err(format!("{way}, and we found {found}")),
    };
    if call.answered_ms.is_none() {
        return match (call.cancelled, call.final_status) {
            // Where the process that cancelled was killed before it had written so, the next one finds
            // only that it is over.
            (true, Some(487)) => {
                fits(&["not_answered", "ended_by_them"], "cancelled by us while it rang")
            }
            // Refused before the kill or while nobody was there.
            (false, Some(300..)) => {
                fits(&["not_answered", "never_sent", "ended_by_them"], "refused by them")
            }
            (_, status) => Err(format!("unanswered, and its final status is {status:?}")),
        };
    }
    match call.ended_by {
        Some(Ender::Caller) => fits(&["ended_by_us"], "ended by us"),
        Some(Ender::Both) => fits(&["ended_by_us", "ended_by_them"], "ended by both"),
        Some(Ender::Callee) => fits(&["ended_by_them"], "ended by them"),
        Some(Ender::Carrier) if call.ack_missing => {
            fits(&["ended_by_them", "silent"], "ended by the missing-ACK timer")
        }
        by => Err(format!("answered, and ended by {by:?}")),
    }
}

/// One `campanile.call.ended` with the result `lost`; a record that had popped up stays so.
fn check_crm(row: &AttemptRow, crm: &mut CrmLedger, faults: &mut Vec<String>) {
    let Some(told) = crm.rows.remove(&row.attempt.to_string()) else {
        faults.push(format!("lost attempt {}: the CRM was not told", row.attempt));
        return;
    };
    let ours = (Some(row.result.as_str()), row.connected_ms.is_some(), row.disposition.as_ref());
    let theirs = (told.result.as_deref(), told.screenpop, told.disposition.as_ref());
    if ours != theirs {
        faults.push(format!("lost attempt {}: {ours:?} here, {theirs:?} there", row.attempt));
    }
}

/// What the API accepted from an agent is kept.
fn check_desks(settled: &[AttemptRow], ledger: &WorldLedger, faults: &mut Vec<String>) {
    let ours: BTreeMap<String, &AttemptRow> =
        settled.iter().map(|row| (row.attempt.to_string(), row)).collect();
    for (attempt, desk) in ledger.desks.rows.iter().filter(|(_, desk)| desk.accepted) {
        let kept = ours.get(attempt).and_then(|row| row.disposition.clone());
        if kept != desk.disposition {
            faults.push(format!(
                "attempt {attempt}: {:?} was accepted from the agent, {kept:?} is kept",
                desk.disposition
            ));
        }
    }
}

/// No two INVITEs to one number within the gap, by the carrier's clock.
fn check_gaps(carrier: &CarrierLedger, faults: &mut Vec<String>) {
    let mut calls: BTreeMap<_, Vec<i64>> = BTreeMap::new();
    for row in carrier.rows.values() {
        calls.entry(row.number.unwrap()).or_default().push(row.invited_ms);
    }
    let gap_ms = i64::try_from(GAP.as_millis()).unwrap();
    for (number, mut times) in calls {
        times.sort_unstable();
        for pair in times.windows(2) {
            let between = pair[1] - pair[0];
            if between < gap_ms {
                faults.push(format!("{number}: called twice within {between} ms"));
            }
        }
    }
    if carrier.doubled_invites > 0 {
        faults.push(format!("{} doubled INVITEs", carrier.doubled_invites));
    }
}

/// What was up at a kill is over soon after the restart, calls and agents' legs.
fn check_ends(kills: &[Kill], ledger: &WorldLedger, faults: &mut Vec<String>) {
    let calls = ledger.carrier.rows.iter().map(|(id, row)| (id, row.invited_ms, row.ended_ms));
    let legs = ledger.phones.rows.iter().map(|(id, row)| (id, row.answered_ms, row.ended_ms));
    let mut late = BTreeSet::new();
    for (id, began, ended) in calls.chain(legs) {
        for kill in kills.iter().filter(|kill| began < kill.at_ms) {
            if ended.is_none_or(|ended| ended > kill.restarted_ms + OVER_WITHIN_MS) {
                let what = &kill.what;
                late.insert(format!("{id}: began {began}, ended {ended:?}, after {what}"));
            }
        }
    }
    faults.extend(late);
}
