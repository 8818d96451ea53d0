//! After a crash nothing is dialled twice and nothing is forgotten.

use std::time::Duration;

use campanile::adapters::store::recovery::{AgentLeg, OrphanEnd, lost_end};
use campanile::adapters::store::writer::{Write, Written, writer};
use campanile::domain::abandon::Tally;
use campanile::domain::attempt::Record;
use campanile::domain::call_result::CallResult;
use campanile::domain::ids::{AgentId, LegId, TrunkId};
use campanile::domain::retry::ContactNext;

use crate::world::{
    at, attempt_id, campaign, campaign_settings, each_db, end, endpoint, event_id, intent, people,
    ready, run, window,
};

/// The program dies between the commit and its answer: the driver never learns that its intent
/// stands. The next run finds it, and the record is not dialled by itself.
#[tokio::test]
async fn an_intent_that_was_durable_but_never_answered_is_found_by_the_next_run() {
    for place in each_db().await {
        let db = &place.db;
        let campaign = campaign(db, &people(2)).await;
        let epoch = db.begin_epoch("main", at(0)).await.unwrap();
        let (handle, task, answers) = writer(db.clone(), epoch, "test".into());
        let task = tokio::spawn(task.run());
        let record = ready(db, campaign, 0).await[0];
        handle
            .send(Write::Intent(intent(campaign, &record, 1, 0), "10.0.0.1:5060".into()))
            .unwrap();
        // Nobody takes the answer; the writer is ended as soon as the row can be seen.
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while place.number("SELECT COUNT(*) FROM live_call").await == 0 {
            assert!(tokio::time::Instant::now() < deadline, "{}", place.name);
        }
        task.abort();
        drop(answers);
        let next = db.begin_epoch("renamed", at(1_000)).await.unwrap();
        let lost = db.lost_calls(&next).await.unwrap();
        assert_eq!(lost.len(), 1, "{}", place.name);
        assert_eq!(lost[0].intent, intent(campaign, &record, 1, 0), "{}", place.name);
        let settings = campaign_settings(TrunkId::new(1));
        let ends = [lost_end(&lost[0], &settings, at(1_000), event_id(1))];
        db.write_lost(&ends, "test").await.unwrap();
        let legs = db.lost_legs().await.unwrap();
        assert_eq!(legs.len(), 1, "{}", place.name);
        assert_eq!(legs[0].sip_local, "10.0.0.1:5060");
        assert_eq!(legs[0].number.to_string(), "+12120000000");
        assert_eq!((legs[0].dialog.as_deref(), legs[0].answered), (None, false));
        assert!(!ready(db, campaign, 1_000).await.contains(&record), "{}", place.name);
    }
}

/// The program dies in the midst of a transaction: nothing of it is there.
#[tokio::test]
async fn a_writer_ended_at_any_moment_leaves_each_record_in_exactly_one_place() {
    for place in each_db().await {
        let db = &place.db;
        let campaign = campaign(db, &people(200)).await;
        for round in 0..8u32 {
            let run = run(db, i64::from(round)).await;
            for (n, record) in (round * 1_000..).zip(ready(db, campaign, 0).await.iter().take(20)) {
                run.send(Write::Intent(intent(campaign, record, n, 0), "local".into()));
            }
            for _ in 0..round * 3 {
                tokio::task::yield_now().await;
            }
            run.task.abort();
            let _ = run.task.await;
            let counts = db.contact_counts(campaign).await.unwrap();
            let queued = place.number("SELECT COUNT(*) FROM dial_ready").await as u64;
            let live = place.number("SELECT COUNT(*) FROM live_call").await as u64;
            assert_eq!((counts.ready, counts.live), (queued, live), "{}", place.name);
            assert_eq!(queued + live, 200, "{}", place.name);
        }
    }
}

#[tokio::test]
async fn lost_calls_count_against_us_until_it_is_shown_that_nobody_answered() {
    for place in each_db().await {
        let db = &place.db;
        let campaign = campaign(db, &people(4)).await;
        endpoint(db, &[]).await;
        let mut dead = run(db, 0).await;
        let mut intents = vec![];
        for (n, record) in (1..).zip(ready(db, campaign, 0).await) {
            let intent = intent(campaign, &record, n, 0);
            assert!(matches!(dead.intend(intent).await, Written::Intended { .. }));
            intents.push(intent);
        }
        // 1 was dialled, 2 too, 3 answered, 4 in talk with an agent.
        for (n, dialog) in [(2, Some("{\"to_tag\":\"x\"}".to_owned())), (3, None)] {
            let answered = Record::Answered { key: intents[n].key, at: at(700) };
            dead.send(Write::Record(answered, dialog));
        }
        let (agent, event) = (AgentId::new(5), event_id(9));
        dead.record(Record::Connected { key: intents[3].key, agent, at: at(800), event }).await;
        let next = run(db, 10_000).await;
        let lost = db.lost_calls(&next.epoch).await.unwrap();
        assert_eq!((lost[2].answered, lost[2].connected), (Some(at(700)), None));
        assert_eq!((lost[3].connected, lost[3].intent.agent), (Some(at(800)), Some(agent)));
        let settings = campaign_settings(TrunkId::new(1));
        let ends: Vec<_> = (100..)
            .zip(&lost)
            .map(|(n, call)| lost_end(call, &settings, at(10_000), event_id(n)))
            .collect();
        assert_eq!(db.write_lost(&ends, "test").await.unwrap(), 4, "{}", place.name);
        assert_eq!(db.write_lost(&ends, "test").await.unwrap(), 0, "{}: once", place.name);
        let tally = db.tally(campaign, window()).await.unwrap();
        assert_eq!(tally.tally, Tally { live_answers: 4, abandoned: 3, connected: 1 });
        assert_eq!(tally.outside, 3, "{}", place.name);
        let legs = db.lost_legs().await.unwrap();
        assert_eq!(legs.len(), 4, "{}: all are still to be ended", place.name);
        assert_eq!(legs[2].dialog.as_deref(), Some("{\"to_tag\":\"x\"}"), "{}", place.name);
        assert_eq!((legs[2].answered, legs[2].window_start), (true, window()));
        let found = [
            (1, OrphanEnd::NeverSent),
            (1, OrphanEnd::NotAnswered),
            (2, OrphanEnd::Silent),
            (3, OrphanEnd::NotAnswered),
        ];
        for (n, how) in found {
            next.send(Write::OrphanEnded { campaign, attempt: attempt_id(n), how });
        }
        assert!(next.writer.flush().await);
        let legs = db.lost_legs().await.unwrap();
        assert_eq!(legs.len(), 1, "{}: nobody has seen the fourth end", place.name);
        assert_eq!(legs[0].attempt, attempt_id(4), "{}", place.name);
        let tally = db.tally(campaign, window()).await.unwrap();
        assert_eq!(
            tally.tally,
            Tally { live_answers: 3, abandoned: 2, connected: 1 },
            "{}: only the one that was never sent; an answer that was written stands",
            place.name
        );
        let ledger = db.ledger(campaign).await.unwrap();
        assert_eq!((ledger.attempts.by_result["lost"], ledger.abandoned), (4, 2));
        assert_eq!(ledger.crm_events.posted, 5, "{}: four ends, one screen pop", place.name);
        let rows = db.attempts_page(campaign, None, 10).await.unwrap();
        assert_eq!(rows[0].orphan.as_deref(), Some("never_sent"), "{}", place.name);
        let counts = db.contact_counts(campaign).await.unwrap();
        assert_eq!((counts.waits, counts.live), (4, 0), "{}: the retry rule decides", place.name);
        assert_eq!(ready(db, campaign, 3_610_000).await[0].attempts, 1, "{}", place.name);
    }
}

#[tokio::test]
async fn the_results_of_a_woken_run_are_refused_and_counted() {
    for place in each_db().await {
        let db = &place.db;
        let campaign = campaign(db, &people(1)).await;
        let mut asleep = run(db, 0).await;
        let record = ready(db, campaign, 0).await[0];
        let intent = intent(campaign, &record, 1, 0);
        asleep.intend(intent).await;
        let awake = run(db, 5_000).await;
        let lost = db.lost_calls(&awake.epoch).await.unwrap();
        let settings = campaign_settings(TrunkId::new(1));
        let ends = [lost_end(&lost[0], &settings, at(5_000), event_id(1))];
        db.write_lost(&ends, "test").await.unwrap();
        let late = end(&intent, CallResult::Connected, ContactNext::Closed);
        asleep.record(Record::Ended(Box::new(late))).await;
        let ledger = db.ledger(campaign).await.unwrap();
        assert_eq!(
            ledger.attempts.by_result.keys().collect::<Vec<_>>(),
            ["lost"],
            "{}",
            place.name
        );
        assert_eq!(asleep.writer.status().borrow().late, 1, "{}", place.name);
    }
}

#[tokio::test]
async fn agents_legs_of_an_earlier_run_are_found_unless_they_ended() {
    for place in each_db().await {
        let db = &place.db;
        let dead = run(db, 0).await;
        let leg = |n: u128| LegId::from_uuid(uuid::Uuid::from_u128(n));
        for n in [1, 2] {
            let (agent, dialog) = (AgentId::new(4), format!("{{\"n\":{n}}}"));
            dead.send(Write::AgentLeg(AgentLeg { leg: leg(n), agent, dialog }));
        }
        dead.send(Write::AgentLegGone(leg(1)));
        assert!(dead.writer.flush().await);
        let next = run(db, 1).await;
        let legs = db.agent_legs(&next.epoch).await.unwrap();
        let expected = AgentLeg { leg: leg(2), agent: AgentId::new(4), dialog: "{\"n\":2}".into() };
        assert_eq!(legs, [expected], "{}", place.name);
        assert_eq!(db.agent_legs(&dead.epoch).await.unwrap(), [], "{}", place.name);
    }
}

#[tokio::test]
async fn a_run_knows_the_latest_time_that_an_earlier_one_saw() {
    for place in each_db().await {
        let db = &place.db;
        let first = db.begin_epoch("main", at(0)).await.unwrap();
        assert_eq!(first.seen_until, None, "{}", place.name);
        db.mark_time("main", at(70_000)).await.unwrap();
        db.mark_time("main", at(60_000)).await.unwrap();
        let second = db.begin_epoch("main", at(-5_000)).await.unwrap();
        assert_eq!(second.seen_until, Some(at(70_000)), "{}", place.name);
    }
}
