//! A result and everything that follows from it: all at once, and once.

use std::time::Duration;

use campanile::adapters::store::ready_queue::CALLBACK_PRIORITY;
use campanile::adapters::store::writer::{Write, Written};
use campanile::domain::abandon::Tally;
use campanile::domain::attempt::{EndedBy, Evidence, Intent, IntentRefusal, Record};
use campanile::domain::call_result::{CallResult, NetworkEnd};
use campanile::domain::campaign::CampaignState;
use campanile::domain::disposition::NextAction;
use campanile::domain::ids::{AgentId, CampaignId, PersonId};
use campanile::domain::retry::ContactNext;

use crate::world::{
    Run, START, at, campaign, count, disposition, each_db, end, endpoint, event_id, intent, people,
    ready, run, window,
};

const CLOSED: ContactNext = ContactNext::Closed;

/// Attempt `n` of the campaign's next record, intended.
async fn dial(
    run: &mut Run,
    db: &campanile::adapters::store::Db,
    campaign: CampaignId,
    n: u32,
    ms: i64,
) -> Intent {
    let record = ready(db, campaign, ms).await[0];
    let intent = intent(campaign, &record, n, ms);
    let answer = run.intend(intent).await;
    assert!(matches!(answer, Written::Intended { .. }), "{answer:?}");
    intent
}

#[tokio::test]
async fn an_end_writes_history_contact_counters_tally_and_event_together_and_once() {
    for place in each_db().await {
        let db = &place.db;
        let campaign = campaign(db, &people(1)).await;
        endpoint(db, &[]).await;
        let mut run = run(db, 0).await;
        let intent = dial(&mut run, db, campaign, 1, 0).await;
        run.record(Record::Answered { key: intent.key, at: at(500) }).await;
        let agent = AgentId::new(7);
        let connected =
            Record::Connected { key: intent.key, agent, at: at(900), event: event_id(1) };
        run.record(connected.clone()).await;
        let mut end = end(&intent, CallResult::Connected, CLOSED);
        end.times.answered = Some(at(500));
        end.times.connected = Some(at(900));
        end.evidence = Evidence { ended_by: Some(EndedBy::Customer), ..Evidence::default() };
        end.agent = Some(agent);
        end.count = Some(count(false));
        let ended = Record::Ended(Box::new(end));
        for again in [ended.clone(), connected, ended] {
            run.record(again).await;
        }
        let ledger = db.ledger(campaign).await.unwrap();
        assert_eq!(ledger.attempts.total, 1, "{}", place.name);
        assert_eq!(ledger.attempts.by_result["connected"], 1);
        assert_eq!((ledger.dialled, ledger.answers, ledger.connects), (1, 1, 1));
        assert_eq!(ledger.sip_finals[&200], 1);
        assert_eq!(ledger.hung_up["customer"], 1);
        assert_eq!(ledger.abandoned, 0);
        assert_eq!(ledger.crm_events.posted, 2, "{}: screen pop and end", place.name);
        let tally = db.tally(campaign, window()).await.unwrap();
        assert_eq!(tally.tally, Tally { live_answers: 1, abandoned: 0, connected: 1 });
        let counts = db.contact_counts(campaign).await.unwrap();
        assert_eq!((counts.closed, counts.live), (1, 0), "{}", place.name);
        assert_eq!(db.counters(campaign).await.unwrap()["result.connected"], 1);
        assert_eq!(place.number("SELECT COUNT(*) FROM live_call").await, 0, "{}", place.name);
        let rows = db.attempts_page(campaign, None, 10).await.unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].attempt, intent.key.attempt);
        assert_eq!((rows[0].result.as_str(), rows[0].agent), ("connected", Some(7)));
        assert_eq!(db.attempts_page(campaign, Some(rows[0].attempt), 10).await.unwrap(), []);
        assert_eq!(run.writer.status().borrow().late, 2, "{}", place.name);
    }
}

#[tokio::test]
async fn a_busy_contact_comes_back_when_its_retry_is_due_with_its_attempt_counted() {
    for place in each_db().await {
        let db = &place.db;
        let campaign = campaign(db, &people(1)).await;
        let mut run = run(db, 0).await;
        let intent = dial(&mut run, db, campaign, 1, 0).await;
        let next = ContactNext::Waits { due_at: at(900_000) };
        let mut end = end(&intent, CallResult::Busy, next);
        end.evidence.network = Some(NetworkEnd {
            status: Some(486),
            // A carrier may say anything: NUL is no sign that PostgreSQL can hold.
            phrase: "Busy\0Here".into(),
            q850: Some(17),
            ..NetworkEnd::default()
        });
        run.record(Record::Ended(Box::new(end))).await;
        assert_eq!(ready(db, campaign, 899_999).await, [], "{}", place.name);
        let back = ready(db, campaign, 900_000).await;
        assert_eq!((back.len(), back[0].attempts), (1, 1), "{}", place.name);
        let row = &db.attempts_page(campaign, None, 10).await.unwrap()[0];
        assert_eq!((row.status, row.q850), (Some(486), Some(17)), "{}", place.name);
    }
}

#[tokio::test]
async fn a_result_that_is_no_attempt_does_not_count_as_one() {
    for place in each_db().await {
        let db = &place.db;
        let campaign = campaign(db, &people(1)).await;
        let mut run = run(db, 0).await;
        let intent = dial(&mut run, db, campaign, 1, 0).await;
        let next = ContactNext::Waits { due_at: at(0) };
        run.record(Record::Ended(Box::new(end(&intent, CallResult::NotDialled, next)))).await;
        assert_eq!(ready(db, campaign, 1).await[0].attempts, 0, "{}", place.name);
    }
}

#[tokio::test]
async fn a_skipped_preview_leaves_the_queue_without_a_call() {
    for place in each_db().await {
        let db = &place.db;
        let campaign = campaign(db, &people(2)).await;
        let run = run(db, 0).await;
        let records = ready(db, campaign, 0).await;
        let closed = end(&intent(campaign, &records[0], 1, 0), CallResult::AgentClosed, CLOSED);
        let waits = ContactNext::Waits { due_at: at(600_000) };
        let later = end(&intent(campaign, &records[1], 2, 0), CallResult::AgentSkipped, waits);
        for record in [closed, later.clone(), later] {
            run.record(Record::Skipped(Box::new(record))).await;
        }
        let counts = db.contact_counts(campaign).await.unwrap();
        assert_eq!((counts.ready, counts.waits, counts.closed), (0, 1, 1), "{}", place.name);
        assert_eq!(db.ledger(campaign).await.unwrap().attempts.total, 2, "{}", place.name);
    }
}

#[tokio::test]
async fn a_promised_call_goes_before_every_record_of_the_list() {
    for place in each_db().await {
        let db = &place.db;
        let campaign = campaign(db, &people(3)).await;
        let mut run = run(db, 0).await;
        let intent = dial(&mut run, db, campaign, 1, 0).await;
        run.record(Record::Ended(Box::new(end(&intent, CallResult::Connected, CLOSED)))).await;
        let due = at(3_600_000);
        let next = NextAction::Callback { at: due };
        let contact = ContactNext::Waits { due_at: due };
        let said = Record::Disposition(disposition(&intent, next, contact, 5_000));
        run.record(said.clone()).await;
        run.record(said).await;
        assert_eq!(ready(db, campaign, 3_599_999).await.len(), 2, "{}", place.name);
        let (due, _) = db.ready_records(campaign, Some((0, 2)), 10, at(3_600_000)).await.unwrap();
        assert_eq!(due[0].contact, intent.key.contact, "{}: past the cursor too", place.name);
        assert_eq!(due[0].priority, CALLBACK_PRIORITY, "{}", place.name);
        let row = &db.attempts_page(campaign, None, 10).await.unwrap()[0];
        assert_eq!(row.disposition.as_deref(), Some("said"));
        assert_eq!(row.disposition_next.as_deref(), Some("callback"), "{}", place.name);
    }
}

#[tokio::test]
async fn an_agents_do_not_call_forbids_the_number_to_every_campaign() {
    for place in each_db().await {
        let db = &place.db;
        let first = campaign(db, &people(1)).await;
        let second = campaign(db, &people(1)).await;
        let mut run = run(db, 0).await;
        let intent = dial(&mut run, db, first, 1, 0).await;
        run.record(Record::Ended(Box::new(end(&intent, CallResult::Connected, CLOSED)))).await;
        let said = disposition(&intent, NextAction::DoNotCall, CLOSED, 5_000);
        run.record(Record::Disposition(said)).await;
        let record = ready(db, second, 0).await[0];
        let answer = run.intend(self::intent(second, &record, 2, 90_000)).await;
        let Written::IntentRefused { why, .. } = answer else { panic!("{}: dialled", place.name) };
        assert_eq!(why, IntentRefusal::DoNotCall, "{}", place.name);
    }
}

#[tokio::test]
async fn a_late_disposition_does_not_move_a_contact_that_is_being_called_again() {
    for place in each_db().await {
        let db = &place.db;
        let campaign = campaign(db, &people(1)).await;
        let mut run = run(db, 0).await;
        let first = dial(&mut run, db, campaign, 1, 0).await;
        let next = ContactNext::Waits { due_at: at(62_000) };
        run.record(Record::Ended(Box::new(end(&first, CallResult::DroppedWhileRinging, next))))
            .await;
        let second = dial(&mut run, db, campaign, 2, 62_000).await;
        let said = disposition(&first, NextAction::Retry, next, 63_000);
        run.record(Record::Disposition(said)).await;
        assert_eq!(db.contact_counts(campaign).await.unwrap().live, 1, "{}", place.name);
        run.record(Record::Ended(Box::new(end(&second, CallResult::Connected, CLOSED)))).await;
        let counts = db.contact_counts(campaign).await.unwrap();
        assert_eq!((counts.live, counts.waits, counts.closed), (0, 0, 1), "{}", place.name);
    }
}

#[tokio::test]
async fn a_contact_whose_list_was_taken_away_in_mid_call_is_not_tried_again() {
    for place in each_db().await {
        let db = &place.db;
        let campaign = campaign(db, &people(1)).await;
        let mut run = run(db, 0).await;
        let intent = dial(&mut run, db, campaign, 1, 0).await;
        db.set_campaign_lists(campaign, &[], "test", START).await.unwrap();
        let next = ContactNext::Waits { due_at: at(900_000) };
        run.record(Record::Ended(Box::new(end(&intent, CallResult::Busy, next)))).await;
        let counts = db.contact_counts(campaign).await.unwrap();
        assert_eq!((counts.waits, counts.closed), (0, 1), "{}", place.name);
    }
}

#[tokio::test]
async fn a_finished_campaign_says_so_in_the_database() {
    for place in each_db().await {
        let db = &place.db;
        let campaign = campaign(db, &people(1)).await;
        let run = run(db, 0).await;
        run.record(Record::CampaignFinished { campaign, at: at(1) }).await;
        let state = db.campaign(campaign).await.unwrap().unwrap().state;
        assert_eq!(state, CampaignState::Finished, "{}", place.name);
    }
}

#[tokio::test]
async fn while_the_database_fails_facts_are_kept_and_intents_refused() {
    for place in each_db().await {
        let db = &place.db;
        let campaign = campaign(db, &people(3)).await;
        let mut run = run(db, 0).await;
        let first = dial(&mut run, db, campaign, 1, 0).await;
        place.shell("ALTER TABLE attempt RENAME TO attempt_away").await;
        let ended = Record::Ended(Box::new(end(&first, CallResult::Busy, CLOSED)));
        run.send(Write::Record(ended, None));
        let mut status = run.writer.status();
        let down = status.wait_for(|status| status.is_down);
        tokio::time::timeout(Duration::from_secs(20), down).await.unwrap().unwrap();
        let record = ready(db, campaign, 0).await[0];
        let answer = run.intend(intent(campaign, &record, 2, 0)).await;
        let Written::IntentRefused { why, .. } = answer else { panic!("{}: let be", place.name) };
        assert_eq!(why, IntentRefusal::StoreFailed, "{}", place.name);
        assert_eq!(ready(db, campaign, 0).await[0], record, "{}: where it was", place.name);
        place.shell("ALTER TABLE attempt_away RENAME TO attempt").await;
        assert!(run.writer.flush().await);
        assert_eq!(db.ledger(campaign).await.unwrap().attempts.total, 1, "{}", place.name);
        dial(&mut run, db, campaign, 3, 0).await;
    }
}

#[tokio::test]
async fn a_fact_that_can_never_be_written_is_put_aside_and_its_neighbours_pass() {
    for place in each_db().await {
        let db = &place.db;
        let campaign = campaign(db, &people(2)).await;
        let mut run = run(db, 0).await;
        let good = dial(&mut run, db, campaign, 1, 0).await;
        let mut bad = dial(&mut run, db, campaign, 2, 0).await;
        bad.key.person = PersonId::new(99);
        for intent in [bad, good] {
            let ended = Record::Ended(Box::new(end(&intent, CallResult::Busy, CLOSED)));
            run.send(Write::Record(ended, None));
        }
        assert!(run.writer.flush().await);
        assert_eq!(db.ledger(campaign).await.unwrap().attempts.total, 1, "{}", place.name);
        assert_eq!(place.number("SELECT COUNT(*) FROM stuck_record").await, 1, "{}", place.name);
        assert_eq!(run.writer.status().borrow().stuck, 1, "{}", place.name);
    }
}
