//! The daemon, wired: store, recovery, SIP, media, engine, CRM, pages. `serve` and `demo` run it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::book::Book;
use super::clock::Clock;
use super::config::Config;
use super::driver::{Driver, DriverParts};
use super::recovery;
use super::run_log::{RunLog, RunLogConfig};
use super::sip_profiles;
use crate::adapters::api::{
    ApiOptions, ApiState, ProfileCheck, first_start_link, keep_history, mint_token, router,
};
use crate::adapters::crm::delivery::{self, DeliveryOptions};
use crate::adapters::gate::{Gate, gate};
use crate::adapters::media::{MediaConfig, MediaEvent, MediaHandle, MediaWorker, read_messages};
use crate::adapters::net::sip_udp::{SipHandle, SipUdp, SipUdpConfig};
use crate::adapters::store::Db;
use crate::adapters::store::writer::writer;
use crate::adapters::telemetry::metrics::Metrics;
use crate::domain::time::{Duration, Utc};
use crate::engine::Engine;
use crate::protocols::audio::clip::Clip;
use crate::protocols::sip;

/// Events of one kind that wait for the driver, at most: some seconds of a busy node.
const EVENTS_MAX: usize = 8_192;
/// A segment of the run log.
const SEGMENT_BYTES: u64 = 64 << 20;

/// A daemon that runs.
pub struct Daemon {
    /// Where pages and API are.
    pub base_url: String,
    /// The database, for those who live in the same process.
    pub db: Db,
    /// The way to the driver.
    pub gate: Gate,
    /// The link that makes the administrator, at the first start.
    pub first_link: Option<String>,
    clock: Clock,
    stop: watch::Sender<u8>,
    ending: watch::Sender<bool>,
    driver: JoinHandle<anyhow::Result<()>>,
    writer: JoinHandle<()>,
    delivery: JoinHandle<()>,
    http: JoinHandle<std::io::Result<()>>,
}

impl Daemon {
    /// Starts everything and returns when pages can be opened and calls be made.
    pub async fn start(config: &Config, metrics: Metrics) -> anyhow::Result<Self> {
        let clock = Clock::start();
        let data_dir = &config.data_dir;
        make_data_dir(data_dir)
            .with_context(|| format!("cannot make the data folder {}", data_dir.display()))?;
        let db = Db::open(&config.database_url()?).await.context("cannot open the database")?;
        let epoch = db.begin_epoch(&config.crm.instance, clock.utc()).await?;
        warn_if_clock_stepped_back(&epoch, &clock);
        db.drop_unfinished_lists().await?;
        db.fill_campaigns().await?;
        let book = Book::read(&db, data_dir.clone()).await?;

        let (sip, sip_task, sip_events) = open_sip(config, &clock)?;
        let instance = &config.crm.instance;
        let remains = recovery::end_the_last_run(&db, &book, &epoch, instance, clock.utc()).await?;
        tokio::spawn(sip_task.run(remains.commands));

        let (media, media_events) = start_media(config, &clock)?;
        let seen_until = epoch.seen_until;
        let (writer, writer_task, written) = writer(db.clone(), epoch, instance.clone());
        let writer_task = tokio::spawn(writer_task.run());
        let run_log = open_run_log(config)?;
        let (gate, gate_driver) = gate();
        let (stop, stop_driver) = watch::channel(0);
        let driver = Driver::new(DriverParts {
            clock,
            engine: Engine::new(rand::random()).after(seen_until),
            run_log,
            book,
            db: db.clone(),
            writer,
            written,
            sip,
            sip_events,
            media,
            media_events,
            gate: gate_driver,
            networks: config.sip.networks.clone(),
            node: instance.clone(),
            orphans: remains.orphans,
            stop: stop_driver,
            drain: Duration::from_secs(u64::from(config.shutdown.drain_s)),
        });
        let driver = tokio::spawn(driver.run());

        let (ending, end) = watch::channel(false);
        let delivery = tokio::spawn(delivery::run(
            db.clone(),
            DeliveryOptions {
                allow_private_addresses: config.crm.allow_private_addresses,
                timeout: Duration::from_secs(u64::from(config.crm.timeout_s)),
                ..DeliveryOptions::default()
            },
            clock.utc_fn(),
            end.clone(),
        ));

        let listener = TcpListener::bind(config.http.listen)
            .await
            .with_context(|| format!("cannot listen for HTTP on {}", config.http.listen))?;
        let base_url = base_url(listener.local_addr()?);
        let first_link = first_start_link(&db, &base_url, clock.utc()).await?;
        let state = ApiState::new(ApiOptions {
            db: db.clone(),
            gate: gate.clone(),
            clock: clock.utc_fn(),
            metrics,
            instance: config.crm.instance.clone(),
            hosts: config.http.names.clone(),
            base_url: base_url.clone(),
            allow_private_addresses: config.crm.allow_private_addresses,
            check_profile: check_profile(config.data_dir.clone()),
            rejects_dir: config.rejects_dir(),
            shutdown: end.clone(),
        });
        write_cli_token(config, &db, &clock).await?;
        tokio::spawn(keep_history(gate.clone(), state.clone()));
        let http = tokio::spawn(serve_http(listener, state, end));
        Ok(Self {
            base_url,
            db,
            gate,
            first_link,
            clock,
            stop,
            ending,
            driver,
            writer: writer_task,
            delivery,
            http,
        })
    }

    /// Asks for the end: no new calls, talks end by themselves. Asked again, it hurries.
    pub fn stop(&self) {
        self.stop.send_modify(|stop| *stop = stop.saturating_add(1));
    }

    /// Waits until the driver has drained, then ends the rest in order: what was recorded is
    /// written, CRM events are flushed, pages close.
    pub async fn ended(self) -> anyhow::Result<()> {
        let driven = self.driver.await.context("the driver died")?;
        // The driver held the writer's last handle: what waits is written, then it ends.
        self.writer.await.context("the writer died")?;
        self.ending.send_replace(true);
        self.delivery.await.context("delivery died")?;
        self.http.await.context("HTTP died")??;
        self.db.close().await;
        driven
    }

    /// The wall clock, for those who live in the same process.
    pub fn now(&self) -> Utc {
        self.clock.utc()
    }

    /// Completes when the driver has ended by itself, which it does only after a fault.
    pub fn has_died(&self) -> bool {
        self.driver.is_finished()
    }
}

/// Names, numbers and secrets are in it: it is its owner's alone.
fn make_data_dir(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Says whether a trunk's SIP profile can be used.
fn check_profile(data_dir: PathBuf) -> ProfileCheck {
    Arc::new(move |name| {
        sip_profiles::load(&data_dir, name).map(|_| ()).map_err(|error| error.to_string())
    })
}

/// Where pages find us; an address that means "all" is reached on loopback from here.
fn base_url(mut listen: SocketAddr) -> String {
    if listen.ip().is_unspecified() {
        listen.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    format!("http://{listen}")
}

/// Opens the SIP socket and its task.
fn open_sip(
    config: &Config,
    clock: &Clock,
) -> anyhow::Result<(SipHandle, SipUdp, mpsc::Receiver<sip::Event>)> {
    let (out, events) = mpsc::channel(EVENTS_MAX);
    let settings = SipUdpConfig {
        listen: config.sip.listen,
        advertise: config.sip.advertise.clone().told(),
        user_agent: config.sip.user_agent.clone(),
        networks: config.sip.networks.clone(),
        seed: rand::random(),
    };
    let (handle, task) = SipUdp::bind(settings, clock.mono_fn(), out)
        .with_context(|| format!("cannot listen for SIP on {}", config.sip.listen))?;
    Ok((handle, task, events))
}

/// Starts the media thread with the abandon messages of the configuration.
fn start_media(
    config: &Config,
    clock: &Clock,
) -> anyhow::Result<(MediaHandle, mpsc::Receiver<MediaEvent>)> {
    let (out, events) = mpsc::channel(EVENTS_MAX);
    let settings = MediaConfig {
        address: config.media.address,
        advertise: config.media.advertise.clone().told(),
        ports: config.media.ports.first..=config.media.ports.last,
        messages: messages(&config.messages_dir())?,
    };
    let handle =
        MediaWorker::start(settings, clock.mono_fn(), out).context("cannot start media")?;
    Ok((handle, events))
}

fn open_run_log(config: &Config) -> anyhow::Result<RunLog> {
    let dir = config.run_log_dir();
    let settings = RunLogConfig {
        dir: dir.clone(),
        segment_bytes: SEGMENT_BYTES,
        // Zero is no limit, as the sample file says.
        total_bytes: match config.run_log.max_mb {
            0 => u64::MAX,
            mb => mb.saturating_mul(1 << 20),
        },
        keep: match config.run_log.keep_days {
            0 => Duration::MAX,
            days => Duration::from_secs(86_400 * u64::from(days)),
        },
    };
    RunLog::open(settings).with_context(|| format!("cannot write the run log in {}", dir.display()))
}

async fn serve_http(
    listener: TcpListener,
    state: ApiState,
    mut end: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let app = router(state).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            // An error means that the sender is gone, which is an end as well.
            while !*end.borrow_and_update() && end.changed().await.is_ok() {}
        })
        .await
}

fn messages(folder: &Path) -> anyhow::Result<BTreeMap<String, Clip>> {
    if !folder.is_dir() {
        return Ok(BTreeMap::new());
    }
    Ok(read_messages(folder)?)
}

fn warn_if_clock_stepped_back(epoch: &crate::adapters::store::leases::Epoch, clock: &Clock) {
    let now = clock.utc();
    if let Some(seen) = epoch.seen_until.filter(|seen| *seen > now) {
        let behind_ms = seen.as_ms() - now.as_ms();
        tracing::warn!(
            behind_ms,
            "the wall clock is behind the last run: rules are judged by both"
        );
    }
}

/// The token of this machine's command line, readable by its owner alone.
async fn write_cli_token(config: &Config, db: &Db, clock: &Clock) -> anyhow::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let path = config.cli_token_file();
    if path.exists() {
        return Ok(());
    }
    let role = crate::adapters::api::auth::Role::Admin;
    let token = mint_token(db, "command line", role, None, clock.utc()).await?;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file =
        options.open(&path).with_context(|| format!("cannot write {}", path.display()))?;
    writeln!(file, "{}", token.reveal())?;
    Ok(())
}
