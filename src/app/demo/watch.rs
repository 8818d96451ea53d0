//! Watching the run: links first, then a picture of the campaign, renewed in place on a terminal.

use std::io::{IsTerminal, Write};
use std::sync::Arc;

use super::Demo;
use crate::adapters::views::BoardView;
use crate::app::output;
use crate::domain::time::Duration;

/// The picture is renewed this often.
const EVERY: Duration = Duration::from_millis(500);
/// Without a terminal a line is told this often.
const LINE_EVERY: u32 = 20;
/// A run is over when nothing has been in the air, and nothing ready, for so many pictures.
const QUIET_MAX: u32 = 4;
/// What waits longer than this is a callback for another day.
const DUE_SOON_MS: i64 = 30_000;
const BAR: usize = 30;
const WIDTH: usize = 79;

/// Why a run was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// The list is used up.
    ListUsedUp,
    /// The seconds that were asked for have passed.
    TimeIsUp,
    /// Somebody pressed Ctrl-C.
    Interrupted,
}

/// Says where to look and what to expect.
pub(super) fn introduce(demo: &Demo) {
    let args = &demo.args;
    let say = |text: &str| output::note(text);
    say(&format!(
        "dialling {} people with {} agents, {} mode, human times divided by {}",
        args.contacts,
        args.agents,
        mode_word(demo),
        args.speed
    ));
    say(&format!("  manager   {}", demo.manager));
    say(&format!("  your desk {}", demo.own_desk));
    say("            go on the line there and take calls yourself, beside the robots");
    say(&format!("  metrics   {}/metrics", demo.daemon.base_url));
    say("  calling hours are all day and night here; a real campaign keeps the law's");
    if let Some(seconds) = args.seconds {
        say(&format!("  launches stop after {seconds} s"));
    } else {
        let minutes = expected(demo).as_secs_f64() / 60.0;
        say(&format!("  expected to take about {minutes:.1} minutes"));
    }
}

fn mode_word(demo: &Demo) -> &'static str {
    demo.args.mode.mode(100).word()
}

/// A plain estimate: the people who answer, times what a call costs an agent, over the agents that
/// are busy; measured on the default population.
fn expected(demo: &Demo) -> Duration {
    use crate::app::cli::ModeWord;
    let args = &demo.args;
    // Answers by people and machines; 90 s and 15 s, machines are told apart within seconds.
    let handle_s = 0.30 * 105.0 + 0.20 * 25.0;
    let busy = match args.mode {
        ModeWord::Predictive => 0.58,
        ModeWord::Power => 0.55,
        ModeWord::Progressive => 0.48,
        ModeWord::Preview => 0.40,
    };
    let work = f64::from(args.contacts) * handle_s / (f64::from(args.agents) * busy);
    Duration::from_secs_f64((work + 30.0) / args.speed + 5.0)
}

/// Watches until the list is used up, the time is over, or somebody has had enough.
pub(super) async fn watch(demo: &Demo) -> anyhow::Result<Over> {
    let live = demo.daemon.gate.live();
    let terminal = std::io::stderr().is_terminal();
    let mut quiet = 0;
    let mut drawn = 0;
    let mut pictures: u32 = 0;
    let limit = demo.args.seconds.map(Duration::from_secs);
    // One for all rounds: a key pressed between two of them counts as well.
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            interrupt = &mut interrupted => {
                interrupt?;
                return Ok(Over::Interrupted);
            }
        }
        anyhow::ensure!(!demo.daemon.has_died(), "the dialer ended by itself; see the log");
        pictures += 1;
        let board = live.borrow().boards.get(&demo.campaign).map(Arc::clone);
        let Some(board) = board else { continue };
        if terminal {
            drawn = draw(&board, drawn);
        } else if pictures.is_multiple_of(LINE_EVERY) {
            output::note(&line(&board));
        }
        if limit.is_some_and(|limit| EVERY * pictures >= limit) {
            return Ok(Over::TimeIsUp);
        }
        if board.state == "finished" || is_quiet(demo, &board).await? {
            quiet += 1;
        } else {
            quiet = 0;
        }
        if quiet >= QUIET_MAX {
            return Ok(Over::ListUsedUp);
        }
    }
}

/// Nothing in the air, nothing ready, nothing due soon, and nobody writes up a call.
async fn is_quiet(demo: &Demo, board: &BoardView) -> anyhow::Result<bool> {
    let working = board
        .agents
        .iter()
        .any(|agent| ["on_call", "wrap_up", "preview", "dialling"].contains(&agent.state.as_str()));
    if !board.calls.is_empty() || working || board.contacts.total == 0 || board.contacts.ready > 0 {
        return Ok(false);
    }
    if board.contacts.waits == 0 {
        return Ok(true);
    }
    let campaign = crate::domain::ids::CampaignId::new(demo.campaign);
    let due = demo.daemon.db.next_due(campaign).await?;
    Ok(due.is_none_or(|due| due.as_ms() - board.at_ms > DUE_SOON_MS))
}

/// One line for logs.
fn line(board: &BoardView) -> String {
    let done = board.contacts.total - board.contacts.ready - board.contacts.live;
    format!(
        "{done}/{} contacts, {} ringing, {} talking, {} waiting, abandoned {}/{} ({:.2} %), agents {:.0} % busy, {}",
        board.contacts.total,
        board.ringing,
        board.talking,
        board.waiting,
        board.abandon.abandoned,
        board.abandon.answered,
        percent(board.abandon.rate_ppm),
        board.utilisation * 100.0,
        board.pacing,
    )
}

fn percent(ppm: u32) -> f64 {
    f64::from(ppm) / 10_000.0
}

/// Draws the picture over the one drawn before; how many lines it has.
fn draw(board: &BoardView, before: usize) -> usize {
    let lines = picture(board);
    let mut text = if before > 0 { format!("\x1b[{before}A") } else { String::new() };
    for line in &lines {
        text.push_str("\x1b[2K");
        text.push_str(line);
        text.push('\n');
    }
    let mut out = std::io::stderr().lock();
    // A terminal that is gone ends nothing.
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).ok();
    lines.len()
}

/// `items` in as few lines as fit an 80-column terminal: the picture is drawn over by counting lines.
fn wrapped(label: &str, items: &[String]) -> Vec<String> {
    let indent = " ".repeat(label.len());
    let mut lines = vec![label.to_owned()];
    for (n, item) in items.iter().enumerate() {
        let comma = if n + 1 < items.len() { ", " } else { "" };
        match lines.last_mut() {
            Some(line) if n == 0 || line.len() + item.len() + comma.len() <= WIDTH => {
                line.push_str(item);
                line.push_str(comma);
            }
            _ => lines.push(format!("{indent}{item}{comma}")),
        }
    }
    lines
}

fn picture(board: &BoardView) -> Vec<String> {
    let total = board.contacts.total.max(1);
    let done = board.contacts.total - board.contacts.ready - board.contacts.live;
    let share = |part: u64, whole: u64| {
        usize::try_from(part * BAR as u64 / whole.max(1)).unwrap_or(BAR).min(BAR)
    };
    let bar = |filled: usize| format!("{}{}", "█".repeat(filled), "·".repeat(BAR - filled));
    let state = |wanted: &str| board.agents.iter().filter(|agent| agent.state == wanted).count();
    let limit = &board.abandon;
    let of_limit = share(u64::from(limit.rate_ppm), u64::from(limit.limit_ppm));
    let answer = board
        .answer_to_agent_ms
        .map_or("–".to_owned(), |(p50, p99)| format!("{p50:.1} ms median, {p99:.1} ms p99"));
    let mut lines = vec![
        format!("  contacts  {} {done}/{}", bar(share(done, total)), board.contacts.total),
        format!(
            "  calls     {:>3} ringing  {:>3} waiting  {:>3} talking     pacing: {}",
            board.ringing, board.waiting, board.talking, board.pacing
        ),
        format!(
            "  agents    {:>3} ready    {:>3} on call  {:>3} wrap-up     {:.0} % busy",
            state("ready"),
            state("on_call"),
            state("wrap_up"),
            board.utilisation * 100.0
        ),
        format!(
            "  abandoned {} {}/{} = {:.2} % of at most {:.2} %",
            bar(of_limit),
            limit.abandoned,
            limit.answered,
            percent(limit.rate_ppm),
            percent(limit.limit_ppm)
        ),
        format!("  answer to agent  {answer}"),
    ];
    let results: Vec<String> =
        board.results.iter().map(|(code, n)| format!("{code} {n}")).collect();
    lines.extend(wrapped("  results   ", &results));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_stand_in_lines_that_an_80_column_terminal_does_not_break() {
        let items: Vec<String> = (0..13).map(|n| format!("rejected_by_network {n}")).collect();
        let lines = wrapped("  results   ", &items);
        assert!(lines.len() > 1 && lines.iter().all(|line| line.len() <= WIDTH), "{lines:?}");
        let told: String = lines.concat();
        assert!(items.iter().all(|item| told.contains(item)));
        assert_eq!(wrapped("  results   ", &[]), ["  results   "]);
    }
}
