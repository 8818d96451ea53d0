//! `campanile list …`: bring in lists, from a file or from a CRM.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use indicatif::ProgressBar;
use reqwest::Method;
use serde_json::{Map, Value};
use tokio::io::AsyncReadExt as _;

use crate::adapters::secret::SecretRef;

use super::cli::Remote;
use super::client::{Client, ClientError, block_on, encoded, part, read};
use super::output::{self, Unit};

/// How often a pull's progress is asked for.
const POLL: Duration = Duration::from_millis(250);

/// Bytes of a file sent at a time.
const CHUNK: usize = 64 * 1024;

/// `campanile list …`
#[derive(Debug, Subcommand)]
pub enum ListCommand {
    /// Import a CSV file: UTF-8, with a header row; separators , ; and tab are recognised.
    #[command(after_help = "Examples:\n  campanile list import people.csv --region UA\n  \
        campanile list import people.csv --name autumn --map phone=Телефон,name=ПІБ,zone=Zone\n\n\
        Rows that cannot be used are written to people.csv.rejects.csv with row, column, reason\n\
        and value. Nothing is half-imported: on an error there is no list.")]
    Import(ImportArgs),
    /// Take a segment from a CRM: paged HTTP JSON.
    #[command(
        after_help = "Example:\n  campanile list pull https://crm.example.com/segments/7 --name autumn \
        --map phone=phones.0.number,name=full_name,external_ref=id --crm-token env:CRM_TOKEN"
    )]
    Pull(PullArgs),
}

/// What file and CRM imports have in common.
#[derive(Debug, Clone, Args)]
pub struct Reading {
    /// Where each part of a contact stands: TARGET=SOURCE, with commas or repeated. Targets: phone,
    /// name, first_name, last_name, external_ref, zone, priority, or a field's own name.
    #[arg(long, value_name = "MAP", value_delimiter = ',')]
    pub map: Vec<String>,
    /// The country of numbers written without one, for example UA (ISO 3166).
    #[arg(long, value_name = "COUNTRY")]
    pub region: Option<String>,
    /// The time zone of contacts whose number and row tell none, for example Europe/Kyiv.
    #[arg(long, value_name = "ZONE")]
    pub zone: Option<String>,
    /// Where rows that cannot be used are written.
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,
}

/// `campanile list import`
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    /// The CSV file.
    pub file: PathBuf,
    /// The list's name; without it the file's.
    #[arg(long)]
    pub name: Option<String>,
    /// How its rows are read.
    #[command(flatten)]
    pub reading: Reading,
    /// The daemon.
    #[command(flatten)]
    pub remote: Remote,
}

/// `campanile list pull`
#[derive(Debug, Clone, Args)]
pub struct PullArgs {
    /// The segment's address.
    #[arg(value_name = "SEGMENT_URL")]
    pub segment: String,
    /// The list's name.
    #[arg(long)]
    pub name: String,
    /// How its records are read; sources are dotted paths such as phones.0.number.
    #[command(flatten)]
    pub reading: Reading,
    /// Where the CRM's bearer token stands: env:NAME or file:PATH.
    #[arg(long, value_name = "SECRET")]
    pub crm_token: Option<String>,
    /// The daemon.
    #[command(flatten)]
    pub remote: Remote,
}

/// Runs `campanile list …`.
pub fn run(command: ListCommand) -> anyhow::Result<ExitCode> {
    match command {
        ListCommand::Import(args) => block_on(import(args)),
        ListCommand::Pull(args) => block_on(pull(args)),
    }
}

async fn import(args: ImportArgs) -> anyhow::Result<ExitCode> {
    let client = Client::of(&args.remote)?;
    let file = tokio::fs::File::open(&args.file)
        .await
        .with_context(|| format!("cannot read {}", args.file.display()))?;
    let size = file.metadata().await?.len();
    let stem = args.file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = args.name.or(stem).unwrap_or_else(|| "list".into());

    let mut query = format!("name={}", encoded(&name));
    let reading = &args.reading;
    let options = [
        ("map", (!reading.map.is_empty()).then(|| reading.map.join(","))),
        ("region", reading.region.clone()),
        ("zone", reading.zone.clone()),
    ];
    for (key, value) in options {
        if let Some(value) = value {
            query = format!("{query}&{key}={}", encoded(&value));
        }
    }
    let bar = output::progress(size, Unit::Bytes, &name);
    let request = client
        .request(Method::POST, &format!("/lists/import?{query}"))
        .header("content-type", "text/csv; charset=utf-8")
        .header("content-length", size)
        .body(reqwest::Body::wrap_stream(chunks(file, bar.clone())));
    let answer = client.send(request).await;
    bar.finish_and_clear();
    let report: Value = read(answer?).await?;
    let rejects = reading.rejects.clone().unwrap_or_else(|| beside(&args.file));
    finish(&client, &report, &name, &rejects, args.remote.json).await
}

/// `people.csv` has its rejects in `people.csv.rejects.csv`.
fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".rejects.csv");
    name.into()
}

fn chunks(
    file: tokio::fs::File,
    bar: ProgressBar,
) -> impl futures_util::Stream<Item = std::io::Result<Vec<u8>>> {
    futures_util::stream::try_unfold((file, bar), async |(mut file, bar)| {
        let mut chunk = vec![0; CHUNK];
        let read = file.read(&mut chunk).await?;
        chunk.truncate(read);
        bar.inc(read as u64);
        Ok((read > 0).then_some((chunk, (file, bar))))
    })
}

async fn pull(args: PullArgs) -> anyhow::Result<ExitCode> {
    let client = Client::of(&args.remote)?;
    let mut body = Map::new();
    body.insert("name".into(), args.name.clone().into());
    body.insert("url".into(), args.segment.into());
    let reading = &args.reading;
    if let Some(reference) = &args.crm_token {
        let secret = SecretRef::parse(reference)
            .and_then(|reference| reference.read())
            .map_err(|error| ClientError::Usage(format!("--crm-token: {error}")))?;
        body.insert("token".into(), secret.reveal().into());
    }
    let options = [
        ("map", (!reading.map.is_empty()).then(|| reading.map.join(","))),
        ("region", reading.region.clone()),
        ("zone", reading.zone.clone()),
    ];
    for (key, value) in options {
        if let Some(value) = value {
            body.insert(key.into(), value.into());
        }
    }
    let started = client.post("/lists/pull", &body).await?;
    let job = match part(&started, "job") {
        Value::String(id) => id.clone(),
        id => id.to_string(),
    };
    let job = wait_for(&client, &job, &args.name).await?;
    if part(&job, "state") == "failed" {
        let why = part(&job, "error").as_str().unwrap_or("no reason given").to_owned();
        anyhow::bail!("the pull failed, there is no list: {why}");
    }
    let rejects = reading
        .rejects
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("{}.rejects.csv", file_name(&args.name))));
    finish(&client, part(&job, "report"), &args.name, &rejects, args.remote.json).await
}

/// A list's name as a file's: nothing that a path would understand.
fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || c == '-' { c } else { '_' }).collect()
}

async fn wait_for(client: &Client, job: &str, name: &str) -> anyhow::Result<Value> {
    let bar = output::progress(0, Unit::Rows, name);
    let mut counted = false;
    loop {
        let state: Value = client.get(&format!("/jobs/{}", encoded(job))).await?;
        if part(&state, "state") != "running" {
            bar.finish_and_clear();
            return Ok(state);
        }
        if let Some(total) = part(&state, "total").as_u64().filter(|total| *total > 0 && !counted) {
            counted = true;
            bar.set_length(total);
        }
        bar.set_position(part(&state, "done").as_u64().unwrap_or(0));
        tokio::time::sleep(POLL).await;
    }
}

async fn finish(
    client: &Client,
    report: &Value,
    name: &str,
    rejects: &Path,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let count = |key: &str| part(report, key).as_u64().unwrap_or(0);
    let list = part(report, "list").as_i64().context("the daemon named no list")?;
    let mut report = report.clone();
    if count("rejected") > 0 {
        let request = client.request(Method::GET, &format!("/lists/{list}/rejects"));
        let bytes = client.send(request).await?.bytes().await?;
        tokio::fs::write(rejects, &bytes)
            .await
            .with_context(|| format!("cannot write {}", rejects.display()))?;
        if let Some(report) = report.as_object_mut() {
            report.insert("rejects_file".into(), rejects.display().to_string().into());
        }
    }
    if as_json {
        output::json(&report);
        return Ok(ExitCode::SUCCESS);
    }
    output::line(&format!(
        "list {list} ({name}): {} rows, {} accepted, {} duplicates, {} rejected",
        count("rows"),
        count("accepted"),
        count("duplicates"),
        count("rejected"),
    ));
    if count("rejected") > 0 {
        output::line(&format!("why each was rejected: {}", rejects.display()));
    }
    output::line(&format!("dial it:  campanile campaign create --list {list} …"));
    Ok(ExitCode::SUCCESS)
}
