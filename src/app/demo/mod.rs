//! `campanile demo`: the daemon with a lab around it, on this machine alone.
//!
//! The daemon is the one that `serve` runs, in this process; everything is set up through its HTTP
//! API, as an integrator would. At the end the ledgers of dialer, carrier and CRM are compared.

mod compare;
mod report;
mod setup;
mod watch;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;

pub use compare::{Comparison, DialerBooks, compare};

use super::cli::{DemoArgs, EXIT_FAILED};
use super::clock::Clock;
use super::config::{Auto, Config, PortRange};
use super::daemon::Daemon;
use super::{output, run};
use crate::adapters::telemetry::logs::{self, LogFormat};
use crate::adapters::telemetry::metrics::Metrics;
use crate::lab::people::PEOPLE_MAX;
use crate::lab::world::{World, WorldConfig};

/// The lab's part of the world and the daemon, running.
struct Demo {
    args: DemoArgs,
    world: World,
    daemon: Daemon,
    campaign: i64,
    /// The link that opens the manager's page.
    manager: String,
    /// The link that opens the page of an agent without a robot.
    own_desk: String,
}

/// Runs `campanile demo`.
pub fn demo(args: DemoArgs) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        args.contacts <= PEOPLE_MAX,
        "the demo has {PEOPLE_MAX} numbers reserved for fiction; ask for fewer contacts"
    );
    logs::init(LogFormat::Text, "warn")?;
    let metrics = Metrics::install()?;
    let scratch = tempfile::tempdir().context("cannot make a work folder")?;
    let dir = args.dir.clone().unwrap_or_else(|| scratch.path().to_owned());
    let keep = args.keep || args.dir.is_some();
    let code = run::runtime()?.block_on(play(args, dir.clone(), metrics))?;
    if keep {
        // Kept under its name: the folder is not deleted.
        let kept = if dir == scratch.path() { scratch.keep() } else { dir };
        output::note(&format!("work folder: {}", kept.display()));
    }
    Ok(code)
}

async fn play(args: DemoArgs, dir: PathBuf, metrics: Metrics) -> anyhow::Result<ExitCode> {
    let began = Clock::start();
    let config = config(&args, dir);
    let daemon = Daemon::start(&config, metrics).await?;
    // One phone more than robots: whoever watches may sit down at it.
    let phones = args.agents + 1;
    let world_config = WorldConfig::on_loopback(args.contacts, phones, args.seed, args.speed);
    let lab_clock = Clock::start();
    let world = World::start(world_config, Arc::new(move || lab_clock.now()))
        .await
        .context("cannot start the lab")?;
    let set_up = setup::set_up(&args, &config, &daemon, &world).await?;
    let demo = Demo {
        args,
        world,
        daemon,
        campaign: set_up.campaign,
        manager: set_up.manager_link,
        own_desk: set_up.own_desk_link,
    };
    watch::introduce(&demo);
    let why_over = watch::watch(&demo).await?;
    let took = began.mono();
    let report = report::close(demo, why_over, took).await?;
    let agree = report.agree;
    report.print();
    Ok(if agree { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) })
}

/// The daemon of a demo: loopback, free ports, everything in the work folder.
fn config(args: &DemoArgs, dir: PathBuf) -> Config {
    let mut config = Config { data_dir: dir, ..Config::default() };
    if let Some(url) = &args.database {
        config.database.url = Auto::Is(url.clone());
    }
    config.http.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, free_or_any(args.port)));
    config.sip.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    config.media.ports = PortRange { first: 0, last: 0 };
    config.crm.allow_private_addresses = true;
    config.crm.instance = "demo".to_owned();
    config.shutdown.drain_s = 60;
    config
}

/// The port that was asked for, unless something else has it.
fn free_or_any(port: u16) -> u16 {
    match std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => port,
        Err(_) => {
            output::note(&format!("port {port} is taken; the pages get another"));
            0
        }
    }
}
