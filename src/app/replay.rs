//! `campanile replay`: runs a run log through the engine again and compares every decision.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use chrono::DateTime;
use serde::Serialize;

use super::cli::{EXIT_FAILED, ReplayArgs};
use super::output;
use super::run_log::{SegmentReader, segments_in};
use crate::domain::time::Utc;
use crate::engine::trace::{Difference, Entry, Replay};

/// What a replay found.
#[derive(Debug, Serialize)]
struct Report {
    segments: u64,
    inputs: u64,
    agree: bool,
    /// The first input whose outputs differ.
    difference: Option<DifferenceReport>,
}

#[derive(Debug, Serialize)]
struct DifferenceReport {
    segment: PathBuf,
    input_number: u64,
    utc_ms: i64,
    input: String,
    logged_digest: String,
    outputs_now: Vec<String>,
}

/// Where to stop.
#[derive(Debug, Clone, Copy)]
enum Until {
    End,
    Time(Utc),
    Input(u64),
}

impl Until {
    fn parse(text: Option<&str>) -> anyhow::Result<Self> {
        let Some(text) = text else { return Ok(Self::End) };
        if let Ok(number) = text.parse() {
            return Ok(Self::Input(number));
        }
        let at = DateTime::parse_from_rfc3339(text).with_context(|| {
            format!("'{text}' is neither a number of inputs nor an RFC 3339 time")
        })?;
        Ok(Self::Time(Utc::from_ms(at.timestamp_millis())))
    }

    fn is_reached(self, replay: &Replay, entry: &Entry) -> bool {
        match (self, entry) {
            (Self::Time(end), Entry::Step { now, .. }) => now.utc >= end,
            (Self::Input(end), Entry::Step { .. }) => replay.steps() >= end,
            (Self::End, _) | (_, Entry::Snapshot(_)) => false,
        }
    }
}

/// Runs `campanile replay`.
pub fn replay(args: ReplayArgs) -> anyhow::Result<ExitCode> {
    let until = Until::parse(args.until.as_deref())?;
    let segments = segments(&args.log)?;
    let report = run(&segments, until)?;
    if args.json {
        output::json(&report);
    } else {
        print(&report);
    }
    Ok(if report.agree { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) })
}

fn segments(log: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !log.is_dir() {
        return Ok(vec![log.to_owned()]);
    }
    let segments =
        segments_in(log).with_context(|| format!("cannot read the folder {}", log.display()))?;
    anyhow::ensure!(!segments.is_empty(), "no run log in {}", log.display());
    Ok(segments)
}

fn run(segments: &[PathBuf], until: Until) -> anyhow::Result<Report> {
    let bytes: u64 = segments.iter().filter_map(|path| path.metadata().ok()).map(|m| m.len()).sum();
    let bar = output::progress(bytes, output::Unit::Bytes, "replaying");
    let mut replay = Replay::default();
    let mut difference = None;
    'segments: for path in segments {
        let mut reader = SegmentReader::open(path).with_context(|| path.display().to_string())?;
        while let Some(entry) = reader.read().with_context(|| path.display().to_string())? {
            if until.is_reached(&replay, &entry) {
                break 'segments;
            }
            if let Err(found) = replay.step(entry) {
                difference = Some(report_of(path, *found));
                break 'segments;
            }
        }
        bar.inc(path.metadata().map_or(0, |m| m.len()));
    }
    bar.finish_and_clear();
    Ok(Report {
        segments: replay.segments(),
        inputs: replay.steps(),
        agree: difference.is_none(),
        difference,
    })
}

fn report_of(segment: &Path, found: Difference) -> DifferenceReport {
    DifferenceReport {
        segment: segment.to_owned(),
        input_number: found.step,
        utc_ms: found.now.utc.as_ms(),
        input: format!("{:?}", found.input),
        logged_digest: format!("{:016x}", found.logged),
        outputs_now: found.outputs.iter().map(|output| format!("{output:?}")).collect(),
    }
}

fn print(report: &Report) {
    output::line(&format!("{} inputs in {} segments replayed", report.inputs, report.segments));
    let Some(found) = &report.difference else {
        output::line("every decision was the same");
        return;
    };
    let at = DateTime::from_timestamp_millis(found.utc_ms).unwrap_or_default();
    output::line(&format!("input {} at {at} led to something else:", found.input_number));
    output::line(&format!("  segment  {}", found.segment.display()));
    output::line(&format!("  input    {}", found.input));
    output::line(&format!("  digest in the log {}; outputs now:", found.logged_digest));
    for output in &found.outputs_now {
        output::line(&format!("  - {output}"));
    }
}
