//! The command line: what can be typed, with an example each, and what the exit code means.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::client::ClientError;
use super::config_file::{self, ConfigError, Loaded};
use super::{agent, campaign, demo, lab, list, output, replay, run, trunk};

/// It did not work, or the ledgers of a demo or the digests of a replay differ.
pub const EXIT_FAILED: u8 = 1;
/// The command line was not understood (clap's own code).
pub const EXIT_USAGE: u8 = 2;
/// The configuration cannot be used.
pub const EXIT_CONFIG: u8 = 3;
/// The daemon cannot be reached.
pub const EXIT_UNREACHABLE: u8 = 4;
/// The daemon refused.
pub const EXIT_REFUSED: u8 = 5;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed; of demo and replay: the ledgers or the digests differ
  2  the command line was not understood
  3  the configuration cannot be used
  4  the daemon cannot be reached
  5  the daemon refused

See it work:
  campanile demo --contacts 100 --agents 10 --speed 30";

/// An outbound dialer in one program: lists in, calls out, people on agents, nothing lost.
#[derive(Debug, Parser)]
#[command(name = "campanile", version, about, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the dialer: SIP, media, pages and API, until SIGTERM.
    #[command(after_help = "Example:\n  campanile serve --config /etc/campanile.toml\n\n\
        The first start prints a link that makes the administrator. SIGTERM drains: no new calls,\n\
        talks end, CRM events are flushed; a second SIGTERM hurries.")]
    Serve(ServeArgs),
    /// Watch a campaign dial: a carrier, agents' phones and a CRM of our own on this machine.
    #[command(
        after_help = "Example:\n  campanile demo --contacts 200 --agents 10 --mode progressive --speed 30\n\n\
        Real SIP and RTP on loopback, numbers reserved for fiction. The exit code is 1 when the\n\
        ledgers of dialer, carrier and CRM differ."
    )]
    Demo(DemoArgs),
    /// Bring in lists of people to call.
    #[command(subcommand, after_help = "Example:\n  campanile list import people.csv --region UA")]
    List(ListCommand),
    /// Make, start, watch and stop campaigns.
    #[command(subcommand, after_help = "Example:\n  campanile campaign status 1 --watch")]
    Campaign(CampaignCommand),
    /// Add the people who take calls.
    #[command(
        subcommand,
        after_help = "Example:\n  campanile agent add --name Olena --phone sip:101@10.1.0.7:5060 --campaign 1"
    )]
    Agent(AgentCommand),
    /// Add and check the carriers that calls go out through.
    #[command(subcommand, after_help = "Example:\n  campanile trunk check 1")]
    Trunk(TrunkCommand),
    /// Run a run log through the engine again and compare every decision.
    #[command(after_help = "Example:\n  campanile replay campanile-data/run-log\n\n\
        The exit code is 1 when a digest differs; the first input that differs is named.")]
    Replay(ReplayArgs),
    /// Look at the configuration.
    #[command(
        subcommand,
        after_help = "Example:\n  campanile config check --config campanile.toml"
    )]
    Config(ConfigCommand),
    /// The demo's counterparts in a process of their own: carrier, phones, CRM.
    #[command(
        hide = true,
        after_help = "Example:\n  campanile lab --contacts 100 --agents 5 --control 127.0.0.1:0"
    )]
    Lab(LabArgs),
}

/// Which configuration.
#[derive(Debug, Clone, Default, Args)]
pub struct ConfigArg {
    /// The configuration file; without it campanile.toml in this folder, if there is one.
    #[arg(long, value_name = "FILE", env = "CAMPANILE_CONFIG")]
    pub config: Option<PathBuf>,
}

impl ConfigArg {
    /// Reads the configuration and the environment.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        config_file::load(self.config.as_deref(), |name| std::env::var(name).ok())
    }
}

/// How a running daemon is reached.
#[derive(Debug, Clone, Args)]
pub struct Remote {
    /// Where its address and token are found, unless given.
    #[command(flatten)]
    pub config: ConfigArg,
    /// The daemon's address; without it the one in the configuration.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// An API token; without it the file cli.token in the daemon's data folder.
    #[arg(long, value_name = "TOKEN", env = "CAMPANILE_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Print JSON for scripts.
    #[arg(long)]
    pub json: bool,
}

/// `campanile serve`
#[derive(Debug, Clone, Default, Args)]
pub struct ServeArgs {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArg,
}

/// How calls are matched to agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModeWord {
    /// As many lines as the estimates and the abandon limit allow.
    Predictive,
    /// One line for each ready agent.
    Progressive,
    /// A fixed number of lines for each ready agent.
    Power,
    /// An agent sees the record first.
    Preview,
}

impl ModeWord {
    /// The domain's mode; `ratio_percent` is used by power alone.
    pub const fn mode(self, ratio_percent: u32) -> crate::domain::campaign::Mode {
        use crate::domain::campaign::Mode;
        match self {
            Self::Predictive => Mode::Predictive,
            Self::Progressive => Mode::Progressive,
            Self::Power => Mode::Power { ratio_percent },
            Self::Preview => Mode::Preview,
        }
    }
}

/// `campanile demo`
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// How many people are in the list.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub contacts: u32,
    /// How many agents take calls.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub agents: u32,
    /// Seed of everybody's behaviour.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How calls are matched to agents.
    #[arg(long, value_enum, default_value = "predictive")]
    pub mode: ModeWord,
    /// Divides every human time in the lab; the law's 2 s and SIP's timers stay real.
    #[arg(long, default_value_t = 10.0, value_parser = speed)]
    pub speed: f64,
    /// At most this many attempts per contact.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub attempts: u32,
    /// Launch no call after this many seconds, then drain and compare.
    #[arg(long)]
    pub seconds: Option<u64>,
    /// Another database than a new SQLite file: sqlite:PATH or postgres://…
    #[arg(long, value_name = "URL", env = "CAMPANILE_DEMO_DATABASE", hide_env_values = true)]
    pub database: Option<String>,
    /// Print one JSON object at the end.
    #[arg(long)]
    pub json: bool,
    /// Work in this folder rather than in a new temporary one.
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
    /// Keep the work folder.
    #[arg(long)]
    pub keep: bool,
    /// Port of the pages on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
}

/// Speeds are positive and finite.
fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (0.1..=1_000.0).contains(&speed) => Ok(speed),
        _ => Err("a speed is a number from 0.1 to 1000".into()),
    }
}

/// `campanile replay`
#[derive(Debug, Clone, Args)]
pub struct ReplayArgs {
    /// A segment of a run log, or a folder of them.
    pub log: PathBuf,
    /// Stop before this moment (RFC 3339) or input number.
    #[arg(long, value_name = "WHEN")]
    pub until: Option<String>,
    /// Print JSON for scripts.
    #[arg(long)]
    pub json: bool,
}

/// `campanile lab`
#[derive(Debug, Clone, Args)]
pub struct LabArgs {
    /// Where the carrier listens (UDP).
    #[arg(long, default_value = "127.0.0.1:0")]
    pub carrier: SocketAddr,
    /// Where the first agent's phone listens (UDP); the others take the ports after it, or free ones.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub phones: SocketAddr,
    /// How many agents' phones there are.
    #[arg(long, default_value_t = 20)]
    pub agents: u32,
    /// Where the CRM listens (TCP).
    #[arg(long, default_value = "127.0.0.1:0")]
    pub crm: SocketAddr,
    /// How many people the CRM's segment has.
    #[arg(long, default_value_t = 1000)]
    pub contacts: u32,
    /// Seed of everybody's behaviour.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Divides every human time.
    #[arg(long, default_value_t = 10.0, value_parser = speed)]
    pub speed: f64,
    /// Where the control page listens (TCP): ledgers out, orders in.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub control: SocketAddr,
}

/// `campanile config …`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check the configuration and print every effective value with its origin.
    #[command(after_help = "Example:\n  campanile config check --config campanile.toml --json")]
    Check {
        /// Which configuration.
        #[command(flatten)]
        config: ConfigArg,
        /// Print JSON for scripts.
        #[arg(long)]
        json: bool,
    },
}

pub use super::agent::AgentCommand;
pub use super::campaign::CampaignCommand;
pub use super::list::ListCommand;
pub use super::trunk::TrunkCommand;

/// Runs what was typed.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(cli.command) {
        Ok(code) => code,
        Err(error) => {
            output::complain(&error);
            ExitCode::from(exit_code(&error))
        }
    }
}

fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(args) => run::serve(args),
        Command::Demo(args) => demo::demo(args),
        Command::Replay(args) => replay::replay(args),
        Command::Lab(args) => lab::lab(args),
        Command::List(command) => list::run(command),
        Command::Campaign(command) => campaign::run(command),
        Command::Agent(command) => agent::run(command),
        Command::Trunk(command) => trunk::run(command),
        Command::Config(ConfigCommand::Check { config, json }) => config_check(&config, json),
    }
}

/// The exit code that says what kind of failure it was.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if cause.is::<ConfigError>() {
            return EXIT_CONFIG;
        }
        match cause.downcast_ref::<ClientError>() {
            Some(ClientError::Unreachable { .. }) => return EXIT_UNREACHABLE,
            Some(ClientError::Refused { .. }) => return EXIT_REFUSED,
            Some(ClientError::NoToken { .. } | ClientError::Usage(_)) => return EXIT_USAGE,
            Some(ClientError::Broken(_)) | None => {}
        }
    }
    EXIT_FAILED
}

fn config_check(config: &ConfigArg, json: bool) -> anyhow::Result<ExitCode> {
    let loaded = config.load()?;
    loaded
        .config
        .database_url()
        .map_err(|error| ConfigError::Faults(vec![format!("database.url: {error}")]))?;
    if json {
        output::json(&serde_json::json!({ "path": loaded.path, "values": loaded.keys }));
        return Ok(ExitCode::SUCCESS);
    }
    let path = loaded.path.as_ref().map(|path| path.display().to_string());
    output::line(&format!("# {}", path.as_deref().unwrap_or("no file: defaults and environment")));
    let rows = loaded.keys.iter().map(|(key, effective)| {
        vec![key.clone(), effective.value.clone(), format!("# {}", effective.origin)]
    });
    output::table(&[], &rows.collect::<Vec<_>>());
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn every_command(
        command: &clap::Command,
        path: &str,
        visit: &mut impl FnMut(&str, &clap::Command),
    ) {
        visit(path, command);
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            every_command(inner, &format!("{path} {}", inner.get_name()), visit);
        }
    }

    #[test]
    fn every_command_has_an_example_that_parses() {
        every_command(&Cli::command(), "campanile", &mut |path, command| {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let example = help.lines().map(str::trim).find(|line| line.starts_with("campanile "));
            let example = example.unwrap_or_else(|| panic!("{path} has no example"));
            let words = example.split_whitespace().map(|word| word.trim_matches('\''));
            Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{example}: {error}"));
        });
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
