//! `campanile lab`: carrier, phones and CRM in a process of their own, for tests that kill the
//! daemon and must find its counterparts alive.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;

use super::cli::LabArgs;
use super::clock::Clock;
use super::{output, run};
use crate::lab::control::Control;
use crate::lab::world::{World, WorldConfig};

/// Runs `campanile lab` until it is killed. The first line on standard output is a JSON object with
/// the addresses of everything.
pub fn lab(args: LabArgs) -> anyhow::Result<ExitCode> {
    run::runtime()?.block_on(async {
        let mut config =
            WorldConfig::on_loopback(args.contacts, args.agents, args.seed, args.speed);
        config.carrier.listen = args.carrier;
        config.phones.listen = args.phones;
        config.crm.listen = args.crm;
        let clock = Clock::start();
        let world = World::start(config, Arc::new(move || clock.now()))
            .await
            .context("cannot start the lab")?;
        let info = world.info();
        let control = Control::start(Arc::new(world), args.control).await?;
        output::line(
            &serde_json::json!({ "control": format!("http://{}", control.local_addr()), "world": info }).to_string(),
        );
        tokio::signal::ctrl_c().await?;
        Ok(ExitCode::SUCCESS)
    })
}
