//! Segments are pulled page by page, also from a CRM that has trouble.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Query;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use campanile::adapters::crm::backoff::Schedule;
use campanile::adapters::crm::pull::{PER_PAGE, PullError, Segment, pull_with};
use campanile::adapters::import::job::{Progress, Report};
use campanile::adapters::import::row::Reading;
use campanile::adapters::secret::Secret;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::world::World;

const QUICK: Schedule = Schedule { steps: &[Duration::from_millis(10), Duration::from_millis(10)] };
const MAP: &str = "phone=phones.0.number,name=full_name,external_ref=id,city=address.city";

fn record(n: u64) -> Value {
    json!({
        "id": n,
        "full_name": format!("Оксана {n}"),
        "phones": [{ "number": format!("+38050{n:07}") }, { "number": "+380440000000" }],
        "address": { "city": "Львів" },
        "tax_number": "not for the dialer",
    })
}

fn records(page: u64, per_page: u64, total: u64) -> Vec<Value> {
    let first = (page - 1) * per_page;
    (first..(first + per_page).min(total)).map(record).collect()
}

/// What the CRM was asked for: page and per_page.
struct Asked {
    page: u64,
    per_page: u64,
    token: Option<String>,
    base: String,
}

/// Serves a segment by `answer` and tells its address.
async fn crm(answer: impl Fn(Asked) -> Response + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    let app = Router::new().fallback(
        move |query: Query<BTreeMap<String, String>>, headers: HeaderMap| {
            let number = |key: &str| query.get(key).and_then(|n| n.parse().ok());
            let token =
                headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
            let base = format!("http://{addr}/segment");
            let (page, per_page) = (number("page").unwrap_or(1), number("per_page").unwrap_or(1));
            std::future::ready(answer(Asked { page, per_page, token, base }))
        },
    );
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    addr
}

fn body(value: &Value) -> Response {
    ([("content-type", "application/json")], value.to_string()).into_response()
}

async fn pull_from(world: &World, addr: SocketAddr, map: &str) -> Result<Report, PullError> {
    let reading = Reading::parse(Some(map), None, None).unwrap();
    let segment = Segment {
        url: format!("http://{addr}/segment?stage=new"),
        token: Some(Secret::new("t0ken")),
        allow_private_addresses: true,
    };
    pull_with(world.import(reading), &segment, &QUICK, |_| {}).await
}

#[tokio::test]
async fn a_segment_is_pulled_whole_however_its_pages_are_named() {
    const TOTAL: u64 = 1_234;
    let by_number =
        crm(|asked| body(&json!({ "records": records(asked.page, asked.per_page, TOTAL) }))).await;
    let by_total = crm(|asked| {
        // This CRM gives a hundred at a time, whatever it is asked for.
        body(&json!({ "records": records(asked.page, 100, TOTAL), "total": TOTAL }))
    })
    .await;
    let by_next = crm(|asked| {
        let is_last = asked.page * 500 >= TOTAL;
        let next = format!("{}?page={}&per_page=500", asked.base, asked.page + 1);
        let next = if is_last { Value::Null } else { next.into() };
        body(&json!({ "records": records(asked.page, 500, TOTAL), "next": next }))
    })
    .await;
    let by_link = crm(|asked| {
        let answer = body(&Value::Array(records(asked.page, 300, TOTAL)));
        if asked.page * 300 >= TOTAL {
            return answer;
        }
        let link = format!("<{}?page={}>; rel=\"next\"", asked.base, asked.page + 1);
        ([("link", link)], answer).into_response()
    })
    .await;
    for (name, addr) in
        [("number", by_number), ("total", by_total), ("next", by_next), ("link", by_link)]
    {
        let world = World::new().await;
        let report = pull_from(&world, addr, MAP).await.unwrap();
        assert_eq!((report.rows, report.accepted, report.rejected), (TOTAL, TOTAL, 0), "{name}");
        let names = world.texts("SELECT name FROM contact ORDER BY id").await;
        assert_eq!(names[1_233], "Оксана 1233", "{name}");
        let fields = world.texts("SELECT fields FROM contact ORDER BY id LIMIT 1").await;
        assert_eq!(fields[0], r#"[["city","Львів"]]"#, "{name}: what is not mapped is not taken");
    }
}

#[tokio::test]
async fn a_page_that_fails_is_asked_for_again() {
    let posts = AtomicU32::new(0);
    let addr = crm(move |asked| {
        assert_eq!(asked.token.as_deref(), Some("Bearer t0ken"));
        if posts.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        body(&json!({ "records": records(asked.page, u64::from(PER_PAGE), 700) }))
    })
    .await;
    let world = World::new().await;
    assert_eq!(pull_from(&world, addr, MAP).await.unwrap().accepted, 700);
}

#[tokio::test]
async fn records_that_cannot_be_dialled_are_rejected_as_rows_of_a_file_are() {
    let addr = crm(|_| {
        let mut all = records(1, 10, 10);
        all[3]["phones"][0]["number"] = "none".into();
        all[4]["phones"] = json!([]);
        all[5]["phones"][0]["number"] = all[6]["phones"][0]["number"].clone();
        body(&json!({ "records": all }))
    })
    .await;
    let world = World::new().await;
    let report = pull_from(&world, addr, MAP).await.unwrap();
    assert_eq!((report.accepted, report.duplicates, report.rejected), (7, 1, 2));
    let file = world.folder.path().join(format!("rejects/list-{}.csv", report.list));
    let rejects = std::fs::read_to_string(file).unwrap();
    assert_eq!(
        rejects,
        "row,column,reason,value\n4,phones.0.number,not a telephone number,none\n\
         5,phones.0.number,no number,\n"
    );
}

#[tokio::test]
async fn a_pull_that_fails_says_what_to_do_and_leaves_no_list() {
    type Case = (fn(Asked) -> Response, &'static str);
    let cases: [Case; 7] = [
        (|_| StatusCode::UNAUTHORIZED.into_response(), "--crm-token"),
        (|_| StatusCode::NOT_FOUND.into_response(), "address right"),
        (
            |_| (StatusCode::FOUND, [("location", "/x")]).into_response(),
            "redirects are not followed",
        ),
        (|_| StatusCode::BAD_GATEWAY.into_response(), "pull later"),
        (|_| "<html>".into_response(), "it is HTML"),
        (|_| body(&json!({ "people": [] })), "\"records\" are missing"),
        (
            |asked| {
                let next = "http://192.0.2.1/segment?page=2";
                body(&json!({ "records": records(asked.page, 5, 5), "next": next }))
            },
            "on another host",
        ),
    ];
    for (answer, hint) in cases {
        let world = World::new().await;
        let addr = crm(answer).await;
        let error = pull_from(&world, addr, MAP).await.unwrap_err().to_string();
        assert!(error.contains(hint), "{hint}: {error}");
        assert_eq!(world.number("SELECT COUNT(*) FROM contact").await, 0, "{hint}");
        assert_eq!(world.number("SELECT COUNT(*) FROM list WHERE state = 'ready'").await, 0);
    }
    let world = World::new().await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = pull_from(&world, nobody, MAP).await.unwrap_err().to_string();
    assert!(error.contains("does not answer"), "{error}");
}

#[tokio::test]
async fn a_pull_fails_late_without_leaving_half_of_it() {
    let addr = crm(|asked| {
        if asked.page > 2 {
            return StatusCode::FORBIDDEN.into_response();
        }
        body(&json!({ "records": records(asked.page, 500, 5_000) }))
    })
    .await;
    let world = World::new().await;
    assert!(matches!(pull_from(&world, addr, MAP).await, Err(PullError::Token(403))));
    assert_eq!(world.number("SELECT COUNT(*) FROM contact").await, 0);
}

#[tokio::test]
async fn progress_grows_to_the_total() {
    let addr = crm(|asked| {
        let records = records(asked.page, 500, 1_600);
        body(&json!({ "records": records, "total": 1_600 }))
    })
    .await;
    let world = World::new().await;
    let seen = Mutex::new(Vec::<Progress>::new());
    let reading = Reading::parse(Some(MAP), None, None).unwrap();
    let segment =
        Segment { url: format!("http://{addr}/s"), token: None, allow_private_addresses: true };
    let progress = |now| seen.lock().unwrap().push(now);
    pull_with(world.import(reading), &segment, &QUICK, progress).await.unwrap();
    let rows: Vec<u64> = seen.lock().unwrap().iter().map(|now| now.rows).collect();
    assert_eq!(rows, [500, 1_000, 1_500, 1_600]);
    assert!(seen.lock().unwrap().iter().all(|now| now.total == Some(1_600)));
}

#[tokio::test]
async fn a_private_address_is_refused_unless_allowed() {
    let addr = crm(|_| body(&json!({ "records": [] }))).await;
    let world = World::new().await;
    let segment =
        Segment { url: format!("http://{addr}/s"), token: None, allow_private_addresses: false };
    let import = world.import(Reading::default());
    let error = pull_with(import, &segment, &QUICK, |_| {}).await.unwrap_err();
    assert!(error.to_string().contains("private"), "{error}");
}
