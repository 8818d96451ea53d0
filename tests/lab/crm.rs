//! The lab's CRM over HTTP.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use campanile::domain::time::{Mono, Now, Utc};
use campanile::lab::clock;
use campanile::lab::crm::{Crm, CrmConfig, Mood};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::http;

/// 2026-01-05 10:00:00 UTC.
const NOW_S: i64 = 1_767_607_200;
const KEY: &[u8] = b"twenty-four-bytes-of-key";

async fn start(contacts: u32, token: Option<&str>) -> Crm {
    let clock = clock::starting_at(Now { mono: Mono::ZERO, utc: Utc::from_ms(NOW_S * 1_000) });
    let config = CrmConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        contacts,
        seed: 1,
        secret: Some(format!("whsec_{}", STANDARD.encode(KEY))),
        token: token.map(str::to_owned),
    };
    Crm::start(config, clock).await.unwrap()
}

fn signature(id: &str, timestamp: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY).unwrap();
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

fn event(id: &str) -> String {
    json!({
        "specversion": "1.0", "id": id, "source": "campanile/test",
        "type": "campanile.call.ended", "subject": "attempt/a1", "time": "2026-01-05T10:00:00Z",
        "data": {"person": {"external_ref": "CRM-000001"}, "result": "busy"},
    })
    .to_string()
}

async fn post(crm: &Crm, id: &str, signature: &str, body: &str) -> StatusCode {
    let request = http()
        .post(crm.events_url())
        .header("webhook-id", id)
        .header("webhook-timestamp", NOW_S.to_string())
        .header("webhook-signature", signature)
        .header("content-type", "application/cloudevents+json")
        .body(body.to_owned());
    request.send().await.unwrap().status()
}

#[tokio::test]
async fn the_segment_comes_page_by_page_and_whole() {
    let crm = start(250, Some("secret-token")).await;
    let client = http();
    let refused = client.get(crm.segment_url()).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);

    let mut next = Some(format!("{}?page=1&per_page=100", crm.segment_url()));
    let (mut pages, mut ids) = (0, BTreeSet::new());
    while let Some(url) = next {
        let page: Value =
            client.get(url).bearer_auth("secret-token").send().await.unwrap().json().await.unwrap();
        pages += 1;
        assert_eq!(page["total"], 250);
        for record in page["records"].as_array().unwrap() {
            ids.insert(record["id"].as_str().unwrap().to_owned());
            assert!(record["phones"][0]["number"].as_str().unwrap().starts_with('+'));
            assert!(record["tz"].as_str().unwrap().contains('/'));
        }
        next = page["next"].as_str().map(str::to_owned);
    }
    assert_eq!((pages, ids.len()), (3, 250));
    assert_eq!(crm.ledger().contacts_served, 250);
}

#[tokio::test]
async fn an_event_is_taken_once_and_a_forged_one_never() {
    let crm = start(1, None).await;
    let body = event("e1");
    let good = signature("e1", NOW_S, &body);
    assert_eq!(post(&crm, "e1", &good, &body).await, StatusCode::NO_CONTENT);
    assert_eq!(post(&crm, "e1", &good, &body).await, StatusCode::NO_CONTENT);
    let other = event("e2");
    assert_eq!(post(&crm, "e2", &good, &other).await, StatusCode::UNAUTHORIZED);
    assert_eq!(post(&crm, "e2", "v1,AAAA", &other).await, StatusCode::UNAUTHORIZED);

    let ledger = crm.ledger();
    assert_eq!((ledger.posts, ledger.events, ledger.duplicates), (4, 1, 1));
    assert_eq!(ledger.refused_signatures, 2);
    assert_eq!(ledger.results, [("busy".to_owned(), 1)].into());
}

#[tokio::test]
async fn a_crm_that_is_down_takes_nothing_and_one_that_loses_answers_takes_it_twice() {
    let crm = start(1, None).await;
    let body = event("e1");
    let good = signature("e1", NOW_S, &body);
    crm.set_mood(Mood::Down);
    assert_eq!(post(&crm, "e1", &good, &body).await, StatusCode::SERVICE_UNAVAILABLE);
    crm.set_mood(Mood::Failing);
    assert_eq!(post(&crm, "e1", &good, &body).await, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!((crm.ledger().events, crm.ledger().turned_away), (0, 2));
    crm.set_mood(Mood::LosesAnswers);
    assert_eq!(post(&crm, "e1", &good, &body).await, StatusCode::GATEWAY_TIMEOUT);
    crm.set_mood(Mood::Up);
    assert_eq!(post(&crm, "e1", &good, &body).await, StatusCode::NO_CONTENT);
    assert_eq!((crm.ledger().events, crm.ledger().duplicates), (1, 1));
}

#[tokio::test]
async fn without_a_secret_every_event_is_refused_until_one_is_set() {
    let crm = start(1, None).await;
    crm.set_secret("whsec_AAAA");
    let body = event("e1");
    let good = signature("e1", NOW_S, &body);
    assert_eq!(post(&crm, "e1", &good, &body).await, StatusCode::UNAUTHORIZED);
    crm.set_secret(&format!("whsec_{}", STANDARD.encode(KEY)));
    assert_eq!(post(&crm, "e1", &good, &body).await, StatusCode::NO_CONTENT);
}
