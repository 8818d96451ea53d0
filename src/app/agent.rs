//! `campanile agent …`: the people who take calls.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::cli::Remote;
use super::client::{Client, block_on, part};
use super::output;

/// `campanile agent …`
#[derive(Debug, Subcommand)]
pub enum AgentCommand {
    /// Add an agent; prints the link that logs them in once.
    #[command(
        after_help = "Example:\n  campanile agent add --name Olena --phone sip:101@10.1.0.7:5060 --campaign 1"
    )]
    Add(AddArgs),
}

/// `campanile agent add`
#[derive(Debug, Clone, Args)]
pub struct AddArgs {
    /// The name that people see.
    #[arg(long)]
    pub name: String,
    /// Their phone's SIP address.
    #[arg(long, value_name = "SIP_URI", value_parser = sip_uri)]
    pub phone: String,
    /// A campaign whose calls they take; repeat it for more.
    #[arg(long = "campaign", value_name = "ID")]
    pub campaigns: Vec<i64>,
    /// The daemon.
    #[command(flatten)]
    pub remote: Remote,
}

fn sip_uri(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("sip:").unwrap_or("");
    if rest.is_empty() || rest.contains(char::is_whitespace) {
        return Err("a phone is written sip:USER@HOST or sip:USER@HOST:PORT".into());
    }
    Ok(text.to_owned())
}

/// Runs `campanile agent …`.
pub fn run(command: AgentCommand) -> anyhow::Result<ExitCode> {
    let AgentCommand::Add(args) = command;
    block_on(add(args))
}

async fn add(args: AddArgs) -> anyhow::Result<ExitCode> {
    let client = Client::of(&args.remote)?;
    let body = json!({ "name": args.name, "phone": args.phone, "campaigns": args.campaigns });
    let made = client.post("/agents", &body).await?;
    if args.remote.json {
        output::json(&made);
        return Ok(ExitCode::SUCCESS);
    }
    output::line(&format!("agent {}: {}", part(&made, "id"), args.name));
    if let Some(link) = part(&made, "link").as_str() {
        // The daemon may not know under which name it is reached; a bare path is made whole.
        let link = if link.starts_with('/') { client.page(link) } else { link.to_owned() };
        output::line(&format!("log-in link, good for one use: {link}"));
    }
    Ok(ExitCode::SUCCESS)
}
