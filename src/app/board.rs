//! A campaign's board as text, for `campaign status` and the demo.

use chrono_tz::Tz;

use crate::adapters::views::{AbandonView, BoardView};
use crate::domain::time::Utc;

/// Width of the progress bar, characters.
const BAR: u64 = 40;

/// Call results named at most; the rest is summed.
const RESULTS_MAX: usize = 8;

/// Draws a board in some fifteen lines.
pub fn draw(board: &BoardView) -> String {
    let contacts = &board.contacts;
    // Of nobody nothing is done.
    let share = |of: u64| (contacts.closed * of).checked_div(contacts.total).unwrap_or(0);
    let done = share(BAR);
    let bar: String = (0..BAR).map(|at| if at < done { '█' } else { '░' }).collect();
    let percent = share(100);
    let mut lines = vec![
        format!("{} (campaign {}): {}, {}", board.name, board.campaign, board.state, board.mode),
        format!("  {bar} {percent} %"),
        format!(
            "  contacts   {} in all: {} done, {} ready, {} later, {} live",
            contacts.total, contacts.closed, contacts.ready, contacts.waits, contacts.live
        ),
        format!(
            "  calls      {} ringing, {} waiting for an agent, {} talking; {} attempts so far",
            board.ringing, board.waiting, board.talking, board.attempts
        ),
        format!("  agents     {}", agents(board)),
        format!("  abandoned  {}", abandoned(board)),
    ];
    if let Some((median, p99)) = board.answer_to_agent_ms {
        lines.push(format!("  to agent   {median:.0} ms (median), {p99:.0} ms (99 %)"));
    }
    lines.push(format!("  pacing     {}", pacing(&board.pacing)));
    if !board.results.is_empty() {
        lines.push(format!("  results    {}", results(board)));
    }
    let refused: Vec<_> =
        board.refused.iter().map(|(why, n)| format!("{n} {}", words(why))).collect();
    if !refused.is_empty() {
        lines.push(format!("  not dialled  {}", refused.join(", ")));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// Agents by state, in the order in which a call passes through them.
fn agents(board: &BoardView) -> String {
    const STATES: [&str; 8] = [
        "ready",
        "preview",
        "dialling",
        "on_call",
        "wrap_up",
        "paused",
        "connecting",
        "logged_out",
    ];
    let counted: Vec<_> = STATES
        .iter()
        .filter_map(|state| {
            let n = board.agents.iter().filter(|agent| agent.state == *state).count();
            (n > 0).then(|| format!("{n} {}", words(state)))
        })
        .collect();
    if counted.is_empty() {
        return "none".into();
    }
    format!("{}; busy {:.0} % of the time", counted.join(", "), board.utilisation * 100.0)
}

/// The rate with numerator, denominator, limit and window.
fn abandoned(board: &BoardView) -> String {
    let abandon = &board.abandon;
    let percent = |ppm: u32| f64::from(ppm) / 10_000.0;
    format!(
        "{} of {} ({:.2} %, limit {:.2} %), {} {}",
        abandon.abandoned,
        abandon.answered,
        percent(abandon.rate_ppm),
        percent(abandon.limit_ppm),
        days(abandon),
        abandon.zone,
    )
}

/// The window's first and last day, on the calendar of its zone.
fn days(abandon: &AbandonView) -> String {
    let zone: Tz = abandon.zone.parse().unwrap_or(Tz::UTC);
    let day = |ms: i64| Utc::from_ms(ms).to_chrono().with_timezone(&zone).date_naive();
    let first = day(abandon.window_start_ms);
    // The end is the first instant that is no longer in it.
    let last = day(abandon.window_end_ms.saturating_sub(1)).max(first);
    if first == last { first.to_string() } else { format!("{first} to {last}") }
}

fn results(board: &BoardView) -> String {
    let mut named: Vec<_> = board
        .results
        .iter()
        .take(RESULTS_MAX)
        .map(|(code, n)| format!("{n} {}", words(code)))
        .collect();
    let others: u64 = board.results.iter().skip(RESULTS_MAX).map(|(_, n)| n).sum();
    if others > 0 {
        named.push(format!("{others} other"));
    }
    named.join(", ")
}

/// Why no more calls are launched, in words.
fn pacing(key: &str) -> String {
    match key {
        "dialling" => "dialling",
        "no_agents" => "no agent is ready",
        "bound" => "one more call could break the abandon limit",
        "lines" => "all lines are in use",
        "calls_per_second" => "the trunk's calls per second are used up",
        "list_empty" => "nobody is left to call now",
        "closed_hours" => "outside calling hours",
        "paused" => "paused",
        "clock" => "the clock stepped; rules are being checked",
        "draining" => "shutting down",
        other => return words(other),
    }
    .into()
}

fn words(code: &str) -> String {
    code.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::views::{AgentRowView, ContactCounts};

    #[test]
    fn a_board_says_rate_limit_and_window_and_why_it_waits() {
        let board = BoardView {
            name: "Осінь".into(),
            contacts: ContactCounts { total: 200, closed: 50, ready: 150, ..Default::default() },
            abandon: AbandonView {
                abandoned: 3,
                answered: 120,
                rate_ppm: 25_000,
                limit_ppm: 30_000,
                // Midnight in Kyiv is 22:00 UTC of the day before.
                window_start_ms: 1_795_557_600_000,
                window_end_ms: 1_795_557_600_000 + 86_400_000,
                zone: "Europe/Kyiv".into(),
                ..AbandonView::default()
            },
            results: vec![("no_answer".into(), 7)],
            agents: vec![AgentRowView { state: "on_call".into(), ..Default::default() }],
            pacing: "bound".into(),
            ..BoardView::default()
        };
        let text = draw(&board);
        for part in [
            "25 %",
            "3 of 120 (2.50 %, limit 3.00 %), 2026-11-25 Europe/Kyiv",
            "7 no answer",
            "1 on call",
            "break the abandon limit",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }

    #[test]
    fn a_campaign_without_contacts_is_drawn_as_well() {
        assert!(draw(&BoardView::default()).contains("0 in all"));
    }
}
