//! What may be dialled: at most once, never a number that must not be, never too soon.

use campanile::adapters::store::dnc::{DncScope, NewDnc};
use campanile::adapters::store::leases::Epoch;
use campanile::adapters::store::writer::{Write, Written};
use campanile::domain::attempt::{Intent, IntentRefusal};
use campanile::domain::call_result::CallResult;
use campanile::domain::ids::CampaignId;
use campanile::domain::phone::E164;
use campanile::domain::retry::ContactNext;
use campanile::engine::input::Rest;

use crate::world::{
    START, at, attempt_id, campaign, campaign_settings, each_db, end, intent, list, people, person,
    ready, run, trunk_settings, writer_of,
};

fn why(answer: &Written) -> Option<IntentRefusal> {
    match answer {
        Written::Intended { .. } => None,
        Written::IntentRefused { why, .. } => Some(*why),
    }
}

#[tokio::test]
async fn an_intent_takes_its_record_out_of_the_queue_and_says_whom_to_dial() {
    for place in each_db().await {
        let db = &place.db;
        let campaign = campaign(db, &people(2)).await;
        let mut run = run(db, 0).await;
        let records = ready(db, campaign, 0).await;
        let Written::Intended { attempt, target } =
            run.intend(intent(campaign, &records[0], 1, 0)).await
        else {
            panic!("{}: refused", place.name)
        };
        assert_eq!(attempt, attempt_id(1));
        assert_eq!(target.number.to_string(), "+12120000000");
        assert_eq!(target.card.external_ref, "crm-0");
        assert_eq!(target.card.name, "Людина 0");
        assert_eq!(target.card.fields, [("city".to_owned(), "Львів".to_owned())]);
        assert_eq!(ready(db, campaign, 0).await, records[1..], "{}", place.name);
        let counts = db.contact_counts(campaign).await.unwrap();
        assert_eq!((counts.ready, counts.live), (1, 1), "{}", place.name);
    }
}

#[tokio::test]
async fn a_record_is_intended_once_and_its_neighbours_in_the_batch_do_not_suffer() {
    for place in each_db().await {
        let db = &place.db;
        let campaign = campaign(db, &people(3)).await;
        let mut run = run(db, 0).await;
        let records = ready(db, campaign, 0).await;
        for (n, record) in [(1, 0), (2, 0), (3, 2), (4, 2), (5, 1)] {
            run.send(Write::Intent(intent(campaign, &records[record], n, 0), "local".into()));
        }
        let mut got = vec![];
        for _ in 0..5 {
            got.push(why(&run.answer().await));
        }
        let no = Some(IntentRefusal::NotReady);
        assert_eq!(got, [None, no, None, no, None], "{}: in the order of arrival", place.name);
    }
}

#[tokio::test]
async fn a_revocation_counts_at_the_next_intent_and_closes_the_contact() {
    for place in each_db().await {
        let db = &place.db;
        let campaign = campaign(db, &people(3)).await;
        let mut run = run(db, 0).await;
        let records = ready(db, campaign, 0).await;
        let scopes = [
            (12_120_000_000, DncScope::Own),
            (12_120_000_001, DncScope::Campaign(campaign)),
            (12_120_000_002, DncScope::Campaign(CampaignId::new(99))),
        ];
        for (digits, scope) in scopes {
            let number = E164::from_digits(digits).unwrap();
            let new =
                NewDnc { number, scope, source: "api", reason: "asked", by: "test", at: START };
            db.dnc_add(&new).await.unwrap();
        }
        let mut got = vec![];
        for (n, record) in (1..).zip(&records) {
            got.push(why(&run.intend(intent(campaign, record, n, 0)).await));
        }
        let no = Some(IntentRefusal::DoNotCall);
        assert_eq!(got, [no, no, None], "{}: another campaign's row is not ours", place.name);
        let counts = db.contact_counts(campaign).await.unwrap();
        assert_eq!((counts.closed, counts.live, counts.ready), (2, 1, 0), "{}", place.name);
    }
}

#[tokio::test]
async fn a_number_taken_off_the_list_may_be_called_again_and_its_history_stays() {
    for place in each_db().await {
        let db = &place.db;
        let campaign = campaign(db, &people(1)).await;
        let mut run = run(db, 0).await;
        let number = E164::from_digits(12_120_000_000).unwrap();
        let scope = DncScope::Own;
        let new = NewDnc { number, scope, source: "api", reason: "", by: "test", at: START };
        db.dnc_add(&new).await.unwrap();
        assert_eq!(db.dnc_page(None, 10, at(1)).await.unwrap().len(), 1);
        assert!(db.dnc_remove(number, scope, "test", at(10)).await.unwrap(), "{}", place.name);
        assert!(!db.dnc_remove(number, scope, "test", at(11)).await.unwrap(), "{}", place.name);
        assert_eq!(db.dnc_page(None, 10, at(12)).await.unwrap(), [], "{}", place.name);
        assert_eq!(place.number("SELECT COUNT(*) FROM dnc").await, 1);
        let record = ready(db, campaign, 0).await[0];
        assert_eq!(
            why(&run.intend(intent(campaign, &record, 1, 20)).await),
            None,
            "{}",
            place.name
        );
    }
}

#[tokio::test]
async fn a_number_called_too_recently_waits_until_its_gap_is_over() {
    for place in each_db().await {
        let db = &place.db;
        let first = campaign(db, &people(1)).await;
        let second = campaign(db, &people(1)).await;
        let mut run = run(db, 0).await;
        let record = ready(db, first, 0).await[0];
        assert_eq!(why(&run.intend(intent(first, &record, 1, 0)).await), None);
        let other = ready(db, second, 0).await[0];
        assert_eq!(other.number, record.number);
        // The intent's own two seconds come on top: its INVITE may have left at their end.
        let early = run.intend(intent(second, &other, 2, 61_999)).await;
        assert_eq!(why(&early), Some(IntentRefusal::NumberGap), "{}", place.name);
        let (none, rest) = db.ready_records(second, None, 10, at(61_999)).await.unwrap();
        assert_eq!((none.len(), rest), (0, Rest::Later(Some(at(62_000).as_ms()))));
        let again = ready(db, second, 62_000).await[0];
        let due = run.intend(intent(second, &again, 3, 62_000)).await;
        assert_eq!(why(&due), None, "{}", place.name);
    }
}

#[tokio::test]
async fn a_clock_that_steps_back_does_not_open_a_gap() {
    for place in each_db().await {
        let db = &place.db;
        let first = campaign(db, &people(1)).await;
        let second = campaign(db, &people(1)).await;
        let mut run = run(db, 0).await;
        let record = ready(db, first, 0).await[0];
        assert_eq!(why(&run.intend(intent(first, &record, 1, 100_000)).await), None);
        let other = ready(db, second, 0).await[0];
        let back = run.intend(intent(second, &other, 2, -900_000)).await;
        assert_eq!(why(&back), Some(IntentRefusal::NumberGap), "{}", place.name);
    }
}

#[tokio::test]
async fn a_number_outside_the_trunks_prefixes_is_closed_not_dialled() {
    for place in each_db().await {
        let db = &place.db;
        let mut abroad = person(0, 0);
        abroad.number = E164::parse("+380501234567").unwrap();
        let mut emergency = person(1, 0);
        emergency.number = E164::parse("+44999").unwrap();
        let campaign = campaign(db, &[abroad, emergency]).await;
        let mut run = run(db, 0).await;
        for (n, record) in (1..).zip(&ready(db, campaign, 0).await) {
            let answer = why(&run.intend(intent(campaign, record, n, 0)).await);
            assert_eq!(answer, Some(IntentRefusal::NumberNotAllowed), "{}", place.name);
        }
        assert_eq!(db.contact_counts(campaign).await.unwrap().closed, 2, "{}", place.name);
    }
}

#[tokio::test]
async fn the_prefixes_are_those_of_the_version_that_the_intent_names() {
    for place in each_db().await {
        let db = &place.db;
        let campaign = campaign(db, &people(2)).await;
        let mut run = run(db, 0).await;
        let mut closed = trunk_settings();
        closed.allowed_prefixes.clear();
        let trunk = db.trunks().await.unwrap()[0].id;
        assert_eq!(db.set_trunk_settings(trunk, &closed, "test", START).await.unwrap(), 2);
        let records = ready(db, campaign, 0).await;
        let old = intent(campaign, &records[0], 1, 0);
        let new = Intent { trunk_version: 2, ..intent(campaign, &records[1], 2, 0) };
        assert_eq!(why(&run.intend(old).await), None, "{}", place.name);
        assert_eq!(why(&run.intend(new).await), Some(IntentRefusal::NumberNotAllowed));
        let unknown = Intent { trunk_version: 3, ..new };
        assert!(why(&run.intend(unknown).await).is_some(), "{}", place.name);
    }
}

#[tokio::test]
async fn a_run_that_was_asleep_cannot_intend_after_another_took_over() {
    for place in each_db().await {
        let db = &place.db;
        let campaign = campaign(db, &people(2)).await;
        let mut asleep = run(db, 0).await;
        let mut awake = run(db, 10).await;
        assert!(awake.epoch.epoch > asleep.epoch.epoch);
        let records = ready(db, campaign, 0).await;
        let late = asleep.intend(intent(campaign, &records[0], 1, 20)).await;
        assert_eq!(why(&late), Some(IntentRefusal::LeaseLost), "{}", place.name);
        assert_eq!(ready(db, campaign, 0).await.len(), 2, "{}", place.name);
        let good = awake.intend(intent(campaign, &records[0], 2, 20)).await;
        assert_eq!(why(&good), None, "{}", place.name);
        let newer = self::campaign(db, &people(3)).await;
        let fresh = ready(db, newer, 0).await;
        let led = awake.intend(intent(newer, &fresh[2], 3, 20)).await;
        assert_eq!(
            why(&led),
            None,
            "{}: a new campaign is led by the run that is there",
            place.name
        );
    }
}

/// Several campaigns, each with a writer of its own, dial the same numbers again and again at
/// once. Whatever passes keeps the gap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn campaigns_racing_for_the_same_numbers_never_break_the_gap() {
    const CAMPAIGNS: u32 = 4;
    const NUMBERS: usize = 60;
    const GAP_MS: i64 = 60_000;
    for place in each_db().await {
        let db = &place.db;
        let trunk = db.create_trunk(&trunk_settings(), "test", START).await.unwrap();
        let segment = list(db, &people(60)).await;
        let mut campaigns = vec![];
        for _ in 0..CAMPAIGNS {
            let settings = campaign_settings(trunk);
            let campaign = db.create_campaign(&settings, "test", START).await.unwrap();
            db.set_campaign_lists(campaign, &[segment], "test", START).await.unwrap();
            campaigns.push(campaign);
        }
        let epoch = db.begin_epoch("main", START).await.unwrap();
        let mut racers = tokio::task::JoinSet::new();
        for (lane, campaign) in (0..).zip(campaigns) {
            racers.spawn(race(db.clone(), epoch.clone(), campaign, lane));
        }
        let intended = racers.join_all().await.concat();
        let mut by_number: Vec<(i64, i64)> =
            intended.iter().map(|i| (i.key.number.get(), i.at.as_ms())).collect();
        by_number.sort_unstable();
        for pair in by_number.windows(2) {
            let ((number, earlier), (same, later)) = (pair[0], pair[1]);
            assert!(number != same || later - earlier >= GAP_MS, "{}: {pair:?}", place.name);
        }
        by_number.dedup_by_key(|(number, _)| *number);
        assert_eq!(by_number.len(), NUMBERS, "{}: every number was reached", place.name);
        assert!(intended.len() > NUMBERS, "{}: and some again", place.name);
    }
}

/// Dials everything that is ready, in five rounds half a gap apart; a busy contact is ready again at
/// once. Returns the intents that stood.
async fn race(
    db: campanile::adapters::store::Db,
    epoch: Epoch,
    campaign: CampaignId,
    lane: u32,
) -> Vec<Intent> {
    let mut run = writer_of(&db, epoch);
    let mut stood = vec![];
    let mut n = lane * 1_000_000;
    for round in 0..5 {
        let now = round * 30_000 + i64::from(lane);
        let mut sent = vec![];
        for record in ready(&db, campaign, now).await {
            n += 1;
            let intent = intent(campaign, &record, n, now);
            run.send(Write::Intent(intent, "local".into()));
            sent.push(intent);
        }
        for intent in sent {
            match why(&run.answer().await) {
                None => {
                    let next = ContactNext::Waits { due_at: at(now) };
                    let end = end(&intent, CallResult::Busy, next);
                    let record = campanile::domain::attempt::Record::Ended(Box::new(end));
                    run.send(Write::Record(record, None));
                    stood.push(intent);
                }
                Some(why) => assert_eq!(why, IntentRefusal::NumberGap),
            }
        }
        assert!(run.writer.flush().await);
    }
    stood
}
