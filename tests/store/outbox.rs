//! CRM events: at least once, in order per person, and one bad receiver holds up nobody else.

use std::time::Duration;

use campanile::adapters::crm::payload::{CALL_ENDED, DISPOSITION, SCREEN_POP};
use campanile::adapters::store::Db;
use campanile::adapters::store::crm_outbox::{OutboxHead, OutboxId};
use campanile::domain::attempt::{Intent, Record};
use campanile::domain::call_result::CallResult;
use campanile::domain::disposition::NextAction;
use campanile::domain::ids::{AgentId, CampaignId};
use campanile::domain::retry::ContactNext;

use crate::world::{
    Place, Run, at, campaign, disposition, each_db, end, endpoint, event_id, intent, people, ready,
    run,
};

const LEASE: Duration = Duration::from_secs(30);

/// Makes the three events of a call that was connected, as attempt `n`.
async fn call(run: &mut Run, db: &Db, campaign: CampaignId, n: u32) -> Intent {
    let record = ready(db, campaign, 0).await[0];
    let intent = intent(campaign, &record, n, 0);
    run.intend(intent).await;
    let (key, agent) = (intent.key, AgentId::new(1));
    run.record(Record::Connected { key, agent, at: at(10), event: event_id(n) }).await;
    let closed = ContactNext::Closed;
    run.record(Record::Ended(Box::new(end(&intent, CallResult::Connected, closed)))).await;
    let said = disposition(&intent, NextAction::Close, closed, 2_000);
    run.record(Record::Disposition(said)).await;
    intent
}

/// A database with `n` persons, three events each.
async fn posted(place: &Place, n: u32, events: &[&str]) -> CampaignId {
    let campaign = campaign(&place.db, &people(n)).await;
    endpoint(&place.db, events).await;
    let mut run = run(&place.db, 0).await;
    for n in 1..=n {
        call(&mut run, &place.db, campaign, n).await;
    }
    campaign
}

async fn claim(db: &Db, ms: i64) -> Vec<OutboxHead> {
    db.claim_heads(at(ms), LEASE, 100).await.unwrap()
}

fn ids(heads: &[OutboxHead]) -> Vec<OutboxId> {
    heads.iter().map(|head| head.id).collect()
}

#[tokio::test]
async fn of_each_person_only_the_first_event_is_given_and_the_next_when_it_is_delivered() {
    for place in each_db().await {
        let db = &place.db;
        let campaign = posted(&place, 3, &[]).await;
        for kind in [SCREEN_POP, CALL_ENDED, DISPOSITION] {
            let heads = claim(db, 0).await;
            assert_eq!(heads.len(), 3, "{}", place.name);
            assert!(heads.iter().all(|head| head.kind == kind), "{}: {heads:?}", place.name);
            assert_eq!(claim(db, 0).await, [], "{}: they are on their way", place.name);
            db.delivered(&ids(&heads)).await.unwrap();
            db.delivered(&ids(&heads)).await.unwrap();
        }
        let counts = db.outbox_counts().await.unwrap();
        assert_eq!((counts.posted, counts.delivered, counts.waiting), (9, 9, 0), "{}", place.name);
        let ledger = db.ledger(campaign).await.unwrap();
        assert_eq!((ledger.crm_events.posted, ledger.crm_events.delivered), (9, 9));
        assert_eq!(db.outbox_next().await.unwrap(), None, "{}", place.name);
    }
}

#[tokio::test]
async fn an_event_has_the_same_id_at_every_delivery() {
    for place in each_db().await {
        let db = &place.db;
        posted(&place, 1, &[]).await;
        let first = claim(db, 0).await;
        let again = claim(db, 30_000).await;
        assert_eq!(again.len(), 1, "{}: the lease of who died is over", place.name);
        assert_eq!((first[0].event, &first[0].body), (again[0].event, &again[0].body));
        assert_eq!((first[0].tries, again[0].tries), (1, 2), "{}", place.name);
        assert_eq!(first[0].event, event_id(1));
        db.begin_epoch("main", at(30_001)).await.unwrap();
        assert_eq!(claim(db, 30_001).await.len(), 1, "{}: a new run begins at once", place.name);
    }
}

#[tokio::test]
async fn an_event_that_fails_holds_up_its_own_person_only() {
    for place in each_db().await {
        let db = &place.db;
        posted(&place, 2, &[]).await;
        let heads = claim(db, 0).await;
        db.failed(heads[0].id, at(60_000), "timeout").await.unwrap();
        db.delivered(&[heads[1].id]).await.unwrap();
        let next = claim(db, 1).await;
        assert_eq!(next.len(), 1, "{}", place.name);
        assert_eq!(next[0].kind, CALL_ENDED);
        db.delivered(&ids(&next)).await.unwrap();
        let last = claim(db, 2).await;
        db.delivered(&ids(&last)).await.unwrap();
        assert_eq!(claim(db, 59_999).await, [], "{}", place.name);
        assert_eq!(db.outbox_next().await.unwrap(), Some(at(60_000)), "{}", place.name);
        assert_eq!(ids(&claim(db, 60_000).await), [heads[0].id], "{}", place.name);
    }
}

#[tokio::test]
async fn a_dead_letter_lets_its_person_go_on_and_goes_first_when_sent_again() {
    for place in each_db().await {
        let db = &place.db;
        posted(&place, 1, &[]).await;
        let endpoint = db.crm_endpoints().await.unwrap()[0].id;
        let head = claim(db, 0).await.remove(0);
        db.dead_letter(head.id, "422", at(5)).await.unwrap();
        let letters = db.dead_letters(endpoint, None, 10).await.unwrap();
        assert_eq!((letters.len(), letters[0].why.as_str()), (1, "422"), "{}", place.name);
        assert_eq!(letters[0].event, head.event.to_string());
        let counts = db.outbox_counts().await.unwrap();
        assert_eq!((counts.posted, counts.waiting, counts.dead), (3, 2, 1), "{}", place.name);
        assert_eq!(claim(db, 6).await[0].kind, CALL_ENDED, "{}", place.name);
        assert_eq!(db.redeliver(endpoint).await.unwrap(), 1);
        let again = claim(db, 7).await;
        assert_eq!((again.len(), again[0].event), (1, head.event), "{}", place.name);
        assert_eq!(db.outbox_counts().await.unwrap().dead, 0, "{}", place.name);
    }
}

#[tokio::test]
async fn an_endpoint_in_back_off_or_switched_off_gives_nothing_and_loses_nothing() {
    for place in each_db().await {
        let db = &place.db;
        posted(&place, 2, &[]).await;
        let endpoint = db.crm_endpoints().await.unwrap()[0].id;
        db.endpoint_backoff(endpoint, at(10_000)).await.unwrap();
        assert_eq!(claim(db, 9_999).await, [], "{}", place.name);
        assert_eq!(db.outbox_next().await.unwrap(), Some(at(10_000)), "{}", place.name);
        db.disable_endpoint(endpoint, "410 Gone", "program", at(0)).await.unwrap();
        assert_eq!(claim(db, 20_000).await, [], "{}", place.name);
        let row = db.crm_endpoints().await.unwrap().remove(0);
        assert_eq!((row.is_enabled, row.disabled_why.as_deref()), (false, Some("410 Gone")));
        db.enable_endpoint(endpoint, "test", at(0)).await.unwrap();
        assert_eq!(claim(db, 20_000).await.len(), 2, "{}", place.name);
        assert_eq!(db.outbox_counts().await.unwrap().waiting, 6, "{}", place.name);
    }
}

#[tokio::test]
async fn an_endpoint_gets_the_types_it_asked_for() {
    for place in each_db().await {
        let db = &place.db;
        posted(&place, 2, &[CALL_ENDED]).await;
        let heads = claim(db, 0).await;
        assert_eq!(heads.len(), 2, "{}", place.name);
        assert!(heads.iter().all(|head| head.kind == CALL_ENDED), "{}", place.name);
        assert_eq!(db.outbox_counts().await.unwrap().posted, 2, "{}", place.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliverers_working_at_once_never_share_an_event_nor_pass_a_person_by() {
    for place in each_db().await {
        let db = &place.db;
        posted(&place, 40, &[]).await;
        let mut deliverers = tokio::task::JoinSet::new();
        for _ in 0..4 {
            deliverers.spawn(deliver_all(db.clone()));
        }
        let mut delivered = deliverers.join_all().await.concat();
        delivered.sort_unstable();
        assert_eq!(delivered.len(), 120, "{}", place.name);
        delivered.dedup();
        assert_eq!(delivered.len(), 120, "{}", place.name);
    }
}

/// Claims and acknowledges until nothing is left.
async fn deliver_all(db: Db) -> Vec<OutboxId> {
    let mut mine = vec![];
    while db.outbox_counts().await.unwrap().waiting > 0 {
        let heads = db.claim_heads(at(0), LEASE, 5).await.unwrap();
        db.delivered(&ids(&heads)).await.unwrap();
        mine.extend(ids(&heads));
    }
    mine
}
