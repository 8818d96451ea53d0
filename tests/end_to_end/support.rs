//! A lab and a daemon as processes, the set-up between them, and waiting with a deadline.

use std::future::Future;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use campanile::adapters::crm::http::plain_client;
use campanile::adapters::store::Db;
use campanile::adapters::store::attempts::AttemptRow;
use campanile::adapters::views::BoardView;
use campanile::app::cli::{ConfigArg, Remote};
use campanile::app::client::Client;
use campanile::domain::abandon::AbandonLimit;
use campanile::domain::calling_hours::CallingHours;
use campanile::domain::ids::CampaignId;
use campanile::lab::world::{WorldInfo, WorldLedger, WorldLive};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

/// Between two looks at something that is waited for.
pub(crate) const LOOK: Duration = Duration::from_millis(10);
/// A process of ours starts within this time, on a machine that compiles beside it too.
const START_MAX: Duration = Duration::from_secs(30);

static ONE: Mutex<()> = Mutex::const_new(());

/// These tests measure and shoot at times of their own: one after the other, each has the machine.
pub(crate) async fn alone() -> MutexGuard<'static, ()> {
    ONE.lock().await
}

/// Asks until there is an answer; fails in words after `max`.
pub(crate) async fn until<T, F, R>(max: Duration, what: &str, mut ask: F) -> T
where
    F: FnMut() -> R,
    R: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + max;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "{max:?} passed: {what}");
        tokio::time::sleep(LOOK).await;
    }
}

/// A signal to a process that was started here.
pub(crate) fn signal(child: &Child, name: &str) {
    // `kill` of the shell itself: nothing has to be installed for it.
    let kill = format!("kill -{name} {}", child.id());
    let status = Command::new("sh").args(["-c", &kill]).status().unwrap();
    assert!(status.success(), "{kill}");
}

/// What a lab is started with.
#[derive(Clone, Copy)]
pub(crate) struct LabOptions {
    pub(crate) contacts: u32,
    pub(crate) agents: u32,
    pub(crate) seed: u64,
    pub(crate) speed: f64,
}

/// `campanile lab`: carrier, phones, robots at the desks and CRM. It ends with this value.
pub(crate) struct Lab {
    child: Child,
    control: String,
    http: reqwest::Client,
    pub(crate) info: WorldInfo,
    pub(crate) options: LabOptions,
}

impl Lab {
    pub(crate) fn start(options: LabOptions) -> Self {
        use std::io::BufRead;
        let mut child = Command::new(env!("CARGO_BIN_EXE_campanile"))
            .arg("lab")
            .args(["--contacts", &options.contacts.to_string()])
            .args(["--agents", &options.agents.to_string()])
            .args(["--seed", &options.seed.to_string()])
            .args(["--speed", &options.speed.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let out = child.stdout.as_mut().unwrap();
        std::io::BufReader::new(out).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        Self {
            child,
            control: said["control"].as_str().unwrap().to_owned(),
            http: plain_client(Duration::from_secs(5)).unwrap(),
            info: serde_json::from_value(said["world"].clone()).unwrap(),
            options,
        }
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> T {
        let answer = self.http.get(format!("{}{path}", self.control)).send().await.unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    /// Everybody's books.
    pub(crate) async fn ledger(&self) -> WorldLedger {
        self.get("/ledger").await
    }

    /// What goes on at the moment.
    pub(crate) async fn live(&self) -> WorldLive {
        self.get("/live").await
    }

    /// A POST to the control, for example `/agents/stop?how=vanish`.
    pub(crate) async fn order(&self, path: &str, body: &Value) {
        let post = self.http.post(format!("{}{path}", self.control)).json(body);
        let answer = post.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
    }

    /// Seats a robot at each phone.
    pub(crate) async fn seat(&self, daemon: &Daemon, campaign: &Campaign) {
        self.order("/desks", &json!({ "api": daemon.url(), "tokens": campaign.tokens })).await;
    }

    /// The whole outside stands still, as if the network had gone.
    pub(crate) fn freeze(&self) {
        signal(&self.child, "STOP");
    }

    /// It goes on.
    pub(crate) fn thaw(&self) {
        signal(&self.child, "CONT");
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Already gone is as good.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// `campanile serve` with a data folder and ports that outlive each of its processes.
pub(crate) struct Daemon {
    folder: Option<TempDir>,
    child: Option<Child>,
    http_port: u16,
    runs: u32,
    tracer: Vec<String>,
}

impl Daemon {
    /// A folder with a configuration; nothing runs yet. `more` is added to it, for example
    /// `[shutdown]\ndrain_s = 5`.
    pub(crate) fn new(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Held until all are chosen, so that they differ.
        let http = TcpListener::bind("127.0.0.1:0").unwrap();
        let sip = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (http_port, sip_port) =
            (http.local_addr().unwrap().port(), sip.local_addr().unwrap().port());
        let media = media_ports();
        let config = format!(
            "data_dir = \"{}\"\n[http]\nlisten = \"127.0.0.1:{http_port}\"\n[sip]\n\
             listen = \"127.0.0.1:{sip_port}\"\n[media]\nports = \"{media}-{}\"\n\
             [crm]\nallow_private_addresses = true\n[log]\nlevel = \"info\"\n{more}\n",
            folder.path().join("data").display(),
            media + 1_999,
        );
        std::fs::write(folder.path().join("campanile.toml"), config).unwrap();
        Self { folder: Some(folder), child: None, http_port, runs: 0, tracer: Vec::new() }
    }

    /// Its processes run under this command, which has to leave them children of the test.
    pub(crate) fn under(mut self, tracer: &str) -> Self {
        self.tracer = tracer.split_whitespace().map(str::to_owned).collect();
        self
    }

    fn folder(&self) -> &Path {
        self.folder.as_ref().unwrap().path()
    }

    /// Where its database, token and run log are.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder().join("data")
    }

    /// Where its pages are.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http_port)
    }

    /// Starts a process; it is not ready yet.
    pub(crate) fn spawn(&mut self) {
        self.runs += 1;
        let log = std::fs::File::create(self.log_file(self.runs)).unwrap();
        let program = env!("CARGO_BIN_EXE_campanile");
        let mut words = self.tracer.iter().map(String::as_str).chain([program]);
        let child = Command::new(words.next().unwrap())
            .args(words)
            .args(["serve", "--config"])
            .arg(self.folder().join("campanile.toml"))
            .current_dir(self.folder())
            .env_clear()
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// Starts a process and waits until it can be given work.
    pub(crate) async fn start(&mut self) {
        self.spawn();
        self.ready().await;
    }

    /// Waits until the process can be given work.
    pub(crate) async fn ready(&mut self) {
        let http = plain_client(Duration::from_secs(1)).unwrap();
        let url = format!("{}/readyz", self.url());
        let deadline = Instant::now() + START_MAX;
        loop {
            let answer = http.get(&url).timeout(Duration::from_secs(1)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert_eq!(ended, None, "the daemon ended by itself:\n{}", self.log());
            assert!(Instant::now() < deadline, "the daemon is not ready:\n{}", self.log());
            tokio::time::sleep(LOOK).await;
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// The process stands still where it is.
    pub(crate) fn freeze(&self) {
        signal(self.child.as_ref().unwrap(), "STOP");
    }

    /// It goes on.
    pub(crate) fn thaw(&self) {
        signal(self.child.as_ref().unwrap(), "CONT");
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        signal(self.child.as_ref().unwrap(), "TERM");
    }

    /// Waits for the process to end by itself.
    pub(crate) async fn ended(&mut self, max: Duration) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        let deadline = Instant::now() + max;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            if Instant::now() >= deadline {
                child.kill().unwrap();
                panic!("it did not end within {max:?}:\n{}", self.log());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn log_file(&self, run: u32) -> PathBuf {
        self.folder().join(format!("run-{run}.log"))
    }

    /// What the newest process said.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_file(self.runs)).unwrap_or_default()
    }

    /// Its API, as its own command line has it.
    pub(crate) fn api(&self) -> Client {
        let token = std::fs::read_to_string(self.data_dir().join("cli.token")).unwrap();
        Client::of(&Remote {
            config: ConfigArg::default(),
            url: Some(self.url()),
            token: Some(token.trim().to_owned()),
            json: false,
        })
        .unwrap()
    }

    fn database(&self) -> PathBuf {
        self.data_dir().join("campanile.db")
    }

    /// Its database by the program's own store.
    pub(crate) async fn db(&self) -> Db {
        Db::open(&format!("sqlite:{}", self.database().display())).await.unwrap()
    }

    /// Its database for questions of a test; nothing can be written.
    pub(crate) async fn sql(&self) -> sqlx::SqlitePool {
        self.try_sql().await.unwrap()
    }

    /// The same, if there is a database.
    pub(crate) async fn try_sql(&self) -> Option<sqlx::SqlitePool> {
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(self.database())
            .pragma("query_only", "ON");
        sqlx::sqlite::SqlitePoolOptions::new().max_connections(1).connect_with(options).await.ok()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Already gone is as good.
            child.kill().ok();
            child.wait().ok();
        }
        if std::thread::panicking()
            && let Some(folder) = self.folder.take()
        {
            println!("database and logs are kept in {}", folder.keep().display());
        }
    }
}

/// The first of 2,000 ports for RTP of which the first is free: the configuration wants a range.
fn media_ports() -> u16 {
    (10_000..30_000)
        .step_by(2_000)
        .map(|first| first + u16::try_from(std::process::id() % 90).unwrap() * 2)
        .find(|first| UdpSocket::bind(("127.0.0.1", *first)).is_ok())
        .unwrap()
}

/// A campaign that dials.
pub(crate) struct Campaign {
    pub(crate) id: i64,
    /// Bearer tokens of its agents, the first phone's first.
    pub(crate) tokens: Vec<String>,
}

/// Sets trunk, CRM, list, agents and campaign up through the API and starts the campaign; the agents
/// are not seated yet. `settings` are laid over those of a campaign that dials the whole day,
/// predictively, with the lab's human times.
pub(crate) async fn set_up(daemon: &Daemon, lab: &Lab, settings: Value) -> Campaign {
    let api = daemon.api();
    let trunk = json!({
        "name": "Lab carrier",
        "profile": "lab",
        "address": lab.info.carrier,
        "caller_ids": ["+12125550199", "+442079460999"],
        "calls_per_second": 50,
        "lines": 1_000,
        "allowed_prefixes": ["+1", "+4420794"],
    });
    let trunk = api.post("/trunks", &trunk).await.unwrap();
    let endpoint = json!({ "name": "Lab CRM", "url": lab.info.events_url });
    let endpoint = api.post("/crm-endpoints", &endpoint).await.unwrap();
    lab.order("/crm/secret", &json!({ "secret": endpoint["secret"] })).await;
    let pull = json!({
        "name": "Lab segment", "url": lab.info.segment_url, "map": lab.info.mapping,
    });
    let job = api.post("/lists/pull", &pull).await.unwrap();
    let job = format!("/jobs/{}", job["job"].as_str().unwrap());
    let list = until(START_MAX, "the list is pulled", async || {
        let state: Value = api.get(&job).await.unwrap();
        assert_ne!(state["state"], "failed", "{state}");
        (state["state"] == "done").then(|| state["report"]["list"].clone())
    })
    .await;
    let mut campaign = plain_campaign(lab, &trunk["id"], &list);
    for (key, value) in settings.as_object().unwrap() {
        campaign[key] = value.clone();
    }
    let campaign = api.post("/campaigns", &campaign).await.unwrap()["id"].as_i64().unwrap();
    let mut tokens = Vec::new();
    for (n, phone) in lab.info.phones.iter().enumerate() {
        let name = format!("Agent {}", n + 1);
        let agent =
            json!({ "name": name, "phone": phone, "campaigns": [campaign], "with_token": true });
        let agent = api.post("/agents", &agent).await.unwrap();
        tokens.push(agent["token"].as_str().unwrap().to_owned());
    }
    api.post(&format!("/campaigns/{campaign}/start"), &json!({})).await.unwrap();
    Campaign { id: campaign, tokens }
}

fn plain_campaign(lab: &Lab, trunk: &Value, list: &Value) -> Value {
    let zone = chrono_tz::Tz::America__New_York;
    let first_day = chrono::NaiveDate::from_ymd_opt(2026, 1, 1).unwrap();
    let divided = |ms: f64| {
        let ms = Duration::from_secs_f64(ms / 1_000.0 / lab.options.speed).as_millis();
        u64::try_from(ms).unwrap()
    };
    json!({
        "name": "End to end",
        "mode": { "kind": "predictive" },
        "trunk": trunk,
        "lists": [list],
        "legal_zone": zone.name(),
        "calling_hours": CallingHours::all_day(),
        "abandon_limit": AbandonLimit::us(zone, first_day),
        "ring_timeout_ms": divided(25_000.0).max(1_000),
        "wrap_up_ms": divided(60_000.0),
        "number_gap_s": 1,
        "lines_max": 1_000,
    })
}

/// The campaign as the manager sees it.
pub(crate) async fn board(api: &Client, campaign: &Campaign) -> BoardView {
    api.get(&format!("/campaigns/{}/board", campaign.id)).await.unwrap()
}

/// Pauses the campaign and waits until no call is in the air, nobody writes up a call, and every CRM
/// event is delivered.
pub(crate) async fn settle(daemon: &Daemon, campaign: &Campaign, max: Duration) {
    let api = daemon.api();
    let db = daemon.db().await;
    api.post(&format!("/campaigns/{}/pause", campaign.id), &json!({})).await.unwrap();
    let id = CampaignId::new(campaign.id);
    until(max, "calls end and CRM events are delivered", async || {
        let board = board(&api, campaign).await;
        let busy = ["on_call", "wrap_up", "preview", "dialling"];
        let working = board.agents.iter().any(|agent| busy.contains(&agent.state.as_str()));
        let live = db.contact_counts(id).await.unwrap().live;
        let waiting = db.outbox_counts().await.unwrap().waiting;
        (board.calls.is_empty() && !working && live == 0 && waiting == 0).then_some(())
    })
    .await;
    db.close().await;
}

/// Every attempt of a campaign.
pub(crate) async fn all_attempts(db: &Db, campaign: &Campaign) -> Vec<AttemptRow> {
    let mut all: Vec<AttemptRow> = Vec::new();
    loop {
        let after = all.last().map(|row| row.attempt);
        let page = db.attempts_page(CampaignId::new(campaign.id), after, 1_000).await.unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}
