//! The end of a demo: drain, compare, tell.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use serde::Serialize;

use super::Demo;
use super::compare::{Comparison, DialerBooks, Side, compare};
use super::watch::Over;
use crate::adapters::store::Db;
use crate::adapters::store::attempts::AttemptRow;
use crate::app::output;
use crate::domain::ids::CampaignId;
use crate::domain::time::{Duration, Mono};

/// Attempts read from the store at once.
const PAGE: u32 = 1_000;
/// How long the last events and SIP's timers may take once nothing new begins.
const SETTLE_MAX: Duration = Duration::from_secs(90);
/// And how long the last talks may, before `--speed` divides it.
const TALKS_MAX_S: f64 = 1_000.0;

/// What the demo found, as `--json` prints it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    speed: f64,
    mode: &'static str,
    contacts: u32,
    agents: u32,
    took_s: f64,
    over: &'static str,
    attempts: Attempts,
    live_answers: u64,
    connected: u64,
    abandoned: u64,
    /// Of these, from causes outside the promise: a vanished agent, an answer that crossed a CANCEL.
    abandoned_outside: u32,
    abandon_rate: f64,
    abandon_limit: f64,
    agent_utilisation: f64,
    answer_to_agent_ms: Percentiles,
    crm_events: Events,
    ledgers: Ledgers,
    pub(super) agree: bool,
    mismatches: Vec<String>,
    #[serde(skip)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Attempts {
    total: u64,
    by_result: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize)]
struct Percentiles {
    p50: Option<f64>,
    p99: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Events {
    posted: u64,
    delivered: u64,
}

#[derive(Debug, Serialize)]
struct Ledgers {
    dialer: Side,
    carrier: Side,
    crm: Side,
}

/// Stops launching, lets what is in the air end, stops the daemon, compares.
pub(super) async fn close(demo: Demo, over: Over, took: Mono) -> anyhow::Result<Report> {
    let Demo { args, world, daemon, campaign, .. } = demo;
    let live = daemon.gate.live();
    let db = daemon.db.clone();
    let id = CampaignId::new(campaign);
    if over != Over::ListUsedUp {
        output::note("no new calls; waiting for those in the air");
    }
    // Utilisation is that of the run, not of the drain.
    let board = live.borrow().boards.get(&campaign).map(Arc::clone).context("no board")?;
    let patience = SETTLE_MAX + Duration::from_secs_f64(TALKS_MAX_S / args.speed);
    tokio::select! {
        calm = settle(&db, &daemon, id, patience) => calm.context("the run did not come to rest")?,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            anyhow::bail!("interrupted before the last calls were over; nothing was compared");
        }
    }
    let attempts = all_attempts(&db, id).await?;
    let ledger = db.ledger(id).await?;
    let counts = db.outbox_counts().await?;
    daemon.stop();
    daemon.ended().await?;
    let world = world.ledger();
    let books =
        DialerBooks { attempts: &attempts, posted: counts.posted, delivered: counts.delivered };
    let Comparison { dialer, carrier, crm, mismatches } =
        compare(&books, &world.carrier, &world.crm);
    let answered = attempts.iter().filter(|row| row.answered_ms.is_some()).count() as u64;
    let abandoned = ledger.abandoned;
    Ok(Report {
        speed: args.speed,
        mode: args.mode.mode(100).word(),
        contacts: args.contacts,
        agents: args.agents,
        took_s: took.as_micros() as f64 / 1e6,
        over: match over {
            Over::ListUsedUp => "list_used_up",
            Over::TimeIsUp => "time_is_up",
            Over::Interrupted => "interrupted",
        },
        attempts: Attempts {
            total: ledger.attempts.total,
            by_result: ledger.attempts.by_result.clone(),
        },
        live_answers: answered,
        connected: ledger.connects,
        abandoned,
        abandoned_outside: board.abandon.outside,
        abandon_rate: if answered == 0 { 0.0 } else { abandoned as f64 / answered as f64 },
        abandon_limit: f64::from(board.abandon.limit_ppm) / 1e6,
        agent_utilisation: board.utilisation,
        answer_to_agent_ms: Percentiles {
            p50: board.answer_to_agent_ms.map(|(p50, _)| p50),
            p99: board.answer_to_agent_ms.map(|(_, p99)| p99),
        },
        crm_events: Events { posted: counts.posted, delivered: counts.delivered },
        ledgers: Ledgers { dialer, carrier, crm },
        agree: mismatches.is_empty(),
        mismatches,
        json: args.json,
    })
}

/// Pauses the campaign and waits until nothing is in the air, written or on its way to the CRM.
async fn settle(
    db: &Db,
    daemon: &crate::app::daemon::Daemon,
    campaign: CampaignId,
    patience: Duration,
) -> anyhow::Result<()> {
    use crate::adapters::gate::Reload;
    use crate::domain::campaign::CampaignState;
    db.set_campaign_state(campaign, CampaignState::Paused, "demo", daemon.now()).await?;
    daemon.gate.reload(Reload::Campaign(campaign)).await?;
    let live = daemon.gate.live();
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        let busy = live.borrow().boards.get(&campaign.get()).is_none_or(|board| {
            !board.calls.is_empty()
                || board.agents.iter().any(|a| ["on_call", "wrap_up"].contains(&a.state.as_str()))
        });
        let counts = db.outbox_counts().await?;
        if !busy && counts.waiting == 0 && db.contact_counts(campaign).await?.live == 0 {
            return Ok(());
        }
        anyhow::ensure!(
            tokio::time::Instant::now() < deadline,
            "after {} s: calls or wrap-ups {busy}, {} CRM events wait",
            patience.as_secs(),
            counts.waiting
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn all_attempts(db: &Db, campaign: CampaignId) -> anyhow::Result<Vec<AttemptRow>> {
    let mut all: Vec<AttemptRow> = Vec::new();
    loop {
        let after = all.last().map(|row| row.attempt);
        let page = db.attempts_page(campaign, after, PAGE).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

impl Report {
    /// JSON on standard output, or words.
    pub(super) fn print(&self) {
        if self.json {
            output::json(self);
            return;
        }
        let percent = |share: f64| format!("{:.2} %", share * 100.0);
        let or_dash = |ms: Option<f64>| ms.map_or("–".to_owned(), |ms| format!("{ms:.1} ms"));
        output::line("");
        output::line(&format!(
            "{} attempts in {:.0} s: {} answered, {} connected, {} abandoned ({} of at most {})",
            self.attempts.total,
            self.took_s,
            self.live_answers,
            self.connected,
            self.abandoned,
            percent(self.abandon_rate),
            percent(self.abandon_limit),
        ));
        if self.abandoned_outside > 0 {
            output::line(&format!(
                "{} of them not foreseeable: an answer that crossed our CANCEL, or an agent who vanished",
                self.abandoned_outside
            ));
        }
        output::line(&format!(
            "agents {} busy; answer to agent {} median, {} p99; CRM events {} written, {} delivered",
            percent(self.agent_utilisation),
            or_dash(self.answer_to_agent_ms.p50),
            or_dash(self.answer_to_agent_ms.p99),
            self.crm_events.posted,
            self.crm_events.delivered,
        ));
        let rows: Vec<Vec<String>> = self
            .attempts
            .by_result
            .iter()
            .map(|(code, n)| vec![format!("  {code}"), n.to_string()])
            .collect();
        output::table(&["  result", "attempts"], &rows);
        output::line("");
        let side = |name: &str, side: &Side| {
            let pairs = |map: Vec<String>| map.join(" ");
            vec![
                format!("  {name}"),
                side.attempts.to_string(),
                side.answers.to_string(),
                side.connects.to_string(),
                side.events.to_string(),
                pairs(side.hung_up.iter().map(|(who, n)| format!("{who} {n}")).collect()),
                pairs(side.sip_finals.iter().map(|(status, n)| format!("{status}×{n}")).collect()),
            ]
        };
        let Ledgers { dialer, carrier, crm } = &self.ledgers;
        output::table(
            &["  ledger", "attempts", "answers", "connects", "events", "hung up", "final statuses"],
            &[side("dialer", dialer), side("carrier", carrier), side("CRM", crm)],
        );
        output::line("");
        if self.agree {
            output::line("the ledgers of dialer, carrier and CRM agree");
            return;
        }
        output::line("THE LEDGERS DIFFER:");
        for mismatch in &self.mismatches {
            output::line(&format!("  {mismatch}"));
        }
    }
}
