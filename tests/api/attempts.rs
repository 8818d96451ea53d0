//! Attempts and the ledger, as the store's own writer leaves them.

use campanile::adapters::api::auth::Role;
use campanile::adapters::store::writer::{Write, writer};
use campanile::domain::attempt::{
    AbandonCount, AttemptEnd, AttemptKey, EndedBy, Evidence, Intent, Record, Times,
};
use campanile::domain::call_result::{CallResult, NetworkEnd};
use campanile::domain::ids::{AgentId, AttemptId, CampaignId, CrmEventId, TrunkId, uuid_v7};
use campanile::domain::retry::ContactNext;
use campanile::domain::time::Utc;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{START_MS, World, expect};

fn at(ms: i64) -> Utc {
    Utc::from_ms(START_MS + ms)
}

/// Two people are called: one is busy, one talks to an agent and is hung up by them.
async fn dialled(world: &World) -> CampaignId {
    let manager = world.machine(Role::Manager).await;
    let trunk = json!({ "name": "Lab", "address": "127.0.0.1:5060", "allowed_prefixes": ["+1"] });
    let trunk = manager.made("/trunks", trunk).await["id"].as_i64().unwrap();
    let import = manager
        .request(Method::POST, "/lists/import?name=Spring")
        .header("content-type", "text/csv")
        .body("phone,name\n+12125550101,Ада\n+12125550102,Боб\n");
    let list = expect(import.send().await.unwrap(), StatusCode::CREATED).await["list"].clone();
    let epoch = world.db.begin_epoch("main", at(0)).await.unwrap();
    let body = json!({
        "name": "Spring", "mode": { "kind": "progressive" }, "trunk": trunk, "lists": [list]
    });
    let campaign = CampaignId::new(manager.made("/campaigns", body).await["id"].as_i64().unwrap());

    let (handle, task, mut answers) = writer(world.db.clone(), epoch, "test".into());
    tokio::spawn(task.run());
    let (records, _) = world.db.ready_records(campaign, None, 10, at(0)).await.unwrap();
    for (n, record) in records.iter().enumerate() {
        let attempt = AttemptId::from_uuid(uuid_v7(at(0), [u8::try_from(n).unwrap(); 10]));
        let (contact, person, number) = (record.contact, record.person, record.number);
        let key = AttemptKey { attempt, campaign, contact, person, number };
        let intent = Intent {
            key,
            campaign_version: 1,
            trunk: TrunkId::new(trunk),
            trunk_version: 1,
            result_map_version: 1,
            caller_id: 0,
            agent: None,
            at: at(0),
            number_gap_ms: 60_000,
        };
        handle.send(Write::Intent(intent, "127.0.0.1:5060".into())).unwrap();
        answers.recv().await.unwrap();
        let end = if n == 0 { busy(key) } else { talked(key) };
        handle.send(Write::Record(Record::Ended(Box::new(end)), None)).unwrap();
    }
    assert!(handle.flush().await);
    campaign
}

fn busy(key: AttemptKey) -> AttemptEnd {
    let network = NetworkEnd {
        status: Some(486),
        phrase: "Busy Here".into(),
        q850: Some(17),
        ..Default::default()
    };
    AttemptEnd {
        key,
        result: CallResult::Busy,
        evidence: Evidence { network: Some(network), ringing_ms: 400, ..Evidence::default() },
        times: Times {
            intent: at(0),
            dialled: Some(at(5)),
            ended: Some(at(500)),
            ..Times::default()
        },
        agent: None,
        answer_to_agent_us: None,
        next: ContactNext::Closed,
        count: None,
        event: CrmEventId::from_uuid(key.attempt.as_uuid()),
    }
}

fn talked(key: AttemptKey) -> AttemptEnd {
    AttemptEnd {
        result: CallResult::Connected,
        evidence: Evidence { ended_by: Some(EndedBy::Customer), ..Evidence::default() },
        times: Times { answered: Some(at(3_000)), connected: Some(at(3_040)), ..busy(key).times },
        agent: Some(AgentId::new(1)),
        count: Some(AbandonCount {
            window_start: at(0),
            abandoned: false,
            connected: true,
            outside: false,
        }),
        ..busy(key)
    }
}

#[tokio::test]
async fn each_attempt_is_told_with_its_evidence_and_a_masked_number() {
    let world = World::new().await;
    let campaign = dialled(&world).await;
    let crm = world.machine(Role::Integration).await;
    let path = format!("/campaigns/{campaign}/attempts");
    let first = crm.get(&format!("{path}?limit=1")).await;
    let row = &first["items"][0];
    let told = |key: &str| row[key].clone();
    assert_eq!((told("result"), told("cisco")), (json!("busy"), json!(9)));
    assert_eq!((told("status"), told("q850")), (json!(486), json!(17)));
    assert_eq!((told("dialled"), told("answered_ms")), (json!(true), Value::Null));
    assert_eq!((told("ringing_ms"), told("number")), (json!(400), json!("+1212…01")));
    assert_eq!(row["evidence"]["network"]["phrase"], "Busy Here");

    let next = first["next"].as_str().unwrap();
    let second = crm.get(&format!("{path}?after={next}&limit=5")).await;
    let row = &second["items"][0];
    assert_eq!((&row["result"], &row["agent"]), (&json!("connected"), &json!(1)));
    assert_eq!(row["connected_ms"], START_MS + 3_040);
    assert_eq!((&row["ended_by"], &second["next"]), (&json!("customer"), &Value::Null));
}

#[tokio::test]
async fn the_ledger_counts_what_the_attempts_say() {
    let world = World::new().await;
    let campaign = dialled(&world).await;
    let ledger =
        world.machine(Role::Manager).await.get(&format!("/campaigns/{campaign}/ledger")).await;
    assert_eq!(ledger["attempts"]["total"], 2);
    assert_eq!(ledger["attempts"]["by_result"], json!({ "busy": 1, "connected": 1 }));
    assert_eq!((&ledger["dialled"], &ledger["answers"]), (&json!(2), &json!(1)));
    assert_eq!((&ledger["connects"], &ledger["abandoned"]), (&json!(1), &json!(0)));
    assert_eq!(ledger["hung_up"], json!({ "customer": 1 }));
    let summary = world.machine(Role::Manager).await.get("/campaigns").await;
    assert_eq!(summary[0]["contacts"]["closed"], 2);
}
