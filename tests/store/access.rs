//! Who is let in: hashes only, links once, sessions until they end, answers kept for who repeats.

use campanile::adapters::store::StoreError;
use campanile::adapters::store::access::KeptAnswer;
use campanile::domain::ids::AgentId;

use crate::world::{START, at, each_db};

const ONE: [u8; 32] = [1; 32];
const TWO: [u8; 32] = [2; 32];

#[tokio::test]
async fn a_link_lets_in_once_and_not_after_its_time() {
    for place in each_db().await {
        let db = &place.db;
        let user = db.create_user("Ірина", "admin", None, START).await.unwrap();
        db.add_link(&ONE, user, START, at(1_000)).await.unwrap();
        db.add_link(&TWO, user, START, at(1_000)).await.unwrap();
        assert_eq!(db.use_link(&ONE, at(999)).await.unwrap(), Some(user), "{}", place.name);
        assert_eq!(db.use_link(&ONE, at(999)).await.unwrap(), None, "{}: used", place.name);
        assert_eq!(db.use_link(&TWO, at(1_000)).await.unwrap(), None, "{}: too old", place.name);
        assert_eq!(db.use_link(&[3; 32], at(0)).await.unwrap(), None, "{}", place.name);
    }
}

#[tokio::test]
async fn a_session_ends_by_itself_by_hand_and_with_a_new_password() {
    for place in each_db().await {
        let db = &place.db;
        let user = db.create_user("ann", "agent", Some(AgentId::new(4)), START).await.unwrap();
        db.add_session(&ONE, user, START, at(1_000)).await.unwrap();
        let row = db.session(&ONE, at(999)).await.unwrap().unwrap();
        assert_eq!((row.id, row.name.as_str(), row.agent), (user, "ann", Some(AgentId::new(4))));
        assert!(row.password_hash.is_none(), "{}", place.name);
        assert!(db.session(&ONE, at(1_000)).await.unwrap().is_none(), "{}", place.name);
        db.add_session(&TWO, user, START, at(1_000)).await.unwrap();
        db.set_user_password(user, "ann", "$argon2id$", &TWO).await.unwrap();
        assert!(db.session(&ONE, at(1)).await.unwrap().is_none(), "{}: another", place.name);
        assert!(db.session(&TWO, at(1)).await.unwrap().is_some(), "{}: this one", place.name);
        db.end_session(&TWO).await.unwrap();
        assert!(db.session(&TWO, at(1)).await.unwrap().is_none(), "{}", place.name);
    }
}

#[tokio::test]
async fn a_name_is_given_to_one_user() {
    for place in each_db().await {
        let db = &place.db;
        db.create_user("ann", "manager", None, START).await.unwrap();
        let taken = db.create_user("ann", "admin", None, START).await;
        assert!(matches!(taken, Err(StoreError::NameTaken)), "{}", place.name);
        let bob = db.create_user("bob", "admin", None, START).await.unwrap();
        let renamed = db.set_user_password(bob, "ann", "x", &ONE).await;
        assert!(matches!(renamed, Err(StoreError::NameTaken)), "{}", place.name);
        assert_eq!(db.users().await.unwrap().len(), 2, "{}", place.name);
    }
}

#[tokio::test]
async fn an_answer_is_kept_for_a_day_and_the_first_one_stands() {
    for place in each_db().await {
        let db = &place.db;
        let answer = |body: &str| KeptAnswer { status: 201, body: body.into() };
        db.keep_answer("user:1", "k", &answer("first"), START).await.unwrap();
        db.keep_answer("user:1", "k", &answer("second"), at(1)).await.unwrap();
        let day = 24 * 3_600_000;
        let kept = db.kept_answer("user:1", "k", at(day - 1)).await.unwrap();
        assert_eq!(kept, Some(answer("first")), "{}", place.name);
        assert_eq!(db.kept_answer("user:2", "k", at(1)).await.unwrap(), None, "{}", place.name);
        assert_eq!(db.kept_answer("user:1", "k", at(day)).await.unwrap(), None, "{}", place.name);
    }
}
