//! Lists come in whole or not at all, and are given in dial order.

use campanile::adapters::store::StoreError;
use campanile::adapters::store::lists::Added;
use campanile::domain::ids::ContactId;
use campanile::engine::input::Rest;

use crate::world::{START, at, campaign, each_db, list, people, person};

#[tokio::test]
async fn records_come_by_priority_then_by_their_place_in_the_list() {
    for place in each_db().await {
        let contacts = [person(1, 5), person(2, 0), person(3, 5), person(4, -3)];
        let campaign = campaign(&place.db, &contacts).await;
        let (records, rest) = place.db.ready_records(campaign, None, 10, START).await.unwrap();
        let got: Vec<(i32, i64)> = records.iter().map(|r| (r.priority, r.seq)).collect();
        assert_eq!(got, [(-3, 4), (0, 2), (5, 1), (5, 3)], "{}", place.name);
        assert_eq!(rest, Rest::Nothing, "{}", place.name);
        assert_eq!(records[0].prefix_class, 1);
        assert_eq!(records[0].zone, chrono_tz::Tz::America__New_York);
    }
}

#[tokio::test]
async fn reading_on_from_the_cursor_gives_each_record_once() {
    for place in each_db().await {
        let campaign = campaign(&place.db, &people(25)).await;
        let mut seen = vec![];
        let mut cursor = None;
        loop {
            let (records, rest) =
                place.db.ready_records(campaign, cursor, 10, START).await.unwrap();
            cursor = records.last().map(|r| (r.priority, r.seq)).or(cursor);
            seen.extend(records.into_iter().map(|r| r.contact));
            if rest != Rest::More {
                assert_eq!(rest, Rest::Later(None), "those before the cursor are still ready");
                break;
            }
        }
        assert_eq!(seen, (1..=25).map(ContactId::new).collect::<Vec<_>>(), "{}", place.name);
    }
}

#[tokio::test]
async fn a_deferred_record_comes_back_when_it_is_due_wherever_the_cursor_stands() {
    for place in each_db().await {
        let db = &place.db;
        let campaign = campaign(db, &people(30)).await;
        assert!(db.defer(campaign, ContactId::new(3), at(60_000)).await.unwrap());
        assert!(!db.defer(campaign, ContactId::new(3), at(60_000)).await.unwrap());
        let counts = db.contact_counts(campaign).await.unwrap();
        assert_eq!((counts.total, counts.ready, counts.waits), (30, 29, 1), "{}", place.name);
        let (early, rest) =
            db.ready_records(campaign, Some((0, 20)), 100, at(59_999)).await.unwrap();
        assert_eq!(early.len(), 10);
        assert_eq!(rest, Rest::Later(Some(at(60_000).as_ms())), "{}", place.name);
        let (due, rest) = db.ready_records(campaign, Some((0, 20)), 100, at(60_000)).await.unwrap();
        assert_eq!(due.first().map(|r| r.contact), Some(ContactId::new(3)), "{}", place.name);
        assert_eq!(due.len(), 11);
        assert_eq!(rest, Rest::Later(None));
        assert_eq!(db.contact_counts(campaign).await.unwrap().ready, 30);
    }
}

#[tokio::test]
async fn other_calling_hours_end_the_wait_of_those_whom_the_old_ones_put_off_and_of_nobody_else() {
    for place in each_db().await {
        let db = &place.db;
        let (one, other) = (campaign(db, &people(4)).await, campaign(db, &people(4)).await);
        let tomorrow = at(60_000_000);
        let (off, _) = db.ready_records(one, None, 2, START).await.unwrap();
        for record in &off {
            assert!(db.defer(one, record.contact, tomorrow).await.unwrap(), "{}", place.name);
        }
        let (elsewhere, _) = db.ready_records(other, None, 1, START).await.unwrap();
        db.defer(other, elsewhere[0].contact, tomorrow).await.unwrap();
        db.hours_changed(one, at(5)).await.unwrap();
        assert_eq!(db.next_due(one).await.unwrap(), Some(at(5)), "{}", place.name);
        assert_eq!(db.next_due(other).await.unwrap(), Some(tomorrow), "{}", place.name);
        let (records, _) = db.ready_records(one, None, 100, at(5)).await.unwrap();
        assert_eq!(records.len(), 4, "{}", place.name);
        let counts = db.contact_counts(one).await.unwrap();
        assert_eq!((counts.ready, counts.waits), (4, 0), "{}", place.name);
    }
}

#[tokio::test]
async fn a_list_is_invisible_until_it_is_committed_and_leaves_nothing_when_dropped() {
    for place in each_db().await {
        let db = &place.db;
        let campaign = campaign(db, &people(2)).await;
        let half = db.begin_list("half", "test", START).await.unwrap();
        db.add_contacts(half, &people(5), START).await.unwrap();
        let refused = db.set_campaign_lists(campaign, &[half], "test", START).await;
        assert!(matches!(refused, Err(StoreError::ListNotReady(_))), "{}", place.name);
        assert_eq!(db.contact_counts(campaign).await.unwrap().total, 2);
        assert_eq!(db.drop_unfinished_lists().await.unwrap(), 1, "{}", place.name);
        let dropped = db.lists().await.unwrap().into_iter().find(|l| l.id == half.get()).unwrap();
        assert_eq!((dropped.state.as_str(), dropped.contacts), ("dropped", 0));
        assert_eq!(db.contact_card(ContactId::new(4)).await.unwrap(), None, "{}", place.name);
        assert!(db.add_contacts(half, &people(1), START).await.is_err(), "{}", place.name);
    }
}

#[tokio::test]
async fn one_number_is_one_row_of_a_list_and_one_reference_one_person_of_all_lists() {
    for place in each_db().await {
        let db = &place.db;
        let mut contacts = people(3);
        contacts.push(person(1, 9));
        let first = db.begin_list("first", "test", START).await.unwrap();
        let added = db.add_contacts(first, &contacts, START).await.unwrap();
        assert_eq!(added, Added { accepted: 3, duplicates: 1 }, "{}", place.name);
        let again = db.add_contacts(first, &people(4), START).await.unwrap();
        assert_eq!(again, Added { accepted: 1, duplicates: 3 }, "{}", place.name);
        db.commit_list(first, START).await.unwrap();
        let campaign = campaign(db, &people(4)).await;
        let second = db.campaign_lists(campaign).await.unwrap();
        db.set_campaign_lists(campaign, &[first, second[0]], "test", START).await.unwrap();
        let (records, _) = db.ready_records(campaign, None, 100, START).await.unwrap();
        assert_eq!(records.len(), 8, "{}", place.name);
        let mut persons: Vec<_> = records.iter().map(|r| (r.person, r.number)).collect();
        persons.sort();
        persons.dedup();
        assert_eq!(persons.len(), 4, "{}", place.name);
    }
}

#[tokio::test]
async fn taking_a_list_away_empties_the_queue_and_giving_it_back_fills_it() {
    for place in each_db().await {
        let db = &place.db;
        let campaign = campaign(db, &people(5)).await;
        let kept = db.campaign_lists(campaign).await.unwrap();
        let other = list(db, &people(9)).await;
        db.set_campaign_lists(campaign, &[kept[0], other], "test", START).await.unwrap();
        assert_eq!(db.contact_counts(campaign).await.unwrap().ready, 14, "{}", place.name);
        db.defer(campaign, ContactId::new(7), at(1)).await.unwrap();
        db.set_campaign_lists(campaign, &kept, "test", START).await.unwrap();
        let counts = db.contact_counts(campaign).await.unwrap();
        assert_eq!((counts.ready, counts.waits, counts.closed), (5, 0, 9), "{}", place.name);
        assert_eq!(db.campaign_lists(campaign).await.unwrap(), kept);
        let (records, rest) = db.ready_records(campaign, None, 100, START).await.unwrap();
        assert_eq!((records.len(), rest), (5, Rest::Nothing), "{}", place.name);
        db.set_campaign_lists(campaign, &[kept[0], other], "test", START).await.unwrap();
        let counts = db.contact_counts(campaign).await.unwrap();
        assert_eq!((counts.ready, counts.closed), (14, 0), "{}", place.name);
        let (records, _) = db.ready_records(campaign, None, 100, START).await.unwrap();
        assert_eq!(records.len(), 14, "{}", place.name);
    }
}
