//! The driver: the one task that owns the engine. Whatever happens comes in through bounded queues,
//! becomes an input, and the outputs are carried out at once (`carry_out.rs`).
//!
//! ```text
//! SIP events ─┐                                    ┌─► SIP commands
//! media ──────┤                                    ├─► media commands
//! store ──────┼─► input ─► engine ─► outputs ──────┼─► writes (group commit)
//! pages ──────┤      (run log: input + digest)     ├─► live views
//! time ───────┘                                    └─► reads, as tasks that answer later
//! ```
//!
//! It never waits for anything but the next event: a full queue makes a backlog here, not a pause.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use ipnet::IpNet;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep;

use super::book::Book;
use super::clock::Clock;
use super::live_views::{LiveViews, StoreCounts};
use super::recovery::Orphaned;
use super::run_log::RunLog;
use crate::adapters::gate::{GateDriver, TrunkCheck};
use crate::adapters::media::{MediaEvent, MediaHandle};
use crate::adapters::net::sip_udp::SipHandle;
use crate::adapters::store::Db;
use crate::adapters::store::agents::AgentRow;
use crate::adapters::store::campaigns::CampaignRow;
use crate::adapters::store::contacts::ContactCard;
use crate::adapters::store::tally::WindowTally;
use crate::adapters::store::trunks::TrunkRow;
use crate::adapters::store::writer::{Write, WriterFull, WriterHandle, Written};
use crate::adapters::telemetry::metrics;
use crate::adapters::views::CardView;
use crate::domain::abandon::Window;
use crate::domain::agent::{AgentRefusal, AgentRules};
use crate::domain::call_result::NetworkEnd;
use crate::domain::contact::ReadyRecord;
use crate::domain::ids::{AgentId, AttemptId, CampaignId, LegId, TrunkId};
use crate::domain::phone::E164;
use crate::domain::time::{Duration, Mono, Utc};
use crate::domain::trunk::TrunkRules;
use crate::engine::Engine;
use crate::engine::input::{INTENT_AGE_MAX, Input, LegEvent, Rest};
use crate::protocols::sip;

/// Answers of reads that wait for the driver, at most: far above what one round asks for.
const LATER_MAX: usize = 4_096;
/// Boards are built this often.
const BOARD_EVERY: Duration = Duration::from_millis(250);
/// The store's counts are read this often.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// A trunk that does not answer an OPTIONS for so long does not answer: three repetitions of it.
pub(super) const CHECK_MAX: Duration = Duration::from_secs(5);
/// Events taken from one queue before the others have their turn.
const TURN_MAX: usize = 256;

/// Everything the driver is made of.
pub struct DriverParts {
    /// Both clocks.
    pub clock: Clock,
    /// The engine, new or with its seed.
    pub engine: Engine,
    /// Where its inputs are written down.
    pub run_log: RunLog,
    /// Settings.
    pub book: Book,
    /// The database, for reads.
    pub db: Db,
    /// The one who writes.
    pub writer: WriterHandle,
    /// What the writer answers.
    pub written: mpsc::Receiver<Written>,
    /// The way to the SIP socket.
    pub sip: SipHandle,
    /// What it tells.
    pub sip_events: mpsc::Receiver<sip::Event>,
    /// The way to the media thread.
    pub media: MediaHandle,
    /// What it tells.
    pub media_events: mpsc::Receiver<MediaEvent>,
    /// The way to the pages.
    pub gate: GateDriver,
    /// 0 while running, 1 to drain, 2 to hurry.
    pub stop: watch::Receiver<u8>,
    /// Networks of the configuration from which requests that open a dialog are answered, too.
    pub networks: Vec<IpNet>,
    /// This node's name, under which the time it has seen is noted.
    pub node: String,
    /// Legs of the last run that are being ended.
    pub orphans: BTreeMap<LegId, Orphaned>,
    /// How long a drain may take before talks are ended.
    pub drain: Duration,
}

/// What the driver keeps of a call beside the engine: the number and what pages show of it.
pub(super) struct Call {
    pub(super) number: E164,
    pub(super) card: Arc<CardView>,
    pub(super) trunk: TrunkId,
    pub(super) dialog: Option<String>,
}

/// The answer of a read that was carried out beside the driver.
pub(super) enum Later {
    Records {
        campaign: CampaignId,
        records: Vec<ReadyRecord>,
        rest: Rest,
    },
    /// `asked` numbers the reads: what was asked for earlier does not replace what came later.
    Campaign {
        asked: u64,
        row: Box<CampaignRow>,
        tallies: Vec<(Window, WindowTally)>,
    },
    Trunk(Box<TrunkRow>),
    Agent(Box<AgentRow>),
    Counts(CampaignId, StoreCounts),
    Preview {
        agent: AgentId,
        campaign: CampaignId,
        card: Box<ContactCard>,
        until: Option<Utc>,
    },
    RulesChecked,
    Done(oneshot::Sender<()>),
}

/// The driver.
pub struct Driver {
    pub(super) clock: Clock,
    pub(super) engine: Engine,
    pub(super) run_log: RunLog,
    pub(super) book: Book,
    pub(super) db: Db,
    pub(super) writer: WriterHandle,
    written: mpsc::Receiver<Written>,
    pub(super) sip: SipHandle,
    sip_events: mpsc::Receiver<sip::Event>,
    pub(super) media: MediaHandle,
    media_events: mpsc::Receiver<MediaEvent>,
    gate: GateDriver,
    stop: watch::Receiver<u8>,
    drain: Duration,
    pub(super) networks: Vec<IpNet>,
    pub(super) node: String,
    pub(super) later_in: mpsc::Sender<Later>,
    later: mpsc::Receiver<Later>,
    /// The number of the next read of campaigns, and the newest that was used for each.
    pub(super) next_read: u64,
    campaigns_read: BTreeMap<CampaignId, u64>,
    pub(super) views: LiveViews,
    pub(super) views_changed: bool,
    pub(super) calls: BTreeMap<AttemptId, Call>,
    /// Agents' legs that are up or on their way, for the shutdown.
    pub(super) agent_legs: BTreeMap<LegId, (AgentId, sip::Orphan)>,
    /// Legs of the last run that are being ended.
    pub(super) orphans: BTreeMap<LegId, Orphaned>,
    /// Customers' legs that were answered without media we can use.
    pub(super) unusable: BTreeSet<LegId>,
    /// Intents on their way to the store.
    pub(super) intents: BTreeMap<AttemptId, (CampaignId, TrunkId)>,
    /// What found its queue full, oldest first.
    pub(super) writes: VecDeque<Write>,
    pub(super) commands: VecDeque<(Mono, sip::Command)>,
    /// The disposition that was put out last, and answers that wait for theirs.
    pub(super) recorded: Option<AttemptId>,
    pub(super) dispositions: BTreeMap<AttemptId, oneshot::Sender<Result<(), AgentRefusal>>>,
    /// Why the engine did not do what an agent asked for.
    pub(super) refusal: Option<(AgentId, AgentRefusal)>,
    pub(super) checks: BTreeMap<u64, (Mono, oneshot::Sender<TrunkCheck>)>,
    pub(super) next_check: u64,
    board_at: Mono,
    count_at: Mono,
    hurry_at: Option<Mono>,
}

impl Driver {
    /// A driver that knows its settings but has told the engine nothing yet.
    pub fn new(parts: DriverParts) -> Self {
        let (later_in, later) = mpsc::channel(LATER_MAX);
        Self {
            clock: parts.clock,
            engine: parts.engine,
            run_log: parts.run_log,
            book: parts.book,
            db: parts.db,
            writer: parts.writer,
            written: parts.written,
            sip: parts.sip,
            sip_events: parts.sip_events,
            media: parts.media,
            media_events: parts.media_events,
            gate: parts.gate,
            stop: parts.stop,
            drain: parts.drain,
            networks: parts.networks,
            node: parts.node,
            later_in,
            later,
            next_read: 0,
            campaigns_read: BTreeMap::new(),
            views: LiveViews::default(),
            views_changed: true,
            calls: BTreeMap::new(),
            agent_legs: BTreeMap::new(),
            orphans: parts.orphans,
            unusable: BTreeSet::new(),
            intents: BTreeMap::new(),
            writes: VecDeque::new(),
            commands: VecDeque::new(),
            recorded: None,
            dispositions: BTreeMap::new(),
            refusal: None,
            checks: BTreeMap::new(),
            next_check: 0,
            board_at: Mono::ZERO,
            count_at: Mono::ZERO,
            hurry_at: None,
        }
    }

    /// Runs until the program has drained; then ends the agents' legs and the run log.
    pub async fn run(mut self) -> anyhow::Result<()> {
        self.tell_settings().await?;
        while !self.is_over() {
            self.one_event().await;
            self.take_what_waits();
            self.flush();
            self.publish();
        }
        self.end().await
    }

    /// No call is left; unless there is haste, no leg of an earlier run either.
    fn is_over(&self) -> bool {
        self.engine.is_drained() && (self.orphans.is_empty() || *self.stop.borrow() > 1)
    }

    /// Waits for one event. Every branch is a receive: none loses anything when another is taken.
    async fn one_event(&mut self) {
        let now = self.clock.mono();
        let due = self.engine.poll_timeout(now).min(self.board_at);
        let wait = if self.writes.is_empty() && self.commands.is_empty() {
            due.since(now)
        } else {
            due.since(now).min(Duration::from_millis(5))
        };
        tokio::select! {
            Some(event) = self.sip_events.recv() => self.sip_event(event),
            Some(event) = self.media_events.recv() => self.media_event(event),
            Some(written) = self.written.recv() => self.written(written),
            Some(later) = self.later.recv() => self.later(later),
            Some(request) = self.gate.requests.recv() => self.request(request),
            Ok(()) = self.stop.changed() => self.stopping(),
            () = sleep(wait) => self.feed(Input::Tick),
        }
    }

    /// Takes what has come meanwhile without waiting, a bounded turn from each queue.
    fn take_what_waits(&mut self) {
        for _ in 0..TURN_MAX {
            let Ok(event) = self.sip_events.try_recv() else { break };
            self.sip_event(event);
        }
        for _ in 0..TURN_MAX {
            let Ok(event) = self.media_events.try_recv() else { break };
            self.media_event(event);
        }
        for _ in 0..TURN_MAX {
            let Ok(written) = self.written.try_recv() else { break };
            self.written(written);
        }
        for _ in 0..TURN_MAX {
            let Ok(later) = self.later.try_recv() else { break };
            self.later(later);
        }
    }

    /// One input and everything that follows from it.
    pub(super) fn feed(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let now = self.clock.now();
            let outputs = self.run_log.step(&mut self.engine, now, input);
            for output in outputs {
                self.carry_out(now, output, &mut inputs);
            }
        }
    }

    fn media_event(&mut self, event: MediaEvent) {
        match event {
            MediaEvent::Fresh(leg) => self.feed(Input::Leg(leg, LegEvent::MediaFresh)),
            MediaEvent::Stale(leg) => self.feed(Input::Leg(leg, LegEvent::MediaStale)),
            MediaEvent::Played(leg) => self.feed(Input::Leg(leg, LegEvent::Played)),
            MediaEvent::Closed(leg, stats) => {
                metrics::rtp_leg(
                    stats.received.packets,
                    u64::from(stats.packets_out),
                    stats.received.lost,
                );
                tracing::debug!(call.leg = %leg, rtp = ?stats, "media closed");
            }
            MediaEvent::Failed(leg, why) => {
                tracing::warn!(call.leg = %leg, why, "media failed");
                // A message that cannot be played ends as if it had been.
                self.feed(Input::Leg(leg, LegEvent::Played));
            }
            // Its end comes as that of any message.
            MediaEvent::Substituted(leg, message) => {
                tracing::warn!(call.leg = %leg, message, "no such message: the built-in one is played");
            }
            MediaEvent::Digit(..) | MediaEvent::Bridged { .. } => {}
        }
    }

    fn written(&mut self, written: Written) {
        match written {
            Written::Intended { attempt, target } => {
                let Some((campaign, trunk)) = self.intents.remove(&attempt) else { return };
                let card = Arc::new(self.book.card(campaign, &target.card));
                self.views.call_began(attempt, target.number.masked());
                let call = Call { number: target.number, card, trunk, dialog: None };
                self.calls.insert(attempt, call);
                self.feed(Input::Intended(attempt));
            }
            Written::IntentRefused { attempt, why } => {
                self.intents.remove(&attempt);
                self.feed(Input::IntentRefused(attempt, why));
            }
        }
    }

    pub(super) fn later(&mut self, later: Later) {
        match later {
            Later::Records { campaign, records, rest } => {
                self.feed(Input::Records { campaign, records, rest });
            }
            Later::Campaign { asked, row, tallies } => {
                let newest = self.campaigns_read.entry(row.id).or_default();
                if *newest <= asked {
                    *newest = asked;
                    self.campaign_read(*row, tallies);
                }
            }
            Later::Trunk(row) => {
                let rules = TrunkRules::of(row.id, row.version, &row.settings);
                let id = row.id;
                tracing::info!(trunk = %id, version = rules.version, "trunk settings");
                match self.book.put_trunk(*row) {
                    Ok(()) => self.feed(Input::Trunk(rules)),
                    Err(error) => tracing::error!(trunk = %id, %error, "trunk not usable"),
                }
                self.tell_networks();
            }
            Later::Agent(row) => {
                let rules = AgentRules::of(row.id, row.version, &row.settings);
                tracing::info!(agent.id = %row.id, version = rules.version, "agent settings");
                self.views.ensure_agent(row.id, &row.settings.name, self.clock.utc());
                self.views_changed = true;
                self.book.put_agent(*row);
                self.feed(Input::AgentRules(rules));
                self.tell_networks();
            }
            Later::Counts(campaign, counts) => self.views.counted(campaign, counts),
            Later::Preview { agent, campaign, card, until } => {
                self.show_preview(agent, campaign, &card, until);
            }
            Later::RulesChecked => self.feed(Input::RulesChecked),
            Later::Done(done) => {
                // The one who asked may have gone away; nothing else waits for it.
                done.send(()).ok();
            }
        }
    }

    fn stopping(&mut self) {
        let stop = *self.stop.borrow_and_update();
        let hurry = stop > 1;
        if stop > 0 {
            tracing::info!(hurry, "draining: no new calls");
            self.views.draining();
            self.views_changed = true;
            self.hurry_at.get_or_insert(self.clock.mono() + self.drain);
            self.feed(Input::Drain { hurry });
        }
    }

    fn publish(&mut self) {
        let now = self.clock.now();
        while let Some((id, asked)) = self.checks.first_key_value().map(|(id, (at, _))| (*id, *at))
            && now.mono.since(asked) > CHECK_MAX
        {
            self.trunk_checked(id, None);
        }
        if self.hurry_at.is_some_and(|at| at <= now.mono) {
            self.hurry_at = None;
            tracing::warn!("the drain has taken its time: ending the talks");
            self.feed(Input::Drain { hurry: true });
        }
        if now.mono >= self.board_at {
            self.board_at = now.mono + BOARD_EVERY;
            for campaign in self.engine.campaign_ids() {
                if let Some(board) = self.engine.board(campaign, now) {
                    self.views.board(&board, &self.book, now);
                }
            }
            self.views_changed = true;
        }
        if now.mono >= self.count_at {
            self.count_at = now.mono + COUNT_EVERY;
            self.read_counts();
            self.mark_time(now.utc);
        }
        if std::mem::take(&mut self.views_changed) {
            self.gate.live.send_replace(self.views.publish());
        }
    }

    /// Hands over what found its queue full before.
    fn flush(&mut self) {
        while let Some(write) = self.writes.pop_front() {
            if let Err(WriterFull(write)) = self.writer.send(write) {
                self.writes.push_front(*write);
                break;
            }
        }
        let now = self.clock.mono();
        while let Some((since, command)) = self.commands.pop_front() {
            // Dialled within two seconds of the intent or not at all, also where the socket is slow.
            if let sip::Command::Invite(invite) = &command
                && now.since(since) > INTENT_AGE_MAX
            {
                let end = NetworkEnd { transport_failed: true, ..NetworkEnd::default() };
                self.feed(Input::Leg(invite.leg, LegEvent::Failed(end)));
                continue;
            }
            if let Err(error) = self.sip.commands.try_send(command) {
                self.commands.push_front((since, error.into_inner()));
                break;
            }
        }
    }

    /// The agents' legs are ended and what is written is waited for.
    async fn end(mut self) -> anyhow::Result<()> {
        for leg in self.agent_legs.keys().copied().collect::<Vec<_>>() {
            let reason = sip::ReasonValue::Shutdown;
            self.command(sip::Command::Bye { leg, reason });
        }
        let until = self.clock.mono() + Duration::from_secs(3);
        while !(self.agent_legs.is_empty() && self.writes.is_empty() && self.commands.is_empty())
            && self.clock.mono() < until
        {
            self.flush();
            tokio::select! {
                Some(event) = self.sip_events.recv() => self.sip_event(event),
                Some(written) = self.written.recv() => self.written(written),
                () = sleep(Duration::from_millis(20)) => {}
            }
        }
        self.flush();
        self.publish();
        self.media.stop();
        if self.run_log.dropped() > 0 {
            tracing::warn!(steps = self.run_log.dropped(), "the run log has gaps");
        }
        self.run_log.close()?;
        Ok(())
    }
}
