//! `campanile serve`: the daemon until SIGTERM.

use std::process::ExitCode;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use super::cli::ServeArgs;
use super::daemon::Daemon;
use super::output;
use crate::adapters::telemetry::logs;
use crate::adapters::telemetry::metrics::Metrics;
use crate::domain::time::Duration;

/// Runs `campanile serve`.
pub fn serve(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let loaded = args.config.load()?;
    let config = loaded.config;
    logs::init(config.log.format, &config.log.level)?;
    let metrics = Metrics::install()?;
    runtime()?.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let daemon = Daemon::start(&config, metrics).await?;
        output::line(&format!("campanile is at {}", daemon.base_url));
        if let Some(link) = &daemon.first_link {
            output::line(&format!("make the administrator, once, at {link}"));
        }
        while !daemon.has_died() {
            tokio::select! {
                _ = terminate.recv() => daemon.stop(),
                _ = interrupt.recv() => daemon.stop(),
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
            }
        }
        daemon.ended().await?;
        Ok(ExitCode::SUCCESS)
    })
}

/// The runtime of the shells; media and the run log have threads of their own.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
}
