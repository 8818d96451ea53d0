//! `campanile trunk …`: the carriers that calls go out through.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use ipnet::IpNet;
use serde_json::Value;

use crate::adapters::gate::TrunkCheck;
use crate::adapters::secret::SecretRef;
use crate::domain::phone::E164;
use crate::domain::trunk::TrunkSettings;

use super::cli::{EXIT_FAILED, Remote};
use super::client::{Client, block_on, part};
use super::output;

/// `campanile trunk …`
#[derive(Debug, Subcommand)]
pub enum TrunkCommand {
    /// Add a trunk.
    #[command(
        after_help = "Example:\n  campanile trunk add --name carrier --address 203.0.113.9:5060 \
        --caller-id +442079460000 --allow +44 --calls-per-second 5 --lines 30"
    )]
    Add(Box<AddArgs>),
    /// Ask a trunk whether it is there (SIP OPTIONS).
    #[command(
        after_help = "Example:\n  campanile trunk check 1\n\nThe exit code is 1 when it does not answer."
    )]
    Check(CheckArgs),
}

/// `campanile trunk add`
#[derive(Debug, Clone, Args)]
pub struct AddArgs {
    /// The name that people see.
    #[arg(long)]
    pub name: String,
    /// Where requests go: IP address and UDP port.
    #[arg(long, value_parser = address)]
    pub address: SocketAddr,
    /// Its kind: a file of sip-profiles/ without .toml.
    #[arg(long, default_value = "generic")]
    pub profile: String,
    /// Host part of Request-URIs; without it the address.
    #[arg(long, default_value = "")]
    pub domain: String,
    /// A number that may be shown to callees, +E.164; repeat it for more.
    #[arg(long = "caller-id", value_name = "NUMBER", value_parser = E164::parse)]
    pub caller_ids: Vec<E164>,
    /// Digits that numbers must begin with, for example +44; repeat it for more. Without any nothing
    /// is dialled.
    #[arg(long = "allow", value_name = "PREFIX", value_parser = prefix)]
    pub allowed_prefixes: Vec<String>,
    /// New calls per second at most.
    #[arg(long, default_value_t = 5)]
    pub calls_per_second: u32,
    /// Calls at once at most.
    #[arg(long, default_value_t = 30)]
    pub lines: u32,
    /// A network from which it may send us requests, beside its address; repeat it for more.
    #[arg(long = "network", value_name = "CIDR")]
    pub networks: Vec<IpNet>,
    /// User name for digest authentication; kept with the trunk, not used before digest is built.
    #[arg(long, requires = "password")]
    pub username: Option<String>,
    /// Where the daemon finds the password: env:NAME or file:PATH.
    #[arg(long, value_name = "SECRET", requires = "username", value_parser = secret_ref)]
    pub password: Option<String>,
    /// The daemon.
    #[command(flatten)]
    pub remote: Remote,
}

/// `campanile trunk check`
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// Which trunk.
    pub id: i64,
    /// The daemon.
    #[command(flatten)]
    pub remote: Remote,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "an IP address and a UDP port, such as 203.0.113.9:5060; names are not looked up yet".into()
    })
}

fn prefix(text: &str) -> Result<String, String> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("a prefix is digits, for example +44".into());
    }
    Ok(text.to_owned())
}

fn secret_ref(text: &str) -> Result<String, String> {
    SecretRef::parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Runs `campanile trunk …`.
pub fn run(command: TrunkCommand) -> anyhow::Result<ExitCode> {
    match command {
        TrunkCommand::Add(args) => block_on(add(*args)),
        TrunkCommand::Check(args) => block_on(check(args)),
    }
}

async fn add(args: AddArgs) -> anyhow::Result<ExitCode> {
    let client = Client::of(&args.remote)?;
    let dials_nothing = args.allowed_prefixes.is_empty();
    let settings = TrunkSettings {
        name: args.name,
        profile: args.profile,
        address: args.address,
        domain: args.domain,
        caller_ids: args.caller_ids,
        calls_per_second: args.calls_per_second,
        lines: args.lines,
        allowed_prefixes: args.allowed_prefixes,
        networks: args.networks,
        username: args.username,
        password: args.password,
    };
    let made: Value = client.post("/trunks", &settings).await?;
    if args.remote.json {
        output::json(&made);
    } else {
        output::line(&format!("trunk {}: {}", part(&made, "id"), settings.name));
        output::line(&format!("is it there?  campanile trunk check {}", part(&made, "id")));
    }
    if dials_nothing {
        output::note("note: without --allow this trunk dials no number");
    }
    Ok(ExitCode::SUCCESS)
}

async fn check(args: CheckArgs) -> anyhow::Result<ExitCode> {
    let client = Client::of(&args.remote)?;
    let answer = client.post(&format!("/trunks/{}/check", args.id), &Value::Null).await?;
    let check: TrunkCheck = serde_json::from_value(answer)?;
    if args.remote.json {
        output::json(&check);
    } else {
        let status = check.status.map(|status| format!(" ({status})")).unwrap_or_default();
        let word = if check.alive { "answers" } else { "does not answer" };
        output::line(&format!("trunk {} {word}{status} after {} ms", args.id, check.took_ms));
        if !check.note.is_empty() {
            output::line(&check.note);
        }
    }
    Ok(if check.alive { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) })
}
