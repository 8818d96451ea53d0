//! The facade: takes one input, returns the outputs it causes. It routes; the files beside it decide.
//!
//! Pure: time, settings and everything else come in as [`Input`]s; the dice are part of the state.
//! `Clone + Serialize`, so that it can be forked for a forecast and written to the run log.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::agent::AgentRules;
use crate::domain::campaign::{CampaignRules, CampaignState, Mode};
use crate::domain::ids::{AgentId, AttemptId, CampaignId, ContactId, CrmEventId, LegId, TrunkId};
use crate::domain::time::{Duration, Mono, Now, Utc};
use crate::domain::trunk::TrunkRules;

use super::agent_run::{AgentRun, Doing};
use super::attempt_run::AttemptRun;
use super::campaign_run::CampaignRun;
use super::dice::Dice;
use super::input::Input;
use super::line_budget::LineBudget;
use super::output::{Fact, Output};
use super::rule_clock::RuleClock;

/// How long the driver may wait between two inputs: launches, clock steps and refills are looked at
/// this often at least.
pub const TICK: Duration = Duration::from_millis(500);

/// A trunk and what of it is in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TrunkRun {
    pub(super) rules: TrunkRules,
    pub(super) budget: LineBudget,
}

/// Whether the program is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Drain {
    No,
    /// No new calls; talks end by themselves.
    Gently,
    /// Talks are ended too.
    Hurried,
}

/// The dialer of one node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Engine {
    pub(super) dice: Dice,
    pub(super) clock: RuleClock,
    pub(super) campaigns: BTreeMap<CampaignId, CampaignRun>,
    pub(super) trunks: BTreeMap<TrunkId, TrunkRun>,
    pub(super) agents: BTreeMap<AgentId, AgentRun>,
    pub(super) agent_legs: BTreeMap<LegId, AgentId>,
    pub(super) attempts: BTreeMap<AttemptId, AttemptRun>,
    pub(super) drain: Drain,
    /// Where the next round of launches begins, so that no campaign is always first.
    pub(super) turn: u32,
    #[serde(skip)]
    pub(super) outputs: Vec<Output>,
}

impl Engine {
    /// An engine that knows nothing yet.
    pub fn new(seed: u64) -> Self {
        Self {
            dice: Dice::new(seed),
            clock: RuleClock::default(),
            campaigns: BTreeMap::new(),
            trunks: BTreeMap::new(),
            agents: BTreeMap::new(),
            agent_legs: BTreeMap::new(),
            attempts: BTreeMap::new(),
            drain: Drain::No,
            turn: 0,
            outputs: Vec::new(),
        }
    }

    /// The latest wall time that an earlier process has seen: a clock that was set back while nothing
    /// ran reopens no window either.
    #[must_use]
    pub fn after(mut self, seen: Option<Utc>) -> Self {
        self.clock.seen(seen.unwrap_or_default());
        self
    }

    /// Takes one input and returns what it causes, in the order to be carried out.
    pub fn handle(&mut self, now: Now, input: Input) -> Vec<Output> {
        if let Some(step) = self.clock.observe(now) {
            self.fact(Fact::ClockStepped(step));
        }
        self.dispatch(now, input);
        self.handle_deadlines(now);
        self.grant_leaves(now);
        self.serve(now);
        self.launch(now);
        std::mem::take(&mut self.outputs)
    }

    fn dispatch(&mut self, now: Now, input: Input) {
        match input {
            Input::Tick => {}
            Input::Campaign(rules, state) => self.set_campaign(now, *rules, state),
            Input::Trunk(rules) => self.set_trunk(rules),
            Input::AgentRules(rules) => self.set_agent(now, rules),
            Input::Tally { campaign, window, tally, outside } => {
                if let Some(run) = self.campaigns.get_mut(&campaign) {
                    run.guard.load(window, tally, outside);
                }
            }
            Input::LostNotAnswered { campaign, window_start } => {
                if let Some(run) = self.campaigns.get_mut(&campaign) {
                    run.guard.take_back_lost(window_start);
                }
            }
            Input::Records { campaign, records, rest } => {
                let held = self.held_contacts(campaign);
                if let Some(run) = self.campaigns.get_mut(&campaign) {
                    run.hopper.fill(now.mono, records, rest, &held);
                }
            }
            Input::Intended(attempt) => self.intended(now, attempt),
            Input::IntentRefused(attempt, why) => self.intent_refused(now, attempt, why),
            Input::Leg(leg, event) => self.leg_event(now, leg, event),
            Input::Heard(leg, verdict) => self.heard(now, leg, verdict),
            Input::Agent(agent, command) => self.agent_command(now, agent, command),
            Input::RulesChecked => self.clock.rules_checked(),
            Input::HangUp(attempt) => self.hang_up_by_manager(now, attempt),
            Input::Drain { hurry } => self.start_drain(now, hurry),
        }
    }

    /// When `handle` should be called next even if nothing happens.
    pub fn poll_timeout(&self, now: Mono) -> Mono {
        self.attempts
            .values()
            .filter_map(AttemptRun::deadline)
            .chain(self.agents.values().filter_map(AgentRun::deadline))
            .min()
            .map_or(now + TICK, |at| at.min(now + TICK))
    }

    /// The program was asked to stop, and no call is left; without haste the agents have also said what
    /// their last calls meant.
    pub fn is_drained(&self) -> bool {
        let said = || !self.agents.values().any(|run| matches!(run.doing, Doing::WrapUp { .. }));
        let over = match self.drain {
            Drain::No => false,
            Drain::Gently => said(),
            Drain::Hurried => true,
        };
        over && self.attempts.is_empty()
    }

    fn set_campaign(&mut self, now: Now, rules: CampaignRules, state: CampaignState) {
        let id = rules.id;
        let run = self
            .campaigns
            .entry(id)
            .or_insert_with(|| CampaignRun::new(rules.clone(), CampaignState::Created));
        run.rules = rules;
        let started = state == CampaignState::Running && run.state != CampaignState::Running;
        run.state = state;
        if started {
            run.hopper.reset(now.mono);
        }
        // A card that can no longer be dialled would hold its agent for ever.
        let shows_previews = run.is_running() && run.rules.mode == Mode::Preview;
        if !shows_previews {
            self.return_previews(now, Some(id));
        }
        if state == CampaignState::Stopped {
            self.cancel_unanswered(now, Some(id));
        }
    }

    fn set_trunk(&mut self, rules: TrunkRules) {
        self.trunks
            .entry(rules.id)
            .and_modify(|run| run.rules = rules)
            .or_insert_with(|| TrunkRun { rules, budget: LineBudget::default() });
    }

    fn set_agent(&mut self, now: Now, rules: AgentRules) {
        self.agents
            .entry(rules.id)
            .and_modify(|run| run.rules = rules.clone())
            .or_insert_with(|| AgentRun::new(rules, now));
    }

    fn start_drain(&mut self, now: Now, hurry: bool) {
        self.drain = if hurry { Drain::Hurried } else { Drain::Gently };
        self.cancel_unanswered(now, None);
        if hurry {
            self.hang_up_everyone(now);
        }
        self.return_previews(now, None);
    }

    /// Contacts of a campaign that are in the air or being previewed.
    fn held_contacts(&self, campaign: CampaignId) -> BTreeSet<ContactId> {
        let live = self
            .attempts
            .values()
            .filter(|run| run.key().campaign == campaign)
            .map(|run| run.key().contact);
        let previewed = self.agents.values().filter_map(|run| match run.doing {
            Doing::Preview { campaign: of, record, .. } if of == campaign => Some(record.contact),
            Doing::Preview { .. }
            | Doing::LoggedOut
            | Doing::Connecting
            | Doing::Paused
            | Doing::Ready
            | Doing::Dialling { .. }
            | Doing::OnCall { .. }
            | Doing::WrapUp { .. } => None,
        });
        live.chain(previewed).collect()
    }

    pub(super) fn out(&mut self, output: Output) {
        self.outputs.push(output);
    }

    pub(super) fn fact(&mut self, fact: Fact) {
        self.outputs.push(Output::Fact(fact));
    }

    pub(super) fn event_id(&mut self, now: Now) -> CrmEventId {
        CrmEventId::from_uuid(self.dice.uuid(now.utc))
    }
}
