//! `campanile campaign …`: make, start, watch and stop campaigns.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use crate::adapters::views::BoardView;

use super::board;
use super::cli::{ModeWord, Remote};
use super::client::{Client, ClientError, block_on, part};
use super::output;

/// How often `--watch` draws anew.
const WATCH: Duration = Duration::from_secs(1);

/// `campanile campaign …`
#[derive(Debug, Subcommand)]
pub enum CampaignCommand {
    /// Make a campaign; it dials once started.
    #[command(
        after_help = "Example:\n  campanile campaign create --name autumn --trunk 1 --list 1 --agent 1 --agent 2 \
        --mode power --ratio 1.5 --zone Europe/Kyiv --hours 9:00-20:00\n\n\
        --settings FILE.json takes every key of the API's campaign settings; options win over it."
    )]
    Create(Box<CreateArgs>),
    /// Start dialling.
    #[command(after_help = "Example:\n  campanile campaign start 1")]
    Start(OneArgs),
    /// Launch no more calls; what is in the air goes on.
    #[command(after_help = "Example:\n  campanile campaign pause 1")]
    Pause(OneArgs),
    /// End the campaign; it can be started again.
    #[command(after_help = "Example:\n  campanile campaign stop 1")]
    Stop(OneArgs),
    /// Show how a campaign is doing, or all of them in a table.
    #[command(after_help = "Example:\n  campanile campaign status 1 --watch")]
    Status(StatusArgs),
}

/// `campanile campaign create`
#[derive(Debug, Clone, Args)]
pub struct CreateArgs {
    /// The name that people see.
    #[arg(long)]
    pub name: String,
    /// The trunk that carries the calls.
    #[arg(long, value_name = "ID")]
    pub trunk: i64,
    /// A list to dial; repeat it for more.
    #[arg(long = "list", value_name = "ID")]
    pub lists: Vec<i64>,
    /// An agent who takes its calls; repeat it for more.
    #[arg(long = "agent", value_name = "ID")]
    pub agents: Vec<i64>,
    /// How calls are matched to agents.
    #[arg(long, value_enum, default_value = "progressive")]
    pub mode: ModeWord,
    /// Lines per ready agent in power mode.
    #[arg(long, default_value_t = 1.5, value_parser = ratio)]
    pub ratio: f64,
    /// The zone in which the campaign's days and months are cut, for example Europe/Kyiv.
    #[arg(long, value_name = "ZONE")]
    pub zone: Option<String>,
    /// When people may be called, every day, on the contact's own clock: 9:00-20:00.
    #[arg(long, value_name = "HOURS", value_parser = hours)]
    pub hours: Option<(u16, u16)>,
    /// At most this many attempts per contact.
    #[arg(long, value_name = "N")]
    pub attempts: Option<u32>,
    /// How long a phone may ring, seconds.
    #[arg(long, value_name = "SECONDS")]
    pub ring: Option<u32>,
    /// How long agents have after a call, seconds; 0 waits for their disposition.
    #[arg(long, value_name = "SECONDS")]
    pub wrap_up: Option<u32>,
    /// At most this many calls in the air at once.
    #[arg(long, value_name = "N")]
    pub lines: Option<u32>,
    /// Further settings as JSON.
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
    /// The daemon.
    #[command(flatten)]
    pub remote: Remote,
}

/// A command to one campaign.
#[derive(Debug, Clone, Args)]
pub struct OneArgs {
    /// Which campaign.
    pub id: i64,
    /// The daemon.
    #[command(flatten)]
    pub remote: Remote,
}

/// `campanile campaign status`
#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// Which campaign; without it all of them.
    pub id: Option<i64>,
    /// Draw it anew every second until interrupted.
    #[arg(long, requires = "id")]
    pub watch: bool,
    /// The daemon.
    #[command(flatten)]
    pub remote: Remote,
}

fn ratio(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(ratio) if (1.0..=10.0).contains(&ratio) => Ok(ratio),
        _ => Err("a ratio is a number from 1 to 10".into()),
    }
}

/// `9:00-20:00` as minutes of the day.
fn hours(text: &str) -> Result<(u16, u16), String> {
    let minute = |text: &str| {
        let (hour, minute) = text.trim().split_once(':').unwrap_or((text.trim(), "0"));
        let (hour, minute) = (hour.parse::<u16>().ok()?, minute.parse::<u16>().ok()?);
        let of_day = hour.checked_mul(60)?.checked_add(minute)?;
        (minute < 60 && of_day <= 24 * 60).then_some(of_day)
    };
    let (from, to) = text.split_once('-').unwrap_or((text, ""));
    match (minute(from), minute(to)) {
        (Some(from), Some(to)) if from < to => Ok((from, to)),
        _ => Err("hours are written 9:00-20:00, inside one day".into()),
    }
}

/// Runs `campanile campaign …`.
pub fn run(command: CampaignCommand) -> anyhow::Result<ExitCode> {
    match command {
        CampaignCommand::Create(args) => block_on(create(*args)),
        CampaignCommand::Start(args) => block_on(order(args, "start")),
        CampaignCommand::Pause(args) => block_on(order(args, "pause")),
        CampaignCommand::Stop(args) => block_on(order(args, "stop")),
        CampaignCommand::Status(args) => block_on(status(args)),
    }
}

async fn create(args: CreateArgs) -> anyhow::Result<ExitCode> {
    let client = Client::of(&args.remote)?;
    let mut body = match &args.settings {
        None => Map::new(),
        Some(path) => {
            let text = tokio::fs::read_to_string(path)
                .await
                .with_context(|| format!("cannot read {}", path.display()))?;
            serde_json::from_str(&text).map_err(|error| {
                ClientError::Usage(format!("{} is no JSON object: {error}", path.display()))
            })?
        }
    };
    #[expect(clippy::cast_possible_truncation, reason = "from 1 to 10, checked by the parser")]
    let percent = (args.ratio * 100.0).round() as u32;
    let told = [
        ("name", Some(json!(args.name))),
        ("trunk", Some(json!(args.trunk))),
        ("mode", Some(serde_json::to_value(args.mode.mode(percent))?)),
        ("lists", Some(json!(args.lists)).filter(|_| !args.lists.is_empty())),
        ("agents", Some(json!(args.agents)).filter(|_| !args.agents.is_empty())),
        ("legal_zone", args.zone.map(Value::from)),
        (
            "calling_hours",
            args.hours.map(|(from, to)| {
                let hours = crate::domain::calling_hours::CallingHours::daily(from, to);
                serde_json::to_value(hours).unwrap_or_default()
            }),
        ),
        ("attempts_max", args.attempts.map(Value::from)),
        ("ring_timeout_ms", args.ring.map(|s| json!(u64::from(s) * 1_000))),
        ("wrap_up_ms", args.wrap_up.map(|s| json!(u64::from(s) * 1_000))),
        ("lines_max", args.lines.map(Value::from)),
    ];
    body.extend(told.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    let made = client.post("/campaigns", &body).await?;
    if args.remote.json {
        output::json(&made);
    } else {
        output::line(&format!("campaign {}: {}", part(&made, "id"), args.name));
        output::line(&format!("start it:  campanile campaign start {}", part(&made, "id")));
    }
    Ok(ExitCode::SUCCESS)
}

async fn order(args: OneArgs, verb: &str) -> anyhow::Result<ExitCode> {
    let client = Client::of(&args.remote)?;
    let answer = client.post(&format!("/campaigns/{}/{verb}", args.id), &json!({})).await?;
    if args.remote.json {
        output::json(&answer);
    } else {
        let state = part(&answer, "state").as_str().unwrap_or("?");
        output::line(&format!("campaign {} is {state}", args.id));
    }
    Ok(ExitCode::SUCCESS)
}

async fn status(args: StatusArgs) -> anyhow::Result<ExitCode> {
    let client = Client::of(&args.remote)?;
    let Some(id) = args.id else { return all(&client, args.remote.json).await };
    loop {
        let value: Value = client.get(&format!("/campaigns/{id}/board")).await?;
        if args.remote.json {
            output::json(&value);
        } else {
            let board: BoardView = serde_json::from_value(value)
                .map_err(|error| ClientError::Broken(error.to_string()))?;
            let text = board::draw(&board);
            // On a terminal the picture is drawn over; into a file, one after another.
            let over = args.watch && output::is_terminal();
            output::raw(&if over { format!("\x1b[H\x1b[2J{text}") } else { text });
        }
        if !args.watch {
            return Ok(ExitCode::SUCCESS);
        }
        tokio::select! {
            () = tokio::time::sleep(WATCH) => {}
            _ = tokio::signal::ctrl_c() => return Ok(ExitCode::SUCCESS),
        }
    }
}

async fn all(client: &Client, as_json: bool) -> anyhow::Result<ExitCode> {
    let campaigns: Vec<Value> = client.get("/campaigns").await?;
    if as_json {
        output::json(&campaigns);
        return Ok(ExitCode::SUCCESS);
    }
    if campaigns.is_empty() {
        output::line("no campaigns yet; make one:  campanile campaign create --help");
        return Ok(ExitCode::SUCCESS);
    }
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let row = |campaign: &Value| {
        let contacts = part(campaign, "contacts");
        let keys = ["id", "name", "state"].map(|key| text(part(campaign, key)));
        let mode = part(campaign, "mode");
        let mode = text(if mode.is_object() { part(mode, "kind") } else { mode });
        let counts =
            ["total", "ready", "waits", "live", "closed"].map(|key| text(part(contacts, key)));
        keys.into_iter().chain([mode]).chain(counts).collect::<Vec<_>>()
    };
    let head = ["id", "name", "state", "mode", "contacts", "ready", "later", "live", "done"];
    output::table(&head, &campaigns.iter().map(row).collect::<Vec<_>>());
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_minutes_of_one_day() {
        assert_eq!(hours("9:00-20:00"), Ok((540, 1_200)));
        assert_eq!(hours("0-24"), Ok((0, 1_440)));
        for wrong in ["20:00-9:00", "9:00", "9:60-10:00", "9-25", ""] {
            assert!(hours(wrong).is_err(), "{wrong}");
        }
    }
}
