//! Databases to test on, and the settings, runs and attempts that most tests start from.

use std::time::Duration;

use campanile::adapters::secret::Secret;
use campanile::adapters::store::Db;
use campanile::adapters::store::crm_endpoints::{EndpointId, NewEndpoint};
use campanile::adapters::store::leases::Epoch;
use campanile::adapters::store::lists::NewContact;
use campanile::adapters::store::writer::{self, Write, WriterHandle, Written};
use campanile::domain::abandon::AbandonLimit;
use campanile::domain::attempt::{
    AbandonCount, AttemptEnd, AttemptKey, DispositionRecord, Evidence, Intent, Record, Times,
};
use campanile::domain::call_result::CallResult;
use campanile::domain::calling_hours::CallingHours;
use campanile::domain::campaign::{CampaignSettings, Mode};
use campanile::domain::contact::{NumberType, ReadyRecord};
use campanile::domain::disposition::NextAction;
use campanile::domain::ids::{
    AgentId, AttemptId, CampaignId, CrmEventId, ListId, TrunkId, uuid_v7,
};
use campanile::domain::phone::E164;
use campanile::domain::retry::{ContactNext, RetryRules};
use campanile::domain::time::Utc;
use campanile::domain::trunk::TrunkSettings;
use chrono_tz::Tz;
use sqlx::AssertSqlSafe;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A Monday noon; every test's time is counted from here.
pub(crate) const START: Utc = Utc::from_ms(1_760_000_000_000);

/// One database to test on.
pub(crate) struct Place {
    pub name: &'static str,
    pub url: String,
    pub db: Db,
    _folder: tempfile::TempDir,
}

/// An empty database of each kind.
pub(crate) async fn each_db() -> Vec<Place> {
    let mut places = vec![];
    for (name, is_postgres) in [("sqlite", false), ("postgres", true)] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("campanile.db");
        let url =
            if is_postgres { crate::postgres::url() } else { format!("sqlite:{}", file.display()) };
        let db = Db::open(&url).await.unwrap();
        places.push(Place { name, url, db, _folder: folder });
    }
    places
}

/// `ms` after [`START`].
pub(crate) fn at(ms: i64) -> Utc {
    Utc::from_ms(START.as_ms() + ms)
}

pub(crate) fn trunk_settings() -> TrunkSettings {
    TrunkSettings {
        name: "lab".into(),
        profile: "lab".into(),
        address: "127.0.0.1:5060".parse().unwrap(),
        domain: String::new(),
        caller_ids: vec![E164::parse("+12125550100").unwrap()],
        calls_per_second: 50,
        lines: 100,
        allowed_prefixes: vec!["1".into(), "44".into()],
        networks: vec![],
        username: None,
        password: None,
    }
}

pub(crate) fn campaign_settings(trunk: TrunkId) -> CampaignSettings {
    CampaignSettings {
        name: "autumn".into(),
        mode: Mode::Predictive,
        legal_zone: Tz::UTC,
        calling_hours: CallingHours::all_day(),
        abandon_limit: AbandonLimit::us(Tz::UTC, "2025-10-01".parse().unwrap()),
        ring_timeout_ms: 20_000,
        wrap_up_ms: 0,
        attempts_max: 3,
        number_gap_s: 60,
        retry: RetryRules::default(),
        trunk,
        lines_max: 100,
        preview_timeout_ms: 0,
        abandon_message: String::new(),
        script: String::new(),
        dispositions: vec![],
    }
}

/// `n` people with numbers of their own, priority 0.
pub(crate) fn people(n: u32) -> Vec<NewContact> {
    (0..n).map(|i| person(i, 0)).collect()
}

pub(crate) fn person(i: u32, priority: i32) -> NewContact {
    NewContact {
        external_ref: format!("crm-{i}"),
        name: format!("Людина {i}"),
        number: E164::from_digits(12_120_000_000 + u64::from(i)).unwrap(),
        zone: Tz::America__New_York,
        number_type: NumberType::FixedOrMobile,
        priority,
        fields: vec![("city".into(), "Львів".into())],
    }
}

/// A committed list.
pub(crate) async fn list(db: &Db, contacts: &[NewContact]) -> ListId {
    let list = db.begin_list("segment", "test", START).await.unwrap();
    db.add_contacts(list, contacts, START).await.unwrap();
    db.commit_list(list, START).await.unwrap();
    list
}

/// A trunk and a campaign that dials `contacts` through it.
pub(crate) async fn campaign(db: &Db, contacts: &[NewContact]) -> CampaignId {
    let trunk = db.create_trunk(&trunk_settings(), "test", START).await.unwrap();
    let settings = campaign_settings(trunk);
    let campaign = db.create_campaign(&settings, "test", START).await.unwrap();
    let list = list(db, contacts).await;
    db.set_campaign_lists(campaign, &[list], "test", START).await.unwrap();
    campaign
}

impl Place {
    /// Runs a statement past the store, as a person with a database shell would.
    pub(crate) async fn shell(&self, sql: &str) {
        if let Some(options) = self.postgres_options() {
            let pool = sqlx::PgPool::connect_with(options).await.unwrap();
            sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&pool).await.unwrap();
            return pool.close().await;
        }
        let pool = sqlx::SqlitePool::connect(&self.url).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&pool).await.unwrap();
        pool.close().await;
    }

    /// The one number that a query gives.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let sql = AssertSqlSafe(sql.to_owned());
        if let Some(options) = self.postgres_options() {
            let pool = sqlx::PgPool::connect_with(options).await.unwrap();
            return sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap();
        }
        let pool = sqlx::SqlitePool::connect(&self.url).await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap()
    }

    /// How to reach the same schema; `None` on SQLite.
    pub(crate) fn postgres_options(&self) -> Option<sqlx::postgres::PgConnectOptions> {
        let (base, schema) = self.url.split_once("&schema=")?;
        let options: sqlx::postgres::PgConnectOptions = base.parse().unwrap();
        Some(options.options([("search_path", schema)]))
    }
}

/// A run of the program: its epoch and its writer.
pub(crate) struct Run {
    pub epoch: Epoch,
    pub writer: WriterHandle,
    pub answers: mpsc::Receiver<Written>,
    pub task: JoinHandle<()>,
}

pub(crate) async fn run(db: &Db, ms: i64) -> Run {
    let epoch = db.begin_epoch("main", at(ms)).await.unwrap();
    writer_of(db, epoch)
}

/// A writer of a run that has begun already.
pub(crate) fn writer_of(db: &Db, epoch: Epoch) -> Run {
    let (writer, task, answers) = writer::writer(db.clone(), epoch.clone(), "test".into());
    Run { epoch, writer, answers, task: tokio::spawn(task.run()) }
}

impl Run {
    /// Sends an intent and waits for its answer.
    pub(crate) async fn intend(&mut self, intent: Intent) -> Written {
        self.send(Write::Intent(intent, "127.0.0.1:5060".into()));
        self.answer().await
    }

    pub(crate) async fn answer(&mut self) -> Written {
        let wait = tokio::time::timeout(Duration::from_secs(30), self.answers.recv());
        wait.await.expect("an answer within 30 s").expect("the writer lives")
    }

    pub(crate) fn send(&self, write: Write) {
        self.writer.send(write).unwrap();
    }

    /// Sends a fact and waits until it is on the disk.
    pub(crate) async fn record(&self, record: Record) {
        self.send(Write::Record(record, None));
        assert!(self.writer.flush().await);
    }
}

/// A uuid that sorts by `n` and is the same in every run.
pub(crate) fn attempt_id(n: u32) -> AttemptId {
    let mut dice = [0; 10];
    dice[6..].copy_from_slice(&n.to_be_bytes());
    AttemptId::from_uuid(uuid_v7(START, dice))
}

pub(crate) fn event_id(n: u32) -> CrmEventId {
    let mut dice = [0xff; 10];
    dice[6..].copy_from_slice(&n.to_be_bytes());
    CrmEventId::from_uuid(uuid_v7(START, dice))
}

/// An intent for a record of the queue, as attempt `n`, `ms` after [`START`].
pub(crate) fn intent(campaign: CampaignId, record: &ReadyRecord, n: u32, ms: i64) -> Intent {
    Intent {
        key: AttemptKey {
            attempt: attempt_id(n),
            campaign,
            contact: record.contact,
            person: record.person,
            number: record.number,
        },
        campaign_version: 1,
        trunk: TrunkId::new(1),
        trunk_version: 1,
        result_map_version: 1,
        caller_id: 0,
        agent: None,
        at: at(ms),
        number_gap_ms: 60_000,
    }
}

/// An end of that attempt, a second after its intent.
pub(crate) fn end(intent: &Intent, result: CallResult, next: ContactNext) -> AttemptEnd {
    let ended = Utc::from_ms(intent.at.as_ms() + 1_000);
    AttemptEnd {
        key: intent.key,
        result,
        evidence: Evidence::default(),
        times: Times {
            intent: intent.at,
            dialled: Some(intent.at),
            ended: Some(ended),
            ..Times::default()
        },
        agent: None,
        answer_to_agent_us: None,
        next,
        count: None,
        event: CrmEventId::from_uuid(intent.key.attempt.as_uuid()),
    }
}

/// How an answered call counts in the window of [`START`].
pub(crate) fn count(abandoned: bool) -> AbandonCount {
    AbandonCount { window_start: window(), abandoned, connected: !abandoned, outside: false }
}

/// First instant of the abandon window that [`START`] belongs to.
pub(crate) fn window() -> Utc {
    campaign_settings(TrunkId::new(1)).abandon_limit.window_at(START).start
}

pub(crate) fn disposition(
    intent: &Intent,
    next: NextAction,
    contact: ContactNext,
    ms: i64,
) -> DispositionRecord {
    DispositionRecord {
        key: intent.key,
        agent: AgentId::new(1),
        code: "said".into(),
        next,
        contact,
        at: at(ms),
        event: CrmEventId::from_uuid(uuid::Uuid::from_u128(
            intent.key.attempt.as_uuid().as_u128() ^ (1 << 64),
        )),
    }
}

/// A receiver of every CRM event.
pub(crate) async fn endpoint(db: &Db, events: &[&str]) -> EndpointId {
    let events: Vec<String> = events.iter().map(|kind| (*kind).to_owned()).collect();
    let secret = Secret::new("whsec_dGVzdA==");
    let new =
        NewEndpoint { name: "crm", url: "http://127.0.0.1:9/", secret: &secret, events: &events };
    db.create_crm_endpoint(&new, "test", START).await.unwrap()
}

/// The next records of a campaign's queue.
pub(crate) async fn ready(db: &Db, campaign: CampaignId, ms: i64) -> Vec<ReadyRecord> {
    db.ready_records(campaign, None, 1_000, at(ms)).await.unwrap().0
}
